"""Errors from the noise as it is: its level and its correlation, measured on the residuals."""

import numpy as np
from scipy import fft

__all__ = ["autocorrelation", "sandwich_covariance"]

# Resampling correlates the noise of a few neighbouring pixels.
MAX_LAG = 6


def autocorrelation(residual, valid, max_lag=MAX_LAG):
    """
    Return the mean product of residuals that are some pixels apart.

    Parameters
    ----------
    residual : array of shape (ny, nx)
        Weighted residuals, 0 where not valid.
    valid : bool array of shape (ny, nx)
        The pixels that count.
    max_lag : int
        The largest distance along each axis, pixels (default: 6).

    Returns
    -------
    array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        The autocorrelation; the variance is in its middle.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise import autocorrelation
    >>> noise = np.random.default_rng(1).normal(size=(200, 200))
    >>> correlation = autocorrelation(noise, np.ones(noise.shape, bool), max_lag=1)
    >>> bool(abs(correlation[1, 1] - 1) < 0.03), bool(abs(correlation[0, 0]) < 0.03)
    (True, True)
    """
    shape = [fft.next_fast_len(size + max_lag, real=True) for size in residual.shape]
    lags = np.arange(-max_lag, max_lag + 1)

    def products(image):
        power = np.abs(fft.rfft2(image, s=shape)) ** 2
        return fft.irfft2(power, s=shape)[np.ix_(lags, lags)]

    pairs = np.maximum(products(valid.astype(float)).round(), 1)
    return products(np.where(valid, residual, 0)) / pairs


def sandwich_covariance(jacobian, residual, valid, max_lag=MAX_LAG):
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
    max_lag : int
        How far the noise is correlated, pixels (default: 6).

    Returns
    -------
    covariance : array of shape (p, p)
        With the noise as the residuals show it.
    naive : array of shape (p, p)
        With independent noise of the standard deviations that the weights imply.

    Notes
    -----
    With A = J\ :sup:`T`\ J and C the autocorrelation of the residuals, taken as the
    same everywhere, the covariance is A\ :sup:`-1` J\ :sup:`T` C J A\ :sup:`-1` (Huber
    1967; White 1980, Econometrica 48, 817).

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.noise import sandwich_covariance
    >>> noise = np.random.default_rng(1).normal(size=(100, 100))
    >>> valid = np.ones(noise.shape, bool)
    >>> covariance, naive = sandwich_covariance(np.ones((1, 100, 100)), noise, valid)
    >>> float(naive[0, 0])
    0.0001
    """
    n_free, n_valid = len(jacobian), int(valid.sum())
    flat = jacobian.reshape(n_free, -1)
    # Parameters differ by many orders of magnitude, which must not look like degeneracy.
    sizes = np.sqrt((flat**2).sum(axis=1))
    sizes = np.outer(np.where(sizes > 0, sizes, 1), np.where(sizes > 0, sizes, 1))
    naive = np.linalg.pinv(flat @ flat.T / sizes, hermitian=True) / sizes
    # The fit has used up as many degrees of freedom as there are parameters.
    correlation = autocorrelation(residual, valid, max_lag) * n_valid / max(n_valid - n_free, 1)
    shape = [fft.next_fast_len(size + max_lag, real=True) for size in residual.shape]
    kernel = np.zeros(shape)
    lags = np.arange(-max_lag, max_lag + 1)
    kernel[np.ix_(lags, lags)] = correlation
    # Its transform is the noise's power, which a few pixels can make negative by chance.
    power = np.maximum(fft.rfft2(kernel).real, 0)
    smoothed = fft.irfft2(fft.rfft2(jacobian, s=shape) * power, s=shape)
    ny, nx = residual.shape
    middle = flat @ smoothed[:, :ny, :nx].reshape(n_free, -1).T
    return naive @ (0.5 * (middle + middle.T)) @ naive, naive
