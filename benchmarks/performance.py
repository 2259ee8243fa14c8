"""
The time and memory that the package needs, relative to numpy and scipy.

A figure is a ratio of times that are measured in turns in the same run, or the peak memory of a new
interpreter, so that figures of different machines can be compared. Times are medians.

    python benchmarks/performance.py --json new.json
    python benchmarks/performance.py --compare old.json new.json
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

# Read when numpy is imported, here and in child processes.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
from astropy.io import fits
from astropy.modeling.fitting import TRFLSQFitter
from astropy.table import Table
from inputs import (
    CUBE_SHAPE,
    WIDE_CUBE_SHAPE,
    field,
    field_and_template,
    write_cube,
    write_exposures,
    write_field,
    write_mosaic,
)
from machine import alternate, describe, peak_memory, run_python
from scipy import fft

from astropy_imphot import (
    ConvolvedTemplate2D,
    FilterCurve,
    FitImagePhotometryMP,
    bandpass_image,
    bandpass_images,
    fit_image_photometry,
)

# A single pair of transforms is too short for a timer.
PAIRS = 30

EXPOSURES = 32

SIZES = (30.0, 60.0, 120.0, 240.0)

# About the bands of ACS, within MUSE's range.
CURVES = {
    "F775W": ([6800.0, 7100.0, 8400.0, 8700.0], [0.0, 1.0, 0.9, 0.0]),
    "F606W": ([4760.0, 5000.0, 6900.0, 7200.0], [0.0, 1.0, 0.9, 0.0]),
    "F814W": ([6900.0, 7200.0, 8900.0, 9300.0], [0.0, 1.0, 0.6, 0.0]),
}


def main():
    """Measure, print and store, or compare stored measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure (default: all): {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each time (default: 5)")
    parser.add_argument("--seed", type=int, default=20261122, help="of all random numbers")
    parser.add_argument(
        "--tmp", default=tempfile.gettempdir(), help="where files of up to 3 GB are written for the time"
    )
    parser.add_argument("--json", metavar="FILE", help="store all that was measured")
    parser.add_argument("--compare", nargs=2, metavar=("OLD", "NEW"), help="print two stored files and stop")
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}: choose from {', '.join(MEASUREMENTS)}.")
    if options.compare:
        old, new = (json.loads(Path(path).read_text()) for path in options.compare)
        print("\n".join(comparison(old, new)))
        return
    results = describe() | {"seed": options.seed, "repeats": options.repeats, "figures": []}
    for name in options.names or MEASUREMENTS:
        results["figures"] += MEASUREMENTS[name](options)
    print("\n".join(report(results)))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


def figure(name, value, unit, limit=None, *, least=False, reference="", seconds=None):
    """Return a measurement and its upper (or lower) limit as a row."""
    holds = None if limit is None else bool(value >= limit if least else value <= limit)
    return {
        "name": name,
        "value": float(value),
        "unit": unit,
        "limit": limit,
        "least": least,
        "holds": holds,
        "reference": reference,
        "seconds": seconds or {},
    }


def medians(seconds):
    """Return the median of each list."""
    return {name: float(np.median(own)) for name, own in seconds.items()}


def measure_fit(options):
    """Time the fit of 300 x 300 pixels, over a pair of transforms of the padded size."""
    muse, template = field_and_template(60.0, options.seed)
    hst = field(60.0, options.seed).hst
    y, x = (axis.ravel().astype(float) for axis in np.indices(muse.shape))
    values, weights = muse.data.ravel().astype(float), 1 / np.sqrt(muse.uncertainty.array.ravel())
    padded = np.random.default_rng(options.seed).normal(size=template.grid_shape)

    def pairs():
        for _ in range(PAIRS):
            fft.irfft2(fft.rfft2(padded), s=padded.shape)

    def fit(fixed):
        model = ConvolvedTemplate2D(template, fwhm=0.7, beta=2.5, fixed={"beta": fixed})
        TRFLSQFitter()(model, x, y, values, weights=weights)

    fixed = {"fix_beta": 2.5}
    calls = {
        "pairs": pairs,
        "fitter, beta fixed": lambda: fit(True),
        "fitter, beta free": lambda: fit(False),
        "fit_image_photometry, template ready, beta fixed": lambda: fit_image_photometry(
            template, muse, **fixed
        ),
        "fit_image_photometry, template ready": lambda: fit_image_photometry(template, muse),
        "fit_image_photometry, from arrays, beta fixed": lambda: fit_image_photometry(hst, muse, **fixed),
        "fit_image_photometry, from arrays": lambda: fit_image_photometry(hst, muse),
    }
    limits = {
        "fitter, beta fixed": 60,
        "fitter, beta free": 80,
        "fit_image_photometry, from arrays, beta fixed": 200,
    }
    seconds = alternate(calls, options.repeats)
    median = medians(seconds)
    pair = median["pairs"] / PAIRS
    height, width = template.grid_shape
    return [
        figure(
            name,
            median[name] / pair,
            "pairs",
            limits.get(name),
            reference=f"rfft2 + irfft2 of {height} x {width}: {1e3 * pair:.2f} ms",
            seconds={"reference": seconds["pairs"], "measured": seconds[name]},
        )
        for name in calls
        if name != "pairs"
    ]


