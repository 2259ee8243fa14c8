"""Objects that moved, varied or appeared are found, and no others."""

import numpy as np
import pytest
from astropy.nddata import CCDData
from numpy.testing import assert_allclose
from scipy.ndimage import distance_transform_edt

from astropy_imphot import fit_image_photometry, make_template, write_image
from astropy_imphot.cli import fit_photometry
from astropy_imphot.fitting.changed_objects import are_compact, object_pixels, segment_objects
from astropy_imphot.masking.ds9regions import read_regions
from astropy_imphot.products.images import write_fit_images
from astropy_imphot.simulation import SimulatedField, Star, Truth, simulate_field, with_noise

TRUTH = Truth(dx=0.12, dy=-0.05)


@pytest.fixture(scope="module")
def still_field():
    return simulate_field(31, size=40.0, truth=[TRUTH], n_stars=6)


def brightest(field, number):
    """Return the compact objects with the smallest errors, except those at the edges."""
    objects = fit_image_photometry(field.hst, field.muse[0]).objects
    inside = (np.abs(objects["x"].value - 100) < 88) & (np.abs(objects["y"].value - 100) < 88)
    objects = objects[objects["compact"] & inside]
    objects.sort("dx_err")
    return [(row["x"].value, row["y"].value) for row in objects[:number]]


def moved_pixels(field, places, shift=0, factor=1.0):
    """Return the MUSE image with the objects at these places shifted along x or made brighter."""
    muse = field.muse[0]
    data = muse.data.copy()
    y, x = np.mgrid[: data.shape[0], : data.shape[1]]
    for column, row in places:
        radius = np.hypot(x - column, y - row)
        weight = np.clip((10 - radius) / 3, 0, 1)
        light = weight * (data - np.median(data))
        data += factor * np.roll(light, shift, axis=1) - light
    return CCDData(data, uncertainty=muse.uncertainty, unit=muse.unit, wcs=muse.wcs)


def test_nothing_changed(still_field):
    fit = fit_image_photometry(still_field.hst, still_field.muse[0])
    assert len(fit.objects) > 20
    assert not fit.objects["changed"].any()
    assert fit.n_pixels == still_field.muse[0].data.size


def test_stars_that_moved_are_masked(still_field):
    places = brightest(still_field, 3)
    muse = moved_pixels(still_field, places, shift=1)
    plain = fit_image_photometry(still_field.hst, muse, keep_changed=True)
    assert abs(plain.dx.value - TRUTH.dx) > 0.05
    fit = fit_image_photometry(still_field.hst, muse)
    assert abs(fit.dx.value - TRUTH.dx) < 4 * fit.dx.stdev
    assert abs(fit.dx.value - TRUTH.dx) < 0.006
    changed = fit.objects[fit.objects["changed"]]
    assert len(changed) == len(places)
    # The table also contains their motion.
    assert np.all(np.abs(changed["dx"].value - 0.2) < 0.06)
    for column, row in places:
        assert fit.data.mask[round(row), round(column)]


def test_a_star_that_varied_is_masked(still_field):
    places = brightest(still_field, 1)
    fit = fit_image_photometry(still_field.hst, moved_pixels(still_field, places, factor=1.3))
    assert fit.objects["changed"].sum() == 1
    assert abs(fit.scale.value - 1) < 0.01


def test_compact_objects(still_field):
    template = make_template(still_field.hst, still_field.muse[0])
    stars = brightest(still_field, 3)
    assert len(stars) == 3
    x, y = np.array(stars).T
    assert are_compact(template, x - 0.6, y + 0.25).all()
    # The sampling is too coarse for the smaller radius.
    from astropy_imphot import regrid_hst_like_muse

    coarse = make_template(regrid_hst_like_muse(still_field.hst, still_field.muse[0]), still_field.muse[0])
    assert not are_compact(coarse, x, y).any()


def test_an_empty_field_has_no_objects():
    sky = np.random.default_rng(1).normal(0, 1, (60, 60))
    labels = segment_objects(sky, np.zeros_like(sky), np.ones(sky.shape, bool))
    assert labels.max() <= 1


