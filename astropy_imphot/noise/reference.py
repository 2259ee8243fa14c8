"""
The bias of a fit by the noise of the HST image, and its correction.

The convolved noise of the template is smaller for a wider PSF and for a smaller scale. A least-squares fit
hence makes the PSF too wide and the scale too small.
"""

from dataclasses import dataclass

import numpy as np

from astropy_imphot.noise.autocorrelation import MAX_LAG

__all__ = ["TemplateNoise", "template_noise"]


# The kinds of parameters that shift or stretch the light in a direction.
DIRECTED = ("shift", "rotation", "ellipticity")


@dataclass(frozen=True, eq=False)
class TemplateNoise:
    """
    The contributions of the template's noise to a fit with p free parameters.

    Attributes
    ----------
    slope : array of shape (p,)
        Derivatives of its contribution to half the chi-square.
    information : array of shape (p, p)
        Its contribution to J^T J.
    autocorrelation : array of shape (13, 13)
        Its contribution to the autocorrelation of the weighted residuals.

    Examples
    --------
    See `template_noise`.
    """

    slope: np.ndarray
    information: np.ndarray
    autocorrelation: np.ndarray


def template_noise(model, free, weights, cells=None):
    r"""
    Return the contributions of the template's noise to a fit.

    Parameters
    ----------
    model : `~astropy_imphot.ConvolvedTemplate2D`
        The model at the solution.
    free : sequence of str
        Names of its free parameters.
    weights : array of shape (ny, nx)
        1/standard deviation of the MUSE pixels, 0 where masked.
    cells : int array of shape (ny, nx), optional
        For each pixel the number of the object whose own scale and place it has, from 1 on, and 0 for none.
        The own scales, and the shifts along x and along y, follow the free parameters. By default (None) no
        object has own ones.

    Returns
    -------
    TemplateNoise or None
        None if the noise of the template is not known.

    Notes
    -----
    In the model the noise has the variance V = scale\ :sup:`2` v G, where v is the variance of
    the HST noise summed over a MUSE pixel and G the mean square of OTF_muse/OTF_hst. Its mean contribution to
    half the chi-square is half of the sum of V/sigma\ :sup:`2` over the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import ConvolvedTemplate2D, make_template
    >>> from astropy_imphot.simulation import example_field
    >>> from astropy_imphot.noise.reference import template_noise
    >>> field = example_field()
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
    scale = model.scale.value
    radial = np.array([_radial_terms(model, key, scale) for key in free]).reshape(-1, len(products.gram))
    slope = total * scale * radial @ products.gram[0]
    information = total * radial @ products.gram @ radial.T
    directed = _directed_terms(products, *_mean_levers(model, squares))
    for i, one in enumerate(free):
        if model.infos[one].kind in DIRECTED and (one, one) not in directed:
            raise ValueError(f"the effect of the reference image's noise on {one} is not defined.")
        for j, other in enumerate(free):
            mean = directed.get((one, other), directed.get((other, one), 0))
            information[i, j] += total * scale**2 * mean
    if cells is not None:
        slope, information = _with_objects(model, free, squares, cells, products, radial, slope, information)
    mean = total / max(np.count_nonzero(weights), 1)
    return TemplateNoise(slope, information, mean * scale**2 * products.autocorrelation(MAX_LAG))


def _with_objects(model, free, squares, cells, products, radial, slope, information):
    """Return slope and information with those of own scales and shifts of objects."""
    # They are the scale and the offset of some pixels.
    count, scale = cells.max() + 1, model.scale.value
    totals = np.bincount(cells.ravel(), weights=squares.ravel(), minlength=count)[1:]
    own = scale * products.gram[0]
    nothing = np.zeros((len(totals), len(totals)))
    across = [np.outer(totals, radial @ own)]
    levers = (
        np.bincount(cells.ravel(), weights=(squares * one).ravel(), minlength=count) for one in _levers(model)
    )
    directed = _directed_terms(products, *(sums[1:] / np.maximum(totals, 1e-300) for sums in levers))
    for key in ("dx", "dy"):
        means = [directed.get((key, other), 0) * np.ones(len(totals)) for other in free]
        across.append(totals[:, np.newaxis] * scale**2 * np.transpose(means).reshape(len(totals), -1))
    diagonals = [np.diag(totals * scale * own[0])] + 2 * [np.diag(totals * scale**2 * products.gradient)]
    blocks = [[diagonals[row] if row == column else nothing for column in range(3)] for row in range(3)]
    across = np.concatenate(across)
    information = np.block([[information, across.T], [across, np.block(blocks)]])
    return np.concatenate([slope, totals * scale * own[0], np.zeros(2 * len(totals))]), information


def _radial_terms(model, key, scale):
    """Return a derivative of the model in terms of the OTF and its derivatives with respect to the PSF."""
    terms = np.zeros(1 + len(model.psf.names))
    kind = model.infos[key].kind
    if kind == "scale":
        terms[0] = 1
    elif kind == "psf":
        terms[1 + model.psf.names.index(key)] = scale
    return terms


def _directed_terms(products, right, up, square):
    """Return mean products of derivatives with a direction; those with other derivatives are 0."""
    turn, gradient = np.radians(1), products.gradient
    # The relative change of the radius is half of e1 or e2 times a cosine, whose mean square is 1/2.
    ellipticity = products.stretch / 8
    return {
        ("dx", "dx"): gradient,
        ("dy", "dy"): gradient,
        ("rotation", "rotation"): gradient * square * turn**2,
        ("e1", "e1"): ellipticity,
        ("e2", "e2"): ellipticity,
        ("dx", "rotation"): -gradient * up * turn,
        ("dy", "rotation"): gradient * right * turn,
    }


def _mean_levers(model, squares):
    """Return the weighted means of `_levers`."""
    total = max(squares.sum(), 1e-300)
    return [np.sum(squares * lever) / total for lever in _levers(model)]


def _levers(model):
    """Return x, y and the squared distance of the pixels from the center, arcsec."""
    (ny, nx), (height, width) = model.template.muse_shape, model.template.pixel_scale
    up = (np.arange(ny)[:, np.newaxis] - (ny - 1) / 2) * height
    right = (np.arange(nx) - (nx - 1) / 2) * width
    return right, up, right**2 + up**2
