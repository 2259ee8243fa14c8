"""The exposures of a field in two tables."""

import numpy as np
from astropy.table import QTable, vstack
from astropy.utils.masked import Masked

from astropy_imphot._version import version
from astropy_imphot.field.compare import compare_exposures
from astropy_imphot.field.exposure import COLUMNS, about
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.images import read_header
from astropy_imphot.io.writing import atomic_write
from astropy_imphot.products.offset_list import write_offset_list
from astropy_imphot.results.columns import describe
from astropy_imphot.results.photometry import COLUMNS as FIT_COLUMNS

__all__ = ["collect", "failed_exposure", "stacked", "write_tables"]


def collect(exposures, store, records, failures):
    """
    Return the tables of all exposures, and the failures.

    Parameters
    ----------
    exposures : sequence of `~astropy_imphot.field.plan.Exposure`
        The exposures.
    store : `~astropy_imphot.field.store.Store`
        The output folder.
    records : dict of str to dict
        Their records, by their names.
    failures : dict of str to str
        Reasons of failures, by the exposures' names.

    Returns
    -------
    results : `~astropy.table.QTable`
        A row for each exposure and filter; one, with its ``error``, for an exposure that failed.
    table : `~astropy.table.QTable`
        A row for each exposure, with the flags of its comparison with the others.
    failures : dict of str to str
        Those of ``failures``, and of exposures whose filters could not be combined.

    Raises
    ------
    UserError
        If no exposure could be fitted.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    found, failures = [], dict(failures)
    for exposure in exposures:
        name = exposure.name
        if name not in failures and not store.is_finished(name, records[name]):
            failures[name] = f"{name}: another run has replaced its results: run the command again."
        # Tables are read from the disk, so that it does not matter which run wrote them.
        tables = failed_exposure(exposure, failures[name]) if name in failures else store.read(name)
        if name not in failures and tables[1]["error"][0]:
            failures[name] = f"{name}: {tables[1]['error'][0]}"
        found.append(tables)
    if len(failures) == len(exposures):
        raise UserError(f"no exposure could be fitted: {'; '.join(failures.values())}")
    results, table = (stacked(tables) for tables in zip(*found, strict=True))
    table["flags"][:] |= compare_exposures(table, results)
    return results, table, failures


def failed_exposure(exposure, error):
    """
    Return the tables of an exposure that failed.

    Parameters
    ----------
    exposure : `~astropy_imphot.field.plan.Exposure`
        The exposure.
    error : str
        Why it failed.

    Returns
    -------
    results, exposure : `~astropy.table.QTable`
        One row each.

    Examples
    --------
    >>> from astropy_imphot.field.plan import Exposure
    >>> from astropy_imphot.field.tables import failed_exposure
    >>> failed_exposure(Exposure(name="E1", cube="E1.fits"), "no data")[1]["error"][0]
    np.str_('no data')
    """
    try:
        header = read_header(exposure.files[0])
    except UserError:
        header = {}
    row = {"exposure": [exposure.name], "file": [exposure.files[0]], "method": ["failed"], "error": [error]}
    table = about(exposure, header)
    table["error"] = [error]
    table["error"].info.description = COLUMNS["error"]
    return describe(QTable(row), FIT_COLUMNS | COLUMNS), table


def stacked(tables):
    """
    Return a table of the rows of tables, which can lack columns.

    Parameters
    ----------
    tables : sequence of `~astropy.table.QTable`
        The tables.

    Returns
    -------
    `~astropy.table.QTable`
        The rows. Unknown numbers are NaN, unknown flags 0, and unknown texts empty.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.field.tables import stacked
    >>> print(stacked([QTable({"a": [1.0]}), QTable({"b": ["x"]})])["a"].data)
    [ 1. nan]
    """
    stacked = vstack(list(tables), metadata_conflicts="silent")
    for key in stacked.colnames:
        column = stacked[key]
        if isinstance(column, Masked) or hasattr(column, "mask"):
            # Unknown numbers are NaN, as in the tables of the fits.
            unknown = {"f": np.nan, "U": "", "i": 0}[np.asarray(column).dtype.kind]
            stacked[key] = column.filled(unknown)
    stacked.meta["VERSION"] = f"astropy_imphot {version}"
    return stacked


def write_tables(store, results, exposures):
    """
    Write results.ecsv, exposures.ecsv and OFFSET_LIST.fits of a field.

    Parameters
    ----------
    store : `~astropy_imphot.field.store.Store`
        The output folder.
    results, exposures : `~astropy.table.QTable`
        The tables of the fits and of the exposures.

    Raises
    ------
    UserError
        If the folder cannot be written.

    Warns
    -----
    ImphotWarning
        If there is no exposure that can be in the list of offsets.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    for name, table in (("results", results), ("exposures", exposures)):
        with atomic_write(store.outdir / f"{name}.ecsv", overwrite=True) as temporary:
            table.write(temporary)
    offsets = store.outdir / "OFFSET_LIST.fits"
    try:
        write_offset_list(offsets, exposures, overwrite=True)
    except UserError as error:
        # That of an earlier run would be wrong.
        offsets.unlink(missing_ok=True)
        warn(f"there is no {offsets.name}: {error}")
