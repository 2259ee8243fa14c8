"""
Skies as people have them, drawn by GalSim: what fits assume, and what they do not.

Each sky is a function of a `Canvas`, which keeps what is drawn, and of a random generator. It returns a `Sky`: images, truth
and what a fit is told.
"""

from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty
from scipy import ndimage

from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.simulation import CENTER, SimulatedField, random_truth, sky_grid, with_noise
from astropy_imphot.simulation.drawing import (
    STAR_RADIUS,
    draw,
    draw_exposure,
    draw_objects,
    exposure_header,
)

FILTER = "F775W"
INFO = HstFilterInfo(FILTER)
ZERO_FLUX = (INFO.photflam * u.erg / u.s / u.cm**2 / u.AA).to_value(PIPELINE_UNIT)

# The HST PSF at 30 mas, response of the pixels included: FWHM (arcsec) and beta.
HST_PSF = (0.085, 2.5)
MAGNITUDES = (22.5, 27.0)
SIZE = 42.0
MARGIN = 5.0
MUSE_NOISE = 0.1
HST_NOISE = 2e-4

# The response of MUSE pixels to the light of IFUs and slicer stacks.
IFUS, STACKS = 24, 4


@dataclass(frozen=True)
class Sky:
    """Images, truth, the stars with their motions, and the options of a fit."""

    images: SimulatedField
    stars: list = field(default_factory=list)
    fit: dict = field(default_factory=dict)
    truth: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Star:
    """A star: AB magnitude, position and motion (arcsec), and the factor of its flux in MUSE."""

    magnitude: float
    x: float
    y: float
    motion: tuple = (0.0, 0.0)
    factor: float = 1.0

    def then(self):
        import galsim

        return self.x, self.y, STAR_RADIUS, galsim.DeltaFunction(flux=flux_of(self.magnitude))

    def now(self):
        import galsim

        x, y = self.x + self.motion[0], self.y + self.motion[1]
        return x, y, STAR_RADIUS, galsim.DeltaFunction(flux=self.factor * flux_of(self.magnitude))


def flux_of(magnitude):
    """Return the flux of an AB magnitude, 1e-20 erg/s/cm2/Angstrom."""
    return ZERO_FLUX * 10 ** (-0.4 * (magnitude - INFO.abmag_zero))


class Canvas:
    """The galaxies of a field, drawn once for each kind of image."""

    def __init__(self, seed):
        rng = np.random.default_rng([*seed, 5])
        self.truth = random_truth(rng)
        self.galaxies = draw_objects(rng, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN, None, MAGNITUDES, flux_of, 0)
        self._kept = {}

    def hst(self, objects="galaxies", pixel=0.03, size=SIZE):
        """Return an HST image of objects without noise, electrons/s."""
        key = ("hst", pixel, size) if isinstance(objects, str) else None
        if key in self._kept:
            return self._kept[key].copy()
        grid = sky_grid((round((size + 2 * MARGIN) / pixel),) * 2, pixel)
        listed = self.galaxies if isinstance(objects, str) else objects
        image = CCDData(
            draw(listed, hst_psf(pixel), grid) / ZERO_FLUX,
            unit="electron/s",
            wcs=grid.wcs,
            meta={"FILTER": FILTER, "TELESCOP": "HST", "INSTRUME": "ACS"},
        )
        if key:
            self._kept[key] = image
        return image.copy()

    def muse(self, objects="galaxies", size=SIZE, **changes):
        """Return a MUSE image of objects without noise."""
        key = ("muse", size, *sorted(changes.items())) if isinstance(objects, str) else None
        if key in self._kept:
            return self._kept[key].copy()
        grid = sky_grid((round(size / 0.2),) * 2)
        listed = self.galaxies if isinstance(objects, str) else objects
        image = CCDData(
            draw_exposure(listed, replace(self.truth, **changes), grid),
            unit=PIPELINE_UNIT,
            wcs=grid.wcs,
            meta=exposure_header(0),
        )
        if key:
            self._kept[key] = image
        return image.copy()


