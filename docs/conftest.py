"""The pages' examples start in a folder of their own, with the tutorial's files in it."""

import importlib.util
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parent

# Scripts have no examples, and to look for some would run the figures.
collect_ignore_glob = ["_build", "*.py"]


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    if "tutorial_data.py" in request.path.read_text():
        spec = importlib.util.spec_from_file_location("tutorial_data", DOCS / "tutorial_data.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.make_folder(folder)
    else:
        folder.mkdir()
        # What readers download lies beside the pages.
        for path in DOCS.glob("*.reg"):
            shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
