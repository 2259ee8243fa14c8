"""Headers with cards that break the FITS standard: read, mended with one warning, and written."""

import shutil
import warnings
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from astropy_imphot import (
    FilterCurve,
    FittedValue,
    ImphotWarning,
    UserError,
    apply_corrections,
    bandpass_image,
    make_template,
    read_image,
    rescale_hst_like_muse,
    write_image,
)
from astropy_imphot.cli import fit_photometry, make_wideband_image, regrid_hst_to_muse
from astropy_imphot.products.psf_keywords import fsf_keywords, write_fsf
from astropy_imphot.simulation import muse_cube, simulate_field

# Each as it is in a file, and the keyword and value that are written afterwards, None if it is left out.
CARDS = {
    "no HIERARCH": (b"ESO DET CHIP PXSPACE = 2.000e-05 / m", ("ESO DET CHIP PXSPACE", 2e-5)),
    "exponent in lower case": (b"HIERARCH ESO DET PX = 2.000e-05 / m", ("ESO DET PX", 2e-5)),
    "NaN": (b"AIRMASS =                  NaN / bare", ("AIRMASS", "NaN")),
    "infinity": (b"HIERARCH ESO TEL AIRM = -Inf", ("ESO TEL AIRM", "-Inf")),
    "time": (b"TIME    = 05:12:33.1 / UT", ("TIME", "05:12:33.1")),
    "date": (b"DATE-OBS= 2014-09-01T05:00:00.000 / UT", ("DATE-OBS", "2014-09-01T05:00:00.000")),
    "word": (b"OBJECT  = UDF-04 / target", ("OBJECT", "UDF-04")),
    "decimal comma": (b"SEEING  = 0,7 / arcsec", ("SEEING", "0,7")),
    "keyword in lower case": (b"exptime =                500.0 / s", ("EXPTIME", 500.0)),
    "no blank": (b"SEEING  =0.7", ("SEEING", 0.7)),
    "tab": (b"SEEING  =\t0.7", ("SEEING", 0.7)),
    "long keyword": (b"EXPOSURETIME= 5.0", ("EXPOSURETIME", 5.0)),
    "long value": (b"HIERARCH ESO OBS NAME = 'a name that is longer than the card, and has no end x", None),
    "NUL": (b"SEEING  =                  0.7 / a\0\0\0", ("SEEING", 0.7)),
    "control characters": (b"HISTORY  \x01\x02 reduced", ("HISTORY", "reduced")),
    "latin-1": (b"OBSERVER= 'M\xfcller'", ("OBSERVER", "M?ller")),
    "UTF-8": (b"SEEING  =                  0.7 / [\xc2\xb5m]", ("SEEING", 0.7)),
    "no value": (b"SEEING    0.7", None),
    "keyword with a dot": (b"SEEING.X= 0.7", None),
    "CONTINUE of nothing": (b"CONTINUE  'left over'", ("OBSERVER", "me")),
}


def inject(path, cards, number):
    """Put cards as they are before the end of a header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            place = hdus[number].fileinfo()
    content = path.read_bytes()
    start, stop = place["hdrLoc"], place["datLoc"]
    header = content[start:stop].rstrip().removesuffix(b"END")
    header += b"".join(card.ljust(80)[:80] for card in cards) + b"END".ljust(80)
    header += b" " * (-len(header) % 2880)
    path.write_bytes(content[:start] + header + content[stop:])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with an HST image, a MUSE image and a cube."""
    folder = tmp_path_factory.mktemp("good")
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    write_image(field.hst, folder / "hst.fits")
    write_image(field.muse[0], folder / "E1.fits")
    cube = muse_cube(field.muse[0], np.arange(6700.0, 8700.0, 100.0), noise=2.0, seed=2)
    cube.writeto(folder / "CUBE.fits")
    return folder


@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_warnings(caught, *names):
    """One for each file, with its name."""
    texts = [str(one.message) for one in caught]
    assert all(issubclass(one.category, ImphotWarning) for one in caught), texts
    assert len(texts) == len(names), texts
    for text, name in zip(sorted(texts), sorted(names), strict=True):
        assert text.startswith(
            f"{name}: cards of the header that break the FITS standard were mended or left"
        )


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("number", [0, 1])
def test_read_and_write(folder, name, number):
    card, expected = CARDS[name]
    before = [b"OBSERVER= 'me'"] if name == "CONTINUE of nothing" else []
    inject(folder / "hst.fits", [*before, card], number)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image("hst.fits")
    check_warnings(caught, "hst.fits")
    keyword = card.decode("ascii", "replace").partition("=")[0].removeprefix("HIERARCH").split()[0]
    assert keyword.upper().replace("CONTINUE", "OBSERVER") in str(caught[0].message)
    write_image(image, "out.fits")
    # A warning would be an error.
    with fits.open("out.fits") as hdus:
        header = hdus[0].header
        header.tostring()
        if expected is not None:
            key, value = expected
            assert value in str(header[key]) if key == "HISTORY" else header[key] == value
    assert read_image("out.fits").unit == image.unit


