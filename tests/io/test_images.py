"""FITS files to CCDData and cubes, and back."""

import mmap
import os
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.time import Time
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from astropy_imphot.io.bunit import parse_unit
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import opened
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.headers import unit_string
from astropy_imphot.io.images import read_cube, read_header, read_image, write_image

SHAPE = (12, 15)
MUSE_UNIT = 1e-20 * u.erg / u.s / u.cm**2 / u.AA
MUSE_BUNIT = "10**(-20)*erg/s/cm**2/Angstrom"


def header(**cards):
    """The header of a field with 0.2 arcsec pixels, turned by 30 degrees."""
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    made = fits.Header()
    made.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg", RADESYS="ICRS")
    made.update(CRVAL1=53.16, CRVAL2=-27.78, CRPIX1=7.5, CRPIX2=6.0)
    made.update(CD1_1=-cos * 0.2 / 3600, CD1_2=sin * 0.2 / 3600)
    made.update(CD2_1=sin * 0.2 / 3600, CD2_2=cos * 0.2 / 3600)
    made.update(cards)
    return made


def noise(seed=1, shape=SHAPE):
    return np.random.default_rng(seed).normal(10, 1, shape).astype("f4")


def muse_hdus(dq=True):
    data, variance = noise(), noise(2) ** 2
    variance[0, :3] = 0, np.nan, -1
    flags = np.zeros(SHAPE, dtype="u1")
    flags[3, 4] = 2
    data[5, 6] = np.nan
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(data, header(BUNIT=MUSE_BUNIT), name="DATA"),
        fits.ImageHDU(variance, header(BUNIT=f"({MUSE_BUNIT})**2"), name="STAT"),
    ]
    if dq:
        hdus.append(fits.ImageHDU(flags, header(), name="DQ"))
    return fits.HDUList(hdus)


def hst_hdus(second, values, third, others):
    return fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(noise(), header(BUNIT="ELECTRONS/S"), name="SCI"),
            fits.ImageHDU(values, header(), name=second),
            fits.ImageHDU(others, header(), name=third),
        ]
    )


def is_file_backed(array):
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap)):
            return True
        array = getattr(array, "base", None)
    return False


@pytest.mark.parametrize("dq", [True, False])
def test_read_muse_layout(dq):
    hdus = muse_hdus(dq)
    image = read_image(hdus)
    bad = np.zeros(SHAPE, dtype=bool)
    # Not a number, and variances that would be no weight.
    bad[5, 6] = bad[0, :3] = True
    bad[3, 4] = dq
    np.testing.assert_array_equal(image.mask, bad)
    np.testing.assert_array_equal(image.data[~bad], hdus["DATA"].data[~bad])
    assert isinstance(image.uncertainty, VarianceUncertainty)
    np.testing.assert_array_equal(image.uncertainty.array[~bad], hdus["STAT"].data[~bad])
    assert image.unit == MUSE_UNIT
    assert image.wcs.wcs.compare(WCS(header()).wcs)


def test_read_sci_wht_ctx():
    weight = np.ones(SHAPE)
    weight[2:4, 5] = 0
    weight[0] = 4
    # The context image flags the exposures, and is not 0 where a pixel is good.
    context = np.full(SHAPE, 7, dtype="i4")
    image = read_image(hst_hdus("WHT", weight, "CTX", context))
    np.testing.assert_array_equal(image.mask, weight == 0)
    np.testing.assert_array_equal(image.data, noise())
    # Weights are inverse variances, up to a factor.
    np.testing.assert_allclose(image.uncertainty.array, np.where(weight > 0, 1 / np.maximum(weight, 1), 0))
    assert image.unit == u.electron / u.s


def test_read_sci_err_dq():
    flags = np.zeros(SHAPE, dtype="i2")
    flags[2, 5] = 4096
    image = read_image(hst_hdus("ERR", noise(2), "DQ", flags))
    np.testing.assert_array_equal(image.mask, flags != 0)
    np.testing.assert_allclose(image.uncertainty.array, noise(2).astype(float) ** 2, rtol=1e-6)


