"""Distortions in headers, against formulas written by hand: right positions, one warning, nothing printed."""

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS, DistortionLookupTable

from astropy_imphot import UserError, fit_image_photometry, read_image, write_image
from astropy_imphot.cli import fit_photometry, make_wideband_image, regrid_hst_to_muse
from astropy_imphot.io.errors import ImphotWarning
from astropy_imphot.io.grid import read_grid
from astropy_imphot.simulation import muse_cube, simulate_field

SHAPE = (300, 400)
PIXEL = 0.03 / 3600
CENTER = 53.16, -27.78
X, Y = np.array([0.0, 399.0, 30.0, 399.0]), np.array([0.0, 10.0, 299.0, 299.0])

# Distances from CRPIX, pixels.
U, V = X - 199.5, Y - 149.5
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "A_0_2": 2e-5, "B_1_1": -5e-5, "B_2_0": 3e-5}
DRIZZLED = {"CD1_1": -PIXEL, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": PIXEL}
SHEARED = DRIZZLED | {"CD1_2": 0.05 * PIXEL}
SCAMP = {"PV1_0": 1e-4, "PV1_1": 1.001, "PV1_2": 2e-3, "PV2_0": -2e-4, "PV2_1": 0.999, "PV2_2": 0.0}
SCAMP_2 = SCAMP | {"PV1_4": 2.0, "PV1_6": -1.0, "PV2_5": 3.0}
LOOKUP = {"CPDIS1": "LOOKUP", "CPDIS2": "LOOKUP", "DP1.EXTVER": 1.0, "DP1.NAXES": 2.0, "D2IMDIS1": "LOOKUP"}
TNX = {
    "CTYPE1": "RA---TNX",
    "CTYPE2": "DEC--TNX",
    "WAT0_001": "system=image",
    "WAT1_001": 'wtype=tnx axtype=ra lngcor = "3. 4. 4. 2. 0. 1. 0. 1. "',
}
OLD = {"AXISCORR": 1, "D2IMEXT": "jref$a.fits", "D2IMERR": 0.002}


def header(*cards, suffix=""):
    made = fits.Header({"CTYPE1": f"RA---TAN{suffix}", "CTYPE2": f"DEC--TAN{suffix}"})
    made.update(CRVAL1=CENTER[0], CRVAL2=CENTER[1], CRPIX1=200.5, CRPIX2=150.5)
    for one in cards:
        made.update(one)
    return made


def on_the_sky(xi, eta):
    """The places of standard coordinates (degrees) of a gnomonic projection."""
    xi, eta = np.radians(xi), np.radians(eta)
    ra, dec = np.radians(CENTER)
    below = np.cos(dec) - eta * np.sin(dec)
    alpha = ra + np.arctan2(xi, below)
    return SkyCoord(alpha, np.arctan2(np.sin(dec) + eta * np.cos(dec), np.hypot(xi, below)), unit="rad")


def linear(u=U, v=V, shear=0.0):
    return on_the_sky(PIXEL * (shear * v - u), PIXEL * v)


def with_sip(shear=0.0):
    return linear(U + 1e-4 * U**2 + 2e-5 * V**2, V - 5e-5 * U * V + 3e-5 * U**2, shear)


def with_scamp(cards):
    """The polynomials of the TPV convention."""
    xi, eta = -PIXEL * U, PIXEL * V
    one, two = ({key[4:]: value for key, value in cards.items() if key[2] == axis} for axis in "12")
    terms = {"0": 0 * xi + 1, "1": xi, "2": eta, "4": xi**2, "5": xi * eta, "6": eta**2}
    swapped = {"0": 0 * xi + 1, "1": eta, "2": xi, "4": eta**2, "5": xi * eta, "6": xi**2}
    parts = ((one, terms), (two, swapped))
    return on_the_sky(*(sum(value * basis[key] for key, value in some.items()) for some, basis in parts))


# Headers, the places of their pixels, and the warning.
CASES = {
    "SIP left after drizzling": (
        header(DRIZZLED, SIP),
        linear,
        r"SIP .* not used: CTYPE1 is RA---TAN, without",
    ),
    "with its inverse": (
        header(DRIZZLED, SIP, {"AP_ORDER": 2, "BP_ORDER": 2, "AP_2_0": -1e-4}),
        linear,
        "SIP",
    ),
    "half of SIP": (header(DRIZZLED, {"A_ORDER": 2, "A_2_0": 1e-4}), linear, "SIP"),
    "SIP of order 0": (header(DRIZZLED, {"A_ORDER": 0, "B_ORDER": 0}), linear, ""),
    "SIP": (header(DRIZZLED, SIP, suffix="-SIP"), with_sip, ""),
    "SIP, sheared": (header(SHEARED, SIP, suffix="-SIP"), lambda: with_sip(0.05), ""),
    "SIP on one axis": (header(DRIZZLED, SIP, {"CTYPE1": "RA---TAN-SIP"}), with_sip, ""),
    "-SIP without coefficients": (header(DRIZZLED, suffix="-SIP"), linear, ""),
    "SCAMP": (header(DRIZZLED, SCAMP), lambda: with_scamp(SCAMP), "PV2_0 .* is read as TPV"),
    "SCAMP, second order": (header(DRIZZLED, SCAMP_2), lambda: with_scamp(SCAMP_2), "PV2_0 .* as TPV"),
    "SCAMP, identity": (header(DRIZZLED, {"PV1_1": 1.0, "PV2_1": 1.0}), linear, "PV2_1 .* as TPV"),
    "TPV": (
        header(DRIZZLED, SCAMP_2, {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}),
        lambda: with_scamp(SCAMP_2),
        "",
    ),
    "PV without effect": (header(DRIZZLED, {"PV2_1": 0.0, "PV2_2": 0.0}), linear, ""),
    "native pole": (header(DRIZZLED, {"PV1_1": 0.0, "PV1_2": 90.0, "PV1_3": 180.0}), linear, ""),
    "SIP and SCAMP": (
        header(DRIZZLED, SIP, SCAMP, suffix="-SIP"),
        with_sip,
        "SIP coefficients and PV2_0, which is",
    ),
    "SIP left, and SCAMP": (header(DRIZZLED, SIP, SCAMP), lambda: with_scamp(SCAMP), "SIP .*; .* as TPV"),
    "tables left": (header(DRIZZLED, LOOKUP), linear, "the distortion CPDIS1 has no table in the file"),
    "column table left": (header(DRIZZLED, {"D2IMDIS1": "LOOKUP"}), linear, "D2IMDIS1 has no table"),
    "old table left": (header(DRIZZLED, OLD), linear, "AXISCORR has no table in the file"),
    "all left": (header(DRIZZLED, SIP, LOOKUP), linear, "CPDIS1 has no table .*; .* SIP"),
}


@pytest.mark.parametrize("kind", ["reference", "MUSE image", "HDU"])
@pytest.mark.parametrize("case", CASES)
def test_positions(tmp_path, capsys, case, kind):
    cards, places, words = CASES[case]
    source = hdu = fits.ImageHDU(np.ones(SHAPE, "f4"), cards, name="DATA" if kind == "MUSE image" else "SCI")
    if kind != "HDU":
        source = tmp_path / "one.fits"
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wcs = read_grid(source).wcs
    assert wcs.pixel_to_world(X, Y).separation(places()).arcsec.max() < 1e-6
    assert len(caught) == bool(words)
    with pytest.warns(ImphotWarning, match=words) if words else warnings.catch_warnings():
        written = tmp_path / "again.fits"
        write_image(read_image(source), written)
    assert read_grid(written).wcs.pixel_to_world(X, Y).separation(places()).arcsec.max() < 1e-5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        (
            header(SHEARED, SIP),
            "SIP coefficients .*, and CTYPE1 has no -SIP: add -SIP to CTYPE1 and CTYPE2, or",
        ),
        (
            header(DRIZZLED, {"A_ORDER": 2, "A_2_0": 1e-4}, suffix="-SIP"),
            "SIP coefficients and no B_ORDER: add it",
        ),
        (
            header(DRIZZLED, TNX),
            r"WCS .* cannot be read \(.*\): correct",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_headers_that_are_refused(tmp_path, cards, words):
    fits.writeto(tmp_path / "one.fits", np.ones(SHAPE, "f4"), cards)
    with pytest.raises(UserError, match=rf"one\.fits: the .*{words}") as caught:
        read_grid(tmp_path / "one.fits")
    assert "\n" not in str(caught.value)


def test_tables_in_the_file(tmp_path):
    wcs = WCS(header(DRIZZLED))
    table = np.random.default_rng(1).normal(0, 5, (4, 5)).astype("f4")
    wcs.cpdis1 = DistortionLookupTable(table, (1, 1), (1, 1), (100.0, 100.0))
    wcs.cpdis2 = DistortionLookupTable(-table, (1, 1), (1, 1), (100.0, 100.0))
    hdus = wcs.to_fits(relax=True)
    science = fits.ImageHDU(np.ones(SHAPE, "f4"), hdus[0].header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), science, *hdus[1:]]).writeto(tmp_path / "one.fits")
    found = read_grid(tmp_path / "one.fits").wcs.pixel_to_world(X, Y)
    # At a corner of the table, the first number of it, pixels.
    np.testing.assert_allclose(
        found[0].separation(linear(U + table[0, 0], V - table[0, 0])[0]).arcsec, 0, atol=1e-6
    )
    assert found.separation(linear()).arcsec.max() > 0.01


