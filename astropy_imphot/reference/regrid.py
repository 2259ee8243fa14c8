"""Templates from HST images: cut out, filtered, interpolated on the MUSE grid, in MUSE units."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.nddata import block_reduce
from astropy.wcs.utils import pixel_to_pixel
from scipy import ndimage

from astropy_imphot.calibration.units import flux_factor, muse_unit
from astropy_imphot.io.aliases import accepts_reference
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import Source, naming
from astropy_imphot.io.filling import filled
from astropy_imphot.io.grid import Grid, image_grids_aligned, read_grid
from astropy_imphot.io.headers import NO_OVERLAP
from astropy_imphot.io.images import read_image
from astropy_imphot.io.quantities import to_value
from astropy_imphot.noise.autocorrelation import sky_variance
from astropy_imphot.psf.fourier import check_window, window_noise
from astropy_imphot.reference.point_sources import LARGEST_FWHM
from astropy_imphot.reference.preparation import NOTHING_VALID, prepare
from astropy_imphot.reference.resample import (
    border,
    coarser_wcs,
    finer_wcs,
    interpolate,
    lowpassed,
    padded_grid,
    stretched_wcs,
)
from astropy_imphot.reference.template import WINDOW_KEYWORD, HstTemplate, recorded_axes

__all__ = ["coarse_template", "make_exposure_template", "make_template", "regrid_hst_like_muse"]

# Samples of the template per MUSE pixel and axis: aliasing of what is above the MUSE
# Nyquist frequency stays outside the MUSE band.
OVERSAMPLE = 2

# The fraction of the pixels that is certainly fainter than the sky.
SKY_FRACTION = 0.01

# Areas of exact zeros that were not observed contain this one, in HST pixels; smaller ones occur in images of
# integers or after a lossy compression. All zeros were not observed if they are so many times more frequent
# than any other value, in a sample of the pixels.
AREA = np.ones((9, 9))
MORE_FREQUENT, SAMPLE = 50, 200_000


@accepts_reference
def make_template(
    hst,
    muse,
    *,
    margin=3.0,
    hst_window=None,
    psf=None,
    repair=False,
    point_sources=None,
    not_point_sources=None,
):
    """
    Make the template of an HST image for a MUSE image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image: at its own pixels; or on the MUSE grid; or a file that
        ``regrid_hst_to_muse`` wrote, which holds a template.
    muse : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
        The MUSE image or cube, of which only the header is read.
    margin : float or `~astropy.units.Quantity`
        Width of the template beyond the MUSE image on every side, arcsec (default: 3).
    hst_window : str, optional
        The decimation filter of an HST image that is on the MUSE grid:
        ``"blackman"`` for files of the classic imphot, ``"none"`` for no filter. By
        default (None) what its header records.
    psf : `~astropy_imphot.psf.shape.CircularPsf` or `HstPsf`, optional
        The PSF of the HST image. By default (None) point sources are not looked for, and nothing is repaired.
    repair : bool
        Repair cosmic rays and hot pixels (default: False). Small holes are interpolated in any case.
    point_sources, not_point_sources : `~astropy.coordinates.SkyCoord`, `~astropy.table.Table`, \
