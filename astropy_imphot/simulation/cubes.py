"""
Simulated MUSE cubes of known truth, with HST images in several filters, drawn by GalSim.

GalSim is not a dependency of the package: ``pip install "astropy-imphot[all]"``.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from astropy_imphot.calibration.filter_curve import FilterCurve
from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.io.headers import unit_string
from astropy_imphot.io.quantities import to_pair, to_value
from astropy_imphot.io.representation import Representation
from astropy_imphot.simulation.drawing import (
    CENTER,
    HST_NOISE_UNIT,
    ab_magnitude,
    draw,
    draw_objects,
    draw_planes,
    exposure_header,
    fwhm_and_beta,
    set_fields,
    sky_grid,
    table_values,
)

__all__ = ["CubeTruth", "SimulatedCubes", "muse_cube", "simulate_cubes"]

FILTERS = ("F606W", "F775W", "F814W", "F850LP")

# The default centers of the planes, Angstrom: adjacent planes that cover the range of MUSE.
WAVELENGTHS = tuple(np.arange(4800.0, 9301.0, 100.0))

# The wavelength of CubeTruth.fwhm, Angstrom.
PIVOT = 7000.0


@dataclass(frozen=True)
class CubeTruth:
    """
    The true parameters of a simulated MUSE cube.

    Parameters
    ----------
    dx, dy : float or `~astropy.units.Quantity`
        Offset of MUSE from HST along the pixel axes of the cube, arcsec (default: 0).
    scale : float or `~astropy.units.Quantity`
        Flux scale, MUSE/HST, the same at all wavelengths (default: 1).
    bg : float or `~astropy.units.Quantity`
        Background of every plane, 1e-20 erg/s/cm2/Angstrom per pixel (default: 0).
    fwhm : float or `~astropy.units.Quantity`
        FWHM of the Moffat PSF, pixel response included, at 7000 Angstrom, arcsec (default: 0.65).
    slope : float or `~astropy.units.Quantity`
        Its change with wavelength, arcsec per Angstrom (default: -2e-5, narrower in the red).
    beta : float or `~astropy.units.Quantity`
        The PSF's beta at all wavelengths (default: 2.5).
    shape : (int, int), optional
        The planes' (ny, nx). By default (None) they cover the field.
    shift : (float, float) or `~astropy.units.Quantity`
        Offset of their center to the west and to the north of the field's, arcsec (default: 0).
    rotation : float or `~astropy.units.Quantity`
        Position angle of their y axis, from north towards east, degrees (default: 0).

    Examples
    --------
    >>> from astropy_imphot.simulation import CubeTruth
    >>> round(CubeTruth(fwhm=0.7, slope=-3e-5).fwhm_at(9000.0), 3)
    0.64
    """

    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0
    bg: float = 0.0
    fwhm: float = 0.65
    slope: float = -2e-5
    beta: float = 2.5
    shape: tuple | None = None
    shift: tuple = (0.0, 0.0)
    rotation: float = 0.0

    def __post_init__(self):
        slope = to_value(self.slope, u.arcsec / u.AA, "slope")
        set_fields(self, **table_values(self), slope=slope, shift=to_pair(self.shift, u.arcsec, "shift"))

    def fwhm_at(self, wavelength):
        """
        Return the PSF's FWHM at a wavelength.

        Parameters
        ----------
        wavelength : float, array of shape (n,) or `~astropy.units.Quantity`
            Numbers in Angstrom.

        Returns
        -------
        float or array of shape (n,)
            In arcsec.

        Examples
        --------
        See `CubeTruth`.
        """
        return self.fwhm + self.slope * (to_value(wavelength, u.AA, "wavelength") - PIVOT)


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedCubes(Representation):
    """
    Simulated HST images, MUSE cubes of the same sky, and the truth.

    Attributes
    ----------
    hst : dict of str to `~astropy.nddata.CCDData`
        The image in each filter, in electrons per second, at HST's own pixels.
    cubes : list of `~astropy.io.fits.HDUList`
        The exposures in MUSE's layout: primary header, DATA and STAT.
    truths : list of `CubeTruth`
        One for each exposure.

    Examples
    --------
    See `simulate_cubes`.
    """

    hst: dict
    cubes: list
    truths: list


def simulate_cubes(
    seed,
    truths=(CubeTruth(),),
    *,
    size=30.0,
    filters=FILTERS,
    wavelengths=WAVELENGTHS,
    noise=0.5,
    hst_pixel=0.03,
    hst_noise=2e-4,
    hst_margin=5.0,
    hst_psf=(0.085, 1.6),
    magnitudes=(21.0, 27.0),
    n_stars=3,
    spectral_indices=(0.0,),
):
    """
    Simulate a field of galaxies and stars: MUSE cubes, and HST images in several filters.

    HST counts photons: its counts are the photons of the whole filter, with the curve of
    `~astropy_imphot.FilterCurve.named`, divided by those of a source that is flat in f_lambda and has one
    count per second, which is PHOTFLAM.

    Parameters
    ----------
    seed : int
        Seed of the random numbers; the same seed and arguments give the same field.
    truths : sequence of `CubeTruth`
        One exposure is drawn for each (default: one, with no offset).
    size : float, (float, float) or `~astropy.units.Quantity`
        Height and width of the field, arcsec (default: 30).
    filters : sequence of str
        ACS filters, with an HST image for each (default: the four that overlap the range of MUSE).
    wavelengths : array of shape (nz,) or `~astropy.units.Quantity`
        Equally spaced centers of the planes, Angstrom (default: 46 planes of 100 Angstrom). Each is drawn
        with the PSF of its center.
    noise : float, array of shape (nz,) or `~astropy.units.Quantity`
        Standard deviation of the noise in each plane, 1e-20 erg/s/cm2/Angstrom (default: 0.5).
    hst_pixel : float or `~astropy.units.Quantity`
        Size of the HST pixels, arcsec (default: 0.03).
    hst_noise : float, `~astropy.units.Quantity`, or dict of str to these
        Standard deviation of the HST noise in all filters or in each, electrons/s per pixel (default: 2e-4).
    hst_margin : float or `~astropy.units.Quantity`
        Margin of the HST images around the field, arcsec (default: 5).
    hst_psf : (float, float)
        The HST PSF in all filters, pixel response included: FWHM and beta of a Moffat, numbers or
        `~astropy.units.Quantity` (default: 0.085 arcsec and 1.6).
    magnitudes : (float, float) or `~astropy.units.Quantity`
        The range of the galaxies' AB magnitudes in F775W (default: 21 to 27).
    n_stars : int
        Number of point sources among the objects (default: 3).
    spectral_indices : sequence of float
        The powers of wavelength that f_lambda is proportional to, which the objects have in turn. By default
        all spectra are flat in f_lambda.

    Returns
    -------
    SimulatedCubes
        The images, the cubes and the truth. The cubes' primary headers have OBJECT, EXPNAME, and DATE-OBS and
        MJD-OBS, which differ from exposure to exposure.

    Raises
    ------
    UserError
        If one of ``filters`` is not a filter of ACS.

    Examples
    --------
    >>> from astropy_imphot.simulation import CubeTruth, simulate_cubes
    >>> field = simulate_cubes(1, [CubeTruth(dx=0.1), CubeTruth(dx=-0.1)], size=10.0,
    ...                        filters=["F775W", "F814W"], wavelengths=[6500.0, 7500.0, 8500.0])
    >>> field.hst["F814W"].shape, field.cubes[1]["DATA"].shape
    ((667, 667), (3, 50, 50))
    >>> field.cubes[1][0].header["DATE-OBS"]
    '2014-09-25T04:39:21.600'
    """
    import galsim

    height, width = np.broadcast_to(to_value(size, u.arcsec, "size"), 2)
    wavelengths = np.asarray(to_value(wavelengths, u.AA, "wavelengths"), dtype=float)
    noise = to_value(noise, PIPELINE_UNIT, "noise")
    hst_pixel = to_value(hst_pixel, u.arcsec, "hst_pixel")
    hst_margin = to_value(hst_margin, u.arcsec, "hst_margin")
    levels = hst_noise if isinstance(hst_noise, dict) else dict.fromkeys(filters, hst_noise)
    levels = {name: to_value(level, HST_NOISE_UNIT, "hst_noise") for name, level in levels.items()}
    fwhm, beta = fwhm_and_beta(hst_psf, "hst_psf")
    magnitudes = to_pair(ab_magnitude(magnitudes, "magnitudes"), u.mag, "magnitudes")
    rng = np.random.default_rng(seed)
    reference = HstFilterInfo("F775W")

    def flux(magnitude):
        return _zero_flux(reference) * 10 ** (-0.4 * (magnitude - reference.abmag_zero))

    around = max(hst_margin, 5.0)
    objects = draw_objects(rng, height + 2 * around, width + 2 * around, None, magnitudes, flux, n_stars)
    hst_shape = tuple(round((length + 2 * hst_margin) / hst_pixel) for length in (height, width))
    hst_grid = sky_grid(hst_shape, hst_pixel)
    psf = galsim.Moffat(fwhm=fwhm, beta=beta)
    # Objects with the same spectrum are drawn into one image, with their flux in F775W.
    spectra = [_PowerLaw(float(index)) for index in spectral_indices]
    images = [draw(objects[number :: len(spectra)], psf, hst_grid) for number in range(len(spectra))]
    light = {
        name: sum(one.mean_flux(name) * image for one, image in zip(spectra, images, strict=True))
        for name in filters
    }
    hst = {
        name: CCDData(
            (light[name] / _zero_flux(HstFilterInfo(name)) + rng.normal(0, levels[name], hst_shape)).astype(
                "f4"
            ),
            unit="electron/s",
            wcs=hst_grid.wcs,
            meta={"FILTER": name, "TELESCOP": "HST", "INSTRUME": "ACS"},
        )
        for name in filters
    }
    field_shape = (round(height / 0.2), round(width / 0.2))
    factors = np.array([spectra[n % len(spectra)].flux(wavelengths) for n in range(len(objects))])
    cubes = [
        _exposure(rng, objects, truth, field_shape, wavelengths, noise, number, factors)
        for number, truth in enumerate(truths)
    ]
    return SimulatedCubes(hst, cubes, list(truths))


def _zero_flux(info):
    """Return the flux of one count per second, in the MUSE pipeline's unit."""
    return (info.photflam * u.erg / u.s / u.cm**2 / u.AA).to_value(PIPELINE_UNIT)


