"""What a fit found: values with errors, a table row, a summary line and a report."""

from dataclasses import dataclass, field

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot.results.flags import FitFlags, flag_names

__all__ = [
    "FailedPhotometry",
    "FittedImagePhotometry",
    "FittedPhotometry",
    "summary_header",
]

# The values of every fit: name, format in the summary, and what they are.
COLUMNS = {
    "scale": ("8.4f", "flux scale, MUSE/HST"),
    "fwhm": ("7.4f", "FWHM of the MUSE PSF"),
    "beta": ("7.4f", "exponent of the MUSE PSF"),
    "bg": ("10.5g", "background, MUSE - HST"),
    "dx": ("8.4f", "offset along x, MUSE - HST"),
    "dy": ("8.4f", "offset along y, MUSE - HST"),
    "dra": ("8.4f", "offset in right ascension, MUSE - HST"),
    "ddec": ("8.4f", "offset in declination, MUSE - HST"),
}
# Those that are fitted on demand.
EXTRAS = {
    "bg_x": "gradient of the background along x",
    "bg_y": "gradient of the background along y",
    "rotation": "rotation, from x towards y",
    "e1": "ellipticity of the MUSE PSF along x",
    "e2": "ellipticity of the MUSE PSF along x = y",
}
NAME_WIDTH = 32


