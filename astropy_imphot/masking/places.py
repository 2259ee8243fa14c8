"""Places on the sky that the user gives: coordinates, tables and regions."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.masking.ds9regions import read_regions

__all__ = ["sky_places"]

# Ends of the names of files of regions.
REGION_FILES = (".reg", ".crtf")

# Pairs of columns with coordinates in degrees, in lower case.
COLUMNS = (("ra", "dec"), ("raj2000", "dej2000"), ("ra_icrs", "de_icrs"))


def sky_places(places, name="places"):
    """
    Return places on the sky as coordinates in degrees.

    Parameters
    ----------
    places : `~astropy.coordinates.SkyCoord`, `~astropy.table.Table`, `~regions.Regions`, path, sequence of \
(float, float), or None
        A table has a column ``sky_center`` or columns ``ra`` and ``dec`` (degrees); of regions, the centers
        are used; a file is a region file (.reg, .crtf) or a table.
    name : str
        What they are, for error messages (default: "places").

    Returns
    -------
    tuple of (float, float)
        Right ascension and declination of each place, degrees, ICRS; empty for None.

    Raises
    ------
    UserError
        If there are no coordinates, or a file cannot be read.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astropy.table import Table
    >>> from astropy_imphot.masking.places import sky_places
    >>> sky_places(SkyCoord([10.5, 11.5] * u.deg, [-20.0, -21.0] * u.deg))
    ((10.5, -20.0), (11.5, -21.0))
    >>> sky_places(Table({"RA": [10.5], "DEC": [-20.0]}))
    ((10.5, -20.0),)
    """
    if places is None:
        return ()
    if isinstance(places, str | Path):
        places = _read(Path(places), name)
    if isinstance(places, Table):
        places = _of_table(places, name)
    elif _is_region(places):
        places = [places]
    if isinstance(places, list | tuple) and places and all(isinstance(one, SkyCoord) for one in places):
        places = SkyCoord([one.icrs for one in places])
    elif np.iterable(places) and len(places) and all(_is_region(one) for one in places):
        centers = [one.center for one in places]
        if not all(isinstance(one, SkyCoord) for one in centers):
            raise UserError(f"{name} has regions in pixels: give regions on the sky.")
        places = SkyCoord([one.icrs for one in centers])
    if isinstance(places, SkyCoord):
        places = zip(np.atleast_1d(places.icrs.ra.deg), np.atleast_1d(places.icrs.dec.deg), strict=True)
    try:
        found = tuple((float(ra), float(dec)) for ra, dec in places)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name} is {places!r}: give a SkyCoord, a table, regions, or pairs of degrees."
        ) from error
    if not all(np.isfinite(one).all() and abs(one[1]) <= 90 for one in found):
        raise UserError(
            f"{name} has coordinates that are none: give right ascension and declination in degrees."
        )
    return found


def _is_region(place):
    # Text has a method of this name.
    return hasattr(place, "center") and not isinstance(place, str)


def _read(path, name):
    if not path.is_file():
        raise FileError(f"{path} does not exist: check the name that is given as {name}.")
    try:
        return read_regions(path) if path.suffix.lower() in REGION_FILES else Table.read(path)
    except UserError:
        raise
    except Exception as error:
        raise FileError(f"{path} cannot be read as regions (.reg) or a table: {error}.") from error


def _of_table(table, name):
    if "sky_center" in table.colnames:
        if not isinstance(table["sky_center"], SkyCoord):
            raise UserError(f"the column sky_center of {name} has no coordinates: make it a SkyCoord.")
        return table["sky_center"]
    lower = {column.lower(): column for column in table.colnames}
    for ra, dec in COLUMNS:
        if ra in lower and dec in lower:
            columns = [table[lower[key]] for key in (ra, dec)]
            if any(np.any(getattr(column, "mask", False)) for column in columns):
                raise UserError(f"{name} has masked coordinates: leave these rows out.")
            try:
                return SkyCoord(*(u.Quantity(column, column.unit or u.deg) for column in columns))
            except (TypeError, ValueError) as error:
                raise UserError(
                    f"{name} has coordinates that are none: give right ascension and declination in degrees."
                ) from error
    raise UserError(f"{name} has no columns of coordinates: name them ra and dec, in degrees.")
