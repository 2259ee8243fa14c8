"""Reference images of any kind, with what their headers lack."""

from contextlib import ExitStack, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import NDData

from astropy_imphot.calibration.filters import filter_in_header, positive_number
from astropy_imphot.calibration.units import PIPELINE_UNIT, flux_factor, scaled
from astropy_imphot.calibration.zero_points import AB_FLUX, pivot_in_header
from astropy_imphot.io.errors import UserError, warn
from astropy_imphot.io.files import Source, naming, opened, source_name
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.images import image_hdus, read_header, read_image
from astropy_imphot.io.layout import meaning_of, science_hdu
from astropy_imphot.io.quantities import to_value
from astropy_imphot.io.reference_kinds import companion_image, kind_of
from astropy_imphot.io.representation import Representation
from astropy_imphot.reference.template import HstTemplate

__all__ = ["HST_PSF", "Reference", "default_psf", "read_reference"]

# Names of the extensions in place of files that are given.
NAMES = {"sigma": "ERR", "weight": "WHT", "mask": "DQ"}

OPTIONS = ("zeropoint", "filter_name", "pivot", *NAMES)

# FWHM (arcsec) and beta of images whose camera is not named, as in the classic imphot: those of ACS.
HST_PSF = (0.085, 1.6)


def read_reference(
    source, *, zeropoint=None, filter_name=None, pivot=None, sigma=None, weight=None, mask=None
):
    """
    Prepare an image of HST, JWST, Euclid, a survey or any other origin as a reference.

    All functions read images in this way. It is needed for what the header of an image lacks.

    Parameters
    ----------
    source : str, path, HDU, HDUList, `~astropy.nddata.NDData` or `Reference`
        The image.
    zeropoint : float or `~astropy.units.Quantity`, optional
        The AB magnitude of a pixel value of 1, or its flux density per Hertz or per Angstrom. By default
        (None) that of the header, see ``RULES`` of ``astropy_imphot.calibration.zero_points``.
    filter_name : str, optional
        The filter. By default (None) that of the header.
    pivot : float or `~astropy.units.Quantity`, optional
        The pivot wavelength of the filter, Angstrom, for fluxes per Hertz. By default (None) PHOTPLAM, or
        that of the camera's filter, see `~astropy_imphot.calibration.pivots.known_pivot`.
    sigma, weight, mask : str, path, HDU, HDUList or array of shape (ny, nx), optional
        Standard deviations in the image's unit; weights (inverse variances up to a factor; 0 where a pixel
        was not observed); and not 0 where a pixel is bad. By default (None) the extensions of the image, and
        files beside it, see ``KINDS`` of ``astropy_imphot.io.reference_kinds``.

    Returns
    -------
    Reference
        The image, for all functions that take one. Its pixels are read when they are needed.

    Raises
    ------
    UserError
        If the image cannot be read, or its fluxes are not known. The error has the keywords that were looked
        for.

    Examples
    --------
    >>> from astropy_imphot import UserError, fit_image_photometry, read_reference
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> field.hst.meta = {}
    >>> try:
    ...     read_reference(field.hst)
    ... except UserError as error:
    ...     print(str(error).partition(":")[0])
    the flux of the pixels is not known
    >>> reference = read_reference(field.hst, zeropoint=25.69, filter_name="F775W", pivot=7692.4)
    >>> round(float(reference.pixel_flux.value), 2)
    9.74
    >>> fit = fit_image_photometry(reference, field.muse[0])
    >>> bool(abs(fit.scale.value - 1) < 4 * fit.scale.stdev)
    True
    """
    with naming(source):
        given = {
            "zeropoint": _zero_point(zeropoint),
            "filter_name": None if filter_name is None else str(filter_name).strip().upper(),
            "pivot": to_value(pivot, u.AA, "pivot"),
            "sigma": sigma,
            "weight": weight,
            "mask": mask,
        }
        if given["pivot"] is not None and not 0 < given["pivot"] < np.inf:
            raise UserError(f"pivot is {pivot}: give a wavelength in Angstrom.")
        if isinstance(source, Reference):
            given = {key: source.options[key] if value is None else value for key, value in given.items()}
            source = source.given
        reference = Reference(source, **given)
        # Errors come here, not after the first fit.
        _ = reference.pixel_flux
        return reference


