"""
Reading and writing of images and cubes.

The layouts of files are in the tables of `astropy_imphot.io.layout` and `astropy_imphot.io.reference_kinds`.
"""

from contextlib import ExitStack

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, NDData, VarianceUncertainty

from astropy_imphot.io.blanks import blank_pixels
from astropy_imphot.io.bunit import parse_unit
from astropy_imphot.io.distortion import usable_wcs
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import Source, naming, opened, source_name
from astropy_imphot.io.grid import Grid, enclosing_slices, read_grid
from astropy_imphot.io.headers import (
    header_wcs,
    merged_header,
    unit_per_pixel,
    unit_string,
    wcs_header,
    without_structure,
)
from astropy_imphot.io.layout import EXTENSIONS, companion_hdus, science_hdu
from astropy_imphot.io.reference_kinds import companion_image, kind_of
from astropy_imphot.io.writing import atomic_write

__all__ = ["image_hdus", "read_cube", "read_header", "read_image", "write_image"]

# A variance that is so many times the median, that of about so many pixels, stands for no data.
LARGEST_VARIANCE = 1e15
SAMPLE = 200_000


def read_image(source, *, footprint=None):
    """
    Read an image with its unit, variance, mask, WCS and header.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData` or mpdaf Image
        The image, of shape (ny, nx), or (1, ny, nx) in a file. There, the extension DATA, SCI or IMAGE is
        read, or else the first image. Variances (STAT, VARIANCE and the like), standard deviations (ERR,
        RMS), weights (WHT, INVVAR: 0 where a pixel was not observed; without the former two, 1/WHT are the
        variances, up to a factor) and masks (DQ, MASK, FLAG: not 0 where a pixel is bad) are used where they
        are present, see ``EXTENSIONS`` of ``astropy_imphot.io.layout``; so are files beside the image, see
        ``KINDS`` of ``astropy_imphot.io.reference_kinds``.
    footprint : `~astropy.coordinates.SkyCoord`, optional
        Read only the rectangle of pixels that encloses these positions. By default
        (None) the whole image is read.

    Returns
    -------
    `~astropy.nddata.CCDData`
        ``data`` of shape (ny, nx); ``mask``, a bool array of that shape or None; ``uncertainty``, a
        `~astropy.nddata.VarianceUncertainty` or None; ``unit`` (dimensionless where the
        header has none that can be understood; of a surface brightness, such as MJy/sr, that per pixel);
        ``wcs``, celestial; ``meta``, the primary header and the image's in one.

    Raises
    ------
    UserError
        If the file is missing, truncated, not FITS, or has no image with a celestial
        WCS, or if ``footprint`` does not touch the image.

    Warns
    -----
    ImphotWarning
        If cards of the header were mended, extensions are not used, the WCS is that of the primary header, or
        pixels have values that stand for missing data, such as -99: these are masked.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot import read_image
    >>> hdu = fits.ImageHDU(np.ones((5, 7), dtype="f4"))
    >>> hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=-5e-5, CDELT2=5e-5,
    ...                   BUNIT="ELECTRONS/S")
    >>> image = read_image(hdu)
    >>> image.shape, str(image.unit)
    ((5, 7), 'electron / s')
    """
    if isinstance(source, NDData):
        return _from_nddata(source, footprint)
    with Source.of(source) as source, opened(source) as hdus, ExitStack() as files:
        science = science_hdu(hdus, naxis=2)
        grid = read_grid(source)
        wcs, cut = grid.wcs, (slice(None), slice(None))
        if footprint is not None:
            cut = enclosing_slices(footprint, grid)
            wcs = wcs[cut]
        data = _pixels(science, cut)
        # Pixels have not the same area everywhere.
        unit = unit_per_pixel(parse_unit(grid.meta.get("BUNIT")), Grid(wcs, data.shape).pixel_area)
        name = source_name(source, "")
        kind, companions = kind_of(grid.meta, name), companion_hdus(hdus, science)
        for meaning, path in kind.companion_files(name).items():
            if meaning not in companions and meaning in EXTENSIONS.values():
                others = files.enter_context(opened(path))
                with naming(path):
                    companions[meaning] = companion_image(others, science, meaning)
        layers = {meaning: _pixels(hdu, cut) for meaning, hdu in companions.items()}
        mask = ~np.isfinite(data)
        if "mask" in layers:
            bits = kind.bad_bits(companions["mask"].header)
            mask |= (layers["mask"] if bits is None else layers["mask"].astype(int) & bits) != 0
        if "weight" in layers:
            mask |= ~(layers["weight"] > 0)
        return _ccddata(data, mask, _variance(layers), unit, wcs, grid.meta)


