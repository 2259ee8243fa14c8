"""The solution of a fit: its light, its residuals, its errors, and how it responds to the data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astropy_imphot import ConvolvedTemplate2D, make_template
from astropy_imphot.fitting.solve import solve
from astropy_imphot.models.convolved_template import moffat_of_hst
from astropy_imphot.simulation import Star, Truth, simulate_field

TRUTH = Truth(dx=0.1, dy=-0.06, scale=0.95, bg=1.0)
STAR = Star(22.0, x=2.5, y=-2.0, motion=(0.1, 0.0), brightening=0.8)


@pytest.fixture(scope="module")
def sky():
    """A small field with a star that moved and varied, and its model before a fit."""
    drawn = simulate_field(151, size=12.0, truth=[TRUTH], n_stars=0, stars=[STAR])
    template = make_template(drawn.hst, drawn.muse[0], psf=moffat_of_hst(0.085, 1.6))
    return drawn.muse[0], ConvolvedTemplate2D(template).with_sources(template.sources)


@pytest.fixture(scope="module")
def mask(sky):
    masked = np.zeros(sky[0].shape, dtype=bool)
    masked[:5, :10] = True
    return masked


@pytest.fixture(scope="module")
def solution(sky, mask):
    image, model = sky
    return solve(model, image, mask)


def pull(solution, key, truth):
    place = solution.quality.free.index(key)
    error = np.sqrt(solution.quality.covariance[place, place])
    return (getattr(solution.model, key).value - truth) / error


def test_values_are_within_their_errors(solution):
    assert solution.converged
    assert solution.n_evaluations > 1
    for key in ("dx", "dy", "scale", "fwhm", "beta"):
        assert abs(pull(solution, key, getattr(TRUTH, key))) < 4, key
    assert set(solution.quality.free) >= {"scale", "bg", "dx", "dy", "fwhm", "beta"}


def test_light_and_residuals(solution, sky, mask):
    image = sky[0]
    assert np.array_equal(solution.mask, mask)
    assert np.array_equal(solution.weights == 0, mask)
    expected = np.where(mask, 0, (image.data - solution.light) * solution.weights)
    assert_allclose(solution.residual, expected, atol=0.05)
    # The residuals of the sky are the noise of the image.
    assert 0.9 < np.std(solution.residual[~mask]) < 1.15
    rms = np.sqrt(np.mean((image.data - solution.light)[~mask] ** 2))
    assert_allclose(solution.quality.rms_error, rms, rtol=0.02)
    assert solution.quality.n_pixels == (~mask).sum()
    assert_allclose(solution.quality.rchi, np.mean(solution.residual[~mask] ** 2), rtol=0.01)


def test_background(solution):
    assert_allclose(np.mean(solution.background), TRUTH.bg, atol=0.05)
    assert len(solution.modes) == 0
    assert np.ptp(solution.background) < 1e-9


def test_star(solution):
    assert solution.in_reference.tolist() == [True]
    ratio, motion_x, motion_y = (solution.model.own[0] - (0.8, 0.1, 0.0)) / solution.source_errors[0]
    # The ratio is that of the star to the field.
    assert abs(ratio) < 4
    assert abs(motion_x) < 4
    assert abs(motion_y) < 4
    assert solution.source_errors.shape == (1, 3)
    assert np.all((solution.source_errors > 0) & (solution.source_errors < 0.05))


def test_errors(solution):
    covariance = solution.quality.covariance
    assert_allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12)
    for matrix in (covariance, solution.prior_covariance, covariance - solution.prior_covariance):
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
    # The noise is white, and little of it is that of the HST image.
    for key in ("bg", "fwhm", "beta"):
        place = solution.quality.free.index(key)
        variance, naive = (matrix[place, place] for matrix in (covariance, solution.quality.naive_covariance))
        assert 0.5 < variance / naive < 2, key
    assert not solution.noise_dominates
    assert {"variation", "motion", "scatter"} <= set(solution.sizes)


@pytest.mark.parametrize("key", ["dx", "scale", "fwhm"])
def test_influence_is_the_response_to_the_data(solution, sky, mask, key):
    image, model = sky
    place = solution.quality.free.index(key)
    influence = solution.influence[place]
    assert influence.shape == image.shape
    assert not influence[mask].any()
    # The change of the data that moves this parameter most, by two standard errors.
    step = 2 * np.sqrt(solution.quality.covariance[place, place])
    change = step * influence / np.sum(influence**2)
    other = image.copy()
    other.data = image.data + np.divide(change, solution.weights, out=np.zeros(mask.shape), where=~mask)
    again = solve(model, other, mask)
    moved = getattr(again.model, key).value - getattr(solution.model, key).value
    assert abs(moved / step - 1) < 0.2


def test_objects(solution):
    labels = solution.labels
    table = solution.objects
    assert labels.shape == solution.mask.shape
    assert table["label"].tolist() == list(range(1, labels.max() + 1))
    assert len(table) >= 3
    assert not table["left_out"].any()
    assert np.all(table["excess"] >= 1)
    known = np.isfinite(table["scale"])
    pulls = np.concatenate([(table[key] / table[f"{key}_err"]).value[known] for key in ("scale", "dx", "dy")])
    # Nothing but the star differs from the field, and that is a point source.
    assert np.mean(np.abs(pulls) < 3) > 0.9
    # The star is bright, and belongs to an object.
    x, y = solution.model.source_places()
    assert labels[round(y[0]), round(x[0])] > 0