class Reference(Representation, Source):
    """
    A reference image with what its header lacks, made by `read_reference`.

    It can be given to all functions in place of the image.

    Attributes
    ----------
    given
        The image, as it was given.
    options : dict of str to object
        What was given beside it: the keywords of `read_reference`.

    Examples
    --------
    >>> from astropy_imphot import read_reference
    >>> from astropy_imphot.simulation import example_field
    >>> reference = read_reference(example_field().hst)
    >>> print(reference.kind.name, reference.filter_name, reference.pivot, reference.psf)
    HST ACS/WFC F775W 7692.4 (0.085, 1.6)
    """

    def __init__(self, given, **options):
        super().__init__(given)
        self.options = dict.fromkeys(OPTIONS) | options
        self._entered = False

    def __enter__(self):
        self._entered = True
        return self

    def __reduce__(self):
        # An open file cannot be pickled.
        return _rebuilt, (self.given, self.options)

    def _represented(self):
        return {
            "given": source_name(self, type(self.given).__name__),
            "kind": self.kind.name,
            "filter": self.filter_name,
            "pixel_flux": f"{self.pixel_flux.value:.4g} {PIPELINE_UNIT}",
            "psf": self.psf,
        }

    def shared(self):
        """
        Share the open file.

        Returns
        -------
        context manager
            It gives this reference if it is open, else a copy that is closed afterwards.

        Examples
        --------
        See `Reference`.
        """
        return nullcontext(self) if self._entered else Reference(self.given, **self.options)

    def borrowed(self):
        """
        Lend the HDUs.

        Returns
        -------
        context manager
            It gives the `~astropy.io.fits.HDUList`, and closes it afterwards if the reference is not open.

        Examples
        --------
        See `Reference`.
        """
        return nullcontext(self.hdus) if self._entered else self._open()

    @cached_property
    def hdus(self):
        """The `~astropy.io.fits.HDUList`, opened now if it was not before."""
        return self._context.enter_context(self._open())

    @cached_property
    def _grid(self):
        return read_grid(self)

    @property
    def kind(self):
        """Its row of the table of kinds, `~astropy_imphot.io.reference_kinds.ReferenceKind`."""
        return kind_of(self._grid.meta, source_name(self, ""))

    @property
    def filter_name(self):
        """The name of its filter, in capitals; empty if it is not known."""
        return filter_in_header(self._grid.meta) or self.kind.filter_name

    @property
    def pivot(self):
        """The pivot wavelength of its filter, Angstrom."""
        with naming(self):
            return pivot_in_header(self._grid.meta)

    @property
    def pixel_flux(self):
        """The flux density of a pixel value of 1, in 1e-20 erg/s/cm2/Angstrom."""
        with naming(self):
            return flux_factor(self._grid.unit, self._grid.meta, PIPELINE_UNIT) * PIPELINE_UNIT

    @property
    def psf(self):
        """FWHM (arcsec) and beta of its PSF: of a map beside it, or of its kind; None if not known."""
        return _psf(self._grid.meta, source_name(self, ""))

    def image(self, footprint=None):
        """
        Read the image in fluxes.

        Parameters
        ----------
        footprint : `~astropy.coordinates.SkyCoord`, optional
            Read only the rectangle of pixels that encloses these positions. By default (None) the whole
            image is read.

        Returns
        -------
        `~astropy.nddata.CCDData`
            Of shape (ny, nx), in 1e-20 erg/s/cm2/Angstrom per pixel, with variance and mask where the image
            has them.

        Raises
        ------
        UserError
            If ``footprint`` does not touch the image.

        Examples
        --------
        >>> from astropy_imphot import read_reference
        >>> from astropy_imphot.simulation import example_field
        >>> read_reference(example_field().hst).image().shape
        (667, 667)
        """
        with naming(self):
            image = read_image(self, footprint=footprint)
            return scaled(image, flux_factor(image.unit, image.meta, PIPELINE_UNIT), PIPELINE_UNIT)

    @contextmanager
    def _open(self):
        with ExitStack() as files:
            hdus = self._own_hdus(files)
            science = science_hdu(hdus)
            for key, value in self._cards().items():
                science.header[key] = value
                if key in hdus[0].header:
                    hdus[0].header[key] = value
            if self.options["filter_name"] is not None:
                for hdu in (science, hdus[0]):
                    hdu.header.remove("PUPIL", ignore_missing=True)
            for meaning, name in NAMES.items():
                if (source := self.options[meaning]) is None:
                    continue
                pixels = _pixels(source, science, meaning, files)
                hdus = fits.HDUList([hdu for hdu in hdus if meaning_of(hdu) != meaning])
                hdus.append(fits.ImageHDU(pixels, name=name, ver=science.ver))
            yield hdus

    def _own_hdus(self, files):
        """Return HDUs of which the headers can be changed."""
        if isinstance(self.given, NDData):
            return image_hdus(self.given)
        hdus = _opened(self.given, files)
        if isinstance(self.given, str | Path):
            return hdus
        # They are the user's.
        images = [
            fits.ImageHDU(hdu.data, hdu.header, name=hdu.name, ver=hdu.ver)
            for hdu in hdus
            if hdu.is_image and hdu.header.get("NAXIS", 0) > 0
        ]
        return fits.HDUList([fits.PrimaryHDU(header=hdus[0].header.copy(strip=True)), *images])

    def _cards(self):
        """Return the cards that were given in place of those of the header."""
        cards = {
            "FILTER": self.options["filter_name"],
            "PHOTPLAM": self.options["pivot"],
            "BUNIT": self.options["zeropoint"],
        }
        return {key: value for key, value in cards.items() if value is not None}


