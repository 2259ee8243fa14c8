"""The derivatives of a fit: products and sums against those of an image of each."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from astropy_imphot.fitting.columns import Columns, CosineModes, mode_numbers

SHAPE = (23, 31)
BOX = (slice(3, 20), slice(5, 30))


def images(numbers, box):
    """Return an image of each mode, by its formula."""
    y, x = np.indices(SHAPE) + 0.5
    found = []
    for up, right in numbers:
        along = np.cos(np.pi * up * (y - box[0].start) / (box[0].stop - box[0].start))
        across = np.cos(np.pi * right * (x - box[1].start) / (box[1].stop - box[1].start))
        found.append(along * across)
    return np.reshape(found, (-1, *SHAPE))


WHOLE = tuple(slice(0, size) for size in SHAPE)
NUMBERS = [np.zeros((0, 2), dtype=int), np.array([[0, 3]]), mode_numbers((3, 2)), np.array([[4, 0], [1, 5]])]


def test_numbers_of_modes():
    numbers = mode_numbers((2, 3))
    assert len(numbers) == 3 * 4 - 1
    assert len({tuple(pair) for pair in numbers}) == len(numbers)
    assert (0, 0) not in {tuple(pair) for pair in numbers}
    assert numbers.max(axis=0).tolist() == [2, 3]
    assert mode_numbers((0, 0)).shape == (0, 2)


@pytest.mark.parametrize("box", [None, BOX])
@pytest.mark.parametrize("numbers", NUMBERS)
def test_modes(numbers, box):
    rng = np.random.default_rng(101)
    modes, each = CosineModes(SHAPE, numbers, box), images(numbers, box or WHOLE)
    assert len(modes) == len(numbers)
    amplitudes = rng.normal(size=len(numbers))
    assert_allclose(modes.image(amplitudes), np.tensordot(amplitudes, each, axes=1), atol=1e-12)
    others = rng.normal(size=(3, *SHAPE))
    assert_allclose(modes.products(others), np.einsum("nyx,myx->nm", each, others), atol=1e-10)
    rows = np.where(rng.uniform(size=others.shape) < 0.1, others, 0).reshape(3, -1)
    expected = rows @ each.reshape(len(numbers), rows.shape[1]).T
    assert_allclose(modes.products_with_rows(sparse.csr_array(rows)), expected, atol=1e-10)
    squares = rng.uniform(size=SHAPE)
    assert_allclose(modes.normal(squares), np.einsum("nyx,yx,myx->nm", each, squares, each), atol=1e-10)


def test_modes_of_a_box_are_orthogonal_in_it():
    modes = CosineModes(SHAPE, mode_numbers((3, 4)), BOX)
    inside = np.zeros(SHAPE)
    inside[BOX] = 1
    normal = modes.normal(inside)
    assert_allclose(normal, np.diag(np.diag(normal)), atol=1e-10)


@pytest.mark.parametrize(("n_free", "n_local", "numbers"), [(4, 5, (2, 2)), (4, 0, (0, 0)), (1, 5, (1, 2))])
def test_columns_are_those_of_a_matrix(n_free, n_local, numbers):
    rng = np.random.default_rng(102)
    weights = np.where(rng.uniform(size=SHAPE) < 0.2, 0, rng.uniform(0.5, 2, SHAPE))
    jacobian = rng.normal(size=(n_free, *SHAPE)) * weights
    local = np.where(rng.uniform(size=(n_local, *SHAPE)) < 0.1, 1.0, 0) * weights
    pairs = mode_numbers(numbers)
    columns = Columns(
        jacobian,
        sparse.csr_array(local.reshape(n_local, weights.size)),
        CosineModes(SHAPE, pairs, BOX),
        weights,
    )
    # The columns of an ordinary least-squares fit.
    matrix = np.concatenate([jacobian, local, weights * images(pairs, BOX)]).reshape(-1, weights.size)
    assert_allclose(columns.normal, matrix @ matrix.T, atol=1e-9)
    residual = rng.normal(size=SHAPE) * weights
    assert_allclose(columns.scores(residual), matrix @ residual.ravel(), atol=1e-10)
    rows = rng.normal(size=(2, len(matrix)))
    assert_allclose(columns.combined(rows).reshape(2, -1), rows @ matrix, atol=1e-10)


def test_a_fit_recovers_all_parameters():
    rng = np.random.default_rng(103)
    weights = np.where(rng.uniform(size=SHAPE) < 0.2, 0, 1.0)
    pairs = mode_numbers((2, 1))
    jacobian = rng.normal(size=(2, *SHAPE)) * weights
    local = np.zeros((2, *SHAPE))
    local[0, 2:6, 3:7], local[1, 10:15, 20:25] = 1, 1
    local = sparse.csr_array((local * weights).reshape(2, -1))
    columns = Columns(jacobian, local, CosineModes(SHAPE, pairs), weights)
    truth = rng.normal(size=4 + len(pairs))
    data = columns.combined(truth[np.newaxis])[0]
    assert_allclose(np.linalg.solve(columns.normal, columns.scores(data)), truth, rtol=1e-8)
