"""Real images: the Hubble Deep Field South and Abell 478, from the mpdaf package."""

import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from numpy.testing import assert_allclose

from astropy_imphot import (
    FilterCurve,
    bandpass_image,
    fit_image_photometry,
    image_grids_aligned,
    read_image,
    regrid_hst_like_muse,
)
from astropy_imphot.cli import fit_photometry, make_wideband_image, regrid_hst_to_muse
from astropy_imphot.fitting.objects import object_pixels

pytestmark = pytest.mark.filterwarnings("ignore:.* has no unit")


@pytest.mark.parametrize("fix_beta", [None, 2.8])
def test_hdfs(hdfs, hdfs_fit, fix_beta):
    fit = fit_image_photometry(*hdfs) if fix_beta is None else hdfs_fit
    assert abs(fit.dx.value + 0.033) < 0.01
    assert abs(fit.dy.value - 0.120) < 0.01
    if fix_beta is not None:
        assert abs(fit.fwhm.value - 0.65) < 0.03
    assert fit.name == "IMAGE-HDFS-1.34"
    # Fewer objects than the ten that were masked before point sources and own scales were part of the fit.
    assert fit.objects["left_out"].sum() < 5


def test_hdfs_errors_do_not_believe_stat(hdfs, hdfs_fit):
    # STAT is some hundred times too large, so that the errors of two fits with and without it agree.
    # The tenth of the image that HST covers takes half of the time.
    rows, columns = (slice(used.min() - 8, used.max() + 9) for used in np.nonzero(~hdfs_fit.data.mask))
    muse = read_image(hdfs[1])[rows, columns]
    muse.uncertainty = None
    for fit in (hdfs_fit, fit_image_photometry(hdfs[0], muse, fix_beta=2.8)):
        assert 0.003 < fit.dx.stdev < 0.02
        assert fit.pivot.dx.stdev < 0.012
        assert abs(fit.dx.value + 0.033) < 0.01


def test_hdfs_header_shift(hdfs, hdfs_fit):
    """Pixels (0.3, 1.7) off in the header appear as an offset, to 3 mas."""
    fit = hdfs_fit
    with fits.open(hdfs[1]) as hdus:
        for hdu in hdus[1:]:
            hdu.header["CRPIX1"] -= 0.3
            hdu.header["CRPIX2"] -= 1.7
        moved = fit_image_photometry(hdfs[0], hdus, fix_beta=2.8)
    assert abs(moved.dx.value - fit.dx.value - 0.3 * 0.2) < 0.006
    assert abs(moved.dy.value - fit.dy.value - 1.7 * 0.2) < 0.006
    # What corrects CRVAL is the same on the sky.
    assert abs(moved.ddec.value - fit.ddec.value - 1.7 * 0.2) < 0.006
    cos_dec = np.cos(np.radians(-60.56))
    assert abs((moved.dra.value - fit.dra.value) * cos_dec + 0.3 * 0.2) < 0.006


def test_abell_478_by_the_commands(real_data, tmp_path, monkeypatch, capsys):
    from mpdaf.obj import Image

    monkeypatch.chdir(tmp_path)
    wavelength = np.arange(6900.0, 9300.0, 10.0)
    np.savetxt("F814W.txt", np.column_stack([wavelength, np.exp(-0.5 * ((wavelength - 8000) / 500) ** 2)]))
    cube = os.path.join(real_data, "sdetect", "minicube.fits")
    hst = os.path.join(real_data, "sdetect", "a478hst-cutout.fits")
    assert make_wideband_image.main(["F814W.txt", cube]) == 0
    assert regrid_hst_to_muse.main(["--field", "A478", "F814W_miniimage.fits", hst]) == 0
    command = ["hst_F814W_for_A478.fits", "F814W_miniimage.fits", "--output", "fit.ecsv", "--hardcopy", "png"]
    assert fit_photometry.main(command) == 0
    row = QTable.read("fit.ecsv")[0]
    assert os.path.getsize("F814W_miniimage_image_fit.png") > 10_000
    # MPDAF finds the offset of the two images by their cross-correlation.
    dy, dx = Image("F814W_miniimage.fits").estimate_coordinate_offset(Image(hst, ext="SCI"))
    assert abs(row["dx"].value - 0.2 * dx) < 0.05
    assert abs(row["dy"].value - 0.2 * dy) < 0.05
    assert 0.6 < row["scale"].value < 1.1
    assert 0.6 < row["fwhm"].value < 1.1
    assert row["rms"].value < 0.02 * read_image("F814W_miniimage.fits").data.max()
    # The raw HST image gives the same as the regridded one, to a fiftieth of the errors.
    direct = fit_image_photometry(hst, "F814W_miniimage.fits", fix_beta=2.5)
    assert_allclose(direct.dx.value, row["dx"].value, atol=0.1 * direct.dx.stdev)
    assert_allclose(direct.fwhm.value, row["fwhm"].value, atol=0.1 * direct.fwhm.stdev)


