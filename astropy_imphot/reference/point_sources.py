"""
Point sources of the reference image: found and measured.

Stars move, vary and saturate. They have much information on the PSF, and none on the offset and the scale.
Hence they are not part of the template.
"""

import numpy as np
from astropy.stats import mad_std
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

__all__ = ["find_point_sources", "saturated_pixels", "sky_level", "true_pixels"]

# A peak has at least so many standard deviations of the noise in a pixel.
PEAK_SIGMA = 8.0
MOST_PEAKS = 3000

# The light within the first radius over that within the second, less that of the sky in the last annulus
# (arcsec), is at least this fraction of that of the PSF for a point source. Galaxies with a half-light radius
# of 0.12 arcsec have less.
INNER, OUTER, SKY = 0.2, 0.45, 0.65
CONCENTRATION = 0.82

# The highest pixel of a point source has at most so many times the fraction of its light that the PSF's has.
SHARPNESS = 1.7

# A peak without wings is an artefact: outside of the first radius it has less than this fraction of the light
# that the PSF has there, by so many standard deviations.
WINGS = 0.2
WINGS_SIGMA = 3.0

# Kinds of places: a peak or a place that the user gives (0), a saturated core, an artefact.
HOLE, ARTEFACT = 1, 2

# The least significance of the light within the first radius.
LEAST_SIGNIFICANCE = 10.0

# Two peaks that are closer are one source, arcsec.
SEPARATION = 0.15

# The flux of a star is known to this fraction: neighbors, and the PSF; and that of a saturated one.
FLUX_ERROR = 0.005
SATURATED_ERROR = 0.02

# Faint galaxies are as wide as this, arcsec: in an image with a wider PSF they cannot be told from point
# sources by their sharpness. This is also a pixel of MUSE: in images of smaller pixels, compact galaxies are
# not points, and the PSF has to be smaller than a pixel.
LARGEST_FWHM = 0.2

# A source is removed if it is closer than this to a place that the user gives, arcsec.
REMOVED_RADIUS = 0.5

# Radius for the fit of the PSF, arcsec, and in units of its FWHM, the larger one; and of a saturated star.
FIT_RADIUS = 0.25
FIT_RADIUS_FWHM = 0.75
SATURATED_RADIUS = 1.0

# The place that is fitted is closer than this to the peak, arcsec, and in units of the FWHM, the larger one.
LARGEST_SHIFT = 0.1
LARGEST_SHIFT_FWHM = 0.25

# Largest radius of a saturated core, arcsec. Its rim is brighter than this many standard deviations, and the
# light at a distance from it (arcsec) is as much fainter as this fraction of the PSF's: the light of galaxies
# falls less steeply.
LARGEST_CORE = 1.2
RIM_SIGMA = 30.0
RIM_CONTRAST = 0.3
RIM_DISTANCE = 0.3
HIGHEST_CONTRAST = 20.0

# Pixels at the full well: so many of them, adjacent, at this fraction of the highest value. The PSF varies
# more within them, or their contrast to those around them is less than this fraction of that of the PSF: the
# pixels at the center of a star can be equal.
PLATEAU_PIXELS = 4
PLATEAU = 0.985
FLATNESS = 0.9
PLATEAU_CONTRAST = 0.6


def saturated_pixels(data, observed, psf, pixel_scale):
    """
    Return the pixels that are clipped at the full well.

    Parameters
    ----------
    data, observed, psf, pixel_scale
        As for `find_point_sources`.

    Returns
    -------
    bool array of shape (ny, nx)
        True in groups of adjacent pixels that all have nearly the highest value of the image, and are less
        bright than the PSF of their surroundings.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> from astropy_imphot.psf.mean_profile import RadialPsf
    >>> from astropy_imphot.reference.point_sources import saturated_pixels
    >>> psf = RadialPsf(CircularPsf(MOFFAT, {"fwhm": 0.3, "beta": 2.5}))
    >>> y, x = np.mgrid[-20:21, -20:21]
    >>> star = 100 * psf(0.03 * np.hypot(x, y)) / psf(0.0)
    >>> everywhere = np.ones(star.shape, bool)
    >>> for well in (60, 200):
    ...     print(saturated_pixels(np.minimum(star, well), everywhere, psf, (0.03, 0.03)).sum())
    61
    0
    """
    found = np.zeros(data.shape, dtype=bool)
    highest = np.max(data, where=observed, initial=-np.inf)
    near = data >= PLATEAU * highest
    near &= observed
    if highest <= 0 or not PLATEAU_PIXELS <= np.count_nonzero(near) < 1e5:
        return found
    labels, _ = ndimage.label(near, np.ones((3, 3)))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        box = tuple(slice(max(0, one.start - 1), one.stop + 1) for one in box)
        own = labels[box] == label
        rim = ndimage.binary_dilation(own) & ~own & observed[box]
        if own.sum() < PLATEAU_PIXELS or not rim.any():
            continue
        y, x = ndimage.center_of_mass(own)
        rows, columns = np.indices(own.shape)
        profile = psf(np.hypot((rows - y) * pixel_scale[0], (columns - x) * pixel_scale[1]))
        is_flat = profile[own].min() > FLATNESS * profile[own].max()
        expected = profile[own].mean() / profile[rim].mean()
        is_bright = data[box][own].mean() > PLATEAU_CONTRAST * expected * data[box][rim].mean()
        if not (is_flat and is_bright):
            found[box] |= own
    return found


