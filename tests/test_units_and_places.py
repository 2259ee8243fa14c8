"""Units and places at the doors: every public callable, every parameter that takes a number with a unit."""

import inspect
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.modeling import Model
from astropy.table import Table
from numpy.testing import assert_allclose
from regions import CirclePixelRegion, CircleSkyRegion, PixCoord, Regions

import astropy_imphot
from astropy_imphot import UserError, simulation
from astropy_imphot.field import run
from astropy_imphot.fitting.options import ImageFitOptions, StarFitOptions
from astropy_imphot.simulation import CENTER

CGS = u.erg / u.s / u.cm**2 / u.AA

# The same star, and the same regions, in every form.
STAR = (CENTER.ra.deg, CENTER.dec.deg, 1.5)
STARS = (
    STAR,
    (CENTER.ra.to(u.arcmin), CENTER.dec, 1500 * u.mas),
    (CENTER.galactic, 0.025 * u.arcmin),
    CircleSkyRegion(CENTER, 1.5 * u.arcsec),
)
CIRCLE = CirclePixelRegion(PixCoord(9.0, 19.0), 3.0, meta={"include": 0})
REGIONS = (["image", "-circle(10, 20, 3)"], CIRCLE, [CIRCLE], Regions([CIRCLE]))

# A PSF of an HST image.
PSF = np.exp(-((np.mgrid[:21, :21] - 10) ** 2).sum(axis=0) / (2 * 1.3**2))


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """What the callables are called with: a small field, and what is made of it."""
    truth = [simulation.Truth(dx=0.1, dy=-0.05)]
    drawn = simulation.simulate_field(3, size=8.0, truth=truth, central_star=20.0)
    folder, number = tmp_path_factory.mktemp("doors"), itertools.count()
    for image, name in ((drawn.hst, "hst.fits"), (drawn.muse[0], "E1.fits")):
        astropy_imphot.write_image(image, folder / name)
    cube = simulation.muse_cube(drawn.muse[0], np.arange(7000.0, 8600.0, 400.0), noise=0.2, seed=4)
    cube.writeto(folder / "C1.fits")
    next_to_center = CENTER.directional_offset_by(0 * u.deg, 20 * u.mas)
    with ThreadPoolExecutor(1) as executor, pytest.MonkeyPatch.context() as patch:
        # The tables are compared, and the figures of the report take long.
        patch.setattr(run, "write_report", lambda *args, **keywords: None)
        yield SimpleNamespace(
            field=drawn,
            hst=drawn.hst,
            muse=drawn.muse[0],
            template=astropy_imphot.make_template(drawn.hst, drawn.muse[0]),
            cube=cube,
            curve=astropy_imphot.FilterCurve([7300, 8100], [1, 1]),
            two_grids=[simulation.sky_grid((50, 60), center=one) for one in (CENTER, next_to_center)],
            executor=executor,
            folder=folder,
            number=number,
        )


# The arguments that are not in the table.


def images(sky):
    return sky.hst, sky.muse


def batch(sky):
    return sky.hst, [sky.muse]


def files(sky):
    return [sky.folder / "E1.fits"], [sky.folder / "hst.fits"], sky.folder / f"out{next(sky.number)}"


def reference(sky):
    return astropy_imphot.HstReference(sky.hst), sky.muse


def with_psf(sky):
    return {"hst_psf": PSF}


def in_thread(sky):
    return {"executor": sky.executor}


def in_thread_with_psf(sky):
    return with_psf(sky) | in_thread(sky)


def without_plots(sky):
    return in_thread(sky) | {"plots": False}


# What is compared.


def as_list(value):
    return [value]


def attributes(instance):
    return [one for one in vars(instance).values() if not isinstance(one, (str, type(None)))]


def pixels(image):
    return [image.data]


def pixels_of_all(found):
    return [image.data for image in found]


def fitted(fit):
    return [(one.value, one.stdev) for one in fit.values.values()]


def every_fit(fits):
    return [value for one in fits for value in (every_fit(one) if isinstance(one, tuple) else fitted(one))]


def table_of(found):
    keys = ("scale", "bg", "dx", "dy", "fwhm", "beta", "dx_err", "beta_err", "rms")
    return [u.Quantity(found.results[key]).value for key in keys]


