"""Exposures as references of each other: the fit of a pair of exposures, and the images that pairs need."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import QTable, hstack
from scipy import fft

from astropy_imphot.calibration.bandpass import bandpass_image
from astropy_imphot.calibration.units import read_muse_image
from astropy_imphot.field.store import write_record
from astropy_imphot.fitting.image import fit_image
from astropy_imphot.io.files import naming
from astropy_imphot.io.filling import filled
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.images import write_image
from astropy_imphot.io.writing import atomic_folder
from astropy_imphot.psf.fourier import frequencies
from astropy_imphot.reference.regrid import make_exposure_template
from astropy_imphot.results.flags import FitFlags

__all__ = ["IMAGE", "REFERENCE_PSF", "Pair", "choose_pairs", "fit_pair", "make_image", "pair_options"]

IMAGE = "image.fits"

# The PSF that the reference of a pair is taken to have, FWHM (arcsec) and beta. The true one is not known,
# and only differences are measured. Both images are smoothed for this FWHM, which is wider than that of
# exposures: otherwise their noise, which is also that of the reference, exceeds their light at many
# frequencies, and the correction for it does not converge.
REFERENCE_PSF = (1.0, 2.8)

# After a fit with these flags, beta is held.
UNDETERMINED = FitFlags.AT_BOUND | FitFlags.DEGENERATE

# A rotation with a larger error, degrees, has its prior again.
ROTATION_ERROR = 0.2

# How much of the reference is used around the exposure, arcsec, and hence the largest offset.
MARGIN = 8.0

# Up to so many exposures, all pairs are fitted. Of more exposures, each is fitted to so many next ones.
ALL_PAIRS = 10
NEXT = 4

# Bands of frequency that measure sharpness: where seeing makes a difference, where it makes little, and where
# there is only noise, cycles/arcsec.
HIGH = (0.5, 0.9)
LOW = (0.1, 0.4)
NOISE_FROM = 1.8

COLUMNS = {"exposure": "the exposure", "reference": "the exposure with which it was compared"}


@dataclass(frozen=True)
class Pair:
    """
    Two exposures, of which the second is the reference of the first.

    Parameters
    ----------
    exposure, reference : str
        Their names.

    Examples
    --------
    >>> from astropy_imphot.field.pairs import Pair
    >>> Pair("E1", "E2").name
    'E1_to_E2'
    """

    exposure: str
    reference: str

    @property
    def name(self):
        """The name of the pair."""
        return f"{self.exposure}_to_{self.reference}"


def choose_pairs(names):
    """
    Choose the pairs of exposures that are fitted.

    Parameters
    ----------
    names : sequence of str
        The exposures' names.

    Returns
    -------
    list of Pair
        Each pair is in it once: all of up to 10 exposures; else those of exposures that are up to four
        places apart, the last one being followed by the first.

    Examples
    --------
    >>> from astropy_imphot.field.pairs import choose_pairs
    >>> [pair.name for pair in choose_pairs(["A", "B", "C"])]
    ['A_to_B', 'A_to_C', 'B_to_C']
    >>> len(choose_pairs([str(number) for number in range(50)]))
    200
    """
    if len(names) <= ALL_PAIRS:
        return [Pair(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    return [
        Pair(one, names[(place + step) % len(names)])
        for place, one in enumerate(names)
        for step in range(1, NEXT + 1)
    ]


def make_image(cube, curve, folder, record):
    """
    Make the image of a cube that is compared with those of other cubes.

    Parameters
    ----------
    cube : str
        The cube's file.
    curve : `~astropy_imphot.FilterCurve`
        The filter.
    folder : path
        Where image.fits is written.
    record : dict
        From `~astropy_imphot.field.store.Store.record`.

    Raises
    ------
    UserError
        If the cube cannot be read, or the folder not be written.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    image = bandpass_image(cube, curve)
    with atomic_folder(folder) as temporary:
        write_image(image, temporary / IMAGE)
        write_record(temporary, record)


def fit_pair(pair, files, folder, record, options):
    """
    Fit the two exposures of a pair to each other, and write the result.

    Parameters
    ----------
    pair : Pair
        The exposures.
    files : (str, str)
        The images of the exposure and of its reference.
    folder : path
        Where results.ecsv is written.
    record : dict
        From `~astropy_imphot.field.store.Store.record`.
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Of the fit.

    Raises
    ------
    UserError
        If the pair cannot be fitted, or the folder not be written.

    Notes
    -----
    The sharper one of the two is the reference, because the noise of the other one would be increased by a
    deconvolution. Stars do not move between exposures: they are part of the reference. Where beta is not
    determined it is that of ``REFERENCE_PSF``, and where the rotation is not determined it has its prior.

    Examples
    --------
    See `~astropy_imphot.fit_field`, which uses it.
    """
    images = []
    for path in files:
        with naming(path):
            images.append(read_muse_image(path))
    if _sharpness(images[0]) > _sharpness(images[1]):
        pair, images = Pair(pair.reference, pair.exposure), images[::-1]
    exposure, reference = images
    template = make_exposure_template(reference, exposure, margin=max(MARGIN, options.margin))
    fit = fit_image(template, exposure, options, pair.name)
    determined = _determined(fit, options)
    if determined is not options:
        fit = fit_image(template, exposure, determined, pair.name)
    names = QTable({"exposure": [pair.exposure], "reference": [pair.reference]})
    table = hstack([names, fit.to_table()], metadata_conflicts="silent")
    for key, words in COLUMNS.items():
        table[key].info.description = words
    with atomic_folder(folder) as temporary:
        table.write(temporary / "results.ecsv")
        write_record(temporary, record)


def _determined(fit, options):
    """Return the options of another fit of a pair, in which what was not determined is held."""
    if fit.flags & UNDETERMINED and "beta" not in options.fixed:
        options = replace(options, fixed={**options.fixed, "beta": REFERENCE_PSF[1]})
    if "rotation" in fit.free and fit.rotation.stdev > ROTATION_ERROR:
        options = replace(options, free=tuple(name for name in options.free if name != "rotation"))
    return options


def _sharpness(image):
    """Return the power of an image at high frequencies relative to that at low ones, without the noise."""
    valid = np.isfinite(image.data) if image.mask is None else ~image.mask & np.isfinite(image.data)
    if not valid.any():
        return 0.0
    light = filled(image.data, valid)
    tapered = (light - np.median(light)) * np.outer(*(np.hanning(size) for size in light.shape))
    radius = np.hypot(*frequencies(light.shape, read_grid(image).pixel_scale))
    power = np.abs(fft.rfft2(tapered)) ** 2
    noise = power[radius > NOISE_FROM].mean()
    high, low = (power[(radius > first) & (radius < last)].mean() - noise for first, last in (HIGH, LOW))
    return float(high / low) if low > 0 else 0.0


def pair_options(options):
    """
    Return the options of fits of pairs from those of a field.

    Parameters
    ----------
    options : `~astropy_imphot.fitting.options.ImageFitOptions`
        Those that are given.

    Returns
    -------
    `~astropy_imphot.fitting.options.ImageFitOptions`
        With ``REFERENCE_PSF``, and a free rotation if it is not held.

    Examples
    --------
    >>> from astropy_imphot.field.pairs import pair_options
    >>> from astropy_imphot.fitting.options import ImageFitOptions
    >>> pair_options(ImageFitOptions()).free
    ('rotation',)
    """
    fwhm, beta = REFERENCE_PSF
    free = options.free
    if "rotation" not in (*options.fixed, *free):
        free = (*free, "rotation")
    return replace(options, hst_fwhm=fwhm, hst_beta=beta, free=free)
