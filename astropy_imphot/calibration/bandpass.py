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

from astropy_imphot.calibration.filter_curve import as_curve, require_weights
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

# Fraction of a filter that is not in the cube above which there is a warning.
LOST_FRACTION = 0.005

# A plane with less than this fraction of the valid voxels of others is masked: few spectra contribute to it.
LEAST_VALID = 0.5


def bandpass_image(cube, curve, *, weights="photon", progress_bar=None):
    """
    Make the image of a cube in a filter.

    Parameters
    ----------
    cube : str, path, HDUList or `~astropy.nddata.NDData`
        The cube, of shape (nz, ny, nx), its spectral axis in wavelengths.
    curve : `FilterCurve`, str, path, or (wavelength, sensitivity)
        The filter's sensitivity: a curve, a file as for `FilterCurve.read`, a filter's name as for
        `FilterCurve.named`, or two arrays as for `FilterCurve`, of numbers or `~astropy.units.Quantity`.
    weights : str
        ``"photon"`` (default): the mean of the planes is weighted as by a detector that counts photons, whose
        images are calibrated by PHOTFLAM or an AB zero point. ``"energy"``: the weights are the curve alone,
        as in the classic imphot.
    progress_bar : callable, optional
        A function such as `tqdm.tqdm` that is called with the list of blocks of voxels and iterated
        over. By default (None) there is no progress bar.

    Returns
    -------
    `~astropy.nddata.CCDData`
        The image, of shape (ny, nx), in the cube's unit, with its variance where the
        cube has one, and masked where no voxel of the spectrum is valid. Its ``meta`` has the keywords

        * FILTER, the curve's name;
        * FILTWGHT, the weights, and FILTRESP, the response of the curve: ``"photon"`` or ``"energy"``;
        * FILTWAVE, FILTWIDT and FILTPIV, the mean wavelength, the rms width and the pivot wavelength of the
          weights of the planes that were used, Angstrom;
        * FILTFRAC, the fraction of the filter that was used, FILTOUT, the fraction beyond the first and the
          last plane of the cube, and FILTGAP, the fraction in planes that are masked. Their sum is 1.

    Raises
    ------
    UserError
        If the curve lies outside the cube, no voxel in it is valid, either cannot be read, or there are no
        such weights.

    Warns
    -----
    ImphotWarning
        If more than 0.5 % of the filter lies outside the cube, or in planes that are masked.

    Notes
    -----
    With w the weight W (below) integrated over each plane's width, d the voxels and v their
    variances, the image is sum(w d) / sum(w) and its variance sum(w^2 v) / sum(w)^2,
    each summed over the valid voxels of a spectrum.

    A detector that counts photons measures, of a flux density f per wavelength, the integral of f times W,
    with W the wavelength times the electrons per photon, and PHOTFLAM or an AB zero point makes it the mean
    weighted by W (Koornneef et al. 1986, Highlights of Astronomy 7, 833; Bessell & Murphy 2012, PASP 124,
    140). A curve with an energy response is W itself.

    FILTWAVE is the mean of the wavelengths x of the planes, weighted by w, and FILTPIV the square root of
    sum(w) / sum(w / x^2), each summed over the planes that were used. FILTFRAC is this sum(w), divided by the
    integral of W. A plane is masked if it has less than half as many valid voxels as the plane that has most
    of them in the filter; single voxels that are masked do not count.

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
    >>> image.shape, round(float(image.data[0, 0]), 3), image.meta["FILTWGHT"]
    ((5, 7), 1.504, 'photon')
    >>> float(bandpass_image(cube, ([6050, 6250], [1, 1]), weights="energy").data[0, 0])
    1.5
    """
    return bandpass_images(cube, [curve], weights=weights, progress_bar=progress_bar)[0]


def bandpass_images(cube, curves, *, weights="photon", progress_bar=None):
    """
    Make the images of a cube in several filters; its voxels are read once.

    Parameters
    ----------
    cube : str, path, HDUList or `~astropy.nddata.NDData`
        As for `bandpass_image`.
    curves : sequence
        Filter curves, each as for `bandpass_image`.
    weights : str
        As for `bandpass_image`.
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
    >>> round(float(blue.data[0, 0]), 3), round(float(red.data[0, 0]), 3)
    (0.504, 2.504)
    """
    opened_here = isinstance(cube, (str, Path))
    require_weights(weights, "weights")
    curves = [as_curve(curve) for curve in curves]
    source = cube
    with naming(source):
        cube = read_cube(source)
        edges = _plane_edges(cube)
        fractions = np.array([_plane_fractions(curve, edges, weights) for curve in curves])
    blocks = _blocks(fractions, cube.data.shape)
    # The scale cancels; in single precision, its square has to be neither too large nor too small.
    scaled = fractions / fractions.max(axis=1, keepdims=True)
    layers = [cube.data, _variances(cube), _flags(cube)]
    shape = cube.data.shape[1:]
    # Separate arrays: the memory of an image is freed when the image is deleted.
    data = [np.empty(shape, np.float32) for _ in curves]
    variances = [None if layers[1] is None else np.empty(shape, np.float32) for _ in curves]
    valid = np.zeros(len(cube.data), dtype=int)
    with ThreadPoolExecutor(N_THREADS) as executor:
        steps = blocks if progress_bar is None else progress_bar(blocks)
        for rows, of_strip in groupby(steps, key=itemgetter(0)):
            strip = [None if layer is None else layer[:, rows] for layer in layers]
            sums = _WeightedSums(scaled, strip, executor)
            for _, planes in of_strip:
                valid[planes] += sums.add(planes)
                if opened_here:
                    # DATA, STAT and DQ share one memory map.
                    drop_pages(cube.data)
            for number, (mean, variance) in enumerate(zip(data, variances, strict=True)):
                mean[rows], found = sums.mean(number)
                if variance is not None:
                    variance[rows] = found
    images = [_image(cube, *own) for own in zip(data, variances, strict=True)]
    for image, curve, fraction in zip(images, curves, fractions, strict=True):
        with naming(source):
            _describe(image.meta, curve, weights, (edges[:-1] + edges[1:]) / 2, fraction, valid)
    return images


