"""Fits of many exposures, in parallel processes or by an executor of concurrent.futures."""

import os
import signal
import threading
import time
import traceback
import warnings
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait

from astropy import log
from astropy.io import fits

from astropy_imphot.fitting.image import fit_image
from astropy_imphot.fitting.options import ImageFitOptions, StarFitOptions
from astropy_imphot.fitting.star import fit_image_and_star, fit_star
from astropy_imphot.io.aliases import accepts_reference
from astropy_imphot.io.errors import UserError, WorkerError
from astropy_imphot.io.files import short_name, source_name
from astropy_imphot.io.images import read_image
from astropy_imphot.masking.stars import star_circle
from astropy_imphot.results.photometry import FailedPhotometry

__all__ = ["Batch", "FitImageAndStarPhotometryMP", "FitImagePhotometryMP", "FitStarPhotometryMP"]

# There is one process per core; more threads than cores would slow them down.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# Workers check at this interval whether their parent still runs.
PARENT_SECONDS = 1.0


class Batch:
    """
    Run a function for many exposures; the base class of `FitImagePhotometryMP` and the like.

    Parameters
    ----------
    muse : sequence
        The exposures, for the names in errors and results.
    calls : sequence of (tuple, dict)
        The arguments of ``_function`` for each of them.
    nprocess : int, optional
        Number of processes. By default (None) one for each core.
    executor : `concurrent.futures.Executor`, optional
        Executor to be used instead. By default (None) processes of this machine.
    on_error : {"raise", "skip"}
        Action if an image fails, as for `FitImagePhotometryMP` (default: raise).

    Raises
    ------
    WorkerError
        If an exposure fails or its worker is killed, with the exposure's name.
    UserError
        If ``nprocess`` or ``on_error`` has an impossible value.

    Notes
    -----
    If a worker of this machine is killed, its exposure is repeated up to ``_retries`` times. Other executors
    have their own rules for repetitions.

    Examples
    --------
    See `FitImagePhotometryMP`.
    """

    _function = None
    _retries = 0

    def __init__(self, muse, calls, *, nprocess=None, executor=None, on_error="raise"):
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error is {on_error!r}: give 'raise' or 'skip'.")
        if nprocess is not None and nprocess < 1:
            raise UserError(f"nprocess is {nprocess}: give 1 or more.")
        self._muse = muse
        self._calls = calls
        self._nprocess = nprocess
        self._executor = executor
        self._on_error = on_error
        self._pools = []
        self._entered = False

    def __len__(self):
        return len(self._muse)

    def __enter__(self):
        self._entered = True
        return self

    def __exit__(self, error_type, error, trace):
        # After an error the results of running jobs are not used.
        for pool in self._pools:
            pool.shutdown(kill_workers=error_type is not None)

    def __iter__(self):
        """Yield the results in the order of the exposures, as soon as they are available."""
        return (fit for _, fit in self.items())

    def items(self):
        """
        Yield the exposures and their results, in the order of the exposures, as soon as they are available.

        Yields
        ------
        (exposure, result)
            The exposure as it was given, and the result of its fit.

        Raises
        ------
        WorkerError
            If an exposure fails or its worker is killed.
        UserError
            If processes are needed and this is not in a ``with`` statement.

        Examples
        --------
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from astropy_imphot import FitImagePhotometryMP
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> with ThreadPoolExecutor(1) as executor:
        ...     with FitImagePhotometryMP(field.hst, field.muse, executor=executor) as fits:
        ...         [(muse.shape, fit.method) for muse, fit in fits.items()]
        [((50, 50), 'image')]
        """
        if self._executor is None and not self._entered:
            raise UserError(f"{type(self).__name__} starts processes: use it in a with statement.")
        running = {}
        try:
            yield from self._results(running)
        finally:
            for future in running:
                future.cancel()

    def _results(self, running):
        places = self._places()
        waiting = list(reversed(range(len(self))))
        tries = [1 + self._retries] * len(self)
        finished, failure, following = {}, None, 0
        while running or (waiting and failure is None):
            while waiting and places and failure is None:
                place, index = places.pop(), waiting.pop()
                arguments, keywords = self._calls[index]
                running[place.submit(self._function, *arguments, **keywords)] = index, place
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda one: running[one][0]):
                index, place = running.pop(future)
                tries[index] -= 1
                try:
                    finished[index] = future.result()
                except Exception as error:
                    if isinstance(error, BrokenExecutor) and place is not self._executor and tries[index]:
                        waiting.append(index)
                        places.append(self._renewed(place))
                        continue
                    problem = self._problem(index, error)
                    if self._on_error == "raise":
                        failure = failure or problem
                    else:
                        finished[index] = FailedPhotometry(name=self._name(index), error=str(problem))
                places.append(self._renewed(place))
            if failure is not None:
                for future in [one for one in running if one.cancel()]:
                    del running[future]
            while following in finished:
                yield self._muse[following], finished.pop(following)
                following += 1
        # Results that were finished before the failure are kept.
        yield from ((self._muse[index], finished[index]) for index in sorted(finished))
        if failure is not None:
            raise failure

    def _places(self):
        """Return an executor for each job that can run at the same time."""
        if self._executor is not None:
            return [self._executor] * len(self)
        from loky import cpu_count

        # Each pool has one process: if it is killed, the exposure is known.
        return [self._pool() for _ in range(min(self._nprocess or cpu_count(), max(len(self), 1)))]

    def _pool(self):
        # Unlike those of the standard library, its processes do not run the user's script again.
        from loky import ProcessPoolExecutor

        pool = ProcessPoolExecutor(1, initializer=_start_worker, env=ONE_THREAD)
        self._pools.append(pool)
        return pool

    def _renewed(self, place):
        """Return the executor for the next job, a new one if its worker was killed."""
        if place is self._executor:
            return place
        try:
            place.submit(int)
        except BrokenExecutor:
            return self._pool()
        return place

    def _name(self, index):
        return short_name(self._muse[index])

    def _problem(self, index, error):
        name = source_name(self._muse[index], f"exposure {index + 1}")
        if isinstance(error, BrokenExecutor):
            problem = WorkerError(name, "its worker was killed or ran out of memory: run it again.")
        elif isinstance(error, UserError):
            problem = WorkerError(name, str(error), "".join(traceback.format_exception(error)))
        else:
            reason = f"{type(error).__name__}: {error}"
            problem = WorkerError(name, reason, "".join(traceback.format_exception(error)))
        problem.__cause__ = error
        return problem


