"""What is in the tables of a field, as numbers and as text."""

import numpy as np

__all__ = ["label", "texts", "with_error"]

# Characters of a name in a figure.
LONGEST_LABEL = 24

# matplotlib's font has all letters before this one, and warns of those that it has not.
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
        Nothing where the column is masked.

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


def with_error(value, error):
    """
    Return a value and its error to the digits that mean something.

    Parameters
    ----------
    value, error : float
        The value and its standard deviation, which is 0 if the value was fixed.

    Returns
    -------
    str
        Two digits of the error, and the value to the same place; nothing if the value is
        not a number.

    Examples
    --------
    >>> from astropy_imphot.report.cells import with_error
    >>> with_error(0.651234, 0.004321)
    '0.6512 ± 0.0043'
    >>> with_error(2.8, 0.0)
    '2.8 (fixed)'
    >>> with_error(float("nan"), 0.1)
    ''
    """
    if not np.isfinite(value):
        return ""
    if error == 0:
        return f"{value:.5g} (fixed)"
    if not np.isfinite(error):
        return f"{value:.5g} ± ?"
    places = 1 - int(np.floor(np.log10(abs(error))))
    if not 0 <= places <= 8:
        return f"{value:.5g} ± {error:.2g}"
    return f"{value:.{places}f} ± {error:.{places}f}"


def label(name):
    """
    Return a name as matplotlib takes it.

    Parameters
    ----------
    name : str
        Any name, of a file for example.

    Returns
    -------
    str
        It is no formula, not too long, and not hidden in a legend.

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
