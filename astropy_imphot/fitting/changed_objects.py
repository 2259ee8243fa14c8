"""
Objects that moved or varied between the HST and the MUSE exposure.

A bright star that moved can dominate a fit, so that the residuals are on the galaxies. Hence scale and
offset are estimated on each object alone. Objects that differ from the weighted median of all objects have
changed. The weights include the motion and the variation that are typical of stars, so that no bright star
dominates the median.
"""

import astropy.units as u
import numpy as np
from astropy.stats import mad_std
from astropy.table import QTable
from scipy import ndimage

from astropy_imphot.masking.masks import detected_objects
from astropy_imphot.noise.autocorrelation import autocorrelation
from astropy_imphot.noise.covariance import score_covariance
from astropy_imphot.results.columns import describe

__all__ = [
    "EARLIER_ROUND",
    "are_compact",
    "compare_objects",
    "object_pixels",
    "segment_objects",
    "with_sky_positions",
]

# The columns of the table of objects: what they are, and their formats.
COLUMNS = {
    "label": ("label of the object's pixels", None),
    "x": ("position along x, 0 at the center of the first pixel", ".1f"),
    "y": ("position along y, 0 at the center of the first pixel", ".1f"),
    "sky_center": ("position on the sky", None),
    "n_pixels": ("number of pixels", None),
    "scale": ("flux scale less the weighted median, as a fraction", ".4f"),
    "dx": ("offset along x less the weighted median", ".4f"),
    "dy": ("offset along y less the weighted median", ".4f"),
    "compact": ("whether it is compact, such as a star", None),
    "changed": ("whether it differs significantly", None),
    "reason": ("moved, varied, appeared, or earlier round", None),
    "left_out": ("whether it was masked", None),
}

# The reason of objects that are masked because they differed in an earlier round of the fit only.
EARLIER_ROUND = "earlier round"

# Detection: standard deviations of the noise in a pixel, and connected pixels.
DETECTION_SIGMA = 3.0
DETECTION_PIXELS = 5

# Pixels around an object that belong to it as well: pixels in each direction.
WIDENING = 2

# An object that changed is masked with its wings: their width, in units of its radius.
WINGS = 0.7

# Differences below these limits are ignored: arcsec, and a fraction of the scale.
OFFSET_TOLERANCE = 0.010
SCALE_TOLERANCE = 0.03

# Galaxies neither move nor vary, but stars and QSOs do. Typical motion (arcsec), from the proper motions of
# stars in the UDF over 11 years (0.04 to 0.3 arcsec; Pirzkal et al. 2005, ApJ 622, 319), and typical
# variation (fraction of the scale), from fluxes of stars in HST images (10 to 20 % low; Riess 2003,
# ISR ACS 2003-009).
COMPACT_MOTION = 0.1
COMPACT_VARIATION = 0.15

# An object is compact if this fraction of the light within the larger radius (arcsec) is
# within the smaller one. The fraction is 0.82 to 0.88 for a point source, with any HST PSF of FWHM
# 0.085 to 0.14 arcsec in a template sampled at 0.1 arcsec, and above 0.5 for few galaxies.
COMPACT_RADII = (0.21, 0.61)
COMPACT_FRACTION = 0.64

# A difference is significant above this many standard deviations of the object's value.
SIGNIFICANCE = 5.0

# A difference has to exceed this many standard deviations of the weighted median as well.
MEDIAN_SIGNIFICANCE = 3.0

# The linear estimate of the scale is not valid for an object that moved farther than this, arcsec.
LINEAR_OFFSET = 0.05

# An object appeared if this fraction of its light is in the MUSE image only.
NEW_LIGHT = 0.5

# Objects that changed are masked up to this fraction of the pixels.
LARGEST_FRACTION = 0.4

# A plane is fitted to the sky if it has at least so many pixels.
LEAST_SKY = 100

