"""The sensitivity of a filter as a function of the wavelength."""

from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np

from astropy_imphot.calibration.curve_files import curve_name, read_curve
from astropy_imphot.calibration.curves import named_curve
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming
from astropy_imphot.io.quantities import to_value

__all__ = ["WEIGHTS", "FilterCurve", "as_curve", "require_weights"]

# How flux densities per wavelength are weighted in a filter, and what the numbers of a curve are.
WEIGHTS = ("photon", "energy")


@dataclass(frozen=True, eq=False, repr=False)
class FilterCurve:
    """
    The sensitivity of a filter as a function of wavelength.

    Parameters
    ----------
    wavelength : array or `~astropy.units.Quantity` of shape (n,)
        Wavelengths in any order, numbers in Angstrom; ``n`` is at least 2.
    sensitivity : array or `~astropy.units.Quantity` of shape (n,)
        Sensitivities, linear between the wavelengths and 0 beyond. Numbers may have any
        scale; a Quantity is dimensionless or in percent.
    name : str
        Name of the filter in messages and files (default: ``"filter"``).
    source : str
        Origin of the curve (default: ``""``, not known).
    response : str
        What the sensitivities are: ``"photon"`` (default), detected electrons per photon, as are throughputs
        and transmissions; or ``"energy"``, signal per energy, which is proportional to the wavelength times
        the electrons per photon.

    Attributes
    ----------
    wavelength : array of shape (n,)
        Wavelengths in Angstrom, ascending.
    sensitivity : array of shape (n,)
        Sensitivities at these wavelengths.

    Raises
    ------
    UserError
        If the arrays are not two matching columns of finite numbers, wavelengths
        repeat, no sensitivity is above 0, a Quantity has another dimension, or there is no such response.

    Notes
    -----
    The signal of a source of flux density f per wavelength is the integral of f times W over wavelength. W is
    the wavelength times the sensitivity for a photon response, and the sensitivity for an energy response
    (Bessell & Murphy 2012, PASP 124, 140). W is also the weight of the flux densities in their mean in the
    filter.

    Examples
    --------
    >>> from astropy_imphot import FilterCurve
    >>> curve = FilterCurve([6000, 7000, 8000], [0, 1, 0], name="triangle")
    >>> curve.integral(6000.0, 7000.0)
    500.0
    >>> import astropy.units as u
    >>> FilterCurve([600, 700, 800] * u.nm, [0, 100, 0] * u.percent, name="triangle")
    <FilterCurve triangle: 3 points, 6000.0 to 8000.0 Angstrom>
    """

    wavelength: np.ndarray
    sensitivity: np.ndarray
    name: str = "filter"
    source: str = ""
    response: str = "photon"

    def __post_init__(self):
        of_curve = f"of the filter curve {self.name}"
        wavelength = to_value(self.wavelength, u.AA, f"the wavelength {of_curve}")
        sensitivity = to_value(self.sensitivity, u.dimensionless_unscaled, f"the sensitivity {of_curve}")
        wavelength = np.atleast_1d(np.asarray(wavelength, dtype=float))
        sensitivity = np.atleast_1d(np.asarray(sensitivity, dtype=float))
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
        require_weights(self.response, f"the response {of_curve}")
        order = np.argsort(wavelength)
        object.__setattr__(self, "wavelength", wavelength[order])
        object.__setattr__(self, "sensitivity", sensitivity[order])

    def __repr__(self):
        return f"<FilterCurve {self}>"

    def __str__(self):
        first, last = self.wavelength[[0, -1]]
        words = f"{self.name}: {self.wavelength.size} points, {first:.1f} to {last:.1f} Angstrom"
        words += ", energy response" if self.response == "energy" else ""
        return words + (f", from {self.source}" if self.source else "")

    @classmethod
    def read(cls, path, wave_unit=None):
        r"""
        Read a text file of two columns, wavelength and sensitivity, or a table with these columns.

        Parameters
        ----------
        path : str or path
            A text file, in which lines that start with # are comments, or a table of which they are the first
            two columns: CSV, ECSV, FITS or VOTable, by the end of its name. It may be compressed.
        wave_unit : str or `~astropy.units.UnitBase`, optional
            The unit of wavelengths that have none in the file. By default (None) it is Angstrom, or nm or um
            if the wavelengths are those of no filter in Angstrom, with a warning.

        Returns
        -------
        FilterCurve
            Its name is that of the file without its ends, and its source the path. Its response is that of
            the file's keywords (``response``, or DetectorType of a VOTable), and ``"photon"`` if the file
            does not say.

        Raises
        ------
        UserError
            If the file has another form, its unit is not known, or the unit is not a unit of length, or not
            the one in the file. Faults of a line or a row have its number.

        Warns
        -----
        ImphotWarning
            If wavelengths are repeated, or their unit is a guess.

        Examples
        --------
        >>> from pathlib import Path
        >>> from astropy_imphot import FilterCurve
        >>> _ = Path("box.txt").write_text("# nm  throughput\n600 1\n700 1\n")
        >>> FilterCurve.read("box.txt", wave_unit="nm").wavelength
        array([6000., 7000.])
        """
        path = Path(path)
        wavelength, sensitivity, response = read_curve(path, wave_unit)
        with naming(path):
            return cls(wavelength, sensitivity, curve_name(path), str(path), response or "photon")

    @classmethod
    def named(cls, name, camera=None):
        """
        Return the curve of a filter by its name.

        Curves of ACS/WFC, WFC3/UVIS, WFC3/IR, WFPC2, NIRCam (JWST) and VIS (Euclid) come with
        the package, those of many surveys with the package speclite.

        Parameters
        ----------
        name : str
            The filter, such as ``"F775W"``, or speclite's name of it, such as ``"decam2014-r"``.
        camera : str, optional
            ``"ACS/WFC"``, ``"WFC3/UVIS"``, ``"WFC3/IR"``, ``"WFPC2"``, ``"NIRCAM"`` or ``"VIS"``. By default
            (None) it is ACS/WFC, or the only camera with this filter. It is ignored for speclite's names.

        Returns
        -------
        FilterCurve
            Its name is the filter's, and its source is the package of the numbers, the package's version and
            the curve's name in it. Its sensitivities are electrons per photon, but those of speclite's
            bessell filters are an energy response.

        Raises
        ------
        UserError
            If there is no such filter or camera, or speclite is needed and not installed.

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> curve = FilterCurve.named("F606W")
        >>> curve.name, curve.source.split()[-1]
        ('F606W', 'ACS_wfc_F606W.dat')
        """
        wavelength, sensitivity, source, response = named_curve(name, camera)
        name = name.strip()
        return cls(wavelength, sensitivity, name if "-" in name else name.upper(), source, response)

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

    @property
    def pivot(self):
        """
        The pivot wavelength, in Angstrom.

        It converts the mean flux density per wavelength in the filter to that per frequency, whatever the
        spectrum. Its square is the integral of W over that of W divided by the squared wavelength, with W as
        for `FilterCurve` (Koornneef et al. 1986, Highlights of Astronomy 7, 833; Bessell & Murphy 2012, PASP
        124, 140).

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> round(FilterCurve.named("F606W").pivot, 1)
        5919.4
        """
        low, high = self.wavelength[:-1], self.wavelength[1:]
        slope = np.diff(self.sensitivity) / np.diff(self.wavelength)
        intercept = self.sensitivity[:-1] - slope * low
        # The exact integrals of (intercept + slope x) / x and / x^2 between the points.
        if self.response == "photon":
            weighted = intercept * np.log(high / low) + slope * (high - low)
        else:
            weighted = intercept * (1 / low - 1 / high) + slope * np.log(high / low)
        total = self.integral(low[0], high[-1], weights=self.response)
        return float(np.sqrt(total / weighted.sum()))

    def integral(self, start, stop, *, weights="energy"):
        """
        Integrate the curve between wavelengths.

        Parameters
        ----------
        start, stop : float, array of shape (n,) or `~astropy.units.Quantity`
            Limits, numbers in Angstrom.
        weights : str
            ``"energy"`` (default): the integral of the sensitivity. ``"photon"``: the integral of the weights
            of flux densities per wavelength in a mean that counts photons, which are W of `FilterCurve`.

        Returns
        -------
        float or array of shape (n,)
            The integrals, in Angstrom times the sensitivity's unit; times Angstrom for photons and a photon
            response.

        Raises
        ------
        UserError
            If a limit is no wavelength, or there are no such weights.

        Examples
        --------
        >>> from astropy_imphot import FilterCurve
        >>> FilterCurve([6000, 7000], [1, 1]).integral(0.0, 6500.0)
        500.0
        >>> FilterCurve([6000, 7000], [1, 1]).integral(6000.0, 6500.0, weights="photon")
        3125000.0
        """
        from scipy.interpolate import PPoly

        require_weights(weights, "weights")
        start, stop = (to_value(one, u.AA, key) for one, key in ((start, "start"), (stop, "stop")))
        # Polynomials between the points, in the distance from the lower point.
        points = self.wavelength
        sensitivity = np.stack([np.diff(self.sensitivity) / np.diff(points), self.sensitivity[:-1]])
        weight = sensitivity
        if weights == self.response == "photon":
            weight = np.zeros((3, points.size - 1))
            weight[:2] += sensitivity
            weight[1:] += points[:-1] * sensitivity
        primitive = PPoly(weight, points).antiderivative()
        low, high = points[[0, -1]]
        integral = primitive(np.clip(stop, low, high)) - primitive(np.clip(start, low, high))
        return integral[()] if np.ndim(integral) else float(integral)


