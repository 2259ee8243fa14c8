"""What is added to a fit: modes of the background, and light that only one of the images has."""

from dataclasses import replace

import numpy as np
from astropy.stats import mad_std

from astropy_imphot.fitting.background import UNLIKELY, chosen_modes, smooth_background
from astropy_imphot.fitting.equations import equations_at
from astropy_imphot.fitting.newton import stepped
from astropy_imphot.fitting.objects import (
    misfitting_objects,
    object_pixels,
    segment_objects,
    unmatched_objects,
)
from astropy_imphot.fitting.residual_sources import residual_sources
from astropy_imphot.fitting.state import pixel_noise, unmodeled_pixels
from astropy_imphot.fitting.statistics import pixel_coordinates, pixel_weights
from astropy_imphot.noise.autocorrelation import excess_on_objects

__all__ = ["extensions", "unmatched_pixels", "with_background"]

# New point sources are kept if their fluxes have so many standard deviations.
LEAST_SIGNIFICANCE = 5.0

# Steps of new point sources alone, before all parameters are fitted again.
LOCAL_STEPS = 4


def extensions(mask, taper, chooses_background, finds_sources):
    """
    Return what is done after each convergence.

    Parameters
    ----------
    mask : bool array of shape (ny, nx)
        True where a pixel is masked in any case.
    taper : float
        As for `~astropy_imphot.fit_image_photometry`.
    chooses_background, finds_sources : bool
        Whether modes of the background, and point sources that only one of the images has, are looked for.

    Returns
    -------
    list of callable
        Functions of the state, the image and the weights. They return an extended `FitState`, or None.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """

    def released(state, image, weights):
        masked = mask | unmodeled_pixels(state.model)
        if np.array_equal(masked, state.masked):
            return sources(state, image, weights)
        freed = replace(state, masked=masked)
        return _with_residual_sources(freed, image, pixel_weights(image, masked, taper)) or freed

    def sources(state, image, weights):
        found = _with_residual_sources(state, image, weights)
        if found is None:
            # The same residuals contain none later.
            stages.clear()
        return found

    stages = [with_background] * chooses_background + [released, sources, sources] * finds_sources
    return stages


def unmatched_pixels(model, image, weights):
    """
    Return the pixels of objects that only one of the images has.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model at the start.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    bool array of shape (ny, nx)
        True on such objects and around them.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    y, x = pixel_coordinates(image.shape)
    light, valid = model(x, y), weights > 0
    residual = image.data - light
    background = model.background(x, y) + smooth_background(residual, valid)
    noise = pixel_noise(weights) * mad_std((residual * weights)[valid])
    return unmatched_objects(image.data - background, light - background, noise, valid)


def with_background(state, image, weights, unlikely=UNLIKELY):
    """
    Return the state with the modes of the background that the residuals contain.

    Parameters
    ----------
    state : `~astropy_imphot.fitting.state.FitState`
        The state.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.
    unlikely : float
        As for `~astropy_imphot.fitting.background.chosen_modes` (default: 1e-4).

    Returns
    -------
    `~astropy_imphot.fitting.state.FitState` or None
        None if it has these modes.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    residual = state.residual(image, weights) + state.modes_light() * weights
    model = state.model
    numbers = chosen_modes(
        residual[state.box],
        weights[state.box],
        model.template.pixel_scale,
        unlikely=unlikely,
        smoothing=model.smoothing,
    )
    if np.array_equal(numbers, state.mode_numbers):
        return None
    return replace(state, mode_numbers=numbers, amplitudes=np.zeros(len(numbers)))


def _with_residual_sources(state, image, weights):
    """Return the state with point sources that only one of the images has, or None."""
    pruned = _without_faint(state, image, weights)
    changed = len(pruned.model.sources) < len(state.model.sources)
    state = pruned
    found = residual_sources(state.model, state.residual(image, weights), weights)
    if not len(found):
        return state if changed else None
    own = np.concatenate([state.model.own, np.tile([1.0, 0, 0], (len(found), 1))])
    more = np.ones(len(found), dtype=bool)
    # The number of effects with priors stays the same.
    extended = replace(
        state,
        model=state.model.with_sources(state.model.sources.joined(found), own),
        is_free=np.concatenate([state.is_free, more]),
        has_prior=np.concatenate([state.has_prior, ~more]),
    )
    # The PSF is that of the rest of the field.
    for _ in range(LOCAL_STEPS):
        extended, _ = stepped(extended, equations_at(extended, image, weights), only_sources=True)
    return _without_misfits(extended, image, weights)


def _without_faint(state, image, weights):
    """Return the state without new point sources that are not significant with the PSF of the field."""
    if state.has_prior.all():
        return state
    equations = equations_at(state, image, weights)
    first, n_own = len(equations.free), 3 * int(state.is_free.sum())
    errors = np.zeros(len(state.has_prior))
    errors[state.is_free] = np.sqrt(np.maximum(np.diag(equations.bread)[first : first + n_own : 3], 0))
    faint = ~state.has_prior & (np.abs(state.model.own[:, 0]) < LEAST_SIGNIFICANCE * errors)
    return state.with_chosen(~faint)


def _without_misfits(state, image, weights):
    """Return the state with new point sources masked that are none: the PSF does not fit them."""
    x, y = state.coordinates
    light = state.model(x, y) - state.model.background(x, y)
    valid = ~state.masked
    residual = state.residual(image, weights)
    new = ~state.has_prior
    x, y = (np.round(one).astype(int) for one in state.model.source_places())
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    labels = segment_objects(np.abs(light), pixel_noise(weights) * mad_std(residual[valid]), valid)
    excess = excess_on_objects(residual, valid, labels, state.model.max_lag)
    hit = np.zeros(len(new), dtype=int)
    hit[inside] = labels[y[inside], x[inside]]
    misfits = [label for label in misfitting_objects(labels, excess, valid) if label in hit[new]]
    if not misfits:
        return state
    rejected = state.rejected.copy()
    for label in misfits:
        rejected |= object_pixels(labels, label)
    kept = ~(new & np.isin(hit, misfits))
    return replace(state.with_chosen(kept), masked=state.masked | rejected, rejected=rejected)
