"""The extensions of a FITS file that are the image, its variance and its mask."""

from astropy_imphot.io.errors import UserError

__all__ = ["companion_hdus", "science_hdu"]

SCIENCE_NAMES = ("DATA", "SCI")


def science_hdu(hdus, naxis=None):
    """
    Return the extension with the image or the cube.

    Parameters
    ----------
    hdus : sequence of HDU
        Of one file.
    naxis : int, optional
        The number of axes that the array needs. By default (None) any number.

    Returns
    -------
    HDU
        DATA or SCI, or else the first that is an image.

    Raises
    ------
    UserError
        If there is no image, or it has another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.layout import science_hdu
    >>> hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 3)), name="SCI")]
    >>> science_hdu(hdus).name
    'SCI'
    """
    images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) > 0]
    if not images:
        raise UserError("there is no image: give a file with an image in DATA, SCI or the first extension.")
    named = [hdu for hdu in images if hdu.name in SCIENCE_NAMES]
    science = (named or images)[0]
    found = science.header["NAXIS"]
    if (naxis, found) == (2, 3):
        raise UserError("an image is needed, not a cube: make an image of it with make_wideband_image.")
    if naxis not in (None, found):
        wanted = "a cube" if naxis == 3 else "an image"
        raise UserError(f"the array has {found} axes: give {wanted}, of {naxis} axes.")
    return science


def companion_hdus(hdus, science):
    """Return the extensions that describe the same pixels as the science image."""
    return [
        hdu
        for hdu in hdus
        if hdu is not science
        and hdu.is_image
        and hdu.shape == science.shape
        and hdu.ver == science.ver
        and hdu.name in ("STAT", "ERR", "DQ", "WHT")
    ]
