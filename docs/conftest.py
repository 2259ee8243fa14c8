"""The pages' examples start in a folder of their own, with the tutorial's files in it."""

import shutil
from pathlib import Path

import pytest

from astropy_imphot.conftest import pytest_runtest_call, pytest_runtest_setup  # noqa: F401

DOCS = Path(__file__).parent

# Scripts have no examples, and to look for some would run the figures.
collect_ignore_glob = ["_build", "*.py"]


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    if "tutorial_data.py" in request.path.read_text():
        pytest.importorskip("mpdaf", reason="mpdaf is not installed")
        monkeypatch.syspath_prepend(DOCS)
        from tutorial_data import make_folder

        make_folder(folder)
    else:
        folder.mkdir()
        # What readers download lies beside the pages.
        for path in DOCS.glob("*.reg"):
            shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
