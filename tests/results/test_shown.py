"""Representations, HTML, reports, and descriptions of columns."""

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

import astropy_imphot
from astropy_imphot import simulation
from astropy_imphot.field.combine import combine
from astropy_imphot.field.run import FittedField
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.representation import in_words
from astropy_imphot.results.columns import describe
from astropy_imphot.simulation import CENTER, simulate_cubes, simulate_field

STAR = (CENTER.ra.deg, CENTER.dec.deg, 2.0)


@pytest.fixture(scope="module")
def drawn():
    return simulate_field(seed=1, size=12.0, central_star=20.0)


@pytest.fixture(scope="module")
def fit(drawn):
    return astropy_imphot.fit_image_photometry(drawn.hst, drawn.muse[0], name="<E1>", fix_beta=2.5)


@pytest.fixture(scope="module")
def star_fit(drawn):
    return astropy_imphot.fit_star_photometry(drawn.hst, drawn.muse[0], STAR, name="E1")


@pytest.fixture(scope="module")
def combined(fit):
    return combine({"F775W": fit}, {"F775W": (7648.0, 434.0)})


@pytest.fixture(scope="module")
def fitted_field(tmp_path_factory, drawn):
    from concurrent.futures import ThreadPoolExecutor

    folder = tmp_path_factory.mktemp("field")
    paths = {name: folder / f"{name}.fits" for name in ("hst", "E1", "E2")}
    for name, image in {"hst": drawn.hst, "E1": drawn.muse[0]}.items():
        astropy_imphot.write_image(image, paths[name])
    paths["E2"].write_text("not a FITS file")
    with ThreadPoolExecutor(1) as executor:
        options = {"star": STAR, "plots": False, "executor": executor}
        return astropy_imphot.fit_field([paths["E1"], paths["E2"]], [paths["hst"]], folder / "out", **options)


@pytest.fixture(scope="module")
def objects(drawn, fit, star_fit, combined, fitted_field):
    """An object of every public class."""
    curve = astropy_imphot.FilterCurve(np.linspace(6000, 9000, 900), np.ones(900), name="flat")
    batches = [astropy_imphot.FitImagePhotometryMP, astropy_imphot.FitImageAndStarPhotometryMP]
    grid = np.mgrid[:41, :41] - 20
    shown = [
        fit.fitted_model,
        astropy_imphot.ExposureFlags(127),
        astropy_imphot.FailedPhotometry(name="E1", error="why " * 1000),
        curve,
        astropy_imphot.FileError("E1.fits does not exist."),
        astropy_imphot.FitFlags(511),
        batches[0](drawn.hst, drawn.muse),
        batches[1](drawn.hst, drawn.muse, STAR),
        astropy_imphot.FitStarPhotometryMP(drawn.hst, drawn.muse, STAR),
        fitted_field,
        fit,
        star_fit,
        fit.fwhm,
        astropy_imphot.HstFilterInfo("F775W"),
        astropy_imphot.read_hst_psf(np.exp(-(grid**2).sum(axis=0) / 4.5), 0.03),
        astropy_imphot.HstReference(drawn.hst),
        astropy_imphot.read_reference(drawn.hst),
        fit.fitted_model.template,
        astropy_imphot.ImphotArgumentParser(prog="a command"),
        astropy_imphot.ImphotWarning("E1.fits has no variances."),
        astropy_imphot.MoffatStar2D(),
        astropy_imphot.PointSource2D(),
        star_fit.muse_fit,
        astropy_imphot.UserError("E1.fits does not exist."),
        astropy_imphot.WorkerError("E1.fits", "its worker was killed."),
        # Attributes and results of public classes.
        drawn,
        drawn.truth[0],
        simulate_cubes(1, size=6.0, filters=["F775W"], wavelengths=np.array([7000.0, 7100.0])),
        simulation.CubeTruth(),
        simulation.Star(20.0, 1.0, 2.0),
        combined,
        fit.fitted_model._convolver,
        fit.fitted_model.template.aliases,
        read_grid(drawn.hst),
    ]
    return {type(one).__name__: one for one in shown}


