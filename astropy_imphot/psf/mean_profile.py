"""The mean radial profile of a PSF, of a function or an image."""

from dataclasses import dataclass

import numpy as np

from astropy_imphot.psf.shape import CircularPsf

__all__ = ["RadialPsf"]

# The response of the pixels makes a PSF at least so many pixels wide.
LEAST_FWHM = 1.3


@dataclass(frozen=True, eq=False)
class RadialPsf:
    """
    The mean radial profile of the PSF of the reference image.

    Parameters
    ----------
    psf : `~astropy_imphot.psf.shape.CircularPsf` or `~astropy_imphot.psf.images.HstPsf`
        The PSF.
    pixel : float
        Size of a pixel of the image, arcsec: with the response of the pixels, no PSF is narrower than 1.3 of
        them (default: 0).

    Examples
    --------
    >>> from astropy_imphot.psf.moffat import MOFFAT
    >>> from astropy_imphot.psf.shape import CircularPsf
    >>> from astropy_imphot.psf.mean_profile import RadialPsf
    >>> psf = RadialPsf(CircularPsf(MOFFAT, {"fwhm": 0.085, "beta": 1.6}))
    >>> round(float(psf(0.0425) / psf(0.0)), 2)
    0.5
    """

    psf: object
    pixel: float = 0.0

    def __post_init__(self):
        if isinstance(self.psf, CircularPsf):
            least = LEAST_FWHM * self.pixel
            if self.psf.values["fwhm"] < least:
                wider = CircularPsf(self.psf.shape, self.psf.values | {"fwhm": least})
                object.__setattr__(self, "psf", wider)
            return
        y, x = np.indices(self.psf.data.shape)
        height, width = self.psf.pixel_scale
        radius = np.hypot((y - self.psf.center[0]) * height, (x - self.psf.center[1]) * width).ravel()
        step = min(height, width)
        number = np.rint(radius / step).astype(int)
        counts = np.maximum(np.bincount(number), 1)
        radii = np.bincount(number, weights=radius) / counts
        means = np.bincount(number, weights=self.psf.data.ravel()) / counts / (height * width)
        # Corners have few pixels.
        used = radii <= min(self.psf.data.shape) / 2 * step
        object.__setattr__(self, "_table", (radii[used], np.maximum(means[used], 0)))

    @property
    def fwhm(self):
        """The full width at half maximum, arcsec."""
        if isinstance(self.psf, CircularPsf):
            return self.psf.values["fwhm"]
        radii, means = self._table
        below = int(np.argmax(means < 0.5 * means[0]))
        return 2 * float(
            np.interp(-0.5 * means[0], -means[below - 1 : below + 1], radii[below - 1 : below + 1])
        )

    def __call__(self, radius):
        """Return the surface brightness at radii in arcsec, per square arcsec, for a flux of 1."""
        if isinstance(self.psf, CircularPsf):
            return self.psf.shape.profile(radius, **self.psf.values)
        return np.interp(radius, *self._table, right=0.0)
