"""PSF images against GalSim's transforms and direct sums."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose
from photutils.psf import ImagePSF

from astropy_imphot import UserError, write_image
from astropy_imphot.psf import moffat
from astropy_imphot.psf.epsf import build_hst_psf
from astropy_imphot.psf.images import HstPsf, read_hst_psf
from astropy_imphot.simulation import sky_grid

galsim = pytest.importorskip("galsim", reason="galsim is not installed")

PIXEL = 0.03
AIRY = galsim.Convolve(galsim.Airy(lam=775, diam=2.4, obscuration=0.33), galsim.Pixel(0.05))
MOFFAT = galsim.Moffat(fwhm=0.085, beta=1.6)

# What a telescope out of line would make: round it is not, nor the same from both sides.
COMA = galsim.Add(
    [
        galsim.Moffat(fwhm=0.09, beta=3, flux=0.7).shear(e1=0.15, e2=0.1),
        galsim.Gaussian(fwhm=0.15, flux=0.2).shift(0.06, 0.02),
        galsim.Gaussian(fwhm=0.2, flux=0.1).shift(0.02, 0.15),
    ]
)


def draw(profile, shape, place, scale=PIXEL):
    """Draw a profile at a 0-based place (y, x)."""
    image = galsim.ImageD(shape[1], shape[0], xmin=0, ymin=0)
    profile.drawImage(image, scale=scale, center=galsim.PositionD(place[1], place[0]), method="no_pixel")
    return image.array


def transform(profile, fy, fx):
    """Return GalSim's transform of a profile."""
    fy, fx = np.broadcast_arrays(fy, fx)
    values = [profile.kValue(2 * np.pi * x, 2 * np.pi * y) for y, x in zip(fy.flat, fx.flat, strict=True)]
    return np.reshape(values, fy.shape)


def direct_sum(data, scale, center, fy, fx, axes):
    """Return the sum over all pixels, at their places along the MUSE axes."""
    y, x = np.indices(data.shape)
    hst = np.array([(x - center[1]) * scale[1], (y - center[0]) * scale[0]]).reshape(2, -1)
    x, y = np.linalg.solve(axes, hst)
    fy, fx = np.broadcast_arrays(fy, fx)
    sums = [
        np.sum(data.ravel() * np.exp(-2j * np.pi * (v * y + u * x)))
        for v, u in zip(fy.flat, fx.flat, strict=True)
    ]
    return np.reshape(sums, fy.shape)


def grid(limit, count):
    f = np.linspace(-limit, limit, count)
    return f[:, np.newaxis], f[np.newaxis]


def turned(degrees, mirrored=False):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if mirrored else 1, 1])


def test_otf_is_a_moffats():
    psf = read_hst_psf(draw(galsim.Moffat(fwhm=0.12, beta=3), (301, 301), (150, 150)), PIXEL)
    fy, fx = grid(3, 13)
    assert_allclose(psf.otf(fy, fx), moffat.MOFFAT.otf(np.hypot(fy, fx), 0.12, 3), atol=2e-4)


def test_otf_is_an_obscured_airys():
    psf = read_hst_psf(draw(AIRY, (501, 501), (250, 250)), PIXEL)
    fy, fx = grid(3, 14)
    assert_allclose(psf.otf(fy, fx), transform(AIRY, fy, fx), atol=2e-3)


def test_light_outside_of_the_array_is_kept_missing():
    """A PSF drawn with unit flux is right at all but the lowest frequencies."""
    data = draw(MOFFAT, (151, 151), (75, 75))
    assert 0.98 < data.sum() < 0.99
    f = np.linspace(0.5, 3, 6)
    expected = moffat.MOFFAT.otf(f, 0.085, 1.6)
    assert_allclose(read_hst_psf(data, PIXEL).otf(0, f) / expected, 1, atol=3e-3)
    assert_allclose(read_hst_psf(5 * data, PIXEL).otf(0, f) / expected, 1 / data.sum(), atol=3e-3)
    assert_allclose(read_hst_psf(5 * data, PIXEL).data.sum(), 1)


