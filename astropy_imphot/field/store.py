"""The output folder: its finished exposures, and the settings of their results."""

import hashlib
import importlib.metadata
import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path

from astropy.table import QTable

from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.io.writing import atomic_write

__all__ = ["Store", "fingerprint", "write_record"]

SETTINGS = "fit_field.json"
EXPOSURES = "exposures"
RECORD = "record.json"
TABLES = ("results.ecsv", "exposure.ecsv")
OUTPUTS = ("results.ecsv", "exposures.ecsv", "OFFSET_LIST.fits", "report.html")


def fingerprint(path):
    """
    Return the size of a file and the time of its last change.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    list of int
        The size in bytes and the time in nanoseconds; empty if there is no such file.

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
    The output folder of a field.

    Parameters
    ----------
    outdir : str or path
        The folder.
    settings : dict
        All settings on which the results of all exposures depend, for a JSON file.
    restart : bool
        Remove the results of earlier runs (default: False).

    Attributes
    ----------
    runs : dict of str to str
        The software versions of each run, by its time.

    Raises
    ------
    UserError
        If the folder has files that are not from `fit_field`, or results with other settings.

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
        """Raise an error if files that would be replaced or removed are not from `fit_field`."""
        found = [self.outdir / name for name in OUTPUTS if (self.outdir / name).exists()]
        found += list((self.outdir / EXPOSURES).glob("[!.]*"))
        if found:
            raise UserError(
                f"{found[0]} is not from fit_field, for {self.outdir} has no {SETTINGS}: give a new --outdir."
            )

    def _refuse_other_settings(self, known):
        made = [_read_json(path) for path in (self.outdir / EXPOSURES).glob(f"*/{RECORD}")]
        if all(one.get("settings") == self._digest for one in made):
            return
        differences = [
            _difference(key, known.get(key), self.settings.get(key))
            for key in sorted({*known, *self.settings})
            if known.get(key) != self.settings.get(key)
        ]
        # Exposures that an earlier run with these settings has left unfinished are fitted again.
        if not differences:
            return
        raise UserError(
            f"{self.outdir} holds results with other settings ({'; '.join(differences)}): give another "
            "--outdir, or --restart (restart=True) to remove them."
        )

    def open(self, unfinished):
        """
        Prepare the folder for writing, and remove what is out of date.

        Parameters
        ----------
        unfinished : sequence of str
            The exposures that are going to be fitted.

        Raises
        ------
        UserError
            If it cannot be written, or a folder of their names is not from `fit_field`.
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

    def refuse_inputs(self, paths):
        """Raise a `UserError` if a file is in the folder of the exposures, and would be removed with them."""
        ours = (self.outdir / EXPOSURES).resolve()
        for path in paths:
            if ours in Path(path).resolve().parents:
                raise UserError(f"{path} is in the folder of the results: move it, or give another --outdir.")

    def folder(self, name):
        """Return the folder of an exposure."""
        return self.outdir / EXPOSURES / name

    def record(self, files, curves=None):
        """
        Return the files, curves and settings of an exposure as they are now.

        Parameters
        ----------
        files : sequence of str
            Its files.
        curves : dict, optional
            Descriptions of the filters' curves. By default (None) it needs none.

        Returns
        -------
        dict
            For a JSON file.
        """
        found = {str(path): fingerprint(path) for path in files}
        return {"settings": self._digest, "files": found, "curves": curves or {}}

    def is_finished(self, name, record, files=TABLES):
        """Return whether an exposure is finished, with its files, and has this record."""
        folder = self.folder(name)
        return _read_json(folder / RECORD) == record and all((folder / one).exists() for one in files)

    def read(self, name, files=TABLES):
        """Return the tables of a finished exposure: by default its results, and their combination."""
        return tuple(QTable.read(self.folder(name) / one) for one in files)


def write_record(folder, record):
    """
    Write the record of an exposure into its folder, which marks it as finished.

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
    """Return the content of a file, empty if it is missing or broken."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
