"""The interface of PSF shapes: parameters, transfer function, profile and enclosed flux."""

from dataclasses import dataclass, field

__all__ = ["LOG_FREQUENCY", "LOG_RADIUS", "CircularPsf", "PsfShape", "central_difference"]

# The name of the derivative with respect to the logarithm of the frequency, which an elongation needs.
LOG_FREQUENCY = "log_frequency"

# The name of the derivative with respect to the logarithm of the radius, which a shift needs.
LOG_RADIUS = "log_radius"

# Steps of a five-point central difference, and their weights.
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


class PsfShape:
    """
    The shape of a circular PSF of unit volume: the base class of all shapes.

    A shape is one class in one file. It has ``parameters`` and defines `otf`, `profile` and `enclosed_flux`;
    `otf_derivative` and `profile_derivative` are by differences unless the shape has formulas. Shapes have no
    state: they can be compared and pickled.

    Attributes
    ----------
    name : str
        The shape's name.
    parameters : tuple of `~astropy_imphot.parameters.ParameterInfo`
        Of the kind "psf". One of them is ``fwhm``, the full width at half maximum in arcsec.
    fsf_mode : int or None
        The value of MPDAF's keyword FSFMODE for this shape; None if MPDAF has no such shape.
    fsf_letters : dict of str to str
        The letters by which MPDAF's keywords name the parameters.

    See Also
    --------
    astropy_imphot.psf.moffat.Moffat : the shape that fits have by default.

    Examples
    --------
    A Gaussian, whose derivatives are by differences:

    >>> import numpy as np
    >>> from astropy_imphot.parameters import ParameterInfo
    >>> from astropy_imphot.psf.shape import LOG_FREQUENCY, PsfShape
    >>> class Gaussian(PsfShape):
    ...     name = "Gaussian"
    ...     parameters = (ParameterInfo(name="fwhm", words="FWHM", kind="psf", unit="arcsec", default=0.7),)
    ...     def otf(self, frequency, fwhm):
    ...         return np.exp(-((np.pi * fwhm * frequency) ** 2) / (4 * np.log(2)))
    >>> round(float(Gaussian().otf_derivative(1.0, "fwhm", fwhm=0.7)), 6)
    -0.871006
    >>> round(float(Gaussian().otf_derivative(1.0, LOG_FREQUENCY, fwhm=0.7) / 0.7), 6)
    -0.871006
    >>> Gaussian() == Gaussian()
    True
    """

    name = ""
    parameters = ()
    fsf_mode = None
    fsf_letters = {}  # noqa: RUF012

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return hash(type(self))

    def __repr__(self):
        return f"{type(self).__name__}()"

    @property
    def names(self):
        """Names of the parameters, a tuple of str."""
        return tuple(row.name for row in self.parameters)

    def otf(self, frequency, **values):
        """
        Return the transfer function.

        Parameters
        ----------
        frequency : float or array
            Radial frequencies, cycles/arcsec.
        **values : float
            The parameters, in their units.

        Returns
        -------
        float or array of the shape of ``frequency``
            1 at frequency 0.

        Examples
        --------
        See `PsfShape`.
        """
        raise NotImplementedError

    def otf_derivative(self, frequency, name, **values):
        """
        Return a derivative of the transfer function.

        Parameters
        ----------
        frequency : float or array
            Radial frequencies, cycles/arcsec.
        name : str
            A parameter, or ``"log_frequency"`` for the derivative with respect to the logarithm of the
            frequency.
        **values : float
            The parameters, in their units.

        Returns
        -------
        float or array of the shape of ``frequency``
            The derivative, per unit of the parameter.

        Examples
        --------
        See `PsfShape`.
        """
        if name == LOG_FREQUENCY:
            return central_difference(lambda factor: self.otf(factor * frequency, **values), 1.0, 1e-3)
        return central_difference(
            lambda value: self.otf(frequency, **(values | {name: value})), values[name], 1e-3 * values[name]
        )

    def profile(self, radius, **values):
        """
        Return the surface brightness.

        Parameters
        ----------
        radius : float or array
            Distances from the center, arcsec.
        **values : float
            The parameters, in their units.

        Returns
        -------
        float or array of the shape of ``radius``
            Per square arcsec; its integral over the plane is 1.

        Examples
        --------
        See `~astropy_imphot.psf.moffat.Moffat`.
        """
        raise NotImplementedError

    def profile_derivative(self, radius, name, **values):
        """
        Return a derivative of the surface brightness.

        Parameters
        ----------
        radius : float or array
            Distances from the center, arcsec.
        name : str
            A parameter, or ``"log_radius"`` for the derivative with respect to the logarithm of the radius.
        **values : float
            The parameters, in their units.

        Returns
        -------
        float or array of the shape of ``radius``
            Per square arcsec and per unit of the parameter.

        Examples
        --------
        See `~astropy_imphot.psf.moffat.Moffat`.
        """
        if name == LOG_RADIUS:
            return central_difference(lambda factor: self.profile(factor * radius, **values), 1.0, 1e-3)
        return central_difference(
            lambda value: self.profile(radius, **(values | {name: value})), values[name], 1e-3 * values[name]
        )

    def enclosed_flux(self, radius, **values):
        """
        Return the fraction of the flux that is within a radius.

        Parameters
        ----------
        radius : float or array
            Distances from the center, arcsec.
        **values : float
            The parameters, in their units.

        Returns
        -------
        float or array of the shape of ``radius``
            From 0 to 1.

        Examples
        --------
        See `~astropy_imphot.psf.moffat.Moffat`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CircularPsf:
    """
    A PSF of some shape and known parameters, such as that of the HST image.

    Attributes
    ----------
    shape : PsfShape
        The shape.
    values : dict of str to float
        Its parameters.

    Examples
    --------
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}).values["beta"]
    1.6
    """

    shape: PsfShape
    values: dict = field(hash=False)

    def otf_on(self, aliases, axes=None):
        """
        Return the transfer function at the frequencies of a template.

        Parameters
        ----------
        aliases : `~astropy_imphot.psf.spectra.AliasedFrequencies`
            The frequencies.
        axes : array of shape (2, 2), optional
            The orientation of the PSF, ignored because it is circular.

        Returns
        -------
        array
            At each frequency.

        Examples
        --------
        >>> from astropy_imphot.psf.moffat import MOFFAT
        >>> from astropy_imphot.psf.shape import CircularPsf
        >>> from astropy_imphot.psf.spectra import AliasedFrequencies
        >>> aliases = AliasedFrequencies((10, 10), 2, (0.2, 0.2))
        >>> float(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}).otf_on(aliases).max())
        1.0
        """
        return aliases.radial(self.shape.otf(aliases.table.nodes, **self.values))


def central_difference(function, value, step):
    """
    Return a derivative by five points.

    Parameters
    ----------
    function : callable
        Of one number; it gives a number or an array.
    value : float
        Where the derivative is wanted.
    step : float
        Between the points.

    Returns
    -------
    float or array
        The derivative, with an error of the order of ``step**4``.

    Examples
    --------
    >>> from astropy_imphot.psf.shape import central_difference
    >>> round(central_difference(lambda x: x**3, 2.0, 0.01), 6)
    12.0
    """
    return sum(weight / step * function(value + shift * step) for shift, weight in STENCIL)
