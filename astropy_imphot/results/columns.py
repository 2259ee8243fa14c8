"""Columns of tables as plain numbers."""

import numpy as np

__all__ = ["numbers"]


def numbers(table, key):
    """
    Return a column as plain numbers.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        The table.
    key : str
        The column's name.

    Returns
    -------
    array of float
        In the column's unit; NaN where the column is masked.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.results.columns import numbers
    >>> numbers(QTable({"fwhm": [0.6, 0.7] * u.arcsec}), "fwhm")
    array([0.6, 0.7])
    """
    column = table[key]
    values = np.array(np.ma.getdata(getattr(column, "unmasked", column).value), dtype=float)
    return np.where(getattr(column, "mask", False), np.nan, values)
