"""Pixels without data that hold a number, such as -99 or 1e30, in place of NaN."""

import numpy as np

from astropy_imphot.io.errors import warn

__all__ = ["blank_pixels"]

# Numbers that files have in such pixels.
CODES = (-99.0, -99.99, -999.0, -999.99, -9999.0, -32768.0)

# A value is a blank if it is so many standard deviations of the noise below the sky, and a code or that of
# several pixels; or so many above the sky: stars have plateaus below that.
BELOW, ABOVE = 20, 1e10
SEVERAL = 3

# The sky is that of about so many pixels.
SAMPLE = 200_000


def blank_pixels(data, header, bad):
    """
    Find pixels that hold a number in place of data.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The image.
    header : `~astropy.io.fits.Header` or dict
        Its header, of which BLANK is used also if the image is not of integers.
    bad : bool array of shape (ny, nx)
        Pixels that are masked already.

    Returns
    -------
    bool array of shape (ny, nx)
        ``bad`` itself, or a copy with the pixels that were found as well.

    Warns
    -----
    ImphotWarning
        If there are any, with their values.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from astropy_imphot.io.blanks import blank_pixels
    >>> data = np.random.default_rng(1).normal(size=(20, 20))
    >>> data[3, 4:8] = -99
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     int(blank_pixels(data, {}, ~np.isfinite(data)).sum())
    4
    """
    values = data[~bad] if bad.any() else data.ravel()
    if not values.size:
        return bad
    blanks = _blanks(values, header.get("BLANK"))
    found = np.isin(data, np.array(blanks, dtype=data.dtype)) & ~bad if blanks else bad & False
    if not found.any():
        return bad
    listed = ", ".join(f"{value:g}" for value in blanks)
    # Their number differs between parts of the image.
    warn(f"pixels with values that stand for missing data ({listed}) are masked: NaN would be unambiguous.")
    return bad | found


def _blanks(values, blank):
    """Return the values that stand for missing data."""
    sample = values[:: 1 + values.size // SAMPLE]
    different, counts = np.unique(sample, return_counts=True)
    # Most of the pixels can be blanks.
    often = different[counts.argmax()]
    sky = sample[sample != often] if counts.max() >= SEVERAL and len(different) > SEVERAL else sample
    middle = np.median(sky).astype(float)
    noise = 1.4826 * np.median(np.abs(sky - middle))
    low, high = middle - BELOW * noise, middle + ABOVE * noise
    blanks = [] if blank is None or not np.any(values == blank) else [float(blank)]
    if not noise > 0:
        return blanks
    lowest = values.min()
    if lowest < low:
        repeated = different[(counts > 1) & (different < low)]
        blanks += [
            code for code in CODES if lowest <= code < low and np.any(values == values.dtype.type(code))
        ]
        blanks += [
            float(one)
            for one in {lowest, *repeated}
            if one != 0 and np.count_nonzero(values == one) >= SEVERAL
        ]
    if values.max() > high:
        blanks += [float(one) for one in np.unique(values[values > high])]
    return list(dict.fromkeys(blanks))
