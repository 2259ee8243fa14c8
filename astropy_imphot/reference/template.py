"""
The HST template: the HST image of a MUSE field and its surroundings, sampled for the model.

Its grid has a whole number of samples per MUSE pixel, one of them at the center of each.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from astropy.table import QTable
from scipy import fft

from astropy_imphot.io.files import Source, opened
from astropy_imphot.io.grid import Grid, read_grid
from astropy_imphot.io.headers import wcs_header
from astropy_imphot.io.images import write_image
from astropy_imphot.io.quantities import to_value
from astropy_imphot.io.representation import Representation
from astropy_imphot.models.point_source import PointSources
from astropy_imphot.psf.fourier import decimation_window, frequencies, window_noise
from astropy_imphot.psf.spectra import AliasedFrequencies, crop_spectrum
from astropy_imphot.reference.resample import finer_wcs, rotated

__all__ = ["HstTemplate", "recorded_axes"]

# The keyword that records the decimation filter of an HST image on a MUSE grid.
WINDOW_KEYWORD = "DECIMWIN"

# The keywords that record the orientation of the HST image.
AXES_KEYWORDS = ("HSTAX1_1", "HSTAX1_2", "HSTAX2_1", "HSTAX2_2")

# The extensions of a file that hold a template's arrays.
EXTENSIONS = {"data": "TEMPLATE", "variance": "TEMPLATE_STAT", "missing": "TEMPLATE_MISSING"}

# The columns of the table of point sources in a file.
SOURCES = ("x", "y", "flux", "flux_err", "saturated", "reach")

# A pixel of which more than this fraction is unobserved is not usable.
MISSING_LIMIT = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class HstTemplate(Representation):
    """
    An HST image, in MUSE units, sampled for a MUSE grid and wider than it.

    Made by `make_template`, or read from a file of ``regrid_hst_to_muse`` by `read`.

    Attributes
    ----------
    data : array of shape (k * grid_ny, k * grid_nx)
        Flux per MUSE pixel area, where k is ``oversample``; the sample (k * j, k * i) is
        at the center of MUSE pixel (j, i) - ``margin``.
    missing : array of the same shape, or None
        Fraction of each sample that HST did not observe; None where all was observed.
    variance : array of the same shape or of shape (1, 1), or None
        Variance of the HST noise summed over the area of a MUSE pixel, at low frequencies; a single one if
        it is the same everywhere, None if it is not known.
    grid : `~astropy_imphot.io.grid.Grid`
        The MUSE image's, with the unit of ``data``.
    oversample : int
        Samples per MUSE pixel and axis.
    margin : (int, int)
        MUSE pixels before the first of the MUSE image, along y and x.
    window : str
        The decimation filter that is still to be divided out.
    meta : `~astropy.io.fits.Header` or dict
        The HST image's header.
    hst_axes : array of shape (2, 2) or None
        The matrix that turns an offset (x, y) along the MUSE pixel axes into one along those of the HST
        image; None if the axes are the same or not known.
    sources : `~astropy_imphot.models.point_source.PointSources` or None
        The point sources that are not in ``data``; None if they were not looked for.
    repairs : `~astropy.table.QTable` or None
        The artefacts of the HST image that were repaired; None if they were not looked for.

    Examples
    --------
    >>> from astropy_imphot import make_template
    >>> from astropy_imphot.simulation import example_field
    >>> field = example_field()
    >>> template = make_template(field.hst, field.muse[0], margin=2.0)
    >>> template.muse_shape, template.grid_shape
    ((50, 50), (70, 70))
    """

    data: np.ndarray
    grid: Grid
    oversample: int
    margin: tuple
    window: str
    meta: object
    missing: np.ndarray | None = None
    variance: np.ndarray | None = None
    hst_axes: np.ndarray | None = None
    sources: PointSources | None = None
    repairs: QTable | None = None

    def __deepcopy__(self, memo):
        # Nothing in here changes, so that copies of a model can share it.
        return self

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _represented(self):
        return {key: getattr(self, key) for key in ("data", "muse_shape", "oversample", "margin", "window")}

    @property
    def muse_shape(self):
        """The MUSE image's (ny, nx)."""
        return self.grid.shape

    @property
    def pixel_scale(self):
        """Height and width of a MUSE pixel, arcsec."""
        return self.grid.pixel_scale

    @property
    def wcs(self):
        """The WCS of ``data``."""
        return finer_wcs(self.grid.wcs, self.oversample, self.margin)

    @cached_property
    def grid_shape(self):
        """Height and width of the template, in MUSE pixels."""
        return tuple(size // self.oversample for size in self.data.shape)

    @cached_property
    def field(self):
        """The slices of the MUSE image out of an array of shape ``grid_shape``."""
        return tuple(
            slice(start, start + size) for start, size in zip(self.margin, self.muse_shape, strict=True)
        )

    @cached_property
    def spectrum(self):
        """The transform (`scipy.fft.rfft2`) of ``data``."""
        return fft.rfft2(self.data.astype(float))

    @cached_property
    def aliases(self):
        """The frequencies of ``spectrum``, sorted by their aliases at the MUSE pixels."""
        return AliasedFrequencies(self.grid_shape, self.oversample, self.pixel_scale)

    @cached_property
    def nyquist(self):
        """The MUSE Nyquist frequency, cycles/arcsec."""
        return 0.5 / max(self.pixel_scale)

    def in_unit(self, unit):
        """
        Return the template in another unit.

        Parameters
        ----------
        unit : `~astropy.units.UnitBase`
            A flux density per Angstrom.

        Returns
        -------
        HstTemplate
            This one if the unit is the same.

        Examples
        --------
        >>> import astropy.units as u
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> template = make_template(field.hst, field.muse[0])
        >>> other = template.in_unit(1e-18 * template.grid.unit / 1e-20)
        >>> round(float(template.data.max() / other.data.max()))
        100
        """
        factor = self.grid.unit.to(unit)
        if factor == 1:
            return self
        return replace(
            self,
            data=self.data * factor,
            variance=None if self.variance is None else self.variance * factor**2,
            sources=None if self.sources is None else self.sources.times(factor),
            grid=replace(self.grid, unit=u.Unit(unit)),
        )

    def turned(self, angle):
        """
        Return the template rotated about the center of the MUSE image.

        Parameters
        ----------
        angle : float or `~astropy.units.Quantity`
            From x towards y, degrees.

        Returns
        -------
        HstTemplate
            With ``data`` and ``hst_axes`` rotated; where it is unobserved, and its variance, stay.

        Examples
        --------
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> template = make_template(field.hst, field.muse[0])
        >>> template.turned(0.1).data.shape == template.data.shape
        True
        """
        angle = to_value(angle, u.deg, "angle")
        center = [
            self.oversample * (margin + (size - 1) / 2)
            for margin, size in zip(self.margin, self.muse_shape, strict=True)
        ]
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        # The axes of the HST image turn with it.
        back = np.array([[cos, sin], [-sin, cos]])
        return replace(
            self,
            data=rotated(self.data, angle, center, self.pixel_scale),
            hst_axes=(np.eye(2) if self.hst_axes is None else self.hst_axes) @ back,
        )

    def missing_on_grid(self):
        """
        Return the unobserved fraction at the centers of the MUSE pixels.

        Returns
        -------
        array of shape ``grid_shape`` or None
            ``missing`` at one sample per MUSE pixel, not averaged; None where all was observed.

        Examples
        --------
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import simulate_field
        >>> field = simulate_field(seed=1, size=10.0, hst_margin=1.0)
        >>> template = make_template(field.hst, field.muse[0])
        >>> float(template.missing_on_grid()[0, 0]), float(template.missing_on_grid()[40, 40])
        (1.0, 0.0)
        """
        if self.missing is None:
            return None
        return self.missing[:: self.oversample, :: self.oversample]

    def variance_on_grid(self):
        """
        Return the variance at the centers of the MUSE pixels.

        Returns
        -------
        array of shape ``grid_shape`` or None
            ``variance`` at one sample per MUSE pixel, in the square of the template's unit; None if it is
            not known.

        Examples
        --------
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> template = make_template(field.hst, field.muse[0])
        >>> template.variance_on_grid().shape == template.grid_shape
        True
        """
        if self.variance is None:
            return None
        return np.broadcast_to(self.variance[:: self.oversample, :: self.oversample], self.grid_shape)

    def image(self, window="blackman"):
        """
        Return the template on exactly the MUSE pixels.

        Parameters
        ----------
        window : str
            The decimation filter, ``"blackman"`` (the default) or ``"none"``, recorded in the header.

        Returns
        -------
        `~astropy.nddata.CCDData`
            Of the MUSE image's shape (ny, nx), with its variance if it is known, and
            masked where HST did not observe.

        Raises
        ------
        UserError
            If there is no decimation filter of that name.

        Examples
        --------
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> make_template(field.hst, field.muse[0]).image().shape
        (50, 50)
        """
        response = decimation_window(
            window, np.hypot(*frequencies(self.grid_shape, self.pixel_scale)), self.nyquist
        )
        data = self._filtered(self.data, response)
        mask = variance = None
        if self.missing is not None:
            mask = self._filtered(self.missing, response) > MISSING_LIMIT
        if self.variance is not None:
            smooth = self._filtered(np.broadcast_to(self.variance, self.data.shape), response)
            variance = VarianceUncertainty((smooth * window_noise(window)).astype(np.float32))
        meta = fits.Header(self.meta) if not isinstance(self.meta, fits.Header) else self.meta.copy()
        meta[WINDOW_KEYWORD] = (window, "decimation filter of this image")
        self._record_axes(meta)
        return CCDData(
            data.astype(np.float32),
            mask=mask,
            uncertainty=variance,
            unit=self.grid.unit,
            wcs=self.grid.wcs,
            meta=meta,
        )

    def _record_axes(self, header):
        if self.hst_axes is not None:
            for keyword, value in zip(AXES_KEYWORDS, np.ravel(self.hst_axes), strict=True):
                header[keyword] = (value, "turns MUSE pixel axes to those of HST")

    def _filtered(self, samples, response):
        spectrum = crop_spectrum(fft.rfft2(samples.astype(float)), self.grid_shape)
        image = fft.irfft2(spectrum * response / self.oversample**2, s=self.grid_shape)
        return image[self.field]

    def write(self, path, *, image=None, overwrite=False):
        """
        Write the image on the MUSE grid, and the template itself, in one file.

        Parameters
        ----------
        path : str or path
            The file to write: DATA, STAT and DQ are the image; the extensions TEMPLATE,
            TEMPLATE_STAT and TEMPLATE_MISSING are the finer and wider template, POINT_SOURCES and REPAIRS
            tables of its point sources and of what was repaired.
        image : `~astropy.nddata.CCDData`, optional
            The image on the MUSE pixels, such as one with the point sources. By default (None) `image` of
            this template.
        overwrite : bool
            Replace an existing file (default: False).

        Raises
        ------
        UserError
            If the file exists and ``overwrite`` is False, or it cannot be written.

        Examples
        --------
        >>> from astropy_imphot import make_template
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> template = make_template(field.hst, field.muse[0])
        >>> template.write("hst_F775W_for_UDF.fits", overwrite=True)
        """
        header = wcs_header(self.wcs)
        header["OVERSAMP"] = (self.oversample, "samples per MUSE pixel and axis")
        header["MARGINX"] = (self.margin[1], "MUSE pixels before the first of the image")
        header["MARGINY"] = (self.margin[0], "MUSE pixels before the first of the image")
        header[WINDOW_KEYWORD] = (self.window, "decimation filter to be divided out")
        self._record_axes(header)
        layers = {name: getattr(self, field) for field, name in EXTENSIONS.items()}
        extensions = [
            fits.ImageHDU(layer.astype(np.float32), header=header, name=name)
            for name, layer in layers.items()
            if layer is not None
        ]
        for name, table in (("POINT_SOURCES", self._sources_table()), ("REPAIRS", self.repairs)):
            if table is not None:
                extensions.append(fits.BinTableHDU(_without_coordinates(table), name=name))
        image = self.image() if image is None else image
        write_image(image, path, overwrite=overwrite, extensions=extensions)

    def _sources_table(self):
        return None if self.sources is None else QTable({key: getattr(self.sources, key) for key in SOURCES})

    @classmethod
    def read(cls, source, muse):
        """
        Read the template in a file of ``regrid_hst_to_muse``.

        Parameters
        ----------
        source : str, path or HDUList
            The file.
        muse : `~astropy_imphot.io.grid.Grid`
            The MUSE image that it was made for.

        Returns
        -------
        HstTemplate or None
            None if the input is not such a file.

        Raises
        ------
        UserError
            If the file is missing or not a whole FITS file, or the image in it has no celestial WCS.

        Examples
        --------
        >>> from astropy_imphot import HstTemplate, make_template
        >>> from astropy_imphot.io.grid import read_grid
        >>> from astropy_imphot.simulation import example_field
        >>> field = example_field()
        >>> template = make_template(field.hst, field.muse[0])
        >>> template.write("hst_F775W_for_UDF.fits", overwrite=True)
        >>> HstTemplate.read("hst_F775W_for_UDF.fits", read_grid(field.muse[0])).margin
        (15, 15)
        """
        if hasattr(source, "data"):
            return None
        with Source.of(source) as source, opened(source) as hdus:
            layers = {
                field: hdu.data.astype(float)
                for field, name in EXTENSIONS.items()
                for hdu in hdus
                if hdu.name == name
            }
            if not layers:
                return None
            header = hdus[EXTENSIONS["data"]].header
            tables = {name: QTable.read(hdus[name]) for name in ("POINT_SOURCES", "REPAIRS") if name in hdus}
            image = read_grid(source)
            return cls(
                **layers,
                grid=replace(muse, unit=image.unit),
                oversample=header["OVERSAMP"],
                margin=(header["MARGINY"], header["MARGINX"]),
                window=header[WINDOW_KEYWORD],
                hst_axes=recorded_axes(header),
                meta=image.meta,
                sources=_read_sources(tables.get("POINT_SOURCES")),
                repairs=_with_coordinates(tables.get("REPAIRS")),
            )


def _read_sources(table):
    if table is None:
        return None
    return PointSources(
        **{key: np.array(table[key], dtype=bool if key == "saturated" else float) for key in SOURCES}
    )


def _without_coordinates(table):
    """Return a table that FITS can hold, with right ascension and declination in degrees."""
    if "sky_center" not in table.colnames:
        return table
    plain = table.copy()
    plain.add_columns([table["sky_center"].ra, table["sky_center"].dec], names=["ra", "dec"], indexes=[0, 0])
    plain.remove_column("sky_center")
    return plain


def _with_coordinates(table):
    """Return the reverse of `_without_coordinates`."""
    if table is None or "ra" not in table.colnames:
        return table
    table.add_column(SkyCoord(table["ra"], table["dec"]), name="sky_center", index=0)
    table.remove_columns(["ra", "dec"])
    return table


def recorded_axes(header):
    """Return the matrix from the MUSE pixel axes to those of the HST image, or None if not recorded."""
    if AXES_KEYWORDS[0] not in header:
        return None
    return np.reshape([float(header[key]) for key in AXES_KEYWORDS], (2, 2))