def values_at(model):
    x, y = np.array([12.0, 20.0, 31.0]), np.array([20.0, 19.0, 3.0])
    return [model(x, y) if model.input_units is None else model(x * u.pix, y * u.pix).value]


def drawn_images(drawn):
    return [drawn.hst.data, *(one for image in drawn.muse for one in (image.data, image.uncertainty.array))]


def cube_values(cube):
    header = cube["DATA"].header
    return [cube["DATA"].data, cube["STAT"].data, header["CRVAL3"], header["CDELT3"]]


def drawn_cubes(drawn):
    return [image.data for image in drawn.hst.values()] + cube_values(drawn.cubes[0])


def grid_values(grid):
    return [grid.wcs.wcs.cd * 3600, grid.wcs.wcs.crval]


@dataclass
class Row:
    """
    A public callable, and parameters of it, which are all given at once.

    Of each parameter there are forms that mean the same: the first of numbers in the stated unit.
    """

    name: str
    forms: dict
    outcome: Callable
    arguments: Callable = lambda sky: ()
    keywords: Callable = lambda sky: {}
    # Parameters that may have any unit, and what errors say for a parameter if not its name.
    any_unit: tuple = ()
    words: dict = field(default_factory=dict)

    def call(self, sky, number, **changed):
        """Return what comes out with the forms of this number, or with the last of those that have fewer."""
        values = {key: forms[min(number, len(forms) - 1)] for key, forms in self.forms.items()}
        found = named(self.name)(*self.arguments(sky), **self.keywords(sky), **values | changed)
        return self.outcome(found)


def named(name):
    """Return a public callable, or a method of a public class."""
    first, *rest = name.split(".")
    found = getattr(astropy_imphot if first in astropy_imphot.__all__ else simulation, first)
    return getattr(found, *rest) if rest else found


# Values of the parameters: a form of numbers, and others that mean the same.
HELD = {
    "fix_scale": (0.98, 98 * u.percent),
    "fix_bg": (0.02, 0.02e-20 * CGS),
    "fix_dx": (0.098, 98 * u.mas),
    "fix_dy": (-0.051, -51 * u.mas),
    "fix_fwhm": (0.66, 0.011 * u.arcmin),
}
HELD_BETA = {"fix_beta": (2.4, 240 * u.percent)}
SMALL = {
    "fix_rotation": (0.1, 6 * u.arcmin),
    "fix_e1": (0.02, 2 * u.percent),
    "fix_e2": (0.01, 1 * u.percent),
}
TAPER = {"taper": (2.0, 0.002 * u.kpix)}
HST = {
    "hst_fwhm": (0.09, 90 * u.mas),
    "hst_beta": (1.7, 170 * u.percent),
    "margin": (2.0, 2 / 60 * u.arcmin),
}
START = {
    "init_dx": (0.3, 300 * u.mas),
    "init_dy": (-0.2, -200 * u.mas),
    "min_scale": (0.5, 50 * u.percent),
}
HST_PSF = {"hst_psf_scale": (0.03, 30 * u.mas)}
STAR_AND_PLACE = {"star": (STAR, STARS[2])}
OPTIONS = HELD | TAPER | HST | {"regions": (REGIONS[0], CIRCLE)}
PLACES = {
    "point_sources": ([STAR[:2]], CENTER.galactic, Table({"ra": [STAR[0]], "dec": [STAR[1]]}), STARS[3]),
    "not_point_sources": ([(53.2, -27.7)], SkyCoord(53.2, -27.7, unit="deg").galactic),
}
BACKGROUND = {"background": (20 * u.arcsec, 20.0, u.arcmin / 3)}
MORE_OPTIONS = HELD_BETA | SMALL | START | HST_PSF | PLACES | BACKGROUND

