"""The fits of an exposure in several filters, and their covariance by common noise."""

from itertools import combinations, combinations_with_replacement

import numpy as np

from astropy_imphot.io.grid import image_grids_aligned
from astropy_imphot.noise.autocorrelation import autocorrelation, cross_correlation, excess_on_objects
from astropy_imphot.noise.covariance import coherence, score_parts

__all__ = ["is_shared", "joint_covariance"]

# The kinds of parameters that the filters of an exposure share, and of those that they do not share.
SHARED = ("shift", "rotation", "psf", "ellipticity")
OWN = ("scale", "background")


def is_shared(info):
    """
    Return whether the filters of an exposure share a parameter.

    Parameters
    ----------
    info : `~astropy_imphot.parameters.ParameterInfo`
        The parameter.

    Returns
    -------
    bool
        False if each filter has a value of its own.

    Raises
    ------
    ValueError
        If that is not defined for its kind.

    Examples
    --------
    >>> from astropy_imphot.field.joint import is_shared
    >>> from astropy_imphot.parameters import PARAMETERS
    >>> [is_shared(PARAMETERS[name]) for name in ("dx", "bg_x")]
    [True, False]
    """
    if info.kind not in SHARED + OWN:
        raise ValueError(f"it is not defined whether filters share {info.name}, of the kind {info.kind}.")
    return info.kind in SHARED


def joint_covariance(fits):
    """
    Return the values of an exposure's fits in several filters, and their covariance.

    Parameters
    ----------
    fits : dict of str to `~astropy_imphot.FittedImagePhotometry`
        The fits.

    Returns
    -------
    values : dict of (str, str) to float
        The n parameters (filter, name) of the fits; fixed ones have a covariance of 0.
    covariance : array of shape (n, n)
        Theirs. Filters overlap, so that the noise of their images is correlated: as much, at every frequency,
        as their residuals are.

    Examples
    --------
    See `~astropy_imphot.field.combine.combine`, which uses it.
    """
    # The contributions of the frequencies are those of images that are padded alike.
    max_lag = max((fit.fitted_model.max_lag for fit in fits.values()), default=0)
    noises = {name: _Noise(fit, max_lag) for name, fit in fits.items()}
    shared = {
        (name, other): noises[name].shared_with(noises[other]) for name, other in combinations(fits, 2)
    } | {(name, name): fit.covariance for name, fit in fits.items()}
    keys = [(name, key) for name, fit in fits.items() for key in fit.fitted_model.infos if key in fit.values]
    covariance = np.zeros((len(keys), len(keys)))
    for (i, (name, key)), (j, (other, other_key)) in combinations_with_replacement(enumerate(keys), 2):
        free, other_free = fits[name].free, fits[other].free
        if key in free and other_key in other_free:
            value = shared[name, other][free.index(key), other_free.index(other_key)]
            covariance[i, j] = covariance[j, i] = value
    return {(name, key): fits[name].values[key].value for name, key in keys}, covariance


class _Noise:
    """The effect of an image's noise on the parameters of its fit, at each frequency."""

    def __init__(self, fit, max_lag):
        self.image = fit.data
        self.max_lag = max_lag
        self.valid = ~fit.residual.mask
        residual = np.where(self.valid, fit.residual.data, 0) * fit.weights
        excess = excess_on_objects(residual, self.valid, fit.labels, max_lag)[fit.labels]
        self.residual = residual / excess
        self.correlation = autocorrelation(self.residual, self.valid, max_lag)
        self.parts = score_parts(fit.influence * excess, self.correlation)
        values, vectors = np.linalg.eigh(fit.prior_covariance)
        self.prior_parts = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def shared_with(self, other):
        """Return the covariance of the parameters of two fits."""
        # Stars move, and images are rotated, in all filters alike.
        effects = np.zeros((len(self.parts), len(other.parts)))
        if self.prior_parts.shape == other.prior_parts.shape:
            effects = self.prior_parts @ other.prior_parts.T
        if not image_grids_aligned(self.image, other.image):
            return effects
        both = cross_correlation(self.residual, other.residual, self.valid & other.valid, self.max_lag)
        same = coherence(both, self.correlation, other.correlation, self.valid.shape)
        return (self.parts * same) @ other.parts.T + effects
