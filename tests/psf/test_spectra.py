"""Transforms in blocks of aliases: sampling, shifting and refining, against direct sums."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import fft

from astropy_imphot.psf.spectra import AliasedFrequencies, refine_spectrum

SCALES = (0.2, 0.25)


@pytest.fixture
def image():
    """Draw samples without the highest frequencies, which have no sign and cannot be shifted."""
    spectrum = fft.rfft2(np.random.default_rng(2).normal(size=(24, 36)))
    spectrum[12] = spectrum[:, 18] = 0
    return fft.irfft2(spectrum, s=(24, 36))


@pytest.fixture
def aliases():
    return AliasedFrequencies((12, 18), 2, SCALES)


def shifted(image, dx, dy):
    """Shift samples of half a pixel each the direct way."""
    phase = [
        np.exp(-2j * np.pi * fft.fftfreq(24, 0.1) * dy),
        np.exp(-2j * np.pi * fft.fftfreq(36, 0.125) * dx),
    ]
    return fft.ifft2(fft.fft2(image) * phase[0][:, np.newaxis] * phase[1]).real


def test_folding_is_sampling(image, aliases):
    folded = aliases.fold(aliases.split(fft.rfft2(image)), np.ones(aliases.shape))
    assert_allclose(folded, [fft.rfft2(image[::2, ::2])], atol=1e-12)


def test_one_sample_per_pixel_needs_no_folding(image):
    aliases = AliasedFrequencies((24, 36), 1, (0.1, 0.125))
    spectrum = fft.rfft2(image)
    assert aliases.split(spectrum) is aliases.join(spectrum) is spectrum
    values = fft.irfft2(aliases.fold(spectrum, np.ones(aliases.shape), 0.07, -0.03)[0], s=(24, 36))
    assert_allclose(values, shifted(image, 0.07, -0.03), atol=1e-12)


def test_shift_and_its_derivatives(image, aliases):
    dx, dy, step = 0.07, -0.13, 1e-5
    folded = aliases.fold(aliases.split(fft.rfft2(image)), np.ones(aliases.shape), dx, dy, gradient=True)
    value, by_dx, by_dy = fft.irfft2(folded, s=(12, 18))
    assert_allclose(value, shifted(image, dx, dy)[::2, ::2], atol=1e-12)
    for derivative, (right, up) in ((by_dx, (step, 0)), (by_dy, (0, step))):
        difference = shifted(image, dx + right, dy + up) - shifted(image, dx - right, dy - up)
        assert_allclose(derivative, difference[::2, ::2] / (2 * step), atol=1e-6)


def test_filter(image, aliases):
    response = np.exp(-np.hypot(aliases.fy, aliases.fx))
    spectrum = aliases.split(fft.rfft2(image))
    expected = aliases.fold(spectrum * response, np.ones(aliases.shape))
    assert_allclose(aliases.fold(spectrum, response), expected, atol=1e-12)


def test_joining_undoes_splitting(aliases):
    spectrum = fft.rfft2(np.random.default_rng(3).normal(size=(24, 36)))
    assert_allclose(aliases.join(aliases.split(spectrum)), spectrum)


def test_frequencies_of_the_blocks(aliases):
    fy, fx = fft.fftfreq(24, 0.1)[:, np.newaxis], fft.rfftfreq(36, 0.125)
    assert_allclose(np.abs(aliases.split(np.hypot(fy, fx) + 0j)), np.hypot(aliases.fy, aliases.fx))
    assert_allclose(aliases.radial(aliases.table.nodes), np.hypot(aliases.fy, aliases.fx), atol=1e-7)


def test_sums_over_all_frequencies(aliases):
    fy, fx = fft.fftfreq(24, 0.1)[:, np.newaxis], fft.fftfreq(36, 0.125)
    sums = aliases.node_sums(np.ones(aliases.shape))
    assert_allclose(sums @ np.ones(len(sums)), 24 * 36)
    assert_allclose(sums @ aliases.table.nodes**2, np.sum(fy**2 + fx**2), rtol=1e-6)


def test_refining_keeps_the_samples(image):
    finer = fft.irfft2(refine_spectrum(fft.rfft2(image), (24, 36), (48, 72)), s=(48, 72))
    assert_allclose(finer[::2, ::2], image, atol=1e-12)