class FitImagePhotometryMP(Batch):
    """
    Fit many MUSE images to an HST image, several at a time.

    A context manager, and an iterator that yields a `FittedImagePhotometry` for each image, in
    the order of the images, as soon as it and all before it are available.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image, as for `fit_image_photometry`.
    muse : sequence
        The MUSE images, each as for `fit_image_photometry`.
    nprocess : int, optional
        Number of processes. By default (None) one for each core, each of one thread.
    executor : `concurrent.futures.Executor`, optional
        Executor to be used instead: that of a dask.distributed client (``client.get_executor()``),
        mpi4py's MPIPoolExecutor, or any other. By default (None) processes of this machine.
    on_error : {"raise", "skip"}
        Action if an image fails: yield the finished results, then raise a
        `WorkerError` without starting other images (the default); or yield a
        `~astropy_imphot.results.photometry.FailedPhotometry` for it, and continue.
    **options
        For `fit_image_photometry`.

    Raises
    ------
    WorkerError
        If an image fails or its worker is killed, with the image's name.
    UserError
        If ``nprocess`` or ``on_error`` has an impossible value.

    Notes
    -----
    Processes are those of `loky <https://loky.readthedocs.io>`_: they work in scripts, with or without
    ``if __name__ == "__main__":``, and in notebooks. They end with the context.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from astropy_imphot import FitImagePhotometryMP
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1), Truth(dx=-0.1)])
    >>> with ThreadPoolExecutor(2) as executor:
    ...     with FitImagePhotometryMP(field.hst, field.muse, executor=executor) as fits:
    ...         [round(fit.dx.value, 1) for fit in fits]
    [0.1, -0.1]
    """

    _function = staticmethod(fit_image)

    @accepts_reference
    def __init__(self, hst, muse, *, nprocess=None, executor=None, on_error="raise", **options):
        muse = list(muse)
        options = ImageFitOptions.from_keywords(type(self).__name__, options).loaded()
        calls = [((_portable(hst), _portable(one), options), {}) for one in muse]
        super().__init__(muse, calls, nprocess=nprocess, executor=executor, on_error=on_error)


