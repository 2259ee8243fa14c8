"""Point sources: a model for astropy.modeling, and those of a template."""

from dataclasses import dataclass, fields, replace
from functools import cache

import astropy.units as u
import numpy as np
from astropy.modeling import Fittable2DModel, Parameter

from astropy_imphot.io.quantities import to_value
from astropy_imphot.io.representation import Representation
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import LOG_RADIUS

__all__ = ["PointSource2D", "PointSources", "SourceStamps", "point_source_model", "psf_terms"]

# The term of a PSF that each derivative of a source is a multiple of.
PSF_KEYS = {"scale": None, "ratio": None, "motion_x": "dx", "motion_y": "dy"}


def psf_terms(psf, right, up, values, e1=0.0, e2=0.0, keys=(None,)):
    """
    Return a PSF of unit flux, and its derivatives.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape.
    right, up : arrays of one shape
        Distances from the center along x and y, arcsec.
    values : dict of str to float
        The parameters of the shape.
    e1, e2 : float
        Ellipticity, as for `~astropy_imphot.psf.fourier.elliptical_radius` (default: 0).
    keys : sequence of str or None
        The derivatives: None for the PSF itself (the default), a parameter of the shape, e1 or e2; dx or dy
        for a shift of the source along x or y.

    Returns
    -------
    dict of str to array
        Per square arcsec, per unit of the parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.models.point_source import psf_terms
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> up, right = 0.2 * np.mgrid[-40:41, -40:41]
    >>> terms = psf_terms(MOFFAT, right, up, {"fwhm": 0.7, "beta": 2.5}, e1=0.1, keys=(None, "dx"))
    >>> round(float(terms[None].sum() * 0.04), 2), bool(terms["dx"][40, 42] > 0)
    (1.0, True)
    """
    norm = np.sqrt(1 - e1**2 - e2**2)
    square = ((1 - e1) * right**2 - 2 * e2 * right * up + (1 + e1) * up**2) / norm
    radius = np.sqrt(square)
    found = {}
    if not {"dx", "dy", "e1", "e2"}.isdisjoint(keys):
        # The derivative with respect to the squared radius, finite at the center.
        by_square = psf.profile_derivative(radius, LOG_RADIUS, **values) / (2 * np.maximum(square, 1e-12))
    for key in keys:
        if key is None:
            found[key] = psf.profile(radius, **values)
        elif key == "dx":
            found[key] = by_square * (-2 * (1 - e1) * right + 2 * e2 * up) / norm
        elif key == "dy":
            found[key] = by_square * (-2 * (1 + e1) * up + 2 * e2 * right) / norm
        elif key == "e1":
            found[key] = by_square * ((up**2 - right**2) / norm + square * e1 / norm**2)
        elif key == "e2":
            found[key] = by_square * (-2 * right * up / norm + square * e2 / norm**2)
        else:
            found[key] = psf.profile_derivative(radius, key, **values)
    return found


