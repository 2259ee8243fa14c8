"""The accuracy of fits of fields that GalSim draws, without code of the package."""

import numpy as np
import pytest
from astropy.nddata import CCDData

from astropy_imphot import FitFlags, fit_image_photometry
from astropy_imphot.simulation import Star, Truth, random_truth, simulate_field

KEYS = ("scale", "bg", "dx", "dy", "fwhm", "beta")
# For this exponent GalSim has a closed form, which takes a fifth of the time.
HST_PSF = (0.085, 2.5)
LIMITS = {"dx": 0.006, "dy": 0.006, "scale": 0.02, "fwhm": 0.025}


def seeded_truth(seed):
    return random_truth([20261122, seed])


def draw(seed, truth, **options):
    return simulate_field(seed, truth=[truth], hst_psf=HST_PSF, **options)


def fitted(hst, muse, **options):
    return fit_image_photometry(hst, muse, hst_fwhm=HST_PSF[0], hst_beta=HST_PSF[1], **options)


def check(fit, truth):
    """Assert that all parameters are within 4 standard deviations, and within the limits."""
    for key in KEYS:
        value = fit.values[key]
        error = value.value - getattr(truth, key)
        assert abs(error) < 4 * value.stdev, f"{key}: {error:.5f} is {error / value.stdev:.1f} sigma"
        assert abs(error) < LIMITS.get(key, np.inf), f"{key}: {error:.5f}"


# More fields are in benchmarks/accuracy.py.
@pytest.mark.parametrize("seed", range(4))
def test_deep_field(seed):
    truth = seeded_truth(seed)
    field = draw(seed, truth)
    fit = fitted(field.hst, field.muse[0])
    check(fit, truth)
    assert fit.n_pixels == field.muse[0].data.size
    assert not fit.objects["left_out"].any()


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (101, {"hst_rotation": 37.0}),
        (102, {"hst_pixel": 0.06}),
        (103, {"size": (61.4, 43.8)}),
    ],
    ids=["rotated", "coarse", "odd"],
)
def test_other_hst_and_muse_images(seed, options):
    truth = seeded_truth(seed)
    field = draw(seed, truth, **options)
    check(fitted(field.hst, field.muse[0]), truth)


@pytest.fixture(scope="module")
def large_field():
    return draw(104, seeded_truth(104))


@pytest.mark.parametrize("outside", ["cut", "zero", "nan"])
def test_hst_covers_70_percent(large_field, outside):
    field, truth = large_field, large_field.truth[0]
    ny, nx = field.hst.shape
    # The HST image has a margin of 5 arcsec around the 60 of the field.
    stop = round(nx * (5 + 0.7 * 60) / 70)
    if outside == "cut":
        hst = field.hst[:, :stop]
    else:
        data = field.hst.data.copy()
        data[:, stop:] = 0 if outside == "zero" else np.nan
        hst = CCDData(data, unit=field.hst.unit, wcs=field.hst.wcs, meta=field.hst.meta)
    fit = fitted(hst, field.muse[0])
    check(fit, truth)
    # All pixels are used that are covered, except for the width of the kernel.
    assert 0.65 < fit.n_pixels / field.muse[0].data.size < 0.70


def test_large_offset_with_a_given_start():
    truth = Truth(dx=4.3, dy=-3.1)
    field = draw(105, truth, size=30.0, hst_margin=10.0)
    fit = fitted(field.hst, field.muse[0], init_dx=4.0, init_dy=-3.0)
    check(fit, truth)
    assert fit.n_pixels == field.muse[0].data.size


@pytest.mark.parametrize("seed", [1, 2])
def test_one_star_and_nothing_else(seed):
    """The template has noise only: the offset and the scale are those of the star, within what stars do."""
    truth = Truth(dx=0.2, dy=-0.1, scale=1.1, fwhm=0.6, beta=2.8)
    star = Star(18.0, x=2.0, y=-1.0)
    field = simulate_field(seed, size=16.0, truth=[truth], n_objects=0, stars=[star], hst_margin=4.0)
    fit = fit_image_photometry(field.hst, field.muse[0])
    assert fit.converged
    assert FitFlags.FEW_SOURCES in fit.flags
    for key in ("scale", "dx", "dy", "fwhm", "beta"):
        assert abs(fit.values[key].value - getattr(truth, key)) < 4 * fit.values[key].stdev, key
    # Expected motions and variations are the errors of a single star.
    assert 0.03 < fit.dx.stdev < 0.1
    assert 0.1 < fit.scale.stdev < 2
    assert fit.fwhm.stdev < 0.001
