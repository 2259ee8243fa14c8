"""The unit, the WCS and the observation's keywords in FITS headers."""

import re
import warnings

import astropy.units as u
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning, WcsError

from astropy_imphot.io.cards import mended_header
from astropy_imphot.io.dates import header_value
from astropy_imphot.io.distortion import usable_header, without_information
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.wavelength_axis import standard_axis

__all__ = [
    "NO_OVERLAP",
    "header_wcs",
    "merged_header",
    "unit_per_pixel",
    "unit_string",
    "wcs_header",
    "without_structure",
]

NO_OVERLAP = "the image does not overlap the MUSE field on the sky: give an image that does."

# Keywords of the WCS that are numbers.
WCS_NUMBER = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC|PV)\d_\d+|LON(GI)?POLE|LATPOLE|EQUINOX")

# Keywords of the observation, for which the primary header is used also if the extension has them.
PRIMARY_KEYWORDS = ("FILTER", "FILTER1", "FILTER2", "OBJECT")

# Keywords that describe the array, and are written anew with every array.
STRUCTURE_KEYWORDS = re.compile(
    r"SIMPLE|BITPIX|NAXIS\d*|EXTEND|XTENSION|PCOUNT|GCOUNT|EXTNAME|EXTVER|BSCALE|BZERO"
    r"|BUNIT|CHECKSUM|DATASUM|INHERIT|SCIDATA|ERRDATA|HDUCLAS\d|HDUCLASS|HDUDOC|HDUVERS|QUALDATA"
    r"|WCSAXES|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC)\d_\d|LONPOLE|LATPOLE|RADESYS|END"
)


def unit_string(unit):
    """
    Return a unit in the form of BUNIT.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The unit.

    Returns
    -------
    str
        In the FITS standard's form, where the standard has one.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.headers import unit_string
    >>> unit_string(1e-20 * u.erg)
    '10**-20 erg'
    """
    unit = u.Unit(unit)
    try:
        return unit.to_string("fits")
    except ValueError:
        return unit.to_string()


def unit_per_pixel(unit, area):
    """
    Return the unit of an image per pixel.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The unit of its values.
    area : float
        The area of a pixel, square arcsec.

    Returns
    -------
    `~astropy.units.UnitBase`
        Of a surface brightness, such as MJy/sr, the unit times the area of a pixel; of any other, itself.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.headers import unit_per_pixel
    >>> round(unit_per_pixel(u.MJy / u.sr, 0.01).to(u.nJy), 4)
    235.0443
    """
    for base, power in zip(unit.bases, unit.powers, strict=True):
        if (base**power).is_equivalent(u.sr**-1):
            # A factor in place of two units of the same kind.
            return u.Unit((area * u.arcsec**2).to_value(base**-power) * (unit * base**-power))
    return unit


def merged_header(hdus, science):
    """Return the science image's header with the cards that only the primary header has."""
    header = science.header.copy()
    primary = hdus[0].header
    if primary is not science.header:
        header.extend(primary.cards, unique=True, strip=False)
        # Keywords of the observation are those of the primary header where both have them.
        header.update({key: primary[key] for key in PRIMARY_KEYWORDS if key in primary})
        if not str(header.get("BUNIT", "")).strip() and "BUNIT" in primary:
            header["BUNIT"] = primary["BUNIT"]
    return header


def header_wcs(science, hdus):
    """Return the WCS of an image, or raise a `UserError` if it is not celestial."""
    header, primary = science.header, hdus[0].header
    if "CTYPE1" not in header and "CTYPE1" in primary and not primary.get("NAXIS"):
        warn("the WCS is in the primary header only, and is taken for the image.")
        header = merged_header(hdus, science)
    if header.get("NAXIS") == 3 and header["NAXIS3"] > 1:
        header = standard_axis(header)
    for card in header.cards:
        if WCS_NUMBER.fullmatch(card.keyword) and isinstance(card.value, str):
            # WCSLIB would take the default value.
            raise UserError(
                f"the keyword {card.keyword} of the WCS is {card.value!r}, which is no number: correct it."
            )
    header = usable_header(header, hdus)
    with warnings.catch_warnings(), without_information():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(header, fobj=hdus if isinstance(hdus, fits.HDUList) else None)
        except (WcsError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
            # Keywords can be of another type. A MemoryError of astropy is also one of a distortion's cards.
            reason = " ".join(str(error).strip("'").split()).rstrip(".:")
            raise UserError(f"the WCS of the image cannot be read ({reason}): correct its header.") from error
    if not wcs.has_celestial:
        raise UserError("the image has no celestial WCS: add CTYPE1, CTYPE2 and the rest to its header.")
    if wcs.sip is not None:
        # If only one of them has it, astropy logs that for each copy.
        wcs.wcs.ctype = [_with_sip(one) for one in wcs.wcs.ctype]
    return wcs


def _with_sip(ctype):
    return f"{ctype}-SIP" if ctype.endswith("TAN") else ctype


def wcs_header(wcs):
    """Return the cards of a WCS, with those of its distortion if it has one."""
    with without_information():
        header = wcs.to_header(relax=True if wcs.sip is not None else None)
    for key in ("MJD-OBS", "DATE-OBS", "MJDREF"):
        header.remove(key, ignore_missing=True)
    return header


def without_structure(meta):
    """Return the cards of a header that do not describe its array, and remain true in a new file."""
    header = fits.Header()
    if isinstance(meta, fits.Header):
        # Those of files are standard, a user's need not be.
        cards = mended_header(meta)[0].cards
    else:
        cards = [(key, header_value(str(key), value)) for key, value in meta.items()]
    for card in cards:
        if STRUCTURE_KEYWORDS.fullmatch(str(card[0])):
            continue
        try:
            header.append(card, end=True)
        except ValueError:
            # Some values of a dict are not possible in a header.
            continue
    return header
