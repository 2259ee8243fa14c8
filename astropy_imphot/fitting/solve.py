"""
The iterated fit of a model to a MUSE image.

The pixels that can be modeled, the objects that changed and the correction for the template's noise depend
on the fitted parameters. The fit is repeated until they stay the same.
"""

from dataclasses import dataclass

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot.fitting.changed_objects import (
    EARLIER_ROUND,
    are_compact,
    compare_objects,
    object_pixels,
    segment_objects,
)
from astropy_imphot.fitting.statistics import (
    FitStatistics,
    fit_pixels,
    free_parameters,
    has_converged,
    pixel_coordinates,
    pixel_weights,
    statistics,
    weighted_jacobian,
    weighted_residual,
)
from astropy_imphot.io.errors import UserError
from astropy_imphot.noise.autocorrelation import excess_on_objects
from astropy_imphot.noise.covariance import inverse
from astropy_imphot.noise.reference import TemplateNoise, template_noise
from astropy_imphot.reference.template import MISSING_LIMIT

__all__ = ["Solution", "solve"]

# The largest number of rounds.
MAX_ROUNDS = 8

# The correction for the template's noise has converged if it changes by less than this, in
# standard errors.
STEADY = 0.05

# If the correction changes by less than this, in standard errors, the parameters are changed by as much
# instead of another fit.
NEAR = 2.0

# A correction of scale or fwhm by more than this fraction is not applied.
LARGEST_STEP = 0.5

# The model has up to eleven parameters; a fit needs more pixels.
LEAST_PIXELS = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """
    The result of `solve`.

    Attributes
    ----------
    model : `ConvolvedTemplate2D`
        The model at the solution.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Its errors and goodness of fit.
    mask : bool array of shape (ny, nx)
        True where a pixel was masked.
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where masked.
    jacobian : array of shape (p, ny, nx)
        Weighted derivatives of the model with respect to the free parameters.
    residual : array of shape (ny, nx)
        Weighted residuals.
    excess : array of shape (ny, nx)
        The factor by which residuals are larger on objects, see
        `~astropy_imphot.noise.autocorrelation.excess_on_objects`.
    labels : int array of shape (ny, nx)
        The field's objects, 1 and more, and 0 on the sky.
    objects : `~astropy.table.QTable` or None
        Their own scales and offsets, see `~astropy_imphot.fitting.changed_objects.compare_objects`; None with
        ``keep_changed``.
    noise : TemplateNoise or None
        The effect of the template's noise on the fit; None if the noise is not known.
    n_evaluations : int
        Number of evaluations of the model.
    converged : bool
        Whether the last fit, the mask and the correction for the template's noise converged.
    """

    model: object
    quality: FitStatistics
    mask: np.ndarray
    weights: np.ndarray
    jacobian: np.ndarray
    residual: np.ndarray
    excess: np.ndarray
    labels: np.ndarray
    objects: QTable | None
    noise: TemplateNoise | None
    n_evaluations: int
    converged: bool


def solve(model, image, mask, *, taper=0, fitter=None, keep_changed=False):
    """
    Fit a model to a MUSE image, with masks for objects that changed and for light that HST did not observe.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model at the start of the fit.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked in any case.
    taper, fitter, keep_changed
        As for `~astropy_imphot.fit_image_photometry`.

    Returns
    -------
    Solution
        The fit.

    Raises
    ------
    UserError
        If fewer than 12 pixels can be modeled.

    Notes
    -----
    The template's noise adds the slope s to half the chi-square (`template_noise`). The model is
    fitted to the data plus J A^-1 s, with J the derivatives and A = J^T J: at the minimum
    the slope of the chi-square without the template's noise is 0. A small change of A^-1 s is added to the
    parameters instead. Another fit would change them by as much, to a few hundredths of their errors.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import ConvolvedTemplate2D, make_template
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> from astropy_imphot.fitting.solve import solve
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.1)])
    >>> muse = field.muse[0]
    >>> model = ConvolvedTemplate2D(make_template(field.hst, muse))
    >>> solution = solve(model, muse, np.zeros(muse.shape, bool))
    >>> solution.converged, bool(abs(solution.model.dx - 0.1) < 0.02)
    (True, True)
    """
    masked = mask | _unmodeled(model)
    if np.sum(~masked) < LEAST_PIXELS:
        raise UserError(
            f"no {LEAST_PIXELS} pixels of the MUSE image are left that can be modeled: the HST image has to "
            "cover it and a few arcsec around it."
        )
    free = free_parameters(model)
    step = np.zeros(len(free))
    shifted, moved = image, None
    labels = objects = None
    excluded = []
    evaluations = 0
    for number in range(MAX_ROUNDS):
        used_mask, weights = masked, pixel_weights(image, masked, taper)
        if moved is None:
            start = _linear_start(model, shifted, weights)
            model, info = fit_pixels(start, shifted, used_mask, weights, fitter)
            evaluations += int(info.get("nfev", 0))
        else:
            model = moved
            evaluations += 1
        jacobian = weighted_jacobian(model, free, image.shape, weights)
        noise = template_noise(model, free, weights)
        masked = mask | _unmodeled(model)
        if labels is None:
            labels = _segments(model, image, masked)
        if not keep_changed:
            objects = _compare_objects(model, image, masked, labels)
            if number >= MAX_ROUNDS // 2:
                # In the first rounds an object can be unmasked again. Later it cannot, so that the mask
                # converges.
                objects["left_out"] |= np.isin(objects["label"], excluded)
                objects["reason"][objects["left_out"] & ~objects["changed"]] = EARLIER_ROUND
            excluded = objects["label"][objects["left_out"]]
            for label in excluded:
                masked = masked | object_pixels(labels, label)
        if number >= MAX_ROUNDS // 2:
            masked = masked | used_mask
        flat = jacobian.reshape(len(free), -1)
        inverse_normal = inverse(flat @ flat.T)
        last, step = step, _noise_step(model, free, inverse_normal, noise)
        same = np.array_equal(used_mask, masked)
        change, errors = step - last, _errors(inverse_normal, model, image, weights)
        steady = same and bool(np.all(np.abs(change) <= STEADY * errors))
        if steady or np.sum(~masked) < LEAST_PIXELS:
            break
        near = same and np.all(np.abs(change) <= NEAR * errors)
        moved = _moved(model, free, change) if near else None
        if moved is None:
            shifted = _along_tangent(image, weights, jacobian, step)
    residual = weighted_residual(model, image, weights)
    excess = excess_on_objects(residual, ~used_mask, labels)
    quality = statistics(
        model,
        image,
        used_mask,
        weights,
        jacobian=jacobian,
        excess=excess,
        template_part=noise and noise.information,
    )
    return Solution(
        model=model,
        quality=quality,
        mask=used_mask,
        weights=weights,
        jacobian=jacobian,
        residual=residual,
        excess=excess,
        labels=labels,
        objects=objects,
        noise=noise,
        n_evaluations=evaluations,
        converged=has_converged(info) and steady,
    )


