"""The convolution of a template with the MUSE PSF, and its derivatives."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import fft, ndimage, special

from astropy_imphot.io.representation import Representation
from astropy_imphot.models.positions import Places
from astropy_imphot.psf.fourier import decimation_window, elliptical_radius, frequencies, gaussian_otf
from astropy_imphot.psf.shape import LOG_FREQUENCY
from astropy_imphot.psf.spectra import refine_spectrum

__all__ = ["NoiseProducts", "Optics", "TemplateConvolver"]

# Frequencies are restored if the OTF of HST times the decimation window is at least this.
LEAST_RESPONSE = 0.01

# For values between the pixels: samples per MUSE pixel and axis, the degree of the splines, and the values of
# such a B-spline at 0, 1 and 2 (Unser 1999, IEEE Signal Process. Mag. 16, 22).
FINE = 5
DEGREE = 5
B_SPLINE = (66 / 120, 26 / 120, 1 / 120)

# The light and its derivatives with respect to these parameters are folded in one step, and kept: fitters
# need all of them for the same values.
FOLDED = (None, "dx", "dy")

# Derivatives of the squared elliptical radius of the frequencies.
ELLIPTICITY = {"e1": lambda fx, fy: fx**2 - fy**2, "e2": lambda fx, fy: 2 * fx * fy}

# Beyond the template there are few sources: the weight of that sky, where unobserved pixels in the template
# have 1.
BEYOND_WEIGHT = 0.2


@dataclass(frozen=True)
class Optics:
    """
    The PSF and the shift of a template in a MUSE image.

    Attributes
    ----------
    psf : tuple of (str, float)
        Names and values of the parameters of the MUSE PSF.
    dx, dy : float
        Shift along the pixel axes, arcsec (default: 0).
    e1, e2 : float
        Ellipticity of the MUSE PSF, as for `~astropy_imphot.psf.fourier.elliptical_radius` (default: 0).
    """

    psf: tuple
    dx: float = 0.0
    dy: float = 0.0
    e1: float = 0.0
    e2: float = 0.0


@dataclass(frozen=True, eq=False)
class NoiseProducts:
    """
    Moments of the convolved noise of a template.

    The noise of the template is white, with a variance of 1 in the sum over a MUSE pixel.

    Attributes
    ----------
    gram : array of shape (1 + n, 1 + n)
        Mean products of the noise of the convolved light and of its derivatives with respect to
        the n parameters of the PSF.
    gradient : float
        Mean square of its derivative with respect to dx, and to dy.
    stretch : float
        Mean square of its derivative with respect to the logarithm of the PSF's size.
    products : NoiseProducts or None
        The same of the products of the noise and its derivatives: with the squares of the powers.
    frequencies, power : arrays of shape (n,)
        Its power spectrum: the contribution of each radial frequency (cycles/arcsec) to the
        variance.
    pixel_scale : (float, float)
        Height and width of a MUSE pixel, arcsec.
    """

    gram: np.ndarray
    gradient: float
    stretch: float
    frequencies: np.ndarray
    power: np.ndarray
    pixel_scale: tuple
    products: "NoiseProducts | None" = None

    def autocorrelation(self, max_lag):
        """Return the mean products of values up to max_lag pixels apart along each axis."""
        lags = np.arange(-max_lag, max_lag + 1)
        away = np.hypot(lags[:, np.newaxis] * self.pixel_scale[0], lags * self.pixel_scale[1])
        return special.j0(2 * np.pi * away[..., np.newaxis] * self.frequencies) @ self.power


class TemplateConvolver(Representation):
    """
    Convolve a template with the MUSE PSF, and deconvolve it from the HST PSF.

    Parameters
    ----------
    template : `HstTemplate`
        The HST image in and around the MUSE field.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The shape of the MUSE PSF.
    hst_psf : `~astropy_imphot.psf.shape.CircularPsf` or `HstPsf`
        The PSF of the HST image.
    smoothing : float
        FWHM of the Gaussian by which the MUSE image was smoothed, arcsec (default: 0, it was not).

    Notes
    -----
    With F the Fourier transform, the light is F^-1[F[template] / window * OTF_muse /
    OTF_hst * phase * smoothing] at the centers of the MUSE pixels. Frequencies above MUSE's Nyquist
    frequency appear at lower ones, as they do in MUSE images of a narrow PSF. The last
    result is kept: fitters evaluate the model and then its derivatives at the
    same parameters.

    Examples
    --------
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.models.convolver import Optics, TemplateConvolver
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> hst_psf = CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6})
    >>> convolver = TemplateConvolver(make_template(field.hst, field.muse[0]), MOFFAT, hst_psf)
    >>> optics = Optics((("fwhm", 0.7), ("beta", 2.5)))
    >>> convolver.light(convolver.places(5.0, 7.0), optics).shape
    ()
    """

    def __init__(self, template, psf, hst_psf, smoothing=0.0):
        self.template = template
        self.psf = psf
        self.hst_psf = hst_psf
        self.smoothing = smoothing
        self._turned = (0.0, self)
        self._last_images = (None, {})
        self._last_places = (None, None, None)

    def _represented(self):
        shown = {"template": self.template, "psf": self.psf, "hst_psf": self.hst_psf}
        return shown | {"smoothing": self.smoothing} if self.smoothing else shown

    def __deepcopy__(self, memo):
        # Results depend only on the arguments, so that copies of a model can share the convolver.
        return self

    def __reduce__(self):
        return type(self), (self.template, self.psf, self.hst_psf, self.smoothing)

    def without_results(self):
        """Return a convolver with the same arrays, and without arrays that were computed from them."""
        return type(self)(replace(self.template), self.psf, self.hst_psf, self.smoothing)

    def turned(self, angle):
        """
        Return the convolver of the template rotated about the center of the MUSE image.

        Parameters
        ----------
        angle : float
            From x towards y, degrees.

        Returns
        -------
        TemplateConvolver
            This one for 0; the last one is kept.
        """
        if angle == 0:
            return self
        if self._turned[0] != angle:
            turned = self.template.turned(angle)
            self._turned = angle, type(self)(turned, self.psf, self.hst_psf, self.smoothing)
        return self._turned[1]

    @property
    def _aliases(self):
        return self.template.aliases

    @cached_property
    def _window(self):
        radius = np.hypot(self._aliases.fy, self._aliases.fx)
        return decimation_window(self.template.window, radius, self.template.nyquist)

    @cached_property
    def _response(self):
        """
        The HST OTF times the decimation window, divided by that of the smoothing.

        It is infinite at frequencies that cannot be restored.
        """
        otf = self.hst_psf.otf_on(self._aliases, self.template.hst_axes)
        response = self._window * otf
        smooth = gaussian_otf(np.hypot(self._aliases.fy, self._aliases.fx), self.smoothing)
        restored = (np.abs(response) > LEAST_RESPONSE * smooth) & (smooth > 0)
        return np.divide(
            response, smooth, out=np.full(response.shape, np.inf, dtype=response.dtype), where=restored
        )

    @cached_property
    def _deconvolved(self):
        """The template's spectrum, deconvolved from the HST PSF and the decimation filter."""
        return self._aliases.split(self.template.spectrum) / self._response

    def places(self, x, y):
        """
        Return the positions of pixel coordinates in the template.

        Parameters
        ----------
        x, y : arrays
            MUSE pixel coordinates, 0 at the center of the first pixel.

        Returns
        -------
        `~astropy_imphot.models.positions.Places`
            For `light`, which returns several derivatives at the same places.
        """
        last_x, last_y, places = self._last_places
        if not (np.array_equal(x, last_x) and np.array_equal(y, last_y)):
            x, y = np.array(x, dtype=float), np.array(y, dtype=float)
            places = Places.within(self.template, x, y)
            self._last_places = (x, y, places)
        return places

    def light(self, places, optics, derivative=None):
        """
        Return the convolved template, or a derivative of it.

        Parameters
        ----------
        places : `~astropy_imphot.models.positions.Places`
            From `places`.
        optics : Optics
            The PSF and the shift.
        derivative : str, optional
            The parameter of the derivative: one of the PSF, or dx, dy, e1 or e2. By default (None) the
            light is returned.

        Returns
        -------
        array
            Flux per MUSE pixel, per unit of the parameter; 0 outside the template.
        """
        if places.index is not None:
            values = np.take(self._on_pixels(derivative, optics), places.index)
        else:
            # For band-limited images the error is about 1e-6 of their range.
            values = ndimage.map_coordinates(
                self._spline(derivative, optics),
                [FINE * places.y, FINE * places.x],
                order=DEGREE,
                prefilter=False,
                mode="grid-wrap",
            )
        return values if places.inside is None else np.where(places.inside, values, 0)

    def missing(self, optics):
        """
        Return the fraction of the kernel that lies on pixels that HST did not observe.

        Parameters
        ----------
        optics : Optics
            The PSF and the shift.

        Returns
        -------
        array of shape ``template.grid_shape``
            Fractions; sky beyond the template has a weight of 0.2.
        """
        spectrum, radius, (fy, fx) = self._missing_spectrum
        nodes = self._aliases.table.nodes
        # Linear interpolation is sufficient for a mask.
        otf = np.interp(radius, nodes, self.psf.otf(nodes, **dict(optics.psf)))
        ny, nx = self.template.grid_shape
        shifted = spectrum * otf * np.exp(-2j * np.pi * (fy * optics.dy + fx * optics.dx))
        return fft.irfft2(shifted, s=(2 * ny, 2 * nx))[:ny, :nx]

    @cached_property
    def _missing_spectrum(self):
        """The transform of the unobserved fraction in and around the template, and its frequencies."""
        ny, nx = self.template.grid_shape
        missing = self.template.missing_on_grid()
        if missing is None:
            missing = np.zeros((ny, nx))
        padded = np.pad(missing, ((0, ny), (0, nx)), constant_values=BEYOND_WEIGHT)
        both = frequencies(padded.shape, self.template.pixel_scale)
        return fft.rfft2(padded), np.hypot(*both), both

    def most_missing(self, optics):
        """
        Return an upper limit of `missing` at the MUSE pixels, which takes no time to compute.

        Parameters
        ----------
        optics : Optics
            The PSF and the shift.

        Returns
        -------
        float
            The limit; 1 if the template has unobserved samples.
        """
        if self.template.missing is not None:
            return 1.0
        edges = [
            min(before, length - size - before) * scale - abs(shift)
            for before, length, size, scale, shift in zip(
                self.template.margin,
                self.template.grid_shape,
                self.template.muse_shape,
                self.template.pixel_scale,
                (optics.dy, optics.dx),
                strict=True,
            )
        ]
        return BEYOND_WEIGHT * float(1 - self.psf.enclosed_flux(max(min(edges), 0), **dict(optics.psf)))

    def noise_products(self, optics):
        """
        Return the moments of the template's white noise in the convolved light.

        Parameters
        ----------
        optics : Optics
            The PSF.

        Returns
        -------
        NoiseProducts
            For noise of variance 1 in the sum over a MUSE pixel.
        """
        nodes = self._aliases.table.nodes
        values = dict(optics.psf)
        derivatives = [self.psf.otf_derivative(nodes, name, **values) for name in values]
        terms = np.array([self.psf.otf(nodes, **values), *derivatives])
        stretch = self.psf.otf_derivative(nodes, LOG_FREQUENCY, **values)

        def moments(weights, products):
            squares = weights * terms[0] ** 2
            return NoiseProducts(
                gram=(weights * terms) @ terms.T,
                # Half of it is along each axis.
                gradient=float(np.sum(squares * (2 * np.pi * nodes) ** 2) / 2),
                stretch=float(np.sum(weights * stretch**2)),
                frequencies=nodes,
                power=squares,
                pixel_scale=self.template.pixel_scale,
                products=products,
            )

        weights, squares = self._noise_weights
        return moments(weights, moments(squares * terms[0] ** 2, None))

    @cached_property
    def _noise_weights(self):
        """The weights for sums over all frequencies of powers, and of their squares: at the table's nodes."""
        # The decimation window filtered the noise, too.
        modes = np.abs(self._window / self._response) ** 2
        area = self.template.oversample**2 / self.template.data.size
        return [self._aliases.node_sums(power * area) for power in (modes, modes**2)]

    def _on_pixels(self, derivative, optics):
        key, images = self._last_images
        if key != optics:
            images = {}
            self._last_images = (optics, images)
        if derivative not in images:
            dx, dy = optics.dx, optics.dy
            fold = self._aliases.fold
            if derivative in FOLDED:
                if FOLDED not in images:
                    images[FOLDED] = fold(self._deconvolved, self._otf(None, optics), dx, dy, gradient=True)
                folded = images[FOLDED][FOLDED.index(derivative)]
            else:
                folded = fold(self._deconvolved, self._otf(derivative, optics), dx, dy)[0]
            images[derivative] = fft.irfft2(folded, s=self.template.grid_shape)
        return images[derivative]

    def _spline(self, derivative, optics):
        """Return the coefficients of a periodic spline through finer samples."""
        dx, dy = optics.dx, optics.dy
        fy, fx = self._aliases.fy, self._aliases.fx
        if derivative in FOLDED[1:]:
            factor = self._otf(None, optics) * (-2j * np.pi * (fx if derivative == "dx" else fy))
        else:
            factor = self._otf(derivative, optics)
        blocks = self._deconvolved * factor * np.exp(-2j * np.pi * fy * dy) * np.exp(-2j * np.pi * fx * dx)
        shape = tuple(FINE * size for size in self.template.grid_shape)
        spectrum = refine_spectrum(self._aliases.join(blocks), self.template.data.shape, shape)
        # The spline's coefficients are the samples divided by the B-spline's response (Unser 1999).
        middle, *around = B_SPLINE
        for axis in frequencies(shape, (1, 1)):
            terms = (2 * one * np.cos(2 * np.pi * lag * axis) for lag, one in enumerate(around, start=1))
            spectrum = spectrum / (middle + sum(terms))
        return fft.irfft2(spectrum, s=shape)

    def _otf(self, derivative, optics):
        """Return the MUSE transfer function, or a derivative of it, in blocks."""
        nodes, values, e1, e2 = self._aliases.table.nodes, dict(optics.psf), optics.e1, optics.e2
        along = ELLIPTICITY.get(derivative)
        if derivative is None:
            otf = self.psf.otf(nodes, **values)
        else:
            otf = self.psf.otf_derivative(nodes, LOG_FREQUENCY if along else derivative, **values)
        fy, fx = self._aliases.fy, self._aliases.fx
        if e1 == 0 and e2 == 0:
            otf = self._aliases.radial(otf)
        else:
            otf = self._aliases.table.at(otf, elliptical_radius(fy, fx, e1, e2))
        if along:
            square = (1 + e1) * fx**2 + 2 * e2 * fx * fy + (1 - e1) * fy**2
            square[0, 0] = 1
            ellipticity = getattr(optics, derivative)
            otf = otf * 0.5 * (along(fx, fy) / square + ellipticity / (1 - e1**2 - e2**2))
        return otf
