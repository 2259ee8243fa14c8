"""Configuration of the documentation."""

from importlib.metadata import version as package_version

from sphinx_astropy.conf.v2 import *  # noqa: F403

project = "astropy_imphot"
author = "The astropy_imphot developers"
copyright = f"2026, {author}"  # noqa: A001
release = package_version("astropy-imphot")
version = release
exclude_patterns.append("_build")  # noqa: F405

# Commands and plots are run while the pages are built, so that what they show is what they do.
extensions.append("sphinxcontrib.programoutput")  # noqa: F405
plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
# Of a version between releases, the long name would cover the menu.
html_title = f"{project} {release.split('.dev')[0]}"

# A build must not depend on other projects' servers: what is theirs is left unlinked.
intersphinx_mapping = {}
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(astropy|numpy|scipy|matplotlib|regions|photutils|concurrent|tqdm|argparse|sys|pathlib|enum|galsim)\b(?!_).*",
    ),
    # Modules behind the public names have no pages yet.
    (r"py:.*", r"astropy_imphot\.(\w+\.)+\w+"),
]
