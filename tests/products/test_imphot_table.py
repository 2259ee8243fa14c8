"""IMPHOT.fits: what plain astropy reads in it, as musered does."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time

from astropy_imphot import UserError
from astropy_imphot.calibration.units import PIPELINE_UNIT
from astropy_imphot.products.imphot_table import write_imphot

DATE = "2014-09-25T04:12:00.000"

ROWS = {
    "file": ["F606W_É1.fits", "F775W_E1.fits"],
    "filter": ["F606W", "F775W"],
    "dx": [0.1, 0.2] * u.arcsec,
    "dy": [0.3, 0.4] * u.arcsec,
    "dra": [-0.36, -0.72] * u.arcsec,
    "ddec": [0.18, 0.36] * u.arcsec,
    "scale": [0.98, np.nan],
    "fwhm": [0.6, 0.55] * u.arcsec,
    "beta": [2.5, 2.6],
    "bg": [0.1, 0.2] * PIPELINE_UNIT,
    "rms": [1.2, 1.3] * PIPELINE_UNIT,
}


def test_imphot_as_musered_reads_it(tmp_path):
    header = fits.Header({"EXPNAME": "GTO07", "DATE-OBS": DATE, "MJD-OBS": 56925.175, "OBJECT": "UDF"})
    offset = (-0.54 * u.arcsec, 0.27 * u.arcsec)
    write_imphot(tmp_path / "IMPHOT.fits", QTable(ROWS), header=header, offset=offset)
    table = Table.read(tmp_path / "IMPHOT.fits", hdu=1)
    assert table.colnames == ["filename", *list(ROWS)[1:]]
    assert table["filename"].tolist() == ["F606W_?1.fits", "F775W_E1.fits"]
    assert table["filter"].tolist() == ["F606W", "F775W"]
    for key in list(ROWS)[2:]:
        np.testing.assert_array_equal(np.ma.filled(table[key], np.nan), u.Quantity(ROWS[key]).value)
        assert table[key].dtype.newbyteorder("=") == np.dtype(float)
    assert {key: table[key].unit for key in ("dx", "dy", "dra", "ddec", "fwhm")} == dict.fromkeys(
        ("dx", "dy", "dra", "ddec", "fwhm"), u.arcsec
    )
    assert u.Quantity(1, table["bg"].unit).to_value(PIPELINE_UNIT) == pytest.approx(1)
    assert table["scale"].unit is None
    assert table.meta["EXPNAME"] == "GTO07"
    assert table.meta["DATE-OBS"] == DATE
    assert table.meta["MJD-OBS"] == 56925.175
    assert table.meta["RA_OFF"] == pytest.approx(-1.5e-4, rel=1e-12)
    assert table.meta["DEC_OFF"] == pytest.approx(7.5e-5, rel=1e-12)
    assert "OBJECT" not in table.meta
    with pytest.raises(UserError, match="exists"):
        write_imphot(tmp_path / "IMPHOT.fits", QTable(ROWS), header=header)


def test_imphot_of_numbers_and_little_else(tmp_path):
    rows = Table({key: getattr(column, "value", column) for key, column in ROWS.items()})
    write_imphot(tmp_path / "IMPHOT.fits", rows, header={}, offset=(np.nan * u.arcsec, 1 * u.arcsec))
    table = Table.read(tmp_path / "IMPHOT.fits")
    assert table["fwhm"].unit == u.arcsec
    assert table["dra"].tolist() == [-0.36, -0.72]
    assert table.meta["EXPNAME"] == "F606W_?1"
    assert not {"RA_OFF", "DEC_OFF", "DATE-OBS", "MJD-OBS"} & set(table.meta)


def test_imphot_with_times(tmp_path):
    row = {"file": ["E1.fits"], "filter": ["F775W"]} | dict.fromkeys(
        ("dx", "dy", "dra", "ddec", "scale", "fwhm", "beta", "bg", "rms"), [1.0]
    )
    time = Time("2014-09-25T04:12:00.000", scale="utc")
    write_imphot(tmp_path / "IMPHOT.fits", Table(row), header={"DATE-OBS": time, "MJD-OBS": time})
    meta = Table.read(tmp_path / "IMPHOT.fits").meta
    assert meta["DATE-OBS"] == time.isot
    assert abs(meta["MJD-OBS"] - time.mjd) < 1e-9


def test_a_shape_without_beta(tmp_path):
    row = {"file": ["E1.fits"], "filter": ["F775W"]} | dict.fromkeys(
        ("dx", "dy", "dra", "ddec", "scale", "fwhm", "bg", "rms"), [1.0]
    )
    write_imphot(tmp_path / "IMPHOT.fits", Table(row), header={})
    assert np.isnan(fits.getdata(tmp_path / "IMPHOT.fits")["beta"][0])
