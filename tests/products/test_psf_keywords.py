"""MPDAF's keywords of the PSF: what MPDAF reads in cubes that have them."""

import gzip
import os
import stat
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from astropy_imphot import UserError
from astropy_imphot.products.psf_keywords import fsf_keywords, write_fsf
from astropy_imphot.simulation.drawing import sky_grid

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
    with pytest.raises(UserError, match=r"cube\.fits\.bz2 is compressed in an unknown way"):
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
        "from astropy_imphot.products.psf_keywords import fsf_keywords, write_fsf\n"
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
