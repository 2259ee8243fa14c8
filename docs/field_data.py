"""
Draw three MUSE exposures of a field, and HST images of it in four filters, to try fit_field on.

Usage: python field_data.py FOLDER
"""

import sys
from pathlib import Path

from astropy_imphot import write_image
from astropy_imphot.simulation import CubeTruth, simulate_cubes

TRUTH = {
    "E1": CubeTruth(dx=0.21, dy=-0.13, scale=0.93, fwhm=0.70, slope=-3e-5, beta=2.4),
    "E2": CubeTruth(dx=-0.30, dy=0.25, scale=1.05, fwhm=0.60, slope=-2e-5, beta=2.8),
    # On a grid that is turned, as its header says.
    "E3": CubeTruth(dx=0.05, dy=0.40, scale=0.98, fwhm=0.85, slope=-4e-5, beta=2.2, rotation=1.0),
}


def make_folder(folder):
    """Write the images and cubes to the folder, which must not exist."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    field = simulate_cubes(1, TRUTH.values(), size=24.0, n_stars=0)
    for name, image in field.hst.items():
        write_image(image, folder / f"hst_{name.lower()}.fits")
    for name, cube in zip(TRUTH, field.cubes, strict=True):
        cube.writeto(folder / f"DATACUBE_{name}.fits")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} exists: give the name of a new folder.")
    make_folder(sys.argv[1])
    for name, truth in TRUTH.items():
        print(
            name, *(f"{key}={getattr(truth, key)}" for key in ("dx", "dy", "scale", "fwhm", "slope", "beta"))
        )
