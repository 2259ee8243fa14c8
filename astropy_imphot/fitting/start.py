"""Where a fit starts: the offset at which two images are most alike, wherever it is."""

import numpy as np
from astropy.nddata import CCDData, block_reduce
from astropy.stats import mad_std
from scipy import fft, ndimage

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.filling import filled
from astropy_imphot.io.grid import read_grid
from astropy_imphot.reference.resample import coarser_wcs
from astropy_imphot.reference.template import HstTemplate

__all__ = ["SEARCH_RADIUS", "coarser_image", "coarser_template", "find_offset"]

# Offsets are searched in blocks of so many pixels along each axis: any fit converges from there.
BLOCK = 2

# How far MUSE may be off along each axis, arcsec.
SEARCH_RADIUS = 15.0

# HST images are smoothed by this, a MUSE PSF, and both images lose what is larger than that, arcsec.
SEEING_SIGMA = 0.3
LARGEST = 6.0

# Light is compressed from this many standard deviations of the noise on, so that many sources
# count more than one bright one, which is like any other.
LINEAR_SIGMA = 3.0

# Of two offsets that are nearly as good, that nearer to the one in the headers is more likely, arcsec.
TYPICAL_OFFSET = 5.0

# One that is so near, arcsec, is taken if no other gains so much more that it cannot be chance: 20
# for each of the 5 pixels that are as good as one.
NEAR = 1.0
LEAST_GAIN = 100.0

# Offsets at which the images share less than this fraction of the most pixels are not considered.
LEAST_OVERLAP = 0.1


def coarser_image(image, mask):
    """
    Return an image in blocks of 2x2 pixels, in which offsets are searched.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is left out.

    Returns
    -------
    image : `~astropy.nddata.CCDData`
        Means of the pixels that are not left out, of shape (ny // 2, nx // 2).
    mask : bool array of that shape
        True where there is none.

    Raises
    ------
    UserError
        If the image is less than 2 pixels high or wide.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.start import coarser_image
    >>> from astropy_imphot.simulation import simulate_field
    >>> muse = simulate_field(seed=1, size=20.0).muse[0]
    >>> coarser_image(muse, np.zeros(muse.shape, bool))[0].shape
    (50, 50)
    """
    if min(mask.shape) < BLOCK:
        raise UserError(f"the MUSE image has {mask.shape[1]} x {mask.shape[0]} pixels: give at least 2 x 2.")
    count = block_reduce((~mask).astype(float), BLOCK)
    light = block_reduce(np.where(mask, 0, image.data), BLOCK) / np.maximum(count, 1)
    return CCDData(light, unit=image.unit, wcs=coarser_wcs(image.wcs, BLOCK)), count == 0


