"""Errors under noise whose correlation is known."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter
from scipy.signal import correlate2d

from astropy_imphot.noise import autocorrelation, sandwich_covariance


def test_autocorrelation_is_the_direct_sum():
    rng = np.random.default_rng(3)
    residual = rng.normal(size=(17, 23))
    valid = rng.random(residual.shape) > 0.3
    masked = np.where(valid, residual, 0)
    products = correlate2d(masked, masked)[16 - 2 : 16 + 3, 22 - 2 : 22 + 3]
    pairs = correlate2d(valid.astype(int), valid.astype(int))[16 - 2 : 16 + 3, 22 - 2 : 22 + 3]
    assert_allclose(autocorrelation(residual, valid, max_lag=2), products / pairs, atol=1e-12)


def test_covariance_of_a_linear_fit_under_correlated_noise():
    """Many fits scatter as each says, where independent noise would be 2.4 times too small."""
    rng = np.random.default_rng(4)
    shape = (80, 90)
    y, x = np.mgrid[: shape[0], : shape[1]]
    star = np.exp(-((x - 44.3) ** 2 + (y - 39.1) ** 2) / (2 * 2.0**2))
    jacobian = np.array([star, np.ones(shape)])
    valid = rng.random(shape) > 0.1
    jacobian = jacobian * valid
    flat = jacobian.reshape(2, -1)
    solutions, quoted, naives = [], [], []
    for _ in range(300):
        noise = gaussian_filter(rng.normal(size=shape), 0.7, mode="wrap")
        noise = noise / 0.4 * valid
        solution = np.linalg.lstsq(flat.T, noise.ravel())[0]
        residual = (noise.ravel() - flat.T @ solution).reshape(shape) * valid
        covariance, naive = sandwich_covariance(jacobian, residual, valid)
        solutions.append(solution)
        quoted.append(np.sqrt(np.diag(covariance)))
        naives.append(np.sqrt(np.diag(naive)))
    pulls = np.std(solutions, axis=0) / np.mean(quoted, axis=0)
    assert_allclose(pulls, 1, atol=0.15)
    assert np.all(np.std(solutions, axis=0) / np.mean(naives, axis=0) > 2)


def test_level_of_the_noise_is_the_residuals():
    rng = np.random.default_rng(5)
    noise, valid = rng.normal(0, 17, (60, 60)), np.ones((60, 60), bool)
    covariance, naive = sandwich_covariance(np.ones((1, 60, 60)), noise - noise.mean(), valid, max_lag=0)
    assert_allclose(np.sqrt(covariance[0, 0] / naive[0, 0]), 17, rtol=0.03)
    assert_allclose(naive[0, 0], 1 / 3600)


def test_edges_do_not_wrap_around():
    image = np.zeros((20, 20))
    image[0, 0] = image[-1, -1] = 1.0
    correlation = autocorrelation(image, np.ones(image.shape, bool), max_lag=3)
    assert_allclose(correlation[2, 2], 0, atol=1e-12)
