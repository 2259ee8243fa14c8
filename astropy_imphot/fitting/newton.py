"""Newton steps of a fit."""

from dataclasses import replace

import numpy as np

from astropy_imphot.fitting.priors import updated

__all__ = ["stepped"]

# The fit has converged if the steps that would follow are together smaller than this, in standard errors, and
# the information of priors changes by less than this fraction.
STEADY = 0.05
STEADY_PRIOR = 0.2

# A step changes the scale and the parameters of the PSF by at most this fraction, an offset by at most so
# many FWHM, and the ellipticity by this.
LARGEST_FRACTION = 0.4
LARGEST_SHIFT = 0.5
LARGEST_ELLIPTICITY = 0.1

# New point sources stay within so many FWHM of the places where they were found.
LARGEST_MOTION = 0.5


def stepped(state, equations, only_sources=False):
    """
    Return the state after a Newton step, and whether the step was small.

    Parameters
    ----------
    state : `~astropy_imphot.fitting.state.FitState`
        The state.
    equations : `~astropy_imphot.fitting.equations.Equations`
        The equations there.
    only_sources : bool
        Whether only the own parameters of point sources are changed (default: False).

    Returns
    -------
    state : `~astropy_imphot.fitting.state.FitState`
        The new state, with the sizes of its priors.
    steady : bool
        Whether what is left to the solution is a small fraction of the errors of the model's parameters, and
        the priors hardly changed.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    bread = equations.bread
    if only_sources:
        own = len(equations.free) + np.arange(3 * int(state.is_free.sum()))
        step = np.zeros(len(equations.values))
        step[own] = equations.bread_of(own) @ equations.gradient[own]
    else:
        step = _bounded_step(state.model, equations)
    errors = np.sqrt(np.maximum(np.diag(bread), 0))
    factor = _largest_factor(state.model, equations.free, step)
    step = factor * step
    n_free, n_sources = len(equations.free), int(state.is_free.sum())
    size = float(np.max(np.abs(step[:n_free]) / np.maximum(errors[:n_free], 1e-300), initial=0))
    steady = factor == 1 and _left(size, state.last_step) <= STEADY
    model, small = _moved(state.model, equations.free, step[:n_free], state.small)
    own = model.own.copy()
    change = step[n_free : n_free + 3 * n_sources].reshape(-1, 3)
    own[state.is_free] += change
    # The flux is linear: the product of two parameters can be known much better than each of them.
    before, after = state.model.scale.value, model.scale.value
    if after != 0:
        own[state.is_free, 0] += (before / after - 1) * change[:, 0]
    # The places of sources that only one of the images has are known.
    new, most = ~state.has_prior, LARGEST_MOTION * model.fwhm.value
    own[new, 1:] = np.clip(own[new, 1:], -most, most)
    model.own = own
    rest = step[n_free + 3 * n_sources :]
    n_differences = state.differences.size
    values = equations.values + step
    priors = [
        updated(prior, values[prior.places], np.diag(bread)[prior.places]) for prior in equations.priors
    ]
    # A prior matters as much as it changes the information on its effects.
    steady &= all(
        np.all(
            np.abs(prior.precision - old.precision) * np.diag(bread)[prior.places]
            < STEADY_PRIOR * prior.unit**2
        )
        for prior, old in zip(priors, equations.priors, strict=True)
    )
    return (
        replace(
            state,
            model=model,
            small=small,
            last_step=size,
            differences=state.differences + rest[:n_differences].reshape(3, -1),
            amplitudes=state.amplitudes + rest[n_differences:],
            sizes={prior.name: prior.size for prior in priors},
            precisions={prior.name: prior.precision for prior in priors},
            curvatures={prior.name: prior.curvature for prior in priors},
        ),
        steady,
    )


def _left(size, last):
    """Return the sum of the steps that would follow, if they decrease like the last two; at most the last."""
    decrease = size / last if last > 0 else 1.0
    return size * min(1.0, decrease / max(1 - decrease, 1e-300))


def _bounded_step(model, equations):
    """Return the Newton step; parameters that would be beyond their bounds are held at these."""
    step = equations.bread @ equations.gradient
    limits = np.array([_limits(model, key) for key in equations.free]).reshape(-1, 2).T
    values = np.array([getattr(model, key).value for key in equations.free])
    n_free, rest = len(values), np.ones(len(step), dtype=bool)
    for _ in range(n_free):
        after = values + step[:n_free]
        beyond = rest[:n_free] & ((after < limits[0]) | (after > limits[1]))
        if not beyond.any():
            break
        rest[:n_free] &= ~beyond
        places = np.flatnonzero(rest)
        step[places] = equations.bread_of(places) @ equations.gradient[places]
        held = np.flatnonzero(~rest[:n_free])
        step[held] = np.clip(after[held], *limits[:, held]) - values[held]
    return step


def _limits(model, key):
    """Return the bounds of a parameter, infinite where it has none."""
    return [
        missing if limit is None else limit
        for limit, missing in zip(model.bounds[key], (-np.inf, np.inf), strict=True)
    ]


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
            most = LARGEST_ELLIPTICITY
        else:
            continue
        if abs(one) > most:
            factor = min(factor, most / abs(one))
    return factor


def _moved(model, free, change, small):
    """Return the model with changed parameters, within their bounds, and the changes that it leaves out."""
    moved, left = model.copy(), {}
    for key, one in zip(free, change, strict=True):
        total = small.get(key, 0.0) + one
        if model.has_prior[key] and abs(total) < model.infos[key].step:
            left[key] = total
            continue
        setattr(moved, key, float(np.clip(getattr(model, key).value + total, *_limits(model, key))))
    return moved, left
