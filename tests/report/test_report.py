"""The report of a field is one safe file that works in a browser."""

import re
import shutil
import sys
from html.parser import HTMLParser
from importlib import resources

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table, vstack

from astropy_imphot import fit_image_photometry
from astropy_imphot.io.errors import UserError
from astropy_imphot.products.plots import new_figure
from astropy_imphot.report.cells import label, texts, with_error
from astropy_imphot.report.figures import (
    fwhm_against_time,
    fwhm_against_wavelength,
    scale_and_background,
    sky_offsets,
)
from astropy_imphot.report.page import write_report
from astropy_imphot.report.pictures import exposure_picture, save_jpeg
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags, FitFlags
from astropy_imphot.results.photometry import FailedPhotometry
from astropy_imphot.simulation import Truth, simulate_field

FLUX = u.Unit(1e-20 * u.erg / u.s / u.cm**2 / u.AA)
FILTERS = {"F606W": 5921.0, "F775W": 7648.0, "F814W": 8045.0, "F850LP": 9031.0}
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
UNITS = {
    "scale": u.one,
    "bg": FLUX,
    "dx": u.arcsec,
    "dy": u.arcsec,
    "fwhm": u.arcsec,
    "beta": u.one,
    "dra": u.arcsec,
    "ddec": u.arcsec,
}
ERRORS = {"scale": 0.008, "bg": 0.15, "dx": 3e-3, "dy": 3e-3, "fwhm": 9e-3, "beta": 0.08}
ERRORS |= {"dra": 3e-3, "ddec": 3e-3}
META = {
    "options": {"margin": 3.0, "filters": list(FILTERS), "field": HOSTILE},
    "versions": {"astropy_imphot": "0.1", "astropy": "7.0"},
    "inputs": {"hst": "hst/udf_*.fits"},
}


