"""
What the noise of the HST image does to a fit, and how to undo it.

The convolved noise of the template is smaller the wider the PSF is and the smaller the scale,
so that a least-squares fit makes the PSF too wide and the scale too small.
"""

from dataclasses import dataclass

import numpy as np

from astropy_imphot.noise.autocorrelation import MAX_LAG

__all__ = ["TemplateNoise", "template_noise"]


@dataclass(frozen=True, eq=False)
class TemplateNoise:
    """
    What noise in the template adds to a fit with p free parameters.

    Attributes
    ----------
    slope : array of shape (p,)
        Derivatives of half the chi-square that it adds.
    information : array of shape (p, p)
        What it adds to J^T J.
    autocorrelation : array of shape (13, 13)
        What it adds to the autocorrelation of the weighted residuals.

    Examples
    --------
    See `template_noise`.
    """

    slope: np.ndarray
    information: np.ndarray
    autocorrelation: np.ndarray


def template_noise(model, free, weights):
    r"""
    Return what noise in the template adds to a fit.

    Parameters
    ----------
    model : `~astropy_imphot.ConvolvedTemplate2D`
        The model at the solution.
    free : sequence of str
        Names of its p free parameters.
    weights : array of shape (ny, nx)
        1/standard deviation of the MUSE pixels, 0 where left out.

    Returns
    -------
    TemplateNoise or None
        None if the noise of the template is not known.

    Notes
    -----
    The noise appears in the model with the variance V = scale\ :sup:`2` v G, where v is that of
    the HST noise summed over a MUSE pixel and G the mean square of OTF_muse/OTF_hst. Half of
    the sum of V/sigma\ :sup:`2` over the pixels is what it adds to half the chi-square on the
    average.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import ConvolvedTemplate2D, make_template
    >>> from astropy_imphot.simulation import simulate_field
    >>> from astropy_imphot.noise.reference import template_noise
    >>> field = simulate_field(seed=1, size=10.0)
    >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
    >>> weights = np.full(field.muse[0].shape, 10.0)
    >>> slope = template_noise(model, ["scale", "fwhm"], weights).slope
    >>> bool(slope[0] > 0), bool(slope[1] < 0)
    (True, True)
    """
    variance = model.template.variance_on_grid()
    if variance is None:
        return None
    squares = weights**2 * variance[model.template.field]
    total = float(squares.sum())
    products = model.noise_products()
    # How the model's noise depends on the parameters, in terms of OTF, dOTF/dfwhm and dOTF/dbeta.
    scale = model.scale.value
    rows = {"scale": (1, 0, 0), "fwhm": (0, scale, 0), "beta": (0, 0, scale)}
    dependence = np.array([rows.get(key, (0, 0, 0)) for key in free], dtype=float).reshape(-1, 3)
    slope = total * scale * dependence @ products.gram[0]
    information = total * dependence @ products.gram @ dependence.T
    right, up, square = _mean_levers(model, squares)
    # Of directions, half of their squares is along each axis; e1 and e2 change the radius by
    # half of themselves.
    ellipticity = model.fwhm.value**2 * products.gram[1, 1] / 8
    turn, gradient = np.radians(1), products.gradient
    more = {
        ("dx", "dx"): gradient,
        ("dy", "dy"): gradient,
        ("rotation", "rotation"): gradient * square * turn**2,
    }
    more |= {("e1", "e1"): ellipticity, ("e2", "e2"): ellipticity}
    more |= {("dx", "rotation"): -gradient * up * turn, ("dy", "rotation"): gradient * right * turn}
    for i, one in enumerate(free):
        for j, other in enumerate(free):
            mean = more.get((one, other), more.get((other, one), 0))
            information[i, j] += total * scale**2 * mean
    mean = total / max(np.count_nonzero(weights), 1)
    return TemplateNoise(slope, information, mean * scale**2 * products.autocorrelation(MAX_LAG))


def _mean_levers(model, squares):
    """Return the mean place and square distance from the centre of weighted pixels, arcsec."""
    height, width = model.template.pixel_scale
    ny, nx = squares.shape
    up = (np.arange(ny)[:, np.newaxis] - (ny - 1) / 2) * height
    right = (np.arange(nx) - (nx - 1) / 2) * width
    total = max(squares.sum(), 1e-300)
    return [np.sum(squares * lever) / total for lever in (right, up, right**2 + up**2)]
