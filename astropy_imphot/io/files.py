"""Opening and writing of files: errors with the file's name, and complete files or none."""

import gzip
import mmap
import os
import re
import shutil
import warnings
import zlib
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from astropy.io import fits

from astropy_imphot.io.cards import foreign_keywords, is_about_cards, mended_hdus
from astropy_imphot.io.errors import FILE_NAME, FileError, UserError, warn
from astropy_imphot.io.mpdaf import is_mpdaf, mpdaf_hdus

__all__ = [
    "Source",
    "drop_pages",
    "naming",
    "opened",
    "short_name",
    "source_name",
]


READ_BYTES = 1 << 24

# Warnings of astropy about the length of a file, which is looked at here.
OF_LENGTH = re.compile("extra bytes after the last HDU|may have been truncated")

IMAGE_HDUS = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)


def source_name(source, default="the image"):
    """
    Return the name of an input for messages and tables.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, or mpdaf Image or Cube
        The input of a function.
    default : str
        The name of an input that has none.

    Returns
    -------
    str
        A path as it was given, the path of the file behind an HDUList or an mpdaf object, or ``default``.

    Examples
    --------
    >>> from astropy_imphot.io.files import source_name
    >>> source_name("exposures/E1.fits")
    'exposures/E1.fits'
    """
    if isinstance(source, (str, Path)):
        return str(source)
    if isinstance(source, Source):
        return source_name(source.given, default)
    if isinstance(source, fits.HDUList):
        return source.filename() or default
    if is_mpdaf(source):
        return source.filename or default
    return default


def short_name(source):
    """
    Return the name of an input for results.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, or mpdaf Image or Cube
        The input of a function.

    Returns
    -------
    str
        The stem of the file's name.

    Examples
    --------
    >>> from astropy_imphot.io.files import short_name
    >>> short_name("exposures/E1.fits")
    'E1'
    """
    name = Path(source_name(source, "MUSE image")).name
    return Path(name.removesuffix(".gz")).stem


@contextmanager
def naming(source):
    """
    Put the file's name before the messages of errors and warnings.

    Messages are raised without it, and are about *the image*, *the cube* or *the header*. Of nested
    contexts, the innermost that has a file counts.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, or mpdaf Image or Cube
        What is read or used; nothing is changed if it has no file.

    Raises
    ------
    UserError
        Any that is raised within, with the name. A `FileError` has it from the start.

    Examples
    --------
    >>> from astropy_imphot import UserError
    >>> from astropy_imphot.io.files import naming
    >>> with naming("E1.fits"):
    ...     raise UserError("every pixel is masked.")
    Traceback (most recent call last):
        ...
    astropy_imphot.io.errors.UserError: E1.fits: every pixel is masked.
    """
    name = source_name(source, "")
    if not name:
        yield
        return
    token = FILE_NAME.set(name)
    try:
        yield
    except UserError as error:
        if not error.names_file:
            # The same error, so that its class and traceback stay.
            error.args = (f"{name}: {error}",)
            error.names_file = True
        raise
    finally:
        FILE_NAME.reset(token)


def drop_pages(array):
    """
    Release the memory of a mapped file.

    Parameters
    ----------
    array : array
        An array that is mapped from a file and was not changed: it is read again when it is used.
        Nothing is done if it is not mapped, or the operating system does not support it.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.files import drop_pages
    >>> fits.writeto("ones.fits", np.ones((5, 7)))
    >>> with fits.open("ones.fits") as hdus:
    ...     total = hdus[0].data.sum()
    ...     drop_pages(hdus[0].data)
    ...     bool(hdus[0].data.sum() == total)
    True
    """
    owner = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


class Source:
    """
    An input that is opened when it is first read, and whose headers are read, only once.

    A context manager, which closes the file at its end if it was opened. All functions that read images take
    it in place of the input.

    Parameters
    ----------
    given : object
        The input of a public function: a path, HDU, HDUList, or an object of mpdaf; or an object that is
        already in memory, such as `~astropy.nddata.NDData`.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.files import Source, opened
    >>> fits.PrimaryHDU(np.ones((3, 4))).writeto("image.fits", overwrite=True)
    >>> with Source("image.fits") as source:
    ...     with opened(source) as once, opened(source) as twice:
    ...         once is twice
    True
    """

    def __init__(self, given):
        self.given = given
        self._context = ExitStack()
        self._results = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self._context.__exit__(*error)

    @classmethod
    def of(cls, given):
        """
        Return an input that is opened once, or the input itself if it has no HDUs.

        Parameters
        ----------
        given : object
            As for `Source`.

        Returns
        -------
        context manager
            A new `Source`, or one that gives ``given`` as it is.

        Examples
        --------
        >>> from astropy_imphot.io.files import Source
        >>> with Source.of([1, 2]) as source:
        ...     source
        [1, 2]
        """
        if isinstance(given, Source):
            return given.shared()
        has_hdus = isinstance(given, (str, Path, fits.HDUList, *IMAGE_HDUS)) or is_mpdaf(given)
        return cls(given) if has_hdus else nullcontext(given)

    def shared(self):
        """
        Share the open file.

        Returns
        -------
        context manager
            It gives this source, which stays open.

        Examples
        --------
        See `Source`.
        """
        return nullcontext(self)

    def borrowed(self):
        """
        Lend the HDUs.

        Returns
        -------
        context manager
            It gives the `~astropy.io.fits.HDUList`, and leaves the file open.

        Examples
        --------
        See `Source`.
        """
        return nullcontext(self.hdus)

    @cached_property
    def hdus(self):
        """The `~astropy.io.fits.HDUList`, opened now if it was not before."""
        return self._context.enter_context(_hdus(self.given))

    def once(self, read, hdus):
        """
        Return what a function reads from the HDUs.

        Parameters
        ----------
        read : callable
            A function of the HDUs. It is called the first time only: headers of drizzled images have
            thousands of cards, which take a second to parse.
        hdus : `~astropy.io.fits.HDUList`
            The HDUs, opened.

        Returns
        -------
        object
            Its result, the same object each time.

        Examples
        --------
        >>> from astropy.io import fits
        >>> from astropy_imphot.io.files import Source
        >>> with Source(fits.PrimaryHDU()) as source:
        ...     source.once(len, source.hdus), source.once(len, [])
        (1, 1)
        """
        if read not in self._results:
            self._results[read] = read(hdus)
        return self._results[read]


