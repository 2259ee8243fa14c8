"""Repair of a reference image: cosmic rays, hot pixels and small holes."""

import numpy as np
from astropy.table import QTable, vstack
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from astropy_imphot.reference.point_sources import sky_level, true_pixels
from astropy_imphot.results.columns import describe

__all__ = ["fill_holes", "repair_image", "repair_peaks"]

# The columns of the table of repairs.
COLUMNS = {
    "sky_center": "position on the sky",
    "x": "position along x in the HST image, 0 at the center of the first pixel",
    "y": "position along y in the HST image, 0 at the center of the first pixel",
    "n_pixels": "number of pixels that were repaired",
    "kind": "artefact or hole",
    "flux": "light that was removed, in the unit of the HST image",
}

# Light of the sky is not sharper than the PSF. A candidate exceeds the mean of its two neighbors along x or y
# by this factor times that of the PSF at the center of a star, and by so many standard deviations.
SHARPER = 2.2
CANDIDATE_SIGMA = 5.0

# What is fainter than this fraction of the highest pixel within a radius (arcsec) can be a ring or a spike of
# a star.
RING_FRACTION = 0.2
RING_RADIUS = 0.35

# The noise is measured in blocks of so many pixels along each axis.
BLOCK = 96

# Candidates are decided by L.A.Cosmic (van Dokkum 2001, PASP 113, 1420) on tiles, in pixels, with a border.
TILE, BORDER = 24, 6
LIMITS = {"sigclip": 4.5, "sigfrac": 0.3, "objlim": 2.0, "niter": 2}

# Holes count as observed up to this thickness, pixels, whatever their length; those in bright light, above so
# many standard deviations, are cores of saturated stars from another thickness on. Holes are filled up to so
# many pixels.
LARGEST_HOLE, LEAST_CORE = 3, 2
LARGEST_FILLED = 200
BRIGHT_SIGMA = 30.0

# The radius of a peak that is repaired, arcsec, at least 2.5 pixels.
PEAK_RADIUS = 0.12

# The radius of the neighbors that fill a pixel, and the standard deviation of their weights, pixels. Above so
# many standard deviations of the noise they are fitted by a polynomial of the second degree.
REACH, WEIGHT = 2, 1.0
CURVED_SIGMA = 3.0
LARGEST_CONDITION = 1e8


def fill_holes(data, observed):
    """
    Interpolate the small holes of an image.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The image; finite everywhere.
    observed : bool array of shape (ny, nx)
        True where it was observed.

    Returns
    -------
    data : array of shape (ny, nx)
        The image, with small holes interpolated from the pixels around them.
    observed : bool array of shape (ny, nx)
        True also in these holes.
    holes : bool array of shape (ny, nx)
        True in these holes only.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.reference.repair import fill_holes
    >>> observed = np.ones((20, 20), dtype=bool)
    >>> observed[5, 5] = observed[10:15, 10:15] = False
    >>> data, reached, holes = fill_holes(np.where(observed, 3.0, 0.0), observed)
    >>> float(data[5, 5]), bool(reached[12, 12]), int(holes.sum())
    (3.0, False, 1)
    """
    if observed.all():
        return data, observed, np.zeros(observed.shape, dtype=bool)
    sky, noise = sky_level(data, observed)
    holes, filled = _small_holes(data, observed, sky, noise)
    return _interpolated(data, filled, observed, sky + CURVED_SIGMA * noise), observed | holes, holes