def test_no_mask_where_all_pixels_are_good():
    image = read_image(fits.PrimaryHDU(noise(), header()))
    assert image.mask is None
    assert image.uncertainty is None


def test_extensions_of_another_shape_are_left_alone():
    hdus = muse_hdus(dq=False)
    hdus.append(fits.ImageHDU(np.ones((3, 3), dtype="u1"), name="DQ"))
    with pytest.warns(AstropyUserWarning, match="extensions are not used: DQ"):
        assert read_image(hdus).mask.sum() == 4


def sources(folder):
    """The same image as every type of input."""
    hdus = muse_hdus()
    path = folder / "muse.fits"
    hdus.writeto(path)
    whole = CCDData(
        hdus["DATA"].data,
        mask=hdus["DQ"].data,
        uncertainty=VarianceUncertainty(hdus["STAT"].data),
        unit=MUSE_UNIT,
        wcs=WCS(header()),
    )
    return {
        "str": str(path),
        "Path": path,
        "HDUList": hdus,
        "CCDData": whole,
        "NDData": NDData(whole.data, whole.uncertainty, whole.mask != 0, whole.wcs, unit=whole.unit),
        "HDU": hdus["DATA"],
    }


@pytest.mark.parametrize("kind", ["str", "Path", "HDUList", "CCDData", "NDData", "HDU"])
@pytest.mark.parametrize("cut", [False, True])
def test_every_input_gives_the_same_image(tmp_path, kind, cut):
    hdus = muse_hdus()
    footprint = WCS(header()).pixel_to_world([4.2, 8.8], [2.3, 6.9]) if cut else None
    image = read_image(sources(tmp_path)[kind], footprint=footprint)
    rows, columns = (slice(2, 8), slice(4, 10)) if cut else (slice(None), slice(None))
    bad = np.zeros(SHAPE, dtype=bool)
    bad[5, 6] = True
    if kind != "HDU":
        bad[3, 4] = bad[0, :3] = True
        good = ~bad[rows, columns]
        np.testing.assert_array_equal(image.uncertainty.array[good], hdus["STAT"].data[rows, columns][good])
    np.testing.assert_array_equal(image.mask, bad[rows, columns])
    np.testing.assert_array_equal(image.data, hdus["DATA"].data[rows, columns])
    assert image.unit == MUSE_UNIT


@pytest.mark.parametrize("cut", [False, True])
def test_changed_pixels_of_an_open_file_count(tmp_path, cut):
    path = sources(tmp_path)["str"]
    footprint = WCS(header()).pixel_to_world([4.2, 8.8], [2.3, 6.9]) if cut else None
    with fits.open(path) as hdus:
        hdus["DATA"].data[:] = 5
        hdus["STAT"].data[:] = 9
        image = read_image(hdus, footprint=footprint)
    np.testing.assert_array_equal(image.data, 5)
    np.testing.assert_array_equal(image.uncertainty.array, 9)


def test_reading_leaves_the_input_alone(tmp_path):
    given = sources(tmp_path)
    for kind in ("CCDData", "NDData"):
        source = given[kind]
        mask = source.mask.copy()
        read_image(source).mask[...] = True
        np.testing.assert_array_equal(source.mask, mask)


@pytest.mark.parametrize("uncertainty", [StdDevUncertainty, InverseVariance, VarianceUncertainty])
def test_uncertainties_become_variances(uncertainty):
    # Each kind of uncertainty of a variance of 4.
    array = {StdDevUncertainty: 2.0, InverseVariance: 0.25, VarianceUncertainty: 4.0}[uncertainty]
    image = CCDData(noise(), uncertainty=uncertainty(np.full(SHAPE, array)), unit="ct/s", wcs=WCS(header()))
    np.testing.assert_allclose(read_image(image).uncertainty.array, 4.0)


