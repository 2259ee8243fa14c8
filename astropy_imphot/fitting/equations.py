"""The estimating equations of a fit, with priors and with the noise of the template."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.stats import mad_std
from scipy import sparse

from astropy_imphot.fitting.columns import Columns, CosineModes
from astropy_imphot.fitting.priors import Prior
from astropy_imphot.fitting.statistics import free_parameters, pixel_coordinates, weighted_jacobian
from astropy_imphot.noise.autocorrelation import autocorrelation
from astropy_imphot.noise.covariance import inverse, score_covariance
from astropy_imphot.noise.reference import TemplateNoise, template_noise

__all__ = ["Equations", "equations_at"]

# Expected sizes of effects: variation (fraction) and motion (arcsec) of point sources, and the scatter of the
# flux ratios (fraction) and of the places (arcsec) of galaxies.
VARIATION = 0.3
MOTION = 0.05
SCATTER = 0.005
DISPLACEMENT = 0.0005

# Objects are no noise if less than this fraction of the information of their scales and shifts is.
MOST_NOISE = 0.3

# The sky is where the light of objects is below so many standard deviations; its noise is measured on at
# least so many pixels.
SKY_SIGMA = 1.0
LEAST_SKY = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class Equations:
    """
    The estimating equations of a fit of p parameters, at one point.

    The parameters are the free ones of the model; ratio, motion_x and motion_y of each free point source;
    the own scales of objects, and their shifts along x and along y; and the amplitudes of the background's
    modes.

    Attributes
    ----------
    free : tuple of str
        Names of the free parameters of the model.
    columns : `~astropy_imphot.fitting.columns.Columns`
        The weighted derivatives.
    residual : array of shape (ny, nx)
        The weighted residuals.
    noise : `~astropy_imphot.noise.reference.TemplateNoise` or None
        The effect of the template's noise; None if it is not known.
    level : float
        Variance of the weighted residuals at the frequencies of the objects.
    priors : list of `~astropy_imphot.fitting.priors.Prior`
        The priors.
    values : array of shape (p,)
        The parameters; those with priors less the means of these.
    normal, part : arrays of shape (p, p)
        Products of the derivatives, and the part of these that is noise of the template.
    scores, noise_scores : arrays of shape (p,)
        Products of the derivatives and the residuals, with the correction for the template's noise; and this
        correction.
    fluctuation : array of shape (p, p)
        The covariance of the scores by the product of the template's noise with itself.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """

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
    noise_scores: np.ndarray
    fluctuation: np.ndarray

    @property
    def precision(self):
        """The precisions of the priors, 0 for parameters that have none: an array of shape (p,)."""
        return self.of_priors("precision")

    def of_priors(self, name):
        """Return the precisions or the curvatures of the priors, 0 for parameters that have none."""
        found = np.zeros(len(self.values))
        for prior in self.priors:
            found[prior.places] = getattr(prior, name) / prior.unit**2
        return found

    @cached_property
    def bread(self):
        """The matrix that turns scores into steps of the parameters."""
        return self.bread_of(np.arange(len(self.values)))

    @property
    def influence(self):
        """The matrix that turns scores into changes of the solution, which the priors follow."""
        # With curvatures, steps of many stars that differ would not converge.
        return self.bread_of(np.arange(len(self.values)), "curvature")

    def bread_of(self, places, of_priors="precision"):
        """Return the bread for some of the parameters, if the others are held."""
        matrix = self.normal / self.level + np.diag(self.of_priors(of_priors))
        part = self.part / self.level
        chosen = np.ix_(places, places)
        return inverse((matrix - part)[chosen], matrix[chosen])

    @property
    def gradient(self):
        """The scores, with the priors: 0 at the solution."""
        return self.scores / self.level - self.precision * self.values


