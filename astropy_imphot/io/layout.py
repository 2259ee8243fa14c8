"""The extensions of a FITS file that are the image, its variance and its mask."""

from astropy.io import fits

from astropy_imphot.io.errors import UserError, warn

__all__ = ["EXTENSIONS", "companion_hdus", "meaning_of", "plain_shape", "science_hdu"]

# What extensions are, by their names: the image; its variances, standard deviations, or weights, which are
# inverse variances up to a factor, and 0 where nothing was observed; its mask.
EXTENSIONS = {
    "DATA": "image",
    "SCI": "image",
    "IMAGE": "image",
    **dict.fromkeys(("STAT", "VAR", "VARIANCE"), "variance"),
    **dict.fromkeys(
        ("ERR", "ERROR", "ERRORS", "SIGMA", "RMS", "STD", "STDDEV", "UNC", "UNCERT", "UNCERTAINTY"), "sigma"
    ),
    **dict.fromkeys(("WHT", "WEIGHT", "WEIGHTS", "WGT", "IVAR", "INVVAR", "INV_VAR", "IVM"), "weight"),
    **dict.fromkeys(
        ("DQ", "MASK", "MSK", "FLAG", "FLAGS", "BADPIX", "BAD", "BPM", "QUALITY", "DATAQUALITY"), "mask"
    ),
}

# What the extension UNCERT of astropy is, by its keyword UTYPE.
UNCERTAINTIES = {"VARIANCEUNCERTAINTY": "variance", "INVERSEVARIANCE": "weight"}

# Extensions with the image's size that are not needed: of HST, JWST and of this package.
NOT_NEEDED = ("CTX", "CON", "SAMP", "TIME", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT", "PHASE")


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
    if naxis == 2 and len(plain_shape(science)) == 2:
        return science
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

    Warns
    -----
    ImphotWarning
        If there are other extensions with the image's size, of which the meaning is not known, or extensions
        of a known meaning with another size.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.layout import companion_hdus
    >>> hdus = [fits.ImageHDU(np.ones((2, 3)), name=name) for name in ("SCI", "ERR", "CON")]
    >>> list(companion_hdus(hdus, hdus[0]))
    ['sigma']
    """
    found, unused = {}, []
    for number, hdu in enumerate(hdus):
        meaning = meaning_of(hdu)
        other = meaning == "image" or isinstance(hdu, fits.PrimaryHDU) or hdu.ver != science.ver
        if not hdu.is_image or hdu is science or other:
            continue
        same = plain_shape(hdu) == plain_shape(science)
        if same and meaning is not None:
            found.setdefault(meaning, hdu)
        elif same and hdu.name not in NOT_NEEDED or meaning is not None and hdu.header.get("NAXIS"):
            unused.append(hdu.name or str(number))
    if unused:
        warn(
            "extensions are not used: "
            + ", ".join(unused)
            + ". Errors, weights and masks need a name as in the "
            "documentation (STAT, ERR, WHT, DQ and others), and the size of the image."
        )
    return found


def meaning_of(hdu):
    """
    Return what an extension is.

    Parameters
    ----------
    hdu : HDU
        The extension.

    Returns
    -------
    str or None
        A meaning in ``EXTENSIONS``, or None if its name is not there.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.layout import meaning_of
    >>> meaning_of(fits.ImageHDU(name="IVAR"))
    'weight'
    """
    meaning = EXTENSIONS.get(hdu.name)
    return (
        UNCERTAINTIES.get(str(hdu.header.get("UTYPE", "")).upper(), meaning)
        if meaning == "sigma"
        else meaning
    )


def plain_shape(hdu):
    """
    Return the shape of an image without leading axes of one element.

    Parameters
    ----------
    hdu : HDU
        The image.

    Returns
    -------
    tuple of int
        Its shape; at least the last two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.layout import plain_shape
    >>> plain_shape(fits.ImageHDU(np.ones((1, 2, 3))))
    (2, 3)
    """
    shape = hdu.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape
