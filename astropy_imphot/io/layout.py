"""The extensions of a FITS file that are the image, its variance and its mask."""

from astropy_imphot.io.errors import UserError

__all__ = ["EXTENSIONS", "companion_hdus", "science_hdu"]

# What extensions are, by their names: the image; its variances, standard deviations, or weights, which are
# inverse variances up to a factor, and 0 where nothing was observed; its mask.
EXTENSIONS = {
    "DATA": "image",
    "SCI": "image",
    "IMAGE": "image",
    "STAT": "variance",
    "VAR": "variance",
    "VARIANCE": "variance",
    "ERR": "sigma",
    "ERROR": "sigma",
    "SIGMA": "sigma",
    "RMS": "sigma",
    "WHT": "weight",
    "WEIGHT": "weight",
    "WGT": "weight",
    "IVAR": "weight",
    "INVVAR": "weight",
    "DQ": "mask",
    "MASK": "mask",
    "MSK": "mask",
    "FLAG": "mask",
    "BADPIX": "mask",
}


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
        DATA, SCI or IMAGE, or else the first that is an image.

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
    named = [hdu for hdu in images if EXTENSIONS.get(hdu.name) == "image"]
    science = (named or images)[0]
    found = science.header["NAXIS"]
    if (naxis, found) == (2, 3):
        raise UserError("an image is needed, not a cube: make an image of it with make_wideband_image.")
    if naxis not in (None, found):
        wanted = "a cube" if naxis == 3 else "an image"
        raise UserError(f"the array has {found} axes: give {wanted}, of {naxis} axes.")
    return science


def companion_hdus(hdus, science):
    """
    Return the extensions that describe the same pixels as the science image.

    Parameters
    ----------
    hdus : sequence of HDU
        Of one file.
    science : HDU
        The image or the cube.

    Returns
    -------
    dict of str to HDU
        The first extension of each meaning in ``EXTENSIONS``, by the meanings: variance, sigma, weight, mask.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.layout import companion_hdus
    >>> hdus = [fits.ImageHDU(np.ones((2, 3)), name=name) for name in ("SCI", "ERR", "CON")]
    >>> list(companion_hdus(hdus, hdus[0]))
    ['sigma']
    """
    found = {}
    for hdu in hdus:
        meaning = EXTENSIONS.get(hdu.name)
        same = hdu.is_image and hdu.shape == science.shape and hdu.ver == science.ver
        if same and hdu is not science and meaning not in (None, "image"):
            found.setdefault(meaning, hdu)
    return found
