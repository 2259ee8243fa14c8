"""Objects of a field: their pixels, their own scales and offsets, and those that only one image has."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astropy_imphot.fitting.objects import (
    misfitting_objects,
    object_cells,
    object_pixels,
    object_table,
    segment_objects,
    unmatched_objects,
)
from astropy_imphot.simulation import sky_grid

SHAPE = (100, 120)
NOISE = 0.1
GRID = sky_grid(SHAPE)

# Rows and columns of Gaussian objects, and their fluxes; the width is 2 pixels.
PLACES = np.array([[20.0, 25.0], [30.4, 80.0], [70.0, 40.7], [75.0, 95.0]])
FLUXES = np.array([300.0, 60.0, 200.0, 100.0])
WIDTH = 2.0


def blobs(fluxes=FLUXES, places=PLACES):
    y, x = np.indices(SHAPE)
    parts = [
        flux * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * WIDTH**2)) / (2 * np.pi * WIDTH**2)
        for (row, column), flux in zip(places, fluxes, strict=True)
    ]
    return np.sum(parts, axis=0)


def noise(*seed):
    return np.random.default_rng(seed).normal(0, NOISE, SHAPE)


EVERYWHERE = np.ones(SHAPE, dtype=bool)


@pytest.fixture(scope="module")
def labels():
    return segment_objects(blobs(), NOISE, EVERYWHERE)


def label_of(labels, number):
    return labels[tuple(np.round(PLACES[number]).astype(int))]


def test_objects_are_labeled(labels):
    assert labels.max() == 4
    assert sorted(label_of(labels, number) for number in range(4)) == [1, 2, 3, 4]
    # Light above three standard deviations belongs to objects, and what is far from it does not.
    bright = blobs() > 3 * NOISE
    assert np.all(labels[bright] > 0)
    y, x = np.indices(SHAPE)
    far = np.min([np.hypot(y - row, x - column) for row, column in PLACES], axis=0) > 12
    assert np.all(labels[far] == 0)
    assert (labels > 0).sum() > 1.3 * bright.sum()


def test_noise_is_no_object():
    assert [segment_objects(noise(141, seed), NOISE, EVERYWHERE).max() for seed in range(10)] == 10 * [0]


def test_noise_of_each_pixel():
    level = np.where(np.arange(SHAPE[1]) < 60, NOISE, 1e3) * np.ones(SHAPE)
    labels = segment_objects(blobs(), level, EVERYWHERE)
    assert labels.max() == 2
    # Masked pixels belong to no object, whatever their noise is.
    valid = np.arange(SHAPE[1]) * np.ones(SHAPE) < 80
    labels = segment_objects(blobs(), np.where(valid, NOISE, np.inf), valid)
    assert labels.max() == 3
    assert not labels[~valid].any()


def test_cells_are_of_the_nearest_object(labels):
    cells, count = object_cells(labels, blobs() / NOISE, 1.0)
    assert count == 4
    assert np.all(cells > 0)
    # Each pixel has the number of the object to which it is nearest.
    y, x = np.indices(SHAPE)
    away = []
    for number in range(1, 5):
        rows, columns = np.nonzero(labels == labels[cells == number].max())
        away.append(
            np.min([np.hypot(y - row, x - one) for row, one in zip(rows, columns, strict=True)], axis=0)
        )
    away = np.array(away)
    assert np.all(np.take_along_axis(away, cells[np.newaxis] - 1, axis=0)[0] <= away.min(axis=0) + 1e-9)


def test_faint_objects_have_no_own_scale(labels):
    # The scale of an object is measured to the inverse root of the sum of its squared significances.
    for level, expected in ((1.0, 4), (1e9, 0)):
        assert object_cells(labels, blobs() / NOISE, level)[1] == expected
    light = blobs() / NOISE
    limit = np.sum(light**2, where=labels == label_of(labels, 1)) * 0.3**2
    cells, count = object_cells(labels, light, 1.5 * limit)
    assert count == 3
    row, column = PLACES[1].astype(int)
    assert cells[row, column] == 0
    assert set(np.unique(cells)) == {0, 1, 2, 3}
    assert object_cells(np.zeros(SHAPE, dtype=int), light, 1.0)[1] == 0


def test_pixels_of_an_object(labels):
    label = label_of(labels, 1)
    own = labels == label
    pixels = object_pixels(labels, label)
    rows, columns = np.nonzero(own)
    y, x = np.indices(SHAPE)
    away = np.min([np.hypot(y - row, x - one) for row, one in zip(rows, columns, strict=True)], axis=0)
    reach = 0.7 * np.sqrt(own.sum() / np.pi)
    assert np.array_equal(pixels, own | ((away <= reach) & (labels == 0)))
    assert not object_pixels(labels, 99).any()


def test_an_object_of_one_image_is_masked():
    both = blobs()
    extra = blobs([80.0], [(50.0, 60.0)])
    for image, model in ((both + extra, both), (both, both + extra)):
        pixels = unmatched_objects(image + noise(142), model, NOISE, EVERYWHERE)
        assert pixels[50, 60]
        assert not any(pixels[tuple(np.round(place).astype(int))] for place in PLACES)
    # Nothing differs by more than half of its light.
    pixels = unmatched_objects(both * 1.3 + noise(143), both, NOISE, EVERYWHERE)
    assert not pixels.any()


def test_what_is_not_significant_or_too_much_is_kept():
    both = blobs()
    extra = blobs([80.0], [(50.0, 60.0)])
    assert not unmatched_objects(both + extra, both, 30 * NOISE, EVERYWHERE).any()
    # Five pixels of four standard deviations: with the pixels around them, they are not significant.
    spot = np.zeros(SHAPE)
    spot[50, 58:63] = 4 * NOISE
    assert segment_objects(spot, NOISE, EVERYWHERE).any()
    assert not unmatched_objects(spot, 0 * spot, NOISE, EVERYWHERE).any()
    # A model of nothing: most of the field would be masked.
    broad = blobs(3e4 * FLUXES)
    assert not unmatched_objects(broad, 0 * broad, NOISE, EVERYWHERE).any()
    assert not unmatched_objects(0 * both, 0 * both, NOISE, EVERYWHERE).any()


def jacobian():
    """Return the weighted derivatives with respect to scale, dx and dy of pixels of 0.2 arcsec."""
    step = 1e-3
    moved = [
        (blobs(places=PLACES + shift) - blobs(places=PLACES - shift)) / (2 * 0.2 * step)
        for shift in ((0, step), (step, 0))
    ]
    return np.array([blobs(), *moved]) / NOISE


WHITE = np.pad([[1.0]], 6)


def test_table_of_objects(labels):
    truth = {"scale": [0.0, 0.1, 0.0, -0.1], "dx": [0.0, 0.0, 0.02, 0.0], "dy": [0.01, 0.0, -0.02, 0.0]}
    changed = 2 * blobs(
        FLUXES * (1 + np.array(truth["scale"])),
        PLACES + np.transpose([truth["dy"], truth["dx"]]) / 0.2,
    )
    # Derivatives at a scale of 2: that by the scale is the light for a scale of 1.
    derivatives = jacobian() * np.array([1, 2, 2])[:, np.newaxis, np.newaxis]
    order = [label_of(labels, number) - 1 for number in range(4)]
    pulls = []
    for seed in range(30):
        residual = (changed - 2 * blobs() + noise(144, seed)) / NOISE
        table = object_table(labels, derivatives, residual, np.ones(5), 2.0, WHITE, GRID.wcs)
        rows = table[order]
        for key, values in truth.items():
            values = values * (rows["dx"].unit if key != "scale" else 1)
            pulls.append(((rows[key] - values) / rows[f"{key}_err"]).value)
    pulls = np.array(pulls)
    # Four standard deviations of the mean and of the standard deviation.
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size) + 0.1
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)
    assert_allclose(rows["x"].value, PLACES[:, 1], atol=0.6)
    assert_allclose(rows["y"].value, PLACES[:, 0], atol=0.6)
    expected = GRID.wcs.pixel_to_world(rows["x"].value, rows["y"].value)
    assert rows["sky_center"].separation(expected).arcsec.max() < 1e-6
    assert rows["n_pixels"].tolist() == [int((labels == label_of(labels, one)).sum()) for one in range(4)]
    assert not table["left_out"].any()


def test_errors_of_correlated_noise_are_larger(labels):
    wide = np.zeros((13, 13))
    wide[5:8, 5:8] = 0.5
    wide[6, 6] = 1
    residual = noise(145) / NOISE
    one, other = (
        object_table(labels, jacobian(), residual, np.ones(5), 1.0, correlation, GRID.wcs)
        for correlation in (WHITE, wide)
    )
    assert np.all(other["scale_err"] > 1.5 * one["scale_err"])
    assert_allclose(other["scale"], one["scale"])


def test_an_object_that_hst_has_not(labels):
    derivatives = jacobian() * (labels != label_of(labels, 2))
    table = object_table(labels, derivatives, noise(146) / NOISE, np.arange(5.0), 1.0, WHITE, GRID.wcs)
    missing = table["label"] == label_of(labels, 2)
    for key in ("scale", "dx", "dy", "scale_err"):
        assert np.array_equal(np.isnan(table[key]), missing)
    assert_allclose(table["excess"], table["label"])


def test_no_objects():
    nothing = np.zeros(SHAPE, dtype=int)
    table = object_table(nothing, jacobian(), noise(147), np.ones(1), 1.0, WHITE, GRID.wcs)
    assert len(table) == 0
    assert {"label", "x", "y", "sky_center", "scale", "dx_err", "left_out"} <= set(table.colnames)


def test_misfits_are_the_worst_first(labels):
    assert misfitting_objects(labels, np.array([9.0, 5.0, 1.0, 8.0, 2.9]), EVERYWHERE) == [3, 1]
    assert misfitting_objects(labels, np.ones(5), EVERYWHERE) == []
    # The worst ones that cover two fifths of the pixels at most.
    sizes = [object_pixels(labels, label).sum() for label in range(1, 5)]
    large, small = int(np.argmax(sizes)) + 1, int(np.argmin(sizes)) + 1
    excess = np.ones(5)
    excess[large], excess[small] = 8, 5
    few = np.zeros(SHAPE, dtype=bool)
    few.flat[: int(max(sizes) / 0.4) + 10] = True
    assert misfitting_objects(labels, excess, few) == [large]
