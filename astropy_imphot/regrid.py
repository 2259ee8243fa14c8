"""
HST images made ready for a MUSE image: cut out, filtered, interpolated, in MUSE units.
"""

import numpy as np

from astropy_imphot.errors import UserError
from astropy_imphot.files import source_name
from astropy_imphot.io import read_grid, read_image
from astropy_imphot.otf import WINDOWS
from astropy_imphot.resample import border, interpolate, lowpassed, padded_grid, resampled_wcs
from astropy_imphot.rescale import flux_factor, image_grids_aligned, muse_unit
from astropy_imphot.template import MISSING_LIMIT, WINDOW_KEYWORD, HstTemplate

__all__ = ["make_template", "regrid_hst_like_muse"]

# Samples of the template per MUSE pixel and axis: aliasing of what is above the MUSE
# Nyquist frequency stays outside the MUSE band.
OVERSAMPLE = 2

# Exact zeros mean "not observed" in images whose noise goes below zero.
NEGATIVE_FRACTION = 0.01


def make_template(hst, muse, *, margin=3.0, hst_window=None):
    """
    Make the template of an HST image for a MUSE image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image: at its own pixels; or on the MUSE grid; or a file that
        `regrid_hst_to_muse` wrote, which holds a template.
    muse : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `Grid`
        The MUSE image or cube, of which only the header is read.
    margin : float
        How far the template reaches over the MUSE image on every side, arcsec
        (default: 3).
    hst_window : str, optional
        The decimation filter that an HST image on the MUSE grid went through:
        ``"blackman"`` for files of the classic imphot, ``"none"`` for no filter. By
        default (None) what its header records.

    Returns
    -------
    HstTemplate
        The template.

    Raises
    ------
    UserError
        If either cannot be read, they do not overlap, ``margin`` is negative, the
        fluxes cannot be converted, or the decimation filter is not known.

    Examples
    --------
    See `HstTemplate`.
    """
    if not margin >= 0:
        raise UserError(f"margin is {margin}: give 0 or more arcsec.")
    if hst_window is not None and hst_window not in WINDOWS:
        raise UserError(f"hst_window is {hst_window!r}: choose from {', '.join(WINDOWS)}.")
    muse = read_grid(muse)
    name = source_name(hst, "the HST image")
    hst_grid = read_grid(hst)
    if image_grids_aligned(hst_grid, muse):
        stored = HstTemplate.read(hst, muse)
        if stored is not None and hst_window is None:
            return stored
        window = hst_window or hst_grid.meta.get(WINDOW_KEYWORD)
        if window is None:
            raise UserError(
                f"{name} is on the MUSE grid but does not record how it was filtered: "
                "give hst_window (--hst_window) 'blackman' for a file of the classic "
                "imphot or MPDAF, or 'none'."
            )
        return _from_aligned(read_image(hst), muse, margin, window, name)
    if WINDOW_KEYWORD in hst_grid.meta:
        raise UserError(
            f"{name} was regridded for another MUSE image: run regrid_hst_to_muse for this "
            "one, or give the HST image at its own pixels."
        )
    return _from_hst_pixels(hst, hst_grid, muse, margin, name)


def regrid_hst_like_muse(hst, muse, *, margin=3.0):
    """
    Resample an HST image onto the pixels of a MUSE image, in its unit.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image at its own pixels.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image or cube, of which only the header is read.
    margin : float
        How much of the sky around the MUSE image is used, arcsec (default: 3).

    Returns
    -------
    `~astropy.nddata.CCDData`
        The HST image on the MUSE grid, (ny, nx), low-passed by a Blackman window that
        its header records (keyword DECIMWIN), with its variance if the HST image has
        one, and masked where HST did not observe. A fit to it loses the pixels next to
        its edges, which `HstTemplate` and the script ``regrid_hst_to_muse`` keep.

    Raises
    ------
    UserError
        As for `make_template`.

    Examples
    --------
    >>> from astropy_imphot import image_grids_aligned, regrid_hst_like_muse
    >>> from astropy_imphot.simulate import simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> image_grids_aligned(regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0])
    True
    """
    return make_template(hst, muse, margin=margin).image()


