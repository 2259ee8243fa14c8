"""The numerics of resampling: grids finer and wider than MUSE's, low-pass filter, interpolation."""

import numpy as np
from scipy import fft

from astropy_imphot.otf import frequencies, lowpass, padded_length

__all__ = [
    "border",
    "coarser_wcs",
    "finer_wcs",
    "interpolate",
    "lowpassed",
    "padded_grid",
]

# How much wider than the template the HST image is cut out, in MUSE pixels: the low-pass
# filter's response is negligible beyond.
GUARD = 5


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


def _rescaled(wcs, factor, crpix):
    other = wcs.deepcopy()
    other.wcs.crpix = crpix
    if other.wcs.has_cd():
        other.wcs.cd = wcs.wcs.cd * factor
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


def lowpassed(layer, pixel_scale, flat, stop):
    """Return an image without the frequencies above ``stop``, those up to ``flat`` as they were."""
    padded = tuple(padded_length(size) for size in layer.shape)
    fy, fx = frequencies(padded, pixel_scale)
    # Padding repeats the edges, for a step there would ring into the image.
    widths = [(0, after - size) for after, size in zip(padded, layer.shape, strict=True)]
    spectrum = fft.rfft2(np.pad(layer, widths, mode="edge"))
    spectrum *= lowpass(np.hypot(fy, fx), flat, stop)
    return fft.irfft2(spectrum, s=padded)[: layer.shape[0], : layer.shape[1]]


def interpolate(layers, wcs_in, wcs_out, shape_out):
    """Return layers of shape (k, ny, nx) on another grid, and where they reach on it."""
    # Importing reproject takes long, and not every user of this module needs it.
    from reproject import reproject_interp

    resampled, footprint = reproject_interp(
        (layers, wcs_in), wcs_out, shape_out=shape_out, order="bicubic", roundtrip_coords=False
    )
    return np.nan_to_num(resampled), np.broadcast_to(footprint, resampled.shape)[0] > 0
