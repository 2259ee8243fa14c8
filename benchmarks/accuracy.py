"""
The accuracy of fits, and of their quoted errors, on fields that GalSim draws.

For each scenario, fields of random truth are drawn and fitted. The table contains, for each parameter,
the mean error (bias) and its standard error, the rms error, the median of the quoted errors,
and the rms of the pulls, (fitted - truth) / quoted error, which is 1 if quoted
errors are correct. Values beyond their limits are marked with !: a bias of more than 2.5 of its standard
errors (and 0.5 mas, or 0.3 % of scale and fwhm), and an rms pull outside 0.7 to 1.35. Motions and flux ratios are
those of the stars that were drawn, of all fields together.

    python benchmarks/accuracy.py --fields 24 --output docs/accuracy.txt
"""

import argparse
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import skies
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.table import Table
from tqdm import tqdm

from astropy_imphot import __version__, fit_image_photometry, fit_star_photometry
from astropy_imphot.io.errors import UserError
from astropy_imphot.simulation import SimulatedField, Star, random_truth, simulate_field, with_noise

KEYS = ("scale", "bg", "dx", "dy", "fwhm", "beta")
FREED = ("rotation", "e1", "e2", "bg_x", "bg_y")
ONE_EXPOSURE = 0.4

# Demands of fields with bright stars: rms errors of fwhm (arcsec) and beta.
STARS = {"fwhm": 0.002, "beta": 0.03}

# There are few bright objects, so that noise dominates the errors. The wings of the HST PSF are within the
# stamps on which GalSim draws.
HST_PSF = (0.085, 2.5)
GALAXIES = {"magnitudes": (22.5, 27.0), "n_stars": 0, "hst_psf": HST_PSF}

# Biases below these limits are ignored: arcsec, and fractions of scale and fwhm.
NEGLIGIBLE = {"dx": 0.0005, "dy": 0.0005, "scale": 0.003, "fwhm": 0.003}
BIAS_LIMIT = 2.5
PULL_LIMITS = (0.7, 1.35)
MEAN_PULL_LIMITS = (0.9, 1.1)

# An HST PSF that is not a Moffat function: an aperture of 2.4 m, with a central obscuration of 0.33 of the
# diameter (as in Tiny Tim; Krist, Hook & Stoehr 2011, Proc. SPIE 8127, 81270J), at 775 nm, with the pixels
# of ACS.
AIRY = {"lam": 775, "diam": 2.4, "obscuration": 0.33}
AIRY_PIXEL = 0.05
AIRY_SIZE = 301


@dataclass(frozen=True)
class Scenario:
    """The scene that is drawn (a key of `draw_scenes`) or its sky (of `skies`), its noise, and the options of its fit."""

    name: str
    scene: str = "field"
    sky: object = None
    noise: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)
    stat_factor: float = 1.0
    # Fits with a wrong model: only their flags are of interest.
    wrong: bool = False
    keys: tuple = KEYS
    # The largest rms errors of parameters.
    demands: dict = field(default_factory=dict)


def of_sky(name, make, *arguments, keys=KEYS, demands=None, wrong=False, **options):
    """Return the scenario of a sky."""
    return Scenario(
        f"{name} (42 arcsec)",
        scene="",
        sky=partial(make, **options) if not arguments else partial(_called, make, arguments, options),
        keys=keys,
        demands=demands or {},
        wrong=wrong,
    )


def _called(make, arguments, options, canvas, rng):
    return make(canvas, rng, *arguments, **options)


