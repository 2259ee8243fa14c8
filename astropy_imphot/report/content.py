"""The content of the report, as numbers and text. The markup is in the templates."""

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astropy_imphot.parameters import all_parameters
from astropy_imphot.psf.wavelength import WAVELENGTHS
from astropy_imphot.report.cells import texts, with_error
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, FitFlags, flag_names

__all__ = ["Exposure", "FilterFit", "Heading", "Number", "Picture", "exposures_of", "headings", "overview"]

# The kinds of parameters in the table of exposures, in its order: values that the filters share. Offsets are
# those on the sky.
OVERVIEW = ("psf", "scale", "sky", "rotation", "ellipticity")

# Units as headings have them.
UNITS = {"arcsec": "″", "deg": "°"}


@dataclass(frozen=True)
class Heading:
    """
    The heading of a column of values.

    Attributes
    ----------
    text : str
        The parameter's name, with its unit; a unit of "flux" is that of the images.
    words : str
        What it is.

    Examples
    --------
    >>> from astropy_imphot.parameters import PARAMETERS
    >>> from astropy_imphot.report.content import Heading
    >>> Heading.of(PARAMETERS["dx"])
    Heading(text='dx (″)', words='offset along x, MUSE - HST')
    >>> Heading.of(PARAMETERS["bg_x"]).text
    'bg_x (flux / ″)'
    """

    text: str
    words: str

    @classmethod
    def of(cls, info):
        """Return the heading of a parameter."""
        unit = info.unit
        for name, symbol in UNITS.items():
            unit = unit.replace(name, symbol)
        return cls(f"{info.name} ({unit})" if unit else info.name, info.words)


def headings(table, psf):
    """
    Return the headings of the parameters in a table.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        A table of results, or of exposures.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.

    Returns
    -------
    dict of str to Heading
        By the columns' names, in the order of the table of parameters.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.report.content import headings
    >>> [heading.text for heading in headings(QTable({"e1": [0.1], "scale": [1.0]}), MOFFAT).values()]
    ['scale', 'e1']
    """
    return {name: Heading.of(info) for name, info in all_parameters(psf).items() if name in table.colnames}


def overview(exposures, psf):
    """
    Return the headings of the values in the table of all exposures.

    Parameters
    ----------
    exposures : `~astropy.table.QTable`
        A row for each exposure.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.

    Returns
    -------
    dict of str to Heading
        By the columns' names.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.report.content import overview
    >>> list(overview(QTable({"dx": [0.1], "dra": [0.1], "fwhm": [0.7]}), MOFFAT))
    ['fwhm', 'dra']
    """
    infos, known = all_parameters(psf), headings(exposures, psf)
    return {name: known[name] for kind in OVERVIEW for name in known if infos[name].kind == kind}


@dataclass(frozen=True)
class Number:
    """
    A number as text, with the value by which it is sorted.

    Attributes
    ----------
    text : str
        The text, empty if the number is unknown.
    value : float
        The number, NaN if it is unknown.

    Examples
    --------
    >>> from astropy_imphot.report.content import Number
    >>> Number("0.651 ± 0.004", 0.6512).sort_key
    '0.6512'
    """

    text: str
    value: float

    @property
    def sort_key(self):
        """The number as text, empty if it is unknown."""
        return f"{self.value:.12g}" if np.isfinite(self.value) else ""


@dataclass(frozen=True)
class Picture:
    """
    An image within the page.

    Attributes
    ----------
    kind : {"png", "jpeg"}
        The format.
    content : bytes
        The file's content.
    caption : str
        What it shows.

    Examples
    --------
    >>> from astropy_imphot.report.content import Picture
    >>> Picture("png", b"PNG", "FWHM against time").base64
    'UE5H'
    """

    kind: str
    content: bytes
    caption: str

    @property
    def base64(self):
        """The content as text, as a data URL has it."""
        return base64.b64encode(self.content).decode()


@dataclass(frozen=True)
class FilterFit:
    """
    The fit of one exposure in one filter.

    Attributes
    ----------
    filter, method : str
        The filter's name, and the kind of fit.
    error : str
        The reason of a failure, empty if the fit did not fail.
    flags : list of `~astropy_imphot.FitFlags`
        Its flags.
    values : list of str
        The values of the columns of `headings`, each with its error.
    quality : list of str
        The rms of the residuals, the reduced chi² and the number of pixels.

    Examples
    --------
    See `~astropy_imphot.report.page.write_report`.
    """

    filter: str
    method: str
    error: str
    flags: list
    values: list
    quality: list


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """
    One exposure, with the fits of its filters.

    Attributes
    ----------
    number : Number
        Its number, which starts at 1.
    name, object, date_obs, filters : str
        Its name, the object, the time of observation and the names of the filters.
    error : str
        The reason of a failure, empty if the exposure did not fail.
    failed : bool
        Whether the exposure has no offset.
    flags : list of `~astropy_imphot.ExposureFlags`
        Its flags.
    values : list of Number
        The values of the columns of `overview`.
    agreement : Number
        chi²/dof of the filters' values about the combined ones.
    fits : list of FilterFit
        The fits of its filters.
    combined : list of str
        The combined values of the columns of `headings`, empty if there is none.
    facts : dict of str to str
        Further values of the exposure, by name.
    more_words : str
        Text for the search, besides that in the table of exposures.
    picture : Picture or None
        Data, model and residual.

    Examples
    --------
    See `~astropy_imphot.report.page.write_report`.
    """

    number: Number
    name: str
    object: str
    date_obs: str
    filters: str
    error: str
    failed: bool
    flags: list
    values: list
    agreement: Number
    fits: list
    combined: list
    facts: dict
    more_words: str
    picture: Picture | None

    @property
    def anchor(self):
        """The name of the exposure's place in the page."""
        return f"exposure-{self.number.text}"


