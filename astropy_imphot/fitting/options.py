"""The options of a fit, from the keywords of the fitting functions."""

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType

import astropy.units as u
import numpy as np

from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.io.aliases import accepts_reference
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.quantities import to_value
from astropy_imphot.masking.places import sky_places
from astropy_imphot.masking.stars import star_circle
from astropy_imphot.models.convolved_template import moffat_of_hst
from astropy_imphot.parameters import model_parameters
from astropy_imphot.psf.fourier import check_window
from astropy_imphot.psf.images import HstPsf, read_hst_psf
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import PsfShape
from astropy_imphot.reference.reading import HST_PSF, default_psf

__all__ = ["ImageFitOptions", "StarFitOptions", "takes_options"]

# Larger margins and offsets are errors: the MUSE field is 60 arcsec wide.
MOST_MARGIN = 60.0

# Limits of the background's modes: their number along each axis, and their period in arcsec.
MOST_MODES = 20
SHORTEST_PERIOD = 5.0

# Options that are places on the sky.
PLACES = ("point_sources", "not_point_sources")

# Options that are lengths on the sky, with their units.
LENGTHS = {
    "hst_fwhm": u.arcsec,
    "hst_psf_scale": u.arcsec,
    "margin": u.arcsec,
    "init_dx": u.arcsec,
    "init_dy": u.arcsec,
    "min_scale": u.dimensionless_unscaled,
    "hst_beta": u.dimensionless_unscaled,
    "taper": u.pix,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class StarFitOptions:
    """
    The options of `~astropy_imphot.fit_star_photometry`, with the same meaning and units.

    Attributes
    ----------
    regions, segment, extramask, taper, fitter
        As the function's.
    fixed : dict of str to float
        The values of the parameters that are held, from the keywords ``fix_scale`` and the like.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF (default: a Moffat function).

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy_imphot.fitting.options import StarFitOptions
    >>> StarFitOptions.from_keywords("fit", {"fix_beta": 2.5, "fix_dx": 100 * u.mas}).fixed["dx"]
    0.1
    """

    regions: object = None
    segment: bool = False
    extramask: object = None
    fixed: Mapping = field(default_factory=dict)
    taper: float = 0.0
    fitter: object = None

    psf: PsfShape = MOFFAT

    def __post_init__(self):
        self._set("fixed", MappingProxyType(_fixed_values(self.fixed, self.psf)))
        for key in {one.name for one in fields(self)} & set(LENGTHS):
            self._set(key, _plain(to_value(getattr(self, key), LENGTHS[key], key)))
        if not self.taper >= 0:
            raise UserError(f"taper is {self.taper}: give 0 or more pixels.")

    def _set(self, key, value):
        object.__setattr__(self, key, value)

    def __reduce__(self):
        # MappingProxyType cannot be pickled.
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return _rebuilt, (type(self), values | {"fixed": dict(self.fixed)})

    @classmethod
    def from_keywords(cls, function, keywords):
        """
        Return the options from the keywords of a function.

        Parameters
        ----------
        function : str
            The function's name, for error messages.
        keywords : dict
            The keywords, with fix_NAME for each parameter that can be held.

        Returns
        -------
        StarFitOptions or ImageFitOptions
            The options.

        Raises
        ------
        TypeError
            If there is no such keyword.
        UserError
            If a value is impossible.

        Examples
        --------
        See `StarFitOptions`.
        """
        names = {one.name for one in fields(cls)} - {"fixed"}
        holdable = _holdable(keywords.get("psf", MOFFAT))
        unknown = [key for key in keywords if key not in names and key not in holdable]
        if unknown:
            raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
        fixed = {name: keywords[key] for key, name in holdable.items() if keywords.get(key) is not None}
        return cls(fixed=fixed, **{key: value for key, value in keywords.items() if key in names})

    @classmethod
    def keywords(cls):
        """
        Return the keywords of functions that take the options.

        Returns
        -------
        dict of str to object
            Their names and defaults.

        Examples
        --------
        >>> from astropy_imphot.fitting.options import ImageFitOptions
        >>> [ImageFitOptions.keywords()[key] for key in ("margin", "fix_beta", "hst_beta")]
        [3.0, None, None]
        """
        found = {}
        for one in fields(cls):
            if one.name == "fixed":
                found |= dict.fromkeys(_holdable(MOFFAT))
            else:
                found[one.name] = one.default
        return found

    def as_keywords(self):
        """
        Return the keywords that give these options.

        Returns
        -------
        dict of str to object
            All keywords, also those with default values.

        Examples
        --------
        >>> from astropy_imphot.fitting.options import StarFitOptions
        >>> StarFitOptions(fixed={"beta": 2.5}).as_keywords()["fix_beta"]
        2.5
        """
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "fixed"}
        return found | {key: self.fixed.get(name) for key, name in _holdable(self.psf).items()}

    @property
    def files(self):
        """The files among the options: a dict of str to path."""
        return {
            key: value
            for key in ("regions", "extramask", "hst_psf", *PLACES)
            if isinstance(value := getattr(self, key, None), str | Path)
            and str(value) not in ("star", "notstar")
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageFitOptions(StarFitOptions):
    """
    The options of `~astropy_imphot.fit_image_photometry`, with the same meaning and units.

    Attributes
    ----------
    regions, segment, extramask, taper, fitter, fixed
        As for `StarFitOptions`.
    psf, star, hst_fwhm, hst_beta, hst_psf, hst_psf_scale, hst_window, margin, init_dx, init_dy, min_scale, \
free, background, repair, point_sources, not_point_sources, keep_changed
        As the function's.

    Examples
    --------
    >>> from astropy_imphot.fitting.options import ImageFitOptions
    >>> options = ImageFitOptions.from_keywords("fit", {"free": "rotation", "fix_beta": 2.5})
    >>> options.free, options.for_star().fixed["beta"]
    (('rotation',), 2.5)
    """

    star: tuple | None = None
    hst_fwhm: float | None = None
    hst_beta: float | None = None
    hst_psf: object = None
    hst_psf_scale: float | None = None
    hst_window: str | None = None
    margin: float = 3.0
    init_dx: float | None = None
    init_dy: float | None = None
    min_scale: float | None = None
    free: tuple = ()
    background: object = "auto"
    repair: bool = True
    point_sources: object = None
    not_point_sources: object = None
    keep_changed: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._set("free", _free_names(self.free, self.psf))
        self._set("background", _background(self.background))
        for key in PLACES:
            if not isinstance(value := getattr(self, key), str | Path):
                self._set(key, sky_places(value, key) or None)
        if self.star is not None:
            self._set("star", star_circle(self.star))
        offsets = {f"init_{key}": getattr(self, f"init_{key}") for key in ("dx", "dy")}
        offsets |= {f"fix_{key}": self.fixed.get(key) for key in ("dx", "dy")}
        for key, value in offsets.items():
            if value is not None and not abs(value) <= MOST_MARGIN:
                raise UserError(f"{key} is {value}: give at most {MOST_MARGIN:g} arcsec.")
        if self.min_scale is not None and not np.isfinite(self.min_scale):
            raise UserError(f"min_scale is {self.min_scale}: give a finite number.")
        if self.hst_psf is None:
            moffat_of_hst(*self._psf_numbers(HST_PSF))
        if self.hst_window is not None:
            check_window(self.hst_window)
        if not 0 <= self.margin <= MOST_MARGIN:
            raise UserError(f"margin is {self.margin}: give 0 to {MOST_MARGIN:g} arcsec.")

    def _psf_numbers(self, default):
        given = (self.hst_fwhm, self.hst_beta)
        return tuple(two if one is None else one for one, two in zip(given, default, strict=True))

    def for_reference(self, reference):
        """
        Return the options of fits to a reference image.

        Parameters
        ----------
        reference : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `~astropy_imphot.HstTemplate` or \
`~astropy_imphot.Reference`
            The image, of which the header is read.

        Returns
        -------
        ImageFitOptions
            With ``hst_fwhm`` and ``hst_beta`` of the image's camera where they are None.

        Raises
        ------
        UserError
            If the image cannot be read.

        Examples
        --------
        >>> from astropy_imphot.fitting.options import ImageFitOptions
        >>> from astropy_imphot.simulation import example_field
        >>> options = ImageFitOptions(hst_beta=2.0).for_reference(example_field().hst)
        >>> options.hst_fwhm, options.hst_beta
        (0.085, 2.0)
        """
        if self.hst_psf is not None or None not in (self.hst_fwhm, self.hst_beta):
            return self
        fwhm, beta = self._psf_numbers(default_psf(reference))
        return replace(self, hst_fwhm=fwhm, hst_beta=beta)

    def for_star(self):
        """
        Return the options of a fit of a star.

        Returns
        -------
        StarFitOptions
            Those of these options that it takes.

        Examples
        --------
        See `ImageFitOptions`.
        """
        return StarFitOptions(**{one.name: getattr(self, one.name) for one in fields(StarFitOptions)})

    def portable(self):
        """
        Return options that are valid in another working directory.

        Returns
        -------
        ImageFitOptions
            With absolute paths, and with the PSF of the HST image, if it is in a file, as an array.

        Raises
        ------
        UserError
            If the PSF cannot be read.

        Examples
        --------
        >>> from pathlib import Path
        >>> from astropy_imphot.fitting.options import ImageFitOptions
        >>> Path(ImageFitOptions(extramask="mask.fits").portable().extramask).is_absolute()
        True
        """
        loaded = self.loaded()
        return replace(loaded, **{key: os.path.abspath(path) for key, path in loaded.files.items()})

    def loaded(self):
        """
        Return the options with the PSF of the HST image, and places, read from their files.

        Returns
        -------
        ImageFitOptions
            Itself if there are no such files.

        Raises
        ------
        UserError
            If one cannot be read.

        Examples
        --------
        >>> from astropy_imphot.fitting.options import ImageFitOptions
        >>> ImageFitOptions().loaded().hst_psf is None
        True
        """
        read = {
            key: sky_places(value, key)
            for key in PLACES
            if isinstance(value := getattr(self, key), str | Path)
        }
        if self.hst_psf is not None and not isinstance(self.hst_psf, HstPsf):
            read["hst_psf"] = read_hst_psf(self.hst_psf, self.hst_psf_scale)
        return replace(self, **read) if read else self

    @property
    def reference_psf(self):
        """The PSF of the HST image: `~astropy_imphot.psf.shape.CircularPsf` or `HstPsf`."""
        return moffat_of_hst(*self._psf_numbers(HST_PSF)) if self.hst_psf is None else self.hst_psf

    @property
    def preparation(self):
        """What is done with the HST image at its own pixels: keywords of `~astropy_imphot.make_template`."""
        return {
            "psf": self.reference_psf,
            "repair": self.repair,
            "point_sources": self.point_sources,
            "not_point_sources": self.not_point_sources,
        }


def takes_options(kind):
    """
    Return a decorator that adds the keywords of options to a signature, for ``help`` and completion.

    Keywords with ``reference`` in the place of ``hst`` are accepted, too.

    Parameters
    ----------
    kind : type
        `StarFitOptions` or `ImageFitOptions`.

    Returns
    -------
    callable
        A decorator of functions that take ``**keywords``.

    Examples
    --------
    >>> import inspect
    >>> from astropy_imphot import fit_image_photometry
    >>> inspect.signature(fit_image_photometry).parameters["margin"]
    <Parameter "margin=3.0">
    """

    def decorate(function):
        signature = inspect.signature(function)
        parameters = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        taken = {one.name for one in parameters}
        parameters += [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default)
            for key, default in kind.keywords().items()
            if key not in taken
        ]
        # The function's own keywords are the last, as in its docstring.
        function.__signature__ = signature.replace(parameters=sorted(parameters, key=lambda one: one.kind))
        return accepts_reference(function)

    return decorate


