"""Files that other programs read: OFFSET_LIST.fits, IMPHOT.fits, and MPDAF's keywords of the PSF."""

import gzip
import re
import shutil
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from astropy_imphot.io.dates import header_value, to_isot, to_mjd
from astropy_imphot.io.errors import FileError, UserError, warn
from astropy_imphot.io.files import atomic_write, opened, short_name
from astropy_imphot.psf.moffat import MOFFAT

__all__ = ["fsf_keywords", "write_fsf", "write_imphot", "write_offset_list"]

# The pipeline finds an exposure's row by its DATE-OBS, of 23 characters.
DATE_OBS = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}")

# NFIELDS says how many fields have a PSF of their own.
FSF_KEYWORDS = re.compile(r"FSF(MODE|LB[12]|\d\d[A-Z]\w*)|NFIELDS")

COPY_BYTES = 1 << 24


def write_offset_list(path, exposures, *, overwrite=False):
    """
    Write the OFFSET_LIST.fits that muse_exp_combine and muse_scipost read.

    Parameters
    ----------
    path : str or path
        The file to write.
    exposures : `~astropy.table.QTable`
        A row for each exposure, with the columns exposure and file (str); date_obs, its DATE-OBS (str or
        `~astropy.time.Time`), and mjd_obs (float, days, NaN if it is not known; or `~astropy.time.Time`); dra
        and ddec (angles), what its coordinates have to be lowered by, not multiplied by the cosine of the
        declination; scale (float), MUSE/HST; and error
        (str), ``""`` if it was measured.
    overwrite : bool
        Replace an existing file (default: False).

    Raises
    ------
    UserError
        If two exposures have the same DATE-OBS, none can be listed, the file exists and ``overwrite`` is
        False, or it cannot be written.

    Warns
    -----
    ImphotWarning
        If an exposure that was measured has no DATE-OBS of 23 characters, without which the pipeline cannot
        tell that the row is its own: it is left out.

    Notes
    -----
    The first extension is a binary table: DATE_OBS (23 characters), MJD_OBS (double, d), RA_OFFSET and
    DEC_OFFSET (double, deg) and FLUX_SCALE (double, 1/scale, which multiplies the exposure; NaN for
    none).

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.io import fits
    >>> from astropy.table import QTable
    >>> from astropy_imphot.products.pipeline_files import write_offset_list
    >>> exposures = QTable({
    ...     "exposure": ["E1"], "file": ["E1.fits"], "date_obs": ["2014-09-25T04:12:00.000"],
    ...     "mjd_obs": [56925.175], "dra": [0.36] * u.arcsec, "ddec": [-0.18] * u.arcsec,
    ...     "scale": [0.8], "error": [""]})
    >>> write_offset_list("OFFSET_LIST.fits", exposures)
    >>> row = fits.getdata("OFFSET_LIST.fits", 1)[0]
    >>> print(row["DATE_OBS"], round(row["RA_OFFSET"], 6), round(row["FLUX_SCALE"], 3))
    2014-09-25T04:12:00.000 0.0001 1.25
    """
    dates = np.array([str(date).strip() for date in to_isot(exposures["date_obs"])])
    keyed = np.array([DATE_OBS.fullmatch(date) is not None for date in dates], dtype=bool)
    _refuse_same_dates(exposures["file"][keyed], dates[keyed])
    dra, ddec = (u.Quantity(exposures[key]).to_value(u.deg) for key in ("dra", "ddec"))
    measured = np.isfinite(dra + ddec) & np.array([not error for error in exposures["error"]], dtype=bool)
    for row in np.flatnonzero(measured & ~keyed):
        warn(
            f"{exposures['file'][row]} is left out of {path}: "
            + (
                f"its DATE-OBS, {dates[row]}, is not of the form"
                if dates[row]
                else "it has no DATE-OBS, such as"
            )
            + " 2014-09-25T04:12:00.000, which the pipeline finds its offset by."
        )
    listed = measured & keyed
    if not listed.any():
        raise UserError(f"{path} is not written: no exposure was measured and has a DATE-OBS.")
    scale = u.Quantity(exposures["scale"]).value[listed]
    mjd = u.Quantity(to_mjd(exposures["mjd_obs"])).value[listed]
    columns = [
        fits.Column("DATE_OBS", "23A", array=dates[listed]),
        fits.Column("MJD_OBS", "D", unit="d", array=mjd),
        fits.Column("RA_OFFSET", "D", unit="deg", array=dra[listed]),
        fits.Column("DEC_OFFSET", "D", unit="deg", array=ddec[listed]),
        fits.Column("FLUX_SCALE", "D", array=1 / np.where(scale > 0, scale, np.nan)),
    ]
    primary = fits.PrimaryHDU()
    primary.header["HIERARCH ESO PRO CATG"] = "OFFSET_LIST"
    hdus = fits.HDUList([primary, fits.BinTableHDU.from_columns(columns)])
    with atomic_write(path, overwrite) as temporary:
        hdus.writeto(temporary)


