"""Pivot wavelengths of filters, for the conversion of fluxes per Hertz."""

import re
from functools import cache
from pathlib import Path

from astropy_imphot.calibration.curves import available_curves
from astropy_imphot.calibration.filter_curve import FilterCurve

__all__ = ["known_pivot"]

TABLES = (
    Path(__file__).with_name("data") / "acs_wfc_zero_points.ecsv",
    Path(__file__).with_name("data") / "pivot_wavelengths.ecsv",
)

# Names of filters in headers of surveys, such as HSC-R2, OCAM_r_SDSS and "r DECam SDSS c0002 6415.0 1480.0".
BAND = re.compile(r"(?:HSC-|OCAM_)?([UGRIZY])(?:\d|_\d+|_SDSS| DECAM.*)?", re.IGNORECASE)


def known_pivot(name, camera):
    """
    Return the pivot wavelength of a filter of a camera.

    Parameters
    ----------
    name : str
        The filter, as in headers.
    camera : str
        The camera, as of `~astropy_imphot.calibration.curves.named_curve`; or ``"DECAM"``, ``"HSC"``,
        ``"LSST"`` or ``"BASS/MZLS"``.

    Returns
    -------
    float or None
        In Angstrom, from a table, or that of the curve which comes with the package; None if there is
        neither.

    Examples
    --------
    >>> from astropy_imphot.calibration.pivots import known_pivot
    >>> known_pivot("F775W", "ACS/WFC"), known_pivot("HSC-R2", "HSC")
    (7692.4, 6214.0)
    >>> round(known_pivot("F070W", "NIRCAM"))
    7047
    """
    name, camera = name.strip().upper(), camera.upper()
    band = BAND.fullmatch(name)
    for key in (name, band and band[1]):
        if (camera, key) in _tables():
            return _tables()[camera, key]
    if name in available_curves().get(camera, {}):
        return FilterCurve.named(name, camera).pivot
    return None


@cache
def _tables():
    from astropy.table import Table

    found = {}
    for path in TABLES:
        table = Table.read(path, format="ascii.ecsv")
        cameras = table["camera"] if "camera" in table.colnames else [table.meta["camera"]] * len(table)
        for camera, name, pivot in zip(cameras, table["filter"], table["photplam"], strict=True):
            found[str(camera), str(name)] = float(pivot)
    return found
