"""Exposures compared with the others of their field."""

import numpy as np
from astropy.stats import mad_std

from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags

__all__ = ["compare_exposures"]

# An exposure is far from the median if it differs by more than so many standard deviations, of the
# exposures and of its own error. Below the limits (a fraction, arcsec, 1e-20 erg/s/cm2/Angstrom) differences
# are ignored.
FAR = 5.0
LIMITS = {"scale": 0.05, "dra": 0.1, "ddec": 0.1, "bg": 1.0}

# The median of fewer exposures is not compared with.
LEAST_EXPOSURES = 3


def compare_exposures(exposures, results):
    """
    Flag exposures that are far from the median of their field.

    Parameters
    ----------
    exposures : `~astropy.table.QTable`
        A row for each exposure, with columns exposure, scale, dra, ddec, and errors (``_err``).
    results : `~astropy.table.QTable`
        A row for each exposure, filter and method, with columns exposure, filter, method, bg and bg_err.

    Returns
    -------
    int array
        For each exposure BAD_SCALE, OUTLYING_OFFSET and HIGH_BACKGROUND of
        `~astropy_imphot.results.flags.ExposureFlags`; 0 if it has none of them.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.field.compare import compare_exposures
    >>> small = [0.01] * 4
    >>> exposures = QTable({"exposure": list("ABCD"), "scale": [1.0, 1.01, 0.99, 1.5], "scale_err": small})
    >>> for key in ("dra", "ddec"):
    ...     exposures[key], exposures[f"{key}_err"] = [0.1, 0.2, 0.1, 0.2] * u.arcsec, small * u.arcsec
    >>> results = QTable({"exposure": list("ABCD"), "filter": ["F606W"] * 4, "method": ["image"] * 4})
    >>> results["bg"], results["bg_err"] = [0.1, 0.2, 0.3, 0.2], small
    >>> compare_exposures(exposures, results)
    array([ 0,  0,  0, 16])
    """
    flags = np.zeros(len(exposures), dtype=int)
    scale = numbers(exposures, "scale")
    flags[_far(scale, numbers(exposures, "scale_err"), LIMITS["scale"] * np.abs(_median(scale)))] |= int(
        ExposureFlags.BAD_SCALE
    )
    for key in ("dra", "ddec"):
        far = _far(numbers(exposures, key), numbers(exposures, f"{key}_err"), LIMITS[key])
        flags[far] |= int(ExposureFlags.OUTLYING_OFFSET)
    for name in set(results["filter"]):
        # A star's background is that of its circle.
        rows = results[(results["filter"] == name) & (results["method"] != "stars")]
        far = _far(numbers(rows, "bg"), numbers(rows, "bg_err"), LIMITS["bg"])
        flags[np.isin(exposures["exposure"], rows["exposure"][far])] |= int(ExposureFlags.HIGH_BACKGROUND)
    return flags


def _median(values):
    return np.nanmedian(values) if np.isfinite(values).any() else np.nan


def _far(values, errors, limit):
    if np.isfinite(values).sum() < LEAST_EXPOSURES:
        return np.zeros(len(values), dtype=bool)
    away = np.abs(values - _median(values))
    spread = np.hypot(mad_std(values, ignore_nan=True), np.nan_to_num(errors))
    return away > np.maximum(FAR * spread, limit)
