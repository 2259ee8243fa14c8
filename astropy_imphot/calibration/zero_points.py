"""
The flux of a pixel value of an image, from its unit and the zero point in its header.

The rules are the rows of a table, of which the first that applies counts.
"""

import astropy.units as u
import numpy as np

from astropy_imphot.calibration.filters import acs_wfc_zero_point, filter_in_header, positive_number
from astropy_imphot.calibration.pivots import known_pivot
from astropy_imphot.io.bunit import is_not_understood
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.reference_kinds import kind_of

__all__ = ["AB_FLUX", "MAGNITUDE_KEYWORDS", "RULES", "pivot_in_header", "pixel_flux"]

FLAM = u.erg / u.s / u.cm**2 / u.AA

# The flux density of magnitude 0 in the AB system (Oke & Gunn 1983, ApJ 266, 713).
AB_FLUX = 3631 * u.Jy

# Keywords of AB magnitudes of a pixel value of 1: Euclid and DES; ESO's Phase 3 standard; and others.
MAGNITUDE_KEYWORDS = ("MAGZERO", "MAGZPT", "MAGZP", "PHOTZP", "ABMAGZP", "ZPAB")

# Keywords of the magnitudes' system.
SYSTEM_KEYWORDS = ("PHOTSYS", "MAGSYS")

# Two zero points in a header are the same if they are closer than this, mag.
SAME = 0.002

COUNTS = (u.electron, u.ct, u.DN, u.adu)

EXPOSURE_KEYWORDS = ("EXPTIME", "TEXPTIME")


def pixel_flux(unit, header):
    r"""
    Return the flux density per Angstrom of a pixel value of 1.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase`
        The unit of the image, per pixel; dimensionless if it has none.
    header : `~astropy.io.fits.Header` or dict
        The primary header and the image's in one.

    Returns
    -------
    `~astropy.units.Quantity`
        In erg/s/cm2/Angstrom.

    Raises
    ------
    UserError
        If there is no usable unit or zero point, or the pivot wavelength is needed and not known. The error
        has the keywords that were looked for.

    Warns
    -----
    ImphotWarning
        If an HST image has no BUNIT, and counts per second are assumed; or no INSTRUME, and the zero point
        is that of ACS/WFC.

    Notes
    -----
    A flux per Hertz is converted at the pivot wavelength, :math:`f_\lambda = f_\nu c / \lambda_p^2`, which
    holds for the means of any spectrum, weighted by photons (Tokunaga & Vacca 2005, PASP 117, 421).

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.calibration.zero_points import pixel_flux
    >>> print(pixel_flux(u.electron / u.s, {"PHOTFLAM": 7.73e-20}))
    7.73e-20 erg / (Angstrom s cm2)
    >>> header = {"MAGZERO": 24.6, "INSTRUME": "VIS"}
    >>> print(f"{pixel_flux(u.adu / u.s, header):.4g}")
    2.995e-19 erg / (Angstrom s cm2)
    """
    _refuse_asinh(header)
    flux = (
        1 * unit if unit.is_equivalent(FLAM) or unit.is_equivalent(u.Jy) else _from_zero_point(unit, header)
    )
    if flux.unit.is_equivalent(FLAM):
        return flux.to(FLAM)
    return flux.to(FLAM, u.spectral_density(pivot_in_header(header) * u.AA))


def pivot_in_header(header):
    """
    Return the pivot wavelength of an image's filter.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        The primary header and the image's in one.

    Returns
    -------
    float
        PHOTPLAM, or else that of the camera's filter, Angstrom.

    Raises
    ------
    UserError
        If neither is known.

    Examples
    --------
    >>> from astropy_imphot.calibration.zero_points import pivot_in_header
    >>> pivot_in_header({"INSTRUME": "DECam", "FILTER": "r DECam SDSS c0002 6415.0 1480.0"})
    6417.6
    """
    pivot = positive_number(header.get("PHOTPLAM"))
    if np.isfinite(pivot):
        return pivot
    kind = kind_of(header)
    name = filter_in_header(header) or kind.filter_name.upper()
    pivot = known_pivot(name, kind.camera) if name and kind.camera else None
    if pivot is None:
        what = f"the filter {name}" if name else "a filter without a name"
        raise UserError(
            f"the pivot wavelength of {what} ({kind.name}) is not known (looked for PHOTPLAM, and INSTRUME "
            "with FILTER): give pivot (--pivot) in Angstrom."
        )
    return pivot


def _from_zero_point(unit, header):
    """Return the flux of a pixel value that counts something."""
    if _is_plain(unit, header) or any(
        unit.is_equivalent(one) for count in COUNTS for one in (count, count / u.s)
    ):
        for rule in RULES.values():
            flux = rule(unit, header)
            if flux is not None:
                return flux
    raise UserError(_reason(unit, header))


