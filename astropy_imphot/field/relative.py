"""The exposures of a field from the fits of pairs: their offsets, rotations, scales and backgrounds."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy.optimize import nnls
from scipy.sparse.csgraph import connected_components

from astropy_imphot.field.combine import UNUSABLE
from astropy_imphot.field.pairs import REFERENCE_PSF
from astropy_imphot.io.errors import UserError
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, FitFlags

__all__ = ["COLUMNS", "relative_exposures"]

COLUMNS = {
    "exposure": "name of the exposure",
    "pairs": "number of pairs that were used",
    "dra": "right ascension, exposure - mean of the exposures",
    "ddec": "declination, exposure - mean of the exposures",
    "rotation": "rotation, exposure - mean of the exposures",
    "scale": "flux scale, exposure/mean of the exposures",
    "bg": "background, exposure - mean of the exposures",
    "fwhm_square": "square of the FWHM, exposure - mean of the exposures",
    "flags": "sum of ExposureFlags",
    "error": "why it failed",
}
UNITS = {"dra": u.arcsec, "ddec": u.arcsec, "rotation": u.deg, "fwhm_square": u.arcsec**2}

# Flags that are as expected of pairs of exposures.
USUAL = FitFlags.FEW_SOURCES | FitFlags.TEMPLATE_NOISE | FitFlags.DEGENERATE

# A pair is not used if it contradicts the others by more than so many standard deviations.
CONTRADICTS = 5.0

# Squares of FWHM add up if exposures have the same beta. With values of 2.2 to 3.5, pairs differ by so much,
# arcsec^2, see benchmarks/exposures.py.
SHAPE_ERROR = 0.1

# How much variances of exposures are held together, and the least one, a part of that of a pair.
ALIKE = 0.1
LEAST_PART = 0.05


def relative_exposures(names, results):
    """
    Solve for the exposures from the fits of their pairs.

    Parameters
    ----------
    names : sequence of str
        The exposures.
    results : `~astropy.table.QTable`
        A row for each pair, from `~astropy_imphot.field.pairs.fit_pair`.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each exposure: offset, rotation, scale, background and FWHM relative to the mean of the
        exposures, with errors; flags; and the reason of a failure, or ``""``.

    Raises
    ------
    UserError
        If no pair can be used.

    Notes
    -----
    The difference of a pair is the difference of two exposures, with the errors of both. Those of an exposure
    are the same in all of its pairs: pair ij has the variance s_i^2 + s_j^2, from which the s_i follow by
    least squares. Relative to the mean of n exposures, the variance of exposure i is (1 - 1/n)^2 s_i^2 plus
    the sum of s_j^2/n^2 over the others.

    Scales are added as logarithms, backgrounds in units of the exposure's scale, and squares of FWHM: those
    of a pair are the difference of a fit and ``REFERENCE_PSF``.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.field.relative import relative_exposures
    >>> pairs = QTable({"exposure": ["A", "A", "B"], "reference": ["B", "C", "C"], "flags": [0, 0, 0]})
    >>> pairs["dra"] = [0.3, 0.5, 0.2] * u.arcsec
    >>> for key, value in (("ddec", 0), ("rotation", 0), ("scale", 1), ("bg", 0), ("fwhm", 1)):
    ...     pairs[key] = [float(value)] * 3
    >>> for key in ("dra", "ddec", "rotation", "scale", "bg", "fwhm"):
    ...     pairs[f"{key}_err"] = [0.01] * 3
    >>> found = relative_exposures(["A", "B", "C"], pairs)
    >>> print(found["dra"].round(3), found["dra_err"].round(4))
    [ 0.267 -0.033 -0.233] arcsec [0.0058 0.0058 0.0058] arcsec
    """
    names = list(names)
    used = np.array([not flag & UNUSABLE for flag in results["flags"]], dtype=bool)
    design = _design(names, results)
    differences = _differences(results)
    for values, errors in differences.values():
        # All errors are 0 of what is held.
        used &= np.isfinite(values + errors) & ((errors > 0) | ~np.any(errors))
    used &= np.any([errors > 0 for key, (_, errors) in differences.items() if key != "fwhm_square"], axis=0)
    if not used.any():
        raise UserError(
            "no pair of exposures has a fit that can be used: check that they show the same sky, and that "
            "none is a copy of another."
        )
    used, group, contradicted = _without_contradictions(design, differences, used)
    pairs = design[used][:, group]
    solved = {key: _solve(pairs, values[used], errors[used]) for key, (values, errors) in differences.items()}
    scale = np.exp(solved["scale"][0])
    solved["scale"] = scale, scale * solved["scale"][1]
    # A pair's background is in units of its exposure's scale.
    unit = (pairs > 0) @ scale
    background = [numbers(results, key)[used] / unit for key in ("bg", "bg_err")]
    solved["bg"] = tuple(scale * one for one in _solve(pairs, *background))
    found = {"exposure": names, "pairs": np.count_nonzero(design[used], axis=0)}
    for key, parts in solved.items():
        for name, part in zip((key, f"{key}_err"), parts, strict=True):
            column = np.full(len(names), np.nan)
            column[group] = part
            found[name] = column * UNITS.get(key, u.dimensionless_unscaled)
    doubtful = np.array([bool(flag & ~(UNUSABLE | USUAL)) for flag in results["flags"]], dtype=bool)
    of_doubtful = np.any(design[used & doubtful | contradicted] != 0, axis=0)
    found["flags"] = np.where(of_doubtful, int(ExposureFlags.DOUBTFUL_FIT), 0)
    lost = "none of its pairs with the other exposures has a fit that can be used."
    found["error"] = ["" if is_in else lost for is_in in group]
    return QTable(found)


def _design(names, results):
    """Return the matrix of the pairs: 1 for the exposure, -1 for its reference."""
    design = np.zeros((len(results), len(names)))
    for row, (one, other) in enumerate(zip(results["exposure"], results["reference"], strict=True)):
        design[row, names.index(one)], design[row, names.index(other)] = 1, -1
    return design


def _differences(results):
    """Return what is the difference of two exposures in each pair, with its errors."""
    found = {
        key: (numbers(results, key), numbers(results, f"{key}_err")) for key in ("dra", "ddec", "rotation")
    }
    scale, fwhm = numbers(results, "scale"), numbers(results, "fwhm")
    found["scale"] = np.log(np.where(scale > 0, scale, np.nan)), numbers(results, "scale_err") / scale
    found["fwhm_square"] = (
        fwhm**2 - REFERENCE_PSF[0] ** 2,
        np.hypot(2 * fwhm * numbers(results, "fwhm_err"), SHAPE_ERROR),
    )
    return found


def _without_contradictions(design, differences, used):
    """Return the pairs that agree, of the largest group; the exposures in it; and pairs that contradict."""
    contradicted = np.zeros(len(used), dtype=bool)
    while True:
        group = _largest_group(design[used])
        used = used & ~np.any(design[:, ~group] != 0, axis=1)
        pairs, away = design[used][:, group], np.zeros(used.sum())
        for key in ("dra", "ddec", "scale"):
            values, errors = (one[used] for one in differences[key])
            solved, _ = _solve(pairs, values, errors)
            away = np.maximum(away, np.abs(values - pairs @ solved) / _or_one(errors))
        if away.max() < CONTRADICTS:
            return used, group, contradicted
        worst = np.flatnonzero(used)[away.argmax()]
        used[worst], contradicted[worst] = False, True


def _largest_group(design):
    """Return which exposures are in the largest group that pairs connect."""
    connected = (design != 0).T.astype(int) @ (design != 0).astype(int)
    _, labels = connected_components(connected, directed=False)
    counts = np.bincount(labels)
    return (labels == counts.argmax()) & (counts.max() > 1)


def _solve(design, values, errors):
    """Return the exposures' values relative to their mean, and their errors; 0 of what is held."""
    number = design.shape[1]
    # Exposures are alike where the pairs do not show which of them has the larger error.
    alike = ALIKE * (np.eye(number) - 1 / number)
    variances, _ = nnls(np.vstack([np.abs(design), alike]), np.concatenate([errors**2, np.zeros(number)]))
    variances = np.maximum(variances, LEAST_PART * np.median(errors) ** 2)
    weights = 1 / _or_one(errors)
    solved, *_ = np.linalg.lstsq(design * weights[:, np.newaxis], values * weights, rcond=None)
    relative = np.eye(number) - 1 / number
    return solved - solved.mean(), np.sqrt(relative**2 @ variances)


def _or_one(errors):
    return np.where(errors > 0, errors, 1.0)
