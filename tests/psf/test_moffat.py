"""Transfer functions against GalSim, direct transforms and differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import fft, special

from astropy_imphot import UserError
from astropy_imphot.psf.fourier import (
    decimation_window,
    elliptical_radius,
    frequencies,
    lowpass,
    padded_length,
)
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.radial import RadialTable

PSFS = [(0.3, 1.2), (0.6, 1.6), (0.7, 2.5), (1.1, 4.765), (0.7, 50.0), (0.7, 99.0)]


@pytest.mark.parametrize(("fwhm", "beta"), PSFS[:4])
def test_moffat_otf_is_galsims(fwhm, beta):
    import galsim

    moffat = galsim.Moffat(beta=beta, fwhm=fwhm)
    f = np.array([0.0, 1e-6, 0.01, 0.3, 1.0, 2.5])
    expected = [moffat.kValue(2 * np.pi * one, 0).real for one in f]
    assert_allclose(MOFFAT.otf(f, fwhm, beta), expected, atol=1e-9)


@pytest.mark.parametrize("beta", [3.0, 50.0, 99.0])
def test_moffat_otf_is_the_transform_of_the_profile(beta):
    # GalSim draws no Moffat of large beta; the profile's Hankel transform is a sum.
    r = np.linspace(0, 60, 600_001)
    a = 0.7 / (2 * np.sqrt(2 ** (1 / beta) - 1))
    profile = (1 + (r / a) ** 2) ** -beta
    f = np.array([0.0, 0.01, 0.3, 1.0])
    transform = [np.trapezoid(profile * special.j0(2 * np.pi * one * r) * r, r) for one in f]
    assert_allclose(MOFFAT.otf(f, 0.7, beta), transform / transform[0], atol=1e-6)


@pytest.mark.parametrize(("fwhm", "beta"), PSFS[:-1])
def test_moffat_derivatives(fwhm, beta):
    f = np.array([0.0, 1e-6, 0.01, 0.3, 1.0, 2.5])
    d_fwhm, d_beta = (MOFFAT.otf_derivative(f, name, fwhm=fwhm, beta=beta) for name in ("fwhm", "beta"))
    h = 1e-5
    numerical = (MOFFAT.otf(f, fwhm + h, beta) - MOFFAT.otf(f, fwhm - h, beta)) / (2 * h)
    assert_allclose(d_fwhm, numerical, rtol=1e-6, atol=1e-8)
    h *= 10 * (beta - 1)
    numerical = (MOFFAT.otf(f, fwhm, beta + h) - MOFFAT.otf(f, fwhm, beta - h)) / (2 * h)
    assert_allclose(d_beta, numerical, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("fwhm", "beta"), PSFS[:4])
def test_enclosed_flux_is_galsims(fwhm, beta):
    import galsim

    moffat = galsim.Moffat(beta=beta, fwhm=fwhm)
    assert_allclose(MOFFAT.enclosed_flux(moffat.half_light_radius, fwhm, beta), 0.5, atol=1e-6)


@pytest.mark.parametrize(("fwhm", "beta"), PSFS)
def test_radial_table_is_exact_enough(fwhm, beta):
    radius = np.hypot(*frequencies((97, 130), (0.2, 0.2)))
    table = RadialTable(radius)
    assert_allclose(table(MOFFAT.otf(table.nodes, fwhm, beta)), MOFFAT.otf(radius, fwhm, beta), atol=1e-8)
    others = np.random.default_rng(1).uniform(0.05, radius.max(), 1000)
    assert_allclose(
        table.at(MOFFAT.otf(table.nodes, fwhm, beta), others), MOFFAT.otf(others, fwhm, beta), atol=1e-8
    )


def test_radial_table_of_several_functions():
    table = RadialTable(np.linspace(0, 2, 12).reshape(3, 4))
    both = table(np.array([table.nodes, table.nodes**2]))
    assert both.shape == (2, 3, 4)
    assert_allclose(both[1], both[0] ** 2, atol=1e-12)


@pytest.mark.parametrize(("e1", "e2"), [(0.3, 0.0), (0.0, -0.2), (0.1, 0.15)])
def test_elliptical_radius_is_galsims_shear(e1, e2):
    import galsim

    sheared = galsim.Moffat(beta=2.5, fwhm=0.7).shear(e1=e1, e2=e2)
    fy, fx = np.array([0.3, -0.7, 1.1]), np.array([0.5, 0.2, -0.9])
    expected = [sheared.kValue(2 * np.pi * x, 2 * np.pi * y).real for x, y in zip(fx, fy, strict=True)]
    assert_allclose(MOFFAT.otf(elliptical_radius(fy, fx, e1, e2), 0.7, 2.5), expected, atol=1e-9)


def test_windows():
    f = np.linspace(0, 4, 9)
    # The Blackman window as scipy has it, over twice the cutoff frequency.
    from scipy.signal.windows import blackman

    assert_allclose(decimation_window("blackman", f[:6], 2.5), blackman(11)[5:], atol=1e-12)
    assert_allclose(decimation_window("blackman", f[6:], 2.5), 0)
    assert_allclose(decimation_window("none", f, 2.5), 1)
    with pytest.raises(UserError, match="blackman"):
        decimation_window("hann", f, 2.5)
    assert_allclose(lowpass(f, 1.0, 3.0), [1, 1, 1, 0.853553, 0.5, 0.146447, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize("length", [7, 331, 720, 1021])
def test_padded_length(length):
    padded = padded_length(length)
    assert padded >= length
    assert padded % 2 == 0
    assert fft.next_fast_len(padded) == padded
