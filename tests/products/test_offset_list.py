"""OFFSET_LIST.fits: what plain astropy reads in it, in the types that the pipeline wants."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time
from astropy.utils.exceptions import AstropyUserWarning

from astropy_imphot import ImphotWarning, UserError
from astropy_imphot.products.offset_list import write_offset_list

DATES = ["2014-09-25T04:12:00.000", "2014-09-25T04:39:21.600", "2014-10-01T00:00:00.123"]


def exposures(**columns):
    table = {
        "exposure": ["E1", "E2", "E3"],
        "file": ["E1.fits", "E2.fits", "E3.fits"],
        "date_obs": DATES,
        "mjd_obs": [56925.175, 56925.194, np.nan],
        # Single precision, such as a column may come with.
        "dra": np.array([0.36, -0.72, 1.8], dtype="f4") * u.arcsec,
        "ddec": [-0.18, 0.36, 0.09] * u.arcsec,
        "scale": [0.8, np.nan, 1.25],
        "flags": [0, 0, 4],
        "error": ["", "", ""],
    }
    return QTable({**table, **columns})


def test_offset_list_as_the_pipeline_reads_it(tmp_path):
    path = tmp_path / "OFFSET_LIST.fits"
    write_offset_list(path, exposures())
    with fits.open(path) as hdus:
        assert len(hdus) == 2
        assert hdus[0].header["HIERARCH ESO PRO CATG"] == "OFFSET_LIST"
        header, data = hdus[1].header, hdus[1].data
        assert header["TFIELDS"] == 5
        layout = [(header[f"TTYPE{n}"], header[f"TFORM{n}"], header.get(f"TUNIT{n}")) for n in range(1, 6)]
        assert layout == [
            ("DATE_OBS", "23A", None),
            ("MJD_OBS", "D", "d"),
            ("RA_OFFSET", "D", "deg"),
            ("DEC_OFFSET", "D", "deg"),
            ("FLUX_SCALE", "D", None),
        ]
        assert data["DATE_OBS"].tolist() == DATES
        np.testing.assert_array_equal(data["MJD_OBS"], [56925.175, 56925.194, np.nan])
        np.testing.assert_allclose(data["RA_OFFSET"], [1e-4, -2e-4, 5e-4], rtol=1e-6)
        np.testing.assert_allclose(data["DEC_OFFSET"], [-5e-5, 1e-4, 2.5e-5], rtol=1e-12)
        np.testing.assert_allclose(data["FLUX_SCALE"], [1.25, np.nan, 0.8], rtol=1e-12)
    with pytest.raises(UserError, match="exists"):
        write_offset_list(path, exposures())
    write_offset_list(path, exposures()[:1], overwrite=True)
    assert len(fits.getdata(path)) == 1


@pytest.mark.parametrize(
    ("columns", "left"),
    [
        ({"error": ["", "no overlap", ""]}, [0, 2]),
        ({"dra": [0.1, np.nan, 0.2] * u.arcsec}, [0, 2]),
        ({"ddec": [np.nan, 0.1, 0.2] * u.arcsec}, [1, 2]),
        # What was not measured needs no date.
        ({"error": ["no overlap", "", ""], "date_obs": ["", *DATES[1:]]}, [1, 2]),
    ],
)
def test_what_was_not_measured_is_not_listed(tmp_path, columns, left):
    write_offset_list(tmp_path / "list.fits", exposures(**columns))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == [DATES[row] for row in left]


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("", r"E2\.fits has no DATE-OBS such as .*: it is not in "),
        ("2014-09-25T04:39:21", r"E2\.fits has the DATE-OBS 2014-09-25T04:39:21, not of the form"),
        ("2014-09-25 04:39:21.600", r"E2\.fits has .*not of the form"),
        ("2014-09-25T04:39:21.6004", r"E2\.fits has .*not of the form"),
    ],
)
def test_exposure_without_a_key(tmp_path, date, words):
    with pytest.warns(AstropyUserWarning, match=words):
        write_offset_list(tmp_path / "list.fits", exposures(date_obs=[DATES[0], date, DATES[2]]))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == [DATES[0], DATES[2]]


def test_blanks_around_a_key(tmp_path):
    write_offset_list(tmp_path / "list.fits", exposures(date_obs=[f"{date} " for date in DATES]))
    assert fits.getdata(tmp_path / "list.fits")["DATE_OBS"].tolist() == DATES


# An offset that was not measured must not be taken from the other exposure.
@pytest.mark.parametrize("error", ["", "no overlap"])
def test_two_exposures_with_one_key(tmp_path, error):
    table = exposures(date_obs=[DATES[0], DATES[1], DATES[0]], error=["", "", error])
    with pytest.raises(UserError, match=r"E1\.fits and E3\.fits have the same DATE-OBS, 2014-09-25T04:12:00"):
        write_offset_list(tmp_path / "list.fits", table)
    assert not list(tmp_path.iterdir())


def test_exposures_without_dates_are_not_the_same(tmp_path):
    with pytest.warns(AstropyUserWarning, match="it is not in "):
        write_offset_list(tmp_path / "list.fits", exposures(date_obs=["", "", DATES[2]]))


def test_nothing_to_list(tmp_path):
    with pytest.raises(UserError, match="no exposure was measured"):
        write_offset_list(tmp_path / "list.fits", exposures(error=["a", "b", "c"]))
    with pytest.raises(UserError, match="no exposure was measured"):
        write_offset_list(tmp_path / "list.fits", exposures()[:0])


@pytest.mark.parametrize("scale", ["utc", "tai"])
def test_dates_as_times(tmp_path, scale):
    times = Time(DATES, scale="utc")
    given = getattr(times, scale)
    write_offset_list(tmp_path / "list.fits", exposures(date_obs=given, mjd_obs=given))
    found = fits.getdata(tmp_path / "list.fits")
    assert found["DATE_OBS"].tolist() == DATES
    np.testing.assert_allclose(found["MJD_OBS"], times.mjd, rtol=0, atol=1e-9)


def test_dates_as_times_that_are_masked(tmp_path):
    times = Time(DATES)
    times[1] = np.ma.masked
    with pytest.warns(ImphotWarning, match="DATE-OBS"):
        write_offset_list(tmp_path / "list.fits", exposures(date_obs=times, mjd_obs=times))
    data = fits.getdata(tmp_path / "list.fits")
    assert data["DATE_OBS"].tolist() == [DATES[0], DATES[2]]
    assert np.isfinite(data["MJD_OBS"]).all()


@pytest.mark.parametrize("scale", [0.00125, -0.9, 36.0, 0.0])
def test_a_scale_far_from_1_is_not_for_the_pipeline(tmp_path, scale):
    path = tmp_path / "OFFSET_LIST.fits"
    with pytest.warns(ImphotWarning, match="E1.fits has the flux scale .*, far from 1: it has no FLUX_SCALE"):
        write_offset_list(path, exposures(scale=[scale, 0.8, np.nan]))
    np.testing.assert_allclose(fits.getdata(path, 1)["FLUX_SCALE"], [np.nan, 1.25, np.nan])
    assert len(fits.getdata(path, 1)) == 3