class PointSourceModel(Fittable2DModel):
    """A point source with a PSF of any shape; the base class of `PointSource2D`."""

    psf = None

    def __init__(self, *, pixel_scale=0.2, **kwargs):
        scale = np.broadcast_to(to_value(pixel_scale, u.arcsec, "pixel_scale"), 2)
        limits = {row.name: row.bounds_for(scale) for row in self.psf.parameters}
        super().__init__(bounds=limits | kwargs.pop("bounds", {}), **kwargs)
        self.pixel_scale = tuple(float(one) for one in scale)

    def __reduce__(self):
        # The classes for other shapes of the PSF are not in a module, where pickle could find them.
        return _empty_source, (self.psf,), self.__dict__

    def evaluate(self, x, y, *parameters):
        """
        Return the model's values.

        Parameters
        ----------
        x, y : float or arrays of one shape
            Pixel coordinates.
        *parameters : float
            In the order of ``param_names``.

        Returns
        -------
        float or array of the shape of x and y
            Flux per pixel.

        Examples
        --------
        See `PointSource2D`.
        """
        flux = parameters[0]
        light = self._terms(x, y, parameters, ("flux",))["flux"]
        if isinstance(flux, u.Quantity):
            return u.Quantity(light * flux.value, flux.unit)
        return light * flux

    def fit_deriv(self, x, y, *parameters):
        """
        Return the derivatives with respect to all parameters, for fitters.

        Parameters
        ----------
        x, y : float or arrays of one shape
            Pixel coordinates.
        *parameters : float
            In the order of ``param_names``.

        Returns
        -------
        list of arrays of the shape of x and y
            The derivatives in the order of the parameters.

        Examples
        --------
        See `PointSource2D`.
        """
        terms = self._terms(x, y, parameters, self.param_names)
        return [term if key == "flux" else parameters[0] * term for key, term in terms.items()]

    def _terms(self, x, y, parameters, keys):
        """Return the derivatives for a flux of 1."""
        values = {
            name: float(np.squeeze(to_value(one, self._unit_of(name, one), name)))
            for name, one in zip(self.param_names, parameters, strict=True)
        }
        height, width = self.pixel_scale
        x, y = to_value(x, u.pix, "x"), to_value(y, u.pix, "y")
        right, up = (np.asarray(x) - values["x_0"]) * width, (np.asarray(y) - values["y_0"]) * height
        shape = {name: values[name] for name in self.psf.names}
        names = {"flux": (None, 1.0), "x_0": ("dx", width), "y_0": ("dy", height)}
        wanted = {key: names.get(key, (key, 1.0)) for key in keys}
        terms = psf_terms(
            self.psf, right, up, shape, values["e1"], values["e2"], tuple(name for name, _ in wanted.values())
        )
        return {key: terms[name] * factor * height * width for key, (name, factor) in wanted.items()}

    def _unit_of(self, name, value):
        """Return the unit of a parameter: that of the flux is any."""
        if name == "flux":
            return getattr(value, "unit", u.dimensionless_unscaled)
        units = {info.name: u.Unit(info.unit) for info in self.psf.parameters} | {"x_0": u.pix, "y_0": u.pix}
        return units.get(name, u.dimensionless_unscaled)

    @property
    def input_units(self):
        """The units of x and y: pixels where the parameters have units."""
        return None if self.x_0.unit is None else dict.fromkeys(self.inputs, u.pix)

    def _parameter_units_for_data_units(self, inputs_unit, outputs_unit):
        flux = outputs_unit[self.outputs[0]]
        units = {name: self._unit_of(name, None) for name in self.param_names if name != "flux"}
        return {"flux": flux} | {
            name: unit for name, unit in units.items() if unit != u.dimensionless_unscaled
        }


def _declared_source(psf):
    declared = {
        "flux": Parameter(default=1.0, description="integral of the profile"),
        "x_0": Parameter(default=0.0, description="position along x, pixels"),
        "y_0": Parameter(default=0.0, description="position along y, pixels"),
    }
    for info in psf.parameters:
        declared[info.name] = Parameter(default=info.default, bounds=info.bounds, description=info.words)
    for key in ("e1", "e2"):
        declared[key] = Parameter(default=0.0, fixed=True, bounds=(-0.7, 0.7), description="ellipticity")
    return declared


