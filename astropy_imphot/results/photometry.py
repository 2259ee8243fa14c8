"""Results of fits: values with errors, as a table, a summary, a report and HTML."""

from dataclasses import dataclass, field

import numpy as np
from astropy.table import QTable

from astropy_imphot.io.representation import Representation
from astropy_imphot.parameters import FLUX, all_parameters
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import PsfShape
from astropy_imphot.results.columns import describe
from astropy_imphot.results.flags import FitFlags, flag_names
from astropy_imphot.results.html import fit_as_html
from astropy_imphot.results.summary import summary_header, summary_line

__all__ = [
    "FailedPhotometry",
    "FittedPhotometry",
    "value_properties",
]

# Descriptions of the columns of a table of fits that are not values.
COLUMNS = {
    "name": "name of the image",
    "method": "image, stars or failed",
    "rms": "root mean square of the residuals",
    "rchi": "reduced chi-squared",
    "n_pixels": "number of fitted pixels",
    "smoothing": "FWHM of the Gaussian by which both images were smoothed, 0 for none",
    "flags": "sum of FitFlags",
    "error": "why the fit failed",
}


def value_properties(parameters):
    """
    Return the attributes of a result that are its values.

    Parameters
    ----------
    parameters : dict of str to `~astropy_imphot.parameters.ParameterInfo`
        The values.

    Returns
    -------
    dict of str to property
        Documented by the table of parameters.

    Examples
    --------
    >>> from astropy_imphot.parameters import PARAMETERS
    >>> from astropy_imphot.results.photometry import value_properties
    >>> value_properties(PARAMETERS)["dx"].__doc__
    '`FittedValue`: offset along x, MUSE - HST.'
    """
    return {name: _value_property(name, info.words) for name, info in parameters.items()}


def _value_property(name, words):
    def value(self):
        if name not in self.values:
            # Python then calls __getattr__, whose message names the values.
            raise AttributeError(name)
        return self.values[name]

    return property(value, doc=f"`FittedValue`: {words}.")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FittedPhotometry(Representation):
    """
    The photometric parameters of a MUSE image.

    Attributes
    ----------
    name : str
        The image's name.
    method : str
        ``"image"`` or ``"stars"``.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF.
    values : dict of str to `FittedValue`
        All values, each of which is also an attribute: scale, bg, dx, dy, dra, ddec, the parameters of the
        PSF (fwhm and beta of a Moffat function), and those that were fitted on demand.
    covariance : array of shape (p, p)
        Covariance of the free parameters, for correlated noise.
    naive_covariance : array of shape (p, p)
        Covariance of the free parameters, for independent noise of the given variances.
    free : tuple of str
        Names of the free parameters, in the order of the covariance.
    rms_error : float
        Root mean square of the residuals, in the image's unit.
    rchi : float
        Reduced chi-squared.
    n_pixels : int
        Number of pixels that were fitted.
    n_evaluations : int
        Number of evaluations of the model by the fitter.
    converged : bool
        Whether the fit converged.
    flags : `~astropy_imphot.results.flags.FitFlags`
        Reasons to doubt the fit; 0 if there are none.
    options : dict
        The options of the fit.

    Raises
    ------
    ValueError
        If a value is not in the table of parameters.

    Examples
    --------
    See `FittedImagePhotometry`.
    """

    name: str
    method: str
    psf: PsfShape
    values: dict
    covariance: np.ndarray
    naive_covariance: np.ndarray
    free: tuple
    rms_error: float
    rchi: float
    n_pixels: int
    n_evaluations: int
    converged: bool
    flags: FitFlags
    options: dict = field(default_factory=dict)

    # Listed in the documentation: the values that nearly all fits have.
    vars().update(
        value_properties({name: info for name, info in all_parameters(MOFFAT).items() if not info.on_demand})
    )

    def __post_init__(self):
        unknown = [name for name in self.values if name not in self.parameters]
        if unknown:
            raise ValueError(
                f"{self.name} has {', '.join(unknown)}: add it to the parameters of the PSF's shape."
            )

    def __getattr__(self, name):
        # While an object is unpickled it has no values.
        values = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        exists = f": its values are {', '.join(values)}" if values else ""
        raise AttributeError(f"{type(self).__name__} has no {name}{exists}.", name=name, obj=self)

    def __dir__(self):
        missing = {name for name in all_parameters(MOFFAT) if name not in self.values}
        return sorted({*super().__dir__(), *self.values} - missing)

    @property
    def parameters(self):
        """The table of parameters: dict of str to `~astropy_imphot.parameters.ParameterInfo`."""
        return all_parameters(self.psf)

    def _represented(self):
        values = {key: self.values[key] for key, info in self.parameters.items() if key in self.values}
        shown = {key: value for key, value in values.items() if self.parameters[key].style}
        return {"name": self.name, "method": self.method} | shown | {"flags": flag_names(self.flags)}

    def _repr_html_(self):
        return fit_as_html(self)

    def _pictures(self):
        """Return a picture of data, model and residual, by its title; empty without matplotlib."""
        return {}

    def to_table(self):
        """
        Return the values as a table of one row.

        Returns
        -------
        `~astropy.table.QTable`
            Columns name, method, every value and its standard deviation (``_err``), rms,
            rchi, n_pixels, smoothing (of image fits) and flags (see
            `~astropy_imphot.results.flags.FitFlags`). Rows of several fits can be stacked with
            `astropy.table.vstack`.

        Examples
        --------
        See `FittedImagePhotometry`.
        """
        from astropy_imphot._version import version

        row = {"name": [self.name], "method": [self.method]}
        for key, value in self.values.items():
            row[key] = [value.value] * value.unit
            row[f"{key}_err"] = [value.stdev] * value.unit
        row["rms"] = [self.rms_error] * self.bg.unit
        row["rchi"] = [self.rchi]
        row["n_pixels"] = [self.n_pixels]
        row |= self._more_columns()
        row["flags"] = [int(self.flags)]
        words = {name: info.words for name, info in self.parameters.items()}
        return describe(QTable(row, meta={"VERSION": f"astropy_imphot {version}"}), words | COLUMNS)

    def summary(self, header=True):
        """
        Return the values in one line.

        Parameters
        ----------
        header : bool
            Whether three lines that start with #, with the names of the columns, come first
            (default: True).

        Returns
        -------
        str
            The lines, without a line feed at the end.

        Examples
        --------
        >>> from astropy_imphot import fit_image_photometry
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5, name="E1")
        >>> fit.summary(header=False).split()[:2]
        ['E1', 'image']
        """
        line = summary_line(self)
        return "\n".join([*summary_header(self.psf), line]) if header else line

    def report(self):
        """
        Return the values with their errors, the flags, the objects that changed, and the correlations.

        Returns
        -------
        str
            Several lines, without a line feed at the end. Errors are for correlated noise; the
            naive ones are for independent pixels of the given variances.

        Examples
        --------
        See `FittedImagePhotometry`.
        """
        flux = f", flux in {self.bg.unit}" if str(self.bg.unit) else ""
        lines = [f"{self.name} ({self.method} fit{flux})"]
        rows = [("", "value", "error", "naive", "unit", "")]
        rows += [self._report_row(key, value, self._naive_error(key)) for key, value in self.values.items()]
        lines += _aligned(rows)
        if self.free:
            lines.append("  naive: the error for independent pixels of the given variances")
        lines += [
            f"  rms of the residuals {self.rms_error:.5g}, reduced chi-squared {self.rchi:.5g}",
            f"  {self.n_pixels} pixels, {self.n_evaluations} evaluations, "
            + ("converged" if self.converged else "NOT CONVERGED"),
        ]
        flags = [FitFlags[name] for name in flag_names(self.flags)]
        lines += [f"  flag {flag.value}, {flag.name}: {flag.meaning}" for flag in flags]
        lines += self._more_lines()
        if len(self.free) > 1:
            lines.append("  correlations:")
            width = max(len(key) for key in self.free)
            correlation = _correlation(self.covariance)
            for i, one in enumerate(self.free):
                row = "".join(f"{correlation[i, j]:7.3f}" for j in range(i + 1))
                lines.append(f"    {one:<{width}}{row}")
        return "\n".join(lines)

    def _report_row(self, key, value, naive=None):
        info = self.parameters[key]
        unit = info.unit if str(self.bg.unit) else info.unit.replace(FLUX, "1")
        naive = "" if naive is None else f"{naive:.2g}"
        return key, *value.rounded, naive, "" if unit == "1" else unit, info.words

    def _more_lines(self):
        return []

    def _more_columns(self):
        return {}

    def _naive_error(self, key):
        if key not in self.free:
            return None
        index = self.free.index(key)
        return float(np.sqrt(self.naive_covariance[index, index]))