def measure_size(options):
    """Time fits of fields of several sizes, over N log N."""
    cost = {}
    calls = {size: _fit_of_size(size, options.seed) for size in SIZES}
    seconds = alternate(calls, options.repeats)
    for size, median in medians(seconds).items():
        pixels = (size / 0.2) ** 2
        cost[size] = median / (pixels * np.log(pixels))
    steps = [*zip(SIZES, SIZES[1:], strict=False), (SIZES[0], SIZES[-1])]
    return [
        figure(
            f"fit of {large / 0.2:.0f}^2 pixels",
            cost[large] / cost[small],
            "x",
            1.3,
            reference=f"that of {small / 0.2:.0f}^2 pixels, over N log N: {np.median(seconds[small]):.2f} s",
            seconds={"reference": seconds[small], "measured": seconds[large]},
        )
        for small, large in steps
    ]


def _fit_of_size(size, seed):
    muse, template = field_and_template(size, seed)
    return lambda: fit_image_photometry(template, muse)


def measure_batch(options):
    """Compare the exposures per second of two processes with those of one, after the start of all."""
    with tempfile.TemporaryDirectory(dir=options.tmp) as folder:
        template, exposures = write_exposures(Path(folder), options.seed, EXPOSURES)

        def seconds_each(nprocess):
            with FitImagePhotometryMP(template, exposures, nprocess=nprocess) as fits:
                times = [time.perf_counter() for _ in fits]
            return (times[-1] - times[nprocess - 1]) / (EXPOSURES - nprocess)

        seconds = {1: [], 2: []}
        for _ in range(options.repeats):
            for nprocess, own in seconds.items():
                own.append(seconds_each(nprocess))
    median = medians(seconds)
    return [
        figure(
            "exposures per second, two processes",
            median[1] / median[2],
            "x",
            1.8,
            least=True,
            reference=f"one process: {1 / median[1]:.2f} per second",
            seconds={"reference": seconds[1], "measured": seconds[2]},
        )
    ]


def measure_bandpass(options):
    """Time the images of a full exposure, over numpy's sum of the same memory-mapped planes."""
    curves = [FilterCurve(*points, name=name) for name, points in CURVES.items()]
    with tempfile.TemporaryDirectory(dir=options.tmp) as folder:
        path = Path(folder) / "cube.fits"
        write_cube(path, options.seed)
        calls = {
            "one sum": _numpy_sum(path, curves[:1]),
            "one": lambda: bandpass_image(path, curves[0]),
            "union sum": _numpy_sum(path, curves),
            "union": lambda: bandpass_image(path, _union(curves)),
            "several": lambda: bandpass_images(path, curves),
        }
        seconds = alternate(calls, options.repeats)
        peaks = {count: _bandpass_memory(path, count) for count in (1, len(curves))}
        path.unlink()
        write_cube(path, options.seed, WIDE_CUBE_SHAPE)
        wide_peak = _bandpass_memory(path, len(curves))
    median = medians(seconds)
    several = f"{len(curves)} curves in one pass"
    rows = (
        ("bandpass_image", "one", "one sum", 2.0, "numpy's sum of the mapped planes"),
        (f"bandpass_images, {several}", "several", "union", 1.5, "one curve over the same planes"),
        (
            f"bandpass_images, {several}, to numpy",
            "several",
            "union sum",
            None,
            "numpy's sum of the mapped planes",
        ),
    )
    return [
        *(
            figure(
                name,
                median[key] / median[other],
                "x",
                limit,
                reference=f"{reference}: {median[other]:.2f} s",
                seconds={"reference": seconds[other], "measured": seconds[key]},
            )
            for name, key, other, limit, reference in rows
        ),
        figure("bandpass_image, memory", peaks[1], "MB", 400, reference="a cube of 3 GB"),
        figure(f"bandpass_images, memory, {several}", peaks[len(curves)], "MB", 400, reference="the same"),
        figure(
            f"bandpass_images, memory, {several}, mosaic",
            wide_peak,
            "MB",
            400,
            reference="images of 150 MB, a cube of 2 GB",
        ),
    ]


def _bandpass_memory(path, count):
    curves = list(CURVES.values())[:count]
    return peak_memory(
        f"from astropy_imphot import bandpass_images; images = bandpass_images({str(path)!r}, {curves!r})"
    )