@pytest.mark.parametrize("name", ["", "WHATEVER"])
def test_plain_images(name):
    plain = fits.PrimaryHDU(noise(), header(BUNIT="COUNTS/S"))
    assert read_image(fits.HDUList([plain])).unit == u.ct / u.s
    extension = fits.ImageHDU(noise(), header(), name=name)
    image = read_image(fits.HDUList([fits.PrimaryHDU(), extension]))
    np.testing.assert_array_equal(image.data, noise())


def test_named_image_comes_before_others():
    hdus = fits.HDUList([fits.PrimaryHDU(noise(3), header()), fits.ImageHDU(noise(), header(), name="SCI")])
    np.testing.assert_array_equal(read_image(hdus).data, noise())


def test_scaled_integers_and_compressed_images(tmp_path):
    scaled = fits.ImageHDU(np.arange(180, dtype="i2").reshape(SHAPE), header(), name="SCI")
    scaled.scale("int16", bscale=0.5, bzero=100)
    compressed = fits.CompImageHDU(np.arange(180, dtype="i4").reshape(SHAPE), header(), name="SCI")
    footprint = WCS(header()).pixel_to_world([4.2, 8.8], [2.3, 6.9])
    for hdu in (scaled, compressed):
        path = tmp_path / f"{type(hdu).__name__}.fits"
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        expected = np.arange(180).reshape(SHAPE)
        np.testing.assert_allclose(read_image(path).data, expected)
        np.testing.assert_allclose(read_image(path, footprint=footprint).data, expected[2:8, 4:10])


@pytest.mark.parametrize(
    ("bunit", "unit"),
    [
        ("ELECTRONS/S", u.electron / u.s),
        ("ELECTRON/S", u.electron / u.s),
        ("electrons/sec", u.electron / u.s),
        ("e-/s", u.electron / u.s),
        ("ELECTRONS", u.electron),
        ("ELECTRON", u.electron),
        ("COUNTS/S", u.ct / u.s),
        ("COUNTS", u.ct),
        ("CPS", u.ct / u.s),
        ("DN/S", u.DN / u.s),
        ("ADU/S", u.adu / u.s),
        ("", u.dimensionless_unscaled),
        (None, u.dimensionless_unscaled),
        (MUSE_BUNIT, MUSE_UNIT),
        ("10**-20 Angstrom-1 cm-2 erg s-1", MUSE_UNIT),
        ("erg/s/cm2/Angstrom", u.erg / u.s / u.cm**2 / u.AA),
    ],
)
def test_units(bunit, unit):
    cards = {} if bunit is None else {"BUNIT": bunit}
    hdu = fits.ImageHDU(noise(), header(**cards))
    assert read_image(hdu).unit == unit
    assert read_grid(hdu).unit == unit
    assert parse_unit(bunit) == unit


def test_unit_that_does_not_parse_warns_with_its_name(tmp_path):
    path = tmp_path / "E17.fits"
    fits.PrimaryHDU(noise(), header(BUNIT="FURLONGS/S")).writeto(path)
    with pytest.warns(AstropyUserWarning, match="FURLONGS/S") as caught:
        image = read_image(path)
    assert image.unit == u.dimensionless_unscaled
    # One of fifty exposures: the user has to be told which.
    assert "E17.fits" in str(caught[0].message)


@pytest.mark.parametrize("unit", [MUSE_UNIT, MUSE_UNIT**2, u.electron / u.s, u.dimensionless_unscaled])
def test_unit_string_is_understood_by_astropy(unit):
    assert u.Unit(unit_string(unit)) == unit


