"""Covariances of fitted parameters under correlated noise."""

import numpy as np
from scipy import fft

from astropy_imphot.noise.autocorrelation import MAX_LAG, autocorrelation, padded_shape

__all__ = ["coherence", "inverse", "sandwich_covariance", "score_covariance", "score_parts"]

# Combinations of parameters whose eigenvalue is a smaller part of the largest one are excluded.
SINGULAR = 1e-15

# A matrix with a diagonal of 1 has no such combinations if its eigenvalues are above this.
SURELY_POSITIVE = 1e-9

# At least this fraction of J^T J is information; the rest can be noise of the template.
LEAST_INFORMATION = 0.05


def sandwich_covariance(jacobian, residual, valid, *, excess=1.0, template_part=None, max_lag=MAX_LAG):
    r"""
    Return the covariance of fitted parameters under correlated noise.

    Parameters
    ----------
    jacobian : array of shape (p, ny, nx)
        Weighted derivatives of the model with respect to the p free parameters, 0
        where not valid.
    residual : array of shape (ny, nx)
        Weighted residuals, 0 where not valid.
    valid : bool array of shape (ny, nx)
        True for the pixels that were fitted.
    excess : array of shape (ny, nx) or float
        The factor by which the noise is larger than the weights imply, from
        `~astropy_imphot.noise.autocorrelation.excess_on_objects` (default: 1).
    template_part : array of shape (p, p), optional
        The contribution of the template's noise to J\ :sup:`T`\ J, which is no information, see
        `~astropy_imphot.noise.reference.TemplateNoise`. By default (None) there is none.
    max_lag : int
        The largest lag of the noise's correlation, pixels (default: 6).

    Returns
    -------
    covariance : array of shape (p, p)
        For noise with the autocorrelation of the residuals.
    naive : array of shape (p, p)
        For independent noise with the standard deviations of the weights.
    bread : array of shape (p, p)
        A\ :sup:`-1` of the notes, which converts scores into changes of the parameters.

    Notes
    -----
    The covariance is the sandwich A\ :sup:`-1` J\ :sup:`T` C J A\ :sup:`-1`
    (Huber 1967, Proc. Fifth Berkeley Symp. Math. Stat. Prob. 1, 221; White 1980, Econometrica 48, 817).
    A is J\ :sup:`T`\ J less the template's part. C is the autocorrelation of the residuals, the same for
    all pixels except for the excess.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.covariance import sandwich_covariance
    >>> noise = np.random.default_rng(1).normal(size=(100, 100))
    >>> valid = np.ones(noise.shape, bool)
    >>> covariance, naive, bread = sandwich_covariance(np.ones((1, 100, 100)), noise, valid)
    >>> float(naive[0, 0])
    0.0001
    """
    n_free, n_valid = len(jacobian), int(valid.sum())
    flat = jacobian.reshape(n_free, -1)
    normal = flat @ flat.T
    # The residuals have n_free degrees of freedom less than there are pixels.
    correlation = autocorrelation(residual / excess, valid, max_lag) * n_valid / max(n_valid - n_free, 1)
    bread = inverse(normal if template_part is None else normal - template_part, normal)
    return bread @ score_covariance(jacobian * excess, correlation) @ bread, inverse(normal), bread


def score_covariance(jacobian, correlation):
    """
    Return the covariance of the scores of a fit under correlated noise, J^T C J.

    Parameters
    ----------
    jacobian : array of shape (p, ny, nx)
        As for `sandwich_covariance`.
    correlation : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        The autocorrelation of the noise, from `~astropy_imphot.noise.autocorrelation.autocorrelation`.

    Returns
    -------
    array of shape (p, p)
        The covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.covariance import score_covariance
    >>> white = np.pad([[4.0]], 1)
    >>> score_covariance(np.ones((1, 10, 10)), white).round(6)
    array([[400.]])
    """
    parts = score_parts(jacobian, correlation)
    return parts @ parts.T


