"""Images in projections in which pixels far from the reference point have other sizes than there."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from astropy_imphot import fit_image_photometry, read_image
from astropy_imphot.io.grid import read_grid
from astropy_imphot.results.offsets import sky_jacobian

CENTER = SkyCoord(150.0, 41.0, unit="deg")
UNIT = "10**(-20)*erg/s/cm**2/Angstrom"

# CTYPE, CRVAL, and the area of a pixel at the center in that at CRPIX.
PROJECTIONS = {
    "TAN": ("TAN", (150, 41), 1.0),
    "TAN far": ("TAN", (130, 26), 0.79),
    "CAR": ("CAR", (147, 0), 0.75),
    "MER": ("MER", (150, 0), 0.57),
    "AIT": ("AIT", (110, 0), 1.0),
    "SIN": ("SIN", (125, 41), 1.06),
}


def wcs_around(name, step, shape, angle=20.0):
    """A WCS with CENTER in the middle of an image."""
    wcs = WCS(naxis=2)
    projection, wcs.wcs.crval, _ = PROJECTIONS[name]
    wcs.wcs.ctype = [f"RA---{projection}", f"DEC--{projection}"]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * step / 3600
    wcs.wcs.crpix = [0, 0]
    x, y = wcs.wcs_world2pix([[CENTER.ra.deg, CENTER.dec.deg]], 1)[0]
    wcs.wcs.crpix = [(shape[1] + 1) / 2 - x, (shape[0] + 1) / 2 - y]
    return wcs


def area(wcs, x, y):
    """The area of a pixel on the sky, sr, by its corners."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) + [x, y]
    longitude, latitude = np.radians(wcs.wcs_pix2world(corners, 0)).T
    east = (longitude - longitude.mean()) * np.cos(latitude.mean())
    north = latitude - latitude.mean()
    return abs(np.dot(east, np.roll(north, 1)) - np.dot(north, np.roll(east, 1))) / 2


def drawn(wcs, shape, psf, stamp):
    """The same galaxies, by GalSim, of which each pixel has the flux that is in it."""
    import galsim

    rng = np.random.default_rng(3)
    image = galsim.ImageD(shape[1], shape[0], xmin=1, ymin=1)
    galsim_wcs = galsim.AstropyWCS(wcs=wcs)
    for x, y, flux, size, e1, e2 in zip(
        *rng.uniform(-6, 6, (2, 16)),
        10 ** rng.uniform(2.3, 3.5, 16),
        rng.uniform(0.1, 0.25, 16),
        *rng.uniform(-0.3, 0.3, (2, 16)),
        strict=True,
    ):
        sky = CENTER.spherical_offsets_by(x * u.arcsec, y * u.arcsec)
        place = galsim_wcs.toImage(
            galsim.CelestialCoord(sky.ra.deg * galsim.degrees, sky.dec.deg * galsim.degrees)
        )
        galaxy = galsim.Exponential(half_light_radius=size, flux=flux).shear(e1=e1, e2=e2)
        column, row = round(place.x), round(place.y)
        own = galsim.ImageD(galsim.BoundsI(column - stamp, column + stamp, row - stamp, row + stamp))
        galsim.Convolve(galaxy, psf).drawImage(
            own, wcs=galsim_wcs.local(image_pos=place), center=place, method="no_pixel"
        )
        overlap = own.bounds & image.bounds
        image[overlap] += own[overlap]
    return image.array


@pytest.fixture(scope="module")
def muse():
    import galsim

    shape = (64, 64)
    wcs = wcs_around("TAN", 0.2, shape, angle=0.0)
    data = drawn(wcs, shape, galsim.Moffat(fwhm=0.65, beta=2.5), stamp=30)
    data += np.random.default_rng(5).normal(0, 0.1, shape)
    hdu = fits.ImageHDU(data.astype("f4"), wcs.to_header(), name="DATA")
    hdu.header["BUNIT"] = UNIT
    return fits.HDUList([fits.PrimaryHDU(), hdu])


@pytest.mark.parametrize("name", PROJECTIONS)
def test_scale(muse, name):
    import galsim

    shape = (300, 300)
    wcs = wcs_around(name, 0.1, shape)
    data = drawn(wcs, shape, galsim.Moffat(fwhm=0.2, beta=4.0), stamp=30)
    data += np.random.default_rng(6).normal(0, 0.01, shape)
    here = area(wcs, 149.5, 149.5)
    # Or else the test would say nothing.
    assert here / np.radians(np.radians(proj_plane_pixel_area(wcs))) == pytest.approx(
        PROJECTIONS[name][2], abs=0.01
    )
    for values, unit in ((data, UNIT), (data / here, f"{UNIT}/sr"))[: 1 + (name == "CAR")]:
        hdu = fits.PrimaryHDU(values.astype("f4"), wcs.to_header())
        hdu.header["BUNIT"] = unit
        fit = fit_image_photometry(hdu, muse, hst_fwhm=0.2, hst_beta=4.0)
        assert fit.scale.value == pytest.approx(1, abs=1e-3)
        assert fit.fwhm.value == pytest.approx(0.65, abs=0.003)
        assert np.hypot(fit.dx.value, fit.dy.value) < 0.003


@pytest.mark.parametrize("name", PROJECTIONS)
def test_area_of_a_pixel(name):
    shape = (600, 20)
    wcs = wcs_around(name, 60.0, shape)
    hdu = fits.PrimaryHDU(np.ones(shape), wcs.to_header())
    hdu.header["BUNIT"] = "MJy/sr"
    assert (read_grid(hdu).pixel_area * u.arcsec**2).to_value(u.sr) == pytest.approx(
        area(wcs, 9.5, 299.5), rel=1e-4
    )
    # Not that of the whole image in a part of it, 5 degrees away.
    part = read_image(hdu, footprint=wcs.pixel_to_world([5, 15], [560, 590]))
    assert part.unit.to(u.MJy) == pytest.approx(area(wcs, 10, 575), rel=1e-3)
    assert part.unit == read_image(part).unit


def test_sizes_and_directions():
    # Of a plate carree at a declination of 41 degrees, unrotated.
    wcs = wcs_around("CAR", 0.2, (50, 60), angle=0.0)
    hdu = fits.PrimaryHDU(np.ones((50, 60)), wcs.to_header())
    grid = read_grid(hdu)
    cos = np.cos(CENTER.dec.rad)
    assert grid.pixel_scale == pytest.approx((0.2, 0.2 * cos), rel=1e-6)
    assert grid.pixel_area == pytest.approx(0.04 * cos, rel=1e-6)
    # An arcsec along x is one to the west.
    np.testing.assert_allclose(sky_jacobian(hdu), [[-1 / cos, 0], [0, 1]], atol=1e-5)
