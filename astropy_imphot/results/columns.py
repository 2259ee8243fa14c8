"""Columns of tables: what they are, and their plain numbers."""

import numpy as np

__all__ = ["describe", "numbers"]


def describe(table, words):
    """
    Write into a table what its columns are.

    Parameters
    ----------
    table : `~astropy.table.Table`
        The table, whose columns get a description.
    words : dict of str to str
        What each column is, by its name. A column of errors (``_err``) needs none: it is the standard
        deviation of another one.

    Returns
    -------
    `~astropy.table.Table`
        The same table.

    Raises
    ------
    ValueError
        If nothing describes a column.

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
            raise ValueError(f"nothing describes the column {key}: give its words.")
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
