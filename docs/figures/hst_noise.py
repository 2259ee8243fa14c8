"""Draw the error of the FWHM against the noise of the HST image, with and without the correction."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.simulation import simulate_field, with_noise

levels = np.array([2e-4, 1.5e-3, 3e-3, 5e-3])
fields = [
    simulate_field((2, seed), size=20.0, noise=0, hst_noise=0, n_stars=0, magnitudes=(22, 27))
    for seed in range(6)
]
errors = {True: [], False: []}
for level in levels:
    rows = {True: [], False: []}
    for seed, field in enumerate(fields):
        noisy = with_noise(field, seed, noise=0.1, hst_noise=level)
        template = make_template(noisy.hst, noisy.muse[0])
        for corrected, one in ((True, template), (False, replace(template, variance=None))):
            fit = fit_image_photometry(one, noisy.muse[0], fix_beta=2.5)
            rows[corrected].append([fit.fwhm.value - 0.65, fit.scale.value - 1])
    for corrected, values in rows.items():
        errors[corrected].append(values)

fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for corrected, color, label in ((False, "C1", "not corrected"), (True, "C0", "corrected")):
    values = np.array(errors[corrected]) * [1e3, 100]
    means, scatter = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(len(fields))
    for column, ax in enumerate(axes):
        ax.errorbar(
            1e3 * levels, means[:, column], scatter[:, column], color=color, marker="o", ms=4, label=label
        )
for ax, name in zip(axes, ("fwhm (mas)", "scale (percent)"), strict=True):
    ax.axhline(0, color="0.7", lw=0.8)
    ax.set(xlabel="HST noise (1e-3 electrons/s per pixel)", ylabel=f"mean error of {name}")
axes[0].legend(fontsize=9)
plt.show()
