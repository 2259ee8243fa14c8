"""Images without holes, for methods that need a number in every pixel."""

import numpy as np

__all__ = ["filled"]

# The level is the median of about so many pixels.
SAMPLE = 200_000


def filled(data, valid):
    """
    Return an image with its invalid pixels filled by the level of the sky.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The image.
    valid : bool array of that shape
        Some of its pixels at least.

    Returns
    -------
    array of shape (ny, nx)
        The image, with the median of the valid pixels, or of a sample of them, in the others; itself if all
        are valid.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.io.filling import filled
    >>> filled(np.array([[1.0, 2.0, 3.0, np.nan]]), np.array([[True, True, True, False]]))
    array([[1., 2., 3., 2.]])
    """
    if valid.all():
        return data
    values = data[valid]
    # Of a large image a sample is sufficient for the level.
    return np.where(valid, data, np.median(values[:: 1 + len(values) // SAMPLE]))