NAMES = sorted(
    {
        name
        for module in (astropy_imphot, simulation)
        for name in module.__all__
        if inspect.isclass(getattr(module, name)) and name != "FittedPhotometry"
    }
    | {"CombinedPhotometry", "TemplateConvolver", "Grid"}
)


@pytest.mark.parametrize("name", NAMES)
def test_representations_are_short(objects, name):
    for text in (repr(objects[name]), str(objects[name])):
        assert len(text) < 1000
        assert len(text.splitlines()) <= 16
    assert name in repr(objects[name])


def test_representations_contain_the_main_values(fit, fitted_field, drawn):
    assert str(fit.fwhm) in repr(fit)
    assert "flags=none" in repr(replace(fit, flags=astropy_imphot.FitFlags(0)))
    assert "MANY_CHANGED" in repr(replace(fit, flags=astropy_imphot.FitFlags.MANY_CHANGED))
    assert "beta: 2.5 (fixed)" in str(fit)
    assert "failures=E2" in repr(fitted_field)
    assert repr(read_grid(drawn.muse[0])).startswith("<Grid: shape=(60, 60), unit='1e-20 erg")
    assert in_words("x" * 1000) == "'" + "x" * 76 + "..."
    assert in_words({}) == "none"


class Text(HTMLParser):
    """The text in HTML, whose tags have to match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found, self.images = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.found.append(data)


def test_html_of_an_image_fit(fit):
    shown = Text(replace(fit, flags=astropy_imphot.FitFlags.FEW_PIXELS)._repr_html_())
    words = shown.found
    assert "<E1>" in words
    for key, value in fit.values.items():
        assert f"{key} {value}".startswith(f"{key} {words[words.index(key) + 1]}")
    assert "FEW_PIXELS: few pixels were fitted" in words
    assert "sky_center" in words
    (image,) = shown.images
    assert pixels(image).shape[:2] == (60, 60 * 3 + 2 * 3)


def pixels(address):
    import base64
    import io

    from matplotlib.image import imread

    assert address.startswith("data:image/png;base64,")
    return imread(io.BytesIO(base64.b64decode(address.split(",")[1])))


def test_a_picture_is_small_and_the_right_way_up():
    from astropy.nddata import CCDData

    from astropy_imphot.results.html import picture

    data = np.zeros((400, 310))
    data[:100, :100] = 1
    mask = np.zeros(data.shape, bool)
    mask[-5:] = True
    data[-5:] = np.nan
    image = CCDData(data, mask=mask, unit="ct")
    shown = pixels(picture("a title", image, image, np.zeros(data.shape))["a title"])
    assert max(shown.shape) < 400
    third = shown[:, : shown.shape[1] // 3]
    # The bright corner is at the lower left.
    assert not np.array_equal(third[-5, 5], third[5, 5])
    assert np.array_equal(third[-5, -15], third[5, 5])
    assert np.isfinite(shown).all()


def test_html_of_a_star_fit(star_fit):
    shown = Text(star_fit._repr_html_())
    assert len(shown.images) == 2
    assert "FWHM of the star, HST image" in shown.found


def test_html_of_a_field(fitted_field):
    words = Text(fitted_field._repr_html_()).found
    assert "E1" in words
    assert "FITS" in words[-1]
    many = FittedField(
        results=fitted_field.results,
        exposures=fitted_field.exposures[np.zeros(60, int)],
        failures={},
        report=fitted_field.report,
    )
    assert "60 exposures, the first 50 of which are:" in Text(many._repr_html_()).found
    assert Text(many._repr_html_()).found.count("E1") == 50


def test_html_without_matplotlib(fit, monkeypatch):
    for name in ("matplotlib", "matplotlib.image"):
        monkeypatch.setitem(sys.modules, name, None)
    shown = Text(fit._repr_html_())
    assert shown.images == []
    assert "scale" in shown.found


def test_pictures_leave_pyplot_alone():
    code = """
