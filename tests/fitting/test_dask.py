"""Fits of exposures on a local Dask cluster."""

import os
import signal
import threading
import time
import warnings

import pytest

from astropy_imphot import fit_field, write_image
from astropy_imphot.cli import fit_field as fit_field_command
from astropy_imphot.cli.fit_field import main
from astropy_imphot.simulation import Truth, simulate_field

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    field = simulate_field(seed=2, size=12.0, truth=[Truth(dx=0.05 * number) for number in range(6)])
    write_image(field.hst, folder / "hst.fits")
    paths = [str(folder / f"E{number}.fits") for number in range(6)]
    for path, image in zip(paths, field.muse, strict=True):
        write_image(image, path)
    return paths, str(folder / "hst.fits")


@pytest.fixture(scope="module")
def here(images, tmp_path_factory):
    """The tables of a run in one process."""
    outdir = tmp_path_factory.mktemp("here")
    fit_field(images[0], [images[1]], outdir, nprocess=1, plots=False)
    return outdir


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster:
            yield cluster


def same_tables(one, other):
    return all(
        (one / f"{name}.ecsv").read_bytes() == (other / f"{name}.ecsv").read_bytes()
        for name in ("results", "exposures")
    )


def test_a_cluster_gives_the_same_tables(images, here, cluster, tmp_path):
    arguments = [*images[0], "--hst", images[1], "--outdir", str(tmp_path), "--no_plots"]
    assert main([*arguments, "--scheduler", cluster.scheduler_address]) == 0
    assert same_tables(tmp_path, here)


def test_a_worker_that_is_killed(images, here, cluster, tmp_path):
    victims = [worker.pid for worker in cluster.workers.values()]
    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("exposures/E*/record.json")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(victims[0], signal.SIGKILL)
        killed.append(len(list(tmp_path.glob("exposures/E*/record.json"))))

    killer = threading.Thread(target=kill)
    killer.start()
    with distributed.Client(cluster) as client, client.get_executor() as executor:
        found = fit_field(images[0], [images[1]], tmp_path, executor=executor, plots=False)
    killer.join()
    assert killed[0] < len(images[0])
    assert found.failures == {}
    assert same_tables(tmp_path, here)


def test_no_scheduler_there(images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit_field_command, "CONNECT_SECONDS", 1)
    arguments = [*images[0], "--hst", images[1], "--outdir", str(tmp_path / "out"), "--no_plots"]
    assert main([*arguments, "--dask-scheduler-file", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    (tmp_path / "bad.json").write_text("{}")
    assert main([*arguments, "--dask-scheduler-file", str(tmp_path / "bad.json")]) == 1
    assert "bad.json is not the file of a Dask scheduler" in capsys.readouterr().err
    assert main([*arguments, "--scheduler", "tcp://127.0.0.1:1"]) == 1
    assert "no Dask scheduler at tcp://127.0.0.1:1" in capsys.readouterr().err