def _hst_keywords(unit, header):
    """Return the flux from PHOTFLAM or PHOTFNU of HST and DJA, which are that of one count per second."""
    for keyword, flux_unit in (("PHOTFLAM", FLAM), ("PHOTFNU", u.Jy)):
        flux = positive_number(header.get(keyword))
        if np.isfinite(flux):
            return _per_second(unit, header, keyword) * flux * flux_unit
    return None


def _magnitudes(unit, header):
    """Return the flux from the AB magnitude of a pixel value of 1, whatever it counts."""
    found = {key: _number(header.get(key)) for key in MAGNITUDE_KEYWORDS}
    found["FLUXMAG0"] = 2.5 * np.log10(positive_number(header.get("FLUXMAG0")))
    found = {key: value for key, value in found.items() if np.isfinite(value)}
    if not found:
        return None
    for key in SYSTEM_KEYWORDS:
        if "VEGA" in str(header.get(key, "")).upper():
            raise UserError(
                f"the zero point {next(iter(found))} is of Vega magnitudes ({key} = {header[key]}): give "
                "that of AB magnitudes as zeropoint (--zeropoint)."
            )
    if max(found.values()) - min(found.values()) > SAME:
        listed = " and ".join(f"{key} ({value:.3f} mag)" for key, value in found.items())
        raise UserError(
            f"the zero points {listed} of the header differ: give one as zeropoint (--zeropoint)."
        )
    return AB_FLUX * 10 ** (-0.4 * next(iter(found.values())))


def _of_survey(unit, header):
    """Return the flux from a zero point that is the same for all images of a survey."""
    zero_point = kind_of(header).zero_point
    return None if zero_point is None else AB_FLUX * 10 ** (-0.4 * zero_point)


def _acs_table(unit, header):
    """Return the flux from the table of ACS/WFC, for images without PHOTFLAM."""
    name = filter_in_header(header)
    found = acs_wfc_zero_point(name, header)
    return None if found is None else _per_second(unit, header, f"the zero point of {name}") * found[2] * FLAM


# What is tried, in this order. A new rule is a function of unit and header, which returns a flux density per
# Angstrom or per Hertz, or None if it does not apply.
RULES = {
    "PHOTFLAM, PHOTFNU": _hst_keywords,
    ", ".join((*MAGNITUDE_KEYWORDS, "FLUXMAG0")): _magnitudes,
    "a survey of one zero point": _of_survey,
    "INSTRUME = ACS and FILTER": _acs_table,
}


def _per_second(unit, header, what):
    """Return the count rate of a pixel value of 1, a number."""
    for count in COUNTS:
        if unit.is_equivalent(count / u.s):
            return unit.to(count / u.s)
        if unit.is_equivalent(count):
            times = [positive_number(header.get(key)) for key in EXPOSURE_KEYWORDS]
            time = next((time for time in times if np.isfinite(time)), None)
            if time is None:
                raise UserError(
                    f"the image is in {unit}, {what} is of counts per second, and the header has no exposure "
                    f"time (looked for {', '.join(EXPOSURE_KEYWORDS)}): add EXPTIME."
                )
            return unit.to(count) / time
    # Drizzle records the unit of its images.
    recorded = str(header.get("D001OUUN", "")).strip().lower()
    if recorded == "counts":
        return _per_second(u.ct, header, what)
    if recorded != "cps":
        kind = kind_of(header)
        if not kind.rate_without_unit:
            raise UserError(
                f"the header has {what} but no BUNIT, and images of this kind ({kind.name}) can be in counts "
                "or in counts per second: add BUNIT, or give zeropoint (--zeropoint)."
            )
        warn("the image has no unit (looked for BUNIT): counts per second are assumed.")
    return 1.0


def _is_plain(unit, header):
    """Return whether an image has no unit; one that is not understood is not none."""
    return unit == u.dimensionless_unscaled and not is_not_understood(unit, header)


def _number(value):
    """Return the number of a keyword, or NaN if it is missing or no number."""
    if isinstance(value, bool):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _refuse_asinh(header):
    if "BSOFTEN" in header and "BOFFSET" in header:
        raise UserError(
            "the pixels are asinh magnitudes of Pan-STARRS (keywords BOFFSET and BSOFTEN): convert them to "
            "linear fluxes, and remove these keywords."
        )


def _reason(unit, header):
    text = str(header.get("BUNIT", "")).strip()
    if unit != u.dimensionless_unscaled:
        found = f"the unit {unit}"
    else:
        found = f"the unit {text!r}, which is not understood," if text else "no unit"
    name = filter_in_header(header)
    return (
        f"the flux of the pixels is not known: the header has {found} and no usable zero point of "
        f"{f'the filter {name}' if name else 'a filter without a name'}, {kind_of(header).name} (looked for "
        f"BUNIT; {'; '.join(RULES)}): add a keyword, or give zeropoint (--zeropoint), the AB magnitude of a "
        "pixel value of 1."
    )
