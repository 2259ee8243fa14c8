"""Fit of one star, in the MUSE image and in the HST image."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, VarianceUncertainty

from astropy_imphot.calibration.units import flux_factor, read_muse_image
from astropy_imphot.fitting.image import fit_image
from astropy_imphot.fitting.options import ImageFitOptions, StarFitOptions, takes_options
from astropy_imphot.fitting.statistics import (
    fit_pixels,
    has_converged,
    pixel_coordinates,
    pixel_weights,
    statistics,
)
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import Source, naming, short_name
from astropy_imphot.io.grid import image_grids_aligned, read_grid
from astropy_imphot.io.images import read_image
from astropy_imphot.masking.masks import exclusion_mask, star_mask
from astropy_imphot.masking.stars import star_circle
from astropy_imphot.models.star import MoffatStar2D
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.template import HstTemplate
from astropy_imphot.results.flags import at_bound, basic_flags
from astropy_imphot.results.offsets import sky_offsets
from astropy_imphot.results.star import FittedStarPhotometry, StarFit
from astropy_imphot.results.values import FittedValue, fitted_values

__all__ = ["fit_image_and_star", "fit_image_and_star_photometry", "fit_star", "fit_star_photometry"]

# FWHM (arcsec) and beta at the start of the fits.
MUSE_START = (0.7, 2.5)
HST_START = (0.1, 1.6)

# A star on a background has six parameters; a fit needs more pixels.
LEAST_PIXELS = 12


@takes_options(StarFitOptions)
def fit_star_photometry(hst, muse, star, *, name=None, **keywords):
    """
    Fit the PSF, flux scale, background and offset of a MUSE image to one star.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `HstTemplate`
        The HST image at its own pixels. A regridded image is used on the MUSE grid, with a warning: after
        its decimation filter the star has no Moffat profile, and the scale is several percent off.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx).
    star : tuple or `~regions.CircleSkyRegion`
        Right ascension and declination (degrees) and the radius (arcsec) within which pixels are
        fitted; or a `~astropy.coordinates.SkyCoord` and the radius; or the circle. The star can have moved
        between the images by up to half of the radius.
    regions : str, path, `~regions.Region`, `~regions.Regions`, or sequence of str or Region, optional
        ds9 regions of the MUSE image to fit or, with a leading minus, to mask. By default
        (None) all pixels around the star are fitted, and with ``"star"`` and ``"notstar"`` as well.
    segment : bool
        Fit only the detected objects and their surroundings in the MUSE image (default: False).
    extramask : bool array of shape (ny, nx), str, path, HDU or HDUList, optional
        Not 0 where a pixel of the MUSE image is masked. By default (None) there is no such mask.
    fix_scale, fix_bg, fix_dx, fix_dy, fix_fwhm, fix_beta : float or `~astropy.units.Quantity`, optional
        Values at which parameters are held, as for `fit_image_photometry`. By default
        (None) all are fitted.
    taper : float or `~astropy.units.Quantity`
        Reduce the weights of pixels that are closer than this to a masked one, pixels of either
        image (default: 0, none).
    fitter : `~astropy.modeling.fitting.Fitter`, optional
        By default (None) a `~astropy.modeling.fitting.TRFLSQFitter`.
    name : str, optional
        Name of the image in the result. By default (None) the stem of its file.

    Returns
    -------
    FittedStarPhotometry
        PSF: the MUSE image's; scale: ratio of the fluxes; bg: difference of the
        backgrounds; dx and dy: difference of the positions, MUSE - HST.

    Raises
    ------
    UserError
        If an image cannot be read, the star is outside of it or has too few valid pixels,
        or an option has an impossible value.

    Notes
    -----
    `MoffatStar2D` is fitted to both images at their own pixels. In both it is the
    effective PSF, the response of the pixels included. The errors include those of both fits, for
    correlated noise, see `~astropy_imphot.noise.covariance.sandwich_covariance`.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry
    >>> from astropy_imphot.simulation import CENTER, Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1)], central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> fit = fit_star_photometry(field.hst, field.muse[0], star)
    >>> bool(abs(fit.dx.value - 0.1) < 4 * fit.dx.stdev)
    True
    """
    options = StarFitOptions.from_keywords("fit_star_photometry", keywords)
    return fit_star(hst, muse, star_circle(star), options, name)


def fit_star(hst, muse, star, options, name=None):
    """
    Fit the PSF, flux scale, background and offset of a star, with the options as an object.

    Parameters
    ----------
    hst, muse, name
        As for `fit_star_photometry`.
    star : (float, float, float)
        As from `~astropy_imphot.masking.stars.star_circle`.
    options : StarFitOptions
        Its keywords.

    Returns
    -------
    FittedStarPhotometry
        As from `fit_star_photometry`.

    Examples
    --------
    See `fit_star_photometry`.
    """
    with naming(muse), Source.of(hst) as hst:
        image = read_muse_image(muse)
        regions = options.regions
        area = None if isinstance(regions, str) and regions in ("star", "notstar") else regions
        mask = exclusion_mask(image, regions=area, segment=options.segment, extramask=options.extramask)
        mask |= ~star_mask(star, image)
        taper, fitter = options.taper, options.fitter
        with naming(hst):
            hst_image = _hst_around_star(hst, star, image)
            hst_mask = ~star_mask(star, hst_image)
            if hst_image.mask is not None:
                hst_mask |= hst_image.mask
            hst_fit = _fit_one(hst_image, hst_mask, HST_START, {}, taper, fitter)
        held = _held(hst_fit, image, options.fixed)
        muse_fit = _fit_one(image, mask, MUSE_START, held, taper, fitter)
        return _result(hst_fit, muse_fit, options, name or short_name(muse))


@takes_options(ImageFitOptions)
def fit_image_and_star_photometry(hst, muse, star, *, name=None, **keywords):
    """
    Fit a MUSE image by the whole HST image, and by one star.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `HstReference`
        The HST image, as for `fit_image_photometry`; at its own pixels, as for `fit_star_photometry`.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx).
    star : tuple or `~regions.CircleSkyRegion`
        As for `fit_star_photometry`.
    name : str, optional
        Name of the image in the results. By default (None) the stem of its file.
    **options
        For `fit_image_photometry` and, where it takes them too, `fit_star_photometry`.

    Returns
    -------
    image_fit : FittedImagePhotometry
        As from `fit_image_photometry`.
    star_fit : FittedStarPhotometry
        As from `fit_star_photometry`.

    Raises
    ------
    UserError
        If one of the fits raises it: an image cannot be read, no pixels are left to fit, or an option
        has an impossible value.

    Examples
    --------
    >>> from astropy_imphot import fit_image_and_star_photometry
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> fits = fit_image_and_star_photometry(field.hst, field.muse[0], star, regions="notstar")
    >>> [fit.method for fit in fits]
    ['image', 'stars']
    """
    options = ImageFitOptions.from_keywords("fit_image_and_star_photometry", keywords | {"star": star})
    return fit_image_and_star(hst, muse, options, name)


def fit_image_and_star(hst, muse, options, name=None):
    """
    Fit an image and a star, with the options as an object.

    Parameters
    ----------
    hst, muse, name
        As for `fit_image_and_star_photometry`.
    options : ImageFitOptions
        Its keywords, with the star.

    Returns
    -------
    image_fit : FittedImagePhotometry
        As from `fit_image_and_star_photometry`.
    star_fit : FittedStarPhotometry
        As from `fit_image_and_star_photometry`.

    Examples
    --------
    See `fit_image_and_star_photometry`.
    """
    with HstReference.of(hst).opened() as reference, Source.of(muse) as muse:
        image_fit = fit_image(reference, muse, options, name)
        return image_fit, fit_star(reference.source, muse, options.star, options.for_star(), name)


def _hst_around_star(hst, star, muse):
    """Return the HST image around the star, in fluxes per HST pixel."""
    unit = muse.unit
    if isinstance(hst, HstTemplate):
        _warn_of_filter()
        return hst.in_unit(unit).image()
    ra, dec, radius = star
    center = SkyCoord(ra, dec, unit="deg")
    around = center.directional_offset_by(np.arange(0, 360, 45) * u.deg, 2 * radius * u.arcsec)
    grid = read_grid(hst)
    if image_grids_aligned(grid, muse):
        _warn_of_filter()
    image = read_image(hst, footprint=around)
    factor = flux_factor(grid.unit, grid.meta, unit)
    if image.uncertainty is not None:
        image.uncertainty = VarianceUncertainty(image.uncertainty.array * factor**2)
    return CCDData(
        image.data * factor, mask=image.mask, uncertainty=image.uncertainty, unit=unit, wcs=image.wcs
    )


def _warn_of_filter():
    warn(
        "the HST image was filtered for the MUSE grid, so that a star in it is no Moffat function and its "
        "scale is several percent off: give the HST image at its own pixels."
    )


def _fit_one(image, mask, start, held, taper, fitter):
    if int((~mask).sum()) < LEAST_PIXELS:
        raise UserError(
            f"fewer than {LEAST_PIXELS} valid pixels around the star: give a larger radius or another star."
        )
    weights = pixel_weights(image, mask, taper)
    model = _start(image, mask, start)
    for key, value in held.items():
        setattr(model, key, value)
        model.fixed[key] = True
    model, info = fit_pixels(model, image, mask, weights, fitter)
    quality = statistics(model, image, mask, weights)
    units = {"flux": image.unit, "bg": image.unit, "x_0": u.pix, "y_0": u.pix, "fwhm": u.pix}
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


def _start(image, mask, start):
    """Return a star at the brightest position, with the flux above the faintest pixels."""
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


def _held(hst_fit, image, fixed):
    """Return the parameters of the star in the MUSE image that follow from the fixed parameters."""
    grid = read_grid(image)
    height, width = grid.pixel_scale
    star = {key: value.value for key, value in hst_fit.values.items()}
    x, y = grid.wcs.world_to_pixel(hst_fit.grid.wcs.pixel_to_world(star["x_0"], star["y_0"]))
    per_muse_pixel = height * width / hst_fit.pixel_scale**2
    implied = {
        "scale": ("flux", lambda value: value * star["flux"]),
        "bg": ("bg", lambda value: value + star["bg"] * per_muse_pixel),
        "dx": ("x_0", lambda value: float(x) + value / width),
        "dy": ("y_0", lambda value: float(y) + value / height),
        "fwhm": ("fwhm", lambda value: value / np.sqrt(height * width)),
        "beta": ("beta", lambda value: value),
    }
    return {implied[key][0]: implied[key][1](value) for key, value in fixed.items()}


def _result(hst_fit, muse_fit, options, name):
    fixed, unit = options.fixed, muse_fit.data.unit
    hst, muse = ({key: value.value for key, value in one.values.items()} for one in (hst_fit, muse_fit))
    size = muse_fit.pixel_scale
    area = (size / hst_fit.pixel_scale) ** 2
    x, y = muse_fit.grid.wcs.world_to_pixel(hst_fit.grid.wcs.pixel_to_world(hst["x_0"], hst["y_0"]))
    found = {
        "scale": (muse["flux"] / hst["flux"], u.dimensionless_unscaled),
        "bg": (muse["bg"] - hst["bg"] * area, unit),
        "dx": ((muse["x_0"] - float(x)) * size, u.arcsec),
        "dy": ((muse["y_0"] - float(y)) * size, u.arcsec),
        "fwhm": (muse["fwhm"] * size, u.arcsec),
        "beta": (muse["beta"], u.dimensionless_unscaled),
    }
    free = tuple(key for key in found if key not in fixed)
    covariances = {
        kind: _propagated(hst_fit, muse_fit, found["scale"][0], hst["flux"], area, kind)
        for kind in ("covariance", "naive_covariance")
    }
    used = np.array([key in free for key in found])
    errors = dict(zip(found, np.sqrt(np.diag(covariances["covariance"])), strict=True))
    values = {
        key: FittedValue(float(value), float(errors[key]) if key in free else 0.0, key in fixed, unit)
        for key, (value, unit) in found.items()
    }
    offsets = np.where(np.outer(used, used), covariances["covariance"], 0)[2:4, 2:4]
    values |= sky_offsets(values["dx"], values["dy"], offsets, muse_fit.grid)
    for instrument, fit in (("muse", muse_fit), ("hst", hst_fit)):
        values |= fit.sky_values(instrument)
    quality = muse_fit.quality
    covariance = covariances["covariance"][np.ix_(used, used)]
    converged = muse_fit.converged and hst_fit.converged
    flags = basic_flags(
        values,
        free,
        covariance,
        psf=MOFFAT,
        converged=converged,
        bounded=at_bound(muse_fit.fitted_model) or at_bound(hst_fit.fitted_model),
        n_pixels=muse_fit.quality.n_pixels,
    )
    return FittedStarPhotometry(
        name=name,
        method="stars",
        psf=MOFFAT,
        values=values,
        covariance=covariance,
        naive_covariance=covariances["naive_covariance"][np.ix_(used, used)],
        free=free,
        rms_error=quality.rms_error,
        rchi=quality.rchi,
        n_pixels=quality.n_pixels,
        n_evaluations=muse_fit.n_evaluations + hst_fit.n_evaluations,
        converged=converged,
        flags=flags,
        options=options,
        hst_fit=hst_fit,
        muse_fit=muse_fit,
    )


def _propagated(hst_fit, muse_fit, scale, hst_flux, area, kind):
    """Return the covariance of scale, bg, dx, dy, fwhm and beta from those of the two fits."""
    size = muse_fit.pixel_scale
    keys = ("flux", "x_0", "y_0", "fwhm", "beta", "bg")
    per_muse = np.zeros((6, 6))
    for row, column, derivative in (
        (0, "flux", 1 / hst_flux),
        (1, "bg", 1),
        (2, "x_0", size),
        (3, "y_0", size),
        (4, "fwhm", size),
        (5, "beta", 1),
    ):
        per_muse[row, keys.index(column)] = derivative
    per_hst = np.zeros((6, 6))
    per_hst[0, 0] = -scale / hst_flux
    per_hst[1, 5] = -area
    per_hst[2:4, 1:3] = -size * _pixels_per_pixel(hst_fit, muse_fit.grid.wcs)
    return sum(
        matrix @ fit.full_covariance(keys, kind) @ matrix.T
        for matrix, fit in ((per_muse, muse_fit), (per_hst, hst_fit))
    )


def _pixels_per_pixel(hst_fit, wcs):
    """Return the derivatives of the MUSE pixel coordinates by the HST pixel coordinates, at the star."""
    x, y = hst_fit.values["x_0"].value, hst_fit.values["y_0"].value
    sky = hst_fit.grid.wcs.pixel_to_world(x + np.array([0.5, -0.5, 0, 0]), y + np.array([0, 0, 0.5, -0.5]))
    there = np.array(wcs.world_to_pixel(sky))
    return np.column_stack([there[:, 0] - there[:, 1], there[:, 2] - there[:, 3]])
