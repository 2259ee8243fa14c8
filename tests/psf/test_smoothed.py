"""The profile of a PSF in a smoothed image is that of GalSim, and its derivatives are right."""

import galsim
import numpy as np
import pytest
from numpy.testing import assert_allclose

from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.smoothed import SmoothedProfile

VALUES = {"fwhm": 0.65, "beta": 2.5}
RADII = np.linspace(0, 6.0, 61)


@pytest.mark.parametrize("fwhm", [0.1, 0.5, 1.5])
def test_it_is_the_convolution_of_galsim(fwhm):
    both = galsim.Convolve(galsim.Moffat(**VALUES), galsim.Gaussian(fwhm=fwhm))
    image = both.drawImage(nx=61, ny=1, scale=0.1, method="no_pixel", offset=(-30, 0)).array[0] / 0.01
    expected = SmoothedProfile(MOFFAT, fwhm).profile(RADII, **VALUES)
    assert_allclose(image, expected, atol=1e-3 * image[0])


@pytest.mark.parametrize("fwhm", [0.1, 1.5])
@pytest.mark.parametrize("name", ["fwhm", "beta", "log_radius"])
def test_derivatives_are_those_of_the_profile(fwhm, name):
    smoothed, step = SmoothedProfile(MOFFAT, fwhm), 1e-3
    if name == "log_radius":
        low, high = (smoothed.profile(RADII * factor, **VALUES) for factor in (1 - step, 1 + step))
        expected = (high - low) / (2 * step)
    else:
        low, high = (
            smoothed.profile(RADII, **VALUES | {name: VALUES[name] + change}) for change in (-step, step)
        )
        expected = (high - low) / (2 * step)
    found = smoothed.profile_derivative(RADII, name, **VALUES)
    assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