def _variance(layers):
    """Return the variances of an image, or those up to a factor, or None if it has none."""
    if "variance" in layers:
        return layers["variance"]
    if "sigma" in layers:
        with np.errstate(over="ignore"):
            # Some files have errors of 1e20 or 1e30 where there are no data, and others of -1.
            return np.where(layers["sigma"] > 0, layers["sigma"], 0) ** 2
    if "weight" not in layers:
        return None
    weight = layers["weight"]
    return np.divide(1, weight, out=np.zeros(weight.shape), where=weight > 0)


def read_header(source):
    """
    Read the primary header and the image's in one.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, or mpdaf Image or Cube
        An image or a cube.

    Returns
    -------
    `~astropy.io.fits.Header` or dict
        The image's header with the cards that only the primary header has.

    Raises
    ------
    UserError
        If the file is missing, truncated, not FITS, or has no image.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.io.images import read_header
    >>> hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((5, 7)))])
    >>> hdus[0].header["FILTER"] = "F606W"
    >>> read_header(hdus)["FILTER"]
    'F606W'
    """
    if isinstance(source, NDData):
        return source.meta
    with opened(source) as hdus:
        return merged_header(hdus, science_hdu(hdus))


def read_cube(source):
    """
    Open a cube without reading its voxels.

    Parameters
    ----------
    source : str, path, HDUList, `~astropy.nddata.NDData` or mpdaf Cube
        The cube; in a file, its extension DATA or the first image, with STAT and DQ
        where they are present.

    Returns
    -------
    `~astropy.nddata.NDData`
        ``data`` of shape (nz, ny, nx), mapped from the file, as are ``uncertainty``
        (variances) and ``mask`` (not 0 where a voxel is bad), which are None if the
        file has none; ``unit``, ``wcs`` (three axes) and ``meta`` as for `read_image`.

    Raises
    ------
    UserError
        If the file is missing, truncated, not FITS, or has no cube with a WCS.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot import read_cube
    >>> hdu = fits.ImageHDU(np.ones((4, 5, 7), dtype="f4"), name="DATA")
    >>> hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV",
    ...                   CUNIT3="Angstrom", CRVAL3=4750.0, CD3_3=1.25)
    >>> read_cube(fits.HDUList([fits.PrimaryHDU(), hdu])).data.shape
    (4, 5, 7)
    """
    if isinstance(source, NDData):
        if np.ndim(source.data) != 3 or source.wcs is None:
            raise UserError("a cube needs three axes and a WCS: give one that has both.")
        _check_wavelengths(source.wcs)
        return source
    with opened(source) as hdus:
        science = science_hdu(hdus, naxis=3)
        wcs = header_wcs(science, hdus)
        _check_wavelengths(wcs)
        header = merged_header(hdus, science)
        companions = {
            meaning: hdu.data.reshape(science.shape) for meaning, hdu in companion_hdus(hdus, science).items()
        }
        variance = companions.get("variance")
        return NDData(
            science.data,
            # Not every cube's STAT has the square of DATA's unit in its header, though
            # it always has it in its pixels.
            uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
            mask=companions.get("mask"),
            unit=parse_unit(header.get("BUNIT")),
            wcs=wcs,
            meta=header,
        )


def _check_wavelengths(wcs):
    """Raise an error if the third axis of a cube, the first of its array, is not one of wavelengths."""
    if not wcs.has_spectral or not u.Unit(wcs.spectral.world_axis_units[0]).is_equivalent(u.AA):
        raise UserError("the cube has no axis of wavelengths: add CTYPE3, CRVAL3 and the rest.")
    if wcs.wcs.spec != 2:
        raise UserError(f"the wavelengths of the cube are on axis {wcs.wcs.spec + 1}: move it to axis 3.")


