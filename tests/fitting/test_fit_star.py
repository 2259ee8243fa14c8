"""Fits of stars that GalSim draws."""

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.utils.exceptions import AstropyUserWarning
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from astropy_imphot import UserError, fit_image_and_star_photometry, fit_star_photometry, make_template
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.simulation import CENTER, Truth, simulate_field, sky_grid

KEYS = ("scale", "bg", "dx", "dy", "fwhm", "beta")
STAR = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
# Flux of one electron per second in F775W, in MUSE's unit.
PER_ELECTRON = 9.74


def drawn_pair(rng, noise=0.1, smooth=0.0, hst_noise=2e-4):
    """Draw HST and MUSE images of a star with GalSim, at a random position in a pixel."""
    import galsim

    truth = Truth(
        dx=rng.uniform(-0.5, 0.5),
        dy=rng.uniform(-0.5, 0.5),
        scale=rng.uniform(0.8, 1.2),
        bg=rng.uniform(-3, 3),
        fwhm=rng.uniform(0.5, 0.9),
        beta=rng.uniform(2.2, 4.0),
    )
    flux = PER_ELECTRON * 10 ** (-0.4 * (rng.uniform(18, 23) - 25.69))
    hst_grid, muse_grid = sky_grid((201, 203), 0.03, rotation=25.0), sky_grid((40, 41))
    place = muse_grid.wcs.pixel_to_world(20 + rng.uniform(-0.5, 0.5), 19.5 + rng.uniform(-0.5, 0.5))
    images = []
    for grid, psf, level, shift in (
        (hst_grid, galsim.Moffat(fwhm=0.085, beta=1.6, flux=flux / PER_ELECTRON), hst_noise, (0, 0)),
        (
            muse_grid,
            galsim.Moffat(fwhm=truth.fwhm, beta=truth.beta, flux=flux * truth.scale),
            noise,
            (truth.dx, truth.dy),
        ),
    ):
        x, y = grid.wcs.world_to_pixel(place)
        ny, nx = grid.shape
        image = galsim.ImageD(nx, ny, xmin=0, ymin=0)
        scale = grid.pixel_scale[0]
        at = galsim.PositionD(float(x) + shift[0] / scale, float(y) + shift[1] / scale)
        psf.drawImage(image, scale=scale, center=at, method="no_pixel")
        sky = rng.normal(size=grid.shape)
        if smooth and grid is muse_grid:
            sky = gaussian_filter(sky, smooth)
            sky /= sky.std()
        images.append(image.array + level * sky)
    hst = CCDData(images[0], unit="electron/s", wcs=hst_grid.wcs, meta={"INSTRUME": "ACS", "FILTER": "F775W"})
    muse = CCDData(
        images[1] + truth.bg,
        uncertainty=VarianceUncertainty(np.full(muse_grid.shape, noise**2)),
        unit=PIPELINE_UNIT,
        wcs=muse_grid.wcs,
    )
    return hst, muse, truth, (place.ra.deg, place.dec.deg, 2.5)


@pytest.mark.parametrize("smooth", [0.0, 0.7], ids=["white noise", "correlated noise"])
def test_forty_stars(smooth):
    rng = np.random.default_rng([2026, 11])
    pulls = []
    for _ in range(40):
        hst, muse, truth, star = drawn_pair(rng, smooth=smooth)
        fit = fit_star_photometry(hst, muse, star)
        values = [fit.values[key] for key in KEYS]
        pulls.append(
            [
                (value.value - getattr(truth, key)) / value.stdev
                for key, value in zip(KEYS, values, strict=True)
            ]
        )
    pulls = np.array(pulls)
    if not smooth:
        assert np.abs(pulls).max() < 4
    rms = np.sqrt(np.mean(pulls**2, axis=0))
    assert np.all((rms > 0.7) & (rms < 1.35)), dict(zip(KEYS, rms.round(2), strict=True))


def test_errors_include_those_of_hst():
    rng = np.random.default_rng([2026, 12])
    pulls = []
    for _ in range(24):
        # In the MUSE image the noise is negligible, so that the errors are those of HST.
        hst, muse, truth, star = drawn_pair(rng, noise=1e-3, hst_noise=0.03)
        fit = fit_star_photometry(hst, muse, star)
        pulls.append(
            [
                (fit.values[key].value - getattr(truth, key)) / fit.values[key].stdev
                for key in ("scale", "dx", "dy")
            ]
        )
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert np.all((rms > 0.7) & (rms < 1.35)), rms


@pytest.fixture(scope="module")
def pair():
    return drawn_pair(np.random.default_rng(3))


