"""
The iterated fit of a model to a MUSE image.

A fitter of astropy finds the minimum of chi-square with the point sources tied to the template. Newton steps then solve for all
parameters at once: those of the model, of each point source, of each object and of the background, with their priors
and with the noise of the template.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from astropy.table import QTable
from scipy import ndimage, sparse

from astropy_imphot.fitting.background import chosen_modes
from astropy_imphot.fitting.columns import Columns, cosine_modes, mode_numbers
from astropy_imphot.fitting.objects import (
    misfitting_objects,
    object_cells,
    object_pixels,
    object_table,
    segment_objects,
    unmatched_objects,
)
from astropy_imphot.fitting.priors import Prior, updated
from astropy_imphot.fitting.residual_sources import residual_sources
from astropy_imphot.fitting.statistics import (
    FitStatistics,
    fit_pixels,
    free_parameters,
    has_converged,
    pixel_coordinates,
    pixel_weights,
    weighted_jacobian,
)
from astropy_imphot.io.errors import UserError
from astropy_imphot.noise.autocorrelation import autocorrelation, excess_on_objects
from astropy_imphot.noise.covariance import inverse, score_covariance
from astropy_imphot.noise.reference import TemplateNoise, template_noise
from astropy_imphot.reference.template import MISSING_LIMIT

__all__ = ["Solution", "solve"]

# The largest number of Newton steps.
MAX_STEPS = 40

# The fit has converged if a step is smaller than this, in standard errors.
STEADY = 0.05

# Without convergence after so many steps, something that only one of the images has can be the reason.
STALLED = 7

# A step changes the scale and the parameters of the PSF by at most this fraction, and an offset by at most so many FWHM.
LARGEST_FRACTION = 0.4
LARGEST_SHIFT = 0.5

# New point sources are kept if their fluxes have so many standard deviations.
LEAST_SIGNIFICANCE = 5.0

# Steps of new point sources alone, before all parameters are fitted again.
LOCAL_STEPS = 4

# The model has up to eleven parameters; a fit needs more pixels.
LEAST_PIXELS = 12

# Expected sizes of effects: variation (fraction) and motion (arcsec) of point sources, and the scatter of the
# flux ratios of galaxies (fraction).
VARIATION = 0.05
MOTION = 0.02
SCATTER = 0.005


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """
    The result of `solve`.

    Attributes
    ----------
    model : `ConvolvedTemplate2D`
        The model at the solution, with its point sources.
    light : array of shape (ny, nx)
        The model, the own scales of objects, and the background.
    background : array of shape (ny, nx)
        The background.
    modes : dict of (int, int) to (float, float)
        Amplitudes and errors of the modes of the background, by their numbers of half periods along y and x.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Errors and goodness of fit.
    influence : array of shape (p, ny, nx)
        The change of each free parameter by a weighted residual of 1.
    source_errors : array of shape (n, 3)
        Standard errors of the own parameters of the point sources.
    sizes : dict of str to float
        Typical sizes of effects, see `~astropy_imphot.fitting.priors`.
    """

    model: object
    light: np.ndarray
    background: np.ndarray
    modes: QTable
    quality: FitStatistics
    mask: np.ndarray
    weights: np.ndarray
    residual: np.ndarray
    influence: np.ndarray
    labels: np.ndarray
    objects: QTable
    source_errors: np.ndarray
    in_reference: np.ndarray
    sizes: dict
    noise_dominates: bool
    n_evaluations: int
    converged: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class _State:
    """All parameters of a fit between two steps."""

    model: object
    # Changes of parameters that are small enough to be linear: the model is not computed anew for them.
    small: dict = field(default_factory=dict)
    masked: np.ndarray
    # The part of it that is objects which do not fit.
    rejected: np.ndarray
    cells: np.ndarray
    numbers: np.ndarray
    scales: np.ndarray
    # The part of the image with pixels that are fitted, in which half periods are counted.
    box: tuple
    mode_numbers: np.ndarray
    amplitudes: np.ndarray
    # For each point source, whether it has own parameters, and whether these have a prior.
    is_free: np.ndarray
    has_prior: np.ndarray
    sizes: dict = field(default_factory=dict)
    precisions: dict = field(default_factory=dict)


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
        If fewer than 12 pixels can be modeled.

    Notes
    -----
    With J the derivatives, r the weighted residuals, s the slope of half the chi-square by the template's noise and I
    its part of J^T J (`~astropy_imphot.noise.reference.template_noise`), p the parameters that have priors and
    L the precision of these, the fit is where J^T r + s - L p = 0, and its steps are (J^T J - I + L)^-1 of that. With the noise
    of the template this is the corrected score (Nakamura 1990, Biometrika 77, 127), which has no bias at any
    noise. The parameters are those of the model, of each point source (flux ratio and motion), the own scales of
    objects, and the smooth modes of the background.

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
    _check(masked)
    weights = pixel_weights(image, masked, taper)
    start = _linear_start(model, image, weights)
    if not keep_changed:
        masked = masked | _unmatched(start, image, masked, weights)
        weights = pixel_weights(image, masked, taper)
        start = _linear_start(start, image, weights)
    model, info = _first_fit(start, image, masked, weights, fitter)
    state = _first_state(model, masked, tied, background)
    state = _with_objects(state, image, weights)
    stages = _stages(mask, background == "auto" and not model.fixed["bg"], not keep_changed)
    evaluations, converged, since = int(info.get("nfev", 0)), False, 0
    for _ in range(MAX_STEPS):
        equations = _equations(state, image, weights)
        evaluations += 1
        state, steady = _stepped(state, equations)
        since += 1
        unmodeled = _unmodeled(state.model) & ~state.masked
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
                converged = steady
                break
            state = extended
        else:
            continue
        _check(state.masked)
        weights = pixel_weights(image, state.masked, taper)
    return _solution(state, image, weights, evaluations, has_converged(info) and converged)


def _first_fit(model, image, masked, weights, fitter):
    """Return the model fitted without the parameters that are small, and the fitter's information."""
    small = [key for key in free_parameters(model) if model.has_prior[key]]
    start = model.copy()
    for key in small:
        start.fixed[key] = True
    if not free_parameters(start):
        return model, {}
    fitted, info = fit_pixels(start, image, masked, weights, fitter)
    for key in small:
        fitted.fixed[key] = False
    return fitted, info


