"""
Priors whose widths are estimated with the fit.

Point sources move and vary, galaxies have flux ratios of their own, images are rotated a little. These
effects are parameters of a fit with a mean of 0. The typical size of the effects of one kind is estimated
from all of them, and is their prior.
"""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Prior", "updated"]

# Degrees of freedom of the t-distribution of effects: a few may be many times larger than the others.
FREEDOM = 4.0

# The expected size of effects counts as much as so many effects.
EXPECTED_COUNT = 1.0


@dataclass(frozen=True)
class Prior:
    r"""
    The prior of n effects of one kind.

    Parameters
    ----------
    name : str
        What the effects are.
    places : array of int of shape (n,)
        Their places among all parameters of a fit.
    expected : float
        Their expected size, in their unit.
    size : float, optional
        Their size. By default (None) the expected one.
    precision : array of shape (n,), optional
        The force of the prior on each of them, divided by its value. By default (None) 1/size\ :sup:`2`, as
        of a Gaussian prior.
    curvature : array of shape (n,), optional
        The change of the force with the value, 0 where it decreases. By default (None) the precision.
    unit : float
        Their unit: they are the parameters, divided by this (default: 1).

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.priors import Prior
    >>> Prior("motion", np.arange(2), 0.1).precision.round(6)
    array([100., 100.])
    """

    name: str
    places: np.ndarray
    expected: float
    size: float | None = None
    precision: np.ndarray | None = None
    curvature: np.ndarray | None = None
    unit: float = 1.0

    def __post_init__(self):
        if self.size is None:
            object.__setattr__(self, "size", self.expected)
        if self.precision is None:
            object.__setattr__(self, "precision", np.full(len(self.places), self.size**-2.0))
        if self.curvature is None:
            object.__setattr__(self, "curvature", self.precision)


def updated(prior, values, covariance):
    """
    Return a prior with its size estimated from its effects.

    Parameters
    ----------
    prior : Prior
        Of the last round of the fit.
    values : array of shape (n,)
        The parameters.
    covariance : array of shape (n,)
        Their variances, prior included.

    Returns
    -------
    Prior
        The size is that of the largest evidence (MacKay 1992, Neural Computation 4, 415), for effects of a
        t-distribution with 4 degrees of freedom.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.priors import Prior, updated
    >>> effects = np.random.default_rng(1).normal(0, 0.3, 1000)
    >>> prior = updated(Prior("motion", np.arange(1000), 0.1), effects, np.full(1000, 1e-6))
    >>> for _ in range(10):
    ...     prior = updated(prior, effects, np.full(1000, 1e-6))
    >>> 0.2 < prior.size < 0.3
    True
    """
    values, covariance = values / prior.unit, covariance / prior.unit**2
    known = np.clip(1 - prior.precision * covariance, 0, 1)
    width = FREEDOM + (values**2 + covariance) / prior.size**2
    tail = (FREEDOM + 1) / width
    # That of outliers is below 0, which the information of the data can be less than.
    curvature = np.maximum(tail * (1 - 2 * (values / prior.size) ** 2 / width), 0)
    # Those that are hardly known are Gaussian, and have no weight: the noise of the template can move them if
    # nothing else is in it.
    tail, curvature = (1 + known * (one - 1) for one in (tail, curvature))
    squares = EXPECTED_COUNT * prior.expected**2 + np.sum(known * tail * values**2)
    size = float(np.sqrt(squares / (EXPECTED_COUNT + np.sum(known**2))))
    return replace(prior, size=size, precision=tail / size**2, curvature=curvature / size**2)
