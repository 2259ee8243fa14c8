"""Files are opened with clear errors, and written whole or not at all."""

import gc
import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, opened, source_name
from astropy_imphot.io.writing import atomic_write, refuse_existing


@pytest.fixture
def muse_file(tmp_path):
    """A file of two image extensions, whose noise does not compress."""
    noise = np.random.default_rng(1).normal(size=(2, 80, 90)).astype("f4")
    path = tmp_path / "muse.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(noise[0], name="DATA"), fits.ImageHDU(noise[1], name="STAT")]
    ).writeto(path)
    return path


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_source_name(tmp_path, muse_file):
    assert source_name(muse_file) == str(muse_file)
    assert source_name(str(muse_file)) == str(muse_file)
    with fits.open(muse_file) as hdus:
        assert source_name(hdus) == str(muse_file)
    in_memory = fits.HDUList([fits.PrimaryHDU()])
    assert source_name(in_memory) == "the image"
    assert source_name(in_memory, "the HST image") == "the HST image"
    assert source_name(np.ones(3), "the mask") == "the mask"


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("E1.fits", "E1.fits", "E1.fits: it is empty."),
        (Path("E1.fits"), "hst.fits", "hst.fits: it is empty."),
        ("E1.fits", np.ones(3), "E1.fits: it is empty."),
        (np.ones(3), "hst.fits", "hst.fits: it is empty."),
        (np.ones(3), np.ones(3), "it is empty."),
    ],
)
def test_the_innermost_file_is_named(outer, inner, expected):
    with pytest.raises(UserError) as caught, naming(outer), naming(inner):
        raise UserError("it is empty.")
    assert str(caught.value) == expected


def test_naming_leaves_other_errors_alone():
    with pytest.raises(KeyError, match="^'x'$"), naming("E1.fits"):
        raise KeyError("x")


@pytest.mark.parametrize("kind", ["str", "Path"])
def test_opened_closes_what_it_opened(muse_file, kind):
    with opened(str(muse_file) if kind == "str" else muse_file) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "DATA", "STAT"]
        file = hdus._file
        assert not file.closed
    assert file.closed


def test_opened_leaves_what_it_was_given_open(muse_file):
    with fits.open(muse_file) as hdus:
        with opened(hdus) as same:
            assert same is hdus
        assert not hdus._file.closed
        assert hdus["DATA"].data.shape == (80, 90)


@pytest.mark.parametrize("kind", [fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU])
def test_opened_takes_an_hdu(kind):
    hdu = kind(np.ones((5, 7)))
    with opened(hdu) as hdus:
        assert list(hdus) == [hdu]


@pytest.mark.parametrize("source", [5, None, np.ones((5, 7)), ["muse.fits"]])
def test_opened_refuses_what_is_no_image(source):
    with pytest.raises(UserError, match=f"not as an? {type(source).__name__}"), opened(source):
        pass


def test_opened_missing_file(tmp_path):
    with pytest.raises(UserError, match="nothing.fits does not exist: check the name"):
        opened(tmp_path / "nothing.fits").__enter__()


@pytest.mark.parametrize("content", [b"", b"hello" * 1000], ids=["empty", "text"])
def test_opened_file_that_is_not_fits(tmp_path, content):
    path = tmp_path / "notes.fits"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"notes\.fits") as caught:
        opened(path).__enter__()
    message = str(caught.value)
    # This option of fits.open is out of the user's reach, and would not help.
    assert "ignore_missing_simple" not in message
    assert any(cure in message for cure in ("give ", "check ", "download "))


# The warnings of users' sessions, for errors made of them are not what a user meets.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["DATA", "STAT"])
@pytest.mark.parametrize("part", ["header", "data"])
def test_opened_truncated_file(muse_file, where, part):
    with fits.open(muse_file) as hdus:
        info = hdus[where].fileinfo()
    end = info["hdrLoc"] + 800 if part == "header" else info["datLoc"] + 8000
    muse_file.write_bytes(muse_file.read_bytes()[:end])
    with pytest.raises(UserError, match=r"muse\.fits ends before its data do: copy or download"):
        opened(muse_file).__enter__()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [2880, 3000, 8640])
