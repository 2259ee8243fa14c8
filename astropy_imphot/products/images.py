"""Files of a fit: its images, their Fourier transforms, and regions."""

import re
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from scipy import fft

from astropy_imphot.fitting.objects import object_pixels
from astropy_imphot.io.files import short_name
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.headers import unit_string
from astropy_imphot.io.images import write_image
from astropy_imphot.io.writing import atomic_write, refuse_existing

__all__ = ["fit_images", "object_regions", "saved_paths", "write_fit_images"]

# Region files: masked objects, point sources, and what was repaired in the HST image.
REGIONS = ("changed", "sources", "repaired")

# The images of a fit, and what their files' names end with.
ENDINGS = {"data": "image", "model": "hst_model", "residual": "residual"}

# The keyword of the smoothing.
SMOOTHING = "IMPHSMTH"

# Radii of circles in region files, arcsec, and how many at most: images can have many single holes.
SOURCE_RADIUS, REPAIR_RADIUS = 0.5, 0.15
MOST_CIRCLES = 2000


def saved_paths(muse):
    """
    Return the files that `write_fit_images` writes for a MUSE image.

    Parameters
    ----------
    muse : str or path
        The MUSE image's file, X.fits.

    Returns
    -------
    dict of str to `~pathlib.Path`
        X_image.fits, X_hst_model.fits and X_residual.fits, the same with ``_fft``, and X_changed.reg,
        X_sources.reg and X_repaired.reg.

    Examples
    --------
    >>> from astropy_imphot.products.images import saved_paths
    >>> saved_paths("E1.fits")["data"].name, saved_paths("E1.fits")["data_fft"].name
    ('E1_image.fits', 'E1_image_fft.fits')
    """
    path = Path(muse)
    paths = {
        f"{key}{transform}": path.with_name(f"{short_name(path)}_{ending}{transform}.fits")
        for key, ending in ENDINGS.items()
        for transform in ("", "_fft")
    }
    regions = {key: path.with_name(f"{short_name(path)}_{key}.reg") for key in REGIONS}
    return paths | regions


def write_fit_images(fit, muse, *, overwrite=False):
    """
    Write the images of an image fit, and regions, beside the MUSE image.

    Parameters
    ----------
    fit : `~astropy_imphot.FittedImagePhotometry`
        The fit.
    muse : str or path
        The MUSE image's file.
    overwrite : bool
        Replace existing files (default: False).

    Raises
    ------
    UserError
        If a file exists and ``overwrite`` is False, or cannot be written.

    Notes
    -----
    The transforms hold the amplitude in DATA and the phase (radian) in PHASE, frequency 0 in the middle;
    their WCS is linear, in cycles/arcsec. Masked pixels count as 0. X_changed.reg has a circle with a leading
    minus around each masked object: as ``regions`` of another fit it excludes them again. X_sources.reg has
    the point sources with their flux ratios, X_repaired.reg what was repaired in the HST image. Each is
    written if there are any.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.products.images import write_fit_images
    >>> from astropy_imphot.simulation import simulate_field
    >>> field = simulate_field(seed=1, size=12.0)
    >>> write_fit_images(fit_image_photometry(field.hst, field.muse[0]), "E1.fits", overwrite=True)
    """
    paths = saved_paths(muse)
    for path in paths.values():
        refuse_existing(path, overwrite)
    for key, image in fit_images(fit).items():
        write_image(image, paths[key], overwrite=overwrite)
        with atomic_write(paths[f"{key}_fft"], overwrite) as temporary:
            _transform(image).writeto(temporary)
    texts = {
        "changed": object_regions(fit.objects, fit.labels, fit.data.wcs),
        "sources": _circles(fit.point_sources, SOURCE_RADIUS, lambda row: f"{row['flux_ratio']:.3f}"),
        "repaired": _circles(fit.repairs, REPAIR_RADIUS, lambda row: str(row["kind"])),
    }
    for key, text in texts.items():
        if text:
            with atomic_write(paths[key], overwrite) as temporary:
                temporary.write_text(text)
        else:
            # That of an earlier fit would be wrong.
            paths[key].unlink(missing_ok=True)


