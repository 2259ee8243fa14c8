"""Errors and warnings about problems that the user can correct."""

import os
import sys
import warnings
from contextvars import ContextVar
from pathlib import Path

from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["FileError", "ImphotWarning", "UserError", "WorkerError", "warn"]

PACKAGE = str(Path(__file__).parents[1]) + os.sep

# The file that is being read or used, set by `~astropy_imphot.io.files.naming`.
FILE_NAME = ContextVar("FILE_NAME", default="")


class UserError(ValueError):
    """
    The input has a fault that the user can correct.

    The message is one sentence: the file, what is wrong, and what to do. The commands print it without a
    traceback and exit with status 1.

    Examples
    --------
    >>> from astropy_imphot import UserError
    >>> raise UserError("margin is -1.0: give 0 to 60 arcsec.")
    Traceback (most recent call last):
        ...
    astropy_imphot.io.errors.UserError: margin is -1.0: give 0 to 60 arcsec.
    """

    # Whether the file is in the message, so that `~astropy_imphot.io.files.naming` does not add it.
    names_file = False


# OSError first: its constructor is used, as by Dask, which makes errors anew from their class.
class FileError(OSError, UserError):
    """
    A file is missing, broken, or cannot be read or written.

    It can be caught as a `UserError`, as all errors of the package, or as an `OSError`. The message is
    one sentence: the file, what is wrong, and what to do.

    Examples
    --------
    >>> from astropy_imphot import read_image
    >>> try:
    ...     read_image("no_such_file.fits")
    ... except OSError as error:
    ...     print(error)
    no_such_file.fits does not exist: check the name.
    """

    names_file = True


class WorkerError(UserError):
    """
    An exposure failed in a worker of a batch.

    Parameters
    ----------
    name : str
        The exposure's name.
    reason : str
        Why it failed.
    worker_traceback : str
        The traceback of the worker (default: empty, as of one that was killed).

    Examples
    --------
    >>> from astropy_imphot import WorkerError
    >>> str(WorkerError("E1.fits", "its worker was killed."))
    'E1.fits: its worker was killed.'
    """

    names_file = True

    def __init__(self, name, reason, worker_traceback=""):
        super().__init__(reason if name in reason else f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.worker_traceback = worker_traceback

    def __reduce__(self):
        return type(self), (self.name, self.reason, self.worker_traceback)


class ImphotWarning(AstropyUserWarning):
    """
    The input has a problem that does not stop the package, but may change the result.

    Every warning of the package is of this class, and has the line of the user's code that called the
    package.

    Examples
    --------
    >>> import warnings
    >>> from astropy_imphot import ImphotWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", ImphotWarning)
    """


def warn(message):
    """
    Give a warning at the line that called the package.

    Parameters
    ----------
    message : str or Warning
        What is wrong, given as an `ImphotWarning`, after the name of the file that
        `~astropy_imphot.io.files.naming` has set; or a warning of another package, given as it is.

    Warns
    -----
    ImphotWarning
        Always, if ``message`` is a str.

    Examples
    --------
    >>> import warnings
    >>> from astropy_imphot.io.errors import warn
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("the image has no unit.")
    >>> caught[0].category.__name__, str(caught[0].message)
    ('ImphotWarning', 'the image has no unit.')
    """
    if isinstance(message, str) and FILE_NAME.get():
        message = f"{FILE_NAME.get()}: {message}"
    frame = caller = sys._getframe(1)
    # Frames of other packages may stand between ours: contextlib's, or a fitter's.
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            caller = frame.f_back or frame
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        None if isinstance(message, Warning) else ImphotWarning,
        caller.f_code.co_filename,
        caller.f_lineno,
        module=caller.f_globals.get("__name__"),
        registry=caller.f_globals.setdefault("__warningregistry__", {}),
    )
