"""The PSF as MPDAF's keywords (FSF) in the header of a cube."""

import gzip
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits

from astropy_imphot.io.cards import mended_header
from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.io.files import opened
from astropy_imphot.io.writing import atomic_write
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.wavelength import WAVELENGTHS

__all__ = ["fsf_keywords", "write_fsf"]

# NFIELDS is the number of fields that have a PSF of their own.
FSF_KEYWORDS = re.compile(r"FSF(MODE|LB[12]|\d\d[A-Z]\w*)|NFIELDS")

COPY_BYTES = 1 << 24


def fsf_keywords(coefficients, *, psf=MOFFAT, limits=WAVELENGTHS):
    """
    Return MPDAF's keywords of a cube's PSF, whose parameters change with wavelength.

    Parameters
    ----------
    coefficients : dict of str to float or sequence of float
        For each parameter of the PSF, in its unit, the coefficients of its polynomial in
        l = (wavelength - limits[0]) / (limits[1] - limits[0]) - 0.5, highest power first.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The PSF's shape (default: a Moffat function).
    limits : (float, float)
        Wavelengths in Angstrom between which l goes from -0.5 to 0.5 (default: 4750 and 9350).

    Returns
    -------
    `~astropy.io.fits.Header`
        FSFMODE (2 for a Moffat function) and the rest, for field 0.

    Raises
    ------
    UserError
        If MPDAF has no keywords for the shape, if there are no coefficients, more than 99, or some are not
        finite, or the limits are not ascending.

    Examples
    --------
    >>> from astropy_imphot.products.psf_keywords import fsf_keywords
    >>> header = fsf_keywords({"fwhm": [-0.1, 0.65], "beta": 2.5})
    >>> header["FSF00FNC"], header["FSF00F00"], header["FSF00F01"], header["FSF00B00"]
    (2, -0.1, 0.65, 2.5)
    """
    if not (np.all(np.isfinite(limits)) and limits[0] < limits[1]):
        raise UserError(f"the PSF's wavelengths {limits[0]} and {limits[1]} Angstrom are not ascending.")
    if psf.fsf_mode is None:
        raise UserError(f"MPDAF has no keywords for a PSF of the shape {psf.name}: fit a Moffat function.")
    header = fits.Header()
    polynomials = " ".join(f"{name}=poly(lbda)" for name in sorted(psf.fsf_letters))
    header["FSFMODE"] = (psf.fsf_mode, f"Circular {psf.name.upper()} {polynomials}")
    header["FSFLB1"] = (float(limits[0]), "FSF Blue Ref Wave (A)")
    header["FSFLB2"] = (float(limits[1]), "FSF Red Ref Wave (A)")
    for name, letter in psf.fsf_letters.items():
        own, title = np.atleast_1d(coefficients[name]).astype(float), name.upper()
        if not 1 <= own.size <= 99 or not np.all(np.isfinite(own)):
            raise UserError(f"the PSF's {name} needs 1 to 99 coefficients that are finite numbers.")
        header[f"FSF00{letter}NC"] = (own.size, f"FSF00 {title} Poly Ncoef")
        for power, coefficient in enumerate(own.tolist()):
            header[f"FSF00{letter}{power:02d}"] = (coefficient, f"FSF00 {title} Poly C{power:02d}")
    return header


def write_fsf(cube, path, keywords, *, overwrite=False):
    """
    Copy a cube with the PSF's keywords in its primary header, or put them into the cube itself.

    Parameters
    ----------
    cube : str or path
        The cube's file, which may be compressed (.gz).
    path : str or path
        The file to write, compressed if its name ends in .gz; the cube's own to replace it, which keeps
        its permissions.
    keywords : `~astropy.io.fits.Header`
        As `fsf_keywords` returns them. They take the place of all PSF keywords that the cube has.
    overwrite : bool
        Replace an existing file (default: False); needed for the cube's own.

    Raises
    ------
    UserError
        If the cube is not a whole FITS file, ``path`` exists and ``overwrite`` is False, or it cannot be
        written. An existing file, such as the cube, is then as it was.

    Notes
    -----
    All but the primary header is copied byte by byte, in pieces, whatever the cube's size.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.products.psf_keywords import fsf_keywords, write_fsf
    >>> cube = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((4, 5, 7)), name="DATA")])
    >>> cube.writeto("cube.fits")
    >>> write_fsf("cube.fits", "cube.fits", fsf_keywords({"fwhm": [-0.1, 0.65], "beta": 2.5}), overwrite=True)
    >>> fits.getheader("cube.fits")["FSFMODE"]
    2
    """
    cube, path = Path(cube), Path(path)
    # A file that ends early is found before anything is written.
    with opened(cube):
        pass
    in_place = path.exists() and path.samefile(cube)
    if in_place:
        # A symbolic link to the cube is kept.
        path = path.resolve()
    with atomic_write(path, overwrite) as temporary, _stream(cube) as source:
        header = _primary_header(source, cube)
        for key in {key for key in header if FSF_KEYWORDS.fullmatch(key)}:
            header.remove(key, remove_all=True)
        # CHECKSUM is that of the old header; DATASUM stays valid.
        header.remove("CHECKSUM", ignore_missing=True)
        header.extend(keywords.cards, end=True)
        compressed = path.suffix == ".gz"
        with gzip.open(temporary, "wb") if compressed else temporary.open("wb") as target:
            target.write(header.tostring().encode("ascii"))
            shutil.copyfileobj(source, target, COPY_BYTES)
        if in_place:
            shutil.copymode(cube, temporary)


def _stream(path):
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")


def _primary_header(stream, name):
    """Return the first header of a stream, which is then at the first byte after it."""
    if stream.read(6) != b"SIMPLE":
        raise FileError(f"{name} is compressed in an unknown way: decompress it, or use gzip.")
    stream.seek(0)
    with warnings.catch_warnings():
        # The cube was opened before, with a warning of its own.
        warnings.simplefilter("ignore")
        return mended_header(fits.Header.fromfile(stream))[0]
