"""The profile of a PSF in an image that was smoothed by a Gaussian."""

from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy import special

from astropy_imphot.psf.shape import LOG_RADIUS, PsfShape

__all__ = ["SmoothedProfile"]

# The Gaussian is integrated to so many standard deviations, by Gauss-Legendre quadrature of so many points.
REACH = 7.0
POINTS = 64

# The profile is computed at so many radii, denser at the center, and interpolated.
N_RADII = 160


@dataclass(frozen=True)
class SmoothedProfile:
    r"""
    The profile of a circular PSF that is smoothed by a Gaussian, and its derivatives.

    Attributes
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.
    fwhm : float
        FWHM of the Gaussian, arcsec, above 0.

    Notes
    -----
    With s the standard deviation of the Gaussian, the convolution of a circular profile P is the integral
    of P(q) q/s\\ :sup:`2` exp(-(r\\ :sup:`2` + q\\ :sup:`2`)/(2 s\\ :sup:`2`))
    I\\ :sub:`0`\\ (r q/s\\ :sup:`2`) over the radius q.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.smoothed import SmoothedProfile
    >>> narrow = {"fwhm": 0.5, "beta": 100.0}
    >>> smoothed = SmoothedProfile(MOFFAT, 1.2)
    >>> wide = MOFFAT.profile(0.6, fwhm=1.3, beta=100.0)
    >>> bool(abs(smoothed.profile(np.array([0.6]), **narrow)[0] / wide - 1) < 0.01)
    True
    """

    psf: PsfShape
    fwhm: float

    @property
    def names(self):
        """Names of the parameters, a tuple of str."""
        return self.psf.names

    def profile(self, radius, **values):
        """As `~astropy_imphot.psf.shape.PsfShape.profile`."""
        return self._smoothed(lambda at: self.psf.profile(at, **values), radius)

    def profile_derivative(self, radius, name, **values):
        """As `~astropy_imphot.psf.shape.PsfShape.profile_derivative`."""
        if name == LOG_RADIUS:
            slope = self._smoothed(lambda at: self.psf.profile(at, **values), radius, slope=True)
            return radius * slope
        return self._smoothed(lambda at: self.psf.profile_derivative(at, name, **values), radius)

    def _smoothed(self, function, radius, slope=False):
        """Return a smoothed function of the radius, or the slope of it."""
        from scipy.interpolate import make_interp_spline

        sigma = self.fwhm * gaussian_fwhm_to_sigma
        nodes = max(float(np.max(radius, initial=0)), sigma) * np.linspace(0, 1, N_RADII) ** 2
        points, weights = np.polynomial.legendre.leggauss(POINTS)
        low = np.maximum(nodes - REACH * sigma, 0)[:, np.newaxis]
        half = (nodes[:, np.newaxis] + REACH * sigma - low) / 2
        at = low + half * (1 + points)
        argument = nodes[:, np.newaxis] * at / sigma**2
        kernel = half * weights * at / sigma**2 * np.exp(-((at - nodes[:, np.newaxis]) ** 2) / (2 * sigma**2))
        if slope:
            # The scaled Bessel functions have the exponential of their argument divided out.
            kernel *= (at * special.i1e(argument) - nodes[:, np.newaxis] * special.i0e(argument)) / sigma**2
        else:
            kernel *= special.i0e(argument)
        return make_interp_spline(nodes, np.sum(kernel * function(at), axis=1))(radius)