@pytest.mark.parametrize("axes", [np.eye(2), turned(25), turned(-110, mirrored=True)])
def test_otf_is_the_direct_sum(axes):
    data = draw(COMA, (45, 60), (25, 28))
    # Far from the center, the transform of this light varies fast.
    data = 0.9 * data / data.sum()
    data[2, 57] += 0.1
    psf = HstPsf(data, (PIXEL, 0.04), (25.2, 27.7))
    fy, fx = grid(5, 31)
    expected = direct_sum(data, psf.pixel_scale, psf.center, fy, fx, axes)
    assert_allclose(psf.otf(fy, fx, axes), expected, atol=1e-4)
    if np.array_equal(axes, np.eye(2)):
        assert_allclose(psf.otf(fy, fx), expected, atol=1e-4)


@pytest.mark.parametrize("axes", [turned(35), turned(35, mirrored=True)])
def test_axes_turn_the_psf(axes):
    """GalSim draws the PSF in HST's axes, and transforms the one in MUSE's."""
    place = np.array([70.3, 69.6])
    psf = read_hst_psf(draw(COMA, (141, 141), place), PIXEL)
    in_muse = COMA.transform(*np.linalg.inv(axes).ravel())
    center = np.linalg.solve(axes, (psf.center - place)[::-1] * PIXEL)
    fy, fx = grid(3, 9)
    assert_allclose(psf.otf(fy, fx, axes), transform(in_muse.shift(*-center), fy, fx), atol=1e-3)


def test_zero_beyond_the_nyquist_frequency():
    data = draw(MOFFAT, (41, 51), (20, 25), scale=0.1)
    psf = HstPsf(data, (0.1, 0.05), (20.0, 25.0))
    fy, fx = np.array([[-5.01], [-4.99], [0], [4.99], [5.01]]), np.array([[-10.01, -9.99, 0, 9.99, 10.01]])
    outside = psf.otf(fy, fx) == 0
    assert_allclose(outside, (np.abs(fy) > 5) | (np.abs(fx) > 10))
    expected = direct_sum(data, psf.pixel_scale, psf.center, fy, fx, np.eye(2))
    assert_allclose(psf.otf(fy, fx), np.where(outside, 0, expected), atol=1e-4)


@pytest.mark.parametrize("profile", [MOFFAT, MOFFAT.shear(e1=0.2, e2=0.1), AIRY])
@pytest.mark.parametrize(
    ("shape", "place"), [((101, 101), (50.4, 49.7)), ((100, 102), (49.5, 50.5)), ((120, 101), (70.2, 40.9))]
)
def test_place_in_the_array_has_no_phase(profile, shape, place):
    psf = read_hst_psf(draw(profile, shape, place), PIXEL)
    assert_allclose(psf.center, place, atol=0.001 / PIXEL)
    fy, fx = grid(1, 7)
    # 1 mas, at one cycle per arcsec along both axes.
    assert np.max(np.abs(np.angle(psf.otf(fy, fx)))) < 2 * np.pi * 0.001 * np.sqrt(2)


def test_copies():
    psf = read_hst_psf(draw(MOFFAT, (41, 41), (20, 20)), PIXEL)
    assert copy.deepcopy(psf) is psf
    before = len(pickle.dumps(psf))
    otf = psf.otf(*grid(3, 5))
    dumped = pickle.dumps(psf)
    assert len(dumped) == before < 1.1 * psf.data.nbytes
    assert_allclose(pickle.loads(dumped).otf(*grid(3, 5)), otf)


def sources(tmp_path, data):
    header = fits.Header({"PIXSCALE": PIXEL})
    image = fits.ImageHDU(data, header)
    primary = fits.PrimaryHDU(header=header)
    fits.PrimaryHDU(data, header).writeto(tmp_path / "psf.fits")
    yield str(tmp_path / "psf.fits")
    yield tmp_path / "psf.fits"
    yield image
    yield fits.HDUList([primary, fits.ImageHDU(data)])
    yield fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 9, 9))), image])
    yield CCDData(data, unit="adu", meta=header)
    yield NDData(data, meta={"PIXSCALE": PIXEL})


def test_every_kind_of_source(tmp_path):
    data = draw(COMA, (61, 71), (30, 33))
    psf = read_hst_psf(data, PIXEL)
    assert read_hst_psf(psf) is psf
    count = 0
    for source in sources(tmp_path, data):
        again = read_hst_psf(source)
        assert_allclose(again.data, psf.data)
        assert_allclose((again.pixel_scale, again.center), (psf.pixel_scale, psf.center))
        count += 1
    assert count == 7


