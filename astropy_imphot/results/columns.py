"""Descriptions of the columns of tables, and their values as plain numbers."""

import numpy as np

__all__ = ["describe", "numbers"]


def describe(table, words):
    """
    Write descriptions of its columns into a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        The table, whose columns get a description.
    words : dict of str to str
        The descriptions, by the columns' names. Columns of errors (``_err``) need none: they are described
        as the standard deviation of another column.

    Returns
    -------
    `~astropy.table.Table`
        The same table.

    Raises
    ------
    ValueError
        If a column has no description.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.results.columns import describe
    >>> table = describe(QTable({"beta": [2.5], "beta_err": [0.1]}), {"beta": "exponent of the MUSE PSF"})
    >>> table["beta_err"].info.description
    'standard deviation of beta'
    """
    for key in table.colnames:
        value = key.removesuffix("_err")
        if key not in words and value not in words:
            raise ValueError(f"the column {key} has no description: add it to words.")
        table[key].info.description = words.get(key, f"standard deviation of {value}")
    return table


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
