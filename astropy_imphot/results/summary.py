"""The summary of a fit: one line, in columns that are the same for every fit."""

from astropy_imphot.parameters import KINDS, all_parameters
from astropy_imphot.psf.moffat import MOFFAT

__all__ = ["summary_header", "summary_line"]

NAME_WIDTH = 32

# The text for a value that a fit does not have.
MISSING = "-"


def summary_header(psf=MOFFAT):
    """
    Return the three lines above the summaries of fits.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF (default: a Moffat function). Another shape's own parameters come after the
        flags, so that lines of fits of different shapes are aligned.

    Returns
    -------
    list of str
        Lines that start with #.

    Examples
    --------
    >>> from astropy_imphot.results.summary import summary_header
    >>> [line[0] for line in summary_header()]
    ['#', '#', '#']
    >>> " ".join(summary_header()[0].split())
    '# name method scale fwhm beta bg dx dy dra ddec rms flags'
    """
    common, more = _columns(psf)
    names = _joined(
        "# name",
        "method",
        [(info.name, info) for info in common],
        [f"{'rms':>9}", "flags"],
        [(info.name, info) for info in more],
    )
    units = _joined(
        "#",
        "",
        [(_unit(info), info) for info in common],
        [" " * 9, " " * 5],
        [(_unit(info), info) for info in more],
    )
    return [names, units, "#" + "-" * (len(names) - 1)]


def summary_line(fit):
    """
    Return a fit's values in one line.

    Parameters
    ----------
    fit : `~astropy_imphot.FittedPhotometry`
        The fit.

    Returns
    -------
    str
        Its name, method, values, rms and flags; ``-`` for a parameter that its PSF does not have.

    Examples
    --------
    See `~astropy_imphot.FittedPhotometry.summary`, which uses it.
    """
    common, more = _columns(fit.psf)
    return _joined(
        fit.name,
        fit.method,
        [(_shown(fit, info), info) for info in common],
        [f"{fit.rms_error:9.4g}", f"{int(fit.flags):5d}"],
        [(_shown(fit, info), info) for info in more],
    )


def _columns(psf):
    """Return the parameters that every summary has, and those that only this shape of the PSF has."""
    common = _with_style(MOFFAT)
    names = {info.name for info in common}
    return common, [info for info in _with_style(psf) if info.name not in names]


def _with_style(psf):
    table = all_parameters(psf).values()
    return [info for kind in KINDS for info in table if info.style and info.kind == kind]


def _joined(name, method, common, fixed, more):
    cells = [f"{name:<{NAME_WIDTH}}", f"{method:<6}"]
    cells += [f"{text:>{_width(info)}}" for text, info in common]
    cells += fixed
    cells += [f"{text:>{_width(info)}}" for text, info in more]
    return "  ".join(cells)


def _shown(fit, info):
    return format(fit.values[info.name].value, info.style) if info.name in fit.values else MISSING


def _unit(info):
    """Return a unit as a heading; empty for that of the image, which is too long."""
    if not info.unit or info.unit.startswith("flux"):
        return ""
    return '(")' if info.unit == "arcsec" else f"({info.unit})"


def _width(info):
    return int(info.style.split(".")[0])