def test_image_psf():
    fine = draw(MOFFAT, (201, 201), (100, 100), scale=PIXEL / 2)
    f = np.linspace(0.5, 3, 6)
    # photutils' own normalization: the sum is the oversampling squared, less the wings.
    psf = read_hst_psf(ImagePSF(4 * fine, oversampling=2), PIXEL)
    assert psf.pixel_scale == (PIXEL / 2, PIXEL / 2)
    assert_allclose(psf.data.sum(), fine.sum())
    assert_allclose(psf.otf(f, 0), read_hst_psf(fine, PIXEL / 2).otf(f, 0))
    wide = read_hst_psf(ImagePSF(2 * fine[::2], oversampling=(1, 2)), PIXEL)
    assert wide.pixel_scale == (PIXEL, PIXEL / 2)
    with pytest.raises(UserError, match="--hst_psf_scale"):
        read_hst_psf(ImagePSF(fine, oversampling=2))


def test_pixel_size_given_over_wcs_over_keyword():
    data = draw(MOFFAT, (41, 41), (20, 20))
    header = sky_grid((41, 41), 0.05).wcs.to_header()
    header["PIXSCALE"] = 0.07
    hdu = fits.PrimaryHDU(data, header)
    with_wcs = CCDData(data, unit="", wcs=sky_grid((41, 41), 0.05).wcs, meta=header)
    for source in (hdu, with_wcs):
        assert_allclose(read_hst_psf(source, 0.03).pixel_scale, 0.03)
        assert_allclose(read_hst_psf(source).pixel_scale, 0.05, rtol=1e-6)
    del hdu.header["CTYPE1"], hdu.header["CTYPE2"]
    assert_allclose(read_hst_psf(hdu).pixel_scale, 0.07)


GOOD = draw(MOFFAT, (21, 21), (10, 10))
# A bright pixel on the flank of something much wider than a core.
BROAD = draw(galsim.Gaussian(fwhm=0.6), (61, 61), (30, 30))
BROAD[38, 38] = 1.05 * BROAD.max()
HOLE = np.where(np.arange(21) == 3, np.nan, GOOD)


@pytest.mark.parametrize(
    ("source", "scale", "message"),
    [
        ("no_such_file.fits", PIXEL, "no_such_file.fits does not exist"),
        (7, PIXEL, "not as a int"),
        (GOOD, None, "hst_psf_scale"),
        (NDData(GOOD), None, "PIXSCALE"),
        (NDData(GOOD, meta={"PIXSCALE": "fine"}), None, "PIXSCALE of the HST PSF is fine"),
        (GOOD, 0, "hst_psf_scale is 0"),
        (GOOD, np.nan, "hst_psf_scale is nan"),
        (GOOD, -0.03, "more than 0 arcsec"),
        (GOOD, (0.03, 0.03), "more than 0 arcsec"),
        (GOOD[0], PIXEL, r"has the shape \(21,\)"),
        (np.ones((3, 9, 9)), PIXEL, "at least 5x5"),
        (GOOD[8:12], PIXEL, "at least 5x5"),
        (fits.PrimaryHDU(), PIXEL, "no image of two axes"),
        (fits.PrimaryHDU(np.ones((3, 9, 9))), PIXEL, "no image of two axes"),
        (HOLE, PIXEL, "not a number"),
        (np.ma.MaskedArray(GOOD, GOOD > 0.01), PIXEL, "masked"),
        (CCDData(GOOD, mask=GOOD > 0.01, unit=""), PIXEL, "masked"),
        (-GOOD, PIXEL, "positive sum"),
        (0 * GOOD, PIXEL, "positive sum"),
        (GOOD[10:], PIXEL, "at the edge"),
        (GOOD[:, :11], PIXEL, "at the edge"),
        (np.pad([[1.0, 1.0], [1.0, 1.0001]], 9, mode="edge")[::-1], PIXEL, "at the edge"),
        (BROAD, PIXEL, "no core"),
    ],
)
def test_bad_psf(source, scale, message):
    with pytest.raises(UserError, match=message) as error:
        read_hst_psf(source, scale)
    assert str(error.value).endswith((".", "CCDData, not as a int."))
    assert "\n" not in str(error.value)