class _PowerLaw:
    """A spectrum, relative to its mean in F775W."""

    def __init__(self, index):
        self.index = index
        self.norm = 1.0
        self.norm = self.mean_flux("F775W")

    def flux(self, wavelengths):
        return (np.asarray(wavelengths) / PIVOT) ** self.index / self.norm

    def mean_flux(self, name):
        """Return the mean flux in a filter, in which GalSim counts the photons."""
        import galsim

        curve = FilterCurve.named(name, "ACS/WFC")
        throughput = galsim.LookupTable(curve.wavelength, curve.sensitivity, interpolant="linear")
        bandpass = galsim.Bandpass(throughput, "Angstrom")
        counts, flat = (
            galsim.SED(spectrum, "Angstrom", "flambda").calculateFlux(bandpass)
            for spectrum in (self.flux, np.ones_like)
        )
        return counts / flat


def _exposure(rng, objects, truth, field_shape, wavelengths, noise, number, factors):
    west, north = truth.shift * u.arcsec
    center = CENTER.spherical_offsets_by(-west, north)
    grid = sky_grid(truth.shape or field_shape, rotation=truth.rotation, center=center)
    psfs = [(truth.fwhm_at(wavelength), truth.beta) for wavelength in wavelengths]
    planes = draw_planes(objects, psfs, grid, (truth.dx, truth.dy), factors)
    light = truth.scale * np.array(list(planes)) + truth.bg
    sigma = np.broadcast_to(np.reshape(noise, (-1, 1, 1)), light.shape)
    return _layout(
        light + rng.normal(0, 1, light.shape) * sigma, sigma**2, grid, wavelengths, exposure_header(number)
    )


