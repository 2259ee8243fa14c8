"""Filter curves in the data files of the package, and in speclite where it is installed."""

from pathlib import Path

import numpy as np

from astropy_imphot.calibration.filters import is_acs_wfc
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.reference_kinds import kind_of

__all__ = ["available_curves", "camera_in_header", "named_curve"]

# One file for each curve, CAMERA_FILTER.ecsv in small letters; a slash in the camera's name is written as _.
FOLDER = Path(__file__).with_name("data") / "curves"

# The camera of most HST mosaics.
COMMON_CAMERA = "ACS/WFC"

# Groups of speclite whose curves are energy responses; speclite itself takes all for photon responses. The
# passbands of Bessell (1990, PASP 102, 1181) are to be multiplied by fluxes per wavelength: Bessell, Castelli
# & Plez 1998, A&A 333, 231, appendix E.
ENERGY_GROUPS = ("bessell",)


def available_curves():
    """
    Return the filters that have a curve in the package.

    Returns
    -------
    dict of str to dict of str to path
        The files by the names of the filters, by the names of the cameras, in capitals.

    Examples
    --------
    >>> from astropy_imphot.calibration.curves import available_curves
    >>> list(available_curves()["WFPC2"])
    ['F555W', 'F606W', 'F675W', 'F814W']
    """
    curves = {}
    for path in sorted(FOLDER.glob("*.ecsv")):
        camera, _, name = path.stem.upper().rpartition("_")
        curves.setdefault(camera.replace("_", "/"), {})[name] = path
    return curves


def named_curve(name, camera=None):
    """
    Read a filter curve from the package's data files or, by speclite's name of it, from speclite.

    Parameters
    ----------
    name : str
        The filter, such as ``"F775W"``, or speclite's name of it, such as ``"decam2014-r"``.
    camera : str, optional
        ``"ACS/WFC"``, ``"WFC3/UVIS"``, ``"WFC3/IR"``, ``"WFPC2"``, ``"NIRCAM"`` or ``"VIS"``. By default
        (None) it is ACS/WFC, or the only camera with this filter. It is ignored for speclite's names.

    Returns
    -------
    wavelength, sensitivity : arrays of shape (n,)
        Wavelengths in Angstrom, and sensitivities.
    source : str
        The package that the numbers are from, its version and the curve's name in it.
    response : str
        ``"photon"`` if the sensitivities are detected electrons per photon, ``"energy"`` if they are signal
        per energy.

    Raises
    ------
    UserError
        If there is no such camera or filter, or it is one of speclite's and speclite is not installed.

    Examples
    --------
    >>> from astropy_imphot.calibration.curves import named_curve
    >>> wavelength, sensitivity, source, response = named_curve("F850LP")
    >>> round(float(wavelength[sensitivity > 0.1].min())), source.split()[-1], response
    (8291, 'ACS_wfc_F850LP.dat', 'photon')
    """
    if "-" in name:
        return _from_speclite(name.strip())
    name = name.strip().upper()
    available = available_curves()
    if camera is None:
        cameras = [one for one, curves in available.items() if name in curves]
        camera = cameras[0] if len(cameras) == 1 else COMMON_CAMERA
    camera = camera.strip().upper()
    if camera not in available:
        raise UserError(f"there are no filter curves of the camera {camera}: choose {', '.join(available)}.")
    if name not in available[camera]:
        others = [other for other, curves in available.items() if name in curves]
        raise UserError(
            f"there is no curve of {camera} {name}, only of {', '.join(available[camera])}"
            + (f" (and {name} of {' and '.join(others)})" if others else "")
            + f": give a file of two columns, wavelength and sensitivity (--curve {name}=FILE), or a name of "
            'speclite\'s (pip install "speclite"), such as decam2014-r.'
        )
    return _from_file(available[camera][name])


def camera_in_header(header):
    """
    Return the camera of an image.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Of the image.

    Returns
    -------
    str
        INSTRUME/DETECTOR or INSTRUME, whichever has curves, or else that of
        ``astropy_imphot.io.reference_kinds.KINDS``; if there is no INSTRUME, DETECTOR or TELESCOP of another
        camera, or else ACS/WFC, the camera of most mosaics.

    Warns
    -----
    ImphotWarning
        If there is no INSTRUME, and ACS/WFC is assumed.

    Examples
    --------
    >>> from astropy_imphot.calibration.curves import camera_in_header
    >>> camera_in_header({"INSTRUME": "WFC3", "DETECTOR": "UVIS"}), camera_in_header({"INSTRUME": "WFPC2"})
    ('WFC3/UVIS', 'WFPC2')
    """
    instrument, detector, telescope = (
        str(header.get(key, "")).strip().upper() for key in ("INSTRUME", "DETECTOR", "TELESCOP")
    )
    available = available_curves()
    known = next((one for one in (f"{instrument}/{detector}", instrument) if one in available), "")
    camera = known or kind_of(header).camera or instrument
    if camera:
        return camera
    if not is_acs_wfc(header):
        return detector or telescope
    warn(
        f"the header has no INSTRUME: the curve of {COMMON_CAMERA} is used; of another camera, give the "
        "curve (--curve)."
    )
    return COMMON_CAMERA


def _from_file(path):
    from astropy.table import Table

    table = Table.read(path, format="ascii.ecsv")
    wavelength = table["wavelength"].quantity.to_value("Angstrom")
    sensitivity = np.array(table["sensitivity"], dtype=float)
    return wavelength, sensitivity, table.meta["source"], table.meta.get("response", "photon")


def _from_speclite(name):
    from importlib import metadata

    try:
        from speclite.filters import load_filter
    except ImportError as error:
        raise UserError(
            f'the curve {name} is one of speclite\'s: pip install "speclite", or give a file of two columns.'
        ) from error
    try:
        curve = load_filter(name)
    except ValueError as error:
        raise UserError(f"speclite has no curve {name}: {str(error).rstrip('.')}.") from error
    response = "energy" if name.split("-")[0] in ENERGY_GROUPS else "photon"
    return curve.wavelength, curve.response, f"speclite {metadata.version('speclite')} {name}", response
