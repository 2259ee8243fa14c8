"""An HST image with its templates, which are kept for exposures on the same grid."""

from collections import OrderedDict
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from threading import Lock

from astropy_imphot.calibration.units import muse_unit
from astropy_imphot.io.files import Source, naming
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.headers import wcs_header
from astropy_imphot.io.representation import Representation
from astropy_imphot.reference.regrid import coarse_template, make_template

__all__ = ["HstReference"]


class HstReference(Representation):
    """
    An HST image whose templates are kept, so that exposures on the same grid share them.

    Parameters
    ----------
    source : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image, as for `make_template`.
    n_kept : int
        For how many grids templates are kept, the last ones that were used (default: 2).

    Attributes
    ----------
    source
        As it was given.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.reference.image import HstReference
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1), Truth(dx=-0.1)])
    >>> hst = HstReference(field.hst)
    >>> [round(fit_image_photometry(hst, muse).dx.value, 1) for muse in field.muse]
    [0.1, -0.1]
    """

    def __init__(self, source, n_kept=2):
        self.source = source
        # For each grid there are two, one to find the offset with.
        self._n_kept = 2 * n_kept
        # The futures of the templates: exceptions of the thread that makes one reach all that wait.
        self._kept = OrderedDict()
        self._lock = Lock()

    def __reduce__(self):
        # Making a template is faster than sending it to another process.
        return type(self), (self.source, self._n_kept // 2)

    def _represented(self):
        return {"source": self.source}

    @classmethod
    def of(cls, hst):
        """
        Return an HST image as a reference.

        Parameters
        ----------
        hst : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `HstReference`
            The HST image, or a reference, whose templates are then shared.

        Returns
        -------
        HstReference
            A new one, or the one that was given.

        Examples
        --------
        >>> from astropy_imphot import HstReference
        >>> hst = HstReference.of("hst.fits")
        >>> hst.source, HstReference.of(hst) is hst
        ('hst.fits', True)
        """
        return hst if isinstance(hst, cls) else cls(hst)

    @contextmanager
    def opened(self):
        """
        Yield the reference with its file open, so that all reads open it once.

        Yields
        ------
        HstReference
            One that shares the templates; its ``source`` is for the readers of images.

        Examples
        --------
        >>> from astropy_imphot import HstReference
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> with HstReference(field.hst).opened() as hst:
        ...     hst.template(field.muse[0]).muse_shape
        (50, 50)
        """
        with Source.of(self.source) as source:
            twin = copy(self)
            twin.source = source
            yield twin

    def __copy__(self):
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def template(self, muse, **options):
        """
        Return the template for a MUSE image, the one that was kept if there is one for its grid.

        Parameters
        ----------
        muse : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
            The MUSE image or cube, of which only the header is read.
        **options
            ``margin`` and ``hst_window``, for `~astropy_imphot.make_template`.

        Returns
        -------
        `~astropy_imphot.HstTemplate`
            The template, the same object for the same grid and options.

        Raises
        ------
        UserError
            As `~astropy_imphot.make_template` does.

        Examples
        --------
        >>> from astropy_imphot import HstReference
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> hst = HstReference(field.hst)
        >>> hst.template(field.muse[0]) is hst.template(field.muse[0])
        True
        """
        return self._get(make_template, muse, options)

    def coarse_template(self, muse, **options):
        """
        Return a coarse template, for the search for the offset, the kept one if there is one.

        Parameters
        ----------
        muse : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
            The MUSE image or cube, of which only the header is read.
        **options
            ``margin``, for `~astropy_imphot.reference.regrid.coarse_template`.

        Returns
        -------
        `~astropy_imphot.HstTemplate`
            The template, of one sample per MUSE pixel, the same object for the same grid and margin.

        Raises
        ------
        UserError
            If an image cannot be read, or they do not overlap.

        Examples
        --------
        >>> from astropy_imphot import HstReference
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> HstReference(field.hst).coarse_template(field.muse[0], margin=12.0).grid_shape
        (176, 176)
        """
        return self._get(coarse_template, muse, options)

    def _get(self, make, muse, options):
        with naming(muse):
            grid = read_grid(muse)
            unit = str(muse_unit(grid))
        key = make.__name__, grid.shape, wcs_header(grid.wcs).tostring(), unit, *sorted(options.items())
        with self._lock:
            future = self._kept.get(key)
            is_new = future is None
            if is_new:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
            while len(self._kept) > self._n_kept:
                self._kept.popitem(last=False)
        if is_new:
            try:
                future.set_result(make(self.source, muse, **options))
            except BaseException as error:
                with self._lock:
                    self._kept.pop(key, None)
                future.set_exception(error)
        # Threads that need the same template wait for the one that makes it.
        return future.result()
