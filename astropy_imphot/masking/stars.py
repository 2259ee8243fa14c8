"""Places on the sky, as numbers, coordinates or regions."""

import astropy.units as u
from astropy.coordinates import SkyCoord

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.quantities import to_value

__all__ = ["star_circle"]


def star_circle(star):
    """
    Return the center and the radius of a circle around a star.

    Parameters
    ----------
    star : (float, float, float), (`~astropy.coordinates.SkyCoord`, float) or `~regions.CircleSkyRegion`
        Right ascension and declination (degrees) and radius (arcsec), each a number or a
        `~astropy.units.Quantity`; or a place and the radius; or a circle.

    Returns
    -------
    (float, float, float)
        ICRS right ascension and declination (degrees), and radius (arcsec).

    Raises
    ------
    UserError
        If it is none of these, or the radius is not above 0.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astropy_imphot.masking.stars import star_circle
    >>> star_circle((53.15, -27.77, 2.0))
    (53.15, -27.77, 2.0)
    >>> star_circle((SkyCoord(53.15, -27.77, unit="deg"), 0.05 * u.arcmin))
    (53.15, -27.77, 3.0)
    """
    if hasattr(star, "center") and hasattr(star, "radius"):
        star = star.center, star.radius
    try:
        *place, radius = star
        if len(place) == 1 and isinstance(place[0], SkyCoord):
            ra, dec = place[0].icrs.ra.deg, place[0].icrs.dec.deg
        else:
            ra, dec = (float(to_value(one, u.deg, "star")) for one in place)
            # Declinations beyond the poles are errors here, not in the fit.
            SkyCoord(ra, dec, unit="deg")
        radius = float(to_value(radius, u.arcsec, "the star's radius"))
        ra, dec = float(ra), float(dec)
    except (UserError, TypeError, ValueError) as error:
        raise UserError(
            f"star is {star}: give right ascension and declination (degrees) and radius (arcsec)."
        ) from error
    if not radius > 0:
        raise UserError(f"the star's radius is {radius}: give more than 0 arcsec.")
    return ra, dec, radius