# Stars' places (y, x) and magnitudes, in an image of 640 by 600 pixels.
SHAPE = (640, 600)
STARS = [(110.3, 150.8, 22.0), (480.1, 120.5, 21.0), (150.7, 420.2, 22.5), (330.6, 300.4, 21.5)]
GALAXIES = [(300.0, 110.0, 20.0, 4.0), (480.0, 300.0, 19.5, 1.0), (110.0, 290.0, 21.0, 2.5)]


@pytest.fixture(scope="module")
def field():
    """Four stars, galaxies, a double, a saturated star and a cosmic ray."""
    data = np.random.default_rng(8).normal(0.001, 2e-4, SHAPE)
    for y, x, magnitude in [*STARS, (480.5, 480.0, 22.0), (490.0, 495.5, 23.5)]:
        data += draw(MOFFAT.withFlux(10 ** (0.4 * (25.66 - magnitude))), SHAPE, (y, x))
    for y, x, magnitude, n in GALAXIES:
        flux = 10 ** (0.4 * (25.66 - magnitude))
        galaxy = galsim.Sersic(n=n, half_light_radius=0.2, flux=flux, trunc=2)
        data += draw(galsim.Convolve(galaxy, MOFFAT), SHAPE, (y, x))
    saturated = draw(MOFFAT.withFlux(500), SHAPE, (330.2, 480.7))
    data += np.minimum(saturated, 4)
    data[230, 210] += 10
    grid = sky_grid(SHAPE, PIXEL)
    return CCDData(data, unit="electron/s", wcs=grid.wcs)


@pytest.fixture(scope="module")
def stars(field):
    y, x, _ = np.transpose(STARS)
    return field.wcs.pixel_to_world(x, y)


def off_truth(psf):
    """Return how far a built PSF's OTF is from the truth: its modulus' ratio - 1, and its phase."""
    fy, fx = grid(2, 13)
    ratio = read_hst_psf(psf).otf(fy, fx) / moffat.MOFFAT.otf(np.hypot(fy, fx), 0.085, 1.6)
    assert_allclose(ratio[6, 6], 1)
    ratio = ratio[np.hypot(fy, fx) > 0.5]
    return np.abs(ratio) - 1, np.angle(ratio)


def assert_is_the_truth(psf, lost=0.025, tolerance=0.008):
    # The light beyond the radius is lost, and all other frequencies are higher by it.
    modulus, phase = off_truth(psf)
    assert_allclose(modulus, lost, atol=tolerance)
    assert_allclose(phase, 0, atol=0.01)


def test_psf_of_given_stars(field, stars, tmp_path):
    psf = build_hst_psf(field, stars)
    assert psf.header["NSTARS"] == 4
    assert_allclose(psf.header["PIXSCALE"], PIXEL)
    assert_allclose(psf.data.sum(), 1)
    assert_is_the_truth(psf)
    # From a file, of places that are not exact, into a file.
    field.write(tmp_path / "hst.fits")
    shifted = [(one.ra.deg + 0.1 / 3600, one.dec.deg - 0.1 / 3600) for one in stars]
    from_file = build_hst_psf(tmp_path / "hst.fits", shifted)
    assert_allclose(from_file.data, psf.data, atol=1e-7)
    write_image(psf, tmp_path / "psf.fits")
    psf.write(tmp_path / "plain.fits")
    for name in ("psf.fits", "plain.fits"):
        again = read_hst_psf(tmp_path / name)
        assert_allclose(again.data, psf.data)
        assert_allclose(again.pixel_scale, PIXEL)


def test_psf_of_found_stars(field, stars):
    psf = build_hst_psf(field)
    assert psf.header["NSTARS"] == 4
    assert_is_the_truth(psf)
    assert_allclose(psf.data, build_hst_psf(field, stars[[1, 3, 0, 2]]).data, atol=1e-6)
    brightest = build_hst_psf(field, max_stars=1)
    assert brightest.header["NSTARS"] == 1
    assert_allclose(brightest.data, build_hst_psf(field, stars[1]).data, atol=1e-12)


def test_radius_and_oversampling(field, stars):
    small = build_hst_psf(field, stars, radius=0.9)
    assert_is_the_truth(small, lost=0.045, tolerance=0.012)
    y, x = np.indices(small.shape) - np.reshape(read_hst_psf(small).center, (2, 1, 1))
    assert np.hypot(y, x)[small.data != 0].max() * PIXEL <= 0.9 < small.shape[0] * PIXEL / 2 + 0.01
    fine = build_hst_psf(field, stars, radius=0.6, oversampling=2)
    assert_allclose(fine.header["PIXSCALE"], PIXEL / 2)
    assert_is_the_truth(fine, lost=0.08, tolerance=0.015)