TRUTH = {
    "dx": (0.1, 100 * u.mas),
    "dy": (-0.2, -200 * u.mas),
    "scale": (0.9, 90 * u.percent),
    "bg": (1.5, 1.5e-20 * CGS),
    "fwhm": (0.6, 0.01 * u.arcmin),
    "beta": (2.4, 240 * u.percent),
    "rotation": (0.1, 6 * u.arcmin),
}
FIELD_TRUTH = TRUTH | {
    "bg_x": (0.2, 12e-20 * CGS / u.arcmin),
    "bg_y": (-0.1, -6e-20 * CGS / u.arcmin),
    "e1": (0.1, 10 * u.percent),
    "e2": (-0.2, -20 * u.percent),
}
# Larger units of lengths: numbers that were taken as they are would need no more memory.
DRAWN = {
    "size": ((3.0, 4.0), (0.05 * u.arcmin, 4 * u.arcsec), [0.05, 4 / 60] * u.arcmin),
    "noise": (0.2, 0.2e-20 * CGS),
    "hst_pixel": (0.06, 60 * u.mas),
    "hst_noise": (3e-3, 10.8 * u.electron / u.hour),
    "hst_margin": (2.0, 2 / 60 * u.arcmin),
    "hst_psf": ((0.1, 1.7), (100 * u.mas, 170 * u.percent)),
    "magnitudes": ((21.4, 23.9), [21.4, 23.9] * u.mag, (10 * u.uJy, 23.9 * u.ABmag)),
}
WAVELENGTHS = ([6000.0, 6500.0, 7000.0], [600, 650, 700] * u.nm, [0.6 * u.um, 650 * u.nm, 7000 * u.AA])
CURVE = (([7300, 8100], [1, 2]), ([730, 810] * u.nm, [10, 20] * u.percent))

