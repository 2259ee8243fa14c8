"""The unit of an image, in the spellings of calibration software and archives."""

import re
import warnings

import astropy.units as u

from astropy_imphot.io.errors import warn

__all__ = ["LENGTH_WORDS", "is_not_understood", "parse_unit"]

# Spellings of units of length, as of wavelengths, in lower case.
LENGTH_WORDS = {
    **dict.fromkeys(("a", "aa", "ang", "angs", "angstrom", "angstroms", "angstroem"), "Angstrom"),
    "\u00e5ngstr\u00f6m": "Angstrom",
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(
        ("um", "mu", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), "um"
    ),
    "mm": "mm",
    "cm": "cm",
    **dict.fromkeys(("m", "meter", "meters"), "m"),
}

# Words in BUNIT which are not FITS units, or in other letters, in lower case. A maggy is the flux of
# magnitude 0 in the AB system, 3631 Jy (Oke & Gunn 1983). There is no "mjy", which can be mJy and MJy.
UNIT_WORDS = {
    **LENGTH_WORDS,
    "electron": "electron",
    "electrons": "electron",
    "e": "electron",
    "adu": "adu",
    "adus": "adu",
    "counts": "ct",
    "count": "ct",
    "cts": "ct",
    "ct": "ct",
    "cps": "ct/s",
    "dn": "DN",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "s": "s",
    "erg": "erg",
    "ergs": "erg",
    "hz": "Hz",
    "sr": "sr",
    "flam": "erg/(s cm2 Angstrom)",
    "fnu": "erg/(s cm2 Hz)",
    "jy": "Jy",
    "jansky": "Jy",
    "janskys": "Jy",
    "nanojansky": "nJy",
    "microjansky": "uJy",
    "millijansky": "mJy",
    "megajansky": "MJy",
    "njy": "nJy",
    "ujy": "uJy",
    "nanomaggy": "3.631e-6*Jy",
    "nanomaggies": "3.631e-6*Jy",
    "nmgy": "3.631e-6*Jy",
    "maggy": "3631*Jy",
    "maggies": "3631*Jy",
    "pixel": "pix",
    "pixels": "pix",
    "pix": "pix",
    "spaxel": "pix",
    "spaxels": "pix",
    "arcsec": "arcsec",
}

# Whole units in capitals.
UNIT_TEXTS = {"MJY/SR": "MJy/sr"}

# A power of ten: 1e-20, 10**(-20), 10^-20, 10**-20; or without its first digit.
POWER = r"(?:\d*\.?\d*[eE][+-]?\d+|10(?:\*\*|\^)\(?[+-]?\d+\)?)"

# A word that is not the e of such a power.
WORD = r"(?!(?<=[\d.])[eE][+-]?\d|[eE][+-]?\d\d)[A-Za-z]+"

# What is around a unit, or behind it: [...], (...), x10^-20 ..., E-20 ..., ... * 1e-20.
AROUND = (
    (re.compile(r"\[(.*)\]"), r"\1"),
    (re.compile(r"\((.*)\)"), r"\1"),
    (re.compile(rf"[xX*]\s*({POWER}.*)"), r"\1"),
    (re.compile(r"([eE][+-]?\d+.*)"), r"1\1"),
    (re.compile(rf"(\D.*?)\s*[*xX]\s*({POWER})"), r"\2 \1"),
)


def parse_unit(text):
    """
    Return the unit of a BUNIT.

    Parameters
    ----------
    text : str or None
        The value of the keyword; None if it is missing.

    Returns
    -------
    `~astropy.units.UnitBase`
        Per pixel where the text has it, as in "nJy/pixel"; dimensionless if there is none or it is not
        understood.

    Warns
    -----
    ImphotWarning
        If it is not understood.

    Examples
    --------
    >>> from astropy_imphot.io.bunit import parse_unit
    >>> print(parse_unit("10^-20 ERGS/S/CM^2/A"))
    1e-20 erg / (Angstrom s cm2)
    >>> print(parse_unit("ELECTRONS/S"), parse_unit("MJY/SR"), sep=", ")
    electron / s, MJy / sr
    """
    unit = _parsed(text)
    if unit is None:
        warn(f"the image has the unit {text!r}, which is not understood and ignored: correct BUNIT.")
        return u.dimensionless_unscaled
    return unit


def is_not_understood(unit, header):
    """
    Return whether an image has a unit that is not understood.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase` or None
        Its unit.
    header : `~astropy.io.fits.Header` or dict
        Its header.

    Returns
    -------
    bool
        True if the unit is dimensionless and BUNIT has another one.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.bunit import is_not_understood
    >>> is_not_understood(u.dimensionless_unscaled, {"BUNIT": "furlong"})
    True
    """
    has_none = unit is None or unit == u.dimensionless_unscaled
    return has_none and _parsed(header.get("BUNIT")) is None


def _parsed(text):
    """Return the unit of a text, or None if it is not understood."""
    text = "" if text is None else str(text).strip()
    for candidate in (text, *_without_surroundings(text)):
        unit = _unit(UNIT_TEXTS.get(candidate, candidate))
        if not isinstance(unit, u.UnrecognizedUnit):
            per_pixel = any(
                (base, power) == (u.pix, -1) for base, power in zip(unit.bases, unit.powers, strict=True)
            )
            return unit * u.pix if per_pixel else unit
    return None


def _without_surroundings(text):
    for pattern, inner in AROUND:
        if pattern.fullmatch(text):
            changed = pattern.sub(inner, text).strip()
            yield changed
            yield from _without_surroundings(changed)


def _unit(text):
    words = re.sub(
        WORD,
        lambda word: UNIT_WORDS.get(word[0].lower(), word[0]),
        re.sub(r"\be-(?=/|$|\s|\*)", "electron", text),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        return u.Unit(words, parse_strict="silent")
