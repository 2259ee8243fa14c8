"""What the files beside the package say of each other: versions, environments, and what is skipped."""

import configparser
import doctest
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from astropy_imphot import UserError, conftest

TOP = Path(__file__).parents[1]


def ini(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / name)
    return parser


def requirements():
    """(name, oldest version) of each requirement of the package and of its extras, but for the pages'."""
    # An old one does not start the system's new browser.
    without = ["playwright"]
    config = ini("setup.cfg")
    extras = {name: lines for name, lines in config["options.extras_require"].items() if name != "docs"}
    lines = "\n".join([config["options"]["install_requires"], *extras.values()]).splitlines()
    found = {re.match(r"([\w.-]+)>=([\d.]+)", line) for line in lines} - {None}
    return sorted({one.groups() for one in found if one[1] not in without})


@pytest.mark.parametrize(("name", "oldest"), requirements())
def test_the_oldest_version_is_tested(name, oldest):
    assert f"oldestdeps: {name}=={oldest}.*" in ini("tox.ini")["testenv"]["deps"]


def matrix():
    """The jobs of the workflow of the tests."""
    yaml = pytest.importorskip("yaml", reason="yaml is not installed")
    workflow = yaml.safe_load((TOP / ".github" / "workflows" / "tests.yml").read_text())
    return workflow["jobs"]["tests"]["strategy"]["matrix"]["include"]


def expanded(envlist):
    """Tox's environments, the braces written out."""
    names = envlist.split()
    while any("{" in name for name in names):
        found = [(name, re.search(r"\{([^{}]*)\}", name)) for name in names]
        names = [
            name if brace is None else name[: brace.start()] + choice + name[brace.end() :]
            for name, brace in found
            for choice in (brace[1].split(",") if brace else [""])
        ]
    return set(names)


def test_workflows_run_environments_that_there_are():
    config = ini("tox.ini")
    known = expanded(config["tox"]["envlist"])
    assert {job["toxenv"] for job in matrix()} <= known
    for job in matrix():
        python = re.match(r"py3(\d+)-", job["toxenv"])
        assert python is None or job["python"] == f"3.{python[1]}"


def test_each_python_of_the_classifiers_is_tested():
    config = ini("setup.cfg")["metadata"]
    stated = set(re.findall(r"Python :: (3\.\d+)", config["classifiers"]))
    tested = {job["python"] for job in matrix() if not job.get("experimental")}
    assert stated == tested
    assert min(stated, key=lambda one: int(one[2:])) == ini("setup.cfg")["options"]["python_requires"][2:]


@pytest.mark.parametrize(
    "path",
    [
        ".github/dependabot.yml",
        ".github/workflows/tests.yml",
        ".github/workflows/docs.yml",
        ".github/workflows/release.yml",
        ".pre-commit-config.yaml",
        ".readthedocs.yaml",
        "CITATION.cff",
    ],
)
def test_yaml_is_read(path):
    yaml = pytest.importorskip("yaml", reason="yaml is not installed")
    assert isinstance(yaml.safe_load((TOP / path).read_text()), dict)


def error_of(action, *args):
    with pytest.raises((ImportError, UserError, ZeroDivisionError)) as caught:
        action(*args)
    return caught.value


def draw_without():
    try:
        import_module("galsim")
    except ImportError as error:
        raise UserError("fields need galsim: install it.") from error


@pytest.fixture
def _no_galsim(monkeypatch):
    monkeypatch.setattr(conftest, "MISSING", ["galsim"])
    monkeypatch.setitem(sys.modules, "galsim", None)


@pytest.mark.usefixtures("_no_galsim")
def test_what_needs_a_missing_package_is_skipped():
    direct = error_of(import_module, "galsim.des")
    example = doctest.UnexpectedException(None, None, (type(direct), direct, None))
    for error in (direct, error_of(draw_without), example):
        assert conftest.missing_package(error) == "galsim"


@pytest.mark.usefixtures("_no_galsim")
def test_other_errors_are_failures():
    for error in (error_of(import_module, "astropy_imphot.no_such_module"), error_of(divmod, 1, 0)):
        assert conftest.missing_package(error) is None
