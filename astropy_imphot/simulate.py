"""
Fields of known truth, drawn by GalSim, which shares no code with the rest of the package.

GalSim is not a dependency of the package: ``pip install "astropy-imphot[all]"``.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.wcs import WCS

from astropy_imphot.filters import HstFilterInfo
from astropy_imphot.headers import unit_string
from astropy_imphot.io import Grid
from astropy_imphot.rescale import PIPELINE_UNIT

__all__ = ["SimulatedField", "Truth", "muse_cube", "simulate_field", "sky_grid"]

# The Hubble Ultra Deep Field.
CENTER = SkyCoord(53.16, -27.78, unit="deg")

# Objects per square arcsec brighter than MAGNITUDES[1], about the UDF's.
DENSITY = 0.047
MAGNITUDES = (21.0, 27.0)

# How far from its centre an object is drawn, arcsec, if it is brighter than a magnitude.
STAMP_RADII = ((24.0, 7.0), (99.0, 4.0))


@dataclass(frozen=True)
class Truth:
    """
    What a MUSE exposure is drawn with.

    Parameters
    ----------
    dx, dy : float
        Offset of MUSE from HST along the pixel axes, arcsec.
    scale : float
        Flux scale, MUSE/HST.
    bg : float
        Background, 1e-20 erg/s/cm2/Angstrom per pixel.
    fwhm, beta : float
        The Moffat PSF, pixel response included; fwhm in arcsec.

    Examples
    --------
    >>> from astropy_imphot.simulate import Truth
    >>> Truth(dx=0.1).fwhm
    0.65
    """

    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0
    bg: float = 0.0
    fwhm: float = 0.65
    beta: float = 2.5


@dataclass(frozen=True, eq=False)
class SimulatedField:
    """
    An HST image, MUSE exposures of the same sky, and the truth.

    Attributes
    ----------
    hst : `~astropy.nddata.CCDData`
        In electrons per second, at HST's own pixels.
    muse : list of `~astropy.nddata.CCDData`
        The exposures, with variances.
    truth : list of `Truth`
        One for each exposure.

    Examples
    --------
    See `simulate_field`.
    """

    hst: CCDData
    muse: list
    truth: list


def sky_grid(shape, pixel_scale=0.2, rotation=0.0, center=CENTER):
    """
    Return a grid of square pixels on the sky.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    pixel_scale : float
        Size of a pixel, arcsec (default: MUSE's 0.2).
    rotation : float
        How far the y axis is turned from north towards east, degrees (default: 0).
    center : `~astropy.coordinates.SkyCoord`
        Position of the grid's centre (default: the UDF).

    Returns
    -------
    `~astropy_imphot.io.Grid`
        The grid, in the MUSE pipeline's unit.

    Examples
    --------
    >>> from astropy_imphot.simulate import sky_grid
    >>> sky_grid((30, 40)).shape
    (30, 40)
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [center.icrs.ra.deg, center.icrs.dec.deg]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * pixel_scale / 3600
    wcs.array_shape = shape
    wcs.wcs.set()
    return Grid(wcs, tuple(shape), PIPELINE_UNIT, {})


def simulate_field(
    seed,
    *,
    size=60.0,
    truth=(Truth(),),
    noise=0.1,
    filter_name="F775W",
    hst_pixel=0.03,
    hst_rotation=0.0,
    hst_noise=2e-4,
    hst_margin=5.0,
    hst_psf=(0.085, 1.6),
    n_stars=3,
    central_star=None,
):
    """
    Draw a field of galaxies and stars as HST and as MUSE see it.

    Parameters
    ----------
    seed : int
        Seed of the random numbers; the same seed and arguments give the same field.
    size : float or (float, float)
        Height and width of the MUSE images, arcsec (default: 60).
    truth : sequence of `Truth`
        One MUSE exposure is drawn for each.
    noise : float
        Standard deviation of the MUSE noise, 1e-20 erg/s/cm2/Angstrom (default: 0.1, a
        deep exposure).
    filter_name : str
        An ACS filter, which calibrates the HST image (default: F775W).
    hst_pixel : float
        Size of the HST pixels, arcsec (default: 0.03).
    hst_rotation : float
        How far the HST image's y axis is turned from north to east, degrees (default: 0).
    hst_noise : float
        Standard deviation of the HST noise, electrons/s per pixel (default: 2e-4).
    hst_margin : float
        How far the HST image reaches over the MUSE images on every side, arcsec
        (default: 5); less than 0 leaves a rim of the MUSE images uncovered.
    hst_psf : (float, float)
        FWHM (arcsec) and beta of the HST PSF, pixel response included.
    n_stars : int
        Number of point sources among the objects (default: 3).
    central_star : float, optional
        AB magnitude of one more star at the centre, with no other object within 4
        arcsec. By default (None) there is none.

    Returns
    -------
    SimulatedField
        The images and the truth.

    Examples
    --------
    >>> from astropy_imphot.simulate import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=10.0, truth=[Truth(dx=0.1), Truth(dx=-0.1)])
    >>> field.hst.shape, len(field.muse)
    ((667, 667), 2)
    """
    import galsim

    rng = np.random.default_rng(seed)
    height, width = np.broadcast_to(size, 2)
    muse_grid = sky_grid((round(height / 0.2), round(width / 0.2)))
    # A turned HST image has to be larger to cover the field.
    angle = np.radians(hst_rotation)
    turned = [
        abs(np.cos(angle)) * one + abs(np.sin(angle)) * other
        for one, other in ((height, width), (width, height))
    ]
    hst_grid = sky_grid(
        tuple(round((length + 2 * hst_margin) / hst_pixel) for length in turned), hst_pixel, hst_rotation
    )
    info = HstFilterInfo(filter_name)
    zero_flux = (info.photflam * u.erg / u.s / u.cm**2 / u.AA).to_value(PIPELINE_UNIT)
    objects = _draw_objects(
        rng, height + 2 * max(hst_margin, 5), width + 2 * max(hst_margin, 5), info, n_stars
    )

    if central_star is not None:
        objects = [one for one in objects if np.hypot(one[0], one[1]) > 4]
        flux = zero_flux * 10 ** (-0.4 * (central_star - info.abmag_zero))
        objects.append((0.0, 0.0, 7.0, galsim.DeltaFunction(flux=flux)))

    psf = galsim.Moffat(fwhm=hst_psf[0], beta=hst_psf[1])
    data = _draw(objects, psf, hst_grid) / zero_flux + rng.normal(0, 1, hst_grid.shape) * hst_noise
    hst = CCDData(
        data.astype(np.float32),
        unit="electron/s",
        wcs=hst_grid.wcs,
        meta={"FILTER": filter_name, "TELESCOP": "HST", "INSTRUME": "ACS"},
    )
    muse = []
    for exposure in truth:
        psf = galsim.Moffat(fwhm=exposure.fwhm, beta=exposure.beta)
        data = _draw(objects, psf, muse_grid, exposure.dx, exposure.dy) * exposure.scale + exposure.bg
        data += rng.normal(0, noise, muse_grid.shape)
        muse.append(
            CCDData(
                data.astype(np.float32),
                uncertainty=VarianceUncertainty(np.full(muse_grid.shape, noise**2, dtype=np.float32)),
                unit=PIPELINE_UNIT,
                wcs=muse_grid.wcs,
                meta={"INSTRUME": "MUSE"},
            )
        )
    return SimulatedField(hst, muse, list(truth))


def muse_cube(image, wavelengths, *, noise, seed):
    """
    Make a cube of which every plane shows the same image, in MUSE's layout.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        What every plane shows, of shape (ny, nx).
    wavelengths : array of shape (nz,)
        Equally spaced wavelengths of the planes, Angstrom.
    noise : float
        Standard deviation of the noise in each plane, in the image's unit.
    seed : int
        Seed of the noise.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        Primary header, DATA and STAT.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.simulate import muse_cube, simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> cube = muse_cube(field.muse[0], np.arange(7000.0, 7100.0, 25.0), noise=1.0, seed=2)
    >>> cube["DATA"].shape
    (4, 50, 50)
    """
    rng = np.random.default_rng(seed)
    shape = (len(wavelengths), *image.shape)
    data = (image.data + rng.normal(0, noise, shape)).astype(np.float32)
    header = image.wcs.to_header()
    header.update(
        CTYPE3="AWAV",
        CUNIT3="Angstrom",
        CRPIX3=1.0,
        CRVAL3=wavelengths[0],
        PC3_3=1.0,
        CDELT3=wavelengths[1] - wavelengths[0],
        BUNIT=unit_string(image.unit),
    )
    stat = header.copy()
    stat["BUNIT"] = unit_string(image.unit**2)
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header(image.meta)),
            fits.ImageHDU(data, header=header, name="DATA"),
            fits.ImageHDU(np.full(shape, noise**2, dtype=np.float32), header=stat, name="STAT"),
        ]
    )


