"""Configuration of the documentation."""

from importlib.metadata import version as package_version

from sphinx_astropy.conf.v2 import *  # noqa: F403

project = "astropy_imphot"
author = "The astropy_imphot developers"
copyright = f"2026, {author}"  # noqa: A001
release = package_version("astropy-imphot")
version = release
exclude_patterns.append("_build")  # noqa: F405
html_title = f"{project} {release}"
