"""A model of astropy.modeling: a template convolved with the MUSE PSF."""

from functools import cache

import numpy as np
from astropy.modeling import Fittable2DModel, Parameter

from astropy_imphot.models.convolver import TemplateConvolver

__all__ = ["ConvolvedTemplate2D"]


class ConvolvedTemplate2D(Fittable2DModel):
    r"""
    An HST image as MUSE sees it: convolved, shifted, scaled, on a background.

    Parameters
    ----------
    template : `HstTemplate`
        What HST saw in and around the MUSE field, from `make_template`.
    scale : float
        Flux scale, MUSE/HST (default: 1).
    bg : float
        Background, MUSE - HST, at the centre of the MUSE image, in the template's unit
        (default: 0).
    dx, dy : float
        Offset along the pixel axes by which the features of the HST image have to be
        moved to match MUSE, arcsec (default: 0).
    fwhm : float
        Full width at half maximum of MUSE's Moffat PSF, pixel response included, arcsec
        (default: 0.7; bounds 0.1 and 5).
    beta : float
        Exponent of the Moffat function (default: 2.5; bounds 1.05 and 100).
    bg_x, bg_y : float
        Gradient of the background along the pixel axes, per arcsec (default: 0, fixed).
    rotation : float
        Angle by which the HST image has to be turned about the centre of the MUSE image
        to match MUSE, from the x axis towards the y axis, degrees (default: 0, fixed).
    e1, e2 : float
        Ellipticity of the PSF, :math:`(a^2-b^2)/(a^2+b^2)` times the cosine and the sine of
        twice the angle of its long axis from the x axis towards the y axis; fwhm is then
        the geometric mean of both axes' (default: 0, fixed).
    hst_fwhm, hst_beta : float
        The Moffat PSF of the HST image, pixel response included (default: 0.085 arcsec
        and 1.6, from published fits to stars in 30 mas images of the UDF).
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

    at the centres of the MUSE pixels; see `~astropy_imphot.psf.moffat.moffat_otf` for the
    transfer functions. The model's coordinates x and y are MUSE pixels, (0, 0) at the
    centre of the first, and need not be whole numbers. Outside the template the model is
    the background. The derivatives are analytic.

    Parameters that are fixed by default are freed as usual, by ``model.rotation.fixed = False``. The
    ``bounding_box`` is where the template reaches.

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

    scale = Parameter(default=1.0, description="flux scale, MUSE/HST")
    bg = Parameter(default=0.0, description="background, MUSE - HST")
    dx = Parameter(default=0.0, description="offset along x, arcsec")
    dy = Parameter(default=0.0, description="offset along y, arcsec")
    fwhm = Parameter(default=0.7, bounds=(0.1, 5.0), description="FWHM of the PSF, arcsec")
    beta = Parameter(default=2.5, bounds=(1.05, 100.0), description="exponent of the PSF")
    bg_x = Parameter(default=0.0, fixed=True, description="background gradient along x, per arcsec")
    bg_y = Parameter(default=0.0, fixed=True, description="background gradient along y, per arcsec")
    rotation = Parameter(default=0.0, fixed=True, description="rotation, degrees")
    e1 = Parameter(default=0.0, fixed=True, bounds=(-0.7, 0.7), description="ellipticity along x")
    e2 = Parameter(default=0.0, fixed=True, bounds=(-0.7, 0.7), description="ellipticity along x = y")

    def __init__(self, template, *, hst_fwhm=0.085, hst_beta=1.6, hst_psf=None, **kwargs):
        self._convolver = TemplateConvolver(template, hst_fwhm, hst_beta, hst_psf)
        super().__init__(**kwargs)

    @property
    def template(self):
        """The `HstTemplate` that the model was made with."""
        return self._convolver.template

    @property
    def bounding_box(self):
        """Where the template reaches: the limits of y and those of x, MUSE pixels."""
        limits = [
            (-margin - 0.5, size - margin - 0.5)
            for margin, size in zip(self.template.margin, self.template.grid_shape, strict=True)
        ]
        return tuple(limits)

    def without_results(self):
        """
        Return a copy that holds the template's arrays, and nothing that was computed from them.

        Returns
        -------
        ConvolvedTemplate2D
            The copy, which takes a third of the memory. Copies else share what was computed.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        model = self.copy()
        model._convolver = self._convolver.without_results()
        return model

    def missing_fraction(self):
        """
        Return which part of the light of each MUSE pixel HST did not observe.

        Returns
        -------
        array of shape ``template.muse_shape``
            Fractions for the model's PSF and offset; sky beyond the template counts a fifth.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        missing = self._convolver.missing(
            fwhm=self.fwhm.value, beta=self.beta.value, dx=self.dx.value, dy=self.dy.value
        )
        return missing[self.template.field]

    def most_missing(self):
        """
        Return a limit of `missing_fraction`, which takes no time.

        Returns
        -------
        float
            No pixel draws more of its light from what HST did not observe; 1 if that is not known.

        Examples
        --------
        See `ConvolvedTemplate2D`.
        """
        return self._convolver.most_missing(
            fwhm=self.fwhm.value, beta=self.beta.value, dx=self.dx.value, dy=self.dy.value
        )

    def noise_products(self):
        """
        Return what white noise in the template becomes in the model, less the scale.

        Returns
        -------
        `~astropy_imphot.models.convolver.NoiseProducts`
            For the model's PSF.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0)
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> model.noise_products().gram.shape
        (3, 3)
        """
        return self._convolver.noise_products(fwhm=self.fwhm.value, beta=self.beta.value)

    def evaluate(self, x, y, scale, bg, dx, dy, fwhm, beta, bg_x, bg_y, rotation, e1, e2):
        """
        Return the model's values.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the centre of the first pixel.
        scale, bg, dx, dy, fwhm, beta, bg_x, bg_y, rotation, e1, e2 : float
            The parameters, as for `ConvolvedTemplate2D`.

        Returns
        -------
        float or array of the shape of x and y
            Flux per MUSE pixel, in the template's unit.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0)
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]), bg=2.0)
        >>> bool(model.evaluate(20.0, 25.0, *model.parameters) == model(20.0, 25.0))
        True
        """
        optics, places = self._template_frame(x, y, dx, dy, fwhm, beta, rotation, e1, e2)
        values = scale * self._convolver.light(self._convolver.places(*places), **optics) + bg
        if np.any(bg_x != 0) or np.any(bg_y != 0):
            right, up = self._arcsec_from_centre(x, y)
            values += bg_x * right + bg_y * up
        return values

    def fit_deriv(self, x, y, *parameters):
        """
        Return the derivatives with respect to all parameters, as fitters ask for them.

        Parameters
        ----------
        x, y : float or arrays of one shape
            MUSE pixel coordinates, 0 at the centre of the first pixel.
        *parameters : float
            Scale, bg, dx, dy, fwhm, beta, bg_x, bg_y, rotation, e1 and e2, as for
            `ConvolvedTemplate2D`.

        Returns
        -------
        list of 11 arrays of the shape of x and y
            The derivatives in the order of the parameters, in single precision; while a
            fitter runs, 0 for fixed parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0)
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> x, y = np.array([10.0, 12.0]), np.array([20.0, 20.0])
        >>> model.fit_deriv(x, y, *model.parameters)[1]
        array([1., 1.], dtype=float32)
        """
        # Fitters switch sync_constraints off while they run, and then drop the
        # derivatives of fixed parameters, which need not be computed for them.
        keys = [name for name in self.param_names if self.sync_constraints or not self.fixed[name]]
        # These copy them several times: in single precision that takes half as long, and moves the
        # solution by less than 1e-6 of its errors.
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
            MUSE pixel coordinates, 0 at the centre of the first pixel.
        keys : sequence of str
            Names of p parameters.

        Returns
        -------
        list of p arrays of the shape of x and y
            The derivatives, in the order of ``keys``.

        Examples
        --------
        >>> from astropy_imphot import ConvolvedTemplate2D, make_template
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0)
        >>> model = ConvolvedTemplate2D(make_template(field.hst, field.muse[0]))
        >>> model.derivatives([10.0, 12.0], [20.0, 20.0], ["bg"])
        [array([1., 1.])]
        """
        return self._derivatives(keys, x, y, *self.parameters)

    def _derivatives(self, keys, x, y, scale, bg, dx, dy, fwhm, beta, bg_x, bg_y, rotation, e1, e2):
        optics, turned = self._template_frame(x, y, dx, dy, fwhm, beta, rotation, e1, e2)
        cos, sin = _cos_sin(rotation)
        cos_2, sin_2 = cos**2 - sin**2, 2 * cos * sin
        places = self._convolver.places(*turned)

        @cache
        def light(name):
            return self._convolver.light(places, derivative=name, **optics)

        def turning():
            # Turning moves the light along a circle, and turns the ellipse of the PSF.
            right, up = self._arcsec_from_centre(*turned)
            moved = light("dy") * (right - optics["dx"]) - light("dx") * (up - optics["dy"])
            if e1 != 0 or e2 != 0:
                moved = moved + 2 * (optics["e2"] * light("e1") - optics["e1"] * light("e2"))
            return np.radians(scale * moved)

        derivatives = {
            "scale": lambda: light(None),
            "bg": lambda: np.ones(np.broadcast_shapes(np.shape(x), np.shape(y))),
            "dx": lambda: scale * (cos * light("dx") - sin * light("dy")),
            "dy": lambda: scale * (sin * light("dx") + cos * light("dy")),
            "fwhm": lambda: scale * light("fwhm"),
            "beta": lambda: scale * light("beta"),
            "bg_x": lambda: self._arcsec_from_centre(x, y)[0],
            "bg_y": lambda: self._arcsec_from_centre(x, y)[1],
            "rotation": turning,
            "e1": lambda: scale * (cos_2 * light("e1") - sin_2 * light("e2")),
            "e2": lambda: scale * (sin_2 * light("e1") + cos_2 * light("e2")),
        }
        return [derivatives[key]() for key in keys]

    def _arcsec_from_centre(self, x, y):
        ny, nx = self.template.muse_shape
        height, width = self.template.pixel_scale
        x, y = np.broadcast_arrays(x, y)
        return (x - (nx - 1) / 2) * width, (y - (ny - 1) / 2) * height

    def _template_frame(self, x, y, dx, dy, fwhm, beta, rotation, e1, e2):
        """
        Return the optics and the coordinates with a rotation carried over to them.

        A circular PSF does not care whether it comes before or after the rotation, so
        that places and the ellipse are turned back instead of the template.
        """
        cos, sin = _cos_sin(rotation)
        cos_2, sin_2 = cos**2 - sin**2, 2 * cos * sin
        optics = {
            "fwhm": float(np.squeeze(fwhm)),
            "beta": float(np.squeeze(beta)),
            "dx": float(np.squeeze(cos * dx + sin * dy)),
            "dy": float(np.squeeze(-sin * dx + cos * dy)),
            "e1": float(np.squeeze(cos_2 * e1 + sin_2 * e2)),
            "e2": float(np.squeeze(-sin_2 * e1 + cos_2 * e2)),
        }
        if sin == 0:
            return optics, np.broadcast_arrays(x, y)
        right, up = self._arcsec_from_centre(x, y)
        height, width = self.template.pixel_scale
        turned = x + ((cos - 1) * right + sin * up) / width, y + (-sin * right + (cos - 1) * up) / height
        return optics, turned


def _cos_sin(rotation):
    angle = np.radians(float(np.squeeze(rotation)))
    return np.cos(angle), np.sin(angle)