def test_no_star_is_marked_by_a_few_faint_galaxies():
    """Bright stars that did not move are not masked if the offset of the galaxies has a large error."""
    truth = Truth(dx=0.12, dy=-0.21, scale=0.93, fwhm=0.62)
    field = simulate_field(3, size=16.0, truth=[truth], central_star=20.0)
    fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    assert not fit.objects["changed"].any()
    assert abs(fit.dx.value - 0.12) < 0.001


def test_bright_stars_are_not_marked_if_the_median_has_a_large_error():
    field = simulate_field(1, size=24.0, truth=[Truth(dx=0.1, scale=0.95)])
    fit = fit_image_photometry(field.hst, field.muse[0])
    assert not fit.objects["changed"].any()
    assert abs(fit.dy.value) < 0.003


@pytest.mark.parametrize(("fwhm", "beta"), [(0.085, 1.6), (0.14, 2.5)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.05, 0.0), (0.05, 0.05)])
def test_concentration_of_point_sources(fwhm, beta, shift):
    """Point sources are above the limit for compact objects, for narrow and wide PSFs of HST."""
    import galsim

    from astropy_imphot.fitting.changed_objects import COMPACT_RADII
    from astropy_imphot.simulation import sky_grid

    grid = sky_grid((501, 501), 0.03)
    star = galsim.Moffat(fwhm=fwhm, beta=beta).shift(*shift)
    pixels = star.drawImage(nx=501, ny=501, scale=0.03, method="no_pixel").array
    hst = CCDData(pixels, unit="electron/s", wcs=grid.wcs, meta={"FILTER": "F775W"})
    data = make_template(hst, sky_grid((31, 31)), margin=2.0).data
    y, x = np.indices(data.shape)
    row, column = np.unravel_index(data.argmax(), data.shape)
    away = 0.1 * np.hypot(x - column, y - row)
    inner, outer = (data[away <= radius].sum() for radius in COMPACT_RADII)
    assert 0.81 < inner / outer < 0.89


# Stars with the same motion: without masks, the fitted offset follows them.
MOTION = (0.15, 0.2)
MOVED = [
    Star(20.3, -8.3, -7.1, motion=MOTION),
    Star(20.9, 7.4, -8.8, motion=MOTION),
    Star(21.4, -6.2, 8.5, motion=MOTION),
    Star(21.9, 9.1, 6.7, motion=MOTION),
]
VARIED = [Star(20.5, -8.3, -7.1, brightening=1.3), Star(21.5, 7.4, 8.8, brightening=0.7)]
SIZE = 30.0
NO_NOISE = {"size": SIZE, "truth": [TRUTH], "noise": 0, "hst_noise": 0, "n_stars": 0}


@pytest.fixture(scope="module")
def galaxies():
    """A field without stars and without noise."""
    return simulate_field(61, magnitudes=(21.0, 26.0), **NO_NOISE)


def with_changes(galaxies, stars=(), blob=None):
    """Return the field with the same noise, and with stars, or with light in the MUSE image only."""
    hst, muse = galaxies.hst.copy(), galaxies.muse[0].copy()
    if stars:
        only = simulate_field(1, n_objects=0, stars=stars, **NO_NOISE)
        hst.data, muse.data = hst.data + only.hst.data, muse.data + only.muse[0].data
    if blob is not None:
        y, x = np.indices(muse.shape)
        muse.data = muse.data + 3 * np.exp(-((x - blob[0]) ** 2 + (y - blob[1]) ** 2) / (2 * 1.6**2))
    return with_noise(SimulatedField(hst, [muse], [TRUTH]), 62)


def fit_with(galaxies, stars=(), blob=None, **options):
    field = with_changes(galaxies, stars, blob)
    return fit_image_photometry(field.hst, field.muse[0], init_dx=0.1, init_dy=0, **options)


@pytest.fixture(scope="module")
def still(galaxies):
    return fit_with(galaxies)


def pixel(star):
    """Return the (row, column) of a star, halfway between its positions in both images."""
    x, y = (np.add((star.x, star.y), (TRUTH.dx, TRUTH.dy)) + np.divide(star.motion, 2)) / 0.2
    return round(y + (SIZE / 0.2 - 1) / 2), round(x + (SIZE / 0.2 - 1) / 2)


def check_same(fit, still):
    for key in ("dx", "dy"):
        assert abs(fit.values[key].value - still.values[key].value) < 0.003, key
    assert abs(fit.scale.value / still.scale.value - 1) < 0.01
    assert abs(fit.fwhm.value - still.fwhm.value) < 0.01


