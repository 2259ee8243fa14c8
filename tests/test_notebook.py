"""The notebook of the documentation runs, without a main module that a file holds, as in a notebook."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.md"
CELL = re.compile(r"^```{code-cell} ipython3\n(?:---\n.*?\n---\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_cells_run(tmp_path):
    pytest.importorskip("galsim", reason="the notebook's field is drawn by GalSim")
    pytest.importorskip("matplotlib", reason="the notebook has a picture")
    cells = CELL.findall(NOTEBOOK.read_text(encoding="utf-8"))
    assert len(cells) > 8
    checks = "assert len(results) == 3 and all(fit.converged for fit in results)\nprint('done')\n"
    ran = subprocess.run(
        [sys.executable, "-"], input="\n".join([*cells, checks]), capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.stdout.endswith("done\n"), ran.stderr
