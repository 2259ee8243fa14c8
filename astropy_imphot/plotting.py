"""Figures of fits. matplotlib is imported here only, and only when a figure is made."""

import numpy as np
from scipy import fft

from astropy_imphot.errors import UserError

__all__ = ["plot_image_fit", "show"]


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "astropy-imphot[plot]".') from error
    return plt


def plot_image_fit(fit, *, title=None):
    """
    Draw the data, the model and the residual of an image fit, and their power spectra.

    Parameters
    ----------
    fit : `FittedImagePhotometry`
        The result of `fit_image_photometry`.
    title : str, optional
        By default (None) the fit's name.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure. Data and model share a stretch; the residual has its own, of the same
        centre. Pixels that were left out are grey, with the outlines of objects
        that changed in red.

    Raises
    ------
    UserError
        If matplotlib is not installed.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry, plot_image_fit
    >>> from astropy_imphot.simulate import simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> figure = plot_image_fit(fit_image_photometry(field.hst, field.muse[0]))
    >>> figure.savefig("fit.png")
    """
    plt = _pyplot()
    figure = plt.figure(figsize=(13, 8.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(3, 2))
    figure.suptitle(fit.name if title is None else title)

    mask = fit.residual.mask
    background = fit.bg.value
    stretch = _stretch(fit.data.data[~mask] - background)
    span = 4 * np.sqrt(np.mean(fit.residual.data[~mask] ** 2)) or 1.0
    images = {
        "MUSE": (fit.data.data - background, stretch),
        "model": (fit.model.data - background, stretch),
        "MUSE - model": (fit.residual.data, (-span, span)),
    }
    unit = fit.bg.unit.to_string("latex_inline")
    rows, columns = _extent(~mask)
    axes = None
    for index, (name, (pixels, (low, high))) in enumerate(images.items()):
        axes = figure.add_subplot(grid[0, index], sharex=axes, sharey=axes)
        shown = axes.imshow(
            pixels,
            origin="lower",
            vmin=low,
            vmax=high,
            cmap="viridis" if index < 2 else "RdBu_r",
            interpolation="nearest",
        )
        axes.imshow(
            np.where(mask, 0.75, np.nan),
            origin="lower",
            vmin=0,
            vmax=1,
            cmap="gray",
            alpha=0.6,
            interpolation="nearest",
        )
        axes.set(title=name, xlabel="x (pixels)", ylabel="y (pixels)" if index == 0 else "")
        axes.set(xlim=columns, ylim=rows)
        bar = figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.9)
        bar.set_label(unit, fontsize="small")
    _plot_spectra(figure.add_subplot(grid[1, :2]), fit, mask)
    _write_values(figure.add_subplot(grid[1, 2]), fit)
    return figure


def show(wait=True):
    """
    Show the figures made so far.

    Parameters
    ----------
    wait : bool
        Whether to wait until they are closed (default: True).

    Examples
    --------
    >>> from astropy_imphot.plotting import show
    >>> show(wait=False)
    """
    plt = _pyplot()
    plt.show(block=wait)
    if not wait:
        plt.pause(0.1)


def _stretch(values):
    high = np.percentile(values, 99.5)
    return -0.1 * high, high


def _extent(valid):
    """Return the limits of rows and columns that hold valid pixels, and a little more."""
    limits = []
    for axis in (1, 0):
        used = np.flatnonzero(valid.any(axis=axis))
        room = 0.03 * (used[-1] - used[0] + 1) + 1
        limits.append((used[0] - room, used[-1] + room))
    return limits


def _plot_spectra(axes, fit, mask):
    scale = fit.fitted_model.template.pixel_scale
    for name, image, style in (
        ("MUSE", fit.data.data - fit.bg.value, "-"),
        ("model", fit.model.data - fit.bg.value, "--"),
        ("MUSE - model", fit.residual.data, ":"),
    ):
        frequency, power = _radial_power(np.where(mask, 0, image), scale)
        axes.semilogy(frequency, power, style, label=name)
    axes.set(title="mean power spectra", xlabel="frequency (cycles/arcsec)", ylabel="power (arbitrary unit)")
    axes.legend()


def _radial_power(image, pixel_scale):
    """Return the power spectrum of an image, averaged over directions."""
    power = np.abs(fft.rfft2(image)) ** 2 / image.size
    fy = fft.fftfreq(image.shape[0], pixel_scale[0])[:, np.newaxis]
    fx = fft.rfftfreq(image.shape[1], pixel_scale[1])[np.newaxis, :]
    radius = np.hypot(fy, fx)
    edges = np.linspace(0, 0.5 / max(pixel_scale), 60)
    bins = np.digitize(radius.ravel(), edges)
    counts = np.bincount(bins, minlength=len(edges) + 1)[1:-1]
    sums = np.bincount(bins, weights=power.ravel(), minlength=len(edges) + 1)[1:-1]
    filled = counts > 0
    return (0.5 * (edges[1:] + edges[:-1]))[filled], sums[filled] / counts[filled]


def _write_values(axes, fit):
    axes.axis("off")
    lines = [f"{key:>6}  {value}" for key, value in fit.values.items() if key != "bg"]
    lines.append(f"    bg  {fit.bg.value:.4g} +- {fit.bg.stdev:.2g}")
    lines.append(f"   rms  {fit.rms_error:.4g}")
    lines.append(f"pixels  {fit.n_pixels}")
    axes.text(0, 1, "\n".join(lines), family="monospace", va="top", transform=axes.transAxes)
