"""The result of an image fit."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable

from astropy_imphot.results.html import fit_as_html, objects_as_html, picture
from astropy_imphot.results.offsets import pivot_of
from astropy_imphot.results.photometry import FittedPhotometry
from astropy_imphot.results.values import FittedValue, covariance_of

__all__ = ["FittedImagePhotometry"]

# A report has so many point sources, the brightest.
MOST_LINES = 12


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FittedImagePhotometry(FittedPhotometry):
    """
    The result of `fit_image_photometry`.

    Attributes
    ----------
    fitted_model : `ConvolvedTemplate2D`
        The model at the solution.
    data, model, residual : `~astropy.nddata.CCDData`
        The MUSE image, the model and their difference, of shape (ny, nx), masked where
        pixels were not fitted. All are smoothed if ``smoothing`` is not 0.
    weights : array of shape (ny, nx)
        1/standard deviation of the fitted pixels, and 0 elsewhere.
    background : `~astropy.nddata.CCDData`
        The background of the model, of shape (ny, nx).
    background_modes : `~astropy.table.QTable`
        The amplitudes of the background's modes, products of cosines, with their numbers of half periods
        along y and x; without rows for a constant background.
    influence : array of shape (p, ny, nx)
        The change of each free parameter by a weighted residual of 1.
    prior_covariance : array of shape (p, p)
        The part of the covariance that is the spread of effects with priors, such as motions of stars.
    objects : `~astropy.table.QTable`
        The scale and offset of each object, see `~astropy_imphot.fitting.objects.object_table`.
    point_sources : `~astropy.table.QTable`
        The places, fluxes and motions of the point sources, see
        `~astropy_imphot.fitting.source_table.source_table`.
    repairs : `~astropy.table.QTable` or None
        What was repaired in the HST image, see `~astropy_imphot.reference.repair.repair_image`; None if
        nothing was looked for.
    sizes : dict of str to float
        Typical sizes of effects, which were estimated with the fit: rotation (degrees) and ellipticity,
        variation (fraction) and motion (arcsec) of point sources, scatter of galaxies' flux ratios
        (fraction), and displacement, the scatter of their places (arcsec).
    labels : int array of shape (ny, nx)
        The objects' pixels: their labels, 0 on the sky.

    See Also
    --------
    FittedPhotometry : scale, bg, dx, dy, dra, ddec, fwhm, beta and more; to_table, summary and report.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> fit = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    >>> fit.beta
    FittedValue(value=2.5, stdev=0.0, fixed=True, unit=Unit(dimensionless))
    >>> fit.to_table().colnames[:4]
    ['name', 'method', 'scale', 'scale_err']
    >>> print(fit.report().splitlines()[7])
      beta      2.5   fixed                  exponent of the MUSE PSF
    """

    fitted_model: object
    data: CCDData
    model: CCDData
    residual: CCDData
    weights: np.ndarray
    background: CCDData
    background_modes: QTable
    influence: np.ndarray
    prior_covariance: np.ndarray
    objects: QTable
    labels: np.ndarray
    point_sources: QTable
    repairs: QTable | None
    sizes: dict

    @property
    def smoothing(self):
        """
        FWHM of the Gaussian by which both images were smoothed, arcsec: 0 if the HST image is sharp.

        It is chosen by `~astropy_imphot.fitting.resolution.common_smoothing`.
        """
        return self.fitted_model.smoothing

    def _more_columns(self):
        return {"smoothing": [self.smoothing] * u.arcsec}

    @property
    def pivot(self):
        """Where the offset does not depend on the rotation: a `~astropy_imphot.results.offsets.Pivot`."""
        covariance = covariance_of(("dx", "dy", "rotation"), self.covariance, self.free)
        grid = self.fitted_model.template.grid
        return pivot_of(self.values, covariance, grid.shape, grid.pixel_scale)

    def _more_lines(self):
        n_modes, sources = len(self.background_modes), self.point_sources
        pivot = self.pivot
        lines = []
        if self.smoothing > 0:
            lines.append(
                "  compared at a common resolution, because the HST image is not sharp: "
                f"smoothed by a Gaussian of FWHM {self.smoothing:.3f} arcsec"
            )
        lines += [
            f"  least dependent on the rotation at x {pivot.x:.0f}, y {pivot.y:.0f}: "
            f"{pivot.dx.text}, {pivot.dy.text}",
            f"  background: {f'{n_modes + 1} smooth modes' if n_modes else 'constant'}",
            f"  {len(self.objects)} objects, {np.sum(self.objects['left_out'])} of them masked",
        ]
        if "scatter" in self.sizes:
            lines.append(
                f"  their flux ratios scatter by {100 * self.sizes['scatter']:.1f} %, "
                f"their places by {1e3 * self.sizes['displacement']:.1f} mas"
            )
        lines += [
            f"    at x {row['x'].value:.1f}, y {row['y'].value:.1f}: masked, its rms residual is "
            f"{row['excess']:.1f} times that of the sky"
            for row in self.objects[self.objects["left_out"]]
        ]
        if len(sources):
            brightest = sources[np.argsort(np.abs(sources["flux"]))[::-1][:MOST_LINES]]
            lines.append(
                f"  {len(sources)} point sources" + (", the brightest:" if len(sources) > MOST_LINES else ":")
            )
            lines += [f"    {_source_line(row)}" for row in brightest]
        return lines

    def _pictures(self):
        return picture("MUSE, model and residual", self.data, self.model, self.residual.data)

    def _repr_html_(self):
        return fit_as_html(self) + objects_as_html(self.objects)


def _source_line(row):
    place = f"x {row['x'].value:.1f}, y {row['y'].value:.1f}: "
    if not row["in_hst"]:
        return place + ("not in the HST image" if row["flux"] > 0 else "not in the MUSE image")
    ratio = FittedValue(row["flux_ratio"], row["flux_ratio_err"], False, u.dimensionless_unscaled)
    motions = " and ".join(
        FittedValue(row[key].value, row[f"{key}_err"].value, False, u.mas).text
        for key in ("motion_x", "motion_y")
    )
    return f"{place}flux ratio {ratio.text}, moved by {motions} mas" + ", saturated" * bool(row["saturated"])
