"""Results of fits with other shapes of the PSF, and values without a description."""

import pickle
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import vstack

from astropy_imphot import FailedPhotometry, FitFlags, FittedValue, fit_image_photometry, summary_header
from astropy_imphot.parameters import ParameterInfo
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import PsfShape
from astropy_imphot.results.flags import basic_flags

FWHM, BETA = MOFFAT.parameters


class Gaussian(PsfShape):
    """Without beta."""

    name = "Gaussian"
    parameters = (FWHM,)


class Double(PsfShape):
    """A shape with other parameters, one of which is not part of the summary."""

    name = "double"
    parameters = (
        FWHM,
        ParameterInfo(name="ratio", words="ratio of the widths", kind="psf", style="7.2f"),
        ParameterInfo(name="part", words="part of the light", kind="psf", degenerate_error=0.5),
    )


@pytest.fixture(scope="module")
def moffat(field, template):
    return fit_image_photometry(template, field.muse[0], fix_beta=2.7, name="E1")


def without(fit, psf, *names, **more):
    """Return a fit with the values of another shape of the PSF."""
    kept = [index for index, name in enumerate(fit.free) if name not in names]
    values = {key: value for key, value in fit.values.items() if key not in names} | more
    return replace(
        fit,
        psf=psf,
        values=values,
        free=tuple(fit.free[index] for index in kept),
        covariance=fit.covariance[np.ix_(kept, kept)],
        naive_covariance=fit.naive_covariance[np.ix_(kept, kept)],
    )


@pytest.fixture(scope="module")
def gaussian(moffat):
    return without(moffat, Gaussian(), "beta")


@pytest.fixture(scope="module")
def double(moffat):
    values = {name: FittedValue(value, 0.1, False, u.one) for name, value in (("ratio", 2.0), ("part", 0.7))}
    return without(moffat, Double(), "beta", **values)


def test_summaries_of_several_shapes_are_aligned(moffat, gaussian, double):
    header = summary_header()
    assert " ".join(header[0].split()[1:]) == "name method scale fwhm beta bg dx dy dra ddec rms flags"
    lines = {fit.psf: fit.summary(header=False) for fit in (moffat, gaussian, double)}
    flags = header[0].index("flags") + len("flags")
    for line in lines.values():
        assert len(line[:flags].split()) == 12
        assert line[flags - 1] != " "
        assert line[flags : flags + 1] in ("", " ")
    end = header[0].index("beta") + len("beta")
    assert lines[MOFFAT][:end].endswith(" 2.7000")
    assert lines[Gaussian()][:end].endswith(" -")
    assert gaussian.summary().split("\n")[:3] == header
    assert double.summary().split("\n")[0].split()[-2:] == ["flags", "ratio"]
    assert lines[Double()].split()[-1] == "2.00"


def test_tables_of_several_shapes_are_stacked(moffat, gaussian, double):
    table = vstack([fit.to_table() for fit in (moffat, gaussian, double)])
    assert "beta" not in gaussian.to_table().colnames
    assert table["ratio"].info.description == "ratio of the widths"
    assert table["beta"][0] == 2.7


def test_reports_and_html(gaussian, double):
    assert "exponent" not in gaussian.report() + gaussian._repr_html_()
    for text in (double.report(), double._repr_html_()):
        assert "part of the light" in text
    assert "2.00" in double.report()


def test_attributes(gaussian, double):
    assert double.ratio.value == 2
    assert {"ratio", "fwhm"} <= set(dir(double))
    assert "beta" not in dir(gaussian)
    with pytest.raises(
        AttributeError, match="no beta: its values are scale, bg, dx, dy, fwhm, rotation, e1, e2, dra"
    ):
        _ = gaussian.beta
    assert not hasattr(gaussian, "ratio")
    assert pickle.loads(pickle.dumps(gaussian)).fwhm == gaussian.fwhm


def test_values_on_demand_are_attributes(field, template):
    fit = fit_image_photometry(template, field.muse[0], fix_beta=2.7, free=("rotation",))
    assert fit.rotation == fit.values["rotation"]
    assert "rotation" in dir(fit)
    assert fit.to_table()["rotation"].info.description == "rotation from x towards y"


def test_a_value_without_a_description_is_an_error(moffat):
    with pytest.raises(ValueError, match="E1 has q: add it to the parameters"):
        replace(moffat, values=moffat.values | {"q": moffat.dx})


def flags_of(psf, values, covariance):
    values = {key: FittedValue(value, 0.0, False, u.one) for key, value in values.items()}
    return basic_flags(
        values, list(values), covariance, psf=psf, converged=True, bounded=False, n_pixels=1000
    )


def test_any_two_parameters_of_the_psf_can_be_degenerate():
    values = {"fwhm": 0.7, "part": 0.7, "ratio": 2.0}
    covariance = np.diag([1e-4, 1e-2, 1e-2])
    assert flags_of(Double(), values, covariance) == 0
    covariance[1, 2] = covariance[2, 1] = 0.99e-2
    assert flags_of(Double(), values, covariance) == FitFlags.DEGENERATE
    # The error of one of them is too large for its value.
    assert flags_of(Double(), values, np.diag([1e-4, 0.36**2, 1e-2])) == FitFlags.DEGENERATE
    assert flags_of(Double(), values, np.diag([1e-4, 1e-2, 0.9**2])) == 0
    # Other parameters may be correlated.
    assert flags_of(MOFFAT, {"dx": 0.1, "fwhm": 0.7}, [[1e-6, 0.99e-6], [0.99e-6, 1e-6]]) == 0


def test_flags_of_a_moffat_function():
    values = {"fwhm": 0.7, "beta": 2.5}
    assert flags_of(MOFFAT, values, np.diag([1e-4, 0.74**2])) == 0
    assert flags_of(MOFFAT, values, np.diag([1e-4, 0.76**2])) == FitFlags.DEGENERATE
    # It is the only free parameter of the PSF.
    assert flags_of(MOFFAT, {"beta": 2.5}, [[0.76**2]]) == 0
    large = (("dx", 9.0, 0.01), ("dy", 9.0, 0.01), ("scale", 2.0, 0.06), ("fwhm", 0.8, 0.04))
    for name, value, error in large:
        assert flags_of(MOFFAT, {name: value}, [[(0.99 * error) ** 2]]) == 0
        assert flags_of(MOFFAT, {name: value}, [[(1.01 * error) ** 2]]) == FitFlags.FEW_SOURCES


def test_failures_have_the_header_too():
    assert FailedPhotometry(name="E1", error="why").summary().split("\n")[:3] == summary_header()
