"""Figures of a field: all exposures together."""

import numpy as np

from astropy_imphot.products.plots import new_figure, unit_text
from astropy_imphot.psf.wavelength import WAVELENGTHS, relative
from astropy_imphot.report.cells import label, texts
from astropy_imphot.results.columns import numbers
from astropy_imphot.results.flags import ExposureFlags

__all__ = ["fwhm_against_time", "fwhm_against_wavelength", "scale_and_background", "sky_offsets"]

# Inches: readable on a telephone.
SIZE = (5.4, 4.2)

# More names than these would hide the figure; a color bar or numbers identify more exposures.
MOST_NAMES = 8

# Days: the margin around a single exposure.
HALF_HOUR = 1 / 48

MARKERS = "os^DvP<>X"


def fwhm_against_wavelength(results, exposures):
    """
    Draw the FWHM of each exposure and filter against wavelength, with the exposures' polynomials.

    Parameters
    ----------
    results : `~astropy.table.QTable`
        One row for each exposure and filter.
    exposures : `~astropy.table.QTable`
        One row for each exposure; those with several filters and a finite ``fwhm_coef`` have a curve.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure. Each exposure has its color.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.figures import fwhm_against_wavelength
    >>> results = QTable(
    ...     {
    ...         "exposure": ["E1", "E1"],
    ...         "wavelength": [5921.0, 8045.0] * u.AA,
    ...         "fwhm": [0.66, 0.61] * u.arcsec,
    ...         "fwhm_err": [0.01, 0.01] * u.arcsec,
    ...     }
    ... )
    >>> exposures = QTable({"exposure": ["E1"], "fwhm_coef": [[-0.108, 0.632]] * u.arcsec})
    >>> axes = fwhm_against_wavelength(results, exposures).axes[0]
    >>> axes.get_xlabel()
    'wavelength (Angstrom)'
    """
    figure, axes = _axes()
    wavelength, fwhm, error = (numbers(results, key) for key in ("wavelength", "fwhm", "fwhm_err"))
    exposure_of = np.array(texts(results, "exposure"))
    names = texts(exposures, "exposure")
    many = len(names) > MOST_NAMES
    colors, mappable = _sequence_colors(len(names))
    curve_of = numbers(exposures, "fwhm_coef")
    grid = np.linspace(*WAVELENGTHS, 100)
    drawn = False
    for name, color, coefficients in zip(names, colors, curve_of, strict=True):
        rows = (exposure_of == name) & np.isfinite(wavelength) & np.isfinite(fwhm)
        if rows.any():
            style = {"ms": 3, "lw": 0.8, "alpha": 0.6} if many else {"ms": 5, "lw": 1.2}
            bars = np.nan_to_num(error[rows])
            axes.errorbar(
                wavelength[rows], fwhm[rows], bars, fmt="o", color=color, label=label(name), **style
            )
            drawn = True
        # A single filter does not constrain a change with wavelength.
        if np.unique(wavelength[rows]).size > 1 and np.isfinite(coefficients).all():
            curve = np.polyval(coefficients, relative(grid))
            axes.plot(grid, curve, color=color, lw=0.7 if many else 1.5, alpha=0.35 if many else 0.9)
            drawn = True
    if not drawn:
        return _without(figure, axes, "no exposure has a FWHM")
    axes.set(xlabel="wavelength (Angstrom)", ylabel="FWHM (arcsec)")
    if many:
        figure.colorbar(mappable, ax=axes, label="number of the exposure")
    elif axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    return figure