def make_tables(count, filters=FILTERS, failed=(), objects="UDF-10"):
    """Tables such as a run over a field gives; exposures of which the index is in failed have no values."""
    rng = np.random.default_rng(count)
    results, exposures = [], []
    for index in range(count):
        name = f"MUSE_2014-09-{1 + index // 12:02d}T{index % 12:02d}"
        common = {"fwhm": rng.uniform(0.5, 0.9), "beta": rng.uniform(2.3, 3.1), "scale": rng.normal(1, 0.03)}
        common |= {key: rng.normal(0, 0.2) for key in ("dx", "dy", "dra", "ddec")}
        lost = index in failed
        for filter_name, wavelength in filters.items():
            row = {"exposure": name, "filter": filter_name, "wavelength": wavelength * u.AA}
            row |= {
                "file": f"{name}_{filter_name}.fits",
                "name": name,
                "method": "failed" if lost else "image",
            }
            true = common | {"bg": rng.normal(0, 1)}
            true["fwhm"] -= 2e-5 * (wavelength - 7000)
            for key, unit in UNITS.items():
                row[key] = (np.nan if lost else rng.normal(true[key], ERRORS[key])) * unit
                row[f"{key}_err"] = (np.nan if lost else ERRORS[key]) * unit
            row |= {"rms": (np.nan if lost else 0.21) * FLUX, "rchi": np.nan if lost else 1.03}
            row |= {"n_pixels": 0 if lost else 88211, "flags": 0}
            row["error"] = f"{row['file']} ends before its data do {HOSTILE}" if lost else ""
            results.append(row)
        row = {"exposure": name, "file": f"{name}.fits", "object": objects}
        row |= {"date_obs": f"2014-09-{1 + index // 12:02d}T{index % 12:02d}:30:00"}
        row |= {"mjd_obs": 56901.02 + index // 12 + index % 12 / 24, "filters": ",".join(filters)}
        for key in ("dx", "dy", "dra", "ddec", "scale", "fwhm", "beta"):
            row[key] = (np.nan if lost else common[key]) * UNITS[key]
            row[f"{key}_err"] = (np.nan if lost else 0.5 * ERRORS[key]) * UNITS[key]
        row |= {"radec_corr": np.nan if lost else rng.uniform(-0.5, 0.5)}
        coefficients = np.array([-0.092, common["fwhm"]])
        row |= {"fwhm_coef": (np.nan if lost else 1) * coefficients * u.arcsec}
        row |= {"beta_coef": (np.nan if lost else 1) * np.array([0.0, common["beta"]])}
        row |= {"chi2": np.nan if lost else rng.chisquare(12), "dof": 0 if lost else 12, "outliers": ""}
        row |= {"flags": 0, "error": f"every filter failed {HOSTILE}" if lost else ""}
        exposures.append(row)
    return tuple(
        QTable({key: _column([row[key] for row in rows]) for key in rows[0]}) for rows in (results, exposures)
    )


def _column(values):
    return u.Quantity(values) if isinstance(values[0], u.Quantity) else values


@pytest.fixture(scope="module")
def fit():
    field = simulate_field(3, size=12.0, truth=[Truth(dx=0.1, scale=0.95)])
    return fit_image_photometry(field.hst, field.muse[0], name="E1")


@pytest.fixture(scope="module")
def picture(fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "E1.jpg"
    save_jpeg(exposure_picture({"F775W": fit, "F814W": FailedPhotometry(name="E1", error="none")}), path)
    return path


@pytest.fixture(scope="module")
def report(picture, tmp_path_factory):
    """Twelve exposures, of which the fourth failed and two are flagged; all text is hostile."""
    results, exposures = make_tables(12, failed=[3], objects=HOSTILE)
    exposures["flags"][1] = int(ExposureFlags.OUTLYING_OFFSET | ExposureFlags.DOUBTFUL_FIT)
    exposures["flags"][7] = int(ExposureFlags.FILTER_MISSING)
    exposures["outliers"] = ["", HOSTILE] + [""] * 10
    exposures["file"] = [f"{HOSTILE}{index}.fits" for index in range(12)]
    results["flags"][4] = int(FitFlags.AT_BOUND)
    # Lengths differ, so that an order of letters is not one of numbers.
    exposures["scale"][:3] = [10.5, 9.25, -0.5]
    names = texts(exposures, "exposure")
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, results, exposures, {name: picture for name in names if name != names[3]}, meta=META)
    return path


class Tags(HTMLParser):
    """Collects the elements of a page, and what is between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "col", "img", "input", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


TEMPLATES = list(resources.files("astropy_imphot.report").joinpath("templates").iterdir())


def test_every_text_is_escaped(tmp_path):
    """Whatever a table, the options or a file's name have, it is text in the page, and HTML allows it."""
    odd = "a\x00b\u202ec\udc80"
    results, exposures = make_tables(2, filters={HOSTILE: 7648.0}, failed=[1])
    for table in (results, exposures):
        table["exposure"] = [f"{HOSTILE}{name}" for name in table["exposure"]]
        table["error"] = [f"{odd}{text}" if text else "" for text in table["error"]]
    exposures["date_obs"], exposures["object"] = [HOSTILE] * 2, [odd] * 2
    results["method"] = [HOSTILE] * 2
    keys = ("inputs", "options", "versions", "runs")
    meta = {key: {HOSTILE: f"{key} {HOSTILE}", odd: [HOSTILE, 1]} for key in keys}
    write_report(tmp_path / "report.html", results, exposures, {}, meta=meta)
    parsed = Tags((tmp_path / "report.html").read_text())
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    words = "".join(parsed.words)
    assert "a\ufffdb\ufffdc?" in words
    for key in keys:
        assert f"{key} {HOSTILE}" in words
    # Names, methods and times are shown in their cells; attributes have them as well.
    assert words.count(HOSTILE) > 15
    labels = [attributes["aria-label"] for _, attributes in parsed.tags if "aria-label" in attributes]
    assert sum(HOSTILE in label for label in labels) == 2
    assert all(c.isprintable() or c in "\n\t" for c in words)


@pytest.mark.parametrize("template", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_templates_escape(template):
    source = template.read_text()
    assert re.findall(r"(\w+) *\| *safe", source) == (
        ["style", "script"] if template.name == "page.html" else []
    )
    assert "autoescape" not in source
    # Escaped text could still end an attribute without quotes.
    assert not re.search(r"=\s*\{\{", source)


def test_numbers_and_texts_of_masked_columns():
    table = QTable(
        {"a": [1.0, 2.0] * u.arcsec, "b": [1, 2], "c": ["x", "y"], "d": [[1.0, 2.0], [3.0, 4.0]] * u.one},
        masked=True,
    )
    table["a"].mask[1] = True
    for name in "bc":
        table[name].mask[1] = True
    assert np.array_equal(numbers(table, "a"), [1, np.nan], equal_nan=True)
    assert np.array_equal(numbers(table, "b"), [1, np.nan], equal_nan=True)
    assert numbers(table, "d").shape == (2, 2)
    assert texts(table, "c") == ["x", ""]


def test_values_with_errors():
    assert with_error(1234.5678, 12.0) == "1235 ± 12"
    assert with_error(0.5, 9.96e-4) == "0.5000 ± 0.0010"
    assert with_error(0.5, np.nan) == "0.5 ± ?"


def test_labels():
    assert label("$x_1$") == r"\$x_1\$"
    assert label("_hidden") == " _hidden"
    assert label("\u4e2d\n") == "??"


def test_page_is_whole_and_safe(report):
    page = report.read_text()
    parsed = Tags(page)
    assert parsed.open == []
    assert not re.search(r"https?://", page, re.IGNORECASE)
    assert "@import" not in page
    assert "url(" not in page
    names = [tag for tag, _ in parsed.tags]
    assert names.count("script") == 1
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(names)
    for _, attributes in parsed.tags:
        assert not [key for key in attributes if key.startswith("on")]
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert attributes.get("href", "#").startswith("#")
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {attributes["href"][1:] for _, attributes in parsed.tags if "href" in attributes}
    assert links <= set(ids)
    # In the title, the cells, the errors, the file names and the options.
    assert "".join(parsed.words).count(HOSTILE) > 30
    assert "<script>alert" not in page
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 4 + 11
    assert all(len(attributes["alt"]) > 20 for attributes in images)


def test_page_says_all(report):
    words = " ".join("".join(Tags(report.read_text()).words).split())
    assert "12 exposures in F606W, F775W, F814W, F850LP: 1 failed, 2 flagged." in words
    assert "astropy_imphot 0.1, astropy 7.0" in words
    for kind in (ExposureFlags, FitFlags):
        for flag in kind:
            assert flag.meaning in words
    assert "every filter failed" in words
    assert "hst/udf_*.fits" in words


def test_failures_write_nothing(tmp_path):
    results, exposures = make_tables(1)
    with pytest.raises(UserError, match="no folder"):
        write_report(tmp_path / "none" / "report.html", results, exposures, {}, meta={})


def test_without_matplotlib(tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    results, exposures = make_tables(2)
    write_report(tmp_path / "report.html", results, exposures, {}, meta=META)
    page = (tmp_path / "report.html").read_text()
    assert "No figures: plots need matplotlib" in page
    assert "<img" not in page


def test_without_jinja2(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    results, exposures = make_tables(2)
    with pytest.raises(UserError, match=r"need Jinja2: pip install .*\[report\]"):
        write_report(tmp_path / "report.html", results, exposures, {}, meta=META)
    assert list(tmp_path.iterdir()) == []


def test_tables_from_files(tmp_path):
    """Tables come back from files with masks, and without quantities."""
    results, exposures = make_tables(3, failed=[1])
    for table, name in ((results, "results"), (exposures, "exposures")):
        table.write(tmp_path / f"{name}.ecsv")
        table.write(tmp_path / f"{name}.fits")
    for suffix in ("ecsv", "fits"):
        read = [Table.read(tmp_path / f"{name}.{suffix}") for name in ("results", "exposures")]
        write_report(tmp_path / "report.html", *read, {"E1": "gone.jpg"}, meta=META)
        assert "3 exposures in F606W" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("filters", [FILTERS, {"F775W": 7648.0}], ids=["four", "one"])
@pytest.mark.parametrize(
    ("count", "failed"), [(1, []), (1, [0]), (5, [0, 4]), (300, [3])], ids=["1", "none", "5", "300"]
)
def test_figures(count, failed, filters):
    results, exposures = make_tables(count, filters, failed)
    exposures["flags"][-1] = int(ExposureFlags.OUTLYING_OFFSET)
    for figure in (
        fwhm_against_wavelength(results, exposures),
        fwhm_against_time(exposures),
        sky_offsets(exposures),
        scale_and_background(results, exposures),
    ):
        figure.canvas.draw()
        words = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert any("no exposure" in text for text in words) == (
            count == len(failed) and len(figure.axes) == 1
        )


@pytest.mark.parametrize(("filters", "curves"), [(FILTERS, 2), ({"F775W": 7648.0}, 0)], ids=["four", "one"])
def test_one_filter_knows_of_no_slope(filters, curves, tmp_path):
    results, exposures = make_tables(2, filters)
    axes = fwhm_against_wavelength(results, exposures).axes[0]
    assert sum(len(line.get_xdata()) > len(filters) for line in axes.lines) == curves
    # A star has a row for each filter as well.
    axes = fwhm_against_wavelength(vstack([results, results]), exposures).axes[0]
    assert sum(len(line.get_xdata()) > 2 * len(filters) for line in axes.lines) == curves
    exposures["chi2"], exposures["dof"] = 0.0, 0
    write_report(tmp_path / "report.html", results, exposures, {}, meta=META)
    assert "0.0/0" not in (tmp_path / "report.html").read_text()


def test_figures_of_odd_names_and_times():
    results, exposures = make_tables(3)
    for table in (results, exposures):
        table["exposure"] = [f"_$\\frac{name}\u4e2d" for name in table["exposure"]]
    exposures["mjd_obs"] = np.nan
    fwhm_against_wavelength(results, exposures).canvas.draw()
    sky_offsets(exposures).canvas.draw()
    axes = fwhm_against_time(exposures).axes[0]
    assert axes.texts[0].get_text() == "no exposure has a time and a FWHM"


def test_ellipses():
    _, exposures = make_tables(1)
    exposures["dra_err"], exposures["ddec_err"] = 0.02 * u.arcsec, 0.01 * u.arcsec
    exposures["radec_corr"] = 0.6
    (ellipses,) = [
        c for c in sky_offsets(exposures).axes[0].collections if len(c.get_paths()[0].vertices) > 30
    ][:1]
    offsets = ellipses.get_paths()[0].vertices - [exposures["dra"][0].value, exposures["ddec"][0].value]
    covariance = np.array([[4e-4, 1.2e-4], [1.2e-4, 1e-4]])
    distance = np.einsum("ij,jk,ik->i", offsets, np.linalg.inv(covariance), offsets)
    assert np.allclose(distance, 1)


def test_picture(fit, picture):
    from PIL import Image

    figure = exposure_picture([fit, fit])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["MUSE", "model", "MUSE - model"]
    assert figure.axes[0].get_ylabel().startswith("E1")
    assert 2000 < picture.stat().st_size < 100_000
    with Image.open(picture) as image:
        assert image.format == "JPEG"
        assert image.width == 900


def test_pictures_are_small(tmp_path):
    figure = new_figure(9, 9)
    figure.add_subplot().imshow(np.random.default_rng(1).normal(size=(900, 900)))
    save_jpeg(figure, tmp_path / "best.jpg", largest=10_000_000)
    save_jpeg(figure, tmp_path / "small.jpg", largest=200_000)
    sizes = [(tmp_path / f"{name}.jpg").stat().st_size for name in ("best", "small")]
    assert sizes[0] > 1.5 * sizes[1]


CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 400], ids=["wide", "narrow"])
def page(browser, report, request):
    """The report in a browser; whatever went wrong in it fails the test."""
    context = browser.new_context(viewport={"width": request.param, "height": 800})
    context.set_default_timeout(10_000)
    page = context.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda sent: wrong.append(sent.url) if sent.url.startswith("http") else None)
    page.goto(report.as_uri())
    yield page
    context.close()
    assert wrong == []


def shown_rows(page, column=None):
    """What a column shows of the rows that are not filtered out."""
    cells = page.locator(f"#exposure-table tbody tr:visible > :nth-child({column or 1})")
    return cells.all_inner_texts()


def column_of(page, name):
    return page.locator("#exposure-table thead th").all_inner_texts().index(name) + 1


def test_sorting(page):
    column = column_of(page, "scale")
    header = page.locator(f"#exposure-table thead th:nth-child({column})")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    values = shown_rows(page, column)
    known = [float(value.split()[0]) for value in values[:-1]]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (-0.5, 10.5)
    # What failed has no scale: it is the last in both directions.
    assert values[-1] == ""
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    values = shown_rows(page, column)
    assert [float(value.split()[0]) for value in values[:-1]] == known[::-1]
    assert values[-1] == ""
    page.get_by_role("button", name="no.").press("Space")
    assert header.get_attribute("aria-sort") is None
    assert shown_rows(page) == [str(number) for number in range(1, 13)]
    page.get_by_role("button", name="exposure", exact=True).click()
    names = shown_rows(page, 2)
    assert names == sorted(names)


def test_filtering(page):
    box = page.get_by_label("Search")
    assert page.locator("#count").inner_text() == "12 of 12 shown"
    box.fill("outlying_offset")
    assert shown_rows(page) == ["2"]
    assert page.locator("details.exposure:visible").count() == 1
    assert page.locator("#count").inner_text() == "1 of 12 shown"
    # The flag of a fit, and the text of an error, which are only in the exposure's section.
    for words, rows in (("AT_BOUND", ["2"]), ("ends before", ["4"]), ("T05 muse", ["6"]), ("no such", [])):
        box.fill(words)
        assert shown_rows(page) == rows
    box.fill("")
    page.get_by_label("only flagged or failed").check()
    assert shown_rows(page) == ["2", "4", "8"]
    box.fill("filter_missing")
    assert shown_rows(page) == ["8"]
    page.get_by_label("only flagged or failed").uncheck()
    box.fill("")
    assert len(shown_rows(page)) == 12


def test_flags_have_meanings(page):
    flag = page.locator("#exposure-table abbr").first
    assert flag.get_attribute("title") == ExposureFlags[flag.inner_text()].meaning


def test_links_open_the_exposure(page):
    link = page.locator("#exposure-table tbody a").nth(4)
    section = page.locator("#exposure-5")
    assert section.locator("table").is_hidden()
    link.click()
    assert section.locator("table").is_visible()
    assert page.evaluate("document.querySelector('#exposure-5').getBoundingClientRect().top") < 800
    section.locator("summary").click()
    assert section.locator("table").is_hidden()
    link.click()
    assert section.locator("table").is_visible()
    page.locator("#exposure-4 summary").press("Enter")
    assert HOSTILE in page.locator("#exposure-4 .error").inner_text()


def test_links_from_outside_open_the_exposure(browser, report):
    page = browser.new_page()
    page.goto(f"{report.as_uri()}#exposure-9")
    assert page.locator("#exposure-9 table").is_visible()
    page.close()


def test_all_images_load_and_nothing_is_too_wide(page):
    page.get_by_role("button", name="Open all").click()
    images = page.locator("img")
    assert images.count() == 15
    for image in images.all():
        image.evaluate("image => image.decode()")
        assert image.evaluate("image => image.naturalWidth") > 0
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing is cut off either: what is wider is in a container that scrolls.
    too_wide = """things => things.filter(thing => !thing.closest(".scroll, [hidden]")
        && thing.getBoundingClientRect().right > innerWidth + 1).length"""
    assert page.locator("main *").evaluate_all(too_wide) == 0
    page.get_by_role("button", name="Close all").click()
    assert page.locator("details[open]").count() == 0


def test_title_is_text(page):
    assert page.title() == f"{HOSTILE}: MUSE exposures compared with HST images"
    assert page.locator("h1").inner_text() == f"{HOSTILE}: MUSE exposures compared with HST images"


def test_foreign_scripts_do_not_run(browser, report, tmp_path):
    """Even if an escape were missing, the policy stops what is not the report's own."""
    changed = tmp_path / "changed.html"
    text = report.read_text().replace(
        "<main>", f"<main>{HOSTILE}<script>document.title = 'owned'</script>", 1
    )
    changed.write_text(text)
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: (said.append("dialog"), dialog.dismiss()))
    page.goto(changed.as_uri())
    assert page.title() != "owned"
    assert "dialog" not in said
    assert any("Content Security Policy" in text for text in said)
    assert page.locator("#count").inner_text() == "12 of 12 shown"
    page.close()


def test_without_scripts(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#exposure-table tbody tr").count() == 12
    assert page.locator("#search").is_hidden()
    context.close()


@pytest.mark.parametrize("count", [1, 300])
def test_few_and_many(browser, tmp_path, count):
    results, exposures = make_tables(count)
    write_report(tmp_path / "report.html", results, exposures, {}, meta=META)
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("#count").inner_text() == f"{count} of {count} shown"
    page.get_by_role("button", name="fwhm").click()
    known = [float(value.split()[0]) for value in shown_rows(page, column_of(page, "fwhm (″)"))]
    assert known == sorted(known)
    page.close()
