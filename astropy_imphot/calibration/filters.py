"""HST filters: zero points, and bandpass curves."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits

from astropy_imphot.calibration.curves import installed_curve
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, source_name
from astropy_imphot.io.images import read_header
from astropy_imphot.io.representation import Representation

__all__ = ["FilterCurve", "HstFilterInfo", "filter_in_header"]

# AB zero point (mag), pivot wavelength (Angstrom), PHOTFLAM (erg cm-2 Angstrom-1 per
# electron) and bandwidth (Angstrom) of ACS/WFC filters, from STScI's ACS zero points
# and bandwidth pages and from the XDF release's page.
ACS_WFC = {
    "F435W": (25.68, 4328.2, 3.11e-19, 298.2),
    "F475W": (26.06, 4746.9, 1.82e-19, 420.2),
    "F555W": (25.72, 5361.0, 1.96e-19, 360.1),
    "F606W": (26.51, 5921.1, 7.73e-20, 672.3),
    "F625W": (25.91, 6311.4, 1.18e-19, 415.4),
    "F775W": (25.69, 7692.4, 9.74e-20, 434.4),
    "F814W": (25.94, 8057.0, 7.05e-20, 652.0),
    "F850LP": (24.87, 9033.1, 1.50e-19, 525.7),
}

# WFPC2 writes numbers into FILTER1 and FILTER2, and the names into FILTNAM1 and FILTNAM2.
FILTER_KEYWORDS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")


class HstFilterInfo:
    """
    The zero point and bandpass of an HST filter.

    Parameters
    ----------
    source : str, path, header, HDU, HDUList or `~astropy.nddata.NDData`
        The name of an ACS/WFC filter, such as ``"F775W"``, or an HST image or its
        header. Where the header has PHOTFLAM and PHOTPLAM, they are used, so that
        any HST camera will do; a table of ACS/WFC filters serves the others.

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
        If the filter is not in the table and there is no PHOTFLAM and PHOTPLAM.

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
    """

    def __init__(self, source):
        if isinstance(source, str) and source.strip().upper() in ACS_WFC:
            header, name = {}, source.strip().upper()
        else:
            header, name = _header_and_name(source)
        self.filter_name = name
        photflam, photplam, photbw = (_positive(header.get(f"PHOT{key}")) for key in ("FLAM", "PLAM", "BW"))
        if np.isfinite(photflam * photplam):
            self.photflam, self.photplam, self.photbw = photflam, photplam, photbw
            self.abmag_zero = -2.5 * (np.log10(self.photflam) + 2 * np.log10(self.photplam) + 0.9632)
        elif name in ACS_WFC:
            self.abmag_zero, self.photplam, self.photflam, self.photbw = ACS_WFC[name]
        else:
            raise UserError(
                f"{source_name(source, 'the HST image')} has "
                + (f"the unknown filter {name}" if name else "no filter's name")
                + " and no PHOTFLAM and PHOTPLAM: add these two keywords to its header."
            )

    def __repr__(self):
        return (
            f"<HstFilterInfo {self.filter_name}: abmag_zero={self.abmag_zero:.3f}, "
            f"photflam={self.photflam:.4g}, photplam={self.photplam:.1f}, photbw={self.photbw:.1f}>"
        )


def _positive(value):
    """Return a header's number, or NaN if it is none or says nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if number > 0 else np.nan


def _header_and_name(source):
    if isinstance(source, str) and not Path(source).exists() and not Path(source).suffix:
        raise UserError(f"{source} is neither a filter that is known ({', '.join(ACS_WFC)}) nor a file.")
    header = source if isinstance(source, Mapping | fits.Header) else read_header(source)
    return header, filter_in_header(header)


def filter_in_header(header):
    """
    Return the name of the filter that a header names.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Of an image.

    Returns
    -------
    str
        In capitals; empty if it names none.

    Examples
    --------
    >>> from astropy_imphot.calibration.filters import filter_in_header
    >>> filter_in_header({"FILTER1": "CLEAR1L", "FILTER2": "F775W"})
    'F775W'
    """
    for key in FILTER_KEYWORDS:
        value = header.get(key, "")
        if isinstance(value, str) and value.strip() and not value.upper().startswith("CLEAR"):
            return value.strip().upper()
    return ""


