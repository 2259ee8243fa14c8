"""A field as HTML, as notebooks show it."""

from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, flag_names
from astropy_imphot.results.html import table_as_html
from astropy_imphot.results.values import with_error

__all__ = ["field_as_html"]

# More exposures would make the table too long.
MOST_EXPOSURES = 50


def field_as_html(exposures, failures):
    """
    Return the exposures of a field as HTML.

    Parameters
    ----------
    exposures : `~astropy.table.QTable`
        A row for each exposure, as in exposures.ecsv.
    failures : dict of str to str
        Reasons of failures, by the exposures' names.

    Returns
    -------
    str
        A table of the first 50 exposures, with errors and with flags in words, and one of the failures.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.field.html import field_as_html
    >>> exposures = QTable({"exposure": ["E1"], "filters": ["F606W"], "flags": [8]})
    >>> exposures["dx"], exposures["dx_err"] = [0.12] * u.arcsec, [0.01] * u.arcsec
    >>> html = field_as_html(exposures, {})
    >>> "<td>0.120 ± 0.010</td>" in html, "DOUBTFUL_FIT" in html
    (True, True)
    """
    # Each filter's scale and background are in the table as well: scale_F606W.
    endings = tuple(f"_{name}" for text in exposures["filters"] for name in str(text).split(",") if name)
    keys = [
        key for key in exposures.colnames if f"{key}_err" in exposures.colnames and not key.endswith(endings)
    ]
    cells = {key: _with_errors(exposures, key) for key in keys}
    rows = [
        (
            exposures["exposure"][index],
            *(cells[key][index] for key in keys),
            ", ".join(flag_names(int(exposures["flags"][index]), ExposureFlags)) or "no flags",
        )
        for index in range(min(len(exposures), MOST_EXPOSURES))
    ]
    units = {key: str(exposures[key].unit or "") for key in keys}
    heads = ["exposure", *(f"{key} ({unit})" if unit else key for key, unit in units.items()), "flags"]
    shown = f", the first {MOST_EXPOSURES} of which are" if len(exposures) > MOST_EXPOSURES else ""
    html = f"<p>{len(exposures)} exposures{shown}:</p>{table_as_html(heads, rows)}"
    return html + (table_as_html(["failed", "why"], failures.items()) if failures else "")


def _with_errors(table, key):
    return [
        with_error(value, error)
        for value, error in zip(numbers(table, key), numbers(table, f"{key}_err"), strict=True)
    ]