def test_opened_truncated_plain_image(tmp_path, size):
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones((80, 90))).writeto(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"plain\.fits ends before its data do: copy or download"):
        opened(path).__enter__()


@pytest.mark.parametrize("rest", [b"\n", b"x" * 100], ids=["newline", "words"])
def test_opened_file_with_a_rest_behind_its_end(muse_file, rest):
    # All that it should hold is there, and nothing has to be told.
    muse_file.write_bytes(muse_file.read_bytes() + rest)
    with opened(muse_file) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "DATA", "STAT"]


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
@pytest.mark.filterwarnings("ignore")
def test_opened_truncated_gzip_file(muse_file, fraction):
    path = muse_file.with_suffix(".fits.gz")
    content = gzip.compress(muse_file.read_bytes())
    path.write_bytes(content[: int(fraction * len(content))])
    with (
        pytest.raises(UserError, match=r"muse\.fits\.gz ends before its data do: copy or download"),
        opened(path) as hdus,
    ):
        # Compressed files may be found out only when their pixels are read.
        _ = [hdu.data for hdu in hdus[1:]]


@pytest.mark.parametrize("plain", [False, True])
def test_opened_truncated_file_is_closed_again(muse_file, recwarn, plain):
    if plain:
        fits.PrimaryHDU(np.ones((80, 90))).writeto(muse_file, overwrite=True)
    muse_file.write_bytes(muse_file.read_bytes()[:20000])
    with pytest.raises(UserError) as caught:
        opened(muse_file).__enter__()
    # An open file is told of when it is collected, which the traceback puts off.
    del caught
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_opened_passes_on_errors_of_the_caller(muse_file):
    with pytest.raises(ValueError, match="^mine$"), opened(muse_file):
        raise ValueError("mine")


def test_atomic_write_writes_the_file_only(tmp_path):
    path = tmp_path / "notes.txt"
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert listing(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("existing", [True, False])
def test_atomic_write_leaves_nothing_half_written(tmp_path, error, existing):
    path = tmp_path / "notes.txt"
    if existing:
        path.write_text("old")

    def interrupted():
        with atomic_write(path, overwrite=True) as temporary:
            temporary.write_text("ha")
            raise error

    with pytest.raises(error):
        interrupted()
    assert listing(tmp_path) == (["notes.txt"] if existing else [])
    assert not existing or path.read_text() == "old"


def test_atomic_write_disk_error_is_a_user_error(tmp_path):
    def full():
        with atomic_write(tmp_path / "notes.txt") as temporary:
            temporary.write_text("ha")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"notes\.txt cannot be written: No space left on device\."):
        full()
    assert listing(tmp_path) == []


def test_atomic_write_refuses_an_existing_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(UserError, match=r"notes\.txt exists: use --overwrite"):
        atomic_write(path).__enter__()
    assert path.read_text() == "old"
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert listing(tmp_path) == ["notes.txt"]


def test_atomic_write_needs_its_folder(tmp_path):
    with pytest.raises(UserError, match=r"notes\.txt cannot be written: there is no folder .*nowhere"):
        atomic_write(tmp_path / "nowhere" / "notes.txt").__enter__()


def test_atomic_write_after_a_killed_run(tmp_path):
    # What a killed run left behind must not stop fits.writeto, which refuses existing files.
    with atomic_write(tmp_path / "image.fits") as temporary:
        leftover = temporary
        fits.PrimaryHDU(np.ones(3)).writeto(temporary)
    leftover.write_text("ha")
    with atomic_write(tmp_path / "image.fits", overwrite=True) as temporary:
        fits.PrimaryHDU(np.zeros(3)).writeto(temporary)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "image.fits"), 0)


@pytest.mark.parametrize(
    ("exists", "overwrite", "refused"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_refuse_existing(tmp_path, exists, overwrite, refused):
    path = tmp_path / "table.ecsv"
    if exists:
        path.touch()
    if refused:
        with pytest.raises(UserError, match=r"table\.ecsv exists"):
            refuse_existing(path, overwrite)
    else:
        refuse_existing(path, overwrite)
