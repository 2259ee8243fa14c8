"""Draw the Moffat function that fits a mixture of PSFs, and its approximation to second order."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares

from astropy_imphot.field.bands import band_effect
from astropy_imphot.psf.moffat import MOFFAT

radius = np.arange(0.005, 12, 0.01)


def moffat(scale, fwhm, beta):
    """Return a Moffat profile, multiplied by the square root of the number of pixels of each ring."""
    square = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    return scale * (beta - 1) / square * (1 + radius**2 / square) ** -beta * np.sqrt(radius)


spreads = np.linspace(0, 0.12, 13)
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for beta, color in ((2.2, "C0"), (2.8, "C1"), (3.5, "C2")):
    found = []
    for spread in spreads:
        # A flat spectrum through a filter of constant throughput: FWHMs from 1 - t to 1 + t.
        widths = 1 + spread * np.sqrt(3) * np.linspace(-1, 1, 41)
        mixture = np.mean([moffat(1, width, beta) for width in widths], axis=0)
        found.append(
            least_squares(lambda p, mixture=mixture: moffat(*p) - mixture, (1, 1, beta), xtol=1e-12).x
        )
    effect = band_effect(MOFFAT, {"fwhm": 1.0, "beta": beta})
    for ax, value, name, zero in zip(axes, np.transpose(found)[1:], ("fwhm", "beta"), (1, beta), strict=True):
        ax.plot(spreads, value - zero, "o", ms=4, color=color, label=f"β = {beta}")
        ax.plot(spreads, effect[name] * spreads**2, color=color)
for ax, name in zip(axes, ("FWHM (in units of its mean)", "beta"), strict=True):
    ax.set(xlabel="rms of the FWHMs over their mean", ylabel=f"change of {name}")
axes[0].legend(fontsize=9, title="dots: fit; line: 2nd order", title_fontsize=8)
plt.show()
