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


def test_no_prior():
    prior = Prior("effect", np.arange(2), np.inf)
    assert np.all(prior.precision == 0)
    assert updated(prior, np.ones(2), np.ones(2)) is prior


def test_what_is_given_is_kept():
    prior = Prior("effect", np.arange(2), 0.1, size=0.5)
    assert_allclose(prior.precision, 4)
    again = updated(prior, np.array([0.1, -0.1]), np.full(2, 0.01))
    assert (again.name, again.expected) == ("effect", 0.1)
    assert np.array_equal(again.places, prior.places)
    # The prior of the last round stays as it was.
    assert prior.size == 0.5
