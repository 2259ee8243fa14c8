"""Draw the transfer functions, and their ratio, by which the HST image is multiplied."""

import matplotlib.pyplot as plt
import numpy as np

from astropy_imphot.psf.fourier import lowpass
from astropy_imphot.psf.moffat import MOFFAT

frequency = np.linspace(0, 5, 501)
hst = MOFFAT.otf(frequency, 0.085, 1.6)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(frequency, hst, "k", label="HST, 0.085″, β 1.6")
for fwhm, beta, color in ((0.5, 2.8, "C0"), (0.7, 2.5, "C1"), (0.9, 2.5, "C2")):
    muse = MOFFAT.otf(frequency, fwhm, beta)
    ax.plot(frequency, muse, color, label=f"MUSE, {fwhm}″, β {beta}")
    ax.plot(frequency, muse / hst, color, ls=":")
ax.plot(frequency, lowpass(frequency, 2.5 * np.sqrt(2), 5), "0.6", label="low-pass filter of the template")
ax.axvline(2.5, color="0.6", lw=0.8, ls="--")
ax.text(1.55, 0.75, "Nyquist frequency\nof MUSE", color="0.4", fontsize=9)
ax.set(xlabel="frequency (cycles/arcsec)", ylabel="transfer function", xlim=(0, 5), ylim=(0, 1.05))
ax.legend(fontsize=8, loc="upper right", framealpha=1)
plt.show()
