"""Sensitivities of HST filters, in other packages that are installed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from astropy.io import fits

from astropy_imphot.io.errors import UserError

__all__ = ["CAMERAS", "camera_in_header", "installed_curve"]

# How the names of galsim's files and mpdaf's tables begin. mpdaf's curves of WFC3 are the filters' alone,
# without mirrors and detector, which shifts their mean by up to 300 Angstrom.
CAMERAS = {
    "ACS/WFC": ("ACS_wfc_", "ACS_"),
    "WFC3/UVIS": ("WFC3_uvis_", None),
    "WFC3/IR": ("WFC3_ir_", None),
    "WFPC2": (None, "WFPC2_"),
}


def installed_curve(name, camera="ACS/WFC"):
    """
    Look for a filter's total sensitivity in galsim and in mpdaf, in this order.

    Parameters
    ----------
    name : str
        The filter, such as ``"F775W"``.
    camera : str
        ``"ACS/WFC"`` (default), ``"WFC3/UVIS"``, ``"WFC3/IR"`` or ``"WFPC2"``.

    Returns
    -------
    wavelength, sensitivity : arrays of shape (n,)
        Wavelengths in Angstrom, and the fraction of the light that is detected.
    source : str
        The package, its version and the curve's name in it.

    Raises
    ------
    UserError
        If the camera is not known, or neither package has the filter.

    Examples
    --------
    >>> from astropy_imphot.calibration.curves import installed_curve
    >>> wavelength, sensitivity, source = installed_curve("F850LP")
    >>> round(float(wavelength[sensitivity > 0.1].min())), source.split()[-1]
    (8291, 'ACS_wfc_F850LP.dat')
    """
    name, camera = name.strip().upper(), camera.strip().upper()
    if camera not in CAMERAS:
        raise UserError(f"no filter curves of the camera {camera} are known: choose {', '.join(CAMERAS)}.")
    curve = _of_camera(name, camera)
    if curve is None:
        others = [other for other in CAMERAS if other != camera and _of_camera(name, other)]
        raise UserError(
            f"no installed package has the curve of {camera} {name}: "
            + (f"there is one of {' and of '.join(others)}, " if others else "")
            + 'pip install "galsim" (F435W, F606W, F775W, F814W and F850LP of ACS/WFC) or "mpdaf", or give a '
            f"file of two columns (--curve {name}=FILE)."
        )
    return curve


def camera_in_header(header):
    """
    Return the camera of an HST image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Of the image.

    Returns
    -------
    str
        One of `CAMERAS`; ACS/WFC, that of most mosaics, where the header does not tell.

    Examples
    --------
    >>> from astropy_imphot.calibration.curves import camera_in_header
    >>> camera_in_header({"INSTRUME": "WFC3", "DETECTOR": "UVIS"}), camera_in_header({"INSTRUME": "WFPC2"})
    ('WFC3/UVIS', 'WFPC2')
    """
    instrument, detector = (str(header.get(key, "")).strip().upper() for key in ("INSTRUME", "DETECTOR"))
    names = (f"{instrument}/{detector}", instrument)
    return next((name for name in names if name in CAMERAS), "ACS/WFC")


def _of_camera(name, camera):
    galsim, mpdaf = CAMERAS[camera]
    return (galsim and _in_galsim(f"{galsim}{name}")) or (mpdaf and _in_mpdaf(f"{mpdaf}{name}")) or None


def _in_galsim(stem):
    path = _installed_file("galsim", "share", "bandpasses", f"{stem}.dat")
    if path is None:
        return None
    # The files' wavelengths are in nm.
    wavelength, sensitivity = np.loadtxt(path, usecols=(0, 1), unpack=True)
    return wavelength * 10, sensitivity, _source("galsim", path.name)


def _in_mpdaf(extension):
    path = _installed_file("mpdaf", "obj", "filters", "filter_list.fits")
    if path is None:
        return None
    with fits.open(path) as hdus:
        if extension not in hdus:
            return None
        table = hdus[extension].data
        wavelength, sensitivity = (np.array(table[key], dtype=float) for key in ("lambda", "throughput"))
    return wavelength, sensitivity, _source("mpdaf", f"{path.name} {extension}")


def _installed_file(package, *parts):
    # The package itself, which may take seconds to import, is not.
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    return None


def _source(package, name):
    from importlib import metadata

    try:
        return f"{package} {metadata.version(package)} {name}"
    except metadata.PackageNotFoundError:
        return f"{package} {name}"
