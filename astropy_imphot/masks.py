"""Regions, stars, segments and mask images: one boolean mask, True where a pixel is left out."""

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.utils.exceptions import AstropyUserWarning

from astropy_imphot.errors import UserError
from astropy_imphot.files import opened

__all__ = ["exclusion_mask", "read_regions", "regions_mask", "star_mask", "taper_weights"]

# Coordinate frames that a ds9 region file can name; without any it is in pixels.
DS9_FRAMES = ("image", "physical", "fk4", "fk5", "b1950", "j2000", "icrs", "galactic", "ecliptic")

# Detection of objects: standard deviations above the background, and connected pixels.
SEGMENT_SIGMA = 2.0
SEGMENT_PIXELS = 5

# Objects are fitted with the light of their wings, this many pixels around them.
SEGMENT_WIDENING = 5


def read_regions(source):
    """
    Read regions in ds9's format.

    Parameters
    ----------
    source : str, path, sequence of str, or `~regions.Regions`
        A file's name, or its lines.

    Returns
    -------
    `~regions.Regions`
        The regions; those with a leading minus have ``meta["include"]`` 0. Coordinates
        of a file that names no frame are pixels. ``physical`` is the same as ``image``.

    Raises
    ------
    UserError
        If the file is missing, or nothing in it can be used.

    Warns
    -----
    AstropyUserWarning
        For every shape that cannot be used, by its name.

    Examples
    --------
    >>> from astropy_imphot.masks import read_regions
    >>> regions = read_regions(["image", "circle(10, 20, 3)", "-box(5, 6, 2, 2, 30)"])
    >>> [region.meta["include"] for region in regions]
    [1, 0]
    """
    from regions import Regions

    if isinstance(source, Regions):
        return source
    if isinstance(source, (str, Path)):
        name = str(source)
        try:
            lines = Path(source).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the region file {name} cannot be read: {error}.") from error
    else:
        name, lines = "the list of regions", list(source)
    text = "\n".join(lines)
    text = re.sub(r"(?im)(^|;)(\s*)physical(\s*)(?=;|$)", r"\1\2image\3", text)
    if not re.search(rf"(?im)(^|;)\s*({'|'.join(DS9_FRAMES)})\s*(;|$)", text):
        text = "image\n" + text
    with warnings.catch_warnings():
        # What the parser leaves out, it says in warnings, which are passed on by name.
        warnings.filterwarnings("always", category=AstropyUserWarning)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                regions = Regions.parse(text, format="ds9")
            except (ValueError, TypeError) as error:
                raise UserError(f"{name} is not in ds9's region format: {error}") from error
    for warning in caught:
        warnings.warn(f"{name}: {warning.message}", AstropyUserWarning, stacklevel=2)
    if not len(regions):
        raise UserError(f"{name} holds no usable region: give circles, ellipses, boxes or polygons.")
    return regions


def regions_mask(regions, wcs, shape):
    """
    Return what ds9 regions leave out.

    Parameters
    ----------
    regions : str, path, sequence of str, or `~regions.Regions`
        As for `read_regions`.
    wcs : `~astropy.wcs.WCS`
        Of the image.
    shape : (int, int)
        Its (ny, nx).

    Returns
    -------
    bool array of shape (ny, nx)
        True within every excluded region and, if there are included ones, outside all
        of them. A pixel is within a region if its centre is.

    Raises
    ------
    UserError
        If no region can be used.

    Examples
    --------
    >>> from astropy_imphot.masks import regions_mask
    >>> from astropy_imphot.simulate import sky_grid
    >>> grid = sky_grid((50, 60))
    >>> mask = regions_mask(["image", "-circle(10, 20, 3)"], grid.wcs, grid.shape)
    >>> bool(mask[19, 9]), int(mask.sum())
    (True, 25)
    """
    from regions import SkyRegion

    usable = {True: [], False: []}
    for region in read_regions(regions):
        pixel_region = region.to_pixel(wcs) if isinstance(region, SkyRegion) else region
        try:
            inside = pixel_region.to_mask(mode="center").to_image(shape)
        except (NotImplementedError, ValueError):
            warnings.warn(
                f"the region {type(region).__name__} encloses no pixels and is ignored.",
                AstropyUserWarning,
                stacklevel=2,
            )
            continue
        inside = np.zeros(shape, dtype=bool) if inside is None else inside > 0
        usable[bool(int(region.meta.get("include", True)))].append(inside)
    if not any(usable.values()):
        raise UserError("none of the regions encloses an area: give circles, ellipses, boxes or polygons.")
    mask = np.any(usable[False], axis=0) if usable[False] else np.zeros(shape, dtype=bool)
    return mask | ~np.any(usable[True], axis=0) if usable[True] else mask


