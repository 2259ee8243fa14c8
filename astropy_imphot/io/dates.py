"""Dates in the forms of headers and tables."""

import numpy as np
from astropy.time import Time

__all__ = ["header_value", "to_isot", "to_mjd"]


def to_isot(dates):
    """
    Return dates in the form of DATE-OBS.

    Parameters
    ----------
    dates : `~astropy.time.Time`, or anything else, which stays as it is
        The dates.

    Returns
    -------
    str or array of str
        23 characters, UTC; empty for those that are masked.

    Examples
    --------
    >>> from astropy.time import Time
    >>> from astropy_imphot.io.dates import to_isot
    >>> print(to_isot(Time(56925.175, format="mjd")), to_isot("2014-09-25"))
    2014-09-25T04:12:00.000 2014-09-25
    """
    if not isinstance(dates, Time):
        return dates
    utc = dates.utc.copy()
    utc.precision = 3
    return np.where(utc.mask, "", utc.unmasked.isot)[()]


def to_mjd(dates):
    """
    Return dates in the form of MJD-OBS.

    Parameters
    ----------
    dates : `~astropy.time.Time`, or anything else, which stays as it is
        The dates.

    Returns
    -------
    float or array
        Days, UTC; NaN for those that are masked.

    Examples
    --------
    >>> from astropy.time import Time
    >>> from astropy_imphot.io.dates import to_mjd
    >>> print(to_mjd(Time("2014-09-25T04:12:00")), to_mjd(56925.175))
    56925.175 56925.175
    """
    if not isinstance(dates, Time):
        return dates
    return np.where(dates.mask, np.nan, dates.utc.unmasked.mjd)[()]


def header_value(key, value):
    """
    Return a value in a form that a header can contain, also if it is a date.

    Parameters
    ----------
    key : str
        The keyword: dates are days for one that starts with MJD, and strings of date and time for others.
    value : `~astropy.time.Time`, or anything else, which stays as it is
        The value.

    Returns
    -------
    str, float or as it is
        As `to_isot` or `to_mjd` return it.

    Examples
    --------
    >>> from astropy.time import Time
    >>> from astropy_imphot.io.dates import header_value
    >>> print(header_value("DATE-OBS", Time(56925.175, format="mjd")), header_value("OBJECT", "UDF"))
    2014-09-25T04:12:00.000 UDF
    """
    return to_mjd(value) if key.startswith("MJD") else to_isot(value)
