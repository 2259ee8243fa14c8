"""Fits to reference images that are not sharp: both images are compared at a common resolution."""

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.convolution import Gaussian2DKernel, convolve
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.testing import assert_allclose

from astropy_imphot import (
    ConvolvedTemplate2D,
    FittedImagePhotometry,
    fit_image_photometry,
    make_template,
    read_hst_psf,
)
from astropy_imphot.fitting.background import chosen_modes
from astropy_imphot.fitting.resolution import common_smoothing, smoothed_image
from astropy_imphot.models.point_source import PointSources
from astropy_imphot.products.images import fit_images
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.simulation import CENTER, Star, Truth, simulate_field, with_noise

TRUTH = Truth(dx=0.15, dy=-0.1, scale=0.95, bg=0.5, fwhm=0.65, beta=2.5)
SCENE = {"size": 22.0, "n_objects": 50, "magnitudes": (22.0, 25.5), "hst_noise": 5e-3, "hst_margin": 5.0}
WIDE = {"hst_fwhm": 1.0, "hst_beta": 3.0}


def wide_field(seed, fwhm=1.0, **options):
    options = SCENE | {"n_stars": 0, "truth": [TRUTH], "hst_pixel": 0.2, "hst_psf": (fwhm, 3.0)} | options
    return simulate_field(seed, **options)


@pytest.fixture(scope="module")
def field():
    return wide_field(1)


@pytest.fixture(scope="module")
def fit(field):
    return fit_image_photometry(field.hst, field.muse[0], **WIDE)


def pulls(fit, keys=("dx", "dy", "scale", "fwhm", "beta", "bg"), truth=TRUTH):
    return np.array([(fit.values[key].value - getattr(truth, key)) / fit.values[key].stdev for key in keys])


WIDE_FIELD = (0.2, 0.2)
NARROW_FIELD = (0.025, 0.025)


def convolved(image, fwhm, scale=0.2):
    return convolve(image, Gaussian2DKernel(fwhm * gaussian_fwhm_to_sigma / scale), boundary="extend")


def noise_image(muse, seed):
    noise = np.random.default_rng(seed).normal(size=muse.shape)
    return CCDData(noise, unit=muse.unit, wcs=muse.wcs, uncertainty=VarianceUncertainty(np.ones(muse.shape)))


def test_sharp_images_are_not_smoothed():
    assert common_smoothing(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}), WIDE_FIELD) == 0
    assert common_smoothing(CircularPsf(MOFFAT, {"fwhm": 0.3, "beta": 3.0}), WIDE_FIELD) == 0


def test_images_of_small_pixels():
    # The PSF of HST is as wide as 1.5 pixels of the narrow-field mode and the Gaussian.
    smoothing = common_smoothing(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}), NARROW_FIELD)
    assert_allclose(np.hypot(smoothing, 0.0375), 0.085, rtol=1e-6)
    assert common_smoothing(CircularPsf(MOFFAT, {"fwhm": 0.035, "beta": 1.6}), NARROW_FIELD) == 0


def test_the_smoothing_is_that_of_the_psf_however_it_is_given():
    psf = galsim.Moffat(fwhm=0.8, beta=3.0).drawImage(nx=121, ny=121, scale=0.1, method="no_pixel").array
    one = common_smoothing(CircularPsf(MOFFAT, {"fwhm": 0.8, "beta": 3.0}), WIDE_FIELD)
    assert_allclose(common_smoothing(read_hst_psf(psf, 0.1), WIDE_FIELD), one, rtol=0.02)
    assert 0.6 < one < 0.8


def test_an_image_that_is_not_smoothed_is_the_same(field):
    mask = np.zeros(field.muse[0].shape, bool)
    assert smoothed_image(field.muse[0], mask, 0.0) == (field.muse[0], mask)


