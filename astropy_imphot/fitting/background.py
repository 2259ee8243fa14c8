"""The smooth background of a MUSE image: which modes the data ask for."""

import numpy as np
from scipy import ndimage
from scipy.special import fdtrc

from astropy_imphot.fitting.columns import mode_numbers
from astropy_imphot.psf.fourier import gaussian_otf

__all__ = ["UNLIKELY", "chosen_modes", "most_modes", "smooth_background"]

# Modes have periods down to this length, arcsec: longer than most objects.
SHORTEST_PERIOD = 10.0

# The smooth background before the fit is the median of blocks of so many pixels along each axis.
BLOCK = 32

# Modes up to this multiple of their number measure the power of the noise at low frequencies.
FLOOR_REACH = 1.6

# The median of a chi-square of one degree of freedom; and the efficiency of the mean which the median of many
# gives: the ratio of the variances of their mean and of it.
MEDIAN_CHI2 = 0.4549
EFFICIENCY = 0.37

# Power of modes that is less likely than this is no chance.
UNLIKELY = 1e-4


def most_modes(shape, pixel_scale, period=SHORTEST_PERIOD):
    """
    Return the largest numbers of half periods along y and x.

    Parameters
    ----------
    shape : (int, int)
        The image's (ny, nx).
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    period : float
        The shortest period, arcsec (default: 10).

    Returns
    -------
    (int, int)
        The numbers.

    Examples
    --------
    >>> from astropy_imphot.fitting.background import most_modes
    >>> most_modes((300, 150), (0.2, 0.2))
    (12, 6)
    """
    return tuple(int(2 * size * scale / period) for size, scale in zip(shape, pixel_scale, strict=True))


def chosen_modes(residual, weights, pixel_scale, *, unlikely=UNLIKELY, smoothing=0.0):
    """
    Return the modes of the background that residuals contain.

    Parameters
    ----------
    residual, weights : arrays of shape (ny, nx)
        Weighted residuals, and 1/standard deviation; 0 where masked.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    unlikely : float
        Power that is less likely than this is no chance (default: 1e-4).
    smoothing : float
        FWHM of the Gaussian by which the image was smoothed, arcsec (default: 0, it was not).

    Returns
    -------
    int array of shape (n, 2)
        Numbers of half periods along y and x: all up to the shortest period that has significant power.

    Notes
    -----
    The power of the noise at low frequencies is not that of independent pixels. It is measured on modes that
    are somewhat shorter than those that are tested.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.background import chosen_modes
    >>> from astropy_imphot.fitting.columns import CosineModes
    >>> noise = np.random.default_rng(1).normal(size=(200, 200))
    >>> len(chosen_modes(noise, np.ones(noise.shape), (0.2, 0.2)))
    0
    >>> wave = CosineModes(noise.shape, [[0, 3]]).image([0.5])
    >>> chosen_modes(noise + wave, np.ones(noise.shape), (0.2, 0.2)).max(axis=0)
    array([3, 3])
    """
    shape = residual.shape
    limits = most_modes(shape, pixel_scale)
    if max(limits) < 1:
        return mode_numbers((0, 0))
    reach = np.maximum(np.round(np.multiply(limits, FLOOR_REACH)), np.add(limits, 2)).astype(int)
    numbers = np.moveaxis(np.indices(reach + 1), 0, -1)
    # The smoothing reduced the power of the shorter ones more.
    frequency = np.hypot(*np.moveaxis(numbers / (2 * np.multiply(shape, pixel_scale)), -1, 0))
    powers = _powers(residual, weights, reach) / gaussian_otf(frequency, smoothing) ** 2
    # The shell of a mode: its number of half periods in the longest side.
    length = max(np.multiply(shape, pixel_scale))
    shells = np.max(np.ceil(numbers * length / np.multiply(shape, pixel_scale) - 1e-9), axis=-1)
    tested = np.all(numbers <= limits, axis=-1)
    floor = np.median(powers[~tested]) / MEDIAN_CHI2
    if floor == 0:
        return mode_numbers((0, 0))
    most = 0
    for shell in range(1, int(shells[tested].max()) + 1):
        inside = tested & (shells == shell)
        if fdtrc(inside.sum(), EFFICIENCY * np.sum(~tested), powers[inside].mean() / floor) < unlikely:
            most = shell
    inside = tested & (shells <= most)
    inside[0, 0] = False
    return numbers[inside]


def smooth_background(residual, valid):
    """
    Return a rough smooth background, which needs no model.

    Parameters
    ----------
    residual : array of shape (ny, nx)
        An image less a model.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.

    Returns
    -------
    array of shape (ny, nx)
        Medians of blocks of 32 pixels along each axis, interpolated between their centers.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.background import smooth_background
    >>> slope = np.broadcast_to(np.arange(100.0), (100, 100))
    >>> bool(np.abs(smooth_background(slope, slope >= 0) - slope)[:, 20:80].max() < 3)
    True
    """
    counts = [max(1, round(size / BLOCK)) for size in residual.shape]
    edges = [
        np.linspace(0, size, count + 1).round().astype(int)
        for size, count in zip(residual.shape, counts, strict=True)
    ]
    overall = np.median(residual[valid])
    medians = np.full(counts, overall)
    for row, column in np.ndindex(*counts):
        block = tuple(
            slice(one[place], one[place + 1]) for one, place in zip(edges, (row, column), strict=True)
        )
        inside = residual[block][valid[block]]
        if len(inside) > BLOCK:
            medians[row, column] = np.median(inside)
    centers = [0.5 * (one[1:] + one[:-1] - 1) for one in edges]
    places = [
        np.interp(np.arange(size), center, np.arange(len(center)))
        for size, center in zip(residual.shape, centers, strict=True)
    ]
    return ndimage.map_coordinates(medians, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def _powers(residual, weights, reach):
    """Return the squared significance of each mode for independent pixels."""
    along = [
        np.cos(np.pi * np.outer(np.arange(most + 1), np.arange(size) + 0.5) / size)
        for size, most in zip(residual.shape, reach, strict=True)
    ]
    amplitudes = along[0] @ (weights * residual) @ along[1].T
    norms = along[0] ** 2 @ weights**2 @ (along[1] ** 2).T
    return amplitudes**2 / np.maximum(norms, 1e-300)
