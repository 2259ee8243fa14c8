"""One sky in the layouts of many archives, and the fluxes that are read from them."""

import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs.utils import proj_plane_pixel_area
from scipy.integrate import simpson

from astropy_imphot import (
    FilterCurve,
    HstReference,
    Reference,
    UserError,
    fit_image_and_star_photometry,
    fit_image_photometry,
    fit_star_photometry,
    make_template,
    read_image,
    read_reference,
    rescale_hst_like_muse,
)
from astropy_imphot.calibration import curves
from astropy_imphot.io import reference_kinds
from astropy_imphot.io.errors import FILE_NAME
from astropy_imphot.reference.reading import default_psf
from astropy_imphot.simulation import CENTER, Truth, simulate_field

# erg/s/cm2/Angstrom of one electron/s in the image that is drawn: ACS/WFC F775W.
DRAWN = 9.74e-20

# Pixels that no measurement has, and what is in them.
BAD = (slice(230, 240), slice(180, 200))
GARBAGE = 30.0


@pytest.fixture(scope="module")
def sky():
    """The sky, which is drawn once."""
    truth = [Truth(dx=0.1, dy=-0.05)]
    return simulate_field(seed=4, size=24.0, hst_pixel=0.06, hst_margin=3.2, truth=truth, central_star=20.5)


def pivot(camera, name):
    """The pivot wavelength of a curve, by Simpson's rule."""
    table = Table.read(curves.available_curves()[camera][name], format="ascii.ecsv")
    wavelength = np.arange(table["wavelength"][0], table["wavelength"][-1], 0.5)
    values = np.interp(wavelength, table["wavelength"], table["sensitivity"])
    return np.sqrt(simpson(values * wavelength, x=wavelength) / simpson(values / wavelength, x=wavelength))


def jansky(wavelength):
    """Jy of one electron/s of the drawn image, by hand."""
    return DRAWN * wavelength**2 / 2.99792458e-5


def of_magnitude(zero_point, wavelength):
    """Pixel values, of an AB zero point, of one electron/s of the drawn image."""
    return jansky(wavelength) / (3631 * 10 ** (-0.4 * zero_point))


class Writer:
    """Writes the sky in a folder."""

    def __init__(self, sky, folder):
        self.sky, self.folder = sky, folder
        self.wcs = sky.hst.wcs.to_header()
        self.area = proj_plane_pixel_area(sky.hst.wcs) * np.radians(1) ** 2

    def pixels(self, factor):
        data = self.sky.hst.data * factor
        data[BAD] = GARBAGE * factor
        return data.astype("f4")

    def flags(self, bad, other, kind="i4"):
        """A mask with a bit in bad pixels, and another one in all others."""
        flags = np.full(self.sky.hst.shape, other, kind)
        flags[BAD] = bad
        return flags

    def weights(self, kind="f4"):
        weights = np.full(self.sky.hst.shape, 4, kind)
        weights[BAD] = 0
        return weights

    def hdu(self, data, name=None, kind=fits.ImageHDU, **cards):
        hdu = kind(data, self.wcs.copy())
        if name is not None:
            hdu.name = name
        hdu.header.update(cards)
        return hdu

    def write(self, name, *hdus, **primary):
        if isinstance(hdus[0], fits.PrimaryHDU):
            written = fits.HDUList(list(hdus))
        else:
            written = fits.HDUList([fits.PrimaryHDU(), *hdus])
        written[0].header.update(primary)
        written.writeto(self.folder / name)
        return self.folder / name


def acs(to):
    science = to.hdu(to.pixels(1), "SCI", BUNIT="ELECTRONS/S", PHOTFLAM=9.74e-20, PHOTPLAM=7692.4)
    cards = {"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC", "EXPTIME": 5000.0}
    cards |= {"FILTER1": "CLEAR1L", "FILTER2": "F775W"}
    return to.write("j8wc_drc.fits", science, to.hdu(to.weights(), "WHT"), **cards)