@dataclass(frozen=True, kw_only=True, repr=False)
class FailedPhotometry(Representation):
    """
    The error of a fit that failed, instead of its result.

    Parameters
    ----------
    name : str
        The image's name.
    error : str
        The error message.
    method : str
        The method in tables (default: ``"failed"``).

    Examples
    --------
    >>> from astropy_imphot import FailedPhotometry
    >>> print(FailedPhotometry(name="E5", error="E5.fits does not exist.").summary(header=False))
    # E5 failed: E5.fits does not exist.
    """

    name: str
    error: str
    method: str = "failed"

    def to_table(self):
        """
        Return the failure as a table of one row.

        Returns
        -------
        `~astropy.table.QTable`
            Columns name, method and error; it can be stacked with those of other fits.

        Examples
        --------
        >>> from astropy_imphot import FailedPhotometry
        >>> FailedPhotometry(name="E5", error="E5.fits does not exist.").to_table().colnames
        ['name', 'method', 'error']
        """
        row = {"name": [self.name], "method": [self.method], "error": [self.error]}
        return describe(QTable(row), COLUMNS)

    def summary(self, header=True):
        """
        Return the failure in one line, which starts with #.

        Parameters
        ----------
        header : bool
            Whether three lines that start with #, with the names of the columns of fits, come first
            (default: True).

        Returns
        -------
        str
            The lines, without a line feed at the end.

        Examples
        --------
        See `FailedPhotometry`.
        """
        line = f"# {self.name} failed: {self.error}"
        return "\n".join([*summary_header(), line]) if header else line

    def report(self):
        """
        Return the failure in one line.

        Returns
        -------
        str
            The line, without a line feed at the end.

        Examples
        --------
        >>> from astropy_imphot import FailedPhotometry
        >>> print(FailedPhotometry(name="E5", error="E5.fits does not exist.").report())
        E5 failed: E5.fits does not exist.
        """
        return f"{self.name} failed: {self.error}"


def _aligned(rows, indent=2):
    """Return rows as aligned lines: a name, three numbers and two texts each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = ["<", *">>>", *"<<"]
    return [
        (
            " " * indent
            + "  ".join(
                f"{cell:{align}{width}}"
                for cell, align, width in zip(row, aligns, widths, strict=True)
                if width
            )
        ).rstrip()
        for row in rows
    ]


def _correlation(covariance):
    errors = np.sqrt(np.diag(covariance))
    safe = np.where(errors > 0, errors, 1)
    return covariance / np.outer(safe, safe)
