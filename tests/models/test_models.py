"""The model: derivatives, fitters, copies, and the light of GalSim's galaxies."""

import copy
import pickle

import numpy as np
import pytest
from astropy.modeling.fitting import DogBoxLSQFitter, LMLSQFitter, TRFLSQFitter
from astropy.modeling.models import Polynomial2D
from astropy.nddata import CCDData
from numpy.testing import assert_allclose

from astropy_imphot import ConvolvedTemplate2D, UserError, fit_image_photometry, make_template
from astropy_imphot.simulation import sky_grid

STEPS = dict.fromkeys(("scale", "dx", "dy", "fwhm", "bg", "bg_x", "bg_y", "e1", "e2"), 1e-4)
STEPS |= {"beta": 1e-3, "rotation": 1e-2}


@pytest.fixture(scope="module")
def pixels(field):
    y, x = np.mgrid[: field.muse[0].shape[0], : field.muse[0].shape[1]].astype(float)
    return x, y


def numerical_derivative(model, key, x, y):
    """Differentiate with a five-point stencil."""
    h = STEPS[key]
    total = 0
    for shift, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
        moved = model.copy()
        setattr(moved, key, getattr(model, key).value + shift * h)
        total = total + weight * moved(x, y)
    return total / (12 * h)


TURNED = {"rotation": 0.4, "e1": 0.05, "e2": -0.08}
SHAPES = [
    {"fwhm": 0.5, "beta": 1.2},
    {"fwhm": 0.62, "beta": 1.6},
    {"fwhm": 0.9, "beta": 4.0},
    {"fwhm": 0.7, "beta": 50.0},
    {"fwhm": 0.62, "beta": 1.6} | TURNED,
    {"fwhm": 0.7, "beta": 2.5} | TURNED,
]


@pytest.mark.parametrize("key", ConvolvedTemplate2D.param_names)
@pytest.mark.parametrize("shape", SHAPES)
def test_fit_deriv(template, pixels, key, shape):
    model = ConvolvedTemplate2D(template, scale=0.9, bg=1.0, dx=0.13, dy=-0.28, bg_x=0.1, bg_y=-0.2, **shape)
    x, y = pixels
    if "rotation" in shape:
        # Near the edge, a rotation requires light from outside of the template.
        x, y = x[10:-10, 10:-10], y[10:-10, 10:-10]
    analytic = model.fit_deriv(x, y, *model.parameters)[model.param_names.index(key)]
    numerical = numerical_derivative(model, key, x, y)
    # The template is rotated as if it were periodic, which matters close to the edges.
    tolerance = 3e-3 if key == "rotation" else 1e-5
    assert_allclose(analytic, numerical, rtol=0, atol=tolerance * np.abs(numerical).max())


def drawn(galaxy, psf, grid, shift=(0, 0)):
    """Draw a galaxy in the center of a grid of pixels with GalSim."""
    import galsim

    profile = galsim.Convolve(galaxy, psf).shift(*shift)
    ny, nx = grid.shape
    return profile.drawImage(nx=nx, ny=ny, scale=grid.pixel_scale[0], method="no_pixel").array


def test_model_equals_galaxies_of_galsim():
    import galsim

    galaxy = galsim.Sersic(n=1.5, half_light_radius=0.3, flux=500.0).shear(e1=0.3, e2=0.1)
    hst_grid, muse_grid = sky_grid((501, 501), 0.03), sky_grid((40, 41))
    pixels = drawn(galaxy, galsim.Moffat(fwhm=0.085, beta=1.6), hst_grid) / 9.74
    hst = CCDData(pixels, unit="electron/s", wcs=hst_grid.wcs, meta={"INSTRUME": "ACS", "FILTER": "F775W"})
    model = ConvolvedTemplate2D(
        make_template(hst, muse_grid), dx=0.13, dy=-0.07, fwhm=0.65, beta=2.8, e1=0.1, e2=-0.05
    )
    seeing = galsim.Moffat(fwhm=0.65, beta=2.8).shear(e1=0.1, e2=-0.05)
    expected = drawn(galaxy, seeing, muse_grid, shift=(0.13, -0.07))
    y, x = np.mgrid[:40, :41]
    assert_allclose(model(x, y), expected, atol=2e-3 * expected.max())