def test_footprint_cut_keeps_pixels_on_the_sky(tmp_path):
    path = tmp_path / "hst.fits"
    shape = (200, 300)
    data = np.arange(60000.0).reshape(shape)
    fits.PrimaryHDU(data, header(CRPIX1=150.0, CRPIX2=80.0)).writeto(path)
    full = WCS(header(CRPIX1=150.0, CRPIX2=80.0))
    corners = full.pixel_to_world([40.3, 90.7, 60.0], [20.0, 70.2, 101.9])
    cut = read_image(path, footprint=corners)
    assert cut.shape == (84, 52)
    y, x = np.mgrid[: cut.shape[0], : cut.shape[1]]
    row, column = np.divmod(cut.data.astype(int), shape[1])
    separation = cut.wcs.pixel_to_world(x, y).separation(full.pixel_to_world(column, row))
    assert separation.max() < 1e-7 * u.arcsec
    # All positions are within the pixels that were read.
    x, y = cut.wcs.world_to_pixel(corners)
    assert np.all((x >= 0) & (x <= cut.shape[1] - 1) & (y >= 0) & (y <= cut.shape[0] - 1))


def test_footprint_reaching_out_of_the_image():
    full = WCS(header())
    corners = full.pixel_to_world([-50.0, 3.5], [8.5, 400.0])
    cut = read_image(fits.PrimaryHDU(noise(), header()), footprint=corners)
    np.testing.assert_array_equal(cut.data, noise()[8:, :5])


@pytest.mark.parametrize("x", [-40.0, 60.0, 3e6])
@pytest.mark.parametrize("in_memory", [True, False])
def test_footprint_off_the_image(tmp_path, x, in_memory):
    path = tmp_path / "hst.fits"
    fits.PrimaryHDU(noise(), header()).writeto(path)
    source = CCDData.read(path, unit="ct/s") if in_memory else path
    # 3e6 pixels are more than 90 degrees, where a tangential projection ends.
    center = SkyCoord(53.16, -27.78, unit="deg").directional_offset_by(60 * u.deg, x * 0.2 * u.arcsec)
    with pytest.raises(UserError, match="does not overlap") as caught:
        read_image(source, footprint=SkyCoord([center, center]))
    assert in_memory or "hst.fits" in str(caught.value)


def test_headers_are_merged():
    primary = fits.PrimaryHDU()
    primary.header.update(FILTER="F606W", EXPTIME=100.0, OBJECT="UDF", TELESCOP="HST")
    primary.header["HISTORY"] = "primary"
    science = fits.ImageHDU(noise(), header(FILTER="whatever", EXPTIME=7.0, PHOTFLAM=1e-19), name="SCI")
    hdus = fits.HDUList([primary, science])
    for merged in (read_image(hdus).meta, read_header(hdus), read_grid(hdus).meta):
        assert merged["TELESCOP"] == "HST"
        assert merged["PHOTFLAM"] == 1e-19
        # The image's own keyword wins, but for the filter's name.
        assert merged["EXPTIME"] == 7.0
        assert merged.count("EXPTIME") == 1
        assert merged["FILTER"] == "F606W"
        assert merged["NAXIS"] == 2
        assert merged["CRVAL1"] == 53.16
    assert science.header["FILTER"] == "whatever"
    assert "PHOTFLAM" not in primary.header


def test_read_grid_takes_images_and_cubes():
    cube = fits.ImageHDU(
        np.zeros((3, *SHAPE), "f4"),
        header(CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=5000.0, CD3_3=1.25, CRPIX3=1.0),
    )
    for hdu in (cube, fits.ImageHDU(noise(), header())):
        grid = read_grid(hdu)
        assert grid.shape == SHAPE
        assert grid.wcs.naxis == 2
        np.testing.assert_allclose(grid.pixel_scale, 0.2)
    assert read_grid(grid) is grid


def cube_file(folder, dtype=">f4"):
    shape = (20, 16, 18)
    third = {"CTYPE3": "AWAV", "CUNIT3": "Angstrom", "CRVAL3": 5000.0, "CD3_3": 1.25, "CRPIX3": 1.0}
    path = folder / "cube.fits"
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "UDF"
    flags = np.zeros(shape, "u1")
    flags[3, 4, 5] = 1
    fits.HDUList(
        [
            primary,
            fits.ImageHDU(noise(1, shape).astype(dtype), header(**third, BUNIT=MUSE_BUNIT), name="DATA"),
            fits.ImageHDU(noise(2, shape).astype(dtype), header(**third), name="STAT"),
            fits.ImageHDU(flags, header(**third), name="DQ"),
        ]
    ).writeto(path)
    return path


