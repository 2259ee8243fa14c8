"""The noise of HST images: its variance, and the correction of its bias."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from numpy.testing import assert_allclose

from astropy_imphot import (
    ConvolvedTemplate2D,
    FitFlags,
    UserError,
    fit_image_photometry,
    make_template,
    regrid_hst_like_muse,
)
from astropy_imphot.fitting.statistics import pixel_coordinates, weighted_jacobian
from astropy_imphot.noise.autocorrelation import autocorrelation, sky_variance
from astropy_imphot.noise.covariance import score_covariance
from astropy_imphot.noise.reference import template_noise
from astropy_imphot.simulation import Truth, simulate_field, sky_grid, with_noise

FREE = ("scale", "dx", "dy", "fwhm", "beta", "rotation", "e1", "e2")
PIXEL = (0.03, 0.03)
NOISE = 1.5e-3


def noise_image(seed, shape, level=1e-3):
    data = np.random.default_rng(seed).normal(0, level, shape)
    return CCDData(
        data, unit="electron/s", wcs=sky_grid(shape, 0.03).wcs, meta={"INSTRUME": "ACS", "FILTER": "F775W"}
    )


def test_moments_of_convolved_noise():
    """Without sources, the model consists of the template's noise."""
    muse = sky_grid((150, 150))
    weights = np.full(muse.shape, 7.0)
    weights[:15] = weights[-15:] = 0
    y, x = pixel_coordinates(muse.shape)
    measured, expected = [], []
    for seed in range(4):
        template = make_template(noise_image(seed, (1200, 1200)), muse)
        model = ConvolvedTemplate2D(template, scale=0.8, fwhm=0.6, beta=2.5)
        jacobian = weighted_jacobian(model, FREE, muse.shape, weights)
        light = model(x, y) * weights
        flat = jacobian.reshape(len(FREE), -1)
        noise = template_noise(model, FREE, weights)
        correlation = autocorrelation(light, weights > 0)
        measured.append((flat @ flat.T, flat @ light.ravel(), correlation))
        expected.append((noise.information, noise.slope, noise.autocorrelation))
    information, slope, correlation = (np.mean(one, axis=0) for one in zip(*measured, strict=True))
    expected_information, expected_slope, expected_correlation = (
        np.mean(one, axis=0) for one in zip(*expected, strict=True)
    )
    sizes = np.sqrt(np.diag(expected_information))
    assert_allclose(
        information / np.outer(sizes, sizes), expected_information / np.outer(sizes, sizes), atol=0.05
    )
    assert_allclose(np.diag(information), np.diag(expected_information), rtol=0.05)
    # The noise is smaller for a wider PSF, and isotropic.
    assert_allclose(
        slope / sizes / np.sqrt(light.size), expected_slope / sizes / np.sqrt(light.size), atol=0.05
    )
    for index in (0, 3, 4):
        assert_allclose(slope[index], expected_slope[index], rtol=0.05)
    assert expected_slope[1] == expected_slope[2] == 0
    assert_allclose(correlation, expected_correlation, atol=0.05 * expected_correlation.max())


def test_scales_and_shifts_of_objects_are_those_of_their_pixels():
    muse = sky_grid((60, 80))
    model = ConvolvedTemplate2D(make_template(noise_image(1, (600, 800)), muse), scale=0.8, fwhm=0.6)
    cells = np.ones(muse.shape, dtype=int)
    cells[:, 30:] = 2
    whole = template_noise(model, FREE, np.full(muse.shape, 7.0))
    both = template_noise(model, FREE, np.full(muse.shape, 7.0), cells)
    assert both.information.shape == (len(FREE) + 6,) * 2
    assert_allclose(both.information, both.information.T)
    # Those of the scale, of dx and of dy are the sums over the objects; an own scale is a fraction.
    for first, key, unit in ((8, "scale", 0.8), (10, "dx", 1.0), (12, "dy", 1.0)):
        place = FREE.index(key)
        sums = both.information[first : first + 2].sum(axis=0)
        assert_allclose(sums[: len(FREE)], unit * whole.information[place], atol=1e-6 * np.abs(sums).max())
        assert_allclose(sums[first : first + 2].sum(), unit**2 * whole.information[place, place])
        assert_allclose(both.slope[first : first + 2].sum(), unit * whole.slope[place], atol=1e-9)
        # Each object is a fit of its own pixels.
        one = template_noise(model, FREE, np.where(cells == 1, 7.0, 0))
        assert_allclose(
            both.information[first, : len(FREE)], unit * one.information[place], atol=1e-6 * sums.max()
        )