@pytest.mark.filterwarnings("ignore:.* of the filter curve F814W lies outside")
def test_photon_and_energy_weights_of_abell_478(real_data):
    """The galaxy becomes 0.1 percent brighter, and the fit does not change by half of its errors."""
    cube = os.path.join(real_data, "sdetect", "minicube.fits")
    hst = os.path.join(real_data, "sdetect", "a478hst-cutout.fits")
    curve = FilterCurve.named("F814W", "WFPC2")
    photon, energy = (bandpass_image(cube, curve, weights=weights) for weights in ("photon", "energy"))
    # The mean spectrum of the cube, weighted by hand.
    with fits.open(cube) as hdus:
        header = hdus["DATA"].header
        spectrum = np.nanmean(hdus["DATA"].data, axis=(1, 2))
    x = header["CRVAL3"] + header["CD3_3"] * np.arange(len(spectrum))
    throughput = np.interp(x, curve.wavelength, curve.sensitivity)
    expected = np.average(spectrum, weights=x * throughput) / np.average(spectrum, weights=throughput)
    ratio = np.nanmean(photon.data) / np.nanmean(energy.data)
    assert ratio == pytest.approx(expected, abs=2e-4)
    assert ratio == pytest.approx(1.0014, abs=2e-4)
    assert photon.meta["FILTWAVE"] - energy.meta["FILTWAVE"] == pytest.approx(48, abs=1)
    new, old = (fit_image_photometry(hst, image, fix_beta=2.5) for image in (photon, energy))
    for key in ("scale", "dx", "dy", "fwhm", "bg"):
        assert abs(getattr(new, key).value - getattr(old, key).value) < 0.5 * getattr(old, key).stdev, key


def test_what_classic_users_have(field, tmp_path):
    """An image that MPDAF aligned with the MUSE image, as the classic package did."""
    from mpdaf.obj import Image

    from astropy_imphot import write_image

    truth = field.truth[0]
    write_image(field.muse[0], tmp_path / "muse.fits")
    write_image(field.hst, tmp_path / "hst.fits")
    aligned = Image(str(tmp_path / "hst.fits")).align_with_image(
        Image(str(tmp_path / "muse.fits")), flux=True, cutoff=0.0
    )
    hst = regrid_hst_like_muse(field.hst, field.muse[0])
    hst.data = (aligned.data.filled(np.nan) * 9.74).astype(float)
    hst.mask = None
    hst.uncertainty = None
    del hst.meta["DECIMWIN"]
    assert image_grids_aligned(hst, field.muse[0])
    fit = fit_image_photometry(hst, field.muse[0], hst_window="blackman")
    assert abs(fit.dx.value - truth.dx) < 0.006
    assert abs(fit.dy.value - truth.dy) < 0.006
    assert abs(fit.scale.value / truth.scale - 1) < 0.02
    assert abs(fit.fwhm.value - truth.fwhm) < 0.025


def test_quarters_of_the_hdfs_agree(hdfs):
    """The offsets of the four quarters scatter as their errors say."""
    options = {"fix_beta": 2.8, "free": ("bg_x", "bg_y")}
    whole = fit_image_photometry(*hdfs, **options)
    used = ~whole.data.mask
    changed = whole.objects["label"][whole.objects["left_out"]]
    left_out = np.any([object_pixels(whole.labels, label) for label in changed], axis=0)
    rows, columns = (np.nonzero(used.any(axis=1 - axis))[0] for axis in (0, 1))
    middles = [(place[0] + place[-1] + 1) // 2 for place in (rows, columns)]
    y, x = np.indices(used.shape)
    offsets, inverses = [], []
    for top in (False, True):
        for right in (False, True):
            outside = ((y >= middles[0]) != top) | ((x >= middles[1]) != right)
            fit = fit_image_photometry(
                whole.fitted_model.template,
                hdfs[1],
                extramask=outside | left_out,
                init_dx=whole.dx.value,
                init_dy=whole.dy.value,
                **options,
            )
            pair = [fit.free.index(key) for key in ("dx", "dy")]
            offsets.append([fit.dx.value, fit.dy.value])
            inverses.append(np.linalg.inv(fit.covariance[np.ix_(pair, pair)]))
            assert 0.002 < fit.dx.stdev < 0.05
    weighted = [inverse @ offset for inverse, offset in zip(inverses, offsets, strict=True)]
    mean = np.linalg.solve(np.sum(inverses, axis=0), np.sum(weighted, axis=0))
    off = np.array(offsets) - mean
    # 6 degrees of freedom.
    chi_square = np.einsum("ni,nij,nj->", off, inverses, off)
    assert chi_square < 15, (chi_square, offsets)
    assert np.abs(mean - [whole.dx.value, whole.dy.value]).max() < 0.025
