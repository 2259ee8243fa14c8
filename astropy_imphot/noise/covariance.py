"""The errors that follow from correlated noise."""

import numpy as np
from scipy import fft

from astropy_imphot.noise.autocorrelation import MAX_LAG, autocorrelation, padded_shape

__all__ = ["coherence", "inverse", "sandwich_covariance", "score_covariance", "score_parts"]

# The least part of J^T J that is taken to be information, not noise of the template.
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
        The pixels that were fitted.
    excess : array of shape (ny, nx) or float
        By how much the noise is larger at some pixels than the weights tell, as
        `~astropy_imphot.noise.autocorrelation.excess_on_objects` finds it (default: 1).
    template_part : array of shape (p, p), optional
        What noise in the template adds to J\ :sup:`T`\ J, which is no information, see
        `~astropy_imphot.noise.reference.TemplateNoise`. By default (None) there is none.
    max_lag : int
        How far the noise is correlated, pixels (default: 6).

    Returns
    -------
    covariance : array of shape (p, p)
        With the noise as the residuals show it.
    naive : array of shape (p, p)
        With independent noise of the standard deviations that the weights imply.
    bread : array of shape (p, p)
        A\ :sup:`-1` of the notes, which carries slopes of the fit to its parameters.

    Notes
    -----
    With A = J\ :sup:`T`\ J and C the autocorrelation of the residuals, taken as the
    same everywhere but for the excess, the covariance is A\ :sup:`-1` J\ :sup:`T` C J A\ :sup:`-1`,
    where A does without the template's part
    (Huber 1967; White 1980, Econometrica 48, 817).

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
    # The fit has used up as many degrees of freedom as there are parameters.
    correlation = autocorrelation(residual / excess, valid, max_lag) * n_valid / max(n_valid - n_free, 1)
    bread = inverse(normal if template_part is None else normal - template_part, normal)
    return bread @ score_covariance(jacobian * excess, correlation) @ bread, inverse(normal), bread


def score_covariance(jacobian, correlation):
    """
    Return the covariance of a fit's slopes under correlated noise, J^T C J.

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
    Return the independent parts that the noise of a fit's slopes is the sum of, one for each frequency.

    Parameters
    ----------
    jacobian : array of shape (p, ny, nx)
        As for `score_covariance`.
    correlation : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        As for `score_covariance`.

    Returns
    -------
    array of shape (p, m)
        Standard deviations with signs: the product of two rows is the covariance of two slopes. For
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
    # A few pixels can make it negative by chance.
    power = np.maximum(_power(correlation, shape), 0)
    # A sum over the pixels is one over the frequencies (Parseval), half of which a real image needs.
    power[:, 1 : (shape[1] + 1) // 2] *= 2
    spectra = fft.rfft2(jacobian, s=shape)
    spectra *= np.sqrt(power / np.prod(shape))
    return spectra.reshape(len(jacobian), -1).view(spectra.real.dtype)


def coherence(cross, one, other, shape):
    """
    Return how much of the noise of two images is the same, for each of the parts of `score_parts`.

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
        From -1 to 1.

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
    # A part for the real and one for the imaginary part of each frequency.
    return np.clip(ratio, -1, 1).ravel().repeat(2)


def inverse(matrix, sizes_of=None):
    """
    Return the inverse of a matrix J^T J whose parameters differ by orders of magnitude.

    Parameters
    ----------
    matrix : array of shape (p, p)
        Symmetric; combinations of parameters of which it tells nothing are left out.
    sizes_of : array of shape (p, p), optional
        The matrix that tells the parameters' sizes, and of whose information at least a
        small part is taken to be real. By default (None) ``matrix`` itself.

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
    sizes = np.sqrt(np.diag(matrix if sizes_of is None else sizes_of))
    sizes = np.where(sizes > 0, sizes, 1)
    scaled = matrix / np.outer(sizes, sizes)
    if sizes_of is not None:
        values, vectors = np.linalg.eigh(scaled)
        least = LEAST_INFORMATION * np.linalg.eigvalsh(sizes_of / np.outer(sizes, sizes))
        scaled = (vectors * np.maximum(values, least)) @ vectors.T
    return np.linalg.pinv(scaled, hermitian=True) / np.outer(sizes, sizes)


def _power(correlation, shape):
    """Return the spectrum of noise that has a correlation."""
    kernel = np.zeros(shape)
    lags = np.arange(len(correlation)) - len(correlation) // 2
    kernel[np.ix_(lags, lags)] = correlation
    return fft.rfft2(kernel).real
