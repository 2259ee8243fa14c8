"""Errors for noise of known correlation."""

import numpy as np
import pytest
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d, correlate2d, fftconvolve

from astropy_imphot.noise.autocorrelation import autocorrelation, excess_on_objects, longest_lag, sky_variance
from astropy_imphot.noise.covariance import sandwich_covariance, score_covariance


def test_autocorrelation_is_the_direct_sum():
    rng = np.random.default_rng(3)
    residual = rng.normal(size=(17, 23))
    valid = rng.random(residual.shape) > 0.3
    masked = np.where(valid, residual, 0)
    products = correlate2d(masked, masked)[16 - 2 : 16 + 3, 22 - 2 : 22 + 3]
    pairs = correlate2d(valid.astype(int), valid.astype(int))[16 - 2 : 16 + 3, 22 - 2 : 22 + 3]
    assert_allclose(autocorrelation(residual, valid, max_lag=2), products / pairs, atol=1e-12)


def test_covariance_of_a_linear_fit_under_correlated_noise():
    """The scatter of many fits equals their errors; those for independent noise are 2.4 times too small."""
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
        covariance, naive, _ = sandwich_covariance(jacobian, residual, valid)
        solutions.append(solution)
        quoted.append(np.sqrt(np.diag(covariance)))
        naives.append(np.sqrt(np.diag(naive)))
    pulls = np.std(solutions, axis=0) / np.mean(quoted, axis=0)
    assert_allclose(pulls, 1, atol=0.15)
    assert np.all(np.std(solutions, axis=0) / np.mean(naives, axis=0) > 2)


def test_level_of_the_noise_is_that_of_the_residuals():
    rng = np.random.default_rng(5)
    noise, valid = rng.normal(0, 17, (60, 60)), np.ones((60, 60), bool)
    covariance, naive, _ = sandwich_covariance(np.ones((1, 60, 60)), noise - noise.mean(), valid, max_lag=0)
    assert_allclose(np.sqrt(covariance[0, 0] / naive[0, 0]), 17, rtol=0.03)
    assert_allclose(naive[0, 0], 1 / 3600)


def test_edges_do_not_wrap_around():
    image = np.zeros((20, 20))
    image[0, 0] = image[-1, -1] = 1.0
    correlation = autocorrelation(image, np.ones(image.shape, bool), max_lag=3)
    assert_allclose(correlation[2, 2], 0, atol=1e-12)


def correlated_noise(rng, shape, smoothing=0.7):
    noise = gaussian_filter(rng.normal(size=shape), smoothing, mode="wrap")
    return noise / noise.std()


