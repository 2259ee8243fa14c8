"""Wavelengths of MUSE: the variable of the polynomials that describe the PSF."""

__all__ = ["REFERENCE", "WAVELENGTHS", "relative"]

# The range of MUSE, in which polynomials run from -0.5 to 0.5, as MPDAF writes them; and where the PSF is
# quoted. Angstrom.
WAVELENGTHS = (4750.0, 9350.0)
REFERENCE = 7000.0


def relative(wavelength):
    """
    Return where a wavelength is in the range of MUSE, from -0.5 to 0.5.

    Parameters
    ----------
    wavelength : float or array
        In Angstrom.

    Returns
    -------
    float or array
        The variable of the PSF's polynomials: (wavelength - 4750)/(9350 - 4750) - 0.5.

    Examples
    --------
    >>> from astropy_imphot.psf.wavelength import relative
    >>> relative(4750.0), relative(9350.0)
    (-0.5, 0.5)
    """
    low, high = WAVELENGTHS
    return (wavelength - low) / (high - low) - 0.5
