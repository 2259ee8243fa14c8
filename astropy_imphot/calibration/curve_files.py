"""Files of filter curves: text files of two columns, and tables."""

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np

from astropy_imphot.calibration.curve_text import file_text, text_columns
from astropy_imphot.io.bunit import LENGTH_WORDS
from astropy_imphot.io.errors import FileError, UserError, warn
from astropy_imphot.io.files import naming

__all__ = ["TABLE_FORMATS", "curve_name", "read_curve"]

# Formats of astropy.table.Table.read by the ends of files' names. Files with other ends are text files.
TABLE_FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}

# Ends of the names of compressed files.
COMPRESSED = (".gz", ".bz2", ".xz")

# DetectorType of VOTables (IVOA Photometry Data Model 1.1, PhotometryFilter.detectorType).
DETECTOR_TYPES = {"0": "energy", "1": "photon"}

# A unit in brackets: wavelength [nm], lambda (micron).
UNIT_IN_NAME = re.compile(r"[\[(]([^\])]*)[\])]")

# Units of sensitivities that astropy does not read, as in tables of STScI: their scale does not matter.
NO_UNIT = ("transmission", "throughput", "unitless", "dimensionless", "none", "fraction", "-", "%")

# Wavelengths without a unit of which the largest is in such a range are in that unit: no filter has them in
# Angstrom.
LIKELY_UNITS = {u.um: (0.0, 40.0), u.nm: (100.0, 1200.0)}

# The relative width of a step: two points at one wavelength are drawn apart by it.
STEP = 1e-9


def curve_name(path):
    """
    Return the name of the filter curve in a file.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    str
        The file's name without its ends, of which one may be that of a compressed file.

    Examples
    --------
    >>> from astropy_imphot.calibration.curve_files import curve_name
    >>> curve_name("curves/F606W.dat.gz"), curve_name("F606W.v2.txt")
    ('F606W', 'F606W.v2')
    """
    return Path(_uncompressed(path)).stem


def _uncompressed(path):
    path = Path(path)
    return path.stem if path.suffix.lower() in COMPRESSED else path.name


