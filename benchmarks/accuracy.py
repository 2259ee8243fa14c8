"""
The accuracy of fits, and of their quoted errors, on fields that GalSim draws.

For each scenario, fields of random truth are drawn and fitted. The table contains, for each parameter,
the mean error (bias) and its standard error, the rms error, the median of the quoted errors,
and the rms and the largest of the pulls, (fitted - truth) / quoted error, whose rms is 1 if quoted
errors are correct. Values beyond their limits are marked with !: a bias of more than 2.5 of its standard
errors (and 0.5 mas, or 0.3 % of scale and fwhm), and an rms pull outside 0.7 to 1.35. A fit that raises an
exception is counted as failed, and its message is printed.

Clean skies have one effect that fits always had to deal with; real skies have what real images have, see
skies.py; wide ones have reference images that are not sharp. Some scenarios have demands, which are met or
not.

    python benchmarks/accuracy.py --fields 24 --output docs/accuracy.txt
    python benchmarks/accuracy.py --fields 6 --skies real --only "cosmic rays"
"""

import argparse
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import astropy.units as u
import numpy as np
import skies
from astropy.nddata import VarianceUncertainty
from astropy.table import Table
from skies import step
from tqdm import tqdm

from astropy_imphot import __version__, fit_image_photometry, fit_star_photometry
from astropy_imphot.simulation import CENTER

KEYS = ("scale", "bg", "dx", "dy", "fwhm", "beta")
FREED = ("rotation", "e1", "e2", "bg_x", "bg_y")
STAR_KEYS = ("motion", "flux ratio")
ONE_EXPOSURE = 0.4

# Biases below these limits are ignored: arcsec, and fractions of scale and fwhm.
NEGLIGIBLE = {"dx": 0.0005, "dy": 0.0005, "scale": 0.003, "fwhm": 0.003}
BIAS_LIMIT = 2.5
PULL_LIMITS = (0.7, 1.35)
MEAN_PULL_LIMITS = (0.9, 1.1)

# "Within its errors": the largest pull of some 200 normal numbers.
WITHIN_ERRORS = 4.0

# Point sources of a fit are those stars that are this near, arcsec: more than motions, less than distances.
MATCH_RADIUS = 0.6

# The radii of star fits, arcsec.
STAR_RADII = (2.0, 3.0)


@dataclass(frozen=True)
class Demand:
    """A statistic ("rms" or "worst" pull) of a parameter that has to be below a limit."""

    key: str
    statistic: str
    limit: float


@dataclass(frozen=True)
class Scenario:
    """The steps of the sky that is drawn, its noise, and the options of its fit."""

    name: str
    sky: tuple = (step(skies.deep_field),)
    noise: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)
    stat_factor: float = 1.0
    # Fits with a wrong model: only their flags are of interest.
    wrong: bool = False
    keys: tuple = KEYS
    # Every star of the sky is fitted by itself.
    star_fits: bool = False
    demands: tuple = ()
    kind: str = "clean"


PRECISE = (
    Demand("fwhm", "rms", 0.002),
    Demand("beta", "rms", 0.03),
    Demand("motion", "worst", WITHIN_ERRORS),
)
ALONE = tuple(
    Demand(key, *limit) for key in ("dx", "dy") for limit in (("worst", WITHIN_ERRORS), ("rms", 0.03))
)

