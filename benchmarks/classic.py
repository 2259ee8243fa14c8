"""
The accuracy of the classic recipe and of this package, on fields of known truth.

The recipe is that of the classic imphot, not its code: the HST image on the MUSE pixels and
the MUSE image are multiplied by a mask with soft edges, padded, transformed, and fitted in the Fourier
plane without weights. Its errors are those of least squares for independent samples. The table contains
the mean error (bias), the rms error, and the rms pull, which is 1 if quoted errors are correct.

    python benchmarks/classic.py --fields 12 --output docs/classic.txt
"""

import argparse
import os
import warnings
from pathlib import Path

# Read when numpy is imported.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from concurrent.futures import ProcessPoolExecutor

import numpy as np
from accuracy import KEYS
from scipy import fft
from scipy.optimize import least_squares
from skies import HST_PSF, deep_field
from tqdm import tqdm

from astropy_imphot import __version__, fit_image_photometry, make_template
from astropy_imphot.masking.masks import taper_weights
from astropy_imphot.psf.fourier import frequencies
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.simulation import with_noise

TAPER = 10  # pixels
NYQUIST = 2.5  # cycles/arcsec, of MUSE's pixels of 0.2 arcsec

START = (1.0, 0.0, 0.0, 0.0, 0.7, 2.5)
LOW = (0.0, -99.0, -2.0, -2.0, 0.2, 1.1)
HIGH = (9.0, 99.0, 2.0, 2.0, 3.0, 20.0)
STEP = (0.1, 0.1, 0.1, 0.1, 0.1, 1.0)

NOISES = {
    "deep (noise 0.1)": {},
    "one exposure (noise 0.4)": {"noise": 0.4},
    "HST noise 1.5e-3": {"hst_noise": 1.5e-3},
}
# The parameters that are compared, and their units in the table.
UNITS = {"dx": ("mas", 1000.0), "dy": ("mas", 1000.0), "scale": ("%", 100.0), "fwhm": ("mas", 1000.0)}


def main():
    """Draw, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=12, help="fields for each noise (default: 12)")
    parser.add_argument("--seed", type=int, default=20261123, help="of all random numbers")
    parser.add_argument("--nprocess", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--output", help="write the table to this file, too")
    options = parser.parse_args()
    seeds = [(options.seed, number) for number in range(options.fields)]
    with ProcessPoolExecutor(options.nprocess) as executor:
        found = list(tqdm(executor.map(measure, seeds), total=len(seeds), unit="field"))
    lines = [
        f"{options.fields} fields of 60 x 60 arcsec for each noise, seed {options.seed}; "
        f"astropy_imphot {__version__}; the recipe with a taper of {TAPER} pixels",
        "",
        *report([row for rows in found for row in rows]),
    ]
    print("\n".join(lines))
    if options.output:
        Path(options.output).write_text("\n".join(lines) + "\n")


def classic_fit(hst, muse, hst_psf):
    """Return values and errors by parameter, of arrays of one shape; hst_psf is FWHM and beta."""
    ny, nx = muse.shape
    outside = np.pad(np.zeros((ny, nx), bool), 1, constant_values=True)
    taper = taper_weights(outside, TAPER)[1:-1, 1:-1]
    shape = (2 * ny, 2 * nx)
    fy, fx = frequencies(shape, (0.2, 0.2))
    radius = np.hypot(fy, fx)

    def transform(pixels):
        return fft.rfft2(pixels.astype(float) * taper, s=shape)

    template = transform(hst) / MOFFAT.otf(radius, *hst_psf)
    sky, data = transform(np.ones((ny, nx))), transform(muse)
    used = radius < NYQUIST

    def residual(parameters):
        scale, bg, dx, dy, fwhm, beta = parameters
        kernel = MOFFAT.otf(radius, fwhm, beta) * np.exp(-2j * np.pi * (fx * dx + fy * dy))
        return (data - scale * template * kernel - bg * sky)[used].view(float)

    fit = least_squares(residual, START, bounds=(LOW, HIGH), x_scale=STEP)
    variance = 2 * fit.cost / (fit.fun.size - len(KEYS))
    errors = np.sqrt(variance * np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))
    return dict(zip(KEYS, fit.x, strict=True)), dict(zip(KEYS, errors, strict=True))


def measure(seed):
    """Return tuples (noise, method, parameter, error, quoted error) of one field."""
    quiet, rows = deep_field(seed), []
    truth = quiet.truth[0]
    for position, (name, noise) in enumerate(NOISES.items()):
        field = with_noise(quiet, [*seed, position], **noise)
        template = make_template(field.hst, field.muse[0])
        values, errors = classic_fit(template.image("none").data, field.muse[0].data, HST_PSF)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = fit_image_photometry(template, field.muse[0], hst_fwhm=HST_PSF[0], hst_beta=HST_PSF[1])
        for key in UNITS:
            true = getattr(truth, key)
            rows.append((name, "recipe", key, values[key] - true, errors[key]))
            rows.append((name, "package", key, fit.values[key].value - true, fit.values[key].stdev))
    return rows


def report(rows):
    """Return the lines of the table."""
    lines = []
    for noise in NOISES:
        heads = "".join(f"{f'{key} ({unit})':>22}" for key, (unit, _) in UNITS.items())
        lines += ["", noise, f"{'':10}{heads}", f"{'':10}" + len(UNITS) * f"{'bias':>8}{'rms':>7}{'pull':>7}"]
        for method in ("recipe", "package"):
            line = f"  {method:8}"
            for key, (_, factor) in UNITS.items():
                off, quoted = np.array([row[3:] for row in rows if row[:3] == (noise, method, key)]).T
                pull = np.sqrt(np.mean((off / quoted) ** 2))
                line += f"{factor * off.mean():8.2f}{factor * np.sqrt(np.mean(off**2)):7.2f}{pull:7.2f}"
            lines.append(line)
    return lines[1:]


if __name__ == "__main__":
    main()
