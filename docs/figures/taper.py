"""Offsets from the classic recipe, tapered and compared in the Fourier plane, and from the pixels."""

import matplotlib.pyplot as plt
import numpy as np
from scipy import fft
from scipy.optimize import least_squares

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.masks import taper_weights
from astropy_imphot.otf import frequencies, moffat_otf
from astropy_imphot.simulate import Truth, simulate_field

TAPER = 10  # pixels


def classic_fit(hst, muse):
    """Return dx, dy of an HST image on the MUSE pixels: both tapered, transformed, not weighted."""
    ny, nx = muse.shape
    outside = np.pad(np.zeros((ny, nx), bool), 1, constant_values=True)
    taper = taper_weights(outside, TAPER)[1:-1, 1:-1]
    shape = (2 * ny, 2 * nx)
    fy, fx = frequencies(shape, (0.2, 0.2))
    radius = np.hypot(fy, fx)
    template = fft.rfft2(hst * taper, s=shape) / moffat_otf(radius, 0.085, 1.6)
    sky = fft.rfft2(taper, s=shape)
    data = fft.rfft2(muse * taper, s=shape)
    used = radius < 2.5

    def residual(parameters):
        scale, bg, dx, dy, fwhm, beta = parameters
        shift = np.exp(-2j * np.pi * (fx * dx + fy * dy))
        model = scale * template * moffat_otf(radius, fwhm, beta) * shift + bg * sky
        return (data - model)[used].view(float)

    start, low, high = [1, 0, 0, 0, 0.7, 2.5], [0, -99, -2, -2, 0.2, 1.1], [9, 99, 2, 2, 3, 20]
    return least_squares(residual, start, bounds=(low, high), x_scale=[0.1, 0.1, 0.1, 0.1, 0.1, 1]).x[2:4]


offsets, seeds = np.array([0.0, 0.2, 0.4]), range(5)
truths = [Truth(dx=offset, dy=offset) for offset in offsets]
errors = {"classic": [], "pixels": []}
for seed in seeds:
    field = simulate_field(
        (5, seed), size=16.0, truth=truths, noise=0.02, hst_noise=2e-5, n_stars=0, magnitudes=(22, 27)
    )
    template = make_template(field.hst, field.muse[0])
    image = template.image("none").data.astype(float)
    for truth, muse in zip(truths, field.muse, strict=True):
        fit = fit_image_photometry(template, muse)
        found = {
            "classic": classic_fit(image, muse.data.astype(float)),
            "pixels": (fit.dx.value, fit.dy.value),
        }
        for key, (dx, dy) in found.items():
            errors[key].append((dx - truth.dx, dy - truth.dy))

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for key, color, label in (("classic", "C1", "tapered, Fourier plane"), ("pixels", "C0", "this package")):
    values = 1e3 * np.reshape(errors[key], (len(seeds), len(offsets), 2))
    rms = np.sqrt(np.mean(values**2, axis=(0, 2)))
    ax.plot(1e3 * offsets, rms, color=color, marker="o", ms=4, label=label)
    for x, y in zip(1e3 * offsets, rms, strict=True):
        ax.annotate(
            f"{y:.1f}", (x, y), (0, 6), textcoords="offset points", ha="center", fontsize=8, color=color
        )
ax.set(xlabel="true offset along each axis (mas)", ylabel="rms error of the offset (mas)")
ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
ax.legend(fontsize=9)
plt.show()