class PointSource2D(PointSourceModel):
    """
    A point source, with the PSF of the MUSE image.

    Parameters
    ----------
    flux : float or `~astropy.units.Quantity`
        The integral of the profile over the plane (default: 1).
    x_0, y_0 : float or `~astropy.units.Quantity`
        The position, pixels (default: 0).
    fwhm : float or `~astropy.units.Quantity`
        Full width at half maximum, arcsec (default: 0.7; bounds 0.1 and 5; the first is 0.5 pixels where that
        is less).
    beta : float or `~astropy.units.Quantity`
        Exponent of the Moffat function (default: 2.5; bounds 1.05 and 100).
    e1, e2 : float or `~astropy.units.Quantity`
        Ellipticity, as for `ConvolvedTemplate2D` (default: 0, fixed).
    pixel_scale : float, (float, float) or `~astropy.units.Quantity`
        Height and width of a pixel, arcsec (default: 0.2).
    **kwargs
        For `~astropy.modeling.Fittable2DModel`: name, fixed, bounds, tied.

    See Also
    --------
    ConvolvedTemplate2D : has point sources that share its PSF.
    MoffatStar2D : a star on a background, with its width in pixels.

    Notes
    -----
    The profile is sampled at the pixels' centers: it is that of the effective PSF, which includes the
    response of the pixels. The derivatives are analytic.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.modeling.fitting import TRFLSQFitter
    >>> from astropy_imphot import PointSource2D
    >>> y, x = np.mgrid[:100, :100]
    >>> star = PointSource2D(flux=100.0, x_0=50.2, y_0=49.7, fwhm=0.7, beta=4.0)
    >>> round(float(star(x, y).sum()), 1)
    100.0
    >>> fitted = TRFLSQFitter()(PointSource2D(flux=80.0, x_0=50.0, y_0=50.0), x, y, star(x, y))
    >>> round(float(fitted.fwhm.value), 4)
    0.7
    """

    psf = MOFFAT
    # astropy's metaclass looks for parameters in the class's namespace.
    vars().update(_declared_source(MOFFAT))

    # astropy would otherwise create an __init__ with the parameters only.
    __init__ = PointSourceModel.__init__


@cache
def point_source_model(psf):
    """
    Return the class of point sources for a shape of the PSF.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape.

    Returns
    -------
    type
        `PointSource2D` for a Moffat function, or one like it with the shape's parameters.

    Examples
    --------
    >>> from astropy_imphot.models.point_source import point_source_model
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> point_source_model(MOFFAT).__name__
    'PointSource2D'
    """
    if psf == PointSource2D.psf:
        return PointSource2D
    members = {"psf": psf, "__init__": PointSourceModel.__init__, "__doc__": PointSource2D.__doc__}
    return type(PointSource2D)(
        f"PointSource2D_{psf.name}", (PointSourceModel,), members | _declared_source(psf)
    )


def _empty_source(psf):
    kind = point_source_model(psf)
    return kind.__new__(kind)


