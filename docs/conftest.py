"""The examples of the pages write their files into a folder that is thrown away."""

import shutil
from pathlib import Path

import pytest

# Its name is that of the tests' one: it cannot be imported, and looked through for examples, beside it.
collect_ignore = ["conftest.py"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    # What readers download lies beside the pages.
    for path in Path(__file__).parent.glob("*.reg"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
