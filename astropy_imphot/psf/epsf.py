"""The PSF of an HST image, built from its stars."""

import warnings
from contextlib import suppress

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.stats import sigma_clipped_stats
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from astropy_imphot.io.aliases import accepts_reference
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import Source, naming
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.images import read_image
from astropy_imphot.io.quantities import to_value
from astropy_imphot.psf.images import CORE, core_center

__all__ = ["build_hst_psf"]

# How far a star may be from its given position, arcsec; and how many times the radius the
# background is taken out to.
SEARCH, RIM = 0.3, 1.5

# Stars to be found: least peak over the noise, and light of neighbors; the share of the light
# within the first of two apertures (arcsec) that HST's PSFs have, and how far it may be below
# the most compact object's.
LEAST_PEAK, ONE_SIDED = 200.0, 0.02
APERTURES, CONCENTRATIONS, LESS_COMPACT = (0.1, 0.4), (0.4, 0.9), 0.9


@accepts_reference
def build_hst_psf(hst, stars=None, *, radius=1.5, oversampling=1, max_stars=30):
    """
    Build the PSF of an HST image from its stars.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image at its own, square pixels.
    stars : `~astropy.coordinates.SkyCoord`, or sequence of it or of pairs, optional
        Places, to 0.3 arcsec, of stars that are not saturated; a pair is right ascension and
        declination, degrees or `~astropy.units.Quantity`. Only what is around them is read. By
        default (None) the image is searched.
    radius : float or `~astropy.units.Quantity`
        The radius of the PSF, arcsec (default: 1.5).
    oversampling : int
        Samples per pixel and axis (default: 1, good up to 60 mas; more needs many stars).
    max_stars : int
        How many stars are used at most, the first given or brightest found (default: 30).

    Returns
    -------
    `~astropy.nddata.CCDData`
        The PSF, with PIXSCALE in its header: for ``hst_psf`` and `~astropy_imphot.write_image`.

    Raises
    ------
    UserError
        If the image cannot be read or has no usable star, or an option is impossible.

    Warns
    -----
    ImphotWarning
        If a given star is too close to the image's edge, outside it, masked, or not a star.

    Notes
    -----
    The stars, each less the clipped median from 1 to 1.5 ``radius`` around it, are put together
    by `~photutils.psf.EPSFBuilder`. The PSF's sum within ``radius`` is 1, beyond it is 0. HST has 2
    or 3 percent of its light beyond 1.5 arcsec, and the fitted scale comes out too high by about
    as much. Where that share is known, multiply the PSF by 1 less the share: `read_hst_psf`
    keeps sums of 0.9 and more. In noisy images a smaller radius is better.

    Stars are found as peaks 200 times above the noise, the highest within ``radius``, with light
    as concentrated (0.1 against 0.4 arcsec) as the most compact object's: galaxies and
    saturated stars have less, and cosmic rays more than a PSF can have. No side may be
    brighter, by a neighbor, than the opposite one by more than 2 percent of the star's light.

    Examples
    --------
    >>> from astropy_imphot import build_hst_psf
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> hst = simulate_field(seed=1, size=6.0, n_stars=0, central_star=20.0).hst
    >>> psf = build_hst_psf(hst, [(CENTER.ra.deg, CENTER.dec.deg)])
    >>> min(psf.shape) > 100, round(psf.header["PIXSCALE"], 6), round(float(psf.data.sum()), 6)
    (True, 0.03, 1.0)
    """
    radius = to_value(radius, u.arcsec, "radius")
    if not 0.5 <= radius < np.inf:
        raise UserError(f"radius is {radius}: give at least 0.5 arcsec.")
    for key, number in (("oversampling", oversampling), ("max_stars", max_stars)):
        if not (isinstance(number, (int, np.integer)) and number >= 1):
            raise UserError(f"{key} is {number}: give a whole number of at least 1.")
    with naming(hst), Source.of(hst) as source:
        height, scale = read_grid(source).pixel_scale
        if abs(height / scale - 1) > 0.01:
            raise UserError(f"the HST pixels are {height:.3f} by {scale:.3f} arcsec: make them square.")
        half = int(np.ceil(radius / scale - 0.01))
        stars = _found_stars(source, half, scale) if stars is None else _given(source, stars, half, scale)
        cutouts = stars[:max_stars]
        if not cutouts:
            raise UserError("there is no usable star in the HST image: give stars, isolated and unsaturated.")
        scale /= oversampling
        data, center = _effective_psf(cutouts, oversampling, half, scale)
    data[_distances(data.shape, center) * scale > radius] = 0
    header = fits.Header()
    header["PIXSCALE"] = (scale, "size of a pixel of this PSF, arcsec")
    header["NSTARS"] = (len(cutouts), "stars that this PSF was built from")
    return CCDData(data / data.sum(), unit="", meta=header)