def equations_at(state, image, weights):
    """
    Return the estimating equations of a fit.

    Parameters
    ----------
    state : `~astropy_imphot.fitting.state.FitState`
        The parameters.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    Equations
        The equations.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    model, shape = state.model, image.shape
    x, y = state.coordinates
    free = free_parameters(model)
    jacobian = weighted_jacobian(model, free, shape, weights)
    residual = np.where(weights > 0, image.data - state.light_without_small, 0) * weights
    small = np.array([state.small.get(key, 0.0) for key in free])
    residual = residual - np.tensordot(small, jacobian, axes=1)
    local, values = [], []
    flat_weights = weights.ravel()
    stamps = model.source_columns(x, y)
    for number in np.flatnonzero(state.is_free):
        index, columns = stamps[number]
        local.append((index, columns * flat_weights[index]))
        values += list(model.own[number] - (1, 0, 0))
    n_objects = state.differences.shape[1]
    local = _sparse(local, state.cells, [weights * light for light in state.object_columns], n_objects)
    modes = CosineModes(shape, state.mode_numbers, state.box)
    columns = Columns(jacobian, local, modes, weights)
    of_table = [getattr(model, key).value + state.small.get(key, 0.0) for key in free]
    values = np.concatenate([of_table, values, state.differences.ravel(), state.amplitudes])
    noise = template_noise(model, free, weights, state.cells if n_objects else None)
    normal = columns.normal
    part, fluctuation = np.zeros((2, *normal.shape))
    noise_scores = np.zeros(len(normal))
    if noise is not None:
        n_free, n_own = len(free), 3 * int(state.is_free.sum())
        places = np.r_[:n_free, n_free + n_own : n_free + n_own + 3 * n_objects]
        part[np.ix_(places, places)] = _noise_part(
            model, free, columns, normal[np.ix_(places, places)], noise.information
        )
        noise_scores[places] = noise.slope
        fluctuation[np.ix_(places, places)] = noise.fluctuation
    level = _level(columns, residual, weights, free, state)
    return Equations(
        free=free,
        columns=columns,
        residual=residual,
        noise=noise,
        level=level,
        priors=_priors(state, free),
        values=values,
        normal=normal,
        part=part,
        scores=columns.scores(residual) + noise_scores,
        noise_scores=noise_scores,
        fluctuation=fluctuation,
    )


def _noise_part(model, free, columns, normal, information):
    """Return the part of the information of template and objects that is noise: no more than all of it."""
    n_free, n_differences = len(free), len(normal) - len(free)
    # Without objects this is 0 < 0: a field of one star needs the test below.
    if information.diagonal()[n_free:].sum() < MOST_NOISE * normal.diagonal()[n_free:].sum():
        return information
    if len(model.sources):
        y, x = pixel_coordinates(columns.weights.shape)
        images = model.derivatives(x, y, free, of_template=True)
        flat = np.array([(image * columns.weights).ravel() for image in images])
        across = columns.local[columns.local.shape[0] - n_differences :] @ flat.T
        normal = np.block([[flat @ flat.T, across.T], [across, normal[n_free:, n_free:]]])
    sizes = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = np.outer(sizes, sizes)
    values, vectors = np.linalg.eigh((normal - information) / scaled)
    return information if values[0] >= 0 else normal - (vectors * np.maximum(values, 0)) @ vectors.T * scaled


def _sparse(stamps, cells, images, n_objects):
    """Return columns of point sources and of differences of objects: a sparse matrix with a row for each."""
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
    for image in images:
        data.append(image.ravel()[order])
        columns.append(order)
        lengths += list(np.bincount(flat, minlength=n_objects + 1)[1:])
    pointers = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return sparse.csr_array(
        (np.concatenate(data), np.concatenate(columns), pointers), shape=(len(lengths), n_pixels)
    )


def _level(columns, residual, weights, free, state):
    """Return the variance of the weighted residuals of the sky, at the frequencies of the objects."""
    lit = [place for place, key in enumerate(free) if state.model.infos[key].basis is None][:1]
    image = columns.jacobian[lit[0] if lit else 0][np.newaxis]
    square = float(np.sum(image**2))
    valid = weights > 0
    if square == 0 or not valid.any():
        return 1.0
    light = np.abs(state.model_light - state.model.background(*state.coordinates)) * weights
    # Before the fit has converged, residuals on objects are no noise.
    sky = valid & (light < SKY_SIGMA * mad_std(residual[valid]))
    correlation = autocorrelation(residual, sky if sky.sum() > LEAST_SKY else valid, state.model.max_lag)
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
    of_objects = n_free + n_own + np.arange(state.differences.size)
    n_objects = state.differences.shape[1]
    found += [
        ("scatter", of_objects[:n_objects], SCATTER),
        ("displacement", of_objects[n_objects:], DISPLACEMENT),
    ]
    # Variations are those of the flux, which is known, and not of its ratio to a scale that is not: a scale
    # without limit would make them small.
    units = {
        "variation": abs(state.first_scale / state.model.scale.value) if state.model.scale.value else 1.0
    }
    return [
        Prior(
            name,
            np.asarray(places),
            expected,
            state.sizes.get(name),
            state.precisions.get(name),
            state.curvatures.get(name),
            units.get(name, 1.0),
        )
        for name, places, expected in found
        if len(places)
    ]
