"""Draw the residuals of several pitfalls, in fields like those of the page."""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from astropy_imphot import fit_image_photometry, regrid_hst_like_muse
from astropy_imphot.simulation import Star, Truth, simulate_field

warnings.simplefilter("ignore")
galaxies = {"size": 20.0, "n_objects": 30, "n_stars": 0, "magnitudes": (22.0, 25.5)}
galaxies |= {"hst_pixel": 0.05, "hst_margin": 4.0}
moved = {"stars": [Star(21.5, x=4.0, y=-5.0, motion=(0.25, 0.0))]}
two = [Truth(dx=0.1, fwhm=0.6), Truth(dx=-0.1, fwhm=0.8)]
# Title, seed, what is drawn, and how it is fitted.
scenes = [
    ("a star moved by 0.25″, HST regridded", 1, moved, {}),
    ("the same, HST at its own pixels", 1, moved, {}),
    ("beta fixed at 1.8 instead of 2.5", 3, {}, {"fix_beta": 1.8}),
    ("an HST PSF twice as wide", 7, {"hst_psf": (0.16, 3.0)}, {}),
    ("a mosaic of two exposures", 4, {"truth": two}, {}),
    ("rotated by 0.6°, held at 0", 9, {"truth": [Truth(rotation=0.6)]}, {"fix_rotation": 0}),
]

figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
for axis, (title, seed, drawn, options) in zip(axes.flat, scenes, strict=True):
    field = simulate_field(seed, **galaxies | drawn)
    muse = field.muse[0].copy()
    if len(field.muse) > 1:
        left = np.arange(muse.shape[1]) < muse.shape[1] / 2
        muse.data = np.where(left, field.muse[0].data, field.muse[1].data)
    hst = regrid_hst_like_muse(field.hst, muse) if "regridded" in title else field.hst
    fit = fit_image_photometry(hst, muse, keep_changed=True, **options)
    sigma = np.sqrt(muse.uncertainty.array)
    axis.imshow(fit.residual.data / sigma, origin="lower", cmap="RdBu_r", vmin=-5, vmax=5)
    axis.set_title(f"{title}\n{(fit.flags.name or 'no flags').replace('|', ', ')}", fontsize=9)
    axis.set(xticks=[], yticks=[])
plt.show()
