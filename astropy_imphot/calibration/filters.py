"""The filters of images, and the zero points of those of HST."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import naming
from astropy_imphot.io.images import read_header
from astropy_imphot.io.reference_kinds import kind_of

__all__ = [
    "HstFilterInfo",
    "acs_wfc_zero_point",
    "filter_in_header",
    "is_acs_wfc",
    "positive_number",
    "read_zero_points",
]

ZERO_POINTS = Path(__file__).with_name("data") / "acs_wfc_zero_points.ecsv"

# In headers of WFPC2, FILTER1 and FILTER2 are numbers, and FILTNAM1 and FILTNAM2 are the names.
FILTER_KEYWORDS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")


class HstFilterInfo:
    """
    The zero point and bandpass of an HST filter.

    Parameters
    ----------
    source : str, path, header, HDU, HDUList or `~astropy.nddata.NDData`
        The name of an ACS/WFC filter, such as ``"F775W"``, or an HST image or its
        header. PHOTFLAM and PHOTPLAM of the header are used, of any HST camera. Otherwise the
        values are those of a table of ACS/WFC filters, unless the header has another camera.

    Attributes
    ----------
    filter_name : str
        The filter's name, in capitals; ``""`` where a header with PHOTFLAM has none.
    abmag_zero : float
        AB magnitude of one count per second.
    photflam : float
        Flux of one count per second, erg / (s cm2 Angstrom).
    photplam : float
        Pivot wavelength, Angstrom.
    photbw : float
        Root-mean-square bandwidth, Angstrom; NaN where it is not known.

    Raises
    ------
    UserError
        If the header lacks PHOTFLAM or PHOTPLAM and the filter is not in the table.

    Warns
    -----
    ImphotWarning
        If a header without PHOTFLAM or PHOTPLAM has no INSTRUME, and the values are those of ACS/WFC.

    Notes
    -----
    The zero point and PHOTFLAM imply each other through the pivot wavelength:
    photflam = 10^(-abmag_zero/2.5 - 2 log10(photplam) - 0.9632) (STScI, ACS zero
    points page).

    Examples
    --------
    >>> from astropy_imphot import HstFilterInfo
    >>> info = HstFilterInfo("F775W")
    >>> info.abmag_zero, info.photplam
    (25.69, 7692.4)
    >>> info
    <HstFilterInfo F775W: abmag_zero=25.690, photflam=9.74e-20, photplam=7692.4, photbw=434.4>
    """

    def __init__(self, source):
        table = read_zero_points()
        if isinstance(source, str) and source.strip().upper() in table:
            self._set({"INSTRUME": "ACS"}, source.strip().upper(), table)
            return
        if isinstance(source, str) and not Path(source).exists() and not Path(source).suffix:
            raise UserError(f"{source} is neither a known filter ({', '.join(table)}) nor a file.")
        with naming(source):
            header = source if isinstance(source, Mapping | fits.Header) else read_header(source)
            self._set(header, filter_in_header(header), table)

    def _set(self, header, name, table):
        self.filter_name = name
        photflam, photplam, photbw = (
            positive_number(header.get(f"PHOT{key}")) for key in ("FLAM", "PLAM", "BW")
        )
        known = name in table and is_acs_wfc(header)
        if known and np.isfinite(photflam) and not np.isfinite(photplam):
            photplam, photbw = table[name][1], table[name][3]
            if not str(header.get("INSTRUME", "")).strip():
                warn(
                    f"the header has neither PHOTPLAM nor INSTRUME: the pivot wavelength of ACS/WFC {name} "
                    f"is used ({photplam:.0f} Angstrom)."
                )
        if np.isfinite(photflam * photplam):
            self.photflam, self.photplam, self.photbw = photflam, photplam, photbw
            self.abmag_zero = -2.5 * (np.log10(self.photflam) + 2 * np.log10(self.photplam) + 0.9632)
        elif known:
            self.abmag_zero, self.photplam, self.photflam, self.photbw = acs_wfc_zero_point(name, header)
        else:
            unknown = f"the filter {name} of another camera than ACS/WFC" if name in table else ""
            unknown = unknown or (f"the unknown filter {name}" if name else "no filter's name")
            raise UserError(f"the header has {unknown} and no PHOTFLAM and PHOTPLAM: add these two keywords.")

    def __repr__(self):
        return (
            f"<HstFilterInfo {self.filter_name}: abmag_zero={self.abmag_zero:.3f}, "
            f"photflam={self.photflam:.4g}, photplam={self.photplam:.1f}, photbw={self.photbw:.1f}>"
        )

    def __str__(self):
        return (
            f"{self.filter_name or 'unnamed filter'}: AB zero point {self.abmag_zero:.3f} mag, "
            f"PHOTFLAM {self.photflam:.4g} erg / (s cm2 Angstrom),\n"
            f"pivot wavelength {self.photplam:.1f} Angstrom, bandwidth {self.photbw:.1f} Angstrom"
        )


def read_zero_points():
    """
    Read the table of zero points of ACS/WFC filters.

    Returns
    -------
    dict of str to (float, float, float, float)
        By the filters' names: AB zero point (mag), pivot wavelength (Angstrom), PHOTFLAM
        (erg / (s cm2 Angstrom) per electron/s) and bandwidth (Angstrom).

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import read_zero_points
    >>> read_zero_points()["F775W"]
    (25.69, 7692.4, 9.74e-20, 434.4)
    """
    return _zero_points(ZERO_POINTS)


@cache
def _zero_points(path):
    from astropy.table import Table

    table = Table.read(path, format="ascii.ecsv")
    columns = (table[key].tolist() for key in ("abmag_zero", "photplam", "photflam", "photbw"))
    return dict(zip(table["filter"].tolist(), zip(*columns, strict=True), strict=True))


def positive_number(value):
    """
    Return the number of a keyword.

    Parameters
    ----------
    value : object
        Its value, or None.

    Returns
    -------
    float
        NaN if it is missing, no number, or not positive.

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import positive_number
    >>> positive_number("7.7e-20"), positive_number("N/A")
    (7.7e-20, nan)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if number > 0 else np.nan


