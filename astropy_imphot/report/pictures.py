"""Pictures of exposures: data, model and residual in all filters."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np

from astropy_imphot.products.plots import draw_image_row, new_figure
from astropy_imphot.report.cells import label
from astropy_imphot.results.flags import flag_names
from astropy_imphot.results.image import FittedImagePhotometry

__all__ = ["exposure_picture", "save_jpeg"]

# Inches: the width of a picture, and the extremes of a row's height.
WIDTH = 9.0
ROW_HEIGHTS = (1.2, 6.0)

# From no visible loss to the lowest quality at which residuals can be judged.
JPEG_QUALITIES = (85, 70, 55, 40, 30)
# Pictures that are still too large are made smaller, down to this width in pixels.
SMALLEST_WIDTH = 600


def exposure_picture(fits):
    """
    Draw the data, the model and the residual of all filters of an exposure.

    Parameters
    ----------
    fits : dict of str to `FittedImagePhotometry`, or sequence of them
        The fits. Each has a row, with the key or the fit's name. Failed fits and fits of stars have no
        images: their rows are text.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure; its images are described in `~astropy_imphot.plot_image_fit`.

    Raises
    ------
    UserError
        If matplotlib is not installed.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.report.pictures import exposure_picture, save_jpeg
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> save_jpeg(exposure_picture({"F775W": fit}), "E1.jpg")
    """
    named = list(fits.items()) if isinstance(fits, Mapping) else [(fit.name, fit) for fit in fits]
    heights = [_row_height(fit) for _, fit in named]
    figure = new_figure(WIDTH, sum(heights) + 0.3)
    grid = figure.add_gridspec(len(named), 3, height_ratios=heights)
    for index, (name, fit) in enumerate(named):
        if not isinstance(fit, FittedImagePhotometry):
            axes = figure.add_subplot(grid[index, :])
            axes.axis("off")
            axes.text(0.5, 0.5, f"{label(name)}: no images ({fit.method})", ha="center", va="center")
            continue
        row = [figure.add_subplot(grid[index, column]) for column in range(3)]
        draw_image_row(row, fit)
        for axes in row:
            axes.set(xticks=[], yticks=[])
            if index:
                axes.set_title("")
        names = [label(name), *flag_names(fit.flags)]
        row[0].set_ylabel("\n".join(names), fontsize="medium" if len(names) == 1 else "small")
    return figure


def _row_height(fit):
    if not isinstance(fit, FittedImagePhotometry):
        return 0.4
    rows, columns = fit.data.shape
    return float(np.clip(WIDTH / 3 * rows / columns, *ROW_HEIGHTS))


def save_jpeg(figure, path, *, dpi=100, largest=100_000):
    """
    Save a figure as a small JPEG file.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure`
        The figure.
    path : str or path
        The file, which is replaced if there is one.
    dpi : float
        Pixels per inch (default: 100).
    largest : int
        Largest size of the file in bytes, for which first the quality and then the size of the picture are
        lowered, within limits (default: 100000).

    Examples
    --------
    >>> from astropy_imphot.report.pictures import save_jpeg
    >>> from astropy_imphot.products.plots import new_figure
    >>> save_jpeg(new_figure(5, 4), "empty.jpg")
    """
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, facecolor="white", pil_kwargs={"compress_level": 1})
    with Image.open(drawn) as image:
        pixels = image.convert("RGB")
    for quality in JPEG_QUALITIES:
        packed = _packed(pixels, quality)
        if len(packed) <= largest:
            break
    while len(packed) > largest and 0.9 * pixels.width >= SMALLEST_WIDTH:
        pixels = pixels.resize([round(0.9 * side) for side in pixels.size], Image.Resampling.LANCZOS)
        packed = _packed(pixels, quality)
    Path(path).write_bytes(packed)


def _packed(pixels, quality):
    packed = BytesIO()
    pixels.save(packed, format="JPEG", quality=quality, optimize=True)
    return packed.getvalue()
