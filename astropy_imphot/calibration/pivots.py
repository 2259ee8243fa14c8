"""Pivot wavelengths of filters, for the conversion of fluxes per Hertz."""

import re
from functools import cache
from pathlib import Path

import numpy as np

from astropy_imphot.calibration.curves import available_curves, named_curve

__all__ = ["known_pivot", "pivot_of_curve"]

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
        return pivot_of_curve(*named_curve(name, camera)[:2])
    return None


def pivot_of_curve(wavelength, sensitivity):
    r"""
    Return the pivot wavelength of a filter curve.

    Parameters
    ----------
    wavelength : array of shape (n,)
        Ascending, Angstrom.
    sensitivity : array of shape (n,)
        Detected electrons per photon, linear between the wavelengths.

    Returns
    -------
    float
        In Angstrom.

    Notes
    -----
    With the sensitivity T, it is :math:`\sqrt{\int \lambda T d\lambda / \int T/\lambda\, d\lambda}` (Tokunaga
    & Vacca 2005, PASP 117, 421).

    Examples
    --------
    >>> from astropy_imphot.calibration.pivots import pivot_of_curve
    >>> round(pivot_of_curve([5999.0, 6000.0, 7000.0, 7001.0], [0.0, 1.0, 1.0, 0.0]), 1)
    6493.6
    """
    # Fine enough for the trapezoidal rule also where the curve has few points.
    fine = np.union1d(wavelength, np.arange(np.min(wavelength), np.max(wavelength), 1.0))
    values = np.interp(fine, wavelength, sensitivity)
    return float(np.sqrt(np.trapezoid(values * fine, fine) / np.trapezoid(values / fine, fine)))


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