def _refuse_same_dates(files, dates):
    for date, count in zip(*np.unique(dates, return_counts=True), strict=True):
        if count > 1:
            same = " and ".join(str(file) for file in files[dates == date])
            raise UserError(
                f"{same} have the same DATE-OBS, {date}, which the pipeline tells exposures apart by: "
                "leave out all but one."
            )


def write_imphot(path, rows, *, header, offset=None, overwrite=False):
    """
    Write an exposure's IMPHOT.fits, which musered reads.

    Parameters
    ----------
    path : str or path
        The file to write.
    rows : `~astropy.table.Table`
        A row for each filter, with the columns file and filter (str), dx, dy, dra, ddec and fwhm (angles, or
        numbers in arcsec), and scale, beta, bg and rms.
    header : `~astropy.io.fits.Header` or dict
        The exposure's, of which EXPNAME (by default the stem of the first row's file), DATE-OBS and
        MJD-OBS are kept; a dict may have `~astropy.time.Time` for the dates.
    offset : (`~astropy.units.Quantity`, `~astropy.units.Quantity`), optional
        The exposure's dra and ddec. By default (None), or if one is NaN, there are no RA_OFF and DEC_OFF.
    overwrite : bool
        Replace an existing file (default: False).

    Raises
    ------
    UserError
        If the file exists and ``overwrite`` is False, or it cannot be written.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.table import QTable, Table
    >>> from astropy_imphot.products.pipeline_files import write_imphot
    >>> rows = QTable({
    ...     "file": ["F775W_E1.fits"], "filter": ["F775W"], "dx": [0.1] * u.arcsec, "dy": [0.2] * u.arcsec,
    ...     "dra": [-0.36] * u.arcsec, "ddec": [0.18] * u.arcsec, "scale": [0.98], "fwhm": [0.6] * u.arcsec,
    ...     "beta": [2.5], "bg": [0.1], "rms": [1.2]})
    >>> write_imphot("IMPHOT.fits", rows, header={"EXPNAME": "E1"}, offset=(rows["dra"][0], rows["ddec"][0]))
    >>> table = Table.read("IMPHOT.fits")
    >>> table.meta["EXPNAME"], round(table.meta["RA_OFF"], 6), table["filename"][0]
    ('E1', -0.0001, 'F775W_E1.fits')
    """
    table = Table()
    for name, key in (("filename", "file"), ("filter", "filter")):
        table[name] = [_ascii(value) for value in rows[key]]
    for key in ("dx", "dy", "dra", "ddec", "scale", "fwhm", "beta", "bg", "rms"):
        column = u.Quantity(rows[key], dtype=float)
        if key in ("dx", "dy", "dra", "ddec", "fwhm"):
            column = column * u.arcsec if column.unit == u.one else column.to(u.arcsec)
        table[key] = column.value
        table[key].unit = None if column.unit == u.one else column.unit
    meta = {"EXPNAME": header.get("EXPNAME", _ascii(short_name(str(rows["file"][0]))))}
    if offset is not None and np.all(np.isfinite(u.Quantity(offset))):
        meta.update(zip(("RA_OFF", "DEC_OFF"), u.Quantity(offset).to_value(u.deg).tolist(), strict=True))
    meta.update({key: header_value(key, header[key]) for key in ("DATE-OBS", "MJD-OBS") if key in header})
    hdu = fits.table_to_hdu(table)
    hdu.header.update(meta)
    for key in {"RA_OFF", "DEC_OFF"} & set(meta):
        hdu.header.comments[key] = "[deg] exposure - reference"
    with atomic_write(path, overwrite) as temporary:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(temporary)


def _ascii(text):
    """Return a text as FITS can hold it."""
    return str(text).encode("ascii", "replace").decode()


