"""The list of offsets, OFFSET_LIST.fits, that the ESO pipeline reads."""

import re

import astropy.units as u
import numpy as np
from astropy.io import fits

from astropy_imphot.io.dates import to_isot, to_mjd
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.writing import atomic_write
from astropy_imphot.results.flags import is_plausible_scale

__all__ = ["write_offset_list"]

# The pipeline finds an exposure's row by its DATE-OBS, of 23 characters.
DATE_OBS = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}")


def write_offset_list(path, exposures, *, overwrite=False):
    """
    Write the OFFSET_LIST.fits that muse_exp_combine and muse_scipost read.

    Parameters
    ----------
    path : str or path
        The file to write.
    exposures : `~astropy.table.QTable`
        A row for each exposure, with the columns exposure and file (str); date_obs, its DATE-OBS (str or
        `~astropy.time.Time`), and mjd_obs (float, days, NaN if it is not known; or `~astropy.time.Time`); dra
        and ddec (angles), which the pipeline subtracts from its coordinates, not multiplied by the cosine of
        the declination; scale (float), MUSE/HST; and error (str), ``""`` if it was measured.
    overwrite : bool
        Replace an existing file (default: False).

    Raises
    ------
    UserError
        If two exposures have the same DATE-OBS, none can be listed, the file exists and ``overwrite`` is
        False, or it cannot be written.

    Warns
    -----
    ImphotWarning
        If an exposure that was measured has no DATE-OBS of 23 characters, by which the pipeline finds its
        row: it is not listed. If the scale is far from 1: it has no FLUX_SCALE.

    Notes
    -----
    The first extension is a binary table: DATE_OBS (23 characters), MJD_OBS (double, d), RA_OFFSET and
    DEC_OFFSET (double, deg) and FLUX_SCALE (double, 1/scale, which multiplies the exposure; NaN for
    none, as of scales that are not ``is_plausible_scale`` of ``astropy_imphot.results.flags``).

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.io import fits
    >>> from astropy.table import QTable
    >>> from astropy_imphot.products.offset_list import write_offset_list
    >>> exposures = QTable({
    ...     "exposure": ["E1"], "file": ["E1.fits"], "date_obs": ["2014-09-25T04:12:00.000"],
    ...     "mjd_obs": [56925.175], "dra": [0.36] * u.arcsec, "ddec": [-0.18] * u.arcsec,
    ...     "scale": [0.8], "error": [""]})
    >>> write_offset_list("OFFSET_LIST.fits", exposures)
    >>> row = fits.getdata("OFFSET_LIST.fits", 1)[0]
    >>> print(row["DATE_OBS"], round(row["RA_OFFSET"], 6), round(row["FLUX_SCALE"], 3))
    2014-09-25T04:12:00.000 0.0001 1.25
    """
    dates = np.array([str(date).strip() for date in to_isot(exposures["date_obs"])])
    keyed = np.array([DATE_OBS.fullmatch(date) is not None for date in dates], dtype=bool)
    _refuse_same_dates(exposures["file"][keyed], dates[keyed])
    dra, ddec = (u.Quantity(exposures[key]).to_value(u.deg) for key in ("dra", "ddec"))
    measured = np.isfinite(dra + ddec) & np.array([not error for error in exposures["error"]], dtype=bool)
    for row in np.flatnonzero(measured & ~keyed):
        found = f"the DATE-OBS {dates[row]}, not of the form" if dates[row] else "no DATE-OBS such as"
        warn(
            f"{exposures['file'][row]} has {found} 2014-09-25T04:12:00.000, by which the pipeline finds its "
            f"offset: it is not in {path}."
        )
    listed = measured & keyed
    if not listed.any():
        raise UserError(f"{path} is not written: no exposure was measured and has a DATE-OBS.")
    scale = u.Quantity(exposures["scale"]).value[listed]
    for file, value in zip(exposures["file"][listed], scale, strict=True):
        if np.isfinite(value) and not is_plausible_scale(value):
            warn(f"{file} has the flux scale {value:.4g}, far from 1: it has no FLUX_SCALE in {path}.")
    mjd = u.Quantity(to_mjd(exposures["mjd_obs"])).value[listed]
    columns = [
        fits.Column("DATE_OBS", "23A", array=dates[listed]),
        fits.Column("MJD_OBS", "D", unit="d", array=mjd),
        fits.Column("RA_OFFSET", "D", unit="deg", array=dra[listed]),
        fits.Column("DEC_OFFSET", "D", unit="deg", array=ddec[listed]),
        fits.Column("FLUX_SCALE", "D", array=1 / np.where(is_plausible_scale(scale), scale, np.nan)),
    ]
    primary = fits.PrimaryHDU()
    primary.header["HIERARCH ESO PRO CATG"] = "OFFSET_LIST"
    hdus = fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)])
    with atomic_write(path, overwrite) as temporary:
        hdus.writeto(temporary)


def _refuse_same_dates(files, dates):
    for date, count in zip(*np.unique(dates, return_counts=True), strict=True):
        if count > 1:
            same = " and ".join(str(file) for file in files[dates == date])
            raise UserError(
                f"{same} have the same DATE-OBS, {date}, by which the pipeline distinguishes exposures: "
                "give only one of them."
            )