SCENARIOS = [
    Scenario("deep (noise 0.1)"),
    Scenario("one exposure (noise 0.4)", noise={"noise": ONE_EXPOSURE}),
    Scenario("noise correlated over 0.7 pixels", noise={"smoothing": 0.7}),
    Scenario("noise correlated over 1.2 pixels", noise={"smoothing": 1.2}),
    Scenario("STAT 300 times too large", stat_factor=300.0),
    Scenario("HST noise 5e-4", noise={"hst_noise": 5e-4}),
    Scenario("HST noise 1.5e-3", noise={"hst_noise": 1.5e-3}),
    Scenario("four stars that moved by 0.25 arcsec", scene="moved"),
    Scenario("two stars that varied", scene="varied"),
    Scenario("obscured Airy HST PSF, given", scene="airy", fit={"hst_psf": "airy"}),
    Scenario("rotated, elliptical, sloping: freed", scene="turned", fit={"free": FREED}, keys=KEYS + FREED),
    Scenario("rotated, elliptical, sloping: not freed", scene="turned", wrong=True),
    Scenario("offsets up to 10 arcsec", scene="far"),
    Scenario("three faint galaxies", scene="faint"),
    of_sky("galaxies", skies.plain),
    *(of_sky(f"HST noise {level}", skies.white_noise, level) for level in (1.5e-3, 3e-3, 5e-3)),
    *(of_sky(f"HST noise {level}, drizzled", skies.drizzled_noise, level) for level in (1.5e-3, 5e-3)),
    of_sky("four stars moved together", skies.moved_together, demands=STARS),
    of_sky("the same, cores NaN", skies.moved_together, skies.nan_cores, demands=STARS),
    of_sky("the same, cores clipped", skies.moved_together, skies.clipped_cores, demands=STARS),
    of_sky(
        "one star that moved, field of 18 arcsec",
        skies.moved_together,
        count=1,
        size=18.0,
        demands={"dx": 0.03, "dy": 0.03},
    ),
    of_sky("stars of 15 to 20 mag, 15 % too dim in HST", skies.charge_loss),
    *(
        of_sky(
            f"{count} cosmic rays, {1000 * pixel:.0f} mas{', drizzled' * drizzled}",
            skies.cosmic_rays,
            count,
            pixel,
            drizzled,
        )
        for pixel, drizzled in ((0.03, False), (0.05, False), (0.1, False), (0.03, True), (0.05, True))
        for count in (30, 100)
    ),
    of_sky("ripples", skies.with_background, skies.ripples),
    of_sky("slope", skies.with_background, skies.slope),
    of_sky("stripes of IFUs", skies.stripes),
    *(
        of_sky(f"rotated by {angle}", skies.plain, rotation=angle, keys=(*KEYS, "rotation"))
        for angle in (0.0, 0.05, 0.1, 0.3, 1.0)
    ),
    *(
        of_sky(f"flux ratios scatter by {100 * scatter:.0f} %", skies.scattered, scatter)
        for scatter in (0.05, 0.15)
    ),
    *(of_sky(f"{100 * fraction:.0f} % of holes", skies.holes, fraction) for fraction in (0.01, 0.02, 0.05)),
    of_sky("single star with neighbors", skies.single_star),
    of_sky("a galaxy that varied by 30 %", skies.varied_galaxy),
    of_sky("a quasar in its host varied by 40 %", skies.quasar_in_host),
    of_sky("a supernova", skies.supernova),
    of_sky("one star only", skies.only, skies.one_star),
    of_sky("one galaxy only", skies.only, skies.one_galaxy),
    of_sky("crowded cluster", skies.only, skies.cluster),
    of_sky("a galaxy that fills the field", skies.only, skies.large_galaxy),
    of_sky("empty sky", skies.only, skies.empty, wrong=True),
]


