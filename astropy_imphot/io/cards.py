"""Cards of headers that break the FITS standard: mended, or left out."""

import re
import warnings
from copy import copy

from astropy.io import fits

from astropy_imphot.io.errors import warn

__all__ = ["foreign_keywords", "is_about_cards", "mended_hdus", "mended_header"]

# So many keywords are in a message.
MOST_NAMES = 8

COMMENTARY = ("", "COMMENT", "HISTORY", "END")

# A keyword and its value where the equals sign is not in the ninth column and followed by a blank.
KEYWORD_AND_VALUE = re.compile(r"(HIERARCH\s+)?(?P<keyword>[\w-]+(\s+[\w-]+)*)\s*=\s*(?P<value>\S.*)")

UNPRINTABLE = re.compile(r"[^ -~]")

# What follows the end of a header.
BLANKS = b" \0\t\r\n"

# Warnings of astropy about single cards, in place of which there is one that has the file and the keywords.
ABOUT_CARDS = re.compile(
    r"\s*$|Verification reported|Note: astropy|Unfixable error|Unprintable|Illegal keyword"
    "|Card |non-ASCII characters are present|The following header keyword is invalid"
    "|Invalid 'BLANK' keyword|Unexpected bytes trailing END|Header block contains null"
    "|Missing padding to end of the FITS block"
)


def is_about_cards(text):
    """
    Return whether a warning of astropy is about cards that break the FITS standard.

    Parameters
    ----------
    text : str
        The warning's.

    Returns
    -------
    bool
        True also for lines that belong to such a warning.

    Examples
    --------
    >>> from astropy_imphot.io.cards import is_about_cards
    >>> is_about_cards("Card keyword 'exptime' is not upper case."), is_about_cards("the disk is full")
    (True, False)
    """
    return ABOUT_CARDS.match(text) is not None


def foreign_keywords(block):
    """
    Return the keywords of cards with characters that are not ASCII.

    Parameters
    ----------
    block : bytes
        A header as it is in a file.

    Returns
    -------
    list of str
        The keywords. astropy has question marks in place of these characters.

    Raises
    ------
    ValueError
        If the header does not end in a card END and blanks.

    Examples
    --------
    >>> from astropy_imphot.io.cards import foreign_keywords
    >>> cards = ["ANGLE   = 5.0 / " + chr(176), "AIRMASS = 1.2", "END"]
    >>> foreign_keywords(b"".join(card.encode("latin-1").ljust(80) for card in cards))
    ['ANGLE']
    """
    length = fits.Card.length
    cards = [block[start : start + length] for start in range(0, len(block), length)]
    ends = [number for number, card in enumerate(cards) if card.rstrip(BLANKS) == b"END"]
    if not ends:
        raise ValueError("the header has no end.")
    cards, rest = cards[: ends[0]], b"".join(cards[ends[0] + 1 :])
    if rest.strip(BLANKS) or any(card.startswith(b"XTENSION") for card in cards[1:]):
        raise ValueError("the header is not padded.")
    foreign = [card for card in cards if not card.isascii()]
    return [card.partition(b"=")[0][:60].decode("ascii", "replace").strip() for card in foreign]


def mended_hdus(hdus, foreign=()):
    """
    Return HDUs without cards that break the FITS standard.

    Parameters
    ----------
    hdus : sequence of HDU
        As they are given; they are not changed.
    foreign : sequence of str
        Keywords of other cards that were mended (default: none).

    Returns
    -------
    `~astropy.io.fits.HDUList` or sequence of HDU
        The same object if all cards of images are standard; else one with copies of HDUs that are not.

    Warns
    -----
    ImphotWarning
        Once, with the keywords of all cards that were mended or left out, if there are any.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.cards import mended_hdus
    >>> hdus = [fits.PrimaryHDU()]
    >>> mended_hdus(hdus) is hdus
    True
    """
    changed, names = [], list(foreign)
    with warnings.catch_warnings():
        # Headers are read from the file here, if they were not before.
        warnings.simplefilter("ignore")
        for hdu in hdus:
            header, found = mended_header(hdu.header) if hdu.is_image else (None, [])
            if found:
                hdu = copy(hdu)
                hdu.header = header
                names += found
            changed.append(hdu)
    if not names:
        return hdus
    _warn(names)
    return fits.HDUList(changed)


def _warn(keywords):
    names = list(dict.fromkeys(keywords))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = ", ".join(names[:MOST_NAMES])
    warn(f"cards of the header that break the FITS standard were mended or left out: {listed}{more}.")


def mended_header(header):
    """
    Return a header without cards that break the FITS standard.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The header, which is not changed.

    Returns
    -------
    header : `~astropy.io.fits.Header`
        The same object if all its cards are standard. Else values that are neither numbers nor strings become
        strings, keywords are in capitals, and equals signs are where they should be. Cards that cannot be
        mended are left out.
    keywords : list of str
        Those of the cards that were mended or left out.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.cards import mended_header
    >>> header = fits.Header.fromstring("AIRMASS = NaN".ljust(80) + "seeing  = 0.7".ljust(80))
    >>> mended, keywords = mended_header(header)
    >>> mended["AIRMASS"], mended["SEEING"], keywords
    ('NaN', 0.7, ['AIRMASS', 'SEEING'])
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        standard = [_is_standard(card) for card in header.cards]
        if all(standard):
            return header, []
        cards, names = [], []
        for card, is_standard in zip(header.copy().cards, standard, strict=True):
            name, kept = (None, card) if is_standard else _mended(card)
            names += [] if is_standard else [name]
            cards += [] if kept is None else [kept]
        return fits.Header(cards), names


def _is_standard(card):
    try:
        card.verify("exception")
        text = card.image
    except (fits.VerifyError, ValueError):
        return False
    if card.keyword in COMMENTARY:
        return True
    if len(text) > fits.Card.length and "&" not in text[: fits.Card.length]:
        # A card CONTINUE that continues nothing; astropy adds its text to the value before.
        return False
    return text[8:10] == "= " or (text.startswith("HIERARCH ") and "=" in text)


def _mended(card):
    """Return the keyword and a standard card in place of one that is not, or None."""
    try:
        card.verify("silentfix+ignore")
        text = UNPRINTABLE.sub(" ", card.image)
    except (fits.VerifyError, ValueError):
        # A card CONTINUE after a number.
        return card.keyword, None
    name = text.partition("=")[0].removeprefix("HIERARCH").strip() if "=" in text else card.keyword
    for attempt in (text, text[: fits.Card.length], _with_equals_sign(text)):
        mended = fits.Card.fromstring(attempt)
        if attempt and _is_standard(mended):
            return name, mended
    return name or "a card without keyword", None


def _with_equals_sign(text):
    """Return the text of a card with its keyword and value in the places of the standard."""
    found = KEYWORD_AND_VALUE.fullmatch(text.rstrip())
    if found is None:
        return ""
    keyword, value = found["keyword"].upper(), found["value"]
    plain = len(keyword) <= 8 and " " not in keyword and not found[1]
    moved = f"{keyword:8}= {value}" if plain else f"HIERARCH {keyword} = {value}"
    if len(moved) > fits.Card.length:
        return ""
    card = fits.Card.fromstring(moved)
    card.verify("silentfix+ignore")
    return card.image