@pytest.fixture
def broken(folder):
    """The files with all these cards in both headers."""
    cards = [card for name, (card, _) in CARDS.items() if not name.startswith("CONTINUE")]
    for name in ("hst.fits", "E1.fits", "CUBE.fits"):
        for number in (0, 1):
            inject(folder / name, cards, number)
    return folder


def test_functions(broken):
    curve = FilterCurve([7400.0, 7410.0, 7900.0, 7910.0], [0, 1, 1, 0])
    values = {
        key: FittedValue(value, 0.1, False, u.dimensionless_unscaled)
        for key, value in (("dx", 0.1), ("dy", 0.2), ("scale", 0.9))
    }
    fit = SimpleNamespace(values=values, **values)
    for make, names in (
        (lambda: apply_corrections("E1.fits", fit, "xy,scale"), ["E1.fits"]),
        (lambda: bandpass_image("CUBE.fits", curve), ["CUBE.fits"]),
        (lambda: make_template("hst.fits", "E1.fits").image(), ["E1.fits", "hst.fits"]),
        (lambda: rescale_hst_like_muse("hst.fits", "E1.fits"), ["E1.fits", "hst.fits"]),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write_image(make(), "out.fits", overwrite=True)
        check_warnings(caught, *names)


def test_keywords_of_the_psf(broken):
    with pytest.warns(ImphotWarning, match="CUBE.fits: cards of the header"):
        write_fsf("CUBE.fits", "out.fits", fsf_keywords({"fwhm": [0.65], "beta": 2.5}))
    header = fits.getheader("out.fits")
    header.tostring()
    assert (header["FSFMODE"], header["AIRMASS"], header["SEEING"]) == (2, "NaN", "0,7")


def test_hdus_of_a_user(broken):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open("E1.fits") as hdus:
            before = hdus[0].header.copy()
            image = read_image(hdus)
            # Also a header that this package did not read.
            image.meta = before.copy()
            write_image(image, "out.fits")
            assert repr(hdus[0].header["ESO DET PX"]) == repr(before["ESO DET PX"])
            with pytest.raises(fits.VerifyError):
                hdus[0].header["AIRMASS"]
    assert fits.getheader("out.fits")["AIRMASS"] == "NaN"


COMMANDS = {
    "fit_photometry": (fit_photometry, ["hst.fits", "E1.fits", "--save", "--apply", "--hardcopy", "none"]),
    "make_wideband_image": (make_wideband_image, ["F775W", "CUBE.fits"]),
    "regrid_hst_to_muse": (regrid_hst_to_muse, ["E1.fits", "hst.fits"]),
}


@pytest.mark.filterwarnings("default::astropy_imphot.ImphotWarning")
@pytest.mark.parametrize("name", COMMANDS)
def test_commands(broken, capsys, name):
    command, words = COMMANDS[name]
    before = set(broken.iterdir())
    assert command.main(words) == 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    told = [line for line in printed.err.splitlines() if "break the FITS standard" in line]
    assert len(told) == len({line.split(": cards")[0] for line in told})
    for path in set(broken.glob("*.fits")) - before:
        # A warning would be an error.
        with fits.open(path) as hdus:
            hdus.verify("exception")


def no_padding(header):
    return header[: header.rstrip().rfind(b"END") + 80]


def no_end(header):
    return header.rstrip().removesuffix(b"END").ljust(len(header))


@pytest.mark.parametrize("change", [no_padding, no_end])
@pytest.mark.parametrize("number", [0, 1])
def test_header_without_its_end(folder, change, number):
    path = folder / "E1.fits"
    with fits.open(path) as hdus:
        place = hdus[number].fileinfo()
    content, start, stop = path.read_bytes(), place["hdrLoc"], place["datLoc"]
    path.write_bytes(content[:start] + change(content[start:stop]) + content[stop:])
    with pytest.raises(
        UserError, match=r"E1\.fits (has a header that does not end|is not a FITS file).*: .*download"
    ):
        read_image("E1.fits")


def test_header_that_is_padded_otherwise(folder):
    path = folder / "E1.fits"
    content = path.read_bytes()
    with fits.open(path) as hdus:
        start, stop = hdus[1].fileinfo()["hdrLoc"], hdus[1].fileinfo()["datLoc"]
        data = hdus[1].data.copy()
    header = content[start:stop].rstrip()
    path.write_bytes(content[:start] + header.ljust(stop - start, b"\0") + content[stop:])
    np.testing.assert_array_equal(read_image(path).data, data)


def test_data_without_padding(folder):
    path = folder / "image.fits"
    data = np.arange(35.0, dtype=">f4").reshape(5, 7)
    fits.writeto(path, data, fits.getheader("E1.fits", 1))
    content = path.read_bytes()
    with fits.open(path) as hdus:
        stop = hdus[0].fileinfo()["datLoc"] + data.nbytes
    path.write_bytes(content[:stop])
    np.testing.assert_array_equal(read_image(path).data, data)
    path.write_bytes(content[: stop - 1])
    with pytest.raises(UserError, match=r"image\.fits ends before its data do"):
        read_image(path)
