r"""
The Moffat function.

With :math:`a = \mathrm{fwhm} / (2\sqrt{2^{1/\beta} - 1})`, its surface brightness is

.. math:: I(r) = \frac{\beta - 1}{\pi a^2} \left(1 + \frac{r^2}{a^2}\right)^{-\beta}

(Moffat 1969, A&A 3, 455), and with :math:`z = 2\pi a f` its transfer function is

.. math:: \mathrm{OTF}(f) = \frac{2 (z/2)^{\beta-1} K_{\beta-1}(z)}{\Gamma(\beta-1)}

(Gradshteyn & Ryzhik, Table of Integrals, 6.565.4).
"""

import numpy as np
from scipy import special

from astropy_imphot.parameters import ParameterInfo
from astropy_imphot.psf.shape import LOG_FREQUENCY, LOG_RADIUS, PsfShape, central_difference

__all__ = ["MOFFAT", "Moffat"]


class Moffat(PsfShape):
    """
    The circular Moffat function, with the parameters fwhm (arcsec) and beta.

    Examples
    --------
    >>> from astropy_imphot.psf.moffat import Moffat
    >>> moffat = Moffat()
    >>> moffat.names
    ('fwhm', 'beta')
    >>> float(moffat.otf(0.0, fwhm=0.7, beta=2.5))
    1.0
    >>> bool(moffat.otf_derivative(1.0, "fwhm", fwhm=0.7, beta=2.5) < 0)
    True
    >>> half = moffat.profile(0.35, fwhm=0.7, beta=2.5) / moffat.profile(0.0, fwhm=0.7, beta=2.5)
    >>> round(float(half), 6)
    0.5
    >>> round(float(moffat.profile_derivative(0.35, "log_radius", fwhm=0.7, beta=2.5)), 4)
    -0.7539
    >>> round(float(moffat.enclosed_flux(0.7, fwhm=0.7, beta=2.5)), 3)
    0.709
    """

    name = "Moffat"
    parameters = (
        ParameterInfo(
            name="fwhm",
            words="FWHM of the MUSE PSF",
            kind="psf",
            unit="arcsec",
            default=0.7,
            bounds=(0.1, 5.0),
            valid=(0, np.inf),
            # The wide-field mode of MUSE; the narrow-field mode has 0.025 arcsec.
            pixel=0.2,
            style="7.4f",
            large_error=0.05,
            relative=True,
        ),
        ParameterInfo(
            name="beta",
            words="exponent of the MUSE PSF",
            kind="psf",
            default=2.5,
            bounds=(1.05, 100.0),
            valid=(1, 100),
            style="7.4f",
            degenerate_error=0.3,
        ),
    )
    fsf_mode = 2
    fsf_letters = {"fwhm": "F", "beta": "B"}  # noqa: RUF012

    def otf(self, frequency, fwhm, beta):
        """As `~astropy_imphot.psf.shape.PsfShape.otf`."""
        return _transfer(frequency, fwhm, beta)[0]

    def otf_derivative(self, frequency, name, fwhm, beta):
        """As `~astropy_imphot.psf.shape.PsfShape.otf_derivative`."""
        if name == "beta":
            return central_difference(lambda value: self.otf(frequency, fwhm, value), beta, 1e-3 * (beta - 1))
        logarithmic = _transfer(frequency, fwhm, beta)[1]
        # The transfer function depends on fwhm times frequency only.
        return logarithmic if name == LOG_FREQUENCY else logarithmic / fwhm

    def profile(self, radius, fwhm, beta):
        """As `~astropy_imphot.psf.shape.PsfShape.profile`."""
        square = _squared_radius(fwhm, beta)
        return (beta - 1) / (np.pi * square) * (1 + radius**2 / square) ** -beta

    def profile_derivative(self, radius, name, fwhm, beta):
        """As `~astropy_imphot.psf.shape.PsfShape.profile_derivative`."""
        ratio = radius**2 / _squared_radius(fwhm, beta)
        profile = self.profile(radius, fwhm, beta)
        by_size = 2 * beta * ratio / (1 + ratio)
        if name == LOG_RADIUS:
            return -by_size * profile
        if name == "fwhm":
            return (by_size - 2) / fwhm * profile
        power = 2 ** (1 / beta)
        size_by_beta = 0.5 * np.log(2) * power / (beta**2 * (power - 1))
        return (1 / (beta - 1) - np.log1p(ratio) + (by_size - 2) * size_by_beta) * profile

    def enclosed_flux(self, radius, fwhm, beta):
        """As `~astropy_imphot.psf.shape.PsfShape.enclosed_flux`."""
        return 1 - (1 + radius**2 / _squared_radius(fwhm, beta)) ** (1 - beta)


MOFFAT = Moffat()


def _squared_radius(fwhm, beta):
    return (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)


def _transfer(frequency, fwhm, beta):
    """Return the transfer function, and its derivative with respect to the logarithm of the frequency."""
    order = beta - 1
    z = np.pi * fwhm / np.sqrt(2 ** (1 / beta) - 1) * np.asarray(frequency, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        # Scaled Bessel functions and logarithms reach beta = 100 without overflow, but
        # for arguments so small that the first terms of the series are exact.
        factor = 2 * np.exp(order * np.log(z / 2) - special.gammaln(order) - z)
        otf = factor * special.kve(order, z)
        logarithmic = -factor * z * special.kve(order - 1, z)
        small = ~np.isfinite(otf) | ~np.isfinite(logarithmic)
        curvature = np.where(z > 0, (z / 2) ** 2 / (order - 1), 0)
    otf = np.where(small, 1 - curvature, otf)
    logarithmic = np.where(small, -2 * curvature, logarithmic)
    return otf, logarithmic
