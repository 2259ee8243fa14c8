"""The exposures of a field in two tables."""

import numpy as np
from astropy.table import QTable, vstack
from astropy.utils.masked import Masked

from astropy_imphot._version import version
from astropy_imphot.field.compare import compare_exposures
from astropy_imphot.field.exposure import COLUMNS, about
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.images import read_header
from astropy_imphot.results.columns import describe
from astropy_imphot.results.photometry import COLUMNS as FIT_COLUMNS

__all__ = ["collect"]


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
        tables = _failed(exposure, failures[name]) if name in failures else store.read(name)
        if name not in failures and tables[1]["error"][0]:
            failures[name] = f"{name}: {tables[1]['error'][0]}"
        found.append(tables)
    if len(failures) == len(exposures):
        raise UserError(f"no exposure could be fitted: {'; '.join(failures.values())}")
    results, table = (_stacked(tables) for tables in zip(*found, strict=True))
    table["flags"][:] |= compare_exposures(table, results)
    return results, table, failures


def _failed(exposure, error):
    try:
        header = read_header(exposure.files[0])
    except UserError:
        header = {}
    row = {"exposure": [exposure.name], "file": [exposure.files[0]], "method": ["failed"], "error": [error]}
    table = about(exposure, header)
    table["error"] = [error]
    table["error"].info.description = COLUMNS["error"]
    return describe(QTable(row), FIT_COLUMNS | COLUMNS), table


def _stacked(tables):
    stacked = vstack(list(tables), metadata_conflicts="silent")
    for key in stacked.colnames:
        column = stacked[key]
        if isinstance(column, Masked) or hasattr(column, "mask"):
            # Unknown numbers are NaN, as in the tables of the fits.
            unknown = {"f": np.nan, "U": "", "i": 0}[np.asarray(column).dtype.kind]
            stacked[key] = column.filled(unknown)
    stacked.meta["VERSION"] = f"astropy_imphot {version}"
    return stacked
