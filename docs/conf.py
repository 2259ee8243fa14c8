"""Configuration of the documentation."""

import doctest
import os
import shutil
import sys
from importlib.metadata import version as package_version
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403

DOCS = Path(__file__).resolve().parent
# Figures draw what benchmarks compute.
sys.path[:0] = [str(DOCS), str(DOCS.parent / "benchmarks")]

project = "astropy_imphot"
author = "The astropy_imphot developers"
copyright = f"2026, {author}"  # noqa: A001
release = package_version("astropy-imphot")
version = release
exclude_patterns.append("_build")  # noqa: F405

# Commands and plots are run while the pages are built, so that what they show is what they do.
extensions += ["sphinxcontrib.programoutput", "mathml", "myst_nb"]  # noqa: F405
# The notebook is run anew by each build, and has to run without an error.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_output_stderr = "remove"
# Widgets come from another server; there are none.
nb_ipywidgets_js = {}
html_math_renderer = "mathml"
plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
EXAMPLES = DOCS / "_build" / "examples"
plot_working_directory = str(EXAMPLES / "plots")
REPORTS = {
    "tutorial_report.html": EXAMPLES / "tutorial" / "field" / "report.html",
    "field_report.html": EXAMPLES / "example" / "out" / "report.html",
}
# The whole name of a version between two tags is longer than the window of a phone is wide.
html_title = f"{project} {release.partition('.dev')[0]}"
# All pages are in the sidebar; there are too many for the line at the top.
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_sidebars = {"**": ["all_pages"]}
# Outputs of commands and pictures need the room of a second sidebar; long pages begin with their contents.
html_theme_options = {
    **globals().get("html_theme_options", {}),
    "navbar_center": [],
    "secondary_sidebar_items": [],
}
html_context = {**globals().get("html_context", {}), "default_mode": "auto"}
automodsumm_properties_are_attributes = False

# A build must not depend on other projects' servers: what is theirs is linked only where READTHEDOCS is set.
OTHERS = {
    "python": "https://docs.python.org/3/",
    "astropy": "https://docs.astropy.org/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "photutils": "https://photutils.readthedocs.io/en/stable/",
    "regions": "https://astropy-regions.readthedocs.io/en/stable/",
    "reproject": "https://reproject.readthedocs.io/en/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
}
LINKED = OTHERS if "READTHEDOCS" in os.environ else {}
intersphinx_mapping = {name: (url, None) for name, url in LINKED.items()}
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(astropy|numpy|scipy|matplotlib|regions|photutils|collections|concurrent|tqdm|argparse|sys|pathlib|enum|galsim)\b(?!_).*",
    ),
    # What only the package itself handles has no page. Nor has the rest of modules of which the package
    # exports a part: of objects under two names, the links from the source to the pages would be wrong.
    (
        r"py:.*",
        r"astropy_imphot\."
        r"(field\.store|fitting\.(background|batch\.Batch|columns|equations|solve|state|statistics)"
        r"|io\.(files\.Source|grid|representation)"
        r"|models\.(convolver|positions|point_source|convolved_template\.TemplateModel)|psf\.(mean_profile|radial|spectra)"
        r"|reference\.(regrid\.coarse_template|point_sources|removal)|report\.pictures|results\.values)\b.*",
    ),
]

# What has parameters or a result says what they are, and shows it in an example.
numpydoc_validation_checks = {
    *("EX01", "GL06", "GL07", "GL08"),
    *("PR01", "PR02", "PR03", "PR04", "PR07"),
    *("RT01", "RT02", "RT03", "YD01"),
}
numpydoc_validation_overrides = {
    # One line is enough for an attribute; what has parameters or a result has to have more.
    "EX01": [r"\A.*\Z"],
    # What only the package makes is described by its attributes, not by its constructor.
    # The options of fits are described once.
    "PR01": [r"\A(?![\s\S]*\nParameters\n)[\s\S]*\nAttributes\n", r"\n *\*\*options\n"],
    # Parameters of a model are attributes of the class, which the constructor takes as **kwargs.
    "PR02": [r"For `~astropy\.modeling\.Fittable2DModel`", r"\n *\*\*options\n"],
    # The signature has the options in the order of their dataclass.
    "PR03": [r"\n *fix_scale, fix_bg, "],
    # Such parameters are described where the reference leads.
    "PR04": [r"\n *\w+(, \w+)*\n +As for "],
}
# Of astropy; and methods of a shape, which are described in the base class.
numpydoc_validation_exclude = {r"\.param_names$", r"\.Moffat\."}

# pytest-doctestplus's; Sphinx need only not stumble over it.
doctest.register_optionflag("IGNORE_WARNINGS")


def make_examples(app):
    """Make the folders in which the pages' commands and plots run: one for each page, with real data."""
    from tutorial_data import make_folder

    app.env.programoutput_cache.clear()
    shutil.rmtree(EXAMPLES, ignore_errors=True)
    pages = ("plots", "fit_photometry", "make_wideband_image", "regrid_hst_to_muse", "fit_field")
    for page in pages:
        make_folder(EXAMPLES / page)
    # The readers of these pages make their own.
    for name in ("tutorial_data.py", "field_data.py"):
        shutil.copy(DOCS / name, EXAMPLES)


def copy_reports(app, error):
    """Put the reports that pages link to beside them, without the names of this machine's folders."""
    for name, report in REPORTS.items():
        if report.exists() and not error:
            text = report.read_text(encoding="utf-8").replace(f"{report.parent.parent}/", "")
            Path(app.outdir, name).write_text(text, encoding="utf-8")


def setup(app):
    """Connect what this configuration adds to a build; programoutput has made its cache before."""
    app.connect("builder-inited", make_examples, priority=900)
    app.connect("build-finished", copy_reports)