TURNED = (step(skies.deep_field, kind="turned"),)
# The position of a scenario is part of the seed of its noise: new ones come last.
CLEAN = [
    Scenario("deep (noise 0.1)"),
    Scenario("one exposure (noise 0.4)", noise={"noise": ONE_EXPOSURE}),
    Scenario("noise correlated over 0.7 pixels", noise={"smoothing": 0.7}),
    Scenario("noise correlated over 1.2 pixels", noise={"smoothing": 1.2}),
    Scenario("STAT 300 times too large", stat_factor=300.0),
    Scenario("HST noise 5e-4", noise={"hst_noise": 5e-4}),
    Scenario("HST noise 1.5e-3", noise={"hst_noise": 1.5e-3}),
    Scenario(
        "four stars that moved by 0.25 arcsec",
        (step(skies.deep_field_with_stars, kind="moved"),),
        demands=PRECISE,
    ),
    Scenario("two stars that varied", (step(skies.deep_field_with_stars, kind="varied"),)),
    Scenario("obscured Airy HST PSF, given", (step(skies.airy_field),)),
    Scenario("rotated, elliptical, sloping: freed", TURNED, fit={"free": FREED}, keys=KEYS + FREED),
    Scenario("rotated, elliptical, sloping: not freed", TURNED, wrong=True),
    Scenario("offsets up to 10 arcsec", (step(skies.deep_field, kind="far"),)),
    Scenario("three faint galaxies", (step(skies.faint_field),)),
]

GALAXIES = (step(skies.galaxies),)
PIXELS_50 = (step(skies.coarse_galaxies, pixel=0.05),)
PIXELS_100 = (step(skies.coarse_galaxies, pixel=0.1),)
EMPTY = (step(skies.empty),)
MOVED = (*GALAXIES, step(skies.bright_stars, motion=0.25))
# Brighter than the galaxies, and reached by stars of magnitude 20 to 22.
FULL_WELL = 2.0
# Noise of 1.5e-3 in 30 mas pixels is that of few exposures; in larger pixels it is the same per area.
FEW_EXPOSURES = {"hst_noise": 1.5e-3, "photons": True}
FEW_EXPOSURES_50 = {"hst_noise": 2.5e-3, "photons": True}
FEW_EXPOSURES_100 = {"hst_noise": 5e-3, "photons": True}
PHOTONS = {"photons": True}

real = partial(Scenario, kind="real")
REAL = [
    real('nothing special (42")', GALAXIES),
    *(
        real(f'HST noise {noise:g} (42")', GALAXIES, noise={"hst_noise": noise})
        for noise in (1.5e-3, 3e-3, 5e-3)
    ),
    *(
        real(
            f'HST noise {noise:g}, correlated by drizzling (42")',
            (*GALAXIES, step(skies.drizzled_noise, hst_noise=noise)),
            noise={"hst_noise": 0.0},
        )
        for noise in (1.5e-3, 3e-3, 5e-3)
    ),
    real('four stars that moved by 0.25" (42")', MOVED, demands=PRECISE),
    real(
        'four stars that moved, cores saturated: NaN (42")',
        (*MOVED, step(skies.saturated, level=FULL_WELL)),
        demands=PRECISE,
    ),
    real(
        'four stars that moved, cores cut at the full well (42")',
        (*MOVED, step(skies.clipped, level=FULL_WELL)),
        demands=PRECISE,
    ),
    real(
        'one star that moved by 0.25" (18")',
        (step(skies.galaxies, size=18.0), step(skies.bright_stars, count=1, motion=0.25)),
        demands=ALONE,
    ),
    real(
        'four stars of magnitude 15 to 20 that lost 15 % in HST (42")',
        (*GALAXIES, step(skies.bright_stars, magnitudes=(15, 20), ratio=1 / 0.85)),
        noise=PHOTONS,
    ),
    *(
        real(
            f'{count} cosmic rays, 30 mas pixels (42")',
            (*GALAXIES, step(skies.cosmic_rays, count=count)),
            noise=FEW_EXPOSURES,
        )
        for count in (30, 100)
    ),
    *(
        real(
            f'{count} cosmic rays, drizzled to 30 mas pixels (42")',
            (
                *GALAXIES,
                step(skies.drizzled_noise, hst_noise=1.5e-3),
                step(skies.cosmic_rays, count=count, drizzled=True),
            ),
            noise={"hst_noise": 0.0},
        )
        for count in (30, 100)
    ),
    real(
        '100 cosmic rays and four stars, 30 mas pixels (42")',
        (*GALAXIES, step(skies.bright_stars), step(skies.cosmic_rays, count=100)),
        noise=FEW_EXPOSURES,
    ),
    real(
        '100 cosmic rays and four stars, drizzled to 30 mas pixels (42")',
        (
            *GALAXIES,
            step(skies.bright_stars),
            step(skies.drizzled_noise, hst_noise=1.5e-3),
            step(skies.cosmic_rays, count=100, drizzled=True),
        ),
        noise={"hst_noise": 0.0},
    ),
    *(
        real(
            f'{count} cosmic rays, {name} mas pixels (42")',
            (*sky, step(skies.cosmic_rays, count=count)) if count else sky,
            noise=noise,
        )
        for name, sky, noise in ((50, PIXELS_50, FEW_EXPOSURES_50), (100, PIXELS_100, FEW_EXPOSURES_100))
        for count in (0, 30, 100)
    ),
    real('ripples of 1 sigma (42")', (*GALAXIES, step(skies.ripples))),
    real('slope of 1 sigma to the edges (42")', (*GALAXIES, step(skies.slope))),
    real('24 x 4 stripes, 2 % and 0.3 sigma (42")', (*GALAXIES, step(skies.stripes))),
    *(
        real(f'rotated by {angle:g} degree (42")', (*GALAXIES, step(skies.rotated, angle=angle)))
        for angle in (0.0, 0.05, 0.1, 0.3, 1.0)
    ),
    *(
        real(
            f'flux ratios scatter by {scatter:.0%} (42")',
            (*GALAXIES, step(skies.flux_ratios, scatter=scatter)),
        )
        for scatter in (0.0, 0.05, 0.15)
    ),
    *(
        real(
            f'{fraction:.0%} of HST pixels are holes (42")', (*GALAXIES, step(skies.holes, fraction=fraction))
        )
        for fraction in (0.01, 0.02, 0.05)
    ),
    real(
        'star fits, neighbors as they come, 8 stars a field (42")',
        (*GALAXIES, step(skies.single_stars)),
        star_fits=True,
    ),
]