def default_psf(reference):
    """
    Return the PSF of a reference image by its camera.

    Parameters
    ----------
    reference : str, path, HDU, HDUList, `~astropy.nddata.NDData`, `HstTemplate` or `Reference`
        The image, of which the header is read.

    Returns
    -------
    (float, float)
        FWHM (arcsec) and beta.

    Warns
    -----
    ImphotWarning
        If a camera is named of which no PSF is known, and that of ACS is taken.

    Examples
    --------
    >>> from astropy_imphot.reference.reading import default_psf
    >>> from astropy_imphot.simulation import example_field
    >>> default_psf(example_field().hst)
    (0.085, 1.6)
    """
    header = reference.meta if isinstance(reference, HstTemplate) else read_header(reference)
    if (found := _psf(header, source_name(reference, ""))) is not None:
        return found
    if camera := str(header.get("INSTRUME", "")).strip():
        warn(
            f"the PSF of images of {camera} is not known, and FWHM {HST_PSF[0]} arcsec is taken: give "
            "hst_fwhm and hst_beta, or hst_psf."
        )
    return HST_PSF


def _rebuilt(given, options):
    return Reference(given, **options)


def _zero_point(value):
    """Return the unit of pixels with a zero point, as in BUNIT."""
    if value is None:
        return None
    # Of magnitudes with a unit, such as u.ABmag, the flux.
    value = getattr(value, "physical", value)
    for unit in (u.Jy, u.erg / u.s / u.cm**2 / u.AA):
        if isinstance(value, u.Quantity) and value.unit.is_equivalent(unit):
            flux = value.to(unit)
            break
    else:
        flux = AB_FLUX * 10 ** (-0.4 * to_value(value, u.mag, "zeropoint"))
    if not 0 < flux.value < np.inf:
        raise UserError(f"zeropoint is {value}: give an AB magnitude.")
    return f"{float(flux.value)!r} {flux.unit}"


def _opened(given, files):
    """Return the HDUs of an input, open as long as ``files`` is."""
    # The name of a file that stays open is not that of errors elsewhere.
    return given.hdus if isinstance(given, Source) else files.enter_context(Source(given)).hdus


def _pixels(source, science, meaning, files):
    """Return the pixels of a given file or array."""
    if isinstance(source, np.ndarray):
        image = fits.PrimaryHDU(np.where(source, 1, 0) if source.dtype == bool else source)
        pixels = companion_image([image], science, meaning).data
    else:
        with naming(source):
            pixels = companion_image(_opened(source, files), science, meaning).data
    # All bits, of which each kind of images reads some.
    return np.where(pixels != 0, -1, 0).astype(np.int16) if meaning == "mask" else pixels


def _psf(header, name):
    """Return FWHM and beta of an image by its header and the name of its file, or None."""
    kind = kind_of(header, name)
    sizes = kind.companion_files(name).get("psfsize")
    fwhm = _header_fwhm(header) or kind.fwhm if sizes is None else _median(sizes)
    return None if fwhm is None else (fwhm, kind.beta)


def _header_fwhm(header):
    """Return the FWHM of the PSF (arcsec) in ESO's Phase 3 headers, or None."""
    fwhm = positive_number(header.get("PSF_FWHM"))
    return fwhm if np.isfinite(fwhm) else None


def _median(path):
    """Return the median of the valid pixels of a map."""
    with opened(path) as hdus:
        data = np.asarray(science_hdu(hdus, naxis=2).data)
    valid = data[np.isfinite(data) & (data > 0)]
    if not valid.size:
        raise UserError(f"{path} has no valid pixel: give the FWHM of the reference's PSF, hst_fwhm.")
    return float(np.median(valid))
