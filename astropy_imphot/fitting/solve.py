"""
The fit of a model to a MUSE image, repeated until what depends on it stays the same.

Three things follow from the fit itself: the pixels that can be modeled, the objects that have changed, and what
the noise of the template does to the parameters.
"""

from dataclasses import dataclass

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot.fitting.sources import (
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

# How often to fit again.
MAX_PASSES = 8

# The correction for the template's noise stays the same if it changes by less than this, in
# standard errors; and the model is moved along its derivatives, not fitted again, if it changes by
# less than that.
STEADY = 0.05
NEAR = 2.0

# A correction of scale or fwhm by more than this fraction is not believed.
LARGEST_STEP = 0.5

# The model has up to eleven parameters, and needs more pixels than that.
LEAST_PIXELS = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """
    What `solve` found.

    Attributes
    ----------
    model : `ConvolvedTemplate2D`
        The model at the solution.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Its errors, and how well it fits.
    mask : bool array of shape (ny, nx)
        The pixels that were left out.
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where left out.
    jacobian : array of shape (p, ny, nx)
        Weighted derivatives of the model with respect to the free parameters.
    residual : array of shape (ny, nx)
        Weighted residuals.
    excess : array of shape (ny, nx)
        By how much they are larger on objects, see `~astropy_imphot.noise.autocorrelation.excess_on_objects`.
    labels : int array of shape (ny, nx)
        The field's objects, 1 and more, and 0 on the sky.
    objects : `~astropy.table.QTable` or None
        Their own scales and offsets, see `~astropy_imphot.fitting.sources.compare_objects`; None if they were
        not compared.
    noise : TemplateNoise or None
        What the template's noise does; None if it is not known.
    n_evaluations : int
        How often the model was evaluated.
    converged : bool
        Whether the last fit did, and the choice of its pixels.
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
    Fit a model to the pixels of a MUSE image that it can model and that have not changed.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        Where the fit starts.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is left out in any case.
    taper, fitter, keep_changed
        As for `~astropy_imphot.fit_image_photometry`.

    Returns
    -------
    Solution
        The fit.

    Raises
    ------
    UserError
        If no pixel can be modeled.

    Notes
    -----
    The template's noise adds the slope s to half the chi-square (`template_noise`). The fit is
    made to the data plus J A^-1 s, with J the derivatives and A = J^T J, and so ends where
    the slope of the rest is 0. A small change of A^-1 s is added to the parameters instead:
    another fit would move them by as much, to a few hundredths of their errors.

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
    left_out = mask | _unmodeled(model)
    if np.sum(~left_out) < LEAST_PIXELS:
        raise UserError(
            f"no {LEAST_PIXELS} pixels of the MUSE image are left that can be modeled: the HST image has to "
            "cover it and a few arcsec around it."
        )
    free = free_parameters(model)
    step = np.zeros(len(free))
    shifted, moved = image, None
    labels = objects = None
    gone = []
    evaluations = 0
    for number in range(MAX_PASSES):
        used, weights = left_out, pixel_weights(image, left_out, taper)
        if moved is None:
            model, info = fit_pixels(_linear_start(model, shifted, weights), shifted, used, weights, fitter)
            evaluations += int(info.get("nfev", 0))
        else:
            model = moved
            evaluations += 1
        jacobian = weighted_jacobian(model, free, image.shape, weights)
        noise = template_noise(model, free, weights)
        left_out = mask | _unmodeled(model)
        if labels is None:
            labels = _segments(model, image, left_out)
        if not keep_changed:
            objects = _compared(model, image, left_out, labels)
            if number >= MAX_PASSES // 2:
                # What was left out may come back at first, but not in and out for ever.
                objects["left_out"] |= np.isin(objects["label"], gone)
                objects["reason"][objects["left_out"] & ~objects["changed"]] = EARLIER_ROUND
            gone = objects["label"][objects["left_out"]]
            for label in gone:
                left_out = left_out | object_pixels(labels, label)
        if number >= MAX_PASSES // 2:
            left_out = left_out | used
        flat = jacobian.reshape(len(free), -1)
        inverse_normal = inverse(flat @ flat.T)
        last, step = step, _noise_step(model, free, inverse_normal, noise)
        same = np.array_equal(used, left_out)
        change, errors = step - last, _errors(inverse_normal, model, image, weights)
        steady = same and bool(np.all(np.abs(change) <= STEADY * errors))
        if steady or np.sum(~left_out) < LEAST_PIXELS:
            break
        near = same and np.all(np.abs(change) <= NEAR * errors)
        moved = _moved(model, free, change) if near else None
        if moved is None:
            shifted = _along_tangent(image, weights, jacobian, step)
    residual = weighted_residual(model, image, weights)
    excess = excess_on_objects(residual, ~used, labels)
    quality = statistics(
        model,
        image,
        used,
        weights,
        jacobian=jacobian,
        excess=excess,
        template_part=noise and noise.information,
    )
    return Solution(
        model=model,
        quality=quality,
        mask=used,
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
    """Return by how much, to first order, the template's noise has moved the parameters."""
    nothing = np.zeros(len(free))
    if noise is None:
        return nothing
    step = inverse_normal @ noise.slope
    limits = {key: LARGEST_STEP * abs(getattr(model, key).value) for key in ("scale", "fwhm")}
    small = all(abs(one) <= limits.get(key, np.inf) for key, one in zip(free, step, strict=True))
    # A first order of that size tells nothing but that the noise dominates.
    return step if small else nothing


def _errors(inverse_normal, model, image, weights):
    """Return the parameters' standard errors, as if the noise of the pixels were independent."""
    residual = weighted_residual(model, image, weights)
    return np.sqrt(np.diag(inverse_normal) * np.sum(residual**2) / np.count_nonzero(weights))


def _moved(model, free, change):
    """Return the model with its parameters changed, or None if a bound is in the way."""
    # What has no bound is not a number here, and compares with nothing.
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
    """Return the image that a step of the parameters would change the model to."""
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


def _compared(model, image, mask, labels):
    weights = pixel_weights(image, mask)
    jacobian = weighted_jacobian(model, ("scale", "dx", "dy"), image.shape, weights)
    residual = weighted_residual(model, image, weights)
    height, width = model.template.pixel_scale

    def compact(x, y):
        return are_compact(model.template, x - model.dx.value / width, y - model.dy.value / height)

    return compare_objects(labels, jacobian, residual, weights, model.scale.value, (height, width), compact)


def _unmodeled(model):
    """Return the pixels that draw too much of their light from where HST did not observe."""
    if model.most_missing() <= MISSING_LIMIT:
        return np.zeros(model.template.muse_shape, dtype=bool)
    return model.missing_fraction() > MISSING_LIMIT


def _linear_start(model, image, weights):
    """Start from the scale and background that are best for the other parameters."""
    keys = [key for key in ("scale", "bg") if not model.fixed[key]]
    if not keys:
        return model
    columns = weighted_jacobian(model, keys, image.shape, weights).reshape(len(keys), -1)
    steps = np.linalg.lstsq(columns.T, weighted_residual(model, image, weights).ravel())[0]
    model = model.copy()
    for key, step in zip(keys, steps, strict=True):
        parameter = getattr(model, key)
        # Fitters start within the bounds, not on them.
        least = -np.inf if parameter.min is None else parameter.min + 0.01 * max(abs(parameter.min), 0.01)
        parameter.value = max(parameter.value + step, least)
    return model