def fit_images(fit):
    """
    Return the images of an image fit.

    Parameters
    ----------
    fit : `~astropy_imphot.FittedImagePhotometry`
        The fit.

    Returns
    -------
    dict of str to `~astropy.nddata.CCDData`
        ``data``, ``model`` and ``residual`` as single-precision images. The keyword IMPHSMTH is the FWHM of
        the Gaussian by which they were smoothed (arcsec), if they were.

    Examples
    --------
    See `write_fit_images`.
    """
    images = {key: getattr(fit, key) for key in ENDINGS}
    meta = fits.Header()
    if fit.smoothing > 0:
        meta[SMOOTHING] = (round(fit.smoothing, 6), "[arcsec] FWHM of the Gaussian that smoothed it")
    return {
        key: CCDData(
            image.data.astype(np.float32), mask=image.mask, unit=image.unit, wcs=image.wcs, meta=meta.copy()
        )
        for key, image in images.items()
    }


def object_regions(objects, labels, wcs):
    """
    Return a region file of ds9 that excludes the excluded objects of a fit from another one.

    Parameters
    ----------
    objects : `~astropy.table.QTable`
        From `~astropy_imphot.fitting.objects.object_table`.
    labels : int array of shape (ny, nx)
        The objects' pixels.
    wcs : `~astropy.wcs.WCS`
        Of the image.

    Returns
    -------
    str
        A circle on the sky with a leading minus for each excluded object, empty if there is none; its text is
        the rms residual in units of that on the sky.

    Examples
    --------
    See `write_fit_images`, which writes them.
    """
    from regions import CirclePixelRegion, PixCoord, RegionMeta, Regions

    if not objects["left_out"].any():
        return ""
    circles = []
    for row in objects[objects["left_out"]]:
        y, x = np.nonzero(object_pixels(labels, row["label"]))
        center = row["x"].value, row["y"].value
        radius = np.hypot(x - center[0], y - center[1]).max() + 0.5
        circle = CirclePixelRegion(
            PixCoord(*center), radius, meta=RegionMeta(text=f"rms residual {row['excess']:.1f}")
        )
        circles.append(circle.to_sky(wcs))
    # The regions package does not write the minus that excludes.
    return re.sub("(?m)^circle", "-circle", Regions(circles).serialize(format="ds9", precision=8))


def _circles(table, radius, text):
    """Return a region file with a circle around the place in each row."""
    from regions import CircleSkyRegion, RegionMeta, Regions

    if table is None or not len(table):
        return ""
    circles = [
        CircleSkyRegion(row["sky_center"], radius * u.arcsec, meta=RegionMeta(text=text(row)))
        for row in table[:MOST_CIRCLES]
    ]
    return Regions(circles).serialize(format="ds9", precision=8)


def _transform(image):
    values = np.where(image.mask, 0, image.data) if image.mask is not None else image.data
    transform = fft.fftshift(fft.fft2(values.astype(float)))
    header = fits.Header()
    for axis, size, scale in zip((2, 1), image.shape, read_grid(image).pixel_scale, strict=True):
        header[f"CTYPE{axis}"] = ("LINEAR", "spatial frequency")
        header[f"CUNIT{axis}"] = ("arcsec-1", "cycles per arcsec")
        header[f"CRPIX{axis}"] = size // 2 + 1
        header[f"CRVAL{axis}"] = 0.0
        header[f"CDELT{axis}"] = 1 / (size * scale)
    amplitude = header.copy()
    amplitude["BUNIT"] = unit_string(image.unit)
    header["BUNIT"] = "rad"
    return fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(np.abs(transform).astype(np.float32), header=amplitude, name="DATA"),
            fits.ImageHDU(np.angle(transform).astype(np.float32), header=header, name="PHASE"),
        ]
    )