def _unmatched(model, image, masked, weights):
    """Return the pixels of objects that only one of the images has."""
    y, x = pixel_coordinates(image.shape)
    background = model.background(x, y)
    noise = np.where(weights > 0, 1 / np.where(weights > 0, weights, 1), np.inf)
    valid = weights > 0
    residual = (image.data - model(x, y))[valid] * weights[valid]
    noise = noise * mad_std(residual)
    found = unmatched_objects(image.data - background, model(x, y) - background, noise, valid)
    return found if np.sum(~masked & ~found) >= LEAST_PIXELS else np.zeros_like(found)


def _stages(mask, chooses_background, finds_sources):
    """Return what is done after each convergence: functions that return an extended state, or None."""

    def released(state, image, weights):
        masked = mask | _unmodeled(state.model)
        found = _with_residual_sources(replace(state, masked=masked), image, pixel_weights(image, masked))
        return (
            found
            if found is not None or np.array_equal(masked, state.masked)
            else replace(state, masked=masked)
        )

    stages = [_with_background] if chooses_background else []
    return stages + [released, _with_residual_sources, _with_residual_sources] * finds_sources


def _check(masked):
    if np.sum(~masked) < LEAST_PIXELS:
        raise UserError(
            f"no {LEAST_PIXELS} pixels of the MUSE image are left that can be modeled: the HST image has to "
            "cover it and a few arcsec around it."
        )