def score_parts(jacobian, correlation):
    """
    Return the contributions of all frequencies to the noise of a fit's scores, which are independent.

    Parameters
    ----------
    jacobian : array of shape (p, ny, nx)
        As for `score_covariance`.
    correlation : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        As for `score_covariance`.

    Returns
    -------
    array of shape (p, m)
        Signed standard deviations: the product of two rows is the covariance of two scores. For
        images of the same shape the parts are in the same order.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.covariance import score_parts
    >>> parts = score_parts(np.ones((1, 10, 10)), np.pad([[4.0]], 1))
    >>> round(float(np.sum(parts**2)), 6)
    400.0
    """
    shape = padded_shape(jacobian.shape[1:], len(correlation) // 2)
    # The power that is measured on few pixels can be negative by chance.
    power = np.maximum(_power(correlation, shape), 0)
    # A sum over the pixels equals one over the frequencies (Parseval's theorem). Of a real image, half of the
    # frequencies are stored.
    power[:, 1 : (shape[1] + 1) // 2] *= 2
    spectra = fft.rfft2(jacobian, s=shape)
    spectra *= np.sqrt(power / np.prod(shape))
    return spectra.reshape(len(jacobian), -1).view(spectra.real.dtype)


def coherence(cross, one, other, shape):
    """
    Return the coherence of the noise of two images, for each of the parts of `score_parts`.

    Parameters
    ----------
    cross : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        From `~astropy_imphot.noise.autocorrelation.cross_correlation`.
    one, other : arrays of that shape
        From `~astropy_imphot.noise.autocorrelation.autocorrelation`.
    shape : (int, int)
        The images' (ny, nx).

    Returns
    -------
    array of shape (m,)
        The coherence, from -1 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.covariance import coherence
    >>> white = np.pad([[4.0]], 1)
    >>> np.unique(coherence(0.5 * white, white, white, (10, 10)))
    array([0.5])
    """
    shape = padded_shape(shape, len(cross) // 2)
    shared, *powers = (_power(correlation, shape) for correlation in (cross, one, other))
    own = np.sqrt(np.prod(np.maximum(powers, 0), axis=0))
    ratio = np.divide(shared, own, out=np.zeros(own.shape), where=own > 0)
    # One value for the real and one for the imaginary part of each frequency.
    return np.clip(ratio, -1, 1).ravel().repeat(2)


def inverse(matrix, sizes_of=None):
    """
    Return the pseudo-inverse of a matrix J^T J, for parameters that differ by orders of magnitude.

    Parameters
    ----------
    matrix : array of shape (p, p)
        The symmetric matrix; combinations of parameters on which it has no information are excluded.
    sizes_of : array of shape (p, p), optional
        The matrix whose diagonal scales the parameters; at least 5 % of its eigenvalues is taken as
        information. By default (None) ``matrix`` itself.

    Returns
    -------
    array of shape (p, p)
        The pseudo-inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise.covariance import inverse
    >>> inverse(np.diag([4.0, 1e-20, 0.0])).diagonal()
    array([2.5e-01, 1.0e+20, 0.0e+00])
    """
    sizes = np.sqrt(np.maximum(np.diag(matrix if sizes_of is None else sizes_of), 0))
    sizes = np.where(sizes > 0, sizes, 1)
    scaled = matrix / np.outer(sizes, sizes)
    least = (
        np.zeros_like(scaled) if sizes_of is None else LEAST_INFORMATION * sizes_of / np.outer(sizes, sizes)
    )
    return _inverse_of_scaled(scaled, least) / np.outer(sizes, sizes)


def _inverse_of_scaled(scaled, least):
    """Return the pseudo-inverse of a matrix whose eigenvalues are at least those of another one."""
    # Importing scipy.linalg takes long.
    from scipy.linalg import cho_factor, cho_solve

    identity = np.eye(len(scaled))
    try:
        # A matrix that exceeds another one by a positive matrix has larger eigenvalues.
        cho_factor(scaled - least - SURELY_POSITIVE * identity)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        values = np.maximum(values, np.linalg.eigvalsh(least))
        known = values > SINGULAR * np.abs(values).max(initial=0)
        return (vectors * np.divide(1, values, out=np.zeros_like(values), where=known)) @ vectors.T
    return cho_solve(cho_factor(scaled), identity)


def _power(correlation, shape):
    """Return the power spectrum of noise, from its autocorrelation."""
    kernel = np.zeros(shape)
    lags = np.arange(len(correlation)) - len(correlation) // 2
    kernel[np.ix_(lags, lags)] = correlation
    return fft.rfft2(kernel).real
