"""The level and the correlation of the noise, measured on images."""

import numpy as np
from astropy.nddata import block_reduce
from astropy.stats import mad_std
from scipy import fft, ndimage, special

from astropy_imphot.io.filling import filled
from astropy_imphot.psf.fourier import frequencies

__all__ = [
    "autocorrelation",
    "cross_correlation",
    "excess_on_objects",
    "longest_lag",
    "padded_shape",
    "sky_variance",
]

# Resampling correlates the noise of a few neighboring pixels.
MAX_LAG = 6

# Noise that was smoothed by a Gaussian is correlated up to this multiple of its FWHM: there the correlation
# of white noise is 0.2 %.
SMOOTHED_REACH = 2.1

# The noise of an HST image is measured at frequencies at which galaxies have little power: cycles/arcsec,
# fractions of the Nyquist frequency, and number of bins.
BAND = (4.0, 8.0)
BAND_OF_NYQUIST = (0.4, 0.8)
BAND_STEPS = 8

# Sources are removed in two ways: by the subtraction of a running mean of this radius, arcsec; and by a mask
# of blocks of so many pixels whose mean exceeds so many standard deviations, widened by the radius.
SMOOTH_RADIUS = 0.15
SOURCE_SIGMA = 3.5
BLOCK = 2

# Frequencies at which less than this fraction of the noise is left count as if so much were.
LEAST_POWER = 0.01

# Residuals on an object are larger than on the sky if the difference exceeds so many standard deviations.
EXCESS_SIGMA = 4.0

# The noise is measured on at least so many pixels of sky.
LEAST_SKY = 1000

# A tile of so many pixels along each axis is sufficient.
TILE = 768


def autocorrelation(residual, valid, max_lag=MAX_LAG):
    """
    Return the autocorrelation of residuals: mean products of pixels at each lag.

    Parameters
    ----------
    residual : array of shape (ny, nx)
        Weighted residuals, 0 where not valid.
    valid : bool array of shape (ny, nx)
        True for the pixels that are used.
    max_lag : int
        The largest lag along each axis, pixels (default: 6).

    Returns
    -------
    array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        The autocorrelation; its central value is the variance.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.autocorrelation import autocorrelation
    >>> noise = np.random.default_rng(1).normal(size=(200, 200))
    >>> correlation = autocorrelation(noise, np.ones(noise.shape, bool), max_lag=1)
    >>> bool(abs(correlation[1, 1] - 1) < 0.03), bool(abs(correlation[0, 0]) < 0.03)
    (True, True)
    """
    return cross_correlation(residual, residual, valid, max_lag)


def cross_correlation(one, other, valid, max_lag=MAX_LAG):
    """
    Return the cross-correlation of the residuals of two images: mean products of pixels at each lag.

    Parameters
    ----------
    one, other : arrays of shape (ny, nx)
        Weighted residuals.
    valid : bool array of shape (ny, nx)
        True for the pixels that are used in both.
    max_lag : int
        As for `autocorrelation`.

    Returns
    -------
    array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        The correlation, as the mean of lags in opposite directions.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.autocorrelation import cross_correlation
    >>> noise = np.random.default_rng(1).normal(size=(2, 200, 200))
    >>> found = cross_correlation(noise[0], noise[0] + noise[1], np.ones((200, 200), bool), max_lag=1)
    >>> bool(abs(found[1, 1] - 1) < 0.03)
    True
    """
    shape = padded_shape(one.shape, max_lag)
    lags = np.arange(-max_lag, max_lag + 1)

    def products(*images):
        first, last = (fft.rfft2(images[place], s=shape) for place in (0, -1))
        return fft.irfft2((np.conj(first) * last).real, s=shape)[np.ix_(lags, lags)]

    pairs = np.maximum(products(valid.astype(float)).round(), 1)
    both = (one,) if one is other else (one, other)
    return products(*(np.where(valid, image, 0) for image in both)) / pairs