def acs_flc(to):
    # Electrons, and a mask.
    science = to.hdu(to.pixels(500), "SCI", BUNIT="ELECTRONS", PHOTFLAM=9.74e-20, PHOTPLAM=7692.4)
    error = to.hdu(np.ones_like(science.data), "ERR")
    cards = {"INSTRUME": "ACS", "DETECTOR": "WFC", "EXPTIME": 500.0, "FILTER1": "F775W", "FILTER2": "CLEAR2L"}
    return to.write("j8wc_flc.fits", science, error, to.hdu(to.flags(256, 0, "i2"), "DQ"), **cards)


def wfc3(to):
    science = to.hdu(to.pixels(DRAWN / 1.4972e-19), "SCI", BUNIT="ELECTRONS/S", PHOTFLAM=1.4972e-19)
    cards = {"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS", "FILTER": "F814W"}
    return to.write("ibbs_drc.fits", science, to.hdu(to.weights(), "WHT"), **cards)


def wfpc2(to):
    # Counts, filters by numbers, and a header in one HDU.
    cards = {"INSTRUME": "WFPC2", "FILTER1": 38, "FILTNAM1": "F814W", "FILTNAM2": "", "EXPTIME": 6300.0}
    cards |= {"BUNIT": "COUNTS", "PHOTFLAM": 2.508e-18, "PHOTPLAM": 7996.8}
    science = to.hdu(to.pixels(6300 * DRAWN / 2.508e-18), kind=fits.PrimaryHDU, **cards)
    to.write("u2_wht.fits", to.hdu(to.weights(), kind=fits.PrimaryHDU))
    return to.write("u2_drz.fits", science)


def jwst(to):
    factor = jansky(pivot("NIRCAM", "F070W")) / 1e6 / to.area
    # The average area of a header is that of other pixels after another drizzle.
    cards = {"BUNIT": "MJy/sr", "PIXAR_SR": 2 * to.area, "PHOTMJSR": 3.5}
    data = to.pixels(factor)
    data[BAD] = np.nan
    more = [to.hdu(np.full_like(data, factor), "ERR"), to.hdu(to.flags(1, 1)[None], "CON")]
    more += [to.hdu(to.weights(), "WHT"), to.hdu(np.ones_like(data), "VAR_POISSON")]
    primary = {"TELESCOP": "JWST", "INSTRUME": "NIRCAM", "DETECTOR": "MULTIPLE", "FILTER": "F070W"}
    return to.write("jw_f070w_i2d.fits", to.hdu(data, "SCI", **cards), *more, **primary, PUPIL="CLEAR")


def dja(to):
    # The zero point ZP is not that of the pixels.
    cards = {"BUNIT": "10.0*nanoJansky", "PHOTFNU": 1e-8, "ZP": 28.0, "INSTRUME": "NIRCAM"}
    cards |= {"TELESCOP": "JWST", "FILTER": "F090W-CLEAR"}
    science = to.hdu(to.pixels(jansky(pivot("NIRCAM", "F090W")) / 1e-8), kind=fits.PrimaryHDU, **cards)
    to.write("gds-f090w_drc_wht.fits", to.hdu(to.weights(), kind=fits.PrimaryHDU))
    return to.write("gds-f090w_drc_sci.fits", science)


def euclid(to):
    factor = of_magnitude(24.6, pivot("VIS", "VIS"))
    cards = {"MAGZERO": 24.6, "FILTER": "VIS", "INSTRUME": "VIS", "TELESCOP": "EUCLID"}
    name = "EUC_MER_{}_TILE102018211-{}_20241018T1427{}.276838Z_00.00.fits"
    sigma = to.hdu(np.full(to.sky.hst.shape, factor, "f4"), kind=fits.PrimaryHDU)
    to.write(name.format("MOSAIC-VIS-RMS", "27D2BB", "22"), sigma)
    to.write(name.format("MOSAIC-VIS-FLAG", "3D8E5F", "35"), to.hdu(to.flags(1, 64), kind=fits.PrimaryHDU))
    science = to.hdu(to.pixels(factor), kind=fits.PrimaryHDU, **cards)
    return to.write(name.format("BGSUB-MOSAIC-VIS", "ACBD03", "10"), science)


