"""Point sources in residuals: light that only one of the images has."""

import numpy as np
import pytest

from astropy_imphot import ConvolvedTemplate2D, PointSource2D
from astropy_imphot.fitting.residual_sources import residual_sources

VALUES = {"scale": 0.6, "dx": 0.3, "dy": -0.24, "rotation": 1.5, "fwhm": 0.62, "beta": 2.7}
NOISE = 0.1

# Rows and columns, and fluxes, of three sources that only one image has.
PLACES = np.array([[20.3, 30.8], [60.0, 81.4], [90.7, 15.1]])
FLUXES = np.array([40.0, -15.0, 6.0])


@pytest.fixture(scope="module")
def model(template):
    return ConvolvedTemplate2D(template, **VALUES)


@pytest.fixture(scope="module")
def shape(field):
    return field.muse[0].shape


def stars(places, fluxes, shape):
    y, x = np.indices(shape)
    parts = [
        PointSource2D(flux=flux, x_0=column, y_0=row, fwhm=VALUES["fwhm"], beta=VALUES["beta"])(x, y)
        for (row, column), flux in zip(places, fluxes, strict=True)
    ]
    return np.sum(parts, axis=0)


def found_in(model, image, weights=None):
    weights = np.full(image.shape, 1 / NOISE) if weights is None else weights
    return residual_sources(model, image * weights, weights)


def noise(seed, shape):
    return np.random.default_rng(seed).normal(0, NOISE, shape)


def test_sources_are_found_where_they_are(model, shape):
    found = found_in(model, stars(PLACES, FLUXES, shape) + noise(131, shape))
    assert len(found) == 3
    # A source with these values is seen at this place, with this flux.
    x, y = model.with_sources(found).source_places()
    assert np.hypot(y - PLACES[:, 0], x - PLACES[:, 1]).max() < 1
    seen = VALUES["scale"] * found.flux
    # A source between pixels is found at one of them; the background of a peak is not fitted.
    assert np.all(np.abs(seen / FLUXES - 1) < 0.2)
    assert not found.saturated.any()
    assert np.all(found.reach >= 3)


def test_noise_has_no_sources(model, shape):
    assert [len(found_in(model, noise([132, seed], shape))) for seed in range(10)] == 10 * [0]


def test_residuals_of_zero(model, shape):
    assert len(found_in(model, np.zeros(shape))) == 0


def test_faint_sources_are_not_taken(model, shape):
    # A peak of n standard deviations has n times the noise over the root of the PSF's sum of squares.
    y, x = np.indices(shape)
    psf = PointSource2D(x_0=30.0, y_0=20.0, fwhm=VALUES["fwhm"], beta=VALUES["beta"])(x, y)
    sigma = NOISE / np.sqrt(np.sum(psf**2))
    counts = {
        factor: sum(
            len(found_in(model, factor * sigma * psf + noise([133, seed], shape))) for seed in range(10)
        )
        for factor in (3, 10)
    }
    assert counts[3] == 0
    assert counts[10] == 10


def test_the_level_of_the_noise_is_that_of_the_residuals(model, shape):
    # Variances that are too small by a factor of nine.
    for seed in range(5):
        assert len(found_in(model, 3 * noise([134, seed], shape))) == 0


def test_known_sources_are_not_found_again(model, shape):
    image = stars(PLACES, FLUXES, shape)
    known = found_in(model, image + noise(135, shape)).chosen(np.array([True, False, True]))
    # A tenth of the light of the known ones is left, which is significant for the brightest.
    left = image - 0.9 * stars(PLACES[[0, 2]], FLUXES[[0, 2]], shape) + noise(135, shape)
    assert len(found_in(model, left)) == 2
    again = found_in(model.with_sources(known), left)
    assert len(again) == 1
    assert again.flux[0] < 0


def test_masked_sources_are_not_found(model, shape):
    weights = np.full(shape, 1 / NOISE)
    weights[10:31, 20:41] = 0
    found = found_in(model, stars(PLACES, FLUXES, shape) + noise(136, shape), weights)
    _, y = model.with_sources(found).source_places()
    assert np.abs(np.sort(y) - [60, 90.7]).max() < 1


def test_a_small_fraction_of_bright_light_is_no_source(model, shape):
    y, x = np.indices(shape, dtype=float)
    light = model(x, y) - model.background(x, y)
    row, column = np.unravel_index(np.argmax(light), shape)
    psf = PointSource2D(x_0=column, y_0=row, fwhm=VALUES["fwhm"], beta=VALUES["beta"])(x, y)
    # With little noise both are significant.
    weights = np.full(shape, 1e5)
    sky = noise(137, shape) * 1e-4
    peak = light[row, column] / psf.max()
    assert len(found_in(model, 2e-3 * peak * psf + sky, weights)) == 0
    assert len(found_in(model, 5e-2 * peak * psf + sky, weights)) == 1


def test_many_sources(model, shape):
    rng = np.random.default_rng(138)
    places = np.stack(np.meshgrid(np.arange(10, 110, 14.0), np.arange(10, 95, 14.0), indexing="ij"), axis=-1)
    places = places.reshape(-1, 2)
    fluxes = rng.permutation(np.linspace(10, 100, len(places)))
    found = found_in(model, stars(places, fluxes, shape) + noise(139, shape))
    # The brightest first, and twenty in one round.
    assert len(found) == 20
    x, y = model.with_sources(found).source_places()
    away = np.hypot(y[:, np.newaxis] - places[:, 0], x[:, np.newaxis] - places[:, 1])
    assert away.min(axis=1).max() < 1
    brightest = np.sort(fluxes)[::-1][:20]
    assert np.abs(fluxes[away.argmin(axis=1)] - brightest).max() < 4
