"""Figures of fits. matplotlib is imported here only, and only when a figure is made."""

from contextlib import contextmanager

import numpy as np
from scipy import fft

from astropy_imphot.io.errors import UserError
from astropy_imphot.results.flags import flag_names

__all__ = ["close", "draw_image_row", "new_figure", "plot_image_fit", "plot_star_fit", "show", "unit_text"]

# Inches: as wide as a page, where the text is readable. A star has more panels and values.
FIGURE = (10.5, 7.2)
STAR_FIGURE = (13, 8.2)

# Offsets of objects are drawn if their errors are below this, arcsec; an arrow of this offset is as long
# as so many pixels.
KNOWN_OFFSET = 0.05
ARROW_PIXELS = 10


@contextmanager
def _needs_matplotlib():
    try:
        yield
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "astropy-imphot[plot]".') from error


def _pyplot():
    with _needs_matplotlib():
        import matplotlib.pyplot as plt
    return plt


def new_figure(width, height):
    """
    Return a figure that is only saved: it has no window, and need not be closed.

    Parameters
    ----------
    width, height : float
        Its size in inches.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure, empty.

    Raises
    ------
    UserError
        If matplotlib is not installed.

    Examples
    --------
    >>> from astropy_imphot.products.plots import new_figure
    >>> new_figure(5, 4).axes
    []
    """
    with _needs_matplotlib():
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


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
        The figure. Data and model share a stretch; the residual has its own, symmetric one. Masked pixels are
        gray; objects that do not fit are masked and outlined. Point sources are circled, in red those of one
        of the images only. Arrows are the offsets of single objects, less the fitted offset.

    Raises
    ------
    UserError
        If matplotlib is not installed.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry, plot_image_fit
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> figure = plot_image_fit(fit_image_photometry(field.hst, field.muse[0]))
    >>> figure.savefig("fit.png")
    """
    plt = _pyplot()
    figure = plt.figure(figsize=FIGURE, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(3, 2))
    figure.suptitle(fit.name if title is None else title)

    first = figure.add_subplot(grid[0, 0])
    others = [figure.add_subplot(grid[0, index], sharex=first, sharey=first) for index in (1, 2)]
    for axes, shown in zip([first, *others], draw_image_row([first, *others], fit), strict=True):
        axes.set(xlabel="x (pixels)", ylabel="y (pixels)" if axes is first else "")
        bar = figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.9)
        bar.set_label(unit_text(fit.bg.unit), fontsize="small")
    _plot_offsets(axes, fit)
    _plot_spectra(figure.add_subplot(grid[1, :2]), fit)
    _write_values(figure.add_subplot(grid[1, 2]), fit, "medium")
    return figure


def draw_image_row(row, fit):
    """
    Draw the data, the model and the residual of an image fit next to each other.

    Parameters
    ----------
    row : sequence of 3 `~matplotlib.axes.Axes`
        Where they are drawn.
    fit : `FittedImagePhotometry`
        The result of `fit_image_photometry`.

    Returns
    -------
    list of `~matplotlib.image.AxesImage`
        The three images, for color bars. `plot_image_fit` describes them.

    Examples
    --------
    >>> from astropy_imphot import fit_image_photometry
    >>> from astropy_imphot.products.plots import draw_image_row, new_figure
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> fit = fit_image_photometry(field.hst, field.muse[0])
    >>> len(draw_image_row(new_figure(9, 3).subplots(1, 3), fit))
    3
    """
    mask = fit.residual.mask
    background = fit.background.data
    stretch = _stretch((fit.data.data - background)[~mask])
    span = 4 * np.sqrt(np.mean(fit.residual.data[~mask] ** 2)) or 1.0
    muse = "MUSE, smoothed" if fit.smoothing > 0 else "MUSE"
    images = {
        muse: (fit.data.data - background, stretch, "viridis"),
        "model": (fit.model.data - background, stretch, "viridis"),
        "MUSE - model": (fit.residual.data, (-span, span), "RdBu_r"),
    }
    rows, columns = _extent(~mask)
    shared = {"origin": "lower", "interpolation": "nearest"}
    shown = []
    for axes, (name, (pixels, (low, high), colors)) in zip(row, images.items(), strict=True):
        shown.append(axes.imshow(pixels, vmin=low, vmax=high, cmap=colors, **shared))
        axes.imshow(np.where(mask, 0.75, np.nan), vmin=0, vmax=1, cmap="gray", alpha=0.6, **shared)
        axes.set(title=name, xlim=columns, ylim=rows)
        _plot_changed(axes, fit)
    return shown


def plot_star_fit(fit, *, title=None):
    """
    Draw the profiles of a star in the MUSE and the HST image, with the models and residuals.

    Parameters
    ----------
    fit : `FittedStarPhotometry`
        The result of `fit_star_photometry`.
    title : str, optional
        By default (None) the fit's name.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure: for both images the profile against the distance from the star, the
        residuals below it in standard deviations of the residuals, and the image of the residuals.

    Raises
    ------
    UserError
        If matplotlib is not installed.

    Examples
    --------
    >>> from astropy_imphot import fit_star_photometry, plot_star_fit
    >>> from astropy_imphot.simulation import CENTER, simulate_field
    >>> field = simulate_field(seed=1, size=12.0, central_star=20.0)
    >>> star = (CENTER.ra.deg, CENTER.dec.deg, 2.0)
    >>> figure = plot_star_fit(fit_star_photometry(field.hst, field.muse[0], star))
    >>> figure.savefig("star.png")
    """
    plt = _pyplot()
    figure = plt.figure(figsize=STAR_FIGURE, layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(3, 1, 2), width_ratios=(1, 1, 0.8))
    figure.suptitle(fit.name if title is None else title)
    for column, (name, star) in enumerate({"MUSE": fit.muse_fit, "HST": fit.hst_fit}.items()):
        profile = figure.add_subplot(grid[0, column])
        below = figure.add_subplot(grid[1, column], sharex=profile)
        _plot_profile(profile, below, star, name)
        _plot_star_residual(figure, figure.add_subplot(grid[2, column]), star, name)
    _write_values(figure.add_subplot(grid[:, 2]), fit, "small")
    return figure


def _plot_profile(axes, below, star, name):
    values = {key: value.value for key, value in star.values.items()}
    rows, columns = np.nonzero(~star.data.mask)
    x, y = columns + star.origin[0], rows + star.origin[1]
    distance = np.hypot(x - values["x_0"], y - values["y_0"]) * star.pixel_scale
    data = star.data.data[rows, columns]
    residual = data - star.model.data[rows, columns]
    axes.plot(distance, data, ".", ms=2, color="0.5", rasterized=True, label="pixels")
    radius = np.linspace(0, distance.max(), 500)
    curve = star.fitted_model(values["x_0"] + radius / star.pixel_scale, np.full(500, values["y_0"]))
    axes.plot(radius, curve, "C3", lw=1.5, label="Moffat")
    noise = np.std(residual) or 1.0
    axes.set_yscale("symlog", linthresh=5 * noise)
    # Labels of ticks next to 0 would overlap with that of 0.
    axes.set_yticks([tick for tick in axes.get_yticks() if tick == 0 or tick > 10 * noise])
    axes.set(title=f"{name} star", ylabel=f"flux per pixel\n({unit_text(star.data.unit)})")
    axes.tick_params(labelbottom=False)
    axes.legend()
    below.plot(distance, residual / noise, ".", ms=2, color="0.5", rasterized=True)
    below.axhline(0, color="C3", lw=1)
    below.set(xlabel="distance from the star (arcsec)", ylabel="residual / rms", ylim=(-5, 5))


def _plot_star_residual(figure, axes, star, name):
    residual = np.where(star.data.mask, np.nan, star.data.data - star.model.data)
    span = 4 * np.nanstd(residual) or 1.0
    x, y = star.origin
    extent = (x - 0.5, x + residual.shape[1] - 0.5, y - 0.5, y + residual.shape[0] - 0.5)
    shown = axes.imshow(
        residual, origin="lower", extent=extent, vmin=-span, vmax=span, cmap="RdBu_r", interpolation="nearest"
    )
    axes.set(title=f"{name} - Moffat", xlabel="x (pixels)", ylabel="y (pixels)", facecolor="0.75")
    bar = figure.colorbar(shown, ax=axes)
    bar.set_label(unit_text(star.data.unit), fontsize="small")


def unit_text(unit):
    """Return a unit as matplotlib writes it in an axis label."""
    return unit.to_string("latex_inline")


def show(wait=True):
    """
    Show the figures made so far.

    Parameters
    ----------
    wait : bool
        Whether to wait until they are closed (default: True).

    Examples
    --------
    >>> from astropy_imphot.products.plots import show
    >>> show(wait=False)
    """
    plt = _pyplot()
    plt.show(block=wait)
    if not wait:
        plt.pause(0.1)


def close(figure):
    """
    Close a figure.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure`
        The figure.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from astropy_imphot.products.plots import close
    >>> close(plt.figure())
    """
    _pyplot().close(figure)


def _stretch(values):
    high = np.percentile(values, 99.5)
    return -0.1 * high, high


def _extent(valid):
    """Return the limits of rows and columns with valid pixels, with a margin."""
    limits = []
    for axis in (1, 0):
        used = np.flatnonzero(valid.any(axis=axis))
        margin = 0.03 * (used[-1] - used[0] + 1) + 1
        limits.append((used[0] - margin, used[-1] + margin))
    return limits


def _plot_changed(axes, fit):
    """Outline the objects that are masked, and circle the point sources."""
    masked = fit.objects["left_out"]
    if masked.any():
        pixels = np.isin(fit.labels, fit.objects["label"][masked])
        axes.contour(pixels, levels=[0.5], colors="C1", linewidths=1)
    sources = fit.point_sources
    for shown, color in ((sources["in_hst"], "C0"), (~sources["in_hst"], "C3")):
        x, y = (sources[key][shown].value for key in "xy")
        axes.scatter(x, y, s=40, facecolors="none", edgecolors=color, linewidths=0.8)


def _plot_offsets(axes, fit):
    """Draw the offsets of single objects whose errors are small."""
    known = np.hypot(fit.objects["dx_err"], fit.objects["dy_err"]).value < KNOWN_OFFSET
    shown = fit.objects[known]
    if not len(shown):
        return
    pixels = ARROW_PIXELS / KNOWN_OFFSET
    arrows = axes.quiver(
        shown["x"].value,
        shown["y"].value,
        shown["dx"].value * pixels,
        shown["dy"].value * pixels,
        color=np.where(shown["left_out"], "C1", "k"),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
    )
    # The key's tail is at the place given: its tip stays within the panel, however few pixels that has.
    low, high = axes.get_xlim()
    tail = 0.97 - ARROW_PIXELS / (high - low)
    axes.quiverkey(arrows, tail, 0.05, ARROW_PIXELS, f"{KNOWN_OFFSET} arcsec", labelpos="W")


def _plot_spectra(axes, fit):
    mask = fit.residual.mask
    scale = fit.fitted_model.template.pixel_scale
    for name, image, style in (
        ("MUSE", fit.data.data - fit.background.data, "-"),
        ("model", fit.model.data - fit.background.data, "--"),
        ("MUSE - model", fit.residual.data, ":"),
    ):
        frequency, power = _radial_power(np.where(mask, 0, image), scale)
        axes.semilogy(frequency, power, style, label=name)
    axes.set(title="mean power spectra", xlabel="frequency (cycles/arcsec)", ylabel="power (arbitrary unit)")
    # The mean of the residual is 0, and its lowest bin too: the axis would have empty decades.
    axes.set_ylim(bottom=0.1 * min(np.median(line.get_ydata()[-10:]) for line in axes.lines))
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


def _write_values(axes, fit, size):
    axes.axis("off")
    width = max(len(key) for key in fit.values)
    lines = [f"{key:>{width}}  {value.text}" for key, value in fit.values.items()]
    lines += [f"{'rms':>{width}}  {fit.rms_error:.4g}", f"{'pixels':>{width}}  {fit.n_pixels}"]
    lines += [f"{'flag':>{width}}  {name}" for name in flag_names(fit.flags)]
    axes.text(0, 1, "\n".join(lines), family="monospace", fontsize=size, va="top", transform=axes.transAxes)