def packed(to, data, name=None, **cards):
    """A compressed image, of which the noise is sampled finely."""
    return to.hdu(
        data, name, kind=lambda *args, **kw: fits.CompImageHDU(*args, quantize_level=64, **kw), **cards
    )


def legacy(to):
    factor = jansky(6417.6) / 3.631e-6
    names = "legacysurvey-0531m277-{}.fits.fz"
    to.write(names.format("invvar-r"), packed(to, to.weights()))
    to.write(names.format("maskbits"), packed(to, to.flags(1 << 6, 1 | 1 << 10)))
    to.write(names.format("psfsize-r"), packed(to, np.full(to.sky.hst.shape, 1.15, "f4")))
    science = packed(to, to.pixels(factor), BUNIT="nanomaggy", MAGZERO=22.5, FILTER="r")
    return to.write(names.format("image-r"), science, SURVEY="DECaLS")


def hsc(to):
    factor = of_magnitude(27.0, 6214.0)
    data = to.pixels(factor)
    # The plane DETECTED covers the objects.
    planes = {"MP_BAD": 0, "MP_SAT": 1, "HIERARCH MP_DETECTED": 5, "HIERARCH MP_NO_DATA": 8}
    mask = to.hdu(to.flags(1 << 8, 1 << 5), "MASK", **planes)
    variance = to.hdu(np.full_like(data, factor**2), "VARIANCE")
    primary = {"FLUXMAG0": 63095734448.0194, "FILTER": "HSC-R"}
    return to.write("calexp-HSC-R-9813.fits", to.hdu(data, "IMAGE"), mask, variance, **primary)


def des(to):
    science = packed(to, to.pixels(of_magnitude(30.0, 6417.6)), "SCI", MAGZERO=30.0, INSTRUME="DECam")
    science.header["FILTER"] = "r DECam SDSS c0002 6415.0 1480.0"
    mask, weight = packed(to, to.flags(1, 0, "i2"), "MSK"), packed(to, to.weights(), "WGT")
    return to.write("DES0332-2749_r.fits.fz", science, mask, weight)


def rubin(to):
    science = to.hdu(to.pixels(jansky(6207.6) * 1e9), "IMAGE", BUNIT="nJy")
    mask = to.hdu(to.flags(1, 1 << 5), "MASK", MP_BAD=0, **{"HIERARCH MP_DETECTED": 5})
    variance = to.hdu(np.ones_like(science.data), "VARIANCE", BUNIT="nJy**2")
    return to.write("deep_coadd_r.fits", science, mask, variance, INSTRUME="LSSTComCam", FILTER="r_03")


def kids(to):
    science = to.hdu(to.pixels(of_magnitude(0.0, 6300.0)), kind=fits.PrimaryHDU, FILTER="OCAM_r_SDSS")
    to.write("KiDS_DR4.0_53.2_-27.8_r_wei.fits", to.hdu(to.weights(), kind=fits.PrimaryHDU))
    to.write("KiDS_DR4.0_53.2_-27.8_r_msk.fits", to.hdu(to.flags(4, 0), kind=fits.PrimaryHDU))
    path = to.write("KiDS_DR4.0_53.2_-27.8_r_sci.fits", science)
    return read_reference(path, pivot=6300 * u.AA)


def nanojansky(to):
    science = to.hdu(to.pixels(jansky(8000.0) * 1e9), "SCI", PHOTPLAM=8000.0)
    # The unit is in the primary header only.
    return to.write("njy.fits", science, to.hdu(to.weights(), "IVAR"), BUNIT="nJy")


def megajansky(to):
    science = to.hdu(to.pixels(jansky(8000.0) / 1e6 / to.area), BUNIT="MJy/sr", PHOTPLAM=8000.0)
    return to.write("mjysr.fits", science, to.hdu(to.flags(1, 0), "BADPIX"))


