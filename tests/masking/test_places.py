"""Places on the sky: every form that a user may give, and those that are none."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from numpy.testing import assert_allclose
from regions import (
    CirclePixelRegion,
    CircleSkyRegion,
    EllipseSkyRegion,
    PixCoord,
    PointSkyRegion,
    Regions,
)

from astropy_imphot import FileError, UserError
from astropy_imphot.masking.places import sky_places

RA, DEC = np.array([53.16, 10.5]), np.array([-27.78, 41.25])
SKY = SkyCoord(RA, DEC, unit="deg")
REGIONS = Regions(
    [CircleSkyRegion(SKY[0], 1 * u.arcsec), EllipseSkyRegion(SKY[1], 2 * u.arcsec, 1 * u.arcsec)]
)

FORMS = {
    "coordinates": SKY,
    "galactic coordinates": SKY.galactic,
    "list of coordinates": [SKY[0], SKY[1].galactic],
    "pairs": list(zip(RA, DEC, strict=True)),
    "array": np.column_stack([RA, DEC]),
    "table": Table({"ra": RA, "dec": DEC}),
    "capitals": Table({"RA": RA, "Dec": DEC}),
    "VizieR": Table({"RAJ2000": RA, "DEJ2000": DEC}),
    "Gaia": Table({"RA_ICRS": RA, "DE_ICRS": DEC}),
    "other columns first": Table({"id": [1, 2], "ra": RA, "dec": DEC, "flux": [3.0, 4.0]}),
    "column of coordinates": QTable({"sky_center": SKY.galactic}),
    "table with units": QTable({"ra": (RA * u.deg).to(u.hourangle), "dec": (DEC * u.deg).to(u.rad)}),
    "columns in arcmin": Table({"ra": RA * 60, "dec": DEC * 60}, units={"ra": "arcmin", "dec": "arcmin"}),
    "regions": REGIONS,
    "list of regions": list(REGIONS),
    "regions of points": [PointSkyRegion(one) for one in SKY],
    "galactic regions": [CircleSkyRegion(one, 1 * u.arcsec) for one in SKY.galactic],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form):
    found = sky_places(FORMS[form])
    assert isinstance(found, tuple)
    assert all(isinstance(number, float) for pair in found for number in pair)
    assert_allclose(found, np.column_stack([RA, DEC]), atol=1e-9)


@pytest.mark.parametrize("place", [SKY[0], CircleSkyRegion(SKY[0], 1 * u.arcsec)])
def test_a_single_place(place):
    assert_allclose(sky_places(place), [(RA[0], DEC[0])])


@pytest.mark.parametrize("nothing", [None, (), [], Table({"ra": [], "dec": []}), SKY[:0]])
def test_no_places(nothing):
    assert sky_places(nothing) == ()


@pytest.mark.parametrize("name", ["stars.ecsv", "stars.fits", "stars.vot", "stars.csv"])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_files_of_tables(name, kind, tmp_path):
    path = tmp_path / name
    formats = {".vot": "votable"}
    Table({"ra": RA, "dec": DEC}).write(path, format=formats.get(path.suffix))
    assert_allclose(sky_places(kind(path)), np.column_stack([RA, DEC]))


@pytest.mark.parametrize("name", ["stars.reg", "STARS.REG"])
def test_files_of_regions(name, tmp_path):
    path = tmp_path / name
    REGIONS.write(path, format="ds9", precision=10)
    assert_allclose(sky_places(path), np.column_stack([RA, DEC]), atol=1e-9)


PIXELS = [CirclePixelRegion(PixCoord(3.0, 4.0), 2.0)]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (Table({"x": [1.0], "y": [2.0]}), "no columns of coordinates: name them ra and dec"),
        (PIXELS, "regions in pixels: give regions on the sky"),
        ([1.0, 2.0], "give a SkyCoord"),
        ([(1.0, 2.0, 3.0)], "give a SkyCoord"),
        (["10.5 -20"], "give "),
        (7, "give a SkyCoord"),
        ([(10.0, 95.0)], "coordinates that are none"),
        (Table({"ra": [1.0], "dec": [95.0]}), "coordinates that are none"),
        (Table({"ra": ["10:00:00"], "dec": ["-20:00:00"]}), "coordinates that are none"),
        (Table({"ra": [1.0] * u.m, "dec": [2.0] * u.m}), "coordinates that are none"),
        (
            Table({"ra": MaskedColumn([1.0, 2.0], mask=[False, True]), "dec": [1.0, 2.0]}),
            "masked coordinates",
        ),
        ([(np.nan, 20.0)], "coordinates that are none"),
        (Table({"ra": [1.0, np.nan], "dec": [2.0, 3.0]}), "coordinates that are none"),
    ],
)
def test_what_is_no_place(places, words):
    with pytest.raises(UserError, match=f"(?s)^point_sources .*{words}"):
        sky_places(places, "point_sources")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match=r"stars.reg does not exist.*point_sources"):
        sky_places(tmp_path / "stars.reg", "point_sources")
    broken = tmp_path / "stars.ecsv"
    broken.write_text("# %ECSV 1.0\nra dec")
    with pytest.raises(FileError, match="stars.ecsv cannot be read as regions"):
        sky_places(str(broken))
