"""Zero points of HST filters, and bandpass curves."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS
from scipy.integrate import quad

from astropy_imphot import FilterCurve, HstFilterInfo, ImphotWarning, UserError
from astropy_imphot.calibration.filters import read_zero_points
from astropy_imphot.calibration.units import flux_factor

FLAM = u.erg / u.s / u.cm**2 / u.AA

FILTERS = ("F435W", "F475W", "F555W", "F606W", "F625W", "F775W", "F814W", "F850LP")


@pytest.mark.parametrize("name", FILTERS)
def test_table_agrees_with_itself(name):
    info = HstFilterInfo(name)
    photflam = 10 ** (-info.abmag_zero / 2.5 - 2 * np.log10(info.photplam) - 0.9632)
    # Zero points have two decimals, and PHOTFLAM three figures.
    rounding = 0.005 * 10 ** np.floor(np.log10(info.photflam))
    np.testing.assert_allclose(info.photflam, photflam, rtol=0.005 * 0.4 * np.log(10), atol=rounding)
    assert info.filter_name == name
    assert 0.03 < info.photbw / info.photplam < 0.15


def test_table_has_exactly_the_filters_it_should_have():
    assert sorted(read_zero_points()) == sorted(FILTERS)


@pytest.mark.parametrize("name", FILTERS)
def test_flux_of_an_ab_magnitude(name):
    # An AB magnitude of 0 is 3631 Jy at the pivot wavelength, by definition.
    info = HstFilterInfo(name)
    flux = (3631 * u.Jy).to_value(
        u.erg / u.s / u.cm**2 / u.AA, u.spectral_density(info.photplam * u.AA)
    ) * 10 ** (-0.4 * info.abmag_zero)
    np.testing.assert_allclose(info.photflam, flux, rtol=0.01)


@pytest.mark.parametrize("name", ["F775W", "f775w", " F775W "])
def test_info_by_name(name):
    info = HstFilterInfo(name)
    assert (info.filter_name, info.abmag_zero, info.photplam) == ("F775W", 25.69, 7692.4)
    assert (info.photflam, info.photbw) == (9.74e-20, 434.4)
    assert repr(info).startswith("<HstFilterInfo F775W: abmag_zero=25.690, photflam=9.74e-20,")
    assert str(info).splitlines() == [
        "F775W: AB zero point 25.690 mag, PHOTFLAM 9.74e-20 erg / (s cm2 Angstrom),",
        "pivot wavelength 7692.4 Angstrom, bandwidth 434.4 Angstrom",
    ]


@pytest.mark.parametrize(
    "cards",
    [
        {"FILTER": "F814W"},
        {"FILTER": "F814W", "FILTER1": "F606W"},
        {"FILTER": "", "FILTER1": "F814W"},
        {"FILTER": "F814W;CLEAR2L"},
        {"FILTER": "f814w;clear2l"},
        {"FILTER": "CLEAR1L;F814W"},
        {"FILTER": "F814W / CLEAR"},
        {"FILTER": "CLEAR/F814W"},
        {"FILTER": "CLEAR1L F814W"},
        {"FILTER": "F814W+CLEAR2L"},
        {"FILTER": "ACS_WFC_F814W"},
        {"FILTER": "N/A", "FILTER2": "F814W"},
        {"FILTER": "CLEAR1L,F814W"},
        {"FILTER": "F814W-CLEAR"},
        {"FILTER1": "F814W", "FILTER2": "CLEAR2L"},
        {"FILTER1": "CLEAR1L", "FILTER2": "F814W"},
        {"FILTER1": "clear1l", "FILTER2": "f814w "},
        {"FILTER1": 38, "FILTER2": 0, "FILTNAM1": "F814W", "FILTNAM2": ""},
        {"FILTER1": 0, "FILTER2": 38, "FILTNAM1": "", "FILTNAM2": "F814W"},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [dict, fits.Header])
def test_name_of_the_filter(cards, make):
    info = HstFilterInfo(make(cards | {"INSTRUME": "ACS"}))
    assert info.filter_name == "F814W"
    assert info.photflam == 7.05e-20


def hst_hdus(primary=None, image=None):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((4, 5)), name="SCI")])
    hdus[0].header.update({"INSTRUME": "ACS"} | (primary or {}))
    hdus[1].header.update(image or {})
    return hdus


@pytest.mark.parametrize(
    ("primary", "image", "name"),
    [
        ({"FILTER": "F606W"}, {}, "F606W"),
        ({}, {"FILTER": "F606W"}, "F606W"),
        ({"FILTER": "F606W"}, {"FILTER": "F814W"}, "F606W"),
        ({"FILTER1": "CLEAR1L", "FILTER2": "F606W"}, {"FILTER1": "F814W"}, "F606W"),
    ],
)
def test_primary_header_comes_first(tmp_path, primary, image, name):
    hdus = hst_hdus(primary, image)
    hdus.writeto(tmp_path / "hst.fits")
    for source in (hdus, tmp_path / "hst.fits", str(tmp_path / "hst.fits")):
        assert HstFilterInfo(source).filter_name == name


def test_info_of_an_image():
    meta = {"INSTRUME": "ACS", "FILTER": "F606W"}
    image = CCDData(np.ones((4, 5)), unit="electron/s", wcs=WCS(naxis=2), meta=meta)
    assert HstFilterInfo(image).abmag_zero == 26.51


@pytest.mark.parametrize("cards", [{"FILTER": "F606W"}, {"FILTER": "F110W"}, {}], ids=str)
def test_photflam_of_the_header_wins(cards):
    # WFC3's F110W, of Vega magnitudes and no table of ours: AB zero point 26.8223 (STScI).
    info = HstFilterInfo(cards | {"PHOTFLAM": 1.53e-20, "PHOTPLAM": 11534.46, "PHOTBW": 1429.0})
    assert (info.photflam, info.photplam, info.photbw) == (1.53e-20, 11534.46, 1429.0)
    assert info.filter_name == cards.get("FILTER", "")
    np.testing.assert_allclose(info.abmag_zero, 26.82, atol=0.01)


def test_photflam_without_bandwidth():
    assert np.isnan(HstFilterInfo({"PHOTFLAM": 1.5e-20, "PHOTPLAM": 11534.0}).photbw)


@pytest.mark.parametrize("cards", [{}, {"PHOTPLAM": 5900.0}, {"PHOTFLAM": 0.0, "PHOTPLAM": 0.0}], ids=str)
def test_photflam_that_says_nothing_leaves_the_table(cards):
    info = HstFilterInfo({"INSTRUME": "ACS", "FILTER": "F606W"} | cards)
    assert (info.photflam, info.photplam) == (7.73e-20, 5921.1)


def test_photflam_alone_has_the_pivot_of_the_table():
    info = HstFilterInfo({"INSTRUME": "ACS", "FILTER": "F606W", "PHOTFLAM": 1e-19})
    assert (info.photflam, info.photplam, info.photbw) == (1e-19, 5921.1, 672.3)


@pytest.mark.parametrize(
    "cards",
    [
        {"INSTRUME": "WFC3", "DETECTOR": "UVIS"},
        {"INSTRUME": "WFC3", "DETECTOR": "IR"},
        {"INSTRUME": "WFC3"},
        {"INSTRUME": "WFC3/UVIS"},
        {"INSTRUME": "WFPC2"},
        {"INSTRUME": "ACS", "DETECTOR": "HRC"},
        {"INSTRUME": "ACS", "DETECTOR": "SBC"},
        {"INSTRUME": "ACS", "APERTURE": "HRC-FIX"},
        {"INSTRUME": "ACS", "FILTER1": "F606W", "FILTER2": "CLEAR2S"},
        {"INSTRUME": "STIS"},
        {"TELESCOP": "JWST"},
        {"DETECTOR": "UVIS"},
        {"CAMERA": "WFC3"},
        {"APERTURE": "HRC"},
    ],
    ids=str,
)
@pytest.mark.parametrize("pivot", [{}, {"PHOTPLAM": 5900.0}], ids=str)
def test_no_zero_point_of_another_camera(cards, pivot):
    cards = cards | pivot
    assert HstFilterInfo({"INSTRUME": "ACS", "DETECTOR": "WFC", "FILTER": "F606W"}).abmag_zero == 26.51
    with pytest.raises(UserError, match="filter F606W of another camera than ACS/WFC and no PHOTFLAM"):
        HstFilterInfo(cards | {"FILTER": "F606W"})
    with pytest.raises(UserError, match="no usable zero point of the filter F606W, .*give zeropoint"):
        flux_factor(u.electron / u.s, cards | {"FILTER": "F606W"}, FLAM)
    # PHOTFLAM alone is enough for any camera.
    assert flux_factor(u.electron / u.s, cards | {"FILTER": "F606W", "PHOTFLAM": 2e-18}, FLAM) == 2e-18


@pytest.mark.parametrize(
    "cards",
    [
        {"INSTRUME": "ACS"},
        {"INSTRUME": "ACS", "DETECTOR": "WFC"},
        {"INSTRUME": "ACS/WFC"},
        {"INSTRUME": "acs_wfc"},
        {"INSTRUME": "ACS", "FILTER1": "CLEAR1L"},
        {"INSTRUME": "ACS", "APERTURE": "WFCENTER"},
    ],
    ids=str,
)
def test_zero_point_of_acs(cards):
    assert HstFilterInfo(cards | {"FILTER": "F606W"}).photflam == 7.73e-20
    assert flux_factor(u.electron / u.s, cards | {"FILTER": "F606W"}, FLAM) == 7.73e-20


@pytest.mark.parametrize("cards", [{}, {"TELESCOP": "HST"}, {"DETECTOR": "WFC", "PHOTPLAM": 5900.0}], ids=str)
def test_zero_point_of_a_camera_that_is_not_named(cards):
    words = (
        r"neither PHOTFLAM nor INSTRUME: the zero point of ACS/WFC F606W is used \(26.51 mag\); .* give zero"
    )
    with pytest.warns(ImphotWarning, match=words):
        assert HstFilterInfo(cards | {"FILTER": "F606W"}).photflam == 7.73e-20
    with pytest.warns(ImphotWarning, match=words):
        assert flux_factor(u.electron / u.s, cards | {"FILTER": "F606W"}, FLAM) == 7.73e-20


def test_pivot_of_a_camera_that_is_not_named():
    with pytest.warns(ImphotWarning, match="neither PHOTPLAM nor INSTRUME: the pivot wavelength of ACS/WFC"):
        assert HstFilterInfo({"FILTER": "F606W", "PHOTFLAM": 1e-19}).photplam == 5921.1


@pytest.mark.parametrize(
    ("file", "name", "photflam"),
    [("sdetect/a478hst-cutout.fits", "F814W", 2.507987e-18), ("obj/HST-HDFS.fits", "F606W", 1.89972e-18)],
)
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_real_wfpc2_headers(real_data, file, name, photflam):
    info = HstFilterInfo(os.path.join(real_data, file))
    assert info.filter_name == name
    assert info.photflam == photflam


@pytest.mark.parametrize(
    ("cards", "what"),
    [
        ({"FILTER": "F300X"}, "the unknown filter F300X"),
        ({"FILTER1": "CLEAR1L", "FILTER2": "CLEAR2L"}, "no filter's name"),
        ({"FILTER": "F300X", "PHOTFLAM": 1e-19}, "the unknown filter F300X"),
        ({"FILTER": "F300X", "PHOTFLAM": "N/A", "PHOTPLAM": "N/A"}, "the unknown filter F300X"),
        ({}, "no filter's name"),
    ],
    ids=str,
)
def test_unknown_filter(tmp_path, cards, what):
    path = tmp_path / "hst.fits"
    hst_hdus(cards).writeto(path)
    with pytest.raises(UserError, match=rf"hst\.fits: the header has {what} and no PHOTFLAM .*: add these"):
        HstFilterInfo(path)
    with pytest.raises(UserError, match=f"^the header has {what} and no PHOTFLAM"):
        HstFilterInfo(cards)


def test_unknown_name_is_not_taken_for_a_file_only():
    # Who wrote a filter's name should not be told that a file does not exist, and no more.
    with pytest.raises(UserError, match="F300X.* filter"):
        HstFilterInfo("F300X")


def test_curve_is_sorted():
    curve = FilterCurve([8000, 6000, 7000], [3, 1, 2], name="slope")
    np.testing.assert_array_equal(curve.wavelength, [6000, 7000, 8000])
    np.testing.assert_array_equal(curve.sensitivity, [1, 2, 3])
    assert curve.name == "slope"


def test_curve_in_a_line():
    curve = FilterCurve([6000, 6500, 7000], [0, 1, 0], name="V", source="a book")
    assert repr(curve) == "<FilterCurve V: 3 points, 6000.0 to 7000.0 Angstrom, from a book>"
    assert str(FilterCurve([6000, 6500], [1, 1])) == "filter: 2 points, 6000.0 to 6500.0 Angstrom"


def test_response():
    words = repr(FilterCurve([6000, 6500], [1, 1], response="energy"))
    assert words == "<FilterCurve filter: 2 points, 6000.0 to 6500.0 Angstrom, energy response>"
    with pytest.raises(
        UserError, match="the response of the filter curve V is 'qe': give 'photon' or 'energy'"
    ):
        FilterCurve([6000, 6500], [1, 1], name="V", response="qe")


@pytest.mark.parametrize(
    "wavelength", [[605, 700] * u.nm, [0.605, 0.7] * u.um, [6050, 7000] * u.AA, [6050, 7000]], ids=str
)
@pytest.mark.parametrize(
    "sensitivity", [[0.2, 0.4], [0.2, 0.4] * u.dimensionless_unscaled, [20, 40] * u.percent], ids=str
)
def test_curve_of_quantities(wavelength, sensitivity):
    curve = FilterCurve(wavelength, sensitivity)
    for array, expected in ((curve.wavelength, [6050, 7000]), (curve.sensitivity, [0.2, 0.4])):
        assert type(array) is np.ndarray
        np.testing.assert_allclose(array, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("wavelength", "sensitivity", "words"),
    [
        (
            [5e14, 6e14] * u.Hz,
            [1, 1],
            "wavelength of the filter curve V is in Hz: give it in Angstrom",
        ),
        (
            [6, 7] * u.s,
            [1, 1],
            "wavelength of the filter curve V is in s: give it in Angstrom or an",
        ),
        ([6000, 7000], [1, 1] * u.m, "sensitivity of the filter curve V is in m: give it without a unit"),
    ],
    ids=str,
)
def test_curve_of_another_dimension(wavelength, sensitivity, words):
    with pytest.raises(UserError, match=words):
        FilterCurve(wavelength, sensitivity, name="V")


def test_limits_of_an_integral_are_quantities():
    curve = FilterCurve([6000, 6500, 8000], [0, 1, 0.2])
    edges = np.linspace(5000, 9000, 9)
    expected = curve.integral(edges[:-1], edges[1:])
    found = curve.integral(edges[:-1] / 10 * u.nm, edges[1:] / 1e4 * u.um)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert curve.integral(600 * u.nm, 0.65 * u.um) == pytest.approx(250)
    with pytest.raises(UserError, match="stop is in Hz: give it in Angstrom"):
        curve.integral(6000.0, 1 * u.Hz)


@pytest.mark.parametrize(
    ("wavelength", "sensitivity"),
    [
        ([6000], [1]),
        ([], []),
        ([6000, 7000], [1]),
        ([[6000, 7000]], [[1, 1]]),
        ([6000, np.nan], [1, 1]),
        ([6000, 7000], [1, np.inf]),
        ([6000, 6000, 7000], [0, 1, 1]),
        ([6000, 7000], [0, 0]),
    ],
    ids=["short", "empty", "unequal", "2d", "nan", "inf", "repeated", "zero"],
)
def test_curve_that_is_none(wavelength, sensitivity):
    with pytest.raises(UserError, match="the filter curve V needs two columns"):
        FilterCurve(wavelength, sensitivity, name="V")


@pytest.mark.parametrize(
    ("unit", "factor"), [("Angstrom", 1), ("nm", 10), ("um", 1e4), ("micron", 1e4), (u.nm, 10), ("m", 1e10)]
)
def test_read_a_curve(tmp_path, unit, factor):
    path = tmp_path / "F606W.txt"
    path.write_text("# wavelength  throughput\n5.5 0\n\n6.0 0.5 # the peak\n7.5 0.25\n")
    for name in (path, str(path)):
        curve = FilterCurve.read(name, wave_unit=unit)
        np.testing.assert_allclose(curve.wavelength, np.array([5.5, 6.0, 7.5]) * factor)
        np.testing.assert_array_equal(curve.sensitivity, [0, 0.5, 0.25])
        assert curve.name == "F606W"


def test_read_takes_the_first_two_of_more_columns(tmp_path):
    path = tmp_path / "V.dat"
    path.write_text("5000 0.5 17\n6000 0.7 18\n")
    np.testing.assert_array_equal(FilterCurve.read(path).sensitivity, [0.5, 0.7])


@pytest.mark.parametrize("content", [b"6000 1\n", b"6000 1\n6000 1\n", b"6000 0\n7000 0\n"], ids=str)
@pytest.mark.filterwarnings("ignore:.*are repeated")
def test_read_a_file_without_a_curve(tmp_path, content):
    path = tmp_path / "V.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^\S*V\.txt: .* needs two columns of"):
        FilterCurve.read(path)


def test_read_no_file(tmp_path):
    with pytest.raises(UserError, match=r"V\.txt does not exist: check the name"):
        FilterCurve.read(tmp_path / "V.txt")
    with pytest.raises(UserError, match=tmp_path.name):
        FilterCurve.read(tmp_path)


@pytest.mark.parametrize("unit", ["furlong per fortnight", "s", "Hz", ""])
def test_read_unit_that_is_none_of_length(tmp_path, unit):
    path = tmp_path / "V.txt"
    path.write_text("600 1\n700 1\n")
    with pytest.raises(UserError, match=f"'{unit}' is not a unit of wavelength: use Angstrom"):
        FilterCurve.read(path, wave_unit=unit)


def exact_integral(wavelength, sensitivity, start, stop):
    """Trapezoids between the limits and the curve's points, exact for what is piecewise linear."""
    start, stop = np.clip([start, stop], wavelength[0], wavelength[-1])
    inside = wavelength[(wavelength > start) & (wavelength < stop)]
    points = np.concatenate([[start], inside, [stop]])
    return np.trapezoid(np.interp(points, wavelength, sensitivity), points)