def per_angstrom(to):
    science = to.hdu(to.pixels(DRAWN / 1e-18), BUNIT="10**-18 ergs/s/cm2/A")
    return to.write("flam.fits", science, to.hdu(to.flags(1, 0), "FLAG"))


def magnitude(to):
    path = to.write("zp.fits", to.hdu(to.pixels(of_magnitude(28.3, 6500.0)), BUNIT="ADU"))
    return read_reference(path, zeropoint=28.3, filter_name="r", pivot=6500.0, mask=to.flags(2, 0))


LAYOUTS = {
    one.__name__: one
    for one in (
        acs,
        acs_flc,
        wfc3,
        wfpc2,
        jwst,
        dja,
        euclid,
        legacy,
        hsc,
        des,
        rubin,
        kids,
        nanojansky,
        megajansky,
        per_angstrom,
        magnitude,
    )
}


@pytest.fixture(scope="module")
def written(sky, tmp_path_factory):
    """The sky in all layouts."""
    found = {}
    for name, layout in LAYOUTS.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = layout(Writer(sky, folder))
    return found


@pytest.fixture(scope="module")
def scales(sky, written):
    """The scales of fits with all layouts."""
    psf = {"hst_fwhm": 0.085, "hst_beta": 1.6}
    return {name: fit_image_photometry(source, sky.muse[0], **psf).scale for name, source in written.items()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_scale_of_one_sky_in_all_layouts(scales, name):
    values = np.array([scale.value for scale in scales.values()])
    assert abs(scales[name].value - 1) < 3 * scales[name].stdev
    assert scales[name].stdev < 0.02
    assert abs(scales[name].value - np.median(values)) < 5e-4


@pytest.mark.parametrize("name", LAYOUTS)
def test_fluxes_mask_and_variance(sky, written, name):
    image = rescale_hst_like_muse(written[name], sky.muse[0])
    bad = np.zeros(image.shape, dtype=bool)
    bad[BAD] = True
    np.testing.assert_array_equal(image.mask, bad)
    np.testing.assert_allclose(image.data[~bad], sky.hst.data[~bad] * DRAWN / 1e-20, rtol=1e-4, atol=2e-4)
    # Those of a plain mask have no variances.
    assert (image.uncertainty is None) == (name in ("megajansky", "per_angstrom", "magnitude"))


def without(written, keywords, tmp_path):
    """A copy of a file, without keywords in any of its headers, and its errors when it is read."""
    path = tmp_path / getattr(written, "given", written).name
    with fits.open(getattr(written, "given", written)) as hdus:
        for hdu in hdus:
            for keyword in keywords:
                hdu.header.remove(keyword, ignore_missing=True)
        hdus.writeto(path)
    return path


@pytest.mark.parametrize(
    ("name", "keywords", "reason"),
    [
        ("wfc3", ["PHOTFLAM"], "no usable zero point of the filter F814W, HST WFC3/UVIS .*PHOTFLAM, PHOTFNU"),
        ("wfpc2", ["PHOTFLAM"], r"the header has the unit ct and no usable zero point .*PHOTFLAM, PHOTFNU"),
        (
            "wfpc2",
            ["BUNIT"],
            "has PHOTFLAM but no BUNIT, and .*WFPC2.* can be in counts or in counts per sec",
        ),
        ("wfpc2", ["EXPTIME"], r"ct, PHOTFLAM is of counts per second, .*looked for EXPTIME, TEXPTIME"),
        ("acs", ["PHOTFLAM", "FILTER2"], "a filter without a name, HST ACS/WFC .*PHOTFLAM.*INSTRUME"),
        ("jwst", ["BUNIT"], "the header has no unit and no usable zero point .*BUNIT.*PHOTFLAM.*MAGZERO"),
        (
            "jwst",
            ["FILTER"],
            "pivot wavelength of a filter without a name .*PHOTPLAM, and INSTRUME with FILTER",
        ),
        ("dja", ["BUNIT"], "has PHOTFNU but no BUNIT"),
        ("dja", ["BUNIT", "PHOTFNU"], "no unit and no usable zero point .*BUNIT; PHOTFLAM, PHOTFNU; MAGZERO"),
        ("euclid", ["MAGZERO"], "no usable zero point of the filter VIS, Euclid VIS .*MAGZERO, MAGZPT"),
        (
            "legacy",
            ["BUNIT", "MAGZERO"],
            "no usable zero point of the filter R, Legacy Surveys .*BUNIT.*MAGZ",
        ),
        ("hsc", ["FLUXMAG0"], "no usable zero point of the filter HSC-R, HSC .*FLUXMAG0"),
        ("des", ["MAGZERO"], "no usable zero point .*MAGZERO"),
        ("rubin", ["BUNIT"], "no usable zero point .*BUNIT"),
        ("kids", [], "the pivot wavelength of the filter OCAM_R_SDSS .KiDS. .*PHOTPLAM.*give pivot"),
        ("nanojansky", ["PHOTPLAM"], "the pivot wavelength .*PHOTPLAM.*give pivot"),
        ("megajansky", ["BUNIT"], "no usable zero point .*BUNIT"),
        ("per_angstrom", ["BUNIT"], "no usable zero point .*BUNIT"),
        ("magnitude", [], "the unit adu and no usable zero point .*give zeropoint"),
    ],
)
def test_without_a_keyword(sky, written, tmp_path, name, keywords, reason):
    path = without(written[name], keywords, tmp_path)
    with pytest.raises(UserError, match=rf"{path.name}: .*{reason}") as caught:
        read_reference(path)
    with pytest.raises(UserError) as other:
        fit_image_photometry(path, sky.muse[0])
    assert str(other.value) == str(caught.value)
    # It can be given, but not for PHOTPLAM alone, which these headers lack.
    zero_point = 25.0 * u.ABmag if name == "magnitude" else 1e-30 * u.erg / u.s / u.cm**2 / u.AA
    given = read_reference(path, zeropoint=zero_point, pivot=7000.0)
    expected = 3631e-10 * 2.99792458e-5 / 7000**2 if name == "magnitude" else 1e-30
    # Of magnitude 0 in the AB system, 3631 Jy are rounded.
    np.testing.assert_allclose(given.pixel_flux.value, expected / 1e-20, rtol=1e-4)


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"BOFFSET": 1.0, "BSOFTEN": 2.0}, "asinh magnitudes of Pan-STARRS .*: convert them to linear"),
        (
            {"PHOTZP": 24.0, "PHOTSYS": "VEGA"},
            "PHOTZP is of Vega magnitudes .*PHOTSYS = VEGA.*: give that of AB",
        ),
        (
            {"MAGZERO": 24.6, "PHOTZP": 23.9},
            r"MAGZERO \(24.600 mag\) and PHOTZP \(23.900 mag\) of .* differ: give",
        ),
        ({"MAGZERO": "unknown"}, "no usable zero point"),
        ({"BUNIT": "mag", "MAGZERO": 24.6}, "the unit mag and no usable zero point"),
    ],
    ids=str,
)
def test_zero_points_that_are_refused(sky, cards, reason):
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(cards)
    hdu.header["PHOTPLAM"] = 6000.0
    with pytest.raises(UserError, match=reason):
        read_reference(hdu)


