"""Where files have the WCS, variances, masks and missing pixels of an image."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from astropy_imphot import (
    ImphotWarning,
    bandpass_image,
    make_template,
    read_image,
)
from astropy_imphot.io.bunit import parse_unit
from astropy_imphot.io.grid import read_grid
from astropy_imphot.simulation import muse_cube, simulate_field, sky_grid

BUNIT = "10**(-20)*erg/s/cm**2/Angstrom"
SHAPE = (20, 25)
WCS_CARDS = sky_grid(SHAPE, 0.2).wcs.to_header()
DATA = np.random.default_rng(1).normal(0, 2, SHAPE).astype("f4")
VARIANCE = np.random.default_rng(2).uniform(1, 4, SHAPE).astype("f4")
BAD = np.zeros(SHAPE, dtype=bool)
BAD[3:6, 4:9] = True


def layout(*extensions, data=DATA, name="DATA", wcs=True, **cards):
    """A file of an image and other extensions, each a name and an array."""
    science = fits.ImageHDU(data, WCS_CARDS if wcs else None, name=name)
    science.header.update({"BUNIT": BUNIT} | cards)
    return fits.HDUList(
        [fits.PrimaryHDU(), science, *(fits.ImageHDU(two, name=one) for one, two in extensions)]
    )


def read(hdus, folder, *told):
    """The image in a file, of which the warnings are those that are told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdus.writeto(folder / "image.fits", overwrite=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image(folder / "image.fits")
    texts = [str(one.message) for one in caught]
    assert len(texts) == len(told), texts
    for one, text, words in zip(caught, texts, told, strict=True):
        assert one.category is ImphotWarning
        assert text.startswith(f"{folder / 'image.fits'}: ")
        assert words in text
    return image


VARIANCES = {
    **dict.fromkeys(("STAT", "VAR", "VARIANCE", "var"), VARIANCE),
    **dict.fromkeys(
        ("ERR", "ERROR", "SIGMA", "RMS", "STD", "STDDEV", "UNCERT", "UNCERTAINTY"), np.sqrt(VARIANCE)
    ),
    **dict.fromkeys(("IVAR", "INVVAR", "WEIGHT", "WHT", "WGT", "IVM"), 1 / VARIANCE),
}


@pytest.mark.parametrize("science", ["DATA", "SCI", "IMAGE", ""])
@pytest.mark.parametrize("name", VARIANCES)
def test_variances(tmp_path, name, science):
    image = read(layout((name, VARIANCES[name]), name=science), tmp_path)
    np.testing.assert_allclose(image.uncertainty.array, VARIANCE, rtol=1e-6)
    assert image.mask is None


# What has no meaning as a variance, a standard deviation or a weight.
@pytest.mark.parametrize(
    ("name", "value"),
    [("VAR", -1), ("VAR", 0), ("VAR", np.nan), ("VAR", 1e30), ("ERR", -1), ("ERR", 0), ("ERR", 1e20)]
    + [("RMS", np.inf), ("WHT", 0), ("IVAR", 0), ("IVAR", -1), ("WEIGHT", np.nan)],
)
def test_pixels_without_a_variance(tmp_path, name, value):
    values = np.where(BAD, value, VARIANCES[name]).astype("f4")
    image = read(layout((name, values)), tmp_path)
    np.testing.assert_array_equal(image.mask, BAD)
    np.testing.assert_allclose(image.uncertainty.array[~BAD], VARIANCE[~BAD], rtol=1e-6)


@pytest.mark.parametrize("name", ["MASK", "BADPIX", "DQ", "MSK", "FLAG", "FLAGS", "BPM", "QUALITY"])
@pytest.mark.parametrize("kind", ["u1", "i4", "f4"])
def test_masks(tmp_path, name, kind):
    image = read(layout((name, (4 * BAD).astype(kind))), tmp_path)
    np.testing.assert_array_equal(image.mask, BAD)


@pytest.mark.parametrize("name", ["CONF", "EXPMAP", "SCI_VAR", ""])
def test_extensions_that_are_not_known(tmp_path, name):
    image = read(layout((name, VARIANCE)), tmp_path, f"extensions are not used: {name or 2}. Errors, weights")
    assert image.uncertainty is None


def test_extensions_of_another_size(tmp_path):
    image = read(layout(("STAT", VARIANCE[:10]), ("CTX", BAD * 1)), tmp_path, "are not used: STAT. Errors")
    assert image.uncertainty is None


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_files_of_ccddata(tmp_path, kind):
    uncertainty = VarianceUncertainty(VARIANCE, unit="ct2").represent_as(kind)
    image = CCDData(DATA, mask=BAD, uncertainty=uncertainty, unit="ct", wcs=WCS(WCS_CARDS))
    found = read(image.to_hdu(), tmp_path)
    np.testing.assert_array_equal(found.mask, BAD)
    np.testing.assert_allclose(found.uncertainty.array[~BAD], VARIANCE[~BAD], rtol=1e-6)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("others", [0, 1])
def test_axes_of_one_element(tmp_path, axes, others):
    data = DATA.reshape((1,) * axes + SHAPE)
    pair = (VARIANCE.reshape((1,) * others + SHAPE), (BAD * 1).reshape((1,) * others + SHAPE))
    hdus = layout(("STAT", pair[0]), ("DQ", pair[1]), data=data, CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=7e3)
    image = read(hdus, tmp_path)
    np.testing.assert_array_equal(image.data, DATA)
    np.testing.assert_array_equal(image.mask, BAD)
    assert image.shape == read_grid(hdus).shape == SHAPE
    assert image.wcs.naxis == 2
    part = read_image(hdus, footprint=image.wcs.pixel_to_world([3.2, 8.8], [2.2, 6.8]))
    np.testing.assert_array_equal(part.data, DATA[2:8, 3:10])


def test_wcs_in_the_primary_header(tmp_path):
    hdus = layout(("STAT", VARIANCE), wcs=False)
    hdus[0].header.update(WCS_CARDS)
    image = read(hdus, tmp_path, "the WCS is in the primary header only, and is taken for the image")
    assert image.wcs.pixel_to_world(3, 4).separation(WCS(WCS_CARDS).pixel_to_world(3, 4)).arcsec < 1e-6
    # That of an image in the primary HDU is its own.
    plain = fits.PrimaryHDU(DATA, WCS_CARDS)
    with pytest.raises(ValueError, match="has no celestial WCS: add CTYPE1"):
        read_image(fits.HDUList([plain, *hdus[1:]]))


@pytest.mark.parametrize(
    "value", [-99.0, -999.0, -9999.0, -32768.0, -1e10, 1e20, 1e30, -1e30, 3.4028235e38, -3.4028235e38]
)
@pytest.mark.parametrize("fraction", ["some", "most"])
def test_blanks(tmp_path, value, fraction):
    bad = BAD if fraction == "some" else np.random.default_rng(3).random(SHAPE) < 0.7
    told = f"pixels with values that stand for missing data ({value:g}) are masked"
    image = read(layout(data=np.where(bad, value, DATA).astype("f4")), tmp_path, told)
    np.testing.assert_array_equal(image.mask, bad)


def test_blanks_of_two_values_beside_an_outlier(tmp_path):
    data = DATA.copy()
    data[0, 0], data[1, 1], data[BAD] = -5e4, -9999, -99
    expected = BAD.copy()
    expected[1, 1] = True
    image = read(layout(data=data), tmp_path, "values that stand for missing data (-99, -9999)")
    np.testing.assert_array_equal(image.mask, expected)
    data[2, 2], data[2, 3], data[2, 5:9] = 1e20, 1e30, -1e30
    expected[2, [2, 3, 5, 6, 7, 8]] = True
    image = read(
        layout(data=data), tmp_path, "values that stand for missing data (-99, -9999, -1e+30, 1e+30, 1e+20)"
    )
    np.testing.assert_array_equal(image.mask, expected)


@pytest.mark.parametrize("kind", ["i2 with BLANK", "i2", "f4 with BLANK"])
def test_blank_keyword(tmp_path, kind):
    cards, told = {}, ["values that stand for missing data"]
    data = np.where(BAD, -32768, DATA).astype("f4")
    if kind.startswith("i2"):
        data = np.where(BAD, -32768, np.round(DATA * 50)).astype("i2")
        cards |= {"BSCALE": 0.02, "BZERO": 0.0}
    if kind.endswith("BLANK"):
        cards |= {"BLANK": -32768}
        told = told if kind.startswith("f4") else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdus = layout(data=data)
        hdus[1].header.update(cards)
    np.testing.assert_array_equal(read(hdus, tmp_path, *told).mask, BAD)


def test_values_that_are_no_blanks(tmp_path):
    # Stars, one of them with a plateau; a hot and a cold pixel; a sky without noise; counts of a sky.
    bright = DATA.copy()
    bright[4, 4:7], bright[10, 10], bright[11, 12] = 6e4, 1e6, -300.0
    drawn = np.where(BAD, 30.0 + np.arange(25), 0).astype("f4")
    counts = np.random.default_rng(4).poisson(20, SHAPE).astype("i4")
    y, x = np.indices(SHAPE)
    faint = np.exp(-((x - 12) ** 2 + (y - 10) ** 2) / 4.0)
    # As that of a Fourier transform, around a star.
    ringing = faint + 1e-9 * np.cos(np.hypot(x - 12, y - 10))
    for data in (bright, drawn, faint, ringing, counts, DATA + 1000, np.maximum(DATA, 0), 0 * DATA - 99):
        assert read(layout(data=data), tmp_path).mask is None


def test_template(tmp_path):
    """The same field, with what it needs in other places."""
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    hst, muse = field.hst, field.muse[0]
    expected = make_template(hst, muse)
    bad = np.zeros(hst.shape, dtype=bool)
    bad[::7, ::9] = True
    primary = fits.PrimaryHDU(header=hst.wcs.to_header())
    primary.header.update(INSTRUME="ACS", FILTER="f775w;clear2l")
    science = fits.ImageHDU(np.where(bad, -99, hst.data)[np.newaxis], name="SCI")
    science.header["BUNIT"] = "ELECTRONS/S"
    fits.HDUList([primary, science]).writeto(tmp_path / "hst.fits")
    other = layout(("IVAR", 1 / muse.uncertainty.array), data=muse.data, wcs=False)
    other[0].header.update(muse.wcs.to_header())
    other.writeto(tmp_path / "muse.fits")
    with pytest.warns(ImphotWarning) as caught:
        template = make_template(tmp_path / "hst.fits", tmp_path / "muse.fits")
    told = {str(one.message).removeprefix(f"{tmp_path}/")[:21] for one in caught}
    assert told == {"hst.fits: pixels with", "hst.fits: the WCS is ", "muse.fits: the WCS is"}
    np.testing.assert_allclose(template.data, expected.data, atol=0.1 * expected.data.max())
    assert template.missing is None


def test_cube_with_its_wcs_in_the_primary_header():
    cube = muse_cube(sky_image(), np.arange(7000.0, 8000.0, 100.0), noise=1.0, seed=2)
    expected = bandpass_image(cube, ([7200, 7600], [1, 1]))
    keys = ("CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT")
    for key in [key for key in cube["DATA"].header if key.startswith(keys) or key == "RADESYS"]:
        cube[0].header[key] = cube["DATA"].header.pop(key)
    with pytest.warns(ImphotWarning, match="the WCS is in the primary header only"):
        image = bandpass_image(cube, ([7200, 7600], [1, 1]))
    np.testing.assert_array_equal(image.data, expected.data)
    assert image.wcs.pixel_to_world(3, 4).separation(expected.wcs.pixel_to_world(3, 4)).arcsec < 1e-6


def sky_image():
    return CCDData(DATA, unit=parse_unit(BUNIT), wcs=WCS(WCS_CARDS))
