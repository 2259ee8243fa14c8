"""The grid of an image: the places of its pixels on the sky, without their values."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.nddata import NDData
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from astropy_imphot.io.bunit import parse_unit
from astropy_imphot.io.distortion import usable_wcs
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import Source, opened
from astropy_imphot.io.headers import NO_OVERLAP, header_wcs, merged_header, unit_per_pixel
from astropy_imphot.io.layout import science_hdu
from astropy_imphot.io.quantities import to_value
from astropy_imphot.io.representation import Representation

__all__ = ["Grid", "enclosing_slices", "image_grids_aligned", "read_grid"]

# Two grids are the same if no pixel is farther off than this, in pixels.
GRID_TOLERANCE = 0.01

# Sizes of pixels that differ by less are those of the header, relative.
SIZE_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Representation):
    """
    The grid of an image or of a cube's planes: the places of the pixels, without their values.

    Attributes
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial, of two axes.
    shape : (int, int)
        (ny, nx).
    unit : `~astropy.units.UnitBase`
        The unit of the values (default: dimensionless, also where it is not known).
    meta : `~astropy.io.fits.Header` or dict
        The header (default: an empty one).

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.grid import read_grid
    >>> hdu = fits.ImageHDU(np.ones((5, 7)))
    >>> hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=-5e-5, CDELT2=5e-5)
    >>> [round(size, 3) for size in read_grid(hdu).pixel_scale]
    [0.18, 0.18]
    """

    wcs: WCS
    shape: tuple
    unit: u.UnitBase = u.dimensionless_unscaled
    meta: object = field(default_factory=dict)

    def _represented(self):
        return {
            "shape": self.shape,
            "unit": str(self.unit),
            "pixel_scale": tuple(round(one, 4) for one in self.pixel_scale),
        }

    @cached_property
    def pixel_scale(self):
        """Height and width of the pixel at the center, arcsec."""
        sizes = proj_plane_pixel_scales(self.wcs) * u.deg.to(u.arcsec)
        found = np.linalg.norm(self._steps, axis=1)
        # Far from the reference point, pixels have not the size that they have there. Near to it, that in the
        # header is exact.
        if np.max(np.abs(found / sizes - 1)) > SIZE_TOLERANCE:
            sizes = found
        width, height = sizes
        return float(height), float(width)

    @property
    def pixel_area(self):
        """The area of the pixel at the center, square arcsec."""
        found, product = np.linalg.norm(np.cross(*self._steps)), np.prod(self.pixel_scale)
        # Not the product where pixels are no rectangles on the sky.
        return float(product if abs(found / product - 1) < SIZE_TOLERANCE else found)

    @cached_property
    def _steps(self):
        """The steps along x and y by a pixel at the center, as vectors in space, arcsec; shape (2, 3)."""
        y, x = ((size - 1) / 2 for size in self.shape)
        around = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
        places = self.wcs.pixel_to_world(x + around[:, 0], y + around[:, 1]).cartesian.xyz.value.T
        return np.degrees(places[[0, 2]] - places[[1, 3]]) * 3600


def read_grid(source):
    """
    Read the grid of an image or of a cube's planes from its header.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, mpdaf Image or Cube, or Grid
        An image or a cube, of which only the header is read.

    Returns
    -------
    Grid
        Its pixels.

    Raises
    ------
    UserError
        If the file is missing, truncated, not FITS, or has no image or cube with a
        celestial WCS.

    Examples
    --------
    See `~astropy_imphot.io.grid.Grid`.
    """
    if isinstance(source, Grid):
        return source
    if isinstance(source, NDData):
        unit = source.unit if source.unit is not None else u.dimensionless_unscaled
        if source.wcs is None or not getattr(source.wcs, "has_celestial", False):
            raise UserError(f"the {type(source).__name__} has no celestial WCS: set its wcs attribute.")
        wcs = usable_wcs(source.wcs).celestial
        return _with_unit(Grid(wcs, source.data.shape[-2:], meta=source.meta), unit)
    with opened(source) as hdus:
        return source.once(_grid_of, hdus) if isinstance(source, Source) else _grid_of(hdus)


def _grid_of(hdus):
    science = science_hdu(hdus)
    header = merged_header(hdus, science)
    wcs = header_wcs(science, hdus).celestial
    return _with_unit(Grid(wcs, science.shape[-2:], meta=header), parse_unit(header.get("BUNIT")))


def _with_unit(grid, unit):
    return replace(grid, unit=unit_per_pixel(unit, grid.pixel_area))


def image_grids_aligned(image_1, image_2, tolerance=GRID_TOLERANCE):
    """
    Return whether two images have the same pixels on the sky.

    Parameters
    ----------
    image_1, image_2 : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        Images or cubes, of which only the headers are read.
    tolerance : float or `~astropy.units.Quantity`
        How far pixels may be apart, pixels (default: 0.01).

    Returns
    -------
    bool
        True if they have the same shape (ny, nx) and their corners are at the same
        places on the sky.

    Raises
    ------
    UserError
        If either cannot be read or has no celestial WCS.

    Examples
    --------
    >>> from astropy_imphot import image_grids_aligned
    >>> from astropy_imphot.simulation import sky_grid
    >>> image_grids_aligned(sky_grid((50, 60)), sky_grid((50, 60)))
    True
    >>> image_grids_aligned(sky_grid((50, 60)), sky_grid((50, 60), rotation=1.0))
    False
    """
    tolerance = to_value(tolerance, u.pix, "tolerance")
    grid_1, grid_2 = read_grid(image_1), read_grid(image_2)
    if grid_1.shape != grid_2.shape:
        return False
    ny, nx = grid_1.shape
    x, y = np.array([0, nx - 1, 0, nx - 1]), np.array([0, 0, ny - 1, ny - 1])
    x_2, y_2 = grid_2.wcs.world_to_pixel(grid_1.wcs.pixel_to_world(x, y))
    return bool(np.all(np.hypot(x_2 - x, y_2 - y) < tolerance))


def enclosing_slices(footprint, grid):
    """
    Return the rectangle of pixels that encloses positions on the sky.

    Parameters
    ----------
    footprint : `~astropy.coordinates.SkyCoord`
        The positions.
    grid : Grid
        The image's pixels.

    Returns
    -------
    (slice, slice)
        Of its rows and columns.

    Raises
    ------
    UserError
        If fewer than 2 x 2 pixels are left.

    Examples
    --------
    >>> from astropy_imphot.io.grid import enclosing_slices
    >>> from astropy_imphot.simulation import sky_grid
    >>> grid = sky_grid((50, 60))
    >>> enclosing_slices(grid.wcs.pixel_to_world([10.2, 19.9], [4.5, 7.1]), grid)
    (slice(4, 9, None), slice(10, 21, None))
    """
    x, y = grid.wcs.world_to_pixel(footprint)
    slices = []
    for pixels, size in zip((y, x), grid.shape, strict=True):
        if not np.all(np.isfinite(pixels)):
            size = 0
            pixels = np.zeros(1)
        start = max(0, int(np.floor(pixels.min())))
        stop = min(size, int(np.ceil(pixels.max())) + 1)
        if stop - start < 2:
            raise UserError(NO_OVERLAP)
        slices.append(slice(start, stop))
    return tuple(slices)
