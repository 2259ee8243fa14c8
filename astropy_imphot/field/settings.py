"""The settings of a field: their check, their description for the record, and the filters' curves."""

import hashlib
import importlib.util
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np

from astropy_imphot._version import version
from astropy_imphot.calibration.curves import camera_in_header
from astropy_imphot.calibration.filter_curve import FilterCurve, as_curve
from astropy_imphot.field.store import fingerprint
from astropy_imphot.io.errors import FileError, UserError
from astropy_imphot.io.files import naming, source_name
from astropy_imphot.io.images import read_header
from astropy_imphot.psf.shape import PsfShape

__all__ = [
    "check_settings",
    "describe_curves",
    "describe_settings",
    "find_curves",
    "require_matplotlib",
]

__doctest_requires__ = {"require_matplotlib": ["matplotlib"]}

MOST_DEGREE = 3


def check_settings(options, fwhm_degree, beta_degree, write_psf):
    """
    Raise an error if a setting has an impossible value, or its file does not exist.

    Parameters
    ----------
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Of the fits.
    fwhm_degree, beta_degree, write_psf
        As for `~astropy_imphot.fit_field`.

    Raises
    ------
    UserError
        If a value is impossible or a file is missing.

    Examples
    --------
    >>> from astropy_imphot.field.settings import check_settings
    >>> from astropy_imphot.fitting.options import ImageFitOptions
    >>> check_settings(ImageFitOptions(), 1, 0, None)
    """
    for name, degree in (("fwhm_degree", fwhm_degree), ("beta_degree", beta_degree)):
        if degree not in range(MOST_DEGREE + 1):
            raise UserError(f"{name} is {degree}: give 0 to {MOST_DEGREE}.")
    if write_psf not in (None, "copy", "inplace"):
        raise UserError(f"write_psf is {write_psf!r}: give 'copy', 'inplace' or None.")
    for path in options.files.values():
        if not Path(path).is_file():
            raise FileError(f"{path} does not exist: check the name.")


def require_matplotlib():
    """
    Raise a `UserError` if there is no matplotlib.

    Raises
    ------
    UserError
        If it is not installed.

    Examples
    --------
    >>> from astropy_imphot.field.settings import require_matplotlib
    >>> require_matplotlib()
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            'pictures need matplotlib: pip install "astropy-imphot[plot]", or use --no_plots (plots=False).'
        )


def find_curves(given, hst, *, all_filters=True):
    """
    Return the curves of filters: the user's, and those that come with the package.

    Parameters
    ----------
    given : dict of str to `FilterCurve`, path or (wavelength, sensitivity)
        The user's, each as for `~astropy_imphot.bandpass_image`.
    hst : dict of str to str or `~astropy_imphot.Reference`
        The HST images, by the names of their filters; the camera is that of their headers.
    all_filters : bool
        Whether filters of which no curve is given have that of the package (default: True), see
        `~astropy_imphot.FilterCurve.named`; else they have none.

    Returns
    -------
    dict of str to `FilterCurve`
        One for each filter, or for each that is given.

    Raises
    ------
    UserError
        If one is not found or cannot be read, or is given for a filter that has no HST image.

    Examples
    --------
    >>> from astropy_imphot import FilterCurve
    >>> from astropy_imphot.field.settings import find_curves
    >>> list(find_curves({"F606W": FilterCurve([5000, 7000], [1, 1])}, {"F606W": "hst.fits"}))
    ['F606W']
    """
    given = {name.upper(): curve for name, curve in given.items()}
    unknown = sorted(set(given) - set(hst))
    if unknown:
        raise UserError(
            f"there is a curve but no HST image in {unknown[0]}: the filters are {', '.join(hst)}."
        )
    curves = {}
    for name, path in hst.items():
        curve = given.get(name)
        if curve is None and not all_filters:
            continue
        if curve is None:
            with naming(path):
                curve = FilterCurve.named(name, camera_in_header(read_header(path)))
        curves[name] = replace(as_curve(curve), name=name)
    return curves


def describe_settings(options, hst, **more):
    """
    Return the settings on which the results of all exposures depend.

    Parameters
    ----------
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Of the fits.
    hst : dict of str to str or `~astropy_imphot.Reference`
        The HST images.
    **more
        Other settings.

    Returns
    -------
    dict
        For a JSON file; files with their size and time of change.

    Examples
    --------
    >>> from astropy_imphot.field.settings import describe_settings
    >>> from astropy_imphot.fitting.options import ImageFitOptions
    >>> describe_settings(ImageFitOptions(margin=2.0), {}, fwhm_degree=1)["margin"]
    2.0
    """
    described = {"astropy_imphot": version}
    for key, value in (options.as_keywords() | more).items():
        if key in options.files:
            described[key] = [os.path.abspath(value), *fingerprint(value)]
        elif value is None or isinstance(value, (bool, int, float, str)):
            described[key] = value
        elif isinstance(value, (tuple, list)):
            described[key] = [one if isinstance(one, (int, float)) else str(one) for one in value]
        elif isinstance(value, PsfShape):
            described[key] = value.name
        else:
            described[key] = f"{type(value).__name__} {_digest(pickle.dumps(value))}"
    for name, image in hst.items():
        path = source_name(image)
        given = {key: value for key, value in getattr(image, "options", {}).items() if value is not None}
        described[f"HST image in {name}"] = [path, *fingerprint(path), *([given] if given else [])]
    return described


def describe_curves(curves):
    """
    Return descriptions of filters' curves.

    Parameters
    ----------
    curves : dict of str to `FilterCurve`
        The curves.

    Returns
    -------
    dict of str to str
        Their sources, responses and checksums.

    Examples
    --------
    >>> from astropy_imphot import FilterCurve
    >>> from astropy_imphot.field.settings import describe_curves
    >>> describe_curves({"F606W": FilterCurve([5000, 7000], [1, 1], name="F606W")})["F606W"].split()[0]
    'F606W'
    """
    return {
        name: f"{curve.source or curve.name} {curve.response} {_digest(curve.wavelength, curve.sensitivity)}"
        for name, curve in curves.items()
    }


def _digest(*values):
    """Return a short checksum of values."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:12]