unusual = partial(Scenario, kind="unusual")
UNUSUAL = [
    unusual('a bright galaxy that varied by 30 % (42")', (*GALAXIES, step(skies.varied_galaxy))),
    unusual(
        'another bandpass: ratios of 5 % with color (42")',
        (*GALAXIES, step(skies.flux_ratios, scatter=0.05, trend=True)),
    ),
    unusual('a quasar in a host, varied by 30 % (42")', (*GALAXIES, step(skies.quasar))),
    unusual('a supernova in MUSE only (42")', (*GALAXIES, step(skies.supernova))),
    unusual(
        'one bright star only (30")', (step(skies.empty, size=30.0), step(skies.one_star)), noise=PHOTONS
    ),
    unusual('one galaxy only (30")', (step(skies.empty, size=30.0), step(skies.one_galaxy))),
    unusual('a crowded cluster of 150 stars (42")', (*EMPTY, step(skies.cluster)), noise=FEW_EXPOSURES),
    unusual('a galaxy that fills the field (42")', (*GALAXIES, step(skies.large_galaxy)), noise=PHOTONS),
    unusual('empty sky (30")', (step(skies.empty, size=30.0),)),
]

# The noise per area is that of 7.5e-4 in 30 mas pixels: half of that of MUSE.
wide = partial(Scenario, kind="wide")
WIDE = [
    wide(
        f'reference of {fwhm:.1f} arcsec (42")',
        (step(skies.wide_reference, fwhm=fwhm, pixel=pixel),),
        noise={"hst_noise": 0.025 * pixel},
    )
    for fwhm, pixel in ((0.3, 0.1), (0.5, 0.1), (0.8, 0.2), (1.0, 0.2), (1.2, 0.2), (1.5, 0.2))
]
SCENARIOS = [*CLEAN, *REAL, *UNUSUAL, *WIDE]
KINDS = ("clean", "real", "unusual", "wide")