import sys
import numpy as np
from astropy.nddata import CCDData
from astropy_imphot.results.html import picture
image = CCDData(np.eye(9), mask=np.zeros((9, 9), bool), unit="ct")
assert picture("a title", image, image, np.eye(9))
print("matplotlib.pyplot" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def tables(fit, star_fit, combined, fitted_field):
    return {
        "image": fit.to_table(),
        "stars": star_fit.to_table(),
        "failed": astropy_imphot.FailedPhotometry(name="E1", error="why").to_table(),
        "objects": fit.objects,
        "combined": combined.to_table(),
        "results": fitted_field.results,
        "exposures": fitted_field.exposures,
        "results.ecsv": QTable.read(fitted_field.report.with_name("results.ecsv")),
        "exposures.ecsv": QTable.read(fitted_field.report.with_name("exposures.ecsv")),
    }


def test_every_column_has_a_description(fit, star_fit, combined, fitted_field):
    for name, table in tables(fit, star_fit, combined, fitted_field).items():
        for key in table.colnames:
            assert table[key].info.description, f"{key} of {name}"
    assert fit.to_table()["dx_err"].info.description == "standard deviation of dx"
    assert fitted_field.exposures["fwhm"].info.description == "FWHM of the MUSE PSF, at 7000 Angstrom"
    assert fitted_field.results["flags"].info.description == "sum of FitFlags"
    assert fitted_field.exposures["flags"].info.description == "sum of ExposureFlags"
    with pytest.raises(ValueError, match="the column q has no description"):
        describe(QTable({"q": [1]}), {})


@pytest.mark.parametrize("suffix", ["ecsv", "fits"])
def test_objects_are_on_the_sky_and_can_be_written(fit, tmp_path, suffix):
    objects = fit.objects
    assert isinstance(objects["sky_center"], SkyCoord)
    x, y = fit.data.wcs.world_to_pixel(objects["sky_center"])
    assert np.allclose([x, y], [objects["x"].value, objects["y"].value])
    objects.write(tmp_path / f"objects.{suffix}")
    again = QTable.read(tmp_path / f"objects.{suffix}")
    assert np.all(again["sky_center"].separation(objects["sky_center"]) < 1 * u.uas)
    assert np.array_equal(again["dx"], objects["dx"])
    assert again["dx"].info.description == "offset along x less that of the field"


def test_the_report_is_aligned(fit, star_fit):
    for result in (fit, star_fit):
        lines = result.report().splitlines()
        assert max(len(line) for line in lines if "flag " not in line) < 100
        rows = lines[2 : 2 + len(result.values)]
        assert lines[1].split() == ["value", "error", "naive", "unit"]
        ends = {name: lines[1].index(name) + len(name) for name in ("value", "error", "naive")}
        for row, (key, value) in zip(rows, result.values.items(), strict=True):
            words = result.parameters[key].words
            assert row.startswith(f"  {key} ")
            assert row.endswith(f"  {words}")
            assert row.index(words) == rows[0].index(result.parameters["scale"].words)
            shown = str(value).split()
            assert row[: ends["value"]].split()[-1] == shown[0]
            error = "fixed" if value.fixed else shown[2]
            assert row[: ends["error"]].split()[-1] == error
            # Once only.
            assert value.fixed or len(re.findall(rf"(?<![\d.]){re.escape(error)}(?!\d)", row)) <= 2
            assert bool(row[ends["error"] : ends["naive"]].strip()) == (key in result.free)


def test_dir_is_complete():
    names = dir(astropy_imphot)
    assert set(astropy_imphot.__all__) <= set(names)
    assert {"fit_field", "FittedField", "__version__"} <= set(names)
