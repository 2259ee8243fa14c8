"""A template as MUSE sees it: convolved light, and its derivatives."""

from functools import cached_property

import numpy as np
from scipy import fft, ndimage

from astropy_imphot.errors import UserError
from astropy_imphot.otf import (
    RadialTable,
    decimation_window,
    elliptical_radius,
    frequencies,
    moffat_otf,
    moffat_otf_and_derivatives,
)
from astropy_imphot.resample import fold_spectrum, refine_spectrum

__all__ = ["TemplateConvolver"]

# Frequencies at which a decimation window left less than this cannot be restored.
LEAST_WINDOW = 0.01

# Samples per MUSE pixel and axis, and degree of the splines, for values between the pixels.
FINE = 5
DEGREE = 5

# What lies beyond the template is sky as a rule: it counts so much less than pixels
# within it that were not observed.
BEYOND_WEIGHT = 0.2


class TemplateConvolver:
    """
    Convolves a template with a Moffat PSF, less the PSF of HST.

    Parameters
    ----------
    template : `HstTemplate`
        What HST saw.
    hst_fwhm, hst_beta : float
        The Moffat PSF of the HST image, fwhm in arcsec.

    Raises
    ------
    UserError
        If ``hst_fwhm`` is negative or ``hst_beta`` is 1 or less.

    Notes
    -----
    With F the Fourier transform, the light is F^-1[F[template] / window * OTF_muse /
    OTF_hst * phase] at the centres of the MUSE pixels. Frequencies above MUSE's Nyquist
    frequency appear at lower ones, as they do in MUSE images of a narrow PSF. The last
    result is kept, for fitters ask for the model and then for its derivatives at the
    same parameters.

    Examples
    --------
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.convolution import TemplateConvolver
    >>> from astropy_imphot.simulate import simulate_field
    >>> field = simulate_field(seed=1, size=10.0)
    >>> convolver = TemplateConvolver(make_template(field.hst, field.muse[0]), 0.085, 1.6)
    >>> convolver.light(5.0, 7.0, fwhm=0.7, beta=2.5).shape
    ()
    """

    def __init__(self, template, hst_fwhm, hst_beta):
        if not (hst_fwhm > 0 and 1 < hst_beta <= 100):
            raise UserError(
                f"the HST PSF has FWHM {hst_fwhm} and beta {hst_beta}: give hst_fwhm (arcsec) above "
                "0 and hst_beta above 1 and up to 100."
            )
        self.template = template
        self.hst_fwhm = hst_fwhm
        self.hst_beta = hst_beta
        self._last_spectrum = (None, None)
        self._last_image = (None, None)

    def __deepcopy__(self, memo):
        # Results depend on the arguments alone, so that copies of a model can share it.
        return self

    def __reduce__(self):
        return type(self), (self.template, self.hst_fwhm, self.hst_beta)

    @cached_property
    def _radius(self):
        return np.hypot(*self.template.frequencies)

    @cached_property
    def _table(self):
        return RadialTable(self._radius)

    @cached_property
    def _deconvolved(self):
        """The template's spectrum without what HST and a decimation filter did to it."""
        window = decimation_window(self.template.window, self._radius, self.template.nyquist)
        restorable = window > LEAST_WINDOW
        otf = moffat_otf(self._table.nodes, self.hst_fwhm, self.hst_beta)
        response = np.where(restorable, window, 1) * self._table(otf)
        return np.where(restorable, self.template.spectrum, 0) / response

    def light(self, x, y, *, derivative=None, fwhm, beta, dx=0.0, dy=0.0, e1=0.0, e2=0.0):
        """
        Return the template as MUSE sees it, or a derivative of that.

        Parameters
        ----------
        x, y : arrays
            MUSE pixel coordinates, 0 at the centre of the first pixel.
        derivative : {"fwhm", "beta", "dx", "dy", "e1", "e2"}, optional
            With respect to which parameter. By default (None) the light itself.
        fwhm, beta : float
            The MUSE PSF, fwhm in arcsec.
        dx, dy : float
            Shift along the pixel axes, arcsec.
        e1, e2 : float
            Ellipticity of the MUSE PSF, as for `~astropy_imphot.otf.elliptical_radius`.

        Returns
        -------
        array
            Flux per MUSE pixel, per arcsec for the derivatives in fwhm, dx and dy; 0
            outside the template.
        """
        optics = (fwhm, beta, dx, dy, e1, e2)
        x = np.asarray(x, dtype=float) + self.template.margin[1]
        y = np.asarray(y, dtype=float) + self.template.margin[0]
        ny, nx = self.template.grid_shape
        inside = (x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        column, row = x.astype(int), y.astype(int)
        if np.array_equal(column, x) and np.array_equal(row, y):
            values = self._on_pixels(derivative, optics)[row, column]
        else:
            # Band-limited images are interpolated to about 1e-6 of their range this way.
            finer = self._finer(derivative, optics)
            values = ndimage.map_coordinates(finer, [FINE * y, FINE * x], order=DEGREE, mode="grid-wrap")
        return values if inside.all() else np.where(inside, values, 0)

    def missing(self, *, fwhm, beta, dx=0.0, dy=0.0):
        """
        Return the fraction of the kernel that lies on pixels that HST did not observe.

        Parameters
        ----------
        fwhm, beta, dx, dy
            As for `light`.

        Returns
        -------
        array of shape ``template.grid_shape``
            Fractions; sky beyond the template counts a fifth.
        """
        missing = self.template.missing_on_grid()
        if missing is None:
            missing = np.zeros(self.template.grid_shape)
        ny, nx = missing.shape
        padded = np.pad(missing, ((0, ny), (0, nx)), constant_values=BEYOND_WEIGHT)
        fy, fx = frequencies(padded.shape, self.template.pixel_scale)
        nodes = self._table.nodes
        # A mask needs no more than linear interpolation.
        otf = np.interp(np.hypot(fy, fx), nodes, moffat_otf(nodes, fwhm, beta))
        spectrum = fft.rfft2(padded) * otf * np.exp(-2j * np.pi * (fy * dy + fx * dx))
        return fft.irfft2(spectrum, s=padded.shape)[:ny, :nx]

    def _on_pixels(self, derivative, optics):
        key, image = self._last_image
        if derivative is None and key == optics:
            return image
        folded = fold_spectrum(self._spectrum(derivative, optics), self.template.oversample)
        image = fft.irfft2(folded, s=self.template.grid_shape)
        if derivative is None:
            self._last_image = (optics, image)
        return image

    def _finer(self, derivative, optics):
        shape = tuple(FINE * size for size in self.template.grid_shape)
        return fft.irfft2(
            refine_spectrum(self._spectrum(derivative, optics), self.template.data.shape, shape), s=shape
        )

    def _spectrum(self, derivative, optics):
        key, spectrum = self._last_spectrum
        if key != optics:
            fwhm, beta, dx, dy, e1, e2 = optics
            spectrum = self._shifted(self._otf(fwhm, beta, e1, e2)[0], dx, dy)
            self._last_spectrum = (optics, spectrum)
        return spectrum if derivative is None else self._derivative(derivative, spectrum, *optics)

    def _otf(self, fwhm, beta, e1, e2, derivatives=False, beta_derivative=False):
        """Return the MUSE transfer function and, if asked for, its derivatives."""

        def at(nodes):
            if derivatives:
                return moffat_otf_and_derivatives(nodes, fwhm, beta, beta_derivative)
            return moffat_otf(nodes, fwhm, beta)[np.newaxis]

        if e1 == 0 and e2 == 0:
            return self._table(at(self._table.nodes))
        return at(elliptical_radius(*self.template.frequencies, e1, e2))

    def _derivative(self, name, spectrum, fwhm, beta, dx, dy, e1, e2):
        fy, fx = self.template.frequencies
        if name == "dx":
            return -2j * np.pi * fx * spectrum
        if name == "dy":
            return -2j * np.pi * fy * spectrum
        _, d_fwhm, d_beta = self._otf(fwhm, beta, e1, e2, derivatives=True, beta_derivative=name == "beta")
        if name == "beta":
            return self._shifted(d_beta, dx, dy)
        if name == "fwhm":
            return self._shifted(d_fwhm, dx, dy)
        # The transfer function depends on fwhm times radius only.
        square = (1 + e1) * fx**2 + 2 * e2 * fx * fy + (1 - e1) * fy**2
        square[0, 0] = 1
        slope, ellipticity = {"e1": (fx**2 - fy**2, e1), "e2": (2 * fx * fy, e2)}[name]
        d_log_radius = 0.5 * (slope / square + ellipticity / (1 - e1**2 - e2**2))
        return self._shifted(fwhm * d_fwhm * d_log_radius, dx, dy)

    def _shifted(self, otf, dx, dy):
        fy, fx = self.template.frequencies
        return self._deconvolved * otf * np.exp(-2j * np.pi * fy * dy) * np.exp(-2j * np.pi * fx * dx)
