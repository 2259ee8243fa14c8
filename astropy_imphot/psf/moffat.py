"""The Moffat function: its transfer function, and how much light is in its wings."""

import numpy as np
from scipy import special

__all__ = ["moffat_otf", "moffat_otf_and_derivatives", "moffat_wings"]

# Half the steps of a five-point central difference, and their weights.
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


def moffat_otf(frequency, fwhm, beta):
    r"""
    Return the transfer function of a circular Moffat PSF of unit volume.

    Parameters
    ----------
    frequency : float or array
        Radial frequencies, cycles/arcsec.
    fwhm : float
        Full width at half maximum, arcsec.
    beta : float
        Exponent of the Moffat function, more than 1 and at most 100.

    Returns
    -------
    float or array
        The transfer function, 1 at frequency 0.

    Notes
    -----
    With :math:`a = \mathrm{fwhm} / (2\sqrt{2^{1/\beta} - 1})` and :math:`z = 2\pi a f`,

    .. math:: \mathrm{OTF}(f) = \frac{2 (z/2)^{\beta-1} K_{\beta-1}(z)}{\Gamma(\beta-1)}

    which is the Hankel transform of the Moffat function (Gradshteyn & Ryzhik, Table of
    Integrals, 6.565.4).

    Examples
    --------
    >>> from astropy_imphot.psf.moffat import moffat_otf
    >>> float(moffat_otf(0.0, 0.7, 2.5))
    1.0
    """
    return _moffat_terms(frequency, fwhm, beta)[0]


def moffat_otf_and_derivatives(frequency, fwhm, beta, beta_derivative=True):
    """
    Return a Moffat PSF's transfer function and its derivatives.

    Parameters
    ----------
    frequency : float or array
        Radial frequencies, cycles/arcsec.
    fwhm, beta : float
        As for `moffat_otf`.
    beta_derivative : bool
        Whether the derivative with respect to beta is needed (default: True).

    Returns
    -------
    array of shape (3, ...)
        The function, its derivative with respect to fwhm and that with respect to beta
        (0 if it is not needed).

    Notes
    -----
    The derivative in fwhm is closed, from d/dz [z^n K_n(z)] = -z^n K_{n-1}(z). That in
    beta has no closed form, for it differentiates a Bessel function in its order: it
    is a five-point difference, whose relative error is about 1e-11.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import moffat_otf_and_derivatives
    >>> otf, d_fwhm, d_beta = moffat_otf_and_derivatives(np.array([0.0, 1.0]), 0.7, 2.5)
    >>> bool(d_fwhm[1] < 0)
    True
    """
    otf, dz_otf = _moffat_terms(frequency, fwhm, beta)
    d_beta = np.zeros_like(otf)
    if beta_derivative:
        step = 1e-3 * (beta - 1)
        for shift, weight in STENCIL:
            d_beta += weight / step * moffat_otf(frequency, fwhm, beta + shift * step)
    return np.array([otf, dz_otf / fwhm, d_beta])


def _moffat_terms(frequency, fwhm, beta):
    """Return the transfer function and z times its derivative with respect to z."""
    order = beta - 1
    z = np.pi * fwhm / np.sqrt(2 ** (1 / beta) - 1) * np.asarray(frequency, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        # Scaled Bessel functions and logarithms reach beta = 100 without overflow, but
        # for arguments so small that the first terms of the series are exact.
        factor = 2 * np.exp(order * np.log(z / 2) - special.gammaln(order) - z)
        otf = factor * special.kve(order, z)
        dz_otf = -factor * z * special.kve(order - 1, z)
        small = ~np.isfinite(otf) | ~np.isfinite(dz_otf)
        curvature = np.where(z > 0, (z / 2) ** 2 / (order - 1), 0)
    otf = np.where(small, 1 - curvature, otf)
    dz_otf = np.where(small, -2 * curvature, dz_otf)
    return otf, dz_otf


def moffat_wings(radius, fwhm, beta):
    r"""
    Return which part of a circular Moffat PSF's light lies beyond a radius.

    Parameters
    ----------
    radius : float
        The radius, arcsec.
    fwhm, beta : float
        As for `moffat_otf`.

    Returns
    -------
    float
        The part, :math:`(1 + r^2/a^2)^{1-\beta}` with a as for `moffat_otf`.

    Examples
    --------
    >>> from astropy_imphot.psf.moffat import moffat_wings
    >>> moffat_wings(0.0, 0.7, 2.5), round(moffat_wings(3.0, 0.7, 2.5), 4)
    (1.0, 0.0083)
    """
    return float((1 + 4 * (radius / fwhm) ** 2 * (2 ** (1 / beta) - 1)) ** (1 - beta))
