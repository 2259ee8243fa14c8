"""The effect of a filter's width on a PSF that changes with wavelength."""

from functools import lru_cache

import numpy as np

__all__ = ["band_effect"]

# In units of the FWHM: the radius to which PSFs are compared, its steps, and the steps of derivatives.
REACH = 12.0
STEP = 0.01
SMALL = 1e-3


def band_effect(psf, values, free=None):
    """
    Return how the PSF that fits a mixture of PSFs differs from the mean one.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.
    values : dict of str to float
        The parameters of the mean one.
    free : sequence of str, optional
        Names of those that are fitted. By default (None) all are.

    Returns
    -------
    dict of str to float
        Changes of the scale and of each parameter of the PSF, 0 for those that are not fitted, for a
        variance of the FWHMs of 1 in units of the squared FWHM: of fwhm and scale as fractions of these.

    Notes
    -----
    A mixture of PSFs P of different FWHM w is P + Var(w)/2 d2P/dw2 to second order. A fit replaces the second
    term by the combination of derivatives with respect to its parameters that is nearest by least squares.

    Examples
    --------
    >>> from astropy_imphot.field.bands import band_effect
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> effect = band_effect(MOFFAT, {"fwhm": 0.7, "beta": 2.5})
    >>> {key: round(value, 2) for key, value in effect.items()}
    {'fwhm': -2.29, 'beta': -11.11, 'scale': 0.46}
    """
    return dict(_band_effect(psf, tuple(values.items()), psf.names if free is None else tuple(free)))


@lru_cache(maxsize=64)
def _band_effect(psf, values, free):
    values = dict(values)
    fwhm = values["fwhm"]
    ratio = np.arange(0.5 * STEP, REACH, STEP)

    def profile(**changes):
        return fwhm**2 * psf.profile(fwhm * ratio, **(values | changes))

    narrow, middle, wide = profile(fwhm=fwhm * (1 - SMALL)), profile(), profile(fwhm=fwhm * (1 + SMALL))
    columns = {"fwhm": (wide - narrow) / (2 * SMALL), "scale": middle}
    for name in psf.names:
        if name != "fwhm" and name in free:
            above, below = (profile(**{name: values[name] + step}) for step in (SMALL, -SMALL))
            columns[name] = (above - below) / (2 * SMALL)
    # All pixels have the same weight, and their number grows with the radius.
    weight = np.sqrt(ratio)
    design = np.transpose(list(columns.values())) * weight[:, None]
    found = np.linalg.lstsq(design, 0.5 * (wide - 2 * middle + narrow) / SMALL**2 * weight)[0]
    return dict.fromkeys(psf.names, 0.0) | dict(zip(columns, found.tolist(), strict=True))