`~regions.Regions`, path or sequence of (float, float), optional
        Places of point sources in addition to those that are found, and places of those that are found and
        are none: as `~astropy_imphot.masking.places.sky_places` reads them. By default (None) there are none.

    Returns
    -------
    HstTemplate
        The template. With a PSF, its point sources are in ``sources``, and not in ``data``.

    Raises
    ------
    UserError
        If either cannot be read, they do not overlap, ``margin`` is negative, the
        fluxes cannot be converted, or the decimation filter is not known.

    Examples
    --------
    See `HstTemplate`.
    """
    if hst_window is not None:
        check_window(hst_window)
    grid, margin = _grid_and_margin(muse, margin)
    with naming(hst), Source.of(hst) as hst:
        return _template(
            hst, grid, margin, hst_window, _Preparation(psf, repair, point_sources, not_point_sources)
        )


def _grid_and_margin(muse, margin):
    """Return the grid of a MUSE image, with a unit, and the width of the margin in arcsec."""
    margin = to_value(margin, u.arcsec, "margin")
    if not margin >= 0:
        raise UserError(f"margin is {margin}: give 0 or more arcsec.")
    with naming(muse):
        grid = read_grid(muse)
        return replace(grid, unit=muse_unit(grid)), margin


@dataclass(frozen=True, eq=False)
class _Preparation:
    """What is done with the HST image at its own pixels."""

    psf: object
    repair: bool
    point_sources: object
    not_point_sources: object


def _template(hst, muse, margin, hst_window, preparation):
    hst_grid = read_grid(hst)
    if image_grids_aligned(hst_grid, muse):
        stored = HstTemplate.read(hst, muse)
        if stored is not None and hst_window is None:
            return stored
        window = hst_window or hst_grid.meta.get(WINDOW_KEYWORD)
        if window is None:
            raise UserError(
                "the HST image is on the MUSE grid, but its header does not record how it was filtered: "
                "give hst_window (--hst_window) 'blackman' for a file of the classic "
                "imphot or MPDAF, or 'none'."
            )
        return _from_aligned(read_image(hst), muse, margin, window)
    if WINDOW_KEYWORD in hst_grid.meta:
        raise UserError(
            "the HST image was regridded for another MUSE image: run regrid_hst_to_muse for this "
            "one, or give the HST image at its own pixels."
        )
    return _from_hst_pixels(hst, muse, margin, preparation)


def make_exposure_template(exposure, muse, *, margin):
    """
    Make the template of a MUSE image for another MUSE image, which can be on the same grid.

    Parameters
    ----------
    exposure : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The image that is the reference.
    muse : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `~astropy_imphot.io.grid.Grid`
        The MUSE image that is compared with it.
    margin : float or `~astropy.units.Quantity`
        Width of the template beyond that image on every side, arcsec.

    Returns
    -------
    HstTemplate
        The template, with all sources in ``data``: nothing is repaired.

    Raises
    ------
    UserError
        As `make_template` does.

    Examples
    --------
    >>> from astropy_imphot.reference.regrid import make_exposure_template
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> one, other = simulate_field(seed=1, size=12.0, truth=[Truth(), Truth(dx=0.3)]).muse
    >>> make_exposure_template(one, other, margin=2.0).muse_shape
    (60, 60)
    """
    grid, margin = _grid_and_margin(muse, margin)
    with naming(exposure):
        plain = _Preparation(None, repair=False, point_sources=None, not_point_sources=None)
        return _from_hst_pixels(exposure, grid, margin, plain)


def coarse_template(hst, muse, *, margin):
    """
    Make a coarse template, good enough to find the offset with.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image at its own pixels.
    muse : `~astropy_imphot.io.grid.Grid`
        The MUSE image.
    margin : float or `~astropy.units.Quantity`
        Width of the template beyond the MUSE image on every side, arcsec.

    Returns
    -------
    HstTemplate
        One sample per MUSE pixel, means of HST pixels, in the HST image's unit.

    Raises
    ------
    UserError
        If the HST image cannot be read, or does not overlap the MUSE field.

    Examples
    --------
    >>> from astropy_imphot.io.grid import Grid, read_grid
    >>> from astropy_imphot.reference.regrid import coarse_template
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> coarse_template(field.hst, read_grid(field.muse[0]), margin=12.0).grid_shape
    (176, 176)
    """
    grid = read_grid(muse)
    margin = to_value(margin, u.arcsec, "margin")
    with naming(hst):
        return _coarse_template(hst, grid, margin)


def _coarse_template(hst, grid, margin):
    before, shape = padded_grid(grid, margin)
    image = read_image(hst, footprint=border(grid.wcs, before, shape))
    observed = ~_unobserved(image)
    if not observed.any():
        raise UserError(NOTHING_VALID)
    size = max(1, int(min(grid.pixel_scale) / max(read_grid(image).pixel_scale)))
    layers = [filled(image.data, observed), *([] if observed.all() else [observed.astype(np.float32)])]
    # Along one axis after the other, which is faster.
    means = np.array(
        [block_reduce(block_reduce(layer, (size, 1), np.mean), (1, size), np.mean) for layer in layers]
    )
    (data, *fraction), reached = interpolate(
        means, coarser_wcs(image.wcs, size), Grid(finer_wcs(grid.wcs, 1, before), shape)
    )
    missing = np.where(reached, 1 - fraction[0] if fraction else 0, 1)
    field = tuple(slice(start, start + length) for start, length in zip(before, grid.shape, strict=True))
    if missing[field].min() == 1:
        raise UserError(NO_OVERLAP)
    return HstTemplate(
        data=data,
        missing=missing,
        grid=grid,
        oversample=1,
        margin=before,
        window="none",
        meta=image.meta,
    )


@accepts_reference
def regrid_hst_like_muse(hst, muse, *, margin=3.0):
    """
    Resample an HST image onto the pixels of a MUSE image, in its unit.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image at its own pixels.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image or cube, of which only the header is read.
    margin : float or `~astropy.units.Quantity`
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
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> image_grids_aligned(regrid_hst_like_muse(field.hst, field.muse[0]), field.muse[0])
    True
    """
    return make_template(hst, muse, margin=margin).image()


def _from_hst_pixels(hst, muse, margin, preparation):
    before, shape = padded_grid(muse, margin)
    image = read_image(hst, footprint=border(muse.wcs, before, shape))
    # The pixels are those of the field: others may be larger, in some projections by tens of percent.
    hst_grid = read_grid(image)
    # Fluxes per HST pixel become fluxes per MUSE pixel area.
    area_ratio = muse.pixel_area / hst_grid.pixel_area
    factor = flux_factor(image.unit, image.meta, muse.unit) * area_ratio
    unobserved = _unobserved(image)
    # Each single hole would mask all MUSE pixels around it.
    prepared = prepare(
        image,
        unobserved,
        hst_grid.pixel_scale,
        fill=True,
        largest_fwhm=min(LARGEST_FWHM, *muse.pixel_scale),
        **vars(preparation),
    )
    layers = _layers(prepared, image.uncertainty, unobserved)
    uniform = _calibrate_variance(layers, hst_grid.pixel_scale)
    stop = 0.5 * OVERSAMPLE / max(muse.pixel_scale)
    flat = np.hypot(*(0.5 / scale for scale in muse.pixel_scale))
    if flat >= stop:
        raise UserError("the pixels of the MUSE image are too oblong: give an image of nearly square pixels.")
    # Tables and polynomials of a distortion belong to the pixels.
    keep_pixels = image.wcs.has_distortion
    filtering = {"flat": flat, "stop": stop, "keep_pixels": keep_pixels}
    smooth = [lowpassed(layer, hst_grid.pixel_scale, **filtering) for layer in layers.values()]
    smooth_wcs = image.wcs if keep_pixels else stretched_wcs(image.wcs, smooth[0][1])
    finer = Grid(finer_wcs(muse.wcs, OVERSAMPLE, before), tuple(OVERSAMPLE * size for size in shape))
    resampled, reached = interpolate(np.array([layer for layer, _ in smooth]), smooth_wcs, finer)
    layers = dict(zip(layers, resampled, strict=True))
    if uniform is not None:
        layers["variance"] = np.full((1, 1), uniform)
    if not reached.any():
        raise UserError(NO_OVERLAP)
    if not reached.all():
        layers["data"] = np.where(reached, layers["data"], np.median(layers["data"][reached]))
        layers["missing"] = np.where(reached, layers.get("missing", 0), 1)
    for key, most in (("missing", 1), ("variance", None)):
        if key in layers:
            layers[key] = np.clip(layers[key], 0, most)
    _multiply(layers, factor, factor**2 / area_ratio)
    return HstTemplate(
        **layers,
        grid=muse,
        oversample=OVERSAMPLE,
        margin=before,
        window="none",
        meta=image.meta,
        hst_axes=_hst_axes(image.wcs, hst_grid.pixel_scale, muse),
        sources=prepared.sources_on(muse, factor / area_ratio),
        repairs=prepared.repairs,
    )


def _from_aligned(image, muse, margin, window):
    """Return the template of an image that is on the MUSE grid, unobserved around it."""
    before, shape = padded_grid(muse, margin)
    widths = [
        (first, length - size - first) for first, length, size in zip(before, shape, muse.shape, strict=True)
    ]
    factor = flux_factor(image.unit, image.meta, muse.unit)
    unobserved = _unobserved(image)
    prepared = prepare(image, unobserved, read_grid(image).pixel_scale)
    layers = {"missing": np.zeros(muse.shape)} | _layers(prepared, image.uncertainty, unobserved)
    _multiply(layers, factor, factor**2 / window_noise(window))
    around = {"data": np.median(layers["data"]), "missing": 1, "variance": 0}
    layers = {key: np.pad(layer, widths, constant_values=around[key]) for key, layer in layers.items()}
    return HstTemplate(
        **layers,
        grid=muse,
        oversample=1,
        margin=before,
        window=window,
        meta=image.meta,
        hst_axes=recorded_axes(image.meta),
    )


def _calibrate_variance(layers, pixel_scale):
    """
    Set the level of the variances by the noise of the image itself, if it has enough sky.

    Variances of drizzled images do not include its correlation, and weights are relative.
    Returns the variance if it is the same everywhere.
    """
    valid = layers["missing"] == 0 if "missing" in layers else np.ones(layers["data"].shape, dtype=bool)
    relative = 1.0
    if "variance" in layers:
        given = layers["variance"]
        known = given[valid & (given > 0)]
        typical = np.median(known) if known.size else 1.0
        relative = np.where(given > 0, given, typical) / typical
    level = sky_variance(layers["data"], valid, pixel_scale, np.sqrt(relative))
    if level is None:
        return None
    if "variance" not in layers:
        return level
    layers["variance"] = relative * level
    return None


def _hst_axes(hst_wcs, hst_pixel_scale, muse):
    """Return the rotation (and reflection) from the MUSE pixel axes to those of the HST image."""
    x, y = (muse.shape[1] - 1) / 2, (muse.shape[0] - 1) / 2
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    there = pixel_to_pixel(muse.wcs, hst_wcs, x + steps[:, 0], y + steps[:, 1])
    matrix = np.array([[one[0] - one[1], one[2] - one[3]] for one in there])
    matrix *= np.reshape(hst_pixel_scale[::-1], (2, 1)) / np.array(muse.pixel_scale[::-1])
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def _layers(prepared, uncertainty, unobserved):
    """Return the arrays of an image that a template is made of, in the image's unit."""
    layers = {"data": prepared.data}
    if not prepared.observed.all():
        layers["missing"] = (~prepared.observed).astype(np.float32)
    if uncertainty is not None:
        # Those of holes are typical ones, set by `_calibrate_variance`.
        layers["variance"] = np.where(prepared.observed & ~unobserved, uncertainty.array, 0)
    return layers


def _multiply(layers, factor, variance_factor):
    """Change the unit of a template's arrays."""
    layers["data"] = layers["data"] * factor
    if "variance" in layers:
        layers["variance"] = layers["variance"] * variance_factor


def _unobserved(image):
    """Return the pixels that are masked, or exact zeros outside the footprint."""
    bad = np.zeros(image.shape, dtype=bool) if image.mask is None else image.mask.copy()
    zero = image.data == 0
    if not zero.any():
        return bad
    light = image.data[~zero & ~bad]
    if light.size:
        # In an image that was drawn without noise, the sky is 0. In a real one, 0 is within
        # the noise, or well below a sky that was not subtracted.
        faintest = np.percentile(light, 100 * SKY_FRACTION)
        if faintest < 0 or faintest > 0.5 * np.median(light):
            bad |= zero if _is_a_blank(zero, light) else ndimage.binary_opening(zero, AREA)
    return bad


def _is_a_blank(zero, light):
    """Return whether 0 is the value of pixels without data: no other value is nearly as frequent."""
    values = light[:: 1 + light.size // SAMPLE]
    most = np.unique(values, return_counts=True)[1].max()
    return zero.sum() * values.size / zero.size > MORE_FREQUENT * most
