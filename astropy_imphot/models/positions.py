"""The positions in a template at which a model is evaluated."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Places"]


@dataclass(frozen=True, eq=False)
class Places:
    """
    Pixel coordinates in a template.

    Attributes
    ----------
    y, x : arrays
        The coordinates, 0 at the center of the template's first pixel.
    inside : bool array or None
        True inside of the template; None if all are.
    index : int array or None
        The pixels' indices in the flattened template; None if there are coordinates between the pixels.
    """

    y: np.ndarray
    x: np.ndarray
    inside: np.ndarray | None
    index: np.ndarray | None

    @classmethod
    def within(cls, template, x, y):
        """Return the places of MUSE pixel coordinates; those outside the template are at its first pixel."""
        x, y = x + template.margin[1], y + template.margin[0]
        ny, nx = template.grid_shape
        inside = (x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1)
        if inside.all():
            inside = None
        else:
            x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        column, row = x.astype(int), y.astype(int)
        on_pixels = np.array_equal(column, x) and np.array_equal(row, y)
        return cls(y, x, inside, row * nx + column if on_pixels else None)
