"""Errors can be caught as Python's own, warnings have one class and the line of the caller."""

import inspect
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning

import astropy_imphot
from astropy_imphot import (
    FileError,
    FilterCurve,
    ImphotWarning,
    UserError,
    WorkerError,
    bandpass_image,
    fit_field,
    fit_image_photometry,
    fit_star_photometry,
    make_template,
    read_cube,
    read_image,
    write_image,
)
from astropy_imphot.io.errors import warn
from astropy_imphot.io.files import Source, naming, opened
from astropy_imphot.io.images import read_header
from astropy_imphot.io.writing import atomic_write
from astropy_imphot.masking.ds9regions import read_regions
from astropy_imphot.simulation import CENTER, CubeTruth, simulate_cubes, simulate_field


def test_classes():
    assert issubclass(UserError, ValueError)
    assert issubclass(FileError, (UserError, OSError))
    assert issubclass(WorkerError, UserError)
    assert not issubclass(WorkerError, OSError)
    assert issubclass(ImphotWarning, AstropyUserWarning)
    assert {"FileError", "ImphotWarning", "UserError", "WorkerError"} <= set(astropy_imphot.__all__)


@pytest.mark.parametrize("kind", [UserError, FileError])
def test_errors_are_one_sentence_and_pickle(kind):
    sentence = "E1.fits is broken: copy it again."
    copied = pickle.loads(pickle.dumps(kind(sentence)))
    # As Dask does.
    remade = kind.__new__(kind, sentence)
    for error in (copied, remade):
        assert type(error) is kind
        assert str(error) == sentence


@pytest.fixture
def broken(tmp_path):
    """Files that are missing, no FITS, truncated, and truncated when compressed."""
    (tmp_path / "text.fits").write_text("hello" * 1000)
    fits.writeto(tmp_path / "short.fits", np.ones((80, 90)))
    content = (tmp_path / "short.fits").read_bytes()
    (tmp_path / "short.fits").write_bytes(content[:20000])
    (tmp_path / "short.fits.gz").write_bytes(b"\x1f\x8b\x08")
    return [tmp_path / name for name in ("missing.fits", "text.fits", "short.fits", "short.fits.gz")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(4))
def test_missing_and_broken_files(broken, number):
    for read in (read_image, read_cube):
        with pytest.raises(OSError, match=broken[number].name) as caught:
            read(broken[number])
        assert type(caught.value) is FileError


@pytest.mark.parametrize("read", [FilterCurve.read, read_regions])
def test_missing_text_files(tmp_path, read):
    with pytest.raises(OSError, match="does not exist: check the name"):
        read(tmp_path / "missing.txt")


def test_wrong_content_is_no_error_of_the_file(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(UserError, match=r"^\S*empty\.fits: there is no image") as caught:
        read_image(tmp_path / "empty.fits")
    assert not isinstance(caught.value, OSError)


def test_files_are_named_once():
    with pytest.raises(FileError, match=r"^E1\.fits is gone\.$"), naming("hst.fits"):
        raise FileError("E1.fits is gone.")
    with pytest.raises(WorkerError, match=r"^E1: it is dark\.$"), naming("hst.fits"):
        raise WorkerError("E1", "it is dark.")


def test_named_errors_travel_between_processes():
    with pytest.raises(UserError) as caught, naming("E1.fits"):
        raise UserError("the image is dark.")
    with pytest.raises(UserError, match=r"^E1\.fits: the image is dark\.$"), naming("hst.fits"):
        raise pickle.loads(pickle.dumps(caught.value))


def test_errors_within_are_not_those_of_the_file(tmp_path):
    # They are ValueErrors and OSErrors, of which the readers and writers make messages of their own.
    fits.writeto(tmp_path / "truncated.fits", np.ones((5, 7)))
    with (
        pytest.raises(UserError, match=r"truncated\.fits: it is dark\.$"),
        opened(tmp_path / "truncated.fits"),
    ):
        raise UserError("it is dark.")
    with pytest.raises(FileError, match=r"^other\.fits is gone\.$"), atomic_write(tmp_path / "new.fits"):
        raise FileError("other.fits is gone.")
    with pytest.raises(FileError, match="there is no folder"), atomic_write(tmp_path / "none" / "new.fits"):
        pass


@pytest.fixture(scope="module")
def drawn():
    """A field with a star in its center."""
    return simulate_field(seed=1, size=14.0, central_star=20.0)


def fit_without_unit(drawn):
    muse = drawn.muse[0]
    image = CCDData(muse.data, unit="", wcs=muse.wcs)
    fit_image_photometry(drawn.hst, image, fix_beta=2.5)


def unknown_unit(drawn):
    muse = drawn.muse[0]
    hdu = fits.ImageHDU(muse.data, muse.wcs.to_header())
    hdu.header["BUNIT"] = "FURLONGS/S"
    read_image(hdu)


def curve_outside(drawn):
    cubes = simulate_cubes(1, [CubeTruth()], size=10.0, filters=["F775W"]).cubes
    curve = FilterCurve.named("F775W")
    bandpass_image(cubes[0], FilterCurve(curve.wavelength + 1500, curve.sensitivity, name="red"))


def filtered_star(drawn):
    template = make_template(drawn.hst, drawn.muse[0])
    fit_star_photometry(template, drawn.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0))


