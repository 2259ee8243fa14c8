"""The inputs of the benchmarks: fields that GalSim draws, and files of realistic size."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

from astropy_imphot import make_template, write_image
from astropy_imphot.simulation import Truth, simulate_field, sky_grid, with_noise

# A full MUSE exposure, most of which is the rotated field of view; and a mosaic of exposures, with fewer and
# wider planes, as the number of planes is relevant for disk space, not for memory.
CUBE_SHAPE = (3681, 320, 320)
WIDE_CUBE_SHAPE = (40, 2500, 2500)
FIELD_FRACTION = 0.94
FIELD_ANGLE = np.radians(5)

# A mosaic of the size of those of the deep fields, much larger than the MUSE field.
MOSAIC_SIZE = 20_000

BLOCK_VOXELS = 6_250_000
BLOCK_ROWS = 500

TRUTH = Truth(dx=0.12, dy=-0.08, scale=0.95, bg=0.5, fwhm=0.65, beta=2.8)

# With a margin of 3 arcsec around a field of 60 arcsec, HST images have 2200 x 2200 pixels.
MARGIN = 3.0


@cache
def field(size, seed, noise=0.1):
    """Return a field of this size, arcsec."""
    return simulate_field(seed, size=size, truth=[TRUTH], noise=noise, hst_margin=MARGIN)


@cache
def field_and_template(size, seed):
    """Return the MUSE image of a field of this size, and its template."""
    one = field(size, seed)
    return one.muse[0], make_template(one.hst, one.muse[0])


def write_exposures(folder, seed, count):
    """Write a field's template and exposures, which differ by their noise, and return their paths."""
    quiet = field(60.0, seed, noise=0.0)
    template = folder / "template.fits"
    make_template(quiet.hst, quiet.muse[0]).write(template)
    exposures = [folder / f"exposure_{number}.fits" for number in range(count)]
    for number, path in enumerate(exposures):
        write_image(with_noise(quiet, [seed, number]).muse[0], path)
    return str(template), [str(path) for path in exposures]


def write_cube(path, seed, shape=CUBE_SHAPE):
    """Write a cube of MUSE's wavelengths: DATA and STAT, not finite outside the field of view."""
    _check_space(path, 8 * np.prod(shape, dtype=float))
    rng = np.random.default_rng(seed)
    header = sky_grid(shape[1:]).wcs.to_header()
    width = 1.25 * CUBE_SHAPE[0] / shape[0]
    header.update(CTYPE3="AWAV", CUNIT3="Angstrom", CRPIX3=1.0, CRVAL3=4750.0, PC3_3=1.0, CDELT3=width)
    y, x = np.mgrid[: shape[1], : shape[2]] - (np.array(shape[1:])[:, None, None] - 1) / 2
    cos, sin = np.cos(FIELD_ANGLE), np.sin(FIELD_ANGLE)
    away = np.maximum(abs(cos * x - sin * y), abs(sin * x + cos * y))
    outside = away > FIELD_FRACTION * min(shape[1:]) / 2

    def data(shape):
        return rng.normal(10, 5, shape)

    def stat(shape):
        return rng.uniform(20, 30, shape)

    fits.PrimaryHDU().writeto(path)
    step = max(1, BLOCK_VOXELS // (shape[1] * shape[2]))
    for name, draw in (("DATA", data), ("STAT", stat)):
        blocks = (
            np.where(outside, np.nan, draw((min(step, shape[0] - start), *shape[1:])))
            for start in range(0, shape[0], step)
        )
        _append(path, name, header, shape, blocks)


def write_mosaic(path, seed):
    """Write an HST image that is much wider than the MUSE field."""
    shape = (MOSAIC_SIZE, MOSAIC_SIZE)
    _check_space(path, 4 * np.prod(shape, dtype=float))
    rng = np.random.default_rng(seed)
    header = sky_grid(shape, 0.03).wcs.to_header()
    header.update(BUNIT="ELECTRONS/S", FILTER="F775W", TELESCOP="HST", INSTRUME="ACS")
    fits.PrimaryHDU().writeto(path)
    blocks = (rng.normal(0, 2e-4, (BLOCK_ROWS, MOSAIC_SIZE)) for _ in range(0, MOSAIC_SIZE, BLOCK_ROWS))
    _append(path, "SCI", header, shape, blocks)


def write_field(path):
    """Write a MUSE image at the mosaic's center, of which only the header is used."""
    grid = sky_grid((300, 300))
    header = grid.wcs.to_header()
    header["BUNIT"] = "10**(-20)*erg/s/cm**2/Angstrom"
    fits.PrimaryHDU(np.zeros(grid.shape, np.float32), header).writeto(path)


def _append(path, name, header, shape, blocks):
    # The header requires an array of this shape; this one takes no memory.
    empty = np.broadcast_to(np.float32(0), shape)
    header = fits.ImageHDU(empty, header, name=name).header
    with fits.StreamingHDU(str(path), header) as hdu:
        for block in blocks:
            hdu.write(block.astype(np.float32))


def _check_space(path, size):
    free = shutil.disk_usage(Path(path).parent).free
    if free < 1.1 * size:
        raise SystemExit(
            f"{Path(path).parent} has {free / 1e9:.1f} GB free, and {size / 1e9:.1f} GB are needed: "
            "give another folder by --tmp."
        )
