"""The resolution at which a MUSE image is compared with a reference image that is not sharper."""

import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty
from scipy import fft, ndimage

from astropy_imphot.io.filling import filled
from astropy_imphot.io.grid import read_grid
from astropy_imphot.models.convolver import BEYOND_WEIGHT
from astropy_imphot.psf.fourier import frequencies, gaussian_otf, padded_length
from astropy_imphot.psf.mean_profile import RadialPsf
from astropy_imphot.reference.template import MISSING_LIMIT

__all__ = ["common_smoothing", "smoothed_image"]

# Reference images up to this FWHM are deconvolved without a large increase of their noise, arcsec: MUSE PSFs
# are wider. In images of small pixels, such as the narrow-field mode, it is this number of pixels.
SHARP_FWHM = 0.3
SHARP_PIXELS = 1.5

# Holes up to so many pixels along each axis are interpolated from the pixels around them. Their weights are
# those of a kernel without second moments, which keeps the curvature of peaks, made from Gaussians of this
# standard deviation, pixels; the kernel has at least this part of its weight on valid pixels.
LARGEST_HOLE = 2
WEIGHT = 1.0
LEAST_WEIGHT = 0.2

# The image is continued by its reflection, up to so many FWHM of the smoothing.
REACH = 2.5


def common_smoothing(hst_psf, pixel_scale):
    """
    Return the smoothing at which a MUSE image is compared with a reference image.

    Parameters
    ----------
    hst_psf : `~astropy_imphot.psf.shape.CircularPsf` or `~astropy_imphot.psf.images.HstPsf`
        The PSF of the reference image.
    pixel_scale : (float, float)
        Height and width of a pixel of the MUSE image, arcsec.

    Returns
    -------
    float
        FWHM of a Gaussian, arcsec: 0 if the reference image is sharp.

    Notes
    -----
    The model is the reference image, deconvolved from its PSF and convolved with that of MUSE. The
    deconvolution of a wide PSF increases the noise, and restores nothing at frequencies where the reference
    image has no signal but MUSE has. Both sides are hence convolved with a Gaussian, which together with a
    PSF of 0.3 arcsec is as wide as that of the reference image. In images of pixels below 0.2 arcsec, as of
    the narrow-field mode, the PSF is 1.5 pixels wide in place of 0.3 arcsec.

    Examples
    --------
    >>> from astropy_imphot.fitting.resolution import common_smoothing
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> psfs = [CircularPsf(MOFFAT, {"fwhm": fwhm, "beta": 3.0}) for fwhm in (0.1, 0.5)]
    >>> [common_smoothing(psf, (0.2, 0.2)) for psf in psfs]
    [0.0, 0.4]
    """
    fwhm = RadialPsf(hst_psf).fwhm
    sharp = min(SHARP_FWHM, SHARP_PIXELS * min(pixel_scale))
    return float(np.sqrt(max(fwhm**2 - sharp**2, 0.0)))


def smoothed_image(image, mask, smoothing):
    """
    Return a MUSE image that is smoothed by a Gaussian, and its mask.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    smoothing : float
        FWHM of the Gaussian, arcsec.

    Returns
    -------
    image : `~astropy.nddata.CCDData`
        The smoothed image, with the variances that independent noise then has; itself for a smoothing of 0.
    mask : bool array of shape (ny, nx)
        True also where more than 1 % of the Gaussian is on masked pixels. The sky beyond the image, and small
        holes, which are interpolated, have a weight of 0.2.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.resolution import smoothed_image
    >>> from astropy_imphot.simulation import example_field
    >>> muse = example_field().muse[0]
    >>> smooth, mask = smoothed_image(muse, np.zeros(muse.shape, bool), 0.6)
    >>> bool(smooth.data.max() < muse.data.max()), int(mask[25].sum())
    (True, 4)
    """
    if smoothing == 0:
        return image, mask
    scale = read_grid(image).pixel_scale
    valid = ~mask & np.isfinite(image.data)
    holes = _small_holes(~valid)
    whole = _interpolated(image.data, valid, holes)
    widths = [int(np.ceil(REACH * smoothing / one)) for one in scale]
    missing = np.where(holes, BEYOND_WEIGHT, ~valid)
    beyond = np.pad(missing, [(width, width) for width in widths], constant_values=BEYOND_WEIGHT)
    inside = tuple(slice(width, -width) for width in widths)
    fraction = _convolved(beyond, scale, smoothing)[inside]
    variance = image.uncertainty
    if variance is not None:
        variance = filled(variance.array, valid & np.isfinite(variance.array))
        # The square of a Gaussian is a narrower one; its sum is the part of white noise that is left.
        left = np.mean(_transfer(image.shape, scale, smoothing) ** 2)
        squared = _convolved(_reflected(variance, widths), scale, smoothing / np.sqrt(2))[inside]
        variance = VarianceUncertainty(left * squared)
    smooth = CCDData(
        _convolved(_reflected(whole, widths), scale, smoothing)[inside],
        uncertainty=variance,
        unit=image.unit,
        wcs=image.wcs,
        meta=image.meta,
    )
    return smooth, mask | ~valid | (fraction > MISSING_LIMIT)


def _small_holes(missing):
    """Return the pixels of holes that are small enough to be interpolated."""
    labels, count = ndimage.label(missing, np.ones((3, 3)))
    is_small = np.zeros(count + 1, dtype=bool)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        is_small[label] = max(one.stop - one.start for one in box) <= LARGEST_HOLE
    return is_small[labels]


def _interpolated(data, valid, holes):
    """Return an image with small holes interpolated, and others filled by the level of the sky."""
    if valid.all():
        return data
    whole = filled(data, valid)
    weights, sums = (_flat_kernel(layer) for layer in (valid.astype(float), np.where(valid, data, 0.0)))
    return np.where(holes & (weights > LEAST_WEIGHT), sums / np.maximum(weights, LEAST_WEIGHT), whole)


def _flat_kernel(layer):
    once = ndimage.gaussian_filter(layer, WEIGHT)
    return 2 * once - ndimage.gaussian_filter(once, WEIGHT)


def _reflected(data, widths):
    return np.pad(data, [(width, width) for width in widths], mode="symmetric")


def _convolved(data, scale, smoothing):
    """Return an image that is convolved with a Gaussian, as the model is."""
    shape = tuple(padded_length(size) for size in data.shape)
    spectrum = fft.rfft2(np.asarray(data, dtype=float), s=shape)
    return fft.irfft2(spectrum * _transfer(shape, scale, smoothing), s=shape)[tuple(map(slice, data.shape))]


def _transfer(shape, scale, smoothing):
    return gaussian_otf(np.hypot(*frequencies(shape, scale)), smoothing)
