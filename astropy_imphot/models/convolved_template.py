"""A model for astropy.modeling: a template convolved with the MUSE PSF."""

from functools import cache

import astropy.units as u
import numpy as np
from astropy.modeling import Fittable2DModel, Parameter

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.quantities import to_value
from astropy_imphot.models.convolver import Optics, TemplateConvolver
from astropy_imphot.models.point_source import PointSources, SourceStamps
from astropy_imphot.noise.autocorrelation import longest_lag
from astropy_imphot.parameters import model_parameters
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf
from astropy_imphot.psf.smoothed import SmoothedProfile

__all__ = ["ConvolvedTemplate2D", "moffat_of_hst", "template_model"]

# The own parameters of each point source: default and words.
OWN = {
    "ratio": (1.0, "flux ratio MUSE/HST, as a fraction of the scale,"),
    "motion_x": (0.0, "motion along x since HST, arcsec,"),
    "motion_y": (0.0, "motion along y since HST, arcsec,"),
}


def _declared(psf):
    """Return the parameters of a model as `astropy.modeling.Parameter`."""
    return {
        name: Parameter(
            default=info.default, bounds=info.bounds, fixed=info.on_demand, description=info.words
        )
        for name, info in model_parameters(psf).items()
    }


def _declared_sources(n_sources):
    """Return the own parameters of point sources, which are held unless they are freed."""
    return {
        f"{key}_{number}": Parameter(
            default=default, fixed=True, description=f"{words} of point source {number}"
        )
        for number in range(1, n_sources + 1)
        for key, (default, words) in OWN.items()
    }


