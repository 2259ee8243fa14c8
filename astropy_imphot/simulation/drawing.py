"""
Images of objects on the sky, drawn by GalSim.

GalSim is not a dependency of the package. It is imported only when an image is drawn.
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astropy.wcs import WCS

from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.grid import Grid
from astropy_imphot.io.quantities import to_value
from astropy_imphot.parameters import model_parameters
from astropy_imphot.psf.moffat import MOFFAT

__all__ = [
    "CENTER",
    "HST_NOISE_UNIT",
    "STAR_RADIUS",
    "ab_magnitude",
    "draw",
    "draw_exposure",
    "draw_objects",
    "draw_planes",
    "exposure_header",
    "fwhm_and_beta",
    "set_fields",
    "sky_grid",
    "table_values",
]

# The Hubble Ultra Deep Field.
CENTER = SkyCoord(53.16, -27.78, unit="deg")

# The unit of HST noise per pixel.
HST_NOISE_UNIT = u.electron / u.s

# Objects per square arcsec brighter than magnitude 27, approximately that of the UDF.
DENSITY = 0.047

# Radii of the stamps of stars, and of galaxies up to a magnitude, arcsec.
STAR_RADIUS = 15.0
STAMP_RADII = ((24.0, 7.0), (99.0, 4.0))

# MUSE images are small, so that they can be drawn more accurately: the smallest radius of stamps, arcsec, and
# the fraction of the light that may be aliased in GalSim's Fourier transforms (folding_threshold).
MUSE_RADIUS = 12.0
MUSE_FOLDING, HST_FOLDING = 5e-4, 5e-3

# Planes are drawn in the Fourier plane, where the field is periodic: at twice the sampling, against aliasing
# of a narrow PSF, and with this margin, arcsec, against wings from the opposite edge.
OVERSAMPLING = 2
RIM = 15.0

# MJD of the first exposure's start, and the days between starts.
FIRST_START, CADENCE = 56925.175, 0.019


def sky_grid(shape, pixel_scale=0.2, rotation=0.0, center=CENTER):
    """
    Return a grid of square pixels on the sky.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    pixel_scale : float or `~astropy.units.Quantity`
        Size of a pixel, arcsec (default: MUSE's 0.2).
    rotation : float or `~astropy.units.Quantity`
        Position angle of the y axis, from north towards east, degrees (default: 0).
    center : `~astropy.coordinates.SkyCoord`
        Position of the grid's center (default: the UDF).

    Returns
    -------
    `~astropy_imphot.io.grid.Grid`
        The grid, in the MUSE pipeline's unit.

    Examples
    --------
    >>> from astropy_imphot.simulation import sky_grid
    >>> sky_grid((30, 40)).shape
    (30, 40)
    """
    pixel_scale = to_value(pixel_scale, u.arcsec, "pixel_scale")
    rotation = to_value(rotation, u.deg, "rotation")
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


def ab_magnitude(value, name):
    """
    Return AB magnitudes as numbers.

    Parameters
    ----------
    value : float or `~astropy.units.Quantity`, or sequence of these
        In magnitudes, which are in the AB system, or as a flux density per frequency.
    name : str
        Its name in error messages.

    Returns
    -------
    float, array or list
        The magnitudes.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.simulation.drawing import ab_magnitude
    >>> [round(float(ab_magnitude(one, "magnitude")), 3) for one in (21.4, 21.4 * u.mag, 10 * u.uJy)]
    [21.4, 21.4, 21.4]
    """
    if isinstance(value, (list, tuple)):
        return [ab_magnitude(one, name) for one in value]
    return to_value(value, u.mag if getattr(value, "unit", None) == u.mag else u.ABmag, name)


def fwhm_and_beta(values, name):
    """Return the parameters of a Moffat as numbers, the first in arcsec."""
    try:
        fwhm, beta = values
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} is {values}: give the FWHM (arcsec) and beta of a Moffat.") from error
    return to_value(fwhm, u.arcsec, name), to_value(beta, u.dimensionless_unscaled, name)


def table_values(truth):
    """Return the parameters of a truth that are in the table of parameters, as numbers in its units."""
    return {
        name: to_value(getattr(truth, name), info.unit_for(PIPELINE_UNIT), name)
        for name, info in model_parameters(MOFFAT).items()
        if hasattr(truth, name)
    }


def set_fields(instance, **values):
    """Set fields of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def draw_objects(rng, height, width, count, limits, flux, n_stars):
    """Return (x, y, radius of the stamp, all in arcsec, profile) of random galaxies and stars."""
    import galsim

    if count is None:
        count = rng.poisson(DENSITY * height * width)
    # The counts increase by a factor of two per magnitude.
    low, high = (10 ** (0.3 * magnitude) for magnitude in limits)
    magnitudes = np.log10(rng.uniform(low, high, count)) / 0.3
    # Stars are brighter than most of the galaxies.
    n_stars = min(n_stars, count)
    magnitudes[:n_stars] = rng.uniform(20.5, 23, n_stars)
    objects = []
    for index, magnitude in enumerate(magnitudes):
        if index < n_stars:
            profile = galsim.DeltaFunction(flux=flux(magnitude))
        else:
            profile = galsim.Sersic(
                n=rng.choice([1.0, 1.5, 2.5]), half_light_radius=rng.uniform(0.12, 0.5), flux=flux(magnitude)
            ).shear(q=rng.uniform(0.3, 1), beta=rng.uniform(0, 180) * galsim.degrees)
        # East is towards lower x.
        east, north = rng.uniform(-0.5, 0.5, 2) * (width, height)
        radius = STAR_RADIUS
        if index >= n_stars:
            radius = next(radius for limit, radius in STAMP_RADII if magnitude < limit)
        objects.append((-east, north, radius, profile))
    return objects


def draw_exposure(objects, truth, grid):
    """Return a MUSE image of the objects, without noise."""
    import galsim

    # Angles from x to y have the opposite sign of those from east to north.
    psf = galsim.Moffat(fwhm=truth.fwhm, beta=truth.beta).shear(e1=truth.e1, e2=-truth.e2)
    cos, sin = np.cos(np.radians(truth.rotation)), np.sin(np.radians(truth.rotation))
    angle = -truth.rotation * galsim.degrees
    turned = [
        (
            cos * x - sin * y + truth.dx,
            sin * x + cos * y + truth.dy,
            radius,
            profile if isinstance(profile, galsim.DeltaFunction) else profile.rotate(angle),
        )
        for x, y, radius, profile in objects
    ]
    right, up = (
        0.2 * (axis - (size - 1) / 2)
        for axis, size in zip(np.indices(grid.shape)[::-1], grid.shape[::-1], strict=True)
    )
    background = truth.bg + truth.bg_x * right + truth.bg_y * up
    light = draw(turned, psf, grid, least_radius=MUSE_RADIUS, folding=MUSE_FOLDING)
    return light * truth.scale + background


def draw_planes(objects, psfs, grid, offset=(0.0, 0.0), spectra=None):
    """
    Yield a MUSE image of the objects for each PSF, without noise.

    Parameters
    ----------
    objects : sequence of (float, float, float, `galsim.GSObject`)
        As `draw_objects` returns them; they are drawn out to any radius.
    psfs : iterable of (float, float)
        FWHM (arcsec) and beta of a Moffat, pixel response included, for each plane.
    grid : `~astropy_imphot.io.grid.Grid`
        The pixels of the planes.
    offset : (float, float)
        Shift of the objects along the pixel axes, arcsec (default: 0).
    spectra : array of shape (number of objects, number of planes), optional
        Factors of the objects' fluxes in each plane; few kinds of spectra are fast. By default (None) they
        are 1.

    Yields
    ------
    array of shape (ny, nx)
        In the unit of the objects' fluxes per pixel.

    Examples
    --------
    >>> import galsim
    >>> from astropy_imphot.simulation.drawing import draw_planes, sky_grid
    >>> star = (0.0, 0.0, 15.0, galsim.DeltaFunction(flux=100.0))
    >>> for plane in draw_planes([star], [(0.6, 2.5), (0.8, 2.5)], sky_grid((51, 51))):
    ...     print(round(float(plane.max()), 2))
    6.78
    3.81
    """
    import galsim
    from scipy.fft import irfft2, next_fast_len

    pixel = grid.pixel_scale[0]
    columns, rows = _pixel_positions(objects, grid) + np.reshape(offset, (2, 1)) / pixel
    outermost = max([0, *-columns, *-rows, *(columns - grid.shape[1]), *(rows - grid.shape[0])])
    length = next_fast_len(int(np.ceil(max(grid.shape) + 2 * outermost + RIM / pixel)), real=True)
    n = length * OVERSAMPLING
    half = galsim.BoundsI(0, n // 2, -(n // 2), (n - 1) // 2)
    step = 2 * np.pi / length
    psfs = list(psfs)
    spectra = np.ones((len(objects), len(psfs))) if spectra is None else np.asarray(spectra)
    # Objects with the same spectrum are drawn into one image.
    kinds, of_object = np.unique(spectra, axis=0, return_inverse=True)
    skies = [galsim.ImageCD(half, scale=step) for _ in kinds]
    local = _local_wcs(grid)
    for x, y, kind, (_, _, _, profile) in zip(columns, rows, of_object.ravel(), objects, strict=True):
        local.profileToImage(profile).shift(x, y).drawKImage(skies[kind], add_to_image=True, recenter=False)
    otf = galsim.ImageCD(half, scale=step)
    for (fwhm, beta), factors in zip(psfs, kinds.T, strict=True):
        galsim.Moffat(fwhm=fwhm / pixel, beta=beta).drawKImage(otf, recenter=False)
        light = sum(factor * sky.array for factor, sky in zip(factors, skies, strict=True))
        plane = irfft2(np.fft.ifftshift(light * otf.array, axes=0), s=(n, n)) * OVERSAMPLING**2
        yield plane[::OVERSAMPLING, ::OVERSAMPLING][: grid.shape[0], : grid.shape[1]]


def draw(objects, psf, grid, *, least_radius=0.0, folding=HST_FOLDING):
    """Return an image of the objects with this PSF and these pixels."""
    import galsim

    accuracy = galsim.GSParams(folding_threshold=folding, maximum_fft_size=16384)
    full = galsim.ImageF(grid.shape[1], grid.shape[0], xmin=0, ymin=0)
    local = _local_wcs(grid)
    scale = grid.pixel_scale[0]
    columns, rows = _pixel_positions(objects, grid)
    transforms = {}
    for x, y, (_, _, radius, profile) in zip(columns, rows, objects, strict=True):
        half = int(max(radius, least_radius) / scale)
        column, row = round(float(x)), round(float(y))
        bounds = galsim.BoundsI(column - half, column + half, row - half, row + half)
        overlap = bounds & full.bounds
        if not overlap.isDefined():
            continue
        stamp = galsim.ImageF(bounds, scale=1.0)
        # The PSF includes the response of the pixels, so that the image is sampled at their centers.
        center = galsim.PositionD(x, y)
        if isinstance(profile, galsim.DeltaFunction):
            psf.withFlux(profile.flux).drawImage(stamp, wcs=local, center=center, method="no_pixel")
        else:
            parts = [local.profileToImage(one) for one in (profile, psf)]
            _draw_convolved(parts, center, stamp, accuracy, transforms)
        full[overlap] += stamp[overlap]
    return full.array


def _draw_convolved(parts, center, stamp, accuracy, transforms):
    """
    Draw a profile that is convolved with a PSF, both in pixels.

    The Fourier transform of most Moffat functions takes GalSim ten times as long as that of a galaxy. Stamps
    have few sizes: transforms of the PSF are kept, by the step of the frequencies.
    """
    import galsim

    profile, psf = parts
    middle = stamp.center
    stamp.setCenter(0, 0)
    profile = profile.shift(center - galsim.PositionD(middle))
    convolved = galsim.Convolve(profile, psf, gsparams=accuracy)
    sky, size = convolved.drawFFT_makeKImage(stamp)
    kept = transforms.get(sky.scale)
    if kept is None or not kept.bounds.includes(sky.bounds):
        kept = transforms[sky.scale] = psf.drawKImage(sky.copy(), recenter=False)
    profile.withGSParams(accuracy).drawKImage(sky, recenter=False)
    sky *= kept[sky.bounds]
    convolved.drawFFT_finish(stamp, sky, size, False)
    stamp.setCenter(middle)


def _local_wcs(grid):
    import galsim

    (dudx, dudy), (dvdx, dvdy) = grid.wcs.wcs.cd * 3600
    return galsim.JacobianWCS(dudx, dudy, dvdx, dvdy)


def _pixel_positions(objects, grid):
    """Return the columns and rows of the objects, an array of shape (2, n)."""
    offsets = np.reshape([(-x, y) for x, y, _, _ in objects], (-1, 2)).T * u.arcsec
    return np.array(grid.wcs.world_to_pixel(CENTER.spherical_offsets_by(*offsets)))


def exposure_header(number):
    """
    Return the keywords that identify an exposure.

    Parameters
    ----------
    number : int
        Its number, from 0.

    Returns
    -------
    dict
        Keywords of MUSE's primary headers.

    Examples
    --------
    >>> from astropy_imphot.simulation.drawing import exposure_header
    >>> exposure_header(1)["DATE-OBS"]
    '2014-09-25T04:39:21.600'
    """
    start = Time(FIRST_START + number * CADENCE, format="mjd", precision=3)
    return {
        "TELESCOP": "ESO-VLT-U4",
        "INSTRUME": "MUSE",
        "OBJECT": "UDF",
        "EXPNAME": f"UDF-{number + 1:02d}",
        "DATE-OBS": start.isot,
        "MJD-OBS": start.mjd,
    }