@contextmanager
def opened(source):
    """
    Open an input as an HDUList, with its name in errors and warnings, as `naming` puts it there.

    Parameters
    ----------
    source : str, path, HDU, HDUList, or mpdaf Image or Cube
        The input of a public function.

    Yields
    ------
    `~astropy.io.fits.HDUList`
        Closed afterwards where it was opened here.

    Raises
    ------
    FileError
        If there is no such file, or it is not a whole FITS file.
    UserError
        If ``source`` is of another class.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.files import opened
    >>> with opened(fits.PrimaryHDU()) as hdus:
    ...     len(hdus)
    1
    """
    with naming(source), _hdus(source) as hdus:
        try:
            yield hdus
        except UserError:
            # Also a ValueError, but not of the file's reader.
            raise
        except (EOFError, zlib.error) as error:
            raise FileError(_truncated(source)) from error
        except (OSError, TypeError, ValueError) as error:
            if any(word in str(error) for word in ("mmap length", "buffer is too small", "truncated")):
                raise FileError(_truncated(source)) from error
            raise


def _hdus(source):
    """Return a context manager that gives an input's HDUs."""
    if isinstance(source, Source):
        return source.borrowed()
    if isinstance(source, fits.HDUList):
        return nullcontext(mended_hdus(source))
    if isinstance(source, (str, Path)):
        return _open_file(source)
    if isinstance(source, IMAGE_HDUS):
        return nullcontext(mended_hdus([source]))
    if is_mpdaf(source):
        return nullcontext(mended_hdus(mpdaf_hdus(source)))
    raise UserError(
        "an image can be given as a path, HDU, HDUList, CCDData or mpdaf Image, not as a "
        f"{type(source).__name__}."
    )


@contextmanager
def _open_file(path):
    if not Path(path).exists():
        raise FileError(f"{path} does not exist: check the name.")
    with ExitStack() as stack:
        try:
            plain = stack.enter_context(_decompressed(path)) if str(path).endswith(".gz") else path
            # Not made errors, which would leave the file open.
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                hdus = stack.enter_context(fits.open(plain))
                # A file that ends early is found here, not in the middle of a long run.
                last = hdus[len(hdus) - 1]
                place = last.fileinfo()
        except (EOFError, zlib.error) as error:
            raise FileError(_truncated(path)) from error
        except (OSError, AttributeError, KeyError, TypeError, ValueError, fits.VerifyError) as error:
            raise FileError(
                f"{path} is not a FITS file that can be read: check or download it again."
            ) from error
        texts = [str(warning.message) for warning in caught]
        short = any("truncated" in text for text in texts)
        # Blanks after the data may be missing.
        if place["file"].size < place["datLoc"] + last.size if short else _breaks_off(place):
            raise FileError(_truncated(path))
        for warning, text in zip(caught, texts, strict=True):
            if not (OF_LENGTH.search(text) or is_about_cards(text)):
                warn(warning.message)
        yield mended_hdus(hdus, _foreign_keywords(hdus, path))


@contextmanager
def _decompressed(path):
    """Yield the name of a file with the decompressed bytes, which can be mapped into memory."""
    with NamedTemporaryFile(suffix=".fits", delete=False) as target:
        try:
            with gzip.open(path) as stream:
                shutil.copyfileobj(stream, target, READ_BYTES)
            target.close()
            yield target.name
        finally:
            # Some systems do not remove files in use, and arrays may still be mapped from it.
            target.close()
            with suppress(OSError):
                os.unlink(target.name)


def _foreign_keywords(hdus, path):
    """Return the keywords of cards with characters that are not ASCII."""
    names = []
    for hdu in hdus:
        place = hdu.fileinfo()
        place["file"].seek(place["hdrLoc"])
        try:
            names += foreign_keywords(place["file"].read(place["datLoc"] - place["hdrLoc"]))
        except ValueError as error:
            raise FileError(
                f"{path} has a header that does not end in END and blanks up to a multiple of 2880 bytes: "
                "write or download it again."
            ) from error
    return names


def _breaks_off(place):
    """Return whether the last HDU is followed by an incomplete header of another extension."""
    place["file"].seek(place["datLoc"] + place["datSpan"])
    return place["file"].read(8) == b"XTENSION"


def _truncated(source):
    return f"{source_name(source)} ends before its data do: copy or download the file again."
