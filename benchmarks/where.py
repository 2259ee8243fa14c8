"""
The time of the steps of a fit, from a profile of `fit_image_photometry` by pyinstrument.

    python benchmarks/where.py
"""

import argparse
import os

# Read when numpy is imported.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

from astropy.table import Table
from inputs import field
from machine import describe
from pyinstrument import Profiler

from astropy_imphot import fit_image_photometry

# The steps, in the order of the data: functions, and functions called by them that are separate steps.
STEPS = {
    "search for the offset": (("coarser_image", "coarse_template", "find_offset"), ()),
    "template: noise of the sky": (("sky_variance",), ()),
    "template: low-pass filter": (("lowpassed",), ()),
    "template: interpolation": (("interpolate",), ("coarse_template",)),
    "start of the fit, with tables and spectra": (("_linear_start",), ()),
    "fit: the model and its derivatives": (("evaluate", "fit_deriv"), ("_linear_start",)),
    "fit: astropy's fitter and scipy's optimizer": (("fit_pixels",), ("evaluate", "fit_deriv")),
    "objects that changed": (("_segments", "_compare_objects"), ()),
    "errors": (("statistics", "excess_on_objects"), ("untried_values",)),
    "what was not fitted, and flags": (("untried_values", "image_flags"), ()),
}


def main():
    """Profile, and print the shares of the steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=20, help="how many to profile (default: 20)")
    parser.add_argument("--seed", type=int, default=20261122, help="of the field")
    options = parser.parse_args()
    one = field(60.0, options.seed)
    # Not timed: templates and tables that are computed once and kept.
    fit_image_photometry(one.hst, one.muse[0], fix_beta=2.5)
    with Profiler(interval=0.001) as profiler:
        for _ in range(options.fits):
            fit_image_photometry(one.hst, one.muse[0], fix_beta=2.5)
    root = profiler.last_session.root_frame()
    seconds = {step: spent(root, *names) / options.fits for step, names in STEPS.items()}
    total = root.time / options.fits
    seconds["all else"] = total - sum(seconds.values())
    rows = [
        {"step": step, "ms": f"{1e3 * own:.0f}", "%": f"{100 * own / total:.0f}"}
        for step, own in seconds.items()
    ]
    print(f"{options.fits} fits of 300 x 300 pixels from arrays, {1e3 * total:.0f} ms each")
    print(f"commit {describe()['commit']}, {describe()['machine']['cpu']}, seed {options.seed}", end="\n\n")
    print("\n".join(Table(rows).pformat(max_lines=-1, align=["<", ">", ">"])))


def spent(frame, names, apart=()):
    """Return the seconds in functions of these names, less those in others within them."""
    if is_one_of(frame, apart):
        return 0.0
    if is_one_of(frame, names):
        return frame.time - sum(spent(child, apart) for child in frame.children)
    return sum(spent(child, names, apart) for child in frame.children)


def is_one_of(frame, names):
    """Return whether a frame is that of a function of the package with one of these names."""
    return "astropy_imphot" in (frame.file_path or "") and frame.function in names


if __name__ == "__main__":
    main()
