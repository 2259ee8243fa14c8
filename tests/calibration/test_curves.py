"""Curves of HST filters in other packages."""

import subprocess
import sys

import numpy as np
import pytest

from astropy_imphot import FilterCurve, UserError, curves
from astropy_imphot.calibration.filters import ACS_WFC


def only(monkeypatch, package):
    """Hide all packages but one."""
    find_spec = curves.find_spec
    monkeypatch.setattr(curves, "find_spec", lambda name: find_spec(name) if name == package else None)


def pivot(curve):
    w, s = curve.wavelength, curve.sensitivity
    return np.sqrt(np.trapezoid(s * w, w) / np.trapezoid(s / w, w))


def mean(curve):
    return np.trapezoid(curve.sensitivity * curve.wavelength, curve.wavelength) / np.trapezoid(
        curve.sensitivity, curve.wavelength
    )


# mpdaf's curves are of another epoch than the table: red of it, most so in F814W.
@pytest.mark.parametrize(
    ("package", "name", "tolerance"),
    [
        ("galsim", "F435W", 3),
        ("galsim", "F606W", 3),
        ("galsim", "F775W", 3),
        ("galsim", "F814W", 3),
        ("galsim", "F850LP", 3),
        ("mpdaf", "F475W", 8),
        ("mpdaf", "F555W", 8),
        ("mpdaf", "F606W", 5),
        ("mpdaf", "F625W", 5),
        ("mpdaf", "F775W", 13),
        ("mpdaf", "F814W", 36),
    ],
)
def test_pivot_wavelengths_are_those_of_the_table(monkeypatch, package, name, tolerance):
    only(monkeypatch, package)
    curve = FilterCurve.named(name)
    assert pivot(curve) == pytest.approx(ACS_WFC[name][1], abs=tolerance)
    assert 0.2 < curve.sensitivity.max() < 0.5
    assert curve.name == name
    assert curve.source.startswith(package)
    assert curve.source.split()[1][0].isdigit()
    assert name in curve.source


@pytest.mark.parametrize(("name", "tolerance"), [("F606W", 8), ("F775W", 12), ("F814W", 34)])
def test_packages_agree(monkeypatch, name, tolerance):
    first = FilterCurve.named(name)
    only(monkeypatch, "mpdaf")
    second = FilterCurve.named(name)
    assert first.source.startswith("galsim")
    assert second.source.startswith("mpdaf")
    assert mean(first) == pytest.approx(mean(second), abs=tolerance)


def test_mpdaf_serves_what_galsim_has_not():
    assert FilterCurve.named(" f625w ").source.endswith("filter_list.fits ACS_F625W")


def test_camera():
    assert pivot(FilterCurve.named("F814W", camera="wfpc2")) == pytest.approx(8012, abs=15)
    assert pivot(FilterCurve.named("F125W", camera="WFC3/IR")) == pytest.approx(12486, abs=10)


@pytest.mark.parametrize(
    ("name", "camera", "words"),
    [
        ("F999W", "ACS/WFC", ["ACS/WFC F999W", "pip install", "--curve F999W=FILE"]),
        ("F125W", "ACS/WFC", ["F125W", "of WFC3/IR,"]),
        # A curve without its detector is no curve.
        ("F814W", "WFC3/UVIS", ["WFC3/UVIS F814W", "of ACS/WFC and of WFPC2,"]),
        ("F814W", "NICMOS", ["NICMOS", "WFPC2"]),
    ],
)
def test_what_there_is_not(name, camera, words):
    with pytest.raises(UserError) as caught:
        FilterCurve.named(name, camera)
    assert not [word for word in words if word not in str(caught.value)]


def test_nothing_is_installed(monkeypatch):
    only(monkeypatch, "")
    with pytest.raises(UserError, match="pip install"):
        FilterCurve.named("F606W")


def test_a_package_without_its_files(monkeypatch):
    # One that is installed, and has not the curves.
    find_spec = curves.find_spec
    monkeypatch.setattr(curves, "find_spec", lambda name: find_spec("astropy" if name == "galsim" else name))
    assert FilterCurve.named("F606W").source.startswith("mpdaf")


def test_packages_are_not_imported():
    code = (
        "import sys; from astropy_imphot import FilterCurve; FilterCurve.named('F606W'); "
        "FilterCurve.named('F625W'); print([m for m in ('galsim', 'mpdaf') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_file_is_its_own_source(tmp_path):
    path = tmp_path / "box.txt"
    path.write_text("6000 1\n7000 1\n")
    assert FilterCurve.read(path).source == str(path)
    assert FilterCurve([6000, 7000], [1, 1]).source == ""
