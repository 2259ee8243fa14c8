"""Numbers and quantities as arguments of functions."""

from numbers import Real

import astropy.units as u
import numpy as np

from astropy_imphot.io.errors import UserError

__all__ = ["to_pair", "to_value"]


def to_value(value, unit, name):
    """
    Return a number in a unit.

    Parameters
    ----------
    value : float, array, `~astropy.units.Quantity`, sequence of these, or None
        A number, taken to be in ``unit``, or a quantity or a column in any unit of the same kind. None stays
        None.
    unit : `~astropy.units.UnitBase` or str
        The unit that is wanted.
    name : str
        The name of the value in errors.

    Returns
    -------
    float, array or None
        The value in ``unit``; an array for a sequence.

    Raises
    ------
    UserError
        If the quantity is of another kind, or it is no number.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.quantities import to_value
    >>> [to_value(value, u.arcsec, "hst_fwhm") for value in (85 * u.mas, 0.085)]
    [0.085, 0.085]
    >>> to_value([600 * u.nm, 7000], u.AA, "wavelengths")
    array([6000., 7000.])
    """
    if value is None or isinstance(value, Real):
        return value
    if isinstance(value, (list, tuple)):
        value = [to_value(one, unit, name) for one in value]
    try:
        if getattr(value, "unit", None) is not None:
            # Columns of tables are not quantities, and have units.
            value = (value if isinstance(value, u.Quantity) else u.Quantity(value)).to_value(unit)
            value = value.item() if isinstance(value, np.generic) else value
        numbers = np.asarray(value)
    except u.UnitsError as error:
        wanted = u.Unit(unit)
        kind = f"in {wanted} or another unit of the same kind" if wanted.to_string() else "without a unit"
        raise UserError(f"{name} is in {value.unit or 'no unit'}: give it {kind}.") from error
    except (TypeError, ValueError):
        numbers = np.array(None)
    if numbers.dtype.kind not in "biuf":
        of_unit = f" in {u.Unit(unit)}" if u.Unit(unit).to_string() else ""
        raise UserError(f"{name} is {value}: give a number{of_unit}.")
    return numbers if isinstance(value, list) else value


def to_pair(value, unit, name):
    """
    Return two numbers in a unit.

    Parameters
    ----------
    value : sequence of two floats or quantities, or `~astropy.units.Quantity` of shape (2,)
        As for `to_value`.
    unit, name
        As for `to_value`.

    Returns
    -------
    (float, float)
        The values in ``unit``.

    Raises
    ------
    UserError
        As for `to_value`, or if there are not two.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.io.quantities import to_pair
    >>> to_pair((250 * u.mas, 0.0), u.arcsec, "motion")
    (0.25, 0.0)
    """
    values = np.asarray(to_value(value, unit, name))
    if values.shape != (2,):
        raise UserError(f"{name} is {value}: give two numbers.")
    return tuple(values.tolist())
