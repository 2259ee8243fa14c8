"""Files for other programs: what plain astropy and MPDAF read in them."""

import gzip
import os
import stat
import subprocess
import sys
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyUserWarning

from astropy_imphot import UserError
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.products.pipeline_files import fsf_keywords, write_fsf, write_imphot, write_offset_list
from astropy_imphot.simulation.drawing import sky_grid

DATES = ["2014-09-25T04:12:00.000", "2014-09-25T04:39:21.600", "2014-10-01T00:00:00.123"]


def exposures(**columns):
    table = {
        "exposure": ["E1", "E2", "E3"],
        "file": ["E1.fits", "E2.fits", "E3.fits"],
        "date_obs": DATES,
        "mjd_obs": [56925.175, 56925.194, np.nan],
        # Single precision, such as a column may come with.
        "dra": np.array([0.36, -0.72, 1.8], dtype="f4") * u.arcsec,
        "ddec": [-0.18, 0.36, 0.09] * u.arcsec,
        "scale": [0.8, np.nan, 1.25],
        "flags": [0, 0, 4],
        "error": ["", "", ""],
    }
    return QTable({**table, **columns})


def test_offset_list_as_the_pipeline_reads_it(tmp_path):
    path = tmp_path / "OFFSET_LIST.fits"
    write_offset_list(path, exposures())
    with fits.open(path) as hdus:
        assert len(hdus) == 2
        assert hdus[0].header["HIERARCH ESO PRO CATG"] == "OFFSET_LIST"
        header, data = hdus[1].header, hdus[1].data
        assert header["TFIELDS"] == 5
        layout = [(header[f"TTYPE{n}"], header[f"TFORM{n}"], header.get(f"TUNIT{n}")) for n in range(1, 6)]
        assert layout == [
            ("DATE_OBS", "23A", None),
            ("MJD_OBS", "D", "d"),
            ("RA_OFFSET", "D", "deg"),
            ("DEC_OFFSET", "D", "deg"),
            ("FLUX_SCALE", "D", None),
        ]
        assert data["DATE_OBS"].tolist() == DATES
        np.testing.assert_array_equal(data["MJD_OBS"], [56925.175, 56925.194, np.nan])
        np.testing.assert_allclose(data["RA_OFFSET"], [1e-4, -2e-4, 5e-4], rtol=1e-6)
        np.testing.assert_allclose(data["DEC_OFFSET"], [-5e-5, 1e-4, 2.5e-5], rtol=1e-12)
        np.testing.assert_allclose(data["FLUX_SCALE"], [1.25, np.nan, 0.8], rtol=1e-12)
    with pytest.raises(UserError, match="exists"):
        write_offset_list(path, exposures())
    write_offset_list(path, exposures()[:1], overwrite=True)
    assert len(fits.getdata(path)) == 1


@pytest.mark.parametrize(
    ("columns", "left"),
    [
        ({"error": ["", "no overlap", ""]}, [0, 2]),
        ({"dra": [0.1, np.nan, 0.2] * u.arcsec}, [0, 2]),
        ({"ddec": [np.nan, 0.1, 0.2] * u.arcsec}, [1, 2]),
        # What was not measured needs no date.
        ({"error": ["no overlap", "", ""], "date_obs": ["", *DATES[1:]]}, [1, 2]),
    ],
)
def test_what_was_not_measured_is_not_listed(tmp_path, columns, left):
    write_offset_list(tmp_path / "list.fits", exposures(**columns))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == [DATES[row] for row in left]


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("", r"E2\.fits is left out .*it has no DATE-OBS"),
        ("2014-09-25T04:39:21", r"E2\.fits is left out .*its DATE-OBS, 2014-09-25T04:39:21, is not"),
        ("2014-09-25 04:39:21.600", r"E2\.fits is left out .*is not of the form"),
        ("2014-09-25T04:39:21.6004", r"E2\.fits is left out .*is not of the form"),
    ],
)
def test_exposure_without_a_key(tmp_path, date, words):
    with pytest.warns(AstropyUserWarning, match=words):
        write_offset_list(tmp_path / "list.fits", exposures(date_obs=[DATES[0], date, DATES[2]]))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == [DATES[0], DATES[2]]


def test_blanks_around_a_key(tmp_path):
    write_offset_list(tmp_path / "list.fits", exposures(date_obs=[f"{date} " for date in DATES]))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == DATES