def test_unit_that_is_not_understood(sky):
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(BUNIT="furlong", PHOTFLAM=1e-19)
    with (
        pytest.warns(UserWarning, match="furlong"),
        pytest.raises(UserError, match="the unit 'furlong', which is not understood, and no usable"),
    ):
        read_reference(hdu)


def test_same_zero_point_in_two_keywords(sky):
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(MAGZERO=27.0, FLUXMAG0=63095734448.0194, PHOTPLAM=6000.0)
    expected = 3631 * 10 ** (-0.4 * 27) * 2.99792458e-5 / 6000**2
    np.testing.assert_allclose(read_reference(hdu).pixel_flux.value, expected / 1e-20, rtol=1e-6)


def test_camera_that_is_not_named(sky):
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(BUNIT="ELECTRONS/S", FILTER="F775W")
    with pytest.warns(
        UserWarning, match=r"neither PHOTFLAM nor INSTRUME: .* ACS/WFC F775W is used \(25.69 mag"
    ):
        assert read_reference(hdu).pixel_flux.value == pytest.approx(9.74)


def test_what_is_given_takes_precedence(sky, written):
    given = read_reference(written["euclid"], zeropoint=25.6, filter_name="new", pivot=500 * u.nm)
    assert (given.filter_name, given.pivot) == ("NEW", pytest.approx(5000.0))
    expected = 3631 * 10 ** (-0.4 * 25.6) * 2.99792458e-5 / 5000**2
    np.testing.assert_allclose(given.pixel_flux.value, expected / 1e-20, rtol=1e-6)
    assert given.kind.name == "Euclid VIS"
    again = read_reference(given, zeropoint=24.6)
    np.testing.assert_allclose(again.pixel_flux.value / given.pixel_flux.value, 10**0.4)
    assert again.filter_name == "NEW"
    assert read_reference(written["euclid"]).filter_name == "VIS"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"zeropoint": np.nan}, "zeropoint is nan: give an AB magnitude"),
        ({"zeropoint": 3 * u.m}, "zeropoint is in m: give it in mag"),
        ({"pivot": -5.0}, "pivot is -5.0: give a wavelength"),
        (
            {"mask": np.zeros((3, 4))},
            "an image of 4 x 3 pixels, and the image 507 x 507: give the mask",
        ),
        ({"weight": "gone.fits"}, "gone.fits does not exist"),
    ],
    ids=str,
)
def test_options_that_are_refused(sky, options, reason):
    with pytest.raises(UserError, match=reason):
        read_reference(sky.hst, **options)