class TemplateModel(Fittable2DModel):
    """A template and point sources, with a PSF of any shape; the base class of `ConvolvedTemplate2D`."""

    psf = None
    n_sources = 0
    #: The table of the parameters: a `~astropy_imphot.parameters.ParameterInfo` by each name.
    infos = {}

    def __init__(
        self,
        template,
        *,
        sources=None,
        hst_fwhm=0.085,
        hst_beta=1.6,
        hst_psf=None,
        smoothing=0.0,
        **kwargs,
    ):
        if hst_psf is None:
            hst_beta = to_value(hst_beta, u.dimensionless_unscaled, "hst_beta")
            hst_psf = moffat_of_hst(to_value(hst_fwhm, u.arcsec, "hst_fwhm"), hst_beta)
        smoothing = to_value(smoothing, u.arcsec, "smoothing")
        if not smoothing >= 0:
            raise UserError(f"smoothing is {smoothing}: give 0 or more arcsec.")
        self._convolver = TemplateConvolver(template, self.psf, hst_psf, smoothing)
        self.sources = PointSources.none() if sources is None else sources
        if len(self.sources) != self.n_sources:
            raise UserError(
                f"the model has {self.n_sources} point sources, and {len(self.sources)} are given: "
                "use with_sources."
            )
        self._last_stamps = (None, None, None)
        limits = {row.name: row.bounds_for(template.pixel_scale) for row in self.psf.parameters}
        super().__init__(bounds=limits | kwargs.pop("bounds", {}), **kwargs)
        self.has_prior = {name: info.prior is not None for name, info in self.infos.items()}

    def __reduce__(self):
        # The classes for other shapes of the PSF are not in a module, where pickle could find them.
        return _empty_model, (self.psf, self.n_sources), self.__dict__ | {"_last_stamps": (None, None, None)}

    def with_sources(self, sources, own=None):
        """
        Return the model with other point sources.

        Parameters
        ----------
        sources : `~astropy_imphot.models.point_source.PointSources`
            The n sources.
        own : array of shape (n, 3), optional
            Their ``ratio``, ``motion_x`` and ``motion_y``. By default (None) 1, 0 and 0.

        Returns
        -------
        ConvolvedTemplate2D
            A model of the same values, with the parameters ratio_1, motion_x_1 and motion_y_1, and so on for
            each source.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        kind = template_model(self.psf, len(sources))
        names = list(self.infos)
        values = {name: getattr(self, name).value for name in names}
        bounds = {name: self.bounds[name] for name in names}
        fixed = {name: self.fixed[name] for name in names}
        model = kind(
            self.template,
            sources=sources,
            hst_psf=self._convolver.hst_psf,
            fixed=fixed,
            bounds=bounds,
            **values,
        )
        model._convolver = self._convolver
        model.has_prior = dict(self.has_prior)
        if own is not None:
            model.own = own
        return model

    @property
    def own(self):
        """The own values of the point sources: ratio, motion_x and motion_y, an array of shape (n, 3)."""
        return np.reshape(self.parameters[len(self.infos) :], (-1, len(OWN)))

    @own.setter
    def own(self, values):
        self.parameters = [*self.parameters[: len(self.infos)], *np.ravel(values)]

    @property
    def template(self):
        """The `HstTemplate` of the model."""
        return self._convolver.template

    @property
    def smoothing(self):
        """FWHM of the Gaussian by which the MUSE image was smoothed, arcsec; 0 if it was not."""
        return self._convolver.smoothing

    @property
    def point_profile(self):
        """The profile of point sources: the shape of the MUSE PSF, or that in the smoothed image."""
        return SmoothedProfile(self.psf, self.smoothing) if self.smoothing > 0 else self.psf

    @property
    def max_lag(self):
        """The largest lag along each axis at which the noise of the MUSE image is correlated, pixels."""
        return longest_lag(self.smoothing, self.template.pixel_scale)

    @property
    def bounding_box(self):
        """The extent of the template: the limits of y and those of x, MUSE pixels."""
        limits = [
            (-margin - 0.5, size - margin - 0.5)
            for margin, size in zip(self.template.margin, self.template.grid_shape, strict=True)
        ]
        return tuple(limits)

    def without_results(self):
        """
        Return a copy with the template's arrays, and without arrays that were computed from them.

        Returns
        -------
        ConvolvedTemplate2D
            The copy, which takes a third of the memory. Other copies share the computed arrays.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        model = self.copy()
        model._convolver = self._convolver.without_results()
        model._last_stamps = (None, None, None)
        return model

    def missing_fraction(self):
        """
        Return the fraction of the light of each MUSE pixel that HST did not observe.

        Returns
        -------
        array of shape ``template.muse_shape``
            Fractions for the model's PSF and offset; sky beyond the template has a weight of 0.2.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        return self._convolver.missing(self._optics())[self.template.field]

    def most_missing(self):
        """
        Return an upper limit of `missing_fraction`, which takes no time to compute.

        Returns
        -------
        float
            The limit for all pixels; 1 if the template has unobserved samples.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        return self._convolver.most_missing(self._optics())

    def noise_products(self):
        """
        Return the moments of the template's white noise in the model, for a scale of 1.

        Returns
        -------
        `~astropy_imphot.models.convolver.NoiseProducts`
            For the model's PSF.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> model.noise_products().gram.shape
        (3, 3)
        """
        return self._convolver.noise_products(self._optics())

    def _optics(self):
        """Return the PSF and the offset of the model, without its rotation and its ellipticity."""
        values, _ = self._plain(self.parameters)
        return self._optics_of(values | {"e1": 0.0, "e2": 0.0})

    def evaluate(self, x, y, *parameters):
        """
        Return the model's values.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.
        *parameters : float
            In the order of ``param_names``, as for `ConvolvedTemplate2D`.

        Returns
        -------
        float or array of the shape of x and y
            Flux per MUSE pixel, in the template's unit.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]), bg=2.0)
        >>> bool(model.evaluate(20.0, 25.0, *model.parameters) == model(20.0, 25.0))
        True
        """
        has_unit = any(isinstance(one, u.Quantity) for one in parameters)
        values, own = self._plain(parameters)
        x, y = np.broadcast_arrays(_pixels(x, "x"), _pixels(y, "y"))
        convolver = self._convolver.turned(values["rotation"])
        light = values["scale"] * convolver.light(convolver.places(x, y), self._optics_of(values))
        if len(self.sources):
            light = light + self._stamps(x, y).total(values, own, (None,))[None].reshape(np.shape(x))
        for name, basis in self._background.items():
            if values[name] != 0:
                light = light + values[name] * basis(*self._arcsec_from_center(x, y))
        return u.Quantity(light, self.template.grid.unit, copy=False) if has_unit else light

    def fit_deriv(self, x, y, *parameters):
        """
        Return the derivatives with respect to all parameters, for fitters.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.
        *parameters : float
            In the order of ``param_names``, as for `ConvolvedTemplate2D`.

        Returns
        -------
        list of arrays of the shape of x and y
            The derivatives in the order of the parameters, in single precision; while a
            fitter runs, 0 for fixed parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> x, y = np.array([10.0, 12.0]), np.array([20.0, 20.0])
        >>> model.fit_deriv(x, y, *model.parameters)[1]
        array([1., 1.], dtype=float32)
        """
        # astropy's fitters set sync_constraints to False while they run, and then ignore the
        # derivatives of fixed parameters, which need not be computed.
        keys = [name for name in self.param_names if self.sync_constraints or not self.fixed[name]]
        # Fitters copy the derivatives several times. In single precision that takes half as long, and changes
        # the solution by less than 1e-6 of its errors.
        found = (one.astype(np.float32) for one in self._derivatives(keys, x, y, *parameters))
        derivatives = dict(zip(keys, found, strict=True))
        nothing = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)), dtype=np.float32)
        return [derivatives.get(name, nothing) for name in self.param_names]

    def derivatives(self, x, y, keys, of_template=False):
        """
        Return the derivatives with respect to some of the parameters.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.
        keys : sequence of str
            Names of p parameters.
        of_template : bool
            Whether the point sources are left out; the keys are then none of theirs (default: False).

        Returns
        -------
        list of p arrays of the shape of x and y
            The derivatives, in the order of ``keys``.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> model.derivatives([10.0, 12.0], [20.0, 20.0], ["bg"])
        [array([1., 1.])]
        """
        if of_template:
            values, _ = self._plain(self.parameters)
            return self._global_derivatives(keys, *np.broadcast_arrays(x, y), values)
        return self._derivatives(keys, x, y, *self.parameters)

    def template_light(self, x, y, derivative=None):
        """
        Return the light of the template alone, for a scale of 1, or its derivative.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.
        derivative : {"dx", "dy"}, optional
            A parameter. By default (None) the light itself.

        Returns
        -------
        float or array of the shape of x and y
            Without point sources and background.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        values, _ = self._plain(self.parameters)
        convolver = self._convolver.turned(values["rotation"])
        return convolver.light(convolver.places(x, y), self._optics_of(values), derivative=derivative)

    def background(self, x, y):
        """
        Return the background.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.

        Returns
        -------
        float or array of the shape of x and y
            The sum of the terms of the background.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        right, up = self._arcsec_from_center(x, y)
        return sum(getattr(self, name).value * basis(right, up) for name, basis in self._background.items())

    def source_places(self):
        """
        Return the places of the point sources in the MUSE image.

        Returns
        -------
        x, y : arrays of shape (n,)
            In pixels, 0 at the center of the first.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        values, own = self._plain(self.parameters)
        right, up, _ = SourceStamps(self.sources, self.template.grid, self.psf, 0, 0).places(values, own)
        (ny, nx), (height, width) = self.template.muse_shape, self.template.pixel_scale
        return right / width + (nx - 1) / 2, up / height + (ny - 1) / 2

    def source_columns(self, x, y):
        """
        Return the derivatives of the model with respect to the own parameters of the point sources.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.

        Returns
        -------
        list of (array of int, array of shape (3, m))
            For each source, the m pixels that it reaches, in the flattened coordinates, and the derivatives
            with respect to its ratio, motion_x and motion_y.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        values, own = self._plain(self.parameters)
        return [
            (index, np.array(list(columns.values())))
            for index, columns in self._stamps(x, y).columns(values, own, tuple(OWN))
        ]

    def _derivatives(self, keys, x, y, *parameters):
        values, own = self._plain(parameters)
        x, y = np.broadcast_arrays(x, y)
        of_table = [key for key in keys if key in self.infos]
        found = dict(zip(of_table, self._global_derivatives(of_table, x, y, values), strict=True))
        lit = [key for key in of_table if key not in self._background]
        if len(self.sources) and lit:
            for key, light in self._stamps(x, y).total(values, own, lit).items():
                found[key] = found[key] + light.reshape(np.shape(x))
        if len(of_table) < len(keys):
            for number, (index, columns) in enumerate(
                self._stamps(x, y).columns(values, own, tuple(OWN)), start=1
            ):
                for key, column in columns.items():
                    if f"{key}_{number}" in keys:
                        image = np.zeros(np.size(x))
                        image[index] = column
                        found[f"{key}_{number}"] = image.reshape(np.shape(x))
        return [found[key] for key in keys]

    def _global_derivatives(self, keys, x, y, values):
        """Return the derivatives of the template's light and of the background."""
        scale, optics = values["scale"], self._optics_of(values)
        convolver = self._convolver.turned(values["rotation"])
        places = convolver.places(x, y)

        @cache
        def light(name):
            return convolver.light(places, optics, derivative=name)

        def turning():
            # A rotation moves the light along a circle, and rotates the ellipse of the PSF.
            right, up = self._arcsec_from_center(x, y)
            moved = light("dy") * (right - optics.dx) - light("dx") * (up - optics.dy)
            if optics.e1 != 0 or optics.e2 != 0:
                moved = moved + 2 * (optics.e2 * light("e1") - optics.e1 * light("e2"))
            return np.radians(scale * moved)

        def derivative(name):
            if name in self._background:
                return self._background[name](*self._arcsec_from_center(x, y)).astype(float)
            if name == "scale":
                return light(None)
            return turning() if name == "rotation" else scale * light(name)

        return [derivative(name) for name in keys]

    def _stamps(self, x, y):
        """Return the point sources at coordinates, which are kept: fitters ask for the same again."""
        last_x, last_y, stamps = self._last_stamps
        if stamps is None or not (np.array_equal(x, last_x) and np.array_equal(y, last_y)):
            stamps = SourceStamps(self.sources, self.template.grid, self.point_profile, x, y)
            self._last_stamps = (np.array(x), np.array(y), stamps)
        return stamps

    @property
    def _background(self):
        """The shapes of the terms of the background, by their names."""
        return {name: info.basis for name, info in self.infos.items() if info.basis is not None}

    @property
    def input_units(self):
        """The units of x and y: pixels where the parameters have units."""
        return None if self.dx.unit is None else dict.fromkeys(self.inputs, u.pix)

    def _parameter_units_for_data_units(self, inputs_unit, outputs_unit):
        unit = outputs_unit[self.outputs[0]]
        if unit != self.template.grid.unit:
            raise UserError(
                f"the image is in {unit}, the template in {self.template.grid.unit}: convert one of them."
            )
        return {name: info.unit_for(unit) for name, info in self.infos.items() if info.unit}

    def _plain(self, parameters):
        """Return the parameters by name, as numbers in the units of the table, and those of the sources."""
        flux, infos = self.template.grid.unit, self.infos
        values = {
            name: float(
                np.squeeze(
                    to_value(value, info.unit_for(flux), name) if isinstance(value, u.Quantity) else value
                )
            )
            for (name, info), value in zip(infos.items(), parameters, strict=False)
        }
        return values, np.reshape(
            [float(np.squeeze(one)) for one in parameters[len(infos) :]], (-1, len(OWN))
        )

    def _arcsec_from_center(self, x, y):
        ny, nx = self.template.muse_shape
        height, width = self.template.pixel_scale
        x, y = np.broadcast_arrays(x, y)
        return (x - (nx - 1) / 2) * width, (y - (ny - 1) / 2) * height

    def _optics_of(self, values):
        psf = tuple((name, values[name]) for name in self.psf.names)
        return Optics(psf, *(values[name] for name in ("dx", "dy", "e1", "e2")))


