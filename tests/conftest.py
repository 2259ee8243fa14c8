"""Fields of known truth and real data."""

import os

import pytest

from astropy_imphot import fit_image_photometry, make_template
from astropy_imphot.conftest import pytest_runtest_call, pytest_runtest_setup  # noqa: F401
from astropy_imphot.simulation import Truth, simulate_field

# Its name is that of the pages' one: it cannot be looked through for examples beside it.
collect_ignore = ["conftest.py"]


@pytest.fixture(scope="session")
def field():
    """A small field; its truth is in it."""
    truth = Truth(dx=0.12, dy=-0.21, scale=0.93, bg=2.0, fwhm=0.62, beta=2.7)
    return simulate_field(seed=7, size=(24.0, 20.0), truth=[truth])


@pytest.fixture(scope="session")
def template(field):
    """The small field's template."""
    return make_template(field.hst, field.muse[0])


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real MUSE and HST files in the mpdaf package."""
    import mpdaf

    return os.path.join(os.path.dirname(mpdaf.__file__), "data")


@pytest.fixture(scope="session")
def hdfs(real_data):
    """Paths of the HST and the MUSE image of the Hubble Deep Field South."""
    return os.path.join(real_data, "obj", "HST-HDFS.fits"), os.path.join(
        real_data, "obj", "IMAGE-HDFS-1.34.fits"
    )


@pytest.fixture(scope="session")
def hdfs_fit(hdfs):
    """The fit of the Hubble Deep Field South with a beta of 2.8, which takes some seconds."""
    return fit_image_photometry(*hdfs, fix_beta=2.8)
