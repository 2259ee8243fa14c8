"""What astropy logs of a header does not get among results."""

import logging
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy import log
from astropy.io import fits
from astropy.wcs import WCS

from astropy_imphot import (
    FitImagePhotometryMP,
    UserError,
    apply_corrections,
    fit_image_photometry,
    read_image,
    write_image,
)
from astropy_imphot.cli.fit_photometry import main
from astropy_imphot.io.distortion import without_information
from astropy_imphot.io.grid import read_grid
from astropy_imphot.simulation import simulate_field, sky_grid

SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_0_2": 1e-6, "B_2_0": -1e-6}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An HST and two MUSE images, with SIP coefficients, and CTYPE with -SIP on one axis only."""
    folder = tmp_path_factory.mktemp("sip")
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    paths = [str(folder / name) for name in ("hst.fits", "E1.fits", "E2.fits")]
    for path, image in zip(paths, [field.hst, field.muse[0], field.muse[0]], strict=True):
        write_image(image, path)
        with fits.open(path, mode="update") as hdus:
            for hdu in hdus[1:]:
                hdu.header.update(SIP, CTYPE1="RA---TAN-SIP")
    return paths


def test_the_files_are_what_astropy_logs(files, capsys):
    # Or else the tests below would say nothing.
    WCS(fits.getheader(files[1], "DATA"))
    assert "INFO" in capsys.readouterr().out


def check_table(printed, names):
    lines = printed.splitlines()
    assert [line[0] for line in lines[:3]] == ["#", "#", "#"]
    assert [line[:2] for line in lines[3:]] == names


def test_command_prints_only_the_table(files):
    command = Path(sys.executable).with_name("fit_photometry")
    done = subprocess.run([command, *files, "--fix_beta", "2.5"], capture_output=True, text=True, check=True)
    check_table(done.stdout, ["E1", "E2"])
    assert done.stderr == ""


def test_functions_print_nothing(files, tmp_path, capsys):
    hst, muse = read_image(files[0]), read_image(files[1])
    fit = fit_image_photometry(hst, muse, fix_beta=2.5)
    write_image(apply_corrections(muse, fit), tmp_path / "corrected.fits")
    with FitImagePhotometryMP(hst, [muse], nprocess=1, fix_beta=2.5) as fits_of_all:
        assert len(list(fits_of_all)) == 1
    # Of a user's own, which astropy made.
    muse.wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN"]
    fit_image_photometry(hst, muse, fix_beta=2.5)
    write_image(muse, tmp_path / "muse.fits")
    assert capsys.readouterr().out == ""


def test_distortion_is_used_and_written(files, tmp_path, capsys):
    header = fits.getheader(files[1], "DATA")
    image = read_image(files[1])
    write_image(image, tmp_path / "again.fits")
    again = read_image(tmp_path / "again.fits")
    copied = pickle.loads(pickle.dumps(image.wcs))
    assert capsys.readouterr().out == ""
    expected = WCS(header).pixel_to_world(3.0, 50.0)
    header.update({key: 0.0 for key in SIP if "ORDER" not in key})
    assert WCS(header).pixel_to_world(3.0, 50.0).separation(expected).arcsec > 1e-4
    for wcs in (image.wcs, again.wcs, copied):
        assert wcs.pixel_to_world(3.0, 50.0).separation(expected).arcsec < 1e-8


def test_only_information_of_this_thread_is_dropped(capsys):
    def other():
        log.info("of another thread")

    with without_information():
        log.info("of this thread")
        log.warning("a warning")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    log.info("afterwards")
    printed = capsys.readouterr()
    assert "of this thread" not in printed.out
    assert "of another thread" in printed.out
    assert "afterwards" in printed.out
    assert "a warning" in printed.err


def test_the_level_is_as_before(files, capsys):
    before = log.level
    assert main([files[0], files[1], "--fix_beta", "2.5"]) == 0
    check_table(capsys.readouterr().out, ["E1"])
    assert log.level == before == logging.INFO


@pytest.mark.parametrize(("keyword", "value"), [("CTYPE1", 3), ("CTYPE2", True)])
def test_a_wcs_of_numbers_in_the_place_of_words(keyword, value):
    hdu = fits.ImageHDU(np.ones((4, 5)), header=sky_grid((4, 5)).wcs.to_header(), name="DATA")
    hdu.header[keyword] = value
    with pytest.raises(UserError, match="WCS"):
        read_grid(fits.HDUList([fits.PrimaryHDU(), hdu]))


@pytest.mark.parametrize("keyword", ["CRVAL1", "CRPIX2", "CDELT1", "PC1_2", "CD2_2", "PV2_1", "LONPOLE"])
def test_a_word_in_the_place_of_a_number(keyword):
    hdu = fits.ImageHDU(np.ones((4, 5)), header=sky_grid((4, 5)).wcs.to_header(), name="DATA")
    hdu.header[keyword] = "word"
    with pytest.raises(UserError, match=f"the keyword {keyword} of the WCS is 'word', which is no number"):
        read_grid(fits.HDUList([fits.PrimaryHDU(), hdu]))
