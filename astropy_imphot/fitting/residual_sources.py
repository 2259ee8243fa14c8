"""Point-like light that only one of the images has: what is left in the residuals of a fit."""

import numpy as np
from astropy.stats import mad_std

from astropy_imphot.fitting.statistics import pixel_coordinates
from astropy_imphot.models.point_source import PointSources, psf_terms

__all__ = ["residual_sources"]

# A peak of the residuals is a source above this many standard deviations.
SIGNIFICANCE = 6.0

# It is farther than this from known sources, in units of the FWHM.
SEPARATION = 0.7

# It is also more than this fraction of the light of the model at its place.
FRACTION = 0.01

# The PSF with which peaks are found is cut off at this radius, in units of its FWHM.
REACH = 2.0

# So many sources are added in one round, the brightest first.
MOST_SOURCES = 20

# How far the light of a source is computed, arcsec.
SOURCE_REACH = 4.0


def residual_sources(model, residual, weights):
    """
    Return point sources that the MUSE image has and the model has not, or the reverse.

    Parameters
    ----------
    model : `ConvolvedTemplate2D`
        The model at the solution.
    residual, weights : arrays of shape (ny, nx)
        Weighted residuals, and 1/standard deviation; 0 where masked.

    Returns
    -------
    `~astropy_imphot.models.point_source.PointSources`
        The sources, with places as if they had the offset of the field. The flux is negative for light that
        is in the reference image only.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import ConvolvedTemplate2D, make_template
    >>> from astropy_imphot.fitting.residual_sources import residual_sources
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
    >>> len(residual_sources(model, np.zeros((50, 50)), np.ones((50, 50))))
    0
    """
    # Importing scipy.signal takes long.
    from scipy.signal import oaconvolve

    values = {key: getattr(model, key).value for key in model.infos}
    height, width = model.template.pixel_scale
    width_of_psf = np.hypot(values["fwhm"], model.smoothing)
    reach = REACH * width_of_psf
    steps = [scale * np.arange(-round(reach / scale), round(reach / scale) + 1) for scale in (height, width)]
    up, right = np.meshgrid(*steps, indexing="ij")
    psf = (
        psf_terms(model.point_profile, right, up, {key: values[key] for key in model.psf.names})[None]
        * height
        * width
    )
    amplitudes = oaconvolve(weights * residual, psf[::-1, ::-1], mode="same")
    norms = np.maximum(oaconvolve(weights**2, psf[::-1, ::-1] ** 2, mode="same"), 0)
    used = (weights > 0) & (norms > 0.3 * np.median(norms[weights > 0]))
    significance = np.where(used, amplitudes / np.sqrt(np.where(used, norms, 1)), 0)
    noise = mad_std(significance[used]) if used.any() else 0
    if noise == 0:
        return PointSources.none()
    y, x = pixel_coordinates(residual.shape)
    light = oaconvolve(
        weights**2 * np.abs(model(x, y) - model.background(x, y)), psf[::-1, ::-1], mode="same"
    )
    # What is a small fraction of the light at its place is an error of the PSF.
    significance = np.where(np.abs(amplitudes) > FRACTION * light, significance, 0)
    # A source that is known has its own flux and place already.
    for column, row in zip(*model.source_places(), strict=True):
        away = np.hypot((x - column) * width, (y - row) * height)
        significance[away < SEPARATION * width_of_psf] = 0
    y, x = _peaks(np.abs(significance), SIGNIFICANCE * noise, max(1, round(0.6 * width_of_psf / width)))
    fluxes = amplitudes[y, x] / norms[y, x]
    scale = values["scale"] if values["scale"] > 0 else 1.0
    center = [(size - 1) / 2 for size in residual.shape]
    angle = np.radians(-values["rotation"])
    right, up = (x - center[1]) * width - values["dx"], (y - center[0]) * height - values["dy"]
    count = len(x)
    return PointSources(
        x=(np.cos(angle) * right - np.sin(angle) * up) / width + center[1],
        y=(np.sin(angle) * right + np.cos(angle) * up) / height + center[0],
        flux=fluxes / scale,
        flux_err=np.zeros(count),
        saturated=np.zeros(count, dtype=bool),
        reach=np.full(count, SOURCE_REACH),
    )


def _peaks(image, threshold, radius):
    """Return rows and columns of local maxima, the highest first."""
    from photutils.detection import find_peaks

    if image.max() <= threshold:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    found = find_peaks(image, threshold, box_size=2 * radius + 1)
    found.sort("peak_value", reverse=True)
    found = found[:MOST_SOURCES]
    return np.array(found["y_peak"]), np.array(found["x_peak"])
