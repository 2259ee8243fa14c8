"""Units as they are written in headers: the right factors, or an error with the unit."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astropy_imphot import UserError, bandpass_image, read_reference
from astropy_imphot.calibration.units import read_muse_image
from astropy_imphot.io.errors import ImphotWarning
from astropy_imphot.io.images import read_image

PIXEL = 0.2
SQUARE_PIXEL = PIXEL**2
STERADIANS = (PIXEL / 3600 * np.pi / 180) ** 2
PIVOT = 6000.0

# 1 Jy at the pivot wavelength in erg/s/cm2/Angstrom: c is 2.99792458e18 Angstrom/s.
JANSKY = 1e-23 * 2.99792458e18 / PIVOT**2

# What 1 is in erg/s/cm2/Angstrom per pixel.
PER_ANGSTROM = {
    "10**(-20)*erg/s/cm**2/Angstrom": 1e-20,
    "10**-20 erg/s/cm2/Angstrom": 1e-20,
    "10^-20 erg/s/cm^2/A": 1e-20,
    "10^(-20) erg/s/cm^2/Angstrom": 1e-20,
    "10**(-20)erg.s**-1.cm**-2.Angstrom**-1": 1e-20,
    "10**(-20)*erg.s**(-1).cm**(-2).angstrom**(-1)": 1e-20,
    "1e-20 erg s-1 cm-2 Angstrom-1": 1e-20,
    "1E-20 ergs/s/cm2/A": 1e-20,
    "1.e-20*erg/s/cm^2/Angstroem": 1e-20,
    "10^-20erg/s/cm2/Ang": 1e-20,
    "x10^-20 erg/s/cm2/A": 1e-20,
    "E-20 erg/s/cm2/A": 1e-20,
    "erg/s/cm2/A * 1e-20": 1e-20,
    "[10**(-20) erg/s/cm2/A]": 1e-20,
    "(10**(-20)*erg/s/cm**2/Angstrom)": 1e-20,
    "10e-20 erg/s/cm2/A": 1e-19,
    "1e-20 erg/s/cm2/A/spaxel": 1e-20,
    "1e-18 erg/s/cm2/A/pixel": 1e-18,
    "1e-18 erg/s/cm2/A/arcsec2": 1e-18 * SQUARE_PIXEL,
    "ergs/s/cm2/A": 1,
    "erg/A/s/cm2": 1,
    "ergs/cm**2/s/ang": 1,
    "ERG/CM2/S/A": 1,
    "ERGS/S/CM**2/ANGSTROM": 1,
    "erg s^-1 cm^-2 AA^-1": 1,
    "erg sec-1 cm-2 A-1": 1,
    "erg/(s.cm2.A)": 1,
    "FLAM": 1,
    "flam": 1,
    "W/m2/um": 0.1,
    "W m-2 micron-1": 0.1,
}
PER_HERTZ = {
    "nJy": 1e-9 * JANSKY,
    "NJY": 1e-9 * JANSKY,
    "uJy": 1e-6 * JANSKY,
    "mJy": 1e-3 * JANSKY,
    "JY": JANSKY,
    "nJy/pixel": 1e-9 * JANSKY,
    "10.0*nanoJansky": 1e-8 * JANSKY,
    "1e-8 Jy": 1e-8 * JANSKY,
    "MJy/sr": 1e6 * JANSKY * STERADIANS,
    "MJY/SR": 1e6 * JANSKY * STERADIANS,
    "mJy/arcsec**2": 1e-3 * JANSKY * SQUARE_PIXEL,
    "ergs/s/cm2/Hz": 1e23 * JANSKY,
    "FNU": 1e23 * JANSKY,
    "nanomaggies": 3.631e-6 * JANSKY,
}
RATES = (
    "ELECTRONS/S",
    "e-/s",
    "e-/sec",
    "e/s",
    "E S-1",
    "electrons/second/pixel",
    "COUNTS/S",
    "cts/s",
    "CPS",
    "DN/S",
    "ADU/s",
)
COUNTS = ("ELECTRONS", "ELECTRON", "e-", "COUNTS", "CTS", "DN", "ADU")
NOT_UNDERSTOOD = ("STFLAM", "STMAG", "ABMAG", "PHOTLAM", "MJY", "furlong", "10**(-20)*erg/s/cm**2/Angstorm")


def hdu(bunit, shape=(4, 5), **cards):
    made = fits.ImageHDU(np.ones(shape), name="SCI")
    made.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=-PIXEL / 3600, CDELT2=PIXEL / 3600)
    made.header.update({"BUNIT": bunit} if bunit is not None else {}, **cards)
    return made


@pytest.mark.parametrize("bunit", [*PER_ANGSTROM, *PER_HERTZ])
def test_flux_of_a_reference(bunit):
    # PHOTFLAM is of counts per second, and not of a flux.
    reference = read_reference(hdu(bunit, PHOTPLAM=PIVOT, PHOTFLAM=3e-19))
    expected = (PER_ANGSTROM | PER_HERTZ)[bunit]
    np.testing.assert_allclose(reference.pixel_flux.value, expected / 1e-20, rtol=1e-6)


@pytest.mark.parametrize("bunit", PER_ANGSTROM)
@pytest.mark.parametrize("place", ["image", "primary", "blank in the image"])
def test_flux_of_a_muse_image(bunit, place):
    own = {"image": bunit, "primary": None, "blank in the image": "  "}[place]
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu(own)])
    if place != "image":
        hdus[0].header["BUNIT"] = bunit
    np.testing.assert_allclose(read_muse_image(hdus).data, PER_ANGSTROM[bunit] / 1e-20, rtol=1e-6)


@pytest.mark.parametrize("place", [0, 1])
def test_flux_of_a_cube(place):
    axis = {"CTYPE3": "AWAV", "CUNIT3": "Angstrom", "CRVAL3": 6000.0, "CDELT3": 1.25, "CRPIX3": 1.0}
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu(None, (3, 4, 5), **axis)])
    hdus[1].name = "DATA"
    hdus[place].header["BUNIT"] = "10**(-18)*erg/s/cm**2/Angstrom"
    image = bandpass_image(hdus, ([6000, 6002], [1, 1]))
    np.testing.assert_allclose(read_muse_image(image).data, 100)


@pytest.mark.parametrize("keyword", ["EXPTIME", "TEXPTIME"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("bunit", [*RATES, *COUNTS])
def test_counts_of_a_reference(bunit, place, keyword):
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu(None, PHOTFLAM=3e-19)])
    hdus[place].header["BUNIT"] = bunit
    hdus[1 - place].header[keyword] = 800.0
    expected = 30 / (800.0 if bunit in COUNTS else 1)
    np.testing.assert_allclose(read_reference(hdus).pixel_flux.value, expected, rtol=1e-6)


@pytest.mark.parametrize("time", [{}, {"EXPTIME": 0.0}, {"EXPTIME": "unknown"}], ids=str)
@pytest.mark.parametrize("zero_point", [{"PHOTFLAM": 3e-19}, {"INSTRUME": "ACS", "FILTER": "F606W"}], ids=str)
@pytest.mark.parametrize("bunit", COUNTS)
def test_counts_without_an_exposure_time(bunit, zero_point, time):
    words = r"the image is in \w+, .* is of counts per second, .* no exposure time .*: add EXPTIME"
    with pytest.raises(UserError, match=words):
        read_reference(hdu(bunit, **zero_point, **time))


@pytest.mark.parametrize("bunit", NOT_UNDERSTOOD)
@pytest.mark.filterwarnings("ignore:.*is not understood and ignored")
def test_unit_that_is_not_understood(tmp_path, bunit):
    path = tmp_path / "one.fits"
    fits.HDUList([fits.PrimaryHDU(), hdu(bunit, PHOTFLAM=3e-19, PHOTPLAM=PIVOT)]).writeto(path)
    name = bunit.replace("(", r"\(").replace(")", r"\)").replace("*", r"\*")
    with pytest.raises(
        UserError, match=rf"one\.fits: .* has the unit '{name}', which is not understood.*BUNIT"
    ):
        read_reference(path)
    words = rf"one\.fits: the MUSE image has the unit '{name}' \(BUNIT\), .* not understood: write it as"
    with pytest.raises(UserError, match=words):
        read_muse_image(path)


@pytest.mark.parametrize("bunit", [*PER_HERTZ, "Jy/beam", "mag", *RATES, *COUNTS])
def test_muse_image_in_another_unit(bunit):
    with pytest.raises(UserError, match=r"the MUSE image is in .* \(BUNIT\): convert it to 1e-20 erg"):
        read_muse_image(hdu(bunit))


@pytest.mark.parametrize("bunit", [None, "", "1"])
def test_no_unit(bunit):
    with pytest.warns(ImphotWarning, match="the MUSE image has no unit: 1e-20 erg .* is assumed"):
        assert np.all(read_muse_image(hdu(bunit)).data == 1)
    assert read_image(hdu(bunit)).unit == u.dimensionless_unscaled
