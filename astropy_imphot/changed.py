"""
Objects that moved or varied between the HST and the MUSE exposure, found by vote.

One bright star that moved can own a fit, so that galaxies become the residuals. Hence
every object is asked for its own scale and offset, and none of them weighs more than the
tolerance allows; who differs from the consensus has changed.
"""

import warnings

import astropy.units as u
import numpy as np
from astropy.stats import mad_std
from astropy.table import QTable
from scipy import ndimage, signal

from astropy_imphot.noise import autocorrelation

__all__ = ["segment_objects", "vote"]

# Detection: standard deviations of the noise in a pixel, and connected pixels.
DETECTION_SIGMA = 3.0
DETECTION_PIXELS = 5

# Pixels around an object that are voted on, and masked, with it.
WIDENING = 2

# Differences below these are nobody's concern: arcsec, and a fraction of the scale.
OFFSET_TOLERANCE = 0.010
SCALE_TOLERANCE = 0.03

# How many standard deviations make a difference significant.
SIGNIFICANCE = 5.0

# A smaller assembly has no consensus.
LEAST_VOTERS = 4


def segment_objects(data, model, valid):
    """
    Label the objects of a field.

    Parameters
    ----------
    data, model : arrays of shape (ny, nx)
        The MUSE image and its model, both less the background.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.

    Returns
    -------
    int array of shape (ny, nx)
        0 on the sky, 1 and more on objects that are in either image.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.changed import segment_objects
    >>> image = np.random.default_rng(1).normal(0, 0.01, (50, 50))
    >>> image[20:25, 30:35] += 1
    >>> int(segment_objects(image, image, np.ones(image.shape, bool)).max())
    1
    """
    # Importing photutils.segmentation takes long, and not every fit needs it.
    from photutils.segmentation import detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    noise = mad_std((data - model)[valid])
    brighter = np.where(valid, np.maximum(data, model), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = detect_sources(brighter, DETECTION_SIGMA * noise, DETECTION_PIXELS)
    if found is None:
        return np.zeros(data.shape, dtype=int)
    return np.where(valid, _widened(found.data), 0)


def vote(labels, jacobian, residual, valid, scale):
    """
    Let the objects of a field vote on its scale and offset.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    jacobian : array of shape (3, ny, nx)
        Weighted derivatives of the model with respect to scale, dx and dy.
    residual : array of shape (ny, nx)
        Weighted residuals.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.
    scale : float
        The fit's scale.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each object: label, x, y (pixels), n_pixels; scale, dx and dy (arcsec)
        less the consensus, scale as a fraction, with their errors (``_err``); ``changed``, whether the object
        differs significantly and by more than 10 mas or 3 %.

    Notes
    -----
    An object's own values are the linear estimate A^-1 J^T r on its pixels, with A = J^T J
    and the covariance A^-1 J^T C J A^-1, where C is the autocorrelation of the residuals
    on the sky. The consensus is the median of the objects, weighted by
    1/(error^2 + tolerance^2), so that no object weighs more than its tolerance allows.

    Examples
    --------
    See `~astropy_imphot.fit_image_photometry`, whose result holds the table.
    """
    sky = valid & (labels == 0)
    correlation = autocorrelation(np.where(sky, residual, 0), sky) if sky.any() else np.ones((1, 1))
    names = ("scale", "dx", "dy")
    rows = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = (labels[box] == index) & valid[box]
        estimate = _own_estimate(jacobian[:, *box] * inside, residual[box] * inside, correlation)
        if estimate is None:
            continue
        y, x = np.nonzero(inside)
        rows.append((index, x.mean() + box[1].start, y.mean() + box[0].start, len(x), *estimate))
    table = QTable(
        rows=[(*row[:4], *row[4]) for row in rows] or None,
        names=["label", "x", "y", "n_pixels", *names],
        dtype=[int, float, float, int, float, float, float],
    )
    covariances = np.array([row[5] for row in rows]).reshape(-1, 3, 3)
    table["scale"] /= scale
    covariances[:, 0, :] /= scale
    covariances[:, :, 0] /= scale
    tolerances = np.array([SCALE_TOLERANCE, OFFSET_TOLERANCE, OFFSET_TOLERANCE])
    values = np.array([table[key] for key in names]).reshape(3, -1)
    errors = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)).T
    if len(table):
        consensus = [
            _weighted_median(value, 1 / (error**2 + tolerance**2))
            for value, error, tolerance in zip(values, errors, tolerances, strict=True)
        ]
        values = values - np.array(consensus)[:, np.newaxis]
    else:
        errors = values
    table["changed"] = _differs(values, covariances, errors) & (len(table) >= LEAST_VOTERS)
    for key, value, error in zip(names, values, errors, strict=True):
        unit = u.dimensionless_unscaled if key == "scale" else u.arcsec
        table[key] = value * unit
        table[f"{key}_err"] = error * unit
    table["x"].unit = table["y"].unit = u.pix
    return table


def _own_estimate(jacobian, residual, correlation):
    flat = jacobian.reshape(3, -1)
    normal = flat @ flat.T
    if np.linalg.cond(normal) > 1e10:
        return None
    inverse = np.linalg.inv(normal)
    smoothed = signal.fftconvolve(jacobian, correlation[np.newaxis], mode="same", axes=(1, 2))
    middle = flat @ smoothed.reshape(3, -1).T
    covariance = inverse @ (0.5 * (middle + middle.T)) @ inverse
    return inverse @ flat @ residual.ravel(), covariance


def _differs(values, covariances, errors):
    if not values.size:
        return np.zeros(0, dtype=bool)
    scale_differs = (np.abs(values[0]) > SCALE_TOLERANCE) & (np.abs(values[0]) > SIGNIFICANCE * errors[0])
    offsets = values[1:].T
    chi_square = np.einsum("ni,nij,nj->n", offsets, np.linalg.pinv(covariances[:, 1:, 1:]), offsets)
    moved = (np.hypot(*values[1:]) > OFFSET_TOLERANCE) & (chi_square > SIGNIFICANCE**2)
    return scale_differs | moved


def _weighted_median(values, weights):
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return values[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])]


def _widened(labels):
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(distance <= WIDENING, labels[tuple(nearest)], 0)
