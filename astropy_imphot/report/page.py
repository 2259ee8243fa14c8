"""The report of a field: one HTML file that needs no other file and no network."""

import base64
import hashlib
from importlib import resources
from io import BytesIO

from astropy.table import QTable

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.writing import atomic_write
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.wavelength import REFERENCE
from astropy_imphot.report.content import Picture, exposures_of, headings, overview
from astropy_imphot.report.figures import (
    fwhm_against_time,
    fwhm_against_wavelength,
    scale_and_background,
    sky_offsets,
)
from astropy_imphot.results.flags import ExposureFlags, FitFlags

__all__ = ["require_jinja2", "write_report"]

# Pixels per inch of the figures: sharp where a pixel of the page is two of the screen.
FIGURE_DPI = 160

NOT_DRAWN = "No figures: run without --no_plots (plots=False)."

# The tables of provenance, and their headings.
PROVENANCE = {"inputs": "Input files", "options": "Options", "versions": "Software versions", "runs": "Runs"}


def require_jinja2():
    """
    Raise a `~astropy_imphot.UserError` if there is no Jinja2.

    Raises
    ------
    UserError
        If it is not installed.

    Examples
    --------
    >>> from astropy_imphot.report.page import require_jinja2
    >>> require_jinja2()
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise UserError('reports need Jinja2: pip install "astropy-imphot[report]".') from error


def write_report(path, results, exposures, pictures, *, meta, psf=MOFFAT, figures=True):
    """
    Write the results of a field as one HTML file, which can be mailed and opened anywhere.

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
        The provenance: ``"inputs"``, ``"options"``, ``"versions"`` and ``"runs"``, by name.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF, whose parameters are in the tables (default: a Moffat function).
    figures : bool
        Whether the figures of all exposures together are drawn (default: True), which needs matplotlib.

    Raises
    ------
    UserError
        If the file cannot be written, or Jinja2 is not installed.

    Notes
    -----
    The report shows the parameters that the tables have. Without matplotlib there are no figures. All text is
    escaped, and the page's Content Security Policy allows no script but the report's own and no file from
    elsewhere: text of headers and file names cannot run as a script.

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
    template = _template()
    # Tables that were read from files may have columns with units that are no quantities.
    results, exposures = QTable(results), QTable(exposures)
    content = exposures_of(results, exposures, pictures, psf)
    style, script = _resource("report.css"), _resource("report.js")
    drawn, no_figures = _figures(results, exposures) if figures else ([], NOT_DRAWN)
    page = template.render(
        policy=_policy(style, script),
        style=style,
        script=script,
        title=_title(content),
        summary=_summary(content, meta),
        overview=list(overview(exposures, psf).values()),
        columns=list(headings(results, psf).values()),
        reference=f"{REFERENCE:g} Å",
        flux_unit=results["bg"].unit.to_string("unicode"),
        exposures=content,
        figures=drawn,
        no_figures=no_figures,
        flags={"Flags of exposures": _meanings(ExposureFlags), "Flags of fits": _meanings(FitFlags)},
        provenance=_provenance(meta),
    )
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _template():
    require_jinja2()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("astropy_imphot.report"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _printable(value):
    """Return a value as text that HTML allows; what is markup already stays."""
    if hasattr(value, "__html__"):
        return value
    # File names may have bytes that are no text, and headers control characters.
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _resource(name):
    return resources.files("astropy_imphot.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style, script):
    """Return the Content Security Policy: only the page's own script and style are allowed."""
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


def _title(exposures):
    objects = sorted({exposure.object for exposure in exposures if exposure.object})
    return f"{f'{objects[0]}: ' if len(objects) == 1 else ''}MUSE exposures compared with HST images"


def _summary(exposures, meta):
    count = len(exposures)
    failed = sum(exposure.failed for exposure in exposures)
    flagged = sum(bool(exposure.flags) for exposure in exposures)
    # An exposure that failed may have no filter.
    names = dict.fromkeys(fit.filter for exposure in exposures for fit in exposure.fits if fit.filter)
    versions = ", ".join(f"{name} {version}" for name, version in meta.get("versions", {}).items())
    return (
        f"{count} exposure{'' if count == 1 else 's'} in {', '.join(names) or 'no filter'}: "
        f"{failed or 'none'} failed, {flagged or 'none'} flagged."
        + (f" Software: {versions}." if versions else "")
    )


def _figures(results, exposures):
    """Return the figures of all exposures together, or the reason why there are none."""
    drawers = {
        "FWHM against wavelength: the filters of each exposure, and the exposure's polynomial": (
            lambda: fwhm_against_wavelength(results, exposures)
        ),
        f"FWHM at {REFERENCE:g} Å against time": lambda: fwhm_against_time(exposures),
        "Offsets of the exposures, with error ellipses of one standard deviation; dashed: the median": (
            lambda: sky_offsets(exposures)
        ),
        "Flux scale and background of each filter, and the mean scale, against the number of the exposure": (
            lambda: scale_and_background(results, exposures)
        ),
    }
    try:
        return [Picture("png", _png(draw()), caption) for caption, draw in drawers.items()], ""
    except UserError as error:
        return [], f"No figures: {error}"


def _png(figure):
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=FIGURE_DPI)
    return drawn.getvalue()


def _meanings(kind):
    return {flag.name: flag.meaning for flag in kind}


def _provenance(meta):
    return {
        heading: {name: _in_words(value) for name, value in meta[key].items()}
        for key, heading in PROVENANCE.items()
        if meta.get(key)
    }


def _in_words(value):
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
