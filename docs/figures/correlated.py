"""Draw pulls against the correlation of the noise, with naive and with sandwich errors."""

import matplotlib.pyplot as plt
import numpy as np

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.simulation import simulate_field, with_noise

smoothings, trials = (0.0, 0.4, 0.7, 1.0, 1.3), 20
truth = {"scale": 1.0, "dx": 0.0, "dy": 0.0, "fwhm": 0.65}
field = simulate_field(31, size=20.0, noise=0, hst_noise=2e-5, n_stars=0, magnitudes=(22, 27))
template = make_template(field.hst, field.muse[0])
rms = {"naive": [], "sandwich": []}
for number, smoothing in enumerate(smoothings):
    pulls = {"naive": [], "sandwich": []}
    for seed in range(trials):
        noisy = with_noise(field, (3, number, seed), noise=0.3, hst_noise=0, smoothing=smoothing)
        fit = fit_image_photometry(template, noisy.muse[0], fix_beta=2.5)
        errors = np.array([fit.values[key].value - value for key, value in truth.items()])
        places = [fit.free.index(key) for key in truth]
        for name, covariance in (("naive", fit.naive_covariance), ("sandwich", fit.covariance)):
            pulls[name].append(errors / np.sqrt(np.diag(covariance)[places]))
    for name, values in pulls.items():
        rms[name].append(np.sqrt(np.mean(np.square(values))))

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.axhline(1, color="0.7", lw=0.8)
# Means over 4 parameters of the trials; those of dx and dy and of scale and fwhm are not independent.
scatter = 1 / np.sqrt(2 * 3 * trials)
for name, color, label in (("naive", "C1", "naive, $A^{-1}$"), ("sandwich", "C0", "sandwich")):
    values = np.array(rms[name])
    ax.errorbar(smoothings, values, scatter * values, color=color, marker="o", ms=4, label=label)
    for x, y in zip(smoothings, values, strict=True):
        ax.annotate(
            f"{y:.1f}",
            (x, y),
            (4, -12 if name == "sandwich" else 6),
            textcoords="offset points",
            fontsize=8,
            color=color,
        )
ax.set(
    xlabel="Gaussian that the noise was smoothed by, σ (pixels)",
    ylabel="rms pull (1 if errors are correct)",
    ylim=(0, None),
)
ax.legend(fontsize=9)
plt.show()
