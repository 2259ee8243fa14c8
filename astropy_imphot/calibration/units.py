"""Flux units of images, and images in the unit of MUSE."""

import astropy.units as u
from astropy.nddata import CCDData, VarianceUncertainty

from astropy_imphot.calibration.zero_points import pixel_flux
from astropy_imphot.io.bunit import is_not_understood
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import naming
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.headers import unit_string
from astropy_imphot.io.images import read_image

__all__ = ["flux_factor", "muse_unit", "read_muse_image", "rescale_hst_like_muse", "scaled"]

# The unit of the MUSE pipeline's products.
PIPELINE_UNIT = u.Unit(1e-20 * u.erg / u.s / u.cm**2 / u.AA)


def rescale_hst_like_muse(hst, muse):
    """
    Convert an HST image to the flux unit of a MUSE image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `~astropy_imphot.Reference`
        The HST image, or another one, in a flux density, or with a zero point in its header.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image or cube; only its header is read.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The HST image at its own pixels, (ny, nx), in flux per HST pixel.

    Raises
    ------
    UserError
        If the HST image has neither a unit of flux nor a zero point.

    Examples
    --------
    >>> import numpy as np
    >>> import astropy.units as u
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import rescale_hst_like_muse
    >>> from astropy_imphot.simulation import sky_grid
    >>> grid = sky_grid((4, 4))
    >>> hst = CCDData(np.ones((4, 4)), unit="electron/s", wcs=grid.wcs,
    ...               meta={"INSTRUME": "ACS", "FILTER": "F775W"})
    >>> round(float(rescale_hst_like_muse(hst, grid).data[0, 0]), 3)
    9.74
    """
    with naming(muse):
        unit = muse_unit(read_grid(muse))
    with naming(hst):
        image = read_image(hst)
        factor = flux_factor(image.unit, image.meta, unit)
    return scaled(image, factor, unit)


def muse_unit(grid):
    """
    Return the unit of a MUSE image, or that of the MUSE pipeline if it has none.

    Parameters
    ----------
    grid : `~astropy_imphot.io.grid.Grid` or `~astropy.nddata.CCDData`
        The MUSE image.

    Returns
    -------
    `~astropy.units.UnitBase`
        A flux density per Angstrom.

    Raises
    ------
    UserError
        If the image's unit is not a flux density per Angstrom, or is not understood.

    Warns
    -----
    ImphotWarning
        If the image has no unit.

    Examples
    --------
    >>> from astropy_imphot.calibration.units import muse_unit
    >>> from astropy_imphot.simulation import sky_grid
    >>> str(muse_unit(sky_grid((4, 4))))
    '1e-20 erg / (Angstrom s cm2)'
    """
    unit = grid.unit
    if is_not_understood(unit, grid.meta):
        raise UserError(
            f"the MUSE image has the unit {str(grid.meta['BUNIT'])!r} (BUNIT), which is not understood: "
            f"write it as {unit_string(PIPELINE_UNIT)!r}."
        )
    if unit is None or unit == u.dimensionless_unscaled:
        warn(f"the MUSE image has no unit: {PIPELINE_UNIT} is assumed.")
        return PIPELINE_UNIT
    if not unit.is_equivalent(PIPELINE_UNIT):
        raise UserError(f"the MUSE image is in {unit} (BUNIT): convert it to {PIPELINE_UNIT}.")
    return unit


def read_muse_image(muse):
    """
    Read a MUSE image in the MUSE pipeline's unit.

    Parameters
    ----------
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image, in a flux density per Angstrom or without unit.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The image, (ny, nx), in 1e-20 erg/s/cm2/Angstrom. Fitters need numbers of about 1.

    Raises
    ------
    UserError
        If it cannot be read, or has another unit.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.calibration.units import read_muse_image
    >>> from astropy_imphot.simulation import example_field
    >>> muse = example_field().muse[0]
    >>> muse.unit = u.erg / u.s / u.cm**2 / u.AA
    >>> bool(abs(read_muse_image(muse).data[0, 0] / muse.data[0, 0] / 1e20 - 1) < 1e-6)
    True
    """
    with naming(muse):
        image = read_image(muse)
        factor = muse_unit(image).to(PIPELINE_UNIT)
    if factor == 1:
        image.unit = PIPELINE_UNIT
        return image
    # A factor of 1e20 squared is beyond the range of single precision.
    image.data = image.data.astype(float)
    if image.uncertainty is not None:
        image.uncertainty.array = image.uncertainty.array.astype(float)
    return scaled(image, factor, PIPELINE_UNIT)


def scaled(image, factor, unit):
    """
    Multiply an image by a factor that converts it to another unit.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image, of shape (ny, nx).
    factor : float
        The factor of the data; that of variances is its square.
    unit : `~astropy.units.UnitBase`
        The unit of the product.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The product, in the same floating-point precision, with its variance where the image has
        an uncertainty, and with mask, WCS and header of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData, VarianceUncertainty
    >>> from astropy_imphot.calibration.units import scaled
    >>> image = CCDData(np.ones((2, 3)), unit="m", uncertainty=VarianceUncertainty(np.ones((2, 3))))
    >>> product = scaled(image, 100.0, "cm")
    >>> float(product.data[0, 0]), float(product.uncertainty.array[0, 0]), str(product.unit)
    (100.0, 10000.0, 'cm')
    """
    # CCDData.multiply of astropy 7.0 turns float32 into float64, and needs twice the memory.
    variance = None
    if image.uncertainty is not None:
        variance = image.uncertainty.represent_as(VarianceUncertainty).array * factor**2
    return CCDData(
        image.data * factor,
        mask=image.mask,
        uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
        unit=unit,
        wcs=image.wcs,
        meta=image.meta,
    )


def flux_factor(unit, meta, to_unit):
    """
    Return the factor that converts the values of a reference image to fluxes.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The unit of the image, per pixel; dimensionless if it has none.
    meta : `~astropy.io.fits.Header` or dict
        Its header.
    to_unit : `~astropy.units.UnitBase`
        The unit of the fluxes, a flux density per Angstrom.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    UserError
        As `~astropy_imphot.calibration.zero_points.pixel_flux` does.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.calibration.units import PIPELINE_UNIT, flux_factor
    >>> round(flux_factor(u.electron / u.s, {"INSTRUME": "ACS", "FILTER": "F606W"}, PIPELINE_UNIT), 2)
    7.73
    """
    if unit.is_equivalent(to_unit):
        return float(unit.to(to_unit))
    return float(pixel_flux(unit, meta).to_value(to_unit))
