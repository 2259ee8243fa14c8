"""Point sources of HST images: found, measured, taken out, and given by the user."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import Table
from numpy.testing import assert_allclose
from regions import CircleSkyRegion, Regions

from astropy_imphot.psf.mean_profile import RadialPsf
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.reference.point_sources import (
    find_point_sources,
    saturated_pixels,
)
from astropy_imphot.reference.preparation import prepare
from astropy_imphot.reference.removal import remove_point_sources
from astropy_imphot.simulation import sky_grid

pytest.importorskip("galsim", reason="GalSim draws the stars")

HST_PSF = CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6})
PROFILE = RadialPsf(HST_PSF, 0.03)
SHAPE, PIXEL = (500, 520), (0.03, 0.03)
GRID = sky_grid(SHAPE, 0.03)

# Rows, columns and fluxes of six stars; the noise is 1.
ROWS = np.array([90.3, 101.0, 240.6, 262.2, 400.4, 388.9])
COLUMNS = np.array([80.7, 300.2, 170.5, 420.0, 95.1, 290.6])
FLUXES = np.array([300.0, 1e3, 3e3, 1e4, 1e5, 1e6])


EVERYWHERE = np.ones(SHAPE, dtype=bool)


def drawn(profiles, shape=SHAPE):
    """Draw profiles at (row, column), with the PSF; None is a star of flux 1."""
    import galsim

    seeing = galsim.Moffat(fwhm=0.085, beta=1.6)
    image = galsim.ImageD(shape[1], shape[0], xmin=0, ymin=0)
    for row, column, flux, profile in profiles:
        whole = seeing if profile is None else galsim.Convolve(profile, seeing)
        half = 250 if profile is None else 120
        stamp = galsim.ImageD(
            galsim.BoundsI(int(column) - half, int(column) + half, int(row) - half, int(row) + half)
        )
        center = galsim.PositionD(column, row)
        whole.withFlux(flux).drawImage(stamp, scale=0.03, center=center, method="no_pixel")
        overlap = stamp.bounds & image.bounds
        image[overlap] += stamp[overlap]
    return image.array


def noise(seed):
    return np.random.default_rng(seed).normal(size=SHAPE)


@pytest.fixture(scope="module")
def light():
    """Six stars without noise."""
    return drawn([(*one, None) for one in zip(ROWS, COLUMNS, FLUXES, strict=True)])


def found_in(image, observed=None, **places):
    observed = np.ones(image.shape, dtype=bool) if observed is None else observed
    return find_point_sources(image, observed, PROFILE, PIXEL, **places)


def nearest(found, row, column):
    """Return the number of the source at a place, and its distance in pixels."""
    away = np.hypot(found["y"] - row, found["x"] - column)
    return int(np.argmin(away)), float(np.min(away, initial=np.inf))


def test_stars_are_found_where_they_are(light):
    found = found_in(light + noise(61))
    assert len(found["x"]) == 6
    assert not found["saturated"].any()
    assert not found["artefact"].any()
    for row, column, flux in zip(ROWS, COLUMNS, FLUXES, strict=True):
        number, away = nearest(found, row, column)
        assert away < 0.3
        assert abs(found["flux"][number] / flux - 1) < 0.2


def test_fluxes_are_within_their_errors(light):
    pulls = []
    for seed in range(10):
        found = found_in(light + noise([62, seed]))
        for row, column, flux in zip(ROWS, COLUMNS, FLUXES, strict=True):
            number, _ = nearest(found, row, column)
            pulls.append((found["flux"][number] - flux) / found["flux_err"][number])
    # They are no larger than they have to be.
    assert np.all(found["flux_err"] < 12 + 0.01 * found["flux"])
    # Errors of bright stars include the mismatch of a PSF, which there is none here.
    assert np.mean(np.abs(pulls) < 2) > 0.9
    assert np.abs(pulls).max() < 4


def test_a_sky_level_changes_nothing(light):
    one, other = (found_in(light + noise(61) + level) for level in (0.0, 40.0))
    assert_allclose(other["x"], one["x"], atol=1e-6)
    assert_allclose(other["flux"], one["flux"], rtol=1e-6)


def test_noise_has_no_sources():
    for seed in range(5):
        assert len(found_in(noise([63, seed]))["x"]) == 0


@pytest.mark.parametrize(("index", "radius"), [(1.0, 0.15), (1.0, 0.4), (2.5, 0.2)])
def test_galaxies_are_not_taken(index, radius):
    import galsim

    galaxy = galsim.Sersic(n=index, half_light_radius=radius).shear(e1=0.2, e2=0.1)
    rng = np.random.default_rng(64)
    image = drawn(
        [
            (row + rng.uniform(-0.5, 0.5), column + rng.uniform(-0.5, 0.5), flux, galaxy)
            for row, column, flux in zip(ROWS, COLUMNS, 3 * FLUXES, strict=True)
        ]
    )
    found = found_in(image + noise(65))
    assert len(found["x"]) == 0


def test_a_star_on_a_galaxy_is_found():
    import galsim

    galaxy = galsim.Exponential(half_light_radius=0.8)
    image = drawn([(250.0, 250.0, 3e4, galaxy), (265.0, 240.0, 1e4, None)]) + noise(66)
    found = found_in(image)
    number, away = nearest(found, 265.0, 240.0)
    assert away < 0.3
    assert abs(found["flux"][number] / 1e4 - 1) < 0.05


def test_a_hot_pixel_is_an_artefact(light):
    image = light + noise(67)
    image[180, 330] += 5000
    found = found_in(image)
    number, away = nearest(found, 180, 330)
    assert away < 0.5
    assert found["artefact"][number]
    # Noise can hide the wings of the faintest star.
    assert not any(
        found["artefact"][nearest(found, *place)[0]] for place in zip(ROWS[1:], COLUMNS[1:], strict=True)
    )


def test_peaks_without_wings_or_too_sharp_are_artefacts(light):
    y, x = np.indices(SHAPE)
    wingless = light + 300 * np.exp(-((y - 180) ** 2 + (x - 330) ** 2) / 4.5) + noise(79)
    found = found_in(wingless)
    number, away = nearest(found, 180, 330)
    assert away < 0.5
    assert found["artefact"][number]
    # A star that is hit by a cosmic ray.
    sharp = light + noise(80)
    sharp[262, 420] *= 4
    found = found_in(sharp)
    number, away = nearest(found, 262, 420)
    assert away < 0.5
    assert found["artefact"][number]


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_saturated_cores_are_flagged(radius, light):
    y, x = np.indices(SHAPE)
    row, column = ROWS[5], COLUMNS[5]
    observed = np.hypot(y - row, x - column) > radius
    found = found_in(np.where(observed, light + noise(68), 0), observed)
    number, away = nearest(found, row, column)
    assert found["saturated"].tolist().count(True) == 1
    assert found["saturated"][number]
    assert away < 1
    assert abs(found["flux"][number] / FLUXES[5] - 1) < 0.1


def test_holes_of_the_sky_and_of_galaxies_are_no_stars():
    import galsim

    galaxy = galsim.Exponential(half_light_radius=0.5)
    y, x = np.indices(SHAPE)
    observed = (np.hypot(y - 250, x - 250) > 4) & (np.hypot(y - 100, x - 100) > 4)
    image = drawn([(250.0, 250.0, 1e5, galaxy)]) + noise(69)
    assert not found_in(np.where(observed, image, 0), observed)["saturated"].any()


def test_clipped_pixels(light):
    clipped = np.minimum(light + noise(70), 5000.0)
    pixels = saturated_pixels(clipped, EVERYWHERE, PROFILE, PIXEL)
    assert np.array_equal(pixels, clipped >= 0.985 * 5000)
    assert 10 < pixels.sum() < 400
    # A star that is not clipped has one highest pixel.
    assert not saturated_pixels(light + noise(70), EVERYWHERE, PROFILE, PIXEL).any()
    assert not saturated_pixels(np.full(SHAPE, -1.0), EVERYWHERE, PROFILE, PIXEL).any()
    # What was not observed is not the highest value.
    observed = ~(clipped >= 4000)
    assert not (
        saturated_pixels(np.where(observed, clipped, 1e9), observed, PROFILE, PIXEL) & ~observed
    ).any()


def test_equal_pixels_at_the_center_of_a_star_are_not_clipped():
    # Its center is a corner of four pixels.
    star = drawn([(250.5, 250.5, 1e5, None)])
    assert np.ptp(star[250:252, 250:252]) < 1e-3 * star.max()
    assert not saturated_pixels(star + noise(81), EVERYWHERE, PROFILE, PIXEL).any()


def test_added_and_removed_sources(light):
    import galsim

    image = light + drawn([(320.0, 200.0, 3e4, galsim.Exponential(half_light_radius=0.2))]) + noise(71)
    before = found_in(image)
    assert nearest(before, 320.0, 200.0)[1] > 20
    added = found_in(image, added=[(321.0, 199.0)])
    assert len(added["x"]) == len(before["x"]) + 1
    assert nearest(added, 320.0, 200.0)[1] < 1
    # A star that is found as well is there once.
    again = found_in(image, added=[(ROWS[3] + 0.5, COLUMNS[3])])
    assert len(again["x"]) == len(before["x"])
    removed = found_in(image, removed=[(ROWS[3] + 10, COLUMNS[3] - 5)])
    assert len(removed["x"]) == len(before["x"]) - 1
    assert nearest(removed, ROWS[3], COLUMNS[3])[1] > 20
    # Half an arcsec is 17 pixels.
    far = found_in(image, removed=[(ROWS[3] + 18, COLUMNS[3])])
    assert len(far["x"]) == len(before["x"])


def test_light_is_taken_out(light):
    image = light + noise(72)
    kept = image.copy()
    observed = np.ones(SHAPE, dtype=bool)
    sources = found_in(image)
    left, whole, removed = remove_point_sources(image, observed, sources, PROFILE, PIXEL)
    assert np.array_equal(image, kept)
    assert whole.all()
    for row, column, flux in zip(ROWS, COLUMNS, FLUXES, strict=True):
        number, _ = nearest(sources, row, column)
        assert abs(removed["flux"][number] - flux) < 4 * removed["flux_err"][number]
        y, x = np.indices(SHAPE)
        away = 0.03 * np.hypot(y - row, x - column)
        for near in (away < 0.5, (away > 0.5) & (away < 2)):
            assert abs(left[near].mean()) < 0.5
            assert left[near].std() < 1.5
    assert abs(np.sum(left)) < 0.01 * light.sum()


@pytest.mark.parametrize("flux", [500.0, 1e4])
def test_errors_of_the_light_that_is_taken_out(flux):
    image = drawn([(*one, flux, None) for one in zip(ROWS, COLUMNS, strict=True)])
    pulls, errors = [], []
    for seed in range(10):
        noisy = image + noise([77, seed])
        removed = remove_point_sources(noisy, EVERYWHERE, found_in(noisy), PROFILE, PIXEL)[2]
        pulls += list((removed["flux"] - flux) / removed["flux_err"])
        errors += list(removed["flux_err"])
    assert len(pulls) > 55
    assert abs(np.mean(pulls)) < 0.5
    # Errors of bright stars include the mismatch of a PSF, which there is none here.
    assert 0.4 < np.std(pulls) < 1.25
    assert np.mean(errors) < 12 + 0.006 * flux


def test_a_star_near_the_edge_of_what_was_observed():
    y, x = np.indices(SHAPE)
    observed = np.abs(y - 250) + np.abs(x - 250) < 28
    image = np.where(observed, drawn([(250.0, 250.0, 1e4, None)]) + noise(78), 0)
    sources = found_in(image, observed)
    left, whole, removed = remove_point_sources(image, observed, sources, PROFILE, PIXEL)
    assert abs(removed["flux"][0] / 1e4 - 1) < 0.03
    assert np.abs(left[observed]).max() < 6
    assert np.array_equal(whole, observed)


def test_light_of_a_star_of_another_width_is_taken_out():
    import galsim

    # Breathing of the telescope: the PSF of this star is 8 % wider.
    star = galsim.Moffat(fwhm=0.092, beta=1.6, flux=3e4)
    image = galsim.ImageD(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
    star.drawImage(image, scale=0.03, center=galsim.PositionD(260.2, 250.4), method="no_pixel")
    image = image.array + noise(73)
    sources = found_in(image)
    left, _, removed = remove_point_sources(image, np.ones(SHAPE, dtype=bool), sources, PROFILE, PIXEL)
    y, x = np.indices(SHAPE)
    near = 0.03 * np.hypot(y - 250.4, x - 260.2) < 1
    assert abs(left[near].sum()) < 0.02 * 3e4
    assert abs(removed["flux"][0] / 3e4 - 1) < 0.04
    # The error includes that of the difference.
    assert removed["flux_err"][0] > 1.1 * sources["flux_err"][0]


def test_a_saturated_core_is_filled(light):
    y, x = np.indices(SHAPE)
    observed = np.hypot(y - ROWS[5], x - COLUMNS[5]) > 5
    image = np.where(observed, light + noise(74), 0)
    sources = found_in(image, observed)
    left, whole, _ = remove_point_sources(image, observed, sources, PROFILE, PIXEL)
    assert whole.all()
    assert not observed.all()
    near = np.hypot(y - ROWS[5], x - COLUMNS[5]) < 5
    assert np.abs(left[near]).max() < 0.001 * light.max()


def test_a_galaxy_around_a_star_keeps_its_light(light):
    import galsim

    galaxy = drawn([(250.0, 250.0, 6e4, galsim.Exponential(half_light_radius=0.6))])
    image = galaxy + drawn([(250.0, 250.0, 3e4, None)]) + light + noise(75)
    sources = found_in(image, added=[(250.0, 250.0)])
    left, _, removed = remove_point_sources(image, EVERYWHERE, sources, PROFILE, PIXEL)
    y, x = np.indices(SHAPE)
    ring = 0.03 * np.hypot(y - 250, x - 250)
    ring = (ring > 0.25) & (ring < 1)
    assert_allclose(left[ring].sum(), galaxy[ring].sum(), rtol=0.02)
    number, _ = nearest(sources, 250.0, 250.0)
    assert abs(removed["flux"][number] / 3e4 - 1) < 0.2


def ccd(data):
    return CCDData(data, unit="electron/s", wcs=GRID.wcs)


PLACE = GRID.wcs.pixel_to_world(200.0, 320.0).icrs
STAR = GRID.wcs.pixel_to_world(COLUMNS[3], ROWS[3]).icrs


def forms(place, folder):
    """Return a place in every form that a user may give."""
    folder.mkdir()
    region = CircleSkyRegion(place, 0.3 * u.arcsec)
    Regions([region]).write(folder / "place.reg", format="ds9")
    table = Table({"RA": [place.ra.deg], "Dec": [place.dec.deg]})
    table.write(folder / "place.ecsv")
    return {
        "coordinate": place,
        "coordinates": SkyCoord([place]).galactic,
        "pairs": [(place.ra.deg, place.dec.deg)],
        "table": table,
        "region": region,
        "regions": Regions([region]),
        "region file": folder / "place.reg",
        "table file": str(folder / "place.ecsv"),
    }


FORMS = ("coordinate", "coordinates", "pairs", "table", "region", "regions", "region file", "table file")


@pytest.mark.parametrize("form", FORMS)
def test_places_in_every_form(form, light, tmp_path):
    import galsim

    image = ccd(light + drawn([(320.0, 200.0, 3e4, galsim.Exponential(half_light_radius=0.2))]) + noise(76))
    unobserved = np.zeros(SHAPE, dtype=bool)
    prepared = prepare(
        image,
        unobserved,
        PIXEL,
        psf=HST_PSF,
        point_sources=forms(PLACE, tmp_path / "added")[form],
        not_point_sources=forms(STAR, tmp_path / "removed")[form],
    )
    assert len(prepared.sources["x"]) == 6
    assert nearest(prepared.sources, 320.0, 200.0)[1] < 1
    assert nearest(prepared.sources, ROWS[3], COLUMNS[3])[1] > 20


@pytest.mark.parametrize(("factor", "kind"), [(1e-23, np.float32), (10, np.int16)])
def test_any_unit_and_kind_of_numbers(factor, kind, light):
    image = np.minimum(light + noise(77), 3000)
    # The core of the brightest star was not observed.
    unobserved = np.hypot(*(np.indices(SHAPE) - np.reshape([ROWS[5], COLUMNS[5]], (2, 1, 1)))) < 6
    expected = prepare(ccd(image), unobserved, PIXEL, psf=HST_PSF).sources
    scaled = factor * image if kind is np.float32 else np.rint(factor * image)
    found = prepare(ccd(scaled.astype(kind)), unobserved, PIXEL, psf=HST_PSF).sources
    assert len(found["x"]) == 6
    assert_allclose(found["x"], expected["x"], atol=0.02)
    assert_allclose(found["flux"], factor * expected["flux"], rtol=0.01)
