"""Bandpass images of cubes: the mean of the planes, weighted by a filter's curve."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty

from astropy_imphot.calibration.filters import as_curve
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import drop_pages, naming
from astropy_imphot.io.images import read_cube

__all__ = ["bandpass_image", "bandpass_images"]

# Pixels that are summed at a time: all pixels of an exposure, or a strip of rows of a mosaic, high enough for
# long contiguous reads in each plane.
STRIP_PIXELS = 300_000

# Voxels read at a time: large enough for the disk, small enough for the memory. They are fewer in strips: the
# images of a mosaic take memory themselves, and systems map more of a file around short runs.
BLOCK_VOXELS = 20_000_000
STRIP_BLOCK_VOXELS = 1_500_000

# Voxels added at a time: long runs of each plane, and few enough to stay in the processor's cache.
PIECE_VOXELS = 1_500_000

# numpy releases the interpreter's lock while it works. Each thread adds up a part of the image, on the cores
# that this process may use.
N_THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# Fraction of a curve's integral outside the cube above which there is a warning.
LOST_FRACTION = 0.005


def bandpass_image(cube, curve, *, progress_bar=None):
    """
    Make the image of a cube in a filter.

    Parameters
    ----------
    cube : str, path, HDUList or `~astropy.nddata.NDData`
        The cube, of shape (nz, ny, nx), its spectral axis in wavelengths.
    curve : `FilterCurve`, str, path, or (wavelength, sensitivity)
        The filter's sensitivity: a curve, a text file of two columns with wavelengths in Angstrom,
        or two arrays as for `FilterCurve`, of numbers or `~astropy.units.Quantity`.
    progress_bar : callable, optional
        A function such as `tqdm.tqdm` that is called with the list of blocks of voxels and iterated
        over. By default (None) there is no progress bar.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The image, of shape (ny, nx), in the cube's unit, with its variance where the
        cube has one, and masked where no voxel of the spectrum is valid. Its ``meta`` has the
        keywords FILTER, the curve's name; FILTWAVE and FILTWIDT, the mean wavelength and the rms width
        (Angstrom) of the curve within the cube; and FILTFRAC, the fraction of the curve's integral
        within the cube.

    Raises
    ------
    UserError
        If the curve lies outside the cube, or either cannot be read.

    Warns
    -----
    ImphotWarning
        If more than 0.5 % of the curve's integral lies outside the cube.

    Notes
    -----
    With w the curve integrated over each plane's width, d the voxels and v their
    variances, the image is sum(w d) / sum(w) and its variance sum(w^2 v) / sum(w)^2,
    each summed over the valid voxels of a spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot import bandpass_image
    >>> hdu = fits.ImageHDU(np.arange(4.0)[:, None, None] * np.ones((4, 5, 7)), name="DATA")
    >>> hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV",
    ...                   CUNIT3="Angstrom", CRPIX3=1.0, CRVAL3=6000.0, CD3_3=100.0)
    >>> cube = fits.HDUList([fits.PrimaryHDU(), hdu])
    >>> image = bandpass_image(cube, ([6050, 6250], [1, 1]))
    >>> image.shape, float(image.data[0, 0])
    ((5, 7), 1.5)
    """
    return bandpass_images(cube, [curve], progress_bar=progress_bar)[0]


def bandpass_images(cube, curves, *, progress_bar=None):
    """
    Make the images of a cube in several filters; its voxels are read once.

    Parameters
    ----------
    cube : str, path, HDUList or `~astropy.nddata.NDData`
        As for `bandpass_image`.
    curves : sequence
        Filter curves, each as for `bandpass_image`.
    progress_bar : callable, optional
        As for `bandpass_image`.

    Returns
    -------
    list of `~astropy.nddata.CCDData`
        One image for each curve, in their order.

    Raises
    ------
    UserError
        As for `bandpass_image`.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot import bandpass_images
    >>> hdu = fits.ImageHDU(np.arange(4.0)[:, None, None] * np.ones((4, 5, 7)), name="DATA")
    >>> hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV",
    ...                   CUNIT3="Angstrom", CRPIX3=1.0, CRVAL3=6000.0, CD3_3=100.0)
    >>> cube = fits.HDUList([fits.PrimaryHDU(), hdu])
    >>> blue, red = bandpass_images(cube, [([5950, 6150], [1, 1]), ([6150, 6350], [1, 1])])
    >>> float(blue.data[0, 0]), float(red.data[0, 0])
    (0.5, 2.5)
    """
    opened_here = isinstance(cube, (str, Path))
    curves = [as_curve(curve) for curve in curves]
    with naming(cube):
        cube = read_cube(cube)
        edges = _plane_edges(cube)
        weights = np.array([_plane_weights(curve, edges) for curve in curves])
    blocks = _blocks(weights, cube.data.shape)
    layers = [cube.data, _variances(cube), _flags(cube)]
    shape = cube.data.shape[1:]
    # Separate arrays: the memory of an image is freed when the image is deleted.
    data = [np.empty(shape, np.float32) for _ in curves]
    variances = [None if layers[1] is None else np.empty(shape, np.float32) for _ in curves]
    with ThreadPoolExecutor(N_THREADS) as executor:
        steps = blocks if progress_bar is None else progress_bar(blocks)
        for rows, of_strip in groupby(steps, key=itemgetter(0)):
            strip = [None if layer is None else layer[:, rows] for layer in layers]
            sums = _WeightedSums(weights, strip, executor)
            for _, planes in of_strip:
                sums.add(planes)
                if opened_here:
                    # DATA, STAT and DQ share one memory map.
                    drop_pages(cube.data)
            for number, (mean, variance) in enumerate(zip(data, variances, strict=True)):
                mean[rows], found = sums.mean(number)
                if variance is not None:
                    variance[rows] = found
    images = [_image(cube, *own) for own in zip(data, variances, strict=True)]
    for image, curve, weight in zip(images, curves, weights, strict=True):
        _describe(image.meta, curve, (edges[:-1] + edges[1:]) / 2, weight)
    return images


def _describe(meta, curve, wavelengths, weight):
    # Headers hold ASCII only.
    name = curve.name.encode("ascii", "replace").decode()
    mean = np.average(wavelengths, weights=weight)
    width = np.sqrt(np.average((wavelengths - mean) ** 2, weights=weight))
    for key, value, comment in (
        ("FILTER", name, "Filter curve"),
        ("FILTWAVE", round(float(mean), 3), "[Angstrom] Mean wavelength of filter x cube"),
        ("FILTWIDT", round(float(width), 3), "[Angstrom] Rms width of filter x cube"),
        ("FILTFRAC", round(float(weight.sum() / curve.total), 4), "Fraction of filter inside the cube"),
    ):
        meta[key] = (value, comment) if isinstance(meta, fits.Header) else value


class _WeightedSums:
    """The running sums over the planes of a strip, one row for each curve."""

    def __init__(self, weights, layers, executor):
        self.weights = weights
        self.layers = layers
        self.executor = executor
        shape = (len(weights), int(np.prod(layers[0].shape[1:])))
        self.weight = np.zeros(shape)
        self.flux = np.zeros(shape)
        self.power = np.zeros(shape)

    def add(self, planes):
        # Curves without weight in these planes are skipped.
        curves = np.flatnonzero(self.weights[:, planes].any(axis=1))
        weights = self.weights[curves, planes]
        count, n_pixels = weights.shape[1], self.weight.shape[1]
        layers = [
            None if layer is None else np.asarray(layer[planes]).reshape(count, n_pixels)
            for layer in self.layers
        ]
        step = max(1, PIECE_VOXELS // count)

        def add_pixels(first, last):
            for start in range(first, last, step):
                piece = slice(start, min(start + step, last))
                sums = _sums(
                    weights, *(None if layer is None else _native(layer[:, piece]) for layer in layers)
                )
                for total, more in zip((self.weight, self.flux, self.power), sums, strict=True):
                    total[curves, piece] += more

        bounds = np.linspace(0, n_pixels, N_THREADS + 1).astype(int)
        # Errors in a thread are raised here.
        list(self.executor.map(add_pixels, bounds[:-1], bounds[1:]))

    def mean(self, number):
        shape = self.layers[0].shape[1:]
        weight = np.where(self.weight[number] > 0, self.weight[number], np.nan)
        return [(total / weight).reshape(shape) for total in (self.flux[number], self.power[number] / weight)]


def _image(cube, data, variance):
    # Sums are finite: the mean is NaN where no voxel is valid, and only there.
    mask = np.isnan(data)
    return CCDData(
        data,
        mask=mask if mask.any() else None,
        uncertainty=None if variance is None else VarianceUncertainty(variance, copy=False),
        unit=cube.unit,
        wcs=cube.wcs.celestial,
        meta=cube.meta.copy(),
    )


def _native(block):
    return block.astype(block.dtype.newbyteorder("="), copy=False)


def _sums(weights, data, variance, flags):
    """Return the sums of the weights, fluxes and variances over planes, each for every curve and pixel."""
    # A voxel that is not finite makes the sum not finite: almost all spectra turn out to be entirely valid
    # or empty without a test of every voxel.
    with np.errstate(all="ignore"):
        flux = _weighted(weights, data)
        power = np.zeros_like(flux) if variance is None else _weighted(weights**2, variance)
        whole = np.isfinite(flux).all(axis=0) & np.isfinite(power).all(axis=0)
        if variance is not None:
            whole &= variance.min(axis=0) > 0
        if flags is not None:
            whole &= ~flags.any(axis=0)
    weight = np.where(whole, weights.sum(axis=1, keepdims=True), 0)
    flux, power = np.where(whole, flux, 0), np.where(whole, power, 0)
    mixed = np.flatnonzero(~whole)
    mixed = mixed[~np.isnan(data[:, mixed]).all(axis=0)]
    if mixed.size:
        chosen = (None if layer is None else layer[:, mixed] for layer in (data, variance, flags))
        weight[:, mixed], flux[:, mixed], power[:, mixed] = _valid_sums(weights, *chosen)
    return weight, flux, power


def _valid_sums(weights, data, variance, flags):
    valid = np.isfinite(data)
    if variance is not None:
        valid &= np.isfinite(variance) & (variance > 0)
    if flags is not None:
        valid &= flags == 0
    power = 0 if variance is None else _weighted(weights**2, np.where(valid, variance, 0))
    return weights @ valid.astype(np.float32), _weighted(weights, np.where(valid, data, 0)), power


def _weighted(weights, layer):
    return weights.astype(np.result_type(layer.dtype, np.float32)) @ layer


def _variances(cube):
    uncertainty = cube.uncertainty
    if uncertainty is None or isinstance(uncertainty, VarianceUncertainty):
        # Memory-mapped variances are not copied.
        return None if uncertainty is None else uncertainty.array
    return uncertainty.represent_as(VarianceUncertainty).array


def _flags(cube):
    return None if cube.mask is None else np.broadcast_to(cube.mask, cube.data.shape)


def _plane_edges(cube):
    """Return the wavelengths between the planes, in Angstrom, nz + 1 of them."""
    spectral = cube.wcs.spectral
    pixels = np.arange(cube.data.shape[0] + 1) - 0.5
    # The low-level interface does not convert between air (AWAV) and vacuum (WAVE).
    return spectral.pixel_to_world_values(pixels) * u.Unit(spectral.world_axis_units[0]).to(u.AA)


def _plane_weights(curve, edges):
    # Wavelengths may decrease along the axis.
    weights = np.asarray(curve.integral(np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])))
    lost = 1 - weights.sum() / curve.total
    if not np.any(weights > 0):
        raise UserError(
            f"the filter curve {curve.name} ({curve.wavelength[0]:.0f} to {curve.wavelength[-1]:.0f} "
            f"Angstrom) does not overlap the cube ({edges.min():.0f} to {edges.max():.0f} Angstrom): "
            "choose a filter within the cube, or check the curve's unit."
        )
    if lost > LOST_FRACTION:
        warn(f"{100 * lost:.1f} % of the filter curve {curve.name} lies outside the cube.")
    return weights


def _blocks(weights, shape):
    """Return slices over the rows and over the planes that any of the curves needs, strip by strip."""
    _, ny, nx = shape
    height = min(max(1, STRIP_PIXELS // nx), ny)
    voxels = BLOCK_VOXELS if height == ny else STRIP_BLOCK_VOXELS
    step = max(1, voxels // (height * nx))
    used = np.flatnonzero(weights.any(axis=0))
    runs = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1)
    return [
        (slice(top, min(top + height, ny)), slice(start, min(start + step, run[-1] + 1)))
        for top in range(0, ny, height)
        for run in runs
        for start in range(run[0], run[-1] + 1, step)
    ]
