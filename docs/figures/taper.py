"""Draw errors of offsets by the classic recipe (tapered, in the Fourier plane), and by this package."""

import matplotlib.pyplot as plt
import numpy as np
from classic import classic_fit

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.simulation import Truth, simulate_field

offsets, seeds = np.array([0.0, 0.2, 0.4]), range(5)
truths = [Truth(dx=offset, dy=offset) for offset in offsets]
errors = {"classic": [], "pixels": []}
for seed in seeds:
    field = simulate_field(
        (5, seed), size=16.0, truth=truths, noise=0.02, hst_noise=2e-5, n_stars=0, magnitudes=(22, 27)
    )
    template = make_template(field.hst, field.muse[0])
    image = template.image("none").data
    for truth, muse in zip(truths, field.muse, strict=True):
        fit = fit_image_photometry(template, muse)
        values, _ = classic_fit(image, muse.data, (0.085, 1.6))
        errors["classic"].append((values["dx"] - truth.dx, values["dy"] - truth.dy))
        errors["pixels"].append((fit.dx.value - truth.dx, fit.dy.value - truth.dy))

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
