"""Files of filter curves: text files of two columns, and tables."""

import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np

from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.io.files import naming

__all__ = ["TABLE_FORMATS", "read_curve"]

# Formats of astropy.table.Table.read by the ends of files' names. Files with other ends are text files.
TABLE_FORMATS = {
    ".csv": "ascii.csv",
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}

# DetectorType of VOTables (IVOA Photometry Data Model 1.1, PhotometryFilter.detectorType).
DETECTOR_TYPES = {"0": "energy", "1": "photon"}

# A unit at the end of a column's name: wavelength [nm], lambda (micron).
UNIT_IN_NAME = re.compile(r"[\[(]([^\])]*)[\])]\s*$")


def read_curve(path, wave_unit=None):
    r"""
    Read the file of a filter curve.

    Parameters
    ----------
    path : str or path
        A text file of two columns in which lines that start with # are comments, or a table of which the
        first two columns are wavelengths and sensitivities: CSV, ECSV, FITS or VOTable, by the end of its
        name.
    wave_unit : str or `~astropy.units.UnitBase`, optional
        The unit of wavelengths that have none in the file. By default (None) it is Angstrom.

    Returns
    -------
    wavelength : `~astropy.units.Quantity` of shape (n,)
        In the unit of the file, that of the column or one in brackets at the end of its name, else
        ``wave_unit``.
    sensitivity : array or `~astropy.units.Quantity` of shape (n,)
        As in the file.
    response : str or None
        What the sensitivities are, ``"photon"`` or ``"energy"``: ``response`` of the keywords of the table,
        or DetectorType of a VOTable (0 is energy, 1 photon). None if the file does not say.

    Raises
    ------
    UserError
        If there is no such file, it has another form, or a unit is unknown or not the one in the file.

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
    table_format = TABLE_FORMATS.get(path.suffix.lower())
    with naming(path):
        if table_format is None:
            wavelength, sensitivity = _text_columns(path)
            return wavelength * (given or u.AA), sensitivity, None
        table, response = _table(path, table_format)
        wavelength, sensitivity = (_numbers(table[name]) for name in table.colnames[:2])
        own = getattr(wavelength, "unit", None) or _unit_in_name(table.colnames[0], given)
        if own and given and own != given:
            raise UserError(
                f"the wavelengths of the filter curve are in {own}, and the unit that is given is {given}: "
                "leave it out (wave_unit, --wave_units)."
            )
        return np.array(wavelength) * (own or given or u.AA), sensitivity, response


def _wave_unit(unit):
    try:
        parsed = u.Unit(unit)
        parsed.to(u.AA)
    except (ValueError, TypeError, u.UnitConversionError) as error:
        raise UserError(f"{unit!r} is not a unit of wavelength: use Angstrom, nm or um.") from error
    return parsed


def _text_columns(path):
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
            return np.loadtxt(path, ndmin=2, usecols=(0, 1)).reshape(-1, 2).T
    except (ValueError, IndexError) as error:
        raise UserError(
            "the filter curve is not a text file of two columns of numbers: give it a wavelength and a "
            f"sensitivity in each row, or a table ({', '.join(TABLE_FORMATS)})."
        ) from error


def _table(path, table_format):
    """Return a table, and what its sensitivities are."""
    from astropy.io.votable import parse_single_table
    from astropy.table import Table

    try:
        with warnings.catch_warnings():
            # Faults of VOTables that do not matter, and units that are checked below.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*multiple tables are present")
            table = Table.read(path, format=table_format)
            if table_format == "ascii.csv" and all(_is_number(name) for name in table.colnames):
                table = Table.read(path, format="ascii.no_header", delimiter=",", guess=False)
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


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(column):
    """Return a column as numbers or a quantity, with NaN where a value is missing."""
    try:
        numbers = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the column {column.name} of the filter curve is not of numbers: give wavelengths and "
            "sensitivities in the first two columns."
        ) from error
    if column.unit is None or column.unit == u.dimensionless_unscaled:
        return numbers
    if isinstance(column.unit, u.UnrecognizedUnit):
        raise _unknown_unit(column.name, column.unit)
    return numbers * column.unit


def _unit_in_name(name, given):
    """Return the unit at the end of a column's name, or None."""
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