def test_read_cube(tmp_path):
    path = cube_file(tmp_path)
    cube = read_cube(path)
    np.testing.assert_array_equal(cube.data, fits.getdata(path, "DATA"))
    np.testing.assert_array_equal(cube.uncertainty.array, fits.getdata(path, "STAT"))
    np.testing.assert_array_equal(cube.mask, fits.getdata(path, "DQ"))
    assert isinstance(cube.uncertainty, VarianceUncertainty)
    assert cube.unit == MUSE_UNIT
    assert cube.meta["OBJECT"] == "UDF"
    assert cube.wcs.naxis == 3
    with fits.open(path) as hdus:
        assert read_cube(hdus).data.shape == cube.data.shape
    assert read_cube(cube) is cube


@pytest.mark.parametrize("part", ["data", "variance", "mask"])
def test_read_cube_leaves_the_voxels_in_the_file(tmp_path, part):
    cube = read_cube(cube_file(tmp_path))
    array = {"data": cube.data, "variance": cube.uncertainty.array, "mask": cube.mask}[part]
    assert is_file_backed(array)


@pytest.mark.parametrize("ctype", ["LINEAR", "FREQ"])
def test_read_cube_needs_wavelengths(tmp_path, ctype):
    path = cube_file(tmp_path)
    with fits.open(path, mode="update") as hdus:
        hdus["DATA"].header["CTYPE3"] = ctype
        hdus["DATA"].header["CUNIT3"] = "Hz" if ctype == "FREQ" else ""
    reason = r"no axis of wavelengths, .*: convert" if ctype == "FREQ" else "no unit of wavelengths: add"
    with pytest.raises(UserError, match=rf"cube\.fits: the cube has {reason}"):
        read_cube(path)


def test_arrays_of_the_wrong_rank(tmp_path):
    with pytest.raises(UserError, match=r"cube\.fits: an image is needed, not a cube: .*make_wideband"):
        read_image(cube_file(tmp_path))
    path = tmp_path / "image.fits"
    muse_hdus().writeto(path)
    with pytest.raises(UserError, match=r"image\.fits: the array has 2 axes: give a cube"):
        read_cube(path)
    with pytest.raises(UserError, match="a cube needs three axes"):
        read_cube(CCDData(noise(), unit="ct", wcs=WCS(header())))
    with pytest.raises(UserError, match="has 3 axes: give an image, of two"):
        read_image(NDData(np.zeros((3, *SHAPE)), wcs=WCS(header())))


def test_image_without_wcs(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(noise()).writeto(path)
    for read in (read_image, read_grid):
        with pytest.raises(UserError, match=r"image\.fits: the image has no celestial WCS: add CTYPE1"):
            read(path)
        with pytest.raises(UserError, match="no celestial WCS: set its wcs"):
            read(CCDData(noise(), unit="ct"))


def test_file_without_image(tmp_path):
    path = tmp_path / "table.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=[1.0])])]
    ).writeto(path)
    for read in (read_image, read_cube, read_grid, read_header):
        with pytest.raises(UserError, match=r"table\.fits: there is no image: give"):
            read(path)


def ccd(unit="electron", masked=True, meta=None):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2, 3] = masked
    return CCDData(
        noise(),
        mask=mask,
        uncertainty=VarianceUncertainty(noise(2) ** 2),
        unit=unit,
        wcs=WCS(header()),
        meta=fits.Header() if meta is None else meta,
    )


