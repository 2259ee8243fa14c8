"""The commands: each option does what its help says."""

import functools
import os
import shutil
import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from numpy.testing import assert_allclose

from astropy_imphot import (
    UserError,
    bandpass_image,
    fit_image_photometry,
    image_grids_aligned,
    read_image,
    write_image,
)
from astropy_imphot.cli import fit_photometry, make_wideband_image, regrid_hst_to_muse
from astropy_imphot.simulation import muse_cube

WAVELENGTHS = np.arange(7000.0, 8000.0, 100.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory, field):
    """A folder of the small field's files."""
    folder = tmp_path_factory.mktemp("files")
    write_image(field.hst, folder / "hst.fits")
    write_image(field.muse[0], folder / "E1.fits")
    # A second exposure, one pixel to the right.
    muse = field.muse[0]
    second = muse.copy()
    second.data = np.roll(muse.data, 1, axis=1)
    write_image(second, folder / "E2.fits")
    return folder


@pytest.fixture(scope="module")
def plain(files):
    """The fit of the command line without options."""
    return fit_image_photometry(files / "hst.fits", files / "E1.fits", fix_beta=2.5)


@pytest.fixture
def folder(tmp_path, monkeypatch, files):
    """A folder with copies of the files, to work in."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(capsys):
    """Return the words of the printed lines, without the header."""
    return [line.split() for line in capsys.readouterr().out.splitlines() if line and line[0] != "#"]


def test_fit_in_the_order_of_the_command_line(folder, capsys):
    assert fit_photometry.main(["hst.fits", "E2.fits", "E1.fits", "--output", "t.ecsv"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert [line[0] for line in output[:3]] == ["#"] * 3
    assert [line.split()[0] for line in output[3:]] == ["E2", "E1"]
    table = QTable.read("t.ecsv")
    assert list(table["name"]) == ["E2", "E1"]
    assert_allclose((table["dx"][0] - table["dx"][1]).value, 0.2, atol=0.01)
    assert_allclose(table["beta"], 2.5)


@pytest.mark.parametrize(
    ("words", "keywords"),
    [
        ("--fix_beta none", {"fix_beta": None}),
        ("--fix_beta 2.8 --fix_scale 0.9 --fix_bg 1.9", {"fix_beta": 2.8, "fix_scale": 0.9, "fix_bg": 1.9}),
        ("--fix_dx 0.1 --fix_dy -0.2 --fix_fwhm 0.6", {"fix_dx": 0.1, "fix_dy": -0.2, "fix_fwhm": 0.6}),
        ("--hst_fwhm 0.12 --hst_beta 2.0", {"hst_fwhm": 0.12, "hst_beta": 2.0}),
        (
            "--margin 1.5 --taper 4 --extramask mask.fits",
            {"margin": 1.5, "taper": 4, "extramask": "mask.fits"},
        ),
        ("--segment --min_scale 0.95", {"segment": True, "min_scale": 0.95}),
        ("--regions r.reg", {"regions": "r.reg"}),
        ("--regions none", {"regions": None}),
        (
            "--init_dx 0.2 --init_dy -0.1 --keep_changed",
            {"init_dx": 0.2, "init_dy": -0.1, "keep_changed": True},
        ),
    ],
)
def test_options_reach_the_fit(folder, capsys, field, plain, words, keywords):
    mask = np.zeros(field.muse[0].shape, dtype=np.uint8)
    mask[30:60, 20:50] = 1
    fits.ImageHDU(mask).writeto("mask.fits")
    (folder / "r.reg").write_text("image\n-circle(40, 50, 12)\n")
    assert fit_photometry.main(["hst.fits", "E1.fits", *words.split(), "--output", "t.ecsv"]) == 0
    expected = fit_image_photometry("hst.fits", "E1.fits", **({"fix_beta": 2.5} | keywords))
    row = QTable.read("t.ecsv")[0]
    for key in ("scale", "bg", "dx", "dy", "fwhm", "beta"):
        assert_allclose(row[key].value, expected.values[key].value, atol=1e-6)
    assert row["n_pixels"] == expected.n_pixels
    unchanged = keywords in ({"regions": None}, {"init_dx": 0.2, "init_dy": -0.1, "keep_changed": True})
    # A fit ends within a small fraction of its errors, from wherever it starts.
    assert (abs(plain.scale.value - expected.scale.value) < 1e-5) == unchanged


@pytest.mark.parametrize("regions", ["star", "notstar", None])
def test_star_regions(folder, capsys, field, regions):
    bright = np.unravel_index(field.muse[0].data.argmax(), field.muse[0].shape)
    place = field.muse[0].wcs.pixel_to_world(bright[1], bright[0])
    words = ["--star", f"{place.ra.deg:.7f}", f"{place.dec.deg:.7f}", "2.0"]
    # The star is the default of the command line.
    words += [] if regions in ("star", None) and regions is None else ["--regions", regions]
    assert fit_photometry.main(["hst.fits", "E1.fits", *words, "--output", "t.ecsv"]) == 0
    circle = np.pi * (2.0 / 0.2) ** 2
    n_pixels = QTable.read("t.ecsv")["n_pixels"][0]
    total = field.muse[0].data.size
    expected = total - circle if regions == "notstar" else circle
    assert abs(n_pixels - expected) < 0.05 * circle


@pytest.fixture
def star(field):
    """The brightest point of the small field, as words of a command line."""
    bright = np.unravel_index(field.muse[0].data.argmax(), field.muse[0].shape)
    place = field.muse[0].wcs.pixel_to_world(bright[1], bright[0])
    return [f"{place.ra.deg:.7f}", f"{place.dec.deg:.7f}", "2.0"]


def test_star_and_image_with_all_options(folder, capsys, star):
    words = ["hst.fits", "E1.fits", "E2.fits", "--star", *star, "--regions", "notstar", "--fix_beta", "2.7"]
    words += ["--fix_bg", "2.0", "--hardcopy", "png", "--output", "t.ecsv"]
    assert fit_photometry.main(words) == 0
    found = rows(capsys)
    assert [row[:2] for row in found] == [["E1", "image"], ["E1", "stars"], ["E2", "image"], ["E2", "stars"]]
    table = QTable.read("t.ecsv")
    # The options hold in both fits.
    assert_allclose(table["beta"], 2.7)
    assert_allclose(table["bg"].value, 2.0)
    assert_allclose(table["bg_err"].value, 0.0)
    assert abs((table["dx"][3] - table["dx"][1]).value - 0.2) < 0.01
    assert table["hst_fwhm"][1].value < 0.12
    for name in ("E1", "E2"):
        for kind in ("image", "star"):
            assert os.path.getsize(f"{name}_{kind}_fit.png") > 20_000
    assert fit_photometry.main(words) == 1
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("resample", [False, True])
def test_apply_and_save(folder, capsys, resample):
    words = ["hst.fits", "E1.fits", "--apply", "--save"] + ["--resample"] * resample
    assert fit_photometry.main(words) == 0
    first = rows(capsys)[0]
    names = {"E1_aligned.fits"} | {
        f"E1_{kind}{ending}.fits" for kind in ("image", "hst_model", "residual") for ending in ("", "_fft")
    }
    assert names <= set(os.listdir())
    assert fit_photometry.main(["hst.fits", "E1_aligned.fits"]) == 0
    again = rows(capsys)[0]
    assert abs(float(again[6])) < 0.003 < abs(float(first[6]))
    assert abs(float(again[7])) < 0.003 < abs(float(first[7]))
    assert abs(float(again[2]) - 1) < 0.01 < abs(float(first[2]) - 1)
    same = image_grids_aligned("E1_aligned.fits", "E1.fits")
    assert same == resample
    residual, data, model = (read_image(f"E1_{kind}.fits") for kind in ("residual", "image", "hst_model"))
    assert_allclose(residual.data, data.data - model.data, atol=1e-5)
    assert fit_photometry.main(words) == 1
    assert "exists" in capsys.readouterr().err
    assert fit_photometry.main([*words, "--overwrite"]) == 0


def test_negative_numbers_with_exponents(folder, capsys):
    assert fit_photometry.main(["hst.fits", "E1.fits", "--fix_dx", "-1e-3"]) == 0
    assert float(rows(capsys)[0][6]) == -0.001


def test_every_option_of_the_fit_is_passed_on(folder, monkeypatch, capsys):
    passed = {}

    @functools.wraps(fit_image_photometry)
    def recorded(hst, muse, **keywords):
        passed.update(keywords)
        raise UserError("enough seen.")

    monkeypatch.setattr(fit_photometry, "fit_image_photometry", recorded)
    words = (
        "--regions none --segment --extramask m.fits --taper 3 --keep_changed --fix_scale 1 --fix_bg 2 "
        "--fix_dx 3 --fix_dy 4 --fix_fwhm 5 --fix_beta 6 --min_scale 7 --init_dx 8 --init_dy 9 --hst_fwhm 10 "
        "--hst_beta 11 --hst_window none --margin 12 --free rotation,e1 --hst_psf psf.fits "
        "--hst_psf_scale 13 --background constant --keep_artefacts --point_sources s.reg"
    )
    assert fit_photometry.main(["hst.fits", "E1.fits", *words.split()]) == 1
    assert passed == {
        "regions": None,
        "star": None,
        "segment": True,
        "extramask": "m.fits",
        "taper": 3,
        "keep_changed": True,
        "fix_scale": 1,
        "fix_bg": 2,
        "fix_dx": 3,
        "fix_dy": 4,
        "fix_fwhm": 5,
        "fix_beta": 6,
        "min_scale": 7,
        "init_dx": 8,
        "init_dy": 9,
        "hst_fwhm": 10,
        "hst_beta": 11,
        "hst_window": "none",
        "margin": 12,
        "free": ("rotation", "e1"),
        "hst_psf": "psf.fits",
        "hst_psf_scale": 13,
        "fix_rotation": None,
        "fix_e1": None,
        "fix_e2": None,
        "background": "constant",
        "repair": False,
        "point_sources": "s.reg",
        "not_point_sources": None,
    }


def test_title(folder, monkeypatch):
    import astropy_imphot.products.plots as plotting

    titles = []
    plot = plotting.plot_image_fit

    def recorded(fit, title):
        titles.append(plot(fit, title=title).get_suptitle())
        return plot(fit, title=title)

    monkeypatch.setattr(plotting, "plot_image_fit", recorded)
    assert fit_photometry.main(["hst.fits", "E1.fits", "--hardcopy", "png", "--title", "My field"]) == 0
    assert fit_photometry.main(["hst.fits", "E2.fits", "--hardcopy", "png"]) == 0
    assert titles == ["My field", "E2"]


def test_verbose(folder, capsys):
    assert fit_photometry.main(["hst.fits", "E1.fits", "--verbose"]) == 0
    assert "correlations" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["pdf", "jpg", "png", "eps"])
def test_hardcopy_and_title(folder, capsys, suffix):
    words = ["hst.fits", "E1.fits", "--hardcopy", suffix, "--title", "My field"]
    assert fit_photometry.main(words) == 0
    assert os.path.getsize(f"E1_image_fit.{suffix}") > 5000
    if suffix == "eps":
        assert not list(folder.glob(".partial*"))
    assert fit_photometry.main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert fit_photometry.main([*words, "--overwrite"]) == 0


def test_display(folder, monkeypatch):
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda block=None: shown.append(block))
    monkeypatch.setattr(plt, "pause", lambda seconds: None)
    assert fit_photometry.main(["hst.fits", "E1.fits", "--display"]) == 0
    assert fit_photometry.main(["hst.fits", "E1.fits", "--display", "--nowait"]) == 0
    assert shown == [True, False]
    plt.close("all")


def test_none_as_hardcopy(folder):
    assert fit_photometry.main(["hst.fits", "E1.fits", "--hardcopy", "none"]) == 0
    assert not list(folder.glob("*_image_fit*"))


def test_window_of_a_classic_file(folder, field, capsys):
    assert regrid_hst_to_muse.main(["E1.fits", "hst.fits", "--field", "F"]) == 0
    with fits.open("hst_F775W_for_F.fits") as hdus:
        for name in ("TEMPLATE", "TEMPLATE_STAT"):
            del hdus[name]
        del hdus[0].header["DECIMWIN"]
        hdus.writeto("classic.fits")
    assert fit_photometry.main(["classic.fits", "E1.fits"]) == 1
    assert "--hst_window" in capsys.readouterr().err
    assert fit_photometry.main(["classic.fits", "E1.fits", "--hst_window", "blackman"]) == 0
    assert abs(float(rows(capsys)[0][3]) - 0.61) < 0.03


def test_failure_keeps_what_was_finished(folder, capsys):
    (folder / "E0.fits").write_text("not FITS")
    assert fit_photometry.main(["hst.fits", "E1.fits", "E0.fits", "E2.fits", "--output", "t.ecsv"]) == 1
    captured = capsys.readouterr()
    assert "E0.fits" in captured.err
    assert "Traceback" not in captured.err
    assert list(QTable.read("t.ecsv")["name"]) == ["E1"]


def test_regrid_options(folder, capsys):
    os.mkdir("out")
    words = ["E1.fits", "hst.fits", "--field", "my field", "--outdir", "out", "--margin", "5"]
    assert regrid_hst_to_muse.main(words) == 0
    path = os.path.join("out", "hst_F775W_for_my_field.fits")
    assert capsys.readouterr().out.strip() == path
    assert fits.getheader(path, "TEMPLATE")["MARGINX"] >= 25
    assert regrid_hst_to_muse.main(words) == 1
    assert regrid_hst_to_muse.main([*words, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    # The field's name is the header's OBJECT, or else the file's.
    fits.delval("E1.fits", "OBJECT")
    fits.setval("E2.fits", "OBJECT", value="UDF-04")
    assert regrid_hst_to_muse.main(["E1.fits", "hst.fits"]) == 0
    assert regrid_hst_to_muse.main(["E2.fits", "hst.fits"]) == 0
    assert os.path.exists("hst_F775W_for_E1.fits")
    assert os.path.exists("hst_F775W_for_UDF-04.fits")
    assert regrid_hst_to_muse.main(["E2.fits", "hst.fits", "hst.fits", "./hst.fits", "--overwrite"]) == 1
    assert "two HST images" in capsys.readouterr().err


def test_wideband_image_in_a_filter_of_a_name(folder, field, capsys):
    cube = muse_cube(field.muse[0], np.arange(6000.0, 9001.0, 100.0), noise=0.5, seed=3)
    cube.writeto("cube.fits")
    Table({"w": [0.7, 0.8] * u.um, "t": [1.0, 0.5]}).write("box.ecsv")
    for curve, name in (("F070W", "F070W"), ("box.ecsv", "box")):
        assert make_wideband_image.main([curve, "cube.fits"]) == 0
        assert_allclose(read_image(f"{name}_image.fits").data, bandpass_image("cube.fits", curve).data)
        assert fits.getval(f"{name}_image.fits", "FILTER") == name
    capsys.readouterr()
    assert make_wideband_image.main(["F999W", "cube.fits"]) == 1
    assert "there is no curve of ACS/WFC F999W" in capsys.readouterr().err
    assert make_wideband_image.main(["box.ecsv", "cube.fits", "--wave_units", "nm", "--overwrite"]) == 1
    assert "box.ecsv: the wavelengths of the filter curve are in um" in capsys.readouterr().err


@pytest.mark.filterwarnings("default:.*have no unit, and nm is assumed")
def test_wideband_options(folder, field, capsys):
    cube = muse_cube(field.muse[0], WAVELENGTHS, noise=0.5, seed=3)
    os.mkdir("cubes")
    for name in ("DATACUBE_E1.fits", "minicube.fits", "Cube-3.fits", "plain.fits"):
        cube.writeto(os.path.join("cubes", name))
    np.savetxt("F775W.txt", [[720.0, 0.5], [780.0, 1.0]], header="nm")
    paths = [os.path.join("cubes", name) for name in ("DATACUBE_E1.fits", "minicube.fits", "Cube-3.fits")]
    words = ["F775W.txt", *paths, "--wave_units", "nm"]
    assert make_wideband_image.main(words) == 0
    names = ["F775W_IMAGE_E1.fits", "F775W_miniimage.fits", "F775W_Image-3.fits"]
    assert capsys.readouterr().out.split() == names
    expected = bandpass_image(paths[0], ([7200, 7800], [0.5, 1.0]))
    image = read_image(names[0])
    assert_allclose(image.data, expected.data)
    assert (image.meta["FILTER"], image.meta["FILTWAVE"]) == ("F775W", expected.meta["FILTWAVE"])
    assert make_wideband_image.main(words) == 1
    assert make_wideband_image.main([*words, "--overwrite", "--quiet", "--nprocess", "2"]) == 0
    assert capsys.readouterr().out == ""
    os.mkdir("out")
    plain = os.path.join("cubes", "plain.fits")
    assert (
        make_wideband_image.main(
            ["F775W.txt", plain, "--prefix", "P", "--outdir", "out", "--wave_units", "nm"]
        )
        == 0
    )
    assert os.path.exists(os.path.join("out", "P_plain.fits"))
    old = ["--weights", "energy", "--wave_units", "nm", "--prefix", "E"]
    assert make_wideband_image.main(["F775W.txt", plain, *old]) == 0
    energy = bandpass_image(plain, ([7200, 7800], [0.5, 1.0]), weights="energy")
    assert_allclose(read_image("E_plain.fits").data, energy.data)
    assert [fits.getval("E_plain.fits", "FILTWGHT"), image.meta["FILTWGHT"]] == ["energy", "photon"]
    assert make_wideband_image.main(["F775W.txt", plain, "--prefix", "N"]) == 0
    assert "720 to 780, have no unit, and nm is assumed" in capsys.readouterr().err
    assert_allclose(read_image("N_plain.fits").data, expected.data)
    assert make_wideband_image.main(["F775W.txt", plain, "--prefix", "Q", "--wave_units", "um"]) == 1
    assert "does not overlap" in capsys.readouterr().err
    assert make_wideband_image.main(["F775W.txt", plain, "--nprocess", "0"]) == 1
    assert make_wideband_image.main(["F775W.txt", plain, plain, "--prefix", "R", "--wave_units", "nm"]) == 1


@pytest.mark.parametrize("command", ["fit_photometry", "make_wideband_image", "regrid_hst_to_muse"])
def test_installed_commands_teach(command):
    path = os.path.join(os.path.dirname(sys.executable), command)
    usage = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
    assert "default" in usage
    assert usage.count("--") > 8
    assert subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.startswith(
        command
    )
    assert subprocess.run([path], capture_output=True, text=True).returncode == 2


def test_api_and_command_line_have_the_same_defaults():
    import inspect

    options = vars(fit_photometry._parser().parse_args(["h.fits", "m.fits"]))
    parameters = inspect.signature(fit_image_photometry).parameters
    different = {
        key
        for key, parameter in parameters.items()
        if key in options and key not in ("hst", "muse") and parameter.default != options[key]
    }
    assert different == {"regions", "fix_beta"}
    assert set(parameters) - set(options) == {"hst", "muse", "fitter", "name", "psf"}


@pytest.mark.parametrize(
    "words",
    [
        "hst.fits E1.fits --output hst.fits",
        "hst.fits E1.fits --apply --output E1_aligned.fits",
        "hst.fits E1.fits E1_aligned.fits --apply",
    ],
)
def test_inputs_are_not_written_over(folder, capsys, words):
    os.link("E2.fits", "E1_aligned.fits")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert fit_photometry.main([*words.split(), "--overwrite"]) == 1
    assert "rename one" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_compressed_names(folder, capsys):
    import gzip

    (folder / "E3.fits.gz").write_bytes(gzip.compress((folder / "E1.fits").read_bytes()))
    assert fit_photometry.main(["hst.fits", "E3.fits.gz", "--apply"]) == 0
    assert rows(capsys)[0][0] == "E3"
    assert os.path.exists("E3_aligned.fits")


def test_reference_without_a_zero_point(folder, field, capsys):
    hst = field.hst.copy()
    hst.meta, hst.unit = {}, "adu"
    write_image(hst, "vis.fits")
    assert fit_photometry.main(["vis.fits", "E1.fits"]) == 1
    error = capsys.readouterr().err
    assert "vis.fits: the flux of the pixels is not known" in error
    assert "MAGZERO" in error
    given = ["--zeropoint", "25.69", "--filter", "f775w", "--pivot", "7692.4"]
    assert fit_photometry.main(["vis.fits", "E1.fits", *given, "--output", "fit.ecsv"]) == 0
    expected = fit_image_photometry("hst.fits", "E1.fits", fix_beta=2.5).scale.value
    # The table of ACS has zero points of two decimals, and PHOTFLAM of three figures.
    assert_allclose(QTable.read("fit.ecsv")["scale"][0], expected, rtol=0.005)
    assert regrid_hst_to_muse.main(["E1.fits", "vis.fits", *given, "--field", "A"]) == 0
    assert read_image("hst_F775W_for_A.fits").meta["FILTER"] == "F775W"
