"""A source file is opened once per fit, and templates are made without holding up others."""

import gzip
import shutil
import threading
import time

import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astropy_imphot import HstReference, fit_image_and_star_photometry, fit_image_photometry, write_image
from astropy_imphot.io import headers
from astropy_imphot.io.files import Source, opened
from astropy_imphot.reference import image as reference_image
from astropy_imphot.simulation import CENTER, sky_grid


@pytest.fixture
def files(field, tmp_path):
    """Paths of the HST and the MUSE image."""
    paths = [tmp_path / "hst.fits", tmp_path / "muse.fits"]
    for image, path in zip((field.hst, field.muse[0]), paths, strict=True):
        write_image(image, path)
    return paths


@pytest.fixture
def counted(monkeypatch):
    """How often files were opened, and how often they were decompressed."""
    calls = {"open": [], "gzip": []}

    def count(key, function):
        def counting(path, *args, **kwargs):
            calls[key].append(path)
            return function(path, *args, **kwargs)

        return counting

    monkeypatch.setattr(fits, "open", count("open", fits.open))
    monkeypatch.setattr(gzip, "open", count("gzip", gzip.open))
    return calls


def test_a_fit_opens_each_file_once(files, counted):
    fit = fit_image_photometry(*files, fix_beta=2.5)
    assert fit.name == "muse"
    assert len(counted["open"]) == 2


@pytest.mark.parametrize("is_open", [False, True])
def test_a_fit_parses_each_header_once(files, monkeypatch, is_open):
    parsed = []

    def counting(header, **options):
        parsed.append(header)
        return WCS(header, **options)

    monkeypatch.setattr(headers, "WCS", counting)
    with fits.open(files[0]) as hdus:
        fit_image_photometry(hdus if is_open else files[0], files[1], fix_beta=2.5)
    assert len(parsed) == 2


def test_a_fit_decompresses_once(files, counted, tmp_path):
    packed = tmp_path / "packed.fits.gz"
    with files[0].open("rb") as source, gzip.GzipFile(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    there = sorted(tmp_path.iterdir())
    found = fit_image_photometry(packed, files[1], fix_beta=2.5)
    assert counted["gzip"] == [packed]
    assert len(counted["open"]) == 2
    assert sorted(tmp_path.iterdir()) == there
    assert found.dx == fit_image_photometry(files[0], files[1], fix_beta=2.5).dx


def test_both_fits_open_each_file_once(files, counted):
    star = CENTER.ra.deg, CENTER.dec.deg, 2.0
    fit_image_and_star_photometry(*files, star, fix_beta=2.5)
    assert len(counted["open"]) == 2


def test_it_is_closed(files):
    with Source(files[0]) as source, opened(source) as hdus:
        pass
    assert hdus._file.closed


def test_a_slow_template_does_not_hold_up_another(monkeypatch):
    slow, fast = sky_grid((10, 10)), sky_grid((20, 20))
    go_on, reports = threading.Event(), []

    def make(source, muse):
        if muse.shape == slow.shape:
            go_on.wait(10)
        return muse.shape

    monkeypatch.setattr(reference_image, "make_template", make)
    reference = HstReference("hst.fits")
    threads = [threading.Thread(target=lambda: reports.append(reference.template(slow))) for _ in range(2)]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    assert reference.template(fast) == (20, 20)
    assert time.monotonic() - start < 5
    assert not reports
    go_on.set()
    for thread in threads:
        thread.join()
    assert reports == [(10, 10), (10, 10)]


def test_a_template_that_fails_is_tried_again(monkeypatch):
    reference = HstReference("hst.fits")
    outcomes = [OSError("gone"), "a template"]

    def make(source, muse):
        outcome = outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    monkeypatch.setattr(reference_image, "make_template", make)
    with pytest.raises(OSError, match="gone"):
        reference.template(sky_grid((10, 10)))
    assert reference.template(sky_grid((10, 10))) == "a template"
