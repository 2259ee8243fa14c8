"""One boolean mask, True where a pixel is masked, from stars, segments, regions and mask images."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import NDData
from scipy import ndimage

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, opened
from astropy_imphot.io.grid import read_grid
from astropy_imphot.masking.ds9regions import regions_mask
from astropy_imphot.masking.stars import star_circle

__all__ = ["detected_objects", "exclusion_mask", "star_mask", "taper_weights"]

# Detection of objects: standard deviations above the background, and connected pixels.
SEGMENT_SIGMA = 2.0
SEGMENT_PIXELS = 5

# Pixels around objects that are kept for the wings of objects.
SEGMENT_WIDENING = 5


def star_mask(star, image):
    """
    Return the pixels around a star.

    Parameters
    ----------
    star : tuple or `~regions.CircleSkyRegion`
        As for `~astropy_imphot.masking.stars.star_circle`.
    image : `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
        The image, or its pixels, of shape (ny, nx).

    Returns
    -------
    bool array of shape (ny, nx)
        True within the radius.

    Raises
    ------
    UserError
        If the star is outside the image, or its radius is not above 0.

    Examples
    --------
    >>> from astropy_imphot.masking.masks import star_mask
    >>> from astropy_imphot.simulation import CENTER, sky_grid
    >>> grid = sky_grid((51, 61))
    >>> inside = star_mask((CENTER.ra.deg, CENTER.dec.deg, 0.3), grid)
    >>> int(inside.sum())
    9
    """
    from regions import CircleSkyRegion

    ra, dec, radius = star_circle(star)
    position = SkyCoord(ra, dec, unit="deg")
    grid = read_grid(image)
    wcs, shape = grid.wcs, grid.shape
    x, y = wcs.world_to_pixel(position)
    if not (-0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5):
        raise UserError(f"the star at {ra}, {dec} is outside the image: check its coordinates.")
    inside = CircleSkyRegion(position, radius * u.arcsec).to_pixel(wcs).to_mask(mode="center").to_image(shape)
    return inside > 0


def exclusion_mask(image, *, regions=None, star=None, segment=False, extramask=None):
    """
    Return the mask of an image, of its own masked pixels, regions, a star, segments and another mask.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx), with its own mask.
    regions : str, path, `~regions.Region`, `~regions.Regions`, or sequence of str or Region, optional
        ds9 regions; or ``"star"`` to keep only the pixels around the star, or
        ``"notstar"`` to mask them. By default (None) all of the image is kept.
    star : (float, float, float), optional
        As for `star_mask`. By default (None) there is no star.
    segment : bool
        Keep only the detected objects and their surroundings (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU, HDUList or NDData, optional
        A mask, or an image that is not 0 where a pixel is to be masked. By default (None) there is none.

    Returns
    -------
    bool array of shape (ny, nx)
        True where a pixel is masked.

    Raises
    ------
    UserError
        If no pixel remains, the star is missing or outside the image, or the mask has
        another shape.

    Examples
    --------
    >>> from astropy_imphot.masking.masks import exclusion_mask
    >>> from astropy_imphot.simulation import example_field
    >>> muse = example_field().muse[0]
    >>> int(exclusion_mask(muse, regions=["image", "-circle(10, 20, 3)"]).sum())
    25
    """
    mask = np.zeros(image.shape, dtype=bool) if image.mask is None else image.mask.copy()
    if mask.all():
        raise UserError("every pixel of the MUSE image is masked or not a number: check its mask.")
    if isinstance(regions, str) and regions in ("star", "notstar"):
        if star is None:
            raise UserError(f"regions is {regions!r}, but there is no star: give star (--star).")
        inside = star_mask(star, image)
        mask |= ~inside if regions == "star" else inside
    elif regions is not None:
        mask |= regions_mask(regions, image)
    if extramask is not None:
        mask |= _extra_mask(extramask, image.shape)
    if segment:
        mask |= ~_objects(image, mask)
    if mask.all():
        raise UserError("no pixel of the MUSE image is left to fit: check the regions and masks.")
    return mask


def taper_weights(mask, taper):
    """
    Return weights that fall smoothly to 0 towards masked pixels.

    Parameters
    ----------
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    taper : float
        Width of the transition, pixels; 0 for none.

    Returns
    -------
    array of shape (ny, nx)
        0 where masked, 1 from ``taper`` pixels on, half a cosine between.

    Raises
    ------
    UserError
        If ``taper`` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.masking.masks import taper_weights
    >>> taper_weights(np.array([[True, False, False, False]]), 2).round(2)
    array([[0. , 0.5, 1. , 1. ]])
    """
    if not taper >= 0:
        raise UserError(f"taper is {taper}: give 0 or more pixels.")
    if taper == 0 or not mask.any():
        return np.where(mask, 0.0, 1.0)
    distance = np.minimum(ndimage.distance_transform_edt(~mask) / taper, 1)
    return 0.5 - 0.5 * np.cos(np.pi * distance)


def detected_objects(image, threshold, n_pixels):
    """
    Label the groups of pixels that are brighter than a threshold.

    Parameters
    ----------
    image : array of shape (ny, nx)
        The image, less its background.
    threshold : float
        Least value of a pixel, in the image's unit.
    n_pixels : int
        Least number of connected pixels.

    Returns
    -------
    int array of shape (ny, nx)
        0 where there is no object, 1 and more on the objects.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.masking.masks import detected_objects
    >>> image = np.zeros((20, 20))
    >>> image[3:6, 4:8] = image[10:13, 9:12] = 1
    >>> int(detected_objects(image, 0.5, 5).max())
    2
    """
    # photutils warns if there is no object, and warnings cannot be ignored in one of several threads.
    labels, count = ndimage.label(image > threshold, np.ones((3, 3)))
    is_object = np.bincount(labels.ravel(), minlength=count + 1) >= n_pixels
    is_object[0] = False
    return (np.cumsum(is_object) * is_object)[labels]


def _extra_mask(extramask, shape):
    with naming(extramask):
        if isinstance(extramask, np.ndarray):
            values = extramask
        elif isinstance(extramask, NDData):
            values = extramask.data
        else:
            with opened(extramask) as hdus:
                values = next((hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None), None)
        if values is None:
            raise UserError("the extra mask has no image: give an image of the MUSE image's shape.")
        if values.shape != shape:
            raise UserError(
                f"the extra mask has the shape {values.shape}: it needs the MUSE image's, {shape}."
            )
        return values != 0


def _objects(image, mask):
    """Return the pixels of detected objects and their surroundings."""
    from astropy.stats import sigma_clipped_stats

    _, median, noise = sigma_clipped_stats(image.data, mask=mask)
    light = np.where(mask, 0, image.data - median)
    labels = detected_objects(light, SEGMENT_SIGMA * noise, SEGMENT_PIXELS)
    if not labels.any():
        raise UserError("no object was detected in the MUSE image: do not use segment (--segment).")
    return ndimage.binary_dilation(labels > 0, iterations=SEGMENT_WIDENING)