class ConvolvedTemplate2D(TemplateModel):
    r"""
    An HST image convolved with the MUSE PSF, shifted, scaled, on a background.

    Parameters
    ----------
    template : `HstTemplate`
        The HST image in and around the MUSE field, from `make_template`.
    sources : `~astropy_imphot.models.point_source.PointSources`, optional
        The point sources, as many as the class has: this one has none, and ``with_sources`` returns a model
        that has them. By default (None) there are none.
    scale : float or `~astropy.units.Quantity`
        Flux scale, MUSE/HST (default: 1).
    bg : float or `~astropy.units.Quantity`
        Background, MUSE - HST, at the center of the MUSE image, in the template's unit
        (default: 0).
    dx, dy : float or `~astropy.units.Quantity`
        Offset along the pixel axes by which the features of the HST image have to be
        moved to match MUSE, arcsec (default: 0).
    fwhm : float or `~astropy.units.Quantity`
        Full width at half maximum of MUSE's Moffat PSF, pixel response included, arcsec
        (default: 0.7; bounds 0.1 and 5; the first is 0.5 pixels where that is less).
    beta : float or `~astropy.units.Quantity`
        Exponent of the Moffat function (default: 2.5; bounds 1.05 and 100).
    bg_x, bg_y : float or `~astropy.units.Quantity`
        Gradient of the background along the pixel axes, per arcsec (default: 0, fixed).
    rotation : float or `~astropy.units.Quantity`
        Angle by which the HST image has to be rotated about the center of the MUSE image
        to match MUSE, from the x axis towards the y axis, degrees (default: 0).
    e1, e2 : float or `~astropy.units.Quantity`
        Ellipticity of the PSF, :math:`(a^2-b^2)/(a^2+b^2)` times the cosine and the sine of
        twice the angle of its major axis from the x axis towards the y axis (the distortion of Bernstein &
        Jarvis 2002, AJ 123, 583); fwhm is then the geometric mean of both axes' (default: 0; bounds
        -0.7 and 0.7).
    hst_fwhm, hst_beta : float or `~astropy.units.Quantity`
        The Moffat PSF of the HST image, pixel response included (default: 0.085 arcsec
        and 1.6, as in the classic imphot, from fits to stars in 30 mas images of the UDF).
    hst_psf : `HstPsf`, optional
        The PSF of the HST image as an image, from `read_hst_psf`. By
        default (None) it is the Moffat function.
    smoothing : float or `~astropy.units.Quantity`
        FWHM of the Gaussian by which the MUSE image was smoothed, arcsec (default: 0, it was not).
    **kwargs
        For `~astropy.modeling.Fittable2DModel`: name, fixed, bounds, tied.

    Raises
    ------
    UserError
        If ``hst_fwhm`` is not above 0, ``hst_beta`` not above 1 and at most 100, or ``smoothing`` negative.

    See Also
    --------
    fit_image_photometry : fits it to a MUSE image, with masks and errors.

    Notes
    -----
    With h the HST image and all in the Fourier plane,

    .. math::

        F[m - \mathrm{bg}] = \mathrm{scale} \cdot F[h] \cdot
            \frac{\mathrm{OTF}_{\mathrm{MUSE}}(\mathrm{fwhm}, \beta)}{\mathrm{OTF}_{\mathrm{HST}}}
            \cdot e^{-2\pi i (f_x \, \mathrm{dx} + f_y \, \mathrm{dy})}

    times the transfer function of the smoothing, if there is one, at the centers of the MUSE pixels; see
    `~astropy_imphot.psf.moffat.Moffat` for the transfer functions. The model's coordinates x and y are MUSE
    pixels, (0, 0) at the center of the first, and need not be whole numbers. Outside the template the model
    is the background. The derivatives are analytic.

    Parameters can be quantities, of any unit of the kind that is given above; x and y are then pixels, and
    the values have the template's unit.

    Parameters that are fixed by default are freed as usual, by ``model.bg_x.fixed = False``. Rotation and
    ellipticity are fitted, without a prior by astropy's fitters, and with a prior of 0 by
    `fit_image_photometry`. The ``bounding_box`` is the extent of the template.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.modeling.fitting import TRFLSQFitter
    >>> from astropy_imphot import ConvolvedTemplate2D, make_template
    >>> from astropy_imphot.simulation import Truth, simulate_field
    >>> field = simulate_field(seed=1, size=10.0, truth=[Truth(dx=0.1)])
    >>> muse = field.muse[0]
    >>> model = ConvolvedTemplate2D(make_template(field.hst, muse))
    >>> y, x = np.mgrid[: muse.shape[0], : muse.shape[1]]
    >>> fitted = TRFLSQFitter()(model, x, y, muse.data, weights=np.full(muse.shape, 10.0))
    >>> bool(abs(fitted.dx - 0.1) < 0.02), bool(fitted.without_results()(20, 25) == fitted(20, 25))
    (True, True)
    >>> bool(fitted.missing_fraction().max() <= fitted.most_missing() < 0.05)
    True
    """

    psf = MOFFAT
    infos = model_parameters(MOFFAT)
    # astropy's metaclass looks for parameters in the class's namespace.
    vars().update(_declared(MOFFAT))

    # astropy would otherwise create an __init__ with the parameters only.
    __init__ = TemplateModel.__init__


