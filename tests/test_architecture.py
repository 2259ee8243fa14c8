"""The map of the package: imports go down only, and only commands print."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import astropy_imphot

PACKAGE = Path(astropy_imphot.__file__).parent

# From the top to the ground; a module may import what is on a lower floor.
FLOORS = [
    ["cli.fit_field", "cli.fit_photometry", "cli.make_wideband_image", "cli.regrid_hst_to_muse"],
    ["cli.fit_options"],
    ["cli.arguments"],
    ["field.run"],
    ["field.settings", "field.together"],
    ["field.exposure", "field.compare"],
    ["field.combine", "field.plan", "field.store", "report.page"],
    [
        "field.bands",
        "field.joint",
        "field.pipeline_files",
        "report.figures",
        "report.pictures",
        "report.sections",
    ],
    ["report.cells", "report.markup"],
    ["batch", "correct", "plotting", "saving", "tables"],
    ["fit_star"],
    ["fit_image"],
    ["solve", "verdict"],
    ["models", "changed", "template_noise", "search", "reference"],
    ["convolution", "regrid", "wideband", "simulate", "fitting", "results_star"],
    ["simulate_cubes"],
    ["template", "offsets", "drawing"],
    ["rescale", "resample", "results", "epsf"],
    ["covariance"],
    ["filters", "hst_psf", "noise", "spectra"],
    ["io", "masks"],
    ["curves", "headers", "ds9regions", "otf", "radial"],
    ["files", "flags"],
    ["errors", "places", "star_model", "values"],
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "_version.py", "conftest.py")
}


def test_every_module_has_a_floor():
    assert set(MODULES) == set(FLOOR)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down(name):
    tree = ast.parse(MODULES[name].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("astropy_imphot."):
            imported = node.module.removeprefix("astropy_imphot.")
            if imported != "_version":
                assert FLOOR[imported] > FLOOR[name], f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("cli.")])
def test_only_commands_print(name):
    calls = [node for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if getattr(call.func, "id", "") == "print"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_idea(name):
    assert len(MODULES[name].read_text().splitlines()) <= 420


SLOW = (
    "galsim",
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
