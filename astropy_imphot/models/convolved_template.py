"""A model for astropy.modeling: a template convolved with the MUSE PSF."""

from functools import cache

import astropy.units as u
import numpy as np
from astropy.modeling import Fittable2DModel, Parameter

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.quantities import to_value
from astropy_imphot.models.convolver import Optics, TemplateConvolver
from astropy_imphot.parameters import model_parameters
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import CircularPsf

__all__ = ["ConvolvedTemplate2D", "moffat_of_hst", "template_model"]


def _declared(psf):
    """Return the parameters of a model as `astropy.modeling.Parameter`."""
    return {
        name: Parameter(
            default=info.default, bounds=info.bounds, fixed=info.on_demand, description=info.words
        )
        for name, info in model_parameters(psf).items()
    }


class TemplateModel(Fittable2DModel):
    """A template convolved with a PSF of any shape; the base class of `ConvolvedTemplate2D`."""

    psf = None

    def __init__(self, template, *, hst_fwhm=0.085, hst_beta=1.6, hst_psf=None, **kwargs):
        if hst_psf is None:
            hst_beta = to_value(hst_beta, u.dimensionless_unscaled, "hst_beta")
            hst_psf = moffat_of_hst(to_value(hst_fwhm, u.arcsec, "hst_fwhm"), hst_beta)
        self._convolver = TemplateConvolver(template, self.psf, hst_psf)
        super().__init__(**kwargs)

    def __reduce__(self):
        # The classes for other shapes of the PSF are not in a module, where pickle could find them.
        return _empty_model, (self.psf,), self.__dict__

    @property
    def template(self):
        """The `HstTemplate` of the model."""
        return self._convolver.template

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
        values = self._plain(self.parameters)
        psf = tuple((name, values[name]) for name in self.psf.names)
        return Optics(psf, dx=values["dx"], dy=values["dy"])

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
        values, x, y = self._plain(parameters), _pixels(x, "x"), _pixels(y, "y")
        optics, places = self._template_frame(x, y, values)
        light = values["scale"] * self._convolver.light(self._convolver.places(*places), optics)
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

    def derivatives(self, x, y, keys):
        """
        Return the derivatives with respect to some of the parameters.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the center of the first pixel.
        keys : sequence of str
            Names of p parameters.

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
        return self._derivatives(keys, x, y, *self.parameters)

    def _derivatives(self, keys, x, y, *parameters):
        values = self._plain(parameters)
        optics, turned = self._template_frame(x, y, values)
        scale, (cos, sin) = values["scale"], _cos_sin(values["rotation"])
        cos_2, sin_2 = cos**2 - sin**2, 2 * cos * sin
        places = self._convolver.places(*turned)

        @cache
        def light(name):
            return self._convolver.light(places, optics, derivative=name)

        def turning():
            # A rotation moves the light along a circle, and rotates the ellipse of the PSF.
            right, up = self._arcsec_from_center(*turned)
            moved = light("dy") * (right - optics.dx) - light("dx") * (up - optics.dy)
            if optics.e1 != 0 or optics.e2 != 0:
                moved = moved + 2 * (optics.e2 * light("e1") - optics.e1 * light("e2"))
            return np.radians(scale * moved)

        by_name = {
            "scale": lambda: light(None),
            "dx": lambda: scale * (cos * light("dx") - sin * light("dy")),
            "dy": lambda: scale * (sin * light("dx") + cos * light("dy")),
            "rotation": turning,
            "e1": lambda: scale * (cos_2 * light("e1") - sin_2 * light("e2")),
            "e2": lambda: scale * (sin_2 * light("e1") + cos_2 * light("e2")),
        }

        def derivative(name):
            if name in self._background:
                return self._background[name](*self._arcsec_from_center(x, y)).astype(float)
            return scale * light(name) if name in self.psf.names else by_name[name]()

        return [derivative(name) for name in keys]

    @property
    def infos(self):
        """The table of the parameters: a `~astropy_imphot.parameters.ParameterInfo` by each name."""
        table = model_parameters(self.psf)
        return {name: table[name] for name in self.param_names}

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
        """Return the parameters by name, as numbers in the units of the table."""
        flux = self.template.grid.unit
        return {
            name: float(np.squeeze(to_value(value, info.unit_for(flux), name)))
            for (name, info), value in zip(self.infos.items(), parameters, strict=True)
        }

    def _arcsec_from_center(self, x, y):
        ny, nx = self.template.muse_shape
        height, width = self.template.pixel_scale
        x, y = np.broadcast_arrays(x, y)
        return (x - (nx - 1) / 2) * width, (y - (ny - 1) / 2) * height

    def _template_frame(self, x, y, values):
        """
        Return optics and coordinates along the axes of the template.

        A rotation of the model is a rotation of these.
        """
        cos, sin = _cos_sin(values["rotation"])
        cos_2, sin_2 = cos**2 - sin**2, 2 * cos * sin
        dx, dy, e1, e2 = (values[name] for name in ("dx", "dy", "e1", "e2"))
        optics = Optics(
            psf=tuple((name, values[name]) for name in self.psf.names),
            dx=cos * dx + sin * dy,
            dy=-sin * dx + cos * dy,
            e1=cos_2 * e1 + sin_2 * e2,
            e2=-sin_2 * e1 + cos_2 * e2,
        )
        if sin == 0:
            return optics, np.broadcast_arrays(x, y)
        right, up = self._arcsec_from_center(x, y)
        height, width = self.template.pixel_scale
        turned = x + ((cos - 1) * right + sin * up) / width, y + (-sin * right + (cos - 1) * up) / height
        return optics, turned


class ConvolvedTemplate2D(TemplateModel):
    r"""
    An HST image convolved with the MUSE PSF, shifted, scaled, on a background.

    Parameters
    ----------
    template : `HstTemplate`
        The HST image in and around the MUSE field, from `make_template`.
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
        (default: 0.7; bounds 0.1 and 5).
    beta : float or `~astropy.units.Quantity`
        Exponent of the Moffat function (default: 2.5; bounds 1.05 and 100).
    bg_x, bg_y : float or `~astropy.units.Quantity`
        Gradient of the background along the pixel axes, per arcsec (default: 0, fixed).
    rotation : float or `~astropy.units.Quantity`
        Angle by which the HST image has to be rotated about the center of the MUSE image
        to match MUSE, from the x axis towards the y axis, degrees (default: 0, fixed).
    e1, e2 : float or `~astropy.units.Quantity`
        Ellipticity of the PSF, :math:`(a^2-b^2)/(a^2+b^2)` times the cosine and the sine of
        twice the angle of its major axis from the x axis towards the y axis (the distortion of Bernstein &
        Jarvis 2002, AJ 123, 583); fwhm is then the geometric mean of both axes' (default: 0, fixed).
    hst_fwhm, hst_beta : float or `~astropy.units.Quantity`
        The Moffat PSF of the HST image, pixel response included (default: 0.085 arcsec
        and 1.6, as in the classic imphot, from fits to stars in 30 mas images of the UDF).
    hst_psf : `HstPsf`, optional
        The PSF of the HST image as an image, from `read_hst_psf`. By
        default (None) it is the Moffat function.
    **kwargs
        For `~astropy.modeling.Fittable2DModel`: name, fixed, bounds, tied.

    Raises
    ------
    UserError
        If ``hst_fwhm`` is not above 0, or ``hst_beta`` not above 1 and at most 100.

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

    at the centers of the MUSE pixels; see `~astropy_imphot.psf.moffat.Moffat` for the
    transfer functions. The model's coordinates x and y are MUSE pixels, (0, 0) at the
    center of the first, and need not be whole numbers. Outside the template the model is
    the background. The derivatives are analytic.

    Parameters can be quantities, of any unit of the kind that is given above; x and y are then pixels, and
    the values have the template's unit.

    Parameters that are fixed by default are freed as usual, by ``model.rotation.fixed = False``. The
    ``bounding_box`` is the extent of the template.

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
    # astropy's metaclass looks for parameters in the class's namespace.
    vars().update(_declared(MOFFAT))

    # astropy would otherwise create an __init__ with the parameters only.
    __init__ = TemplateModel.__init__


def template_model(psf):
    """
    Return the class of models for a shape of the PSF.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape.

    Returns
    -------
    type
        `ConvolvedTemplate2D` for a Moffat function, or one like it with the shape's parameters.

    Examples
    --------
    >>> from astropy_imphot.models.convolved_template import template_model
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> template_model(MOFFAT).param_names[:6]
    ('scale', 'bg', 'dx', 'dy', 'fwhm', 'beta')
    """
    return _class_of(psf, tuple(model_parameters(psf)))


@cache
def _class_of(psf, names):
    if (psf, names) == (ConvolvedTemplate2D.psf, ConvolvedTemplate2D.param_names):
        return ConvolvedTemplate2D
    members = {"psf": psf, "__init__": TemplateModel.__init__, "__doc__": ConvolvedTemplate2D.__doc__}
    return type(ConvolvedTemplate2D)(
        f"ConvolvedTemplate2D_{psf.name}", (TemplateModel,), members | _declared(psf)
    )


def _empty_model(psf):
    kind = template_model(psf)
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


def _cos_sin(rotation):
    angle = np.radians(rotation)
    return np.cos(angle), np.sin(angle)