def template_model(psf, n_sources=0):
    """
    Return the class of models for a shape of the PSF, and a number of point sources.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape.
    n_sources : int
        The number of point sources (default: 0).

    Returns
    -------
    type
        `ConvolvedTemplate2D` for a Moffat function without point sources, or one like it with the parameters
        of the shape and of the sources.

    Examples
    --------
    >>> from astropy_imphot.models.convolved_template import template_model
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> template_model(MOFFAT).param_names[:6]
    ('scale', 'bg', 'dx', 'dy', 'fwhm', 'beta')
    >>> template_model(MOFFAT, n_sources=1).param_names[-3:]
    ('ratio_1', 'motion_x_1', 'motion_y_1')
    """
    return _class_of(psf, tuple(model_parameters(psf)), n_sources)


@cache
def _class_of(psf, names, n_sources):
    if (psf, names, n_sources) == (ConvolvedTemplate2D.psf, ConvolvedTemplate2D.param_names, 0):
        return ConvolvedTemplate2D
    members = {
        "psf": psf,
        "infos": model_parameters(psf),
        "n_sources": n_sources,
        "__init__": TemplateModel.__init__,
        "__doc__": ConvolvedTemplate2D.__doc__,
    }
    declared = _declared(psf) | _declared_sources(n_sources)
    name = "ConvolvedTemplate2D" + f"_{psf.name}" * (psf != ConvolvedTemplate2D.psf)
    return type(ConvolvedTemplate2D)(name, (TemplateModel,), members | declared)


def _empty_model(psf, n_sources):
    kind = template_model(psf, n_sources)
    return kind.__new__(kind)


def moffat_of_hst(fwhm, beta):
    """
    Return the PSF of the HST image, as a Moffat function.

    Parameters
    ----------
    fwhm : float
        In arcsec.
    beta : float
        Exponent.

    Returns
    -------
    `~astropy_imphot.psf.shape.CircularPsf`
        The PSF.

    Raises
    ------
    UserError
        If ``fwhm`` is not above 0, or ``beta`` not above 1 and at most 100.

    Examples
    --------
    >>> from astropy_imphot.models.convolved_template import moffat_of_hst
    >>> moffat_of_hst(0.085, 1.6).shape
    Moffat()
    """
    if not (fwhm > 0 and 1 < beta <= 100):
        raise UserError(
            f"the HST PSF has FWHM {fwhm} and beta {beta}: give hst_fwhm (arcsec) above "
            "0 and hst_beta above 1 and up to 100."
        )
    return CircularPsf(MOFFAT, {"fwhm": fwhm, "beta": beta})


def _pixels(values, name):
    return to_value(values, u.pix, name)