def main():
    """Draw, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=24, help="fields for each scenario (default: 24)")
    parser.add_argument(
        "--seed", type=int, default=20261122, help="of all random numbers (default: 20261122)"
    )
    parser.add_argument("--only", default="", help="only scenarios whose names contain this")
    parser.add_argument(
        "--skies", nargs="+", choices=KINDS, default=KINDS, help="kinds of skies (default: all)"
    )
    parser.add_argument("--nprocess", type=int, default=os.cpu_count())
    parser.add_argument("--output", help="write the table to this file, too")
    parser.add_argument("--rows", help="write every single fit, and point source, to tables (.ecsv)")
    options = parser.parse_args()
    chosen = [one for one in SCENARIOS if options.only in one.name and one.kind in options.skies]
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.nprocess, mp_context=context) as executor:
        job = partial(fit_field, seed=options.seed, names=[one.name for one in chosen])
        fields = executor.map(job, range(options.fields))
        rows, stars = [], []
        for own_rows, own_stars in tqdm(fields, total=options.fields, unit="field"):
            rows += own_rows
            stars += own_stars
            if options.rows:
                Table(rows).write(options.rows, overwrite=True)
            if options.rows and stars:
                Table(stars).write(f"{os.path.splitext(options.rows)[0]}_stars.ecsv", overwrite=True)
    heading = (
        f"{options.fields} fields for each scenario, of 60 x 60 arcsec or of the size that its name says"
    )
    lines = [
        f"{heading}, seed {options.seed}; astropy_imphot {__version__}",
        "",
        *report(rows, stars, chosen),
    ]
    print("\n".join(lines))
    if options.output:
        with open(options.output, "w") as file:
            file.write("\n".join(lines) + "\n")


def fit_field(number, seed, names):
    """Return rows of values, errors and flags, and rows of stars, of all scenarios on one field."""
    rows, stars = [], []
    for position, scenario in enumerate(SCENARIOS):
        if scenario.name not in names:
            continue
        sky = skies.observed(
            skies.sky_of(scenario.sky, (seed, number)), [seed, number, position], **scenario.noise
        )
        muse = sky.muse[0]
        muse.uncertainty = VarianceUncertainty(muse.uncertainty.array * scenario.stat_factor)
        about = {"scenario": scenario.name, "field": number}
        if scenario.star_fits:
            radii = np.random.default_rng([seed, number, position, 2]).uniform(*STAR_RADII, len(sky.stars))
            jobs = [
                partial(fit_star_photometry, sky.hst, muse, (place_of(star), radius * u.arcsec))
                for star, radius in zip(sky.stars, radii, strict=True)
            ]
        else:
            jobs = [partial(fit_image_photometry, sky.hst, muse, **psf_of(sky), **scenario.fit)]
        for job in jobs:
            fit, failure = attempt(job)
            rows.append(about | row_of(fit, sky, failure))
            if not scenario.star_fits:
                stars += [about | star for star in matched_stars(fit, sky)]
    return rows, stars


def place_of(star):
    """Return the position of a star of a sky in the HST image."""
    return CENTER.spherical_offsets_by(-star.x * u.arcsec, star.y * u.arcsec)


def psf_of(sky):
    """Return the options of a fit that give the true HST PSF."""
    if isinstance(sky.hst_psf, tuple):
        return {"hst_fwhm": sky.hst_psf[0], "hst_beta": sky.hst_psf[1]}
    return {"hst_psf": skies.psf_image(sky.hst_psf)}


def attempt(job):
    """Return a fit, or None and what it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return job(), ""
        # Whatever goes wrong in one fit is a row of the table.
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"


