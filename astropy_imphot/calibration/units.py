"""MUSE units for HST images, and whether two images have the same pixels."""

import astropy.units as u
from astropy.nddata import CCDData, VarianceUncertainty

from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import naming, source_name
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.images import read_image

__all__ = ["flux_factor", "muse_unit", "read_muse_image", "rescale_hst_like_muse"]

# What the MUSE pipeline writes.
PIPELINE_UNIT = u.Unit(1e-20 * u.erg / u.s / u.cm**2 / u.AA)


# Units of images that PHOTFLAM calibrates, once they are per second.
COUNTS = (u.electron, u.ct, u.DN, u.adu)


def rescale_hst_like_muse(hst, muse):
    """
    Convert an HST image to the flux unit of a MUSE image.

    Parameters
    ----------
    hst : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The HST image, in counts per second or a flux density per Angstrom.
    muse : str, path, HDU, HDUList or `~astropy.nddata.NDData`
        The MUSE image or cube, of which only the header is read.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The HST image at its own pixels, (ny, nx), in flux per HST pixel.

    Raises
    ------
    UserError
        If the HST image is not in counts per second or a flux density, or its filter
        has no known zero point.

    Examples
    --------
    >>> import numpy as np
    >>> import astropy.units as u
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot import rescale_hst_like_muse
    >>> from astropy_imphot.simulation import sky_grid
    >>> grid = sky_grid((4, 4))
    >>> hst = CCDData(np.ones((4, 4)), unit="electron/s", wcs=grid.wcs, meta={"FILTER": "F775W"})
    >>> round(float(rescale_hst_like_muse(hst, grid).data[0, 0]), 3)
    9.74
    """
    grid = read_grid(muse)
    image = read_image(hst)
    unit = muse_unit(grid, source_name(muse, "the MUSE image"))
    factor = flux_factor(image.unit, image.meta, unit, source_name(hst, "the HST image"))
    variance = None
    if image.uncertainty is not None:
        variance = VarianceUncertainty(image.uncertainty.array * factor**2)
    return CCDData(
        image.data * factor,
        mask=image.mask,
        uncertainty=variance,
        unit=unit,
        wcs=image.wcs,
        meta=image.meta,
    )


def muse_unit(grid, name="the MUSE image"):
    """
    Return the unit of MUSE fluxes, the MUSE pipeline's where the image has none.

    Parameters
    ----------
    grid : `~astropy_imphot.io.grid.Grid` or `~astropy.nddata.CCDData`
        The MUSE image.
    name : str
        What messages call it (default: the MUSE image).

    Returns
    -------
    `~astropy.units.UnitBase`
        A flux density per Angstrom.

    Raises
    ------
    UserError
        If the image's unit is not one of flux density per Angstrom.

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
    if unit is None or unit == u.dimensionless_unscaled:
        warn(f"{name} has no unit: {PIPELINE_UNIT} is assumed.")
        return PIPELINE_UNIT
    if not unit.is_equivalent(PIPELINE_UNIT):
        raise UserError(f"{name} is in {unit}: convert it to {PIPELINE_UNIT}.")
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
    >>> from astropy_imphot.simulation import simulate_field
    >>> muse = simulate_field(seed=1, size=10.0).muse[0]
    >>> muse.unit = u.erg / u.s / u.cm**2 / u.AA
    >>> bool(abs(read_muse_image(muse).data[0, 0] / muse.data[0, 0] / 1e20 - 1) < 1e-6)
    True
    """
    image = read_image(muse)
    factor = muse_unit(image, source_name(muse, "the MUSE image")).to(PIPELINE_UNIT)
    if factor == 1:
        image.unit = PIPELINE_UNIT
        return image
    variance = None
    if image.uncertainty is not None:
        variance = VarianceUncertainty(image.uncertainty.array.astype(float) * factor**2)
    return CCDData(
        image.data.astype(float) * factor,
        mask=image.mask,
        uncertainty=variance,
        unit=PIPELINE_UNIT,
        wcs=image.wcs,
        meta=image.meta,
    )


def flux_factor(unit, meta, to_unit, name):
    """
    Return what HST values have to be multiplied by to become fluxes.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The HST image's; dimensionless stands for counts per second.
    meta : `~astropy.io.fits.Header` or dict
        Its header.
    to_unit : `~astropy.units.UnitBase`
        The unit that is wanted, a flux density per Angstrom.
    name : str
        What an error calls the image.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    UserError
        As for `rescale_hst_like_muse`.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.calibration.units import PIPELINE_UNIT, flux_factor
    >>> round(flux_factor(u.electron / u.s, {"FILTER": "F606W"}, PIPELINE_UNIT, "h.fits"), 2)
    7.73
    """
    if unit.is_equivalent(to_unit):
        return unit.to(to_unit)
    if unit != u.dimensionless_unscaled and not any(unit.is_equivalent(one / u.s) for one in COUNTS):
        raise UserError(
            f"{name} is in {unit}: convert it to counts per second (divide by its exposure "
            f"time) or to {PIPELINE_UNIT}."
        )
    with naming(name):
        info = HstFilterInfo(meta)
    scale = next((unit.to(one / u.s) for one in COUNTS if unit.is_equivalent(one / u.s)), 1.0)
    return float(scale * (info.photflam * u.erg / u.s / u.cm**2 / u.AA).to_value(to_unit))