def test_fitters_agree(field, template, pixels):
    muse = field.muse[0]
    start = ConvolvedTemplate2D(template, scale=1, bg=1, fwhm=0.7, beta=2.5)
    weights = np.full(muse.shape, 10.0)
    solutions = []
    for fitter in (TRFLSQFitter, DogBoxLSQFitter, LMLSQFitter):
        model = start.copy()
        if fitter is LMLSQFitter:
            # This fitter does not support bounds.
            for key in model.param_names:
                getattr(model, key).bounds = (None, None)
        solutions.append(fitter()(model, *pixels, muse.data, weights=weights).parameters)
    for solution in solutions[1:]:
        # Ellipticities and slopes are close to 0; their errors are thousands of times larger.
        assert_allclose(solution, solutions[0], rtol=2e-5, atol=1e-7)
    truth = field.truth[0]
    assert_allclose(solutions[0][2:4], [truth.dx, truth.dy], atol=0.006)


def test_composes_with_a_polynomial(field, template, pixels):
    muse = field.muse[0]
    model = ConvolvedTemplate2D(template, beta=2.7) + Polynomial2D(1)
    model.bg_0.fixed = True
    model.beta_0.fixed = True
    x, y = pixels
    fitted = TRFLSQFitter()(model, x, y, muse.data + 0.01 * x, weights=np.full(muse.shape, 10.0))
    assert abs(fitted.c1_0_1 - 0.01) < 5e-4
    assert abs(fitted.c0_0_1 - 2.0) < 0.05
    assert abs(fitted.dx_0 - 0.12) < 0.006


def test_copies_and_pickles_share_arrays(template):
    model = ConvolvedTemplate2D(template, dx=0.1)
    for twin in (model.copy(), copy.deepcopy(model), copy.copy(model)):
        assert twin.template is template
    one, two = len(pickle.dumps(model)), len(pickle.dumps([model, model.copy()]))
    assert two < 1.05 * one
    first, second = pickle.loads(pickle.dumps([model, model.copy()]))
    assert first.template.data is second.template.data
    assert_allclose(first(3.0, 4.0), model(3.0, 4.0))
    moved = model.copy()
    moved.dx = 0.5
    assert model.dx == 0.1


def test_results_of_fits_hold_no_tables(field, template):
    fit = fit_image_photometry(template, field.muse[0], fix_beta=2.7)
    kept = fit.fitted_model
    assert kept.template.data is template.data
    assert "spectrum" not in vars(kept.template)
    assert "_deconvolved" not in vars(kept._convolver)
    y, x = np.indices(field.muse[0].shape)
    # The own scales of objects are not part of the model.
    assert_allclose(kept(x, y), fit.model.data, atol=0.01 * np.ptp(fit.model.data))


def test_off_the_grid(template):
    model = ConvolvedTemplate2D(template, scale=1.1, bg=0.3, fwhm=0.6, beta=2.5)
    y, x = np.mgrid[10:100, 10:80].astype(float)
    # A shift of the positions is equivalent to the opposite shift of the light.
    moved = model.copy()
    moved.dx, moved.dy = -0.3 * 0.2, 0.45 * 0.2
    expected = moved(x, y)
    assert_allclose(model(x + 0.3, y - 0.45), expected, atol=2e-5 * np.ptp(expected))


def test_bounding_box_and_outside(template):
    model = ConvolvedTemplate2D(template, bg=0.3)
    box = (
        model.bounding_box.bounding_box()
        if hasattr(model.bounding_box, "bounding_box")
        else model.bounding_box
    )
    (y_low, y_high), (x_low, x_high) = box
    assert y_low < -10
    assert x_high > template.muse_shape[1] + 10
    assert_allclose(model([x_low - 5, x_high + 5], [y_low - 5, y_high + 5]), 0.3)
    assert "scale" in str(model)
    assert "ConvolvedTemplate2D" in repr(model)


def test_derivatives_of_fixed_parameters_are_not_computed(template, pixels, monkeypatch):
    model = ConvolvedTemplate2D(template)
    for key in ("beta", "rotation", "e1", "e2"):
        model.fixed[key] = True
    computed = []
    light = type(model._convolver).light

    def counting(self, *args, derivative=None, **kwargs):
        computed.append(derivative)
        return light(self, *args, derivative=derivative, **kwargs)

    monkeypatch.setattr(type(model._convolver), "light", counting)
    TRFLSQFitter()(model, *pixels, model(*pixels) + 1.0, weights=np.ones(pixels[0].shape))
    assert set(computed) == {None, "dx", "dy", "fwhm"}


@pytest.mark.parametrize(
    "psf", [{"hst_fwhm": 0.0}, {"hst_fwhm": -1.0}, {"hst_beta": 1.0}, {"hst_beta": 200.0}]
)
def test_bad_hst_psf(template, psf):
    with pytest.raises(UserError, match="hst_fwhm"):
        ConvolvedTemplate2D(template, **psf)
