"""The star of a fit in the HST image."""

import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.stats import mad_std
from astropy.utils.exceptions import AstropyUserWarning
from scipy import ndimage

from astropy_imphot.calibration.units import flux_factor, scaled
from astropy_imphot.fitting.statistics import (
    fit_pixels,
    has_converged,
    pixel_coordinates,
    pixel_weights,
    statistics,
)
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.grid import image_grids_aligned, read_grid
from astropy_imphot.io.images import read_image
from astropy_imphot.masking.masks import detected_objects, star_mask
from astropy_imphot.models.star import MoffatStar2D
from astropy_imphot.reference.template import HstTemplate
from astropy_imphot.results.star import StarFit
from astropy_imphot.results.values import fitted_values

__all__ = ["NEIGHBORS", "brightest_star", "check_pixels", "fit_hst_star", "hst_around_star"]

# FWHM (arcsec) and beta at the start of the fit.
HST_START = (0.1, 1.6)

# How far around the star's circle its neighbors are taken from the HST image, arcsec.
NEIGHBORS = 4.0

# Neighbors in the HST image are farther than this from the star (arcsec) and have so many standard deviations
# in so many pixels; they are looked for if there are more pixels than this.
CORE = 0.4
NEIGHBOR_SIGMA = 3.0
NEIGHBOR_PIXELS = 5
LEAST_CORE = 50

# In images of larger pixels than this, neighbors cannot be told from the star, arcsec.
LARGEST_PIXEL = 0.12

# A star on a background has six parameters; a fit needs more pixels.
LEAST_PIXELS = 12


def check_pixels(mask):
    """
    Check that enough pixels are left.

    Parameters
    ----------
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.

    Raises
    ------
    UserError
        If fewer than 12 are left.

    Examples
    --------
    See `~astropy_imphot.fit_star_photometry`.
    """
    if int((~mask).sum()) < LEAST_PIXELS:
        raise UserError(
            f"fewer than {LEAST_PIXELS} valid pixels around the star: give a larger radius or another star."
        )


def hst_around_star(hst, star, muse):
    """
    Return the HST image around the star, in fluxes per HST pixel.

    Parameters
    ----------
    hst
        As for `~astropy_imphot.fit_star_photometry`.
    star : (float, float, float)
        Right ascension and declination (degrees), and radius (arcsec).
    muse : `~astropy.nddata.CCDData`
        The MUSE image.

    Returns
    -------
    `~astropy.nddata.CCDData`
        In the unit of the MUSE image, with its neighbors up to 4 arcsec from the circle.

    Examples
    --------
    See `~astropy_imphot.fit_star_photometry`.
    """
    unit = muse.unit
    if isinstance(hst, HstTemplate):
        _warn_of_filter()
        return hst.in_unit(unit).image()
    ra, dec, radius = star
    center = SkyCoord(ra, dec, unit="deg")
    reach = (radius + NEIGHBORS) * u.arcsec
    around = center.directional_offset_by(np.arange(0, 360, 45) * u.deg, reach)
    grid = read_grid(hst)
    if image_grids_aligned(grid, muse):
        _warn_of_filter()
    image = read_image(hst, footprint=around)
    return scaled(image, flux_factor(image.unit, image.meta, unit), unit)


def _warn_of_filter():
    warn(
        "the HST image was filtered for the MUSE grid, so that a star in it is no Moffat function and its "
        "scale is several percent off: give the HST image at its own pixels."
    )