def longest_lag(smoothing, pixel_scale):
    """
    Return the largest lag at which the noise of an image is correlated.

    Parameters
    ----------
    smoothing : float
        FWHM of the Gaussian by which the image was smoothed, arcsec; 0 if it was not.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.

    Returns
    -------
    int
        The lag along each axis, pixels.

    Examples
    --------
    >>> from astropy_imphot.noise.autocorrelation import longest_lag
    >>> longest_lag(0.0, (0.2, 0.2)), longest_lag(1.0, (0.2, 0.2))
    (6, 17)
    """
    return MAX_LAG + int(np.ceil(SMOOTHED_REACH * smoothing / min(pixel_scale)))


def padded_shape(shape, max_lag):
    """
    Return the shape of Fourier transforms without correlations across the edges.

    Parameters
    ----------
    shape : (int, int)
        The image's (ny, nx).
    max_lag : int
        The largest lag of the noise's correlation, pixels.

    Returns
    -------
    list of int
        The shape, padded to lengths for which transforms are fast.

    Examples
    --------
    >>> from astropy_imphot.noise.autocorrelation import padded_shape
    >>> padded_shape((95, 300), 6)
    [108, 320]
    """
    return [fft.next_fast_len(size + max_lag, real=True) for size in shape]


def excess_on_objects(residual, valid, labels, max_lag=MAX_LAG):
    """
    Return the factor by which residuals are larger on objects than on the sky.

    Parameters
    ----------
    residual : array of shape (ny, nx)
        Weighted residuals, 0 where not valid.
    valid : bool array of shape (ny, nx)
        True for the pixels that are used.
    labels : int array of shape (ny, nx)
        0 on the sky, 1 and more on the objects.
    max_lag : int
        As for `autocorrelation`.

    Returns
    -------
    array of shape (n + 1,)
        For each label from 0 on, the ratio of the rms residual on the object to that on the sky, where it is
        significantly more than 1, and 1 elsewhere.

    Notes
    -----
    Residuals on objects also contain errors of the model: color gradients in galaxies, distortions, and shot
    noise that is not in the variances.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.autocorrelation import excess_on_objects
    >>> residual = np.random.default_rng(1).normal(size=(100, 100))
    >>> labels = np.zeros((100, 100), int)
    >>> labels[40:50, 40:50], labels[70:80, 70:80] = 1, 2
    >>> residual[labels == 2] *= 3
    >>> excess_on_objects(residual, labels >= 0, labels).round()
    array([1., 1., 3.])
    """
    excess = np.ones(labels.max() + 1)
    sky = valid & (labels == 0)
    if sky.sum() < LEAST_SKY or not labels.any():
        return excess
    correlation = autocorrelation(np.where(sky, residual, 0), sky, max_lag)
    variance = correlation[max_lag, max_lag]
    if variance <= 0:
        return excess
    # The number of correlated pixels for each independent one.
    correlated = np.sum((correlation / variance) ** 2)
    numbers = np.arange(1, labels.max() + 1)
    counts = np.maximum(ndimage.sum_labels(valid, labels, numbers), 1)
    ratios = ndimage.sum_labels(residual**2, labels, numbers) / counts / variance
    significant = ratios > 1 + EXCESS_SIGMA * np.sqrt(2 * correlated / counts)
    return np.concatenate([[1.0], np.sqrt(np.where(significant, ratios, 1))])