def exposures_of(results, exposures, pictures, psf):
    """
    Return the content of the report for each exposure.

    Parameters
    ----------
    results : `~astropy.table.QTable`
        A row for each exposure and filter.
    exposures : `~astropy.table.QTable`
        A row for each exposure.
    pictures : dict of str to path
        JPEG files of the fits, by the exposures' names.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.

    Returns
    -------
    list of Exposure
        In the order of the table ``exposures``.

    Examples
    --------
    See `~astropy_imphot.report.page.write_report`.
    """
    shown = _Shown(
        values=list(headings(results, psf)),
        overview=list(overview(exposures, psf)),
        polynomials={f"{info.name}_coef": Heading.of(info).text for info in psf.parameters},
    )
    words = ("exposure", "filter", "method", "error")
    fits = _Columns.of(results, words, (*shown.values, "rms", "rchi", "n_pixels", "flags"))
    rows_of = {}
    for row, name in enumerate(fits.texts["exposure"]):
        rows_of.setdefault(name, []).append(row)
    words = ("exposure", "file", "object", "date_obs", "filters", "outliers", "error")
    values = (*headings(exposures, psf), *shown.polynomials, "radec_corr", "chi2", "dof", "flags")
    many = _Columns.of(exposures, words, values)
    return [
        _exposure(
            many,
            row,
            [_filter_fit(fits, one, shown) for one in rows_of.get(name, [])],
            pictures.get(name),
            shown,
        )
        for row, name in enumerate(many.texts["exposure"])
    ]


@dataclass(frozen=True)
class _Shown:
    """The columns of the report: of filters, of exposures, and of polynomials with their headings."""

    values: list
    overview: list
    polynomials: dict


@dataclass(frozen=True)
class _Columns:
    """The columns of a table, as text and as plain numbers."""

    texts: dict
    numbers: dict

    @classmethod
    def of(cls, table, words, values):
        keys = [key for value in values for key in (value, f"{value}_err") if key in table.colnames]
        return cls({key: texts(table, key) for key in words}, {key: numbers(table, key) for key in keys})

    def integer(self, key, row):
        return int(np.nan_to_num(self.numbers[key][row]))

    def significant(self, key, row):
        value = self.numbers[key][row]
        return f"{value:.4g}" if np.isfinite(value) else ""

    def with_error(self, key, row):
        return with_error(self.numbers[key][row], self.numbers[f"{key}_err"][row])

    def flags(self, kind, row):
        return [kind[name] for name in flag_names(self.integer("flags", row), kind)]


def _filter_fit(fits, row, shown):
    return FilterFit(
        filter=fits.texts["filter"][row],
        method=fits.texts["method"][row],
        error=fits.texts["error"][row],
        flags=fits.flags(FitFlags, row),
        values=[fits.with_error(key, row) for key in shown.values],
        quality=[
            fits.significant("rms", row),
            fits.significant("rchi", row),
            str(fits.integer("n_pixels", row)),
        ],
    )


def _exposure(many, row, fits, picture, shown):
    name, error = (many.texts[key][row] for key in ("exposure", "error"))
    more = [many.texts[key][row] for key in ("file", "error", "outliers")]
    for fit in fits:
        more += [fit.error, *(flag.name for flag in fit.flags)]
    # There is no combined background: each filter has one.
    combined = [many.with_error(key, row) if key in many.numbers else "" for key in shown.values]
    return Exposure(
        number=Number(str(row + 1), row + 1),
        name=name,
        object=many.texts["object"][row],
        date_obs=many.texts["date_obs"][row],
        filters=many.texts["filters"][row].replace(",", ", "),
        error=error,
        failed=bool(error) or not np.isfinite(many.numbers["dra"][row]),
        flags=many.flags(ExposureFlags, row),
        values=[Number(many.with_error(key, row), many.numbers[key][row]) for key in shown.overview],
        agreement=_agreement(many.numbers["chi2"][row], many.integer("dof", row)),
        fits=fits,
        combined=combined if any(combined) else [],
        facts={key: value for key, value in _facts(many, row, shown.polynomials).items() if value},
        more_words=" ".join(filter(None, more)),
        picture=_picture(name, picture),
    )


def _agreement(chi2, dof):
    ratio = chi2 / dof if dof else np.nan
    return Number(f"{chi2:.1f}/{dof}" if np.isfinite(ratio) else "", ratio)


def _facts(many, row, polynomials):
    facts = {
        "file": many.texts["file"][row],
        "outlying filters": many.texts["outliers"][row],
        "correlation of dra and ddec": many.significant("radec_corr", row),
    }
    known = {key: np.atleast_1d(many.numbers[key][row]) for key in polynomials}
    known = {key: coefficients for key, coefficients in known.items() if np.isfinite(coefficients).all()}
    for key, coefficients in known.items():
        facts[f"polynomial of {polynomials[key]}"] = ", ".join(f"{value:.5g}" for value in coefficients)
    if known:
        low, high = WAVELENGTHS
        facts["polynomials"] = f"in (wavelength − {low:g} Å) / {high - low:g} Å − 0.5, highest power first"
    return facts


def _picture(name, path):
    if path is None or not Path(path).is_file():
        return None
    return Picture("jpeg", Path(path).read_bytes(), f"Data, model and residual of {name}: one row per filter")