def _from_hst_pixels(hst, hst_grid, muse, margin, name):
    unit = muse_unit(muse)
    before, grid_shape = padded_grid(muse, margin)
    wcs = resampled_wcs(muse.wcs, OVERSAMPLE, before)
    shape = tuple(OVERSAMPLE * size for size in grid_shape)
    try:
        image = read_image(hst, footprint=border(muse.wcs, before, grid_shape))
    except UserError as error:
        if "overlap" in str(error):
            raise UserError(
                f"{name} does not overlap the MUSE field on the sky: give an image that does."
            ) from error
        raise
    # Fluxes per HST pixel become fluxes per MUSE pixel area.
    area_ratio = np.prod(muse.pixel_scale) / np.prod(hst_grid.pixel_scale)
    factor = flux_factor(image.unit, image.meta, unit, name) * area_ratio
    unobserved = _unobserved(image)
    if unobserved.all():
        raise UserError(f"{name} has no valid pixel within the MUSE field: check its mask and weights.")
    layers = [np.where(unobserved, np.median(image.data[~unobserved]), image.data) * factor]
    if unobserved.any():
        layers.append(unobserved.astype(float))
    if image.uncertainty is not None:
        variance = np.where(unobserved, 0, image.uncertainty.array)
        layers.append(variance * factor**2 / area_ratio)
    stop = 0.5 * OVERSAMPLE / max(muse.pixel_scale)
    flat = np.hypot(*(0.5 / scale for scale in muse.pixel_scale))
    layers = [lowpassed(layer, hst_grid.pixel_scale, flat, stop) for layer in layers]
    resampled, footprint = interpolate(np.array(layers), image.wcs, wcs, shape)
    outside = footprint == 0
    data, *others = resampled
    missing = None
    if unobserved.any():
        missing = np.clip(others.pop(0), 0, 1)
    if outside.any():
        missing = np.where(outside, 1, 0 if missing is None else missing)
        data = np.where(outside, np.median(data[~outside]), data)
    if missing is not None and np.all(missing > MISSING_LIMIT):
        raise UserError(f"{name} does not overlap the MUSE field on the sky: give an image that does.")
    return HstTemplate(
        data=data,
        missing=missing,
        variance=np.where(outside, 0, np.clip(others[0], 0, None)) if others else None,
        wcs=wcs,
        unit=unit,
        oversample=OVERSAMPLE,
        margin=before,
        muse_shape=muse.shape,
        pixel_scale=muse.pixel_scale,
        window="none",
        meta=image.meta,
    )


def _from_aligned(image, muse, margin, window, name):
    """Return the template of an image that is on the MUSE grid, unobserved around it."""
    unit = muse_unit(muse)
    before, grid_shape = padded_grid(muse, margin)
    field = tuple(slice(start, start + size) for start, size in zip(before, muse.shape, strict=True))
    factor = flux_factor(image.unit, image.meta, unit, name)
    bad = _unobserved(image)
    if bad.all():
        raise UserError(f"{name} has no valid pixel: check its mask.")
    missing = np.ones(grid_shape)
    missing[field] = bad
    data = np.full(grid_shape, np.median(image.data[~bad]) * factor)
    data[field] = np.where(bad, data[0, 0], image.data * factor)
    variance = None
    if image.uncertainty is not None:
        variance = np.zeros(grid_shape)
        variance[field] = np.where(bad, 0, image.uncertainty.array * factor**2)
    return HstTemplate(
        data=data,
        missing=missing,
        variance=variance,
        wcs=resampled_wcs(muse.wcs, 1, before),
        unit=unit,
        oversample=1,
        margin=before,
        muse_shape=muse.shape,
        pixel_scale=muse.pixel_scale,
        window=window,
        meta=image.meta,
    )


def _unobserved(image):
    """Return the pixels that were masked, or are the exact zeros outside a footprint."""
    bad = ~np.isfinite(image.data)
    if image.mask is not None:
        bad |= image.mask
    zero = image.data == 0
    if np.mean(image.data[~zero & ~bad] < 0) > NEGATIVE_FRACTION:
        bad |= zero
    return bad
