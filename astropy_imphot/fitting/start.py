"""The offset at the start of a fit, from the cross-correlation of the HST and the MUSE image."""

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

# The images are correlated in blocks of so many pixels along each axis: fits converge from offsets that are
# accurate to a block.
BLOCK = 2

# The largest offset of MUSE along each axis, arcsec.
SEARCH_RADIUS = 15.0

# HST images are smoothed to the seeing of MUSE: standard deviation of the Gaussian, arcsec.
SEEING_SIGMA = 0.3

# Structures larger than this, arcsec, are subtracted from both images.
LARGEST = 6.0

# Fluxes above this many standard deviations of the noise are compressed (arcsinh), so that many sources
# have more weight than a single bright one.
LINEAR_SIGMA = 3.0

# Gains are reduced for offsets from the headers' position that are larger than this, arcsec.
TYPICAL_OFFSET = 5.0

# The largest gain within this distance of the headers' position, arcsec, is preferred, unless another gain
# exceeds it by more than chance. The limit is 20 in chi-square for each of about 5 correlated pixels.
NEAR = 1.0
LEAST_GAIN = 100.0

# An offset is clear if its gain is larger than this, and exceeds by this factor the gains of offsets that are
# farther from it than a source, arcsec. Those of images with few faint sources and much noise are not. Those
# of another sky can be: bright sources fit others, and the fit has other flags.
CLEAR_GAIN = 25.0
CLEAR_FACTOR = 1.5
SOURCE = 2.0

# Offsets are considered if the images have at least this fraction of the largest number of common pixels.
LEAST_OVERLAP = 0.1


def coarser_image(image, mask):
    """
    Return an image in blocks of 2x2 pixels, for the search for the offset.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.

    Returns
    -------
    image : `~astropy.nddata.CCDData`
        Means of the unmasked pixels, of shape (ny // 2, nx // 2).
    mask : bool array of that shape
        True where all pixels are masked.

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
    # The blocks are aligned with those of the image.
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
        The HST image in and around the field; coarse sampling is sufficient.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx), at its own pixels or from `coarser_image`.
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    known : (float or None, float or None)
        The offset along x and y, arcsec, if it is given. By default (None) it is searched.

    Returns
    -------
    offset : (float, float)
        The offset along x and y, accurate to a fraction of a pixel of the image, arcsec; 0 for images
        without a positive correlation.
    clear : bool
        Whether no other offset fits about as well. Offsets up to 15 arcsec along each axis are searched.

    Notes
    -----
    The correlation coefficient r of the n pixels that are common to both images is computed for every
    offset, with means and variances over these pixels (Padfield 2012, IEEE Trans. Image Process.
    21, 2706). The result is the offset of the largest gain, -n log(1 - r^2) with r > 0. For noise of unknown
    variance, this is twice the gain in log-likelihood by a scaled template on a background.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.fitting.start import find_offset
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=20.0, truth=[Truth(dx=4.4, dy=-6.0)])
    >>> template, muse = make_template(field.hst, field.muse[0]), field.muse[0]
    >>> (dx, dy), clear = find_offset(template, muse, np.zeros(muse.shape, bool))
    >>> round(dx, 1), round(dy, 1), clear
    (4.4, -6.0, True)
    """
    height, width = template.pixel_scale
    step = template.oversample
    sky = template.data[::step, ::step]
    missing = template.missing_on_grid()
    observed = np.ones(sky.shape, bool) if missing is None else missing < 0.5
    pixels = SEEING_SIGMA / height, SEEING_SIGMA / width
    first = _fine_structure(ndimage.gaussian_filter(filled(sky, observed), pixels), observed, height)
    second = _fine_structure(filled(image.data, ~mask), ~mask, height)
    gain = _likelihood_gain(first, observed, second, ~mask)
    # For gain[j, i] the image's first pixel is at (j, i) - shape + 1 of the template.
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
        return tuple(0.0 if one is None else one for one in known), False
    gain = gain / np.sqrt(1 + (offsets[0][:, np.newaxis] ** 2 + offsets[1] ** 2) / TYPICAL_OFFSET**2)
    everywhere = gain
    near = gain * ((abs(offsets[0]) <= NEAR)[:, np.newaxis] & (abs(offsets[1]) <= NEAR))
    if near.any() and gain.max() < near.max() + LEAST_GAIN:
        gain = near
    row, column = np.unravel_index(gain.argmax(), gain.shape)
    found = (
        float(offsets[1][column] - width * _vertex(gain[row], column)),
        float(offsets[0][row] - height * _vertex(gain[:, column], row)),
    )
    away = np.hypot(offsets[0][:, np.newaxis] - offsets[0][row], offsets[1] - offsets[1][column])
    other = np.max(everywhere, where=away > SOURCE, initial=0.0)
    clear = gain[row, column] > max(CLEAR_GAIN, CLEAR_FACTOR * other)
    return tuple(place if one is None else one for place, one in zip(found, known, strict=True)), bool(clear)


def _vertex(values, place):
    """Return the distance of a parabola's vertex from the maximum of its three points; 0 at an end."""
    if not 0 < place < len(values) - 1 or min(values[place - 1], values[place + 1]) <= 0:
        return 0.0
    before, middle, after = values[place - 1 : place + 2]
    return 0.5 * (before - after) / min(before - 2 * middle + after, -1e-300)


def _fine_structure(data, valid, pixel):
    """Return an image without large structures, in which bright sources are compressed."""
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