def find_point_sources(data, observed, psf, pixel_scale, *, added=(), removed=(), largest_fwhm=LARGEST_FWHM):
    """
    Find the point sources of an image.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The image, in any unit per pixel.
    observed : bool array of shape (ny, nx)
        True where it was observed; False in saturated cores.
    psf : `~astropy_imphot.psf.mean_profile.RadialPsf`
        Its PSF.
    pixel_scale : (float, float)
        Height and width of a pixel, arcsec.
    added, removed : arrays of shape (m, 2)
        Rows and columns of sources in addition to those that are found, and of those that are none
        (default: none).
    largest_fwhm : float
        The FWHM of the PSF, arcsec, up to which they are searched (default: 0.2).

    Returns
    -------
    dict of str to array of shape (n,)
        x and y (pixels, 0 at the center of the first), flux and flux_err (in the unit of the image),
        saturated, and artefact: a peak that is too sharp, or has no wings.

    Notes
    -----
    Point sources are peaks whose light is concentrated as that of the PSF, and no more than that. Saturated
    stars are holes with a bright rim. If the FWHM of the PSF is above ``largest_fwhm``, only those of
    ``added`` and artefacts are found.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> from astropy_imphot.psf.mean_profile import RadialPsf
    >>> from astropy_imphot.reference.point_sources import find_point_sources
    >>> from astropy_imphot.simulation import Star, simulate_field
    >>> field = simulate_field(seed=2, size=6.0, n_objects=0, stars=[Star(21.0, 1.0, 0.5)], hst_margin=2.0)
    >>> psf = RadialPsf(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}))
    >>> found = find_point_sources(field.hst.data, np.ones(field.hst.shape, bool), psf, (0.03, 0.03))
    >>> found["x"].round(1).tolist(), found["y"].round(1).tolist()
    ([199.3], [182.7])
    """
    sky, noise = sky_level(data, observed)
    given = np.column_stack([np.reshape(added, (-1, 2)), np.zeros(len(added))])
    holes = _holes(data, observed, psf, sky, noise, pixel_scale)
    peaks = _peaks(data, observed, psf, sky, noise, pixel_scale)
    if psf.fwhm > largest_fwhm:
        # What is sharper than the PSF is an artefact of any image; if they are stars, the PSF is wrong.
        holes, peaks = holes[:0], peaks[peaks[:, 2] == ARTEFACT]
    places = np.concatenate([given, holes, peaks])
    for row, column in np.reshape(removed, (-1, 2)):
        away = np.hypot((places[:, 0] - row) * pixel_scale[0], (places[:, 1] - column) * pixel_scale[1])
        places = places[away > REMOVED_RADIUS]
    rows = []
    for y, x, kind in places:
        row = (*_measured(data, observed, psf, pixel_scale, y, x, kind == HOLE, sky, noise), kind == ARTEFACT)
        away = [
            np.hypot((row[0] - x_0) * pixel_scale[1], (row[1] - y_0) * pixel_scale[0])
            for x_0, y_0, *_ in rows
        ]
        if row[2] > 0 and not any(one < SEPARATION for one in away):
            rows.append(row)
    columns = zip(*rows, strict=True) if rows else 6 * [[]]
    kinds = {"x": float, "y": float, "flux": float, "flux_err": float, "saturated": bool, "artefact": bool}
    return {
        key: np.array(column, dtype=kind) for (key, kind), column in zip(kinds.items(), columns, strict=True)
    }


def sky_level(data, observed):
    """
    Return the level and the noise of the sky.

    Parameters
    ----------
    data, observed
        As for `find_point_sources`.

    Returns
    -------
    level, noise : float
        The median of a sample of the pixels, and their standard deviation; 0 and 1 if none was observed.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.reference.point_sources import sky_level
    >>> image = np.random.default_rng(1).normal(3, 0.1, (200, 200))
    >>> [round(one, 1) for one in sky_level(image, np.ones(image.shape, bool))]
    [3.0, 0.1]
    """
    sample = data[::5, ::7][observed[::5, ::7]]
    if not len(sample):
        return 0.0, 1.0
    return float(np.median(sample)), float(mad_std(sample)) or 1e-6 * float(np.ptp(sample)) or 1.0


