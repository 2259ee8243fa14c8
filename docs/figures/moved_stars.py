"""Draw the residuals of a field in which four stars have moved, with and without them."""

import matplotlib.pyplot as plt
import numpy as np

from astropy_imphot import fit_image_photometry
from astropy_imphot.simulation import Star, Truth, simulate_field

motion = (0.2, 0.15)
stars = [
    Star(20.0, 6.0, -6.0, motion),
    Star(20.5, -6.0, 6.5, motion),
    Star(21.0, 5.0, 5.0, motion),
    Star(21.5, -5.0, -5.5, motion),
]
field = simulate_field(
    41, size=24.0, truth=[Truth(dx=0.12)], n_stars=0, n_objects=40, magnitudes=(22, 26), stars=stars
)
muse = field.muse[0]
fits = [fit_image_photometry(field.hst, muse, keep_changed=keep) for keep in (True, False)]

fig, axes = plt.subplots(1, 3, figsize=(9, 3.7), sharey=True, layout="constrained")
extent = (-12, 12, -12, 12)
axes[0].imshow(np.arcsinh(muse.data / 0.5), cmap="Grays", origin="lower", extent=extent)
axes[0].set_title("MUSE, arrows: motions × 10", fontsize=9)
for star in stars:
    axes[0].arrow(star.x, star.y, 10 * motion[0], 10 * motion[1], color="C3", head_width=0.6)
for ax, fit, name in zip(axes[1:], fits, ("keep_changed=True", "by default"), strict=True):
    residual = fit.residual.data
    ax.imshow(residual, cmap="RdBu_r", vmin=-2, vmax=2, origin="lower", extent=extent)
    if name == "by default":
        y, x = np.mgrid[-12:12:120j, -12:12:120j]
        ax.contour(x, y, fit.residual.mask, levels=[0.5], colors="k", linewidths=0.8)
    ax.set_title(
        f"residual, {name}\ndx {fit.dx.value:.3f}, dy {fit.dy.value:.3f} (true: 0.120, 0)", fontsize=9
    )
for ax in axes:
    ax.set_xlabel("arcsec", fontsize=9)
plt.show()