UNITS = [
    u.electron,
    u.electron / u.s,
    u.ct / u.s,
    u.adu,
    u.DN / u.s,
    u.dimensionless_unscaled,
    MUSE_UNIT,
    2.5 * u.electron / u.s,
]


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_write_image_and_read_it_back(tmp_path, unit):
    image = ccd(u.Unit(unit))
    write_image(image, tmp_path / "image.fits")
    again = read_image(tmp_path / "image.fits")
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_array_equal(again.mask, image.mask)
    np.testing.assert_array_equal(again.uncertainty.array, image.uncertainty.array)
    assert again.unit == image.unit
    assert again.wcs.wcs.compare(image.wcs.wcs, tolerance=1e-12)
    with fits.open(tmp_path / "image.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "DATA", "STAT", "DQ"]
        assert hdus[0].header["NAXIS"] == 0
        assert hdus["DATA"].data.dtype == ">f4"
        assert hdus["DQ"].data.dtype == "u1"
        assert u.Unit(hdus["STAT"].header["BUNIT"]) == u.Unit(unit) ** 2


def test_write_image_leaves_out_what_there_is_not(tmp_path):
    image = ccd(masked=False)
    image.uncertainty = None
    write_image(image, tmp_path / "image.fits")
    with fits.open(tmp_path / "image.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "DATA"]
    image.mask = None
    write_image(image, tmp_path / "image.fits", overwrite=True)
    assert read_image(tmp_path / "image.fits").mask is None


def test_write_image_appends_extensions(tmp_path):
    extra = fits.ImageHDU(np.ones((3, 4)), name="TEMPLATE")
    write_image(ccd(), tmp_path / "image.fits", extensions=[extra])
    np.testing.assert_array_equal(fits.getdata(tmp_path / "image.fits", "TEMPLATE"), 1)


def test_write_image_refuses_an_existing_file(tmp_path):
    path = tmp_path / "image.fits"
    path.write_text("precious")
    with pytest.raises(UserError, match=r"image\.fits exists"):
        write_image(ccd(), path)
    assert path.read_text() == "precious"


def test_write_image_keeps_the_observation_in_the_primary_header(tmp_path):
    meta = header(OBJECT="UDF", DATE_OBS="x", BUNIT="ct", EXPTIME=7.5, EXTNAME="SCI", CHECKSUM="0")
    meta["DATE-OBS"] = "2014-09-01T05:00:00.000"
    meta["MJD-OBS"] = 56901.2083333
    meta["EQUINOX"] = 2000.0
    meta["HIERARCH ESO ADA POSANG"] = 12.5
    meta["HISTORY"] = "first step"
    meta["HISTORY"] = "second step"
    write_image(ccd(meta=meta), tmp_path / "image.fits")
    with fits.open(tmp_path / "image.fits") as hdus:
        primary = hdus[0].header
        assert primary["OBJECT"] == "UDF"
        assert primary["EXPTIME"] == 7.5
        assert primary["DATE-OBS"] == "2014-09-01T05:00:00.000"
        assert primary["MJD-OBS"] == 56901.2083333
        assert primary["ESO ADA POSANG"] == 12.5
        assert list(primary["HISTORY"]) == ["first step", "second step"]
        for gone in ("BUNIT", "CRVAL1", "CD1_1", "CTYPE1", "EXTNAME", "CHECKSUM"):
            assert gone not in primary


@pytest.mark.parametrize(
    "meta",
    [
        {"OBJECT": "UDF", "exposure_time": 100.0},
        {"OBJECT": "UDF", "history": ["read", "cut"]},
        {"OBJECT": "UDF", "EXPTIME": float("nan")},
        {"OBJECT": "UDF", "AIRMASS": None},
    ],
    ids=["long keyword", "list", "nan", "none"],
)
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_write_image_with_a_dict_as_header(tmp_path, meta):
    write_image(ccd(meta=meta), tmp_path / "image.fits")
    assert fits.getval(tmp_path / "image.fits", "OBJECT") == "UDF"


def test_write_image_that_was_read_from_a_real_hst_file(tmp_path, real_data):
    with warnings.catch_warnings():
        # The file's own header breaks the FITS standard.
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        image = read_image(os.path.join(real_data, "sdetect", "a478hst-cutout.fits"))
        write_image(image, tmp_path / "image.fits")
        again = read_image(tmp_path / "image.fits")
    np.testing.assert_array_equal(again.data, image.data)
    assert again.unit == image.unit == u.ct / u.s
    x, y = [0.0, 599.0], [0.0, 599.0]
    assert again.wcs.pixel_to_world(x, y).separation(image.wcs.pixel_to_world(x, y)).max() < 1e-6 * u.arcsec
    assert again.meta["PHOTFLAM"] == 2.507987e-18


# Electrons are not in the FITS standard, nor known to mpdaf.
@pytest.mark.parametrize("unit", [MUSE_UNIT, u.ct / u.s, u.adu, u.dimensionless_unscaled])
@pytest.mark.parametrize("masked", [True, False])
def test_mpdaf_reads_what_we_write(tmp_path, unit, masked):
    from mpdaf.obj import Image

    image = ccd(unit, masked)
    write_image(image, tmp_path / "image.fits")
    read = Image(str(tmp_path / "image.fits"))
    np.testing.assert_array_equal(np.ma.getmaskarray(read.data), image.mask)
    good = ~image.mask
    np.testing.assert_array_equal(read.data.data[good], image.data[good])
    np.testing.assert_array_equal(np.ma.getdata(read.var)[good], image.uncertainty.array[good])
    assert read.unit == unit
    pixels = np.array([[0, 0], [11, 14], [3, 7]])
    sky = image.wcs.pixel_to_world(pixels[:, 1], pixels[:, 0])
    # mpdaf's coordinates are (dec, ra) of (y, x).
    np.testing.assert_allclose(read.wcs.pix2sky(pixels), np.stack([sky.dec.deg, sky.ra.deg], 1), atol=1e-9)


def test_mpdaf_and_we_read_the_same_from_a_real_muse_file(real_data):
    from mpdaf.obj import Image
    from mpdaf.tools import MpdafUnitsWarning

    path = os.path.join(real_data, "obj", "IMAGE-HDFS-1.34.fits")
    with warnings.catch_warnings():
        # mpdaf misses a unit, which this file has not.
        warnings.simplefilter("ignore", MpdafUnitsWarning)
        truth = Image(path)
    image = read_image(path)
    mask = np.ma.getmaskarray(truth.data)
    # Ours leaves out, besides, what has no variance that could weight it.
    np.testing.assert_array_equal(image.mask, mask | ~(np.ma.getdata(truth.var) > 0))
    np.testing.assert_array_equal(image.data[~image.mask], truth.data.data[~image.mask])
    np.testing.assert_array_equal(image.uncertainty.array[~image.mask], truth.var.data[~image.mask])
    sky = image.wcs.pixel_to_world([0, 325], [0, 330])
    np.testing.assert_allclose(
        truth.wcs.pix2sky([[0, 0], [330, 325]]), np.stack([sky.dec.deg, sky.ra.deg], 1), atol=1e-9
    )


def test_opened_file_that_ends_while_it_is_read(tmp_path):
    path = cube_file(tmp_path)

    def read_in_vain():
        with opened(path) as hdus:
            os.truncate(path, 20000)
            return hdus["STAT"].data

    with pytest.raises(UserError, match=r"cube\.fits ends before its data do"):
        read_in_vain()


def test_dates_as_times_are_written(tmp_path):
    time = Time("2014-09-25T04:12:00.000", scale="utc")
    image = CCDData(noise(), unit=MUSE_UNIT, meta={"DATE-OBS": time, "MJD-OBS": time.tai})
    write_image(image, tmp_path / "image.fits")
    cards = fits.getheader(tmp_path / "image.fits")
    assert cards["DATE-OBS"] == "2014-09-25T04:12:00.000"
    assert cards["MJD-OBS"] == pytest.approx(56925.175, abs=1e-9)
