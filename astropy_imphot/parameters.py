"""The table of parameters: name, unit, limits and effect of each parameter of a model."""

from collections.abc import Callable
from dataclasses import dataclass

import astropy.units as u
import numpy as np

__all__ = ["DERIVED", "PARAMETERS", "ParameterInfo", "all_parameters", "model_parameters"]

# In units: the unit of the image.
FLUX = "flux"

KINDS = ("scale", "psf", "background", "shift", "rotation", "ellipticity", "sky", "star")


@dataclass(frozen=True, kw_only=True)
class ParameterInfo:
    """
    The properties of a parameter of a fit.

    Parameters
    ----------
    name : str
        The parameter's name.
    words : str
        Its description.
    kind : {"scale", "psf", "background", "shift", "rotation", "ellipticity", "sky", "star"}
        Its effect on the model: flux scale of the reference image; parameter of the PSF; term of the
        background; offset along an axis; rotation about the image's center; ellipticity of the PSF. Values
        of the kind ``sky`` follow from other parameters, and those of the kind ``star`` are of a star in a
        single image. The kind determines the effect of the reference image's noise on the parameter, and
        whether the parameter is common to all filters of an exposure.
    unit : str
        Its unit as text for `astropy.units`, with ``flux`` for the unit of the image (default: none).
    default : float
        Its value at the start of a fit, and if it is not fitted (default: 0).
    bounds : (float or None, float or None)
        The limits in a fit (default: none).
    valid : (float, float)
        The range of values at which it can be held: above the first, and at most the second (default: all).
    pixel : float, optional
        In images of smaller pixels than this, arcsec, the default and the lower limit are proportional to the
        size of the pixels. By default (None) they do not depend on it.
    on_demand : bool
        Whether it is fitted only if it is in ``free`` (default: False).
    prior : float, optional
        Its expected size, for a parameter that is 0 in most images. By default (None) nothing is expected.
    style : str, optional
        Its format in the summary. By default (None) it is not part of the summary.
    step : float
        The change up to which its effect on the model is linear (default: 0).
    large_error : float, optional
        Errors above this are flagged. By default (None) none are.
    relative : bool
        Whether ``large_error`` is a fraction of the value (default: False).
    degenerate_error : float, optional
        For a parameter of the PSF: errors above this fraction of its value are flagged as a degeneracy if
        another parameter of the PSF is fitted as well. By default (None) none are.
    basis : callable, optional
        For a term of the background: its shape, a function of the distances from the image's center along x
        and y in arcsec. By default (None) it is not a term of the background.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.parameters import PARAMETERS
    >>> PARAMETERS["bg_x"].words
    'slope of the background along x'
    >>> PARAMETERS["bg_x"].unit_for(u.ct)
    Unit("ct / arcsec")
    """

    name: str
    words: str
    kind: str
    unit: str = ""
    default: float = 0.0
    bounds: tuple = (None, None)
    valid: tuple = (-np.inf, np.inf)
    pixel: float | None = None
    on_demand: bool = False
    prior: float | None = None
    style: str | None = None
    step: float = 0.0
    large_error: float | None = None
    relative: bool = False
    degenerate_error: float | None = None
    basis: Callable | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"{self.name} is of the kind {self.kind!r}: choose from {', '.join(KINDS)}.")
        if (self.kind == "background") != (self.basis is not None):
            raise ValueError(f"{self.name}: give a basis to terms of the background, and only to these.")

    def default_for(self, pixel_scale):
        """
        Return the value at the start of a fit.

        Parameters
        ----------
        pixel_scale : (float, float)
            Height and width of a pixel of the image, arcsec.

        Returns
        -------
        float
            The default; a smaller one in small pixels.

        Examples
        --------
        >>> from astropy_imphot.psf.moffat import MOFFAT
        >>> fwhm = MOFFAT.parameters[0]
        >>> round(fwhm.default_for((0.2, 0.2)), 4), round(fwhm.default_for((0.025, 0.025)), 4)
        (0.7, 0.0875)
        """
        return self.default * self._shrinking(pixel_scale)

    def bounds_for(self, pixel_scale):
        """
        Return the limits in a fit.

        Parameters
        ----------
        pixel_scale : (float, float)
            Height and width of a pixel of the image, arcsec.

        Returns
        -------
        (float or None, float or None)
            The bounds; the lower one is smaller in small pixels.

        Examples
        --------
        >>> from astropy_imphot.psf.moffat import MOFFAT
        >>> MOFFAT.parameters[0].bounds_for((0.025, 0.025))
        (0.0125, 5.0)
        """
        low, high = self.bounds
        return None if low is None else low * self._shrinking(pixel_scale), high

    def _shrinking(self, pixel_scale):
        return 1.0 if self.pixel is None else min(1.0, min(pixel_scale) / self.pixel)

    def unit_for(self, flux_unit):
        """
        Return the parameter's unit.

        Parameters
        ----------
        flux_unit : `~astropy.units.UnitBase`
            The unit of the image.

        Returns
        -------
        `~astropy.units.UnitBase`
            The unit; dimensionless for a parameter without a unit.

        Examples
        --------
        See `ParameterInfo`.
        """
        if self.unit.startswith(FLUX):
            rest = self.unit.removeprefix(FLUX)
            return u.Unit(flux_unit) * u.Unit(f"1{rest}") if rest else u.Unit(flux_unit)
        return u.Unit(self.unit)


