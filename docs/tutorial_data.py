"""
Make a folder with real data to try astropy_imphot on, from the installed package mpdaf.

Usage: python tutorial_data.py FOLDER
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from astropy_imphot import FilterCurve

FILES = {
    "DATACUBE_A478.fits": "sdetect/minicube.fits",
    "hst_a478.fits": "sdetect/a478hst-cutout.fits",
    "HDFS_IMAGE.fits": "obj/IMAGE-HDFS-1.34.fits",
    "hst_hdfs.fits": "obj/HST-HDFS.fits",
}

COSMIC_RAYS = """# cosmic rays in the HST image of Abell 478
image
-circle(1.5, 37.5, 4)
-circle(13.5, 23, 4)
-circle(14.5, 10.5, 5)
-circle(36, 23.5, 5)
-circle(39.5, 21, 4)
"""


def make_folder(folder):
    """Write the files to the folder, which must not exist, and return their names."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    data = Path(find_spec("mpdaf").origin).with_name("data")
    for name, original in FILES.items():
        shutil.copyfile(data / original, folder / name)
    curve = FilterCurve.named("F814W", "WFPC2")
    columns = np.column_stack([curve.wavelength, curve.sensitivity])
    np.savetxt(folder / "F814W.txt", columns, fmt="%.6g", header=curve.source)
    (folder / "cosmics.reg").write_text(COSMIC_RAYS)
    return sorted(path.name for path in folder.iterdir())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} exists: give the name of a new folder.")
    print("\n".join(make_folder(sys.argv[1])))
