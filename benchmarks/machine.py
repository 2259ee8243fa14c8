"""The machine and the versions of a benchmark, and measurements of time and memory."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent

PACKAGES = ("astropy", "astropy_imphot", "numpy", "photutils", "regions", "reproject", "scipy")


def describe():
    """Return the machine, the versions, the commit and the date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
    }


def _commit():
    command = ["git", "-C", HERE, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # Not a checkout.
        return None


def _cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def alternate(calls, repeats):
    """
    Return the seconds that calls take, a list for each.

    The calls alternate, so that all of them are affected if the machine is slow for a while.
    """
    seconds = {name: [] for name in calls}
    # The first calls, which fill caches, are not timed.
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def run_python(*arguments):
    """Run a fresh interpreter, and return what it prints."""
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=HERE
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return result.stdout


def peak_memory(statements):
    """Return the largest resident memory of a fresh interpreter that runs these statements, MB."""
    ending = "from machine import own_peak; print(own_peak())"
    return float(run_python("-c", f"{statements}\n{ending}").split()[-1])


def own_peak():
    """Return the largest resident memory of this process so far, mapped files included, MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)
    # On Linux, ru_maxrss of a child process includes that of its parent.
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
