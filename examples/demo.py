"""
Photometry and astrometry of three simulated MUSE exposures, from cubes to results.

GalSim draws an HST image and three MUSE exposures of the same sky. The package's commands process the files
as they process real ones.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.table import QTable

from astropy_imphot import write_image
from astropy_imphot.simulation import Truth, muse_cube, simulate_field

SEED = 20260
FIELD_SIZE = 40.0
EXPOSURES = {
    "E1": Truth(dx=0.12, dy=-0.21, scale=0.95, bg=1.5, fwhm=0.62),
    "E2": Truth(dx=-0.31, dy=0.08, scale=1.04, bg=-0.7, fwhm=0.78),
    "E3": Truth(dx=0.05, dy=0.36, scale=0.88, bg=0.2, fwhm=0.55),
}
# Wide planes keep the cubes of the demo small; those of MUSE are 1.25 Angstrom wide.
WAVELENGTHS = np.arange(6700.0, 8800.0, 25.0)
PLANE_NOISE = 1.0


def main():
    """Simulate, run the commands and compare with the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outdir", default="demo_output", help="folder of all files")
    folder = Path(parser.parse_args().outdir)
    folder.mkdir(parents=True, exist_ok=True)

    print(f"Drawing the field (seed {SEED}) ...", flush=True)
    simulate(folder)
    names = list(EXPOSURES)
    cubes = [f"DATACUBE_{name}.fits" for name in names]
    run(folder, "make_wideband_image", "F775W.txt", *cubes, "--overwrite")
    images = [f"F775W_IMAGE_{name}.fits" for name in names]
    run(folder, "regrid_hst_to_muse", "--field", "DEMO", images[0], "hst_f775w.fits", "--overwrite")
    run(
        folder,
        "fit_photometry",
        "hst_F775W_for_DEMO.fits",
        *images,
        "--fix_beta",
        "none",
        "--hardcopy",
        "png",
        "--output",
        "results.ecsv",
        "--overwrite",
    )
    compare(QTable.read(folder / "results.ecsv"))
    print(f"Data, model and residual of each exposure: {folder}/F775W_IMAGE_E*_image_fit.png")
    inputs = ["--hst", "hst_f775w.fits", "--curve", "F775W=F775W.txt"]
    run(folder, "fit_field", *cubes, *inputs, "--outdir", "field", "--restart")
    print(f"The same from the cubes in one step, and with a report: {folder}/field/report.html")


def simulate(folder):
    """Write an HST image, a filter curve and the cubes of the exposures."""
    field = simulate_field(SEED, size=FIELD_SIZE, truth=list(EXPOSURES.values()), noise=0.0)
    write_image(field.hst, folder / "hst_f775w.fits", overwrite=True)
    edges = [6800, 7000, 8400, 8650]
    np.savetxt(folder / "F775W.txt", np.column_stack([edges, [0, 1, 1, 0]]), header="wavelength sensitivity")
    for number, (name, image) in enumerate(zip(EXPOSURES, field.muse, strict=True)):
        cube = muse_cube(image, WAVELENGTHS, noise=PLANE_NOISE, seed=SEED + number)
        cube.writeto(folder / f"DATACUBE_{name}.fits", overwrite=True)


def run(folder, *command):
    """Run a command of the package in a folder."""
    print("\n$", *command, flush=True)
    scripts = Path(sys.executable).parent
    subprocess.run([scripts / command[0], *command[1:]], cwd=folder, check=True)


def compare(table):
    """Print fitted values beside the truth."""
    print(f"\n{'exposure':<16}{'':<7}{'truth':>9}{'fitted':>10}{'error':>9}{'(fitted - truth)/error':>25}")
    for row, truth in zip(table, EXPOSURES.values(), strict=True):
        for key in ("scale", "bg", "dx", "dy", "fwhm", "beta"):
            true, value, error = getattr(truth, key), row[key].value, row[f"{key}_err"].value
            print(
                f"{row['name']:<16}{key:<7}{true:9.4f}{value:10.4f}{error:9.4f}{(value - true) / error:25.2f}"
            )
    print()


if __name__ == "__main__":
    main()
