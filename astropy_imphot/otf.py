"""
Transfer functions: what a PSF, a filter and a shift do in the Fourier plane.

Plain numpy and scipy; frequencies are in cycles per arcsec throughout.
"""

import numpy as np
from scipy import fft, special

from astropy_imphot.errors import UserError

__all__ = [
    "WINDOWS",
    "decimation_window",
    "elliptical_radius",
    "frequencies",
    "lowpass",
    "moffat_otf",
    "moffat_otf_and_derivatives",
    "moffat_wings",
    "padded_length",
    "window_noise",
]

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
    >>> from astropy_imphot.otf import moffat_otf
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
    >>> from astropy_imphot.otf import moffat_otf_and_derivatives
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
    >>> from astropy_imphot.otf import moffat_wings
    >>> moffat_wings(0.0, 0.7, 2.5), round(moffat_wings(3.0, 0.7, 2.5), 4)
    (1.0, 0.0083)
    """
    return float((1 + 4 * (radius / fwhm) ** 2 * (2 ** (1 / beta) - 1)) ** (1 - beta))


def frequencies(shape, pixel_scale):
    """
    Return the frequencies of a real image's Fourier transform.

    Parameters
    ----------
    shape : (int, int)
        The image's shape (ny, nx).
    pixel_scale : (float, float)
        Height and width of its pixels, arcsec.

    Returns
    -------
    fy : array of shape (ny, 1)
        Frequencies along y, cycles/arcsec, in the order of `scipy.fft.rfft2`.
    fx : array of shape (1, nx // 2 + 1)
        Those along x.

    Examples
    --------
    >>> from astropy_imphot.otf import frequencies
    >>> fy, fx = frequencies((4, 6), (0.2, 0.2))
    >>> fy.shape, fx.shape
    ((4, 1), (1, 4))
    """
    fy = fft.fftfreq(shape[0], pixel_scale[0])[:, np.newaxis]
    fx = fft.rfftfreq(shape[1], pixel_scale[1])[np.newaxis, :]
    return fy, fx


def elliptical_radius(fy, fx, e1, e2):
    r"""
    Return the frequencies at which an elliptical PSF's circular twin has its OTF.

    Parameters
    ----------
    fy, fx : arrays
        Frequencies along the axes, cycles/arcsec.
    e1, e2 : float
        Ellipticity (a\ :sup:`2` - b\ :sup:`2`)/(a\ :sup:`2` + b\ :sup:`2`) times the cosine
        and the sine of twice the position angle of the long axis, from x towards y.

    Returns
    -------
    array
        Radial frequencies, cycles/arcsec; the area within the PSF's half maximum does
        not depend on the ellipticity.

    Examples
    --------
    >>> from astropy_imphot.otf import elliptical_radius
    >>> float(elliptical_radius(3.0, 4.0, 0.0, 0.0))
    5.0
    """
    square = (1 + e1) * fx**2 + 2 * e2 * fx * fy + (1 - e1) * fy**2
    return np.sqrt(square / np.sqrt(1 - e1**2 - e2**2))


def lowpass(frequency, flat, stop):
    """
    Return a low-pass filter that is flat, then falls smoothly to 0.

    Parameters
    ----------
    frequency : array
        Radial frequencies, cycles/arcsec.
    flat, stop : float
        The filter is 1 up to ``flat`` and 0 from ``stop``, half a cosine between them.

    Returns
    -------
    array
        The filter.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.otf import lowpass
    >>> lowpass(np.array([0.0, 1.0, 1.5, 2.0, 3.0]), 1.0, 2.0).round(3)
    array([1. , 1. , 0.5, 0. , 0. ])
    """
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - flat) / (stop - flat), 0, 1))


def _blackman(ratio):
    return np.where(ratio < 1, 0.42 + 0.5 * np.cos(np.pi * ratio) + 0.08 * np.cos(2 * np.pi * ratio), 0)


# The filters that an HST image on the MUSE grid can have gone through, as functions of
# the radial frequency divided by the Nyquist frequency of that grid.
WINDOWS = {"none": np.ones_like, "blackman": _blackman}


def decimation_window(name, frequency, nyquist):
    """
    Return the filter that an image went through before it was sampled more coarsely.

    Parameters
    ----------
    name : str
        ``"blackman"``, which MPDAF and the classic imphot apply, or ``"none"``.
    frequency : array
        Radial frequencies, cycles/arcsec.
    nyquist : float
        Nyquist frequency of the coarse grid, where the window reaches 0, cycles/arcsec.

    Returns
    -------
    array
        The filter, 1 at frequency 0.

    Raises
    ------
    UserError
        If there is no window of that name.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.otf import decimation_window
    >>> decimation_window("blackman", np.array([0.0, 1.25, 2.5]), 2.5).round(2)
    array([1.  , 0.34, 0.  ])
    """
    if name not in WINDOWS:
        raise UserError(f"there is no decimation window {name!r}: choose from {', '.join(WINDOWS)}.")
    return WINDOWS[name](np.asarray(frequency, dtype=float) / nyquist)


def window_noise(name):
    """
    Return which part of white noise a decimation window leaves.

    Parameters
    ----------
    name : str
        As for `decimation_window`.

    Returns
    -------
    float
        The variance of a pixel after it over that before it.

    Raises
    ------
    UserError
        If there is no window of that name.

    Examples
    --------
    >>> from astropy_imphot.otf import window_noise
    >>> round(window_noise("none"), 3), round(window_noise("blackman"), 3)
    (1.0, 0.091)
    """
    axis = fft.fftfreq(256)
    return float(np.mean(decimation_window(name, np.hypot(axis[:, np.newaxis], axis), 0.5) ** 2))


def padded_length(length):
    """
    Return the next even length of which a Fourier transform is fast.

    Parameters
    ----------
    length : int
        The least length.

    Returns
    -------
    int
        An even number, at least ``length``.

    Examples
    --------
    >>> from astropy_imphot.otf import padded_length
    >>> padded_length(331)
    336
    """
    # Lengths with factors of 7 and 11, which are a little slower, save more in all that is not a transform.
    return 2 * fft.next_fast_len((int(length) + 1) // 2)