# No weighted median is used if there are fewer objects, or if its standard deviation is larger (arcsec,
# fraction of the scale).
LEAST_OBJECTS = 4
LARGEST_OFFSET_ERROR = 0.015
LARGEST_SCALE_ERROR = 0.05


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
    >>> from astropy_imphot.fitting.changed_objects import segment_objects
    >>> image = np.random.default_rng(1).normal(0, 0.01, (50, 50))
    >>> image[20:25, 30:35] += 1
    >>> int(segment_objects(image, np.zeros(image.shape), np.ones(image.shape, bool)).max())
    1
    """
    noise = mad_std((data - model)[valid])
    brighter = np.where(valid, np.maximum(data, model), 0)
    labels = detected_objects(brighter, DETECTION_SIGMA * noise, DETECTION_PIXELS)
    return np.where(valid, _widened(labels), 0)


def are_compact(template, x, y):
    """
    Return which objects are compact in the HST image, such as point sources.

    Parameters
    ----------
    template : `~astropy_imphot.HstTemplate`
        The HST image around the MUSE field.
    x, y : arrays of shape (n,)
        Positions of the objects in the HST image, in MUSE pixels.

    Returns
    -------
    bool array of shape (n,)
        True for stars, QSOs and very compact galaxies; False for all if the template's sampling is too
        coarse for the smaller radius.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.fitting.changed_objects import are_compact
    >>> from astropy_imphot.simulation import simulate_field
    >>> field = simulate_field(seed=3, size=10.0, n_stars=0)
    >>> template = make_template(field.hst, field.muse[0])
    >>> are_compact(template, np.array([10.0]), np.array([10.0]))
    array([False])
    """
    height, width = (scale / template.oversample for scale in template.pixel_scale)
    compact = np.zeros(len(x), dtype=bool)
    if max(height, width) > COMPACT_RADII[0] / 2:
        return compact
    reach = int(np.ceil(COMPACT_RADII[1] / min(height, width)))
    up, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.hypot(up * height, right * width)
    # A ninth of the samples is enough for the level of the sky.
    padded = np.pad(template.data - np.median(template.data[::3, ::3]), 2 * reach)
    rows = template.oversample * (np.asarray(y) + template.margin[0]) + 2 * reach
    columns = template.oversample * (np.asarray(x) + template.margin[1]) + 2 * reach
    for index, place in enumerate(zip(rows.round().astype(int), columns.round().astype(int), strict=True)):
        near = _stamp(padded, place, reach)
        if min(place) < reach or near.shape != away.shape:
            continue
        peak = np.unravel_index(near.argmax(), near.shape)
        stamp = _stamp(padded, np.add(place, peak) - reach, reach)
        inner, outer = (np.sum(stamp[away <= radius]) for radius in COMPACT_RADII)
        compact[index] = inner > COMPACT_FRACTION * outer > 0
    return compact


def _stamp(image, place, reach):
    row, column = place
    return image[row - reach : row + reach + 1, column - reach : column + reach + 1]


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
    >>> from astropy_imphot.fitting.changed_objects import object_pixels
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


def compare_objects(labels, jacobian, residual, weights, scale, pixel_scale, compact):
    """
    Compare the scale and the offset of each object with the weighted median of all objects.

    Parameters
    ----------
    labels : int array of shape (ny, nx)
        From `segment_objects`.
    jacobian : array of shape (3, ny, nx)
        Weighted derivatives of the model with respect to scale, dx and dy.
    residual : array of shape (ny, nx)
        Weighted residuals.
    weights : array of shape (ny, nx)
        1/standard deviation, 0 where a pixel cannot be used.
    scale : float
        The fit's scale.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    compact : callable
        Returns which objects are compact, from their x and y (pixels), see `are_compact`.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each object: label, x, y (pixels), n_pixels; scale, dx and dy (arcsec)
        less the weighted median, scale as a fraction, with their errors (``_err``; NaN for an object that is
        not in the HST image); ``compact``; ``changed``, whether the object differs significantly and by
        more than 10 mas or 3 %, and the ``reason``: moved, varied, appeared; and
        ``left_out``, whether the object is masked, see the notes. In a fit's table it is
        also True, for the reason ``earlier round``, for objects that differed in an earlier round only.

    Notes
    -----
    An object's own values are the linear estimate A^-1 J^T r on its pixels, with A = J^T J
    and the covariance A^-1 J^T C J A^-1, where C is the autocorrelation of the residuals
    on the sky, and r the residuals less a plane through the sky.

    The weights of the median are 1/(error^2 + scatter^2), where the scatter is 10 mas and 3 % for
    galaxies, 0.1 arcsec and 15 % for compact objects. A significant rotation of the objects about the center
    is subtracted. No object is marked as moved if the standard deviation of a median offset is above 15 mas,
    none as varied if that of the median scale is above 5 %, and neither if there are fewer than 4 objects.

    The estimate is one step of a fit. For a motion of 0.25 arcsec it is a fifth too small, and the scale is
    not valid.

    An object appeared if half of its light is not in the HST image; no median is needed for that. Objects
    that changed are masked, the most significant ones first, up to two fifths of the pixels.

    Examples
    --------
    See `~astropy_imphot.fit_image_photometry`, whose result holds the table.
    """
    valid = weights > 0
    sky = valid & (labels == 0)
    residual = _less_plane(residual, weights, sky)
    correlation = autocorrelation(np.where(sky, residual, 0), sky) if sky.any() else np.ones((1, 1))
    rows, covariances = [], []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = (labels[box] == index) & valid[box]
        if not inside.any():
            continue
        box_jacobian, box_residual = jacobian[:, *box] * inside, residual[box] * inside
        values, covariance = _linear_estimate(box_jacobian, box_residual, correlation)
        y, x = np.nonzero(inside)
        place = x.mean() + box[1].start, y.mean() + box[0].start
        new_light = _new_light(box_residual, scale * box_jacobian[0], inside, correlation)
        rows.append((index, *place, len(x), *values, new_light))
        covariances.append(covariance)
    names = ("scale", "dx", "dy")
    table = QTable(
        rows=rows or None,
        names=["label", "x", "y", "n_pixels", *names, "new_light"],
        dtype=[int, float, float, int, float, float, float, float],
    )
    to_fraction = np.array([1 / scale if scale != 0 else np.nan, 1, 1])
    covariances = np.reshape(covariances, (-1, 3, 3)) * np.outer(to_fraction, to_fraction)
    values = np.reshape([table[key] for key in names], (3, -1)) * to_fraction[:, np.newaxis]
    table["compact"] = compact(table["x"], table["y"])
    places = [table[key] - (size - 1) / 2 for key, size in zip("xy", labels.shape[::-1], strict=True)]
    places = np.reshape(places, (2, -1)) * np.reshape(pixel_scale[::-1], (2, 1))
    errors = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)).T
    values, median_errors = _less_median(values, errors, table["compact"], places)
    _mark_changed(table, values, covariances, median_errors)
    for key, value, error in zip(names, values, errors, strict=True):
        unit = u.dimensionless_unscaled if key == "scale" else u.arcsec
        table[key] = value * unit
        table[f"{key}_err"] = error * unit
    table["x"].unit = table["y"].unit = u.pix
    table["left_out"] = _masked(table, labels, LARGEST_FRACTION * valid.sum())
    del table["new_light"], table["significance"]
    return _described(table)


def with_sky_positions(objects, wcs):
    """
    Return the table of objects with their positions on the sky.

    Parameters
    ----------
    objects : `~astropy.table.QTable` or None
        From `compare_objects`.
    wcs : `~astropy.wcs.WCS`
        Of the MUSE image.

    Returns
    -------
    `~astropy.table.QTable` or None
        A copy with the column ``sky_center``, a `~astropy.coordinates.SkyCoord` in ICRS, after x and y; None
        for None.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.fitting.changed_objects import with_sky_positions
    >>> from astropy_imphot.simulation import CENTER, sky_grid
    >>> objects = QTable({"x": [29.5] * u.pix, "y": [24.5] * u.pix})
    >>> objects = with_sky_positions(objects, sky_grid((50, 60)).wcs)
    >>> objects.colnames, bool(objects["sky_center"][0].separation(CENTER) < 1 * u.mas)
    (['x', 'y', 'sky_center'], True)
    """
    if objects is None:
        return None
    positions = wcs.pixel_to_world(*(objects[key].to_value(u.pix) for key in "xy")).icrs
    objects = objects.copy()
    objects.add_column(positions, name="sky_center", index=objects.colnames.index("y") + 1)
    return _described(objects)


def _described(table):
    for key in table.colnames:
        style = COLUMNS[key.removesuffix("_err")][1]
        if style is not None:
            table[key].info.format = style
    return describe(table, {key: words for key, (words, _) in COLUMNS.items()})


def _less_plane(residual, weights, sky):
    """Subtract a plane through the sky, which would otherwise bias the objects' values."""
    if sky.sum() < LEAST_SKY:
        return residual
    y, x = np.indices(residual.shape) - np.reshape(residual.shape, (2, 1, 1)) / 2
    columns = np.array([weights, x * weights, y * weights])
    solution = np.linalg.lstsq(columns[:, sky].T, residual[sky])[0]
    return residual - np.tensordot(solution, columns, axes=1)


