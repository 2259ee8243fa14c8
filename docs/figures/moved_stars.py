"""Draw the residuals of a field in which four stars have moved."""

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
fit = fit_image_photometry(field.hst, muse)

fig, axes = plt.subplots(1, 2, figsize=(7, 3.9), sharey=True, layout="constrained")
extent = (-12, 12, -12, 12)
axes[0].imshow(np.arcsinh(muse.data / 0.5), cmap="Grays", origin="lower", extent=extent)
axes[0].set_title("MUSE, arrows: motions × 10", fontsize=9)
for row in fit.point_sources[fit.point_sources["flux_err"] < 0.02 * fit.point_sources["flux"]]:
    x, y = (0.2 * (row[key].value - 59.5) for key in "xy")
    motion = [0.01 * row[key].value for key in ("motion_x", "motion_y")]
    axes[0].arrow(x, y, *motion, color="C3", head_width=0.6)
axes[1].imshow(fit.residual.data, cmap="RdBu_r", vmin=-0.5, vmax=0.5, origin="lower", extent=extent)
axes[1].set_title(f"residual\ndx {fit.dx.value:.3f}, dy {fit.dy.value:.3f} (true: 0.120, 0)", fontsize=9)
for ax in axes:
    ax.set_xlabel("arcsec", fontsize=9)
plt.show()
