"""Curves of filters: the data files, and those of speclite."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astropy_imphot import FilterCurve, HstFilterInfo, ImphotWarning, UserError
from astropy_imphot.calibration import curves, filters
from astropy_imphot.calibration.curves import available_curves, camera_in_header, named_curve
from astropy_imphot.calibration.filters import read_zero_points

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "make_curves.py"
FILES = [path for files in available_curves().values() for path in files.values()]

ECSV = """# %ECSV 1.0
# ---
# datatype:
# - {name: wavelength, unit: nm, datatype: float64}
# - {name: sensitivity, datatype: float64}
# meta: !!omap
# - {source: our laboratory}
# schema: astropy-2.0
wavelength sensitivity
600.0 0.0
650.0 0.5
700.0 0.0
"""


def pivot(curve):
    w, s = curve.wavelength, curve.sensitivity
    return np.sqrt(np.trapezoid(s * w, w) / np.trapezoid(s / w, w))


def test_pivot():
    for name, camera in (("F606W", "ACS/WFC"), ("F070W", "NIRCAM")):
        curve = FilterCurve.named(name, camera)
        assert curve.pivot == pytest.approx(pivot(curve), abs=0.5)
    # Of a photon response times wavelength, the energy response.
    x = np.linspace(5000.0, 8000.0, 20001)
    y = np.exp(-(((x - 6500) / 500) ** 2))
    photon, energy = FilterCurve(x, y), FilterCurve(x, x * y, response="energy")
    assert energy.pivot == pytest.approx(photon.pivot, rel=1e-7)
    assert FilterCurve(x, y, response="energy").pivot < photon.pivot - 15


# mpdaf's curves are of another epoch than the table.
@pytest.mark.parametrize(
    ("package", "name", "tolerance"),
    [
        ("galsim", "F435W", 3),
        ("mpdaf", "F475W", 8),
        ("mpdaf", "F555W", 8),
        ("galsim", "F606W", 3),
        ("mpdaf", "F625W", 5),
        ("galsim", "F775W", 3),
        ("galsim", "F814W", 3),
        ("galsim", "F850LP", 3),
    ],
)
def test_pivot_wavelengths_are_those_of_the_table(package, name, tolerance):
    curve = FilterCurve.named(f" {name.lower()} ")
    assert pivot(curve) == pytest.approx(read_zero_points()[name][1], abs=tolerance)
    assert 0.2 < curve.sensitivity.max() < 0.5
    assert curve.name == name
    assert curve.source.startswith(package)
    assert curve.source.split()[1][0].isdigit()
    assert name in curve.source


# Pivot wavelengths of the instruments' handbooks, Angstrom, and the highest total throughput.
@pytest.mark.parametrize(
    ("camera", "name", "wavelength", "peak"),
    [
        ("wfc3/uvis", "F475W", 4773, 0.27),
        ("WFC3/UVIS", "F555W", 5308, 0.28),
        ("WFC3/UVIS", "F606W", 5889, 0.29),
        ("WFC3/UVIS", "F814W", 8035, 0.23),
        ("WFC3/IR", "F125W", 12486, 0.55),
        ("WFPC2", "F555W", 5443, 0.11),
        ("WFPC2", "F606W", 5997, 0.14),
        ("WFPC2", "F814W", 8012, 0.11),
        ("NIRCAM", "F070W", 7039, 0.30),
        ("NIRCAM", "F090W", 9022, 0.33),
        ("VIS", "VIS", 7250, 0.84),
    ],
)
def test_cameras(camera, name, wavelength, peak):
    # A curve of the filter alone has a peak of 0.8 and more, except for Euclid VIS.
    curve = FilterCurve.named(name, camera)
    assert pivot(curve) == pytest.approx(wavelength, abs=12)
    assert curve.sensitivity.max() == pytest.approx(peak, abs=0.01)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_states_what_it_has(path):
    table = Table.read(path)
    assert f"{table.meta['camera']}_{table.meta['filter']}".replace("/", "_").lower() == path.stem
    assert table.meta["response"] == "photon"
    package, version, *name = table.meta["source"].split()
    assert version[0].isdigit()
    assert name
    assert (SCRIPT.parents[1] / "licenses" / f"{package}.txt").is_file()
    assert table.meta["license"]
    assert table.meta["reference"]
    assert table.meta["version"] == "1"
    assert table.colnames == ["wavelength", "sensitivity"]
    assert table["wavelength"].unit == "Angstrom"
    assert np.all(np.diff(table["wavelength"]) > 0)
    assert 0 <= table["sensitivity"].min() < table["sensitivity"].max() < 1


def test_script_makes_the_files(tmp_path):
    pytest.importorskip("galsim")
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, capture_output=True)
    same = 0
    for path in tmp_path.iterdir():
        made, ours = Table.read(path), Table.read(curves.FOLDER / path.name)
        if made.meta["source"] == ours.meta["source"]:
            # The form of the comments depends on astropy's version.
            texts = [
                [line for line in file.read_text().splitlines() if line[0] != "#"]
                for file in (path, curves.FOLDER / path.name)
            ]
            assert texts[0] == texts[1], path.name
            assert dict(made.meta) == dict(ours.meta)
            same += 1
    if not same:
        pytest.skip("other versions of the packages are installed")


@pytest.mark.parametrize(
    ("name", "camera", "words"),
    [
        ("F999W", "ACS/WFC", ["ACS/WFC F999W", "only of F435W, F475W,", "--curve F999W=FILE", "speclite"]),
        ("F125W", "ACS/WFC", ["F125W", "(and F125W of WFC3/IR)"]),
        ("F814W", "WFC3/IR", ["WFC3/IR F814W", "(and F814W of ACS/WFC and WFC3/UVIS and WFPC2)"]),
        ("F814W", "NICMOS", ["camera NICMOS: choose ACS/WFC, ", "WFPC2"]),
    ],
)
def test_what_there_is_not(name, camera, words):
    with pytest.raises(UserError) as caught:
        FilterCurve.named(name, camera)
    assert not [word for word in words if word not in str(caught.value)]


def test_add_a_filter_of_a_camera(monkeypatch, tmp_path):
    # One file is all that is needed.
    monkeypatch.setattr(curves, "FOLDER", tmp_path)
    with pytest.raises(UserError):
        FilterCurve.named("F650X", "NEWCAM/BLUE")
    (tmp_path / "newcam_blue_f650x.ecsv").write_text(ECSV)
    camera = camera_in_header({"INSTRUME": "NewCam", "DETECTOR": "Blue"})
    assert camera == "NEWCAM/BLUE"
    curve = FilterCurve.named("F650X", camera)
    np.testing.assert_allclose(curve.wavelength, [6000, 6500, 7000])
    np.testing.assert_array_equal(curve.sensitivity, [0, 0.5, 0])
    assert (curve.name, curve.source) == ("F650X", "our laboratory")


def test_add_a_zero_point(monkeypatch, tmp_path):
    path = tmp_path / "zero_points.ecsv"
    path.write_text(f"{filters.ZERO_POINTS.read_text().rstrip()}\nF650X 25.5 6500.0 1.7e-19 300.0\n")
    with pytest.raises(UserError):
        HstFilterInfo("F650X")
    monkeypatch.setattr(filters, "ZERO_POINTS", path)
    info = HstFilterInfo({"INSTRUME": "ACS", "FILTER": "F650X"})
    assert (info.abmag_zero, info.photplam, info.photflam, info.photbw) == (25.5, 6500.0, 1.7e-19, 300.0)
    assert HstFilterInfo("F775W").photflam == 9.74e-20


@pytest.mark.parametrize(
    ("cards", "camera"),
    [
        ({"INSTRUME": "ACS"}, "ACS/WFC"),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, "ACS/WFC"),
        ({"INSTRUME": "wfc3", "DETECTOR": "ir "}, "WFC3/IR"),
        ({"INSTRUME": "WFPC2", "DETECTOR": 2}, "WFPC2"),
        ({"INSTRUME": "WFC3", "FILTER": "F814W"}, "WFC3/UVIS"),
        ({"INSTRUME": "WFC3", "FILTER": "F105W"}, "WFC3/IR"),
        ({"INSTRUME": "HSC", "DETECTOR": 2}, "HSC"),
        ({"INSTRUME": "NEWCAM"}, "NEWCAM"),
        ({"INSTRUME": "NIRCAM", "DETECTOR": "MULTIPLE"}, "NIRCAM"),
        ({"INSTRUME": "VIS"}, "VIS"),
        ({"INSTRUME": "ACS", "FILTER1": "F606W", "FILTER2": "CLEAR2S"}, "ACS/HRC"),
        ({"INSTRUME": "ACS", "APERTURE": "HRC-FIX"}, "ACS/HRC"),
        ({"INSTRUME": "ACS", "DETECTOR": "SBC"}, "ACS"),
        ({"INSTRUME": "WFC3/UVIS"}, "WFC3/UVIS"),
        ({"INSTRUME": "WFC3", "DETECTOR": "UVIS1"}, "WFC3/UVIS"),
        ({"INSTRUME": "WFC3_IR"}, "WFC3/IR"),
        ({"INSTRUME": "ACS-WFC"}, "ACS/WFC"),
        ({"DETECTOR": "UVIS"}, "UVIS"),
        ({"TELESCOP": "JWST"}, "JWST"),
    ],
    ids=str,
)
def test_camera_in_header(cards, camera):
    assert camera_in_header(cards) == camera


@pytest.mark.parametrize("cards", [{}, {"TELESCOP": "HST", "DETECTOR": "WFC"}], ids=str)
def test_camera_that_is_assumed(cards):
    with pytest.warns(ImphotWarning, match=r"no INSTRUME: the curve of ACS/WFC is used; .*give the curve"):
        assert camera_in_header(cards) == "ACS/WFC"


def test_speclite():
    filters_of_speclite = pytest.importorskip("speclite.filters")
    curve = FilterCurve.named(" decam2014-r ")
    expected = filters_of_speclite.load_filter("decam2014-r")
    np.testing.assert_array_equal(curve.wavelength, expected.wavelength)
    np.testing.assert_array_equal(curve.sensitivity, expected.response)
    assert curve.name == "decam2014-r"
    assert curve.source.startswith("speclite ")
    assert curve.source.endswith(" decam2014-r")
    # Our file is speclite's curve.
    np.testing.assert_allclose(
        FilterCurve.named("VIS", "VIS").wavelength, FilterCurve.named("Euclid-VIS").wavelength, rtol=1e-12
    )
    for name in ("decam2014-q", "nosuch-r", "-"):
        with pytest.raises(UserError, match=f"speclite has no curve {name}: .*[^.]\\.$"):
            FilterCurve.named(name)


def test_camera_that_is_not_given():
    # F606W is of several cameras, F070W of NIRCam alone.
    assert FilterCurve.named("F606W").source == FilterCurve.named("F606W", "ACS/WFC").source
    assert FilterCurve.named("f070w").source == FilterCurve.named("F070W", "NIRCAM").source
    assert FilterCurve.named("VIS").source.endswith("Euclid-VIS")


def test_responses():
    pytest.importorskip("speclite.filters")
    # The curves of Bessell (1990) are energy responses: their pivot wavelengths are those of the passbands of
    # Bessell & Murphy (2012, PASP 124, 140). Photon responses with these numbers have 4399 and 6563 Angstrom.
    for name, wavelength in (("bessell-B", 4377), ("bessell-R", 6515)):
        assert FilterCurve.named(name).response == "energy"
        assert FilterCurve.named(name).pivot == pytest.approx(wavelength, abs=15)
    assert FilterCurve.named("Euclid-VIS").response == "photon"
    for camera, files in available_curves().items():
        assert {FilterCurve.named(name, camera).response for name in files} == {"photon"}


def test_speclite_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "speclite.filters", None)
    with pytest.raises(UserError, match="decam2014-r is one of speclite's: pip install"):
        FilterCurve.named("decam2014-r")
    assert FilterCurve.named("F606W").name == "F606W"


def test_packages_are_not_imported():
    code = (
        "import sys; from astropy_imphot import FilterCurve; FilterCurve.named('F606W'); "
        "FilterCurve.named('F625W'); "
        "print([m for m in ('galsim', 'mpdaf', 'speclite') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_wavelengths_and_sensitivities_are_arrays():
    for array in named_curve("F606W")[:2]:
        assert type(array) is np.ndarray
        assert array.dtype == float


def test_a_file_is_its_own_source(tmp_path):
    path = tmp_path / "box.txt"
    path.write_text("6000 1\n7000 1\n")
    assert FilterCurve.read(path).source == str(path)
    assert FilterCurve([6000, 7000], [1, 1]).source == ""