ROWS = [
    Row("fit_image_photometry", OPTIONS, fitted, images),
    Row("fit_image_photometry", MORE_OPTIONS, fitted, images, with_psf),
    Row("fit_image_photometry", STAR_AND_PLACE, fitted, images, lambda sky: {"regions": "notstar"}),
    Row("fit_star_photometry", HELD | TAPER | STAR_AND_PLACE, fitted, images),
    Row("fit_star_photometry", HELD_BETA | SMALL | {"star": STARS, "regions": REGIONS}, fitted, images),
    Row("fit_image_and_star_photometry", OPTIONS | STAR_AND_PLACE, every_fit, images),
    Row("fit_image_and_star_photometry", MORE_OPTIONS | STAR_AND_PLACE, every_fit, images, with_psf),
    Row("FitImagePhotometryMP", OPTIONS, every_fit, batch, in_thread),
    Row("FitImagePhotometryMP", MORE_OPTIONS | STAR_AND_PLACE, every_fit, batch, in_thread_with_psf),
    Row("FitStarPhotometryMP", HELD | TAPER | STAR_AND_PLACE, every_fit, batch, in_thread),
    Row(
        "FitStarPhotometryMP",
        HELD_BETA | SMALL | {"star": STARS, "regions": REGIONS},
        every_fit,
        batch,
        in_thread,
    ),
    Row("FitImageAndStarPhotometryMP", OPTIONS | STAR_AND_PLACE, every_fit, batch, in_thread),
    Row("FitImageAndStarPhotometryMP", MORE_OPTIONS | STAR_AND_PLACE, every_fit, batch, in_thread_with_psf),
    Row("fit_field", OPTIONS | STAR_AND_PLACE, table_of, files, without_plots),
    Row(
        "fit_field",
        MORE_OPTIONS | {"curves": tuple({"F775W": curve} for curve in CURVE)},
        table_of,
        lambda sky: ([sky.folder / "C1.fits"], *files(sky)[1:]),
        lambda sky: with_psf(sky) | without_plots(sky),
        words={"curves": "curve"},
    ),
    Row(
        "ConvolvedTemplate2D",
        {
            **FIELD_TRUTH,
            "hst_fwhm": HST["hst_fwhm"],
            "hst_beta": HST["hst_beta"],
            "smoothing": (0.2, 200 * u.mas),
        },
        values_at,
        lambda sky: (sky.template,),
    ),
    Row(
        "MoffatStar2D",
        {
            "flux": (300.0, 300 * u.ct),
            "x_0": (20.3, 20.3 * u.pix),
            "y_0": (19.2, 0.0192 * u.kpix),
            "fwhm": (12.0, 0.012 * u.kpix),
            "beta": (2.4, 240 * u.percent),
            "bg": (2.0, 0.002 * u.kct),
        },
        values_at,
        # These units are those of the coordinates and of the values.
        any_unit=("flux", "x_0"),
    ),
    Row(
        "PointSource2D",
        {
            "flux": (300.0, 300 * u.ct),
            "x_0": (20.3, 20.3 * u.pix),
            "y_0": (19.2, 0.0192 * u.kpix),
            "fwhm": (0.6, 0.01 * u.arcmin),
            "beta": (2.4, 240 * u.percent),
            "e1": (0.1, 10 * u.percent),
            "e2": (-0.2, -20 * u.percent),
            "pixel_scale": (0.2, 200 * u.mas),
        },
        values_at,
        any_unit=("flux",),
    ),
    Row("HstTemplate.turned", {"angle": (0.1, 6 * u.arcmin)}, pixels, lambda sky: (sky.template,)),
    Row(
        "ds9regions.regions_mask",
        {"regions": REGIONS},
        as_list,
        lambda sky: (),
        lambda sky: {"image": sky.muse},
    ),
    Row("make_template", {"margin": HST["margin"]} | PLACES, pixels, images),
    Row("regrid_hst_like_muse", {"margin": HST["margin"]}, pixels, images),
    Row(
        "read_reference",
        {"zeropoint": (25.69, 25.69 * u.ABmag), "pivot": (7692.4, 769.24 * u.nm)},
        lambda found: [found.pixel_flux.value, found.pivot],
        lambda sky: (sky.hst,),
    ),
    Row("HstReference.template", {"margin": HST["margin"]}, pixels, reference),
    Row("HstReference.coarse_template", {"margin": HST["margin"]}, pixels, reference),
    Row("read_hst_psf", {"scale": HST_PSF["hst_psf_scale"]}, attributes, lambda sky: (PSF,)),
    Row(
        "HstPsf",
        {
            "pixel_scale": ((0.03, 0.04), [30, 40] * u.mas, (30 * u.mas, 0.04)),
            "center": ((10.0, 9.0), [10.0, 9.0] * u.pix),
        },
        attributes,
        lambda sky: (PSF,),
    ),
    Row(
        "HstPsf.otf",
        {key: ([0.2, 3.0], [12, 180] / u.arcmin) for key in ("fy", "fx")},
        as_list,
        lambda sky: (astropy_imphot.read_hst_psf(PSF, 0.03),),
    ),
    Row(
        "build_hst_psf",
        {
            "stars": (
                [STAR[:2]],
                [(CENTER.ra.to(u.arcmin), CENTER.dec)],
                [STAR[:2]] * u.deg,
                CENTER.galactic,
                [CENTER],
            ),
            "radius": (0.6, 0.01 * u.arcmin),
        },
        pixels,
        lambda sky: (sky.hst,),
    ),
    Row(
        "FilterCurve",
        {"wavelength": WAVELENGTHS, "sensitivity": ([0.01, 0.02, 0.03], [1, 2, 3] * u.percent)},
        attributes,
    ),
    Row(
        "FilterCurve.integral",
        {"start": (6100.0, 610 * u.nm), "stop": (6900.0, 0.69 * u.um)},
        as_list,
        lambda sky: (sky.curve,),
    ),
    Row("bandpass_image", {"curve": CURVE}, pixels, lambda sky: (sky.cube,)),
    Row(
        "bandpass_images",
        {"curves": tuple([curve] for curve in CURVE)},
        pixels_of_all,
        lambda sky: (sky.cube,),
        words={"curves": "curve"},
    ),
    Row("image_grids_aligned", {"tolerance": (0.5, 0.0005 * u.kpix)}, as_list, lambda sky: sky.two_grids),
    Row("Truth", FIELD_TRUTH, attributes),
    Row(
        "Star",
        {
            "magnitude": (21.4, 21.4 * u.mag, 10 * u.uJy, 21.4 * u.ABmag),
            "x": (1.0, 1000 * u.mas),
            "y": (-2.0, -2000 * u.mas),
            "motion": ((0.25, 0.0), (250 * u.mas, 0.0), [250, 0] * u.mas),
            "brightening": (1.2, 120 * u.percent),
        },
        attributes,
    ),
    Row(
        "CubeTruth",
        TRUTH
        | {
            "slope": (-2e-5, -0.2 * u.mas / u.nm),
            "shift": ((1.0, -0.5), [1000, -500] * u.mas, (1000 * u.mas, -0.5)),
        },
        attributes,
    ),
    Row(
        "CubeTruth.fwhm_at",
        {"wavelength": WAVELENGTHS},
        as_list,
        lambda sky: (simulation.CubeTruth(),),
    ),
    Row(
        "simulate_field",
        DRAWN | {"hst_rotation": (3.0, 180 * u.arcmin), "central_star": (21.4, 10 * u.uJy)},
        drawn_images,
        lambda sky: (5,),
    ),
    Row(
        "simulate_cubes",
        DRAWN | {"wavelengths": WAVELENGTHS, "noise": ([0.1, 0.2, 0.3], [1e-21, 2e-21, 3e-21] * CGS)},
        drawn_cubes,
        lambda sky: (5,),
        lambda sky: {"filters": ["F775W"]},
    ),
    Row(
        "simulate_cubes",
        {"size": (3.0, 0.05 * u.arcmin), "hst_noise": tuple({"F775W": one} for one in DRAWN["hst_noise"])},
        drawn_cubes,
        lambda sky: (5,),
        lambda sky: {"filters": ["F775W"], "wavelengths": [6000.0, 6500.0]},
    ),
    Row(
        "muse_cube",
        {"wavelengths": WAVELENGTHS, "noise": DRAWN["noise"]},
        cube_values,
        lambda sky: (sky.muse,),
        lambda sky: {"seed": 1},
    ),
    Row(
        "sky_grid",
        {
            "pixel_scale": (0.2, 200 * u.mas),
            "rotation": (0.1, 6 * u.arcmin),
            "center": (CENTER, CENTER.galactic),
        },
        grid_values,
        lambda sky: ((5, 7),),
    ),
    Row(
        "with_noise",
        {"noise": DRAWN["noise"], "hst_noise": DRAWN["hst_noise"], "smoothing": (0.7, 0.0007 * u.kpix)},
        drawn_images,
        lambda sky: (sky.field, 5),
    ),
]