def test_fluctuation_of_the_scores():
    """The scores of images of noise vary more than the noise of the residuals alone lets them."""
    free, muse = ("scale", "fwhm", "beta", "e1"), sky_grid((40, 40))
    weights = np.full(muse.shape, 7.0)
    y, x = pixel_coordinates(muse.shape)
    scores, expected, without = [], [], []
    for seed in range(80):
        model = ConvolvedTemplate2D(
            make_template(noise_image(seed, (420, 420)), muse), scale=0.8, fwhm=0.6, beta=2.5
        )
        jacobian = weighted_jacobian(model, free, muse.shape, weights)
        scores.append(jacobian.reshape(len(free), -1) @ (model(x, y) * weights).ravel())
        if seed < 8:
            noise = template_noise(model, free, weights)
            without.append(np.diag(score_covariance(jacobian, noise.autocorrelation)))
            expected.append(without[-1] + np.diag(noise.fluctuation))
    ratio = np.var(scores, axis=0) / np.mean(expected, axis=0)
    assert np.all((ratio > 0.6) & (ratio < 1.5)), ratio
    assert np.all(np.var(scores, axis=0) > 1.5 * np.mean(without, axis=0))


def test_no_variance_no_correction():
    template = make_template(noise_image(1, (500, 500)), sky_grid((30, 30)))
    model = ConvolvedTemplate2D(replace(template, variance=None))
    assert template_noise(model, ["fwhm"], np.ones((30, 30))) is None


@pytest.fixture(scope="module")
def faint():
    truth = Truth(dx=0.1, dy=-0.2)
    return simulate_field(
        41, size=30.0, truth=[truth], noise=0, hst_noise=0, n_stars=0, magnitudes=(23.5, 27.0)
    )


def test_fwhm_of_a_faint_field(faint, monkeypatch):
    truth = faint.truth[0]
    pulls = {True: [], False: []}
    for seed in range(4):
        noisy = with_noise(faint, seed, hst_noise=NOISE)
        template = make_template(noisy.hst, noisy.muse[0])
        for corrected in pulls:
            with monkeypatch.context() as patch:
                if not corrected:
                    patch.setattr("astropy_imphot.fitting.equations.template_noise", lambda *args: None)
                fit = fit_image_photometry(template, noisy.muse[0], init_dx=0.1, init_dy=-0.2)
            pulls[corrected].append((fit.fwhm.value - truth.fwhm) / fit.fwhm.stdev)
    assert np.mean(pulls[False]) > 2.5
    assert abs(np.mean(pulls[True])) < 3 / np.sqrt(4)
    assert np.abs(pulls[True]).max() < 4


def overlap(n_in, pixel, fraction, n_out, size, shift):
    """Return the overlap of the shrunken input pixels with the output pixels, along an axis."""
    center = (np.arange(n_in) + 0.5) * pixel + shift
    low, high = center - 0.5 * fraction * pixel, center + 0.5 * fraction * pixel
    edges = size * np.arange(n_out + 1)[:, np.newaxis]
    return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)


def drizzled(seed, n_out, size, *, pixel=0.05, fraction=0.8, exposures=4):
    """Return drizzled white noise of rms 1, and the variance of white noise with its power at frequency 0."""
    rng = np.random.default_rng(seed)
    n_in = int(n_out * size / pixel) + 4
    total = weight = 0
    for _ in range(exposures):
        y, x = (
            overlap(n_in, pixel, fraction, n_out, size, shift)
            for shift in rng.uniform(-1.5 * pixel, -0.5 * pixel, 2)
        )
        total = total + y @ rng.normal(size=(n_in, n_in)) @ x.T
        weight = weight + np.outer(y.sum(axis=1), x.sum(axis=1))
    return total / weight, (pixel / size) ** 2 / exposures


@pytest.mark.parametrize("pixel", [0.03, 0.05])
def test_variance_of_white_noise(pixel):
    noise = np.random.default_rng(3).normal(5, 2, (400, 500))
    valid = np.ones(noise.shape, bool)
    assert_allclose(sky_variance(noise, valid, (pixel, pixel)), 4, rtol=0.05)
    valid[:150], noise[:150] = False, 1e3
    assert_allclose(sky_variance(noise, valid, (pixel, pixel)), 4, rtol=0.05)


@pytest.mark.parametrize(("size", "fraction"), [(0.03, 0.8), (0.05, 1.0), (0.06, 0.8)])
def test_variance_of_drizzled_noise(size, fraction):
    noise, power = drizzled(4, 500, size, fraction=fraction)
    assert np.var(noise) < 0.7 * power
    assert_allclose(sky_variance(noise, np.ones(noise.shape, bool), (size, size)), power, rtol=0.1)