def repair_image(data, observed, psf, pixel_scale, wcs):
    """
    Repair artefacts and small holes of an image.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The image; finite everywhere.
    observed : bool array of shape (ny, nx)
        True where it was observed.
    psf : `~astropy_imphot.psf.mean_profile.RadialPsf`
        Its PSF.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    wcs : `~astropy.wcs.WCS`
        Its WCS.

    Returns
    -------
    data : array of shape (ny, nx)
        The image, with repaired pixels interpolated from those around them.
    observed : bool array of shape (ny, nx)
        True also in holes that were interpolated.
    table : `~astropy.table.QTable`
        A row for each group of repaired pixels: sky_center, x and y (pixels), n_pixels, kind ("artefact" or
        "hole"), and flux, the light that was removed.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> from astropy_imphot.psf.mean_profile import RadialPsf
    >>> from astropy_imphot.reference.repair import repair_image
    >>> from astropy_imphot.simulation import sky_grid
    >>> image = np.random.default_rng(1).normal(0, 1.0, (100, 100))
    >>> image[40, 50:53] += 100
    >>> psf = RadialPsf(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}))
    >>> wcs = sky_grid((100, 100), 0.03).wcs
    >>> repaired, _, table = repair_image(image, np.ones((100, 100), bool), psf, (0.03, 0.03), wcs)
    >>> bool(repaired.max() < 10), table["kind"].tolist()
    (True, ['artefact'])
    """
    sky, noise = sky_level(data, observed)
    whole, observed, holes = fill_holes(data, observed)
    bright = sky + CURVED_SIGMA * noise
    artefacts = _artefacts(whole, sky, observed, _noise_map(whole, observed, noise), psf, pixel_scale)
    repaired = _interpolated(whole, artefacts, observed & ~artefacts, bright)
    table = _table({"artefact": artefacts, "hole": holes}, whole, repaired, wcs)
    return repaired, observed, table


def repair_peaks(data, observed, peaks, pixel_scale, table, wcs):
    """
    Repair peaks that are no point sources.

    Parameters
    ----------
    data, observed
        As for `repair_image`.
    peaks : dict of str to array of shape (n,)
        Their x, y (pixels) and flux.
    pixel_scale
        As for `repair_image`.
    table : `~astropy.table.QTable`
        What was repaired before.
    wcs
        As for `repair_image`.

    Returns
    -------
    data : array of shape (ny, nx)
        The image, with the pixels around the peaks interpolated.
    table : `~astropy.table.QTable`
        With a row for each of them as well.

    Examples
    --------
    See `~astropy_imphot.make_template`, which uses it.
    """
    bad = np.zeros(data.shape, dtype=bool)
    reach = [max(PEAK_RADIUS, 2.5 * scale) for scale in pixel_scale]
    for column, row in zip(peaks["x"], peaks["y"], strict=True):
        box = tuple(
            slice(max(0, int(place - radius / scale)), int(place + radius / scale) + 2)
            for place, radius, scale in zip((row, column), reach, pixel_scale, strict=True)
        )
        y, x = np.ogrid[box]
        away = np.hypot((y - row) * pixel_scale[0], (x - column) * pixel_scale[1])
        bad[box] |= (away < max(reach))[: bad[box].shape[0], : bad[box].shape[1]]
    filled = _interpolated(data, bad, observed, np.inf)
    return filled, vstack([table, _table({"artefact": bad}, data, filled, wcs)], metadata_conflicts="silent")


def _small_holes(data, observed, sky, noise):
    """Return the pixels of holes that count as observed, and of those that are filled."""
    missing = ~observed
    # Areas outside of the footprint have many pixels, for which this is faster than `_groups`.
    labels, count = ndimage.label(missing, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    rows, columns = true_pixels(missing)
    numbers = labels[rows, columns] - 1
    sizes = np.bincount(numbers, minlength=count)
    # Single holes touch each other where there are many of them, so that their length says nothing.
    is_small = ~_contain_a_block(labels, count, LARGEST_HOLE + 1)
    for number in np.flatnonzero(is_small & _contain_a_block(labels, count, LEAST_CORE)):
        window = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in boxes[number])
        rim = data[window][observed[window]]
        is_small[number] = not (len(rim) and np.median(rim) > sky + BRIGHT_SIGMA * noise)
    holes, filled = np.zeros((2, *data.shape), dtype=bool)
    holes[rows, columns], filled[rows, columns] = is_small[numbers], (sizes <= LARGEST_FILLED)[numbers]
    return holes, filled


def _contain_a_block(labels, count, size):
    """Return which groups of pixels contain a square of size x size pixels."""
    inside = labels > 0
    for axis in (0, 1):
        inside = ndimage.minimum_filter1d(inside, size, axis=axis, mode="nearest")
    found = np.zeros(count, dtype=bool)
    # The filter's window may reach beyond its center, but not out of the group.
    found[labels[inside] - 1] = True
    return found


