"""The table of an exposure's filters, IMPHOT.fits, that musered reads."""

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table

from astropy_imphot.io.dates import header_value
from astropy_imphot.io.files import short_name
from astropy_imphot.io.writing import atomic_write

__all__ = ["write_imphot"]


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
    >>> from astropy_imphot.products.imphot_table import write_imphot
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
        # PSFs of other shapes have no beta, but musered reads all columns.
        column = u.Quantity(rows[key] if key in rows.colnames else np.full(len(rows), np.nan), dtype=float)
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
