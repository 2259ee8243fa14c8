"""Repair of HST images: cosmic rays and holes go, stars and galaxies stay."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from astropy_imphot.psf.mean_profile import RadialPsf
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.reference.repair import _groups, repair_image, repair_peaks
from astropy_imphot.simulation import sky_grid

HST_PSF = {"fwhm": 0.085, "beta": 1.6}
SHAPE = (420, 420)


def psf(pixel):
    return RadialPsf(CircularPsf(MOFFAT, HST_PSF), pixel)


def repaired(image, pixel=0.03, observed=None):
    observed = np.ones(image.shape, dtype=bool) if observed is None else observed
    return repair_image(image, observed, psf(pixel), (pixel, pixel), sky_grid(image.shape, pixel).wcs)


def noise(seed, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=shape)


def drawn(profiles, pixel, shape=SHAPE):
    """Draw profiles of GalSim at (x, y) in pixels; the width of the PSF is at least 1.3 pixels."""
    import galsim

    seeing = galsim.Moffat(fwhm=max(HST_PSF["fwhm"], 1.3 * pixel), beta=HST_PSF["beta"])
    image = galsim.ImageD(shape[1], shape[0], xmin=0, ymin=0)
    for x, y, profile in profiles:
        star = isinstance(profile, galsim.DeltaFunction)
        whole = seeing.withFlux(profile.flux) if star else galsim.Convolve(profile, seeing)
        stamp = galsim.ImageD(galsim.BoundsI(int(x) - 60, int(x) + 60, int(y) - 60, int(y) + 60))
        whole.drawImage(stamp, scale=pixel, center=galsim.PositionD(x, y), method="no_pixel")
        overlap = stamp.bounds & image.bounds
        image[overlap] += stamp[overlap]
    return image.array


def places(rng, count, shape=SHAPE, margin=20):
    """Return places on a grid, each moved by up to 10 pixels."""
    side = int(np.ceil(np.sqrt(count)))
    steps = [np.linspace(margin + 10, size - margin - 10, side) for size in shape]
    y, x = (axis.ravel()[:count] + rng.uniform(-10, 10, count) for axis in np.meshgrid(*steps, indexing="ij"))
    return x, y


@pytest.mark.parametrize("pixel", [0.03, 0.04, 0.05])
def test_stars_stay(pixel):
    import galsim

    rng = np.random.default_rng(31)
    fluxes = 10 ** rng.uniform(2, 6, 24)
    stars = [
        (x, y, galsim.DeltaFunction(flux=flux)) for x, y, flux in zip(*places(rng, 24), fluxes, strict=True)
    ]
    image = drawn(stars, pixel) + noise(32)
    found, _, table = repaired(image, pixel)
    assert len(table) == 0
    assert np.array_equal(found, image)


def test_compact_galaxies_stay():
    import galsim

    rng = np.random.default_rng(33)
    galaxies = [
        (x, y, galsim.Sersic(n=index, half_light_radius=radius, flux=flux).shear(e1=0.3, e2=-0.2))
        for x, y, index, radius, flux in zip(
            *places(rng, 16),
            8 * [1.0, 2.5],
            rng.uniform(0.03, 0.3, 16),
            10 ** rng.uniform(3, 6, 16),
            strict=True,
        )
    ]
    image = drawn(galaxies, 0.03) + noise(34)
    assert len(repaired(image)[2]) == 0


@pytest.mark.parametrize("level", [0.0, 300.0])
def test_nothing_is_found_in_noise(level):
    image = noise(35) + level
    # Fewer exposures on the left.
    image[:, :96] += 5 * noise(36)[:, :96]
    found, observed, table = repaired(image)
    assert len(table) == 0
    assert np.array_equal(found, image)
    assert observed.all()
    assert table.colnames == ["sky_center", "x", "y", "n_pixels", "kind", "flux"]


def test_rings_and_spikes_of_stars_stay():
    import galsim

    rng = np.random.default_rng(48)
    # HST's pupil, of which a Moffat function knows neither rings nor spikes.
    optics = galsim.OpticalPSF(lam=775, diam=2.4, obscuration=0.33, nstruts=4, strut_thick=0.02)
    seen = galsim.Convolve(optics, galsim.Gaussian(fwhm=0.04), galsim.Pixel(0.03))
    image = galsim.ImageD(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
    for x, y, flux in zip(*places(rng, 24), 10 ** rng.uniform(2, 6, 24), strict=True):
        seen.withFlux(flux).drawImage(
            image, scale=0.03, center=galsim.PositionD(x, y), method="no_pixel", add_to_image=True
        )
    assert len(repaired(image.array + noise(49))[2]) == 0


def rays(rng, count):
    """Return the light of cosmic rays, tracks of one to eight pixels, and the pixels of each."""
    image, tracks = np.zeros(SHAPE), []
    for x, y in zip(*places(rng, count), strict=True):
        angle, length = rng.uniform(0, np.pi), rng.uniform(1, 8)
        along = np.arange(0, length, 0.25)
        rows, columns = (
            np.rint(start + along * slope).astype(int)
            for start, slope in ((y, np.sin(angle)), (x, np.cos(angle)))
        )
        image[rows, columns] = 10 ** rng.uniform(1.3, 3)
        tracks.append((rows, columns))
    return image, tracks


@pytest.mark.parametrize("pixel", [0.03, 0.05])
def test_cosmic_rays_go(pixel):
    light, tracks = rays(np.random.default_rng(37), 30)
    sky = noise(38)
    found, _, table = repaired(sky + light, pixel)
    left = found - np.where(light > 0, 0, sky)
    gone = [np.abs(left[track]).max() < 5 for track in tracks]
    assert sum(gone) >= 28
    assert left[light > 0].sum() < 0.02 * light.sum()
    # The sky beside them stays.
    assert np.mean(found[light == 0] == sky[light == 0]) > 0.998
    assert np.all(table["kind"] == "artefact")
    assert_allclose(table["flux"].sum(), light.sum(), rtol=0.02)


def test_rays_beside_stars():
    import galsim

    rng = np.random.default_rng(50)
    x, y = places(rng, 24)
    fluxes = 10 ** rng.uniform(3, 5.5, 24)
    stars = drawn(
        [(*one, galsim.DeltaFunction(flux=flux)) for *one, flux in zip(x, y, fluxes, strict=True)], 0.03
    )
    sky = stars + noise(51)
    image = sky.copy()
    columns, rows = np.rint(x).astype(int), np.rint(y).astype(int)
    # What is much fainter than a star beside it can be its ring or spike.
    image[rows + 9, columns + 2] += 0.5 * stars[rows, columns]
    found, _, table = repaired(image)
    assert len(table) >= 22
    away = np.min(
        [
            np.hypot(*(np.indices(SHAPE) - [[[row]], [[column]]]))
            for row, column in zip(rows, columns, strict=True)
        ],
        axis=0,
    )
    assert np.array_equal(found[away < 6], sky[away < 6])
    gone = np.abs(found - stars)[rows + 9, columns + 2] < 5 + 0.1 * stars[rows + 9, columns + 2]
    assert sum(gone) >= 22


def test_rays_on_a_sky_level_and_on_a_galaxy():
    import galsim

    galaxy = drawn([(210.0, 210.0, galsim.Exponential(half_light_radius=0.6, flux=3e4))], 0.03)
    sky = galaxy + noise(39) + 100
    image = sky.copy()
    image[215:218, 220] += 500
    image[60, 50] += 200
    found, _, table = repaired(image)
    assert sorted(table["n_pixels"]) == [1, 3]
    assert np.abs(found - galaxy - 100)[215:218, 220].max() < 4
    assert np.array_equal(found != sky, image != sky)


def test_the_table_says_what_was_removed():
    image = noise(40)
    image[100, 50:53] += 100
    image[300, 200] += 80
    kept = image.copy()
    observed = np.ones(SHAPE, dtype=bool)
    observed[200:202, 300] = False
    found, _, table = repaired(image, observed=observed)
    table.sort("y")
    assert list(table["kind"]) == ["artefact", "hole", "artefact"]
    # A pixel beside an artefact can be taken for a part of it.
    assert np.all((table["n_pixels"] - [3, 2, 1] >= 0) & (table["n_pixels"] - [3, 2, 1] <= 1))
    assert_allclose(table["x"], [51, 300, 200], atol=0.6)
    assert_allclose(table["y"], [100, 200.5, 300], atol=0.6)
    assert_allclose(table["flux"], [300, 0, 80], atol=8)
    expected = sky_grid(SHAPE, 0.03).wcs.pixel_to_world(table["x"], table["y"])
    assert table["sky_center"].separation(expected).arcsec.max() < 1e-6
    # What is given stays as it is.
    assert np.array_equal(image, kept)
    assert not observed[200:202, 300].any()


@pytest.mark.parametrize("at", [(0, 0), (0, 4), (3, 8)])
def test_small_holes_are_interpolated_within_the_noise(at):
    import galsim

    # The center of a small galaxy, its slope, and its wings; 20 holes of two pixels in as many images.
    galaxy = drawn([(50.0, 50.0, galsim.Exponential(half_light_radius=0.15, flux=2.5e3))], 0.03, (101, 101))
    row, column = 50 + at[0], 50 + at[1]
    errors = []
    for seed in range(20):
        image, observed = galaxy + noise([41, seed], galaxy.shape), np.ones(galaxy.shape, dtype=bool)
        observed[row, column : column + 2] = False
        image[~observed] = 0
        found, whole, table = repaired(image, observed=observed)
        assert whole.all()
        assert list(table["kind"]) == ["hole"]
        errors += list((found - galaxy)[row, column : column + 2])
    assert np.sqrt(np.mean(np.square(errors))) < 1


def test_scattered_holes_are_observed():
    rng = np.random.default_rng(42)
    observed = rng.uniform(size=SHAPE) > 0.01
    image = np.where(observed, noise(43), 0)
    found, whole, _ = repaired(image, observed=observed)
    assert np.mean(~whole) < 1e-4
    # They are means of the pixels around them.
    assert 0.2 < found[~observed].std() < 0.7


def test_large_holes_are_missing():
    observed = np.ones(SHAPE, dtype=bool)
    observed[100:110, 200:210] = False
    observed[300:304, 50:54] = False
    observed[:, :30] = False
    image = np.where(observed, noise(44), 0)
    found, whole, table = repaired(image, observed=observed)
    assert np.array_equal(whole, observed)
    assert len(table) == 0
    assert np.array_equal(found[observed], image[observed])


def test_cores_of_saturated_stars_are_no_holes():
    import galsim

    star = drawn([(50.0, 50.0, galsim.DeltaFunction(flux=1e5))], 0.03, (101, 101))
    observed = np.ones(star.shape, dtype=bool)
    observed[49:52, 49:52] = False
    image = np.where(observed, star + noise(45, star.shape), 0)
    _, whole, table = repaired(image, observed=observed)
    assert np.array_equal(whole, observed)
    assert len(table) == 0


@pytest.mark.parametrize("place", [(200, 150), (0, 0), (419, 419), (0, 200)])
def test_peaks_are_repaired(place):
    slope = 0.2 * np.broadcast_to(np.arange(SHAPE[1]), SHAPE)
    sky = noise(46) + slope
    image = sky.copy()
    row, column = place
    image[row, column] += 500
    _, observed, table = repaired(sky)
    peaks = {"x": np.array([column]), "y": np.array([row]), "flux": np.array([500.0])}
    wcs = sky_grid(SHAPE, 0.03).wcs
    found, more = repair_peaks(image, observed, peaks, (0.03, 0.03), table, wcs)
    assert abs((found - slope)[row, column]) < 4
    assert list(more["kind"]) == ["artefact"]
    away = 0.03 * np.hypot(*(axis - at for axis, at in zip(np.indices(SHAPE), place, strict=True)))
    assert np.array_equal(found[away > 0.15], sky[away > 0.15])
    assert_allclose(more["flux"], 500, atol=40)


def test_a_small_image():
    image = noise(47, (35, 28))
    image[14, 13] += 100
    found, _, table = repaired(image)
    assert np.abs(found).max() < 5
    assert list(table["n_pixels"]) == [1]


def test_groups_are_those_of_a_labeled_image():
    # Pixels at the edges touch none at the opposite edge.
    pixels = np.random.default_rng(1).random((60, 50)) < 0.2
    pixels[:, 0] = pixels[:, -1] = True
    expected = ndimage.label(pixels, np.ones((3, 3)))[0][pixels] - 1
    assert_array_equal(_groups(*np.nonzero(pixels)), expected)