@dataclass(frozen=True, eq=False, repr=False)
class PointSources(Representation):
    """
    The point sources that were taken out of a reference image.

    Attributes
    ----------
    x, y : arrays of shape (n,)
        Their places in the reference image, in MUSE pixels.
    flux, flux_err : arrays of shape (n,)
        Their fluxes in the reference image and the errors of these, in the unit of the template.
    saturated : bool array of shape (n,)
        Whether their cores were saturated.
    reach : array of shape (n,)
        How far their light is computed, arcsec.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.models.point_source import PointSources
    >>> one = np.ones(1)
    >>> sources = PointSources(
    ...     x=3 * one, y=4 * one, flux=100 * one, flux_err=one, saturated=one > 2, reach=5 * one
    ... )
    >>> len(sources), len(sources.joined(sources)), len(PointSources.none())
    (1, 2, 0)
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    saturated: np.ndarray
    reach: np.ndarray

    @classmethod
    def none(cls):
        """Return no sources."""
        return cls(
            **{one.name: np.zeros(0, dtype=bool if one.name == "saturated" else float) for one in fields(cls)}
        )

    def __len__(self):
        return len(self.flux)

    def _represented(self):
        return {"n": len(self)}

    def joined(self, other):
        """Return these sources and others."""
        return PointSources(
            **{
                one.name: np.concatenate([getattr(self, one.name), getattr(other, one.name)])
                for one in fields(self)
            }
        )

    def times(self, factor):
        """Return the sources with their fluxes multiplied by a factor."""
        return replace(self, flux=factor * self.flux, flux_err=factor * self.flux_err)

    def chosen(self, which):
        """Return some of the sources."""
        return PointSources(**{one.name: getattr(self, one.name)[which] for one in fields(self)})


class SourceStamps:
    """
    The light of point sources at given pixels of a MUSE image.

    Parameters
    ----------
    sources : PointSources
        The n sources.
    grid : `~astropy_imphot.io.grid.Grid`
        The MUSE image's.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the PSF.
    x, y : arrays of one shape
        MUSE pixel coordinates.

    Examples
    --------
    See `~astropy_imphot.ConvolvedTemplate2D`, which uses it.
    """

    def __init__(self, sources, grid, psf, x, y):
        self.sources = sources
        self.psf = psf
        self.height, self.width = grid.pixel_scale
        self.x, self.y = np.ravel(np.asarray(x, dtype=float)), np.ravel(np.asarray(y, dtype=float))
        self.center = [(size - 1) / 2 for size in grid.shape[::-1]]
        self._near = [None] * len(sources)
        self._cached = (None, {})

    def places(self, values, own):
        """
        Return the places of the sources relative to the center of the image, in arcsec.

        Parameters
        ----------
        values : dict of str to float
            dx, dy and rotation.
        own : array of shape (n, 3)
            ratio, motion_x and motion_y of each source.

        Returns
        -------
        right, up : arrays of shape (n,)
            The places in the MUSE image.
        turned : array of shape (2, n)
            The same without offset and motion.
        """
        right = (self.sources.x - self.center[0]) * self.width
        up = (self.sources.y - self.center[1]) * self.height
        angle = np.radians(values["rotation"])
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.array([cos * right - sin * up, sin * right + cos * up])
        return turned[0] + values["dx"] + own[:, 1], turned[1] + values["dy"] + own[:, 2], turned

    def columns(self, values, own, keys):
        """
        Return the light of each source, and its derivatives.

        Parameters
        ----------
        values : dict of str to float
            The model's parameters.
        own : array of shape (n, 3)
            ratio, motion_x and motion_y of each source.
        keys : sequence of str or None
            None for the light; a parameter of the model; ratio, motion_x or motion_y.

        Returns
        -------
        list of (array of int, dict of str to array)
            For each source, indices of the pixels in the flattened coordinates, and its values there.
        """
        right, up, turned = self.places(values, own)
        shape = {name: values[name] for name in self.psf.names}
        wanted = set()
        for key in keys:
            wanted |= {"dx", "dy"} if key == "rotation" else {PSF_KEYS.get(key, key)}
        found = []
        for one in range(len(self.sources)):
            index = self._pixels(one, right[one], up[one])
            away = (
                (self.x[index] - self.center[0]) * self.width - right[one],
                (self.y[index] - self.center[1]) * self.height - up[one],
            )
            terms = psf_terms(self.psf, *away, shape, values["e1"], values["e2"], tuple(wanted))
            flux = self.sources.flux[one] * self.height * self.width
            scale, ratio = values["scale"], own[one, 0]
            factors = {"scale": flux * ratio, "ratio": flux * scale}
            columns = {}
            for key in keys:
                factor = factors.get(key, flux * scale * ratio)
                if key == "rotation":
                    term = np.radians(1) * (turned[0, one] * terms["dy"] - turned[1, one] * terms["dx"])
                else:
                    term = terms[PSF_KEYS.get(key, key)]
                columns[key] = factor * term
            found.append((index, columns))
        return found

    def total(self, values, own, keys):
        """
        Return the light of all sources, and its derivatives.

        Parameters
        ----------
        values, own, keys
            As for `columns`.

        Returns
        -------
        dict of str to array of the size of the coordinates
            The sums.
        """
        sums = {key: np.zeros(len(self.x)) for key in keys}
        for index, columns in self.columns(values, own, keys):
            for key, column in columns.items():
                sums[key][index] += column
        return sums

    def _pixels(self, one, right, up):
        """Return the pixels within the reach of a source; they change only if it moves by a pixel."""
        place = round(right / self.width), round(up / self.height)
        if self._near[one] is None or self._near[one][0] != place:
            x, y = place[0] + self.center[0], place[1] + self.center[1]
            reach = self.sources.reach[one]
            across, along = (self.x - x) * self.width, (self.y - y) * self.height
            self._near[one] = place, np.flatnonzero(across**2 + along**2 <= reach**2)
        return self._near[one][1]
