"""The layers of the package: imports go down, without cycles, and only commands print."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import astropy_imphot

PACKAGE = Path(astropy_imphot.__file__).parent

# From the top down: a subpackage may import what is below it, or part of itself.
LAYERS = [
    ["cli"],
    ["field"],
    ["report"],
    ["products"],
    ["fitting"],
    ["reference"],
    ["models", "masking", "simulation"],
    ["noise"],
    ["calibration"],
    ["results"],
    ["psf"],
    ["parameters"],
    ["io"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "_version.py", "conftest.py")
}


def imports_of(name):
    """The modules of the package that a module imports, wherever in it."""
    return {
        node.module.removeprefix("astropy_imphot.")
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("astropy_imphot.")
    } - {"_version"}


def test_every_module_is_in_a_layer():
    assert {name.split(".")[0] for name in MODULES} == set(LAYER)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    own = name.split(".")[0]
    for imported in imports_of(name):
        other = imported.split(".")[0]
        assert other == own or LAYER[other] > LAYER[own], f"{name} imports {imported}"


def test_there_are_no_cycles():
    # Raises CycleError, with the modules of the cycle.
    list(TopologicalSorter({name: imports_of(name) for name in MODULES}).static_order())


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("cli.")])
def test_only_commands_print(name):
    calls = [node for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if getattr(call.func, "id", "") == "print"]


@pytest.mark.parametrize("name", MODULES)
def test_one_function_gives_all_warnings(name):
    # Which is io.errors.warn: it has the class of the package, and the line of the caller.
    calls = [node for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)]
    given = [call for call in calls if ast.unparse(call.func).startswith("warnings.warn")]
    assert len(given) == (name == "io.errors")


def lines_of_code(path):
    """Number of lines without docstrings, comments and blank lines."""
    tree = ast.parse(path.read_text())
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = enumerate(path.read_text().splitlines(), start=1)
    return sum(bool(line.strip()) and line.lstrip()[0] != "#" and n not in docstrings for n, line in lines)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_idea(name):
    assert lines_of_code(MODULES[name]) <= 300


SLOW = (
    "galsim",
    "jinja2",
    "loky",
    "matplotlib",
    "photutils.segmentation",
    "regions",
    "reproject",
    "scipy.interpolate",
    "scipy.signal",
    "scipy.stats",
)


def test_importing_does_not_import_the_slow_ones():
    code = f"import sys, astropy_imphot; print([m for m in {SLOW} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in astropy_imphot.__all__ if name != "__version__"])
def test_public_objects_are_documented(name):
    thing = getattr(astropy_imphot, name)
    if callable(thing):
        assert len(thing.__doc__.splitlines()) > 5
        assert "Examples" in thing.__doc__


# What users of the classic package import.
INDEX = [
    "FitImageAndStarPhotometryMP",
    "FitImagePhotometryMP",
    "FitStarPhotometryMP",
    "FittedImagePhotometry",
    "FittedPhotometry",
    "FittedStarPhotometry",
    "FittedValue",
    "HstFilterInfo",
    "ImphotArgumentParser",
    "UserError",
    "WorkerError",
    "apply_corrections",
    "bandpass_image",
    "ds9regions",
    "extract_function_args",
    "fit_image_and_star_photometry",
    "fit_image_photometry",
    "fit_star_photometry",
    "image_grids_aligned",
    "regrid_hst_like_muse",
    "rescale_hst_like_muse",
    "ConvolvedTemplate2D",
    "MoffatStar2D",
]


@pytest.mark.parametrize("name", INDEX)
def test_index_is_importable(name):
    assert name in astropy_imphot.__all__
    assert getattr(astropy_imphot, name).__doc__