def blocks(shape, size=12, step=30):
    """Return labels of square objects."""
    labels = np.zeros(shape, int)
    places = [
        (row, column)
        for row in range(step // 2, shape[0] - size, step)
        for column in range(step // 2, shape[1] - size, step)
    ]
    for number, (row, column) in enumerate(places, start=1):
        labels[row : row + size, column : column + size] = number
    return labels


def test_score_covariance_is_the_scatter_of_scores():
    """The scores are J^T r of many images of the same correlated noise."""
    rng = np.random.default_rng(6)
    shape = (40, 50)
    y, x = np.mgrid[: shape[0], : shape[1]]
    star = np.exp(-((x - 21.3) ** 2 + (y - 19.1) ** 2) / (2 * 1.7**2))
    jacobian = np.array([star, (x - 21.3) * star, np.ones(shape)]) * (rng.random(shape) > 0.1)
    kernel = gaussian_filter(np.pad([[1.0]], 6), 0.8)
    truth = correlate2d(kernel, kernel, mode="same")
    noise = rng.normal(size=(4000, shape[0] + 12, shape[1] + 12))
    scores = fftconvolve(noise, kernel[np.newaxis], mode="valid", axes=(1, 2)).reshape(4000, -1) @ (
        jacobian.reshape(3, -1).T
    )
    expected = score_covariance(jacobian, truth)
    assert_allclose(score_covariance(jacobian.astype(np.float32), truth), expected, rtol=1e-4)
    sizes = np.sqrt(np.diag(expected))
    assert_allclose(np.cov(scores.T) / np.outer(sizes, sizes), expected / np.outer(sizes, sizes), atol=0.08)
    # Also equal to the direct sum.
    direct = [[np.sum(one * convolve2d(other, truth, "same")) for other in jacobian] for one in jacobian]
    assert_allclose(expected, direct, atol=1e-9 * sizes.max() ** 2)


def test_excess_is_found_on_objects_that_have_it():
    rng = np.random.default_rng(7)
    labels = blocks((150, 160))
    valid = rng.random(labels.shape) > 0.05
    residual = 5 * correlated_noise(rng, labels.shape) * valid
    residual[labels == 4] *= 2.5
    residual[labels == 9] *= 4
    excess = excess_on_objects(residual, valid, labels)[labels]
    assert_allclose(excess[labels == 4], 2.5, rtol=0.2)
    assert_allclose(excess[labels == 9], 4, rtol=0.2)
    assert np.all(excess[(labels != 4) & (labels != 9)] == 1)


def test_noise_alone_has_no_excess():
    """The larger scatter of correlated noise is not an excess."""
    labels = blocks((150, 160), size=6, step=12)
    valid = np.ones(labels.shape, bool)
    found = 0
    for seed in range(20):
        noise = correlated_noise(np.random.default_rng(seed), labels.shape, smoothing=1.2)
        found += np.sum(excess_on_objects(noise, valid, labels) > 1)
    assert found < 0.005 * 20 * labels.max()


def test_no_excess_without_sky_or_objects():
    noise, valid = np.random.default_rng(1).normal(size=(40, 40)), np.ones((40, 40), bool)
    everywhere = np.ones((40, 40), int)
    assert np.all(excess_on_objects(noise, valid, everywhere) == 1)
    assert np.all(excess_on_objects(noise, valid, 0 * everywhere) == 1)


def test_covariance_with_excess():
    """A fit to objects whose residuals are three times those of the sky scatters three times as much."""
    rng = np.random.default_rng(8)
    shape = (80, 90)
    labels = blocks(shape)
    number = labels.max()
    jacobian = np.array([labels > 0, np.ones(shape)], dtype=float)
    valid = np.ones(shape, bool)
    flat = jacobian.reshape(2, -1)
    level = np.where(labels > 0, 3.0, 1.0)
    solutions, quoted, plain = [], [], []
    for _ in range(200):
        noise = correlated_noise(rng, shape) * level
        solution = np.linalg.lstsq(flat.T, noise.ravel())[0]
        residual = noise - np.tensordot(solution, jacobian, axes=1)
        excess = excess_on_objects(residual, valid, labels)[labels]
        assert len(np.unique(labels[excess > 1])) == number
        covariance, *_ = sandwich_covariance(jacobian, residual, valid, excess=excess)
        quoted.append(np.sqrt(np.diag(covariance)))
        plain.append(np.sqrt(np.diag(sandwich_covariance(jacobian, residual, valid)[0])))
        solutions.append(solution)
    scatter = np.std(solutions, axis=0)
    assert_allclose(scatter / np.mean(quoted, axis=0), 1, atol=0.15)
    assert scatter[0] / np.mean(plain, axis=0)[0] > 1.4


def test_template_noise_has_no_information():
    rng = np.random.default_rng(9)
    jacobian, residual = rng.normal(size=(2, 50, 50)), rng.normal(size=(50, 50))
    valid = np.ones(residual.shape, bool)
    plain, naive, _ = sandwich_covariance(jacobian, residual, valid)
    half = 0.5 * np.linalg.inv(naive)
    covariance, same, _ = sandwich_covariance(jacobian, residual, valid, template_part=half)
    assert_allclose(covariance, 4 * plain, rtol=1e-6)
    assert_allclose(same, naive)


def test_the_lag_follows_the_smoothing():
    # The variance of a sum of pixels is that of the noise before it was smoothed.
    fwhm, shape = 1.5, (600, 600)
    images, valid = np.random.default_rng(12).normal(size=(4, *shape)), np.ones(shape, bool)
    sigma = fwhm * gaussian_fwhm_to_sigma / 0.2
    smooth = [gaussian_filter(image, sigma, mode="wrap") for image in images]
    lags = [longest_lag(one, (0.2, 0.2)) for one in (fwhm, 0)]
    right, small = ([autocorrelation(image, valid, lag).sum() for image in smooth] for lag in lags)
    assert 0.88 < np.mean(right) < 1.12
    assert np.mean(small) < 0.77


def test_the_variance_of_the_sky_does_not_depend_on_the_mask():
    # Noise of high frequencies, which the mask of the sources mixes into those that are measured.
    rng = np.random.default_rng(14)
    found = []
    for _ in range(6):
        image, valid = rng.normal(0, 3, size=(300, 300)), np.ones((300, 300), bool)
        for row, column in rng.integers(5, 295, size=(150, 2)):
            valid[row - 3 : row + 4, column - 3 : column + 4] = False
        found.append(sky_variance(image, valid, (0.2, 0.2)))
    assert_allclose(np.mean(found), 9, rtol=0.04)


@pytest.mark.parametrize("pixel", [0.05, 0.1, 0.2, 0.26, 0.4])
def test_the_variance_of_the_sky_is_right_in_pixels_of_any_size(pixel):
    images = np.random.default_rng(13).normal(0, 3, size=(4, 400, 400))
    found = [sky_variance(image, np.ones(image.shape, bool), (pixel, pixel)) for image in images]
    assert_allclose(np.mean(found), 9, rtol=0.04)