@pytest.mark.parametrize("kind", ["path", "HDU", "HDUList", "CCDData"])
def test_what_is_given_is_not_changed(sky, written, kind):
    image = read_image(written["wfc3"])
    with fits.open(written["wfc3"]) as hdus:
        whole = {"path": str(written["wfc3"]), "HDU": hdus["SCI"], "HDUList": hdus, "CCDData": image}[kind]
        before = str(image.meta), [str(hdu.header) for hdu in hdus]
        reference = read_reference(whole, zeropoint=25.0, filter_name="X", pivot=6000.0)
        expected = 3631e-10 * 2.99792458e-5 / 6000**2 / 1e-20
        found = reference.image()
        np.testing.assert_allclose(found.data, image.data * expected, rtol=1e-5)
        assert found.meta["FILTER"] == reference.filter_name == "X"
        if kind != "HDU":
            np.testing.assert_array_equal(found.mask, image.mask)
        assert before == (str(image.meta), [str(hdu.header) for hdu in hdus])


def test_files_that_are_given(sky, written, tmp_path):
    sigma = np.full(sky.hst.shape, 0.5)
    sigma[:, :300] = 1.0
    fits.writeto(tmp_path / "mask.fits", np.where(sigma == 0.5, 0, 4))
    image = read_image(read_reference(written["jwst"], sigma=sigma, mask=tmp_path / "mask.fits"))
    assert image.mask[:, :300].all()
    assert image.mask[BAD].all()
    assert not image.mask[300:, 300:].any()
    np.testing.assert_array_equal(image.uncertainty.array, sigma**2)
    weight = np.where(sigma == 0.5, 4.0, 0.0)
    image = read_image(read_reference(written["per_angstrom"], weight=fits.PrimaryHDU(weight)))
    assert image.mask[:, :300].all()
    assert np.all(image.uncertainty.array[:, 300:] == 0.25)


def test_a_copy_in_another_process(written):
    reference = pickle.loads(pickle.dumps(written["magnitude"]))
    assert isinstance(reference, Reference)
    assert reference.pixel_flux == written["magnitude"].pixel_flux
    assert repr(reference) == repr(written["magnitude"])
    assert "unknown kind" in repr(reference)


