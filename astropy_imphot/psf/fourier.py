"""
Frequencies and filters in the Fourier plane.

Frequencies are in cycles per arcsec throughout.
"""

import numpy as np
from scipy import fft

from astropy_imphot.io.errors import UserError

__all__ = [
    "WINDOWS",
    "check_window",
    "decimation_window",
    "elliptical_radius",
    "frequencies",
    "gaussian_otf",
    "lowpass",
    "padded_length",
    "window_noise",
]


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
    >>> from astropy_imphot.psf.fourier import frequencies
    >>> fy, fx = frequencies((4, 6), (0.2, 0.2))
    >>> fy.shape, fx.shape
    ((4, 1), (1, 4))
    """
    fy = fft.fftfreq(shape[0], pixel_scale[0])[:, np.newaxis]
    fx = fft.rfftfreq(shape[1], pixel_scale[1])[np.newaxis, :]
    return fy, fx


def elliptical_radius(fy, fx, e1, e2):
    r"""
    Return the radial frequencies at which the OTF of a circular PSF is that of an elliptical one.

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
    >>> from astropy_imphot.psf.fourier import elliptical_radius
    >>> float(elliptical_radius(3.0, 4.0, 0.0, 0.0))
    5.0
    """
    square = (1 + e1) * fx**2 + 2 * e2 * fx * fy + (1 - e1) * fy**2
    return np.sqrt(square / np.sqrt(1 - e1**2 - e2**2))


def gaussian_otf(frequency, fwhm):
    """
    Return the transfer function of a Gaussian.

    Parameters
    ----------
    frequency : float or array
        Radial frequencies, cycles/arcsec.
    fwhm : float
        Its full width at half maximum, arcsec; 0 for none.

    Returns
    -------
    float or array
        1 at frequency 0.

    Examples
    --------
    >>> from astropy_imphot.psf.fourier import gaussian_otf
    >>> round(float(gaussian_otf(0.5, 1.0)), 3), float(gaussian_otf(0.5, 0.0))
    (0.411, 1.0)
    """
    return np.exp(-((np.pi * fwhm * frequency) ** 2) / (4 * np.log(2)))


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
    >>> from astropy_imphot.psf.fourier import lowpass
    >>> lowpass(np.array([0.0, 1.0, 1.5, 2.0, 3.0]), 1.0, 2.0).round(3)
    array([1. , 1. , 0.5, 0. , 0. ])
    """
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - flat) / (stop - flat), 0, 1))


def _blackman(ratio):
    return np.where(ratio < 1, 0.42 + 0.5 * np.cos(np.pi * ratio) + 0.08 * np.cos(2 * np.pi * ratio), 0)


# The decimation filters of HST images on the MUSE grid, as functions of
# the radial frequency divided by the Nyquist frequency of that grid.
WINDOWS = {"none": np.ones_like, "blackman": _blackman}


def decimation_window(name, frequency, nyquist):
    """
    Return the filter that was applied to an image before it was sampled more coarsely.

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
    >>> from astropy_imphot.psf.fourier import decimation_window
    >>> decimation_window("blackman", np.array([0.0, 1.25, 2.5]), 2.5).round(2)
    array([1.  , 0.34, 0.  ])
    """
    check_window(name)
    return WINDOWS[name](np.asarray(frequency, dtype=float) / nyquist)


def check_window(name):
    """
    Raise an error if there is no such decimation window.

    Parameters
    ----------
    name : str
        One of ``WINDOWS``.

    Raises
    ------
    UserError
        If it is not.

    Examples
    --------
    >>> from astropy_imphot.psf.fourier import check_window
    >>> check_window("blackman")
    """
    if name not in WINDOWS:
        raise UserError(f"hst_window is {name!r}: choose from {', '.join(WINDOWS)}.")


def window_noise(name):
    """
    Return the fraction of the variance of white noise that a decimation window leaves.

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
    >>> from astropy_imphot.psf.fourier import window_noise
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
    >>> from astropy_imphot.psf.fourier import padded_length
    >>> padded_length(331)
    336
    """
    # Lengths with factors of 7 and 11 are a little slower to transform, but waste fewer pixels.
    return 2 * fft.next_fast_len((int(length) + 1) // 2)
