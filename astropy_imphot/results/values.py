"""Values with errors, from a fitted model."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

__all__ = ["FittedValue", "covariance_of", "fitted_values"]


@dataclass(frozen=True)
class FittedValue:
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

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot import FittedValue
    >>> print(FittedValue(0.65, 0.01, False, u.arcsec))
    0.65 +- 0.01 arcsec
    """

    value: float
    stdev: float
    fixed: bool
    unit: u.UnitBase

    def __str__(self):
        error = "(fixed)" if self.fixed else f"+- {self.stdev:.2g}"
        return f"{self.value:.5g} {error} {self.unit}".rstrip()


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
    See `~astropy_imphot.fit_image_photometry`, which uses it.
    """
    errors = dict(zip(quality.free, np.sqrt(np.diag(quality.covariance)), strict=True))
    return {
        key: FittedValue(
            float(getattr(model, key).value),
            float(errors.get(key, 0)),
            key not in quality.free,
            units.get(key, u.dimensionless_unscaled),
        )
        for key in model.param_names
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
