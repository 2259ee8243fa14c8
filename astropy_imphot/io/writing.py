"""Files and folders that are written whole or not at all."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from astropy_imphot.io.errors import FileError, UserError

__all__ = ["atomic_folder", "atomic_write", "refuse_existing"]


def refuse_existing(path, overwrite):
    """
    Raise a `FileError` if a file to be written exists and may not be replaced.

    Parameters
    ----------
    path : str or path
        The file to be written.
    overwrite : bool
        Whether it may be replaced.

    Raises
    ------
    FileError
        If it exists and ``overwrite`` is False.

    Examples
    --------
    >>> from astropy_imphot.io.writing import refuse_existing
    >>> refuse_existing("no_such_file.fits", overwrite=False)
    """
    if Path(path).exists() and not overwrite:
        raise FileError(f"{path} exists: use --overwrite (overwrite=True) to replace it.")


@contextmanager
def atomic_write(path, overwrite=False):
    """
    Yield a temporary name, which is renamed to ``path`` if no error is raised.

    Parameters
    ----------
    path : str or path
        The file to be written.
    overwrite : bool
        Replace an existing file (default: False).

    Yields
    ------
    `~pathlib.Path`
        A name in the same folder with the same suffix, to be written by the caller.

    Raises
    ------
    FileError
        If the file exists and ``overwrite`` is False, or it cannot be written.

    Examples
    --------
    >>> from astropy_imphot.io.writing import atomic_write
    >>> with atomic_write("notes.txt", overwrite=True) as temporary:
    ...     _ = temporary.write_text("whole or not at all")
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    if not path.parent.is_dir():
        raise FileError(f"{path} cannot be written: there is no folder {path.parent}.")
    temporary = path.with_name(f".partial-{path.name}")
    try:
        # A killed run may have left one.
        temporary.unlink(missing_ok=True)
        yield temporary
        temporary.replace(path)
    except UserError:
        # One of another file is an OSError as well.
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path):
    """
    Yield a temporary folder, which is renamed to ``path`` if no error is raised.

    Parameters
    ----------
    path : str or path
        The folder to be written; one of that name is replaced.

    Yields
    ------
    `~pathlib.Path`
        A new folder beside it, for the caller to fill.

    Raises
    ------
    FileError
        If it cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy_imphot.io.writing import atomic_folder
    >>> with atomic_folder("E1") as folder:
    ...     _ = (folder / "notes.txt").write_text("whole or not at all")
    >>> Path("E1", "notes.txt").read_text()
    'whole or not at all'
    """
    path = Path(path)
    # Two processes may write it at the same time, if one was taken for dead.
    temporary = path.with_name(f".partial-{path.name}-{uuid4().hex}")
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            old = temporary.with_name(temporary.name + "-old")
            path.replace(old)
            shutil.rmtree(old, ignore_errors=True)
        temporary.replace(path)
    except UserError:
        # One of another file is an OSError as well.
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
