"""The parts of a field's work that run at the same time, and the reasons why some of them failed."""

from astropy_imphot.fitting.batch import Batch

__all__ = ["run_jobs"]


class _Jobs(Batch):
    _retries = 1

    def __init__(self, function, calls, **where):
        super().__init__(list(calls), list(calls.values()), on_error="skip", **where)
        self._function = function


def run_jobs(function, calls, *, before=None, nprocess=None, executor=None, progress_bar=None):
    """
    Call a function for each job, several at a time.

    Parameters
    ----------
    function : callable
        Writes its results, and returns None.
    calls : dict of str to (tuple, dict)
        Its arguments, by the names of the jobs.
    before : callable, optional
        Is called when the options were found to be possible, before the first job. By default (None) nothing
        is.
    nprocess : int, optional
        Number of processes. By default (None) one for each core.
    executor : `concurrent.futures.Executor`, optional
        Where to run instead. By default (None) processes of this machine.
    progress_bar : callable, optional
        Wraps the iterable of the jobs. By default (None) nothing is shown.

    Returns
    -------
    dict of str to str
        The reasons of failures, by the names of the jobs that failed.

    Raises
    ------
    UserError
        If ``nprocess`` is not above 0.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from astropy_imphot.field.jobs import run_jobs
    >>> with ThreadPoolExecutor(1) as executor:
    ...     run_jobs(int, {"E1": (("x",), {})}, executor=executor)
    {'E1': "E1: ValueError: invalid literal for int() with base 10: 'x'"}
    """
    with _Jobs(function, calls, nprocess=nprocess, executor=executor) as jobs:
        if before is not None:
            before()
        results = progress_bar(jobs) if progress_bar and calls else jobs
        return {name: one.error for name, one in zip(calls, results, strict=True) if one is not None}
