"""MUSE units for HST images, and whether two images have the same pixels."""

import os
from contextlib import nullcontext

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from astropy_imphot import ImphotWarning, UserError, image_grids_aligned, rescale_hst_like_muse
from astropy_imphot.calibration.units import flux_factor, read_muse_image, scaled
from astropy_imphot.calibration.zero_points import RULES

SHAPE = (40, 50)
MUSE_UNIT = 1e-20 * u.erg / u.s / u.cm**2 / u.AA
FLAM = u.erg / u.s / u.cm**2 / u.AA


def header(pixel=0.2, angle=0.0, **cards):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    made = fits.Header()
    made.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=53.16, CRVAL2=-27.78, CRPIX1=25.0, CRPIX2=20.0)
    made.update(CD1_1=-cos * pixel / 3600, CD1_2=sin * pixel / 3600)
    made.update(CD2_1=sin * pixel / 3600, CD2_2=cos * pixel / 3600)
    made.update(cards)
    return made


def image(unit=MUSE_UNIT, shape=SHAPE, data=None, **cards):
    data = np.random.default_rng(1).normal(3, 1, shape) if data is None else data
    return CCDData(data, unit=unit, wcs=WCS(header(**cards)), meta=header(**cards))


@pytest.mark.parametrize(
    ("cards", "aligned"),
    [
        ({}, True),
        ({"CRPIX1": 25.004}, True),
        ({"CRPIX1": 25.02}, False),
        ({"CRPIX2": 19.98}, False),
        ({"CRPIX1": 26.0}, False),
        ({"CRVAL1": 53.16 + 0.02 * 0.2 / 3600 / np.cos(np.radians(27.78))}, False),
        ({"CRVAL2": -27.78 + 0.004 * 0.2 / 3600}, True),
        # The center stays, and only the corners, 30 pixels out, are off by 0.05 pixels.
        ({"angle": 0.1}, False),
        ({"pixel": 0.2003}, False),
        # The other way round, with pixels that are the same but for their order.
        ({"angle": 180.0, "CRPIX1": 26.0, "CRPIX2": 21.0}, False),
    ],
    ids=str,
)
def test_image_grids_aligned(cards, aligned):
    assert image_grids_aligned(image(), image(**cards)) is aligned
    assert image_grids_aligned(image(**cards), image()) is aligned


def test_same_pixels_in_another_form():
    # CDELT and PC for CD.
    other = CCDData(np.ones(SHAPE), unit="ct", wcs=WCS(image(angle=30.0).wcs.to_header()))
    assert other.wcs.wcs.has_pc()
    assert image_grids_aligned(image(angle=30.0), other)


@pytest.mark.parametrize("shape", [(40, 51), (41, 50), (50, 40)])
def test_grids_of_different_shapes(shape):
    assert not image_grids_aligned(image(), image(shape=shape))


def test_tolerance():
    assert image_grids_aligned(image(), image(CRPIX1=25.02), tolerance=0.03)
    assert not image_grids_aligned(image(), image(CRPIX1=25.004), tolerance=0.003)


def test_grids_of_files_and_cubes(tmp_path):
    third = {"CTYPE3": "AWAV", "CUNIT3": "Angstrom", "CRVAL3": 5000.0, "CD3_3": 1.25, "CRPIX3": 1.0}
    fits.PrimaryHDU(np.zeros((3, *SHAPE), "f4"), header(**third)).writeto(tmp_path / "cube.fits")
    fits.PrimaryHDU(np.zeros(SHAPE, "f4"), header()).writeto(tmp_path / "image.fits")
    fits.PrimaryHDU(np.zeros(SHAPE, "f4")).writeto(tmp_path / "lost.fits")
    assert image_grids_aligned(tmp_path / "cube.fits", str(tmp_path / "image.fits"))
    with pytest.raises(UserError, match=r"gone\.fits does not exist"):
        image_grids_aligned(tmp_path / "cube.fits", tmp_path / "gone.fits")
    with pytest.raises(UserError, match=r"lost\.fits: the image has no celestial WCS"):
        image_grids_aligned(tmp_path / "lost.fits", tmp_path / "cube.fits")