# Parameters without a unit: inputs, names, files, switches and counts.
# fmt: off
NO_UNIT = {
    "aliases", "axes", "beta_degree", "camera", "corrections", "cube", "data", "executor", "exposures",
    "extensions", "extramask", "field", "filter_name", "filters", "fit", "fitter", "flags", "footprint",
    "free", "function", "fwhm_degree", "header", "hst", "hst_window", "image", "image_1", "image_2",
    "keep_changed", "keys", "kind", "max_stars", "muse", "n_kept", "n_objects", "n_stars", "name",
    "nprocess", "on_error", "options", "outdir", "oversampling", "overwrite", "path", "plots", "prefix",
    "progress_bar", "psf", "repair", "resample", "response", "restart", "seed", "segment", "shape", "source",
    "spectral_indices", "template", "title", "truth", "truths", "unit", "wave_unit", "wcs", "weights",
    "window", "write_psf",
}
# fmt: on

# Those whose names mean something else elsewhere: an image, or stars that are given by `Star`.
NO_UNIT_HERE = {
    "ConvolvedTemplate2D": {"hst_psf", "sources"},
    "FitImageAndStarPhotometryMP": {"hst_psf"},
    "FitImagePhotometryMP": {"hst_psf"},
    "ds9regions.read_regions": {"grid"},
    "ds9regions.readable_lines": {"grid", "lines"},
    "fit_field": {"hst_psf"},
    "fit_image_and_star_photometry": {"hst_psf"},
    "fit_image_photometry": {"hst_psf"},
    "read_reference": {"mask", "sigma", "weight"},
    "simulate_field": {"stars"},
}

# Results and the like, which the package makes.
MADE_BY_THE_PACKAGE = {
    "FailedPhotometry",
    "FittedField",
    "FittedImagePhotometry",
    "FittedPhotometry",
    "FittedStarPhotometry",
    "FittedValue",
    "HstTemplate",
    "Reference",
    "Reference.of",
    "Reference.once",
    "SimulatedCubes",
    "SimulatedField",
    "StarFit",
}