def write_image(image, path, *, overwrite=False, extensions=()):
    """
    Write an image in MUSE's layout: a header, then DATA, STAT and DQ.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx). STAT and DQ are written if it has variances and
        masked pixels.
    path : str or path
        The file to write.
    overwrite : bool
        Replace an existing file (default: False).
    extensions : sequence of HDUs
        Written after the image's own (default: none).

    Raises
    ------
    FileError
        If the file exists and ``overwrite`` is False, or it cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import write_image
    >>> write_image(CCDData(np.ones((5, 7)), unit="ct"), "/no/such/folder/image.fits")
    Traceback (most recent call last):
        ...
    astropy_imphot.io.errors.FileError: /no/such/folder/image.fits cannot be written: there is no folder /no/such/folder.
    """  # noqa: E501
    with atomic_write(path, overwrite) as temporary:
        fits.HDUList([*image_hdus(image), *extensions]).writeto(temporary)


def image_hdus(image):
    """
    Return the HDUs of an image in MUSE's layout.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`
        The image, of shape (ny, nx).

    Returns
    -------
    `~astropy.io.fits.HDUList`
        A header, then DATA, and STAT and DQ if the image has variances and masked pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot.io.images import image_hdus
    >>> [hdu.name for hdu in image_hdus(CCDData(np.ones((5, 7)), unit="ct"))]
    ['PRIMARY', 'DATA']
    """
    unit = u.dimensionless_unscaled if image.unit is None else image.unit
    hdus = fits.HDUList([fits.PrimaryHDU(header=without_structure(image.meta))])
    header = fits.Header() if image.wcs is None else wcs_header(image.wcs)
    hdus.append(fits.ImageHDU(image.data, header=header, name="DATA"))
    hdus["DATA"].header["BUNIT"] = unit_string(unit)
    if image.uncertainty is not None:
        variance = image.uncertainty.represent_as(VarianceUncertainty)
        hdus.append(fits.ImageHDU(variance.array, header=header, name="STAT"))
        hdus["STAT"].header["BUNIT"] = unit_string(unit**2)
    if image.mask is not None and np.any(image.mask):
        hdus.append(fits.ImageHDU(image.mask.astype(np.uint8), header=header, name="DQ"))
    return hdus


def _pixels(hdu, cut):
    # Of a file that is mapped into memory, only the pixels within the cut are read.
    pixels = np.asarray(hdu.data[(0,) * (len(hdu.shape) - 2) + cut])
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _ccddata(data, mask, variance, unit, wcs, header):
    mask = blank_pixels(data, header, mask)
    if variance is not None:
        # A variance of 0 would be an infinite weight.
        valid = np.isfinite(variance) & (variance > 0)
        typical = np.median(variance[valid][:: 1 + variance.size // SAMPLE]) if valid.any() else 0
        mask |= ~valid | (variance > LARGEST_VARIANCE * typical)
    return CCDData(
        data,
        mask=mask if mask.any() else None,
        uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
        unit=unit,
        wcs=wcs,
        meta=header,
    )


def _from_nddata(image, footprint):
    kind = type(image).__name__
    if np.ndim(image.data) != 2:
        raise UserError(f"the {kind} has {np.ndim(image.data)} axes: give an image, of two axes.")
    wcs = image.wcs
    if wcs is None or not getattr(wcs, "has_celestial", False):
        raise UserError(f"the {kind} has no celestial WCS: set its wcs attribute.")
    wcs = usable_wcs(wcs)
    cut = (slice(None), slice(None))
    if footprint is not None:
        cut = enclosing_slices(footprint, Grid(wcs, image.data.shape))
        wcs = wcs[cut]
    data = image.data[cut]
    mask = ~np.isfinite(data)
    if image.mask is not None:
        mask |= np.broadcast_to(image.mask, image.data.shape)[cut] != 0
    variance = None
    if image.uncertainty is not None:
        variance = image.uncertainty.represent_as(VarianceUncertainty).array[cut]
    unit = image.unit if image.unit is not None else u.dimensionless_unscaled
    unit = unit_per_pixel(unit, Grid(wcs.celestial, data.shape).pixel_area)
    return _ccddata(data, mask, variance, unit, wcs, image.meta)
