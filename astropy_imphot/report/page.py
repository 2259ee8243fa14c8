"""The report of a field: one HTML file that needs nothing else, and no network."""

import base64
import hashlib
from importlib import resources
from io import BytesIO
from string import Template

from astropy.table import QTable

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import atomic_write
from astropy_imphot.report.figures import (
    fwhm_against_time,
    fwhm_against_wavelength,
    scale_and_background,
    sky_offsets,
)
from astropy_imphot.report.markup import Markup, element, fill, joined
from astropy_imphot.report.sections import FieldRows, exposure_section, image, meanings, overview, settings
from astropy_imphot.results.flags import ExposureFlags, FitFlags

__all__ = ["write_report"]

# Pixels per inch of the figures: sharp where a pixel of the page is two of the screen.
FIGURE_DPI = 160


def write_report(path, results, exposures, pictures, *, meta):
    """
    Write what was found in a field as one HTML file, which can be mailed and opened anywhere.

    Parameters
    ----------
    path : str or path
        The file, which is replaced if there is one.
    results : `~astropy.table.QTable`
        One row for each exposure and filter.
    exposures : `~astropy.table.QTable`
        One row for each exposure.
    pictures : dict of str to path
        JPEG files of the fits, see `~astropy_imphot.report.pictures.exposure_picture`, by the
        exposure's name. Exposures may have none.
    meta : dict of str to dict
        What was done: ``"inputs"``, ``"options"``, ``"versions"`` and ``"runs"``, by name.

    Raises
    ------
    UserError
        If the file cannot be written.

    Notes
    -----
    Without matplotlib there are no figures. All text is escaped, and browsers are told to run no script
    but the report's and to load nothing, so headers and file names cannot do harm.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.page import write_report
    >>> flux = u.Unit(1e-20 * u.erg / u.s / u.cm**2 / u.AA)
    >>> units = {"bg": flux, "dx": u.arcsec, "dy": u.arcsec, "dra": u.arcsec, "ddec": u.arcsec}
    >>> units |= {"fwhm": u.arcsec, "scale": u.one, "beta": u.one}
    >>> values = {key: [0.65] * unit for key, unit in units.items()}
    >>> values |= {f"{key}_err": [0.01] * unit for key, unit in units.items()}
    >>> words = {"exposure": ["E1"], "file": ["E1.fits"], "error": [""], "flags": [0]}
    >>> results = QTable(
    ...     {
    ...         **words,
    ...         **values,
    ...         "filter": ["F775W"],
    ...         "wavelength": [7648.0] * u.AA,
    ...         "method": ["image"],
    ...         "rms": [0.2] * flux,
    ...         "rchi": [1.01],
    ...         "n_pixels": [9801],
    ...     }
    ... )
    >>> exposures = QTable(
    ...     {
    ...         **words,
    ...         **values,
    ...         "object": ["UDF-10"],
    ...         "date_obs": ["2014-09-21T06:21:00"],
    ...         "mjd_obs": [56921.26],
    ...         "filters": ["F775W"],
    ...         "radec_corr": [0.1],
    ...         "fwhm_coef": [[-0.05, 0.65]] * u.arcsec,
    ...         "beta_coef": [[0.0, 0.65]],
    ...         "chi2": [0.0],
    ...         "dof": [0],
    ...         "outliers": [""],
    ...     }
    ... )
    >>> meta = {"options": {"margin": 3.0}, "versions": {"astropy_imphot": "0.1"}, "inputs": {}}
    >>> write_report("report.html", results, exposures, {}, meta=meta)
    """
    # Tables that were read from files may hold columns with units that are no quantities.
    results, exposures = QTable(results), QTable(exposures)
    field = FieldRows.of(results, exposures)
    style, script = _resource("report.css"), _resource("report.js")
    page = fill(
        Template(_resource("report.html")),
        title=_title(field),
        summary=_summary(field, meta),
        policy=_policy(style, script),
        # These are the package's own, and no text.
        style=Markup(style),
        script=Markup(script),
        exposures=overview(field),
        figures=_figures(results, exposures),
        fits=joined(
            exposure_section(field, index, pictures.get(name))
            for index, name in enumerate(field.exposures.texts["exposure"])
        ),
        flags=joined([meanings(ExposureFlags, "Of exposures"), meanings(FitFlags, "Of the fits of filters")]),
        run=joined(settings(meta.get(key, {}), key) for key in ("inputs", "options", "versions", "runs")),
    )
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _resource(name):
    return resources.files("astropy_imphot.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style, script):
    """Return what a browser may do with the page: nothing but run its own script and style."""
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{key} {value}" for key, value in allowed.items())


def _hash(source):
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _title(field):
    objects = sorted({name for name in field.exposures.texts["object"] if name})
    return f"{objects[0] if len(objects) == 1 else 'MUSE exposures'}, compared with HST"


def _summary(field, meta):
    count = len(field)
    failed = sum(field.failed(index) for index in range(count))
    flagged = sum(field.exposures.integer("flags", index) > 0 for index in range(count))
    # An exposure that failed has none.
    filters = [name for name in dict.fromkeys(field.fits.texts["filter"]) if name]
    versions = ", ".join(f"{name} {version}" for name, version in meta.get("versions", {}).items())
    return (
        f"{count} exposure{'' if count == 1 else 's'} in {', '.join(filters) or 'no filter'}: "
        f"{failed or 'none'} failed, {flagged or 'none'} {'is' if flagged == 1 else 'are'} flagged."
        + (f" Made with {versions}." if versions else "")
    )


def _figures(results, exposures):
    drawers = {
        "FWHM of the filters against wavelength, and the polynomial of each exposure": (
            lambda: fwhm_against_wavelength(results, exposures)
        ),
        "FWHM at 7000 Angstrom against time": lambda: fwhm_against_time(exposures),
        "Offsets of the exposures with ellipses of one standard deviation, and their median": (
            lambda: sky_offsets(exposures)
        ),
        "Flux scale and background of the filters, and the common scale, over the exposures": (
            lambda: scale_and_background(results, exposures)
        ),
    }
    shown = []
    try:
        for caption, drawer in drawers.items():
            drawn = BytesIO()
            drawer().savefig(drawn, format="png", dpi=FIGURE_DPI)
            picture = image(drawn.getvalue(), "png", caption)
            shown.append(element("figure", picture, element("figcaption", caption)))
    except UserError as error:
        return element("p", f"No figures: {error}", class_="note")
    return element("div", *shown, class_="figures")
