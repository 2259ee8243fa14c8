"""The sections of the report: tables as HTML."""

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astropy_imphot.report.cells import texts, with_error
from astropy_imphot.report.markup import element, joined
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, FitFlags, flag_names

__all__ = ["FieldRows", "exposure_section", "image", "meanings", "overview", "settings"]

# Columns of values with an error, and what heads them.
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


@dataclass(frozen=True)
class _Rows:
    """The rows of a table, as plain numbers and text."""

    texts: dict
    numbers: dict

    @classmethod
    def of(cls, table, words, values):
        keys = [key for value in values for key in (value, f"{value}_err") if key in table.colnames]
        return cls({key: texts(table, key) for key in words}, {key: numbers(table, key) for key in keys})

    def integer(self, key, index):
        return int(np.nan_to_num(self.numbers[key][index]))

    def value_with_error(self, key, index):
        return with_error(self.numbers[key][index], self.numbers[f"{key}_err"][index])


@dataclass(frozen=True)
class FieldRows:
    """
    The tables of a field, read once.

    Attributes
    ----------
    exposures, fits : _Rows
        A row for each exposure, and for each exposure and filter.
    members : dict of str to list of int
        The rows of an exposure's fits, by its name.
    flux_unit : `~astropy.units.Unit`
        The unit of background and residuals.
    """

    exposures: _Rows
    fits: _Rows
    members: dict
    flux_unit: object

    @classmethod
    def of(cls, results, exposures):
        """Return the rows of the tables of results and of exposures."""
        words = ("exposure", "file", "object", "date_obs", "filters", "outliers", "error")
        values = (*VALUES, "radec_corr", "mjd_obs", "fwhm_coef", "beta_coef", "chi2", "dof", "flags")
        many = _Rows.of(exposures, words, values)
        words = ("exposure", "filter", "method", "error")
        fits = _Rows.of(results, words, (*VALUES, "rms", "rchi", "n_pixels", "flags"))
        members = {name: [] for name in many.texts["exposure"]}
        for index, name in enumerate(fits.texts["exposure"]):
            members.setdefault(name, []).append(index)
        return cls(many, fits, members, results["bg"].unit)

    def __len__(self):
        return len(self.exposures.texts["exposure"])

    def failed(self, index):
        """Tell whether nothing is known of an exposure."""
        return bool(self.exposures.texts["error"][index]) or not np.isfinite(
            self.exposures.numbers["dra"][index]
        )


def _chips(flags, kind):
    """Return the names of flags, with their meanings for those who point at them."""
    names = flag_names(flags, kind)
    return joined((element("abbr", name, class_="flag", title=kind[name].meaning) for name in names), " ")


def _number(value, shown):
    """Return a cell that is sorted by its number, whatever it shows."""
    return element("td", shown, class_="number", data_value=f"{value:.12g}" if np.isfinite(value) else "")


def _table(heads, rows, **attributes):
    head = element("thead", element("tr", *heads))
    return element("table", attributes.pop("caption", None), head, element("tbody", *rows), **attributes)


def _head(name, numeric=False):
    return element("th", name, scope="col", class_="number" if numeric else None)


def overview(field):
    """
    Return the table of exposures, which the report's script sorts and filters.

    Parameters
    ----------
    field : FieldRows
        The tables.

    Returns
    -------
    Markup
        The table.
    """
    many, fits = field.exposures, field.fits
    heads = [_head("no.", True), _head("exposure"), _head("flags")]
    heads += [_head(name, True) for name in OVERVIEW.values()]
    heads += [_head("chi²/dof", True), _head("filters"), _head("observed"), _head("object")]
    rows = []
    for index, name in enumerate(many.texts["exposure"]):
        failed, flags = field.failed(index), many.integer("flags", index)
        chi2, dof = many.numbers["chi2"][index], many.integer("dof", index)
        ratio = chi2 / dof if dof else np.nan
        badge = element("span", "failed", class_="failed") if failed else None
        # What is only in the exposure's own section can be searched for as well.
        more = [many.texts[key][index] for key in ("file", "error", "outliers")]
        for row in field.members[name]:
            more += [fits.texts["error"][row], *flag_names(fits.integer("flags", row))]
        cells = [
            _number(index + 1, index + 1),
            element("th", element("a", name, href=f"#{_anchor(index)}"), scope="row"),
            element("td", badge, _chips(flags, ExposureFlags), class_="words"),
            *(_number(many.numbers[key][index], many.value_with_error(key, index)) for key in OVERVIEW),
            _number(ratio, f"{chi2:.1f}/{dof}" if np.isfinite(ratio) else ""),
            element("td", many.texts["filters"][index].replace(",", ", "), class_="words"),
            element("td", many.texts["date_obs"][index]),
            element("td", many.texts["object"][index], class_="words"),
        ]
        about = {
            "data_fit": _anchor(index),
            "data_flagged": bool(failed or flags),
            "data_more": " ".join(more),
        }
        rows.append(element("tr", *cells, **about))
    return _table(heads, rows, id="exposure-table")


def _anchor(index):
    return f"exposure-{index + 1}"