def _first_state(model, masked, tied, background):
    n_sources = len(model.sources)
    numbers = mode_numbers((0, 0) if isinstance(background, str) else np.broadcast_to(background, 2))
    nothing = np.zeros(masked.shape, dtype=int)
    return _State(
        model=model,
        masked=masked,
        rejected=nothing > 0,
        cells=nothing,
        numbers=np.zeros(0, dtype=int),
        scales=np.zeros(0),
        box=tuple(slice(used.min(), used.max() + 1) for used in np.nonzero(~masked)),
        mode_numbers=numbers,
        amplitudes=np.zeros(len(numbers)),
        is_free=~np.broadcast_to(tied, n_sources),
        has_prior=np.ones(n_sources, dtype=bool),
    )


def _with_objects(state, image, weights):
    """Return the state with the objects of its model."""
    y, x = pixel_coordinates(image.shape)
    model = state.model
    light = model.template_light(x, y)
    noise = np.where(weights > 0, 1 / np.where(weights > 0, weights, 1), np.inf)
    sky = ~state.masked
    residual = np.where(sky, image.data - model(x, y), 0) * weights
    level = mad_std(residual[sky]) ** 2 or 1.0
    own = segment_objects(model.scale.value * light, noise * np.sqrt(level), sky)
    cells, numbers = object_cells(own, model.scale.value * light * weights, level)
    if model.fixed["scale"]:
        cells, numbers = np.zeros_like(cells), numbers[:0]
    return replace(state, cells=cells, numbers=numbers, scales=np.zeros(len(numbers)))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Equations:
    """The estimating equations of a fit, at one point."""

    free: tuple
    columns: Columns
    residual: np.ndarray
    noise: TemplateNoise | None
    level: float
    priors: list
    values: np.ndarray
    normal: np.ndarray
    part: np.ndarray
    scores: np.ndarray

    @property
    def precision(self):
        found = np.zeros(len(self.values))
        for prior in self.priors:
            found[prior.places] = prior.precision
        return found

    @cached_property
    def bread(self):
        """The matrix that turns scores into changes of the parameters."""
        matrix = self.normal / self.level + np.diag(self.precision)
        return inverse(matrix - self.part / self.level, matrix)


def _equations(state, image, weights):
    model, shape = state.model, image.shape
    y, x = pixel_coordinates(shape)
    free = free_parameters(model)
    jacobian = weighted_jacobian(model, free, shape, weights)
    light = _total_light(state, x, y)
    residual = np.where(weights > 0, image.data - light, 0) * weights
    small = np.array([state.small.get(key, 0.0) for key in free])
    residual = residual - np.tensordot(small, jacobian, axes=1)
    local, values = [], []
    flat_weights = weights.ravel()
    stamps = model.source_columns(x, y)
    for number in np.flatnonzero(state.is_free):
        index, columns = stamps[number]
        local.append((index, columns * flat_weights[index]))
        values += list(model.own[number] - (1, 0, 0))
    n_scales = len(state.numbers)
    local = _sparse(local, state.cells, model.scale.value * model.template_light(x, y) * weights, n_scales)
    modes = cosine_modes(shape, state.mode_numbers, state.box) * flat_weights
    columns = Columns(jacobian, local, modes)
    of_table = [getattr(model, key).value + state.small.get(key, 0.0) for key in free]
    values = np.concatenate([of_table, values, state.scales, state.amplitudes])
    noise = template_noise(model, free, weights, state.cells if n_scales else None)
    normal = columns.normal
    part = np.zeros_like(normal)
    scores = columns.scores(residual)
    if noise is not None:
        n_free, n_own = len(free), 3 * int(state.is_free.sum())
        places = np.r_[:n_free, n_free + n_own : n_free + n_own + n_scales]
        part[np.ix_(places, places)] = noise.information
        scores[places] += noise.slope
    level = _level(columns, residual, weights > 0, free, state)
    return _Equations(
        free=free,
        columns=columns,
        residual=residual,
        noise=noise,
        level=level,
        priors=_priors(state, free),
        values=values,
        normal=normal,
        part=part,
        scores=scores,
    )