def hst_psf(pixel):
    """Return the PSF of HST with the response of its pixels."""
    import galsim

    moffat = galsim.Moffat(fwhm=HST_PSF[0], beta=HST_PSF[1])
    return moffat if pixel <= 0.03 else galsim.Convolve(moffat, galsim.Pixel(pixel))


def psf_option(pixel):
    """Return the options of a fit for the HST PSF."""
    if pixel <= 0.03:
        return {"hst_fwhm": HST_PSF[0], "hst_beta": HST_PSF[1]}
    pixels = hst_psf(pixel).drawImage(nx=201, ny=201, scale=0.03, method="no_pixel").array
    return {"hst_psf": CCDData(pixels, unit="", meta={"PIXSCALE": 0.03})}


def noisy(hst, muse, truth, rng, *, hst_noise=HST_NOISE, noise=MUSE_NOISE, pixel=0.03):
    """Return the images with white noise; that of HST is per 30 mas pixel."""
    return with_noise(
        SimulatedField(hst, [muse], [truth]), rng, noise=noise, hst_noise=hst_noise * pixel / 0.03
    )


def plain(canvas, rng, **changes):
    """Galaxies only."""
    truth = replace(canvas.truth, **changes)
    return Sky(noisy(canvas.hst(), canvas.muse(**changes), truth, rng))


def drizzled_noise(canvas, rng, level):
    """HST noise that is correlated by drizzling: a mean over 2 x 2 pixels, of the same power at low frequencies."""
    images = noisy(canvas.hst(), canvas.muse(), canvas.truth, rng, hst_noise=0)
    drawn = ndimage.uniform_filter(rng.normal(0, level, images.hst.shape), 2, mode="wrap")
    images.hst.data = (images.hst.data + drawn).astype(np.float32)
    return Sky(images)


def white_noise(canvas, rng, level):
    """HST noise that is white."""
    return Sky(noisy(canvas.hst(), canvas.muse(), canvas.truth, rng, hst_noise=level))


def with_stars(canvas, rng, stars, *, spoil=None, size=SIZE):
    """Stars in front of the galaxies; ``spoil`` changes the HST image."""
    truth = canvas.truth
    hst, muse = canvas.hst(size=size), canvas.muse(size=size)
    hst.data = hst.data + canvas.hst([one.then() for one in stars], size=size).data
    # The background was drawn with the galaxies.
    muse.data = muse.data + canvas.muse([one.now() for one in stars], size=size, bg=0.0).data
    images = noisy(hst, muse, truth, rng)
    if spoil is not None:
        spoil(images.hst, stars)
    return Sky(images, stars=stars)


def random_stars(rng, count, magnitudes, reach, **changes):
    """Return stars at random places, at least 6 arcsec from each other if there is room."""
    places = []
    for _ in range(1000):
        place = rng.uniform(-reach, reach, 2)
        if all(np.hypot(*(place - other)) > 6 for other in places):
            places.append(place)
        if len(places) == count:
            break
    return [Star(rng.uniform(*magnitudes), x, y, **changes) for x, y in places]


def moved_together(canvas, rng, spoil=None, count=4, size=SIZE):
    """Stars that moved together by 0.25 arcsec."""
    angle = rng.uniform(0, 2 * np.pi)
    motion = (0.25 * np.cos(angle), 0.25 * np.sin(angle))
    stars = random_stars(rng, count, (20, 22), 0.5 * size - 3, motion=motion)
    return with_stars(canvas, rng, stars, spoil=spoil, size=size)


def nan_cores(hst, stars):
    """Set the cores of stars to NaN, as where saturated pixels were flagged."""
    y, x = np.indices(hst.shape)
    for star in stars:
        column, row = star_pixel(hst, star)
        hst.data[np.hypot(x - column, y - row) * 0.03 < 0.1] = np.nan


def clipped_cores(hst, stars):
    """Clip the cores of stars at a full well, a third of the peak of the faintest star."""
    peaks = []
    for star in stars:
        column, row = (round(float(one)) for one in star_pixel(hst, star))
        peaks.append(hst.data[row - 2 : row + 3, column - 2 : column + 3].max())
    hst.data = np.minimum(hst.data, 0.33 * min(peaks))