def image(content, kind, alt):
    """
    Return an image that is in the page itself.

    Parameters
    ----------
    content : bytes
        The file.
    kind : str
        png or jpeg.
    alt : str
        What it shows, for those who cannot see it.

    Returns
    -------
    Markup
        The image.
    """
    return element("img", src=f"data:image/{kind};base64,{base64.b64encode(content).decode()}", alt=alt)


def exposure_section(field, index, picture):
    """
    Return what there is to say of one exposure, folded up.

    Parameters
    ----------
    field : FieldRows
        The tables.
    index : int
        The exposure's row.
    picture : path or None
        The JPEG file of its images.

    Returns
    -------
    Markup
        The section.
    """
    name, error = (field.exposures.texts[key][index] for key in ("exposure", "error"))
    return element(
        "details",
        element(
            "summary",
            element("h3", name),
            element("span", "failed", class_="failed") if field.failed(index) else None,
            _chips(field.exposures.integer("flags", index), ExposureFlags),
        ),
        element(
            "div",
            element("p", error, class_="error") if error else None,
            _picture(name, picture),
            _filters_table(field, index),
            _facts(field.exposures, index),
        ),
        class_="exposure",
        id=_anchor(index),
    )


def _picture(name, path):
    if path is None or not Path(path).is_file():
        return element("p", "No picture.", class_="note")
    return image(
        Path(path).read_bytes(), "jpeg", f"Data, model and residual of {name}, a row for each filter"
    )


def _filters_table(field, index):
    many, fits = field.exposures, field.fits
    name = many.texts["exposure"][index]
    heads = [_head("filter"), _head("method"), _head("flags"), *(_head(key, True) for key in VALUES.values())]
    heads += [_head(key, True) for key in ("rms", "reduced chi²", "pixels")]
    lines = []
    for row in field.members[name]:
        filter_name = element("th", fits.texts["filter"][row], scope="row")
        if fits.texts["error"][row]:
            why = element("td", fits.texts["error"][row], class_="words", colspan=len(heads) - 2)
            badge = element("span", "failed", class_="failed")
            lines.append(element("tr", filter_name, element("td", badge), why))
            continue
        method = element("td", fits.texts["method"][row])
        flags = element("td", _chips(fits.integer("flags", row), FitFlags), class_="words")
        measured = [fits.value_with_error(key, row) for key in VALUES]
        measured += [_significant(fits.numbers[key][row]) for key in ("rms", "rchi")]
        measured.append(fits.integer("n_pixels", row))
        cells = (element("td", value, class_="number") for value in measured)
        lines.append(element("tr", filter_name, method, flags, *cells))
    common = [many.value_with_error(key, index) if key in many.numbers else "" for key in VALUES]
    if any(common):
        start = [element("th", "combined", scope="row"), element("td", colspan=2)]
        cells = [element("td", value, class_="number") for value in common]
        lines.append(element("tr", *start, *cells, element("td", colspan=3), class_="combined"))
    caption = f"Background and rms in {field.flux_unit}"
    return element(
        "div",
        _table(heads, lines, caption=element("caption", caption)),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=f"Values of {name}",
    )


def _significant(value):
    return f"{value:.4g}" if np.isfinite(value) else ""


def _facts(many, index):
    facts = {
        "file": many.texts["file"][index],
        "filters that disagree": many.texts["outliers"][index],
        "correlation of dra and ddec": _significant(many.numbers["radec_corr"][index]),
    }
    for key, name in (("fwhm_coef", "FWHM (″)"), ("beta_coef", "beta")):
        coefficients = np.atleast_1d(many.numbers[key][index])
        if np.isfinite(coefficients).all():
            facts[f"{name}, polynomial"] = ", ".join(f"{value:.5g}" for value in coefficients)
    if "FWHM (″), polynomial" in facts:
        facts["polynomials"] = (
            "highest power first, in l = (wavelength - 4750 Angstrom) / 4600 Angstrom - 0.5"
        )
    return _definitions(facts)


def _definitions(facts):
    pairs = [(element("dt", name), element("dd", value)) for name, value in facts.items() if value != ""]
    return element("dl", *(part for pair in pairs for part in pair)) if pairs else None


def meanings(kind, head):
    """
    Return what the flags of a kind mean.

    Parameters
    ----------
    kind : type
        `~astropy_imphot.ExposureFlags` or `~astropy_imphot.FitFlags`.
    head : str
        What they are flags of.

    Returns
    -------
    Markup
        A list.
    """
    return joined([element("h3", head), _definitions({flag.name: flag.meaning for flag in kind})])


def settings(values, caption):
    """
    Return a table of options, versions or the like.

    Parameters
    ----------
    values : dict
        By name.
    caption : str
        What they are.

    Returns
    -------
    Markup or None
        The table, if there is anything in it.
    """
    if not values:
        return None
    rows = [
        element("tr", element("th", name, scope="row"), element("td", _plainly(value)))
        for name, value in values.items()
    ]
    table = element("table", element("caption", caption), element("tbody", *rows))
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _plainly(value):
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