def _sparse(stamps, cells, light, n_scales):
    """Return the columns of point sources and of own scales, a sparse matrix of a row for each."""
    n_pixels = cells.size
    data, columns, lengths = [], [], []
    for index, values in stamps:
        for row in values:
            data.append(row)
            columns.append(index)
            lengths.append(len(index))
    flat = cells.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 1) :]
    data.append(light.ravel()[order])
    columns.append(order)
    lengths += list(np.bincount(flat, minlength=n_scales + 1)[1:])
    pointers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return sparse.csr_array(
        (np.concatenate(data), np.concatenate(columns), pointers), shape=(len(lengths), n_pixels)
    )


def _total_light(state, x, y):
    light = state.model(x, y) + _own_light(state, x, y)
    return light + _modes_light(state, np.shape(x))


def _own_light(state, x, y):
    if not len(state.scales) or not state.scales.any():
        return 0.0
    return (
        state.model.scale.value
        * state.model.template_light(x, y)
        * np.concatenate([[0.0], state.scales])[state.cells]
    )


def _modes_light(state, shape):
    if not len(state.amplitudes):
        return 0.0
    return (state.amplitudes @ cosine_modes(shape, state.mode_numbers, state.box)).reshape(shape)


def _level(columns, residual, valid, free, state):
    """Return the variance of the weighted residuals at the frequencies of the objects."""
    lit = [place for place, key in enumerate(free) if state.model.infos[key].basis is None][:1]
    image = columns.jacobian[lit[0] if lit else 0][np.newaxis]
    correlation = autocorrelation(residual, valid)
    square = float(np.sum(image**2))
    if square == 0:
        return 1.0
    return max(float(score_covariance(image, correlation)[0, 0] / square), 1e-300)


def _priors(state, free):
    """Return the priors of all parameters."""
    infos = state.model.infos
    kinds = {}
    for place, key in enumerate(free):
        if state.model.has_prior[key]:
            kinds.setdefault(infos[key].kind, []).append(place)
    found = [(kind, places, infos[free[places[0]]].prior) for kind, places in kinds.items()]
    n_free, n_own = len(free), 3 * int(state.is_free.sum())
    with_prior = np.flatnonzero(state.has_prior[state.is_free])
    first = n_free + 3 * with_prior
    found.append(("variation", first, VARIATION))
    found.append(("motion", np.concatenate([first + 1, first + 2]), MOTION))
    found.append(("scatter", n_free + n_own + np.arange(len(state.numbers)), SCATTER))
    return [
        Prior(name, np.asarray(places), expected, state.sizes.get(name), state.precisions.get(name))
        for name, places, expected in found
        if len(places)
    ]


def _stepped(state, equations, only_sources=False):
    """Return the state after a Newton step, and whether the step was small."""
    bread = equations.bread
    gradient = equations.scores / equations.level - equations.precision * equations.values
    if only_sources:
        own = slice(len(equations.free), len(equations.free) + 3 * int(state.is_free.sum()))
        matrix = equations.normal / equations.level + np.diag(equations.precision)
        step = np.zeros(len(gradient))
        step[own] = inverse(matrix[own, own]) @ gradient[own]
    else:
        step = bread @ gradient
    errors = np.sqrt(np.maximum(np.diag(bread), 0))
    factor = _largest_factor(state.model, equations.free, step)
    step = factor * step
    n_free, n_sources = len(equations.free), int(state.is_free.sum())
    steady = factor == 1 and bool(np.all(np.abs(step[:n_free]) <= STEADY * errors[:n_free]))
    model, small = _moved(state.model, equations.free, step[:n_free], state.small)
    own = model.own.copy()
    own[state.is_free] += step[n_free : n_free + 3 * n_sources].reshape(-1, 3)
    model.own = own
    rest = step[n_free + 3 * n_sources :]
    n_scales = len(state.scales)
    values = equations.values + step
    priors = [
        updated(prior, values[prior.places], np.diag(bread)[prior.places]) for prior in equations.priors
    ]
    for prior, old in zip(priors, equations.priors, strict=True):
        if abs(prior.size - old.size) > 0.1 * old.size:
            steady = False
    return (
        replace(
            state,
            model=model,
            small=small,
            scales=state.scales + rest[:n_scales],
            amplitudes=state.amplitudes + rest[n_scales:],
            sizes={prior.name: prior.size for prior in priors},
            precisions={prior.name: prior.precision for prior in priors},
        ),
        steady,
    )