def test_share_of_lost_light_can_be_given(field, stars):
    psf = build_hst_psf(field, stars)
    psf.data *= 0.975
    fy, fx = grid(2, 4)
    ratio = read_hst_psf(psf).otf(fy, fx) / moffat.MOFFAT.otf(np.hypot(fy, fx), 0.085, 1.6)
    assert_allclose(np.abs(ratio), 1, atol=0.008)


def test_masked_pixels_of_stars(field, stars):
    masked = CCDData(field.data.copy(), unit=field.unit, wcs=field.wcs)
    clean = build_hst_psf(masked, stars[:2])
    masked.data[110:113, 158:160] = np.nan
    assert_allclose(build_hst_psf(masked, stars[:2]).data, clean.data, atol=1e-4)
    masked.data[110, 151] = np.nan
    with pytest.warns(AstropyUserWarning, match="not used"):
        assert build_hst_psf(masked, stars[:2]).header["NSTARS"] == 1


def test_given_stars_that_are_no_use(field, stars):
    # At the edge, outside, and so far from a star that its flank is all that is near.
    edge = field.wcs.pixel_to_world([40, 1000, STARS[0][1] + 13], [40, 300, STARS[0][0]])
    with pytest.warns(AstropyUserWarning, match="at the edge, outside, masked, or no star") as told:
        psf = build_hst_psf(field, SkyCoord([*edge, *stars[:2]]))
    assert len(told) == 3
    assert psf.header["NSTARS"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        with pytest.raises(UserError, match="no usable star"):
            build_hst_psf(field, edge)


def test_field_without_stars(field):
    empty = CCDData(np.random.default_rng(1).normal(size=(200, 200)), unit="", wcs=field.wcs)
    with pytest.raises(UserError, match="no usable star"):
        build_hst_psf(empty)
    galaxy = field[224:376, 34:186]
    with pytest.raises(UserError, match="no usable star"):
        build_hst_psf(galaxy)
    empty.data[:] = 0
    with pytest.raises(UserError, match="no usable star"), pytest.warns(AstropyUserWarning, match="not used"):
        build_hst_psf(empty, empty.wcs.pixel_to_world(100, 100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stars": [(53.1, -27.8, 1.0)]}, "right ascension and declination"),
        ({"stars": 7}, "right ascension and declination"),
        ({"stars": [(53.1, 95.0)]}, "right ascension and declination"),
        ({"stars": []}, "no usable star"),
        ({"radius": 0.1}, "radius is 0.1"),
        ({"radius": np.nan}, "radius is nan"),
        ({"oversampling": 0}, "oversampling is 0"),
        ({"oversampling": 1.5}, "oversampling is 1.5"),
        ({"max_stars": 0}, "max_stars is 0"),
    ],
)
def test_bad_options(field, options, message):
    with pytest.raises(UserError, match=message) as error:
        build_hst_psf(field, **options)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("seed", range(4))
def test_star_between_pixels(seed):
    """Noise decides which of four pixels is the highest: every star is used."""
    grid = sky_grid((160, 160), PIXEL)
    data = np.random.default_rng(seed).normal(0, 2e-4, grid.shape)
    data += draw(MOFFAT.withFlux(20), grid.shape, (79.5, 79.5))
    psf = build_hst_psf(CCDData(data, unit="", wcs=grid.wcs), grid.wcs.pixel_to_world([79.5], [79.5]))
    assert_is_the_truth(psf, tolerance=0.015)


def test_stars_that_cannot_be_fitted(field, stars, monkeypatch):
    def build(self, stars):
        raise ValueError("The ePSF fitting failed for all stars.")

    monkeypatch.setattr("photutils.psf.EPSFBuilder.__call__", build)
    with pytest.raises(UserError, match="no PSF fits the stars"):
        build_hst_psf(field, stars)


def test_pixels_that_are_not_square(field):
    wcs = field.wcs.deepcopy()
    wcs.wcs.cd = wcs.wcs.cd @ np.diag([1, 1.1])
    with pytest.raises(UserError, match="0.033 by 0.030 arcsec: make them square"):
        build_hst_psf(CCDData(field.data, unit="", wcs=wcs))
