"""Smooth backgrounds: no modes for a constant, more for a ripple, and none for what noise and objects do."""

import numpy as np
import pytest
from scipy import ndimage

from astropy_imphot.fitting.background import chosen_modes, most_modes, smooth_background
from astropy_imphot.fitting.columns import CosineModes

SHAPE, PIXEL = (200, 240), (0.2, 0.2)


def noise(*seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape)


def ripple(numbers, amplitude, shape=SHAPE):
    return CosineModes(shape, [numbers]).image([amplitude])


def modes(image, weights=None, **options):
    return chosen_modes(image, np.ones(image.shape) if weights is None else weights, PIXEL, **options)


def test_white_noise_has_no_modes():
    assert not any(len(modes(noise(111, seed))) for seed in range(40))


@pytest.mark.parametrize("level", [-3.0, 100.0])
def test_a_constant_is_no_mode(level):
    for seed in range(10):
        assert np.array_equal(modes(noise(112, seed) + level), modes(noise(112, seed)))


def test_correlated_noise_has_no_modes():
    # Resampled pixels: the power at low frequencies is larger than that of independent pixels.
    smoothed = [ndimage.gaussian_filter(noise(113, seed), 1.0, mode="wrap") for seed in range(20)]
    assert sum(len(modes(image / image.std())) > 0 for image in smoothed) <= 1


def test_stronger_and_shorter_ripples_have_more_modes():
    counts = [len(modes(noise(114) + ripple((0, 3), one))) for one in (0.0, 0.01, 0.2)]
    assert counts[:2] == [0, 0]
    assert counts[2] > 0
    by_period = [modes(noise(114) + ripple((0, one), 0.2)).max(axis=0)[1] for one in (1, 3, 6, 9)]
    assert by_period == [1, 3, 6, 9]


@pytest.mark.parametrize("numbers", [(0, 3), (3, 0), (2, 5), (6, 1)])
def test_the_modes_contain_the_ripple(numbers):
    found = modes(noise(115) + ripple(numbers, 0.3))
    assert list(numbers) in found.tolist()
    assert [0, 0] not in found.tolist()


def test_the_modes_take_the_ripple_away():
    wave = ripple((2, 3), 0.3)
    image = noise(116) + wave
    basis = CosineModes(SHAPE, modes(image))
    amplitudes = np.linalg.solve(basis.normal(np.ones(SHAPE)), basis.products(image[np.newaxis])[:, 0])
    left = wave - basis.image(amplitudes)
    # The noise of n modes is the square root of n over the number of pixels, 0.02.
    assert left.std() < 0.04
    assert len(modes(image - basis.image(amplitudes))) == 0


def test_masked_pixels_have_no_power():
    weights = np.ones(SHAPE)
    weights[60:90, 50:110] = weights[:, 200:] = 0
    assert sum(len(modes(noise(117, seed) * weights, weights)) > 0 for seed in range(10)) <= 2
    assert len(modes((noise(117) + ripple((0, 3), 0.3)) * weights, weights)) > 0


def test_weights_are_no_ripple():
    # More exposures in the center.
    weights = 1 + 3 * (np.hypot(*(np.indices(SHAPE) - np.array([[[100]], [[120]]]))) < 60)
    assert sum(len(modes(noise(118, seed), weights)) > 0 for seed in range(10)) <= 2


def test_a_lower_limit_finds_less():
    image = noise(119) + ripple((0, 3), 0.06)
    assert len(modes(image, unlikely=1e-2)) > 0
    assert len(modes(image, unlikely=1e-100)) == 0


def test_the_shortest_period():
    # Periods of 10 arcsec are half periods of 5: 8 in 40 arcsec and 9 in 48.
    assert most_modes(SHAPE, PIXEL) == (8, 9)
    assert most_modes(SHAPE, (0.4, 0.2)) == (16, 9)
    assert most_modes(SHAPE, PIXEL, period=20.0) == (4, 4)
    found = modes(noise(120) + ripple((0, 9), 1.0))
    assert found.max(axis=0).tolist() == [7, 9]
    assert len(modes(noise(120) + ripple((0, 30), 0.5))) == 0


def test_images_that_are_smaller_than_the_shortest_period():
    assert len(modes(noise(121, shape=(20, 24)) + 5 * np.indices((20, 24))[1])) == 0


def test_smooth_background_follows_the_sky():
    y, x = np.indices(SHAPE)
    sky = 5 + 3 * np.sin(x / 50) + 0.01 * y
    image = sky + noise(122)
    # Objects, and a masked corner with anything in it.
    valid = np.ones(SHAPE, dtype=bool)
    for row, column in np.random.default_rng(123).uniform(10, 190, (20, 2)):
        image += 300 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    valid[:40, :50] = False
    image[:40, :50] = np.nan
    found = smooth_background(image, valid)
    assert found.shape == SHAPE
    assert np.all(np.isfinite(found))
    inside = valid.copy()
    inside[:16], inside[-16:], inside[:, :16], inside[:, -16:] = False, False, False, False
    assert np.abs(found - sky)[inside].max() < 1
    assert np.sqrt(np.mean((found - sky)[inside] ** 2)) < 0.35


def test_smooth_background_of_a_small_image():
    image = 7 + noise(124, shape=(9, 12))
    found = smooth_background(image, np.ones(image.shape, dtype=bool))
    assert np.ptp(found) < 1e-12
    assert found[0, 0] == np.median(image)