def _rebuilt(kind, values):
    return kind(**values)


def _plain(value):
    # An option that is given as 0 is the same as one that is given as 0.0, also in records of runs.
    return None if value is None else float(value)


def _holdable(psf):
    """Return the names of the parameters that can be held, by their keywords."""
    return {f"fix_{name}": name for name, info in model_parameters(psf).items() if not info.on_demand}


def _fixed_values(fixed, psf):
    """Return the values of the parameters that are held, checked."""
    infos = model_parameters(psf)
    values = {}
    for name, value in fixed.items():
        info = infos[name]
        low, high = info.valid
        value = _plain(to_value(value, info.unit_for(PIPELINE_UNIT), f"fix_{name}"))
        if not (low < value <= high and np.isfinite(value)):
            raise UserError(f"fix_{name} is {value}: give {_wanted(info)}.")
        values[name] = value
    if len(values) == len(_holdable(psf)):
        raise UserError("all parameters are fixed: leave at least one free.")
    return values


def _wanted(info):
    low, high = info.valid
    if np.isinf(low):
        return "a finite number"
    limits = f"above {low:g}" if np.isinf(high) else f"above {low:g} and up to {high:g}"
    return f"{info.unit or 'a number'} {limits}"


def _background(background):
    """Return "auto", "constant", a number of modes along each axis, or their shortest period in arcsec."""
    if background in ("auto", "constant"):
        return background
    if isinstance(background, (u.Quantity, float)):
        period = to_value(background, u.arcsec, "background")
        if not SHORTEST_PERIOD <= period < np.inf:
            raise UserError(
                f"background has modes of {period} arcsec: give {SHORTEST_PERIOD:g} arcsec or more."
            )
        return float(period)
    if not (isinstance(background, int) and 0 <= background <= MOST_MODES):
        raise UserError(
            f"background is {background!r}: give 'auto', 'constant', a number of modes along each axis (0 to "
            f"{MOST_MODES}), or their shortest period with its unit."
        )
    return background


def _free_names(free, psf):
    free = (free,) if isinstance(free, str) else tuple(free or ())
    choice = [
        name for name, info in model_parameters(psf).items() if info.on_demand or info.prior is not None
    ]
    for name in free:
        if name not in choice:
            raise UserError(f"free has {name!r}: choose from {', '.join(choice)}.")
    return free