def filter_in_header(header):
    """
    Return the name of the filter in a header.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Of an image.

    Returns
    -------
    str
        In capitals; empty if there is none.

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import filter_in_header
    >>> filter_in_header({"FILTER1": "CLEAR1L", "FILTER2": "F775W"})
    'F775W'
    """
    pupil = str(header.get("PUPIL", "")).strip().upper()
    if re.fullmatch(r"F\d+[WMN]2?", pupil):
        # Of JWST, behind a wider filter.
        return pupil
    for key in FILTER_KEYWORDS:
        value = header.get(key, "")
        if not isinstance(value, str) or value.strip().upper() in ("", "N/A", "NONE"):
            continue
        # Of HST or JWST, also with the camera or with what is in the other wheel.
        if (
            len(names := set(re.findall(r"(?<![A-Z0-9])F\d{3}(?:LP|X|[WMN]2?)(?![A-Z0-9])", value.upper())))
            == 1
        ):
            return names.pop()
        # Both wheels in one keyword, such as F606W;CLEAR2L.
        for name in re.split(r"[;,/|+&]|-(?=CLEAR)|(?<=CLEAR)-", value.upper()):
            if name.strip() and not name.strip().startswith("CLEAR"):
                # DECam's have more words.
                return name.split()[0]
    return ""


def acs_wfc_zero_point(name, header):
    """
    Return the zero point of ACS/WFC for an image without PHOTFLAM.

    Parameters
    ----------
    name : str
        The filter.
    header : `~astropy.io.fits.Header` or dict
        Of the image.

    Returns
    -------
    (float, float, float, float) or None
        As in `read_zero_points`. None if the image has another camera, or the filter is not in the table.

    Warns
    -----
    ImphotWarning
        If the header has no INSTRUME.

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import acs_wfc_zero_point
    >>> acs_wfc_zero_point("F775W", {"INSTRUME": "ACS"})
    (25.69, 7692.4, 9.74e-20, 434.4)
    """
    found = read_zero_points().get(name)
    if found is None or not is_acs_wfc(header):
        return None
    if not str(header.get("INSTRUME", "")).strip():
        warn(
            f"the header has neither PHOTFLAM nor INSTRUME: the zero point of ACS/WFC {name} is used "
            f"({found[0]:.2f} mag); of another camera, give zeropoint (--zeropoint)."
        )
    return found


def is_acs_wfc(header):
    """
    Return whether the zero points of ACS/WFC can be those of an image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Of the image.

    Returns
    -------
    bool
        False if it has another camera or telescope.

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import is_acs_wfc
    >>> is_acs_wfc({"INSTRUME": "ACS"}), is_acs_wfc({"INSTRUME": "WFC3"}), is_acs_wfc({})
    (True, False, True)
    """
    if any(str(header.get(key, "")).strip() for key in ("INSTRUME", "CAMERA", "APERTURE")):
        return kind_of(header).camera == "ACS/WFC"
    detector, telescope = (str(header.get(key, "")).strip().upper() for key in ("DETECTOR", "TELESCOP"))
    return detector in ("", "WFC") and telescope in ("", "HST")