def true_pixels(mask):
    """Return rows and columns of the pixels of an image that are True."""
    # A fifth of the time of np.nonzero.
    return np.unravel_index(np.flatnonzero(mask), mask.shape)


def _peaks(data, observed, psf, sky, noise, pixel_scale):
    """Return rows and columns of the peaks that are as sharp as the PSF, the brightest first."""
    margin = [int(np.ceil(SKY / scale)) + 1 for scale in pixel_scale]
    rows, columns = _local_maxima(data, margin, sky + PEAK_SIGMA * noise)
    rows, columns = (places[observed[rows, columns]] for places in (rows, columns))
    order = np.argsort(data[rows, columns])[::-1][:MOST_PEAKS]
    rows, columns = rows[order], columns[order]
    if not len(rows):
        return np.zeros((0, 3))
    up, right = np.mgrid[-margin[0] : margin[0] + 1, -margin[1] : margin[1] + 1]
    radius = np.hypot(up * pixel_scale[0], right * pixel_scale[1])
    rings = [radius < INNER]
    edges = np.linspace(INNER, OUTER, 4)
    rings += [(radius >= low) & (radius < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    rings.append((radius >= OUTER) & (radius < SKY))
    if not all(ring.any() for ring in rings):
        # The pixels are too large.
        return np.zeros((0, 3))
    expected, sharpest = _expected(psf, radius, rings, pixel_scale)
    corners = rows - margin[0], columns - margin[1]
    stamps, valid = (sliding_window_view(one, radius.shape)[corners] for one in (data, observed))
    light, total, peak = _concentration(stamps, valid, rings)
    n_inner, n_outer = rings[0].sum(), sum(ring.sum() for ring in rings[1:-1])
    kept = valid[:, rings[0]].all(axis=1) & (total > 0)
    kept &= light > LEAST_SIGNIFICANCE * noise * np.sqrt(n_inner)
    kept &= light > CONCENTRATION * expected * total
    spread = WINGS_SIGMA * noise * np.sqrt(n_outer)
    wingless = total - light + spread < WINGS * (1 / expected - 1) * light
    sharp = peak > SHARPNESS * sharpest * light + 3 * noise
    kinds = np.where(wingless | sharp, ARTEFACT, 0)
    return np.column_stack([rows, columns, kinds])[kept].astype(float)


def _local_maxima(data, margin, threshold):
    """Return rows and columns of the pixels above a threshold of which no neighbor is higher."""
    inner = data[margin[0] : -margin[0], margin[1] : -margin[1]]
    rows, columns = (
        place + before for place, before in zip(true_pixels(inner > threshold), margin, strict=True)
    )
    for up, right in np.argwhere(np.ones((3, 3))) - 1:
        highest = ~(data[rows + up, columns + right] > data[rows, columns])
        rows, columns = rows[highest], columns[highest]
    return rows, columns


def _concentration(stamps, valid, rings):
    """Return the light in the first ring, that in all, and the central pixel, above the last ring."""
    medians = [_medians(stamps[:, ring], valid[:, ring]) for ring in rings[1:]]
    level = medians[-1]
    light = stamps[:, rings[0]].sum(axis=1) - level * rings[0].sum()
    # Medians leave neighbors out.
    total = light + sum(
        (median - level) * ring.sum() for median, ring in zip(medians[:-1], rings[1:-1], strict=True)
    )
    return light, total, stamps[:, stamps.shape[1] // 2, stamps.shape[2] // 2] - level


def _medians(values, valid):
    """Return medians of valid values along the second axis, NaN where there are none."""
    # A tenth of the time of np.nanmedian; NaN is sorted to the end.
    ordered, count = np.sort(np.where(valid, values, np.nan), axis=1), valid.sum(axis=1)
    each = np.arange(len(values))
    return 0.5 * (ordered[each, np.maximum(count - 1, 0) // 2] + ordered[each, count // 2])


def _expected(psf, radius, rings, pixel_scale):
    """Return the concentration of the PSF, and the largest fraction of its light in one pixel."""
    stamp = psf(radius)[np.newaxis] * np.prod(pixel_scale)
    light, total, peak = _concentration(stamp, np.ones(stamp.shape, dtype=bool), rings)
    return float(light[0] / total[0]), float(peak[0] / light[0])


def _holes(data, observed, psf, sky, noise, pixel_scale):
    """Return the centers of holes with a bright rim: the cores of saturated stars."""
    if observed.all():
        return np.zeros((0, 3))
    labels, _ = ndimage.label(~observed, np.ones((3, 3)))
    found = []
    largest = [2 * LARGEST_CORE / scale for scale in pixel_scale]
    far = [int(np.ceil((RIM_DISTANCE + 0.1) / scale)) + 1 for scale in pixel_scale]
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        size = [one.stop - one.start for one in box]
        # Bleeds are long.
        if min(size) > min(largest) or min(size) < 2:
            continue
        window = tuple(
            slice(max(0, one.start - width), one.stop + width) for one, width in zip(box, far, strict=True)
        )
        own, valid = labels[window] == label, observed[window]
        near = ndimage.binary_dilation(own) & valid
        away = ndimage.distance_transform_edt(~own, sampling=pixel_scale)
        around = (away > RIM_DISTANCE) & (away < RIM_DISTANCE + 0.1) & valid
        if not (near.any() and around.any()):
            continue
        level, beyond = np.median(data[window][near]) - sky, np.median(data[window][around]) - sky
        rim = np.sqrt(own.sum() * np.prod(pixel_scale) / np.pi)
        contrast = RIM_CONTRAST * float(psf(rim) / max(psf(rim + RIM_DISTANCE), 1e-12))
        if level > max(RIM_SIGMA * noise, min(contrast, HIGHEST_CONTRAST) * beyond):
            y, x = ndimage.center_of_mass(own)
            found.append((y + window[0].start, x + window[1].start, HOLE))
    return np.reshape(found, (-1, 3))


def _measured(data, observed, psf, pixel_scale, y, x, is_hole, sky, noise):
    """Return x, y, flux, its error and saturated of a source, by a fit of the PSF."""
    reach = SATURATED_RADIUS if is_hole else max(FIT_RADIUS, FIT_RADIUS_FWHM * psf.fwhm)
    box = tuple(
        slice(max(0, round(place - reach / scale)), round(place + reach / scale) + 1)
        for place, scale in zip((y, x), pixel_scale, strict=True)
    )
    stamp, valid = data[box], observed[box]
    rows, columns = np.indices(stamp.shape)
    around = tuple(
        slice(max(0, round(place - SKY / scale)), round(place + SKY / scale) + 1)
        for place, scale in zip((y, x), pixel_scale, strict=True)
    )
    near = observed[around]
    if not near.any():
        return x, y, 0.0, 0.0, is_hole
    level = sky if is_hole else np.percentile(data[around][near], 20)
    moved = x, y
    area = np.prod(pixel_scale)
    for _ in range(6):
        away_y, away_x = (
            (rows + box[0].start - moved[1]) * pixel_scale[0],
            (columns + box[1].start - moved[0]) * pixel_scale[1],
        )
        radius = np.hypot(away_y, away_x)
        inside = valid & (radius < reach)
        if inside.sum() < 8:
            break
        step = 1e-3
        profile, slope = psf(radius), (psf(radius + step) - psf(np.abs(radius - step))) / (2 * step)
        safe = np.maximum(radius, 1e-9)
        columns_ = (
            np.array([profile, -slope * away_x / safe, -slope * away_y / safe, np.ones_like(radius)]) * area
        )
        design = columns_[:, inside].T
        if is_hole:
            # Far from the core the PSF is better known.
            design = design[:, :3]
        weights = 1 / np.sqrt(noise**2 + (0.1 * stamp[inside]) ** 2) if is_hole else np.ones(inside.sum())
        solution = np.linalg.lstsq(design * weights[:, np.newaxis], (stamp[inside] - level) * weights)[0]
        flux = solution[0]
        if flux <= 0:
            break
        shift = np.clip(solution[1:3] / flux, -0.1, 0.1)
        moved = moved[0] + shift[0] / pixel_scale[1], moved[1] + shift[1] / pixel_scale[0]
        if np.abs(shift).max() < 1e-4:
            break
    if inside.sum() < 8 or np.hypot((moved[0] - x) * pixel_scale[1], (moved[1] - y) * pixel_scale[0]) > (
        0.5 if is_hole else max(LARGEST_SHIFT, LARGEST_SHIFT_FWHM * psf.fwhm)
    ):
        return x, y, 0.0, 0.0, is_hole
    variance = np.linalg.pinv((design * weights[:, np.newaxis]).T @ (design * weights[:, np.newaxis]))[0, 0]
    error = np.hypot(
        np.sqrt(variance) * (1 if is_hole else noise), (SATURATED_ERROR if is_hole else FLUX_ERROR) * flux
    )
    return moved[0], moved[1], float(flux), float(error), is_hole
