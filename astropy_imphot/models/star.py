"""A model for astropy.modeling: a star with a Moffat profile."""

import astropy.units as u
import numpy as np
from astropy.modeling import Fittable2DModel, Parameter

from astropy_imphot.io.quantities import to_value
from astropy_imphot.psf.moffat import MOFFAT

__all__ = ["MoffatStar2D"]


class MoffatStar2D(Fittable2DModel):
    r"""
    A star with a Moffat profile, on a background.

    Parameters
    ----------
    flux : float or `~astropy.units.Quantity`
        The integral of the profile over the plane (default: 1).
    x_0, y_0 : float or `~astropy.units.Quantity`
        The star's position (default: 0).
    fwhm : float or `~astropy.units.Quantity`
        Full width at half maximum, in the unit of x and y (default: 3).
    beta : float or `~astropy.units.Quantity`
        Exponent (default: 2.5; bounds 1.05 and 100).
    bg : float or `~astropy.units.Quantity`
        Background (default: 0).
    **kwargs
        For `~astropy.modeling.Fittable2DModel`: name, fixed, bounds, tied.

    See Also
    --------
    fit_star_photometry : fits it to a star in the HST and the MUSE image.

    Notes
    -----
    With r the distance from (x_0, y_0),

    .. math::

        f(r) = \mathrm{flux} \cdot \frac{\beta - 1}{\pi a^2} \left(1 + \frac{r^2}{a^2}\right)^{-\beta}
            + \mathrm{bg}, \qquad a = \frac{\mathrm{fwhm}}{2 \sqrt{2^{1/\beta} - 1}}

    so that the flux is the integral for any fwhm and beta above 1 (Moffat 1969, A&A 3,
    455). The profile is sampled at the pixels' centers: it is that of the
    effective PSF, which includes the response of the pixels. The derivatives are analytic. Parameters can
    be quantities: x_0, y_0 and fwhm in units of x and y, flux and bg in units of the values. The
    ``bounding_box`` is where the profile is above 1e-4 of its peak, or within 30 FWHM.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot import MoffatStar2D
    >>> star = MoffatStar2D(flux=100.0, x_0=50.2, y_0=49.7, fwhm=3.5, beta=4.0)
    >>> y, x = np.mgrid[:100, :100]
    >>> round(float(star(x, y).sum()), 1)
    100.0
    """

    flux = Parameter(default=1.0, description="integral of the profile")
    x_0 = Parameter(default=0.0, description="position along x")
    y_0 = Parameter(default=0.0, description="position along y")
    fwhm = Parameter(default=3.0, bounds=(1e-3, None), description="full width at half maximum")
    beta = Parameter(default=2.5, bounds=(1.05, 100.0), description="exponent")
    bg = Parameter(default=0.0, description="background")

    @property
    def bounding_box(self):
        """Where the profile is above 1e-4 of its peak, or within 30 FWHM: the limits of y and those of x."""
        reach = self.fwhm.value * min(
            30, 0.5 * np.sqrt((1e4 ** (1 / self.beta.value) - 1) / (2 ** (1 / self.beta.value) - 1))
        )
        return (
            (self.y_0.value - reach, self.y_0.value + reach),
            (self.x_0.value - reach, self.x_0.value + reach),
        )

    @property
    def input_units(self):
        """The units of x and y: those of the position, if it has any."""
        units = dict(zip(self.inputs, (self.x_0.unit, self.y_0.unit), strict=True))
        if None in units.values():
            return None
        to_value(self.y_0.quantity, self.x_0.unit, "y_0")
        return units

    def _parameter_units_for_data_units(self, inputs_unit, outputs_unit):
        along_x, along_y = (inputs_unit[name] for name in self.inputs)
        if along_x != along_y:
            raise u.UnitsError("x and y have different units: give both in one.")
        flux = outputs_unit[self.outputs[0]]
        return dict.fromkeys(("x_0", "y_0", "fwhm"), along_x) | dict.fromkeys(("flux", "bg"), flux)

    @staticmethod
    def evaluate(x, y, flux, x_0, y_0, fwhm, beta, bg):
        """
        Return the model's values.

        Parameters
        ----------
        x, y : float or arrays that broadcast
            Coordinates, such as pixels.
        flux, x_0, y_0, fwhm, beta, bg : float
            The parameters, as for `MoffatStar2D`.

        Returns
        -------
        float or array of the shape of x and y
            The profile and the background.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot import MoffatStar2D
        >>> star = MoffatStar2D(flux=100.0, fwhm=3.5)
        >>> peak, half = star.evaluate(np.array([0.0, 1.75]), 0.0, *star.parameters)
        >>> round(float(half / peak), 3)
        0.5
        """
        length, flux_unit = (getattr(one, "unit", None) or u.dimensionless_unscaled for one in (x_0, flux))
        lengths = {"x": x, "y": y, "x_0": x_0, "y_0": y_0, "fwhm": fwhm}
        x, y, x_0, y_0, fwhm = (to_value(value, length, name) for name, value in lengths.items())
        beta = to_value(beta, u.dimensionless_unscaled, "beta")
        bg = to_value(bg, flux_unit, "bg")
        if isinstance(flux, u.Quantity):
            bg = u.Quantity(bg, flux_unit)
        return flux * MOFFAT.profile(np.hypot(x - x_0, y - y_0), fwhm=fwhm, beta=beta) + bg

    @staticmethod
    def fit_deriv(x, y, flux, x_0, y_0, fwhm, beta, bg):
        """
        Return the derivatives with respect to all parameters, for fitters.

        Parameters
        ----------
        x, y : float or arrays that broadcast
            Coordinates, such as pixels.
        flux, x_0, y_0, fwhm, beta, bg : float
            The parameters, as for `MoffatStar2D`.

        Returns
        -------
        list of 6 arrays of the shape of x and y
            The derivatives, in the order of the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot import MoffatStar2D
        >>> star = MoffatStar2D(flux=100.0)
        >>> derivatives = star.fit_deriv(np.array([1.0, 2.0]), np.array([0.0, 0.0]), *star.parameters)
        >>> derivatives[-1]
        array([1., 1.])
        """
        root = 2 ** (1 / beta)
        square = (fwhm / 2) ** 2 / (root - 1)
        ratio = ((x - x_0) ** 2 + (y - y_0) ** 2) / square
        unit = (beta - 1) / (np.pi * square) * (1 + ratio) ** -beta
        light = flux * unit
        # Derivative with respect to the logarithm of a^2, which depends on fwhm and beta.
        d_log_square = light * (beta * ratio / (1 + ratio) - 1)
        d_log_square_d_beta = root * np.log(2) / (beta**2 * (root - 1))
        return [
            unit,
            light * 2 * beta * (x - x_0) / square / (1 + ratio),
            light * 2 * beta * (y - y_0) / square / (1 + ratio),
            d_log_square * 2 / fwhm,
            light * (1 / (beta - 1) - np.log1p(ratio)) + d_log_square * d_log_square_d_beta,
            np.ones_like(unit),
        ]

    def derivatives(self, x, y, keys):
        """
        Return the derivatives with respect to some of the parameters.

        Parameters
        ----------
        x, y : float or arrays that broadcast
            Coordinates, such as pixels.
        keys : sequence of str
            Names of p parameters.

        Returns
        -------
        list of p arrays of the shape of x and y
            The derivatives, in the order of ``keys``.

        Examples
        --------
        >>> import numpy as np
        >>> from astropy_imphot import MoffatStar2D
        >>> MoffatStar2D().derivatives(np.array([1.0, 2.0]), np.array([0.0, 0.0]), ["bg"])
        [array([1., 1.])]
        """
        every = dict(zip(self.param_names, self.fit_deriv(x, y, *self.parameters), strict=True))
        return [every[key] for key in keys]
