"""The output folder: which exposures are finished, and whether they were made with the same options."""

import importlib.metadata
import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

from astropy.table import QTable

from astropy_imphot.errors import UserError
from astropy_imphot.files import atomic_write

__all__ = ["Store", "fingerprint", "record", "write_record"]

SETTINGS = "fit_field.json"
EXPOSURES = "exposures"
RECORD = "record.json"
OUTPUTS = ("results.ecsv", "exposures.ecsv", "OFFSET_LIST.fits", "report.html")


def fingerprint(path):
    """
    Return what changes when a file does.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    list of int
        Its size and when it was changed last; empty if there is no such file.

    Examples
    --------
    >>> from astropy_imphot.field.store import fingerprint
    >>> fingerprint("no_such_file.fits")
    []
    """
    try:
        status = Path(path).stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


class Store:
    """
    The folder that the exposures of a field are written to.

    Parameters
    ----------
    outdir : str or path
        The folder; it is made if there is none.
    settings : dict
        All that the results depend on and that is the same for every exposure, as JSON holds it.
    restart : bool
        Remove the exposures that earlier runs have finished (default: False).

    Attributes
    ----------
    runs : dict of str to str
        When it was opened, with which versions of what.

    Raises
    ------
    UserError
        If the folder cannot be written, has files of another origin, or exposures that were made with other
        settings.

    Examples
    --------
    >>> from astropy_imphot.field.store import Store
    >>> store = Store("field", {"margin": 3.0}, restart=True)
    >>> store.is_finished("E1", ["E1.fits"])
    False
    >>> Store("field", {"margin": 5.0})
    Traceback (most recent call last):
        ...
    astropy_imphot.errors.UserError: field holds results with other settings (margin was 3.0, is 5.0): ...
    """

    def __init__(self, outdir, settings, *, restart=False):
        self.outdir = Path(outdir)
        self.settings = json.loads(json.dumps(settings))
        earlier = _read_json(self.outdir / SETTINGS)
        if earlier is None:
            self._refuse_foreign_files()
        elif not restart:
            self._refuse_other_settings(earlier["settings"])
        folder = self.outdir / EXPOSURES
        try:
            folder.mkdir(parents=True, exist_ok=True)
            finished = folder.glob(f"*/{RECORD}") if restart else ()
            for path in [*folder.glob(".partial-*"), *(path.parent for path in finished)]:
                shutil.rmtree(path)
        except OSError as error:
            raise UserError(f"{outdir} cannot be written: {error.strerror or error}.") from error
        earlier = {} if restart or earlier is None else earlier
        self.runs = earlier.get("runs", {}) | _this_run()
        with atomic_write(self.outdir / SETTINGS, overwrite=True) as temporary:
            temporary.write_text(json.dumps({"settings": self.settings, "runs": self.runs}, indent=1) + "\n")

    def _refuse_foreign_files(self):
        """Raise an error if what would be written over, or removed later, is not ours."""
        found = [self.outdir / name for name in OUTPUTS if (self.outdir / name).exists()]
        found += list((self.outdir / EXPOSURES).glob("[!.]*"))
        if found:
            raise UserError(
                f"{found[0]} is not from fit_field, of which there is no {SETTINGS} in {self.outdir}: give a "
                "new --outdir."
            )

    def _refuse_other_settings(self, known):
        told = [
            f"{key} was {known.get(key)}, is {self.settings.get(key)}"
            for key in sorted({*known, *self.settings})
            if known.get(key) != self.settings.get(key)
        ]
        if not told:
            return
        raise UserError(
            f"{self.outdir} holds results with other settings ({'; '.join(told)}): give another --outdir, "
            "or --restart (restart=True) to begin anew."
        )

    def folder(self, name):
        """Return the folder of an exposure."""
        return self.outdir / EXPOSURES / name

    def is_finished(self, name, files):
        """Tell whether an exposure is finished, and its files are as they were then."""
        known = _read_json(self.folder(name) / RECORD)
        return known is not None and known == record(files)

    def read(self, name):
        """Return what is stored of a finished exposure: its results, and the combination of them."""
        return tuple(QTable.read(self.folder(name) / f"{table}.ecsv") for table in ("results", "exposure"))


def record(files):
    """
    Return what files are like, for an exposure's folder to say what it was made of.

    Parameters
    ----------
    files : sequence of str
        The exposure's files.

    Returns
    -------
    dict of str to list
        Their fingerprints.

    Examples
    --------
    >>> from astropy_imphot.field.store import record
    >>> record(["no_such_file.fits"])
    {'no_such_file.fits': []}
    """
    return {str(path): fingerprint(path) for path in files}


def write_record(folder, known):
    """
    Write down in an exposure's folder what it was made of, which says that it is finished.

    Parameters
    ----------
    folder : path
        The folder.
    known : dict
        From `record`, before the files were read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy_imphot.field.store import record, write_record
    >>> write_record(Path("."), record([]))
    """
    with atomic_write(folder / RECORD, overwrite=True) as temporary:
        temporary.write_text(json.dumps(known, indent=1) + "\n")


def _this_run():
    now = datetime.now(UTC).isoformat(timespec="seconds")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "astropy")]
    return {now: ", ".join([f"Python {platform.python_version()}", *versions])}


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