def star_pixel(image, star):
    """Return the column and row of a star."""
    return image.wcs.world_to_pixel(CENTER.spherical_offsets_by(-star.x * u.arcsec, star.y * u.arcsec))


def charge_loss(canvas, rng):
    """Four bright stars that are 15 % too faint in the HST image."""
    return with_stars(canvas, rng, random_stars(rng, 4, (15, 20), 0.5 * SIZE - 3, factor=1 / 0.85))


def cosmic_rays(canvas, rng, count, pixel, drizzled=False):
    """Cosmic rays in an HST image of one or two exposures: tracks of 1 to 12 pixels, 100 to 5000 electrons in 1000 s."""
    hst = canvas.hst(pixel=pixel)
    images = noisy(hst, canvas.muse(), canvas.truth, rng, pixel=pixel)
    images.hst.data = images.hst.data + tracks(rng, hst.shape, count, drizzled)
    return Sky(images, fit=psf_option(pixel))


def tracks(rng, shape, count, drizzled=False):
    """Return an image of tracks of cosmic rays, electrons/s."""
    drawn = np.zeros(shape)
    for _ in range(count):
        y, x = rng.uniform(13, np.subtract(shape, 13))
        length, angle, electrons = rng.integers(1, 13), rng.uniform(0, 2 * np.pi), 10 ** rng.uniform(2, 3.7)
        for step in range(length):
            drawn[int(y + step * np.sin(angle)), int(x + step * np.cos(angle))] += electrons / 1000 / length
    if drizzled:
        # A pixel of the detector is spread over 2 x 2 pixels, and shifted by half a pixel by the drop.
        drawn = ndimage.uniform_filter(ndimage.uniform_filter(drawn, 2), 2)
    return drawn


def holes(canvas, rng, fraction):
    """Single pixels of the HST image that were not observed."""
    sky = plain(canvas, rng)
    sky.images.hst.data[rng.uniform(size=sky.images.hst.shape) < fraction] = np.nan
    return sky


def with_background(canvas, rng, make):
    """A background of the MUSE image that is not constant; the truth is its mean."""
    sky = plain(canvas, rng)
    muse = sky.images.muse[0]
    background = make(rng, muse.shape)
    muse.data = muse.data + background
    return replace(sky, truth={"bg": canvas.truth.bg + float(background.mean())})


def ripples(rng, shape):
    """Three waves of periods of 12 to 60 arcsec, with an rms of 1 sigma of a pixel in all."""
    y, x = np.indices(shape) * 0.2
    waves = np.zeros(shape)
    for _ in range(3):
        period, angle, phase = rng.uniform(12, 60), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        waves += np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    return MUSE_NOISE * waves / waves.std()


def slope(rng, shape):
    """A slope of 3 sigma of a pixel from edge to edge."""
    y, x = np.indices(shape) / max(shape) - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return 3 * MUSE_NOISE * (x * np.cos(angle) + y * np.sin(angle))


def stripes(canvas, rng):
    """Blocks of IFUs and slicer stacks: 2 % of the flux, and 0.3 sigma of a pixel."""
    sky = plain(canvas, rng)
    muse = sky.images.muse[0]
    rows = np.arange(muse.shape[0]) * IFUS // muse.shape[0]
    columns = np.arange(muse.shape[1]) * STACKS // muse.shape[1]
    flat, offset = (rng.normal(0, one, (IFUS, STACKS))[np.ix_(rows, columns)] for one in (0.02, 0.3))
    flat, offset = flat - flat.mean(), MUSE_NOISE * (offset - offset.mean())
    muse.data = canvas.truth.bg + (muse.data - canvas.truth.bg) * (1 + flat) + offset
    return sky


def scattered(canvas, rng, scatter, select=None):
    """Flux ratios MUSE/HST of galaxies that scatter."""
    factors = 1 + scatter * rng.normal(size=len(canvas.galaxies))
    return with_factors(canvas, rng, factors)


def varied_galaxy(canvas, rng):
    """The brightest galaxy within the field is 30 % brighter in MUSE."""
    inside = [max(abs(x), abs(y)) < 0.5 * SIZE - 3 for x, y, *_ in canvas.galaxies]
    fluxes = [one[3].flux * use for one, use in zip(canvas.galaxies, inside, strict=True)]
    factors = np.ones(len(fluxes))
    factors[np.argmax(fluxes)] = 1.3
    return with_factors(canvas, rng, factors)