class FitStarPhotometryMP(Batch):
    """
    Fit one star in many MUSE images and in an HST image, several at a time.

    As `FitImagePhotometryMP`, but yields a `FittedStarPhotometry` for each image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image, as for `fit_star_photometry`.
    muse : sequence
        The MUSE images, each as for `fit_star_photometry`.
    star : tuple or `~regions.CircleSkyRegion`
        As for `fit_star_photometry`.
    nprocess : int, optional
        Number of processes. By default (None) one for each core.
    executor : `concurrent.futures.Executor`, optional
        Executor to be used instead. By default (None) processes of this machine.
    on_error : {"raise", "skip"}
        Action if an image fails, as for `FitImagePhotometryMP` (default: raise).
    **options
        For `fit_star_photometry`.

    Raises
    ------
    WorkerError
        If an image fails or its worker is killed, with the image's name.
    UserError
        If ``nprocess`` or ``on_error`` has an impossible value.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from astropy_imphot import FitStarPhotometryMP
    >>> from astropy_imphot.simulation import CENTER, Truth, simulate_field
    >>> truth = [Truth(dx=0.1), Truth(dx=-0.1)]
    >>> field = simulate_field(seed=1, size=12.0, truth=truth, central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> with ThreadPoolExecutor(2) as executor:
    ...     with FitStarPhotometryMP(field.hst, field.muse, star, executor=executor) as fits:
    ...         [round(fit.dx.value, 1) for fit in fits]
    [0.1, -0.1]
    """

    _function = staticmethod(fit_star)

    @accepts_reference
    def __init__(self, hst, muse, star, *, nprocess=None, executor=None, on_error="raise", **options):
        muse = list(muse)
        options = StarFitOptions.from_keywords(type(self).__name__, options)
        calls = [((_portable(hst), _portable(one), star_circle(star), options), {}) for one in muse]
        super().__init__(muse, calls, nprocess=nprocess, executor=executor, on_error=on_error)


class FitImageAndStarPhotometryMP(FitImagePhotometryMP):
    """
    Fit many MUSE images by the whole HST image and by one star, several at a time.

    As `FitImagePhotometryMP`, but yields a tuple of a `FittedImagePhotometry` and a
    `FittedStarPhotometry` for each image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image, as for both fits.
    muse : sequence
        The MUSE images, each as for both fits.
    star : tuple or `~regions.CircleSkyRegion`
        As for `fit_star_photometry`.
    nprocess : int, optional
        Number of processes. By default (None) one for each core.
    executor : `concurrent.futures.Executor`, optional
        Executor to be used instead. By default (None) processes of this machine.
    on_error : {"raise", "skip"}
        Action if an image fails, as for `FitImagePhotometryMP` (default: raise).
    **options
        For `fit_image_and_star_photometry`.

    Raises
    ------
    WorkerError
        If an image fails or its worker is killed, with the image's name.
    UserError
        If ``nprocess`` or ``on_error`` has an impossible value.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from astropy_imphot import FitImageAndStarPhotometryMP
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> with ThreadPoolExecutor(1) as executor:
    ...     with FitImageAndStarPhotometryMP(field.hst, field.muse, star, executor=executor) as fits:
    ...         [[fit.method for fit in both] for both in fits]
    [['image', 'stars']]
    """

    _function = staticmethod(fit_image_and_star)

    @accepts_reference
    def __init__(self, hst, muse, star, *, nprocess=None, executor=None, on_error="raise", **options):
        super().__init__(
            hst, muse, star=star, nprocess=nprocess, executor=executor, on_error=on_error, **options
        )


def _portable(source):
    """Return an input that can be pickled, without open files."""
    if isinstance(source, fits.HDUList) and source.filename():
        return source.filename()
    if isinstance(source, (fits.HDUList, fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
        return read_image(source)
    return source


def _start_worker():
    """Prepare a worker: Ctrl-C and log messages are the parent's, and the worker ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.formatwarning = lambda message, *args, **kwargs: f"warning: {message}\n"
    log.setLevel("WARNING")
    parent = os.getppid()

    def follow_parent():
        # On Windows the parent's number stays the same, and the worker ends after its present job.
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
