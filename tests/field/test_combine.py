"""The combination of an exposure's filters: its values, and above all its errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from astropy_imphot import FitFlags, UserError, fit_image_photometry
from astropy_imphot.field.bands import band_effect
from astropy_imphot.field.combine import combine
from astropy_imphot.field.joint import joint_covariance
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.wavelength import relative
from astropy_imphot.simulation import Truth, simulate_field, with_noise

# Without width, so that the fits' values are what is combined.
BANDS = {"F606W": (5920.0, 0.0), "F775W": (7700.0, 0.0), "F814W": (8060.0, 0.0), "F850LP": (8900.0, 0.0)}
TRUTH = Truth(dx=0.12, dy=-0.07, scale=0.95, fwhm=0.7, beta=2.6)


@pytest.fixture(scope="module")
def clean():
    return simulate_field(seed=4, size=24.0, truth=[TRUTH], noise=0, hst_noise=0)


@pytest.fixture(scope="module")
def fits(clean):
    """The same scene with independent noise in each filter."""
    found = {}
    for seed, name in enumerate(BANDS):
        field = with_noise(clean, seed, noise=0.3, smoothing=0.7)
        found[name] = fit_image_photometry(field.hst, field.muse[0])
    return found


def moved(fit, **values):
    """Return a fit that found other values."""
    new = {key: replace(fit.values[key], value=value) for key, value in values.items()}
    return replace(fit, values=fit.values | new)


def test_independent_filters_average(fits):
    four = combine(fits, BANDS)
    for key in ("dx", "dy"):
        weights = np.array([fit.values[key].stdev ** -2 for fit in fits.values()])
        assert four.values[key].stdev == pytest.approx(weights.sum() ** -0.5, rel=0.5)
        mean = weights @ [fit.values[key].value for fit in fits.values()] / weights.sum()
        assert four.values[key].value == pytest.approx(mean, abs=four.values[key].stdev)
        assert abs(four.values[key].value - getattr(TRUTH, key)) < 4 * four.values[key].stdev
    assert four.agree
    assert four.dof == 4 * 9 - (5 + 2 + 1 + 8)


def test_the_same_image_twice_tells_nothing_new(fits):
    # Its noise is the same, which a combination that takes filters to be independent cannot see.
    fit = fits["F606W"]
    twice = combine({"F606W": fit, "F775W": fit}, BANDS, fwhm_degree=0)
    for key in ("dx", "dy", "fwhm", "beta", "scale"):
        assert twice.values[key].stdev == pytest.approx(fit.values[key].stdev, rel=0.03)
        assert twice.values[key].value == pytest.approx(fit.values[key].value, abs=1e-6)


def test_correlated_noise_of_overlapping_filters(clean):
    # Half of the noise is common: the errors of two such fits are as correlated.
    rng = np.random.default_rng(7)
    common = rng.normal(0, 0.3, clean.muse[0].shape)
    found = {}
    for name in ("F775W", "F814W"):
        field = with_noise(clean, 1, noise=0.0)
        image = field.muse[0]
        image.data = image.data + (common + rng.normal(0, 0.3, image.shape)) / np.sqrt(2)
        image.uncertainty.array[:] = 0.3**2
        found[name] = fit_image_photometry(field.hst, image)
    values, covariance = joint_covariance(found)
    index = {key: place for place, key in enumerate(values)}
    one, two = index["F775W", "dx"], index["F814W", "dx"]
    correlation = covariance[one, two] / np.sqrt(covariance[one, one] * covariance[two, two])
    assert correlation == pytest.approx(0.5, abs=0.15)
    assert np.linalg.eigvalsh(covariance / np.sqrt(np.outer(*[covariance.diagonal()] * 2))).min() > 0


def test_polynomial_of_the_fwhm(fits):
    bent = {
        name: moved(
            fit, fwhm=0.6 - 0.1 * relative(BANDS[name][0]), beta=2.5, dx=0.1, dy=0.2, rotation=0, e1=0, e2=0
        )
        for name, fit in fits.items()
    }
    found = combine(bent, BANDS)
    assert found.polynomials["fwhm"][0] == pytest.approx([-0.1, 0.6], abs=1e-3)
    assert found.polynomials["beta"][0] == pytest.approx([2.5], abs=1e-6)
    assert found.values["fwhm"].value == pytest.approx(0.6 - 0.1 * relative(7000.0))
    assert found.chi2 == pytest.approx(0, abs=1e-6)
    higher = combine(bent, BANDS, fwhm_degree=2, beta_degree=1)
    assert higher.polynomials["fwhm"][0] == pytest.approx([0, -0.1, 0.6], abs=1e-5)
    assert higher.polynomials["beta"][0] == pytest.approx([0, 2.5], abs=1e-5)


def test_an_outlying_filter_is_named_and_left_out(fits):
    bad = fits | {"F814W": moved(fits["F814W"], dx=fits["F814W"].dx.value + 25 * fits["F814W"].dx.stdev)}
    found = combine(bad, BANDS)
    assert found.outliers == ("F814W",)
    assert found.filters == ("F606W", "F775W", "F850LP")
    without = combine({name: bad[name] for name in found.filters}, BANDS)
    assert found.values["dx"] == without.values["dx"]


def test_two_filters_that_disagree_have_larger_errors(fits):
    two = {name: fits[name] for name in ("F606W", "F814W")}
    apart = two | {"F814W": moved(fits["F814W"], dx=fits["F814W"].dx.value + 25 * fits["F814W"].dx.stdev)}
    honest, found = combine(two, BANDS), combine(apart, BANDS)
    assert not found.agree
    assert found.outliers == ()
    factor = np.sqrt(found.chi2 / found.dof)
    assert found.values["dx"].stdev == pytest.approx(factor * honest.values["dx"].stdev, rel=0.05)


def test_scales_that_differ_make_the_common_one_uncertain(fits):
    # Zero points of filters differ by more than the fits' errors.
    differ = {
        name: moved(fit, scale=fit.scale.value * factor)
        for (name, fit), factor in zip(fits.items(), (1.0, 1.5, 0.5, 1.25), strict=True)
    }
    found = combine(differ, BANDS)
    assert found.agree
    assert found.values["scale"].stdev > 3 * combine(fits, BANDS).values["scale"].stdev
    assert found.own["scale"]["F775W"].value / found.own["scale"]["F850LP"].value == pytest.approx(
        1.5 / 1.25, rel=0.05
    )


def test_one_filter_is_what_it_is(fits):
    fit = fits["F775W"]
    found = combine({"F775W": fit}, BANDS)
    for key in ("dx", "dy", "dra", "ddec", "scale", "fwhm", "beta"):
        assert found.values[key].value == pytest.approx(fit.values[key].value, rel=1e-6)
        assert found.values[key].stdev == pytest.approx(fit.values[key].stdev, rel=1e-4)
    assert found.polynomials["fwhm"][0] == pytest.approx([0, fit.fwhm.value])
    assert (found.dof, found.agree) == (0, True)
    assert found.to_table()["fwhm_coef"].shape == (1, 2)


def test_fixed_parameters_stay_fixed(clean):
    found = {}
    for seed, name in enumerate(("F606W", "F814W")):
        field = with_noise(clean, seed, noise=0.3)
        found[name] = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.6, fix_dx=0.12)
    both = combine(found, BANDS)
    assert (both.values["beta"].value, both.values["beta"].stdev) == (pytest.approx(2.6), 0)
    assert both.values["beta"].fixed
    assert (both.values["dx"].value, both.values["dx"].stdev) == (pytest.approx(0.12), 0)
    assert both.values["dy"].stdev < found["F606W"].dy.stdev


def test_fits_that_say_nothing_are_left_out(fits):
    lost = replace(fits["F606W"], flags=FitFlags.NOT_CONVERGED)
    found = combine(fits | {"F606W": lost}, BANDS)
    assert found.unusable == ("F606W",)
    assert "F606W" not in found.filters
    with pytest.raises(UserError, match="no filter"):
        combine({"F606W": lost}, BANDS)


@pytest.mark.parametrize("free_beta", [True, False])
@pytest.mark.parametrize("beta", [2.2, 3.0])
def test_the_width_of_a_band(beta, free_beta):
    import galsim

    # Moffat PSFs of GalSim, whose FWHM is spread evenly, and the one that fits their mean.
    spread, size = 0.03, 0.6
    radius = np.arange(0.005, 12 * size, 0.01)

    def profile(fwhm, exponent, flux=1.0):
        psf = galsim.Moffat(beta=exponent, fwhm=fwhm, flux=flux)
        width = psf.scale_radius
        return psf.max_sb * (1 + (radius / width) ** 2) ** -exponent

    steps = np.linspace(-np.sqrt(3), np.sqrt(3), 201)
    mixture = np.mean([profile(size + spread * step, beta) for step in steps], axis=0)

    def away(parameters):
        fwhm, flux, *exponent = parameters
        return (profile(fwhm, *(exponent or [beta]), flux) - mixture) * np.sqrt(radius)

    start = [size, 1.0, *([beta] if free_beta else [])]
    found = least_squares(away, start, xtol=1e-12, ftol=1e-12, gtol=1e-12).x
    effect = band_effect(MOFFAT, {"fwhm": 1.0, "beta": beta}, ("fwhm", "beta") if free_beta else ("fwhm",))
    assert found[0] - size == pytest.approx(effect["fwhm"] * spread**2 / size, rel=0.03)
    assert found[1] - 1 == pytest.approx(effect["scale"] * (spread / size) ** 2, rel=0.05)
    if free_beta:
        assert found[2] - beta == pytest.approx(effect["beta"] * (spread / size) ** 2, rel=0.05)


def test_bands_are_made_narrow(fits):
    # What the widths of the filters have taken from the FWHM is given back.
    slope = -0.3
    wide = {name: (wavelength, 600.0) for name, (wavelength, _) in BANDS.items()}
    blurred = {}
    for name, fit in fits.items():
        fwhm = 0.7 + slope * relative(BANDS[name][0])
        taken = band_effect(MOFFAT, {"fwhm": 1.0, "beta": 2.5})["fwhm"] * (slope * 600.0 / 4600.0) ** 2 / fwhm
        blurred[name] = moved(fit, fwhm=fwhm + taken, beta=2.5)
    found = combine(blurred, wide)
    assert found.polynomials["fwhm"][0] == pytest.approx([slope, 0.7], abs=2e-3)
    assert abs(combine(blurred, BANDS).polynomials["fwhm"][0][1] - 0.7) > 3e-3


def test_a_rotation_is_shared():
    truth = Truth(rotation=0.4)
    found = {}
    for seed, name in enumerate(("F606W", "F814W")):
        field = simulate_field(seed, size=20.0, truth=[truth], noise=0.3, hst_margin=8.0)
        found[name] = fit_image_photometry(field.hst, field.muse[0], free=("rotation",))
    both = combine(found, BANDS).values["rotation"]
    assert both.stdev < min(fit.values["rotation"].stdev for fit in found.values())
    assert abs(both.value - 0.4) < 4 * both.stdev