def muse_cube(image, wavelengths, *, noise, seed):
    """
    Return a cube in MUSE's layout in which every plane contains the same image.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
        The image in every plane, of shape (ny, nx).
    wavelengths : array of shape (nz,) or `~astropy.units.Quantity`
        Equally spaced wavelengths of the planes, Angstrom.
    noise : float or `~astropy.units.Quantity`
        Standard deviation of the noise in each plane, in the image's unit.
    seed : int
        Seed of the noise.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        Primary header, DATA and STAT.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy_imphot.simulation import example_field, muse_cube
    >>> field = example_field()
    >>> cube = muse_cube(field.muse[0], np.arange(7000.0, 7100.0, 25.0), noise=1.0, seed=2)
    >>> cube["DATA"].shape
    (4, 50, 50)
    """
    wavelengths = to_value(wavelengths, u.AA, "wavelengths")
    noise = to_value(noise, image.unit, "noise")
    rng = np.random.default_rng(seed)
    shape = (len(wavelengths), *image.shape)
    data = image.data + rng.normal(0, noise, shape)
    return _layout(data, np.full(shape, noise**2), image, wavelengths, image.meta)


def _layout(data, variance, image, wavelengths, meta):
    """Return a cube's HDUs, with the WCS and the unit of an image or a grid."""
    header = image.wcs.to_header()
    header.update(
        CTYPE3="AWAV",
        CUNIT3="Angstrom",
        CRPIX3=1.0,
        CRVAL3=wavelengths[0],
        PC3_3=1.0,
        CDELT3=wavelengths[1] - wavelengths[0],
        BUNIT=unit_string(image.unit),
    )
    stat = header.copy()
    stat["BUNIT"] = unit_string(image.unit**2)
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header(meta)),
            fits.ImageHDU(data.astype(np.float32), header=header, name="DATA"),
            fits.ImageHDU(variance.astype(np.float32), header=stat, name="STAT"),
        ]
    )