def _constant(x, y):
    return np.ones(np.broadcast_shapes(np.shape(x), np.shape(y)))


def _along_x(x, y):
    return np.broadcast_arrays(x, y)[0]


def _along_y(x, y):
    return np.broadcast_arrays(x, y)[1]


def _by_name(*rows):
    return {row.name: row for row in rows}


# The parameters of the model of an image, except those of the PSF, which are in the PSF's shape.
PARAMETERS = _by_name(
    ParameterInfo(
        name="scale",
        words="flux scale, MUSE/HST",
        kind="scale",
        default=1.0,
        valid=(0, np.inf),
        style="8.4f",
        large_error=0.03,
        relative=True,
    ),
    ParameterInfo(
        name="bg",
        words="background, MUSE - HST",
        kind="background",
        unit=FLUX,
        style="10.5g",
        basis=_constant,
    ),
    ParameterInfo(
        name="dx",
        words="offset along x, MUSE - HST",
        kind="shift",
        unit="arcsec",
        style="8.4f",
        large_error=0.01,
    ),
    ParameterInfo(
        name="dy",
        words="offset along y, MUSE - HST",
        kind="shift",
        unit="arcsec",
        style="8.4f",
        large_error=0.01,
    ),
    ParameterInfo(
        name="bg_x",
        words="slope of the background along x",
        kind="background",
        unit=f"{FLUX} / arcsec",
        on_demand=True,
        basis=_along_x,
    ),
    ParameterInfo(
        name="bg_y",
        words="slope of the background along y",
        kind="background",
        unit=f"{FLUX} / arcsec",
        on_demand=True,
        basis=_along_y,
    ),
    ParameterInfo(
        name="rotation",
        words="rotation from x towards y",
        kind="rotation",
        unit="deg",
        prior=0.03,
        step=0.02,
    ),
    ParameterInfo(
        name="e1",
        words="ellipticity of the MUSE PSF along x",
        kind="ellipticity",
        bounds=(-0.7, 0.7),
        prior=0.02,
        step=0.02,
    ),
    ParameterInfo(
        name="e2",
        words="ellipticity of the MUSE PSF along x = y",
        kind="ellipticity",
        bounds=(-0.7, 0.7),
        prior=0.02,
        step=0.02,
    ),
)

# Values that follow from the parameters.
DERIVED = _by_name(
    ParameterInfo(
        name="dra",
        words="offset in right ascension, MUSE - HST",
        kind="sky",
        unit="arcsec",
        style="8.4f",
    ),
    ParameterInfo(
        name="ddec", words="offset in declination, MUSE - HST", kind="sky", unit="arcsec", style="8.4f"
    ),
)


def model_parameters(psf):
    """
    Return the parameters of a model, in its order.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF.

    Returns
    -------
    dict of str to ParameterInfo
        The parameters of all fits, then those of the PSF, then those that are fitted on demand or are small.

    Examples
    --------
    >>> from astropy_imphot.parameters import model_parameters
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> list(model_parameters(MOFFAT))
    ['scale', 'bg', 'dx', 'dy', 'fwhm', 'beta', 'bg_x', 'bg_y', 'rotation', 'e1', 'e2']
    """
    rows = PARAMETERS.values()
    always = [row for row in rows if not row.on_demand and row.prior is None]
    return _by_name(*always, *psf.parameters, *(row for row in rows if row not in always))


def all_parameters(psf):
    """
    Return the parameters of a model, and the values that follow from them, for tables and reports.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF.

    Returns
    -------
    dict of str to ParameterInfo
        As from `model_parameters`, and then dra and ddec.

    Examples
    --------
    >>> from astropy_imphot.parameters import all_parameters
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> [name for name, info in all_parameters(MOFFAT).items() if info.kind == "sky"]
    ['dra', 'ddec']
    """
    return model_parameters(psf) | DERIVED