def fsf_keywords(coefficients, *, psf=MOFFAT, limits=(4750.0, 9350.0)):
    """
    Return MPDAF's keywords of a cube's PSF, whose parameters change with wavelength.

    Parameters
    ----------
    coefficients : dict of str to float or sequence of float
        For each parameter of the PSF, in its unit, the coefficients of its polynomial in
        l = (wavelength - limits[0]) / (limits[1] - limits[0]) - 0.5, highest power first.
    psf : `~astropy_imphot.psf.shape.PsfShape`
        The PSF's shape (default: a Moffat function).
    limits : (float, float)
        Wavelengths in Angstrom between which l goes from -0.5 to 0.5 (default: 4750 and 9350).

    Returns
    -------
    `~astropy.io.fits.Header`
        FSFMODE (2 for a Moffat function) and the rest, for field 0.

    Raises
    ------
    UserError
        If MPDAF has no keywords for the shape, if there are no coefficients, more than 99, or some are not
        finite, or the limits do not rise.

    Examples
    --------
    >>> from astropy_imphot.products.pipeline_files import fsf_keywords
    >>> header = fsf_keywords({"fwhm": [-0.1, 0.65], "beta": 2.5})
    >>> header["FSF00FNC"], header["FSF00F00"], header["FSF00F01"], header["FSF00B00"]
    (2, -0.1, 0.65, 2.5)
    """
    if not (np.all(np.isfinite(limits)) and limits[0] < limits[1]):
        raise UserError(f"the PSF's wavelengths {limits[0]} and {limits[1]} Angstrom do not rise.")
    if psf.fsf_mode is None:
        raise UserError(f"MPDAF has no keywords for a PSF of the shape {psf.name}: fit a Moffat function.")
    header = fits.Header()
    polynomials = " ".join(f"{name}=poly(lbda)" for name in sorted(psf.fsf_letters))
    header["FSFMODE"] = (psf.fsf_mode, f"Circular {psf.name.upper()} {polynomials}")
    header["FSFLB1"] = (float(limits[0]), "FSF Blue Ref Wave (A)")
    header["FSFLB2"] = (float(limits[1]), "FSF Red Ref Wave (A)")
    for name, letter in psf.fsf_letters.items():
        own, title = np.atleast_1d(coefficients[name]).astype(float), name.upper()
        if not 1 <= own.size <= 99 or not np.all(np.isfinite(own)):
            raise UserError(f"the PSF's {name} needs 1 to 99 coefficients that are finite numbers.")
        header[f"FSF00{letter}NC"] = (own.size, f"FSF00 {title} Poly Ncoef")
        for power, coefficient in enumerate(own.tolist()):
            header[f"FSF00{letter}{power:02d}"] = (coefficient, f"FSF00 {title} Poly C{power:02d}")
    return header


def write_fsf(cube, path, keywords, *, overwrite=False):
    """
    Copy a cube with the PSF's keywords in its primary header, or put them into the cube itself.

    Parameters
    ----------
    cube : str or path
        The cube's file, which may be compressed (.gz).
    path : str or path
        The file to write, compressed if its name ends in .gz; the cube's own to replace it, which keeps
        its permissions.
    keywords : `~astropy.io.fits.Header`
        As `fsf_keywords` returns them. They take the place of all PSF keywords that the cube has.
    overwrite : bool
        Replace an existing file (default: False); needed for the cube's own.

    Raises
    ------
    UserError
        If the cube is not a whole FITS file, ``path`` exists and ``overwrite`` is False, or it cannot be
        written. An existing file, such as the cube, is then as it was.

    Notes
    -----
    All but the primary header is copied byte by byte, in pieces, whatever the cube's size.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from astropy_imphot.products.pipeline_files import fsf_keywords, write_fsf
    >>> cube = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((4, 5, 7)), name="DATA")])
    >>> cube.writeto("cube.fits")
    >>> write_fsf("cube.fits", "cube.fits", fsf_keywords({"fwhm": [-0.1, 0.65], "beta": 2.5}), overwrite=True)
    >>> fits.getheader("cube.fits")["FSFMODE"]
    2
    """
    cube, path = Path(cube), Path(path)
    # A file that ends early is found before anything is written.
    with opened(cube):
        pass
    in_place = path.exists() and path.samefile(cube)
    if in_place:
        # A link to the cube stays one.
        path = path.resolve()
    with atomic_write(path, overwrite) as temporary, _stream(cube) as source:
        header = _primary_header(source, cube)
        for key in {key for key in header if FSF_KEYWORDS.fullmatch(key)}:
            header.remove(key, remove_all=True)
        # It is of the header that was; DATASUM stays true.
        header.remove("CHECKSUM", ignore_missing=True)
        header.extend(keywords.cards, end=True)
        compressed = path.suffix == ".gz"
        with gzip.open(temporary, "wb") if compressed else temporary.open("wb") as target:
            target.write(header.tostring().encode("ascii"))
            shutil.copyfileobj(source, target, COPY_BYTES)
        if in_place:
            shutil.copymode(cube, temporary)


def _stream(path):
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if compressed else path.open("rb")


def _primary_header(stream, name):
    """Return the first header of a stream, which is then at the first byte after it."""
    if stream.read(6) != b"SIMPLE":
        raise FileError(f"{name} is compressed in a way that is not known: decompress it, or use gzip.")
    stream.seek(0)
    return fits.Header.fromfile(stream)