def read_curve(path, wave_unit=None):
    r"""
    Read the file of a filter curve.

    Parameters
    ----------
    path : str or path
        A text file of two columns (blanks, tabs, commas or semicolons are between them) in which lines that
        start with # are comments, or a table of which the first two columns are wavelengths and
        sensitivities: ECSV, FITS or VOTable, by the end of its name. It may be compressed.
    wave_unit : str or `~astropy.units.UnitBase`, optional
        The unit of wavelengths that have none in the file. By default (None) it is Angstrom, or nm or um if
        the wavelengths are those of no filter in Angstrom.

    Returns
    -------
    wavelength : `~astropy.units.Quantity` of shape (n,)
        In the unit of the file, that of the column or one in brackets in its name, else ``wave_unit``; in
        ascending order.
    sensitivity : array or `~astropy.units.Quantity` of shape (n,)
        Those of the file. Two different ones at a wavelength are a step.
    response : str or None
        What the sensitivities are, ``"photon"`` or ``"energy"``: ``response`` of the keywords of the table,
        or DetectorType of a VOTable (0 is energy, 1 photon). None if the file does not say.

    Raises
    ------
    UserError
        If there is no such file, it has another form, or a unit is unknown or not the one in the file. Faults
        of a line or a row have its number.

    Warns
    -----
    ImphotWarning
        If wavelengths are repeated, or their unit is a guess.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy_imphot.calibration.curve_files import read_curve
    >>> _ = Path("F606W.csv").write_text("wavelength [um],throughput\n0.46,0.0\n0.6,0.5\n0.72,0.0\n")
    >>> wavelength, sensitivity, response = read_curve("F606W.csv")
    >>> wavelength
    <Quantity [0.46, 0.6 , 0.72] um>
    >>> print(response)
    None
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"the filter curve {path} does not exist: check the name.")
    given = None if wave_unit is None else _wave_unit(wave_unit)
    table_format = TABLE_FORMATS.get(Path(_uncompressed(path)).suffix.lower())
    with naming(path):
        if table_format is None:
            wavelength, sensitivity, labels, own = _of_text(path, given)
            response = None
        else:
            wavelength, sensitivity, labels, own, response = _of_table(path, table_format, given)
        if own and given and own != given:
            raise UserError(
                f"the wavelengths of the filter curve are in {own}, and the unit that is given is {given}: "
                "leave it out (wave_unit, --wave_units)."
            )
        wavelength, sensitivity = _in_order(wavelength, sensitivity, labels)
        return wavelength * (own or given or _likely_unit(wavelength)), sensitivity, response


def _wave_unit(unit):
    if isinstance(unit, str):
        unit = LENGTH_WORDS.get(unit.strip().lower(), unit)
    try:
        parsed = u.Unit(unit)
        parsed.to(u.AA)
    except (ValueError, TypeError, u.UnitConversionError) as error:
        raise UserError(f"{unit!r} is not a unit of wavelength: use Angstrom, nm or um.") from error
    return parsed


def _of_text(path, given):
    first, second, labels, (name, comment) = text_columns(file_text(path))
    own = _unit_in_name(name, given) if name else _unit_in_comment(comment)
    return np.array(first), np.array(second), labels, own


def _unit_in_comment(comment):
    """Return the unit in brackets in a comment, or None: other brackets can be anything."""
    for text in UNIT_IN_NAME.findall(comment):
        try:
            return None if re.search(r"\d", text) else _wave_unit(text)
        except UserError:
            continue
    return None


def _of_table(path, table_format, given):
    table, response = _table(path, table_format)
    wavelength, sensitivity = (
        _numbers(table[name], words) for name, words in zip(table.colnames[:2], ((), NO_UNIT), strict=True)
    )
    own = getattr(wavelength, "unit", None) or _unit_in_name(table.colnames[0], given)
    labels = [f"row {row}" for row in range(1, len(table) + 1)]
    return getattr(wavelength, "value", wavelength), sensitivity, labels, own, response


def _in_order(wavelength, sensitivity, labels):
    """Return a curve with ascending wavelengths, none of which is repeated."""
    numbers = getattr(sensitivity, "value", sensitivity)
    if len(wavelength) > 2 and wavelength[0] in (0, 1) and np.all(np.diff(wavelength) == 1):
        raise UserError("the first column of the filter curve numbers its rows: remove it.")
    for place, label in enumerate(labels):
        if not (np.isfinite(wavelength[place]) and np.isfinite(numbers[place]) and wavelength[place] > 0):
            raise UserError(
                f"{label} of the filter curve has the wavelength {wavelength[place]:g} and the sensitivity "
                f"{numbers[place]:g}: give finite numbers, or remove it."
            )
    order = np.arange(len(wavelength))
    if wavelength[0] > wavelength[-1]:
        # So that the sides of a step are in order.
        order = order[::-1]
    order = order[np.argsort(wavelength[order], kind="stable")]
    kept, steps, repeated = [], [], []
    for rows in np.split(order, np.flatnonzero(np.diff(wavelength[order])) + 1):
        different = np.any(numbers[rows] != numbers[rows[0]])
        if different and np.any(abs(np.diff(rows)) != 1):
            raise UserError(
                f"{labels[min(rows)]} and {labels[max(rows)]} of the filter curve have the same wavelength "
                f"{wavelength[rows[0]]:g} and different sensitivities: remove one of the two curves."
            )
        repeated.extend(sorted(rows)[1:])
        kept.append(rows[0])
        if different:
            steps.append(len(kept))
            kept.append(rows[-1])
    if repeated:
        warn(
            f"wavelengths of the filter curve are repeated ({len(repeated)}, the first in "
            f"{labels[repeated[0]]}): of equal rows one is used, and different sensitivities are a step."
        )
    ordered = wavelength[kept]
    ordered[steps] *= 1 + STEP
    return ordered, sensitivity[kept]


def _likely_unit(wavelength):
    largest = wavelength.max()
    for unit, (low, high) in LIKELY_UNITS.items():
        if low < largest <= high:
            warn(
                f"the wavelengths of the filter curve, {wavelength.min():g} to {largest:g}, have no unit, "
                f"and {unit} is assumed: give it (wave_unit, --wave_units)."
            )
            return unit
    return u.AA


def _table(path, table_format):
    """Return a table, and what its sensitivities are."""
    from astropy.io.votable import parse_single_table
    from astropy.table import Table

    try:
        with warnings.catch_warnings():
            # Faults of VOTables that do not matter, and units that are checked below.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*multiple tables are present")
            # The reader of ECSV does not take a byte-order mark.
            content = file_text(path).splitlines() if table_format == "ascii.ecsv" else path
            table = Table.read(content, format=table_format)
            response = next((table.meta[key] for key in table.meta if key.lower() == "response"), None)
            if table_format == "votable":
                params = {one.name: str(one.value) for one in parse_single_table(path).params}
                response = DETECTOR_TYPES.get(params.get("DetectorType"), response)
    except Exception as error:
        # The readers of the formats raise errors of many classes.
        raise UserError(
            f"the filter curve cannot be read as {table_format.removeprefix('ascii.').upper()}: give one "
            "table with wavelengths and sensitivities in its first two columns."
        ) from error
    if len(table.colnames) < 2:
        raise UserError("the filter curve has fewer than two columns: give it wavelengths and sensitivities.")
    return table, response


def _numbers(column, no_unit):
    """Return a column as numbers or a quantity, with NaN where a value is missing."""
    try:
        numbers = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the column {column.name} of the filter curve is not of numbers: give wavelengths and "
            "sensitivities in the first two columns."
        ) from error
    unit = column.unit
    if isinstance(unit, u.UnrecognizedUnit):
        word = str(unit).strip().lower()
        if word in no_unit:
            return numbers
        if word not in LENGTH_WORDS:
            raise _unknown_unit(column.name, unit)
        unit = u.Unit(LENGTH_WORDS[word])
    return numbers if unit in (None, u.dimensionless_unscaled) else numbers * unit


def _unit_in_name(name, given):
    """Return the unit in brackets in a column's name, or None."""
    found = UNIT_IN_NAME.search(name)
    if not found:
        return None
    try:
        return _wave_unit(found[1])
    except UserError as error:
        if given is not None:
            return None
        raise _unknown_unit(name, found[1]) from error


def _unknown_unit(name, unit):
    return UserError(
        f"the unit {unit} of the column {name} of the filter curve is not known: use Angstrom, nm or um."
    )