def _found_stars(source, half, scale):
    """Return the cut-outs of an image's stars, the brightest first."""
    from photutils.detection import find_peaks
    from photutils.utils.exceptions import NoDetectionsWarning

    image = read_image(source)
    _, background, noise = sigma_clipped_stats(image.data, mask=~_valid(image))
    light = np.where(_valid(image), image.data - background, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        peaks = find_peaks(light, LEAST_PEAK * noise, box_size=2 * half + 1)
    if peaks is None:
        return []
    peaks.sort("peak_value", reverse=True)
    places = zip(peaks["y_peak"], peaks["x_peak"], strict=True)
    cutouts = [cutout for place in places if (cutout := _cutout(image, place, half, scale))]
    compact, lopsided = np.array([_shape(cutout, noise, scale) for cutout in cutouts]).reshape(-1, 2).T
    good = (compact > CONCENTRATIONS[0]) & (compact < CONCENTRATIONS[1]) & (lopsided < ONE_SIDED)
    good &= compact > LESS_COMPACT * np.max(compact, where=good, initial=0)
    return [cutouts[index] for index in np.flatnonzero(good)]


def _shape(cutout, noise, scale):
    """Return how concentrated an object is, and how much of its light, beyond noise, is on one side."""
    y, x = np.indices(cutout.data.shape)
    y_0, x_0 = cutout.meta["center"]
    distance = np.hypot(y - y_0, x - x_0) * scale
    inner, total = (cutout.data[distance < aperture].sum() for aperture in APERTURES)
    wings = distance > APERTURES[1]
    sector = (np.arctan2(y - y_0, x - x_0)[wings] // (np.pi / 4)).astype(int) % 8
    light = np.bincount(sector, cutout.data[wings], minlength=8)
    error = 3 * noise * np.sqrt(wings.sum() / 4)
    return inner / total, (np.abs(light[:4] - light[4:]).max() - error) / total


def _given(source, stars, half, scale):
    """Return the cut-outs of the stars at given positions."""
    try:
        if not isinstance(stars, SkyCoord):
            stars = SkyCoord(np.reshape([_degrees(star) for star in stars], (len(stars), 2)), unit="deg")
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"stars is {stars}: give pairs of right ascension and declination.") from error
    grid = read_grid(source)
    reach = np.array([-1, 1]) * (RIM * half + SEARCH / scale + 2)
    cutouts = []
    for star in stars.ravel():
        cutout = None
        x, y = grid.wcs.world_to_pixel(star)
        if 0 <= x < grid.shape[1] and 0 <= y < grid.shape[0]:
            image = read_image(source, footprint=grid.wcs.pixel_to_world(x + reach, y + reach))
            x, y = image.wcs.world_to_pixel(star)
            near = (_distances(image.shape, (y, x)) * scale <= SEARCH) & _valid(image)
            peak = np.where(near, image.data, -np.inf).argmax()
            cutout = _cutout(image, np.unravel_index(peak, image.shape), half, scale)
        if cutout is None:
            warn(
                f"the star at {star.to_string()} is not used: it is at the edge, outside, masked, or no star."
            )
        else:
            cutouts.append(cutout)
    return cutouts


def _degrees(star):
    """Return a star's right ascension and declination."""
    if isinstance(star, SkyCoord):
        return star.icrs.ra.deg, star.icrs.dec.deg
    return to_value(star, u.deg, "stars")


def _cutout(image, peak, half, scale):
    """Return the pixels around a peak less their background, or None if the star cannot be used."""
    rim = int(np.ceil(RIM * half))
    if any(place < rim or place + rim >= size for place, size in zip(peak, image.shape, strict=True)):
        return None
    around = tuple(slice(place - rim, place + rim + 1) for place in peak)
    data, valid = image.data[around].astype(float), _valid(image)[around]
    distance = _distances(data.shape, (rim, rim))
    if not valid[distance * scale < CORE].all() or valid.mean() < 0.8:
        return None
    data -= sigma_clipped_stats(data[valid & (distance > half)])[1]
    # One pixel more: the center may be closer to the pixel beside the peak.
    inner = np.s_[rim - half - 1 : rim + half + 2, rim - half - 1 : rim + half + 2]
    data, valid = np.where(valid, data, 0)[inner], valid[inner]
    center = core_center(data, (half + 1, half + 1), (scale, scale))
    if center is None or max(abs(place - half - 1) for place in center) > 1:
        return None
    return NDData(data, mask=~valid, meta={"center": center})


def _valid(image):
    return np.ones(image.shape, bool) if image.mask is None else ~image.mask


def _distances(shape, center):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - center[0], x - center[1])


def _effective_psf(cutouts, oversampling, half, scale):
    """Return the PSF that stars have in common, and its center."""
    from photutils.psf import EPSFBuilder, extract_stars

    catalogs = [Table({"x": [x], "y": [y]}) for y, x in (cutout.meta["center"] for cutout in cutouts)]
    # Smoothing is for the gaps that a few stars leave on a finer grid.
    smoothing = "quartic" if oversampling > 1 else None
    builder = EPSFBuilder(oversampling=oversampling, smoothing_kernel=smoothing, progress_bar=False)
    center = None
    # ValueError: no star can be fitted. Of one that cannot be, it warns by its place in a cut-out.
    with suppress(ValueError), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The star at .* has been excluded", AstropyUserWarning)
        data = builder(extract_stars(cutouts, catalogs, size=2 * half + 1))[0].data
        center = core_center(data, np.floor_divide(data.shape, 2), (scale, scale))
    if center is None:
        raise UserError("no PSF fits the stars in the HST image: give stars, isolated and not saturated.")
    return np.array(data), center
