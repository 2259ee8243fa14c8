"""Fits with HST PSFs that are not Moffat functions."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot import fit_image_photometry, make_template, regrid_hst_like_muse, write_image
from astropy_imphot.cli import fit_photometry
from astropy_imphot.simulation import Truth, simulate_field

galsim = pytest.importorskip("galsim", reason="galsim is not installed")

TRUTH = Truth(dx=0.11, dy=-0.17, scale=0.95, bg=1.0, fwhm=0.6)
PIXEL = 0.03
AIRY = galsim.Convolve(galsim.Airy(lam=775, diam=2.4, obscuration=0.33), galsim.Pixel(0.05))
FIELD = {"size": 30.0, "truth": [TRUTH], "n_stars": 0, "magnitudes": (21.0, 26.0)}


def draw(profile):
    return profile.drawImage(nx=301, ny=301, scale=PIXEL, method="no_pixel").array


@pytest.fixture(scope="module")
def field():
    return simulate_field(71, hst_psf=AIRY, **FIELD)


@pytest.fixture(scope="module")
def template(field):
    return make_template(field.hst, field.muse[0])


def check(fit):
    for key in ("scale", "bg", "dx", "dy", "fwhm", "beta"):
        off = fit.values[key].value - getattr(TRUTH, key)
        assert abs(off) < 4 * fit.values[key].stdev, f"{key} {off / fit.values[key].stdev:.1f} sigma"
    assert abs(fit.fwhm.value - TRUTH.fwhm) < 0.006


@pytest.mark.parametrize("kind", ["image", "array"])
def test_airy(field, template, kind):
    psf = CCDData(draw(AIRY).astype(float), unit="", meta={"PIXSCALE": PIXEL})
    options = {}
    if kind == "array":
        psf, options = psf.data, {"hst_psf_scale": PIXEL}
    fit = fit_image_photometry(template, field.muse[0], hst_psf=psf, **options)
    check(fit)


def test_airy_on_the_command_line(field, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_image(field.hst, "hst.fits")
    write_image(field.muse[0], "E1.fits")
    write_image(CCDData(draw(AIRY), unit="", meta={"PIXSCALE": PIXEL}), "psf.fits")
    command = ["hst.fits", "E1.fits", "--hst_psf", "psf.fits", "--fix_beta", "none", "--output", "fit.ecsv"]
    assert fit_photometry.main(command) == 0
    row = QTable.read("fit.ecsv")[0]
    off = abs(row["fwhm"].value - TRUTH.fwhm)
    assert off < 0.006
    assert off < 4 * row["fwhm_err"].value


def test_moffat_is_not_sufficient(field, template):
    fit = fit_image_photometry(template, field.muse[0])
    assert abs(fit.fwhm.value - TRUTH.fwhm) > 0.015


def test_rotated_elliptical_psf():
    """A PSF image is along the axes of the HST image, in any orientation on the sky."""
    long = galsim.Convolve(galsim.Airy(lam=1600, diam=2.4).shear(e1=0.5, e2=0.2), galsim.Pixel(0.05))
    field = simulate_field(72, hst_psf=long, hst_rotation=37.0, **FIELD)
    (dudx, dudy), (dvdx, dvdy) = field.hst.wcs.wcs.cd / field.hst.wcs.proj_plane_pixel_scales()[0].value
    local = galsim.JacobianWCS(*(PIXEL * np.array([dudx, dudy, dvdx, dvdy])))
    psf = long.drawImage(nx=301, ny=301, wcs=local, method="no_pixel").array.astype(float)
    template = make_template(field.hst, field.muse[0])
    options = {"hst_psf": psf, "hst_psf_scale": PIXEL}
    fit = fit_image_photometry(template, field.muse[0], **options)
    check(fit)
    ignored = fit_image_photometry(replace(template, hst_axes=None), field.muse[0], **options)
    for key in ("e1", "e2"):
        assert abs(fit.values[key].value) < 4 * fit.values[key].stdev
        assert fit.values[key].stdev < 0.01
    assert np.hypot(*(ignored.values[key].value for key in ("e1", "e2"))) > 0.05
    assert fit.flags == 0


def test_axes_are_recorded(field):
    """A PSF image is rotated with its HST image, also if that is already on the MUSE grid."""
    template = make_template(field.hst, field.muse[0])
    aligned = make_template(regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0])
    np.testing.assert_allclose(aligned.hst_axes, template.hst_axes)