def require_weights(value, name):
    """
    Raise an error for weights, or a response, other than photon and energy.

    Parameters
    ----------
    value : str
        What is given.
    name : str
        Its name in the error.

    Raises
    ------
    UserError
        If it is not ``"photon"`` or ``"energy"``.

    Examples
    --------
    >>> from astropy_imphot.calibration.filter_curve import require_weights
    >>> require_weights("photon", "weights")
    """
    if value not in WEIGHTS:
        raise UserError(f"{name} is {value!r}: give 'photon' or 'energy'.")


def as_curve(source):
    """
    Return the curve of a filter, in whatever form it is given.

    Parameters
    ----------
    source : `FilterCurve`, str, path, or (wavelength, sensitivity)
        A curve, a file as for `FilterCurve.read`, the name of a filter as for `FilterCurve.named`, or two
        arrays as for `FilterCurve`. A str is the name of a filter if there is no such file and it has no
        suffix.

    Returns
    -------
    FilterCurve
        The curve.

    Raises
    ------
    UserError
        If the file cannot be read, there is no such filter, or the arrays are no curve.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.calibration.filter_curve import as_curve
    >>> as_curve(([600, 700] * u.nm, [1, 1]))
    <FilterCurve filter: 2 points, 6000.0 to 7000.0 Angstrom>
    >>> as_curve("F606W").name
    'F606W'
    """
    if isinstance(source, FilterCurve):
        return source
    if isinstance(source, (tuple, list)):
        return FilterCurve(*source)
    path = Path(source)
    if isinstance(source, str) and not (path.exists() or path.suffix or path.name != source):
        return FilterCurve.named(source)
    return FilterCurve.read(path)