def sky_variance(image, valid, pixel_scale, spread=1.0):
    """
    Return the variance per pixel of an image's noise at low frequencies.

    Parameters
    ----------
    image : array of shape (ny, nx)
        An HST image.
    valid : bool array of shape (ny, nx)
        True for the pixels that were observed.
    pixel_scale : (float, float)
        Height and width of its pixels, arcsec.
    spread : array of shape (ny, nx) or float
        Relative standard deviation of the noise of each pixel, by which the image is divided (default: 1).

    Returns
    -------
    float or None
        Variance per pixel of white noise that has the power of the image's noise at low
        frequencies; None if there are fewer than 1000 pixels of sky.

    Notes
    -----
    Drizzling and other resampling correlate the noise. The noise of the mean of many pixels is then larger
    than the scatter of the pixels implies (Casertano et al. 2000, AJ 120, 2747). Hence the
    power spectrum of the sky is measured where galaxies have little power, from 4 to 8
    cycles/arcsec, and extrapolated to frequency 0 as a Gaussian. In large images only the central part is
    used.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.autocorrelation import sky_variance
    >>> noise = np.random.default_rng(1).normal(0, 2, (300, 300))
    >>> bool(abs(sky_variance(noise, np.ones(noise.shape, bool), (0.03, 0.03)) - 4) < 0.2)
    True
    """
    # The central part, in whole blocks.
    lengths = [min(size, TILE) // BLOCK * BLOCK for size in image.shape]
    middle = tuple(
        slice((size - length) // 2, (size + length) // 2)
        for size, length in zip(image.shape, lengths, strict=True)
    )
    valid = valid[middle]
    if valid.sum() < LEAST_SKY:
        return None
    image = image[middle] if np.ndim(spread) == 0 else image[middle] / spread[middle]
    size = 2 * max(1, round(SMOOTH_RADIUS / np.mean(pixel_scale))) + 1
    image = filled(image, valid)
    # Most images are in single precision, in which a large background would cause rounding errors.
    image = image - np.median(image[::8, ::8])
    sky = ~ndimage.maximum_filter(_sources(image, valid, size) | ~valid, size)
    if sky.sum() < LEAST_SKY:
        return None
    fine = image - ndimage.uniform_filter(image, size)
    nyquist = 0.5 / max(pixel_scale)
    low, high = (min(one, part * nyquist) for one, part in zip(BAND, BAND_OF_NYQUIST, strict=True))
    fy, fx = frequencies(image.shape, pixel_scale)
    # Frequencies outside of the band are not used.
    rows, columns = abs(fy[:, 0]) < high, fx[0] < high
    fy, fx = fy[rows], fx[:, columns]
    # Squares of fluxes in erg/s/cm2/Angstrom are too small for single precision.
    spectrum = fft.rfft2(np.where(sky, fine, 0))[rows][:, columns].astype(complex)
    expected = _power_of_white_noise(sky, size)[rows][:, columns]
    power = np.abs(spectrum) ** 2 / np.maximum(expected, LEAST_POWER * sky.sum())
    edges = np.linspace(low, high, BAND_STEPS + 1)
    step = np.digitize(np.hypot(fy, fx), edges)
    means = ndimage.mean(power, step, np.arange(1, BAND_STEPS + 1))
    if not np.all(means > 0):
        return 0.0
    _, level = np.polyfit((0.5 * (edges[1:] + edges[:-1])) ** 2, np.log(means), 1)
    return float(np.exp(level))


def _power_of_white_noise(sky, size):
    """Return the power of noise of variance 1 less its running mean over a square, on the sky only."""
    running = [special.diric(2 * np.pi * one, size) for one in frequencies(sky.shape, (1, 1))]
    # The mask mixes frequencies: the autocorrelation is a product of those of the noise and of the mask.
    correlation = fft.irfft2((1 - running[0] * running[1]) ** 2, s=sky.shape)
    of_mask = fft.irfft2(np.abs(fft.rfft2(sky.astype(float))) ** 2, s=sky.shape)
    return fft.rfft2(correlation * of_mask).real


def _sources(image, valid, size):
    """Return the pixels of an image with light on scales below 4 times a size, in whole blocks."""
    coarse = block_reduce(image, BLOCK, func=np.mean)
    smooth = coarse - ndimage.uniform_filter(coarse, 4 * size // BLOCK + 1)
    sources = np.abs(smooth) > SOURCE_SIGMA * mad_std(smooth[valid[::BLOCK, ::BLOCK]])
    return sources.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
