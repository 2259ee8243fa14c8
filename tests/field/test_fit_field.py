"""From exposures to a calibrated data set: truth, files, interruptions, and what goes wrong."""

import functools
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from regions import CircleSkyRegion, Regions

from astropy_imphot import FilterCurve, UserError, fit_field, read_hst_psf, write_image
from astropy_imphot.cli.fit_field import main
from astropy_imphot.field.compare import compare_exposures
from astropy_imphot.field.html import field_as_html
from astropy_imphot.field.settings import describe_curves, find_curves
from astropy_imphot.psf.wavelength import REFERENCE, relative
from astropy_imphot.reference import image as reference
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags
from astropy_imphot.results.values import with_error
from astropy_imphot.simulation import CENTER, CubeTruth, Truth, simulate_cubes, simulate_field

HOSTILE = "<script>alert(1)</script>"

TRUTHS = [
    CubeTruth(dx=0.21, dy=-0.13, scale=0.93, bg=0.8, fwhm=0.62, slope=-4e-5, beta=2.4),
    CubeTruth(dx=-0.3, dy=0.25, scale=1.05, bg=-0.5, fwhm=0.78, slope=-3e-5, beta=2.8),
    CubeTruth(dx=0.05, dy=0.4, scale=0.98, bg=0.2, fwhm=0.55, slope=-2e-5, beta=2.2),
    CubeTruth(
        dx=-0.1,
        dy=-0.2,
        scale=1.1,
        bg=0.5,
        fwhm=0.7,
        slope=-5e-5,
        beta=3.0,
        shape=(128, 124),
        shift=(0.07, -0.05),
    ),
]


def run_here(exposures, hst, outdir, **options):
    """Fit in this process."""
    with ThreadPoolExecutor(1) as executor:
        return fit_field(exposures, hst, outdir, executor=executor, **options)


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """Four cubes and the HST images of four filters, in files."""
    folder = tmp_path_factory.mktemp("cubes")
    field = simulate_cubes(3, TRUTHS, size=25.0, wavelengths=np.arange(4800.0, 9400.0, 200.0))
    hst = [str(folder / f"hst_{name}.fits") for name in field.hst]
    for path, image in zip(hst, field.hst.values(), strict=True):
        write_image(image, path)
    exposures = [str(folder / f"DATACUBE_E{number + 1}.fits") for number in range(len(TRUTHS))]
    for path, cube in zip(exposures, field.cubes, strict=True):
        cube[0].header["OBJECT"] = HOSTILE
        cube.writeto(path)
    return exposures, hst