def _largest_factor(model, free, step):
    """Return the fraction of a step that changes no parameter by too much."""
    factor = 1.0
    for key, one in zip(free, step, strict=False):
        kind, value = model.infos[key].kind, getattr(model, key).value
        if kind in ("scale", "psf"):
            most = LARGEST_FRACTION * max(abs(value), 1e-3)
        elif kind == "shift":
            most = LARGEST_SHIFT * model.fwhm.value
        elif kind == "ellipticity":
            most = 0.1
        else:
            continue
        if abs(one) > most:
            factor = min(factor, most / abs(one))
    return factor


def _moved(model, free, change, small):
    """Return the model with its parameters changed, within their bounds, and the changes that it leaves out."""
    moved, left = model.copy(), {}
    for key, one in zip(free, change, strict=True):
        total = small.get(key, 0.0) + one
        if model.has_prior[key] and abs(total) < model.infos[key].step:
            left[key] = total
            continue
        low, high = (
            missing if limit is None else limit
            for limit, missing in zip(model.bounds[key], (-np.inf, np.inf), strict=True)
        )
        setattr(moved, key, float(np.clip(getattr(model, key).value + total, low, high)))
    return moved, left


def _complete(state):
    """Return the state whose model has all changes."""
    model = state.model.copy()
    for key, change in state.small.items():
        setattr(model, key, getattr(model, key).value + change)
    return replace(state, model=model, small={})


def _residual(state, image, weights):
    y, x = pixel_coordinates(image.shape)
    state = _complete(state)
    return np.where(weights > 0, image.data - _total_light(state, x, y), 0) * weights


def _with_background(state, image, weights):
    """Return the state with the modes of the background that the residuals contain, or None."""
    residual = _residual(state, image, weights)
    numbers = chosen_modes(residual[state.box], weights[state.box], state.model.template.pixel_scale)
    if not len(numbers):
        return None
    return replace(state, mode_numbers=numbers, amplitudes=np.zeros(len(numbers)))


def _with_residual_sources(state, image, weights):
    """Return the state with point sources that only one of the images has, or None."""
    pruned = _without_faint(state, image, weights)
    changed = len(pruned.model.sources) < len(state.model.sources)
    state = pruned
    found = residual_sources(state.model, _residual(state, image, weights), weights)
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
        extended, _ = _stepped(extended, _equations(extended, image, weights), only_sources=True)
    return _without_misfits(extended, image, weights)


def _without_faint(state, image, weights):
    """Return the state without new point sources that are not significant once the PSF is that of the field."""
    if state.has_prior.all():
        return state
    equations = _equations(state, image, weights)
    first, n_own = len(equations.free), 3 * int(state.is_free.sum())
    errors = np.zeros(len(state.has_prior))
    errors[state.is_free] = np.sqrt(np.maximum(np.diag(equations.bread)[first : first + n_own : 3], 0))
    faint = ~state.has_prior & (np.abs(state.model.own[:, 0]) < LEAST_SIGNIFICANCE * errors)
    return _chosen(state, ~faint)


def _chosen(state, kept):
    """Return the state with some of its point sources."""
    return replace(
        state,
        model=state.model.with_sources(state.model.sources.chosen(kept), state.model.own[kept]),
        is_free=state.is_free[kept],
        has_prior=state.has_prior[kept],
    )


def _without_misfits(state, image, weights):
    """Return the state with new point sources masked that are none: the PSF does not fit them."""
    y, x = pixel_coordinates(image.shape)
    light = state.model(x, y) - state.model.background(x, y)
    valid = ~state.masked
    noise = np.where(weights > 0, 1 / np.where(weights > 0, weights, 1), np.inf)
    residual = _residual(state, image, weights)
    new = ~state.has_prior
    x, y = (np.round(one).astype(int) for one in state.model.source_places())
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    labels = segment_objects(np.abs(light), noise * mad_std(residual[valid]), valid)
    excess = excess_on_objects(residual, valid, labels)
    hit = np.zeros(len(new), dtype=int)
    hit[inside] = labels[y[inside], x[inside]]
    misfits = [label for label in misfitting_objects(labels, excess, valid) if label in hit[new]]
    if not misfits:
        return state
    rejected = state.rejected.copy()
    for label in misfits:
        rejected |= object_pixels(labels, label)
    kept = ~(new & np.isin(hit, misfits))
    return replace(_chosen(state, kept), masked=state.masked | rejected, rejected=rejected)