# An offset that was not measured must not be taken from the other exposure.
@pytest.mark.parametrize("error", ["", "no overlap"])
def test_two_exposures_with_one_key(tmp_path, error):
    table = exposures(date_obs=[DATES[0], DATES[1], DATES[0]], error=["", "", error])
    with pytest.raises(UserError, match=r"E1\.fits and E3\.fits have the same DATE-OBS, 2014-09-25T04:12:00"):
        write_offset_list(tmp_path / "list.fits", table)
    assert not list(tmp_path.iterdir())


def test_exposures_without_dates_are_not_the_same(tmp_path):
    with pytest.warns(AstropyUserWarning, match="left out"):
        write_offset_list(tmp_path / "list.fits", exposures(date_obs=["", "", DATES[2]]))


def test_nothing_to_list(tmp_path):
    with pytest.raises(UserError, match="no exposure was measured"):
        write_offset_list(tmp_path / "list.fits", exposures(error=["a", "b", "c"]))
    with pytest.raises(UserError, match="no exposure was measured"):
        write_offset_list(tmp_path / "list.fits", exposures()[:0])


ROWS = {
    "file": ["F606W_É1.fits", "F775W_E1.fits"],
    "filter": ["F606W", "F775W"],
    "dx": [0.1, 0.2] * u.arcsec,
    "dy": [0.3, 0.4] * u.arcsec,
    "dra": [-0.36, -0.72] * u.arcsec,
    "ddec": [0.18, 0.36] * u.arcsec,
    "scale": [0.98, np.nan],
    "fwhm": [0.6, 0.55] * u.arcsec,
    "beta": [2.5, 2.6],
    "bg": [0.1, 0.2] * PIPELINE_UNIT,
    "rms": [1.2, 1.3] * PIPELINE_UNIT,
}


def test_imphot_as_musered_reads_it(tmp_path):
    header = fits.Header({"EXPNAME": "GTO07", "DATE-OBS": DATES[0], "MJD-OBS": 56925.175, "OBJECT": "UDF"})
    offset = (-0.54 * u.arcsec, 0.27 * u.arcsec)
    write_imphot(tmp_path / "IMPHOT.fits", QTable(ROWS), header=header, offset=offset)
    table = Table.read(tmp_path / "IMPHOT.fits", hdu=1)
    assert table.colnames == ["filename", *list(ROWS)[1:]]
    assert table["filename"].tolist() == ["F606W_?1.fits", "F775W_E1.fits"]
    assert table["filter"].tolist() == ["F606W", "F775W"]
    for key in list(ROWS)[2:]:
        np.testing.assert_array_equal(np.ma.filled(table[key], np.nan), u.Quantity(ROWS[key]).value)
        assert table[key].dtype.newbyteorder("=") == np.dtype(float)
    assert {key: table[key].unit for key in ("dx", "dy", "dra", "ddec", "fwhm")} == dict.fromkeys(
        ("dx", "dy", "dra", "ddec", "fwhm"), u.arcsec
    )
    assert u.Quantity(1, table["bg"].unit).to_value(PIPELINE_UNIT) == pytest.approx(1)
    assert table["scale"].unit is None
    assert table.meta["EXPNAME"] == "GTO07"
    assert table.meta["DATE-OBS"] == DATES[0]
    assert table.meta["MJD-OBS"] == 56925.175
    assert table.meta["RA_OFF"] == pytest.approx(-1.5e-4, rel=1e-12)
    assert table.meta["DEC_OFF"] == pytest.approx(7.5e-5, rel=1e-12)
    assert "OBJECT" not in table.meta
    with pytest.raises(UserError, match="exists"):
        write_imphot(tmp_path / "IMPHOT.fits", QTable(ROWS), header=header)


def test_imphot_of_numbers_and_little_else(tmp_path):
    rows = Table({key: getattr(column, "value", column) for key, column in ROWS.items()})
    write_imphot(tmp_path / "IMPHOT.fits", rows, header={}, offset=(np.nan * u.arcsec, 1 * u.arcsec))
    table = Table.read(tmp_path / "IMPHOT.fits")
    assert table["fwhm"].unit == u.arcsec
    assert table["dra"].tolist() == [-0.36, -0.72]
    assert table.meta["EXPNAME"] == "F606W_?1"
    assert not {"RA_OFF", "DEC_OFF", "DATE-OBS", "MJD-OBS"} & set(table.meta)