def _draw_objects(rng, height, width, info, n_stars):
    """Return (east, north, radius of its stamp, all in arcsec, profile) of every object."""
    import galsim

    count = rng.poisson(DENSITY * height * width)
    # Counts rise by a factor of two per magnitude.
    low, high = (10 ** (0.3 * magnitude) for magnitude in MAGNITUDES)
    magnitudes = np.log10(rng.uniform(low, high, count)) / 0.3
    # Stars are bright.
    magnitudes[:n_stars] = rng.uniform(20.5, 23, min(n_stars, count))
    zero_flux = (info.photflam * u.erg / u.s / u.cm**2 / u.AA).to_value(PIPELINE_UNIT)
    objects = []
    for index, magnitude in enumerate(magnitudes):
        flux = zero_flux * 10 ** (-0.4 * (magnitude - info.abmag_zero))
        if index < n_stars:
            profile = galsim.DeltaFunction(flux=flux)
        else:
            profile = galsim.Sersic(
                n=rng.choice([1.0, 1.5, 2.5]), half_light_radius=rng.uniform(0.12, 0.5), flux=flux
            ).shear(q=rng.uniform(0.3, 1), beta=rng.uniform(0, 180) * galsim.degrees)
        east, north = rng.uniform(-0.5, 0.5, 2) * (width, height)
        radius = next(radius for limit, radius in STAMP_RADII if magnitude < limit)
        objects.append((east, north, radius, profile))
    return objects