def no_date(drawn):
    write_image(drawn.hst, "hst.fits")
    muse = drawn.muse[0].copy()
    muse.meta = {key: value for key, value in muse.meta.items() if key != "DATE-OBS"}
    write_image(muse, "E1.fits")
    with ThreadPoolExecutor(1) as executor:
        fit_field(["E1.fits"], ["hst.fits"], "out", plots=False, executor=executor, fix_beta=2.5)


def lines_of(function):
    lines, start = inspect.getsourcelines(function)
    return range(start, start + len(lines))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (fit_without_unit, "has no unit"),
        (unknown_unit, "FURLONGS/S"),
        (curve_outside, "of the filter curve red lies outside"),
        (filtered_star, "was filtered for the MUSE grid"),
        (no_date, "DATE-OBS"),
    ],
)
def test_warnings_have_the_line_of_the_caller(drawn, tmp_path, monkeypatch, call, words):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(ImphotWarning, match=words) as caught:
        call(drawn)
    assert {warning.category for warning in caught} == {ImphotWarning}
    for warning in caught:
        assert warning.filename == __file__
        assert warning.lineno in lines_of(call)


def test_warnings_of_astropy_are_passed_on(tmp_path, monkeypatch):
    fits.writeto(tmp_path / "odd.fits", np.ones((5, 7)))
    open_file = fits.open

    def odd(path):
        warnings.warn("an odd card", fits.verify.VerifyWarning, stacklevel=2)
        return open_file(path)

    monkeypatch.setattr(fits, "open", odd)
    with pytest.warns(fits.verify.VerifyWarning, match="an odd card") as caught:
        read_header(tmp_path / "odd.fits")
    assert [warning.filename for warning in caught] == [__file__]


def test_warnings_have_the_name_of_the_file(drawn):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with naming("E1.fits"), naming(drawn.hst):
            warn("it is dark.")
            with naming("hst.fits"):
                warn("it is cold.")
            warn("it is wet.")
        warn("it is late.")
    texts = [str(warning.message) for warning in caught]
    assert texts == ["E1.fits: it is dark.", "hst.fits: it is cold.", "E1.fits: it is wet.", "it is late."]


def test_an_input_that_stays_open_names_nothing_else(tmp_path):
    fits.writeto(tmp_path / "hst.fits", np.ones((5, 7)))
    with Source(tmp_path / "hst.fits") as source:
        with pytest.raises(UserError, match=r"hst\.fits: the image has no celestial"):
            read_image(source)
        with pytest.raises(UserError, match=r"^it is dark\.$"):
            raise UserError("it is dark.")
        with pytest.raises(UserError, match=r"^E1\.fits: it is dark\.$"), naming("E1.fits"):
            raise UserError("it is dark.")


def test_a_warning_that_nobody_called_for():
    with pytest.warns(ImphotWarning, match="^here$") as caught:
        warn("here")
    assert caught[0].filename == __file__
