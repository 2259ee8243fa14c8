"""Offsets along the pixel axes as offsets on the sky."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np

from astropy_imphot.io.grid import read_grid
from astropy_imphot.results.values import FittedValue

__all__ = ["Pivot", "pivot_of", "sky_jacobian", "sky_offsets"]


@dataclass(frozen=True)
class Pivot:
    """
    The place of an image at which the offset does not depend on the rotation, and the offset there.

    Attributes
    ----------
    x, y : float
        The place, pixels, 0 at the center of the first.
    dx, dy : `~astropy_imphot.FittedValue`
        The offset there, arcsec.

    Examples
    --------
    See `~astropy_imphot.FittedImagePhotometry`, whose ``pivot`` is one.
    """

    x: float
    y: float
    dx: FittedValue
    dy: FittedValue


def pivot_of(values, covariance, shape, pixel_scale):
    """
    Return the place at which the errors of the offset and of the rotation are independent.

    Parameters
    ----------
    values : dict of str to `~astropy_imphot.FittedValue`
        dx, dy and rotation, about the center of the image.
    covariance : array of shape (3, 3)
        Of dx, dy (arcsec) and rotation (degrees).
    shape : (int, int)
        The image's (ny, nx).
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.

    Returns
    -------
    Pivot
        The center of the image if the rotation was held.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy_imphot import FittedValue
    >>> from astropy_imphot.results.offsets import pivot_of
    >>> values = {key: FittedValue(0.0, 0.1, False, u.arcsec) for key in ("dx", "dy")}
    >>> values["rotation"] = FittedValue(0.0, 0.1, False, u.deg)
    >>> covariance = np.diag([0.01, 0.01, 0.01])
    >>> covariance[0, 2] = covariance[2, 0] = 0.01 * np.radians(10.0)
    >>> pivot = pivot_of(values, covariance, (301, 301), (0.2, 0.2))
    >>> round(pivot.y - 150, 3), round(pivot.x - 150, 3)
    (50.0, 0.0)
    """
    turn = np.radians(1)
    variance = covariance[2, 2]
    right, up = (
        (-covariance[1, 2] / variance / turn, covariance[0, 2] / variance / turn) if variance > 0 else (0, 0)
    )
    # A rotation by a small angle moves (right, up) by the angle times (-up, right).
    effect = np.array([[1, 0, -turn * up], [0, 1, turn * right]])
    found = effect @ [values[key].value for key in ("dx", "dy", "rotation")]
    errors = np.sqrt(np.maximum(np.diag(effect @ covariance @ effect.T), 0))
    dx, dy = (
        replace(values[key], value=float(value), stdev=float(error))
        for key, value, error in zip(("dx", "dy"), found, errors, strict=True)
    )
    (ny, nx), (height, width) = shape, pixel_scale
    return Pivot(float(right / width + (nx - 1) / 2), float(up / height + (ny - 1) / 2), dx, dy)


def sky_offsets(dx, dy, covariance, image):
    """
    Return the offsets in right ascension and declination.

    Parameters
    ----------
    dx, dy : `~astropy_imphot.FittedValue`
        Offsets of the MUSE image from the HST image along the pixel axes, arcsec.
    covariance : array of shape (2, 2)
        Covariance of dx and dy, arcsec^2.
    image : `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
        The MUSE image, or its pixels.

    Returns
    -------
    dict of str to `~astropy_imphot.FittedValue`
        ``dra`` and ``ddec``, differences of coordinates at the center of the field in
        arcsec, MUSE - HST, not multiplied by the cosine of the declination: subtracted
        from CRVAL1 and CRVAL2 they correct the MUSE image.

    Examples
    --------
    >>> import astropy.units as u
    >>> import numpy as np
    >>> from astropy_imphot import FittedValue
    >>> from astropy_imphot.results.offsets import sky_offsets
    >>> from astropy_imphot.simulation import sky_grid
    >>> dx, dy = FittedValue(0.1, 0.01, False, u.arcsec), FittedValue(0.2, 0.01, False, u.arcsec)
    >>> offsets = sky_offsets(dx, dy, np.diag([1e-4, 1e-4]), sky_grid((50, 60)))
    >>> print(offsets["dra"], "and", offsets["ddec"])
    -0.113 ± 0.011 arcsec and 0.200 ± 0.010 arcsec
    """
    jacobian = sky_jacobian(image)
    errors = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))
    values = jacobian @ [dx.value, dy.value]
    fixed = dx.fixed and dy.fixed
    return {
        key: FittedValue(float(value), float(error), fixed, u.arcsec)
        for key, value, error in zip(("dra", "ddec"), values, errors, strict=True)
    }


def sky_jacobian(image):
    """
    Return the matrix that converts offsets along the pixel axes into offsets on the sky.

    Parameters
    ----------
    image
        As for `sky_offsets`.

    Returns
    -------
    array of shape (2, 2)
        Derivatives of right ascension and declination with respect to x and y, arcsec / arcsec.

    Examples
    --------
    >>> from astropy_imphot.results.offsets import sky_jacobian
    >>> from astropy_imphot.simulation import sky_grid
    >>> sky_jacobian(sky_grid((50, 60))).round(2)
    array([[-1.13,  0.  ],
           [ 0.  ,  1.  ]])
    """
    grid = read_grid(image)
    return _degrees_per_pixel(grid) * 3600 / grid.pixel_scale[::-1]


def _degrees_per_pixel(grid):
    """Return d(ra, dec)/d(x, y) at the center of an image, from central differences of a pixel."""
    y, x = ((size - 1) / 2 for size in grid.shape)
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    places = grid.wcs.pixel_to_world(x + steps[:, 0], y + steps[:, 1]).icrs
    around = places.ra.wrap_at(places.ra[0] + 180 * u.deg).deg, places.dec.deg
    return np.array([[one[0] - one[1], one[2] - one[3]] for one in around])