@pytest.fixture(scope="module")
def found(cubes, tmp_path_factory):
    """What fit_field makes of them, and where."""
    exposures, hst = cubes
    outdir = tmp_path_factory.mktemp("field") / "out"
    return run_here(exposures, hst, outdir, write_psf="copy"), outdir


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Eight small exposures as images, with one HST image."""
    folder = tmp_path_factory.mktemp("images")
    truth = [Truth(dx=0.04 * number, fwhm=0.6 + 0.03 * number) for number in range(8)]
    field = simulate_field(seed=2, size=12.0, truth=truth)
    write_image(field.hst, folder / "hst.fits")
    paths = [str(folder / f"E{number}.fits") for number in range(8)]
    for path, image in zip(paths, field.muse, strict=True):
        write_image(image, path)
    return paths, [str(folder / "hst.fits")]


def test_truth_is_recovered(found):
    table = found[0].exposures
    # A filter may differ by chance.
    assert list(table["filters"]).count("F606W,F775W,F814W,F850LP") >= 3
    pulls = {
        key: (numbers(table, key) - [getattr(truth, key) for truth in TRUTHS]) / numbers(table, f"{key}_err")
        for key in ("dx", "dy", "scale", "beta")
    }
    assert np.max(np.abs(list(pulls.values()))) < 4
    assert 0.4 < np.sqrt(np.mean(np.square(list(pulls.values())))) < 1.7
    for coefficients, truth in zip(table["fwhm_coef"].value, TRUTHS, strict=True):
        for wavelength in (5500.0, REFERENCE, 9000.0):
            fwhm = np.polyval(coefficients, relative(wavelength))
            assert fwhm == pytest.approx(truth.fwhm_at(wavelength), rel=0.01)


def test_filters_together_know_the_offset_better(found):
    results, table = found[0].results, found[0].exposures
    for row in table:
        of_exposure = results[results["exposure"] == row["exposure"]]
        of_exposure = of_exposure[np.isin(of_exposure["filter"], row["filters"].split(","))]
        for key in ("dx", "dy", "dra", "ddec"):
            assert row[f"{key}_err"] < of_exposure[f"{key}_err"].min()
            assert row[f"{key}_err"] > 0.4 * of_exposure[f"{key}_err"].min()


def test_files(found):
    outdir = found[1]
    assert sorted(path.name for path in outdir.iterdir()) == [
        "OFFSET_LIST.fits",
        "exposures",
        "exposures.ecsv",
        "fit_field.json",
        "report.html",
        "results.ecsv",
    ]
    results = QTable.read(outdir / "results.ecsv")
    assert len(results) == 16
    assert results["dx"].unit == "arcsec"
    one = outdir / "exposures" / "DATACUBE_E1"
    assert {"IMPHOT.fits", "picture.jpg", "results.ecsv", "exposure.ecsv"} <= {
        path.name for path in one.iterdir()
    }
    assert list(fits.getdata(one / "IMPHOT.fits", 1)["filter"]) == ["F606W", "F775W", "F814W", "F850LP"]
    report = (outdir / "report.html").read_text()
    assert "alert(1)" in report
    assert HOSTILE not in report


@pytest.mark.filterwarnings("default:there will be no report.html")
def test_without_jinja2(images, tmp_path, monkeypatch, capsys):
    """The run is done without a report, and the user knows before it starts."""
    outdir = tmp_path / "out"
    assert run_here(images[0][:1], images[1], outdir, plots=False).report == outdir / "report.html"
    monkeypatch.setitem(sys.modules, "jinja2", None)
    told_before = []

    def bar(fits):
        told_before.append(len(told))
        return fits

    with pytest.warns(UserWarning, match=r"no report.html: .*pip install .*\[report\]") as told:
        found = run_here(images[0][:1], images[1], outdir, plots=False, restart=True, progress_bar=bar)
    assert told_before == [1]
    assert Path(told[0].filename).name == Path(__file__).name
    assert found.report is None
    # Not that of the earlier run either.
    assert {path.name for path in outdir.iterdir()} == {
        "OFFSET_LIST.fits",
        "exposures",
        "exposures.ecsv",
        "fit_field.json",
        "results.ecsv",
    }
    command = [images[0][0], "--hst", *images[1], "--outdir", str(outdir), "--no_plots", "--nprocess", "1"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "None" not in out
    assert "warning: there will be no report.html" in err


def test_the_psf_is_in_copies_of_the_cubes(found, cubes):
    from mpdaf.MUSE import FSFModel

    for row, cube in zip(found[0].exposures, cubes[0], strict=True):
        copy = found[1] / "exposures" / row["exposure"] / Path(cube).name
        model = FSFModel.read(str(copy))
        for wavelength in (5000.0, 9000.0):
            fwhm = np.polyval(row["fwhm_coef"].value, relative(wavelength))
            assert model.get_fwhm(wavelength) == pytest.approx(fwhm, abs=1e-5)
        assert "FSFMODE" not in fits.getheader(cube, 0)
        assert np.array_equal(fits.getdata(copy, "DATA"), fits.getdata(cube, "DATA"))


def test_offsets_correct_the_cubes(found, cubes, tmp_path):
    offsets = {str(row["DATE_OBS"]): row for row in fits.getdata(found[1] / "OFFSET_LIST.fits", 1)}
    corrected = []
    for path in cubes[0][2:]:
        corrected.append(str(tmp_path / Path(path).name))
        shutil.copy(path, corrected[-1])
        with fits.open(corrected[-1], mode="update") as hdus:
            row = offsets[hdus[0].header["DATE-OBS"]]
            for name in ("DATA", "STAT"):
                hdus[name].header["CRVAL1"] -= row["RA_OFFSET"]
                hdus[name].header["CRVAL2"] -= row["DEC_OFFSET"]
    again = run_here(corrected, cubes[1][1:3], tmp_path / "out", plots=False)
    for row, before in zip(again.exposures, found[0].exposures[2:], strict=True):
        for key in ("dra", "ddec"):
            # The same noise, but two filters instead of four.
            assert abs(row[key]) < 3 * row[f"{key}_err"] + 3 * before[f"{key}_err"]


def test_a_finished_field_is_not_fitted_again(found, cubes):
    before = {path: path.stat().st_mtime_ns for path in (found[1] / "exposures").rglob("*") if path.is_file()}
    tables = [(found[1] / f"{name}.ecsv").read_bytes() for name in ("results", "exposures")]
    again = run_here(*cubes, found[1], write_psf="copy")
    assert len(again.reused) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [(found[1] / f"{name}.ecsv").read_bytes() for name in ("results", "exposures")] == tables


def test_other_options_are_refused(images, tmp_path):
    run_here(images[0][:2], images[1], tmp_path, plots=False)
    with pytest.raises(UserError, match=r"margin was 3.0, is 4.0.*--restart"):
        run_here(images[0][:2], images[1], tmp_path, plots=False, margin=4.0)
    again = run_here(images[0][:2], images[1], tmp_path, plots=False, margin=4.0, restart=True)
    assert again.reused == []
    # Another HST image under the same name is noticed, too.
    hst = tmp_path / "hst.fits"
    shutil.copy(images[1][0], hst)
    run_here(images[0][:1], [hst], tmp_path / "other", plots=False)
    os.utime(hst, (1, 1))
    with pytest.raises(UserError, match="HST image in F775W"):
        run_here(images[0][:1], [hst], tmp_path / "other", plots=False)


def test_options_that_are_objects(images, tmp_path):
    star = CircleSkyRegion(CENTER, 3 * u.arcsec, meta={"include": False})
    keywords = {"plots": False, "regions": Regions([star])}

    def with_psf(sigma):
        y, x = np.mgrid[-15:16, -15:16]
        psf = read_hst_psf(np.exp(-(x**2 + y**2) / (2 * sigma**2)), scale=0.03)
        return run_here(images[0][:1], images[1], tmp_path, hst_psf=psf, **keywords)

    assert with_psf(1.2).reused == []
    assert with_psf(1.2).reused == ["E0"]
    with pytest.raises(UserError, match="hst_psf was HstPsf"):
        with_psf(1.3)


def test_files_of_others_are_safe(images, tmp_path):
    # The user's own folder of that name, with the exposures in it.
    (tmp_path / "exposures").mkdir()
    path = shutil.copy(images[0][0], tmp_path / "exposures")
    for restart in (False, True):
        with pytest.raises(UserError, match=r"E0.fits is not from fit_field.*new --outdir"):
            run_here([path], images[1], tmp_path, plots=False, restart=restart)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.ecsv").write_text("mine")
    with pytest.raises(UserError, match="results.ecsv is not from fit_field"):
        run_here([path], images[1], tmp_path / "other", plots=False, restart=True)
    assert Path(path).exists()
    assert (tmp_path / "other" / "results.ecsv").read_text() == "mine"


def test_a_first_run_that_fails_does_not_lock_the_folder(cubes, images, tmp_path):
    for wrong in ({"margin": -3.0}, {"free": ("rotatoin",)}, {"regions": "none.reg"}, {"nprocess": 0}):
        with pytest.raises(UserError):
            fit_field(images[0][:1], images[1], tmp_path / "out", plots=False, **wrong)
        assert not (tmp_path / "out").exists()
    curve = tmp_path / "F606W.txt"
    curve.write_text("3000 1\n4000 1\n")
    with pytest.raises(UserError, match="no exposure could be fitted.*does not overlap"):
        run_here(cubes[0][:1], cubes[1][:1], tmp_path / "out", plots=False, curves={"F606W": curve})
    assert run_here(images[0][:1], images[1], tmp_path / "out", plots=False, margin=4.0).failures == {}


def test_results_of_other_settings_are_not_mixed_in(images, tmp_path):
    run_here(images[0][:2], images[1], tmp_path, plots=False)
    late = tmp_path / "late"
    shutil.copytree(tmp_path / "exposures" / "E1", late)
    run_here(images[0][:1], images[1], tmp_path, plots=False, margin=4.0, restart=True)
    # A worker of the first run, which nobody waits for any more, finishes its exposure.
    late.rename(tmp_path / "exposures" / "E1")
    again = run_here(images[0][:2], images[1], tmp_path, plots=False, margin=4.0)
    assert again.reused == ["E0"]
    record = json.loads((tmp_path / "exposures" / "E1" / "record.json").read_text())
    assert (
        record["settings"]
        == json.loads((tmp_path / "exposures" / "E0" / "record.json").read_text())["settings"]
    )


def test_exposures_without_a_usable_fit_are_named(images, tmp_path):
    with pytest.raises(UserError, match="no exposure could be fitted.*no filter has a fit that can be used"):
        run_here(images[0][:2], images[1], tmp_path, plots=False, min_scale=5.0)


def test_what_was_good_and_fails_now_leaves_nothing(images, tmp_path):
    paths = [shutil.copy(path, tmp_path) for path in images[0][:2]]
    run_here(paths, images[1], tmp_path / "out", plots=False)
    Path(paths[1]).write_bytes(b"no FITS")
    found = run_here(paths, images[1], tmp_path / "out", plots=False)
    assert list(found.failures) == ["E1"]
    assert not (tmp_path / "out" / "exposures" / "E1").exists()
    assert found.exposures["error"][1] != ""


def test_the_psf_in_place(cubes, tmp_path):
    from mpdaf.MUSE import FSFModel

    cube = shutil.copy(cubes[0][0], tmp_path)
    outdir = tmp_path / "out"
    keywords = {"plots": False, "write_psf": "inplace"}
    first = run_here([cube], cubes[1][1:2], outdir, **keywords)
    written = Path(cube).stat()
    again = run_here([cube], cubes[1][1:2], outdir, **keywords)
    assert again.reused == ["DATACUBE_E1"]
    assert Path(cube).stat().st_mtime_ns == written.st_mtime_ns
    assert FSFModel.read(cube).get_fwhm(6000.0) == pytest.approx(first.exposures["fwhm"][0].value, abs=1e-6)


def test_a_filter_that_is_mostly_outside_of_the_cube(cubes, tmp_path):
    curve = tmp_path / "F814W.txt"
    curve.write_text("9000 0\n9100 1\n10500 1\n10600 0\n")
    found = run_here(cubes[0][:1], cubes[1][1:3], tmp_path / "out", plots=False, curves={"F814W": curve})
    assert found.exposures["filters"][0] == "F775W"
    assert "of the filter's curve lies inside" in found.results["error"][1]


def test_names(images, tmp_path):
    link = tmp_path / "link.fits"
    link.symlink_to(images[0][0])
    with pytest.raises(UserError, match="are the same file"):
        run_here([images[0][0], link], images[1], tmp_path / "out", plots=False)
    image, cube = tmp_path / "F775W_E1.fits", tmp_path / "E1.fits"
    shutil.copy(images[0][0], image)
    for order in ([image, cube], [cube, image]):
        with pytest.raises(UserError, match="would be the same exposure"):
            run_here(order, images[1], tmp_path / "out", plots=False)


def test_a_changed_exposure_is_fitted_again(images, tmp_path):
    paths = [shutil.copy(path, tmp_path) for path in images[0][:2]]
    run_here(paths, images[1], tmp_path / "out", plots=False)
    shutil.copy(images[0][5], paths[1])
    more = run_here([*paths, images[0][2]], images[1], tmp_path / "out", plots=False)
    assert more.reused == ["E0"]
    assert more.exposures["dx"].value == pytest.approx([0.0, 0.2, 0.08], abs=0.02)


def test_what_fails_is_named_and_the_rest_is_done(images, tmp_path, capsys):
    exposures = [str(tmp_path / f"{name}.fits") for name in ("good", "corrupt", "outside")]
    for path, source in zip(exposures, images[0], strict=False):
        shutil.copy(source, path)
    Path(exposures[1]).write_bytes(Path(exposures[1]).read_bytes()[:20_000])
    with fits.open(exposures[2], mode="update") as hdus:
        for hdu in hdus[1:]:
            hdu.header["CRVAL2"] += 1.0
    arguments = [*exposures, "--hst", *images[1], "--outdir", str(tmp_path / "out"), "--no_plots"]
    assert main([*arguments, "--nprocess", "1"]) == 1
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("fit_field: error")]
    assert len(errors) == 2
    assert "corrupt.fits ends before its data do" in errors[0]
    assert "outside.fits" in errors[1]
    assert "Traceback" not in err
    assert out.splitlines()[3].startswith("good")
    table = QTable.read(tmp_path / "out" / "exposures.ecsv")
    assert list(table["exposure"]) == ["good", "corrupt", "outside"]
    assert np.isfinite(table["dx"].value).tolist() == [True, False, False]
    # Mended, they are fitted by the next run, and only they.
    for path, source in zip(exposures[1:], images[0][3:5], strict=True):
        shutil.copy(source, path)
    again = run_here(exposures, images[1], tmp_path / "out", plots=False)
    assert again.reused == ["good"]
    assert again.failures == {}


def test_templates_are_made_once_for_each_grid(cubes, tmp_path, monkeypatch):
    hst = [shutil.copy(path, tmp_path) for path in cubes[1][:2]]
    made = []
    make = reference.make_template
    monkeypatch.setattr(
        reference, "make_template", lambda *args, **kwargs: made.append(1) or make(*args, **kwargs)
    )
    run_here(cubes[0], hst, tmp_path / "out", plots=False)
    # Three of the four cubes share a grid.
    assert len(made) == 2 * len(hst)


def test_a_worker_that_is_killed_gets_another_try(images, tmp_path):
    killed = []

    def kill():
        deadline = time.monotonic() + 100
        while not list(tmp_path.glob("exposures/E*/record.json")) and time.monotonic() < deadline:
            time.sleep(0.005)
        victim = multiprocessing.active_children()[0]
        os.kill(victim.pid, signal.SIGKILL)
        killed.append(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    found = fit_field(*images, tmp_path, nprocess=2, plots=False)
    killer.join()
    assert killed
    assert found.failures == {}
    assert found.exposures["dx"].value == pytest.approx(0.04 * np.arange(8), abs=0.05)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_run_again(images, tmp_path):
    command = [sys.executable, "-m", "astropy_imphot.cli.fit_field", *images[0], "--hst", *images[1]]
    command += ["--no_plots", "--nprocess"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    outdir = ["--outdir", str(killed)]
    process = subprocess.Popen([*command, "2", *outdir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while len(list(killed.glob("exposures/E*/record.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("exposures/E*/record.json")}
    assert 3 <= len(finished) < 8
    assert not (killed / "results.ecsv").exists()
    again = subprocess.run([*command, "1", *outdir], capture_output=True, text=True, check=True)
    # A worker may have written one more before it saw that it was alone.
    (told,) = re.findall(r"(\d) of 8 exposures are finished already", again.stderr)
    assert len(finished) <= int(told) < 8
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert not list(killed.glob("exposures/.partial-*"))
    run_here(*images, whole, plots=False)
    for name in ("results", "exposures"):
        assert (killed / f"{name}.ecsv").read_bytes() == (whole / f"{name}.ecsv").read_bytes()


def test_images_of_several_filters_are_one_exposure(tmp_path):
    for name, seed in (("F606W", 1), ("F814W", 2)):
        field = simulate_field(seed, size=12.0, truth=[Truth(dx=0.1)], filter_name=name)
        write_image(field.hst, tmp_path / f"hst_{name}.fits")
        field.muse[0].meta["FILTER"] = name
        write_image(field.muse[0], tmp_path / f"{name}_IMAGE_E1.fits")
    paths = sorted(tmp_path.glob("F*.fits"))
    found = run_here(paths, sorted(tmp_path.glob("hst*.fits")), tmp_path / "out", plots=False)
    assert list(found.exposures["exposure"]) == ["IMAGE_E1"]
    assert found.exposures["filters"][0] == "F606W,F814W"
    with pytest.raises(UserError, match="give cubes"):
        run_here(paths, sorted(tmp_path.glob("hst*.fits")), tmp_path / "out", write_psf="copy", plots=False)


def test_a_filter_outside_of_the_cube(cubes, tmp_path):
    exposures, hst = cubes
    curve = tmp_path / "F606W.txt"
    curve.write_text("3000 1\n4000 1\n")
    found = run_here(exposures[:1], hst[:2], tmp_path / "out", curves={"F606W": curve}, plots=False)
    row = found.exposures[0]
    assert row["filters"] == "F775W"
    assert ExposureFlags.FILTER_MISSING & row["flags"]
    errors = found.results["error"]
    assert "does not overlap" in errors[0]
    assert errors[1] == ""
    assert found.failures == {}


def test_real_data(real_data, tmp_path):
    # Abell 478, seen by WFPC2, whose F814W is not that of ACS.
    hst = os.path.join(real_data, "sdetect", "a478hst-cutout.fits")
    cube = os.path.join(real_data, "sdetect", "minicube.fits")
    found = run_here([cube], [hst], tmp_path, plots=False, fix_beta=2.5)
    row = found.exposures[0]
    assert row["dx"].value == pytest.approx(-0.775, abs=0.1)
    assert row["fwhm"].value == pytest.approx(0.82, abs=0.1)
    record = json.loads((tmp_path / "exposures" / "minicube" / "record.json").read_text())
    assert "WFPC2_F814W" in record["curves"]["F814W"]
    assert row["date_obs"] in (fits.getheader(cube, 0).get("DATE-OBS", ""), "")


# Of two exposures: what their filters share, and the slopes of the background of each filter.
ELLIPTICITIES = [{"e1": 0.12, "e2": -0.08}, {"e1": -0.05, "e2": 0.1}]
SLOPES = {
    "F606W": [{"bg_x": 0.05, "bg_y": -0.03}, {"bg_x": -0.02, "bg_y": 0.06}],
    "F814W": [{"bg_x": -0.04, "bg_y": 0.02}, {"bg_x": 0.03, "bg_y": -0.05}],
}


@pytest.fixture(scope="module")
def freed(tmp_path_factory):
    """The output folder of two exposures in two filters, of which all that can be shared or not is freed."""
    folder = tmp_path_factory.mktemp("freed")
    for seed, (name, slopes) in enumerate(SLOPES.items()):
        truth = [Truth(**shape, **slope) for shape, slope in zip(ELLIPTICITIES, slopes, strict=True)]
        field = simulate_field(seed, size=12.0, truth=truth, filter_name=name)
        write_image(field.hst, folder / f"hst_{name}.fits")
        for number, image in enumerate(field.muse):
            image.meta["FILTER"] = name
            write_image(image, folder / f"{name}_E{number}.fits")
    images = [str(folder / f"{name}_E{number}.fits") for number in (0, 1) for name in SLOPES]
    hst = [str(folder / f"hst_{name}.fits") for name in SLOPES]
    found = run_here(images, hst, folder / "out", plots=False, free=("e1", "e2", "bg_x", "bg_y"))
    assert found.failures == {}
    return folder / "out"


def test_freed_parameters_are_in_the_table_of_exposures(freed):
    table = QTable.read(freed / "exposures.ecsv")
    truth = {key: [one[key] for one in ELLIPTICITIES] for key in ("e1", "e2")} | {
        f"{key}_{name}": [one[key] for one in slopes] for name, slopes in SLOPES.items() for key in slopes[0]
    }
    pulls = {key: (numbers(table, key) - truth[key]) / numbers(table, f"{key}_err") for key in truth}
    assert np.max(np.abs(list(pulls.values()))) < 4
    # The errors are far smaller than the values.
    assert all((3 * numbers(table, f"{key}_err") < np.abs(truth[key])).all() for key in truth)
    assert table["bg_x_F606W"].unit == table["bg_F606W"].unit / u.arcsec
    assert table["e1"].info.description == "ellipticity of the MUSE PSF along x"
    assert table["bg_y_F814W"].info.description == "slope of the background along y, in F814W"
    assert table["bg_y_F814W_err"].info.description == "standard deviation of bg_y_F814W"
    # Filters have no ellipticity of their own, and no common background.
    assert not {"e1_F606W", "bg_x", "bg"} & set(table.colnames)


def test_freed_parameters_are_in_the_report(freed):
    page = (freed / "report.html").read_text()
    overview, fits = page.split('id="fits"')
    for key, words in (
        ("e1", "ellipticity of the MUSE PSF along x"),
        ("bg_x (flux / ″)", "slope of the"),
    ):
        assert f"{key}: {words}" in fits
    heading = '<th scope="col" class="number" title="ellipticity of the MUSE PSF along x">e1</th>'
    assert heading in overview
    assert fits.count(heading) == 2
    # Each filter has a background of its own: the table of all exposures has none.
    assert "bg_x (flux / ″)</th>" not in overview
    row = QTable.read(freed / "exposures.ecsv")[0]
    assert f">{with_error(row['e1'], row['e1_err'])}</td>" in overview
    filters = QTable.read(freed / "results.ecsv")
    for row in filters:
        assert f">{with_error(row['bg_x'].value, row['bg_x_err'].value)}</td>" in fits


def test_without_plots_there_are_no_pictures_and_figures(freed):
    page = (freed / "report.html").read_text()
    assert "No figures: run without --no_plots" in page
    assert "<img" not in page
    assert not list(freed.glob("exposures/*/picture.jpg"))


def test_a_field_in_a_notebook_shows_what_filters_share(freed):
    exposures = QTable.read(freed / "exposures.ecsv")
    html = field_as_html(exposures, {})
    assert "<th>e1</th>" in html
    assert not [name for name in SLOPES if f"_{name}" in html]


@pytest.mark.parametrize(("word", "expected"), [("e1,bg_x", ("e1", "bg_x")), ("none", ())])
def test_free_reaches_the_fit(monkeypatch, word, expected):
    passed = {}

    @functools.wraps(fit_field)
    def recorded(**keywords):
        passed.update(keywords)
        raise UserError("enough.")

    monkeypatch.setattr("astropy_imphot.cli.fit_field.fit_field", recorded)
    assert main(["E1.fits", "--hst", "hst.fits", "--outdir", "out", "--free", word]) == 1
    assert passed["free"] == expected


def test_an_exposure_unlike_the_others(tmp_path):
    truth = [Truth(), Truth(dx=0.02), Truth(dy=0.02), Truth(scale=0.7), Truth(dx=1.2), Truth(bg=5.0)]
    field = simulate_field(seed=5, size=12.0, truth=truth)
    write_image(field.hst, tmp_path / "hst.fits")
    for number, image in enumerate(field.muse):
        write_image(image, tmp_path / f"E{number}.fits")
    found = run_here(sorted(tmp_path.glob("E*.fits")), [tmp_path / "hst.fits"], tmp_path / "out", plots=False)
    compared = ExposureFlags.BAD_SCALE | ExposureFlags.OUTLYING_OFFSET | ExposureFlags.HIGH_BACKGROUND
    flags = [ExposureFlags(int(flags)) & compared for flags in found.exposures["flags"]]
    assert flags == [
        0,
        0,
        0,
        ExposureFlags.BAD_SCALE,
        ExposureFlags.OUTLYING_OFFSET,
        ExposureFlags.HIGH_BACKGROUND,
    ]


def test_backgrounds_of_stars_are_not_compared():
    names, small = list("ABCD"), np.full(4, 0.01)
    exposures = QTable({"exposure": names, "scale": np.ones(4), "scale_err": small})
    for key in ("dra", "ddec"):
        exposures[key], exposures[f"{key}_err"] = [0.1, 0.2, 0.1, 0.2] * u.arcsec, small * u.arcsec
    results = QTable(
        {"exposure": 2 * names, "filter": 8 * ["F606W"], "method": 4 * ["image"] + 4 * ["stars"]}
    )
    results["bg"], results["bg_err"] = [0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 50.0], 0.01
    assert list(compare_exposures(exposures, results)) == [0, 0, 0, 0]


def test_an_outdir_that_cannot_be_written(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        run_here(images[0][:1], images[1], tmp_path / "file" / "out", plots=False)


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for a few files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


# It is written before the report, and may be the first file that has no room.
@pytest.mark.filterwarnings("default:there is no OFFSET_LIST.fits")
def test_a_full_disk(images, small_disk, capsys):
    arguments = [*images[0], "--hst", *images[1], "--outdir", str(small_disk / "out"), "--no_plots"]
    assert main([*arguments, "--nprocess", "1"]) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "Traceback" not in err
    finished = list(small_disk.glob("out/exposures/E*"))
    assert 0 < len(finished) < 8
    for folder in finished:
        assert QTable.read(folder / "results.ecsv")["dx"].isscalar is False
        assert json.loads((folder / "record.json").read_text())
    assert not list(small_disk.glob("out/exposures/.partial*"))


def test_a_read_only_disk(images, small_disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    arguments = [images[0][0], "--hst", *images[1], "--outdir", str(small_disk / "out"), "--no_plots"]
    assert main(arguments) == 1
    assert "Read-only file system" in capsys.readouterr().err


def test_curves_keep_their_response():
    given = FilterCurve([5000, 7000], [1, 1], name="mine", source="a book", response="energy")
    curves = find_curves({"f606w": given}, {"F606W": "hst.fits"})
    assert (curves["F606W"].name, curves["F606W"].response, curves["F606W"].source) == (
        "F606W",
        "energy",
        "a book",
    )
    # Results of another response are not those of a continued run.
    other = {"F606W": FilterCurve([5000, 7000], [1, 1], name="mine", source="a book")}
    assert describe_curves(curves) != describe_curves(other)


def test_references_without_a_filter_and_a_zero_point(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06, truth=[Truth(scale=0.9)])
    field.hst.meta, field.hst.unit = {}, "adu"
    write_image(field.hst, "vis.fits")
    write_image(field.muse[0], "E1.fits")
    command = ["E1.fits", "--outdir", "out", "--no_plots", "--nprocess", "1", "--hst"]
    assert main([*command, "vis.fits"]) == 1
    assert "vis.fits: the flux of the pixels is not known" in capsys.readouterr().err
    given = ["--zeropoint", "vis=25.69", "--pivot", "VIS=7692.4"]
    assert main([*command, "VIS=vis.fits", *given, "--zeropoint", "F606W=3"]) == 1
    assert "--zeropoint is given for F606W, in which there is no HST image" in capsys.readouterr().err
    assert main([*command, "VIS=vis.fits", *given]) == 0
    results = QTable.read(tmp_path / "out" / "results.ecsv")
    assert list(results["filter"]) == ["VIS"]
    assert results["wavelength"][0].to_value(u.AA) == 7692.4
    assert abs(results["scale"][0] - 0.9) < 4 * results["scale_err"][0] + 0.005
    # Another zero point is another setting.
    given[1] = "VIS=25.0"
    assert main([*command, "VIS=vis.fits", *given]) == 1
    assert "HST image in VIS" in capsys.readouterr().err
