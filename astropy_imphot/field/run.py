"""The fit of all exposures of a field in all filters, and the files that are written."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import astropy.units as u
from astropy.io import fits
from astropy.table import QTable

from astropy_imphot.field.alignment import EXPOSURES, align_exposures
from astropy_imphot.field.exposure import PICTURE, fit_exposure
from astropy_imphot.field.html import field_as_html
from astropy_imphot.field.jobs import run_jobs
from astropy_imphot.field.plan import find_exposures, find_hst_images
from astropy_imphot.field.settings import (
    check_settings,
    describe_curves,
    describe_settings,
    find_curves,
    require_matplotlib,
)
from astropy_imphot.field.store import Store, write_record
from astropy_imphot.field.tables import collect, write_tables
from astropy_imphot.fitting.options import ImageFitOptions, takes_options
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import opened, source_name
from astropy_imphot.io.representation import Representation
from astropy_imphot.products.psf_keywords import fsf_keywords, write_fsf
from astropy_imphot.report.page import require_jinja2, write_report

__all__ = ["FittedField", "fit_field"]

log = logging.getLogger("astropy_imphot")

REPORT = "report.html"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FittedField(Representation):
    """
    The result of `fit_field`.

    Attributes
    ----------
    results : `~astropy.table.QTable`
        A row for each exposure and filter, as in results.ecsv.
    exposures : `~astropy.table.QTable`
        A row for each exposure, as in exposures.ecsv.
    failures : dict of str to str
        Reasons why exposures failed, or their files could not be written, by the exposures' names.
    report : path or None
        The file report.html; None if Jinja2 is not installed.
    reused : list of str
        Exposures that were finished by an earlier run.

    Examples
    --------
    See `fit_field`.
    """

    results: QTable
    exposures: QTable
    failures: dict
    report: Path | None
    reused: list = field(default_factory=list)

    def _repr_html_(self):
        return field_as_html(self.exposures, self.failures)


@takes_options(ImageFitOptions)
def fit_field(
    exposures,
    hst,
    outdir,
    *,
    filter_name=None,
    curves=None,
    fwhm_degree=1,
    beta_degree=0,
    star=None,
    write_psf=None,
    plots=True,
    restart=False,
    nprocess=None,
    executor=None,
    progress_bar=None,
    **options,
):
    """
    Fit many exposures to HST images in several filters, and write the files that a pipeline needs.

    Parameters
    ----------
    exposures : sequence of str or path
        Cubes, of which images in all filters are made, or images; see
        `~astropy_imphot.field.plan.find_exposures`. They need not share a grid.
    hst : sequence of str, path or `Reference`, or "exposures"
        Images of HST or others at their own pixels, one for each filter; from `read_reference` if their
        headers lack something. With ``"exposures"``, the exposures are references of each other.
    outdir : str or path
        The folder of all output, which is made if it does not exist. Exposures that an earlier run has
        finished are not fitted again.
    filter_name : str, optional
        The filter of exposures that are images. By default (None) it is that of their headers.
    curves : dict of str to `FilterCurve`, path or (wavelength, sensitivity), optional
        The filters' curves, by their names, each as for `bandpass_image`. By default (None), and for filters
        that are not named, the curves of the HST image's camera that come with the package, see
        `FilterCurve.named`. For exposures as references of each other, one curve, in which images of cubes
        are made; by default white light, 4800 to 9300 Angstrom.
    fwhm_degree, beta_degree : int
        Degrees of the polynomials of wavelength that describe the PSF (default: 1 and 0).
    star : tuple or `~regions.CircleSkyRegion`, optional
        A star that is fitted as well, as by `fit_star_photometry`. By default (None) there is none.
    write_psf : {"copy", "inplace"}, optional
        Write the PSF into the primary headers of copies of the cubes, or into the cubes. By default (None)
        it is in the tables only.
    plots : bool
        Whether pictures of the exposures and figures of the report are drawn (default: True), which needs
        matplotlib.
    restart : bool
        Remove the results of earlier runs, and fit all exposures again (default: False).
    nprocess : int, optional
        Number of processes. By default (None) one for each core.
    executor : `concurrent.futures.Executor`, optional
        Where to run instead, as for `FitImagePhotometryMP`. Other machines are sent only names of files and
        small tables, and need the same paths. By default (None) processes of this machine.
    progress_bar : callable, optional
        Wraps the iterable of exposures, such as `tqdm.tqdm`. By default (None) nothing is shown.
    **options
        For `fit_image_photometry`.

    Returns
    -------
    FittedField
        The tables, which are also in results.ecsv and exposures.ecsv.

    Raises
    ------
    UserError
        If an HST image or a curve cannot be read, two exposures have the same name, an option has an
        impossible value, ``outdir`` cannot be written or was made with other options, or all exposures fail.

    Notes
    -----
    Every exposure is written to its own folder in ``outdir``/exposures as soon as it is finished: its
    results, IMPHOT.fits, a picture, and the regions of excluded objects. At the end follow the tables,
    OFFSET_LIST.fits and, if Jinja2 is installed, report.html. The combination of the filters is that of
    `~astropy_imphot.field.combine.combine`; `~astropy_imphot.field.compare.compare_exposures` flags exposures
    that differ from the others. An exposure that fails is in ``failures``, and is fitted again by the next
    run; the others are not affected.

    Exposures as references of each other are fitted in pairs, and their offsets, rotations, scales and
    backgrounds are relative to the mean of all, see
    `~astropy_imphot.field.relative.relative_exposures`. Of the PSF, only differences are known: the column
    ``fwhm_square``. There is no report, and results.ecsv has a row for each pair.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from astropy_imphot import fit_field, write_image
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1), Truth(dx=-0.1)])
    >>> names = ["E1.fits", "E2.fits"]
    >>> for image, name in zip([field.hst, *field.muse], ["hst.fits", *names]):
    ...     write_image(image, name, overwrite=True)
    >>> with ThreadPoolExecutor(1) as executor:
    ...     found = fit_field(names, ["hst.fits"], "out", plots=False, executor=executor)
    >>> found.exposures["dx"].round(1)
    <Quantity [ 0.1, -0.1] arcsec>
    """
    options = ImageFitOptions.from_keywords("fit_field", options | {"star": star})
    check_settings(options, fwhm_degree, beta_degree, write_psf)
    if isinstance(hst, str) and hst == EXPOSURES:
        if star is not None or write_psf is not None or filter_name is not None:
            raise UserError(
                "star, write_psf and filter_name need a reference image: do not use them with exposures as "
                "references."
            )
        results, table, failures, reused = align_exposures(
            exposures,
            outdir,
            options,
            curves=curves,
            restart=restart,
            nprocess=nprocess,
            executor=executor,
            progress_bar=progress_bar,
        )
        return FittedField(results=results, exposures=table, failures=failures, report=None, reused=reused)
    if plots:
        # The error comes before the long run, not after it.
        require_matplotlib()
    with_report = _can_report()
    hst = find_hst_images(hst)
    found = find_exposures(exposures, hst, filter_name)
    cubes = [exposure for exposure in found if exposure.cube and not exposure.problem]
    curves = find_curves(curves or {}, hst, all_filters=bool(cubes))
    if write_psf and any(exposure.images for exposure in found):
        raise UserError("the PSF is written into cubes: give cubes, or do not use write_psf (--write_fsf).")
    degrees = {"fwhm_degree": fwhm_degree, "beta_degree": beta_degree}
    settings = describe_settings(options, hst, **degrees, filter_name=filter_name)
    store = Store(outdir, settings, restart=restart)
    inputs = [path for exposure in found for path in exposure.files]
    store.refuse_inputs([*inputs, *map(source_name, hst.values()), *options.files.values()])
    described = describe_curves(curves)
    records = {one.name: store.record(one.files, described if one.cube else None) for one in found}
    reused = [] if restart else [name for name, one in records.items() if store.is_finished(name, one)]
    if reused:
        log.info("%d of %d exposures are finished already.", len(reused), len(found))
    options, psf = options.portable(), options.psf
    jobs = {
        exposure.name: (
            (exposure, hst, curves, store.folder(exposure.name), records[exposure.name], options),
            {"degrees": degrees, "plots": plots},
        )
        for exposure in found
        if exposure.name not in reused
    }
    failures = run_jobs(
        fit_exposure,
        jobs,
        before=lambda: store.open(list(jobs)),
        nprocess=nprocess,
        executor=executor,
        progress_bar=progress_bar,
    )
    results, table, failures = collect(found, store, records, failures)
    if write_psf:
        failures |= _write_psf(found, table, store, records, psf, inplace=write_psf == "inplace")
    about = {"inputs": {one.name: ", ".join(one.files) for one in found}, "filter curves": described}
    write_tables(store, results, table)
    if with_report:
        _write_report(store, results, table, plots, about, psf)
    else:
        # That of an earlier run would be wrong.
        (store.outdir / REPORT).unlink(missing_ok=True)
    report = Path(outdir) / REPORT if with_report else None
    return FittedField(results=results, exposures=table, failures=failures, report=report, reused=reused)


def _write_psf(found, table, store, records, psf, *, inplace):
    """Write the PSF's keywords into cubes, and return the reasons why some could not be written."""
    failures = {}
    rows = {row["exposure"]: row for row in table if not row["error"]}
    for exposure in found:
        if exposure.name not in rows:
            continue
        row, old = rows[exposure.name], records[exposure.name]
        coefficients = {
            info.name: u.Quantity(row[f"{info.name}_coef"]).to_value(info.unit) for info in psf.parameters
        }
        keywords = fsf_keywords(coefficients, psf=psf)
        folder = store.folder(exposure.name)
        path = Path(exposure.cube) if inplace else folder / Path(exposure.cube).name
        now = store.record(exposure.files, old["curves"])
        try:
            if now != old:
                raise UserError(f"{exposure.cube} has changed since it was fitted: run the command again.")
            if path.exists() and _has(path, keywords):
                continue
            write_fsf(exposure.cube, path, keywords, overwrite=True)
        except UserError as error:
            failures[exposure.name] = str(error)
            continue
        if inplace:
            # The cube has changed by its keywords only: it is not fitted again.
            write_record(folder, store.record(exposure.files, old["curves"]))
    return failures


def _has(path, keywords):
    """Return whether a cube has the keywords of the PSF already."""
    with opened(path) as hdus:
        header = hdus[0].header
    # Headers have fewer digits than numbers.
    kept = fits.Header.fromstring(keywords.tostring())
    return all(header.get(key) == value for key, value in kept.items())


def _can_report():
    """Return whether a report can be written, and warn if not: tables and offsets do not need it."""
    try:
        require_jinja2()
    except UserError as error:
        warn(f"there will be no {REPORT}: {error}")
        return False
    return True


def _write_report(store, results, exposures, plots, about, psf):
    fitted = exposures["exposure"][exposures["error"] == ""] if plots else ()
    pictures = {name: store.folder(name) / PICTURE for name in fitted}
    options = {key: value for key, value in store.settings.items() if key != "astropy_imphot"}
    options |= {f"curve of {name}": curve for name, curve in about["filter curves"].items()}
    write_report(
        store.outdir / REPORT,
        results,
        exposures,
        {name: picture for name, picture in pictures.items() if picture.exists()},
        meta={
            "inputs": about["inputs"],
            "options": options,
            "versions": {"astropy_imphot": store.settings["astropy_imphot"]},
            "runs": store.runs,
        },
        psf=psf,
        figures=plots,
    )
