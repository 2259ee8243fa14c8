"""A parameter that is added to the table of parameters: model, fit, table, report, flags and combination."""

import numpy as np
import pytest

from astropy_imphot import UserError, fit_image_photometry, make_template
from astropy_imphot.cli import fit_photometry
from astropy_imphot.field.combine import combine
from astropy_imphot.fitting.options import ImageFitOptions
from astropy_imphot.models.convolved_template import template_model
from astropy_imphot.noise.reference import template_noise
from astropy_imphot.parameters import PARAMETERS, ParameterInfo
from astropy_imphot.psf.moffat import MOFFAT

TRUTH = 0.05


@pytest.fixture
def bg_xy(monkeypatch):
    """A background that is brighter in two opposite corners."""
    row = ParameterInfo(
        name="bg_xy",
        words="twist of the background",
        kind="background",
        unit="flux / arcsec2",
        on_demand=True,
        basis=lambda x, y: x * y,
    )
    monkeypatch.setitem(PARAMETERS, "bg_xy", row)
    return row


@pytest.fixture
def twisted(field):
    """A MUSE image with such a background."""
    muse = field.muse[0].copy()
    ny, nx = muse.shape
    y, x = (axis - (size - 1) / 2 for axis, size in zip(np.indices(muse.shape), (ny, nx), strict=True))
    muse.data = muse.data + TRUTH * 0.04 * x * y
    return muse


@pytest.mark.usefixtures("bg_xy")
def test_it_is_fitted_and_reported(field, twisted):
    fit = fit_image_photometry(field.hst, twisted, free=("bg_xy",))
    value = fit.values["bg_xy"]
    assert abs(value.value - TRUTH) < 4 * value.stdev < 0.1 * TRUTH
    assert (value.unit / fit.bg.unit).is_equivalent("1 / arcsec2")
    assert "twist of the background" in fit.report()
    assert {"bg_xy", "bg_xy_err"} <= set(fit.to_table().colnames)
    both = combine({"F606W": fit, "F775W": fit}, {"F606W": (5900.0, 600.0), "F775W": (7700.0, 400.0)})
    assert {"bg_xy_F606W", "bg_xy_F775W_err"} <= set(both.to_table().colnames)


@pytest.mark.usefixtures("bg_xy")
def test_it_is_an_option_of_the_command():
    assert "twist of the background" in " ".join(fit_photometry._parser().format_help().split())


def test_without_the_row_it_is_unknown():
    with pytest.raises(UserError, match="'bg_xy'"):
        ImageFitOptions(free=("bg_xy",))


def test_a_directed_parameter_without_a_noise_term_is_an_error(field, monkeypatch):
    # A shift for which the noise correction has no formula.
    monkeypatch.setitem(PARAMETERS, "dz", ParameterInfo(name="dz", words="depth", kind="shift"))
    model = template_model(MOFFAT)(make_template(field.hst, field.muse[0]))
    with pytest.raises(ValueError, match="dz"):
        template_noise(model, ["dz"], np.ones(field.muse[0].shape))


def test_a_row_of_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="color"):
        ParameterInfo(name="hue", words="hue", kind="color")
