"""Images and cubes of mpdaf are read as the files that they come from."""

import os
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astropy_imphot import (
    FilterCurve,
    FitImagePhotometryMP,
    UserError,
    apply_corrections,
    bandpass_image,
    fit_image_photometry,
    image_grids_aligned,
    read_cube,
    read_image,
    write_image,
)
from astropy_imphot.io.files import short_name, source_name
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.images import read_header
from astropy_imphot.simulation import simulate_field

mpdaf = pytest.importorskip("mpdaf.obj")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* has no unit"),
    # mpdaf's own, which makes it read no unit where the warning is an error.
    pytest.mark.filterwarnings("ignore:.*contains multiple slashes"),
]


def same(one, other, **tolerance):
    assert_allclose(one.data, other.data, **tolerance)
    assert one.unit == other.unit
    assert (one.uncertainty is None) == (other.uncertainty is None)
    if one.uncertainty is not None:
        assert_allclose(one.uncertainty.array, other.uncertainty.array, **tolerance)
    assert (one.mask is None) == (other.mask is None)
    if one.mask is not None:
        assert_array_equal(np.asarray(one.mask) != 0, np.asarray(other.mask) != 0)
    assert image_grids_aligned(one, other, tolerance=1e-6)
    assert one.wcs.celestial.wcs.radesys == other.wcs.celestial.wcs.radesys


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """Files of an HST image, and of a MUSE image with variances and masked pixels."""
    folder = tmp_path_factory.mktemp("mpdaf")
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    muse = field.muse[0]
    muse.mask = np.zeros(muse.shape, dtype=bool)
    muse.mask[10:13, 20:25] = True
    write_image(field.hst, folder / "hst.fits")
    write_image(muse, folder / "E1.fits")
    return str(folder / "hst.fits"), str(folder / "E1.fits")


def test_image_with_all_extensions(masked):
    image = mpdaf.Image(masked[1])
    same(read_image(image), read_image(masked[1]))
    assert read_image(image).mask.sum() == 15
    assert read_image(image).meta["DATE-OBS"] == read_image(masked[1]).meta["DATE-OBS"]
    assert source_name(image) == masked[1]
    assert short_name(image) == "E1"


def test_real_image(hdfs):
    image = mpdaf.Image(hdfs[1])
    same(read_image(image), read_image(hdfs[1]))
    assert read_header(image)["CRVAL1"] == read_header(hdfs[1])["CRVAL1"]


def test_real_cube(real_data):
    path = os.path.join(real_data, "sdetect", "minicube.fits")
    cube = mpdaf.Cube(path)
    same(read_cube(cube), read_cube(path))
    assert_allclose(
        read_cube(cube).wcs.wcs_pix2world([[3, 4, 50]], 0),
        read_cube(path).wcs.wcs_pix2world([[3, 4, 50]], 0),
        rtol=1e-10,
    )
    assert read_grid(cube).unit == read_grid(path).unit
    curve = FilterCurve.named("F775W")
    same(bandpass_image(cube, curve), bandpass_image(path, curve), rtol=1e-6)


def test_what_was_changed_in_memory_is_used(masked):
    image = mpdaf.Image(masked[1])
    image.data *= 2
    image.mask_region((20, 20), 2, unit_center=None, unit_radius=None)
    found = read_image(image)
    valid = ~read_image(masked[1]).mask
    assert_allclose(found.data[valid], 2 * read_image(masked[1]).data[valid])
    assert found.mask.sum() > 20
    image.filename = None
    assert source_name(image, "the MUSE image") == "the MUSE image"


def test_fit(masked):
    expected = fit_image_photometry(*masked, fix_beta=2.5)
    fit = fit_image_photometry(*(mpdaf.Image(path) for path in masked), fix_beta=2.5)
    assert fit.name == expected.name == "E1"
    assert fit.n_pixels == expected.n_pixels
    for key, value in expected.values.items():
        assert_allclose(fit.values[key].value, value.value, atol=1e-3 * value.stdev)
        assert_allclose(fit.values[key].stdev, value.stdev, rtol=1e-3)
    same(apply_corrections(mpdaf.Image(masked[1]), fit), apply_corrections(masked[1], fit), rtol=1e-5)


def test_batch(masked):
    images = [mpdaf.Image(path) for path in masked]
    assert pickle.loads(pickle.dumps(images[1])).filename == masked[1]
    with FitImagePhotometryMP(images[0], images[1:], nprocess=1, fix_beta=2.5) as found:
        fits_of_all = list(found)
    assert [fit.name for fit in fits_of_all] == ["E1"]
    assert_allclose(fits_of_all[0].dx.value, fit_image_photometry(*masked, fix_beta=2.5).dx.value, atol=1e-5)


def test_errors_name_the_file(real_data, masked):
    cube = mpdaf.Cube(os.path.join(real_data, "sdetect", "minicube.fits"))
    with pytest.raises(UserError, match=r"minicube\.fits: an image is needed, not a cube"):
        fit_image_photometry(masked[0], cube)


def test_mpdaf_is_not_imported():
    import subprocess
    import sys

    code = "import sys, astropy_imphot; astropy_imphot.io.files.opened(5); print('mpdaf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