def row_of(fit, sky, failure):
    """Return the values, errors and numbers of a fit, which are NaN, -1 and 0 if it failed."""
    row = {
        "failure": failure,
        "flags": -1,
        "n_left_out": 0,
        "n_lost": 0,
        "n_repaired": -1,
        "n_stars": len(sky.stars),
    }
    for key in KEYS + FREED:
        value = None if fit is None else fit.values.get(key)
        row[f"{key}_true"] = getattr(sky.truth[0], key)
        row[key] = np.nan if value is None else value.value
        row[f"{key}_err"] = np.nan if value is None else value.stdev
    if fit is None:
        return row
    row["flags"] = int(fit.flags)
    if fit.method == "image":
        row["n_left_out"] = int(np.sum(fit.objects["left_out"]))
        row["n_lost"] = int(sky.muse[0].data.size - fit.n_pixels)
    repairs = getattr(fit, "repairs", None)
    if repairs is not None:
        row["n_repaired"] = int(np.sum(repairs["n_pixels"]))
    return row


def matched_stars(fit, sky):
    """
    Return the motions (mas) and flux ratios of a fit's point sources, with the truth.

    Positions are those in the MUSE image. Motions are relative to the galaxies; flux ratios are MUSE/HST, the
    scale of the field included. What is in HST saturated has no flux ratio.
    """
    found = getattr(fit, "point_sources", None)
    if found is None or len(found) == 0 or not sky.stars:
        return []
    truth, rows = sky.truth[0], []
    names = ("flux_ratio", "flux_ratio_err", "motion_x", "motion_y", "motion_x_err", "motion_y_err")
    column = {name: np.asarray(u.Quantity(found[name]).value, float) for name in ("x", "y", *names)}
    height, width = sky.muse[0].shape
    cos, sin = np.cos(np.radians(truth.rotation)), np.sin(np.radians(truth.rotation))
    x, y = np.reshape([np.add((star.x, star.y), star.motion) for star in sky.stars], (-1, 2)).T
    right, up = cos * x - sin * y + truth.dx, sin * x + cos * y + truth.dy
    away = np.hypot(
        0.2 * (column["x"] - (width - 1) / 2) - right[:, None],
        0.2 * (column["y"] - (height - 1) / 2) - up[:, None],
    )
    for number, star in enumerate(sky.stars):
        nearest = int(np.argmin(away[number]))
        # In a crowded field, two stars may be near the same point source.
        if away[number, nearest] > MATCH_RADIUS or np.argmin(away[:, nearest]) != number:
            continue
        row = {"star": number, "magnitude": star.magnitude} | {name: column[name][nearest] for name in names}
        row |= {"motion_x_true": 1000 * star.motion[0], "motion_y_true": 1000 * star.motion[1]}
        rows.append(row | {"flux_ratio_true": truth.scale * star.brightening})
    return rows


def columns(rows, *keys):
    """Return the true values, values and errors of rows, of one or several columns, where they are finite."""
    true, value, error = (
        np.array([row[f"{key}{end}"] for row in rows for key in keys], float) for end in ("_true", "", "_err")
    )
    used = np.isfinite(value) & (error > 0)
    return true[used], value[used], error[used]


def statistics(true, value, error):
    """Return what the table has of a parameter."""
    off = value - true
    n = len(off)
    if n == 0:
        return dict.fromkeys(("n", "bias", "+-", "rms", "quoted", "pull", "worst", "true"), np.nan) | {"n": 0}
    return {
        "n": n,
        "bias": off.mean(),
        "+-": off.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan,
        "rms": np.sqrt(np.mean(off**2)),
        "quoted": np.median(error),
        "pull": np.sqrt(np.mean((off / error) ** 2)),
        "worst": np.max(np.abs(off / error)),
        "true": np.mean(true),
    }


def statistics_of(rows, stars, keys):
    """Return the statistics of all parameters of a scenario, by name."""
    found = {key: statistics(*columns(rows, key)) for key in keys}
    # A rotation that fits free by themselves.
    rotation = statistics(*columns(rows, "rotation"))
    if rotation["n"]:
        found["rotation"] = rotation
    if stars:
        found["motion"] = statistics(*columns(stars, "motion_x", "motion_y"))
        found["flux ratio"] = statistics(*columns(stars, "flux_ratio"))
    return found