def test_the_image_is_convolved_with_the_gaussian(field):
    muse = field.muse[0]
    smooth, mask = smoothed_image(muse, np.zeros(muse.shape, bool), 0.9)
    expected = convolved(muse.data, 0.9)
    assert_allclose(smooth.data[~mask], expected[~mask], atol=2e-3 * np.ptp(expected))
    # What is beyond the image is not known: about as wide as the Gaussian is.
    rows, columns = np.nonzero(~mask)
    assert {rows.min(), columns.min(), 109 - rows.max(), 109 - columns.max()} == {3}


def test_the_variance_is_that_of_smoothed_noise(field):
    images = [noise_image(field.muse[0], seed) for seed in range(4)]
    nothing = np.zeros(images[0].shape, bool)
    smooth = [smoothed_image(image, nothing, 0.8)[0] for image in images]
    found = np.mean([image.data[10:-10, 10:-10].var() for image in smooth])
    assert_allclose(smooth[0].uncertainty.array, found, rtol=0.05)


def test_holes_are_interpolated_and_larger_ones_are_widened():
    muse = wide_field(2, noise=0.0, hst_noise=0.0).muse[0]
    row, column = np.unravel_index(muse.data[20:-20, 20:-20].argmax(), (70, 70))
    row, column = row + 20, column + 20
    holed, mask = muse.copy(), np.zeros(muse.shape, bool)
    mask[row + 4, column] = mask[row - 2, column] = mask[5:15, 80:95] = True
    holed.data[mask] = np.nan
    expected = convolved(muse.data, 0.9)
    smooth, found = smoothed_image(holed, mask, 0.9)
    # Holes are not fitted; pixels next to small ones are, and right.
    assert found[row + 4, column]
    assert not found[row, column]
    assert np.all(np.isfinite(smooth.data))
    assert_allclose(smooth.data[row, column], expected[row, column], rtol=4e-3)
    assert found[4:16, 78:97].all()
    assert not found[25, 85]
    assert_allclose(smooth.data[~found], expected[~found], atol=0.01 * np.ptp(expected))


def test_the_model_is_smoothed_like_the_image(field):
    template = make_template(field.hst, field.muse[0])
    one = np.ones(1)
    source = PointSources(
        x=60.3 * one, y=50.6 * one, flux=400 * one, flux_err=one, saturated=one > 2, reach=15 * one
    )
    y, x = np.indices(field.muse[0].shape, dtype=float)
    values = {"fwhm": 0.65, "beta": 2.5, "dx": 0.13, "scale": 0.9}
    options = {"hst_fwhm": 0.3, "hst_beta": 3.0} | values
    sharp = ConvolvedTemplate2D(template, **options).with_sources(source)
    smooth = ConvolvedTemplate2D(template, smoothing=900 * u.mas, **options).with_sources(source)
    inner = (slice(12, -12), slice(12, -12))
    expected = convolved(sharp(x, y), 0.9)
    assert_allclose(smooth(x, y)[inner], expected[inner], atol=2e-3 * np.ptp(expected))
    for key in ("fwhm", "beta", "dx", "e1", "motion_x_1"):
        step = 1e-3
        changed = [smooth.copy() for _ in range(2)]
        for model, sign in zip(changed, (-1, 1), strict=True):
            setattr(model, key, getattr(smooth, key).value + sign * step)
        difference = (changed[1](x, y) - changed[0](x, y)) / (2 * step)
        assert_allclose(
            smooth.derivatives(x, y, [key])[0], difference, atol=2e-3 * np.abs(difference).max(), err_msg=key
        )


@pytest.mark.parametrize("fwhm", [0.5, 1.5])
def test_fits_are_right_and_honest(fwhm):
    found = wide_field(3, fwhm)
    fit = fit_image_photometry(found.hst, found.muse[0], hst_fwhm=fwhm, hst_beta=3.0)
    assert fit.converged
    assert np.abs(pulls(fit)).max() < 3.5
    # "Right" is not "within a large error".
    assert fit.dx.stdev < 0.01
    assert fit.scale.stdev < 0.05


