"""The derivatives of a fit: of the model's parameters, of point sources, of objects and of the background."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Columns", "cosine_modes", "mode_numbers"]


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


def cosine_modes(shape, numbers, box=None):
    """
    Return smooth modes of an image: products of cosines along y and x.

    Parameters
    ----------
    shape : (int, int)
        The image's (ny, nx).
    numbers : int array of shape (n, 2)
        Numbers of half periods along y and x.
    box : (slice, slice), optional
        The part of the image in which the numbers are counted. By default (None) the whole image.

    Returns
    -------
    array of shape (n, ny * nx)
        The modes, each with an amplitude of 1.

    Examples
    --------
    >>> from astropy_imphot.fitting.columns import cosine_modes
    >>> cosine_modes((2, 2), [[0, 1]]).round(3)
    array([[ 0.707, -0.707,  0.707, -0.707]])
    """
    box = tuple(slice(0, size) for size in shape) if box is None else box
    along = [
        np.cos(np.pi * np.outer(halves, np.arange(size) - part.start + 0.5) / (part.stop - part.start))
        for size, part, halves in zip(shape, box, np.reshape(numbers, (-1, 2)).T, strict=True)
    ]
    return (along[0][:, :, np.newaxis] * along[1][:, np.newaxis, :]).reshape(len(along[0]), np.prod(shape))


@dataclass(frozen=True, eq=False)
class Columns:
    """
    The weighted derivatives of a fit, in three parts.

    Attributes
    ----------
    jacobian : array of shape (p, ny, nx)
        With respect to the free parameters of the model.
    local : `~scipy.sparse.csr_array` of shape (m, ny * nx)
        With respect to the own parameters of point sources and the own scales of objects.
    modes : array of shape (k, ny * nx)
        With respect to smooth modes of the background.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from astropy_imphot.fitting.columns import Columns
    >>> columns = Columns(np.ones((1, 2, 2)), sparse.csr_array(np.eye(2, 4)), np.ones((0, 4)))
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
    modes: np.ndarray

    @property
    def _parts(self):
        return self.jacobian.reshape(len(self.jacobian), -1), self.local, self.modes

    @property
    def normal(self):
        """The products of all derivatives, a matrix."""
        first, local, modes = self._parts
        across, along, both = local @ first.T, modes @ first.T, local @ modes.T
        return np.block(
            [
                [first @ first.T, across.T, along.T],
                [across, (local @ local.T).toarray(), both],
                [along, both.T, modes @ modes.T],
            ]
        )

    def scores(self, residual):
        """Return the products of all derivatives and a weighted residual."""
        return np.concatenate([part @ residual.ravel() for part in self._parts])

    def combined(self, rows):
        """Return linear combinations of all derivatives, an array of shape (n, ny, nx)."""
        first, local, modes = self._parts
        ends = np.cumsum([len(first), local.shape[0]])
        of_first, of_local, of_modes = np.split(rows, ends, axis=1)
        total = of_first @ first + of_local @ local + of_modes @ modes
        return total.reshape(-1, *self.jacobian.shape[1:])
