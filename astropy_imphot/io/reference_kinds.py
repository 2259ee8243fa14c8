"""
The kinds of reference images: how they are recognized, and what their files contain.

A survey or a camera is one row of the table ``KINDS``.
"""

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from astropy_imphot.io.errors import FILE_NAME, UserError
from astropy_imphot.io.layout import meaning_of, plain_shape

__all__ = ["KINDS", "ReferenceKind", "companion_image", "kind_of"]

# Bits of masks of the LSST pipelines (HSC, Rubin) for pixels without a measurement; others are of objects.
BAD_PLANES = ("MP_BAD", "MP_NO_DATA", "MP_SAT")


@dataclass(frozen=True, kw_only=True)
class ReferenceKind:
    """
    A kind of reference images.

    Parameters
    ----------
    name : str
        In messages and in the documentation.
    cards : tuple of dict of str to str
        How it is recognized: keywords of the header and regular expressions of their values, all of one of
        the dictionaries; "" is the value of a keyword that is missing.
    file : str
        Or by a regular expression of the file's name (default: "", none).
    camera : str
        Of its filter curves and pivot wavelengths (default: "", not known).
    filter_name : str
        The filter of images without one in the header (default: "", not known).
    fwhm, beta : float, optional
        The Moffat PSF of its images, pixel response included; FWHM in arcsec. By default (None and 1.6) the
        FWHM is not known.
    psf_source : str
        Where these numbers are from.
    files : dict of str to (str, str)
        Files beside the image, by the meanings of ``EXTENSIONS``: what is replaced
        in the image's name, a regular expression, and a pattern of file names in its place.
    mask_bits : int, optional
        The bits of its mask that are set in bad pixels. By default (None) all, or those that the mask's
        header names as in ``BAD_PLANES``.
    zero_point : float, optional
        The AB magnitude of a pixel value of 1 in images of which the header has neither unit nor zero point.
        By default (None) there is none.
    rate_without_unit : bool
        Whether images without BUNIT are in counts per second (default: False).

    Examples
    --------
    >>> from astropy_imphot.io.reference_kinds import kind_of
    >>> kind_of({"TELESCOP": "JWST", "INSTRUME": "NIRCAM"}).camera
    'NIRCAM'
    """

    name: str
    cards: tuple = ()
    file: str = ""
    camera: str = ""
    filter_name: str = ""
    fwhm: float | None = None
    beta: float = 1.6
    psf_source: str = ""
    files: dict = field(default_factory=dict)
    mask_bits: int | None = None
    zero_point: float | None = None
    rate_without_unit: bool = False

    def matches(self, header, name):
        """
        Compare an image with this kind.

        Parameters
        ----------
        header : `~astropy.io.fits.Header` or dict
            The primary header and the image's in one.
        name : str
            Its file.

        Returns
        -------
        bool
            Whether the image is of this kind.

        Examples
        --------
        >>> from astropy_imphot.io.reference_kinds import ReferenceKind
        >>> ReferenceKind(name="mine", cards=({"SURVEY": "MY.*"},)).matches({"SURVEY": "my sky"}, "")
        True
        """
        if self.file and re.fullmatch(self.file, Path(name).name, re.IGNORECASE):
            return True
        return any(
            all(
                re.fullmatch(pattern, str(header.get(key, "")).strip(), re.IGNORECASE)
                for key, pattern in cards.items()
            )
            for cards in self.cards
        )

    def companion_files(self, name):
        """
        Return the files beside an image.

        Parameters
        ----------
        name : str
            The image's file; "" if it has none.

        Returns
        -------
        dict of str to path
            Those that exist, by their meanings.

        Examples
        --------
        >>> from pathlib import Path
        >>> from astropy_imphot.io.reference_kinds import kind_of
        >>> Path("M31_wht.fits").touch()
        >>> kind_of({"INSTRUME": "ACS"}).companion_files("M31_drz.fits")["weight"].name
        'M31_wht.fits'
        """
        found = {}
        path = Path(name)
        for meaning, (old, new) in self.files.items():
            pattern, changed = re.subn(old, new, path.name, count=1)
            if not changed:
                continue
            # Brackets and the like in a file's name are no pattern.
            pattern = re.sub(r"[\[\]?]", "?", pattern)
            others = sorted(other for other in path.parent.glob(pattern) if other.name != path.name)
            if len(others) == 1:
                found[meaning] = others[0]
        return found

    def bad_bits(self, header):
        """
        Return the bits of a mask that are set in bad pixels.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            The mask's.

        Returns
        -------
        int or None
            Their sum; None for any bit.

        Examples
        --------
        >>> from astropy_imphot.io.reference_kinds import kind_of
        >>> kind_of({"INSTRUME": "HSC"}).bad_bits({"MP_BAD": 0, "MP_SAT": 1, "MP_DETECTED": 5})
        3
        """
        planes = [int(header[key]) for key in BAD_PLANES if key in header]
        return sum(1 << plane for plane in planes) if planes else self.mask_bits