def with_factors(canvas, rng, factors):
    """Galaxies whose MUSE fluxes are multiplied by factors."""
    now = [
        (x, y, radius, profile.withScaledFlux(float(factor)))
        for (x, y, radius, profile), factor in zip(canvas.galaxies, factors, strict=True)
    ]
    return Sky(noisy(canvas.hst(), canvas.muse(now), canvas.truth, rng))


def quasar_in_host(canvas, rng):
    """A quasar of magnitude 20.5 in a galaxy of magnitude 21, 40 % brighter in MUSE."""
    import galsim

    x, y = rng.uniform(-12, 12, 2)
    host = (x, y, 7.0, galsim.Sersic(n=1.5, half_light_radius=0.8, flux=flux_of(21.0)))
    return _added(canvas, rng, [host], [Star(20.5, x, y, factor=1.4)])


def supernova(canvas, rng):
    """A supernova of magnitude 22 in MUSE only, half an arcsec from a galaxy."""
    bright = sorted(canvas.galaxies, key=lambda one: -one[3].flux)
    x, y = next((x, y) for x, y, *_ in bright if max(abs(x), abs(y)) < 0.5 * SIZE - 4)
    return _added(canvas, rng, [], [], [Star(22.0, x + 0.5, y)])


def _added(canvas, rng, galaxies, stars, only_now=()):
    hst, muse = canvas.hst(), canvas.muse()
    then = [*galaxies, *(one.then() for one in stars)]
    now = [*galaxies, *(one.now() for one in stars), *(one.now() for one in only_now)]
    if then:
        hst.data = hst.data + canvas.hst(then).data
    muse.data = muse.data + canvas.muse(now, bg=0.0).data
    return Sky(noisy(hst, muse, canvas.truth, rng), stars=list(stars))


def only(canvas, rng, make):
    """Nothing but the objects that ``make`` returns: galaxies and stars."""
    galaxies, stars = make(rng)
    then = [*galaxies, *(one.then() for one in stars)]
    now = [*galaxies, *(one.now() for one in stars)]
    images = noisy(canvas.hst(then), canvas.muse(now), canvas.truth, rng)
    return Sky(images, stars=stars)


def one_star(rng):
    """One bright star."""
    return [], [Star(20.0, 2.0, -3.0)]


def one_galaxy(rng):
    """One galaxy of magnitude 20."""
    import galsim

    return [(1.0, -2.0, 15.0, galsim.Sersic(n=1.5, half_light_radius=1.0, flux=flux_of(20.0)))], []


def cluster(rng):
    """A crowded cluster: 150 stars of magnitudes 16 to 25, concentrated."""
    places = rng.normal(0, 9, (150, 2))
    magnitudes = 16 + 9 * rng.power(3, 150)
    return [], [Star(magnitude, x, y) for magnitude, (x, y) in zip(magnitudes, places, strict=True)]


def large_galaxy(rng):
    """A galaxy that fills the field, with 40 knots."""
    import galsim

    disk = (0.0, 0.0, 45.0, galsim.Exponential(half_light_radius=12.0, flux=flux_of(15.5)))
    knots = [
        (*rng.normal(0, 9, 2), 4.0, galsim.Gaussian(half_light_radius=rng.uniform(0.1, 0.4), flux=flux_of(m)))
        for m in rng.uniform(21, 24, 40)
    ]
    return [disk, *knots], []


def empty(rng):
    """Nothing."""
    return [], []


def single_star(canvas, rng):
    """A star of magnitude 20 to 22.5 with the neighbors that it has."""
    x, y = rng.uniform(-12, 12, 2)
    sky = with_stars(canvas, rng, [Star(rng.uniform(20, 22.5), x, y)])
    place = CENTER.spherical_offsets_by(-x * u.arcsec, y * u.arcsec)
    return replace(sky, fit={"star": (place.ra.deg, place.dec.deg, float(rng.uniform(2.0, 3.0)))})
