"""Parameters that are small or 0 unless they are freed: rotation, ellipticity, and background gradient."""

import pytest

from astropy_imphot import UserError, apply_corrections, fit_image_photometry, write_image
from astropy_imphot.cli import fit_photometry
from astropy_imphot.fitting.options import ImageFitOptions
from astropy_imphot.simulation import Truth, simulate_field

FREE = ("bg_x", "bg_y", "rotation", "e1", "e2")
TRUTH = Truth(dx=0.2, dy=-0.1, scale=0.95, bg=1.0, rotation=0.5, e1=0.05, e2=0.05, bg_x=0.004, bg_y=-0.003)


@pytest.fixture(scope="module")
def field():
    return simulate_field(21, size=30.0, truth=[TRUTH], n_stars=0, magnitudes=(21.0, 26.0))


@pytest.fixture(scope="module")
def fit(field):
    return fit_image_photometry(field.hst, field.muse[0], free=FREE)


def test_all_freed_together(fit):
    for key in (*FREE, "dx", "dy", "scale", "bg", "fwhm", "beta"):
        value = fit.values[key]
        off = value.value - getattr(TRUTH, key)
        assert abs(off) < 4 * value.stdev, f"{key} {off / value.stdev:.1f} sigma"
    for key, largest in zip(FREE, (4e-4, 4e-4, 0.03, 0.01, 0.01), strict=True):
        assert 0 < fit.values[key].stdev < largest
    assert fit.flags == 0


def test_columns_and_report(fit, field):
    table = fit.to_table()
    assert {f"{key}{end}" for key in FREE for end in ("", "_err")} <= set(table.colnames)
    assert str(table["rotation"].unit) == "deg"
    assert table["bg_x"].unit * table["dx"].unit == field.muse[0].unit
    assert fit.covariance.shape == (11, 11)
    report = fit.report()
    assert all(key in report for key in FREE)


def test_nothing_is_left_after_the_correction(fit, field):
    corrected = apply_corrections(field.muse[0], fit)
    again = fit_image_photometry(field.hst, corrected, free=FREE)
    for key in ("rotation", "bg_x", "bg_y", "bg", "dx", "dy"):
        assert abs(again.values[key].value) < 4 * again.values[key].stdev, key
    # Both images have the same noise, so that the subtracted parameters are recovered exactly.
    assert abs(again.values["rotation"].value) < 0.3 * fit.values["rotation"].stdev
    assert abs(again.dx.value) < 0.3 * fit.dx.stdev


def test_pixels_are_shifted_and_the_wcs_is_rotated(fit, field):
    shifted = apply_corrections(field.muse[0], fit, resample=True)
    again = fit_image_photometry(field.hst, shifted, free=FREE)
    for key in ("rotation", "dx", "dy"):
        assert abs(again.values[key].value) < fit.values[key].stdev, key


@pytest.mark.parametrize("nothing", [None, ()])
def test_nothing_freed(nothing):
    assert ImageFitOptions(free=nothing).free == ()


def test_unknown_name(field):
    with pytest.raises(UserError, match="'rotations'"):
        fit_image_photometry(field.hst, field.muse[0], free=("e1", "rotations"))


def test_command_line(field, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image(field.hst, "hst.fits")
    write_image(field.muse[0], "E1.fits")
    command = ["hst.fits", "E1.fits", "--free", "rotation,e1", "--verbose", "--output", "fit.ecsv"]
    assert fit_photometry.main(command) == 0
    report = capsys.readouterr().out
    for key in FREE:
        assert (f"\n  {key} " in report) == (key not in ("bg_x", "bg_y"))
    assert fit_photometry.main(["hst.fits", "E1.fits", "--free", "turn"]) == 1
    assert "bg_x, bg_y, rotation, e1, e2" in capsys.readouterr().err
