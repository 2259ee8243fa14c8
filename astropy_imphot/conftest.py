"""Examples write their files into a folder that is thrown away; what needs a missing package is skipped."""

import doctest
from importlib.util import find_spec

import pytest

# Packages that tests and examples use, and that the package itself runs without.
MISSING = [
    name
    for name in ("distributed", "galsim", "jinja2", "matplotlib", "mpdaf", "playwright", "speclite", "yaml")
    if find_spec(name) is None
]


def missing_package(error):
    """Return the name of the missing package that an error goes back to, or None."""
    while error is not None:
        if isinstance(error, doctest.UnexpectedException):
            error = error.exc_info[1]
        if isinstance(error, ModuleNotFoundError):
            name = (error.name or "").partition(".")[0]
            return name if name in MISSING else None
        error = error.__cause__ or error.__context__
    return None


def _run_or_skip():
    try:
        return (yield)
    except Exception as error:
        name = missing_package(error)
        if name is None:
            raise
        pytest.skip(f"{name} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Skip a test of which a fixture needs a package that is missing."""
    return (yield from _run_or_skip())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test or an example that needs a package that is missing."""
    return (yield from _run_or_skip())


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
