"""Pixels without data that hold a number, such as -99 or 1e30, in place of NaN."""

import numpy as np

from astropy_imphot.io.errors import warn

__all__ = ["blank_pixels"]

# Numbers that files have in such pixels.
CODES = (-99.0, -99.99, -999.0, -999.99, -9999.0, -32768.0)

# A value is a blank if it is so many standard deviations of the noise below the sky, and a code; if several
# pixels have it, and it is so many times as far below the sky as all that is above it; or if it is so many
# times as far above the sky as all that is below it. In drawn images without noise, all light is far above.
BELOW, SEVERAL, GAP = 20, 3, 3
ABOVE = 1e6

# So many values are looked at.
MOST = 4

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
    low = middle - BELOW * noise
    blanks = [] if blank is None or not np.any(values == blank) else [float(blank)]
    if not noise > 0:
        return blanks
    lowest, highest = values.min(), values.max()
    if lowest < low:
        blanks += [
            code for code in CODES if lowest <= code < low and np.any(values == values.dtype.type(code))
        ]
        often = different[(counts > 1) & (different < low)][:MOST]
        blanks += [float(value) for value in {lowest, *often} if _is_far_below(value, values, middle)]
    if highest > middle + ABOVE * noise:
        others = values[~np.isin(values, np.array(blanks, dtype=values.dtype))]
        blanks += _far_above(others, highest, middle)
    return list(dict.fromkeys(blanks))


def _is_far_below(value, values, middle):
    """Return whether several pixels have a value, which is far below all others above it."""
    if value == 0 or np.count_nonzero(values == value) < SEVERAL:
        return False
    return middle - value > GAP * (middle - values[values > value].min())


def _far_above(values, highest, middle):
    """Return the highest values that are far above all others."""
    found = []
    while len(found) < MOST:
        rest = values[values < highest]
        if not rest.size or highest - middle < ABOVE * max(
            abs(rest.max() - middle), abs(rest.min() - middle)
        ):
            break
        found.append(float(highest))
        values, highest = rest, rest.max()
    return found
