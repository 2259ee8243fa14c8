"""
The bias of a fit by the noise of the HST image, and its correction.

The convolved noise of the template is smaller for a wider PSF and for a smaller scale. A least-squares fit
hence makes the PSF too wide and the scale too small.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["TemplateNoise", "template_noise"]


# The kinds of parameters that shift or stretch the light in a direction.
DIRECTED = ("shift", "rotation", "ellipticity")

# Those of them that move it.
MOVING = ("shift", "rotation")


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
    autocorrelation : array of shape (2 * max_lag + 1, 2 * max_lag + 1)
        Its contribution to the autocorrelation of the weighted residuals, up to the model's ``max_lag``.
    fluctuation : array of shape (p, p)
        The covariance of the scores J^T r beyond that of J^T C J: the noise is in J and in r.

    Examples
    --------
    See `template_noise`.
    """

    slope: np.ndarray
    information: np.ndarray
    autocorrelation: np.ndarray
    fluctuation: np.ndarray


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
    slope = total * scale * _radial_terms(model, free) @ products.gram[0]
    information = _information(model, free, squares, products, cells)
    if cells is not None:
        totals = np.bincount(cells.ravel(), weights=squares.ravel(), minlength=cells.max() + 1)[1:]
        slope = np.concatenate([slope, totals * scale**2 * products.gram[0, 0], np.zeros(2 * len(totals))])
    return TemplateNoise(
        slope=slope,
        information=information,
        autocorrelation=total
        / max(np.count_nonzero(weights), 1)
        * scale**2
        * products.autocorrelation(model.max_lag),
        fluctuation=_fluctuation(model, free, squares, products, cells, len(slope)),
    )


def _fluctuation(model, free, squares, products, cells, count):
    """Return the covariance of the scores that is due to the product of the noise with itself."""
    # A quadratic form of noise has twice the variance that independent factors have if it is symmetric, and
    # none if it is antisymmetric: the errors of what moves the light are a little too large.
    n_objects = (count - len(free)) // 3
    symmetric = [model.infos[key].kind not in MOVING for key in free]
    symmetric = np.concatenate([symmetric, np.ones(n_objects), np.zeros(2 * n_objects)])
    return model.scale.value**2 * symmetric * _information(model, free, squares**2, products.products, cells)


def _information(model, free, squares, products, cells):
    """Return the mean products of the noise in derivatives, also by own scales and shifts of objects."""
    total, scale = float(squares.sum()), model.scale.value
    radial = _radial_terms(model, free)
    information = total * radial @ products.gram @ radial.T
    directed = _directed_terms(products, *_mean_levers(model, squares))
    for i, one in enumerate(free):
        if model.infos[one].kind in DIRECTED and (one, one) not in directed:
            raise ValueError(f"the effect of the reference image's noise on {one} is not defined.")
        for j, other in enumerate(free):
            mean = directed.get((one, other), directed.get((other, one), 0))
            information[i, j] += total * scale**2 * mean
    if cells is None:
        return information
    # Own scales and shifts are the scale and the offset of the pixels of one object.
    count = cells.max() + 1
    totals = np.bincount(cells.ravel(), weights=squares.ravel(), minlength=count)[1:]
    own = scale * products.gram[0]
    across = [np.outer(totals, radial @ own)]
    levers = (
        np.bincount(cells.ravel(), weights=(squares * one).ravel(), minlength=count) for one in _levers(model)
    )
    directed = _directed_terms(products, *(sums[1:] / np.maximum(totals, 1e-300) for sums in levers))
    for key in ("dx", "dy"):
        means = [directed.get((key, other), 0) * np.ones(len(totals)) for other in free]
        across.append(totals[:, np.newaxis] * scale**2 * np.transpose(means).reshape(len(totals), -1))
    across = np.concatenate(across)
    diagonal = np.concatenate([totals * scale * own[0], *2 * [totals * scale**2 * products.gradient]])
    return np.block([[information, across.T], [across, np.diag(diagonal)]])


def _radial_terms(model, free):
    """Return derivatives of the model in terms of the OTF and its derivatives with respect to the PSF."""
    scale, names = model.scale.value, model.psf.names
    terms = np.zeros((len(free), 1 + len(names)))
    for row, key in enumerate(free):
        if model.infos[key].kind == "scale":
            terms[row, 0] = 1
        elif model.infos[key].kind == "psf":
            terms[row, 1 + names.index(key)] = scale
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