def fit_hst_star(image, star, options):
    """
    Fit the star in the HST image, without the pixels of its neighbors.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The HST image around the star, of shape (ny, nx).
    star : (float, float, float)
        Right ascension and declination (degrees), and radius (arcsec).
    options : `~astropy_imphot.fitting.options.StarFitOptions`
        Of the fit.

    Returns
    -------
    `~astropy_imphot.StarFit`
        The fit of a Moffat function.

    Raises
    ------
    UserError
        If there are too few pixels.

    Examples
    --------
    See `~astropy_imphot.fit_star_photometry`.
    """
    mask = ~star_mask(star, image)
    if image.mask is not None:
        mask |= image.mask
    check_pixels(mask)
    if max(read_grid(image).pixel_scale) > LARGEST_PIXEL:
        return _fit_one(image, mask, options)
    core = mask | ~star_mask((*star[:2], min(star[2], CORE)), image)
    with warnings.catch_warnings():
        # It serves to find the neighbors, and need not converge.
        warnings.simplefilter("ignore", AstropyUserWarning)
        first = _fit_one(image, core if np.sum(~core) >= LEAST_CORE else mask, options)
    neighbors = _neighbors(image, first, mask)
    return _fit_one(image, mask | neighbors, options)


def _neighbors(image, fit, mask):
    """Return the pixels of other objects."""
    y, x = pixel_coordinates(image.shape)
    residual = np.where(mask, 0, image.data - fit.fitted_model(x, y))
    away = np.hypot(x - fit.fitted_model.x_0.value, y - fit.fitted_model.y_0.value) * fit.pixel_scale
    outside = ~mask & (away > CORE)
    if outside.sum() < LEAST_CORE:
        return np.zeros(image.shape, dtype=bool)
    residual = residual - np.median(residual[outside])
    labels = detected_objects(
        np.where(outside, residual, 0), NEIGHBOR_SIGMA * mad_std(residual[outside]), NEIGHBOR_PIXELS
    )
    return ndimage.binary_dilation(labels > 0, iterations=2) & outside


def _fit_one(image, mask, options):
    weights = pixel_weights(image, mask, options.taper)
    model, info = fit_pixels(brightest_star(image, mask, HST_START), image, mask, weights, options.fitter)
    quality = statistics(model, image, mask, weights)
    units = {"flux": image.unit, "bg": image.unit, "x_0": u.pix, "y_0": u.pix, "fwhm": u.pix}
    units = {key: units.get(key, u.dimensionless_unscaled) for key in model.param_names}
    y, x = pixel_coordinates(image.shape)
    light = model(x, y)
    rows, columns = (slice(used.min(), used.max() + 1) for used in np.nonzero(~mask))
    return StarFit(
        pixel_scale=float(np.mean(read_grid(image).pixel_scale)),
        values=fitted_values(model, quality, units),
        fitted_model=model,
        data=CCDData(image.data, mask=mask, unit=image.unit, wcs=image.wcs)[rows, columns],
        model=CCDData(light, mask=mask, unit=image.unit, wcs=image.wcs)[rows, columns],
        weights=weights[rows, columns],
        quality=quality,
        n_evaluations=int(info.get("nfev", 0)),
        converged=has_converged(info),
        origin=(columns.start, rows.start),
        grid=read_grid(image),
    )


def brightest_star(image, mask, start):
    """
    Return a star at the brightest position, with the flux above the faintest pixels.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    start : (float, float)
        FWHM (arcsec) and beta.

    Returns
    -------
    `~astropy_imphot.MoffatStar2D`
        The start of a fit.

    Examples
    --------
    See `~astropy_imphot.fit_star_photometry`.
    """
    from scipy.ndimage import uniform_filter

    scale = float(np.mean(read_grid(image).pixel_scale))
    values = image.data[~mask]
    background = np.percentile(values, 20)
    light = np.where(mask, 0, image.data - background)
    y, x = np.unravel_index(uniform_filter(light, 3).argmax(), light.shape)
    fwhm, beta = start
    model = MoffatStar2D(
        flux=max(light.sum(), np.ptp(values)), x_0=x, y_0=y, fwhm=fwhm / scale, beta=beta, bg=background
    )
    # The star is within its circle. Its FWHM is at least 0.3 pixels, and at most the circle's diameter.
    rows, columns = np.nonzero(~mask)
    model.x_0.bounds = (columns.min(), columns.max())
    model.y_0.bounds = (rows.min(), rows.max())
    model.fwhm.bounds = (0.3, 2 * np.sqrt(len(rows) / np.pi))
    return model
