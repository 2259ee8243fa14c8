"""Results as HTML, as notebooks show them."""

import base64
from html import escape
from io import BytesIO

import numpy as np

from astropy_imphot.results.flags import FitFlags

__all__ = ["fit_as_html", "flags_as_html", "objects_as_html", "picture", "table_as_html"]

# The largest number of samples along an image's longer side, and the width of the gap between images.
PICTURE_SIZE = 150
GAP = 3

# The width of a picture, in pixels of the screen.
WIDTH = 540

# The gray level that covers pixels that were not fitted, and its opacity.
VEIL = 0.75
OPACITY = 0.6


def table_as_html(heads, rows):
    """
    Return a table as HTML.

    Parameters
    ----------
    heads : sequence of str
        The columns' heads.
    rows : sequence of sequence of object
        The cells.

    Returns
    -------
    str
        The table, its texts escaped.

    Examples
    --------
    >>> from astropy_imphot.results.html import table_as_html
    >>> table_as_html(["name"], [["<E1>"]])
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>&lt;E1&gt;</td></tr></tbody></table>'
    """

    def row(cells, tag):
        return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(heads, 'th')}</thead><tbody>{body}</tbody></table>"


def flags_as_html(flags, kind=FitFlags):
    """
    Return flags in words, as HTML.

    Parameters
    ----------
    flags : int
        The flags.
    kind : type
        `~astropy_imphot.FitFlags` (the default) or `~astropy_imphot.ExposureFlags`.

    Returns
    -------
    str
        A list of names and meanings, or ``no flags``.

    Examples
    --------
    >>> from astropy_imphot.results.html import flags_as_html
    >>> flags_as_html(0), flags_as_html(128)
    ('<p>no flags</p>', '<ul><li>FEW_PIXELS: few pixels were fitted</li></ul>')
    """
    raised = [f"<li>{escape(f'{flag.name}: {flag.meaning}')}</li>" for flag in kind if flag & flags]
    return f"<ul>{''.join(raised)}</ul>" if raised else "<p>no flags</p>"


def fit_as_html(fit):
    """
    Return a fit as HTML.

    Parameters
    ----------
    fit : `~astropy_imphot.FittedPhotometry`
        The fit.

    Returns
    -------
    str
        Its values with errors, flags in words, and pictures of data, model and residual where matplotlib is
        installed.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.results.html import fit_as_html
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> html = fit_as_html(fit_image_photometry(field.hst, field.muse[0], name="E1"))
    >>> html.count("<img"), "<td>flux scale, MUSE/HST</td>" in html
    (1, True)
    """
    rows = [(key, value.text, value.unit, fit.parameters[key].words) for key, value in fit.values.items()]
    quality = (
        f"{fit.n_pixels} pixels, rms of the residuals {fit.rms_error:.4g} {fit.bg.unit}, reduced chi-squared "
        f"{fit.rchi:.4g}, {'converged' if fit.converged else 'not converged'}"
    )
    images = (
        f'<figure><img alt="{escape(title)}" src="{source}" width="{WIDTH}" '
        'style="image-rendering: pixelated">'
        f"<figcaption>{escape(title)}</figcaption></figure>"
        for title, source in fit._pictures().items()
    )
    return "".join(
        [
            f"<p><strong>{escape(fit.name)}</strong> ({escape(fit.method)} fit)</p>",
            table_as_html(["name", "value", "unit", "description"], rows),
            f"<p>{escape(quality)}</p>",
            flags_as_html(fit.flags),
            *images,
        ]
    )


def objects_as_html(objects):
    """
    Return the objects of a field as HTML.

    Parameters
    ----------
    objects : `~astropy.table.QTable` or None
        From `~astropy_imphot.fitting.objects.object_table`.

    Returns
    -------
    str
        Their number, and their table as a folded section; empty for None.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from astropy_imphot.results.html import objects_as_html
    >>> objects_as_html(QTable({"left_out": [True, False]}))[:63]
    '<details><summary>2 objects, of which 1 are masked</summary><di'
    """
    if objects is None:
        return ""
    words = f"{len(objects)} objects, of which {np.sum(objects['left_out'])} are masked"
    return f"<details><summary>{words}</summary>{objects._repr_html_()}</details>"


def picture(title, data, model, residual):
    """
    Return a picture of data, model and residual.

    Parameters
    ----------
    title : str
        Its title.
    data, model : `~astropy.nddata.CCDData`
        Images of shape (ny, nx), masked where pixels were not fitted. They share a stretch.
    residual : array of shape (ny, nx)
        Their difference, whose stretch is symmetric.

    Returns
    -------
    dict of str to str
        The PNG image as an address (``data:``), by the title; empty if matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from astropy_imphot.results.html import picture
    >>> star = CCDData(np.eye(20), mask=np.zeros((20, 20), bool), unit="ct")
    >>> picture("a star", star, star, np.zeros((20, 20)))["a star"][:22]
    'data:image/png;base64,'
    """
    try:
        from matplotlib import colormaps
        from matplotlib.image import imsave
    except ImportError:
        return {}
    used = ~data.mask
    level, high = np.percentile(data.data[used], (50, 99.5))
    low = level - 0.1 * (high - level)
    span = 4 * np.sqrt(np.mean(residual[used] ** 2))
    rows, columns = (slice(index.min(), index.max() + 1) for index in np.nonzero(used))
    veil = _smaller(np.where(used, 0.0, OPACITY)[rows, columns])[..., np.newaxis]
    panels = []
    for image, bottom, top, colors in (
        (data.data, low, high, "viridis"),
        (model.data, low, high, "viridis"),
        (residual, -span, span, "RdBu_r"),
    ):
        values = _smaller(np.where(np.isfinite(image), image, bottom)[rows, columns])
        shown = colormaps[colors]((values - bottom) / ((top - bottom) or 1.0))[..., :3]
        panels += [shown * (1 - veil) + VEIL * veil, np.ones((len(shown), GAP, 3))]
    buffer = BytesIO()
    imsave(buffer, np.hstack(panels[:-1])[::-1], format="png")
    return {title: f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"}


def _smaller(image):
    """Return an image averaged over blocks of pixels, so that it is small enough."""
    size = -(-max(image.shape) // PICTURE_SIZE)
    ny, nx = (max(length // size, 1) for length in image.shape)
    block = image[: ny * size, : nx * size]
    return block.reshape(ny, block.shape[0] // ny, nx, block.shape[1] // nx).mean(axis=(1, 3))
