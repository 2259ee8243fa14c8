"""What the width of a filter does to a PSF that changes with wavelength."""

from functools import lru_cache

import numpy as np

__all__ = ["band_effect"]

# In units of the FWHM: how far out a PSF is compared, in which steps, and the steps of its derivatives.
REACH = 12.0
STEP = 0.01
SMALL = 1e-3


@lru_cache(maxsize=64)
def band_effect(beta, free_beta=True):
    """
    Return how the Moffat function that fits a mixture of PSFs differs from the mean one.

    Parameters
    ----------
    beta : float
        Exponent of the PSF.
    free_beta : bool
        Whether it is fitted (default: True).

    Returns
    -------
    dict of str to float
        Changes of fwhm, beta and scale, in units of the variance of the FWHMs over their mean, over its
        square, and over its square.

    Notes
    -----
    A mixture of PSFs P of different FWHM w is P + Var(w)/2 d2P/dw2 to second order. A fit takes this for
    what the derivatives with respect to its parameters are nearest to, in the sense of least squares.

    Examples
    --------
    >>> from astropy_imphot.field.bands import band_effect
    >>> {key: round(value, 2) for key, value in band_effect(2.5).items()}
    {'beta': -11.11, 'fwhm': -2.29, 'scale': 0.46}
    """
    radius = np.arange(0.5 * STEP, REACH, STEP)

    def psf(fwhm=1.0, exponent=beta):
        width = fwhm / (2 * np.sqrt(2 ** (1 / exponent) - 1))
        return (exponent - 1) / (np.pi * width**2) * (1 + (radius / width) ** 2) ** -exponent

    narrow, middle, wide = psf(1 - SMALL), psf(), psf(1 + SMALL)
    columns = {"fwhm": (wide - narrow) / (2 * SMALL), "scale": middle}
    if free_beta:
        columns["beta"] = (psf(exponent=beta + SMALL) - psf(exponent=beta - SMALL)) / (2 * SMALL)
    # All pixels weigh the same, of which there are more further out.
    weight = np.sqrt(radius)
    design = np.transpose(list(columns.values())) * weight[:, None]
    found = np.linalg.lstsq(design, 0.5 * (wide - 2 * middle + narrow) / SMALL**2 * weight)[0]
    return {"beta": 0.0} | dict(zip(columns, found.tolist(), strict=True))