def _artefacts(data, sky, observed, noise, psf, pixel_scale):
    """Return the pixels of cosmic rays and hot pixels."""
    candidates = _candidates(data, sky, observed, noise, psf, pixel_scale)
    artefacts, near = np.zeros((2, *data.shape), dtype=bool)
    if not len(candidates[0]):
        return artefacts
    found = _sharp_pixels(data, sky, observed, noise, candidates)
    # What L.A.Cosmic finds without a candidate can be a star.
    near[candidates] = True
    rows, columns = true_pixels(found)
    numbers = _groups(rows, columns)
    for own in np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1]):
        pixels = rows[own], columns[own]
        if near[pixels].any() and not _is_in_halo(data, sky, found, pixels, pixel_scale):
            artefacts[pixels] = True
    return artefacts


def _sharp_pixels(data, sky, observed, noise, candidates):
    """Return what L.A.Cosmic finds in the tiles with candidates."""
    from astroscrappy import detect_cosmics

    places = np.unique(np.array(candidates) // TILE, axis=1).T
    size = TILE + 2 * BORDER
    # Beyond the edges the image is reflected.
    axes = [np.pad(np.arange(length), (BORDER, size), mode="reflect") for length in data.shape]
    windows = [
        np.ix_(*(axis[place * TILE :][:size] for axis, place in zip(axes, pair, strict=True)))
        for pair in places
    ]
    tiles = np.concatenate([data[window] - sky for window in windows]).astype(np.float32)
    mask = ~np.concatenate([observed[window] for window in windows])
    levels = np.array([noise[tuple(place * TILE // BLOCK)] for place in places])
    variance = np.repeat(levels**2, size)[:, np.newaxis] * np.ones((1, size))
    flagged, _ = detect_cosmics(
        tiles,
        inmask=mask,
        invar=variance.astype(np.float32),
        gain=1.0,
        readnoise=float(np.median(levels)),
        satlevel=np.inf,
        **LIMITS,
    )
    found = np.zeros(data.shape, dtype=bool)
    for number, (row, column) in enumerate(places):
        tile = flagged[number * size + BORDER : number * size + BORDER + TILE, BORDER : BORDER + TILE]
        view = found[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        view |= tile[: view.shape[0], : view.shape[1]]
    return found


def _groups(rows, columns):
    """Return the number of the group of adjacent pixels that each of a few pixels of an image belongs to."""
    width = columns.max(initial=0) + 2
    flat = rows * width + columns
    pairs = []
    for step in (1, width - 1, width, width + 1):
        _, one, other = np.intersect1d(flat, flat - step, assume_unique=True, return_indices=True)
        pairs.append((one, other))
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(flat), len(flat)))
    return connected_components(graph, directed=False)[1]


def _is_in_halo(data, sky, found, pixels, pixel_scale):
    """Return whether a group of pixels is faint compared to what is around it."""
    window = tuple(
        slice(max(0, one.min() - round(RING_RADIUS / scale)), one.max() + 1 + round(RING_RADIUS / scale))
        for one, scale in zip(pixels, pixel_scale, strict=True)
    )
    others = data[window][~found[window]]
    return len(others) > 0 and data[pixels].max() - sky < RING_FRACTION * (others.max() - sky)


def _noise_map(data, observed, noise):
    """Return the noise in blocks of an image: it differs where exposures overlap, and between detectors."""
    found = np.full([-(-size // BLOCK) for size in data.shape], noise)
    for row, column in np.ndindex(*found.shape):
        block = (slice(row * BLOCK, (row + 1) * BLOCK, 3), slice(column * BLOCK, (column + 1) * BLOCK, 2))
        values = data[block][observed[block]]
        if len(values) > BLOCK:
            # The fainter half is that of the sky.
            low, middle = np.sort(values)[[int(0.16 * len(values)), len(values) // 2]]
            found[row, column] = max(middle - low, 0.5 * noise)
    return found


def _candidates(data, sky, observed, noise, psf, pixel_scale):
    """Return rows and columns of pixels that are sharper than the PSF in some direction."""
    inner = (slice(1, -1), slice(1, -1))
    rows, columns = true_pixels((data[inner] > sky + CANDIDATE_SIGMA * noise.min()) & observed[inner])
    rows, columns = rows + 1, columns + 1
    values, noise = data[rows, columns] - sky, noise[rows // BLOCK, columns // BLOCK]
    sharp = np.zeros(len(values), dtype=bool)
    for (up, right), step in zip(((1, 0), (0, 1)), pixel_scale, strict=True):
        ratio = SHARPER * float(psf(0.0) / psf(step))
        mean = 0.5 * (data[rows + up, columns + right] + data[rows - up, columns - right]) - sky
        error = noise * np.sqrt(1 + 0.5 * ratio**2)
        sharp |= values - ratio * np.maximum(mean, 0) > CANDIDATE_SIGMA * error
    return rows[sharp], columns[sharp]


def _interpolated(data, bad, good, bright):
    """Return an image with some pixels interpolated from good ones around them, from the outside in."""
    if not bad.any():
        return data
    filled, good = data.copy(), good & ~bad
    rows, columns = true_pixels(bad)
    while len(rows):
        values, known = _from_neighbors(filled, good, rows, columns, bright)
        if not known.any():
            filled[rows, columns] = np.median(filled[good]) if good.any() else 0.0
            break
        filled[rows[known], columns[known]] = values[known]
        good[rows[known], columns[known]] = True
        rows, columns = rows[~known], columns[~known]
    return filled


def _from_neighbors(data, good, rows, columns, bright):
    """Return the values of pixels from good ones around them, and whether there are any."""
    steps = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].reshape(2, -1)
    total, weights = np.zeros(len(rows)), np.zeros(len(rows))
    for up, right in steps.T:
        weight, value = _neighbor(data, good, rows + up, columns + right, up, right)
        total += weight * value
        weights += weight
    known = weights > 0
    values = np.divide(total, weights, out=np.zeros(len(rows)), where=known)
    curved = np.flatnonzero(known & (values > bright))
    if not len(curved):
        return values, known
    near_rows, near_columns = rows[curved], columns[curved]
    found = [_neighbor(data, good, near_rows + up, near_columns + right, up, right) for up, right in steps.T]
    weights, near = (np.array(one).T for one in zip(*found, strict=True))
    y, x = steps
    terms = np.array([np.ones_like(x), x, y, x**2, x * y, y**2], dtype=float)
    normal = np.einsum("np,ip,jp->nij", weights, terms, terms)
    right_side = np.einsum("np,ip->ni", weights * near, terms)
    enough = np.linalg.cond(normal) < LARGEST_CONDITION
    solved = np.linalg.solve(normal[enough], right_side[enough][..., np.newaxis])
    values[curved[enough]] = solved[:, 0, 0]
    return values, known


def _neighbor(data, good, rows, columns, up, right):
    """Return the weights and the values of pixels at a distance."""
    y, x = np.clip(rows, 0, data.shape[0] - 1), np.clip(columns, 0, data.shape[1] - 1)
    return np.exp(-(up**2 + right**2) / (2 * WEIGHT**2)) * good[y, x], data[y, x]


def _table(kinds, data, repaired, wcs):
    """Return the table of groups of repaired pixels."""
    parts = {key: [] for key in ("x", "y", "n_pixels", "kind", "flux")}
    for kind, pixels in kinds.items():
        rows, columns = true_pixels(pixels)
        groups = _groups(rows, columns)
        sizes = np.bincount(groups)
        parts["x"] += list(np.bincount(groups, weights=columns) / sizes)
        parts["y"] += list(np.bincount(groups, weights=rows) / sizes)
        parts["n_pixels"] += list(sizes)
        parts["kind"] += len(sizes) * [kind]
        removed = data[rows, columns] - repaired[rows, columns]
        light = removed if kind == "artefact" else np.zeros(len(rows))
        parts["flux"] += list(np.bincount(groups, weights=light))
    kinds = {"x": float, "y": float, "n_pixels": int, "kind": "U8", "flux": float}
    table = QTable({key: np.array(column, dtype=kinds[key]) for key, column in parts.items()})
    positions = wcs.pixel_to_world(np.asarray(table["x"]), np.asarray(table["y"]))
    table.add_column(getattr(positions, "icrs", positions), name="sky_center", index=0)
    return describe(table, COLUMNS)