def _solution(state, image, weights, evaluations, converged):
    equations = _equations(state, image, weights)
    state = _complete(state)
    model, masked, residual = state.model, state.masked, equations.residual
    valid = ~masked
    y, x = pixel_coordinates(image.shape)
    background = model.background(x, y) + _modes_light(state, image.shape)
    light = _total_light(state, x, y)
    noise = np.where(weights > 0, 1 / np.where(weights > 0, weights, 1), np.inf)
    # Rejected objects are labeled, too.
    shown = valid | state.rejected
    noise = np.where(valid, noise, np.median(noise[valid]))
    brighter = np.maximum(image.data, light) - background
    labels = segment_objects(brighter, noise * mad_std(residual[valid]), shown)
    excess = excess_on_objects(residual, valid, labels)
    on_pixels = excess[labels]
    precision, bread = equations.precision, equations.bread
    n_free, n_own = len(equations.free), 3 * int(state.is_free.sum())
    rows = bread[:n_free]
    influence = equations.columns.combined(rows / equations.level)
    n_pixels = int(valid.sum())
    fitted = len(precision) - np.count_nonzero(precision)
    correlation = autocorrelation(residual / on_pixels, valid) * n_pixels / max(n_pixels - fitted, 1)
    # The priors' own spread is part of the errors.
    covariance = score_covariance(influence * on_pixels, correlation) + (rows * precision) @ rows.T
    used = weights > 0
    quality = FitStatistics(
        free=equations.free,
        covariance=covariance,
        naive_covariance=inverse(equations.normal)[:n_free, :n_free],
        rms_error=float(np.sqrt(np.mean((residual[used] / weights[used]) ** 2))),
        rchi=float(np.sum(residual**2) / max(n_pixels - n_free, 1)),
        n_pixels=n_pixels,
    )
    errors = np.sqrt(np.maximum(np.diag(bread), 0))
    source_errors = np.zeros((len(model.sources), 3))
    source_errors[state.is_free] = errors[n_free : n_free + n_own].reshape(-1, 3)
    jacobian = weighted_jacobian(model, ("scale", "dx", "dy"), image.shape, weights)
    own_residual = residual + _own_light(state, x, y) * weights
    objects = object_table(labels, jacobian, own_residual, excess, model.scale.value, correlation, image.wcs)
    if len(objects):
        objects["left_out"] = ndimage.mean(state.rejected, labels, objects["label"]) > 0.5
    return Solution(
        model=model,
        light=light,
        background=background,
        modes=_mode_table(state, errors, image.unit),
        quality=quality,
        mask=masked,
        weights=weights,
        residual=residual,
        influence=influence,
        labels=labels,
        objects=objects,
        source_errors=source_errors,
        in_reference=state.has_prior,
        sizes=dict(state.sizes),
        noise_dominates=_noise_dominates(equations, influence, covariance),
        n_evaluations=evaluations,
        converged=converged,
    )


def _mode_table(state, errors, unit):
    """Return the amplitudes of the modes of the background, with their errors."""
    n_modes = len(state.amplitudes)
    return QTable(
        {
            "half_periods_y": state.mode_numbers[:, 0],
            "half_periods_x": state.mode_numbers[:, 1],
            "amplitude": state.amplitudes * unit,
            "amplitude_err": errors[len(errors) - n_modes :] * unit,
        }
    )


def _noise_dominates(equations, influence, covariance):
    """Return whether most of a variance is that of the template's noise."""
    if equations.noise is None:
        return False
    variances = np.diag(score_covariance(influence, equations.noise.autocorrelation))
    return bool(np.any(variances > 0.5 * np.diag(covariance)))


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