def _draw(objects, psf, grid, dx=0.0, dy=0.0):
    """Draw the objects as an instrument with this PSF and these pixels sees them."""
    import galsim

    full = galsim.ImageF(grid.shape[1], grid.shape[0], xmin=0, ymin=0)
    (dudx, dudy), (dvdx, dvdy) = grid.wcs.wcs.cd * 3600
    local = galsim.JacobianWCS(dudx, dudy, dvdx, dvdy)
    scale = grid.pixel_scale[0]
    offsets = np.array([(east, north) for east, north, _, _ in objects]).T * u.arcsec
    x, y = grid.wcs.world_to_pixel(CENTER.spherical_offsets_by(*offsets))
    for x_0, y_0, (_, _, radius, profile) in zip(x + dx / scale, y + dy / scale, objects, strict=True):
        half = int(radius / scale)
        column, row = round(x_0), round(y_0)
        bounds = galsim.BoundsI(column - half, column + half, row - half, row + half)
        overlap = bounds & full.bounds
        if not overlap.isDefined():
            continue
        stamp = galsim.ImageF(bounds)
        # The PSF includes the pixel's response: its values at pixel centres are the image.
        star = isinstance(profile, galsim.DeltaFunction)
        seen = psf.withFlux(profile.flux) if star else galsim.Convolve(profile, psf)
        seen.drawImage(stamp, wcs=local, center=galsim.PositionD(x_0, y_0), method="no_pixel")
        full[overlap] += stamp[overlap]
    return full.array
