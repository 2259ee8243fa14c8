"""Objects that moved or varied are found, and no others."""

import numpy as np
import pytest
from astropy.nddata import CCDData

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.changed import are_compact, segment_objects
from astropy_imphot.simulate import Truth, simulate_field

TRUTH = Truth(dx=0.12, dy=-0.05)


@pytest.fixture(scope="module")
def still_field():
    return simulate_field(31, size=40.0, truth=[TRUTH], n_stars=6)


def brightest(field, number):
    """Return the compact objects with the smallest errors, those at the edges left out."""
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


def test_stars_that_moved_are_left_out(still_field):
    places = brightest(still_field, 3)
    muse = moved_pixels(still_field, places, shift=1)
    plain = fit_image_photometry(still_field.hst, muse, keep_changed=True)
    assert abs(plain.dx.value - TRUTH.dx) > 0.05
    fit = fit_image_photometry(still_field.hst, muse)
    assert abs(fit.dx.value - TRUTH.dx) < 4 * fit.dx.stdev
    assert abs(fit.dx.value - TRUTH.dx) < 0.006
    changed = fit.objects[fit.objects["changed"]]
    assert len(changed) == len(places)
    # What they moved is a by-product.
    assert np.all(np.abs(changed["dx"].value - 0.2) < 0.06)
    for column, row in places:
        assert fit.data.mask[round(row), round(column)]


def test_a_star_that_varied_is_left_out(still_field):
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
    # Too coarse to tell.
    from astropy_imphot import regrid_hst_like_muse

    coarse = make_template(regrid_hst_like_muse(still_field.hst, still_field.muse[0]), still_field.muse[0])
    assert not are_compact(coarse, x, y).any()


def test_an_empty_field_has_no_objects():
    sky = np.random.default_rng(1).normal(0, 1, (60, 60))
    labels = segment_objects(sky, np.zeros_like(sky), np.ones(sky.shape, bool))
    assert labels.max() <= 1


def test_a_few_faint_galaxies_condemn_no_star():
    """Bright stars that did not move stay, where the galaxies do not know the offset well."""
    truth = Truth(dx=0.12, dy=-0.21, scale=0.93, fwhm=0.62)
    field = simulate_field(3, size=16.0, truth=[truth], central_star=20.0)
    fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    assert not fit.objects["changed"].any()
    assert abs(fit.dx.value - 0.12) < 0.001


@pytest.mark.parametrize(("fwhm", "beta"), [(0.085, 1.6), (0.14, 2.5)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.05, 0.0), (0.05, 0.05)])
def test_concentration_of_point_sources(fwhm, beta, shift):
    """What the limit for compact objects is set by, for narrow and wide PSFs of HST."""
    import galsim

    from astropy_imphot.changed import COMPACT_RADII
    from astropy_imphot.simulate import sky_grid

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
