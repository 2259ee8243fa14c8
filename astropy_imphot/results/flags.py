"""Flags of fits and of exposures."""

from enum import IntFlag
from itertools import combinations

import numpy as np

from astropy_imphot.parameters import all_parameters

__all__ = [
    "ExposureFlags",
    "FitFlags",
    "at_bound",
    "basic_flags",
    "combined",
    "flag_names",
    "is_plausible_scale",
]


class _Flags(IntFlag):
    """Flags with a description."""

    def __new__(cls, value, meaning=""):  # noqa: D102
        flag = int.__new__(cls, value)
        flag._value_ = value
        flag.meaning = meaning
        return flag


class FitFlags(_Flags):
    """
    Flags of a fit that may be wrong; 0 if there are none.

    Attributes
    ----------
    meaning : str
        The flag's meaning in words.

    Examples
    --------
    >>> from astropy_imphot.results.flags import FitFlags
    >>> flags = FitFlags.AT_BOUND | FitFlags.FEW_PIXELS
    >>> int(flags), FitFlags.AT_BOUND in flags
    (130, True)
    >>> for flag in FitFlags:
    ...     print(f"{flag.value:>3} {flag.name}: {flag.meaning}")
      1 NOT_CONVERGED: the fitter or the choice of pixels did not converge
      2 AT_BOUND: a parameter ended at a bound
      4 DEGENERATE: the PSF's parameters are not determined separately: fix one, such as beta
      8 FEW_SOURCES: too few or too faint sources: the errors are large, or there are fewer than 4 objects
     16 BEYOND_MARGIN: the offset is larger than the template's margin
     32 RESIDUALS: the residuals are significant: see the report and the plot
     64 TEMPLATE_NOISE: the HST image's noise dominates the errors
    128 FEW_PIXELS: few pixels were fitted
    256 MANY_CHANGED: objects that changed cover too many pixels: some were not masked
    512 HST_PSF: point sources do not have the given HST PSF: give another one, such as from build_hst_psf
    1024 SCALE: the flux scale is far from 1, or not above 0: check units and zero points
    2048 BANDPASS: the images have different filters
    4096 NO_MATCH: no clear offset within 15 arcsec along each axis: give init_dx and init_dy
    """

    NOT_CONVERGED = 1, "the fitter or the choice of pixels did not converge"
    AT_BOUND = 2, "a parameter ended at a bound"
    DEGENERATE = 4, "the PSF's parameters are not determined separately: fix one, such as beta"
    FEW_SOURCES = 8, "too few or too faint sources: the errors are large, or there are fewer than 4 objects"
    BEYOND_MARGIN = 16, "the offset is larger than the template's margin"
    RESIDUALS = 32, "the residuals are significant: see the report and the plot"
    TEMPLATE_NOISE = 64, "the HST image's noise dominates the errors"
    FEW_PIXELS = 128, "few pixels were fitted"
    MANY_CHANGED = 256, "objects that changed cover too many pixels: some were not masked"
    HST_PSF = 512, "point sources do not have the given HST PSF: give another one, such as from build_hst_psf"
    SCALE = 1024, "the flux scale is far from 1, or not above 0: check units and zero points"
    BANDPASS = 2048, "the images have different filters"
    NO_MATCH = 4096, "no clear offset within 15 arcsec along each axis: give init_dx and init_dy"


class ExposureFlags(_Flags):
    """
    Flags of an exposure that may be wrong, or differs from the others; 0 if there are none.

    Attributes
    ----------
    meaning : str
        The flag's meaning in words.

    Examples
    --------
    >>> from astropy_imphot.results.flags import ExposureFlags
    >>> for flag in ExposureFlags:
    ...     print(f"{flag.value:>3} {flag.name}: {flag.meaning}")
      1 FILTERS_DISAGREE: the filters differ by more than their errors
      2 OUTLYING_FILTER: one filter differs from the others
      4 FILTER_MISSING: a filter failed or could not be used
      8 DOUBTFUL_FIT: a filter's fit is flagged
     16 BAD_SCALE: the flux scale is far from the field's median
     32 OUTLYING_OFFSET: the offset is far from the field's median
     64 HIGH_BACKGROUND: the background is far from the field's median
    """

    FILTERS_DISAGREE = 1, "the filters differ by more than their errors"
    OUTLYING_FILTER = 2, "one filter differs from the others"
    FILTER_MISSING = 4, "a filter failed or could not be used"
    DOUBTFUL_FIT = 8, "a filter's fit is flagged"
    BAD_SCALE = 16, "the flux scale is far from the field's median"
    OUTLYING_OFFSET = 32, "the offset is far from the field's median"
    HIGH_BACKGROUND = 64, "the background is far from the field's median"


# Fits of fewer pixels than this are flagged: 4 x 4 arcsec.
FEW_PIXELS = 400

# Two parameters of the PSF are degenerate if the correlation of their errors is larger than this.
LARGEST_CORRELATION = 0.98

