"""Diagnostics of an image fit: its flags, and first-order estimates of parameters that were not fitted."""

import numpy as np

from astropy_imphot.fitting.changed_objects import LEAST_OBJECTS
from astropy_imphot.fitting.statistics import free_parameters, weighted_jacobian
from astropy_imphot.noise.covariance import inverse, sandwich_covariance, score_covariance
from astropy_imphot.noise.reference import template_noise
from astropy_imphot.results.flags import FitFlags, at_bound, basic_flags, combined
from astropy_imphot.results.values import FittedValue

__all__ = ["image_flags", "untried_values"]


# A value is significant above this many of its standard deviations.
SIGNIFICANCE = 5.0

# Residuals are flagged if their mean square on objects exceeds that on the sky by this factor; both are
# means over at least so many pixels.
OBJECT_EXCESS = 1.5
LEAST_PIXELS = 50

# The template's noise dominates if it is more than this fraction of a variance, or of the information.
DOMINANT = 0.5


def untried_values(solution, image):
    """
    Return first-order estimates of the parameters that were held at 0.

    Parameters
    ----------
    solution : `~astropy_imphot.fitting.solve.Solution`
        The fit.
    image : `~astropy.nddata.CCDData`
        The MUSE image.

    Returns
    -------
    dict of str to `FittedValue`
        Those of bg_x, bg_y, rotation, e1 and e2 that were not free: the values after one linear step of a
        fit, with their errors.

    Notes
    -----
    This is the score test (Rao 1948, Proc. Camb. Phil. Soc. 44, 50), with the noise's correlation.

    Examples
    --------
    See `FittedImagePhotometry`, whose ``untried`` holds them.
    """
    model, mask, weights, residual = solution.model, solution.mask, solution.weights, solution.residual
    free = free_parameters(model)
    untried = [key for key, info in model.infos.items() if info.on_demand and key not in free]
    if not untried:
        return {}
    keys = (*free, *untried)
    jacobian = weighted_jacobian(model, keys, image.shape, weights)
    flat = jacobian.reshape(len(jacobian), -1)
    slope, normal = flat @ residual.ravel(), flat @ flat.T
    noise = template_noise(model, keys, weights)
    part = None if noise is None else noise.information
    if noise is not None:
        slope = slope + noise.slope
    values = (inverse(normal) if noise is None else inverse(normal - part, normal)) @ slope
    covariance, *_ = sandwich_covariance(
        jacobian, residual, ~mask, excess=solution.excess, template_part=part
    )
    errors = np.sqrt(np.diag(covariance))
    return {
        key: FittedValue(
            float(values[index]), float(errors[index]), False, model.infos[key].unit_for(image.unit)
        )
        for index, key in enumerate(untried, start=len(free))
    }


def image_flags(solution, values, untried):
    """
    Return the flags of an image fit.

    Parameters
    ----------
    solution : `~astropy_imphot.fitting.solve.Solution`
        The fit.
    values : dict of str to `FittedValue`
        Its parameters.
    untried : dict of str to `FittedValue`
        From `untried_values`.

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
        FitFlags.FEW_SOURCES: objects is not None and len(objects) < LEAST_OBJECTS,
        FitFlags.BEYOND_MARGIN: abs(model.dx.value) > right * width or abs(model.dy.value) > up * height,
        FitFlags.RESIDUALS: bool(significant(untried, quality.rms_error, model))
        or _object_excess(solution) > OBJECT_EXCESS,
        FitFlags.TEMPLATE_NOISE: _noise_dominates(solution),
        FitFlags.MANY_CHANGED: objects is not None
        and bool(np.any(objects["changed"] & ~objects["left_out"])),
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


def significant(untried, rms, model):
    """Return the names of untried parameters that are significant, and large enough to matter."""
    return [
        key
        for key, value in untried.items()
        if abs(value.value) > max(SIGNIFICANCE * value.stdev, _negligible(model, key, rms))
    ]


def _negligible(model, key, rms):
    """Return the value of a parameter below which it is ignored."""
    info = model.infos[key]
    if info.basis is None:
        return info.step
    ny, nx = model.template.muse_shape
    height, width = model.template.pixel_scale
    corner = info.basis(0.5 * nx * width, 0.5 * ny * height)
    return info.step * rms / float(abs(corner))


def _object_excess(solution):
    """Return the mean square of the residuals on objects over that on the sky."""
    squares = solution.residual[~solution.mask] ** 2
    on_object = solution.labels[~solution.mask] > 0
    if min(on_object.sum(), np.sum(~on_object)) < LEAST_PIXELS:
        return 1.0
    return float(squares[on_object].mean() / max(squares[~on_object].mean(), 1e-300))


def _noise_dominates(solution):
    """Return whether the template's noise is more than half of a variance, or of the information."""
    noise, quality = solution.noise, solution.quality
    if noise is None:
        return False
    jacobian = solution.jacobian
    flat = jacobian.reshape(len(jacobian), -1)
    normal = flat @ flat.T
    bread = inverse(normal - noise.information, normal)
    variances = np.diag(bread @ score_covariance(jacobian, noise.autocorrelation) @ bread)
    return bool(
        np.any(variances > DOMINANT * np.diag(quality.covariance))
        or np.any(np.diag(noise.information) > DOMINANT * np.diag(normal))
    )
