"""Weights, derivatives and residuals of a fit, and its errors."""

from dataclasses import dataclass

import numpy as np
from astropy.modeling.fitting import TRFLSQFitter
from astropy.stats import mad_std

from astropy_imphot.masking.masks import taper_weights
from astropy_imphot.noise.covariance import sandwich_covariance

__all__ = [
    "FitStatistics",
    "fit_pixels",
    "free_parameters",
    "has_converged",
    "pixel_coordinates",
    "pixel_weights",
    "statistics",
    "weighted_jacobian",
    "weighted_residual",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class FitStatistics:
    """
    The errors and the goodness of a fit.

    Attributes
    ----------
    free : tuple of str
        Names of the free parameters.
    covariance, naive_covariance : arrays of shape (p, p)
        Covariances of the free parameters: with the correlated noise of the residuals, and with
        independent noise of the given variances, see
        `~astropy_imphot.noise.covariance.sandwich_covariance`.
    rms_error : float
        Root mean square of the residuals, in the image's unit.
    rchi : float
        Reduced chi-squared.
    n_pixels : int
        Number of pixels that were fitted.
    """

    free: tuple
    covariance: np.ndarray
    naive_covariance: np.ndarray
    rms_error: float
    rchi: float
    n_pixels: int


def pixel_coordinates(shape):
    """
    Return the coordinates of an image's pixels.

    Parameters
    ----------
    shape : (int, int)
        The image's (ny, nx).

    Returns
    -------
    array of shape (2, ny, nx)
        y and x, 0 at the center of the first pixel.

    Examples
    --------
    >>> from astropy_imphot.fitting.statistics import pixel_coordinates
    >>> y, x = pixel_coordinates((2, 3))
    >>> float(x[0, 2])
    2.0
    """
    return np.indices(shape, dtype=float)


def pixel_weights(image, mask, taper=0):
    """
    Return the weights of an image's pixels.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    taper : float
        As for `~astropy_imphot.masking.masks.taper_weights`.

    Returns
    -------
    array of shape (ny, nx)
        1/standard deviation, that of the whole image if it has no variances; 0 where
        masked.

    Raises
    ------
    UserError
        If ``taper`` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.statistics import pixel_weights
    >>> from astropy_imphot.simulation import example_field
    >>> muse = example_field().muse[0]
    >>> float(pixel_weights(muse, np.zeros(muse.shape, bool))[0, 0].round(3))
    10.0
    """
    if image.uncertainty is None:
        noise = mad_std(image.data[~mask]) or 1.0
    else:
        noise = np.sqrt(np.where(mask, 1, image.uncertainty.array))
    return taper_weights(mask, taper) / noise


def fit_pixels(model, image, mask, weights, fitter=None, **keywords):
    """
    Fit a model to the unmasked pixels of an image.

    Parameters
    ----------
    model : `~astropy.modeling.Fittable2DModel`
        The model at the start of the fit.
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel is masked.
    weights : array of shape (ny, nx)
        1/standard deviation.
    fitter : `~astropy.modeling.fitting.Fitter`, optional
        By default (None) a `~astropy.modeling.fitting.TRFLSQFitter`.
    **keywords
        For the call of the default fitter.

    Returns
    -------
    model : `~astropy.modeling.Fittable2DModel`
        The fitted model.
    fit_info : dict
        The fitter's ``fit_info``.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.fitting.statistics import fit_pixels, pixel_coordinates
    >>> y, x = pixel_coordinates((30, 40))
    >>> image = CCDData(MoffatStar2D(flux=5.0, x_0=20.3, y_0=14.0, fwhm=4.0)(x, y), unit="ct")
    >>> start, mask = MoffatStar2D(flux=4.0, x_0=20.0, y_0=15.0), np.zeros((30, 40), bool)
    >>> fitted, _ = fit_pixels(start, image, mask, np.ones((30, 40)))
    >>> round(float(fitted.x_0.value), 3)
    20.3
    """
    fitter, keywords = (TRFLSQFitter(), keywords) if fitter is None else (fitter, {})
    pixels = np.nonzero(~mask)
    y, x = (axis.astype(float) for axis in pixels)
    data, weights = image.data[pixels].astype(float), weights[pixels].astype(np.float32)
    fitted = fitter(model, x, y, data, weights=weights, **keywords)
    return fitted, fitter.fit_info


def weighted_jacobian(model, keys, shape, weights):
    """
    Return weighted derivatives of a model at an image's pixels.

    Parameters
    ----------
    model : `ConvolvedTemplate2D` or `MoffatStar2D`
        The model.
    keys : sequence of str
        Names of p of its parameters.
    shape : (int, int)
        The image's (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    array of shape (p, ny, nx)
        The derivatives with respect to these parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.fitting.statistics import weighted_jacobian
    >>> weighted_jacobian(MoffatStar2D(), ["flux", "bg"], (4, 5), np.ones((4, 5))).shape
    (2, 4, 5)
    """
    y, x = pixel_coordinates(shape)
    return np.array([one * weights for one in model.derivatives(x, y, keys)]).reshape(-1, *shape)


def weighted_residual(model, image, weights):
    """
    Return an image less a model, in standard deviations.

    Parameters
    ----------
    model : `~astropy.modeling.Fittable2DModel`
        The model.
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel is masked.

    Returns
    -------
    array of shape (ny, nx)
        The residuals, 0 where masked.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.fitting.statistics import weighted_residual
    >>> image = CCDData(np.full((2, 2), 3.0), unit="ct")
    >>> weighted_residual(MoffatStar2D(flux=0, bg=1), image, np.array([[1, 0], [0.5, 1]]))
    array([[2., 0.],
           [1., 2.]])
    """
    y, x = pixel_coordinates(image.shape)
    return np.where(weights > 0, image.data - model(x, y), 0) * weights


def has_converged(fit_info):
    """
    Return whether a fit by a fitter of astropy converged.

    Parameters
    ----------
    fit_info : dict
        The fitter's ``fit_info``; the keys depend on the fitter.

    Returns
    -------
    bool
        True also if ``fit_info`` contains neither ``success`` nor ``ierr`` nor ``exit_mode``.

    Examples
    --------
    >>> from astropy_imphot.fitting.statistics import has_converged
    >>> has_converged({"ierr": 5}), has_converged({"success": True}), has_converged({"exit_mode": 2})
    (False, True, False)
    """
    if "success" in fit_info:
        return bool(fit_info["success"])
    if "ierr" in fit_info:
        return fit_info["ierr"] in (1, 2, 3, 4)
    return fit_info.get("exit_mode", 0) == 0


def free_parameters(model):
    """
    Return the names of a model's free parameters.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        The model.

    Returns
    -------
    tuple of str
        In the order of the model's parameters.

    Examples
    --------
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.fitting.statistics import free_parameters
    >>> free_parameters(MoffatStar2D(fixed={"beta": True, "fwhm": True}))
    ('flux', 'x_0', 'y_0', 'bg')
    """
    return tuple(key for key in model.param_names if not model.fixed[key])


def statistics(model, image, mask, weights, *, jacobian=None, excess=1.0, template_part=None):
    """
    Return the errors and the goodness of a fit.

    Parameters
    ----------
    model : `~astropy.modeling.Fittable2DModel`
        The model at the solution.
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    mask : bool array of shape (ny, nx)
        True where a pixel was masked.
    weights : array of shape (ny, nx)
        1/standard deviation as it was used in the fit, 0 where masked.
    jacobian : array of shape (p, ny, nx), optional
        The weighted derivatives with respect to the free parameters. By default (None) they
        are computed.
    excess, template_part
        As for `~astropy_imphot.noise.covariance.sandwich_covariance`.

    Returns
    -------
    FitStatistics
        The errors and the goodness of the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import MoffatStar2D
    >>> from astropy_imphot.fitting.statistics import statistics
    >>> noise = np.random.default_rng(1).normal(size=(40, 40))
    >>> star = MoffatStar2D(flux=0, x_0=20, y_0=20)
    >>> weights, mask = np.ones((40, 40)), np.zeros((40, 40), bool)
    >>> statistics(star, CCDData(noise, unit="ct"), mask, weights).n_pixels
    1600
    """
    weighted = weighted_residual(model, image, weights)
    free = free_parameters(model)
    if jacobian is None:
        jacobian = weighted_jacobian(model, free, image.shape, weights)
    covariance, naive, _ = sandwich_covariance(
        jacobian, weighted, ~mask, excess=excess, template_part=template_part
    )
    n_pixels = int((~mask).sum())
    used = weights > 0
    return FitStatistics(
        free=free,
        covariance=covariance,
        naive_covariance=naive,
        rms_error=float(np.sqrt(np.mean((weighted[used] / weights[used]) ** 2))),
        rchi=float(np.sum(weighted**2) / max(n_pixels - len(free), 1)),
        n_pixels=n_pixels,
    )
