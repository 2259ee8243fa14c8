"""
Simulated HST and MUSE images of known truth, drawn by GalSim, without code of the fits.

GalSim is not a dependency of the package: ``pip install "astropy-imphot[all]"``.
"""

from dataclasses import dataclass
from functools import cache

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty
from scipy.ndimage import gaussian_filter

from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.io.quantities import to_pair, to_value
from astropy_imphot.io.representation import Representation
from astropy_imphot.simulation.cubes import muse_cube
from astropy_imphot.simulation.drawing import (
    CENTER,
    HST_NOISE_UNIT,
    STAR_RADIUS,
    ab_magnitude,
    draw,
    draw_exposure,
    draw_objects,
    exposure_header,
    fwhm_and_beta,
    set_fields,
    sky_grid,
    table_values,
)

__all__ = [
    "CENTER",
    "SimulatedField",
    "Star",
    "Truth",
    "example_field",
    "muse_cube",
    "random_truth",
    "simulate_field",
    "sky_grid",
    "with_noise",
]


# If the number of objects is given: their smallest distance from the edges, arcsec.
EDGE = 2.0


@dataclass(frozen=True)
class Truth:
    """
    What a MUSE exposure is drawn with.

    Parameters
    ----------
    dx, dy : float or `~astropy.units.Quantity`
        Offset of MUSE from HST along the pixel axes, arcsec (default: 0).
    scale : float or `~astropy.units.Quantity`
        Flux scale, MUSE/HST (default: 1).
    bg : float or `~astropy.units.Quantity`
        Background, 1e-20 erg/s/cm2/Angstrom per pixel (default: 0).
    fwhm, beta : float or `~astropy.units.Quantity`
        The Moffat PSF, pixel response included (default: 0.65 arcsec and 2.5).
    bg_x, bg_y, rotation, e1, e2 : float or `~astropy.units.Quantity`
        As for `~astropy_imphot.ConvolvedTemplate2D` (default: 0).

    Examples
    --------
    >>> from astropy_imphot.simulation import Truth
    >>> Truth(dx=0.1).fwhm
    0.65
    >>> import astropy.units as u
    >>> Truth(fwhm=0.01 * u.arcmin).fwhm
    0.6
    """

    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0
    bg: float = 0.0
    fwhm: float = 0.65
    beta: float = 2.5
    bg_x: float = 0.0
    bg_y: float = 0.0
    rotation: float = 0.0
    e1: float = 0.0
    e2: float = 0.0

    def __post_init__(self):
        set_fields(self, **table_values(self))


def random_truth(seed):
    """
    Return random parameters in the range of MUSE exposures.

    Parameters
    ----------
    seed : int, sequence of int or `~numpy.random.Generator`
        Seed of the random numbers.

    Returns
    -------
    Truth
        Offsets up to 0.4 arcsec, scale 0.85 to 1.15, bg -2 to 2, fwhm 0.5 to 0.9 arcsec and beta 2.2 to 3.5.

    Examples
    --------
    >>> from astropy_imphot.simulation import random_truth
    >>> abs(random_truth(1).dx) < 0.4
    True
    """
    rng = np.random.default_rng(seed)
    return Truth(
        dx=rng.uniform(-0.4, 0.4),
        dy=rng.uniform(-0.4, 0.4),
        scale=rng.uniform(0.85, 1.15),
        bg=rng.uniform(-2, 2),
        fwhm=rng.uniform(0.5, 0.9),
        beta=rng.uniform(2.2, 3.5),
    )


