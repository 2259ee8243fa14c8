"""The derivatives of a fit: of the model's parameters, of point sources, of objects and of the background."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Columns", "CosineModes", "mode_numbers"]


def mode_numbers(n_modes):
    """
    Return the numbers of half periods along y and x of smooth modes.

    Parameters
    ----------
    n_modes : (int, int)
        The largest number of half periods along y and x.

    Returns
    -------
    int array of shape (n, 2)
        All pairs but (0, 0).

    Examples
    --------
    >>> from astropy_imphot.fitting.columns import mode_numbers
    >>> mode_numbers((1, 1)).tolist()
    [[0, 1], [1, 0], [1, 1]]
    """
    pairs = np.moveaxis(np.indices(np.add(n_modes, 1)), 0, -1).reshape(-1, 2)
    return pairs[1:]


class CosineModes:
    """
    Smooth modes of an image: products of cosines along y and x, each with an amplitude of 1.

    Parameters
    ----------
    shape : (int, int)
        The image's (ny, nx).
    numbers : int array of shape (n, 2)
        Numbers of half periods along y and x.
    box : (slice, slice), optional
        The part of the image in which the numbers are counted. By default (None) the whole image.

    Notes
    -----
    Sums over pixels are done along one axis after the other, which takes no time compared to an image of each
    mode.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.columns import CosineModes
    >>> modes = CosineModes((2, 2), [[0, 1]])
    >>> modes.image([1.0]).round(3)
    array([[ 0.707, -0.707],
           [ 0.707, -0.707]])
    >>> modes.products(np.ones((1, 2, 2))).round(3), modes.normal(np.ones((2, 2))).round(3)
    (array([[0.]]), array([[2.]]))
    """

    def __init__(self, shape, numbers, box=None):
        self.numbers = np.reshape(numbers, (-1, 2)).astype(int)
        box = tuple(slice(0, size) for size in shape) if box is None else box
        self.along = [
            np.cos(
                np.pi
                * np.outer(np.arange(halves.max(initial=0) + 1), np.arange(size) - part.start + 0.5)
                / (part.stop - part.start)
            )
            for size, part, halves in zip(shape, box, self.numbers.T, strict=True)
        ]

    def __len__(self):
        return len(self.numbers)

    def image(self, amplitudes):
        """Return the sum of the modes, an array of shape (ny, nx)."""
        grid = np.zeros([len(one) for one in self.along])
        grid[tuple(self.numbers.T)] = amplitudes
        return self.along[0].T @ grid @ self.along[1]

    def products(self, images):
        """Return the sums over pixels of each mode and each image, an array of shape (n, m)."""
        return (self.along[0] @ images @ self.along[1].T)[:, *self.numbers.T].T

    def products_with_rows(self, matrix):
        """Return the same for the rows of a sparse matrix of shape (m, ny * nx)."""
        width = self.along[1].shape[1]
        found = np.zeros((matrix.shape[0], len(self)))
        for row in range(matrix.shape[0]):
            places = slice(matrix.indptr[row], matrix.indptr[row + 1])
            y, x = np.divmod(matrix.indices[places], width)
            sums = (self.along[0][:, y] * matrix.data[places]) @ self.along[1][:, x].T
            found[row] = sums[tuple(self.numbers.T)]
        return found

    def normal(self, squares):
        """Return the sums of the products of any two modes, weighted by an image: of shape (n, n)."""
        up, right = self.along
        across = np.einsum("yx,kx,lx->ykl", squares, right, right, optimize=True)
        both = np.einsum("iy,jy,ykl->ijkl", up, up, across, optimize=True)
        (i, k), (j, m) = self.numbers.T[:, :, np.newaxis], self.numbers.T[:, np.newaxis, :]
        return both[i, j, k, m]


@dataclass(frozen=True, eq=False)
class Columns:
    """
    The weighted derivatives of a fit, in three parts.

    Attributes
    ----------
    jacobian : array of shape (p, ny, nx)
        With respect to the free parameters of the model.
    local : `~scipy.sparse.csr_array` of shape (m, ny * nx)
        With respect to the own parameters of point sources, and the own scales and shifts of objects.
    modes : CosineModes
        The k smooth modes of the background.
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from astropy_imphot.fitting.columns import Columns, CosineModes
    >>> modes, local = CosineModes((2, 2), []), sparse.csr_array(np.eye(2, 4))
    >>> columns = Columns(np.ones((1, 2, 2)), local, modes, np.ones((2, 2)))
    >>> columns.normal
    array([[4., 1., 1.],
           [1., 1., 0.],
           [1., 0., 1.]])
    >>> columns.combined(np.array([[0.0, 1.0, 2.0]]))
    array([[[1., 2.],
            [0., 0.]]])
    """

    jacobian: np.ndarray
    local: sparse.csr_array
    modes: CosineModes
    weights: np.ndarray

    @property
    def normal(self):
        """The products of all derivatives, a matrix."""
        first = self.jacobian.reshape(len(self.jacobian), -1)
        across = self.local @ first.T
        if not len(self.modes):
            return np.block([[first @ first.T, across.T], [across, (self.local @ self.local.T).toarray()]])
        along = self.modes.products(self.weights * self.jacobian)
        rows = self.local * self.weights.ravel()
        both = self.modes.products_with_rows(sparse.csr_array(rows))
        return np.block(
            [
                [first @ first.T, across.T, along.T],
                [across, (self.local @ self.local.T).toarray(), both],
                [along, both.T, self.modes.normal(self.weights**2)],
            ]
        )

    def scores(self, residual):
        """Return the products of all derivatives and a weighted residual."""
        first = self.jacobian.reshape(len(self.jacobian), -1)
        modes = self.modes.products((self.weights * residual)[np.newaxis])[:, 0]
        return np.concatenate([first @ residual.ravel(), self.local @ residual.ravel(), modes])

    def combined(self, rows):
        """Return linear combinations of all derivatives, an array of shape (n, ny, nx)."""
        first = self.jacobian.reshape(len(self.jacobian), -1)
        ends = np.cumsum([len(first), self.local.shape[0]])
        of_first, of_local, of_modes = np.split(rows, ends, axis=1)
        total = (of_first @ first + of_local @ self.local).reshape(-1, *self.jacobian.shape[1:])
        return total + self.weights * np.array([self.modes.image(one) for one in of_modes])