def _noise_step(model, free, inverse_normal, noise):
    """Return the first-order change of the parameters by the template's noise."""
    nothing = np.zeros(len(free))
    if noise is None:
        return nothing
    step = inverse_normal @ noise.slope
    limits = {key: LARGEST_STEP * abs(getattr(model, key).value) for key in ("scale", "fwhm")}
    small = all(abs(one) <= limits.get(key, np.inf) for key, one in zip(free, step, strict=True))
    # A larger step is not valid to first order: the noise dominates.
    return step if small else nothing


def _errors(inverse_normal, model, image, weights):
    """Return the parameters' standard errors for independent noise of the pixels."""
    residual = weighted_residual(model, image, weights)
    return np.sqrt(np.diag(inverse_normal) * np.sum(residual**2) / np.count_nonzero(weights))


def _moved(model, free, change):
    """Return the model with its parameters changed, or None if one would reach a bound."""
    # Missing bounds are NaN, for which both comparisons are False.
    low, high = np.array([model.bounds[key] for key in free], dtype=float).T
    before = np.array([getattr(model, key).value for key in free])
    after = before + change
    if np.any((np.minimum(before, after) <= low) | (np.maximum(before, after) >= high)):
        return None
    moved = model.copy()
    for key, value in zip(free, after, strict=True):
        setattr(moved, key, value)
    return moved


def _along_tangent(image, weights, jacobian, step):
    """Return the image plus the linear change of the model by a step of the parameters."""
    if not step.any():
        return image
    shift = np.tensordot(step, jacobian, axes=1) / np.where(weights > 0, weights, 1)
    return CCDData(image.data + shift, unit=image.unit)


def _segments(model, image, mask):
    if mask.all():
        return np.zeros(image.shape, dtype=int)
    sky = model.copy()
    sky.scale = 0
    y, x = pixel_coordinates(image.shape)
    background = sky(x, y)
    return segment_objects(image.data - background, model(x, y) - background, ~mask)


def _compare_objects(model, image, mask, labels):
    weights = pixel_weights(image, mask)
    jacobian = weighted_jacobian(model, ("scale", "dx", "dy"), image.shape, weights)
    residual = weighted_residual(model, image, weights)
    height, width = model.template.pixel_scale

    def compact(x, y):
        return are_compact(model.template, x - model.dx.value / width, y - model.dy.value / height)

    return compare_objects(labels, jacobian, residual, weights, model.scale.value, (height, width), compact)


def _unmodeled(model):
    """Return the pixels with too much light from sky that HST did not observe."""
    if model.most_missing() <= MISSING_LIMIT:
        return np.zeros(model.template.muse_shape, dtype=bool)
    return model.missing_fraction() > MISSING_LIMIT


def _linear_start(model, image, weights):
    """Return the model with the linear least-squares scale and background for the other parameters."""
    keys = [key for key in ("scale", "bg") if not model.fixed[key]]
    if not keys:
        return model
    columns = weighted_jacobian(model, keys, image.shape, weights).reshape(len(keys), -1)
    steps = np.linalg.lstsq(columns.T, weighted_residual(model, image, weights).ravel())[0]
    model = model.copy()
    for key, step in zip(keys, steps, strict=True):
        parameter = getattr(model, key)
        # astropy's fitters require a start within the bounds, not on them.
        least = -np.inf if parameter.min is None else parameter.min + 0.01 * max(abs(parameter.min), 0.01)
        parameter.value = max(parameter.value + step, least)
    return model