def kind_of(header, name=""):
    """
    Return the kind of a reference image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        The primary header and the image's in one.
    name : str
        Its file. By default ("") the one that is being read, see ``naming``.

    Returns
    -------
    ReferenceKind
        The first row of ``KINDS`` that it matches, or one without properties.

    Examples
    --------
    See `ReferenceKind`.
    """
    name = str(name) or FILE_NAME.get()
    return next((kind for kind in KINDS if kind.matches(header, name)), UNKNOWN)


def companion_image(hdus, science, meaning):
    """
    Return the image in a file beside another image.

    Parameters
    ----------
    hdus : sequence of HDU
        Of the file.
    science : HDU
        The other image.
    meaning : str
        What is looked for, as in ``EXTENSIONS``.

    Returns
    -------
    HDU
        The extension of that name, or else the first that is an image.

    Raises
    ------
    UserError
        If it has not the other image's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.reference_kinds import companion_image
    >>> companion_image([fits.PrimaryHDU(np.ones((2, 3)))], fits.PrimaryHDU(np.ones((2, 3))), "weight").shape
    (2, 3)
    """
    images = [hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) > 0]
    named = [hdu for hdu in images if meaning_of(hdu) == meaning]
    found = next(iter(named or images), None)
    if found is None or plain_shape(found) != plain_shape(science):
        shape = (
            "no image" if found is None else f"an image of {' x '.join(map(str, found.shape[::-1]))} pixels"
        )
        wanted = " x ".join(map(str, science.shape[::-1]))
        raise UserError(f"it has {shape}, and the image {wanted}: give the {meaning} of the same pixels.")
    return found


# Files of drizzled images and high-level science products: NAME_drz.fits or NAME_sci.fits, and NAME_wht.fits.
HST_FILES = {"weight": (r"_(sci|dr[zc])\.fits", "_wht.fits"), "sigma": (r"_(sci|dr[zc])\.fits", "_rms.fits")}
LEGACY_FILES = {
    "weight": ("-image-", "-invvar-"),
    "mask": (r"-image-\w+\.", "-maskbits."),
    "psfsize": ("-image-", "-psfsize-"),
}
CLASSIC = "fits to stars in 30 mas images of the UDF, as in the classic imphot"
HSC_PSF = "median seeing in r, Aihara et al. 2022, PASJ 74, 247"

# Rows that have some properties in common.
hst = partial(ReferenceKind, files=HST_FILES, rate_without_unit=True)
# DO_NOT_USE.
jwst = partial(ReferenceKind, files=HST_FILES, mask_bits=1)
# SATUR and ALLMASK of the bands g, r, z and i; other bits are of bright stars and galaxies.
legacy = partial(ReferenceKind, files=LEGACY_FILES, beta=2.5, mask_bits=0xC0FC)

