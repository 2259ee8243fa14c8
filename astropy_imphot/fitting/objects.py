"""The objects of a field: their pixels, their own flux scales, and those that do not fit."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy import ndimage

from astropy_imphot.masking.masks import detected_objects
from astropy_imphot.noise.covariance import score_covariance
from astropy_imphot.results.columns import describe

__all__ = [
    "misfitting_objects",
    "object_cells",
    "object_pixels",
    "object_table",
    "segment_objects",
    "unmatched_objects",
]

# The columns of the table of objects: what they are, and their formats.
COLUMNS = {
    "label": ("label of the object's pixels", None),
    "x": ("position along x, 0 at the center of the first pixel", ".1f"),
    "y": ("position along y, 0 at the center of the first pixel", ".1f"),
    "sky_center": ("position on the sky", None),
    "n_pixels": ("number of pixels", None),
    "scale": ("flux scale less that of the field, as a fraction", ".4f"),
    "dx": ("offset along x less that of the field", ".4f"),
    "dy": ("offset along y less that of the field", ".4f"),
    "excess": ("rms residual, in units of that on the sky", ".2f"),
    "left_out": ("whether it was masked", None),
}

# Detection: standard deviations of the noise in a pixel, and connected pixels.
DETECTION_SIGMA = 3.0
DETECTION_PIXELS = 5

# Pixels around an object that belong to it as well: pixels in each direction.
WIDENING = 2

# Objects have an own scale if it is measured to this fraction at least; of more objects than this, the
# brightest.
LARGEST_ERROR = 0.3
MOST_OBJECTS = 300


# An object is in one image only if the images differ by more than this fraction of its light, and by so many
# standard deviations.
UNMATCHED = 0.5
SIGNIFICANCE = 5.0

# An object does not fit if the rms residual is so many times that on the sky.
MISFIT = 3.0

# An object that does not fit is masked with its wings: their width, in units of its radius.
WINGS = 0.7

# Objects are masked up to this fraction of the pixels.
LARGEST_FRACTION = 0.4


def segment_objects(light, noise, valid):
    """
    Label the objects of a field.

    Parameters
    ----------
    light : array of shape (ny, nx)
        The model less its background.
    noise : array of shape (ny, nx) or float
        Standard deviation of the noise of the MUSE image.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.

    Returns
    -------
    int array of shape (ny, nx)
        0 on the sky, 1 and more on objects.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.objects import segment_objects
    >>> image = np.zeros((50, 50))
    >>> image[20:25, 30:35] = 1
    >>> int(segment_objects(image, 0.01, np.ones(image.shape, bool)).max())
    1
    """
    labels = detected_objects(np.where(valid, light / noise, 0), DETECTION_SIGMA, DETECTION_PIXELS)
    if not labels.any():
        return labels
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(valid & (distance <= WIDENING), labels[tuple(nearest)], 0)


def object_cells(labels, light, level):
    """
    Return the pixels whose light is that of each object which has an own scale.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    light : array of shape (ny, nx)
        Weighted derivative of the model with respect to the scale, without point sources.
    level : float
        Variance of the weighted residuals.

    Returns
    -------
    cells : int array of shape (ny, nx)
        For each pixel the number of the object that is nearest, from 1 on, and 0 if it has no own scale.
    count : int
        The number of objects that have one.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.objects import object_cells
    >>> labels = np.zeros((9, 30), int)
    >>> labels[3:6, 3:6], labels[3:6, 20:23] = 1, 2
    >>> cells, count = object_cells(labels, np.where(labels == 1, 100.0, 0.1), 1.0)
    >>> count, int(cells[4, 7]), int(cells[4, 28])
    (1, 1, 0)
    """
    if not labels.any():
        return np.zeros(labels.shape, dtype=int), 0
    nearest = labels[
        tuple(ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True))
    ]
    information = np.bincount(nearest.ravel(), weights=np.ravel(light**2), minlength=labels.max() + 1) / level
    information[0] = 0
    brightest = np.argsort(information)[::-1][:MOST_OBJECTS]
    numbers = np.sort(brightest[information[brightest] > LARGEST_ERROR**-2])
    order = np.zeros(len(information), dtype=int)
    order[numbers] = np.arange(1, len(numbers) + 1)
    return order[nearest], len(numbers)


def object_pixels(labels, label):
    """
    Return the pixels that are masked with an object: its own, and sky around them.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    label : int
        The object.

    Returns
    -------
    bool array of shape (ny, nx)
        True on the object, and on the sky around it up to 0.7 times the radius of a circle of its area,
        for the wings of bright objects.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.objects import object_pixels
    >>> labels = np.zeros((40, 40), int)
    >>> labels[10:20, 10:20] = 1
    >>> pixels = object_pixels(labels, 1)
    >>> int(pixels.sum()), bool(pixels[15, 22]), bool(pixels[15, 25])
    (252, True, False)
    """
    own = labels == label
    if not own.any():
        return own
    reach = WINGS * np.sqrt(own.sum() / np.pi)
    # What is farther than the reach needs no distance.
    near = tuple(
        slice(max(one.start - int(reach) - 1, 0), one.stop + int(reach) + 1)
        for one in ndimage.find_objects(own.astype(int))[0]
    )
    pixels = own.copy()
    pixels[near] |= (ndimage.distance_transform_edt(~own[near]) <= reach) & (labels[near] == 0)
    return pixels


def unmatched_objects(light, model_light, noise, valid):
    """
    Return the pixels of objects that only one of two images has.

    Parameters
    ----------
    light, model_light : arrays of shape (ny, nx)
        The MUSE image and its model, less the background.
    noise : array of shape (ny, nx) or float
        Standard deviation of the noise of the MUSE image.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.

    Returns
    -------
    bool array of shape (ny, nx)
        True on these objects and around them; False everywhere if there are too many of them.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.objects import unmatched_objects
    >>> image, model = np.zeros((2, 50, 50))
    >>> image[20:25, 30:35] = model[5:10, 5:10] = image[5:10, 5:10] = 1
    >>> pixels = unmatched_objects(image, model, 0.01, np.ones((50, 50), bool))
    >>> bool(pixels[22, 32]), bool(pixels[7, 7])
    (True, False)
    """
    labels = segment_objects(np.maximum(light, model_light), noise, valid)
    found = np.zeros(labels.shape, dtype=bool)
    if not labels.any():
        return found
    numbers = np.arange(1, labels.max() + 1)
    noise = np.where(valid, noise, 0)
    totals, models = (ndimage.sum_labels(image, labels, numbers) for image in (light, model_light))
    errors = np.sqrt(ndimage.sum_labels(noise**2, labels, numbers))
    excess = np.abs(totals - models)
    unmatched = (excess > UNMATCHED * np.maximum(totals, models)) & (excess > SIGNIFICANCE * errors)
    for label in numbers[unmatched]:
        found |= object_pixels(labels, label)
    return found if found.sum() < LARGEST_FRACTION * valid.sum() else np.zeros_like(found)


def object_table(labels, jacobian, residual, excess, scale, correlation, wcs):
    """
    Return the scale and the offset of each object, less those of the field.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    jacobian : array of shape (3, ny, nx)
        Weighted derivatives of the model with respect to scale, dx and dy.
    residual : array of shape (ny, nx)
        Weighted residuals, without the own scales and shifts of objects.
    excess : array of shape (n + 1,)
        The rms of the residuals of each object in units of that of the sky, from label 0 on.
    scale : float
        The fit's scale.
    correlation : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        The autocorrelation of the residuals.
    wcs : `~astropy.wcs.WCS`
        Of the MUSE image.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each object: label, x, y (pixels), sky_center, n_pixels; scale (a fraction), dx and dy
        (arcsec), with their errors (``_err``; NaN for an object that is not in the HST image); excess;
        ``left_out``, whether it is masked: False.

    Notes
    -----
    The values are the linear estimate A^-1 J^T r on the pixels of an object, with A = J^T J and the
    covariance A^-1 J^T C J A^-1, where C is the autocorrelation of the residuals r.

    Examples
    --------
    See `~astropy_imphot.fit_image_photometry`, whose result holds the table.
    """
    rows = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == label
        values, errors = _linear_estimate(jacobian[:, *box] * inside, residual[box] * inside, correlation)
        y, x = np.nonzero(inside)
        place = x.mean() + box[1].start, y.mean() + box[0].start
        rows.append((label, *place, len(x), *values, *errors, excess[label]))
    names = ("label", "x", "y", "n_pixels", "scale", "dx", "dy", "scale_err", "dx_err", "dy_err", "excess")
    table = QTable(rows=rows or None, names=names, dtype=[int, float, float, int, *7 * [float]])
    for key in ("scale", "scale_err"):
        table[key] = table[key] / scale if scale != 0 else np.full(len(table), np.nan)
    positions = wcs.pixel_to_world(np.asarray(table["x"]), np.asarray(table["y"])).icrs
    for key, unit in {"x": u.pix, "y": u.pix, "dx": u.arcsec, "dy": u.arcsec, "dx_err": u.arcsec}.items():
        table[key].unit = unit
    table["dy_err"].unit = u.arcsec
    table = QTable(table)
    table.add_column(positions, name="sky_center", index=3)
    table["left_out"] = np.zeros(len(table), dtype=bool)
    for key in table.colnames:
        style = COLUMNS[key.removesuffix("_err")][1]
        if style is not None:
            table[key].info.format = style
    return describe(table, {key: words for key, (words, _) in COLUMNS.items()})


def misfitting_objects(labels, excess, valid):
    """
    Return the objects whose residuals are much larger than the noise, the worst first.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    excess : array of shape (n + 1,)
        As for `object_table`.
    valid : bool array of shape (ny, nx)
        The pixels that can be used.

    Returns
    -------
    list of int
        Their labels, as long as they cover less than two fifths of the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.fitting.objects import misfitting_objects
    >>> labels = np.zeros((40, 40), int)
    >>> labels[10:20, 10:20] = 1
    >>> misfitting_objects(labels, np.array([1.0, 5.0]), labels >= 0)
    [1]
    """
    found, total = [], 0
    for label in np.argsort(excess)[::-1]:
        if label == 0 or excess[label] <= MISFIT:
            continue
        pixels = object_pixels(labels, label).sum()
        if total + pixels <= LARGEST_FRACTION * valid.sum():
            found.append(int(label))
            total += pixels
    return found


def _linear_estimate(jacobian, residual, correlation):
    """Return an object's linear estimate of scale, dx and dy and its errors; NaN if it has none."""
    flat = jacobian.reshape(3, -1)
    normal = flat @ flat.T
    nothing = np.full(3, np.nan), np.full(3, np.nan)
    if not np.linalg.cond(normal) < 1e10:
        return nothing
    inverse = np.linalg.inv(normal)
    variances = np.diag(inverse @ score_covariance(jacobian, correlation) @ inverse)
    if variances.min() <= 0:
        return nothing
    return inverse @ flat @ residual.ravel(), np.sqrt(variances)
