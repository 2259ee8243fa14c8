"""PSFs of HST images that are given as images."""

import warnings
from contextlib import suppress
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import NDData
from astropy.utils.exceptions import AstropyUserWarning
from scipy import fft
from scipy.ndimage import map_coordinates

from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming, opened
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.headers import header_wcs, merged_header
from astropy_imphot.io.quantities import to_pair, to_value
from astropy_imphot.io.representation import Representation

__all__ = ["CORE", "HstPsf", "core_center", "read_hst_psf"]

# Zero padding and spline order that interpolate a transform between its samples to 3e-5, even of a PSF
# with a tenth of its light in a corner; MARGIN keeps away from the spline's ends.
PADDING, ORDER, MARGIN = 3, 5, 16

# A PSF image with a sum in this range is in units of the star's whole light.
KEPT_SUMS = (0.9, 1.0)

# Half the width of the core that a PSF is centered by, arcsec.
CORE = 0.15


@dataclass(frozen=True, eq=False, repr=False)
class HstPsf(Representation):
    """
    The PSF of an HST image, on that image's pixel axes: made by `read_hst_psf`.

    Parameters
    ----------
    data : array of shape (ny, nx)
        The light in each sample, the HST pixel's response included.
    pixel_scale : (float, float) or `~astropy.units.Quantity`
        Height and width of a sample, arcsec.
    center : (float, float) or `~astropy.units.Quantity`
        The PSF's y and x in ``data``, samples.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.psf.images import read_hst_psf
    >>> y, x = np.mgrid[:41, :41] - 20
    >>> psf = read_hst_psf(np.exp(-(x**2 + y**2) / (2 * 1.5**2)), scale=0.03)
    >>> psf.pixel_scale, [round(one, 3) for one in psf.center]
    ((0.03, 0.03), [20.0, 20.0])
    >>> bool(np.isclose(psf.otf(0.0, 2.0), np.exp(-2 * (np.pi * 0.045 * 2.0) ** 2), atol=1e-4))
    True
    """

    data: np.ndarray
    pixel_scale: tuple
    center: tuple

    def __post_init__(self):
        for name, unit in (("pixel_scale", u.arcsec), ("center", u.pix)):
            object.__setattr__(self, name, to_pair(getattr(self, name), unit, name))

    def __deepcopy__(self, memo):
        # Nothing in here changes, so that copies of a model can share it.
        return self

    def otf(self, fy, fx, axes=None):
        """
        Return the transfer function.

        Parameters
        ----------
        fy, fx : arrays or `~astropy.units.Quantity` that broadcast, such as of shapes (ny, 1) and (1, nx)
            Frequencies along the MUSE pixel axes, cycles/arcsec.
        axes : array of shape (2, 2), optional
            Takes an offset (x, y) along the MUSE pixel axes to one along the HST pixel axes: a
            rotation, perhaps with a reflection. By default (None) the axes are the same.

        Returns
        -------
        complex array of shape (ny, nx)
            The transfer function around ``center``, to 1e-4; 0 beyond the Nyquist frequency
            of ``data``.

        Examples
        --------
        See `HstPsf`.
        """
        fy, fx = (to_value(one, 1 / u.arcsec, key) for one, key in ((fy, "fy"), (fx, "fx")))
        matrix = np.eye(2) if axes is None else np.linalg.inv(axes).T
        hst_x, hst_y = (row[0] * np.asarray(fx) + row[1] * np.asarray(fy) for row in matrix)
        padded = [fft.next_fast_len(PADDING * size) for size in self.data.shape]
        indices, phases, places, inside = zip(
            *map(_frequency_axis, (hst_y, hst_x), padded, self.pixel_scale, self.center), strict=True
        )
        # Only the wanted frequencies are interpolated, a small part of HST's. The phase is
        # taken out first: without it the transform is smooth.
        spectrum = fft.fft2(self.data, s=padded)[np.ix_(*indices)]
        spectrum *= phases[0][:, np.newaxis] * phases[1]
        points = np.array(np.broadcast_arrays(*places))
        otf = map_coordinates(spectrum, points.reshape(2, -1), order=ORDER, mode="mirror")
        return np.where(inside[0] & inside[1], otf.reshape(points.shape[1:]), 0)

    def otf_on(self, aliases, axes=None):
        """
        Return the transfer function at the frequencies of a template.

        Parameters
        ----------
        aliases : `~astropy_imphot.psf.spectra.AliasedFrequencies`
            The frequencies.
        axes : array of shape (2, 2), optional
            As for `otf`.

        Returns
        -------
        complex array
            At each frequency.

        Examples
        --------
        See `~astropy_imphot.psf.shape.CircularPsf`, which has the same method.
        """
        return self.otf(aliases.fy, aliases.fx, axes)


def _frequency_axis(frequency, length, scale, center):
    """Return the samples of a transform to use, their phases, and the frequencies' places in them."""
    step = 1 / (length * scale)
    inside = np.abs(frequency) <= 0.5 / scale
    last = int(np.max(np.abs(frequency), where=inside, initial=0) / step) + MARGIN
    numbers = np.arange(-last, last + 1)
    return numbers % length, np.exp(2j * np.pi * numbers * center / length), frequency / step + last, inside


