"""Models with units: values, conversions and fits, as in astropy.modeling."""

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.fitting import TRFLSQFitter
from numpy.testing import assert_allclose

from astropy_imphot import ConvolvedTemplate2D, MoffatStar2D, UserError

Y, X = np.mgrid[:40, :40].astype(float)


def test_a_template_in_other_units(template):
    plain = ConvolvedTemplate2D(template, dx=0.12, dy=-0.2, fwhm=0.65, bg=2.0, rotation=0.1)
    unit = template.grid.unit
    with_units = ConvolvedTemplate2D(
        template,
        dx=120 * u.mas,
        dy=-0.2 * u.arcsec,
        fwhm=650 * u.mas,
        bg=(2.0 * unit).to("erg / (s cm2 Angstrom)"),
        rotation=6 * u.arcmin,
        hst_fwhm=85 * u.mas,
    )
    values = with_units(X * u.pix, Y * u.pix)
    assert values.unit == unit
    assert_allclose(values.value, plain(X, Y), rtol=1e-10)


def test_a_template_is_fitted_with_units(template):
    unit = template.grid.unit
    truth = ConvolvedTemplate2D(template, dx=0.1, fwhm=0.6, bg=1.0)
    start = ConvolvedTemplate2D(
        template, dx=0 * u.arcsec, dy=0 * u.mas, fwhm=700 * u.mas, bg=0 * unit, fixed={"beta": True}
    )
    fitted = TRFLSQFitter()(start, X * u.pix, Y * u.pix, truth(X, Y) * unit)
    assert_allclose(fitted.dx.quantity.to_value(u.arcsec), 0.1, atol=1e-5)
    assert_allclose(fitted.fwhm.quantity.to_value(u.arcsec), 0.6, atol=1e-5)
    assert fitted.bg.unit == unit


def test_a_template_in_another_unit_than_the_image(template):
    start = ConvolvedTemplate2D(template, dx=0 * u.arcsec, bg=0 * template.grid.unit)
    with pytest.raises(UserError, match="convert one"):
        TRFLSQFitter()(start, X * u.pix, Y * u.pix, X * u.Jy)


def test_a_parameter_of_another_kind(template):
    with pytest.raises(UserError, match="fwhm is in s"):
        ConvolvedTemplate2D(template, fwhm=0.7 * u.s)(1.0, 2.0)


def test_a_star_in_other_units():
    plain = MoffatStar2D(flux=100.0, x_0=20.0, y_0=19.0, fwhm=3.5, beta=2.5, bg=1.0)
    with_units = MoffatStar2D(
        flux=100.0 * u.ct, x_0=20.0 * u.arcsec, y_0=19.0 * u.arcsec, fwhm=3500 * u.mas, bg=1.0 * u.ct
    )
    assert_allclose(with_units(X * u.arcsec, Y * u.arcsec).to_value(u.ct), plain(X, Y))


def test_a_star_is_fitted_with_units():
    truth = MoffatStar2D(flux=100.0, x_0=20.0, y_0=19.0, fwhm=3.5, beta=2.5, bg=1.0)
    start = MoffatStar2D(
        flux=80 * u.ct, x_0=21 * u.pix, y_0=20 * u.pix, fwhm=3 * u.pix, beta=2.5, bg=0 * u.ct
    )
    fitted = TRFLSQFitter()(start, X * u.pix, Y * u.pix, truth(X, Y) * u.ct)
    assert_allclose(fitted.fwhm.quantity.to_value(u.pix), 3.5, rtol=1e-5)
    assert fitted.flux.unit == u.ct