def line_of(key, found):
    """Return a line of the table, with its marks."""
    negligible = NEGLIGIBLE.get(key, 0) * (1 if key in ("dx", "dy") else found["true"])
    marks = "!" * int(abs(found["bias"]) > max(BIAS_LIMIT * found["+-"], negligible))
    marks += "!" * int(not PULL_LIMITS[0] <= found["pull"] <= PULL_LIMITS[1])
    cells = (f"{found[name]:11.5f}" for name in ("bias", "+-", "rms", "quoted"))
    # Errors without a limit, such as those of an empty sky.
    cells = (cell if cell[0] == " " else f"{float(cell):11.3g}" for cell in cells)
    pulls = f"{found['pull']:8.2f}{found['worst']:8.2f}"
    return f"  {key:10}{''.join(cells)}{pulls} {marks}".rstrip()


def demand_line(demand, found):
    """Return whether a demand is met."""
    value = found.get(demand.key, {}).get(demand.statistic, np.nan)
    what = "rms" if demand.statistic == "rms" else "largest pull"
    met = "met" if value < demand.limit else "NOT met"
    return f"  demand: {demand.key} {what} below {demand.limit:g}: {value:.4g}, {met}"


def report(rows, stars, scenarios):
    """Return the lines of the table."""
    lines = [f"{'':12}{'bias':>11}{'+-':>11}{'rms':>11}{'quoted':>11}{'pull':>8}{'worst':>8}"]
    pulls, demands = {kind: {key: [] for key in KEYS} for kind in KINDS}, []
    for scenario in scenarios:
        own = [row for row in rows if row["scenario"] == scenario.name]
        own_stars = [row for row in stars if row["scenario"] == scenario.name]
        lines += ["", scenario.name, *summary_of(own, own_stars)]
        found = statistics_of(own, own_stars, scenario.keys)
        met = [demand_line(demand, found) for demand in scenario.demands]
        demands += [f"{scenario.name}: {line.strip()}" for line in met]
        if scenario.wrong:
            continue
        found = {key: one for key, one in found.items() if one["n"]}
        lines += [line_of(key, one) for key, one in found.items()] + met
        for key in found.keys() & pulls[scenario.kind].keys():
            pulls[scenario.kind][key].append(found[key]["pull"])
    present = [kind for kind in KINDS[:2] if pulls[kind]["dx"]]
    if present:
        lines += ["", "mean of the rms pulls over the scenarios"]
        lines.append(f"{'':12}" + "".join(f"{kind:>10}" for kind in present))
    for key in KEYS if present else ():
        means = [np.mean(pulls[kind][key]) for kind in present]
        marks = ["" if MEAN_PULL_LIMITS[0] <= mean <= MEAN_PULL_LIMITS[1] else "!" for mean in means]
        cells = (f"{mean:8.2f}{mark:2}" for mean, mark in zip(means, marks, strict=True))
        lines.append(f"  {key:10}{''.join(cells)}".rstrip())
    return [*lines, "", "demands", *(f"  {line}" for line in demands)] if demands else lines


def summary_of(rows, stars):
    """Return lines about flags, failures, and numbers of objects, pixels and stars."""
    flags = np.array([row["flags"] for row in rows])
    flagged = [f"{one:d}: {np.sum(flags == one)}" for one in np.unique(flags[flags >= 0])]
    failures = [row["failure"] for row in rows if row["failure"]]
    if failures:
        flagged.append(f"failed: {len(failures)}")
    line = (
        f"  flags {{{', '.join(flagged)}}}; {sum(row['n_left_out'] for row in rows)} objects masked; "
        f"{sum(row['n_lost'] for row in rows)} pixels lost"
    )
    repaired = [row["n_repaired"] for row in rows if row["n_repaired"] >= 0]
    if repaired:
        line += f"; {sum(repaired)} HST pixels repaired"
    if stars:
        line += f"; {len(stars)} of {sum(row['n_stars'] for row in rows)} stars are point sources"
    return [line, *(f"  failed: {one}" for one in sorted(set(failures))[:2])]


if __name__ == "__main__":
    main()