@dataclass(frozen=True, eq=False, repr=False)
class FilterCurve(Representation):
    """
    The sensitivity of a filter as a function of wavelength.

    Parameters
    ----------
    wavelength : array of shape (n,)
        Wavelengths in Angstrom, in any order; ``n`` is at least 2.
    sensitivity : array of shape (n,)
        Sensitivities in any unit, linear between the wavelengths and 0 beyond.
    name : str
        What messages and files call the filter (default: ``"filter"``).
    source : str
        Where the curve is from (default: ``""``, not known).

    Raises
    ------
    UserError
        If the arrays are not two matching columns of finite numbers, wavelengths
        repeat, or no sensitivity is above 0.

    Examples
    --------
    >>> from astropy_imphot import FilterCurve
    >>> curve = FilterCurve([6000, 7000, 8000], [0, 1, 0], name="triangle")
    >>> curve.integral(6000.0, 7000.0)
    500.0
    """

    wavelength: np.ndarray
    sensitivity: np.ndarray
    name: str = "filter"
    source: str = ""

    def __post_init__(self):
        wavelength = np.atleast_1d(np.asarray(self.wavelength, dtype=float))
        sensitivity = np.atleast_1d(np.asarray(self.sensitivity, dtype=float))
        if (
            wavelength.ndim != 1
            or wavelength.shape != sensitivity.shape
            or wavelength.size < 2
            or not np.all(np.isfinite(wavelength) & np.isfinite(sensitivity))
            or np.unique(wavelength).size != wavelength.size
            or not np.any(sensitivity > 0)
        ):
            raise UserError(
                f"the filter curve {self.name} needs two columns of finite numbers, different "
                "wavelengths and sensitivities of which some are above 0, in two rows or more."
            )
        order = np.argsort(wavelength)
        object.__setattr__(self, "wavelength", wavelength[order])
        object.__setattr__(self, "sensitivity", sensitivity[order])

    def _represented(self):
        limits = f"{self.wavelength[0]:g} to {self.wavelength[-1]:g} Angstrom"
        return {"name": self.name, "wavelength": limits, "source": self.source}

    @classmethod
    def read(cls, path, wave_unit="Angstrom"):
        r"""
        Read a text file of two columns, wavelength and sensitivity.

        Parameters
        ----------
        path : str or path
            The file; lines that start with # are comments.
        wave_unit : str or `~astropy.units.UnitBase`
            The unit of its wavelengths (default: Angstrom).

        Returns
        -------
        FilterCurve
            Named after the file's stem; its source is the path.

        Raises
        ------
        UserError
            If the file cannot be read as two columns of numbers, or the unit is not one
            of length.

        Examples
        --------
        >>> from pathlib import Path
        >>> from astropy_imphot import FilterCurve
        >>> _ = Path("box.txt").write_text("# nm  throughput\n600 1\n700 1\n")
        >>> FilterCurve.read("box.txt", wave_unit="nm").wavelength
        array([6000., 7000.])
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"the filter curve {path} does not exist: check the name.")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
                columns = np.loadtxt(path, ndmin=2, usecols=(0, 1)).reshape(-1, 2)
            wavelength, sensitivity = columns.T
        except (ValueError, IndexError, UnicodeDecodeError) as error:
            raise UserError(
                f"the filter curve {path} is not a text file of two columns of numbers: give it a "
                "wavelength and a sensitivity in each row."
            ) from error
        try:
            factor = u.Unit(wave_unit).to(u.AA)
        except (ValueError, u.UnitConversionError) as error:
            raise UserError(f"{wave_unit!r} is not a unit of wavelength: use Angstrom, nm or um.") from error
        with naming(str(path)):
            return cls(wavelength * factor, sensitivity, name=path.stem, source=str(path))

    @classmethod
    def named(cls, name, camera="ACS/WFC"):
        """
        Return the curve of an HST filter from a package that is installed: galsim or else mpdaf.

        Parameters
        ----------
        name : str
            The filter, such as ``"F775W"``.
        camera : str
            ``"ACS/WFC"`` (default), ``"WFC3/UVIS"``, ``"WFC3/IR"`` or ``"WFPC2"``.

        Returns
        -------
        FilterCurve
            Named after the filter; its source is the package, its version and the curve's name in it.

        Raises
        ------
        UserError
            If neither package has the filter, or the camera is not known.

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> curve = FilterCurve.named("F606W")
        >>> curve.name, curve.source.split()[-1]
        ('F606W', 'ACS_wfc_F606W.dat')
        """
        wavelength, sensitivity, source = installed_curve(name, camera)
        return cls(wavelength, sensitivity, name=name.strip().upper(), source=source)

    @property
    def total(self):
        """
        The integral over all wavelengths, in Angstrom times the sensitivity's unit.

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> FilterCurve([6000, 7000, 8000], [0, 1, 0]).total
        1000.0
        """
        return self.integral(self.wavelength[0], self.wavelength[-1])

    def integral(self, start, stop):
        """
        Integrate the curve between wavelengths.

        Parameters
        ----------
        start, stop : float or arrays of shape (n,)
            Limits in Angstrom.

        Returns
        -------
        float or array of shape (n,)
            The integrals, in Angstrom times the sensitivity's unit.

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> FilterCurve([6000, 7000], [1, 1]).integral(0.0, 6500.0)
        500.0
        """
        from scipy.interpolate import make_interp_spline

        primitive = make_interp_spline(self.wavelength, self.sensitivity, k=1).antiderivative()
        low, high = self.wavelength[[0, -1]]
        integral = primitive(np.clip(stop, low, high)) - primitive(np.clip(start, low, high))
        return integral[()] if np.ndim(integral) else float(integral)