def test_integral_is_exact():
    rng = np.random.default_rng(1)
    wavelength = np.sort(rng.uniform(5000, 9000, 40))
    sensitivity = rng.uniform(0, 1, 40)
    curve = FilterCurve(wavelength, sensitivity)
    # Limits within a segment, across several, partly and wholly outside, and as wide as a plane.
    starts = np.concatenate([rng.uniform(4000, 9500, 200), [0.0, 9500.0, wavelength[3]]])
    stops = starts + np.concatenate([rng.exponential(300, 200), [1e5, 100.0, 1.25]])
    expected = [
        exact_integral(wavelength, sensitivity, start, stop)
        for start, stop in zip(starts, stops, strict=True)
    ]
    np.testing.assert_allclose(curve.integral(starts, stops), expected, rtol=1e-9, atol=1e-8)
    one = curve.integral(starts[0], stops[0])
    assert type(one) is float
    np.testing.assert_allclose(one, expected[0], rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize(("response", "power"), [("photon", 1), ("energy", 0)])
def test_integral_that_counts_photons(response, power):
    rng = np.random.default_rng(2)
    wavelength = np.sort(rng.uniform(5000, 9000, 40))
    curve = FilterCurve(wavelength, rng.uniform(0, 1, 40), response=response)
    for start, stop in ((5500.0, 5501.25), (4000.0, 7000.0), (6000.0, 8888.0), (3000.0, 4000.0)):
        points = np.unique(np.clip([start, *wavelength, stop], start, stop))
        expected = sum(
            quad(lambda x: x**power * np.interp(x, wavelength, curve.sensitivity, 0, 0), *ends)[0]
            for ends in zip(points[:-1], points[1:], strict=True)
            if ends[0] >= wavelength[0] and ends[1] <= wavelength[-1]
        )
        found = curve.integral(start, stop, weights="photon")
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(UserError, match="weights is 'qe'"):
        curve.integral(5000.0, 6000.0, weights="qe")


def test_integral_is_additive():
    curve = FilterCurve([6000, 6500, 8000], [0, 1, 0.2])
    edges = np.linspace(5000, 9000, 77)
    np.testing.assert_allclose(curve.integral(edges[:-1], edges[1:]).sum(), 250 + 900)
