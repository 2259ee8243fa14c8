"""Results of the fit of a star, in the MUSE and in the HST image."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData

from astropy_imphot.io.grid import Grid
from astropy_imphot.io.representation import Representation
from astropy_imphot.parameters import FLUX, ParameterInfo
from astropy_imphot.results.html import picture
from astropy_imphot.results.photometry import FittedPhotometry, value_properties
from astropy_imphot.results.values import FittedValue, covariance_of

__all__ = ["FittedStarPhotometry", "StarFit"]


# The parameters of the fit of one image: description and unit.
OF_STAR = {
    "flux": ("flux of the star", FLUX),
    "x": ("position of the star along x", "pix"),
    "y": ("position of the star along y", "pix"),
    "fwhm": ("FWHM of the star", "arcsec"),
    "beta": ("exponent of the star", ""),
    "bg": ("background per pixel at the star", FLUX),
}

# The table of parameters of the star in both images.
STAR_PARAMETERS = {
    f"{image.lower()}_{key}": ParameterInfo(
        name=f"{image.lower()}_{key}", words=f"{words}, {image} image", kind="star", unit=unit
    )
    for image in ("MUSE", "HST")
    for key, (words, unit) in OF_STAR.items()
}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StarFit(Representation):
    """
    The fit of a star in one image.

    Attributes
    ----------
    values : dict of str to `FittedValue`
        Of the star: flux, x_0, y_0, fwhm (pixels), beta and bg.
    fitted_model : `~astropy.modeling.Model`
        The model at the solution, in the coordinates of the whole image: `MoffatStar2D` for HST, and for MUSE
        a point source like `PointSource2D` on a constant.
    data, model : `~astropy.nddata.CCDData`
        The image around the star and the model, masked where pixels were not fitted.
    weights : array of the same shape
        1/standard deviation of the pixels.
    origin : (int, int)
        x and y of the first pixel of ``data`` in the whole image.
    pixel_scale : float
        Size of a pixel, arcsec.
    quality : `~astropy_imphot.fitting.statistics.FitStatistics`
        Errors and goodness of the fit.
    n_evaluations : int
        Number of evaluations of the model by the fitter.
    converged : bool
        Whether the fitter converged.
    grid : `~astropy_imphot.io.grid.Grid`
        The pixels of the whole image.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> fit = fit_star_photometry(field.hst, field.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0))
    >>> fit.muse_fit.data.shape, fit.muse_fit.grid.shape
    ((20, 20), (60, 60))
    >>> sorted(fit.muse_fit.sky_values("muse"))
    ['muse_beta', 'muse_bg', 'muse_flux', 'muse_fwhm', 'muse_x', 'muse_y']
    >>> fit.muse_fit.full_covariance(["fwhm", "beta"]).shape
    (2, 2)
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
    grid: Grid

    def _represented(self):
        return self.values | {"data": self.data, "converged": self.converged}

    def sky_values(self, prefix):
        """
        Return the values by their names in the result, the FWHM in arcsec.

        Parameters
        ----------
        prefix : str
            The image: ``muse`` or ``hst``.

        Returns
        -------
        dict of str to `FittedValue`
            ``muse_flux``, ``muse_x`` and so on.

        Examples
        --------
        See `StarFit`.
        """
        named = {f"{prefix}_{key.removesuffix('_0')}": value for key, value in self.values.items()}
        pixels = named[f"{prefix}_fwhm"]
        named[f"{prefix}_fwhm"] = FittedValue(
            pixels.value * self.pixel_scale, pixels.stdev * self.pixel_scale, pixels.fixed, u.arcsec
        )
        return named

    def full_covariance(self, keys, kind="covariance"):
        """
        Return the covariance of parameters, 0 for those that were fixed.

        Parameters
        ----------
        keys : sequence of str
            Names of k parameters of the model.
        kind : str
            ``covariance`` (the default) or ``naive_covariance``.

        Returns
        -------
        array of shape (k, k)
            The covariance.

        Examples
        --------
        See `StarFit`.
        """
        return covariance_of(keys, getattr(self.quality, kind), self.quality.free)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
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
    muse_fit, hst_fit : `StarFit`
        The two fits, with their images.

    See Also
    --------
    FittedPhotometry : scale, bg, dx, dy, dra, ddec, fwhm, beta and more; to_table, summary and report.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> fit = fit_star_photometry(
    ...     field.hst, field.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0), fix_beta=2.5
    ... )
    >>> fit.muse_beta.fixed, bool(abs(fit.hst_fwhm.value - 0.085) < 0.01)
    (True, True)
    """

    muse_fit: StarFit
    hst_fit: StarFit

    # Listed in the documentation.
    vars().update(value_properties(STAR_PARAMETERS))

    @property
    def parameters(self):
        """The table of parameters, with those of the star in each image."""
        return super().parameters | STAR_PARAMETERS

    def _pictures(self):
        return {
            title: source
            for name, fit in (("MUSE", self.muse_fit), ("HST", self.hst_fit))
            for title, source in picture(
                f"{name} star, model and residual", fit.data, fit.model, fit.data.data - fit.model.data
            ).items()
        }
