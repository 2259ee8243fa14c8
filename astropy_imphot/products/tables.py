"""Tables of results, in any format that astropy writes."""

from astropy.io import registry
from astropy.table import QTable, vstack

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.writing import atomic_write

__all__ = ["check_format", "write_table"]


def check_format(path):
    """
    Raise a `~astropy_imphot.UserError` if the suffix of a table's file does not belong to a format.

    Parameters
    ----------
    path : str or path
        The file to be written.

    Raises
    ------
    UserError
        If astropy writes no format with this suffix.

    Examples
    --------
    >>> from astropy_imphot.products.tables import check_format
    >>> check_format("results.ecsv")
    """
    if not registry.identify_format("write", QTable, str(path), None, [], {}):
        raise UserError(f"{path} has no suffix of a table: use .ecsv, .fits or .csv.")


def write_table(results, path, *, overwrite=False):
    """
    Write the values of several fits, a row each.

    Parameters
    ----------
    results : sequence of `~astropy_imphot.FittedPhotometry`
        The fits.
    path : str or path
        The file; its suffix gives the format.
    overwrite : bool
        Replace an existing file (default: False).

    Raises
    ------
    UserError
        If the file exists and ``overwrite`` is False, its format is not known, or it
        cannot be written.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulation import example_field
    >>> from astropy_imphot.products.tables import write_table
    >>> field = example_field()
    >>> fit = fit_image_photometry(field.hst, field.muse[0], name="E1")
    >>> write_table([fit], "results.ecsv", overwrite=True)
    """
    check_format(path)
    table = vstack([result.to_table() for result in results], metadata_conflicts="silent")
    with atomic_write(path, overwrite) as temporary:
        table.write(temporary)