def _union(curves):
    ends = [end for curve in curves for end in (curve.wavelength[0], curve.wavelength[-1])]
    return FilterCurve([min(ends), max(ends)], [1.0, 1.0], name="all")


def _numpy_sum(path, curves):
    with fits.open(path) as hdus:
        places = [hdus[name].fileinfo()["datLoc"] for name in ("DATA", "STAT")]
    edges = 4750.0 + 1.25 * (np.arange(CUBE_SHAPE[0] + 1) - 0.5)
    used = np.flatnonzero(np.sum([curve.integral(edges[:-1], edges[1:]) > 0 for curve in curves], axis=0))

    def read():
        for place in places:
            layer = np.memmap(path, ">f4", "r", offset=place, shape=CUBE_SHAPE)
            layer[used[0] : used[-1] + 1].sum(axis=0)

    return read


def measure_regrid(options):
    """Measure the peak memory of regrid_hst_to_muse for a large HST mosaic."""
    with tempfile.TemporaryDirectory(dir=options.tmp) as folder:
        hst, muse = (str(Path(folder) / name) for name in ("hst.fits", "muse.fits"))
        write_mosaic(hst, options.seed)
        write_field(muse)
        arguments = [muse, hst, "--outdir", folder, "--quiet"]
        peak = peak_memory(
            f"from astropy_imphot.cli.regrid_hst_to_muse import main; assert main({arguments!r}) == 0"
        )
    return [figure("regrid_hst_to_muse, memory", peak, "MB", 600, reference="an HST image of 1.6 GB")]


def measure_import(options):
    """Time the start of the package and of its command, over that of astropy.modeling."""
    calls = {
        "astropy": lambda: run_python("-c", "import astropy.modeling"),
        "import astropy_imphot": lambda: run_python("-c", "import astropy.modeling, astropy_imphot"),
        "fit_photometry --help": lambda: run_python("-m", "astropy_imphot.cli.fit_photometry", "--help"),
    }
    seconds = alternate(calls, options.repeats)
    median = medians(seconds)
    reference = f"import astropy.modeling: {median['astropy']:.2f} s"
    added = median["import astropy_imphot"] - median["astropy"]
    started = median["fit_photometry --help"] / median["astropy"]
    return [
        figure(
            name,
            value,
            unit,
            limit,
            reference=reference,
            seconds={"reference": seconds["astropy"], "measured": seconds[name]},
        )
        for name, value, unit, limit in (
            ("import astropy_imphot", added, "s more", 0.15),
            # 1 s where the reference takes 0.6 s.
            ("fit_photometry --help", started, "x", 1 / 0.6),
        )
    ]


MEASUREMENTS = {
    "fit": measure_fit,
    "size": measure_size,
    "batch": measure_batch,
    "bandpass": measure_bandpass,
    "regrid": measure_regrid,
    "import": measure_import,
}


def report(results):
    """Return the lines of the table."""
    rows = [
        {
            "measured": one["name"],
            "value": f"{one['value']:.2f}",
            "unit": one["unit"],
            "limit": limit_text(one),
            "holds": {True: "yes", False: "NO", None: ""}[one["holds"]],
            "reference": one["reference"],
        }
        for one in results["figures"]
    ]
    return [*heading(results), "", *table_lines(rows)]


def comparison(old, new):
    """Return the lines of a table of two results, side by side."""
    before = {one["name"]: one for one in old["figures"]}
    rows = [
        {
            "measured": one["name"],
            "unit": one["unit"],
            "limit": limit_text(one),
            "old": f"{before[one['name']]['value']:.2f}",
            "new": f"{one['value']:.2f}",
            "new/old": f"{one['value'] / before[one['name']]['value']:.2f}",
        }
        for one in new["figures"]
        if one["name"] in before
    ]
    return ["old:", *heading(old), "new:", *heading(new), "", *table_lines(rows)]


def heading(results):
    """Return the lines above a table: commit, date, machine and versions."""
    machine, versions = results["machine"], results["versions"]
    return [
        f"commit {results['commit'] or 'unknown'}, {results['date']}; "
        f"medians of {results['repeats']}, seed {results['seed']}",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def limit_text(one):
    """Return a limit, or nothing."""
    return "" if one["limit"] is None else f"{'>=' if one['least'] else '<='} {one['limit']:.4g}"


def table_lines(rows):
    """Return a table's lines."""
    if not rows:
        return ["nothing to show"]
    return Table(rows).pformat(
        max_lines=-1, max_width=-1, align=[">" if key in NUMBERS else "<" for key in rows[0]]
    )


NUMBERS = ("value", "limit", "old", "new", "new/old")


if __name__ == "__main__":
    main()
