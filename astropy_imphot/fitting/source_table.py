"""The table of the point sources of a fit."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from astropy_imphot.results.columns import describe
from astropy_imphot.results.offsets import sky_jacobian

__all__ = ["source_table", "years_between"]

# The columns: what they are, and their formats.
COLUMNS = {
    "x": ("position along x in the MUSE image, 0 at the center of the first pixel", ".2f"),
    "y": ("position along y in the MUSE image, 0 at the center of the first pixel", ".2f"),
    "sky_center": ("position by the coordinates of the MUSE image, offset subtracted", None),
    "flux": ("flux in the MUSE image", ".5g"),
    "flux_ratio": ("flux ratio MUSE/HST", ".4f"),
    "motion_x": ("motion along x since HST, less the offset of the field", ".1f"),
    "motion_y": ("motion along y since HST, less the offset of the field", ".1f"),
    "pm_ra_cosdec": ("proper motion in right ascension, multiplied by the cosine of the declination", ".2f"),
    "pm_dec": ("proper motion in declination", ".2f"),
    "saturated": ("whether its core is saturated in the HST image", None),
    "in_hst": ("whether it was found in the HST image", None),
}

# Keywords of the date of an observation in the headers of HST and MUSE: the middle, or the start.
DATES = ("EXPSTART", "MJD-OBS", "MJD-AVG", "DATE-OBS")


def years_between(hst_meta, muse_meta):
    """
    Return the time between two observations.

    Parameters
    ----------
    hst_meta, muse_meta : dict-like
        The headers of the HST and the MUSE image.

    Returns
    -------
    float or None
        Years; None if a header has no date, or they are the same to a hundredth of a year.

    Examples
    --------
    >>> from astropy_imphot.fitting.source_table import years_between
    >>> round(years_between({"EXPSTART": 52907.0}, {"MJD-OBS": 56925.0}), 2)
    11.0
    >>> years_between({}, {"MJD-OBS": 56925.0}) is None
    True
    """
    dates = [_date(meta) for meta in (hst_meta, muse_meta)]
    if None in dates:
        return None
    years = (dates[1] - dates[0]).to_value(u.yr)
    return float(years) if abs(years) > 0.01 else None


def _date(meta):
    for key in DATES:
        value = meta.get(key)
        if value is None or value == "":
            continue
        try:
            return Time(float(value), format="mjd") if isinstance(value, (int, float)) else Time(value)
        except ValueError:
            continue
    return None


def source_table(model, errors, in_reference, image, years):
    """
    Return the table of the point sources of a fit.

    Parameters
    ----------
    model : `~astropy_imphot.ConvolvedTemplate2D`
        The model at the solution, with n point sources.
    errors : array of shape (n, 3)
        Standard errors of their ratio, motion_x and motion_y.
    in_reference : bool array of shape (n,)
        Whether they were found in the HST image; others have no ratio and no motion.
    image : `~astropy.nddata.CCDData`
        The MUSE image.
    years : float or None
        The time between the HST and the MUSE image, years; None if it is not known.

    Returns
    -------
    `~astropy.table.QTable`
        A row for each source: x, y (pixels), sky_center, flux and flux_ratio, motion_x and motion_y (mas),
        pm_ra_cosdec and pm_dec (mas/yr; NaN where the time is not known), their errors (``_err``), saturated
        and in_hst.

    Examples
    --------
    See `~astropy_imphot.fit_image_photometry`, whose result holds the table.
    """
    in_reference = np.asarray(in_reference, dtype=bool)
    own, scale = model.own, model.scale.value
    x, y = model.source_places()
    table = QTable({"x": x * u.pix, "y": y * u.pix})
    height, width = model.template.pixel_scale
    at = image.wcs.pixel_to_world(x - model.dx.value / width, y - model.dy.value / height)
    table["sky_center"] = getattr(at, "icrs", at)
    factor = model.sources.flux * scale
    table["flux"] = factor * own[:, 0] * image.unit
    table["flux_err"] = np.abs(factor) * errors[:, 0] * image.unit
    table["flux_ratio"] = np.where(in_reference, scale * own[:, 0], np.nan)
    relative = np.divide(
        model.sources.flux_err, model.sources.flux, out=np.zeros(len(x)), where=model.sources.flux != 0
    )
    ratio_errors = abs(scale) * np.hypot(errors[:, 0], own[:, 0] * relative)
    table["flux_ratio_err"] = np.where(in_reference, ratio_errors, np.nan)
    for place, key in enumerate(("motion_x", "motion_y"), start=1):
        table[key] = np.where(in_reference, 1e3 * own[:, place], np.nan) * u.mas
        table[f"{key}_err"] = np.where(in_reference, 1e3 * errors[:, place], np.nan) * u.mas
    jacobian = sky_jacobian(image)
    # Coordinate differences times the cosine of the declination are angles.
    jacobian = np.diag([np.cos(table["sky_center"].dec.rad).mean() if len(x) else 1.0, 1.0]) @ jacobian
    motions = np.where(in_reference, 1e3 * own[:, 1:].T, np.nan) / (years or np.nan)
    spreads = np.where(in_reference, 1e3 * errors[:, 1:].T, np.nan) / abs(years or np.nan)
    for key, value, error in zip(
        ("pm_ra_cosdec", "pm_dec"), jacobian @ motions, np.sqrt(jacobian**2 @ spreads**2), strict=True
    ):
        table[key], table[f"{key}_err"] = value * u.mas / u.yr, error * u.mas / u.yr
    table["saturated"] = model.sources.saturated
    table["in_hst"] = in_reference
    for key in table.colnames:
        style = COLUMNS[key.removesuffix("_err")][1]
        if style is not None:
            table[key].info.format = style
    return describe(table, {key: words for key, (words, _) in COLUMNS.items()})
