"""Corrected images: fitted again, nothing is left to correct."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from numpy.testing import assert_allclose

from astropy_imphot import (
    ImphotWarning,
    UserError,
    __version__,
    apply_corrections,
    fit_image_photometry,
    image_grids_aligned,
    read_image,
    write_image,
)
from astropy_imphot.simulation import Truth, simulate_field


@pytest.fixture(scope="module")
def pair():
    field = simulate_field(12, size=30.0, truth=[Truth(dx=0.33, dy=-0.47, scale=0.9, bg=1.5)])
    return field.hst, field.muse[0], fit_image_photometry(field.hst, field.muse[0])


def check_nothing_left(again, sigmas=1.0):
    for key, expected in {"dx": 0, "dy": 0, "bg": 0, "scale": 1}.items():
        value = again.values[key]
        assert abs(value.value - expected) < sigmas * value.stdev, f"{key} {value}"


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.parametrize("variance", [False, True])
def test_apply_then_fit_again(pair, resample, variance):
    hst, muse, fit = pair
    if not variance:
        muse = CCDData(muse.data, unit=muse.unit, wcs=muse.wcs)
    corrected = apply_corrections(muse, fit, resample=resample)
    check_nothing_left(fit_image_photometry(hst, corrected))
    assert (corrected.uncertainty is not None) == variance
    if variance:
        inside = np.s_[10:-10, 10:-10]
        assert_allclose(corrected.uncertainty.array[inside], 0.1**2 / fit.scale.value**2, rtol=1e-3)
    if resample:
        # The WCS is corrected for the rotation only.
        assert_allclose(corrected.wcs.wcs.crpix, muse.wcs.wcs.crpix, atol=0.02)
        assert corrected.mask[:, -2:].all()
        assert corrected.mask[:2].all()
        assert not corrected.mask[5:-5, 5:-5].any()


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.filterwarnings("ignore:.* has no unit")
def test_hdfs(hdfs, hdfs_fit, resample):
    corrected = apply_corrections(hdfs[1], hdfs_fit, resample=resample)
    check_nothing_left(fit_image_photometry(hdfs[0], corrected, fix_beta=2.8))


def test_crval_is_another_way(pair):
    hst, muse, fit = pair
    moved = read_image(muse)
    moved.wcs = muse.wcs.deepcopy()
    moved.wcs.wcs.crval -= [fit.dra.value / 3600, fit.ddec.value / 3600]
    again = fit_image_photometry(hst, moved)
    for key in ("dx", "dy", "dra", "ddec"):
        assert abs(again.values[key].value) < again.values[key].stdev


@pytest.mark.parametrize(("corrections", "changed"), [("zero", "bg"), ("scale", "scale"), ("xy", "dx")])
def test_single_corrections(pair, corrections, changed):
    hst, muse, fit = pair
    again = fit_image_photometry(hst, apply_corrections(muse, fit, corrections))
    for key in ("dx", "dy", "scale"):
        expected = fit.values[key].value
        if key == changed or (changed == "dx" and key == "dy"):
            expected = 1 if key == "scale" else 0
        assert abs(again.values[key].value - expected) < again.values[key].stdev, key
    expected = {"zero": 0, "scale": fit.bg.value / fit.scale.value, "xy": fit.bg.value}[corrections]
    assert abs(again.bg.value - expected) < again.bg.stdev


def test_masks_are_carried(pair):
    hst, muse, fit = pair
    holes = read_image(muse)
    holes.data = muse.data.copy()
    holes.data[40:44, 60:63] = np.nan
    holes.mask = np.zeros(muse.shape, bool)
    holes.mask[80, 30] = True
    corrected = apply_corrections(holes, fit, resample=True)
    # (0.33, -0.47) arcsec are (1.65, -2.35) pixels.
    assert corrected.mask[42:47, 58:62].sum() >= 12
    assert corrected.mask[82:84, 28:30].all()
    assert np.isnan(corrected.data[corrected.mask]).all()
    assert np.isfinite(corrected.data[~corrected.mask]).all()
    check_nothing_left(fit_image_photometry(hst, corrected), sigmas=1.5)


def applied(image):
    return {key: image.meta[key] for key in image.meta if key.startswith("IMPH")}


@pytest.mark.parametrize("resample", [False, True])
def test_corrections_are_recorded(pair, tmp_path, resample):
    _, muse, fit = pair
    write_image(muse, tmp_path / "muse.fits")
    image = read_image(tmp_path / "muse.fits")
    corrected = apply_corrections(image, fit, resample=resample)
    assert applied(image) == {}
    write_image(corrected, tmp_path / "corrected.fits")
    header = fits.getheader(tmp_path / "corrected.fits")
    for key, value in {"IMPHDX": fit.dx, "IMPHDY": fit.dy, "IMPHSCAL": fit.scale, "IMPHBG": fit.bg}.items():
        assert_allclose(header[key], value.value, rtol=1e-12)
    assert header["IMPHVERS"] == __version__
    assert abs(header["IMPHROT"]) < 0.1
    how = "by shifting pixels" if resample else "corrected in the WCS"
    assert header.comments["IMPHDX"] == f"[arcsec] offset along x, {how}"


def test_only_what_is_corrected_is_recorded(pair):
    _, muse, fit = pair
    assert set(applied(apply_corrections(muse, fit, "scale"))) == {"IMPHSCAL", "IMPHVERS"}
    muse = CCDData(muse.data, unit=u.erg / u.s / u.cm**2 / u.AA, wcs=muse.wcs, meta={"OBJECT": "UDF"})
    corrected = apply_corrections(muse, fit, "zero")
    assert_allclose(corrected.meta["IMPHBG"], fit.bg.value * 1e-20)
    assert corrected.meta["OBJECT"] == "UDF"


@pytest.mark.parametrize("corrections", ["xy,scale,zero", "xy", "zero"])
def test_same_fit_twice(pair, tmp_path, corrections):
    _, muse, fit = pair
    path = tmp_path / "E1_aligned.fits"
    write_image(apply_corrections(muse, fit, corrections), path)
    with pytest.raises(
        UserError, match=r"E1_aligned\.fits: the image was corrected by this fit before \(IMPH"
    ):
        apply_corrections(path, fit, corrections)


def test_fit_of_the_corrected_image(pair):
    hst, muse, fit = pair
    corrected = apply_corrections(muse, replace(fit, values=fit.values | {"dx": replace(fit.dx, value=0.1)}))
    fit_of_that = fit_image_photometry(hst, corrected)
    with pytest.warns(ImphotWarning, match=r"was corrected before \(IMPHDX.*: use a fit of the corrected"):
        twice = apply_corrections(corrected, fit_of_that)
    # As what the first fit finds, all at once.
    once = apply_corrections(muse, fit)
    for key, error in {"IMPHDX": fit.dx, "IMPHDY": fit.dy, "IMPHSCAL": fit.scale, "IMPHBG": fit.bg}.items():
        assert abs(twice.meta[key] - once.meta[key]) < error.stdev
    rebuilt = (muse.data - twice.meta["IMPHBG"]) / twice.meta["IMPHSCAL"]
    assert_allclose(twice.data, rebuilt, rtol=1e-5, atol=1e-5)


def test_bad_corrections(pair):
    _, muse, fit = pair
    with pytest.raises(UserError, match="xy, scale, zero"):
        apply_corrections(muse, fit, "xy,flux")


def test_files_of_a_fit(pair, tmp_path):
    from astropy_imphot.products.images import saved_paths, write_fit_images

    _, muse, fit = pair
    write_fit_images(fit, tmp_path / "E1.fits")
    paths = saved_paths(tmp_path / "E1.fits")
    # Nothing is masked and nothing was repaired, so that there are no regions of these.
    names = {path.name for path in paths.values()} - {"E1_changed.reg", "E1_repaired.reg"}
    if not len(fit.point_sources):
        names -= {"E1_sources.reg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert_allclose(read_image(paths["residual"]).data, fit.residual.data, atol=1e-5)
    assert image_grids_aligned(paths["model"], muse)
    with fits.open(paths["data_fft"]) as hdus:
        amplitude, phase, header = hdus["DATA"].data, hdus["PHASE"].data, hdus["DATA"].header
    assert_allclose(amplitude[75, 75], abs(muse.data.sum(dtype=float)), rtol=1e-5)
    assert_allclose(header["CDELT1"], 1 / 30.0)
    assert header["CUNIT1"].strip() == "arcsec-1"
    # The transform goes back to the image.
    back = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * phase))).real
    assert_allclose(back, muse.data, atol=1e-3)
    with pytest.raises(UserError, match="exists"):
        write_fit_images(fit, tmp_path / "E1.fits")
