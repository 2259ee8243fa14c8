"""The flags of an image fit."""

import numpy as np

from astropy_imphot.fitting.objects import MISFIT
from astropy_imphot.results.flags import FitFlags, at_bound, basic_flags, combined

__all__ = ["image_flags"]

# If the PSF is the right one, the HST flux of a point source is uncertain by less than this fraction. Point
# sources count if their flux ratio has this significance without this error: so many of them, or one that is
# surer.
FLUX_ERROR = 0.07
SIGNIFICANCE = 5.0
LEAST_SOURCES = 3
SURE = 30.0

# A point source that only MUSE has is a repaired artefact if it is closer to it than this, arcsec.
REPAIRED_RADIUS = 0.15

# Residuals are flagged if their mean square on objects exceeds that on the sky by this factor; both are
# means over at least so many pixels.
OBJECT_EXCESS = 1.5
LEAST_PIXELS = 50

# So are pairs of new point sources of opposite sign, with this significance, that are closer than so many
# FWHM.
PAIR_SIGNIFICANCE = 10.0
PAIR_DISTANCE = 1.5

# A fit needs so many objects, or its errors depend on a single one.
LEAST_OBJECTS = 4


def image_flags(solution, values, image):
    """
    Return the flags of an image fit.

    Parameters
    ----------
    solution : `~astropy_imphot.fitting.solve.Solution`
        The fit.
    values : dict of str to `FittedValue`
        Its parameters.
    image : `~astropy.nddata.CCDData`
        The MUSE image.

    Returns
    -------
    FitFlags
        The flags.

    Examples
    --------
    See `FittedImagePhotometry`, whose ``flags`` holds them.
    """
    model, quality = solution.model, solution.quality
    height, width = model.template.pixel_scale
    up, right = model.template.margin
    objects = solution.objects
    raised = {
        FitFlags.FEW_SOURCES: np.isfinite(objects["scale_err"]).sum() < LEAST_OBJECTS,
        FitFlags.BEYOND_MARGIN: abs(model.dx.value) > right * width or abs(model.dy.value) > up * height,
        FitFlags.RESIDUALS: _object_excess(solution) > OBJECT_EXCESS or _has_pairs(solution),
        FitFlags.TEMPLATE_NOISE: solution.noise_dominates,
        FitFlags.MANY_CHANGED: bool(np.any((objects["excess"] > MISFIT) & ~objects["left_out"])),
        FitFlags.HST_PSF: _flux_error(solution) > FLUX_ERROR or _repaired_star(solution, image),
    }
    return combined(raised) | basic_flags(
        values,
        quality.free,
        quality.covariance,
        psf=model.psf,
        converged=solution.converged,
        bounded=at_bound(model),
        n_pixels=quality.n_pixels,
    )


def _object_excess(solution):
    """Return the mean square residual on objects relative to that on the sky, 1 if it is not known."""
    squares = solution.residual[solution.weights > 0] ** 2
    on_object = solution.labels[solution.weights > 0] > 0
    if on_object.sum() < LEAST_PIXELS or (~on_object).sum() < LEAST_PIXELS:
        return 1.0
    return float(squares[on_object].mean() / max(squares[~on_object].mean(), 1e-300))


def _has_pairs(solution):
    """Return whether light of MUSE only is next to light of HST only: an object that is elsewhere."""
    model = solution.model
    fluxes = np.where(solution.in_reference, 0, model.sources.flux * model.own[:, 0])
    errors = model.sources.flux * solution.source_errors[:, 0]
    x, y = model.source_places()
    height, width = model.template.pixel_scale
    away = np.hypot((x[:, np.newaxis] - x) * width, (y[:, np.newaxis] - y) * height)
    near = away < PAIR_DISTANCE * model.fwhm.value
    more, less = (sign * fluxes > PAIR_SIGNIFICANCE * np.abs(errors) for sign in (1, -1))
    return bool(np.any(near & more[:, np.newaxis] & less))


def _flux_error(solution):
    """Return the relative error of the HST fluxes of most light of point sources that MUSE has as well."""
    sources = solution.model.sources
    errors, own = solution.source_errors[:, 0], solution.model.own[:, 0]
    used = solution.in_reference & (errors > 0) & (own > SIGNIFICANCE * errors)
    # A faint one can be a galaxy.
    if used.sum() < LEAST_SOURCES and not np.any(own[used] > SURE * errors[used]):
        return 0.0
    fluxes, relative = sources.flux[used], sources.flux_err[used] / sources.flux[used]
    order = np.argsort(relative)
    sums = np.cumsum(fluxes[order])
    return float(relative[order][np.searchsorted(sums, 0.5 * sums[-1])])


def _repaired_star(solution, image):
    """Return whether MUSE has light where an artefact of the HST image was repaired."""
    model = solution.model
    repairs = model.template.repairs
    if repairs is None or "artefact" not in repairs["kind"]:
        return False
    height, width = model.template.pixel_scale
    x, y = image.wcs.world_to_pixel(repairs["sky_center"][repairs["kind"] == "artefact"])
    x, y = x + model.dx.value / width, y + model.dy.value / height
    # Lines of faint galaxies are light of MUSE only, and near artefacts by chance.
    new = ~solution.in_reference & (model.own[:, 0] * model.sources.flux > 0)
    new &= np.abs(model.own[:, 0]) > SURE * solution.source_errors[:, 0]
    columns, rows = (places[new] for places in model.source_places())
    away = np.hypot((x[:, np.newaxis] - columns) * width, (y[:, np.newaxis] - rows) * height)
    # Pixels that the user masks have no label.
    known = (solution.weights > 0) | (solution.labels > 0)
    residual = np.where(known, image.data - solution.light, 0)
    pixels = [np.round(places).astype(int) for places in (y, x)]
    inside = np.all(
        [(one >= 0) & (one < size) for one, size in zip(pixels, image.shape, strict=True)], axis=0
    )
    light = residual[tuple(one[inside] for one in pixels)]
    return bool(np.any(away < REPAIRED_RADIUS) or np.any(light > SURE * solution.quality.rms_error))
