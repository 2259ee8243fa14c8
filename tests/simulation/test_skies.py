"""The skies of benchmarks/accuracy.py: one number of each effect, on one small field."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from scipy.ndimage import label

from astropy_imphot.simulation import Star

pytest.importorskip("galsim")

FOLDER = Path(__file__).parents[2] / "benchmarks"
SEED = (20261122, 0)
SIZE = 16.0


def load(name):
    """Import a script of the benchmarks, under its name there."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


skies = load("skies")
accuracy = load("accuracy")


@pytest.fixture(scope="module")
def sky():
    return skies.galaxies(SEED, size=SIZE)


@pytest.fixture(scope="module")
def starry(sky):
    return skies.bright_stars(sky, SEED, motion=0.25, ratio=1.2)


def added_to_hst(sky, other):
    return other.hst.data.astype(float) - sky.hst.data


def added_to_muse(sky, other):
    return other.muse[0].data.astype(float) - sky.muse[0].data


def centroid(image):
    y, x = np.indices(image.shape)
    return np.array([np.sum(x * image), np.sum(y * image)]) / image.sum()


def test_the_listed_galaxies_are_those_that_are_drawn(sky):
    again = skies.add(skies.empty(SEED, size=SIZE), sky.objects, sky.objects)
    np.testing.assert_allclose(again.hst.data, sky.hst.data, atol=1e-4)
    np.testing.assert_allclose(again.muse[0].data, sky.muse[0].data, atol=1e-3)


def test_a_sky_is_drawn_once(sky, monkeypatch):
    calls = []

    def base(seed):
        calls.append(seed)
        return sky

    first = skies.step(base)
    skies.sky_of((first, skies.step(skies.holes, fraction=0.1)), SEED)
    skies.sky_of((first, skies.step(skies.slope)), SEED)
    assert calls == [SEED]


def test_bright_stars(sky, starry):
    """They have the flux ratio, and all the same motion, of 0.25 arcsec."""
    then, now = added_to_hst(sky, starry), added_to_muse(sky, starry)
    truth = sky.truth[0]
    assert len(starry.stars) == 4
    assert {np.hypot(*star.motion).round(6) for star in starry.stars} == {0.25}
    assert len({star.motion for star in starry.stars}) == 1
    expected = sum(skies.rate(star.magnitude) for star in starry.stars)
    assert then.sum() == pytest.approx(expected, rel=0.01)
    # Some of the wings is outside of the small field.
    one = skies.add_stars(sky, [Star(20.0, 0.0, 0.0, motion=(0.3, -0.2), brightening=1.2)])
    then, now = added_to_hst(sky, one), added_to_muse(sky, one)
    assert now.sum() / then.sum() / skies.UNIT_FLUX == pytest.approx(1.2 * truth.scale, rel=0.03)
    y, x = np.unravel_index(now.argmax(), now.shape)
    stamp = now[y - 8 : y + 9, x - 8 : x + 9]
    place = 0.2 * (centroid(stamp) + (x - 8, y - 8) - (now.shape[0] - 1) / 2)
    assert place == pytest.approx([0.3 + truth.dx, -0.2 + truth.dy], abs=0.02)


def test_saturated_and_clipped_cores(starry):
    level = 2.0
    saturated, cut = (one(starry, SEED, level=level) for one in (skies.saturated, skies.clipped))
    missing = np.isnan(saturated.hst.data)
    assert 4 <= missing.sum() < 1000
    # No galaxy is as bright.
    assert np.nanmax(saturated.hst.data) <= level
    assert cut.hst.data.max() == level
    assert np.array_equal(cut.hst.data == level, missing)
    # Only stars saturate.
    assert np.nanmax(skies.saturated(starry, SEED, level=0.02).hst.data) > 0.02


@pytest.mark.parametrize("drizzled", [False, True])
def test_cosmic_rays(sky, drizzled):
    """Their number, their charge, and their pixels."""
    other = skies.cosmic_rays(sky, SEED, count=200, drizzled=drizzled)
    added = added_to_hst(sky, other)
    low, high = skies.CHARGES
    assert added.sum() / 200 == pytest.approx((high - low) / np.log(high / low), rel=0.27)
    # Some of them overlap. Drizzled, a pixel of the detector is spread over some 3 x 3 pixels of the image.
    tracks, number = label(added > 1e-3, structure=np.ones((3, 3)))
    assert 180 < number <= 200
    pixels = (tracks > 0).sum() / number
    assert (
        pixels > 2 * skies.TRACK_LENGTH if drizzled else skies.TRACK_LENGTH < pixels < 2 * skies.TRACK_LENGTH
    )


def test_drizzling_keeps_the_flux():
    exposures = np.zeros((4, 44, 44))
    exposures[2, 20, 22] = 4.0
    image = skies.drizzle(exposures, (66, 66), 0.03)
    assert image.sum() == pytest.approx(1, rel=0.15)
    # The dither is half a pixel along y; rows and columns count from the center.
    place = 0.03 * (centroid(image) - 32.5)
    assert place == pytest.approx([0.05 * (22 - 21.5), 0.05 * (20 - 21.5 + 0.5)], abs=0.012)


