"""Objects that differ from the rest of the field: in flux, and in place."""

import numpy as np
import pytest
from scipy import ndimage

from astropy_imphot import FitFlags, fit_image_photometry, regrid_hst_like_muse
from astropy_imphot.simulation import Star, Truth, simulate_field

SCENE = {"size": 20.0, "n_objects": 30, "n_stars": 0, "magnitudes": (22.0, 25.5)}
SCENE |= {"hst_pixel": 0.05, "hst_margin": 4.0}
KEYS = {"scale": 1.0, "dx": 0.0, "dy": 0.0}


def check(fit, **truth):
    for key, value in (KEYS | truth).items():
        assert abs(fit.values[key].value - value) < 4 * fit.values[key].stdev, key


@pytest.mark.parametrize("seed", [1, 2])
def test_a_star_in_the_template_that_moved(seed):
    """A regridded image without a table of point sources: the star is brighter than all galaxies."""
    field = simulate_field(seed, stars=[Star(21.5, x=4.0, y=-5.0, motion=(0.25, 0.0))], **SCENE)
    fit = fit_image_photometry(regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0])
    check(fit)
    assert fit.dx.stdev < 0.005


@pytest.mark.parametrize("shift", [0.05, 0.1])
def test_halves_of_the_hst_image_that_are_shifted(shift):
    field = simulate_field(1, **SCENE)
    hst = field.hst.copy()
    half = hst.shape[1] // 2
    hst.data[:, half:] = ndimage.shift(hst.data, (0, shift / 0.05))[:, half:]
    plain, fit = (fit_image_photometry(one, field.muse[0]) for one in (field.hst, hst))
    # The offset is between those of the halves.
    check(fit, dx=-shift / 2)
    assert fit.dx.stdev > 2 * plain.dx.stdev
    assert 0.2 * shift < fit.sizes["displacement"] < shift
    assert plain.sizes["displacement"] < 0.002


def test_galaxies_of_two_colors():
    field, brighter = (simulate_field(1, **SCENE) for _ in range(2))
    half = field.muse[0].shape[1] // 2
    muse = field.muse[0]
    muse.data[:, half:] *= 1.2
    plain, fit = fit_image_photometry(brighter.hst, brighter.muse[0]), fit_image_photometry(field.hst, muse)
    assert abs(fit.scale.value - 1.1) < 4 * fit.scale.stdev
    assert fit.scale.stdev > 2 * plain.scale.stdev
    assert 0.03 < fit.sizes["scatter"] < 0.2
    assert FitFlags.NOT_CONVERGED not in fit.flags
    # The table has the differences, which are not part of the model.
    right = fit.objects["x"].value > half
    assert np.median(fit.objects["scale"][right]) > np.median(fit.objects["scale"][~right]) + 0.1


def test_flux_ratios_of_a_few_galaxies():
    # Each quarter of the MUSE image is brighter or dimmer.
    few = SCENE | {"n_objects": 6, "magnitudes": (24.5, 25.0)}
    field = simulate_field(3, **few)
    plain = fit_image_photometry(field.hst, field.muse[0])
    muse = field.muse[0].copy()
    y, x = (axis > size // 2 for axis, size in zip(np.indices(muse.shape), muse.shape, strict=True))
    muse.data = muse.data * np.where(y, np.where(x, 1.25, 0.75), np.where(x, 0.85, 1.15))
    fit = fit_image_photometry(field.hst, muse)
    assert plain.sizes["scatter"] < 0.02
    assert 0.05 < fit.sizes["scatter"] < 0.5
    assert fit.scale.stdev > 2 * plain.scale.stdev
    check(fit)


def test_a_rotation_that_is_held_scatters_the_places():
    field = simulate_field(1, truth=[Truth(rotation=0.6)], **SCENE | {"size": 30.0, "n_objects": 60})
    free, held = (
        fit_image_photometry(field.hst, field.muse[0], **options) for options in ({}, {"fix_rotation": 0})
    )
    # A rotation that is fitted is none.
    assert abs(free.rotation.value - 0.6) < 4 * free.rotation.stdev
    assert free.sizes["displacement"] < 0.002
    check(held)
    assert held.sizes["displacement"] > 0.03
    assert held.dx.stdev > 5 * free.dx.stdev
