"""The alignment of exposures for which there is no other image: each is a reference of the others."""

import logging
from dataclasses import replace

import numpy as np
from astropy.table import QTable, hstack

from astropy_imphot.calibration.filter_curve import FilterCurve, as_curve
from astropy_imphot.field.compare import compare_exposures
from astropy_imphot.field.exposure import about
from astropy_imphot.field.jobs import run_jobs
from astropy_imphot.field.pairs import IMAGE, choose_pairs, fit_pair, make_image, pair_options
from astropy_imphot.field.plan import each_an_exposure
from astropy_imphot.field.relative import COLUMNS, relative_exposures
from astropy_imphot.field.settings import describe_curves, describe_settings
from astropy_imphot.field.store import Store
from astropy_imphot.field.tables import failed_exposure, stacked, write_tables
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.images import read_header
from astropy_imphot.results.columns import describe

__all__ = ["EXPOSURES", "align_exposures"]

log = logging.getLogger("astropy_imphot")

# In the place of reference images.
EXPOSURES = "exposures"

# Of cubes without a curve, all wavelengths but the ends are used.
WHITE = FilterCurve([4800, 9300], [1, 1], name="white")

RESULTS = "results.ecsv"


def align_exposures(
    exposures,
    outdir,
    options,
    *,
    curves=None,
    restart=False,
    nprocess=None,
    executor=None,
    progress_bar=None,
):
    """
    Fit exposures to each other, and write the files that a pipeline needs.

    Parameters
    ----------
    exposures : sequence of str or path
        Two or more cubes or images.
    outdir : str or path
        The folder of all output. Pairs that an earlier run has finished are not fitted again.
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Of the fits.
    curves : dict of str to `FilterCurve`, path or (wavelength, sensitivity), optional
        The filter of the images of cubes, by its name. By default (None) white light, 4800 to 9300 Angstrom.
    restart, nprocess, executor, progress_bar
        As for `~astropy_imphot.fit_field`.

    Returns
    -------
    results : `~astropy.table.QTable`
        A row for each pair.
    table : `~astropy.table.QTable`
        A row for each exposure, see `~astropy_imphot.field.relative.relative_exposures`.
    failures : dict of str to str
        Reasons of failures, by the exposures' names.
    reused : list of str
        Pairs that were finished by an earlier run.

    Raises
    ------
    UserError
        If there are fewer than two exposures, none can be compared with another one, or the folder cannot be
        written.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    found = each_an_exposure(exposures)
    curve = _only_curve(curves or {})
    options = pair_options(options)
    described = describe_curves({curve.name: curve})
    store = Store(
        outdir, describe_settings(options, {}, reference=EXPOSURES, curve=curve.name), restart=restart
    )
    store.refuse_inputs([path for one in found for path in one.files] + list(options.files.values()))
    options = options.portable()
    good = {one.name: one for one in found if not one.problem}
    failures = {one.name: one.problem for one in found if one.problem}
    cubes = {name: one for name, one in good.items() if one.cube}
    pairs = {pair.name: pair for pair in choose_pairs(list(good))}

    def record(*names):
        files = [path for name in names for path in good[name].files]
        return store.record(files, described if cubes.keys() & set(names) else None)

    records = {name: record(name) for name in cubes}
    records |= {name: record(pair.exposure, pair.reference) for name, pair in pairs.items()}
    reused = [name for name in pairs if not restart and store.is_finished(name, records[name], [RESULTS])]
    if reused:
        log.info("%d of %d pairs are finished already.", len(reused), len(pairs))

    where = {"nprocess": nprocess, "executor": executor, "progress_bar": progress_bar}
    images = {
        name: ((cubes[name].cube, curve, store.folder(name), records[name]), {})
        for name in cubes
        if restart or not store.is_finished(name, records[name], [IMAGE])
    }
    unfinished = [*images, *(name for name in pairs if name not in reused)]
    failures |= run_jobs(make_image, images, before=lambda: store.open(unfinished), **where)

    files = {
        name: str(store.folder(name) / IMAGE) if name in cubes else one.files[0] for name, one in good.items()
    }
    pairs = {
        name: pair for name, pair in pairs.items() if not failures.keys() & {pair.exposure, pair.reference}
    }
    if not pairs:
        raise UserError(f"no two exposures can be compared: {'; '.join(failures.values())}")
    fits = {
        name: (
            (pair, (files[pair.exposure], files[pair.reference]), store.folder(name), records[name], options),
            {},
        )
        for name, pair in pairs.items()
        if name not in reused
    }
    lost = run_jobs(fit_pair, fits, **where)
    results = _results(pairs, store, lost)
    table, failures = _exposures(found, results, failures)
    write_tables(store, results, table)
    return results, table, failures, reused


def _only_curve(curves):
    if len(curves) > 1:
        raise UserError(f"there are {len(curves)} curves: give one, in which exposures are compared.")
    for name, curve in curves.items():
        return replace(as_curve(curve), name=name)
    return WHITE


def _results(pairs, store, lost):
    """Return the table of pairs, with the errors of those that failed."""
    tables = []
    for name, pair in pairs.items():
        if name in lost:
            row = {"exposure": [pair.exposure], "reference": [pair.reference], "method": ["failed"]}
            tables.append(QTable(row | {"error": [lost[name]]}))
        else:
            (table,) = store.read(name, [RESULTS])
            table["error"] = [""]
            tables.append(table)
    return stacked(tables)


def _exposures(found, results, failures):
    """Return the table of exposures, and why exposures failed."""
    names = [one.name for one in found if one.name not in failures]
    fitted = results[results["error"] == ""]
    if not len(fitted):
        raise UserError(f"no two exposures can be compared: {'; '.join(dict.fromkeys(results['error']))}")
    relative = describe(relative_exposures(names, fitted), COLUMNS)
    failures = failures | {
        row["exposure"]: f"{row['exposure']}: {row['error']}" for row in relative if row["error"]
    }
    tables = []
    for one in found:
        if one.name not in names:
            tables.append(failed_exposure(one, failures[one.name])[1])
            continue
        row = relative[relative["exposure"] == one.name]
        row.remove_column("exposure")
        tables.append(hstack([about(one, read_header(one.files[0])), row]))
    table = stacked(tables)
    backgrounds = table["exposure", "bg", "bg_err"]
    backgrounds["filter"], backgrounds["method"] = "", "image"
    table["flags"] = np.asarray(table["flags"]) | compare_exposures(table, backgrounds)
    return table, failures