def value_property(name):
    """Return the attribute of a result that is one of its values."""
    text = COLUMNS[name][1] if name in COLUMNS else f"{name.replace('_', ' ')} of the star"

    def value(self):
        return self.values[name]

    return property(value, doc=f"`FittedValue`: {text}.")


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedPhotometry:
    """
    The photometric parameters of a MUSE image.

    Attributes
    ----------
    name : str
        The image's name.
    method : str
        ``"image"`` or ``"stars"``.
    values : dict of str to `FittedValue`
        All parameters; also the attributes scale, bg, dx, dy, dra, ddec, fwhm and beta.
    covariance : array of shape (p, p)
        Covariance of the free parameters, correlated noise included.
    naive_covariance : array of shape (p, p)
        What it would be if the noise were independent and as large as the variances say.
    free : tuple of str
        Names of the free parameters, in the order of the covariance.
    rms_error : float
        Root mean square of the residuals, in the image's unit.
    rchi : float
        Reduced chi-squared.
    n_pixels : int
        Number of pixels that were fitted.
    n_evaluations : int
        How often the fitter evaluated the model.
    converged : bool
        Whether the fit converged.
    flags : `~astropy_imphot.results.flags.FitFlags`
        What is doubtful about it; 0 if nothing is.
    options : dict
        What the fit was asked for.

    Examples
    --------
    See `FittedImagePhotometry`.
    """

    name: str
    method: str
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

    scale = value_property("scale")
    bg = value_property("bg")
    dx = value_property("dx")
    dy = value_property("dy")
    dra = value_property("dra")
    ddec = value_property("ddec")
    fwhm = value_property("fwhm")
    beta = value_property("beta")

    def to_table(self):
        """
        Return the values as a table of one row.

        Returns
        -------
        `~astropy.table.QTable`
            Columns name, method, every value and its standard deviation (``_err``), rms,
            rchi, n_pixels and flags (see `~astropy_imphot.results.flags.FitFlags`). Rows of several
            fits can be stacked with `astropy.table.vstack`.

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
        row["flags"] = [int(self.flags)]
        return QTable(row, meta={"VERSION": f"astropy_imphot {version}"})

    def summary(self, header=True):
        """
        Return the values in one line.

        Parameters
        ----------
        header : bool
            Whether three lines that start with # and name the columns come first
            (default: True).

        Returns
        -------
        str
            The lines, without a line feed at the end.

        Examples
        --------
        >>> from astropy_imphot import fit_image_photometry
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0)
        >>> fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5, name="E1")
        >>> fit.summary(header=False).split()[:2]
        ['E1', 'image']
        """
        cells = [f"{self.name:<{NAME_WIDTH}}", f"{self.method:<6}"]
        cells += [format(self.values[key].value, COLUMNS[key][0]) for key in COLUMNS]
        line = "  ".join([*cells, f"{self.rms_error:9.4g}", f"{int(self.flags):5d}"])
        return "\n".join([*summary_header(), line]) if header else line

    def report(self):
        """
        Return everything that the fit found, in words and numbers.

        Returns
        -------
        str
            Several lines, without a line feed at the end.

        Examples
        --------
        See `FittedImagePhotometry`.
        """
        lines = [f"{self.name} ({self.method} fit)"]
        for key, value in self.values.items():
            text = COLUMNS[key][1] if key in COLUMNS else EXTRAS.get(key, "")
            number = f"{value.value:12.6g}"
            error = "fixed" if value.fixed else f"+- {value.stdev:.2g}"
            naive = self._naive_error(key)
            if naive is not None:
                error += f"  (+- {naive:.2g} if pixels were independent and STAT right)"
            lines.append(f"  {key:<9}{number} {error}  {value.unit}  {text}")
        lines += [
            f"  rms of the residuals {self.rms_error:.5g}, reduced chi-squared {self.rchi:.5g}",
            f"  {self.n_pixels} pixels, {self.n_evaluations} evaluations, "
            + ("converged" if self.converged else "NOT CONVERGED"),
        ]
        lines += [f"  flag {flag.value}, {name}: {flag.meaning}" for name, flag in self._raised()]
        lines += self._more_lines()
        if len(self.free) > 1:
            lines.append("  correlations:")
            correlation = _correlation(self.covariance)
            for i, one in enumerate(self.free):
                row = "".join(f"{correlation[i, j]:8.3f}" for j in range(i + 1))
                lines.append(f"    {one:<9}{row}")
        return "\n".join(lines)

    def _raised(self):
        return [(name, FitFlags[name]) for name in flag_names(self.flags)]

    def _more_lines(self):
        return []

    def _naive_error(self, key):
        if key not in self.free:
            return None
        index = self.free.index(key)
        return float(np.sqrt(self.naive_covariance[index, index]))


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedImagePhotometry(FittedPhotometry):
    """
    The result of `fit_image_photometry`.

    Attributes
    ----------
    fitted_model : `ConvolvedTemplate2D`
        The model at the solution.
    data, model, residual : `~astropy.nddata.CCDData`
        The MUSE image, the model and their difference, of shape (ny, nx), masked where
        pixels were left out of the fit.
    weights : array of shape (ny, nx)
        1/standard deviation of the pixels as they were used in the fit, 0 where left out.
    bread : array of shape (p, p)
        What carries slopes of the fit to its parameters, see
        `~astropy_imphot.noise.covariance.sandwich_covariance`.
    objects : `~astropy.table.QTable` or None
        What each object of the field says of the scale and the offset, and whether it was
        left out because it changed, see `~astropy_imphot.fitting.sources.vote`; None if they
        were not asked.
    labels : int array of shape (ny, nx)
        Where the objects are: their labels, 0 on the sky.
    untried : dict of str to `FittedValue`
        What those of bg_x, bg_y, rotation, e1 and e2 would be that were not free, to first order.

    See Also
    --------
    FittedPhotometry : scale, bg, dx, dy, dra, ddec, fwhm, beta and more; to_table, summary and report.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulation import simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    >>> fit.beta
    FittedValue(value=2.5, stdev=0.0, fixed=True, unit=Unit(dimensionless))
    >>> fit.to_table().colnames[:4]
    ['name', 'method', 'scale', 'scale_err']
    >>> print(fit.report().splitlines()[6].strip())
    beta              2.5 fixed    exponent of the MUSE PSF
    """

    fitted_model: object
    data: CCDData
    model: CCDData
    residual: CCDData
    weights: np.ndarray
    bread: np.ndarray
    objects: QTable | None
    labels: np.ndarray
    untried: dict

    def _more_lines(self):
        lines = []
        if self.objects is not None:
            changed = self.objects[self.objects["changed"]]
            lines.append(
                f"  {len(self.objects)} objects, of which {len(changed)} changed since the HST image"
            )
            lines += [
                f"    at x {row['x'].value:.1f}, y {row['y'].value:.1f}: {row['reason']}, by "
                f"{row['dx'].value:+.3f}, {row['dy'].value:+.3f} arcsec and {100 * row['scale'].value:+.1f} %"
                + ("" if row["left_out"] else ", NOT LEFT OUT")
                for row in changed
            ]
            lines += [
                f"    at x {row['x'].value:.1f}, y {row['y'].value:.1f}: left out, {row['reason']}"
                for row in self.objects[self.objects["left_out"] & ~self.objects["changed"]]
            ]
        if self.untried:
            lines.append("  would be, if they were free:")
            lines += [
                f"    {key:<9}{value.value:.3g} +- {value.stdev:.2g} {value.unit}"
                for key, value in self.untried.items()
            ]
        return lines


@dataclass(frozen=True, kw_only=True)
class FailedPhotometry:
    """
    Takes the place of a fit that failed.

    Parameters
    ----------
    name : str
        The image's name.
    error : str
        Why it failed.
    method : str
        What tables have in the place of a fit's method (default: ``"failed"``).

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
        return QTable({"name": [self.name], "method": [self.method], "error": [self.error]})

    def summary(self, header=True):
        """
        Return the failure in one line, which starts with #.

        Parameters
        ----------
        header : bool
            Whether three lines that start with # and name the columns of fits come first
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


def summary_header():
    """
    Return the three lines above the summaries of fits.

    Returns
    -------
    list of str
        Lines that start with #.

    Examples
    --------
    >>> from astropy_imphot.results.photometry import summary_header
    >>> [line[0] for line in summary_header()]
    ['#', '#', '#']
    """
    units = {"fwhm": '(")', "dx": '(")', "dy": '(")', "dra": '(")', "ddec": '(")'}
    widths = {key: int(style.split(".")[0]) for key, (style, _) in COLUMNS.items()}
    names = "  ".join(
        [f"{'# name':<{NAME_WIDTH}}", f"{'method':<6}"]
        + [f"{key:>{width}}" for key, width in widths.items()]
        + [f"{'rms':>9}", "flags"]
    )
    second = "  ".join(
        [f"{'#':<{NAME_WIDTH}}", " " * 6]
        + [f"{units.get(key, ''):>{width}}" for key, width in widths.items()]
        + [" " * 9, " " * 5]
    )
    return [names, second, "#" + "-" * (len(names) - 1)]


def _correlation(covariance):
    errors = np.sqrt(np.diag(covariance))
    safe = np.where(errors > 0, errors, 1)
    return covariance / np.outer(safe, safe)