def coarser_template(template, image):
    """
    Return a template for an image in blocks of 2x2 pixels.

    Parameters
    ----------
    template : `HstTemplate`
        The template of the MUSE image.
    image : `~astropy.nddata.CCDData`
        The image from `coarser_image`.

    Returns
    -------
    HstTemplate
        The template, with one sample per block.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.fitting.start import coarser_image, coarser_template
    >>> from astropy_imphot.simulation import simulate_field
    >>> field = simulate_field(seed=1, size=20.0)
    >>> template, muse = make_template(field.hst, field.muse[0]), field.muse[0]
    >>> image, _ = coarser_image(muse, np.zeros(muse.shape, bool))
    >>> coarser_template(template, image).grid_shape
    (66, 66)
    """
    # Blocks begin where those of the image do.
    rows, columns = (slice(margin % BLOCK, None) for margin in template.margin)
    step, missing = template.oversample, template.missing_on_grid()
    light = block_reduce(template.data[::step, ::step][rows, columns], BLOCK, func=np.mean)
    if missing is not None:
        missing = block_reduce(missing[rows, columns], BLOCK, func=np.mean)
    return HstTemplate(
        data=light,
        missing=missing,
        grid=read_grid(image),
        oversample=1,
        margin=tuple(margin // BLOCK for margin in template.margin),
        window=template.window,
        meta=template.meta,
    )


def find_offset(template, image, mask, known=(None, None)):
    """
    Find the offset of a MUSE image by masked normalized cross-correlation.

    Parameters
    ----------
    template : `HstTemplate`
        What HST saw in and around the field; coarse samples do.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx); as it is, or from `coarser_image`.
    mask : bool array of shape (ny, nx)
        True where a pixel is left out.
    known : (float or None, float or None)
        The offset along x and y, arcsec, where it is known (default: None, it is not).

    Returns
    -------
    (float, float)
        The offset along x and y, to a fraction of a pixel of the image, arcsec; 0 where the images have
        nothing in common.

    Notes
    -----
    The coefficient of correlation r of the n pixels that both images have is computed for every
    offset, with means and variances over these pixels (Padfield 2012, IEEE Trans. Image Process.
    21, 2706). The offset with the largest -n log(1 - r^2) with r > 0 is taken, which is
    what a scaled template on a background gains in chi-square.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.fitting.start import find_offset
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=20.0, truth=[Truth(dx=4.4, dy=-6.0)])
    >>> template, muse = make_template(field.hst, field.muse[0]), field.muse[0]
    >>> dx, dy = find_offset(template, muse, np.zeros(muse.shape, bool))
    >>> round(dx, 1), round(dy, 1)
    (4.4, -6.0)
    """
    height, width = template.pixel_scale
    step = template.oversample
    sky = template.data[::step, ::step]
    missing = template.missing_on_grid()
    seen = np.ones(sky.shape, bool) if missing is None else missing < 0.5
    pixels = SEEING_SIGMA / height, SEEING_SIGMA / width
    first = _fine_structure(ndimage.gaussian_filter(filled(sky, seen), pixels), seen, height)
    second = _fine_structure(filled(image.data, ~mask), ~mask, height)
    gain = _likelihood_gain(first, seen, second, ~mask)
    # gain[j, i] is that of the image's first pixel being at (j, i) - shape + 1 of the template.
    offsets = [
        (start - (np.arange(size) - length + 1)) * scale
        for start, size, length, scale in zip(
            template.margin, gain.shape, image.shape, (height, width), strict=True
        )
    ]
    for axis, offset, one, scale in zip((0, 1), offsets, known[::-1], (height, width), strict=True):
        allowed = abs(offset) <= SEARCH_RADIUS if one is None else abs(offset - one) <= 0.51 * scale
        gain = np.where(np.expand_dims(allowed, 1 - axis), gain, 0)
    if not gain.any():
        return tuple(0.0 if one is None else one for one in known)
    gain = gain / np.sqrt(1 + (offsets[0][:, np.newaxis] ** 2 + offsets[1] ** 2) / TYPICAL_OFFSET**2)
    near = gain * ((abs(offsets[0]) <= NEAR)[:, np.newaxis] & (abs(offsets[1]) <= NEAR))
    if near.any() and gain.max() < near.max() + LEAST_GAIN:
        gain = near
    row, column = np.unravel_index(gain.argmax(), gain.shape)
    found = (
        float(offsets[1][column] - width * _vertex(gain[row], column)),
        float(offsets[0][row] - height * _vertex(gain[:, column], row)),
    )
    return tuple(place if one is None else one for place, one in zip(found, known, strict=True))


def _vertex(values, place):
    """Return how far the vertex of the parabola through a maximum is from its place; 0 at an end."""
    if not 0 < place < len(values) - 1 or min(values[place - 1], values[place + 1]) <= 0:
        return 0.0
    before, middle, after = values[place - 1 : place + 2]
    return 0.5 * (before - after) / min(before - 2 * middle + after, -1e-300)


def _fine_structure(data, valid, pixel):
    fine = data - ndimage.uniform_filter(data, 2 * round(LARGEST / pixel / 2) + 1)
    linear = max(LINEAR_SIGMA * mad_std(fine[valid]), 1e-6 * np.abs(fine).max(), np.finfo(float).tiny)
    return np.where(valid, np.arcsinh(fine / linear), 0)


def _likelihood_gain(first, first_valid, second, second_valid):
    """Return -n log(1 - r^2) for every offset of the second image against the first."""
    shape = [a + b - 1 for a, b in zip(first.shape, second.shape, strict=True)]
    padded = [fft.next_fast_len(size, real=True) for size in shape]

    def transforms(data, valid):
        return [fft.rfft2(one, s=padded) for one in (valid.astype(float), data, data**2)]

    one, mean_one, square_one = transforms(first, first_valid)
    two, mean_two, square_two = transforms(second[::-1, ::-1], second_valid[::-1, ::-1])

    def correlate(left, right):
        return fft.irfft2(left * right, s=padded)[: shape[0], : shape[1]]

    count = correlate(one, two).round()
    enough = count >= max(LEAST_OVERLAP * count.max(), 1)
    safe = np.where(enough, count, 1)
    first_sum, second_sum = correlate(mean_one, two), correlate(one, mean_two)
    product = correlate(mean_one, mean_two) - first_sum * second_sum / safe
    first_square = correlate(square_one, two) - first_sum**2 / safe
    second_square = correlate(one, square_two) - second_sum**2 / safe
    size = np.sqrt(np.maximum(first_square, 0) * np.maximum(second_square, 0))
    tiny = 1e-9 * size.max()
    alike = np.where(enough & (size > tiny) & (product > 0), product / np.maximum(size, tiny or 1), 0)
    return -safe * np.log1p(-(np.minimum(alike, 0.9999) ** 2))
