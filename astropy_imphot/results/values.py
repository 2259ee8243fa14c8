"""Values with errors, from a fitted model."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["FittedValue", "covariance_of", "fitted_values", "rounded", "with_error"]

# Errors have two significant digits; numbers of more decimal places than this have an exponent.
DIGITS = 2
MOST_PLACES = 8


@dataclass(frozen=True)
class FittedValue(NDArrayOperatorsMixin):
    """
    The value of a parameter and its error.

    Parameters
    ----------
    value : float
        The fitted or fixed value.
    stdev : float
        Its standard deviation, 0 if it was fixed.
    fixed : bool
        Whether it was fixed.
    unit : `~astropy.units.UnitBase`
        The unit of both.

    Notes
    -----
    Operators and numpy's functions act on ``quantity``, and give a `~astropy.units.Quantity`. Errors are not
    propagated: parameters of a fit are correlated, see the fit's ``covariance``.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot import FittedValue
    >>> fwhm = FittedValue(0.65, 0.01, False, u.arcsec)
    >>> print(fwhm)
    0.650 ± 0.010 arcsec
    >>> 2 * fwhm
    <Quantity 1.3 arcsec>
    >>> f"{fwhm:.1f}"
    '0.7 arcsec'
    >>> print(fwhm < 1 * u.arcsec, (fwhm / (0.2 * u.arcsec / u.pix)).round(2))
    True 3.25 pix
    """

    value: float
    stdev: float
    fixed: bool
    unit: u.UnitBase

    @property
    def quantity(self):
        """The value as a `~astropy.units.Quantity`."""
        return u.Quantity(self.value, self.unit)

    @property
    def rounded(self):
        """Value and error as texts, without their unit, see `~astropy_imphot.results.values.rounded`."""
        # The error of a free value is not known if it is 0.
        return rounded(self.value, 0.0 if self.fixed else self.stdev or np.nan)

    @property
    def text(self):
        """Value and error as one text, without their unit."""
        return _joined(*self.rounded)

    def __str__(self):
        return f"{self.text} {self.unit}".rstrip()

    def __format__(self, spec):
        return format(self.quantity, spec) if spec else str(self)

    # That of the mixin fails for None.
    __ne__ = object.__ne__

    def __float__(self):
        # As for a Quantity, values with a unit raise an error.
        return float(self.quantity)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype=dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return getattr(ufunc, method)(*map(_as_quantity, inputs), **kwargs)


def _as_quantity(operand):
    if isinstance(operand, u.UnitBase):
        return u.Quantity(1, operand)
    return operand.quantity if isinstance(operand, FittedValue) else operand


def rounded(value, error):
    """
    Return a value and its error, rounded to two significant digits of the error.

    Parameters
    ----------
    value, error : float
        The value and its standard deviation, which is 0 if the value was fixed, and not finite if it is not
        known.

    Returns
    -------
    value : str
        The value.
    error : str
        The error, to the same decimal place. Without an error, the value has five significant digits, and the
        error is ``"fixed"``, or ``"?"`` if it is not known.

    Examples
    --------
    >>> from astropy_imphot.results.values import rounded
    >>> rounded(0.651234, 0.004321), rounded(1234567.0, 4321.0)
    (('0.6512', '0.0043'), ('1234600', '4300'))
    >>> rounded(1.23456e-18, 4.321e-20), rounded(2.8, 0.0), rounded(2.8, float("nan"))
    (('1.235e-18', '4.3e-20'), ('2.8', 'fixed'), ('2.8', '?'))
    """
    if error == 0 or not np.isfinite([value, error]).all():
        return f"{value:.5g}", "fixed" if error == 0 else "?"
    place = _exponent(error, DIGITS) - DIGITS + 1
    size = max(_exponent(value, DIGITS), place)
    if -place > MOST_PLACES or size > MOST_PLACES:
        return f"{value:.{size - place}e}", f"{error:.{DIGITS - 1}e}"
    # Adding 0 removes the sign of a value that is rounded to 0.
    value, error = (round(number, -place) + 0.0 for number in (value, error))
    return f"{value:.{max(-place, 0)}f}", f"{error:.{max(-place, 0)}f}"


def _exponent(number, digits):
    """Return the exponent of ten of a number that is rounded to this many digits."""
    return int(f"{number:.{digits - 1}e}".split("e")[1])


def with_error(value, error):
    """
    Return a value and its error as one text.

    Parameters
    ----------
    value, error : float
        The value and its standard deviation, as for `rounded`.

    Returns
    -------
    str
        Both to two significant digits of the error; empty if the value is not a number.

    Examples
    --------
    >>> from astropy_imphot.results.values import with_error
    >>> with_error(0.651234, 0.004321)
    '0.6512 ± 0.0043'
    >>> with_error(2.8, 0.0)
    '2.8 (fixed)'
    >>> with_error(float("nan"), 0.1)
    ''
    """
    return _joined(*rounded(value, error)) if np.isfinite(value) else ""


def _joined(value, error):
    return f"{value} (fixed)" if error == "fixed" else f"{value} ± {error}"


def fitted_values(model, quality, units):
    """
    Return a fitted model's parameters with their errors.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        The model at the solution.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Its errors.
    units : dict of str to `~astropy.units.UnitBase`
        The parameters' units; those that are not named are dimensionless.

    Returns
    -------
    dict of str to `FittedValue`
        In the order of the model's parameters.

    Examples
    --------
    See `~astropy_imphot.fit_image_photometry`.
    """
    errors = dict(zip(quality.free, np.sqrt(np.diag(quality.covariance)), strict=True))
    return {
        key: FittedValue(
            float(getattr(model, key).value),
            float(errors.get(key, 0)),
            key not in quality.free,
            units.get(key, u.dimensionless_unscaled),
        )
        for key in units
    }


def covariance_of(keys, covariance, free):
    """
    Return the covariance of some parameters.

    Parameters
    ----------
    keys : sequence of str
        Names of the parameters.
    covariance : array of shape (p, p)
        Of the free parameters.
    free : sequence of str
        Their names.

    Returns
    -------
    array
        The covariance, 0 for parameters that were fixed.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.results.values import covariance_of
    >>> covariance_of(["b", "c"], np.array([[4.0, 1.0], [1.0, 2.0]]), ["a", "b"])
    array([[2., 0.],
           [0., 0.]])
    """
    block = np.zeros((len(keys), len(keys)))
    for i, one in enumerate(keys):
        for j, other in enumerate(keys):
            if one in free and other in free:
                block[i, j] = covariance[free.index(one), free.index(other)]
    return block
