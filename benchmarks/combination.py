"""
The accuracy of the combination of an exposure's filters, on simulated cubes.

The PSF of the cubes is narrower at longer wavelengths. The table contains, for single filters and for their
combination, the root mean square error, the mean quoted error, and the pull: the root mean square of
error / quoted error, which is 1 if quoted errors are correct.

    python benchmarks/combination.py --exposures 24
"""

import argparse
import os

# Read when numpy is imported.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from concurrent.futures import ProcessPoolExecutor

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from astropy_imphot import FilterCurve, bandpass_images, fit_image_photometry
from astropy_imphot.field.bands import band_effect
from astropy_imphot.field.combine import combine
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.wavelength import REFERENCE, relative
from astropy_imphot.simulation import CubeTruth, simulate_cubes

# Wavelengths at which the polynomial of the FWHM is compared with the truth, Angstrom.
WAVELENGTHS = (5500.0, REFERENCE, 9000.0)


def main():
    """Simulate, fit, combine and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exposures", type=int, default=24, help="how many (default: 24)")
    parser.add_argument("--size", type=float, default=30.0, help="of the fields, arcsec (default: 30)")
    parser.add_argument("--seed", type=int, default=20261122, help="of all random numbers")
    parser.add_argument("--nprocess", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--output", help="also write the table to this file, such as combination.ecsv")
    options = parser.parse_args()
    seeds = [(options.seed, number, options.size) for number in range(options.exposures)]
    with ProcessPoolExecutor(options.nprocess) as executor:
        rows = [row for found in tqdm(executor.map(measure, seeds), total=len(seeds)) for row in found]
    table = summary(rows)
    print(f"{options.exposures} exposures, seed {options.seed}")
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))
    if options.output:
        table.write(options.output, overwrite=True)


def random_cube_truth(rng):
    """Return random parameters in the range of MUSE exposures."""
    return CubeTruth(
        dx=rng.uniform(-0.4, 0.4),
        dy=rng.uniform(-0.4, 0.4),
        scale=rng.uniform(0.85, 1.15),
        bg=rng.uniform(-1, 1),
        fwhm=rng.uniform(0.5, 0.9),
        slope=rng.uniform(-5e-5, -1e-5),
        beta=rng.uniform(2.2, 3.2),
    )


def measure(job):
    """Return tuples of (what, quantity, true value, value, error) for one exposure."""
    seed, number, size = job
    truth = random_cube_truth(np.random.default_rng([seed, number]))
    field = simulate_cubes([seed, number, 1], [truth], size=size)
    images = bandpass_images(field.cubes[0], [FilterCurve.named(name) for name in field.hst])
    bands = {
        name: (image.meta["FILTWAVE"], image.meta["FILTWIDT"])
        for name, image in zip(field.hst, images, strict=True)
    }
    fits = {
        name: fit_image_photometry(hst, image)
        for (name, hst), image in zip(field.hst.items(), images, strict=True)
    }
    together = combine(fits, bands)
    rows = []
    for name, fit in fits.items():
        true = {key: getattr(truth, key) for key in ("dx", "dy", "scale", "beta")}
        mean, width = bands[name]
        true["fwhm"] = truth.fwhm_at(mean)
        rows += [
            (name, key, true[key], fit.values[key].value, fit.values[key].stdev)
            for key in ("dx", "dy", "scale", "fwhm", "beta")
        ]
        # The FWHM of the mean of the PSFs in the band, to second order.
        effect = band_effect(MOFFAT, {"fwhm": true["fwhm"], "beta": truth.beta})["fwhm"]
        band = true["fwhm"] + effect * (truth.slope * width) ** 2 / true["fwhm"]
        rows.append((name, "fwhm, band", band, fit.fwhm.value, fit.fwhm.stdev))
    for key in ("dx", "dy", "scale", "beta"):
        value = together.values[key]
        rows.append(("together", key, getattr(truth, key), value.value, value.stdev))
    coefficients, covariance = together.polynomials["fwhm"]
    for wavelength in WAVELENGTHS:
        powers = relative(wavelength) ** np.arange(len(coefficients) - 1, -1, -1)
        error = np.sqrt(powers @ covariance @ powers)
        key = f"fwhm({wavelength:.0f})"
        rows.append(("together", key, truth.fwhm_at(wavelength), powers @ coefficients, error))
    rows.append(("together", "chi2/dof", 1.0, together.chi2 / max(together.dof, 1), np.nan))
    return rows


def summary(rows):
    """Return the errors and pulls of all exposures as a table."""
    cells = []
    for what, key in dict.fromkeys((row[0], row[1]) for row in rows):
        true, value, error = np.array([row[2:] for row in rows if (row[0], row[1]) == (what, key)]).T
        away = value - true
        cells.append(
            (
                what,
                key,
                away.mean(),
                np.sqrt(np.mean(away**2)),
                error.mean(),
                np.sqrt(np.mean((away / error) ** 2)),
                100 * np.max(np.abs(away / true)) if key.startswith("fwhm") else np.nan,
            )
        )
    table = Table(
        rows=cells, names=("from", "quantity", "bias", "rms error", "quoted", "pull", "largest error (%)")
    )
    for name in table.colnames[2:]:
        table[name].info.format = ".2f" if name in ("pull", "largest error (%)") else ".5f"
    return table


if __name__ == "__main__":
    main()