@dataclass(frozen=True)
class Star:
    """
    A star of a simulated field.

    Parameters
    ----------
    magnitude : float or `~astropy.units.Quantity`
        AB magnitude in the HST image.
    x, y : float or `~astropy.units.Quantity`
        Position in the HST image, from the center of the field along the axes of the MUSE
        images, arcsec.
    motion : (float, float) or `~astropy.units.Quantity`
        Proper motion between the HST and the MUSE images, along the same axes, arcsec (default: 0).
    brightening : float or `~astropy.units.Quantity`
        Ratio of its flux in the MUSE images to that in the HST image (default: 1).

    Examples
    --------
    >>> from astropy_imphot.simulation import Star
    >>> Star(21.0, x=3.0, y=-4.0, motion=(0.25, 0.0)).brightening
    1.0
    """

    magnitude: float
    x: float
    y: float
    motion: tuple = (0.0, 0.0)
    brightening: float = 1.0

    def __post_init__(self):
        set_fields(
            self,
            magnitude=ab_magnitude(self.magnitude, "magnitude"),
            x=to_value(self.x, u.arcsec, "x"),
            y=to_value(self.y, u.arcsec, "y"),
            motion=to_pair(self.motion, u.arcsec, "motion"),
            brightening=to_value(self.brightening, u.dimensionless_unscaled, "brightening"),
        )


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedField(Representation):
    """
    A simulated HST image, MUSE exposures of the same sky, and the truth.

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
    n_objects=None,
    magnitudes=(21.0, 27.0),
    n_stars=3,
    stars=(),
    central_star=None,
):
    """
    Simulate a field of galaxies and stars: an HST image and MUSE images.

    Parameters
    ----------
    seed : int
        Seed of the random numbers; the same seed and arguments give the same field.
    size : float, (float, float) or `~astropy.units.Quantity`
        Height and width of the MUSE images, arcsec (default: 60).
    truth : sequence of `Truth`
        One MUSE exposure is drawn for each (default: one, with no offset).
    noise : float or `~astropy.units.Quantity`
        Standard deviation of the MUSE noise, 1e-20 erg/s/cm2/Angstrom (default: 0.1, a
        deep exposure).
    filter_name : str
        The ACS filter of the HST image (default: F775W).
    hst_pixel : float or `~astropy.units.Quantity`
        Size of the HST pixels, arcsec (default: 0.03).
    hst_rotation : float or `~astropy.units.Quantity`
        Position angle of the HST image's y axis, from north towards east, degrees (default: 0).
    hst_noise : float or `~astropy.units.Quantity`
        Standard deviation of the HST noise, electrons/s per pixel (default: 2e-4).
    hst_margin : float or `~astropy.units.Quantity`
        Margin of the HST image around the MUSE images, arcsec (default: 5); if it is below 0, HST does not
        cover the edges of the MUSE images.
    hst_psf : (float, float) or `galsim.GSObject`
        The HST PSF, pixel response included: FWHM and beta of a Moffat, numbers or
        `~astropy.units.Quantity` (default: 0.085 arcsec and 1.6), or any other.
    n_objects : int, optional
        Number of galaxies and stars, all within the MUSE images. By default (None) the density is that of
        the Ultra Deep Field, also around the images.
    magnitudes : (float, float) or `~astropy.units.Quantity`
        The range of the galaxies' AB magnitudes (default: 21 to 27).
    n_stars : int
        Number of point sources among the objects (default: 3).
    stars : sequence of `Star`
        Additional stars, which can move and vary (default: none).
    central_star : float or `~astropy.units.Quantity`, optional
        AB magnitude of an additional star at the center, with no other object within 4
        arcsec. By default (None) there is none.

    Returns
    -------
    SimulatedField
        The images and the truth.

    Raises
    ------
    UserError
        If ``filter_name`` is not a filter of ACS.

    Examples
    --------
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=10.0, truth=[Truth(dx=0.1), Truth(dx=-0.1)])
    >>> field.hst.shape, len(field.muse)
    ((667, 667), 2)
    """
    import galsim

    height, width = np.broadcast_to(to_value(size, u.arcsec, "size"), 2)
    hst_pixel = to_value(hst_pixel, u.arcsec, "hst_pixel")
    hst_rotation = to_value(hst_rotation, u.deg, "hst_rotation")
    hst_margin = to_value(hst_margin, u.arcsec, "hst_margin")
    noise = to_value(noise, PIPELINE_UNIT, "noise")
    hst_noise = to_value(hst_noise, HST_NOISE_UNIT, "hst_noise")
    if isinstance(hst_psf, (tuple, list)):
        fwhm, beta = fwhm_and_beta(hst_psf, "hst_psf")
        hst_psf = galsim.Moffat(fwhm=fwhm, beta=beta)
    magnitudes = to_pair(ab_magnitude(magnitudes, "magnitudes"), u.mag, "magnitudes")
    central_star = ab_magnitude(central_star, "central_star")
    rng = np.random.default_rng(seed)
    muse_grid = sky_grid((round(height / 0.2), round(width / 0.2)))
    # A rotated HST image has to be larger to cover the field.
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

    def flux(magnitude):
        return zero_flux * 10 ** (-0.4 * (magnitude - info.abmag_zero))

    around = max(hst_margin, 5) if n_objects is None else -EDGE
    reach = [length + 2 * around for length in (height, width)]
    objects = draw_objects(rng, *reach, n_objects, magnitudes, flux, n_stars)
    if central_star is not None:
        objects = [one for one in objects if np.hypot(one[0], one[1]) > 4]
        stars = (*stars, Star(central_star, 0.0, 0.0))

    def point(star, factor, moved):
        place = star.x + moved * star.motion[0], star.y + moved * star.motion[1], STAR_RADIUS
        return *place, galsim.DeltaFunction(flux=factor * flux(star.magnitude))

    then = [point(star, 1, 0) for star in stars]
    data = draw([*objects, *then], hst_psf, hst_grid) / zero_flux
    hst = CCDData(
        data,
        unit="electron/s",
        wcs=hst_grid.wcs,
        meta={"FILTER": filter_name, "TELESCOP": "HST", "INSTRUME": "ACS"},
    )
    now = [point(star, star.brightening, 1) for star in stars]
    muse = [
        CCDData(
            draw_exposure([*objects, *now], exposure, muse_grid),
            unit=PIPELINE_UNIT,
            wcs=muse_grid.wcs,
            meta=exposure_header(number),
        )
        for number, exposure in enumerate(truth)
    ]
    return with_noise(SimulatedField(hst, muse, list(truth)), rng, noise=noise, hst_noise=hst_noise)


@cache
def _drawn_example():
    return simulate_field(seed=1, size=10.0)


def example_field():
    """
    Return a small field for examples, ``simulate_field(seed=1, size=10.0)``, which is drawn once.

    Returns
    -------
    SimulatedField
        An HST image, one MUSE exposure of 50 x 50 pixels, and the truth. Each call returns copies of
        the images: what is done to them does not change those of the next call.

    Raises
    ------
    ModuleNotFoundError
        If GalSim is not installed.

    Examples
    --------
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> field.muse[0].shape
    (50, 50)
    >>> field.truth[0].fwhm
    0.65
    """
    drawn = _drawn_example()
    return SimulatedField(drawn.hst.copy(), [image.copy() for image in drawn.muse], list(drawn.truth))


def with_noise(field, seed, *, noise=0.1, hst_noise=2e-4, smoothing=0.0):
    """
    Return a simulated field with additional noise.

    Parameters
    ----------
    field : SimulatedField
        A field, such as one that was drawn with ``noise=0`` and ``hst_noise=0``.
    seed : int or `~numpy.random.Generator`
        Seed of the random numbers.
    noise, hst_noise : float or `~astropy.units.Quantity`
        As for `simulate_field`.
    smoothing : float or `~astropy.units.Quantity`
        Standard deviation of a Gaussian by which the MUSE noise is smoothed, pixels; the standard deviation
        of the pixels stays the same (default: 0).

    Returns
    -------
    SimulatedField
        The field, its exposures with the variances of the noise that was added.

    Examples
    --------
    >>> from astropy_imphot.simulation import simulate_field, with_noise
    >>> field = simulate_field(seed=1, size=10.0, noise=0, hst_noise=0)
    >>> noisy = with_noise(field, 1, noise=0.4, smoothing=0.7)
    >>> round(float(noisy.muse[0].uncertainty.array[0, 0]), 2)
    0.16
    """
    noise = to_value(noise, PIPELINE_UNIT, "noise")
    hst_noise = to_value(hst_noise, HST_NOISE_UNIT, "hst_noise")
    smoothing = to_value(smoothing, u.pix, "smoothing")
    rng = np.random.default_rng(seed)
    hst = field.hst.copy()
    hst.data = (hst.data + rng.normal(0, 1, hst.shape) * hst_noise).astype(np.float32)
    muse = []
    for image in field.muse:
        drawn = rng.normal(0, 1, image.shape)
        if smoothing > 0:
            drawn = gaussian_filter(drawn, smoothing, mode="wrap")
            drawn /= drawn.std()
        muse.append(
            CCDData(
                (image.data + noise * drawn).astype(np.float32),
                uncertainty=VarianceUncertainty(np.full(image.shape, noise**2, dtype=np.float32)),
                unit=image.unit,
                wcs=image.wcs,
                meta=image.meta,
            )
        )
    return SimulatedField(hst, muse, field.truth)