def main():
    """Draw, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=24, help="fields for each scenario (default: 24)")
    parser.add_argument(
        "--seed", type=int, default=20261122, help="of all random numbers (default: 20261122)"
    )
    parser.add_argument(
        "--only", default="", help="only scenarios whose names contain this, or one of several separated by |"
    )
    parser.add_argument("--nprocess", type=int, default=os.cpu_count())
    parser.add_argument("--output", help="write the table to this file, too")
    parser.add_argument("--rows", help="write every single fit to this table, too (.ecsv)")
    options = parser.parse_args()
    scenarios = [one for one in SCENARIOS if any(part in one.name for part in options.only.split("|"))]
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.nprocess, mp_context=context) as executor:
        job = partial(fit_field, seed=options.seed, scenarios=scenarios)
        fields = executor.map(job, range(options.fields))
        rows = []
        for own in tqdm(fields, total=options.fields, unit="field"):
            rows += own
            if options.rows:
                Table(
                    [
                        {key: value for key, value in row.items() if key not in ("stars", "error")}
                        for row in rows
                    ]
                ).write(options.rows, overwrite=True)
    lines = [
        f"{options.fields} fields of 60 x 60 arcsec for each scenario, seed {options.seed}; "
        f"astropy_imphot {__version__}",
        "",
        *report(rows, scenarios),
    ]
    print("\n".join(lines))
    if options.output:
        with open(options.output, "w") as file:
            file.write("\n".join(lines) + "\n")


def random_stars(rng, count, **changes):
    """Return bright stars in the field, at a distance from each other."""
    places = [(x, y) for x in (-15, 15) for y in (-15, 15)]
    return [
        Star(rng.uniform(20, 22), x + rng.uniform(-8, 8), y + rng.uniform(-8, 8), **changes)
        for x, y in places[:count]
    ]


def airy_psf():
    """Return the PSF of a telescope with a central obscuration, and its pixel."""
    import galsim

    return galsim.Convolve(galsim.Airy(**AIRY), galsim.Pixel(AIRY_PIXEL))


def airy_image():
    """Return the PSF of `airy_psf` as an image."""
    pixels = airy_psf().drawImage(nx=AIRY_SIZE, ny=AIRY_SIZE, scale=0.03, method="no_pixel").array
    return CCDData(pixels, unit="", meta={"PIXSCALE": 0.03})


def draw_scenes(names, seed):
    """Return fields without noise, by the names of their scenes."""
    rng = np.random.default_rng([*seed, 1])
    truth = random_truth(rng)
    angle, (sign, sign_x, sign_y) = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1], 3)
    changes = {
        "field": {},
        "turned": {
            "rotation": 0.5 * sign,
            "e1": 0.05 * np.cos(angle),
            "e2": 0.05 * np.sin(angle),
            "bg_x": 0.003 * sign_x,
            "bg_y": 0.003 * sign_y,
        },
        "far": {"dx": rng.uniform(-10, 10), "dy": rng.uniform(-10, 10)},
    }
    one, other, *_ = stars = random_stars(rng, 4)
    motion = 0.25 * np.cos(angle), 0.25 * np.sin(angle)
    added = {
        "moved": [replace(star, motion=motion) for star in stars],
        "varied": [replace(one, brightening=1.3), replace(other, brightening=0.7)],
    }
    drawn = {}
    if not {"field", "turned", "far", *added}.isdisjoint(names):
        truths = [replace(truth, **change) for change in changes.values()]
        # One HST image covers the fields of all offsets.
        fields = simulate_field(seed, truth=truths, noise=0, hst_noise=0, hst_margin=15.0, **GALAXIES)
        for index, name in enumerate(changes):
            drawn[name] = SimulatedField(
                fields.hst, fields.muse[index : index + 1], truths[index : index + 1]
            )
    for name in added.keys() & set(names):
        drawn[name] = with_stars(drawn["field"], added[name], seed)
    if "airy" in names:
        drawn["airy"] = simulate_field(
            seed, truth=[truth], noise=0, hst_noise=0, **(GALAXIES | {"hst_psf": airy_psf()})
        )
    if "faint" in names:
        faint = {"n_objects": 3, "magnitudes": (23.5, 24.5)}
        drawn["faint"] = simulate_field(seed, truth=[truth], noise=0, hst_noise=0, **(GALAXIES | faint))
    return drawn


def with_stars(field, stars, seed):
    """Return a field with additional stars."""
    truth = replace(field.truth[0], bg=0.0)
    only = simulate_field(
        seed,
        truth=[truth],
        noise=0,
        hst_noise=0,
        hst_margin=15.0,
        stars=stars,
        **(GALAXIES | {"n_objects": 0}),
    )
    hst, muse = field.hst.copy(), field.muse[0].copy()
    hst.data, muse.data = hst.data + only.hst.data, muse.data + only.muse[0].data
    return SimulatedField(hst, [muse], field.truth)


def fit_field(number, seed, scenarios):
    """Return a row of values, errors and flags for each scenario, on one field."""
    scenes, rows = draw_scenes({one.scene for one in scenarios} - {""}, [seed, number]), []
    canvas = skies.Canvas([seed, number])
    for scenario in scenarios:
        position = [one.name for one in SCENARIOS].index(scenario.name)
        if scenario.sky is not None:
            rows.append(fit_sky(scenario, canvas, np.random.default_rng([seed, number, position]), number))
            continue
        noisy = with_noise(scenes[scenario.scene], [seed, number, position], **scenario.noise)
        muse, truth = noisy.muse[0], noisy.truth[0]
        muse.uncertainty = VarianceUncertainty(muse.uncertainty.array * scenario.stat_factor)
        options = {"hst_fwhm": HST_PSF[0], "hst_beta": HST_PSF[1]} | scenario.fit
        if options.get("hst_psf") == "airy":
            options["hst_psf"] = airy_image()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = fit_image_photometry(noisy.hst, muse, **options)
        rows.append({"scenario": scenario.name, "field": number} | row_of(fit, vars(truth), muse))
    return rows


def fit_sky(scenario, canvas, rng, number):
    """Return a row of values, errors and flags for the scenario of a sky."""
    sky = scenario.sky(canvas, rng)
    hst, muse = sky.images.hst, sky.images.muse[0]
    truth = vars(sky.images.truth[0]) | sky.truth
    row = {"scenario": scenario.name, "field": number}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if "star" in sky.fit:
                fit = fit_star_photometry(hst, muse, sky.fit["star"])
            else:
                fit = fit_image_photometry(hst, muse, **skies.psf_option(0.03) | sky.fit)
        except UserError as error:
            nothing = {f"{key}{end}": np.nan for key in KEYS + FREED for end in ("_true", "", "_err")}
            return (
                row | nothing | {"flags": -1, "n_left_out": 0, "n_lost": 0, "stars": [], "error": str(error)}
            )
    return row | row_of(fit, truth, muse) | {"stars": star_pulls(fit, sky, truth), "error": ""}


def row_of(fit, truth, muse):
    """Return the values, errors and flags of a fit."""
    row = {}
    for key in KEYS + FREED:
        value = fit.values.get(key)
        row[f"{key}_true"] = truth[key]
        row[key] = np.nan if value is None else value.value
        row[f"{key}_err"] = np.nan if value is None else value.stdev
    row["flags"] = int(fit.flags)
    row["n_left_out"] = int(np.sum(fit.objects["left_out"])) if hasattr(fit, "objects") else 0
    row["n_lost"] = int(muse.data.size - fit.n_pixels)
    repairs = getattr(fit, "repairs", None)
    row["n_repaired"] = 0 if repairs is None else int(np.sum(repairs["kind"] == "artefact"))
    row["n_sources"] = len(getattr(fit, "point_sources", ()))
    return row


def star_pulls(fit, sky, truth):
    """Return the pulls of motion_x, motion_y and flux_ratio of each star that was found."""
    sources = getattr(fit, "point_sources", None)
    if sources is None or not len(sources):
        return []
    pulls = []
    muse = sky.images.muse[0]
    for star in sky.stars:
        column, row = skies.star_pixel(muse, star)
        # x points west: a motion along x is one along the pixel axis.
        column, row = (
            column + (truth["dx"] + star.motion[0]) / 0.2,
            row + (truth["dy"] + star.motion[1]) / 0.2,
        )
        away = np.hypot(sources["x"].value - column, sources["y"].value - row) * 0.2
        if not away.min() < 0.2:
            pulls.append([np.nan] * 3)
            continue
        found = sources[away.argmin()]
        pulls.append(
            [
                (found["motion_x"].value - 1e3 * star.motion[0]) / found["motion_x_err"].value,
                (found["motion_y"].value - 1e3 * star.motion[1]) / found["motion_y_err"].value,
                (found["flux_ratio"] - truth["scale"] * star.factor) / found["flux_ratio_err"],
            ]
        )
    return pulls


def report(rows, scenarios):
    """Return the lines of the table."""
    lines = [f"{'':10}{'bias':>11}{'+-':>11}{'rms':>11}{'quoted':>11}{'pull':>8}"]
    pulls = {key: [] for key in KEYS}
    for scenario in scenarios:
        own = [row for row in rows if row["scenario"] == scenario.name]
        lines += ["", scenario.name]
        flags = np.array([row["flags"] for row in own])
        flagged = ", ".join(f"{one:d}: {np.sum(flags == one)}" for one in np.unique(flags))
        objects = sum(row["n_left_out"] for row in own)
        lost = sum(row["n_lost"] for row in own)
        lines.append(f"  flags {{{flagged}}}; {objects} objects masked; {lost} pixels lost")
        if scenario.sky is not None:
            lines.append(
                f"  {sum(row.get('n_sources', 0) for row in own)} point sources; "
                f"{sum(row.get('n_repaired', 0) for row in own)} artefacts repaired"
            )
            lines += [f"  failed: {row['error']}" for row in own if row["error"]]
        own = [row for row in own if row["flags"] >= 0]
        if scenario.wrong or len(own) < 2:
            continue
        for key in scenario.keys:
            true, value, error = (
                np.array([row[f"{key}{end}"] for row in own]) for end in ("_true", "", "_err")
            )
            off = value - true
            bias, standard_error = off.mean(), off.std(ddof=1) / np.sqrt(len(off))
            pull = np.sqrt(np.mean((off / error) ** 2))
            negligible = NEGLIGIBLE.get(key, 0) * (1 if key in ("dx", "dy") else np.mean(true))
            marks = "!" * int(abs(bias) > max(BIAS_LIMIT * standard_error, negligible))
            pull_mark = "!" * int(not PULL_LIMITS[0] <= pull <= PULL_LIMITS[1])
            lines.append(
                f"  {key:8}{bias:11.5f}{standard_error:11.5f}{np.sqrt(np.mean(off**2)):11.5f}"
                f"{np.median(error):11.5f}{pull:8.2f} {marks}{pull_mark}".rstrip()
            )
            if key in pulls:
                pulls[key].append(pull)
            if key in scenario.demands:
                rms, most = np.sqrt(np.mean(off**2)), scenario.demands[key]
                lines.append(f"  demand: rms of {key} below {most}: {'met' if rms < most else 'NOT met'}")
        stars = [one for row in own for one in row.get("stars", [])]
        if stars:
            stars = np.array(stars)
            rms = np.sqrt(np.nanmean(stars**2, axis=0))
            lines.append(
                f"  {len(stars)} stars, {np.isnan(stars[:, 0]).sum()} of them not found: pulls of motions "
                f"{rms[0]:.2f} and {rms[1]:.2f}, of flux ratios {rms[2]:.2f}"
            )
    lines += ["", "mean of the rms pulls over the scenarios"]
    for key, values in pulls.items():
        mean = np.mean(values) if values else np.nan
        mark = "" if MEAN_PULL_LIMITS[0] <= mean <= MEAN_PULL_LIMITS[1] else " !"
        lines.append(f"  {key:8}{mean:8.2f}{mark}")
    return lines


if __name__ == "__main__":
    main()
