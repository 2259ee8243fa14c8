"""MUSE images corrected by the results of a fit."""

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from scipy import fft, ndimage

from astropy_imphot._version import version
from astropy_imphot.calibration.units import muse_unit
from astropy_imphot.fitting.statistics import pixel_coordinates
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import naming
from astropy_imphot.io.grid import image_grids_aligned, read_grid
from astropy_imphot.io.images import read_image

__all__ = ["apply_corrections"]

CORRECTIONS = ("xy", "scale", "zero")

# What the header of a corrected image records: value of the fit, keyword, comment.
RECORDED = {
    "xy": {
        "dx": ("IMPHDX", "[arcsec] offset along x, {how}"),
        "dy": ("IMPHDY", "[arcsec] offset along y, {how}"),
        "rotation": ("IMPHROT", "[deg] rotation, corrected in the WCS"),
    },
    "scale": {"scale": ("IMPHSCAL", "flux scale, pixels were divided by it")},
    "zero": {
        "bg": ("IMPHBG", "background, subtracted, unit of BUNIT"),
        "bg_x": ("IMPHBGX", "its gradient along x, per arcsec"),
        "bg_y": ("IMPHBGY", "its gradient along y, per arcsec"),
    },
}
COMMENTS = {keyword: comment for values in RECORDED.values() for keyword, comment in values.values()}
VERSION_KEYWORD = "IMPHVERS"

# Pixels by which an image is continued at its edges before it is shifted: else the edges would ring.
CONTINUATION = 32


def apply_corrections(image, fit, corrections="xy,scale,zero", resample=False):
    """
    Correct a MUSE image by the offset, flux scale and background of a fit.

    Parameters
    ----------
    image : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, of shape (ny, nx), with or without variances.
    fit : `FittedPhotometry`
        The result of `fit_image_photometry` or `fit_star_photometry` for it.
    corrections : str
        Any of xy (the offset), scale and zero (the background), separated by commas
        (default: all).
    resample : bool
        Correct the offset by shifting the pixels, so that the WCS stays as it is; pixels
        that came from outside or next to masked ones are masked. By default (False) the
        WCS is corrected and the pixels stay as they are.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The corrected image, of the same shape. Its header, ``meta``, has the corrections in IMPHDX, IMPHDY
        (arcsec), IMPHROT (degrees), IMPHSCAL, and IMPHBG, IMPHBGX, IMPHBGY (unit of the image, per arcsec
        for the gradients), and the version of this package in IMPHVERS. A correction that was not made has
        no keyword.

    Raises
    ------
    FileError
        If the image cannot be read.
    UserError
        If a correction is not known, the scale is not above 0, or the image was corrected by this fit
        before.

    Warns
    -----
    ImphotWarning
        If the image was corrected before, by another fit. The keywords then have both corrections.

    Notes
    -----
    An image is corrected as ((image - background)/scale), moved by -dx, -dy.

    The shift is exact for an image whose frequencies are below the Nyquist frequency: a
    phase in the Fourier plane. Variances are carried over by linear interpolation.

    Examples
    --------
    >>> from astropy_imphot import apply_corrections, fit_image_photometry
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, truth=[Truth(dx=0.2, bg=1.0)])
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> corrected = apply_corrections(field.muse[0], fit)
    >>> again = fit_image_photometry(field.hst, corrected)
    >>> bool(abs(again.dx.value) < again.dx.stdev)
    True
    >>> round(corrected.meta["IMPHDX"], 1)
    0.2
    """
    wanted = [word.strip() for word in corrections.split(",") if word.strip()]
    for word in wanted:
        if word not in CORRECTIONS:
            raise UserError(f"there is no correction {word!r}: choose from {', '.join(CORRECTIONS)}.")
    with naming(image):
        image = read_image(image)
        unit = muse_unit(image)
        meta = _recorded(image.meta, _made(fit, wanted, unit), resample)
    variance = None if image.uncertainty is None else image.uncertainty.array.astype(float)
    corrected = CCDData(
        image.data.astype(float),
        uncertainty=None if variance is None else VarianceUncertainty(variance),
        unit=unit,
    )
    if "zero" in wanted:
        corrected = corrected.subtract(_background(fit, image) * fit.bg.unit)
    if "scale" in wanted:
        if not fit.scale.value > 0:
            raise UserError(f"the scale is {fit.scale.value}: images are divided only by one above 0.")
        corrected = corrected.divide(fit.scale.value)
    data = corrected.data
    variance = None if variance is None else corrected.uncertainty.array
    mask = np.zeros(image.shape, dtype=bool) if image.mask is None else image.mask
    wcs = image.wcs
    if "xy" in wanted:
        height, width = read_grid(image).pixel_scale
        x, y = fit.dx.value / width, fit.dy.value / height
        rotation = fit.values["rotation"].value if "rotation" in fit.values else 0.0
        # Pixels are shifted, but not rotated.
        wcs = _rotated(wcs, rotation, image.shape)
        if resample:
            data, variance, mask = _shifted(data, variance, mask, -x, -y)
        else:
            wcs.wcs.crpix += [x, y]
            wcs.wcs.set()
    return CCDData(
        data.astype(np.float32),
        mask=mask if mask.any() else None,
        uncertainty=None if variance is None else VarianceUncertainty(variance.astype(np.float32)),
        unit=unit,
        wcs=wcs,
        meta=meta,
    )


