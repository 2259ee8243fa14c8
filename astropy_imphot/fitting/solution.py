"""The solution of a fit: its light, its errors, its objects."""

from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from astropy.table import QTable
from scipy import ndimage

from astropy_imphot.fitting.objects import object_table, segment_objects
from astropy_imphot.fitting.state import pixel_noise
from astropy_imphot.fitting.statistics import FitStatistics, weighted_jacobian
from astropy_imphot.noise.autocorrelation import autocorrelation, excess_on_objects
from astropy_imphot.noise.covariance import inverse, score_covariance

__all__ = ["Solution", "solution_of"]

# The variance of the HST image's noise is measured to this fraction (five drawn fields of 42 arcsec).
NOISE_LEVEL_ERROR = 0.015

# The template's noise dominates if it is more than this fraction of a variance.
DOMINANT = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """
    The result of `solve`.

    Attributes
    ----------
    model : `ConvolvedTemplate2D`
        The model at the solution, with its point sources.
    light : array of shape (ny, nx)
        The model, the own scales and shifts of objects, and the background.
    background : array of shape (ny, nx)
        The background.
    modes : `~astropy.table.QTable`
        The modes of the background: half_periods_y and half_periods_x, amplitude and amplitude_err.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Errors and goodness of fit.
    mask : bool array of shape (ny, nx)
        True where a pixel was not fitted.
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.
    residual : array of shape (ny, nx)
        Weighted residuals.
    influence : array of shape (p, ny, nx)
        The change of each free parameter by a weighted residual of 1.
    prior_covariance : array of shape (p, p)
        The part of the covariance that is the spread of effects with priors.
    labels : int array of shape (ny, nx)
        From `~astropy_imphot.fitting.objects.segment_objects`.
    objects : `~astropy.table.QTable`
        From `~astropy_imphot.fitting.objects.object_table`.
    source_errors : array of shape (n, 3)
        Standard errors of the own parameters of the point sources.
    in_reference : bool array of shape (n,)
        Whether the point sources were found in the HST image.
    sizes : dict of str to float
        Typical sizes of effects, see `~astropy_imphot.fitting.priors`.
    noise_dominates : bool
        Whether most of a variance, or of the derivatives, is noise of the template.
    n_evaluations : int
        Number of evaluations of the model.
    converged : bool
        Whether the fit converged.
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
    prior_covariance: np.ndarray
    labels: np.ndarray
    objects: QTable
    source_errors: np.ndarray
    in_reference: np.ndarray
    sizes: dict
    noise_dominates: bool
    n_evaluations: int
    converged: bool


def solution_of(state, equations, image, weights, evaluations, converged):
    """
    Return the solution of a fit.

    Parameters
    ----------
    state : `~astropy_imphot.fitting.state.FitState`
        The state after the last step.
    equations : `~astropy_imphot.fitting.equations.Equations`
        Those of the last step, if it was a small fraction of the errors, or those of the state.
    image : `~astropy.nddata.CCDData`
        The MUSE image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.
    evaluations : int
        Number of evaluations of the model.
    converged : bool
        Whether the fit converged.

    Returns
    -------
    Solution
        The solution.

    Examples
    --------
    See `~astropy_imphot.fitting.solve.solve`, which uses it.
    """
    model, masked, residual = state.complete().model, state.masked, state.residual(image, weights)
    valid = ~masked
    background = model.background(*state.coordinates) + state.modes_light()
    light = state.light
    noise = pixel_noise(weights)
    # Rejected objects are labeled, too.
    shown = valid | state.rejected
    noise = np.where(valid, noise, np.median(noise[valid]))
    brighter = np.maximum(image.data, light) - background
    labels = segment_objects(brighter, noise * mad_std(residual[valid]), shown)
    excess = excess_on_objects(residual, valid, labels, model.max_lag)
    on_pixels = excess[labels]
    precision, bread = equations.precision, equations.influence
    n_free, n_own = len(equations.free), 3 * int(state.is_free.sum())
    rows = bread[:n_free]
    influence = equations.columns.combined(rows / equations.level)
    n_pixels = int(valid.sum())
    fitted = len(precision) - np.count_nonzero(precision)
    correlation = autocorrelation(residual / on_pixels, valid, model.max_lag)
    correlation = correlation * n_pixels / max(n_pixels - fitted, 1)
    # The spread of the effects is part of the errors: as they are, and what is not known of them.
    moments = equations.values**2 + np.diag(bread)
    prior_covariance = (rows * precision**2 * moments) @ rows.T
    covariance = score_covariance(influence * on_pixels, correlation) + prior_covariance
    covariance = covariance + rows @ equations.fluctuation @ rows.T / equations.level**2
    # The level of the template's noise is not known exactly.
    of_level = NOISE_LEVEL_ERROR * rows @ equations.noise_scores / equations.level
    covariance = covariance + np.outer(of_level, of_level)
    used = weights > 0
    quality = FitStatistics(
        free=equations.free,
        covariance=covariance,
        naive_covariance=inverse(equations.normal + np.diag(precision))[:n_free, :n_free],
        rms_error=float(np.sqrt(np.mean((residual[used] / weights[used]) ** 2))),
        rchi=float(np.sum(residual**2) / max(n_pixels - n_free, 1)),
        n_pixels=n_pixels,
    )
    errors = np.sqrt(np.maximum(np.diag(bread), 0))
    source_errors = np.zeros((len(model.sources), 3))
    source_errors[state.is_free] = errors[n_free : n_free + n_own].reshape(-1, 3)
    jacobian = weighted_jacobian(state.model, ("scale", "dx", "dy"), image.shape, weights)
    own_residual = residual + state.own_light * weights
    objects = object_table(labels, jacobian, own_residual, excess, model.scale.value, correlation, image.wcs)
    if len(objects):
        objects["left_out"][:] = ndimage.mean(state.rejected, labels, objects["label"]) > 0.5
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
        prior_covariance=prior_covariance,
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
    """Return whether most of a variance, or of the derivatives, is noise of the template."""
    if equations.noise is None:
        return False
    variances = np.diag(score_covariance(influence, equations.noise.autocorrelation))
    n_free = len(equations.free)
    part, normal = (np.diag(matrix)[:n_free] for matrix in (equations.part, equations.normal))
    return bool(np.any(variances > DOMINANT * np.diag(covariance)) or np.any(part > DOMINANT * normal))
