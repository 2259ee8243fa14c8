"""Resampling: grids finer and wider than that of MUSE, low-pass filter, interpolation."""

import numpy as np
from astropy.wcs.utils import pixel_to_pixel
from scipy import fft, ndimage

from astropy_imphot.psf.fourier import frequencies, lowpass, padded_length

__all__ = [
    "border",
    "coarser_wcs",
    "finer_wcs",
    "interpolate",
    "lowpassed",
    "padded_grid",
    "rotated",
    "stretched_wcs",
]

# How much wider than the template the HST image is cut out, in MUSE pixels: the low-pass
# filter's response is negligible beyond.
GUARD = 5

# Samples per period of the highest frequency at which cubic splines interpolate a low-passed image
# to 1e-5 of its amplitude at MUSE's resolution.
SAMPLING = 4

# Pixels between the nodes at which coordinates are transformed.
NODES = 100


def padded_grid(muse, margin):
    """Return the margin before the first pixel and the shape with both margins, in MUSE pixels."""
    before, lengths = [], []
    for size, scale in zip(muse.shape, muse.pixel_scale, strict=True):
        pixels = int(np.ceil(margin / scale))
        length = padded_length(size + 2 * pixels)
        lengths.append(length)
        before.append((length - size) // 2)
    return tuple(before), tuple(lengths)


def finer_wcs(wcs, oversample, before):
    """Return the WCS of a grid with several samples per pixel that starts some pixels (y, x) before."""
    return _rescaled(wcs, 1 / oversample, (wcs.wcs.crpix - 1 + before[::-1]) * oversample + 1)


def coarser_wcs(wcs, size):
    """Return the WCS of a grid whose pixels are blocks of size x size pixels."""
    return _rescaled(wcs, size, (wcs.wcs.crpix - 0.5) / size + 0.5)


def stretched_wcs(wcs, factors):
    """Return the WCS of pixels larger by factors (y, x); the center of the first stays where it is."""
    factors = np.array(factors[::-1])
    return _rescaled(wcs, factors, (wcs.wcs.crpix - 1) / factors + 1)


def _rescaled(wcs, factor, crpix):
    other = wcs.deepcopy()
    other.wcs.crpix = crpix
    if other.wcs.has_cd():
        other.wcs.cd = wcs.wcs.cd * factor
    elif np.ndim(factor) and other.wcs.has_pc():
        # CDELT belongs to the axes of the sky, factors to those of the pixels.
        other.wcs.pc = wcs.wcs.get_pc() * factor
    else:
        other.wcs.cdelt = wcs.wcs.cdelt * factor
    other.wcs.set()
    return other


def border(wcs, before, shape):
    """Return sky positions around the template, GUARD pixels outside it."""
    y0, x0 = (-start - GUARD for start in before)
    y1, x1 = y0 + shape[0] + 2 * GUARD, x0 + shape[1] + 2 * GUARD
    t = np.linspace(0, 1, 9)
    x = np.concatenate([x0 + t * (x1 - x0)] * 2 + [np.full(9, x0), np.full(9, x1)])
    y = np.concatenate([np.full(9, y0), np.full(9, y1)] + [y0 + t * (y1 - y0)] * 2)
    return wcs.pixel_to_world(x, y)


def lowpassed(layer, pixel_scale, flat, stop, *, keep_pixels=False):
    """
    Return an image without the frequencies above a limit, on as few pixels as it then needs.

    Parameters
    ----------
    layer : array of shape (ny, nx)
        The image.
    pixel_scale : (float, float)
        Height and width of its pixels, arcsec.
    flat, stop : float
        Frequencies up to ``flat`` stay as they are and those from ``stop`` on are 0, cycles/arcsec.
    keep_pixels : bool
        Whether the pixels stay the same (default: False).

    Returns
    -------
    smooth : array of shape (my, mx)
        The image, in pixels of a quarter of a period of ``stop``, or as they were.
    factors : (float, float)
        By how much the pixels are higher and wider; the first one's center stays.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.reference.resample import lowpassed
    >>> smooth, factors = lowpassed(np.ones((100, 120)), (0.02, 0.02), 3.5, 5.0)
    >>> smooth.shape, factors, bool(np.allclose(smooth, 1))
    ((40, 48), (2.5, 2.5), True)
    """
    padded = tuple(padded_length(size) for size in layer.shape)
    fewer = padded
    if not keep_pixels:
        fewer = tuple(
            min(size, padded_length(np.ceil(size * scale * SAMPLING * stop)))
            for size, scale in zip(padded, pixel_scale, strict=True)
        )
    factors = tuple(size / less for size, less in zip(padded, fewer, strict=True))
    # Single precision, mostly that of the image, takes half as long, and is enough once a pedestal is
    # subtracted.
    level = np.median(layer[::8, ::8])
    # Padding repeats the edges, because a step there would ring into the image.
    widths = [(0, after - size) for after, size in zip(padded, layer.shape, strict=True)]
    image = np.pad(layer - level, widths, mode="edge")
    # Only the frequencies below the limit are computed: along each axis these are the first and the last.
    below = [int(np.ceil(stop * size * scale)) for size, scale in zip(padded, pixel_scale, strict=True)]
    spectrum = fft.fft(fft.rfft(image, axis=1)[:, : below[1]], axis=0)[_lowest(padded[0], below[0])]
    rows = _lowest(fewer[0], below[0])
    fy, fx = frequencies(fewer, np.multiply(pixel_scale, factors))
    fy, fx = fy[rows], fx[:, : below[1]]
    radius = np.hypot(fy, fx, dtype=spectrum.real.dtype)
    whole = np.zeros((fewer[0], spectrum.shape[1]), dtype=spectrum.dtype)
    whole[rows] = spectrum * (lowpass(radius, flat, stop) / np.prod(factors, dtype=radius.dtype))
    smooth = fft.irfft(fft.ifft(whole, axis=0), n=fewer[1], axis=1) + level
    ny, nx = (int(np.ceil(size / factor)) for size, factor in zip(layer.shape, factors, strict=True))
    return smooth[:ny, :nx], factors


def _lowest(size, count):
    """Return the places of the frequencies below a number in a transform of some length."""
    return np.flatnonzero(np.minimum(np.arange(size), size - np.arange(size)) < count)


def rotated(image, angle, center, pixel_scale):
    """
    Return a band-limited image, rotated by three shears.

    Parameters
    ----------
    image : array of shape (ny, nx)
        The image, as if it were periodic.
    angle : float
        From x towards y, degrees; small.
    center : (float, float)
        The y and x of the center of the rotation, pixels.
    pixel_scale : (float, float)
        Height and width of a pixel.

    Returns
    -------
    array of shape (ny, nx)
        The rotated image.

    Notes
    -----
    Shears are exact for band-limited images (Unser, Thevenaz & Yaroslavsky 1995, IEEE Trans. Image Process.
    4, 1371).

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.reference.resample import rotated
    >>> y, x = np.mgrid[-20:21, -20:21]
    >>> blob = np.exp(-((x - 10) ** 2 + y**2) / 8)
    >>> turned = rotated(blob, 10.0, (20, 20), (1.0, 1.0))
    >>> row, column = np.unravel_index(turned.argmax(), turned.shape)
    >>> int(column - 20), int(row - 20)
    (10, 2)
    """
    (y_0, x_0), (height, width) = center, pixel_scale
    up = (np.arange(image.shape[0]) - y_0) * height
    right = (np.arange(image.shape[1]) - x_0) * width
    along_x = -np.tan(np.radians(angle) / 2) * up / width
    along_y = np.sin(np.radians(angle)) * right / height
    sheared = _rows_shifted(image, along_x)
    sheared = _rows_shifted(sheared.T, along_y).T
    return _rows_shifted(sheared, along_x)


def _rows_shifted(image, shifts):
    """Return an image with each row shifted by a number of pixels."""
    spectrum = fft.rfft(image, axis=1)
    phases = np.exp(-2j * np.pi * np.outer(shifts, fft.rfftfreq(image.shape[1])))
    return fft.irfft(spectrum * phases, n=image.shape[1], axis=1)


def interpolate(layers, wcs_in, grid):
    """Return layers of shape (k, ny, nx) on another grid, by cubic splines, and the pixels they reach."""
    if wcs_in.has_distortion or grid.wcs.has_distortion:
        # Tables of a distortion have kinks, so that every sample's place is needed.
        from reproject import reproject_interp

        resampled, footprint = reproject_interp(
            (layers, wcs_in), grid.wcs, shape_out=grid.shape, order="bicubic", roundtrip_coords=False
        )
        return np.nan_to_num(resampled), np.broadcast_to(footprint, resampled.shape)[0] > 0
    places = _places(wcs_in, grid)
    last = np.reshape(layers.shape[1:], (2, 1, 1)) - 1
    # The outermost pixels serve for what is within a pixel of their centers.
    reached = np.all((places >= -1) & (places <= last + 1), axis=0)
    places = np.clip(places, 0, last)
    resampled = np.array([ndimage.map_coordinates(layer, places, output=float) for layer in layers])
    return np.where(reached, resampled, 0), reached


def _places(wcs_in, grid):
    """Return the pixel coordinates (y, x) in a grid at the pixels of another."""
    from scipy.interpolate import RectBivariateSpline

    # Projections are smooth: between nodes, splines follow them to 1e-6 pixels, and take an eighth
    # of the time.
    nodes = [np.linspace(0, size - 1, 4 + size // NODES) for size in grid.shape]
    x, y = pixel_to_pixel(grid.wcs, wcs_in, *np.meshgrid(*nodes[::-1]))
    return np.array([RectBivariateSpline(*nodes, one)(*map(np.arange, grid.shape)) for one in (y, x)])
