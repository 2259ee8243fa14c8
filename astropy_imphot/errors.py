"""The errors that the package raises for what its user can mend."""

__all__ = ["UserError"]


class UserError(Exception):
    """
    Something is wrong with the input, and the user can mend it.

    The message is one sentence that names the file or the argument and says what
    to do. The scripts print it without a traceback and exit with status 1.

    Examples
    --------
    >>> from astropy_imphot import UserError
    >>> raise UserError("cube.fits does not exist: check the name.")
    Traceback (most recent call last):
        ...
    astropy_imphot.errors.UserError: cube.fits does not exist: check the name.
    """