def test_every_function_takes_a_reference(sky, written):
    muse, star = sky.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    plain, given = written["acs"], written["magnitude"]
    one, other = (make_template(hst, muse) for hst in (plain, given))
    np.testing.assert_allclose(other.data, one.data, rtol=1e-4, atol=1e-4)
    kept = HstReference(given).template(muse)
    np.testing.assert_array_equal(kept.data, other.data)
    plain = written["per_angstrom"]
    one, other = (fit_star_photometry(hst, muse, star).scale for hst in (plain, given))
    assert abs(one.value - other.value) < 1e-4
    fits_of_both = fit_image_and_star_photometry(given, muse, star)
    assert abs(fits_of_both[1].scale.value - one.value) < 1e-4


@pytest.mark.parametrize(
    ("name", "psf"),
    [
        ("acs", (0.085, 1.6)),
        ("wfc3", (0.08, 1.6)),
        ("jwst", (0.045, 1.6)),
        ("euclid", (0.16, 2.5)),
        # Of the map beside the image.
        ("legacy", (1.15, 2.5)),
        ("nanojansky", None),
    ],
)
def test_psf(written, name, psf):
    found = read_reference(written[name]).psf
    assert found == (None if psf is None else pytest.approx(psf, abs=1e-3))


def test_psf_of_the_header(sky):
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(MAGZERO=27.0, INSTRUME="OMEGACAM", OBJECT="KIDS_53", PSF_FWHM=0.66)
    assert read_reference(hdu, pivot=6300.0).psf == (0.66, 2.5)


def test_add_a_kind(sky, monkeypatch):
    # One row is all that is needed.
    hdu = fits.PrimaryHDU(sky.hst.data, sky.hst.wcs.to_header())
    hdu.header.update(INSTRUME="NEWCAM", PHOTPLAM=6000.0)
    with pytest.raises(UserError, match="unknown kind"):
        read_reference(hdu)
    row = reference_kinds.ReferenceKind(
        name="New", cards=({"INSTRUME": "NEWCAM"},), zero_point=30.0, fwhm=0.3
    )
    monkeypatch.setattr(reference_kinds, "KINDS", (row, *reference_kinds.KINDS))
    reference = read_reference(hdu)
    assert (reference.kind, reference.psf) == (row, (0.3, 1.6))
    expected = 3631e-12 * 2.99792458e-5 / 6000**2
    np.testing.assert_allclose(reference.pixel_flux.value, expected / 1e-20, rtol=1e-6)


def test_errors_elsewhere_have_no_name_of_a_reference(sky, written):
    with HstReference(written["magnitude"]).opened() as hst:
        _ = hst.template(sky.muse[0])
        with pytest.raises(UserError, match="^the filter curve F606X.txt"):
            FilterCurve.read("F606X.txt")
        assert FILE_NAME.get() == ""
    assert FILE_NAME.get() == ""


def test_psf_of_a_fit_is_that_of_the_camera(sky, written):
    options = {"fix_beta": 2.5, "background": "constant"}
    fit = fit_image_photometry(written["wfc3"], sky.muse[0], **options)
    assert (fit.options.hst_fwhm, fit.options.hst_beta) == (0.08, 1.6)
    given = fit_image_photometry(written["acs"], sky.muse[0], hst_fwhm=0.08, **options)
    assert abs(fit.fwhm.value - given.fwhm.value) < 1e-4
    template = make_template(written["wfc3"], sky.muse[0])
    assert default_psf(template) == (0.08, 1.6)


def test_psf_of_a_camera_that_is_not_known(sky):
    image = sky.hst.copy()
    image.meta = {"INSTRUME": "NEWCAM"}
    with pytest.warns(UserWarning, match=r"the PSF of images of NEWCAM is not known, and FWHM 0.085 arcsec"):
        assert default_psf(image) == (0.085, 1.6)
    image.meta = {}
    assert default_psf(image) == (0.085, 1.6)


def test_star_in_an_image_with_weights(sky, written):
    star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    scales = [fit_star_photometry(written[one], sky.muse[0], star).scale for one in ("acs", "per_angstrom")]
    assert abs(scales[0].value - scales[1].value) < 0.1 * scales[0].stdev
