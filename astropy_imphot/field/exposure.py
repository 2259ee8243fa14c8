"""The fit of one exposure in all filters, on this machine or another one."""

import warnings
from functools import lru_cache

import astropy.units as u
import numpy as np
from astropy.table import QTable, hstack, vstack

from astropy_imphot.calibration.bandpass import bandpass_image, bandpass_images
from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.field.combine import combine
from astropy_imphot.field.store import fingerprint, write_record
from astropy_imphot.fitting.image import fit_image
from astropy_imphot.fitting.star import fit_image_and_star
from astropy_imphot.io.errors import UserError, WorkerError
from astropy_imphot.io.files import naming, source_name
from astropy_imphot.io.images import read_header, read_image
from astropy_imphot.io.writing import atomic_folder
from astropy_imphot.products.images import object_regions
from astropy_imphot.products.imphot_table import write_imphot
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.reading import Reference, read_reference
from astropy_imphot.report.pictures import exposure_picture, save_jpeg
from astropy_imphot.results.columns import describe
from astropy_imphot.results.flags import ExposureFlags
from astropy_imphot.results.photometry import FailedPhotometry

__all__ = ["about", "fit_exposure"]

PICTURE = "picture.jpg"

# The columns of the tables of a field that are not of a fit, nor of a combination of fits.
COLUMNS = {
    "exposure": "name of the exposure",
    "filter": "filter of the HST image",
    "wavelength": "mean wavelength of the filter",
    "file": "cube or image of the exposure",
    "object": "OBJECT of the header",
    "date_obs": "DATE-OBS of the header",
    "mjd_obs": "MJD-OBS of the header",
    "flags": "sum of ExposureFlags",
    "error": "why it failed",
}

# A cube with less than this fraction of a filter is not compared with the HST image.
LEAST_INSIDE = 0.5


def fit_exposure(exposure, hst, curves, folder, record, options, *, degrees, plots=True):
    """
    Fit an exposure in all filters, combine them, and write the results.

    Parameters
    ----------
    exposure : `~astropy_imphot.field.plan.Exposure`
        The exposure.
    hst : dict of str to str or `~astropy_imphot.Reference`
        The HST images, by the names of their filters.
    curves : dict of str to `FilterCurve`
        The filters' curves, for cubes.
    folder : path
        Where results.ecsv, exposure.ecsv, IMPHOT.fits, tables of point sources, regions and a picture are
        written, all or none.
    record : dict
        The exposure's files, curves and settings, from `~astropy_imphot.field.store.Store.record`.
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Of the fits; if they have a star, it is fitted as well.
    degrees : dict of str to int
        For `~astropy_imphot.field.combine.combine`.
    plots : bool
        Whether a picture is made (default: True).

    Raises
    ------
    UserError
        If no filter can be fitted, or the folder cannot be written.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    if exposure.problem:
        raise UserError(exposure.problem)
    header = read_header(exposure.files[0])
    found, bands = {}, {}
    for name, image in _images(exposure, hst, curves).items():
        with naming(exposure.cube or exposure.images[name]):
            bands[name] = _band(image, hst[name])
            found[name] = _fit(hst[name], image, options, exposure.name)
    fits = {name: of_filter[0] for name, of_filter in found.items() if of_filter[0].method == "image"}
    if not fits:
        # Errors of the exposure's own files have its name already, those of the HST image have not.
        reasons = dict.fromkeys(of_filter[0].error for of_filter in found.values())
        raise WorkerError(exposure.files[0], "; ".join(reasons))
    rows = [
        _row(fit, exposure.name, name, bands[name][0], exposure.cube or exposure.images[name])
        for name, of_filter in found.items()
        for fit in of_filter
    ]
    results = vstack(rows, metadata_conflicts="silent")
    combined = hstack([about(exposure, header), _combined(fits, found, bands, degrees)])
    with atomic_folder(folder) as temporary:
        results.write(temporary / "results.ecsv")
        combined.write(temporary / "exposure.ecsv")
        offset = None if combined["error"][0] else tuple(combined[key][0] for key in ("dra", "ddec"))
        used = vstack([row for row in rows if row["method"][0] == "image"])
        write_imphot(temporary / "IMPHOT.fits", used, header=header, offset=offset)
        for name, fit in fits.items():
            if fit.objects["left_out"].any():
                regions = object_regions(fit.objects, fit.labels, fit.data.wcs)
                (temporary / f"changed_{name}.reg").write_text(regions)
            if len(fit.point_sources):
                fit.point_sources.write(temporary / f"sources_{name}.ecsv")
        if plots:
            save_jpeg(exposure_picture(fits), temporary / PICTURE)
        write_record(temporary, record)


def _images(exposure, hst, curves):
    """Return the images, or errors in their place, by the filters' names."""
    if not exposure.cube:
        return {name: _or_error(read_image, path) for name, path in exposure.images.items()}
    with warnings.catch_warnings():
        # The same in all exposures, and accounted for: FILTWAVE is the mean wavelength within the cube.
        warnings.filterwarnings("ignore", message=".* of the filter curve .* lies ")
        try:
            images = bandpass_images(exposure.cube, [curves[name] for name in hst])
            return dict(zip(hst, images, strict=True))
        except UserError:
            if len(hst) == 1:
                raise
        # One of the filters is outside of the cube.
        return {name: _or_error(bandpass_image, exposure.cube, curves[name]) for name in hst}


