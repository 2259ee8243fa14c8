"""Masks of region files of ds9 and CASA, read by the regions package."""

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.wcs.utils import wcs_to_celestial_frame

from astropy_imphot.io.errors import FileError, UserError, warn
from astropy_imphot.io.files import naming
from astropy_imphot.io.grid import read_grid
from astropy_imphot.masking.ds9text import FRAMES, readable_lines

__all__ = ["read_regions", "regions_mask"]

ANY_FRAME = re.compile(rf"({'|'.join(FRAMES)})\s*(#.*)?", re.IGNORECASE)

# The first characters of files of other formats.
CRTF = "#CRTF"
FITS = b"SIMPLE"

# Whose the formats are.
FORMATS = {"ds9": "ds9", "crtf": "CASA"}

# A box of CASA by two corners. The regions package takes their difference in right ascension for a width.
CORNERS = re.compile(r"\bbox\s*\[\s*\[([^,\]]*),([^\]]*)\]\s*,\s*\[([^,\]]*),([^\]]*)\]\s*\]")


def read_regions(source, grid=None):
    """
    Read regions in ds9's or CASA's format (CRTF), or take those of the regions package.

    Parameters
    ----------
    source : str, path, `~regions.Region`, `~regions.Regions`, or sequence of str or Region
        A file's name, or its lines, or regions.
    grid : `~astropy_imphot.io.grid.Grid`, optional
        The image's pixels, for sizes in pixels of regions on the sky, and angular sizes of regions in pixels.
        By default (None) these cannot be used.

    Returns
    -------
    `~regions.Regions`
        The regions; those with a leading minus have ``meta["include"]`` 0. Coordinates
        of a file without a frame are pixels. ``physical`` is the same as ``image``, and ``wcs`` is the frame
        of the image, or else ICRS.

    Raises
    ------
    UserError
        If the file is missing, or nothing in it can be used.

    Warns
    -----
    ImphotWarning
        For every shape that cannot be used, by its name.

    Examples
    --------
    >>> from astropy_imphot.masking.ds9regions import read_regions
    >>> regions = read_regions(["image", "circle(10, 20, 3)", "-box(5, 6, 2, 2, 30)"])
    >>> [region.meta["include"] for region in regions]
    [1, 0]
    """
    from regions import Region, Regions

    if isinstance(source, Regions):
        return source
    if isinstance(source, Region):
        return Regions([source])
    if not isinstance(source, (str, Path)):
        source = list(source)
        if source and all(isinstance(one, Region) for one in source):
            return Regions(source)
    lines = source
    if isinstance(source, (str, Path)):
        if not Path(source).is_file():
            raise FileError(f"{source} does not exist: check the name.")
        lines = _text(source).splitlines()
    with naming(source):
        return _parsed(lines, grid)


def _text(path):
    try:
        content = Path(path).read_bytes()
        if not content.startswith(FITS):
            return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as text: save the regions again in ds9.") from error
    raise FileError(
        f"{path} is a FITS table of regions, in which the first pixel can be 0 or 1: save the regions in "
        "ds9's format."
    )


def _parsed(lines, grid):
    from regions import Regions

    if "".join(lines[:1]).startswith(CRTF):
        text, form = CORNERS.sub(r"poly[[\1,\2],[\3,\2],[\3,\4],[\1,\4]]", "\n".join(lines)), "crtf"
    else:
        lines = readable_lines(lines, grid)
        frames = [line for line in lines if ANY_FRAME.fullmatch(line.strip())]
        text, form = "\n".join(lines if frames else ["image", *lines]), "ds9"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            regions = Regions.parse(text, format=form)
        except (ValueError, TypeError) as error:
            reason = "a number is missing" if isinstance(error, TypeError) else str(error).splitlines()[0]
            raise UserError(
                f"the regions are not in {FORMATS[form]}'s format ({reason}): correct them, or save them "
                "again."
            ) from error
    # Annotations of CASA are no regions.
    regions = Regions([one for one in regions if one.meta.get("type") != "ann"])
    # The shapes that the parser ignores are only in its warnings.
    for warning in caught:
        warn(str(warning.message))
    if not len(regions):
        raise UserError("there is no usable region: give circles, ellipses, boxes or polygons.")
    return regions


def regions_mask(regions, image):
    """
    Return the pixels that ds9 regions mask.

    Parameters
    ----------
    regions
        As for `read_regions`.
    image : `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
        The image, or its pixels, of shape (ny, nx).

    Returns
    -------
    bool array of shape (ny, nx)
        True within every excluded region and, if there are included ones, outside all
        of them. A pixel is within a region if its center is.

    Raises
    ------
    UserError
        If no region can be used.

    Examples
    --------
    >>> from astropy_imphot.masking.ds9regions import regions_mask
    >>> from astropy_imphot.simulation import sky_grid
    >>> grid = sky_grid((50, 60))
    >>> mask = regions_mask(["image", "-circle(10, 20, 3)"], grid)
    >>> bool(mask[19, 9]), int(mask.sum())
    (True, 25)
    """
    grid = read_grid(image)
    with naming(regions):
        return _mask(read_regions(regions, grid), grid.wcs, grid.shape)


def _mask(regions, wcs, shape):
    from regions import SkyRegion

    usable = {True: [], False: []}
    for region in regions:
        try:
            # On the far side of the sky there are no pixels.
            with np.errstate(invalid="ignore"):
                pixel_region = _turned(region, wcs).to_pixel(wcs) if isinstance(region, SkyRegion) else region
            inside = pixel_region.to_mask(mode="center").to_image(shape)
        except (NotImplementedError, ValueError):
            warn(f"a {type(region).__name__} encloses no pixels and is ignored.")
            continue
        inside = np.zeros(shape, dtype=bool) if inside is None else inside > 0
        usable[bool(int(region.meta.get("include", True)))].append(inside)
    if not any(usable.values()):
        raise UserError("the regions enclose no area: give circles, ellipses, boxes or polygons.")
    mask = np.any(usable[False], axis=0) if usable[False] else np.zeros(shape, dtype=bool)
    return mask | ~np.any(usable[True], axis=0) if usable[True] else mask


def _turned(region, wcs):
    """Return a region in the image's frame, with its angle measured from the axes of that frame."""
    if not hasattr(region, "angle"):
        return region
    frame = wcs_to_celestial_frame(wcs)
    north = region.center.directional_offset_by(0 * u.deg, 1 * u.arcsec).transform_to(frame)
    center = region.center.transform_to(frame)
    return region.copy(center=center, angle=region.angle + center.position_angle(north))
