"""The wavelength axis of cubes in FITS headers, in the forms in which files have it."""

import re

import astropy.units as u

from astropy_imphot.io.bunit import LENGTH_WORDS
from astropy_imphot.io.errors import UserError, warn

__all__ = ["standard_axis"]

# CTYPE of the sky.
CELESTIAL = re.compile(r"(RA--|DEC-|[A-Z]LON|[A-Z]LAT|[A-Z]{2}LN|[A-Z]{2}LT)-[A-Z]{3}.*")

# CTYPE3 of wavelengths in the standard; and names that files have, of which the unit has to be a length.
STANDARD = re.compile(r"(WAVE|AWAV)(-(LOG|TAB|[A-Z]2[A-Z]|GR[IA]))?")
OTHERS = re.compile(
    r"|LINEAR|(AIR[ _-]?|VAC[ _-]?)?(WAVE|WAVELENGTHS?|LAMBDA|LAM)|WAVELENG|WLEN|SPECTRAL", re.I
)

# Spellings that astropy reads.
READ = ("Angstrom", "angstrom", "Angstroms", "nm", "um", "mm", "cm", "m", "M")

# Where wavelengths of images can be, of axes of which the header has no unit.
SHORTEST, LONGEST = 1e-8 * u.m, 1e-3 * u.m


def standard_axis(header):
    """
    Return the header of a cube with its wavelength axis in the form of the standard.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The header of an array of three axes.

    Returns
    -------
    `~astropy.io.fits.Header`
        The header itself, or a copy in which CTYPE3 is WAVE, CUNIT3 is spelled as in the standard, and CD3_3
        is CDELT3 where only that has the step.

    Raises
    ------
    UserError
        If the wavelengths are not on the third axis, or their unit or step is not known.

    Warns
    -----
    ImphotWarning
        If the header was changed, with what was taken.

    Examples
    --------
    >>> import warnings
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.wavelength_axis import standard_axis
    >>> header = fits.Header()
    >>> header.update(NAXIS=3, CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="LAMBDA", CUNIT3="micron",
    ...               CRVAL3=0.5, CDELT3=1e-4)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     changed = standard_axis(header)
    >>> changed["CTYPE3"], changed["CUNIT3"]
    ('WAVE', 'um')
    """
    kinds = [str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2, 3)]
    if sum(CELESTIAL.fullmatch(kind) is not None for kind in kinds) < 2:
        # There is an error about that elsewhere.
        return header
    if CELESTIAL.fullmatch(kinds[2]):
        axis = 1 + next(number for number, kind in enumerate(kinds) if not CELESTIAL.fullmatch(kind))
        raise UserError(
            f"the wavelengths of the cube are on axis {axis} (NAXIS{axis}), and not on axis 3: move it, "
            "as by numpy.moveaxis for the data and WCS.sub for the header."
        )
    taken = _kind_and_unit(kinds[2], str(header.get("CUNIT3", "")).strip(), header) | _step(header)
    changed = {key: value for key, value in taken.items() if header.get(key) != value}
    if not changed:
        return header
    warn(
        "the axis of wavelengths is not as in the FITS standard: "
        + ", ".join(f"{key} = {value}" for key, value in changed.items())
        + " is taken in place of "
        + ", ".join(f"{header[key]!r}" if key in header else "no keyword" for key in changed)
        + "."
    )
    header = header.copy()
    header.update(changed)
    return header


def _kind_and_unit(kind, unit, header):
    """Return CTYPE3 and CUNIT3 in the form of the standard."""
    if not (STANDARD.fullmatch(kind.upper()) or OTHERS.fullmatch(kind)):
        raise UserError(
            f"the cube has no axis of wavelengths, but CTYPE3 = {kind!r}: convert it to wavelengths, with "
            "CTYPE3 AWAV or WAVE."
        )
    known = LENGTH_WORDS.get(unit.lower(), "")
    if unit and not known:
        raise UserError(
            f"the unit of wavelengths, CUNIT3 = {unit!r}, is no length: correct it, as to Angstrom."
        )
    standard = STANDARD.fullmatch(kind.upper()) is not None
    if not known:
        # Meters, in the standard.
        value = header.get("CRVAL3", 0.0) * u.m
        if not (standard and SHORTEST < value < LONGEST):
            raise UserError("the cube has no unit of wavelengths: add CUNIT3, such as Angstrom.")
        return {"CTYPE3": kind.upper()}
    taken = {"CTYPE3": kind.upper() if standard else "WAVE"}
    return taken if unit in READ else taken | {"CUNIT3": known}


def _step(header):
    """Return the steps of axes of which the matrix CDi_j has none, but CDELTi has."""
    axes = (1, 2, 3)
    matrix = {(i, j): header.get(f"CD{i}_{j}", 0) for i in axes for j in axes}
    steps = {axis: header.get(f"CDELT{axis}", 0) for axis in axes}
    # With one CDi_j, all CDELTi are ignored.
    missing = [i for i in axes if not any(matrix[i, j] for j in axes)] if any(matrix.values()) else []
    if 3 in missing and not steps[3] or not (steps[3] or matrix[3, 3]):
        raise UserError("the cube has no step of wavelengths: add CD3_3 or CDELT3.")
    return {f"CD{axis}_{axis}": steps[axis] for axis in missing if steps[axis]}