def test_the_psf_can_be_an_image(field, fit):
    psf = galsim.Moffat(fwhm=1.0, beta=3.0).drawImage(nx=121, ny=121, scale=0.1, method="no_pixel").array
    other = fit_image_photometry(field.hst, field.muse[0], hst_psf=psf, hst_psf_scale=0.1)
    assert np.abs(pulls(fit)).max() < 3.5
    for key in ("dx", "dy", "scale", "fwhm"):
        assert abs(other.values[key].value - fit.values[key].value) < 0.3 * fit.values[key].stdev


def test_errors_include_the_correlation_by_the_smoothing():
    # Noise of MUSE only.
    clean = wide_field(4, 1.2, n_objects=25, noise=0.0, hst_noise=0.0)
    found = []
    for seed in range(12):
        noisy = with_noise(clean, (4, seed), noise=0.2, hst_noise=1e-6)
        options = {"fix_beta": 2.5, "background": "constant", "keep_changed": True}
        fit = fit_image_photometry(noisy.hst, noisy.muse[0], hst_fwhm=1.2, hst_beta=3.0, **options)
        found.append(pulls(fit, ("dx", "dy", "scale", "bg")))
    assert 0.75 < np.sqrt(np.mean(np.var(found, axis=0, ddof=1))) < 1.3


def test_smoothed_noise_has_no_modes():
    # With a limit at which single fields of white noise have some.
    empty, counts = wide_field(1, size=60.0, n_objects=0).muse[0], []
    nothing = np.zeros(empty.shape, bool)
    for seed in range(20):
        smooth = smoothed_image(noise_image(empty, seed), nothing, 1.5)[0].data
        options = {"weights": np.ones(empty.shape), "pixel_scale": (0.2, 0.2), "unlikely": 0.01}
        counts.append([len(chosen_modes(smooth, smoothing=one, **options)) > 0 for one in (1.5, 0.0)])
    corrected, plain = np.sum(counts, axis=0)
    assert corrected <= 2
    assert plain >= 5


def test_galaxies_are_no_point_sources(fit):
    assert len(fit.point_sources) == 0


def test_point_sources_that_are_given_may_move():
    star = Star(21.0, x=4.0, y=-5.0, motion=(0.2, 0.0))
    found = wide_field(5, stars=[star])
    place = CENTER.spherical_offsets_by(-star.x * u.arcsec, star.y * u.arcsec)
    fit = fit_image_photometry(found.hst, found.muse[0], point_sources=[place], **WIDE)
    row = fit.point_sources[0]
    assert abs(row["motion_x"].value - 200) < 4 * row["motion_x_err"].value < 40
    assert_allclose(row["flux_ratio"], TRUTH.scale, rtol=0.03)
    assert np.abs(pulls(fit)).max() < 3.5


def test_results_tell_the_resolution(field, fit):
    expected = np.sqrt(1.0**2 - 0.3**2)
    assert isinstance(fit, FittedImagePhotometry)
    assert_allclose(fit.smoothing, expected)
    assert_allclose(fit.to_table()["smoothing"][0].to_value(u.arcsec), expected)
    assert "smoothed by a Gaussian of FWHM 0.954 arcsec" in fit.report()
    # The images are those that were compared.
    assert fit.data.data.max() < 0.8 * field.muse[0].data.max()
    assert {image.meta["IMPHSMTH"] for image in fit_images(fit).values()} == {0.953939}


def test_results_of_sharp_images_do_not_mention_it():
    sharp = simulate_field(1, size=12.0)
    fit = fit_image_photometry(sharp.hst, sharp.muse[0])
    assert fit.to_table()["smoothing"][0] == 0 * u.arcsec
    assert "smoothed" not in fit.report()
    assert "IMPHSMTH" not in fit_images(fit)["data"].meta