@pytest.mark.parametrize(
    ("cards", "photflam"),
    [
        ({"INSTRUME": "ACS", "FILTER": "F606W"}, 7.73e-20),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC", "FILTER1": "CLEAR1L", "FILTER2": "F775W"}, 9.74e-20),
        ({"INSTRUME": "ACS", "FILTER": "F850LP"}, 1.50e-19),
        ({"INSTRUME": "ACS", "FILTER": "F606W", "PHOTFLAM": 1.9e-18, "PHOTPLAM": 6001.3}, 1.9e-18),
        ({"INSTRUME": "WFC3", "FILTER": "F110W", "PHOTFLAM": 1.53e-20, "PHOTPLAM": 11534.5}, 1.53e-20),
    ],
    ids=str,
)
@pytest.mark.parametrize("unit", ["electron/s", "ct/s", "DN/s", "adu/s", ""])
def test_counts_per_second(cards, photflam, unit):
    hst = image(u.Unit(unit), pixel=0.03, **cards)
    with nullcontext() if unit else pytest.warns(ImphotWarning, match="BUNIT.*: counts per second"):
        rescaled = rescale_hst_like_muse(hst, image())
    np.testing.assert_allclose(rescaled.data, hst.data * photflam / 1e-20, rtol=1e-6)
    assert rescaled.unit == MUSE_UNIT


def test_counts_in_other_times():
    hst = image(u.electron / u.hour, INSTRUME="ACS", FILTER="F606W")
    rescaled = rescale_hst_like_muse(hst, image())
    np.testing.assert_allclose(rescaled.data, hst.data * 7.73 / 3600)


@pytest.mark.parametrize(
    ("unit", "muse_unit", "factor"),
    [
        (MUSE_UNIT, MUSE_UNIT, 1),
        (1e-18 * FLAM, MUSE_UNIT, 100),
        (FLAM, MUSE_UNIT, 1e20),
        (u.W / u.m**2 / u.um, MUSE_UNIT, 1e19),
        (MUSE_UNIT, 1e-16 * FLAM, 1e-4),
    ],
    ids=str,
)
def test_fluxes_need_no_filter(unit, muse_unit, factor):
    hst = image(unit)
    rescaled = rescale_hst_like_muse(hst, image(muse_unit))
    np.testing.assert_allclose(rescaled.data, hst.data * factor)
    assert rescaled.unit == muse_unit


def test_flux_unit_of_the_muse_image():
    hst = image(u.electron / u.s, INSTRUME="ACS", FILTER="F606W")
    rescaled = rescale_hst_like_muse(hst, image(1e-17 * FLAM))
    np.testing.assert_allclose(rescaled.data, hst.data * 7.73e-3)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty])
