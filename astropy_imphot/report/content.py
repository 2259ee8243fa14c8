"""What the report shows of each exposure, as numbers and text. The markup is in the templates."""

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astropy_imphot.report.cells import texts, with_error
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, FitFlags, flag_names

__all__ = ["OVERVIEW", "VALUES", "Exposure", "FilterFit", "Number", "Picture", "exposures_of"]

# Columns of values with an error, and their headings: of exposures, and of the filters of one exposure.
OVERVIEW = {
    "fwhm": "FWHM (″)",
    "beta": "beta",
    "scale": "scale",
    "dra": "dra (″)",
    "ddec": "ddec (″)",
}
VALUES = {
    "scale": "scale",
    "bg": "background",
    "dx": "dx (″)",
    "dy": "dy (″)",
    "dra": "dra (″)",
    "ddec": "ddec (″)",
    "fwhm": "FWHM (″)",
    "beta": "beta",
}
POLYNOMIALS = {"fwhm_coef": "polynomial of the FWHM (″)", "beta_coef": "polynomial of beta"}


@dataclass(frozen=True)
class Number:
    """
    A number as it is shown, and as it is sorted.

    Attributes
    ----------
    text : str
        What is shown, empty if the number is not known.
    value : float
        The number, NaN if it is not known.

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
        """The number as text, empty if it is not known."""
        return f"{self.value:.12g}" if np.isfinite(self.value) else ""


@dataclass(frozen=True)
class Picture:
    """
    An image that is in the page itself.

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
        Why the fit failed, empty if it did not.
    flags : list of `~astropy_imphot.FitFlags`
        Its flags.
    values : list of str
        The values of the columns in `VALUES`, each with its error.
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
        Why the exposure failed, empty if it did not.
    failed : bool
        Whether the exposure has no offset.
    flags : list of `~astropy_imphot.ExposureFlags`
        Its flags.
    values : list of Number
        The values of the columns in `OVERVIEW`.
    agreement : Number
        chi²/dof of the filters' values about the combined ones.
    fits : list of FilterFit
        The fits of its filters.
    combined : list of str
        The combined values of the columns in `VALUES`, empty if there is none.
    facts : dict of str to str
        What else is known of the exposure, by name.
    more_words : str
        What can be searched for, besides what the table of exposures shows.
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


def exposures_of(results, exposures, pictures):
    """
    Return what the report shows of each exposure.

    Parameters
    ----------
    results : `~astropy.table.QTable`
        A row for each exposure and filter.
    exposures : `~astropy.table.QTable`
        A row for each exposure.
    pictures : dict of str to path
        JPEG files of the fits, by the exposures' names.

    Returns
    -------
    list of Exposure
        In the order of the table ``exposures``.

    Examples
    --------
    See `~astropy_imphot.report.page.write_report`.
    """
    words = ("exposure", "filter", "method", "error")
    fits = _Columns.of(results, words, (*VALUES, "rms", "rchi", "n_pixels", "flags"))
    rows_of = {}
    for row, name in enumerate(fits.texts["exposure"]):
        rows_of.setdefault(name, []).append(row)
    words = ("exposure", "file", "object", "date_obs", "filters", "outliers", "error")
    values = (*VALUES, "radec_corr", "fwhm_coef", "beta_coef", "chi2", "dof", "flags")
    many = _Columns.of(exposures, words, values)
    return [
        _exposure(many, row, [_filter_fit(fits, one) for one in rows_of.get(name, [])], pictures.get(name))
        for row, name in enumerate(many.texts["exposure"])
    ]


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


def _filter_fit(fits, row):
    return FilterFit(
        filter=fits.texts["filter"][row],
        method=fits.texts["method"][row],
        error=fits.texts["error"][row],
        flags=fits.flags(FitFlags, row),
        values=[fits.with_error(key, row) for key in VALUES],
        quality=[
            fits.significant("rms", row),
            fits.significant("rchi", row),
            str(fits.integer("n_pixels", row)),
        ],
    )


def _exposure(many, row, fits, picture):
    name, error = (many.texts[key][row] for key in ("exposure", "error"))
    more = [many.texts[key][row] for key in ("file", "error", "outliers")]
    for fit in fits:
        more += [fit.error, *(flag.name for flag in fit.flags)]
    # There is no combined background: each filter has its own.
    combined = [many.with_error(key, row) if key in many.numbers else "" for key in VALUES]
    return Exposure(
        number=Number(str(row + 1), row + 1),
        name=name,
        object=many.texts["object"][row],
        date_obs=many.texts["date_obs"][row],
        filters=many.texts["filters"][row].replace(",", ", "),
        error=error,
        failed=bool(error) or not np.isfinite(many.numbers["dra"][row]),
        flags=many.flags(ExposureFlags, row),
        values=[Number(many.with_error(key, row), many.numbers[key][row]) for key in OVERVIEW],
        agreement=_agreement(many.numbers["chi2"][row], many.integer("dof", row)),
        fits=fits,
        combined=combined if any(combined) else [],
        facts={key: value for key, value in _facts(many, row).items() if value},
        more_words=" ".join(filter(None, more)),
        picture=_picture(name, picture),
    )


def _agreement(chi2, dof):
    ratio = chi2 / dof if dof else np.nan
    return Number(f"{chi2:.1f}/{dof}" if np.isfinite(ratio) else "", ratio)


def _facts(many, row):
    facts = {
        "file": many.texts["file"][row],
        "filters that disagree": many.texts["outliers"][row],
        "correlation of dra and ddec": many.significant("radec_corr", row),
    }
    known = {key: np.atleast_1d(many.numbers[key][row]) for key in POLYNOMIALS}
    known = {key: coefficients for key, coefficients in known.items() if np.isfinite(coefficients).all()}
    for key, coefficients in known.items():
        facts[POLYNOMIALS[key]] = ", ".join(f"{value:.5g}" for value in coefficients)
    if known:
        facts["polynomials"] = "in (wavelength − 4750 Å) / 4600 Å − 0.5, highest power first"
    return facts


def _picture(name, path):
    if path is None or not Path(path).is_file():
        return None
    return Picture("jpeg", Path(path).read_bytes(), f"Data, model and residual of {name}: one row per filter")