def test_image_in_memory(capsys):
    # As CCDData.read makes it.
    image = CCDData(np.ones(SHAPE), unit="ct", wcs=WCS(header(DRIZZLED, SIP)))
    capsys.readouterr()
    for read in (read_grid, read_image):
        with pytest.warns(ImphotWarning, match="SIP .* not used") as caught:
            wcs = read(image).wcs
        assert len(caught) == 1
        assert wcs.pixel_to_world(X, Y).separation(linear()).arcsec.max() < 1e-6
    assert image.wcs.sip is not None
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match="add -SIP"):
        read_grid(CCDData(np.ones(SHAPE), unit="ct", wcs=WCS(header(SHEARED, SIP))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An HST image, two MUSE images and a cube, in which SIP coefficients were left, and the field."""
    folder = tmp_path_factory.mktemp("left")
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    write_image(field.hst, folder / "hst.fits")
    for name in ("E1.fits", "E2.fits"):
        write_image(field.muse[0], folder / name)
    muse_cube(field.muse[0], np.arange(6900.0, 8700.0, 50.0), noise=0.5, seed=1).writeto(folder / "cube.fits")
    for path in folder.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            for hdu in hdus[1:]:
                hdu.header.update(SIP)
    return folder, field


@pytest.mark.filterwarnings("default::astropy_imphot.io.errors.ImphotWarning")
@pytest.mark.parametrize(
    ("command", "words", "files"),
    [
        (fit_photometry, "hst.fits E1.fits E2.fits --fix_beta 2.5 --nprocess 1", ["hst", "E1", "E2"]),
        (make_wideband_image, "F775W cube.fits", ["cube"]),
        (regrid_hst_to_muse, "E1.fits hst.fits", ["E1", "hst"]),
    ],
    ids=["fit_photometry", "make_wideband_image", "regrid_hst_to_muse"],
)
def test_commands_print_only_their_results(folder, monkeypatch, capfd, command, words, files):
    monkeypatch.chdir(folder[0])
    assert command.main(words.split()) == 0
    printed = capfd.readouterr()
    for line in printed.out.splitlines():
        assert line.startswith(("#", "E1 ", "E2 ", "F775W_", "hst_")), line
    own = [line for line in printed.err.splitlines() if line.startswith(command.__name__.split(".")[-1])]
    for name in files:
        assert f"{name}.fits: the header has SIP coefficients" in printed.err
        # Workers give their own warnings.
        assert sum(f"{name}.fits: the header has SIP" in line for line in own) <= 1


def test_offset_of_a_fit(folder):
    path, field = folder
    options = {"fix_beta": 2.5, "background": "constant"}
    expected = fit_image_photometry(field.hst, field.muse[0], **options)
    with pytest.warns(ImphotWarning, match="SIP .* not used"):
        fit = fit_image_photometry(path / "hst.fits", path / "E1.fits", **options)
    # Pixels of files are in single precision.
    assert abs(fit.dx.value - expected.dx.value) < 2e-4
    assert abs(fit.dy.value - expected.dy.value) < 2e-4
