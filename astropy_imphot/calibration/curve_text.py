"""Text files of filter curves: lines of two numbers, whose faults are errors that name the line."""

import re

from astropy_imphot.io.errors import FileError, UserError

__all__ = ["file_text", "is_number", "text_columns"]

# First characters of comments.
COMMENTS = ("#", "!", "%", ";", "//")

# A number with a comma as decimal mark.
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")

# Exponents as Fortran writes them.
FORTRAN_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def file_text(path):
    r"""
    Return the text of a file.

    Parameters
    ----------
    path : str or path
        A text file in UTF-8, UTF-16 with a byte-order mark, or Latin-1; or one compressed by gzip, bzip2 or
        xz.

    Returns
    -------
    str
        Without the byte-order mark.

    Raises
    ------
    FileError
        If it is no text, or the compressed file is not whole.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy_imphot.calibration.curve_text import file_text
    >>> _ = Path("mark.txt").write_text("\ufeff6000 1", encoding="utf-8")
    >>> file_text("mark.txt")
    '6000 1'
    """
    from astropy.utils.data import get_readable_fileobj

    try:
        with get_readable_fileobj(str(path), encoding="binary") as file:
            content = file.read()
    except (OSError, EOFError) as error:
        raise FileError(f"{path} cannot be read: copy or download the file again.") from error
    try:
        if content.startswith(UTF16_MARKS):
            return content.decode("utf-16")
        if b"\0" in content:
            raise FileError(
                f"{path} is not a text file: give a text file, or a table by the end of its name."
            )
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def text_columns(text):
    r"""
    Return the first two columns of a text.

    Parameters
    ----------
    text : str
        Rows of numbers, separated by blanks, tabs, commas or semicolons. Lines before the first number are
        names of columns; comments are lines that start with #, !, % or ;, and what follows a #.

    Returns
    -------
    first, second : lists of float
        The numbers.
    labels : list of str
        The lines that they are from.
    head : (str, str)
        The name of the first column, and the last comment before the numbers; empty if there is none.

    Raises
    ------
    UserError
        If a line is not of two numbers, or has a comma as decimal mark, or there is none.

    Examples
    --------
    >>> from astropy_imphot.calibration.curve_text import text_columns
    >>> text_columns("wavelength [nm],T\n600,0.1\n700,0.2\n")
    ([600.0, 700.0], [0.1, 0.2], ['line 2', 'line 3'], ('wavelength [nm]', ''))
    """
    first, second, labels = [], [], []
    name = comment = ""
    rows = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        content = line.partition("#")[0].strip()
        if not content or content.startswith(COMMENTS):
            comment = line.strip() if line.strip() and not labels else comment
            continue
        label = f"line {number}"
        fields = _fields(content, label)
        if not labels and not is_number(fields[0]):
            name = fields[0]
            continue
        rows.append(fields)
        labels.append(label)
        for values, place in ((first, 0), (second, 1)):
            values.append(_number(fields, place, label))
    if not labels:
        raise UserError(
            "the filter curve has no line of two numbers: give a wavelength and a sensitivity in each line."
        )
    _refuse_ambiguous_commas(text, rows, labels)
    return first, second, labels, (name, comment)


def is_number(text):
    """
    Return whether a text is a number.

    Parameters
    ----------
    text : str
        Such as a field of a line.

    Returns
    -------
    bool
        True also for nan and inf.

    Examples
    --------
    >>> from astropy_imphot.calibration.curve_text import is_number
    >>> is_number("5.0D3"), is_number("6000"), is_number("wave")
    (True, True, False)
    """
    try:
        _value(text)
    except ValueError:
        return False
    return True


def _value(text):
    return float(FORTRAN_EXPONENT.sub("e", text))


def _fields(content, label):
    blanks = content.split()
    separator = next((one for one in (";", "|", "\t") if one in content), None)
    parts = blanks if separator is None else [part.strip() for part in content.split(separator)]
    if len(parts) > 1 and any(DECIMAL_COMMA.fullmatch(part) for part in parts):
        raise UserError(f"{label} of the filter curve has a comma as decimal mark: write a point, as in 0.5.")
    if separator is None and "," in content:
        parts = content.split(",")
    return [part.strip().strip("\"'").strip() for part in parts]


def _number(fields, place, label):
    which = ("wavelength", "sensitivity")[place]
    if len(fields) <= place or not is_number(fields[place]):
        found = f"{fields[place]!r} as" if len(fields) > place and fields[place] else "no"
        raise UserError(
            f"{label} of the filter curve has {found} {which}: give a wavelength and a sensitivity in each "
            "line, as numbers, and # before comments."
        )
    return _value(fields[place])


def _refuse_ambiguous_commas(text, rows, labels):
    """Refuse 6000,5,0,3, which can be two numbers or four."""
    if "," in text and "." not in text and all(len(fields) > 2 for fields in rows):
        raise UserError(
            f"{labels[0]} of the filter curve has more than one comma and no decimal point: separate the two "
            "columns by blanks, and write decimal points."
        )
