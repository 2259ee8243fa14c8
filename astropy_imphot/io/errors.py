"""The errors that the package raises for what its user can mend."""

__all__ = ["UserError", "WorkerError"]


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
    astropy_imphot.io.errors.UserError: cube.fits does not exist: check the name.
    """


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

    def __init__(self, name, reason, worker_traceback=""):
        super().__init__(reason if name in reason else f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.worker_traceback = worker_traceback

    def __reduce__(self):
        return type(self), (self.name, self.reason, self.worker_traceback)
