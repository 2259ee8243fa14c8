"""Another shape of the PSF is one class: fits, tables, files and copies take it as it is."""

import copy
import pickle

import numpy as np
import pytest
from astropy.nddata import CCDData, VarianceUncertainty
from numpy.testing import assert_allclose

galsim = pytest.importorskip("galsim", reason="GalSim draws the sky")

from astropy_imphot import UserError, fit_image_photometry, make_template  # noqa: E402
from astropy_imphot.models.convolved_template import template_model  # noqa: E402
from astropy_imphot.parameters import ParameterInfo  # noqa: E402
from astropy_imphot.products.psf_keywords import fsf_keywords  # noqa: E402
from astropy_imphot.psf.shape import LOG_FREQUENCY, PsfShape  # noqa: E402
from astropy_imphot.simulation import sky_grid  # noqa: E402
from astropy_imphot.simulation.drawing import draw, draw_objects  # noqa: E402

FWHM, DX, SCALE, NOISE = 0.68, 0.13, 0.9, 0.05
HST_PSF = {"fwhm": 0.085, "beta": 2.5}


class Gaussian(PsfShape):
    """A circular Gaussian."""

    name = "Gaussian"
    parameters = (
        ParameterInfo(
            name="fwhm",
            words="FWHM of the MUSE PSF",
            kind="psf",
            unit="arcsec",
            default=0.7,
            bounds=(0.1, 5.0),
            valid=(0, np.inf),
            style="7.4f",
        ),
    )

    def otf(self, frequency, fwhm):
        """As `PsfShape.otf`."""
        return np.exp(-((np.pi * fwhm * frequency) ** 2) / (4 * np.log(2)))

    def profile(self, radius, fwhm):
        """As `PsfShape.profile`."""
        variance = fwhm**2 / (8 * np.log(2))
        return np.exp(-(radius**2) / (2 * variance)) / (2 * np.pi * variance)

    def enclosed_flux(self, radius, fwhm):
        """As `PsfShape.enclosed_flux`."""
        return 1 - np.exp(-4 * np.log(2) * (radius / fwhm) ** 2)


@pytest.fixture(scope="module")
def images():
    """An HST image, and a MUSE image with a Gaussian PSF."""
    rng = np.random.default_rng(5)
    objects = draw_objects(
        rng, 20.0, 20.0, 40, (21.0, 25.0), lambda magnitude: 10 ** (0.4 * (26 - magnitude)), 3
    )
    hst_grid, grid = sky_grid((900, 900), 0.03), sky_grid((90, 90))
    unit = grid.unit
    hst = draw(objects, galsim.Moffat(**HST_PSF), hst_grid) + rng.normal(0, 1e-4, hst_grid.shape)
    moved = [(x + DX, y, radius, profile) for x, y, radius, profile in objects]
    muse = SCALE * draw(moved, galsim.Gaussian(fwhm=FWHM), grid, least_radius=4.0)
    muse += rng.normal(0, NOISE, grid.shape)
    hst = CCDData(hst, unit=unit, wcs=hst_grid.wcs)
    variance = VarianceUncertainty(np.full(grid.shape, NOISE**2))
    return hst, CCDData(muse, unit=unit, wcs=grid.wcs, uncertainty=variance)


@pytest.fixture(scope="module")
def fit(images):
    hst, muse = images
    options = {f"hst_{key}": value for key, value in HST_PSF.items()}
    return fit_image_photometry(hst, muse, psf=Gaussian(), **options)


def test_a_gaussian_field(fit):
    assert fit.free == ("scale", "bg", "dx", "dy", "fwhm", "rotation", "e1", "e2")
    for key, truth in {"scale": SCALE, "dx": DX, "dy": 0.0, "fwhm": FWHM}.items():
        value = fit.values[key]
        assert abs(value.value - truth) < 4 * value.stdev, key
        assert value.stdev < 0.01


def test_profile_and_enclosed_flux_agree():
    radius = np.linspace(0, 2, 20001)
    flux = np.trapezoid(2 * np.pi * radius * Gaussian().profile(radius, fwhm=0.7), radius)
    assert_allclose(flux, Gaussian().enclosed_flux(2.0, fwhm=0.7), rtol=1e-6)


def test_derivatives_by_differences():
    frequency = np.array([0.3, 1.0, 2.0])
    exact = -2 * (np.pi * 0.7 * frequency) ** 2 / (4 * np.log(2)) * Gaussian().otf(frequency, fwhm=0.7)
    assert_allclose(Gaussian().otf_derivative(frequency, LOG_FREQUENCY, fwhm=0.7), exact, rtol=1e-8)
    assert_allclose(0.7 * Gaussian().otf_derivative(frequency, "fwhm", fwhm=0.7), exact, rtol=1e-8)


def test_text_and_table(fit):
    assert "fwhm" in fit.report()
    assert len(fit.summary().splitlines()) == 4
    table = fit.to_table()
    assert "fwhm_err" in table.colnames
    assert "beta" not in table.colnames


def test_models_can_be_copied(images):
    model = template_model(Gaussian())(make_template(*images), fwhm=0.6, dx=0.1)
    for twin in (model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.param_names == model.param_names
        assert twin(20, 30) == pytest.approx(model(20, 30))


def test_a_parameter_of_another_shape_is_unknown(images):
    with pytest.raises(TypeError, match="fix_beta"):
        fit_image_photometry(*images, psf=Gaussian(), fix_beta=2.5)


def test_mpdaf_has_no_gaussian():
    with pytest.raises(UserError, match="Gaussian"):
        fsf_keywords({"fwhm": 0.7}, psf=Gaussian())
