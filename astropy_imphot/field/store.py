"""The output folder: which exposures are finished, and whether they were made with the same options."""

import hashlib
import importlib.metadata
import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

from astropy.table import QTable

from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.io.files import atomic_write

__all__ = ["Store", "fingerprint", "write_record"]

SETTINGS = "fit_field.json"
EXPOSURES = "exposures"
RECORD = "record.json"
TABLES = ("results", "exposure")
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
        The folder.
    settings : dict
        All that the results depend on and that is the same for every exposure, as JSON holds it.
    restart : bool
        Begin anew (default: False).

    Attributes
    ----------
    runs : dict of str to str
        When it was opened, with which versions of what.

    Raises
    ------
    UserError
        If the folder has files of another origin, or exposures that were made with other settings.

    Examples
    --------
    >>> from astropy_imphot.field.store import Store
    >>> store = Store("field", {"margin": 3.0})
    >>> store.open([])
    >>> store.is_finished("E1", store.record(["E1.fits"]))
    False
    """

    def __init__(self, outdir, settings, *, restart=False):
        self.outdir = Path(outdir).absolute()
        self.settings = json.loads(json.dumps(settings))
        self._restart = restart
        self._digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]
        earlier = _read_json(self.outdir / SETTINGS)
        if "settings" not in earlier:
            self._refuse_foreign_files()
        elif not restart:
            self._refuse_other_settings(earlier["settings"])
        self.runs = ({} if restart else earlier.get("runs", {})) | _this_run()

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
        made = [_read_json(path) for path in (self.outdir / EXPOSURES).glob(f"*/{RECORD}")]
        if all(one.get("settings") == self._digest for one in made):
            return
        told = [
            _difference(key, known.get(key), self.settings.get(key))
            for key in sorted({*known, *self.settings})
            if known.get(key) != self.settings.get(key)
        ]
        # Nothing is told of what an earlier run of these settings has left: it is fitted again.
        if not told:
            return
        raise UserError(
            f"{self.outdir} holds results with other settings ({'; '.join(told)}): give another --outdir, "
            "or --restart (restart=True) to begin anew."
        )

    def open(self, unfinished):
        """
        Make the folder ready to write into, without what is no longer true.

        Parameters
        ----------
        unfinished : sequence of str
            The exposures that are going to be fitted.

        Raises
        ------
        UserError
            If it cannot be written, or a folder of their names is not ours.
        """
        exposures = self.outdir / EXPOSURES
        try:
            exposures.mkdir(parents=True, exist_ok=True)
            ours = {path.parent for path in exposures.glob(f"*/{RECORD}")}
            for name in unfinished:
                if self.folder(name).exists() and self.folder(name) not in ours:
                    raise UserError(
                        f"{self.folder(name)} is not from fit_field: move it, or give a new --outdir."
                    )
            stale = ours if self._restart else ours & {self.folder(name) for name in unfinished}
            for path in [*exposures.glob(".partial-*"), *stale]:
                shutil.rmtree(path)
            for name in OUTPUTS if self._restart else ():
                (self.outdir / name).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{self.outdir} cannot be written: {error.strerror or error}.") from error
        with atomic_write(self.outdir / SETTINGS, overwrite=True) as temporary:
            temporary.write_text(json.dumps({"settings": self.settings, "runs": self.runs}, indent=1) + "\n")

    def contains(self, path):
        """Tell whether a file is where exposures are written, and would be removed with them."""
        return (self.outdir / EXPOSURES).resolve() in Path(path).resolve().parents

    def folder(self, name):
        """Return the folder of an exposure."""
        return self.outdir / EXPOSURES / name

    def record(self, files, curves=None):
        """
        Return what an exposure is made of, as it is now.

        Parameters
        ----------
        files : sequence of str
            Its files.
        curves : dict, optional
            Descriptions of the filters' curves that it needs. By default (None) it needs none.

        Returns
        -------
        dict
            As JSON holds it.
        """
        found = {str(path): fingerprint(path) for path in files}
        return {"settings": self._digest, "files": found, "curves": curves or {}}

    def is_finished(self, name, record):
        """Tell whether an exposure is finished, and made of what a record says."""
        folder = self.folder(name)
        return _read_json(folder / RECORD) == record and all(
            (folder / f"{one}.ecsv").exists() for one in TABLES
        )

    def read(self, name):
        """Return what is stored of a finished exposure: its results, and the combination of them."""
        return tuple(QTable.read(self.folder(name) / f"{one}.ecsv") for one in TABLES)


def write_record(folder, record):
    """
    Write down in an exposure's folder what it was made of, which says that it is finished.

    Parameters
    ----------
    folder : path
        The folder.
    record : dict
        From `Store.record`, before the files were read.

    Raises
    ------
    UserError
        If it cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astropy_imphot.field.store import write_record
    >>> write_record(Path("."), {"files": {}})
    """
    with atomic_write(folder / RECORD, overwrite=True) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def _difference(key, known, new):
    """Return in words how a setting differs; files are lists of their path and their fingerprint."""
    if isinstance(known, list) and isinstance(new, list) and known[:1] == new[:1] and new:
        return f"{key}: {new[0]} has changed since"
    old, now = (value[0] if isinstance(value, list) and len(value) == 3 else value for value in (known, new))
    return f"{key} was {old}, is {now}"


def _this_run():
    now = datetime.now(UTC).isoformat(timespec="seconds")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "astropy")]
    return {now: ", ".join([f"Python {platform.python_version()}", *versions])}


def _read_json(path):
    """Return what is in a file, or nothing if it is not there, or broken."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