def _or_error(function, *arguments):
    try:
        return function(*arguments)
    except UserError as error:
        return error


def _band(image, hst):
    """Return the mean wavelength and the rms width of an image's filter, in the cube where it is known."""
    meta = getattr(image, "meta", {})
    if "FILTWAVE" in meta:
        return float(meta["FILTWAVE"]), float(meta.get("FILTWIDT", 0))
    try:
        info = HstFilterInfo(hst)
    except UserError:
        return read_reference(hst).pivot, 0.0
    return info.photplam, info.photbw if np.isfinite(info.photbw) else 0.0


def _fit(hst, image, options, name):
    """Return the results of a filter: that of the image, which may have failed, and that of a star."""
    path = source_name(hst)
    reference = _reference(path, tuple(getattr(hst, "options", {}).items()), *fingerprint(path))
    try:
        if isinstance(image, UserError):
            raise image
        inside = image.meta.get("FILTFRAC", 1.0)
        if inside < LEAST_INSIDE:
            raise UserError(f"only {100 * inside:.0f} % of the filter's curve lies inside the cube.")
        if options.star is None:
            return (fit_image(reference, image, options, name),)
        return fit_image_and_star(reference, image, options, name)
    except UserError as error:
        return (FailedPhotometry(name=name, error=str(error)),)


@lru_cache(maxsize=16)
def _reference(path, options, *_fingerprint):
    # Kept until the process ends, for exposures that share a grid.
    return HstReference(Reference(path, **dict(options)) if options else path)


def _row(fit, exposure, name, wavelength, path):
    start = {"exposure": [exposure], "filter": [name], "wavelength": [wavelength] * u.AA, "file": [path]}
    table = fit.to_table()
    if "error" not in table.colnames:
        table["error"] = [""]
        table["error"].info.description = COLUMNS["error"]
    return hstack([describe(QTable(start), COLUMNS), table], metadata_conflicts="silent")


def about(exposure, header):
    """
    Return the name, file and header of an exposure as a table.

    Parameters
    ----------
    exposure : `~astropy_imphot.field.plan.Exposure`
        The exposure.
    header : `~astropy.io.fits.Header` or dict
        Its header.

    Returns
    -------
    `~astropy.table.QTable`
        One row: exposure, file, object, date_obs and mjd_obs.

    Examples
    --------
    >>> from astropy_imphot.field.exposure import about
    >>> from astropy_imphot.field.plan import Exposure
    >>> about(Exposure(name="E1", cube="E1.fits"), {"OBJECT": "UDF-04"})["object"][0]
    np.str_('UDF-04')
    """
    mjd = header.get("MJD-OBS")
    row = {
        "exposure": [exposure.name],
        "file": [exposure.files[0]],
        "object": [str(header.get("OBJECT", ""))],
        "date_obs": [str(header.get("DATE-OBS", ""))],
        "mjd_obs": [float(mjd) if isinstance(mjd, (int, float)) else np.nan],
    }
    return describe(QTable(row), COLUMNS)


def _combined(fits, found, bands, degrees):
    """Return the combination of the filters with its flags, or the error, as a table of one row."""
    flags = ExposureFlags(0)
    if len(fits) < len(found):
        flags |= ExposureFlags.FILTER_MISSING
    if any(fit.flags for fit in fits.values()):
        flags |= ExposureFlags.DOUBTFUL_FIT
    try:
        combination = combine(fits, bands, **degrees)
    except UserError as error:
        row = {"flags": [int(flags | ExposureFlags.FILTER_MISSING)], "error": [str(error)]}
        return describe(QTable(row), COLUMNS)
    if combination.unusable:
        flags |= ExposureFlags.FILTER_MISSING
    if combination.outliers:
        flags |= ExposureFlags.OUTLYING_FILTER
    if not combination.agree:
        flags |= ExposureFlags.FILTERS_DISAGREE
    table = combination.to_table()
    table["flags"], table["error"] = [int(flags)], [""]
    for key in ("flags", "error"):
        table[key].info.description = COLUMNS[key]
    return table
