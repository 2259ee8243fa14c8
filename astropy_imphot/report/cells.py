"""Columns of tables as text, and names as labels of figures."""

import numpy as np

from astropy_imphot.results.values import with_error

__all__ = ["label", "texts", "with_error"]

# Characters of a name in a figure.
LONGEST_LABEL = 24

# matplotlib's font has all letters before this one; matplotlib warns of letters that are missing.
LATIN = 0x250


def texts(table, key):
    """
    Return a column as text.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        The table.
    key : str
        The column's name.

    Returns
    -------
    list of str
        Empty where the column is masked.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.cells import texts
    >>> texts(QTable({"exposure": [b"E1", b"E2"]}), "exposure")
    ['E1', 'E2']
    """
    return ["" if value is np.ma.masked else _decoded(value) for value in table[key]]


def _decoded(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def label(name):
    """
    Return a name as a label of a figure.

    Parameters
    ----------
    name : str
        Any name, of a file for example.

    Returns
    -------
    str
        The name, shortened if it is long, without formulas; a legend does not hide it.

    Examples
    --------
    >>> from astropy_imphot.report.cells import label
    >>> label("E1"), label("a very long name of an exposure")
    ('E1', 'a very long name of a...')
    """
    shown = "".join(c if c.isprintable() and ord(c) < LATIN else "?" for c in name)
    if len(shown) > LONGEST_LABEL:
        shown = f"{shown[: LONGEST_LABEL - 3]}..."
    return (f" {shown}" if shown.startswith("_") else shown).replace("$", r"\$")