def star_mask(star, wcs, shape):
    """
    Return the pixels around a star.

    Parameters
    ----------
    star : (float, float, float)
        Right ascension and declination (degrees) and radius (arcsec).
    wcs : `~astropy.wcs.WCS`
        Of the image.
    shape : (int, int)
        Its (ny, nx).

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
    >>> from astropy_imphot.masks import star_mask
    >>> from astropy_imphot.simulate import CENTER, sky_grid
    >>> grid = sky_grid((51, 61))
    >>> inside = star_mask((CENTER.ra.deg, CENTER.dec.deg, 0.3), grid.wcs, grid.shape)
    >>> int(inside.sum())
    9
    """
    from regions import CircleSkyRegion

    try:
        ra, dec, radius = (float(number) for number in star)
        position = SkyCoord(ra, dec, unit="deg")
    except (TypeError, ValueError) as error:
        raise UserError(
            f"star is {star}: give right ascension and declination (degrees) and radius (arcsec)."
        ) from error
    if not radius > 0:
        raise UserError(f"the star's radius is {radius}: give more than 0 arcsec.")
    x, y = wcs.world_to_pixel(position)
    if not (-0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5):
        raise UserError(f"the star at {ra}, {dec} is outside the MUSE image: check its coordinates.")
    inside = CircleSkyRegion(position, radius * u.arcsec).to_pixel(wcs).to_mask(mode="center").to_image(shape)
    return inside > 0


def exclusion_mask(image, *, regions=None, star=None, segment=False, extramask=None):
    """
    Combine all reasons to leave out a pixel.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx), with its own mask.
    regions : str, path, sequence of str, or `~regions.Regions`, optional
        ds9 regions; or ``"star"`` to keep only the pixels around the star, or
        ``"notstar"`` to leave them out. By default (None) all of the image is kept.
    star : (float, float, float), optional
        As for `star_mask`.
    segment : bool
        Keep only the detected objects and their surroundings (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        A mask, or an image that is not 0 where a pixel is to be left out.

    Returns
    -------
    bool array of shape (ny, nx)
        True where a pixel is left out.

    Raises
    ------
    UserError
        If no pixel remains, the star is missing or outside the image, or the mask has
        another shape.

    Examples
    --------
    >>> from astropy_imphot.masks import exclusion_mask
    >>> from astropy_imphot.simulate import simulate_field
    >>> muse = simulate_field(seed=1, size=10.0).muse[0]
    >>> int(exclusion_mask(muse, regions=["image", "-circle(10, 20, 3)"]).sum())
    25
    """
    mask = np.zeros(image.shape, dtype=bool) if image.mask is None else image.mask.copy()
    if mask.all():
        raise UserError("every pixel of the MUSE image is masked or not a number: check its mask.")
    if isinstance(regions, str) and regions in ("star", "notstar"):
        if star is None:
            raise UserError(f"regions is {regions!r}, but there is no star: give star (--star).")
        inside = star_mask(star, image.wcs, image.shape)
        mask |= ~inside if regions == "star" else inside
    elif regions is not None:
        mask |= regions_mask(regions, image.wcs, image.shape)
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
        True where a pixel is left out.
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
    >>> from astropy_imphot.masks import taper_weights
    >>> taper_weights(np.array([[True, False, False, False]]), 2).round(2)
    array([[0. , 0.5, 1. , 1. ]])
    """
    from scipy.ndimage import distance_transform_edt

    if not taper >= 0:
        raise UserError(f"taper is {taper}: give 0 or more pixels.")
    if taper == 0 or not mask.any():
        return np.where(mask, 0.0, 1.0)
    distance = np.minimum(distance_transform_edt(~mask) / taper, 1)
    return 0.5 - 0.5 * np.cos(np.pi * distance)


def _extra_mask(extramask, shape):
    if isinstance(extramask, np.ndarray):
        values, name = extramask, "the extra mask"
    else:
        name = f"the extra mask {extramask}"
        with opened(extramask) as hdus:
            values = next((hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None), None)
        if values is None:
            raise UserError(f"{name} holds no image: give an image of the MUSE image's shape.")
    if values.shape != shape:
        raise UserError(f"{name} has the shape {values.shape}: it needs the MUSE image's, {shape}.")
    return values != 0


def _objects(image, mask):
    """Return the pixels of detected objects and their surroundings."""
    from astropy.stats import sigma_clipped_stats
    from photutils.segmentation import detect_sources
    from scipy.ndimage import binary_dilation

    _, median, noise = sigma_clipped_stats(image.data, mask=mask)
    found = detect_sources(np.where(mask, median, image.data) - median, SEGMENT_SIGMA * noise, SEGMENT_PIXELS)
    if found is None:
        raise UserError("no object was detected in the MUSE image: do not use segment (--segment).")
    return binary_dilation(found.data > 0, iterations=SEGMENT_WIDENING)
