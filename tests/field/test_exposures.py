"""Exposures as references of each other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from numpy.testing import assert_allclose
from photutils.centroids import centroid_2dg

from astropy_imphot import ImphotWarning, UserError, fit_field, read_image, write_image
from astropy_imphot.cli import fit_field as command
from astropy_imphot.field.pairs import choose_pairs
from astropy_imphot.field.relative import relative_exposures
from astropy_imphot.io.grid import read_grid
from astropy_imphot.simulation import CENTER, Truth, muse_cube, simulate_field

TRUTH = [
    Truth(dx=0.4, dy=-0.3, scale=1.05, bg=1.0, fwhm=0.6, beta=2.4),
    Truth(dx=-0.8, dy=0.2, scale=0.95, bg=-1.0, fwhm=0.75, beta=3.0),
    Truth(dx=0.1, dy=1.1, scale=1.0, bg=0.5, fwhm=0.68, beta=2.8, rotation=0.1),
]


def align(paths, outdir, **options):
    with ThreadPoolExecutor(1) as executor:
        return fit_field(paths, "exposures", outdir, executor=executor, **options)


@pytest.fixture(scope="module")
def exposures(tmp_path_factory):
    """Three exposures with a star at the center, and their files."""
    folder = tmp_path_factory.mktemp("exposures")
    field = simulate_field(8, size=30.0, truth=TRUTH, noise=0.15, central_star=20.5)
    paths = []
    for number, image in enumerate(field.muse):
        image.meta["DATE-OBS"] = f"2014-09-25T0{number}:12:00.000"
        image.meta["MJD-OBS"] = 56925.175 + number / 24
        paths.append(str(folder / f"E{number}.fits"))
        write_image(image, paths[-1])
    return paths


@pytest.fixture(scope="module")
def aligned(exposures, tmp_path_factory):
    outdir = tmp_path_factory.mktemp("aligned")
    return align(exposures, outdir), outdir


def relative(values):
    return np.array(values) - np.mean(values)


def test_the_truth_is_found(aligned):
    table = aligned[0].exposures
    assert list(table["exposure"]) == ["E0", "E1", "E2"]
    assert list(table["pairs"]) == [2, 2, 2]
    assert not aligned[0].failures
    # The first pixel axis is towards west.
    dra = [-one.dx / np.cos(CENTER.dec.rad) for one in TRUTH]
    for key, values in {
        "dra": dra,
        "ddec": [one.dy for one in TRUTH],
        "rotation": [one.rotation for one in TRUTH],
    }.items():
        off = table[key].value - relative(values)
        assert np.all(np.abs(off) < 4 * table[f"{key}_err"].value)
        assert np.all(table[f"{key}_err"].value < 0.03)
    assert np.all(table["dra_err"] < 5 * u.mas)
    assert_allclose(table["scale"], np.exp(relative(np.log([one.scale for one in TRUTH]))), rtol=0.03)
    assert_allclose(table["fwhm_square"].value, relative([one.fwhm**2 for one in TRUTH]), atol=0.04)
    backgrounds = [one.bg / one.scale for one in TRUTH]
    assert_allclose(np.array(table["bg"] / table["scale"]), relative(backgrounds), atol=0.03)


def test_the_list_of_offsets_makes_the_images_agree(exposures, aligned):
    rows = {row["DATE_OBS"]: row for row in fits.getdata(aligned[1] / "OFFSET_LIST.fits", 1)}
    places = []
    for path in exposures:
        image = read_image(path)
        row = rows[image.meta["DATE-OBS"]]
        middle = tuple(slice(size // 2 - 12, size // 2 + 13) for size in image.shape)
        x, y = centroid_2dg(image.data[middle] - np.median(image.data))
        star = image.wcs.pixel_to_world(x + middle[1].start, y + middle[0].start)
        places.append([star.ra.deg - row["RA_OFFSET"], star.dec.deg - row["DEC_OFFSET"]])
    # Before the correction they differ by 1.4 arcsec.
    assert np.ptp(np.array(places) * 3600, axis=0).max() < 0.01


def test_files(aligned):
    found, outdir = aligned
    assert found.report is None
    pairs = QTable.read(outdir / "results.ecsv")
    assert len(pairs) == 3
    # The sharper one is the reference.
    assert set(zip(pairs["exposure"], pairs["reference"], strict=True)) == {
        ("E1", "E0"),
        ("E2", "E0"),
        ("E1", "E2"),
    }
    assert len(QTable.read(outdir / "exposures.ecsv")) == 3


def test_finished_pairs_are_not_fitted_again(exposures, aligned):
    found, outdir = aligned
    again = align(exposures, outdir)
    assert sorted(again.reused) == ["E0_to_E1", "E0_to_E2", "E1_to_E2"]
    assert_allclose(again.exposures["dra"].value, found.exposures["dra"].value)


def test_an_exposure_of_another_field_fails_alone(exposures, tmp_path):
    image = read_image(exposures[2])
    image.wcs.wcs.crval = [10.0, 20.0]
    write_image(image, tmp_path / "OTHER.fits")
    found = align([*exposures[:2], str(tmp_path / "OTHER.fits")], tmp_path / "out")
    assert list(found.failures) == ["OTHER"]
    assert "none of its pairs with the other exposures has a fit that can be used" in found.failures["OTHER"]
    row = dict(zip(found.exposures["exposure"], found.exposures["dra"].value, strict=True))
    assert np.isnan(row["OTHER"])
    assert_allclose(row["E0"] - row["E1"], -1.2 / np.cos(CENTER.dec.rad), atol=0.01)
    assert "does not overlap" in found.results["error"][1]


def test_a_missing_exposure_fails_alone(exposures, tmp_path):
    found = align([*exposures[:2], str(tmp_path / "E9.fits")], tmp_path / "out")
    assert "does not exist" in found.failures["E9"]
    assert list(found.exposures["error"] == "") == [True, True, False]


def test_cubes(tmp_path):
    paths = []
    for number, truth in enumerate(TRUTH[:2]):
        image = simulate_field(8, size=30.0, truth=[replace(truth, rotation=0)], noise=1e-3).muse[0]
        paths.append(str(tmp_path / f"C{number}.fits"))
        muse_cube(image, np.arange(5000.0, 9001.0, 1000.0), noise=0.3, seed=number).writeto(paths[-1])
    with pytest.warns(ImphotWarning, match="have the same DATE-OBS"):
        found = align(paths, tmp_path / "out")
    off = found.exposures["dra"].value[1] - found.exposures["dra"].value[0]
    assert_allclose(off, 1.2 / np.cos(CENTER.dec.rad), atol=0.02)
    assert read_grid(tmp_path / "out" / "exposures" / "C0" / "image.fits").shape == (150, 150)


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (1, {}, "there are 1 exposures: give two or more"),
        (2, {"write_psf": "copy"}, "need a reference image"),
        (2, {"filter_name": "F606W"}, "need a reference image"),
        (2, {"curves": {"A": ([5000, 6000], [1, 1]), "B": ([5000, 6000], [1, 1])}}, "there are 2 curves"),
    ],
)
def test_impossible_options(exposures, tmp_path, number, options, message):
    with pytest.raises(UserError, match=message):
        align(exposures[:number], tmp_path / "out", **options)


def test_command(exposures, aligned, capsys):
    outdir = str(aligned[1])
    assert command.main([*exposures, "--reference", "exposures", "--outdir", outdir]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["#", "exposure", "scale", "dra", "ddec", "rotation", "bg", "pairs"]
    assert [line.split()[0] for line in lines[3:]] == ["E0", "E1", "E2"]
    assert command.main([*exposures, "--hst", "exposures", "--outdir", outdir, "--pivot", "F606W=5900"]) == 1
    assert "--zeropoint and --pivot are for reference images" in capsys.readouterr().err


def pairs_of(offsets, errors, wrong=None):
    """Return a table of all pairs of exposures with their own errors, one pair being wrong."""
    names = [str(number) for number in range(len(offsets))]
    noise = np.array(errors) * np.random.default_rng(3).normal(size=len(errors))
    rows = choose_pairs(names)
    table = QTable({"exposure": [one.exposure for one in rows], "reference": [one.reference for one in rows]})
    first, second = (np.array([int(getattr(one, key)) for one in rows]) for key in ("exposure", "reference"))
    table["flags"] = 0
    value = (np.array(offsets) + noise)[first] - (np.array(offsets) + noise)[second]
    if wrong is not None:
        value[wrong] += 1.0
    for key, values in {
        "dra": value,
        "ddec": 0.0,
        "rotation": 0.0,
        "scale": 1.0,
        "bg": 0.0,
        "fwhm": 1.0,
    }.items():
        table[key] = values
        table[f"{key}_err"] = np.hypot(np.array(errors)[first], np.array(errors)[second])
    return names, table, noise


def test_errors_are_those_of_the_exposures():
    errors = [0.01, 0.02, 0.03, 0.05]
    names, table, noise = pairs_of([0.0, 1.0, -1.0, 0.5], errors)
    found = relative_exposures(names, table)
    off = found["dra"].value - relative([0.0, 1.0, -1.0, 0.5])
    assert_allclose(off, relative(noise), atol=1e-9)
    part = np.eye(4) - 0.25
    assert_allclose(found["dra_err"].value, np.sqrt(part**2 @ np.square(errors)), rtol=0.1)


def test_a_wrong_pair_is_left_out():
    names, table, _ = pairs_of([0.0, 1.0, -1.0, 0.5], [0.01] * 4, wrong=2)
    found = relative_exposures(names, table)
    assert_allclose(found["dra"].value, relative([0.0, 1.0, -1.0, 0.5]), atol=0.04)
    assert sorted(found["pairs"]) == [2, 2, 3, 3]
    # Those of the pair are flagged.
    assert list(found["flags"] > 0) == list(found["pairs"] == 2)


def test_exposures_that_are_not_connected():
    names, table, _ = pairs_of([0.0, 1.0, -1.0, 0.5], [0.01] * 4)
    apart = ["3" in pair for pair in zip(table["exposure"], table["reference"], strict=True)]
    table["flags"][apart] = 1
    found = relative_exposures(names, table)
    assert [bool(error) for error in found["error"]] == [False, False, False, True]
    assert np.isnan(found["dra"][3])


def test_two_groups_of_exposures():
    names, table, _ = pairs_of([0.0, 1.0, -1.0, 0.5, 0.7], [0.01] * 5)
    first = {"0", "1", "2"}
    table["flags"][
        [len(first & set(pair)) == 1 for pair in zip(table["exposure"], table["reference"], strict=True)]
    ] = 1
    found = relative_exposures(names, table)
    assert [bool(error) for error in found["error"]] == [False, False, False, True, True]
    assert list(found["pairs"]) == [2, 2, 2, 0, 0]
    assert list(found["flags"]) == [0] * 5
    assert_allclose(found["dra"].value[:3], [0.0, 1.0, -1.0], atol=0.04)


def test_a_rotation_that_is_held():
    names, table, _ = pairs_of([0.0, 1.0, -1.0], [0.01] * 3)
    table["rotation_err"] = 0.0
    found = relative_exposures(names, table)
    assert_allclose(found["dra"].value, [0.0, 1.0, -1.0], atol=0.04)
    assert_allclose(found["rotation"].value, 0)
    assert_allclose(found["rotation_err"].value, 0)


def test_two_exposures_have_the_same_error():
    names, table, _ = pairs_of([0.0, 1.0], [0.01, 0.01])
    error = relative_exposures(names, table)["dra_err"].value
    assert_allclose(error, 0.01 / np.sqrt(2), rtol=0.05)


def test_many_exposures_are_not_all_compared():
    names = [str(number) for number in range(40)]
    pairs = choose_pairs(names)
    assert len(pairs) == 160
    assert len({frozenset((one.exposure, one.reference)) for one in pairs}) == 160


@pytest.mark.parametrize("error", [np.nan, 0.0])
def test_pairs_without_errors_are_not_used(error):
    table = pairs_of([0.3, 0.1, -0.4], [0.01, 0.01, 0.01])[1]
    for key in ("dra", "ddec", "rotation", "scale"):
        table[f"{key}_err"] = error
    with pytest.raises(UserError, match="no pair of exposures has a fit that can be used"):
        relative_exposures(["0", "1", "2"], table)