def _made(fit, wanted, unit):
    """Return the corrections of a fit by their keywords, in the unit of the image."""
    made = {}
    for correction in wanted:
        factor = fit.bg.unit.to(unit) if correction == "zero" else 1.0
        for key, (keyword, _) in RECORDED[correction].items():
            if key in fit.values:
                made[keyword] = float(fit.values[key].value * factor)
    return made


def _recorded(meta, made, resample):
    """Return the header of a corrected image, with all corrections that were made."""
    before = {key: meta[key] for key in COMMENTS if key in meta}
    again = [key for key in made if key in before]
    if again and np.allclose([before[key] for key in again], [made[key] for key in again], 1e-6, 0):
        raise UserError(
            f"the image was corrected by this fit before ({', '.join(again)}): give the one that was fitted."
        )
    if before:
        warn(f"the image was corrected before ({', '.join(before)}): use a fit of the corrected image only.")
    total = {key: before.get(key, 0.0) + value for key, value in made.items()}
    scale = before.get("IMPHSCAL", 1.0)
    if "IMPHSCAL" in made:
        total["IMPHSCAL"] = scale * made["IMPHSCAL"]
    for key in made.keys() & {"IMPHBG", "IMPHBGX", "IMPHBGY"}:
        total[key] = before.get(key, 0.0) + scale * made[key]
    meta = meta.copy()
    how = "by shifting pixels" if resample else "corrected in the WCS"
    for key, value in (*total.items(), (VERSION_KEYWORD, version)):
        comment = COMMENTS.get(key, "version of astropy_imphot").format(how=how)
        meta[key] = (value, comment) if isinstance(meta, fits.Header) else value
    return meta


def _background(fit, image):
    """Return the background of a fit at each pixel, with its modes if the image has the same pixels."""
    own = getattr(fit, "background", None)
    if own is not None and image_grids_aligned(own, image):
        return own.data
    slopes = [fit.values[key].value if key in fit.values else 0.0 for key in ("bg_x", "bg_y")]
    y, x = pixel_coordinates(image.shape)
    height, width = read_grid(image).pixel_scale
    right, up = (x - (image.shape[1] - 1) / 2) * width, (y - (image.shape[0] - 1) / 2) * height
    return fit.bg.value + slopes[0] * right + slopes[1] * up


def _rotated(wcs, rotation, shape):
    """Return the WCS of an image that is rotated about its center, from x towards y, by degrees."""
    wcs = wcs.deepcopy()
    if rotation == 0:
        return wcs
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[cos, -sin], [sin, cos]])
    center = (np.array(shape[::-1]) + 1) / 2
    wcs.wcs.crpix = turn @ (wcs.wcs.crpix - center) + center
    if wcs.wcs.has_cd():
        wcs.wcs.cd = wcs.wcs.cd @ turn.T
    else:
        wcs.wcs.pc = wcs.wcs.get_pc() @ turn.T
    return wcs


def _shifted(data, variance, mask, x, y):
    """Return an image moved by (x, y) pixels, and masked where pixels are missing for that."""
    bad = mask | ~np.isfinite(data)
    filled = np.where(bad, _nearest(data, bad), data)
    around = CONTINUATION + int(np.ceil(max(abs(x), abs(y))))
    padded = np.pad(filled, around, mode="reflect" if min(data.shape) > around else "edge")
    spectrum = ndimage.fourier_shift(fft.rfft2(padded), (y, x), n=padded.shape[1])
    inside = tuple(slice(around, around + size) for size in data.shape)
    moved = fft.irfft2(spectrum, s=padded.shape)[inside]

    def linear(values, beyond):
        rows, columns = pixel_coordinates(data.shape)
        return ndimage.map_coordinates(values, [rows - y, columns - x], order=1, cval=beyond)

    outside = linear(bad.astype(float), 1.0) > 1e-6
    if variance is not None:
        variance = np.where(outside, np.nan, linear(np.where(bad, 0, variance), 0.0))
    return np.where(outside, np.nan, moved), variance, outside


def _nearest(data, bad):
    rows, columns = ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True)
    return data[rows, columns]