def _new_light(residual, light, inside, correlation):
    """Return the significance of an object's excess over the model, 0 unless it is most of its light."""
    excess = residual.sum()
    if excess <= NEW_LIGHT * (excess + light.sum()):
        return 0.0
    ((variance,),) = score_covariance(inside[np.newaxis].astype(float), correlation)
    return float(excess / np.sqrt(max(variance, 1e-300)))


def _less_median(values, errors, compact, places):
    """Return the objects' values less their weighted medians, and the medians' standard deviations."""
    measured = np.isfinite(errors).all(axis=0)
    if measured.sum() < LEAST_OBJECTS:
        return values, np.full(3, np.inf)
    scatter = np.where(
        compact,
        np.reshape([COMPACT_VARIATION, COMPACT_MOTION, COMPACT_MOTION], (3, 1)),
        np.reshape([SCALE_TOLERANCE, OFFSET_TOLERANCE, OFFSET_TOLERANCE], (3, 1)),
    )
    weights = 1 / (errors**2 + scatter**2)
    medians, median_errors = _weighted_medians(values[:, measured], weights[:, measured])
    x, y = places
    square = np.maximum(x**2 + y**2, 1e-6)
    angles = (x * (values[2] - medians[2]) - y * (values[1] - medians[1])) / square
    (angle,), (angle_error,) = _weighted_medians(
        angles[np.newaxis, measured], (weights[1:].mean(axis=0) * square)[np.newaxis, measured]
    )
    if abs(angle) > SIGNIFICANCE * angle_error:
        values = values - angle * np.array([np.zeros_like(x), -y, x])
        medians, median_errors = _weighted_medians(values[:, measured], weights[:, measured])
    return values - medians[:, np.newaxis], median_errors