def test_drizzled_noise_is_correlated():
    """The power at low frequencies is the sum of the autocorrelation."""
    noise, power = drizzled(4, 800, 0.03)
    correlation = autocorrelation(noise, np.ones(noise.shape, bool), max_lag=4)
    assert_allclose(correlation.sum(), power, rtol=0.05)


@pytest.mark.parametrize("level", [NOISE, 0.2 * NOISE])
def test_variance_under_galaxies(faint, level):
    data = faint.hst.data
    noise, power = drizzled(5, max(data.shape), 0.03)
    noisy = data + level * noise[: data.shape[0], : data.shape[1]]
    assert_allclose(sky_variance(noisy, np.ones(data.shape, bool), PIXEL), level**2 * power, rtol=0.15)


def test_too_little_sky(faint):
    valid = np.zeros((300, 300), bool)
    valid[:30, :30] = True
    noise = np.random.default_rng(1).normal(size=valid.shape)
    assert sky_variance(noise, valid, PIXEL) is None
    assert sky_variance(noise[:20, :20], ~valid[:20, :20], PIXEL) is None
    # In small islands of pixels, no sky is far enough from the edges.
    assert sky_variance(noise, np.arange(300) % 8 + np.zeros((300, 1)) > 2, PIXEL) is None
    image = noise_image(1, (300, 300))
    image.mask = ~valid
    assert make_template(image, sky_grid((20, 20)), margin=1.0).variance is None


def with_weights(image, weights):
    header = image.wcs.to_header()
    header["BUNIT"] = "electron/s"
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header({"INSTRUME": "ACS", "FILTER": "F775W"})),
            fits.ImageHDU(image.data.astype(np.float32), header=header, name="SCI"),
            fits.ImageHDU(weights.astype(np.float32), header=header, name="WHT"),
        ]
    )


SUMMED = 1e-6 * 9.74**2 * (0.2 / 0.03) ** 2  # Noise of 1e-3, added up over a MUSE pixel, in its unit.


def test_weights_are_relative():
    """Weights give the ratios of the noise, and the image its level."""
    image, muse = noise_image(7, (900, 900)), sky_grid((100, 100))
    weights = np.ones(image.shape)
    weights[:, 700:] /= 2
    image.data /= np.sqrt(weights)
    template = make_template(with_weights(image, weights), muse)
    left, right = template.variance[:, :90], template.variance[:, -30:]
    assert_allclose(np.median(right) / np.median(left), 2, rtol=0.01)
    assert_allclose(np.median(left), SUMMED, rtol=0.3)
    again = make_template(with_weights(image, 1000 * weights), muse)
    assert_allclose(again.variance, template.variance, rtol=1e-4)


@pytest.mark.parametrize("weighted", [True, False])
def test_level_of_the_variance(weighted, tmp_path):
    image, muse = noise_image(8, (900, 900)), sky_grid((100, 100))
    source = with_weights(image, np.full(image.shape, 3.0)) if weighted else image
    template = make_template(source, muse)
    assert_allclose(template.variance[30:-30, 30:-30], SUMMED, rtol=0.05)
    # A template in a file has the same.
    template.write(tmp_path / "hst.fits")
    assert_allclose(make_template(tmp_path / "hst.fits", muse).variance, template.variance, rtol=1e-5)


def test_the_window_is_part_of_the_noise_model():
    """An image on the MUSE grid has less noise at high frequencies, which the model amplifies."""
    field = simulate_field(6, size=20.0, hst_noise=3e-3, noise=0.1)
    aligned = regrid_hst_like_muse(field.hst, field.muse[0])
    fits = [
        fit_image_photometry(hst, field.muse[0], keep_changed=True, fix_beta=2.5)
        for hst in (field.hst, aligned)
    ]
    assert abs(fits[0].fwhm.value - fits[1].fwhm.value) < 2 * fits[0].fwhm.stdev
    assert abs(fits[0].scale.value - fits[1].scale.value) < 2 * fits[0].scale.stdev


def test_no_correction_for_a_template_of_noise_only():
    muse = sky_grid((60, 60))
    image = CCDData(np.random.default_rng(1).normal(0, 0.1, muse.shape), unit=muse.unit, wcs=muse.wcs)
    fit = fit_image_photometry(noise_image(2, (800, 800), level=0.1), image, fix_beta=2.5)
    assert FitFlags.TEMPLATE_NOISE in fit.flags
    assert np.isfinite(fit.scale.value)


def test_too_few_pixels():
    field = simulate_field(6, size=10.0)
    mask = np.ones(field.muse[0].shape, bool)
    mask[20:22, 20:24] = False
    with pytest.raises(UserError, match="12 pixels"):
        fit_image_photometry(field.hst, field.muse[0], extramask=mask)
