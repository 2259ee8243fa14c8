"""
Exposures as references of each other: their relative offsets, and those of ESO's muse_exp_align.

Fields of four exposures are drawn by GalSim: galaxies of magnitude 22 to 27 with the density of the Hubble
Ultra Deep Field, and three stars of such magnitudes, in 60 x 60 arcsec. Each exposure has its own noise (0.4,
as that of one exposure), seeing (0.55 to 0.9 arcsec), beta (2.2 to 3.5), offset (up to 1 arcsec along each
axis), scale (0.9 to 1.05), background and rotation (up to 0.1 degree). fit_field aligns them without another
image. If esorex and the MUSE recipes are installed, muse_exp_align aligns the same images.

The table has, for each quantity relative to the mean of the exposures, the mean error and its standard error,
the rms error, the median of the quoted errors, and the rms and the largest of the pulls.

    python benchmarks/exposures.py --fields 24 --output docs/exposures.txt
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from tqdm import tqdm

from astropy_imphot import __version__, fit_field, write_image
from astropy_imphot.simulation import Truth, simulate_field

SEED = 20261128
EXPOSURES = 4
QUANTITIES = {
    "dra": "arcsec",
    "ddec": "arcsec",
    "rotation": "deg",
    "ln scale": "",
    "bg": "",
    "fwhm^2": "arcsec2",
}
NOISE = 0.4


def draw(number):
    """Return the truth and the images of a field."""
    rng = np.random.default_rng([SEED, number])
    truth = [
        Truth(
            dx=rng.uniform(-1, 1),
            dy=rng.uniform(-1, 1),
            scale=rng.uniform(0.9, 1.05),
            bg=rng.uniform(-2, 2),
            fwhm=rng.uniform(0.55, 0.9),
            beta=rng.uniform(2.2, 3.5),
            rotation=rng.uniform(-0.1, 0.1),
        )
        for _ in range(EXPOSURES)
    ]
    seed = int(rng.integers(2**31))
    field = simulate_field(seed, size=60.0, truth=truth, noise=NOISE, magnitudes=(22.0, 27.0), n_stars=3)
    return truth, field.muse


def measure(number, *, recipe):
    """Return the errors of a field: of fit_field, its quoted errors, and of muse_exp_align."""
    warnings.simplefilter("ignore")
    truth, images = draw(number)
    decs = np.deg2rad(images[0].wcs.wcs.crval[1])
    true = {
        # The first pixel axis is towards west.
        "dra": np.array([-one.dx for one in truth]) / np.cos(decs),
        "ddec": np.array([one.dy for one in truth]),
        "rotation": np.array([one.rotation for one in truth]),
        "ln scale": np.log([one.scale for one in truth]),
        "bg": np.array([one.bg for one in truth]),
        "fwhm^2": np.array([one.fwhm**2 for one in truth]),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for exposure, image in enumerate(images):
            image.meta["DATE-OBS"] = f"2014-09-25T0{exposure}:12:00.000"
            image.meta["MJD-OBS"] = 56925.0 + exposure / 24
            paths.append(str(Path(folder) / f"E{exposure}.fits"))
            write_image(image, paths[-1])
        with ThreadPoolExecutor(1) as executor:
            table = fit_field(paths, "exposures", Path(folder) / "aligned", executor=executor).exposures
        ours = _ours(table, true)
        theirs = _recipe(images, Path(folder) / "eso", true) if recipe else None
    return ours, theirs


def _ours(table, true):
    if any(table["error"]):
        return None
    found = {}
    scale, scale_err = np.array(table["scale"]), np.array(table["scale_err"])
    for key in QUANTITIES:
        name = {"ln scale": "scale", "fwhm^2": "fwhm_square"}.get(key, key)
        value, error = (np.array(getattr(table[one], "value", table[one])) for one in (name, f"{name}_err"))
        if key == "ln scale":
            value, error = np.log(scale), scale_err / scale
        truth = true[key]
        if key == "bg":
            # In units of the mean exposure.
            value, error = value / scale, error / scale
            truth = truth / np.exp(true["ln scale"] - np.mean(true["ln scale"]))
        found[key] = (value - value.mean()) - (truth - truth.mean()), error
    return found


def _recipe(images, folder, true):
    """Return the errors of the offsets by ESO's recipe; None where it finds nothing."""
    folder.mkdir()
    sof = []
    for number, image in enumerate(images):
        path = folder / f"IMAGE_FOV_{number}.fits"
        header = image.wcs.to_header()
        for axis in (1, 2):
            for other in (1, 2):
                # The recipe needs CDi_j, and floats with a dot.
                header[f"CD{axis}_{other}"] = float(image.wcs.pixel_scale_matrix[axis - 1, other - 1])
                header.pop(f"PC{axis}_{other}", None)
        for key in ("CDELT1", "CDELT2"):
            header.pop(key, None)
        primary = fits.PrimaryHDU()
        primary.header["DATE-OBS"], primary.header["MJD-OBS"] = image.meta["DATE-OBS"], image.meta["MJD-OBS"]
        primary.header["RA"], primary.header["DEC"] = (float(one) for one in image.wcs.wcs.crval)
        primary.header["EXPTIME"] = 1500.0
        primary.header["INSTRUME"] = "MUSE"
        primary.header["HIERARCH ESO INS MODE"] = "WFM-NOAO-N"
        primary.header["HIERARCH ESO PRO CATG"] = "IMAGE_FOV"
        primary.header["HIERARCH ESO DRS MUSE FILTER NAME"] = "white"
        data = fits.ImageHDU(image.data.astype("f4"), header=header, name="DATA")
        stat = fits.ImageHDU(np.full(image.shape, NOISE**2, dtype="f4"), header=header, name="STAT")
        fits.HDUList([primary, data, stat]).writeto(path)
        sof.append(f"{path} IMAGE_FOV\n")
    (folder / "align.sof").write_text("".join(sof))
    command = [
        "esorex",
        f"--output-dir={folder}",
        f"--log-dir={folder}",
        "muse_exp_align",
        str(folder / "align.sof"),
    ]
    # The list is complete also where the recipe ends with an error, in the preview that it makes at last.
    subprocess.run(command, capture_output=True, cwd=folder, check=False)
    path = folder / "OFFSET_LIST.fits"
    if not path.exists():
        return None
    rows = QTable.read(path)
    by_date = {str(row["DATE_OBS"]).strip(): row for row in rows}
    found = {}
    for key, column in (("dra", "RA_OFFSET"), ("ddec", "DEC_OFFSET")):
        value = np.array(
            [
                3600 * float(getattr(by_date[image.meta["DATE-OBS"]][column], "value", np.nan))
                for image in images
            ]
        )
        found[key] = (value - value.mean()) - (true[key] - true[key].mean())
    return found if all(np.all(np.isfinite(one)) for one in found.values()) else None