def test_variance_mask_and_pixels_go_along(kind):
    hst = image(u.electron / u.s, pixel=0.03, angle=57.0, INSTRUME="ACS", FILTER="F606W")
    sigma = np.random.default_rng(2).uniform(1, 2, SHAPE)
    hst.uncertainty = kind(sigma if kind is StdDevUncertainty else sigma**2)
    hst.mask = np.zeros(SHAPE, dtype=bool)
    hst.mask[3, 4] = True
    before = hst.data.copy()
    rescaled = rescale_hst_like_muse(hst, image())
    variance = rescaled.uncertainty.represent_as(VarianceUncertainty).array
    np.testing.assert_allclose(variance, (sigma * 7.73) ** 2)
    np.testing.assert_array_equal(rescaled.mask, hst.mask)
    assert rescaled.wcs.wcs.compare(hst.wcs.wcs)
    assert rescaled.meta["FILTER"] == "F606W"
    np.testing.assert_array_equal(hst.data, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_image_times_a_factor(dtype):
    before = image(u.electron / u.s, pixel=0.03, FILTER="F606W")
    before.data = before.data.astype(dtype)
    before.uncertainty = VarianceUncertainty(np.full(SHAPE, 2, dtype))
    before.mask = before.data > 4
    after = scaled(before, 7.73, MUSE_UNIT)
    np.testing.assert_array_equal(after.data, before.data * 7.73)
    np.testing.assert_allclose(after.uncertainty.array, before.uncertainty.array * 7.73**2, rtol=2e-7)
    assert (after.data.dtype, after.uncertainty.array.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(after.mask, before.mask)
    assert after.wcs.wcs.compare(before.wcs.wcs)
    assert after.meta == before.meta
    assert isinstance(after.meta, fits.Header)
    assert (after.unit, after.uncertainty.unit) == (MUSE_UNIT, MUSE_UNIT**2)
    assert before.unit == u.electron / u.s
    assert scaled(image(), 2.0, MUSE_UNIT).uncertainty is None


def test_muse_image_in_single_precision():
    # The variance is 1e-40 in this unit, and the square of the factor 1e40.
    muse = image(FLAM, data=np.full(SHAPE, 1e-20, np.float32))
    muse.uncertainty = StdDevUncertainty(np.full(SHAPE, 2e-20, np.float64))
    found = read_muse_image(muse)
    np.testing.assert_allclose(found.data, 1, rtol=1e-6)
    np.testing.assert_allclose(found.uncertainty.array, 4, rtol=1e-6)
    assert found.data.dtype == found.uncertainty.array.dtype == np.float64
    assert found.unit == MUSE_UNIT
    assert muse.data.dtype == np.float32


def test_add_a_rule_for_zero_points(monkeypatch):
    # One row is all that is needed: here, the flux of one count in the header.
    def flux(unit, header):
        return header["COUNTFLX"] * FLAM if "COUNTFLX" in header else None

    hst = image(u.ct, COUNTFLX=3e-19)
    with pytest.raises(UserError, match="looked for BUNIT; PHOTFLAM"):
        rescale_hst_like_muse(hst, image())
    monkeypatch.setitem(RULES, "COUNTFLX", flux)
    np.testing.assert_allclose(rescale_hst_like_muse(hst, image()).data, hst.data * 30)


@pytest.mark.parametrize("unit", [u.percent, u.mag, u.electron / u.s / u.cm**2, u.m])
def test_units_that_are_refused(unit):
    with pytest.raises(
        UserError, match=r"^the flux of the pixels is not known: the header has the unit .*PHOTFLAM.*MAGZERO"
    ):
        flux_factor(unit, {"FILTER": "F775W", "INSTRUME": "ACS"}, MUSE_UNIT)


def test_rescaled_twice_is_rescaled_once():
    hst = image(u.electron / u.s, INSTRUME="ACS", FILTER="F606W")
    once = rescale_hst_like_muse(hst, image())
    np.testing.assert_array_equal(rescale_hst_like_muse(once, image()).data, once.data)


def write(path, bunit, **cards):
    fits.PrimaryHDU(np.ones(SHAPE, "f4"), header(BUNIT=bunit, **cards)).writeto(path)
    return path


@pytest.mark.parametrize(
    ("bunit", "reason"),
    [
        ("ELECTRONS", r"is of counts per second, and the header has no exposure time \(looked for EXPTIME"),
        ("COUNTS", r"is of counts per second, and the header has no exposure time \(looked for EXPTIME"),
        ("mag", "the flux of the pixels is not known: the header has the unit mag"),
        ("m", "the flux of the pixels is not known: the header has the unit m"),
    ],
)
def test_units_that_cannot_be_converted(tmp_path, bunit, reason):
    path = write(tmp_path / "hst.fits", bunit, FILTER="F606W", INSTRUME="ACS")
    with pytest.raises(UserError, match=rf"hst\.fits: .*{reason}"):
        rescale_hst_like_muse(path, image())


def test_unknown_filter_names_the_file(tmp_path):
    path = write(tmp_path / "hst.fits", "ELECTRONS/S", FILTER="F300X")
    with pytest.raises(UserError, match=r"hst\.fits: .* no usable zero point of the filter F300X.*PHOTFLAM"):
        rescale_hst_like_muse(path, image())


def test_unit_of_the_muse_image(tmp_path):
    hst = image(u.electron / u.s, INSTRUME="ACS", FILTER="F606W")
    path = write(tmp_path / "muse.fits", "ELECTRONS/S")
    with pytest.raises(
        UserError, match=r"muse\.fits: the MUSE image is in electron / s \(BUNIT\): convert it to 1e"
    ):
        rescale_hst_like_muse(hst, path)
    path = write(tmp_path / "bare.fits", "")
    with pytest.warns(
        AstropyUserWarning, match=r"bare\.fits: the MUSE image has no unit: 1e-20 .* is assumed"
    ):
        rescaled = rescale_hst_like_muse(hst, path)
    np.testing.assert_allclose(rescaled.data, hst.data * 7.73)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_real_wfpc2_image(real_data):
    path = os.path.join(real_data, "sdetect", "a478hst-cutout.fits")
    rescaled = rescale_hst_like_muse(path, os.path.join(real_data, "sdetect", "minicube.fits"))
    data = fits.getdata(path, "SCI")
    np.testing.assert_allclose(rescaled.data, data * 250.7987, rtol=1e-6)
    np.testing.assert_array_equal(
        np.ma.getmaskarray(np.ma.array(data, mask=rescaled.mask)), fits.getdata(path, "WHT") == 0
    )
