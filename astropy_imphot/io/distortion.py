"""Distortions in headers: those that belong to the image are used, and what other software left is not."""

import logging
import re
import threading
import warnings
from contextlib import contextmanager

from astropy import log
from astropy.io import fits
from astropy.wcs import WCS

from astropy_imphot.io.errors import UserError, warn

__all__ = ["usable_header", "usable_wcs", "without_information"]

# Coefficients of the SIP convention (Shupe et al. 2005, ADASS XIV, 491).
SIP_CARDS = re.compile(r"[AB]P?_(ORDER|DMAX|\d+_\d+)")

# Lookup tables of HST images, which are in other extensions (WCSDVARR, D2IMARR) or, formerly, files.
LOOKUP_CARDS = re.compile(r"(CPDIS|CPERR|D2IMDIS|D2IMERR)\d*|(DP|D2IM)\d(\..*)?|AXISCORR|D2IMEXT")
LOOKUP_EXTENSIONS = {"CPDIS": "WCSDVARR", "D2IMDIS": "D2IMARR"}

# Pixels are square if the sides and the angle of a pixel differ by less than this from those of a square.
SQUARE = 1e-3

LATITUDE = re.compile(r"DEC-|.LAT|..LT")


@contextmanager
def without_information():
    """Drop astropy's messages of the level INFO in this thread, which would be printed among results."""
    thread = threading.get_ident()

    def wanted(record):
        return record.levelno > logging.INFO or record.thread != thread

    log.addFilter(wanted)
    try:
        yield
    finally:
        log.removeFilter(wanted)


def usable_header(header, hdus=()):
    """
    Return the header of which astropy makes the WCS of an image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The image's.
    hdus : sequence of HDU
        Those of its file, of which some can be tables of a distortion (default: none).

    Returns
    -------
    `~astropy.io.fits.Header`
        Itself, or a copy: without SIP coefficients if CTYPE has no -SIP, and without lookup tables that are
        not in the file; PV coefficients of a TAN projection, as SCAMP writes them, are those of TPV.

    Raises
    ------
    UserError
        If CTYPE has no -SIP and the pixels are not square, so that the coefficients can belong to them.

    Warns
    -----
    ImphotWarning
        If the header is changed.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.distortion import usable_header
    >>> header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    >>> usable_header(header) is header
    True
    """
    changes = []
    usable = _without_tables(header, hdus, changes)
    usable = _without_sip(usable, changes)
    usable = _with_scamp(usable, changes)
    if changes:
        warn(f"{'; '.join(changes)}: correct the header if the positions are wrong.")
    return usable


def usable_wcs(wcs):
    """
    Return the WCS of an image in memory, without SIP coefficients if CTYPE has no -SIP.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        The image's.

    Returns
    -------
    `~astropy.wcs.WCS`
        Itself, or a copy.

    Raises
    ------
    UserError
        As `usable_header`.

    Warns
    -----
    ImphotWarning
        If coefficients are not used.

    Examples
    --------
    >>> from astropy_imphot.io.distortion import usable_wcs
    >>> from astropy_imphot.simulation import sky_grid
    >>> wcs = sky_grid((4, 4)).wcs
    >>> usable_wcs(wcs) is wcs
    True
    """
    if getattr(wcs, "sip", None) is None or _has_sip(wcs.wcs.ctype):
        return wcs
    _refuse_sheared(wcs)
    warn(f"{_leftover(wcs.wcs.ctype)}: correct the header if the positions are wrong.")
    with without_information():
        wcs = wcs.deepcopy()
    wcs.sip = None
    return wcs


def _has_sip(types):
    return any(str(one).strip().upper().endswith("-SIP") for one in types)


def _types(header):
    return [str(header.get(f"CTYPE{axis}", "")).strip().upper() for axis in (1, 2)]


def _without(header, pattern):
    cards = [card for card in header.cards if not pattern.fullmatch(card.keyword)]
    return fits.Header(cards) if len(cards) < len(header.cards) else header


def _without_tables(header, hdus, changes):
    """Return a header without tables that are not in the file."""
    found = [key for key in header if LOOKUP_CARDS.fullmatch(key)]
    present = {hdu.name for hdu in hdus} if isinstance(hdus, fits.HDUList) else set()
    wanted = set()
    for key, extension in LOOKUP_EXTENSIONS.items():
        kinds = {str(header.get(f"{key}{axis}", "")).strip().upper() for axis in (1, 2)} - {""}
        wanted |= {extension} if kinds == {"LOOKUP"} else kinds
    if not found or (wanted and wanted <= present):
        return header
    changes.append(f"the distortion {found[0]} has no table in the file and is not used")
    return _without(header, LOOKUP_CARDS)


def _without_sip(header, changes):
    """Return a header without coefficients that are not of its pixels."""
    types = _types(header)
    plain = _without(header, SIP_CARDS)
    if plain is header:
        return header
    if _has_sip(types):
        for axis in "AB":
            if f"{axis}_ORDER" not in header:
                raise UserError(f"the header has SIP coefficients and no {axis}_ORDER: add it.")
        return header
    if any(str(header.get(f"{axis}_ORDER", 0)) not in ("0", "") for axis in "AB"):
        with warnings.catch_warnings(), without_information():
            warnings.simplefilter("ignore")
            _refuse_sheared(WCS(_without(plain, LOOKUP_CARDS)))
        changes.append(_leftover(types))
    return plain


def _leftover(types):
    return (
        f"the header has SIP coefficients (A_ORDER), which are not used: CTYPE1 is {types[0]}, without -SIP"
    )


def _refuse_sheared(wcs):
    """Raise an error if the pixels are not square: drizzled ones are."""
    if not wcs.has_celestial:
        return
    matrix = wcs.celestial.pixel_scale_matrix
    (aa, ab), (_, bb) = matrix.T @ matrix
    if max(abs(ab), abs(aa - bb) / 2) > SQUARE * max(aa, bb):
        raise UserError(
            "the header has SIP coefficients (A_ORDER), and CTYPE1 has no -SIP: add -SIP to CTYPE1 and "
            "CTYPE2, or remove the coefficients if the image was resampled."
        )


def _with_scamp(header, changes):
    """Return a header in which polynomials of SCAMP are those of the projection TPV."""
    types = _types(header)
    if {one[5:8] for one in types} != {"TAN"}:
        return header
    latitude = next((axis for axis, one in enumerate(types, start=1) if LATITUDE.match(one)), 2)
    # TAN has no parameter of the latitude, and those of the longitude up to 4 can be of the native pole.
    of_latitude = [key for key in header if re.fullmatch(rf"PV{latitude}_\d+", key)]
    if not of_latitude:
        return header
    if not any(header[key] for key in of_latitude):
        return _without(header, re.compile(rf"PV{latitude}_\d+"))
    if _has_sip(types):
        changes.append(f"the header has SIP coefficients and {of_latitude[0]}, which is not used")
        return _without(header, re.compile(r"PV[12]_\d+"))
    changes.append(f"the header has {of_latitude[0]} with CTYPE1 {types[0]}, which is read as TPV")
    changed = header.copy()
    for axis, one in enumerate(types, start=1):
        changed[f"CTYPE{axis}"] = one.replace("TAN", "TPV")
    return changed