def read_hst_psf(source, scale=None):
    """
    Read the PSF of an HST image.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData`, array, `~photutils.psf.ImagePSF` or HstPsf
        An image of the PSF along the HST image's own pixel axes, at least 5x5, with the
        response of the HST pixels in it, as in an image of a star. In a file, the first image
        of two axes is read. An `HstPsf` is returned as it is.
    scale : float or `~astropy.units.Quantity`, optional
        Size of the PSF image's pixels, arcsec; of an `~photutils.psf.ImagePSF`, that of
        the pixels it models, before its oversampling. By default (None) that of the image's
        celestial WCS, or else of its header's PIXSCALE.

    Returns
    -------
    HstPsf
        The PSF, wherever in its array, with its center to about 1 mas.

    Raises
    ------
    UserError
        If there is no such image, or no pixel size, or the image is no PSF.

    Notes
    -----
    A sum between 0.9 and 1 is kept (of an `~photutils.psf.ImagePSF`: divided by its
    oversampling along both axes). What it lacks of 1 is the light outside of the array: a PSF
    drawn with unit flux lacks its far wings there, and the fitted scale needs no correction
    for them. Any other sum is made 1.

    The center is `~photutils.centroids.centroid_2dg`'s of the core, 0.3 arcsec wide: at 30 mas
    pixels that is good to 0.5 mas, where a parabola through the peak
    (`~photutils.centroids.centroid_quadratic`) is off by 2 to 10 mas.

    Examples
    --------
    See `HstPsf`.
    """
    if isinstance(source, HstPsf):
        return source
    scale = to_value(scale, u.arcsec, "scale")
    with naming(source):
        return _as_psf(*_as_nddata(source), scale)


def _as_psf(image, oversampling, scale):
    """Return the PSF of an image, centered and normalized."""
    data = np.array(image.data, dtype=float)
    if data.ndim != 2 or min(data.shape) < 5:
        raise UserError(f"the HST PSF has the shape {data.shape}: give an image of at least 5x5 pixels.")
    if image.mask is not None:
        data[np.broadcast_to(image.mask, data.shape) != 0] = np.nan
    if not np.all(np.isfinite(data)):
        raise UserError("the HST PSF has pixels that are masked or not a number: fill them.")
    data /= np.prod(oversampling)
    total = data.sum()
    if not total > 0:
        raise UserError(f"the HST PSF has a sum of {total:.3g}: give a PSF, with a positive sum.")
    if not KEPT_SUMS[0] <= total <= KEPT_SUMS[1]:
        data /= total
    peak = np.unravel_index(data.argmax(), data.shape)
    if any(place in (0, size - 1) for place, size in zip(peak, data.shape, strict=True)):
        raise UserError("the HST PSF has its peak at the edge: give an image with the PSF inside.")
    sizes = zip(_pixel_size(image, scale), oversampling, strict=True)
    pixel_scale = tuple(float(size / factor) for size, factor in sizes)
    center = core_center(data, peak, pixel_scale)
    if center is None:
        raise UserError("the HST PSF has no core with a center: give an image of a PSF.")
    return HstPsf(data, pixel_scale, center)


def _as_nddata(source):
    """Return a PSF image with its WCS and header, and its oversampling along y and x."""
    # photutils' ImagePSF, whose import takes long, is recognized by this attribute.
    if hasattr(source, "oversampling"):
        return NDData(source.data), np.broadcast_to(source.oversampling, 2)
    if isinstance(source, (NDData, np.ndarray)):
        return NDData(source), (1, 1)
    with opened(source) as hdus:
        hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2), None)
        if hdu is None:
            raise UserError("there is no image of two axes: give a file with an image of the PSF.")
        wcs = None
        with suppress(UserError):
            wcs = header_wcs(hdu, hdus)
        return NDData(np.array(hdu.data), wcs=wcs, meta=merged_header(hdus, hdu)), (1, 1)


def _pixel_size(image, scale):
    """Return the height and width of the pixels, arcsec."""
    what = "hst_psf_scale"
    if scale is None:
        if getattr(image.wcs, "has_celestial", False):
            return read_grid(image).pixel_scale
        what = "PIXSCALE of the HST PSF"
        scale = to_value(image.meta.get("PIXSCALE"), u.arcsec, what)
    if scale is None:
        raise UserError(
            "the HST PSF has no pixel size: give hst_psf_scale (--hst_psf_scale), or PIXSCALE in its header."
        )
    if not (isinstance(scale, (int, float, np.number)) and np.isfinite(scale) and scale > 0):
        raise UserError(f"{what} is {scale}: give more than 0 arcsec per pixel.")
    return scale, scale


def core_center(data, peak, pixel_scale):
    """Return the (y, x) of the core around a peak, or None."""
    from photutils.centroids import centroid_2dg

    halves = [max(2, int(np.ceil(CORE / scale))) for scale in pixel_scale]
    starts = [max(0, place - half) for place, half in zip(peak, halves, strict=True)]
    core = data[starts[0] : peak[0] + halves[0] + 1, starts[1] : peak[1] + halves[1] + 1]
    if np.ptp(core) == 0:
        return None
    with warnings.catch_warnings():
        # The result shows whether the fit has converged.
        warnings.filterwarnings("ignore", "The fit may ", AstropyUserWarning)
        center = centroid_2dg(core)[::-1]
    inside = all(0 < place < size - 1 for place, size in zip(center, core.shape, strict=True))
    return tuple(float(one) for one in starts + center) if inside else None
