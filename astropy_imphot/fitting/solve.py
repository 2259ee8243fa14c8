"""
The fit of a model to a MUSE image.

A fitter of astropy finds the minimum of chi-square with the point sources tied to the template. Newton steps
then solve for all parameters at once: those of the model, of each point source, of each object and of the
background, with their priors and with the noise of the template.
"""

from dataclasses import replace

import numpy as np
from astropy.nddata import CCDData

from astropy_imphot.fitting.background import smooth_background
from astropy_imphot.fitting.equations import equations_at
from astropy_imphot.fitting.extensions import extensions, unmatched_pixels, with_background
from astropy_imphot.fitting.newton import stepped
from astropy_imphot.fitting.solution import solution_of
from astropy_imphot.fitting.state import first_state, unmodeled_pixels, with_objects
from astropy_imphot.fitting.statistics import (
    fit_pixels,
    free_parameters,
    has_converged,
    pixel_coordinates,
    pixel_weights,
    weighted_jacobian,
)
from astropy_imphot.io.errors import UserError

__all__ = ["solve"]

# The fitter stops when chi-square changes by less than this fraction: Newton steps follow.
FIRST_ACCURACY = 3e-2

# The largest number of Newton steps.
MAX_STEPS = 40

# Without convergence after so many steps, something that only one of the images has can be the reason.
STALLED = 7

# Before the first step, residuals on objects have power as well: the background has modes if its power is
# less likely than this.
UNLIKELY_AT_START = 1e-20

# The model has up to eleven parameters; a fit needs more pixels.
LEAST_PIXELS = 12


def solve(model, image, mask, *, taper=0, fitter=None, background="auto", keep_changed=False, tied=False):
    """
    Fit a model to a MUSE image, with its point sources, its background and the noise of its template.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model at the start of the fit, with n point sources.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked in any case.
    taper, fitter, background, keep_changed
        As for `~astropy_imphot.fit_image_photometry`.
    tied : bool or bool array of shape (n,)
        Whether point sources have the scale and the offset of the field (default: False).

    Returns
    -------
    Solution
        The fit.

    Raises
    ------
    UserError
        If fewer than 12 pixels can be modeled, all pixels have the same value, or no parameter is free.

    Notes
    -----
    With J the derivatives, r the weighted residuals, s the slope of half the chi-square by the template's
    noise and I its part of J^T J (`~astropy_imphot.noise.reference.template_noise`), p the parameters with
    priors and L the precision of these, the fit is where J^T r + s - L p = 0, and its steps are
    (J^T J - I + L)^-1 of that. With the noise of the template this is the corrected score (Nakamura 1990,
    Biometrika 77, 127), which has no bias at any noise. The parameters are those of the model, the flux ratio
    and the motion of each point source, the own scales and shifts of objects, and the smooth modes of the
    background.

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
    masked = mask | unmodeled_pixels(model)
    _check(masked)
    if np.ptp(image.data[~masked]) == 0:
        raise UserError("all pixels of the MUSE image have the same value: check the image.")
    if not free_parameters(model):
        raise UserError("all parameters are fixed: leave at least one free.")
    weights = pixel_weights(image, masked, taper)
    start = _linear_start(model, image, weights)
    if not keep_changed:
        unmatched = unmatched_pixels(start, image, weights)
        if unmatched.any():
            masked = masked | unmatched
            weights = pixel_weights(image, masked, taper)
            start = _linear_start(start, image, weights)
    chooses_background = isinstance(background, str) and background == "auto" and _has_constant(model)
    flat = _flattened(start, image, ~masked) if chooses_background else image
    model, info = _first_fit(start, flat, masked, weights, fitter)
    state = first_state(model, masked, tied, background)
    state = with_objects(state, image, weights)
    stages = extensions(mask, taper, chooses_background, not keep_changed)
    if chooses_background:
        state = with_background(state, image, weights, UNLIKELY_AT_START) or state
    evaluations, converged, since = int(info.get("nfev", 0)), False, 0
    for _ in range(MAX_STEPS):
        equations = equations_at(state, image, weights)
        evaluations += 1
        state, steady = stepped(state, equations)
        since += 1
        unmodeled = unmodeled_pixels(state.model) & ~state.masked
        if np.sum(~state.masked & ~unmodeled) < LEAST_PIXELS:
            # The fit diverges.
            break
        if unmodeled.any():
            state = replace(state, masked=state.masked | unmodeled)
        elif steady or (since > STALLED and stages):
            extended, since = None, 0
            while extended is None and stages:
                extended = stages.pop(0)(state, image, weights)
            if extended is None:
                if steady:
                    converged = True
                    break
                continue
            state = extended
        else:
            continue
        _check(state.masked)
        weights = pixel_weights(image, state.masked, taper)
    if not converged:
        equations = equations_at(state, image, weights)
    return solution_of(state, equations, image, weights, evaluations, has_converged(info) and converged)


def _has_constant(model):
    """Return whether the background of a model is a constant that is fitted."""
    terms = [key for key, info in model.infos.items() if info.basis is not None and not model.fixed[key]]
    return terms == ["bg"]


def _flattened(model, image, valid):
    """Return the image without a smooth background: that of the model is its mean."""
    y, x = pixel_coordinates(image.shape)
    background = smooth_background(image.data - model(x, y), valid)
    return CCDData(image.data - background + np.mean(background[valid]), unit=image.unit)


def _first_fit(model, image, masked, weights, fitter):
    """Return the model fitted without the parameters that are small, and the fitter's information."""
    small = [key for key in free_parameters(model) if model.has_prior[key]]
    start = model.copy()
    for key in small:
        start.fixed[key] = True
    if not free_parameters(start):
        return model, {}
    fitted, info = fit_pixels(start, image, masked, weights, fitter, acc=FIRST_ACCURACY)
    for key in small:
        fitted.fixed[key] = False
    return fitted, info


def _check(masked):
    if np.sum(~masked) < LEAST_PIXELS:
        raise UserError(
            f"no {LEAST_PIXELS} pixels of the MUSE image are left that can be modeled: the HST image has to "
            "cover it and a few arcsec around it."
        )


def _linear_start(model, image, weights):
    """Return the model with the linear least-squares scale and background for the other parameters."""
    keys = [key for key in ("scale", "bg") if not model.fixed[key]]
    if not keys:
        return model
    y, x = pixel_coordinates(image.shape)
    residual = np.where(weights > 0, image.data - model(x, y), 0) * weights
    columns = weighted_jacobian(model, keys, image.shape, weights).reshape(len(keys), -1)
    steps = np.linalg.lstsq(columns.T, residual.ravel())[0]
    model = model.copy()
    for key, step in zip(keys, steps, strict=True):
        parameter = getattr(model, key)
        # astropy's fitters require a start within the bounds, not on them.
        least = -np.inf if parameter.min is None else parameter.min + 0.01 * max(abs(parameter.min), 0.01)
        parameter.value = max(parameter.value + step, least)
    return model
