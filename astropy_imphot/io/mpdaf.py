"""Images and cubes of mpdaf, recognized by their methods, without importing mpdaf."""

from pathlib import Path

from astropy.io import fits

from astropy_imphot.io.layout import science_hdu

__all__ = ["is_mpdaf", "mpdaf_hdus"]

FRAME_KEYWORDS = ("RADESYS", "EQUINOX")


def is_mpdaf(source):
    """Return whether an input is an Image or a Cube of mpdaf."""
    return all(hasattr(source, f"get_{name}_hdu") for name in ("data", "stat", "dq"))


def mpdaf_hdus(source):
    """
    Return the HDUs of an Image or a Cube of mpdaf.

    Parameters
    ----------
    source : mpdaf Image or Cube
        The object, whose pixels are used as they are in memory.

    Returns
    -------
    `~astropy.io.fits.HDUList`
        The primary header, DATA, and STAT and DQ where there are variances and masked pixels.

    Notes
    -----
    mpdaf takes the frame, RADESYS, from the primary header: FK5 in most MUSE files. The FITS standard takes
    that of the image, and ICRS if it has none. They are some 20 mas apart. The frame is that of the image in
    the file that the object was read from, so that both give the same positions.
    """
    data = source.get_data_hdu(convert_float32=False)
    if source.unit.is_equivalent(""):
        # Not a unit, though mpdaf writes the factor FSCALE as one.
        data.header.remove("BUNIT", ignore_missing=True)
    for key, value in _frame_in_file(source).items():
        if value is None:
            data.header.remove(key, ignore_missing=True)
        else:
            data.header[key] = value
    stat = source.get_stat_hdu(header=data.header, convert_float32=False)
    companions = [hdu for hdu in (stat, source.get_dq_hdu(header=data.header)) if hdu is not None]
    return fits.HDUList([fits.PrimaryHDU(header=source.primary_header), data, *companions])


def _frame_in_file(source):
    """Return the keywords of the frame of the image in an object's file, None for those that it has not."""
    if not (source.filename and Path(source.filename).is_file()):
        return {}
    with fits.open(source.filename) as hdus:
        header = science_hdu(hdus).header
        return {key: header.get(key) for key in FRAME_KEYWORDS}