def fwhm_against_time(exposures):
    """
    Draw the FWHM of the exposures, at the reference wavelength, against the time of observation.

    Parameters
    ----------
    exposures : `~astropy.table.QTable`
        One row for each exposure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure, without exposures whose time is unknown.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.figures import fwhm_against_time
    >>> exposures = QTable(
    ...     {
    ...         "mjd_obs": [56921.10, 56921.13],
    ...         "fwhm": [0.66, 0.61] * u.arcsec,
    ...         "fwhm_err": [0.01, 0.01] * u.arcsec,
    ...     }
    ... )
    >>> fwhm_against_time(exposures).axes[0].get_xlabel()
    'days after MJD 56921'
    """
    figure, axes = _axes()
    time, fwhm, error = (numbers(exposures, key) for key in ("mjd_obs", "fwhm", "fwhm_err"))
    known = np.isfinite(time) & np.isfinite(fwhm)
    if not known.any():
        return _without(figure, axes, "no exposure has a time and a FWHM")
    start = int(np.floor(time[known].min()))
    bars = np.nan_to_num(error[known])
    axes.errorbar(time[known] - start, fwhm[known], bars, fmt="o", ms=4, lw=1, color="C0")
    axes.set(xlabel=f"days after MJD {start}", ylabel="FWHM (arcsec)")
    axes.locator_params(axis="x", nbins=6)
    if np.ptp(time[known]) == 0:
        axes.set_xlim(time[known][0] - start - HALF_HOUR, time[known][0] - start + HALF_HOUR)
    return figure


def sky_offsets(exposures):
    """
    Draw the offsets of the exposures and their errors as ellipses of one standard deviation.

    Parameters
    ----------
    exposures : `~astropy.table.QTable`
        One row for each exposure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure. Offsets are differences of coordinates, as in the table. Exposures that are
        outlying, or all if they are few, have their numbers, which start at 1.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.figures import sky_offsets
    >>> exposures = QTable(
    ...     {
    ...         "exposure": ["E1", "E2"],
    ...         "dra": [0.31, 0.28] * u.arcsec,
    ...         "ddec": [-0.12, -0.15] * u.arcsec,
    ...         "dra_err": [0.003, 0.004] * u.arcsec,
    ...         "ddec_err": [0.003, 0.002] * u.arcsec,
    ...         "radec_corr": [0.1, -0.4],
    ...         "flags": [0, 0],
    ...     }
    ... )
    >>> len(sky_offsets(exposures).axes)
    1
    """
    from matplotlib.collections import PolyCollection

    figure, axes = _axes()
    dra, ddec = numbers(exposures, "dra"), numbers(exposures, "ddec")
    known = np.isfinite(dra) & np.isfinite(ddec)
    if not known.any():
        return _without(figure, axes, "no exposure has an offset")
    outlying = (np.nan_to_num(numbers(exposures, "flags")).astype(int) & ExposureFlags.OUTLYING_OFFSET) > 0
    errors = [np.nan_to_num(numbers(exposures, key)) for key in ("dra_err", "ddec_err", "radec_corr")]
    outlines = [_ellipse(*row) for row in np.transpose([dra, ddec, *errors])[known]]
    colors = np.where(outlying, "C3", "C0")[known]
    axes.add_collection(PolyCollection(outlines, facecolors=colors, edgecolors=colors, lw=0.8, alpha=0.3))
    # Outlying exposures are drawn last, on top of the others.
    for rows, color in ((known & ~outlying, "C0"), (known & outlying, "C3")):
        axes.scatter(dra[rows], ddec[rows], s=9, color=color, zorder=3)
    axes.axvline(np.median(dra[known]), color="0.6", lw=0.8, ls="--", zorder=0)
    axes.axhline(np.median(ddec[known]), color="0.6", lw=0.8, ls="--", zorder=0)
    named = known if known.sum() <= MOST_NAMES else known & outlying
    for index in np.flatnonzero(named):
        place = dra[index], ddec[index]
        axes.annotate(str(index + 1), place, xytext=(4, 4), textcoords="offset points", fontsize="small")
    _frame(axes, np.concatenate(outlines))
    axes.set(
        xlabel="dra (arcsec, coordinate difference)",
        ylabel="ddec (arcsec, coordinate difference)",
    )
    return figure


def _ellipse(x, y, x_error, y_error, correlation):
    """Return the outline of one standard deviation."""
    turn = np.linspace(0, 2 * np.pi, 40)
    along, across = np.cos(turn), np.sin(turn)
    independent = np.sqrt(max(0.0, 1 - correlation**2))
    return np.transpose(
        [x + x_error * along, y + y_error * (correlation * along + independent * across)],
    )