def _weighted_medians(values, weights):
    """Return weighted medians, and their standard deviations."""
    medians = np.array([_weighted_median(*one) for one in zip(values, weights, strict=True)])
    # Of many Gaussian values, the median's variance is pi/2 times that of the mean.
    return medians, np.sqrt(0.5 * np.pi / weights.sum(axis=1))


def _mark_changed(table, values, covariances, median_errors):
    """Add the columns changed, reason and significance."""
    known = median_errors < [LARGEST_SCALE_ERROR, LARGEST_OFFSET_ERROR, LARGEST_OFFSET_ERROR]
    measured = np.isfinite(values).all(axis=0)
    values, covariances = (
        np.where(measured, values, 0),
        np.where(measured[:, np.newaxis, np.newaxis], covariances, np.eye(3)),
    )
    distance = np.hypot(*values[1:])
    scale_sigma = np.abs(values[0]) / np.sqrt(covariances[:, 0, 0])
    offsets = values[1:].T
    offset_sigma = np.sqrt(
        np.einsum("ni,nij,nj->n", offsets, np.linalg.pinv(covariances[:, 1:, 1:]), offsets)
    )
    least = MEDIAN_SIGNIFICANCE * np.where(known, median_errors, np.inf)
    appeared = np.asarray(table["new_light"]) > SIGNIFICANCE
    moved = (distance > max(OFFSET_TOLERANCE, *least[1:])) & (offset_sigma > SIGNIFICANCE)
    varied = (np.abs(values[0]) > max(SCALE_TOLERANCE, least[0])) & (scale_sigma > SIGNIFICANCE)
    varied &= ~(moved & (distance > LINEAR_OFFSET))
    found = {"moved": moved & ~appeared, "varied": varied & ~appeared, "appeared": appeared}
    table["changed"] = np.any(list(found.values()), axis=0)
    table["reason"] = np.array(
        [", ".join(reason for reason, true in found.items() if true[row]) for row in range(len(table))],
        # Wide enough for EARLIER_ROUND.
        dtype="U16",
    )
    table["significance"] = np.max([scale_sigma, offset_sigma, table["new_light"]], axis=0)


def _masked(table, labels, most_pixels):
    """Return which objects are masked: those that changed, the most significant ones first."""
    masked = np.zeros(len(table), dtype=bool)
    total = 0
    for row in np.argsort(table["significance"])[::-1]:
        if table["changed"][row]:
            pixels = object_pixels(labels, table["label"][row]).sum()
            masked[row] = total + pixels <= most_pixels
            total += pixels * masked[row]
    return masked


def _linear_estimate(jacobian, residual, correlation):
    """Return an object's linear estimate of scale, dx and dy and its covariance; NaN if it has none."""
    flat = jacobian.reshape(3, -1)
    normal = flat @ flat.T
    nothing = np.full(3, np.nan), np.full((3, 3), np.nan)
    if not np.linalg.cond(normal) < 1e10:
        return nothing
    inverse = np.linalg.inv(normal)
    covariance = inverse @ score_covariance(jacobian, correlation) @ inverse
    if np.diag(covariance).min() <= 0:
        return nothing
    return inverse @ flat @ residual.ravel(), covariance


def _weighted_median(values, weights):
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return values[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])]


def _widened(labels):
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(distance <= WIDENING, labels[tuple(nearest)], 0)