def check_left_out(fit, places, reason):
    """Assert that the objects at these pixels, and only these, have changed, and are masked with wings."""
    changed = fit.objects[fit.objects["changed"]]
    assert sorted(changed["label"]) == sorted(fit.labels[place] for place in places)
    assert all(reason in words.split(", ") for words in changed["reason"])
    assert changed["left_out"].all()
    expected = np.any([object_pixels(fit.labels, label) for label in changed["label"]], axis=0)
    assert np.array_equal(fit.data.mask, expected)
    return changed


def test_no_object_is_masked_without_change(still):
    assert not still.objects["changed"].any()
    assert (still.objects["reason"] == "").all()
    assert still.n_pixels == still.data.data.size


def test_stars_that_dominate_the_fit(galaxies, still):
    plain = fit_with(galaxies, MOVED, keep_changed=True)
    assert np.hypot(plain.dx.value - TRUTH.dx, plain.dy.value - TRUTH.dy) > 0.15
    fit = fit_with(galaxies, MOVED)
    check_same(fit, still)
    changed = check_left_out(fit, [pixel(star) for star in MOVED], "moved")
    for key, motion in zip(("dx", "dy"), MOTION, strict=True):
        assert np.all(np.abs(changed[key].value / motion - 0.75) < 0.25)


def test_stars_that_varied(galaxies, still):
    fit = fit_with(galaxies, VARIED)
    check_same(fit, still)
    changed = check_left_out(fit, [pixel(star) for star in VARIED], "varied")
    changed.sort("x")
    assert_allclose(changed["scale"].value, [0.3, -0.3], atol=0.05)
    assert "moved" not in ", ".join(changed["reason"])


def test_a_source_that_appeared(galaxies, still):
    inside = np.pad(still.labels[10:-10, 10:-10] == 0, 10)
    place = np.unravel_index(distance_transform_edt(inside).argmax(), inside.shape)
    fit = fit_with(galaxies, blob=place[::-1])
    changed = check_left_out(fit, [place], "appeared")
    assert list(changed["reason"]) == ["appeared"]
    assert_allclose([changed["y"][0].value, changed["x"][0].value], place, atol=0.5)
    check_same(fit, still)


def test_saved_regions_mask_the_objects_that_changed(galaxies, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    field = with_changes(galaxies, MOVED)
    write_image(field.hst, "hst.fits")
    write_image(field.muse[0], "E1.fits")
    assert fit_photometry.main(["hst.fits", "E1.fits", "--save", "--fix_beta", "none"]) == 0
    regions = read_regions("E1_changed.reg")
    assert len(regions) == len(MOVED)
    assert all("moved" in region.meta["text"] for region in regions)
    fit = fit_image_photometry("hst.fits", "E1.fits", regions="E1_changed.reg", keep_changed=True)
    left_out = {fit.labels[pixel(star)] for star in MOVED}
    plain = fit_with(galaxies, MOVED)
    own = np.isin(plain.labels, [plain.labels[pixel(star)] for star in MOVED])
    assert left_out == {0}
    assert fit.data.mask[own].all()
    assert fit.data.mask.sum() < 2 * plain.data.mask.sum()
    assert abs(fit.dx.value - TRUTH.dx) < 0.006
    assert abs(fit.dy.value - TRUTH.dy) < 0.006


def test_no_regions_where_nothing_changed(still, tmp_path):
    (tmp_path / "E1_changed.reg").write_text("of an earlier fit")
    write_fit_images(still, tmp_path / "E1.fits", overwrite=True)
    assert not (tmp_path / "E1_changed.reg").exists()


def test_pixels_of_objects_at_the_border():
    labels = np.zeros((30, 40), int)
    labels[:6, 30:], labels[28:, :3] = 1, 2
    y, x = np.indices(labels.shape)
    for label in (1, 2):
        own = labels == label
        there = np.argwhere(own)
        away = np.min(np.hypot(y[..., np.newaxis] - there[:, 0], x[..., np.newaxis] - there[:, 1]), axis=-1)
        expected = own | ((away <= 0.7 * np.sqrt(own.sum() / np.pi)) & (labels == 0))
        np.testing.assert_array_equal(object_pixels(labels, label), expected)
    assert not object_pixels(labels, 3).any()