def _frame(axes, points):
    """Set the limits to a square with all points, in which ellipses are not distorted."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.55 * max(*(high - low), 0.01)
    for limits, middle in zip((axes.set_xlim, axes.set_ylim), 0.5 * (low + high), strict=True):
        limits(middle - half, middle + half)
    axes.set_aspect("equal")


def scale_and_background(results, exposures):
    """
    Draw the flux scale and the background of all filters, and the mean scale, for each exposure.

    Parameters
    ----------
    results : `~astropy.table.QTable`
        One row for each exposure and filter.
    exposures : `~astropy.table.QTable`
        One row for each exposure.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure. Each filter has a color, from blue to red; the mean scale is black.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable
    >>> from astropy_imphot.report.figures import scale_and_background
    >>> flux = u.Unit(1e-20 * u.erg / u.s / u.cm**2 / u.AA)
    >>> results = QTable(
    ...     {
    ...         "exposure": ["E1", "E1"],
    ...         "filter": ["F606W", "F814W"],
    ...         "wavelength": [5921.0, 8045.0] * u.AA,
    ...         "scale": [0.98, 1.01],
    ...         "scale_err": [0.01, 0.01],
    ...         "bg": [1.2, 0.4] * flux,
    ...         "bg_err": [0.1, 0.1] * flux,
    ...     }
    ... )
    >>> exposures = QTable({"exposure": ["E1"], "scale": [0.995], "scale_err": [0.01]})
    >>> [axes.get_title(loc="left").split()[0] for axes in scale_and_background(results, exposures).axes]
    ['scale,', 'background,']
    """
    figure = new_figure(*SIZE)
    above, below = figure.subplots(2, 1, sharex=True)
    names = texts(exposures, "exposure")
    number = {name: index for index, name in enumerate(names, start=1)}
    places = np.array([number.get(name, 0) for name in texts(results, "exposure")])
    filters = np.array(texts(results, "filter"))
    wavelength = numbers(results, "wavelength")
    order = sorted(set(filters), key=lambda name: np.nan_to_num(wavelength[filters == name]).max())
    many = len(names) > MOST_NAMES
    style_of_all = {"ms": 2.5, "lw": 0.6, "alpha": 0.7} if many else {"ms": 5, "lw": 1.0}
    # Points at the same place would hide each other.
    shifts = np.linspace(-0.3, 0.3, len(order) + 1)
    for index, name in enumerate(order):
        rows = (filters == name) & (places > 0)
        style = {
            "fmt": MARKERS[index % len(MARKERS)],
            "color": _filter_color(index, len(order)),
            "label": label(name),
            **style_of_all,
        }
        for axes, key in ((above, "scale"), (below, "bg")):
            _points(axes, places[rows] + shifts[index], results[rows], key, style)
    style = {"fmt": "." if many else "s", "color": "k", "label": "mean", "mfc": "none", **style_of_all}
    _points(above, np.arange(1, len(names) + 1) + shifts[-1], exposures, "scale", style)
    above.set_title("scale, MUSE/HST", loc="left", fontsize="medium")
    below.set_title(
        f"background, MUSE - HST ({unit_text(results['bg'].unit)})", loc="left", fontsize="medium"
    )
    below.set(xlabel="number of the exposure", xlim=(0.4, len(names) + 0.6))
    below.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    handles, labels = above.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside upper center", ncols=5, fontsize="small", columnspacing=1.2
        )
    return figure


def _points(axes, x, table, key, style):
    values, errors = numbers(table, key), np.nan_to_num(numbers(table, f"{key}_err"))
    known = np.isfinite(values)
    if known.any():
        axes.errorbar(x[known], values[known], errors[known], **style)


def _axes():
    figure = new_figure(*SIZE)
    return figure, figure.add_subplot()


def _without(figure, axes, why):
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
    return figure


def _sequence_colors(count):
    """Return a color for each exposure, and the mappable of a color bar."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    # The palest yellow is invisible on white.
    palette = ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, 256)))
    mappable = ScalarMappable(Normalize(1, max(count, 2)), palette)
    return mappable.to_rgba(np.arange(1, count + 1)), mappable


def _filter_color(index, count):
    from matplotlib import colormaps

    return colormaps["turbo"](0.1 + 0.8 * (index + 0.5) / count)
