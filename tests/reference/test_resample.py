"""HST images made ready: filtered onto fewer pixels, and interpolated, without loss."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose
from reproject import reproject_interp
from scipy import ndimage

from astropy_imphot import make_template
from astropy_imphot.reference.resample import interpolate, lowpassed, stretched_wcs
from astropy_imphot.simulation import sky_grid

HST_SCALE = (0.03, 0.03)


def waves(shape, scale, frequency):
    """Draw a wave of this frequency (cycles/arcsec) along both axes, 0 at the first pixel's center."""
    y, x = np.indices(shape) * np.reshape(scale, (2, 1, 1))
    return np.cos(2 * np.pi * frequency[0] * y) * np.cos(2 * np.pi * frequency[1] * x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("frequency", "kept"), [((1.0, 2.0), 1), ((0.0, 3.4), 1), ((4.0, 5.0), 0)])
def test_lowpass_keeps_and_removes(dtype, frequency, kept):
    image = waves((600, 540), HST_SCALE, frequency).astype(dtype)
    smooth, factors = lowpassed(image, HST_SCALE, 3.5, 5.0)
    assert smooth.dtype == dtype
    scale = np.multiply(HST_SCALE, factors)
    assert_allclose(scale, 0.05, rtol=0.1)
    expected = kept * waves(smooth.shape, scale, frequency)
    # Edges ring, for a wave does not stay the same beyond.
    inner = np.s_[60:-60, 60:-60]
    assert_allclose(smooth[inner], expected[inner], atol=0.02)
    same, factors = lowpassed(image, HST_SCALE, 3.5, 5.0, keep_pixels=True)
    assert same.shape == image.shape
    assert factors == (1, 1)


def turned_header(kind, angle):
    """Return a header with pixels turned by an angle, degrees, in one of FITS's three ways."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    size = 0.03 / 3600
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -27.0})
    header.update(CRPIX1=200.0, CRPIX2=250.0)
    if kind == "CD":
        header.update(CD1_1=-size * cos, CD1_2=size * sin, CD2_1=size * sin, CD2_2=size * cos)
    else:
        header.update(CDELT1=-size, CDELT2=size)
    if kind == "PC":
        header.update(PC1_1=cos, PC1_2=-sin, PC2_1=sin, PC2_2=cos)
    if kind == "CROTA":
        header.update(CROTA2=angle)
    return header


@pytest.mark.parametrize("angle", [0.0, 57.0])
@pytest.mark.parametrize("kind", ["CD", "PC", "CROTA"])
def test_larger_pixels_are_where_they_were(kind, angle):
    wcs = WCS(turned_header(kind, angle))
    stretched = stretched_wcs(wcs, (1.5, 1.25))
    there = stretched.pixel_to_world([0, 80], [0, 100])
    assert_allclose(wcs.world_to_pixel(there), [[0, 100], [0, 150]], atol=1e-7)


def test_interpolation_of_what_muse_sees():
    hst, muse = sky_grid((700, 700), 0.03), sky_grid((90, 90))
    smooth, factors = lowpassed(waves(hst.shape, HST_SCALE, (2.0, 1.5)), HST_SCALE, 3.5, 5.0)
    values, reached = interpolate(smooth[np.newaxis], stretched_wcs(hst.wcs, factors), muse)
    y, x = np.indices(muse.shape)
    x, y = hst.wcs.world_to_pixel(muse.wcs.pixel_to_world(x, y))
    expected = np.cos(2 * np.pi * 2.0 * y * 0.03) * np.cos(2 * np.pi * 1.5 * x * 0.03)
    assert reached.all()
    assert_allclose(values[0], expected, atol=1e-3)


@pytest.mark.parametrize("angle", [0.0, 33.0])
def test_interpolation_is_reprojects(angle):
    hst, muse = sky_grid((300, 310), 0.05), sky_grid((70, 84), 0.2)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    hst.wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * 0.05 / 3600
    # The middle of the projection is outside, as it is in mosaics.
    hst.wcs.wcs.crpix += [8000, -6000]
    for _ in range(3):
        there = hst.wcs.pixel_to_world_values(155, 150)
        hst.wcs.wcs.crval += np.subtract(muse.wcs.pixel_to_world_values(43, 34), there)
    image = np.random.default_rng(3).normal(size=(1, 300, 310))
    values, reached = interpolate(image, hst.wcs, muse)
    expected, footprint = reproject_interp((image[0], hst.wcs), muse.wcs, muse.shape, order="bicubic")
    assert 0.5 < reached.mean() < 1
    seen = footprint > 0
    assert reached[seen].all()
    assert_allclose(values[0][seen], expected[seen], atol=1e-5)
    # Half an HST pixel more is a fraction of a MUSE pixel.
    assert not reached[~ndimage.binary_dilation(seen, np.ones((3, 3)))].any()
    assert np.all(values[0][~reached] == 0)


def test_distorted_images_keep_their_pixels(field):
    """A polynomial distortion moves the light by up to a few pixels, and is undone."""
    header = field.hst.wcs.to_header()
    header.update(
        CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=2.4e-5, B_1_1=-1.8e-5
    )
    distorted = WCS(fits.Header(header))
    assert distorted.has_distortion
    y, x = np.indices(field.hst.shape)
    places = np.array(field.hst.wcs.world_to_pixel(distorted.pixel_to_world(x, y)))
    assert 1 < np.abs(places - [x, y]).max() < 10
    straight = make_template(field.hst, field.muse[0])
    hst = field.hst.copy()
    hst.data = _sampled(field.hst.data, places)
    hst.wcs = distorted
    bent = make_template(hst, field.muse[0])
    inner = np.s_[8:-8, 8:-8]
    image, expected = bent.image().data[inner], straight.image().data[inner]
    hst.wcs = field.hst.wcs
    wrong = make_template(hst, field.muse[0]).image().data[inner]
    assert np.abs(image - expected).max() < 0.05 * np.abs(wrong - expected).max()


def _sampled(image, places):
    from scipy.ndimage import map_coordinates

    return map_coordinates(image, places[::-1], order=3, mode="nearest").astype(np.float32)
