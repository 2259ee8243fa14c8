"""Single pixels of an HST image without data, in the forms in which files have them."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import mad_std

from astropy_imphot import fit_image_photometry, make_template, regrid_hst_like_muse
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.simulation import simulate_field


@pytest.fixture(scope="module")
def sky():
    return simulate_field(seed=7, size=12.0, hst_pixel=0.06, central_star=20.5)


@pytest.fixture(scope="module")
def whole(sky):
    """The fit without holes."""
    return fit_image_photometry(layout(sky, "NaN", 0.0), sky.muse[0])


# Values of an extension in holes, and in other pixels.
EXTENSIONS = {
    "WHT": (0, 4),
    "DQ": (16, 0),
    "ERR": (np.nan, 0.5),
    "ERR of 0": (0, 0.5),
    "RMS": (1e20, 0.5),
    "VAR": (np.inf, 0.25),
}


def layout(sky, form, fraction):
    """The HST image with a fraction of holes, as HDUs."""
    rng = np.random.default_rng(1)
    holes = rng.random(sky.hst.shape) < fraction
    garbage = {"NaN": np.nan, "0": 0}.get(form, rng.normal(0, 5, holes.shape))
    wcs = sky.hst.wcs.to_header()
    primary = fits.PrimaryHDU()
    primary.header.update(INSTRUME="ACS", FILTER="F775W")
    science = fits.ImageHDU(np.where(holes, garbage, sky.hst.data).astype("f4"), wcs, name="SCI")
    science.header["BUNIT"] = "ELECTRONS/S"
    hdus = fits.HDUList([primary, science])
    if form in EXTENSIONS:
        values = np.where(holes, *EXTENSIONS[form]).astype("i2" if form == "DQ" else "f4")
        hdus.append(fits.ImageHDU(values, wcs, name=form.split()[0]))
    return hdus


@pytest.mark.parametrize(("form", "fraction"), [("WHT", 0.03), ("NaN", 0.05)])
def test_fit(sky, whole, form, fraction):
    fit = fit_image_photometry(layout(sky, form, fraction), sky.muse[0])
    assert fit.n_pixels > 0.999 * whole.n_pixels
    for key in ("scale", "fwhm", "beta", "dx", "dy"):
        one, other = getattr(fit, key), getattr(whole, key)
        assert abs(one.value - other.value) < 0.3 * other.stdev, key
        assert 0.9 < one.stdev / other.stdev < 1.1, key


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("form", ["NaN", "0", *EXTENSIONS])
def test_template(sky, form, repair):
    """All forms give the same one, also if cosmic rays are not repaired."""
    options = {"psf": CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}), "repair": repair}
    found = make_template(layout(sky, form, 0.02), sky.muse[0], **options)
    expected = make_template(layout(sky, "NaN", 0.02), sky.muse[0], **options)
    np.testing.assert_allclose(found.data, expected.data, atol=1e-4 * expected.data.max())
    assert np.all(np.isfinite(found.variance))
    assert found.missing is None or np.mean(found.missing > 0.02) < 0.01


def test_regridded_image(sky):
    image = regrid_hst_like_muse(layout(sky, "WHT", 0.03), sky.muse[0])
    expected = regrid_hst_like_muse(layout(sky, "NaN", 0.0), sky.muse[0])
    assert image.mask is None or image.mask.mean() < 0.01
    good = True if image.mask is None else ~image.mask
    np.testing.assert_allclose(image.data[good], expected.data[good], atol=0.02 * expected.data.max())


def test_zeros_that_are_values(sky):
    # As in an image of integers, and in one that is cut at 0.
    noise = mad_std(sky.hst.data)
    for changed in (np.round(sky.hst.data / noise), np.maximum(sky.hst.data, 0)):
        hst = sky.hst.copy()
        hst.data = changed
        assert (changed == 0).mean() > 0.2
        assert regrid_hst_like_muse(hst, sky.muse[0]).mask is None