def _describe(meta, curve, weights, wavelengths, fraction, valid):
    """Write keywords into a header: what the image is of, by the numbers of valid voxels of the planes."""
    most = valid[fraction > 0].max()
    if not most:
        raise UserError(
            f"the cube has no valid voxel in the filter curve {curve.name}: check its mask and its variances."
        )
    used = np.where(valid < LEAST_VALID * most, 0, fraction)
    outside, gap = 1 - fraction.sum(), fraction.sum() - used.sum()
    for lost, place in ((outside, "outside the cube"), (gap, "in planes of the cube that are masked")):
        if lost > LOST_FRACTION:
            warn(f"{100 * lost:.1f} % of the filter curve {curve.name} lies {place}.")
    mean = np.average(wavelengths, weights=used)
    width = np.sqrt(np.average((wavelengths - mean) ** 2, weights=used))
    pivot = np.average(wavelengths**-2.0, weights=used) ** -0.5
    # Headers hold ASCII only.
    name = curve.name.encode("ascii", "replace").decode()
    for key, value, comment in (
        ("FILTER", name, "Filter curve"),
        ("FILTWGHT", weights, "Weights of planes: photon or energy"),
        ("FILTRESP", curve.response, "Response of filter curve: photon or energy"),
        ("FILTWAVE", round(float(mean), 3), "[Angstrom] Mean wavelength of filter x cube"),
        ("FILTWIDT", round(float(width), 3), "[Angstrom] Rms width of filter x cube"),
        ("FILTPIV", round(float(pivot), 3), "[Angstrom] Pivot wavelength of filter x cube"),
        ("FILTFRAC", round(float(used.sum()), 4), "Fraction of filter that was used"),
        ("FILTOUT", round(float(outside), 4), "Fraction of filter outside the cube"),
        ("FILTGAP", round(float(gap), 4), "Fraction of filter in masked planes"),
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
        """Add planes, and return the number of valid voxels of each."""
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
            valid = np.zeros(count, dtype=int)
            for start in range(first, last, step):
                piece = slice(start, min(start + step, last))
                *sums, more_valid = _sums(
                    weights, *(None if layer is None else _native(layer[:, piece]) for layer in layers)
                )
                valid += more_valid
                for total, more in zip((self.weight, self.flux, self.power), sums, strict=True):
                    total[curves, piece] += more
            return valid

        bounds = np.linspace(0, n_pixels, N_THREADS + 1).astype(int)
        # Errors in a thread are raised here.
        return sum(self.executor.map(add_pixels, bounds[:-1], bounds[1:]))

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
    """
    Return sums over planes, and over pixels.

    They are the sums of the weights, fluxes and variances over planes, each for every curve and pixel, and
    the number of valid voxels of each plane.
    """
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
    valid = np.full(len(data), np.count_nonzero(whole))
    mixed = np.flatnonzero(~whole)
    mixed = mixed[~np.isnan(data[:, mixed]).all(axis=0)]
    if mixed.size:
        chosen = (None if layer is None else layer[:, mixed] for layer in (data, variance, flags))
        weight[:, mixed], flux[:, mixed], power[:, mixed], some = _valid_sums(weights, *chosen)
        valid += some
    return weight, flux, power, valid


def _valid_sums(weights, data, variance, flags):
    valid = np.isfinite(data)
    if variance is not None:
        valid &= np.isfinite(variance) & (variance > 0)
    if flags is not None:
        valid &= flags == 0
    power = 0 if variance is None else _weighted(weights**2, np.where(valid, variance, 0))
    weight, flux = weights @ valid.astype(np.float32), _weighted(weights, np.where(valid, data, 0))
    return weight, flux, power, np.count_nonzero(valid, axis=1)


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


def _plane_fractions(curve, edges, weights):
    """Return the fraction of the filter in each plane."""
    # Wavelengths may decrease along the axis.
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    inside = np.asarray(curve.integral(low, high, weights=weights))
    if not np.any(inside > 0):
        raise UserError(
            f"the filter curve {curve.name} ({curve.wavelength[0]:.0f} to {curve.wavelength[-1]:.0f} "
            f"Angstrom) does not overlap the cube ({edges.min():.0f} to {edges.max():.0f} Angstrom): "
            "choose a filter within the cube, or check the curve's unit."
        )
    return inside / curve.integral(*curve.wavelength[[0, -1]], weights=weights)


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
