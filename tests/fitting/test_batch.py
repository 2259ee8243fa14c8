"""Fits of many exposures: order, failures, killed workers, Ctrl-C, other executors."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from astropy import log
from astropy.table import QTable
from numpy.testing import assert_allclose

from astropy_imphot import (
    FitImageAndStarPhotometryMP,
    FitImagePhotometryMP,
    FitStarPhotometryMP,
    UserError,
    WorkerError,
    fit_image_photometry,
    fit_star_photometry,
    write_image,
)
from astropy_imphot.cli import fit_photometry
from astropy_imphot.fitting.batch import Batch
from astropy_imphot.simulation import CENTER, Truth, simulate_field

STAR = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
OFFSETS = [0.05 * number for number in range(6)]
GOOD = ["E0", "E1", "E3", "E4"]


@pytest.fixture(scope="module")
def exposures(tmp_path_factory):
    """Files of six exposures: the third is corrupt, and the last outside of the field."""
    folder = tmp_path_factory.mktemp("exposures")
    field = simulate_field(
        5, size=20.0, truth=[Truth(dx=offset) for offset in OFFSETS], central_star=20.0, hst_margin=4.0
    )
    write_image(field.hst, folder / "hst.fits")
    paths = []
    for number, image in enumerate(field.muse):
        paths.append(str(folder / f"E{number}.fits"))
        if number == 5:
            image.wcs.wcs.crval = [10.0, 20.0]
        write_image(image, paths[-1])
    os.truncate(paths[2], 20000)
    return str(folder / "hst.fits"), paths


def good(paths):
    return [path for path in paths if os.path.basename(path)[:2] in GOOD]


def wait_until_none_is_left(group):
    for _ in range(50):
        time.sleep(0.1)
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
    pytest.fail("workers are left")


def test_processes_give_the_same_in_order(exposures):
    hst, paths = exposures
    environment = dict(os.environ)
    with FitImagePhotometryMP(hst, good(paths), nprocess=2, fix_beta=2.5) as fits:
        assert len(fits) == 4
        results = list(fits)
    assert [fit.name for fit in results] == GOOD
    assert not multiprocessing.active_children()
    assert dict(os.environ) == environment
    expected = fit_image_photometry(hst, paths[3], fix_beta=2.5)
    assert_allclose(results[2].dx.value, expected.dx.value, atol=1e-8)
    assert_allclose(results[2].dx.stdev, expected.dx.stdev, rtol=1e-6)


@pytest.mark.parametrize("batch", [FitStarPhotometryMP, FitImageAndStarPhotometryMP])
def test_stars_through_another_executor(exposures, batch):
    hst, paths = exposures
    with (
        ThreadPoolExecutor(2) as executor,
        batch(hst, iter(good(paths)[2:]), STAR, executor=executor, fix_beta=2.5) as fits,
    ):
        assert len(fits) == 2
        results = list(fits)
    expected = fit_star_photometry(hst, paths[4], STAR, fix_beta=2.5)
    last = results[-1] if batch is FitStarPhotometryMP else results[-1][1]
    assert last.name == "E4"
    assert last.dx.value == expected.dx.value


def test_failures_are_rows(exposures):
    hst, paths = exposures
    with (
        ThreadPoolExecutor(1) as executor,
        FitImagePhotometryMP(hst, paths, executor=executor, on_error="skip") as fits,
    ):
        results = list(fits)
    assert [result.name for result in results] == [f"E{number}" for number in range(6)]
    assert [result.method for result in results] == ["image", "image", "failed", "image", "image", "failed"]
    assert "E2.fits ends before" in results[2].error
    assert "does not overlap" in results[5].error
    assert "failed" in results[5].summary(header=False)
    assert "failed" in results[5].report()


def test_first_failure_stops_and_keeps_the_finished(exposures):
    hst, paths = exposures
    results = []
    with ThreadPoolExecutor(1) as executor, pytest.raises(WorkerError, match=r"E2\.fits") as caught:
        with FitImagePhotometryMP(hst, paths[:4], executor=executor) as fits:
            for muse, fit in fits.items():
                results.append(fit.name)
                assert os.path.basename(muse) == f"{fit.name}.fits"
    assert {"E0", "E1"} <= set(results) <= {"E0", "E1", "E3"}
    assert caught.value.name == paths[2]
    assert "Traceback" in caught.value.worker_traceback
    assert isinstance(caught.value, UserError)


def test_killed_worker(exposures):
    hst, paths = exposures
    killed = []

    def kill():
        while len(multiprocessing.active_children()) < 2:
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        killed.append(True)

    threading.Thread(target=kill).start()
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"E\d\.fits: its worker was killed"):
        with FitImagePhotometryMP(hst, good(paths), nprocess=2) as fits:
            list(fits)
    assert killed
    assert time.monotonic() - start < 30
    time.sleep(0.5)
    assert not multiprocessing.active_children()


def test_killed_worker_is_replaced(exposures):
    hst, paths = exposures

    def kill():
        while not multiprocessing.active_children():
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    with FitImagePhotometryMP(hst, good(paths), nprocess=1, on_error="skip") as fits:
        results = list(fits)
    assert [result.method for result in results] == ["failed", "image", "image", "image"]
    assert "killed" in results[0].error


@pytest.mark.parametrize("keywords", [{"on_error": "ignore"}, {"nprocess": 0}])
def test_bad_keywords(exposures, keywords):
    with pytest.raises(UserError, match=next(iter(keywords))):
        FitImagePhotometryMP(exposures[0], exposures[1], **keywords)


def test_worker_error_pickles():
    import pickle

    error = pickle.loads(pickle.dumps(WorkerError("E1.fits", "no light.", "Traceback ...")))
    assert (error.name, str(error), error.worker_traceback) == (
        "E1.fits",
        "E1.fits: no light.",
        "Traceback ...",
    )


# Each worker takes longer to start than to fit an exposure.
@pytest.mark.parametrize(("on_error", "nprocess"), [("raise", "2"), ("skip", "1")])
def test_command(exposures, tmp_path, capsys, on_error, nprocess):
    hst, paths = exposures
    output = str(tmp_path / "t.ecsv")
    command = [hst, *paths, "--output", output, "--on_error", on_error, "--nprocess", nprocess]
    assert fit_photometry.main(command) == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    table = QTable.read(output)
    if on_error == "raise":
        assert "E2.fits ends before" in captured.err
        assert list(table["name"])[:2] == GOOD[:2]
    else:
        assert "2 of 6 images failed" in captured.err
        assert len(table) == 6
        assert [
            name for name, method in zip(table["name"], table["method"], strict=True) if method == "image"
        ] == GOOD
        assert "E2.fits ends before" in table["error"][2]
        assert captured.out.count("failed") == 2


def test_interrupted_command(exposures, tmp_path):
    hst, paths = exposures
    output = tmp_path / "t.ecsv"
    script = os.path.join(os.path.dirname(sys.executable), "fit_photometry")
    command = [script, hst, *good(paths) * 10, "--output", str(output), "--nprocess", "2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[4].startswith("E1")
    # To all processes of the group, as from a terminal.
    os.killpg(process.pid, signal.SIGINT)
    start = time.monotonic()
    _, error = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert error.strip() == "fit_photometry: interrupted."
    assert len(QTable.read(output)) >= 1
    wait_until_none_is_left(process.pid)


def test_workers_do_not_outlive_a_killed_parent(exposures, tmp_path):
    hst, paths = exposures
    script = os.path.join(os.path.dirname(sys.executable), "fit_photometry")
    output = tmp_path / "t.ecsv"
    process = subprocess.Popen(
        [script, hst, *good(paths) * 10, "--output", str(output), "--nprocess", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    for _ in range(5):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    # Finished results are in their files.
    assert len(QTable.read(output)) >= 1
    wait_until_none_is_left(process.pid)


def test_other_children_are_left_alone(exposures):
    hst, paths = exposures
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(WorkerError):
            with FitImagePhotometryMP(hst, paths[2:3], executor=executor) as fits:
                list(fits)
        assert executor.submit(int).result() == 0
    with pytest.raises(WorkerError):
        with FitImagePhotometryMP(hst, paths[2:3], nprocess=1) as fits:
            list(fits)
    assert other.is_alive()
    other.kill()
    other.join()


def test_leaving_early_cancels_waiting_jobs(exposures):
    hst, paths = exposures
    calls = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            calls.append(super().submit(*args, **kwargs))
            return calls[-1]

    with Counting(1) as executor, FitImagePhotometryMP(hst, good(paths) * 3, executor=executor) as fits:
        for _ in fits:
            break
    assert sum(call.cancelled() for call in calls) >= 8


def test_needs_a_with_statement(exposures):
    with pytest.raises(UserError, match="with statement"):
        list(FitImagePhotometryMP(exposures[0], exposures[1]))


def test_open_files_are_read_by_workers(exposures):
    from astropy.io import fits as fitsio

    hst, paths = exposures
    with fitsio.open(paths[0]) as hdus, fitsio.open(paths[1]) as others:
        with FitImagePhotometryMP(hst, [hdus, others["DATA"]], nprocess=1) as fits:
            found = [fit.dx.value for fit in fits]
    assert_allclose(found, OFFSETS[:2], atol=0.01)


SCRIPT = """
from astropy_imphot import FitImagePhotometryMP
print("begins")
with FitImagePhotometryMP({hst!r}, {paths!r}, nprocess=1, fix_beta=2.5) as fits:
    for fit in fits:
        print(fit.name, round(fit.dx.value, 2), flush=True)
"""


@pytest.mark.parametrize("how", ["file", "-c", "stdin"])
def test_scripts_need_no_guard(exposures, tmp_path, how):
    hst, paths = exposures
    code = SCRIPT.format(hst=hst, paths=good(paths)[:2])
    (tmp_path / "script.py").write_text(code)
    words = {"file": [str(tmp_path / "script.py")], "-c": ["-c", code], "stdin": ["-"]}[how]
    done = subprocess.run(
        [sys.executable, *words],
        input=code if how == "stdin" else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["begins", "E0 0.0", "E1 0.05"]
    assert done.stderr == ""
    assert done.returncode == 0


def test_workers_have_one_thread_each():
    class Environment(Batch):
        _function = staticmethod(os.getenv)

    with Environment(["E0", "E1"], [(("OMP_NUM_THREADS",), {})] * 2, nprocess=1) as variables:
        assert list(variables) == ["1", "1"]


def test_workers_print_no_information():
    class Level(Batch):
        _function = staticmethod(log.isEnabledFor)

    with Level(["E0"], [((logging.INFO,), {})], nprocess=1) as enabled:
        assert list(enabled) == [False]