FWHM, BETA = [0.0123456789012345, -0.1234567890123456, 0.65], [-0.2, 2.5]


def cube_hdus(planes=3, **primary):
    rng = np.random.default_rng(1)
    header = sky_grid((8, 9)).wcs.to_header()
    header.update(CTYPE3="AWAV", CUNIT3="Angstrom", CRPIX3=1.0, CRVAL3=4750.0, PC3_3=1.0, CDELT3=1.25)
    header["BUNIT"] = "10**(-20)*erg/s/cm**2/Angstrom"
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header(primary))])
    for name in ("DATA", "STAT"):
        hdus.append(fits.ImageHDU(rng.random((planes, 8, 9), dtype="f4"), header=header, name=name))
    return hdus


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "cube.fits"
    cube_hdus(OBJECT="UDF").writeto(path)
    # A card that astropy would write otherwise.
    content = path.read_bytes()
    path.write_bytes(content.replace(b"OBJECT  = 'UDF     '  ", b"OBJECT  =   'UDF'     ", 1))
    return path


def body(path):
    """The bytes after the primary header."""
    content = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    return content[content.index(b"XTENSION") :]


@pytest.mark.parametrize("in_place", [True, False])
def test_mpdaf_reads_the_psf(cube, tmp_path, in_place):
    from mpdaf.MUSE import FSFModel

    before = body(cube)
    whole = cube.read_bytes()
    path = cube if in_place else tmp_path / "copy.fits"
    write_fsf(cube, path, fsf_keywords({"fwhm": FWHM, "beta": BETA}), overwrite=in_place)
    model = FSFModel.read(str(path))
    assert model.model == 2
    assert model.lbrange == (4750.0, 9350.0)
    np.testing.assert_allclose(model.fwhm_pol, FWHM, rtol=1e-13)
    np.testing.assert_allclose(model.beta_pol, BETA, rtol=1e-13)
    wavelengths = np.array([4750.0, 7050.0, 9350.0])
    for polynomial, values in ((FWHM, model.get_fwhm(wavelengths)), (BETA, model.get_beta(wavelengths))):
        np.testing.assert_allclose(values, np.polyval(polynomial, [-0.5, 0.0, 0.5]))
    assert body(path) == before
    assert path.stat().st_size % 2880 == 0
    assert b"OBJECT  =   'UDF'" in path.read_bytes()
    assert in_place or cube.read_bytes() == whole
    assert sorted(os.listdir(tmp_path)) == sorted({"cube.fits", path.name})


@pytest.mark.parametrize("old", [fsf_keywords({"fwhm": [1.0, 2.0, 3.0, 4.0], "beta": [5.0, 6.0]}), {
    "FSFMODE": "MOFFAT1", "FSF00BET": 2.8, "FSF00FWA": 0.8, "FSF00FWB": -3e-5, "FSF01BET": 2.8, "NFIELDS": 9,
}])  # fmt: skip
def test_old_keywords_go(tmp_path, old):
    from mpdaf.MUSE import FSFModel

    path = tmp_path / "cube.fits"
    hdus = cube_hdus(OBJECT="UDF", FSFOTHER="kept")
    hdus[0].header.update(old)
    hdus.writeto(path)
    write_fsf(path, path, fsf_keywords({"fwhm": 0.7, "beta": 2.5}), overwrite=True)
    expected = fsf_keywords({"fwhm": 0.7, "beta": 2.5})
    header = fits.getheader(path)
    assert {key for key in header if key.startswith("FSF")} == {*expected, "FSFOTHER"}
    assert {key: header[key] for key in expected} == dict(expected)
    assert header["OBJECT"] == "UDF"
    assert FSFModel.read(str(path)).fwhm_pol == [0.7]


def test_checksums_stay_true(tmp_path):
    path = tmp_path / "cube.fits"
    cube_hdus().writeto(path, checksum=True)
    write_fsf(path, path, fsf_keywords({"fwhm": 0.7, "beta": 2.5}), overwrite=True)
    # astropy warns of a sum that is wrong, and warnings are errors.
    with fits.open(path, checksum=True) as hdus:
        assert [hdu.data is None for hdu in hdus] == [True, False, False]
        assert "CHECKSUM" in hdus["DATA"].header


