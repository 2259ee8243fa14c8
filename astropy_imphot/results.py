"""What a fit found: values with errors, a table row, a summary line and a report."""

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot.values import FittedValue, covariance_of

__all__ = [
    "FailedPhotometry",
    "FittedImagePhotometry",
    "FittedPhotometry",
    "FittedStarPhotometry",
    "StarFit",
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
NAME_WIDTH = 32


def _value(name):
    text = COLUMNS[name][1] if name in COLUMNS else f"{name.replace('_', ' ')} of the star"
    return property(lambda self: self.values[name], doc=f"`FittedValue`: {text}.")


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
        Whether the fitter converged.
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
    options: dict = field(default_factory=dict)

    scale = _value("scale")
    bg = _value("bg")
    dx = _value("dx")
    dy = _value("dy")
    dra = _value("dra")
    ddec = _value("ddec")
    fwhm = _value("fwhm")
    beta = _value("beta")

    def to_table(self):
        """
        Return the values as a table of one row.

        Returns
        -------
        `~astropy.table.QTable`
            Columns name, method, every value and its standard deviation (``_err``), rms,
            rchi and n_pixels. Rows of several fits can be stacked with
            `astropy.table.vstack`.
        """
        from astropy_imphot._version import version

        row = {"name": [self.name], "method": [self.method]}
        for key, value in self.values.items():
            row[key] = [value.value] * value.unit
            row[f"{key}_err"] = [value.stdev] * value.unit
        row["rms"] = [self.rms_error] * self.bg.unit
        row["rchi"] = [self.rchi]
        row["n_pixels"] = [self.n_pixels]
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
        """
        cells = [f"{self.name:<{NAME_WIDTH}}", f"{self.method:<6}"]
        cells += [format(self.values[key].value, COLUMNS[key][0]) for key in COLUMNS]
        line = "  ".join([*cells, f"{self.rms_error:9.4g}"])
        return "\n".join([*summary_header(), line]) if header else line

    def report(self):
        """
        Return everything that the fit found, in words and numbers.

        Returns
        -------
        str
            Several lines, without a line feed at the end.
        """
        lines = [f"{self.name} ({self.method} fit)"]
        for key, value in self.values.items():
            text = COLUMNS.get(key, ("", ""))[1]
            number = f"{value.value:12.6g}"
            error = "fixed" if value.fixed else f"+- {value.stdev:.2g}"
            naive = self._naive_error(key)
            if naive is not None:
                error += f"  (+- {naive:.2g} if the noise were independent)"
            lines.append(f"  {key:<9}{number} {error}  {value.unit}  {text}")
        lines += [
            f"  rms of the residuals {self.rms_error:.5g}, reduced chi-squared {self.rchi:.5g}",
            f"  {self.n_pixels} pixels, {self.n_evaluations} evaluations, "
            + ("converged" if self.converged else "NOT CONVERGED"),
        ]
        if len(self.free) > 1:
            lines.append("  correlations:")
            correlation = _correlation(self.covariance)
            for i, one in enumerate(self.free):
                row = "".join(f"{correlation[i, j]:8.3f}" for j in range(i + 1))
                lines.append(f"    {one:<9}{row}")
        return "\n".join(lines)

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
    objects : `~astropy.table.QTable` or None
        What each object of the field says of the scale and the offset, and whether it was
        left out because it changed, see `~astropy_imphot.changed.vote`; None if they
        were not asked.

    See Also
    --------
    FittedPhotometry : the other attributes, and the methods.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulate import simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    >>> fit.beta
    FittedValue(value=2.5, stdev=0.0, fixed=True, unit=Unit(dimensionless))
    >>> fit.to_table().colnames[:4]
    ['name', 'method', 'scale', 'scale_err']
    """

    fitted_model: object
    data: CCDData
    model: CCDData
    residual: CCDData
    weights: np.ndarray
    objects: QTable | None


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

    Examples
    --------
    >>> from astropy_imphot.results import FailedPhotometry
    >>> print(FailedPhotometry(name="E5", error="E5.fits does not exist.").summary(header=False))
    # E5 failed: E5.fits does not exist.
    """

    name: str
    error: str
    method: str = "failed"

    def to_table(self):
        """Return a table of one row: name, method and error."""
        return QTable({"name": [self.name], "method": [self.method], "error": [self.error]})

    def summary(self, header=True):
        """Return the failure in one line that starts with #, as `FittedPhotometry.summary`."""
        line = f"# {self.name} failed: {self.error}"
        return "\n".join([*summary_header(), line]) if header else line

    def report(self):
        """Return the failure in one line."""
        return f"{self.name} failed: {self.error}"


@dataclass(frozen=True, eq=False, kw_only=True)
class StarFit:
    """
    The fit of a star in one image.

    Attributes
    ----------
    values : dict of str to `FittedValue`
        Of `MoffatStar2D`: flux, x_0, y_0, fwhm (pixels), beta and bg.
    fitted_model : `MoffatStar2D`
        The model at the solution, in the coordinates of the whole image.
    data, model : `~astropy.nddata.CCDData`
        The image around the star and the model, masked where pixels were left out.
    weights : array of the same shape
        1/standard deviation of the pixels.
    origin : (int, int)
        x and y of the first pixel of ``data`` in the whole image.
    pixel_scale : float
        Size of a pixel, arcsec.
    quality : `~astropy_imphot.fitting.FitStatistics`
        Errors, and how well the model fits.
    n_evaluations : int
        How often the fitter evaluated the model.
    converged : bool
        Whether the fitter converged.
    wcs, shape
        Of the whole image.
    """

    values: dict
    fitted_model: object
    data: CCDData
    model: CCDData
    weights: np.ndarray
    origin: tuple
    pixel_scale: float
    quality: object
    n_evaluations: int
    converged: bool
    wcs: object
    shape: tuple

    def sky_values(self, prefix):
        """Return the values with a prefix, the FWHM in arcsec."""
        named = {f"{prefix}_{key.removesuffix('_0')}": value for key, value in self.values.items()}
        pixels = named[f"{prefix}_fwhm"]
        named[f"{prefix}_fwhm"] = FittedValue(
            pixels.value * self.pixel_scale, pixels.stdev * self.pixel_scale, pixels.fixed, u.arcsec
        )
        return named

    def full_covariance(self, keys, kind="covariance"):
        """Return the covariance of parameters, 0 for those that were fixed."""
        return covariance_of(keys, getattr(self.quality, kind), self.quality.free)


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedStarPhotometry(FittedPhotometry):
    """
    The result of `fit_star_photometry`.

    Attributes
    ----------
    muse_flux, muse_x, muse_y, muse_fwhm, muse_beta, muse_bg : `FittedValue`
        The star in the MUSE image: flux, position (pixels), FWHM (arcsec), beta, and
        background per pixel.
    hst_flux, hst_x, hst_y, hst_fwhm, hst_beta, hst_bg : `FittedValue`
        The star in the HST image, at its own pixels.
    muse_fit, hst_fit : `~astropy_imphot.results.StarFit`
        The two fits, with their images.

    See Also
    --------
    FittedPhotometry : the other attributes, and the methods.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry
    >>> from astropy_imphot.simulate import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> fit = fit_star_photometry(
    ...     field.hst, field.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0), fix_beta=2.5
    ... )
    >>> fit.muse_beta.fixed, bool(abs(fit.hst_fwhm.value - 0.085) < 0.01)
    (True, True)
    """

    muse_fit: StarFit
    hst_fit: StarFit

    muse_flux = _value("muse_flux")
    muse_x = _value("muse_x")
    muse_y = _value("muse_y")
    muse_fwhm = _value("muse_fwhm")
    muse_beta = _value("muse_beta")
    muse_bg = _value("muse_bg")
    hst_flux = _value("hst_flux")
    hst_x = _value("hst_x")
    hst_y = _value("hst_y")
    hst_fwhm = _value("hst_fwhm")
    hst_beta = _value("hst_beta")
    hst_bg = _value("hst_bg")


def summary_header():
    """
    Return the three lines above the summaries of fits.

    Returns
    -------
    list of str
        Lines that start with #.

    Examples
    --------
    >>> from astropy_imphot.results import summary_header
    >>> [line[0] for line in summary_header()]
    ['#', '#', '#']
    """
    units = {"fwhm": '(")', "dx": '(")', "dy": '(")', "dra": '(")', "ddec": '(")'}
    widths = {key: int(style.split(".")[0]) for key, (style, _) in COLUMNS.items()}
    names = "  ".join(
        [f"{'# name':<{NAME_WIDTH}}", f"{'method':<6}"]
        + [f"{key:>{width}}" for key, width in widths.items()]
        + [f"{'rms':>9}"]
    )
    second = "  ".join(
        [f"{'#':<{NAME_WIDTH}}", " " * 6]
        + [f"{units.get(key, ''):>{width}}" for key, width in widths.items()]
        + [" " * 9]
    )
    return [names, second, "#" + "-" * (len(names) - 1)]


def _correlation(covariance):
    errors = np.sqrt(np.diag(covariance))
    safe = np.where(errors > 0, errors, 1)
    return covariance / np.outer(safe, safe)