# Flux scales beyond this factor are those of a wrong unit or zero point. Clouds and errors of the calibration
# of exposures that are used change them by less.
LARGEST_SCALE = 2.0

# A parameter is at a bound if it is closer than this, as a fraction of the bound.
CLOSE = 1e-3


def basic_flags(values, free, covariance, *, psf, converged, bounded, n_pixels):
    """
    Return the flags of a fit that depend on its values and errors.

    Parameters
    ----------
    values : dict of str to `~astropy_imphot.FittedValue`
        The parameters.
    free : sequence of str
        Names of the p free ones.
    covariance : array of shape (p, p)
        Their covariance.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF. The limits of errors are in its table of parameters.
    converged : bool
        Whether the fit converged.
    bounded : bool
        Whether a parameter is at a bound, see `at_bound`.
    n_pixels : int
        Number of fitted pixels.

    Returns
    -------
    FitFlags
        The flags.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot import FittedValue
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.results.flags import basic_flags
    >>> values = {"dx": FittedValue(0.3, 0.1, False, u.arcsec)}
    >>> rest = {"psf": MOFFAT, "converged": True, "bounded": False, "n_pixels": 900}
    >>> basic_flags(values, ["dx"], [[0.01]], **rest).name
    'FEW_SOURCES'
    """
    errors = dict(zip(free, np.sqrt(np.diag(covariance)), strict=True))
    table = all_parameters(psf)
    raised = {
        FitFlags.NOT_CONVERGED: not converged,
        FitFlags.AT_BOUND: bounded,
        FitFlags.DEGENERATE: _degenerate(values, errors, free, np.asarray(covariance), table),
        FitFlags.FEW_SOURCES: not all(0 < error < np.inf for error in errors.values())
        or any(_is_large(values[key].value, error, table[key]) for key, error in errors.items()),
        FitFlags.FEW_PIXELS: n_pixels < FEW_PIXELS,
    }
    return combined(raised)


def at_bound(model):
    """
    Return whether a free parameter of a model is at one of its bounds.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        The model at the solution.

    Returns
    -------
    bool
        True if one is.

    Examples
    --------
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.results.flags import at_bound
    >>> at_bound(MoffatStar2D(beta=2.5)), at_bound(MoffatStar2D(beta=100.0))
    (False, True)
    """
    parameters = (getattr(model, key) for key in model.param_names if not model.fixed[key])
    return any(
        bound is not None and abs(parameter.value - bound) <= CLOSE * max(abs(bound), CLOSE)
        for parameter in parameters
        for bound in parameter.bounds
    )


def is_plausible_scale(scale):
    """
    Return whether flux scales can be those of an exposure.

    Parameters
    ----------
    scale : float or array
        The flux scales, MUSE/HST.

    Returns
    -------
    bool or array of bool
        True between 1/2 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.results.flags import is_plausible_scale
    >>> is_plausible_scale(np.array([0.9, 36.0, -0.1, np.nan]))
    array([ True, False, False, False])
    """
    return (scale >= 1 / LARGEST_SCALE) & (scale <= LARGEST_SCALE)


def combined(raised):
    """
    Return the sum of the flags that are raised.

    Parameters
    ----------
    raised : dict of FitFlags to bool
        Whether each flag is raised.

    Returns
    -------
    FitFlags
        The sum.

    Examples
    --------
    >>> from astropy_imphot.results.flags import FitFlags, combined
    >>> int(combined({FitFlags.AT_BOUND: True, FitFlags.FEW_PIXELS: False}))
    2
    """
    flags = FitFlags(0)
    for flag, is_raised in raised.items():
        if is_raised:
            flags |= flag
    return flags


def flag_names(flags, kind=FitFlags):
    """
    Return the names of the flags that are raised.

    Parameters
    ----------
    flags : int
        The flags, as in a table.
    kind : type
        `FitFlags` (the default) or `ExposureFlags`.

    Returns
    -------
    list of str
        The flags' names.

    Examples
    --------
    >>> from astropy_imphot.results.flags import ExposureFlags, flag_names
    >>> flag_names(130)
    ['AT_BOUND', 'FEW_PIXELS']
    >>> flag_names(36, ExposureFlags)
    ['FILTER_MISSING', 'OUTLYING_OFFSET']
    """
    return [flag.name for flag in kind if flag & flags]


def _is_large(value, error, info):
    if info.large_error is None:
        return False
    return error > info.large_error * (abs(value) if info.relative else 1)


def _degenerate(values, errors, free, covariance, table):
    """Return whether parameters of the PSF are degenerate."""
    of_psf = [key for key in free if table[key].kind == "psf"]
    if any(errors[key] == 0 for key in of_psf):
        return True
    for one, other in combinations(of_psf, 2):
        product = covariance[free.index(one), free.index(other)]
        if abs(product) / max(errors[one] * errors[other], 1e-300) > LARGEST_CORRELATION:
            return True
    return len(of_psf) > 1 and any(
        errors[key] > table[key].degenerate_error * abs(values[key].value)
        for key in of_psf
        if table[key].degenerate_error is not None
    )
