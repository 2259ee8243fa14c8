"""HST images on MUSE grids."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from numpy.testing import assert_allclose

from astropy_imphot import (
    ConvolvedTemplate2D,
    HstTemplate,
    UserError,
    fit_image_photometry,
    image_grids_aligned,
    make_template,
    read_image,
    regrid_hst_like_muse,
)
from astropy_imphot.io.grid import read_grid
from astropy_imphot.reference.template import MISSING_LIMIT
from astropy_imphot.simulation import sky_grid


@pytest.fixture
def written(template, tmp_path):
    path = tmp_path / "hst_F775W_for_TEST.fits"
    template.write(path)
    return path


def test_file_on_the_muse_grid(field, written):
    from mpdaf.obj import Image

    muse = field.muse[0]
    assert image_grids_aligned(written, muse)
    with fits.open(written) as hdus:
        assert hdus[0].header["FILTER"] == "F775W"
        assert hdus[0].header["DECIMWIN"] == "blackman"
        assert hdus["TEMPLATE"].data.shape > hdus["DATA"].data.shape
    image = Image(str(written))
    assert image.shape == muse.shape
    assert image.unit == muse.unit
    # The stars stand where they stand in MUSE, but for the offset, and are as bright.
    bright = np.unravel_index(muse.data.argmax(), muse.shape)
    ours = np.unravel_index(image.data.argmax(), muse.shape)
    assert_allclose(bright, np.add(ours, [-1, 0.6]), atol=1.5)
    assert_allclose(image.data.sum() / (muse.data - 2).sum(), 1 / 0.93, rtol=0.05)


def test_regridding_conserves_flux_and_places():
    hst_grid, muse_grid = sky_grid((600, 600), 0.03, rotation=20.0), sky_grid((60, 60))
    y, x = np.mgrid[:600, :600]
    blob = np.exp(-((x - 300) ** 2 + (y - 260) ** 2) / (2 * 20.0**2))
    hst = CCDData(
        blob / blob.sum(), unit="electron/s", wcs=hst_grid.wcs, meta={"INSTRUME": "ACS", "FILTER": "F606W"}
    )
    image = regrid_hst_like_muse(hst, muse_grid).data
    assert_allclose(image.sum(), 7.73, rtol=1e-3)
    rows, columns = np.mgrid[:60, :60]
    place = np.sum(columns * image) / image.sum(), np.sum(rows * image) / image.sum()
    expected = muse_grid.wcs.world_to_pixel(hst_grid.wcs.pixel_to_world(300, 260))
    assert_allclose(place, expected, atol=0.01)


def test_variance_of_the_regridded_image():
    rng = np.random.default_rng(5)
    hst_grid, muse_grid = sky_grid((1400, 1400), 0.03), sky_grid((160, 160))
    hst = CCDData(
        rng.normal(0, 0.01, hst_grid.shape),
        uncertainty=VarianceUncertainty(np.full(hst_grid.shape, 1e-4)),
        unit="electron/s",
        wcs=hst_grid.wcs,
        meta={"INSTRUME": "ACS", "FILTER": "F775W"},
    )
    image = regrid_hst_like_muse(hst, muse_grid)
    assert_allclose(np.std(image.data), np.sqrt(np.mean(image.uncertainty.array)), rtol=0.03)


def test_stored_template_gives_the_same_fit(field, template, written):
    from_file = fit_image_photometry(written, field.muse[0])
    direct = fit_image_photometry(template, field.muse[0])
    raw = fit_image_photometry(field.hst, field.muse[0])
    for key in ("scale", "dx", "dy", "fwhm", "beta"):
        one, other = direct.values[key], raw.values[key]
        assert_allclose(from_file.values[key].value, one.value, rtol=1e-4)
        # Point sources are taken out of the image only.
        assert abs(other.value - one.value) < 3 * np.hypot(one.stdev, other.stdev)


def test_regridded_image_without_its_template(field):
    """The fit of the DATA alone loses its edges, but divides the filter out."""
    truth = field.truth[0]
    fit = fit_image_photometry(regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0])
    ny, nx = field.muse[0].shape
    assert 0.6 * ny * nx < fit.n_pixels < 0.95 * ny * nx
    assert abs(fit.dx.value - truth.dx) < 0.006
    assert abs(fit.scale.value - truth.scale) < 0.02
    assert abs(fit.fwhm.value - truth.fwhm) < 0.025
    # Had the filter been ignored, the PSF would be too narrow.
    wrong = fit_image_photometry(
        regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0], hst_window="none"
    )
    assert wrong.fwhm.value < truth.fwhm - 0.05


def test_aligned_image_without_record(field):
    hst = regrid_hst_like_muse(field.hst, field.muse[0])
    del hst.meta["DECIMWIN"]
    with pytest.raises(UserError, match="hst_window"):
        make_template(hst, field.muse[0])


def test_template_of_another_field(field, written):
    with pytest.raises(UserError, match="another MUSE image"):
        make_template(written, sky_grid((90, 90)))
    template = make_template(field.hst, sky_grid((90, 90)))
    with pytest.raises(UserError, match="make one for this image"):
        fit_image_photometry(template, field.muse[0])


def test_template_samples_muse_pixel_centers(template):
    sky = template.wcs.pixel_to_world(
        template.oversample * template.margin[1], template.oversample * template.margin[0]
    )
    first = sky_grid(template.muse_shape).wcs.pixel_to_world(0, 0)
    assert sky.separation(first).arcsec < 1e-4


def test_unobserved_pixels_are_tracked(field):
    hst = CCDData(field.hst.data.copy(), unit=field.hst.unit, wcs=field.hst.wcs, meta=field.hst.meta)
    hst.data[:500] = np.nan
    template = make_template(hst, field.muse[0])
    x, y = field.hst.wcs.world_to_pixel(sky_grid(field.muse[0].shape).wcs.pixel_to_world([50, 50], [5, 100]))
    assert y[0] < 500 < y[1]
    missing = template.missing_on_grid()[template.field]
    assert missing[5, 50] == 1
    assert missing[100, 50] < 0.001
    image = template.image()
    assert image.mask[5, 50]
    assert not image.mask[100, 50]


@pytest.mark.parametrize("optics", [{"fwhm": 0.7, "beta": 2.5}, {"fwhm": 1.2, "beta": 1.5}])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (-1.0, 2.0), (2.9, 0.0), (0.0, -4.0)])
def test_limit_of_what_is_missing(field, template, optics, offset):
    model = ConvolvedTemplate2D(template, dx=offset[0], dy=offset[1], **optics)
    assert template.missing is None
    most = model.missing_fraction().max()
    assert most <= model.most_missing() + 1e-6
    if offset == (0.0, 0.0) and optics["fwhm"] == 0.7:
        # Fields and offsets as they are need no look at every pixel.
        assert model.most_missing() < MISSING_LIMIT
    holes = CCDData(field.hst.data.copy(), unit=field.hst.unit, wcs=field.hst.wcs, meta=field.hst.meta)
    holes.data[:500] = np.nan
    assert ConvolvedTemplate2D(make_template(holes, field.muse[0])).most_missing() == 1


def test_zeros_of_a_noiseless_image_are_sky(field):
    noiseless = np.where(field.hst.data > 0.01, field.hst.data, 0)
    hst = CCDData(noiseless, unit=field.hst.unit, wcs=field.hst.wcs, meta=field.hst.meta)
    template = make_template(hst, field.muse[0], margin=2.0)
    assert template.missing is None


def test_cube_serves_as_muse_image(tmp_path, field):
    header = field.muse[0].wcs.to_header()
    header.update(CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=7000.0, CDELT3=1.25)
    header["BUNIT"] = "10**(-20)*erg/s/cm**2/Angstrom"
    cube = fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, *field.muse[0].shape)), header, "DATA")]
    )
    assert make_template(field.hst, cube).muse_shape == field.muse[0].shape
    assert read_grid(cube).shape == field.muse[0].shape


def test_reading_a_file_without_template(field, tmp_path):
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones((5, 5), dtype="f4")).writeto(path)
    assert HstTemplate.read(path, read_grid(field.muse[0])) is None


def test_written_data_reads_back(written, template):
    image = read_image(written)
    assert_allclose(image.data, template.image().data, rtol=1e-6)