def test_drizzled_noise(sky):
    """It is that of independent pixels in averages, and lower in single pixels."""
    noise = added_to_hst(sky, skies.drizzled_noise(sky, SEED, hst_noise=3e-3))
    n = noise.shape[0] // 20 * 20
    means = noise[:n, :n].reshape(n // 20, 20, n // 20, 20).mean(axis=(1, 3))
    assert 20 * means.std() == pytest.approx(3e-3, rel=0.08)
    assert 1e-3 < noise.std() < 2.5e-3
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.2


def test_holes(sky):
    other = skies.holes(sky, SEED, fraction=0.05)
    assert np.isnan(other.hst.data).mean() == pytest.approx(0.05, abs=0.002)


def test_ripples_and_slope(sky):
    waves = added_to_muse(sky, skies.ripples(sky, SEED))
    assert waves.std() == pytest.approx(skies.MUSE_NOISE, rel=0.01)
    assert abs(waves.mean()) < 1e-4
    sloping = skies.slope(sky, SEED)
    edges = added_to_muse(sky, sloping)[40, [0, -1]]
    assert np.ptp(edges) == pytest.approx(2 * skies.MUSE_NOISE, rel=0.05)
    # The signs are those of the truth.
    assert np.sign(edges[1] - edges[0]) == np.sign(sloping.truth[0].bg_x)


def test_stripes(sky):
    even = skies.changed(sky, muse=skies.with_data(sky.muse[0], np.zeros(sky.muse[0].shape)))
    added = skies.stripes(even, SEED).muse[0].data
    assert len(np.unique(added)) == 24 * 4
    assert added.std() == pytest.approx(0.3 * skies.MUSE_NOISE, rel=0.25)
    even.muse[0].data += 100
    flats = skies.stripes(even, SEED, offset=0.0).muse[0].data / 100 - 1
    assert flats.std() == pytest.approx(0.02, rel=0.25)


def test_rotated(sky):
    same, turned = (skies.rotated(sky, SEED, angle=angle) for angle in (0.0, 1.0))
    np.testing.assert_allclose(same.muse[0].data, sky.muse[0].data, atol=1e-3)
    assert abs(turned.truth[0].rotation) == 1
    assert np.abs(added_to_muse(sky, turned)).max() > 0.1


def test_flux_ratios(sky):
    """Each galaxy is brighter or fainter by its own fraction."""
    inside = [galaxy for galaxy in sky.objects if max(abs(galaxy[0]), abs(galaxy[1])) < 6]
    one = replace(sky, objects=(max(inside, key=lambda galaxy: galaxy[3].flux),))
    drawn = skies.add(skies.empty(SEED, size=SIZE), [], one.objects)
    light = added_to_muse(skies.empty(SEED, size=SIZE), drawn)
    # In these units the galaxy's own number is that of its generator.
    own = np.random.default_rng(SEED).normal()
    added = added_to_muse(one, skies.flux_ratios(one, SEED, scatter=0.15))
    assert added.sum() / light.sum() == pytest.approx(0.15 * own, rel=0.01)
    five, fifteen = (added_to_muse(sky, skies.flux_ratios(sky, SEED, scatter=s)) for s in (0.05, 0.15))
    np.testing.assert_allclose(3 * five, fifteen, atol=2e-3)


@pytest.mark.parametrize(
    ("effect", "magnitude", "in_hst", "in_muse"),
    [
        (skies.varied_galaxy, 20.0, 1, 1.3),
        (skies.one_galaxy, 21.0, 1, 1),
        (skies.one_star, 18.0, 1, 1),
        (skies.supernova, 22.0, 0, 1),
    ],
)
def test_one_object(sky, effect, magnitude, in_hst, in_muse):
    other, flux = effect(sky, SEED), skies.rate(magnitude)
    assert added_to_hst(sky, other).sum() == pytest.approx(in_hst * flux, rel=0.05, abs=1e-3)
    expected = in_muse * flux * skies.UNIT_FLUX * sky.truth[0].scale
    # Wings are outside of the small field.
    assert 0.85 * expected < added_to_muse(sky, other).sum() < 1.01 * expected


def test_quasar(sky):
    """The point source varies, its host does not."""
    other = skies.quasar(sky, SEED)
    (star,) = other.stars
    then = added_to_hst(sky, other).sum()
    assert then == pytest.approx(skies.rate(20.5) + skies.rate(21.0), rel=0.05)
    ratio = added_to_muse(sky, other).sum() / then / skies.UNIT_FLUX / sky.truth[0].scale
    varied = skies.rate(star.magnitude) / then
    assert ratio == pytest.approx(1 + 0.3 * varied, rel=0.08)


def test_cluster_and_single_stars(sky):
    cluster = skies.cluster(sky, SEED, count=30, radius=4.0)
    magnitudes = [star.magnitude for star in cluster.stars]
    assert len(magnitudes) == 30
    assert 15 <= min(magnitudes) < np.median(magnitudes) < max(magnitudes) <= 25
    single = skies.single_stars(sky, SEED)
    assert len(single.stars) == 8
    # The faint stars are not among those that are fitted.
    total = sum(skies.rate(star.magnitude) for star in single.stars)
    assert added_to_hst(sky, single).sum() > total
    assert added_to_hst(sky, single).sum() == pytest.approx(total, rel=0.2)


def test_large_galaxy():
    """The mean surface brightness within the half-light radius is that of its magnitude."""
    dark = skies.empty(SEED, size=10.0)
    light = added_to_hst(dark, skies.large_galaxy(dark, SEED, radii=(3.0, 3.0)))
    rows, columns = np.indices(light.shape)
    y, x = np.unravel_index(light.argmax(), light.shape)
    # An ellipse of half of the light has the area of this circle.
    brightest = np.sort(light[np.hypot(rows - y, columns - x) < 150].ravel())[::-1]
    assert brightest[: round(np.pi * 3**2 / 0.03**2)].mean() > 0.7 * skies.rate(21.5) * 0.03**2


def test_coarse_pixels_and_the_psf_that_fits_get(sky):
    coarse = skies.coarse_galaxies(SEED, pixel=0.1, size=SIZE)
    assert coarse.hst.shape == (220, 220)
    assert coarse.hst.data.sum() == pytest.approx(sky.hst.data.sum(), rel=0.02)
    image = accuracy.psf_of(coarse)["hst_psf"]
    assert image.data.sum() == pytest.approx(1, rel=0.01)
    assert accuracy.psf_of(sky) == {"hst_fwhm": 0.085, "hst_beta": 2.5}


def test_photon_noise(starry):
    """The variance at a star exceeds that of the sky by the ratio of the fluxes, in both images."""
    quiet, noisy = (skies.observed(starry, SEED, photons=photons) for photons in (False, True))
    variance = noisy.muse[0].uncertainty.array
    flux = starry.muse[0].data
    y, x = np.unravel_index(flux.argmax(), flux.shape)
    sky_flux = skies.UNIT_FLUX * 10 ** (-0.4 * (skies.GROUND_SKY - skies.ZERO_POINT)) * 0.04
    assert variance[y, x] / skies.MUSE_NOISE**2 == pytest.approx(1 + flux[y, x] / sky_flux, rel=1e-3)
    extra = (added_to_muse(quiet, noisy) / np.sqrt(np.maximum(variance - skies.MUSE_NOISE**2, 1e-9)))[
        flux > np.median(flux)
    ]
    assert extra.std() == pytest.approx(1, rel=0.05)
    assert noisy.stars == starry.stars


def test_point_sources_of_a_fit_are_matched(starry):
    truth, (first, *_) = starry.truth[0], starry.stars
    center = (starry.muse[0].shape[0] - 1) / 2
    found = QTable(
        {
            "x": [center + (first.x + first.motion[0] + truth.dx) / 0.2, 0.0],
            "y": [center + (first.y + first.motion[1] + truth.dy) / 0.2, 0.0],
            "flux_ratio": [1.2 * truth.scale, 1.0],
            "flux_ratio_err": [0.01, 0.01],
            "motion_x": [1000 * first.motion[0] + 3, 0.0] * u.mas,
            "motion_y": [1000 * first.motion[1], 0.0] * u.mas,
            "motion_x_err": [1.0, 1.0] * u.mas,
            "motion_y_err": [1.0, 1.0] * u.mas,
        }
    )
    (row,) = stars = accuracy.matched_stars(SimpleNamespace(point_sources=found), starry)
    assert row["star"] == 0
    statistics = accuracy.statistics_of([], stars, ())
    assert statistics["motion"]["worst"] == pytest.approx(3)
    assert statistics["flux ratio"]["worst"] == pytest.approx(0, abs=1e-6)
    met, not_met = accuracy.Demand("motion", "worst", 4), accuracy.Demand("motion", "worst", 2)
    assert accuracy.demand_line(met, statistics).endswith(", met")
    assert accuracy.demand_line(not_met, statistics).endswith("NOT met")
    # Without point sources no demand on them is met.
    assert accuracy.demand_line(met, accuracy.statistics_of([], [], ())).endswith("NOT met")


def test_a_failed_fit_is_a_row(sky):
    def fails():
        raise ValueError("no light")

    fit, failure = accuracy.attempt(fails)
    row = {"scenario": "A", "field": 0} | accuracy.row_of(fit, sky, failure)
    lines = "\n".join(accuracy.report([row], [], [accuracy.Scenario("A")]))
    assert "flags {failed: 1}" in lines
    assert "ValueError: no light" in lines


def test_scenarios_have_names_of_their_own_and_the_old_ones_their_places():
    names = [one.name for one in accuracy.SCENARIOS]
    assert len(set(names)) == len(names)
    # The place is part of the seed of the noise.
    assert names.index("deep (noise 0.1)") == 0
    assert names.index("three faint galaxies") == 13
