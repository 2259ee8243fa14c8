"""
Skies of known truth for accuracy.py: fields that GalSim draws, and what real fields have besides.

A sky is a sequence of steps. The first one draws a field without noise, the others change it. Fields that
several skies begin with are drawn once.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty
from scipy.sparse import csr_array

from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.io.grid import read_grid
from astropy_imphot.simulation import SimulatedField, Star, random_truth, simulate_field, with_noise
from astropy_imphot.simulation.drawing import draw, draw_exposure, draw_objects

# There are few bright objects, so that noise dominates the errors. The wings of the HST PSF are within the
# stamps on which GalSim draws.
HST_PSF = (0.085, 2.5)
GALAXIES = {"magnitudes": (22.5, 27.0), "n_stars": 0, "hst_psf": HST_PSF}

# An HST PSF that is not a Moffat function: an aperture of 2.4 m, with a central obscuration of 0.33 of the
# diameter (as in Tiny Tim; Krist, Hook & Stoehr 2011, Proc. SPIE 8127, 81270J), at 775 nm, with the pixels
# of ACS.
AIRY = {"lam": 775, "diam": 2.4, "obscuration": 0.33}
AIRY_PIXEL = 0.05

# The PSF of the telescope alone, for images of other pixels, whose response is convolved with it.
TELESCOPE_PSF = {"fwhm": 0.075, "beta": 2.5}

# PSFs are given to fits as images of so many pixels, arcsec.
PSF_IMAGE_SIZE, PSF_IMAGE_PIXEL = 301, 0.03

# Height and width of the fields, and the margin of their HST images, arcsec.
SIZE, MARGIN = 42.0, 3.0

# Reference images from the ground: beta of their PSF, and their margin, arcsec; and the FWHM of MUSE.
WIDE_BETA, WIDE_MARGIN, SEEING = 3.0, 6.0, 0.65

# Standard deviation of the MUSE noise of a deep exposure, 1e-20 erg/s/cm2/Angstrom per pixel, as `with_noise`
# has it.
MUSE_NOISE = 0.1

# Flux of one electron/s in F775W, in MUSE units, and its zero point.
_FILTER = HstFilterInfo("F775W")
UNIT_FLUX = _FILTER.photflam * 1e20
ZERO_POINT = _FILTER.abmag_zero

# Radii of the stamps of stars up to a magnitude, arcsec: at the edges the wings are below the noise.
STAR_RADII = ((19.0, 25.0), (22.0, 15.0), (99.0, 8.0))

# Surface brightness of the sky on the ground and in orbit, AB magnitudes per square arcsec, for photon noise.
GROUND_SKY, ORBIT_SKY = 20.5, 22.0

# Cosmic rays: the charge that one adds to the image (electrons/s; 300 to 10 000 electrons in 1000 s), with
# equal numbers per factor, and the mean length of the tracks, pixels of the detector.
CHARGES, TRACK_LENGTH = (0.3, 10.0), 4.0

# Drizzling (Fruchter & Hook 2002, PASP 114, 144): pixels of the detector, arcsec, the drops' size in these
# pixels, and the dithers along each axis, in these pixels.
DETECTOR_PIXEL, DROP, DITHERS = 0.05, 0.8, (0.0, 0.5)


@dataclass(frozen=True, eq=False, repr=False)
class Sky(SimulatedField):
    """
    A `SimulatedField`, and what it was drawn from.

    These are the HST PSF (as `simulate_field` takes it), the galaxies (as from `draw_objects`, in MUSE
    units), and the stars that HST sees.
    """

    hst_psf: object = HST_PSF
    objects: tuple = ()
    stars: tuple = ()


@dataclass(frozen=True)
class Step:
    """A function that draws or changes a sky, and its keywords, as (name, value)."""

    function: Callable
    keywords: tuple = ()


def step(function, **keywords):
    """Return a `Step`."""
    return Step(function, tuple(sorted(keywords.items())))


# A field of 42 arcsec has an HST image of 10 MB.
@lru_cache(maxsize=12)
def sky_of(steps, seed):
    """Return the sky of these steps, without noise; a step has the same random numbers in all skies."""
    *before, last = steps
    own = (*seed, zlib.crc32(last.function.__name__.encode()))
    if not before:
        return last.function(seed, **dict(last.keywords))
    return last.function(sky_of(tuple(before), seed), own, **dict(last.keywords))


def observed(sky, seed, *, photons=False, **noise):
    """
    Return a sky with noise.

    With ``photons``, sources add photon noise to that of the sky: the variance at a pixel is that of the sky
    times (1 + flux / flux of the sky), in both images. Without it, a bright star had a signal-to-noise ratio
    that no detector has. The variances of the MUSE image include it.
    """
    noisy = with_noise(sky, seed, **noise)
    if photons:
        rng = np.random.default_rng([*seed, 1])
        muse, hst = noisy.muse[0], noisy.hst
        variance = noise.get("noise", MUSE_NOISE) ** 2
        source = variance * _positive(sky.muse[0].data / (UNIT_FLUX * sky_rate(GROUND_SKY, sky.muse[0])))
        muse.data = (muse.data + rng.normal(0, 1, muse.shape) * np.sqrt(source)).astype(np.float32)
        muse.uncertainty = VarianceUncertainty((variance + source).astype(np.float32))
        variance = noise.get("hst_noise", 2e-4) ** 2
        source = variance * _positive(sky.hst.data / sky_rate(ORBIT_SKY, sky.hst))
        hst.data = (hst.data + rng.normal(0, 1, hst.shape) * np.sqrt(source)).astype(np.float32)
    return changed(sky, noisy.hst, noisy.muse[0])


def _positive(values):
    return np.maximum(np.nan_to_num(values), 0)


def sky_rate(brightness, image):
    """Return electrons/s of the sky per pixel of an image."""
    return rate(brightness) * float(np.prod(read_grid(image).pixel_scale))


def rate(magnitude):
    """Return electrons/s in the HST image."""
    return 10 ** (-0.4 * (magnitude - ZERO_POINT))


def muse_flux(magnitude):
    """Return a flux in MUSE units."""
    return UNIT_FLUX * rate(magnitude)


def changed(sky, hst=None, muse=None, **changes):
    """Return a sky with other images."""
    images = {"hst": sky.hst if hst is None else hst, "muse": sky.muse if muse is None else [muse]}
    return replace(sky, **images, **changes)


def with_data(image, data):
    """Return an image with other pixels, and the same grid and header."""
    return CCDData(data.astype(np.float32), unit=image.unit, wcs=image.wcs, meta=image.meta)


def psf_object(psf):
    """Return an HST PSF as a `galsim.GSObject`."""
    import galsim

    return galsim.Moffat(fwhm=psf[0], beta=psf[1]) if isinstance(psf, tuple) else psf


def psf_image(psf):
    """Return an HST PSF as an image for fits."""
    drawn = psf.drawImage(nx=PSF_IMAGE_SIZE, ny=PSF_IMAGE_SIZE, scale=PSF_IMAGE_PIXEL, method="no_pixel")
    return CCDData(drawn.array, unit="", meta={"PIXSCALE": PSF_IMAGE_PIXEL})


# ---- fields of 60 arcsec


@lru_cache(maxsize=1)
def random_numbers(seed):
    """Return what is random in a field of 60 arcsec: the truths by name, and the stars by name."""
    rng = np.random.default_rng([*seed, 1])
    truth = random_truth(rng)
    angle, (sign, sign_x, sign_y) = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1], 3)
    turned = {
        "rotation": 0.5 * sign,
        "e1": 0.05 * np.cos(angle),
        "e2": 0.05 * np.sin(angle),
        "bg_x": 0.003 * sign_x,
        "bg_y": 0.003 * sign_y,
    }
    far = {"dx": rng.uniform(-10, 10), "dy": rng.uniform(-10, 10)}
    places = [(x, y) for x in (-15, 15) for y in (-15, 15)]
    stars = [
        Star(rng.uniform(20, 22), x + rng.uniform(-8, 8), y + rng.uniform(-8, 8), (0.0, 0.0))
        for x, y in places
    ]
    motion = 0.25 * np.cos(angle), 0.25 * np.sin(angle)
    truths = {"field": truth, "turned": replace(truth, **turned), "far": replace(truth, **far)}
    return truths, {
        "moved": [replace(star, motion=motion) for star in stars],
        "varied": [replace(stars[0], brightening=1.3), replace(stars[1], brightening=0.7)],
    }


@lru_cache(maxsize=1)
def _fields(seed):
    truths, _ = random_numbers(seed)
    # One HST image covers the fields of all offsets.
    return simulate_field(
        seed, truth=list(truths.values()), noise=0, hst_noise=0, hst_margin=15.0, **GALAXIES
    )


def deep_field(seed, kind="field"):
    """Return galaxies in 60 x 60 arcsec; "turned", "far": rotated, elliptical and sloping, or far away."""
    fields, (truths, _) = _fields(seed), random_numbers(seed)
    index = list(truths).index(kind)
    return Sky(fields.hst, [fields.muse[index]], [truths[kind]])


def deep_field_with_stars(seed, kind):
    """Return galaxies and bright stars in 60 x 60 arcsec, which have "moved" or "varied"."""
    field, stars = deep_field(seed), random_numbers(seed)[1][kind]
    only = simulate_field(
        seed,
        truth=[replace(field.truth[0], bg=0.0)],
        noise=0,
        hst_noise=0,
        hst_margin=15.0,
        stars=stars,
        **(GALAXIES | {"n_objects": 0}),
    )
    hst = with_data(field.hst, field.hst.data + only.hst.data)
    muse = with_data(field.muse[0], field.muse[0].data + only.muse[0].data)
    return changed(field, hst, muse, stars=tuple(stars))


def airy_field(seed):
    """Return galaxies in 60 x 60 arcsec, in an HST image with the PSF of an obscured aperture."""
    import galsim

    psf = galsim.Convolve(galsim.Airy(**AIRY), galsim.Pixel(AIRY_PIXEL))
    return drawn(seed, psf, size=60.0, hst_margin=5.0)


def faint_field(seed):
    """Return three faint galaxies in 60 x 60 arcsec, and nothing else."""
    return drawn(seed, size=60.0, hst_margin=5.0, n_objects=3, magnitudes=(23.5, 24.5))


def drawn(seed, psf=HST_PSF, seeing=None, **options):
    """Return the sky of a random truth that `simulate_field` draws with these options."""
    truth = [random_numbers(seed)[0]["field"]]
    if seeing is not None:
        truth = [replace(truth[0], fwhm=seeing)]
    field = simulate_field(seed, truth=truth, noise=0, hst_noise=0, **(GALAXIES | options | {"hst_psf": psf}))
    return Sky(field.hst, field.muse, field.truth, psf)


# ---- fields of 42 arcsec and less, on which everything below is drawn


def galaxies(seed, size=SIZE):
    """Return galaxies of the density of the Ultra Deep Field, as in all deep fields."""
    sky = drawn(seed, size=size, hst_margin=MARGIN)
    # As `simulate_field` draws them, with 5 arcsec around the MUSE image.
    reach = (size + 10.0, size + 10.0)
    rng = np.random.default_rng(seed)
    return changed(sky, objects=tuple(draw_objects(rng, *reach, None, GALAXIES["magnitudes"], muse_flux, 0)))


def coarse_galaxies(seed, pixel, size=SIZE):
    """
    Return the same galaxies in an HST image of large pixels, arcsec.

    The response of the pixels is in the PSF. WFPC2, and WFC3/IR with more, have 0.1 arcsec, which is
    undersampled.
    """
    import galsim

    psf = galsim.Convolve(galsim.Moffat(**TELESCOPE_PSF), galsim.Pixel(pixel))
    return drawn(seed, psf, size=size, hst_margin=MARGIN, hst_pixel=pixel)


def wide_reference(seed, fwhm, pixel, size=SIZE):
    """Return the same galaxies in a reference image from the ground, of this FWHM and pixels, arcsec."""
    psf = (fwhm, WIDE_BETA)
    return drawn(seed, psf, SEEING, size=size, hst_margin=WIDE_MARGIN, hst_pixel=pixel)


def empty(seed, size=SIZE):
    """Return a sky without any object."""
    return drawn(seed, size=size, hst_margin=MARGIN, n_objects=0)


def add(sky, hst=(), muse=(), stars=()):
    """Return a sky with more objects, (x, y, radius of the stamp, profile), in either image."""
    truth = replace(sky.truth[0], bg=0.0, bg_x=0.0, bg_y=0.0)
    then = draw(hst, psf_object(sky.hst_psf), read_grid(sky.hst)) / UNIT_FLUX
    now = draw_exposure(muse, truth, read_grid(sky.muse[0]))
    return changed(
        sky,
        with_data(sky.hst, sky.hst.data + then),
        with_data(sky.muse[0], sky.muse[0].data + now),
        stars=(*sky.stars, *stars),
    )


def add_stars(sky, stars):
    """Return a sky with more stars, which may have moved and varied."""
    import galsim

    hst, muse = [], []
    for star in stars:
        radius = next(radius for limit, radius in STAR_RADII if star.magnitude < limit)
        flux = muse_flux(star.magnitude)
        hst.append((star.x, star.y, radius, galsim.DeltaFunction(flux)))
        moved = star.x + star.motion[0], star.y + star.motion[1]
        muse.append((*moved, radius, galsim.DeltaFunction(flux * star.brightening)))
    return add(sky, hst, muse, stars)


def add_galaxy(sky, x, y, magnitude, index, half_light_radius, brightening=1.0):
    """Return a sky with one more Sersic galaxy, of axis ratio 0.7, which may have varied."""
    import galsim

    flux = muse_flux(magnitude)
    profile = galsim.Sersic(index, half_light_radius=half_light_radius, flux=flux)
    profile = profile.shear(q=0.7, beta=40 * galsim.degrees)
    radius = max(10.0, 4 * half_light_radius)
    return add(sky, [(x, y, radius, profile)], [(x, y, radius, profile * brightening)])


def half_size(sky):
    """Return half of the size of the MUSE image, arcsec."""
    return 0.1 * min(sky.muse[0].shape)


def muse_plane(sky):
    """Return x and y of the MUSE pixels from the center, arcsec."""
    return tuple(
        0.2 * (axis - (size - 1) / 2)
        for axis, size in zip(np.indices(sky.muse[0].shape)[::-1], sky.muse[0].shape[::-1], strict=True)
    )


# ---- stars


def bright_stars(sky, seed, *, count=4, magnitudes=(20, 22), motion=0.0, ratio=1.0):
    """
    Add stars at a distance from each other, one in each quadrant.

    They have all moved by the same vector of this length, arcsec, in a random direction, as stars of the halo
    do relative to galaxies, and are in MUSE brighter than in HST by this ratio: the charge of bright stars is
    lost on the way to the read-out of HST, by 10 to 20 % in the Ultra Deep Field.
    """
    rng, half = np.random.default_rng(seed), half_size(sky)
    angle = rng.uniform(0, 2 * np.pi)
    quadrants = rng.permutation([(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    stars = [
        Star(
            rng.uniform(*magnitudes),
            *(half * (quadrants[index] + rng.uniform(-0.25, 0.25, 2))),
            motion=(motion * np.cos(angle), motion * np.sin(angle)),
            brightening=ratio,
        )
        for index in range(count)
    ]
    return add_stars(sky, stars)


def single_stars(sky, seed, *, count=8, magnitudes=(20, 23), faint=12):
    """
    Add stars for star fits, and faint stars of magnitude 23 to 26 anywhere.

    The stars are on a grid of three by three, with random shifts. Nothing around them is
    removed: galaxies and faint stars are in their circles as they come.
    """
    rng, half = np.random.default_rng(seed), half_size(sky)
    grid = [(x, y) for x in (-0.6, 0, 0.6) for y in (-0.6, 0, 0.6)][:count]
    stars = [
        Star(rng.uniform(*magnitudes), *(half * (place + rng.uniform(-0.15, 0.15, 2)))) for place in grid
    ]
    others = [Star(rng.uniform(23, 26), *rng.uniform(-half, half, 2)) for _ in range(faint)]
    return changed(add_stars(sky, [*stars, *others]), stars=tuple(stars))


def saturated(sky, seed, *, level):
    """Put NaN within 1 arcsec of stars where HST has more than this level, electrons/s per pixel."""
    data = sky.hst.data.copy()
    rows, columns = np.indices(data.shape, sparse=True)
    size = read_grid(sky.hst).pixel_scale[0]
    for star in sky.stars:
        away = np.hypot(
            size * (columns - (data.shape[1] - 1) / 2) - star.x,
            size * (rows - (data.shape[0] - 1) / 2) - star.y,
        )
        data[(away < 1) & (data > level)] = np.nan
    return changed(sky, with_data(sky.hst, data))


def clipped(sky, seed, *, level):
    """Cut the HST image at this full well, electrons/s per pixel: cores of stars are flat, and not masked."""
    return changed(sky, with_data(sky.hst, np.minimum(sky.hst.data, level)))


# ---- defects of HST images


def cosmic_rays(sky, seed, *, count, drizzled=False):
    """
    Add so many cosmic rays to the HST image, within the MUSE field: what is left where few exposures overlap.

    They are straight tracks of random direction and exponential length, one pixel of the detector wide,
    without the PSF. If drizzled, they are in one of four exposures of 50 mas pixels, which are drizzled onto
    the image.
    """
    rng, half = np.random.default_rng(seed), half_size(sky)
    shape, size = sky.hst.shape, read_grid(sky.hst).pixel_scale[0]
    native = DETECTOR_PIXEL if drizzled else size
    exposures = np.zeros((len(DITHERS) ** 2 if drizzled else 1, *_detector_shape(shape, size, native)))
    for _ in range(count):
        x, y = rng.uniform(-half, half, 2)
        charge = np.exp(rng.uniform(*np.log(CHARGES)))
        length, angle = rng.exponential(TRACK_LENGTH), rng.uniform(0, 2 * np.pi)
        number = rng.integers(len(exposures))
        along = np.linspace(0, length, 1 + 10 * int(np.ceil(length))) * native
        columns = np.rint((x + along * np.cos(angle)) / native + (exposures.shape[2] - 1) / 2).astype(int)
        rows = np.rint((y + along * np.sin(angle)) / native + (exposures.shape[1] - 1) / 2).astype(int)
        inside = (columns >= 0) & (columns < exposures.shape[2]) & (rows >= 0) & (rows < exposures.shape[1])
        np.add.at(exposures[number], (rows[inside], columns[inside]), charge / len(along))
    added = drizzle(exposures * len(exposures), shape, size) if drizzled else exposures[0]
    return changed(sky, with_data(sky.hst, sky.hst.data + added))


def holes(sky, seed, *, fraction):
    """Put NaN into this fraction of the HST pixels, independently: bad pixels of few exposures."""
    missing = np.random.default_rng(seed).uniform(size=sky.hst.shape) < fraction
    return changed(sky, with_data(sky.hst, np.where(missing, np.nan, sky.hst.data)))


def drizzled_noise(sky, seed, *, hst_noise):
    """
    Add HST noise that drizzling correlates.

    Four exposures of 50 mas pixels with independent noise, at dithers of half a pixel, are drizzled with
    drops of 0.8 pixels. Averages over many pixels have the noise of independent pixels with this standard
    deviation, electrons/s; that of single pixels is lower.
    """
    shape, size = sky.hst.shape, read_grid(sky.hst).pixel_scale[0]
    count = len(DITHERS) ** 2
    native = hst_noise * DETECTOR_PIXEL / size * np.sqrt(count)
    exposures = np.random.default_rng(seed).normal(
        0, native, (count, *_detector_shape(shape, size, DETECTOR_PIXEL))
    )
    return changed(sky, with_data(sky.hst, sky.hst.data + drizzle(exposures, shape, size)))


def _detector_shape(shape, size, native):
    if native == size:
        return shape
    return tuple(int(np.ceil(length * size / native)) + 4 for length in shape)


def drizzle(exposures, shape, size):
    """
    Return exposures of the detector's pixels, drizzled.

    Parameters
    ----------
    exposures : array of shape (4, m, n)
        Electrons/s per pixel of the detector, at the dithers (0, 0), (0, 0.5), (0.5, 0) and (0.5, 0.5)
        pixels.
    shape : (int, int)
        Of the image, which has the same center.
    size : float
        Size of its pixels, arcsec.

    Returns
    -------
    array of this shape
        Electrons/s per pixel: the average, weighted by the overlaps of drops and pixels.
    """
    overlaps = [
        [_overlap(length, size, native, dither) for dither in DITHERS]
        for length, native in zip(shape, exposures.shape[1:], strict=True)
    ]
    total = np.zeros(shape)
    for number, exposure in enumerate(exposures):
        rows, columns = overlaps[0][number // len(DITHERS)], overlaps[1][number % len(DITHERS)]
        total += (columns @ (rows @ exposure).T).T
    weights = [sum(one.sum(axis=1) for one in along) for along in overlaps]
    return total / np.outer(*weights) * (size / DETECTOR_PIXEL) ** 2


def _overlap(n, size, n_native, dither):
    """Return the lengths by which drops (columns) cover pixels (rows), along one axis."""
    pixels = size * (np.arange(n) - (n - 1) / 2)
    drops = DETECTOR_PIXEL * (np.arange(n_native) - (n_native - 1) / 2 + dither)
    half, drop = size / 2, DROP * DETECTOR_PIXEL / 2
    first = np.searchsorted(drops, pixels - half - drop)
    rows, columns = (
        one.ravel() for one in np.broadcast_arrays(np.arange(n)[:, None], first[:, None] + [0, 1, 2])
    )
    columns = np.minimum(columns, n_native - 1)
    low = np.maximum(pixels[rows] - half, drops[columns] - drop)
    high = np.minimum(pixels[rows] + half, drops[columns] + drop)
    return csr_array((np.maximum(high - low, 0), (rows, columns)), shape=(n, n_native))


# ---- defects of MUSE images


def ripples(sky, seed, *, sigma=1.0, count=4, periods=(12.0, 60.0)):
    """
    Add waves of the background to the MUSE image.

    Periods (arcsec), directions and phases are random. The sum has the mean 0 and an rms of so many standard
    deviations of a pixel's noise: what sky subtraction leaves.
    """
    rng, (x, y) = np.random.default_rng(seed), muse_plane(sky)
    total = 0
    for _ in range(count):
        period, angle, phase = rng.uniform(*periods), *rng.uniform(0, 2 * np.pi, 2)
        total = total + np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    total = total - total.mean()
    total *= sigma * MUSE_NOISE / total.std()
    return changed(sky, muse=with_data(sky.muse[0], sky.muse[0].data + total))


def slope(sky, seed, *, sigma=1.0):
    """Let the background of the MUSE image rise or fall by so many sigma of the noise to the edges."""
    half, (x, y) = half_size(sky), muse_plane(sky)
    bg_x, bg_y = sigma * MUSE_NOISE / half * np.random.default_rng(seed).choice([-1, 1], 2)
    truth = replace(sky.truth[0], bg_x=bg_x, bg_y=bg_y)
    return changed(sky, muse=with_data(sky.muse[0], sky.muse[0].data + bg_x * x + bg_y * y), truth=[truth])


def stripes(sky, seed, *, flat=0.02, offset=0.3, blocks=(24, 4)):
    """
    Multiply and shift blocks of the MUSE image: 24 IFUs along y, and 4 stacks of slices along x.

    Their sensitivities differ by this fraction, and their backgrounds by this many standard deviations of a
    pixel's noise, with means of 1 and 0: what flat fields leave.
    """
    rng = np.random.default_rng(seed)
    index = [np.arange(n) * count // n for n, count in zip(sky.muse[0].shape, blocks, strict=True)]
    factor, added = (one - one.mean() for one in rng.normal(0, 1, (2, *blocks)))
    data = (
        sky.muse[0].data * (1 + flat * factor[np.ix_(*index)]) + offset * MUSE_NOISE * added[np.ix_(*index)]
    )
    return changed(sky, muse=with_data(sky.muse[0], data))


def rotated(sky, seed, *, angle):
    """Draw the galaxies as a MUSE sees them that is rotated by this angle, degrees, to either side."""
    truth = replace(sky.truth[0], rotation=angle * np.random.default_rng(seed).choice([-1, 1]))
    data = draw_exposure(sky.objects, truth, read_grid(sky.muse[0]))
    return changed(sky, muse=with_data(sky.muse[0], data), truth=[truth])


# ---- objects that differ


def flux_ratios(sky, seed, *, scatter, trend=False):
    """
    Let the ratios MUSE/HST of the galaxies scatter by this fraction, around the scale of the field.

    Galaxies have colors, and the bandpasses of the images differ. With a trend, half of the variance depends
    on the magnitude, as faint galaxies are bluer; the scale of the field is that of galaxies of magnitude 25.
    """
    own = np.random.default_rng(seed).normal(0, 1, len(sky.objects))
    if trend:
        magnitudes = [ZERO_POINT - 2.5 * np.log10(one[3].flux / UNIT_FLUX) for one in sky.objects]
        own = (own + np.subtract(magnitudes, 25)) / np.sqrt(2)
    differences = [
        (x, y, radius, profile * float(number))
        for number, (x, y, radius, profile) in zip(scatter * own, sky.objects, strict=True)
    ]
    return add(sky, muse=differences)


def varied_galaxy(sky, seed, *, magnitude=20.0, ratio=1.3):
    """Add a galaxy, brighter than all others, that is brighter in MUSE by this ratio."""
    x, y = np.random.default_rng(seed).uniform(-0.6, 0.6, 2) * half_size(sky)
    return add_galaxy(sky, x, y, magnitude, 2.5, 0.3, ratio)


def quasar(sky, seed, *, magnitude=20.5, host=21.0, ratio=1.3):
    """Add a galaxy with a point source at its center, which is brighter in MUSE by this ratio."""
    x, y = np.random.default_rng(seed).uniform(-0.6, 0.6, 2) * half_size(sky)
    with_host = add_galaxy(sky, x, y, host, 1.5, 0.5)
    return add_stars(with_host, [Star(magnitude, x, y, brightening=ratio)])


def supernova(sky, seed, *, magnitude=22.0):
    """Add a point source to the MUSE image only, 0.3 arcsec from the brightest galaxy."""
    import galsim

    half = 0.8 * half_size(sky)
    inside = [one for one in sky.objects if max(abs(one[0]), abs(one[1])) < half]
    x, y, _, _ = max(inside, key=lambda one: one[3].flux)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    light = galsim.DeltaFunction(muse_flux(magnitude))
    return add(sky, muse=[(x + 0.3 * np.cos(angle), y + 0.3 * np.sin(angle), 15.0, light)])


def one_galaxy(sky, seed, *, magnitude=21.0):
    """Add one galaxy."""
    x, y = np.random.default_rng(seed).uniform(-0.3, 0.3, 2) * half_size(sky)
    return add_galaxy(sky, x, y, magnitude, 1.5, 0.4)


def one_star(sky, seed, *, magnitude=18.0):
    """Add one star."""
    return add_stars(
        sky, [Star(magnitude, *(np.random.default_rng(seed).uniform(-0.3, 0.3, 2) * half_size(sky)))]
    )


def cluster(sky, seed, *, count=150, magnitudes=(15.0, 25.0), radius=8.0):
    """
    Add a crowded cluster of stars.

    Positions are from a Gaussian of this radius, arcsec, within the image; numbers rise by a factor of two in
    two magnitudes, as on the main sequence.
    """
    rng, half = np.random.default_rng(seed), half_size(sky) - 1
    low, high = (10 ** (0.15 * magnitude) for magnitude in magnitudes)
    stars = []
    while len(stars) < count:
        x, y = rng.normal(0, radius, 2)
        if max(abs(x), abs(y)) < half:
            stars.append(Star(np.log10(rng.uniform(low, high)) / 0.15, x, y))
    return add_stars(sky, stars)


def large_galaxy(sky, seed, *, radii=(10.0, 15.0), brightness=21.5):
    """
    Add a galaxy that fills the field.

    It is exponential, of a half-light radius in this range, arcsec, and this mean surface brightness within
    it, AB magnitudes per square arcsec. The other galaxies are seen through it.
    """
    rng = np.random.default_rng(seed)
    radius = rng.uniform(*radii)
    magnitude = brightness - 2.5 * np.log10(2 * np.pi * radius**2)
    return add_galaxy(sky, *rng.uniform(-3, 3, 2), magnitude, 1.0, radius)
