"""The narrow-field mode: pixels of 0.025 arcsec, and an HST image that is not sharper."""

import galsim
import numpy as np
import pytest
from astropy.nddata import CCDData, VarianceUncertainty

from astropy_imphot import PointSource2D, fit_image_photometry, make_template
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.fitting.star import fit_star_photometry
from astropy_imphot.models.convolved_template import template_model
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.results.flags import FitFlags
from astropy_imphot.simulation import CENTER, sky_grid

TRUTH = {"dx": 0.06, "dy": -0.04, "scale": 0.9, "fwhm": 0.07, "beta": 2.0}
SIZE, PIXEL, HST_PIXEL = 4.0, 0.025, 0.03


def drawn(size, pixel, objects, psf, offset, noise, seed):
    """Draw galaxies and stars, with the response of the pixels in the PSF."""
    n_pixels = round(size / pixel)
    image = galsim.ImageD(n_pixels, n_pixels, scale=pixel)
    for x, y, flux, radius in objects:
        galaxy = galsim.Exponential(half_light_radius=radius) if radius else None
        profile = psf if galaxy is None else galsim.Convolve(galaxy, psf)
        place = galsim.PositionD((x + offset[0]) / pixel, (y + offset[1]) / pixel) + image.true_center
        profile.withFlux(flux).drawImage(image=image, add_to_image=True, center=place, method="no_pixel")
    data = image.array + np.random.default_rng(seed).normal(0, noise, image.array.shape)
    variance = VarianceUncertainty(np.full(data.shape, noise**2))
    wcs = sky_grid(data.shape, pixel).wcs
    meta = {"INSTRUME": "ACS", "FILTER": "F775W"}
    return CCDData(data, unit=PIPELINE_UNIT, uncertainty=variance, wcs=wcs, meta=meta)


@pytest.fixture(scope="module")
def images():
    """An HST image and one of the narrow-field mode, of galaxies and stars; a star is at the center."""
    rng = np.random.default_rng(5)
    objects = [(0.0, 0.0, 300.0, 0)]
    for number in range(9):
        x, y = rng.uniform(-SIZE / 2, SIZE / 2, 2)
        objects.append((x, y, rng.uniform(30, 200), 0 if number < 2 else rng.uniform(0.08, 0.3)))
    hst = drawn(
        SIZE + 4.0,
        HST_PIXEL,
        objects,
        galsim.Moffat(fwhm=0.085, beta=1.6),
        (0, 0),
        0.008,
        1,
    )
    psf = galsim.Moffat(fwhm=TRUTH["fwhm"], beta=TRUTH["beta"])
    bright = [(x, y, TRUTH["scale"] * flux, radius) for x, y, flux, radius in objects]
    return hst, drawn(SIZE, PIXEL, bright, psf, (TRUTH["dx"], TRUTH["dy"]), 0.02, 2)


@pytest.fixture(scope="module")
def fit(images):
    return fit_image_photometry(*images, hst_fwhm=0.085, hst_beta=1.6, background="constant")


@pytest.mark.parametrize("name", TRUTH)
def test_values(fit, name):
    value = fit.values[name]
    assert value.stdev < {"scale": 0.02, "beta": 0.05}.get(name, 0.001)
    allowed = {"fwhm": 0.01, "beta": 0.02}.get(name, 0.0) * value.value
    assert abs(value.value - TRUTH[name]) < 3.5 * value.stdev + allowed


def test_flags(fit):
    assert not fit.flags & (
        FitFlags.AT_BOUND | FitFlags.NOT_CONVERGED | FitFlags.DEGENERATE | FitFlags.NO_MATCH
    )
    assert 0.07 < fit.smoothing < 0.08


def test_limits_and_start_follow_the_pixels(images, field):
    for image, factor in ((images, 1 / 8), ((field.hst, field.muse[0]), 1)):
        model = template_model(MOFFAT)(make_template(*image))
        assert model.bounds["fwhm"] == (pytest.approx(0.1 * factor), 5.0)
        assert PointSource2D(pixel_scale=0.2 * factor).bounds["fwhm"] == (pytest.approx(0.1 * factor), 5.0)
        assert template_model(MOFFAT)(make_template(*image), bounds={"fwhm": (0.3, 1)}).bounds["fwhm"] == (
            0.3,
            1,
        )
        assert MOFFAT.parameters[0].default_for((0.2 * factor, 0.3)) == pytest.approx(0.7 * factor)


def test_a_star(images):
    star = fit_star_photometry(*images, (CENTER.ra.deg, CENTER.dec.deg, 0.5))
    assert FitFlags.AT_BOUND not in star.flags
    for name in ("fwhm", "scale", "dx", "dy"):
        assert abs(star.values[name].value - TRUTH[name]) < 0.03 * TRUTH["scale"] * (name == "scale") + 0.004