def test_values(pair):
    hst, muse, truth, star = pair
    fit = fit_star_photometry(hst, muse, star, name="E1")
    assert fit.method == "stars"
    assert_allclose(fit.hst_fwhm.value, 0.085, atol=3 * fit.hst_fwhm.stdev)
    assert_allclose(fit.muse_fwhm.value, fit.fwhm.value)
    assert_allclose(fit.scale.value, fit.muse_flux.value / fit.hst_flux.value)
    place = muse.wcs.pixel_to_world(fit.muse_x.value - truth.dx / 0.2, fit.muse_y.value - truth.dy / 0.2)
    assert abs(place.ra.deg - star[0]) * 3600 < 5 * fit.dx.stdev
    assert {"muse_flux", "hst_beta", "hst_bg_err"} <= set(fit.to_table().colnames)
    assert fit.summary(header=False).split()[:2] == ["E1", "stars"]
    assert "correlations" in fit.report()
    assert fit.covariance.shape == (8, 8)
    place = fit.free.index("dx")
    assert_allclose(np.sqrt(fit.covariance[place, place]), fit.dx.stdev)


@pytest.mark.parametrize("key", KEYS)
def test_fixed_parameters(pair, key):
    hst, muse, truth, star = pair
    held = getattr(truth, key) * 1.1 + 0.01
    fit = fit_star_photometry(hst, muse, star, **{f"fix_{key}": held})
    assert fit.values[key].fixed
    assert fit.values[key].stdev == 0
    assert_allclose(fit.values[key].value, held, atol=1e-9)
    assert set(fit.free) == {*KEYS, "e1", "e2"} - {key}
    assert fit.covariance.shape == (7, 7)
    if key == "dx":
        assert not fit.dra.fixed


def test_masks_are_applied(pair):
    hst, muse, _, star = pair
    plain = fit_star_photometry(hst, muse, star)
    extra = np.zeros(muse.shape, bool)
    extra[:, 23:] = True
    masked = fit_star_photometry(hst, muse, star, extramask=extra)
    regions = fit_star_photometry(hst, muse, star, regions=["image", "-box(34, 20, 21, 60, 0)"])
    assert masked.n_pixels < 0.8 * plain.n_pixels
    assert_allclose(regions.dx.value, masked.dx.value, atol=1e-6)
    assert fit_star_photometry(hst, muse, star, regions="notstar").n_pixels == plain.n_pixels
    assert fit_star_photometry(hst, muse, star, taper=5, extramask=extra).dx.value != masked.dx.value
    assert fit_star_photometry(hst, muse, star, segment=True).n_pixels <= plain.n_pixels


@pytest.mark.parametrize(
    ("star", "words"),
    [
        ((STAR[0] + 0.1, STAR[1], 2.0), "outside"),
        ((STAR[0], STAR[1], 0.0), "radius"),
        ((STAR[0], STAR[1], 0.1), "larger radius"),
        ((STAR[0], STAR[1]), "give right ascension"),
    ],
)
def test_bad_stars(pair, star, words):
    hst, muse, _, _ = pair
    with pytest.raises(UserError, match=words):
        fit_star_photometry(hst, muse, star)


def test_both_fits_agree():
    truth = Truth(dx=0.2, dy=-0.1, scale=0.9, bg=1.0, fwhm=0.7, beta=2.8)
    field = simulate_field(3, size=30.0, truth=[truth], central_star=20.0)
    image_fit, star_fit = fit_image_and_star_photometry(field.hst, field.muse[0], STAR, regions="notstar")
    for key in KEYS:
        one, other = image_fit.values[key], star_fit.values[key]
        assert abs(one.value - other.value) < 5 * np.hypot(one.stdev, other.stdev), key
        for value in (one, other):
            assert abs(value.value - getattr(truth, key)) < 5 * value.stdev, key
    circle = np.pi * 10**2
    assert abs(image_fit.n_pixels - (150**2 - circle)) < 0.05 * circle
    both, _ = fit_image_and_star_photometry(field.hst, field.muse[0], STAR, regions="star", fix_beta=2.8)
    assert both.beta.fixed
    assert abs(both.n_pixels - circle) < 0.05 * circle


@pytest.mark.parametrize("factor", [1e-20, 1e-12])
def test_any_unit(pair, factor):
    hst, muse, _, star = pair
    expected = fit_star_photometry(hst, muse, star)
    scaled = CCDData(
        muse.data * 1e-20 / factor,
        uncertainty=VarianceUncertainty(muse.uncertainty.array * (1e-20 / factor) ** 2),
        unit=u.Unit(factor * PIPELINE_UNIT / 1e-20),
        wcs=muse.wcs,
    )
    fit = fit_star_photometry(hst, scaled, star)
    for key in (*KEYS, "muse_flux"):
        assert_allclose(fit.values[key].value, expected.values[key].value, rtol=1e-4, atol=1e-5)
        assert_allclose(fit.values[key].stdev, expected.values[key].stdev, rtol=1e-3)


def test_filtered_image_is_warned_of(pair):
    hst, muse, _, star = pair
    template = make_template(hst, muse, margin=0.0)
    with pytest.warns(AstropyUserWarning, match="its own pixels"):
        fit_star_photometry(template, muse, star)
    with pytest.warns(AstropyUserWarning, match="its own pixels"):
        fit_star_photometry(template.image(), muse, star)
