"""Whether the flux scale and the filters of the two images of a fit can be right."""

import numpy as np

from astropy_imphot.calibration.filters import filter_in_header, positive_number
from astropy_imphot.calibration.zero_points import pivot_in_header
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.results.flags import FitFlags, combined, is_plausible_scale

__all__ = ["implausible"]

# Pivot wavelengths that differ by more than this fraction are of different filters (F775W and F814W: 4.6 %),
# and those that differ by less than the second one of the same, whatever their names. The end of a filter
# beyond the cube changes it as well (F850LP: 3.2 %).
DIFFERENT = 0.04
SAME = 0.01

# The keyword of images of the MUSE pipeline.
ESO_FILTER = "ESO DRS MUSE FILTER NAME"


def implausible(scale, muse, reference):
    """
    Return the flags of a scale that is far from 1, and of filters that differ.

    Parameters
    ----------
    scale : float
        The flux scale, MUSE/HST.
    muse : `~astropy.io.fits.Header` or dict
        Header of the MUSE image. The filter is FILTER or that of the MUSE pipeline, and FILTPIV (Angstrom)
        its pivot wavelength.
    reference : `~astropy.io.fits.Header` or dict
        That of the HST image, with the keywords of its camera.

    Returns
    -------
    `~astropy_imphot.FitFlags`
        SCALE and BANDPASS, those that are raised. What is not in the headers is not compared.

    Warns
    -----
    ImphotWarning
        If the filters differ.

    Examples
    --------
    >>> import warnings
    >>> from astropy_imphot.fitting.plausible import implausible
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     hst = {"INSTRUME": "ACS", "FILTER": "F606W"}
    ...     flags = implausible(0.98, {"ESO DRS MUSE FILTER NAME": "white"}, hst)
    >>> flags.name
    'BANDPASS'
    >>> print(caught[0].message)
    the filter of the MUSE image is white, and that of the HST image F606W at 5921 Angstrom: check the filter.
    """
    filters = _filter_of_muse(muse), _filter_of_reference(reference)
    differ = _differ(*filters)
    if differ:
        one, other = (_words(*given) for given in filters)
        warn(f"the filter of the MUSE image is {one}, and that of the HST image {other}: check the filter.")
    return combined({FitFlags.SCALE: not is_plausible_scale(scale), FitFlags.BANDPASS: differ})


def _filter_of_muse(header):
    name = filter_in_header(header) or str(header.get(ESO_FILTER, "")).strip()
    return name, positive_number(header.get("FILTPIV"))


def _filter_of_reference(header):
    try:
        pivot = pivot_in_header(header)
    except UserError:
        pivot = np.nan
    return filter_in_header(header), pivot


def _differ(one, other):
    """Return whether two filters differ, each a name, or "", and a pivot wavelength, or NaN."""
    (name, pivot), (other_name, other_pivot) = one, other
    ratio = abs(np.log(pivot / other_pivot))
    if ratio > DIFFERENT or ratio < SAME:
        return bool(ratio > DIFFERENT)
    # Names of curves can have that of the camera.
    names = name.upper(), other_name.upper()
    return all(names) and names[0] not in names[1] and names[1] not in names[0]


def _words(name, pivot):
    return " at ".join([name or "unnamed"] + [f"{pivot:.0f} Angstrom"] * bool(np.isfinite(pivot)))