KINDS = (
    # Before WFC: clear filters of HRC are named so.
    hst(
        name="HST ACS/HRC",
        cards=(
            {"INSTRUME": "ACS", "DETECTOR": "HRC"},
            {"INSTRUME": "ACS.HRC"},
            {"INSTRUME": "ACS", "DETECTOR": "", "APERTURE": "HRC.*"},
            {"INSTRUME": "ACS", "DETECTOR": "", "FILTER1": ".*CLEAR1S.*"},
            {"INSTRUME": "ACS", "DETECTOR": "", "FILTER2": ".*CLEAR2S.*"},
            {"INSTRUME": "ACS", "DETECTOR": "", "FILTER": ".*CLEAR[12]S.*"},
        ),
        camera="ACS/HRC",
        fwhm=0.06,
        psf_source="ACS Instrument Handbook, and pixels of 0.025 arcsec",
    ),
    hst(
        name="HST ACS/WFC",
        cards=(
            {"INSTRUME": "ACS", "DETECTOR": "WFC[12]?"},
            {"INSTRUME": "ACS", "DETECTOR": "", "APERTURE": "(WFC.*)?"},
            {"INSTRUME": "ACS.WFC"},
        ),
        camera="ACS/WFC",
        fwhm=0.085,
        psf_source=CLASSIC,
    ),
    hst(
        name="HST WFC3/IR",
        cards=(
            {"INSTRUME": "WFC3", "DETECTOR": "IR"},
            {"INSTRUME": "WFC3.IR"},
            {"INSTRUME": "WFC3", "DETECTOR": "", "FILTER": r"F(098M|1[0-6]\d[WMN])"},
        ),
        camera="WFC3/IR",
        fwhm=0.15,
        psf_source="WFC3 Instrument Handbook, and pixels of 0.06 to 0.13 arcsec",
    ),
    hst(
        name="HST WFC3/UVIS",
        cards=({"INSTRUME": "WFC3", "DETECTOR": "(UVIS[12]?)?"}, {"INSTRUME": "WFC3.UVIS[12]?"}),
        camera="WFC3/UVIS",
        fwhm=0.08,
        psf_source="WFC3 Instrument Handbook, and pixels of 0.04 arcsec",
    ),
    ReferenceKind(
        name="HST WFPC2",
        cards=({"INSTRUME": "WFPC2"},),
        camera="WFPC2",
        fwhm=0.085,
        psf_source="as of ACS; wider ones fit MPDAF's image of the HDF-S worse",
        files=HST_FILES,
    ),
    jwst(
        name="JWST NIRCam",
        cards=({"INSTRUME": "NIRCAM"},),
        camera="NIRCAM",
        fwhm=0.045,
        psf_source="JDox, NIRCam point spread functions (F090W 0.033 arcsec), and pixels of 0.03 arcsec",
    ),
    jwst(
        name="JWST NIRISS",
        cards=({"INSTRUME": "NIRISS"},),
        camera="NIRISS",
        fwhm=0.065,
        psf_source="JDox, NIRISS point spread functions, pixels of 0.065 arcsec",
    ),
    ReferenceKind(
        name="Euclid VIS",
        cards=({"INSTRUME": "VIS"}, {"TELESCOP": "EUCLID", "FILTER": "VIS"}),
        file=r"EUC_MER_.*MOSAIC-VIS_TILE.*",
        camera="VIS",
        filter_name="VIS",
        fwhm=0.16,
        beta=2.5,
        psf_source="Euclid Q1 mosaics of 0.1 arcsec pixels",
        files={
            "sigma": (r"BGSUB-MOSAIC-VIS_(TILE\d+)-.*", r"MOSAIC-VIS-RMS_\1-*.fits*"),
            "mask": (r"BGSUB-MOSAIC-VIS_(TILE\d+)-.*", r"MOSAIC-VIS-FLAG_\1-*.fits*"),
        },
        # INVALID.
        mask_bits=1,
    ),
    legacy(
        name="Legacy Surveys, north",
        cards=({"SURVEY": ".*(BASS|MzLS).*"},),
        camera="BASS/MZLS",
        fwhm=1.5,
        psf_source="typical seeing of BASS in r, Dey et al. 2019, AJ 157, 168",
    ),
    legacy(
        name="Legacy Surveys",
        cards=({"SURVEY": ".*(Legacy|DECaLS|DECam).*"},),
        file=r"legacysurvey-.*-image-.*",
        camera="DECAM",
        fwhm=1.2,
        psf_source="typical seeing of DECaLS in r, Dey et al. 2019, AJ 157, 168",
    ),
    ReferenceKind(
        name="HSC",
        cards=({"INSTRUME": "(HSC|Hyper ?Suprime).*"}, {"FILTER": "HSC-.*"}),
        camera="HSC",
        fwhm=0.8,
        beta=2.5,
        psf_source=HSC_PSF,
    ),
    ReferenceKind(
        name="Rubin",
        cards=({"INSTRUME": "LSST.*"}, {"TELESCOP": "(Rubin|Simonyi).*"}),
        camera="LSST",
        fwhm=1.0,
        beta=2.5,
        psf_source="about the seeing of Data Preview 1",
    ),
    ReferenceKind(
        name="DECam (DES)",
        cards=({"INSTRUME": "DECAM"},),
        camera="DECAM",
        fwhm=0.95,
        beta=2.5,
        psf_source="median seeing of DES in r, Abbott et al. 2021, ApJS 255, 20",
    ),
    ReferenceKind(
        name="KiDS",
        cards=({"INSTRUME": "OMEGACAM", "OBJECT": "KIDS.*"},),
        file=r"KiDS_DR\d.*_sci\.fits.*",
        camera="OMEGACAM",
        fwhm=0.7,
        beta=2.5,
        psf_source="median seeing in r, Kuijken et al. 2019, A&A 625, A2",
        files={"weight": (r"_sci\.", "_wei."), "mask": (r"_sci\.", "_msk.")},
        # Of the coadded images of KiDS-ESO.
        zero_point=0.0,
    ),
)

UNKNOWN = ReferenceKind(name="unknown kind", files=HST_FILES)