# What is in the place of **options or **kwargs.
MORE_PARAMETERS = {
    "ConvolvedTemplate2D": astropy_imphot.ConvolvedTemplate2D.param_names,
    "FitImageAndStarPhotometryMP": ImageFitOptions.keywords(),
    "FitImagePhotometryMP": ImageFitOptions.keywords(),
    "FitStarPhotometryMP": StarFitOptions.keywords(),
    "HstReference.coarse_template": ["margin"],
    "HstReference.template": ["margin", "hst_window"],
    "ImphotArgumentParser": [],
    "MoffatStar2D": [],
    "PointSource2D": ["flux", "x_0", "y_0", "fwhm", "beta", "e1", "e2"],
}


SAME = [pytest.param(row, id=f"{row.name}-{'-'.join(row.forms)}") for row in ROWS]


@pytest.mark.parametrize("row", SAME)
def test_forms_that_mean_the_same(sky, row):
    wanted = row.call(sky, 0)
    for number in range(1, max(map(len, row.forms.values()))):
        for one, other in zip(row.call(sky, number), wanted, strict=True):
            # Fits end within a few percent of their errors of the solution.
            assert_allclose(one, other, rtol=2e-3, atol=1e-8)


def spoiled(form, wrong):
    """Return a form with something wrong in the place of each number of its quantities."""
    if isinstance(form, u.Quantity):
        return wrong if form.isscalar else [wrong] * form.size
    if isinstance(form, (tuple, list)):
        return type(form)(spoiled(one, wrong) for one in form)
    return {key: spoiled(one, wrong) for key, one in form.items()} if isinstance(form, dict) else form


def has_quantity(form):
    if isinstance(form, dict):
        form = list(form.values())
    return isinstance(form, u.Quantity) or (isinstance(form, (tuple, list)) and any(map(has_quantity, form)))


WRONG = [
    pytest.param(row, key, form, wrong, id=f"{row.name}-{key}-{number}-{wrong}")
    for row in ROWS
    for key, forms in row.forms.items()
    for number, form in enumerate(forms)
    if key not in row.any_unit and has_quantity(form)
    for wrong in (1 * u.s, "a")
    # What is no number, models refuse by themselves.
    if row.outcome is not values_at or wrong != "a"
]


@pytest.mark.parametrize(("row", "key", "form", "wrong"), WRONG)
def test_wrong_dimension(sky, row, key, form, wrong):
    with pytest.raises(UserError, match=rf"\b{row.words.get(key, key)}\b"):
        row.call(sky, 1, **{key: spoiled(form, wrong)})


def public_callables():
    """Yield the names of functions, classes, and methods; those of models follow astropy.modeling."""
    for module in (astropy_imphot, simulation):
        for name in module.__all__:
            found = getattr(module, name)
            if isinstance(found, type) and issubclass(found, (Enum, Exception)):
                continue
            if isinstance(found, ModuleType):
                yield from (f"{name}.{one}" for one, value in vars(found).items() if is_ours(one, value))
            elif callable(found):
                yield name
            if isinstance(found, type) and not issubclass(found, Model):
                ours = [kind for kind in found.__mro__ if kind.__module__.startswith("astropy_imphot")]
                methods = {one: getattr(found, one) for kind in ours for one in vars(kind)}
                yield from (f"{name}.{one}" for one, value in methods.items() if is_ours(one, value))


def is_ours(name, value):
    return (
        not name.startswith("_")
        and name != "warn"
        and inspect.isroutine(value)
        and value.__module__.startswith("astropy_imphot")
    )


def parameters_of(name):
    """Return the names of a callable's parameters, with those of **options."""
    if name in MADE_BY_THE_PACKAGE:
        return set()
    parameters = inspect.signature(named(name)).parameters.values()
    plain = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    more = MORE_PARAMETERS[name] if len(plain) < len(parameters) else ()
    return (plain | set(more)) - {"self"}


@pytest.mark.parametrize("name", sorted(set(public_callables())))
def test_the_table_is_complete(name):
    with_unit = {key for row in ROWS if row.name == name for key in row.forms}
    assert parameters_of(name) - NO_UNIT - NO_UNIT_HERE.get(name, set()) == with_unit


def test_a_parameter_has_a_unit_wherever_it_occurs():
    assert {key for row in ROWS for key in row.forms} & NO_UNIT == set()
