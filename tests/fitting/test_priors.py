"""Priors whose sizes are estimated: of effects that are measured, and of those that are not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astropy_imphot.fitting.priors import Prior, updated


def estimated(data, errors, expected, rounds=200):
    """Return the prior, the effects and their variances after rounds of a fit of independent effects."""
    prior = Prior("effect", np.arange(len(data)), expected)
    for _ in range(rounds):
        variances = 1 / (errors**-2.0 + prior.precision)
        values = variances * data / errors**2
        prior = updated(prior, values, variances)
    return prior, values, variances


def test_without_information_a_parameter_has_its_priors_value_and_spread():
    # Errors that are a thousand times larger than the effects.
    data, errors = np.array([300.0, -700.0, 40.0]), np.full(3, 1e3)
    prior, values, variances = estimated(data, errors, 0.3)
    assert np.abs(values).max() < 1e-3
    assert_allclose(prior.size, 0.3, rtol=1e-3)
    assert np.all(np.sqrt(variances) > 0.25)
    assert np.all(np.sqrt(variances) < 0.35)


def test_with_much_information_a_parameter_has_its_own_value():
    data, errors = np.array([0.5, -0.2, 0.05]), np.full(3, 1e-3)
    _, values, variances = estimated(data, errors, 0.3)
    assert_allclose(values, data, rtol=1e-3)
    assert_allclose(np.sqrt(variances), errors, rtol=1e-3)


@pytest.mark.parametrize("size", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("factor", [0.1, 5.0])
def test_the_size_of_many_effects_is_measured(size, factor):
    rng = np.random.default_rng(91)
    # The tails of a t-distribution of 4 degrees of freedom are those that are assumed.
    effects, errors = size * rng.standard_t(4, 2000), np.full(2000, 0.5 * size)
    prior, values, variances = estimated(effects + rng.normal(0, errors), errors, factor * size)
    assert 0.8 < prior.size / size < 1.25
    # Errors are those of the values, the prior included.
    pulls = (values - effects) / np.sqrt(variances)
    assert 0.9 < pulls.std() < 1.15
    # The prior makes the values better than the data.
    assert np.mean((values - effects) ** 2) < 0.9 * np.mean(errors**2)


def test_effects_that_are_zero_have_a_small_size():
    rng = np.random.default_rng(92)
    errors = np.full(500, 0.1)
    prior, values, _ = estimated(rng.normal(0, errors), errors, 0.05)
    assert prior.size < 0.04
    assert np.std(values) < 0.02


def test_a_single_effect_keeps_the_expected_size():
    prior, _, _ = estimated(np.zeros(1), np.full(1, 0.01), 0.05)
    assert 0.5 * 0.05 < prior.size <= 0.05
    assert prior.expected == 0.05


def test_an_outlier_is_not_pulled_to_the_others():
    rng = np.random.default_rng(93)
    effects, errors = rng.normal(0, 0.01, 100), np.full(100, 0.005)
    effects[7] = 0.5
    prior, values, _ = estimated(effects, errors, 0.01)
    assert abs(values[7] - 0.5) < 0.01
    assert prior.precision[7] < 0.05 * np.median(prior.precision)
    # It does not make the others' prior wide.
    assert prior.size < 0.02


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_units_do_not_matter(unit):
    rng = np.random.default_rng(94)
    data, errors = rng.normal(0, 0.3, 50), np.full(50, 0.1)
    one, values, _ = estimated(data, errors, 0.2)
    other, scaled, _ = estimated(unit * data, unit * errors, unit * 0.2)
    assert_allclose(other.size, unit * one.size, rtol=1e-9)
    assert_allclose(scaled, unit * values, rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.2, 0.35])
def test_the_curvature_is_the_derivative_of_the_force(value):
    # Of an effect that is known: of others, the prior is Gaussian.
    prior, step = Prior("effect", np.arange(3), 0.1), 1e-5
    values = value + np.array([-step, 0, step])
    found = updated(prior, values, np.full(3, 1e-12))
    force = found.precision * values
    slope = (force[2] - force[0]) / (2 * step)
    assert_allclose(max(slope, 0), found.curvature[1], rtol=1e-4, atol=1e-4 / found.size**2)
    hardly = updated(prior, values, np.full(3, 0.1**2))
    assert_allclose(hardly.curvature, hardly.size**-2.0)


def test_errors_of_a_common_value_include_the_tails():
    # The mean of effects of a t-distribution: weights that follow the values make it less certain.
    rng, pulls = np.random.default_rng(95), []
    for _ in range(300):
        effects, error = 0.1 * rng.standard_t(4, 20), 1e-3
        prior, mean = Prior("effect", np.arange(20), 0.1), 0.0
        for _ in range(30):
            own = effects - mean
            prior = updated(prior, own, np.full(20, error**2))
            mean += np.sum(prior.precision * own) / np.sum(prior.precision)
        variance = np.sum((prior.precision * own) ** 2) / np.sum(prior.curvature) ** 2
        pulls.append(mean / np.sqrt(variance))
    assert 0.9 < np.std(pulls) < 1.15


def test_what_is_given_is_kept():
    prior = Prior("effect", np.arange(2), 0.1, size=0.5)
    assert_allclose(prior.precision, 4)
    again = updated(prior, np.array([0.1, -0.1]), np.full(2, 0.01))
    assert (again.name, again.expected) == ("effect", 0.1)
    assert np.array_equal(again.places, prior.places)
    # The prior of the last round stays as it was.
    assert prior.size == 0.5
