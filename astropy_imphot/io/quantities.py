"""Numbers with units at the doors of the package."""

import astropy.units as u

from astropy_imphot.io.errors import UserError

__all__ = ["to_value"]


def to_value(value, unit, name):
    """
    Return a number in a unit.

    Parameters
    ----------
    value : float, array, `~astropy.units.Quantity` or None
        A number, taken to be in ``unit``, or a quantity in any unit of the same kind. None stays None.
    unit : `~astropy.units.UnitBase` or str
        The unit that is wanted.
    name : str
        What errors call the value.

    Returns
    -------
    float, array or None
        The value in ``unit``.

    Raises
    ------
    UserError
        If the quantity is of another kind.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.quantities import to_value
    >>> [float(to_value(value, u.arcsec, "hst_fwhm")) for value in (85 * u.mas, 0.085)]
    [0.085, 0.085]
    """
    if not isinstance(value, u.Quantity):
        return value
    try:
        return value.to_value(unit)
    except u.UnitConversionError as error:
        wanted = u.Unit(unit)
        kind = f"in {wanted} or another unit of the same kind" if wanted.to_string() else "without a unit"
        raise UserError(f"{name} is in {value.unit or 'no unit'}: give it {kind}.") from error
