"""Arithmetic and rounding of values."""

import math

import astropy.units as u
import numpy as np
import pytest
from numpy.testing import assert_allclose

from astropy_imphot import FittedValue
from astropy_imphot.results.values import rounded, with_error

FWHM = FittedValue(0.65, 0.01, False, u.arcsec)
BETA = FittedValue(2.5, 0.0, True, u.dimensionless_unscaled)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (2 * FWHM, 1.3 * u.arcsec),
        (FWHM / 2, 325 * u.mas),
        (FWHM + 10 * u.mas, 0.66 * u.arcsec),
        (10 * u.mas + FWHM, 0.66 * u.arcsec),
        (FWHM - FWHM, 0 * u.arcsec),
        (-FWHM, -0.65 * u.arcsec),
        (FWHM**2, 0.4225 * u.arcsec**2),
        (FWHM * BETA, 1.625 * u.arcsec),
        (BETA + 1, u.Quantity(3.5)),
        (np.ones(2) * FWHM, [0.65, 0.65] * u.arcsec),
        (FWHM / u.arcsec, u.Quantity(0.65)),
        (u.pix * FWHM, 0.65 * u.arcsec * u.pix),
        (np.hypot(FWHM, FWHM), 0.65 * math.sqrt(2) * u.arcsec),
        (u.Quantity(FWHM), 0.65 * u.arcsec),
        (FWHM.quantity, 0.65 * u.arcsec),
    ],
)
def test_arithmetic_goes_through_the_quantity(result, expected):
    assert type(result) is u.Quantity
    assert_allclose(result.to_value(expected.unit), expected.value)


def test_comparisons():
    assert 1 * u.arcsec > FWHM
    assert 600 * u.mas < FWHM
    assert FittedValue(0.65, 0.01, False, u.arcsec) == FWHM
    assert FittedValue(0.65, 0.02, False, u.arcsec) != FWHM
    assert 650 * u.mas == FWHM
    assert FWHM is not None
    assert FWHM != None  # noqa: E711
    assert len({FWHM, BETA, FWHM}) == 2


def test_numbers_without_a_unit_are_not_taken_for_arcsec():
    with pytest.raises(u.UnitConversionError):
        FWHM + 1
    with pytest.raises(TypeError, match="dimensionless"):
        float(FWHM)
    assert float(BETA) == 2.5
    assert f"{FWHM:.1f}" == "0.7 arcsec"
    assert f"{FWHM}" == str(FWHM) == "0.650 ± 0.010 arcsec"


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.651234, 0.004321, ("0.6512", "0.0043")),
        (1234.5678, 12.0, ("1235", "12")),
        (1234567.0, 4321.0, ("1234600", "4300")),
        (0.5, 9.96e-4, ("0.5000", "0.0010")),
        (99.96, 0.0996, ("99.96", "0.10")),
        (-1e-5, 0.01, ("0.000", "0.010")),
        (1.23456e-18, 4.321e-20, ("1.235e-18", "4.3e-20")),
        (3e-22, 2e-20, ("3e-22", "2.0e-20")),
        (1.23456e12, 4.3e9, ("1.2346e+12", "4.3e+09")),
        (0.0, 0.01, ("0.000", "0.010")),
        (2.8, 0.0, ("2.8", "fixed")),
        (2.8, np.nan, ("2.8", "?")),
        (2.8, np.inf, ("2.8", "?")),
    ],
)
def test_digits(value, error, expected):
    assert rounded(value, error) == expected


def test_an_error_of_0_of_a_free_value_is_not_known():
    assert str(FittedValue(2.5, 0.0, False, u.dimensionless_unscaled)) == "2.5 ± ?"
    assert str(BETA) == "2.5 (fixed)"
    assert with_error(np.nan, 0.0) == ""