def report(results, recipe):
    """Return the lines of the table."""
    lines = [
        f"astropy_imphot {__version__}, {len(results)} fields of {EXPOSURES} exposures, seed {SEED}",
        "",
        "fit_field --reference exposures",
        f"{'':<10}{'':>8}{'bias':>10}{'':>10}{'rms':>10}{'quoted':>10}{'pull':>7}{'worst':>7}",
    ]
    number = len(results)
    results = [one for one in results if one[0] is not None]
    for key, unit in QUANTITIES.items():
        off, error = (np.concatenate([ours[key][one] for ours, _ in results]) for one in (0, 1))
        pull = off / error
        lines.append(
            f"{key:<10}{unit:>8}{off.mean():10.5f}{off.std() / np.sqrt(len(off)):10.5f}"
            f"{np.sqrt(np.mean(off**2)):10.5f}{np.median(error):10.5f}"
            f"{np.sqrt(np.mean(pull**2)):7.2f}{np.abs(pull).max():7.1f}"
        )
    lines.append(f"All exposures of {len(results)} of {number} fields were aligned.")
    if not recipe:
        return [*lines, "", "esorex is not installed: muse_exp_align was not run."]
    both = [(ours, theirs) for ours, theirs in results if theirs is not None]
    lines += [
        "",
        f"muse_exp_align found offsets in {len(both)} of {len(results)} fields; in these, rms errors:",
    ]
    for key in ("dra", "ddec"):
        mine, other = (
            np.concatenate([one])
            for one in (
                np.concatenate([ours[key][0] for ours, _ in both]),
                np.concatenate([theirs[key] for _, theirs in both]),
            )
        )
        mine, other = (np.sqrt(np.mean(one**2)) for one in (mine, other))
        lines.append(
            f"{key:<10}{'arcsec':>8}  fit_field {mine:.5f}  muse_exp_align {other:.5f}"
            f"  ratio {mine / other:.2f}"
        )
    return lines


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="number of the first field")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--nprocess", type=int, default=os.cpu_count())
    options = parser.parse_args()
    recipe = shutil.which("esorex") is not None
    numbers = range(options.first, options.first + options.fields)
    with ProcessPoolExecutor(options.nprocess, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(
            tqdm(pool.map(partial(measure, recipe=recipe), numbers), total=len(numbers), unit="field")
        )
    text = "\n".join(report(results, recipe)) + "\n"
    print(text, end="")
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