@pytest.mark.parametrize(
    "names", [("a.fits.gz", "b.fits"), ("a.fits", "b.fits.gz"), ("a.fits.gz", "a.fits.gz")]
)
def test_compressed(tmp_path, names):
    from mpdaf.MUSE import FSFModel

    source, path = (tmp_path / name for name in names)
    cube_hdus().writeto(source)
    before = body(source)
    write_fsf(source, path, fsf_keywords({"fwhm": FWHM, "beta": BETA}), overwrite=True)
    assert body(path) == before
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == (path.suffix == ".gz")
    assert FSFModel.read(str(path)).beta_pol == BETA


def test_compressed_otherwise(tmp_path):
    import bz2

    path = tmp_path / "cube.fits.bz2"
    cube_hdus().writeto(tmp_path / "cube.fits")
    path.write_bytes(bz2.compress((tmp_path / "cube.fits").read_bytes()))
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"cube\.fits\.bz2 is compressed in a way"):
        write_fsf(path, path, fsf_keywords({"fwhm": 0.7, "beta": 2.5}), overwrite=True)
    assert path.read_bytes() == before


def test_in_place_keeps_permissions_and_links(cube, tmp_path):
    cube.chmod(0o640)
    link = tmp_path / "link.fits"
    link.symlink_to(cube)
    write_fsf(link, link, fsf_keywords({"fwhm": 0.7, "beta": 2.5}), overwrite=True)
    assert link.is_symlink()
    assert fits.getheader(cube)["FSFMODE"] == 2
    assert stat.S_IMODE(cube.stat().st_mode) == 0o640


def test_what_exists_is_kept(cube, tmp_path):
    before = cube.read_bytes()
    (tmp_path / "other.fits").write_text("precious")
    for path in (cube, tmp_path / "other.fits"):
        with pytest.raises(UserError, match="exists"):
            write_fsf(cube, path, fsf_keywords({"fwhm": 0.7, "beta": 2.5}))
    assert cube.read_bytes() == before
    assert (tmp_path / "other.fits").read_text() == "precious"


@pytest.mark.parametrize("name", ["gone.fits", "short.fits"])
def test_no_whole_cube(cube, tmp_path, name):
    (tmp_path / "short.fits").write_bytes(cube.read_bytes()[:-2880])
    with pytest.raises(UserError, match=name):
        write_fsf(tmp_path / name, tmp_path / "copy.fits", fsf_keywords({"fwhm": 0.7, "beta": 2.5}))
    assert sorted(os.listdir(tmp_path)) == ["cube.fits", "short.fits"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
@pytest.mark.parametrize("name", ["cube.fits", "copy.fits"])
def test_full_disk(tmp_path, name):
    cube_hdus(planes=500).writeto(tmp_path / "cube.fits")
    before = (tmp_path / "cube.fits").read_bytes()
    code = (
        "import resource, sys; from astropy_imphot import UserError; "
        "from astropy_imphot.products.pipeline_files import fsf_keywords, write_fsf\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "keywords = fsf_keywords({'fwhm': 0.7, 'beta': 2.5})\n"
        "try:\n    write_fsf('cube.fits', sys.argv[1], keywords, overwrite=True)\n"
        "except UserError as error:\n    print(error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, name], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert f"{name} cannot be written: File too large" in run.stdout
    assert os.listdir(tmp_path) == ["cube.fits"]
    assert (tmp_path / "cube.fits").read_bytes() == before


def test_memory(tmp_path):
    cube_hdus(planes=120_000).writeto(tmp_path / "cube.fits")
    assert (tmp_path / "cube.fits").stat().st_size > 65e6
    tracemalloc.start()
    try:
        write_fsf(tmp_path / "cube.fits", tmp_path / "copy.fits", fsf_keywords({"fwhm": 0.7, "beta": 2.5}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (([], 2.5), {}),
        ((0.7, [np.nan]), {}),
        (([0.7, np.inf], 2.5), {}),
        ((np.ones(100), 2.5), {}),
        ((0.7, 2.5), {"limits": (9350.0, 4750.0)}),
        ((0.7, 2.5), {"limits": (4750.0, np.nan)}),
    ],
)
def test_no_psf(arguments, options):
    with pytest.raises(UserError, match="the PSF's"):
        fsf_keywords(dict(zip(("fwhm", "beta"), arguments, strict=True)), **options)


def test_limits():
    header = fsf_keywords({"fwhm": [0.1, 0.7], "beta": 2.5}, limits=(5000, 9000))
    assert (header["FSFLB1"], header["FSFLB2"]) == (5000.0, 9000.0)
    assert isinstance(header["FSF00FNC"], int)
