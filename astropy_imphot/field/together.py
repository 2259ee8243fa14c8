"""The exposures of a field in two tables."""

import numpy as np
from astropy.table import QTable, vstack
from astropy.utils.masked import Masked

from astropy_imphot._version import version
from astropy_imphot.field.compare import compare_exposures

__all__ = ["collect"]


def collect(exposures, store, failures):
    """
    Return what was found of all exposures.

    Parameters
    ----------
    exposures : sequence of `~astropy_imphot.field.plan.Exposure`
        The exposures.
    store : `~astropy_imphot.field.store.Store`
        Where they are, if they are finished.
    failures : dict of str to str
        Why others have failed, by their names.

    Returns
    -------
    results : `~astropy.table.QTable`
        A row for each exposure and filter; one, with its ``error``, for an exposure that failed.
    table : `~astropy.table.QTable`
        A row for each exposure, with the flags that tell how it compares with the others.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    found = [
        _failed(exposure, failures[exposure.name]) if exposure.name in failures else store.read(exposure.name)
        for exposure in exposures
    ]
    # Tables are made of what is on the disk, so that it does not matter which run wrote it there.
    results, table = (_stacked(tables) for tables in zip(*found, strict=True))
    table["flags"] = table["flags"] | compare_exposures(table, results)
    return results, table


def _failed(exposure, error):
    about = {"exposure": [exposure.name], "file": [exposure.files[0]]}
    return QTable(about | {"method": ["failed"], "error": [error]}), QTable(about | {"error": [error]})


def _stacked(tables):
    stacked = vstack(list(tables), metadata_conflicts="silent")
    for key in stacked.colnames:
        column = stacked[key]
        if isinstance(column, Masked) or hasattr(column, "mask"):
            # What is not known: NaN among numbers, as in the fits' own tables.
            unknown = {"f": np.nan, "U": "", "i": 0}[np.asarray(column).dtype.kind]
            stacked[key] = column.filled(unknown)
    stacked.meta["VERSION"] = f"astropy_imphot {version}"
    return stacked
