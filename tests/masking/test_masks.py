"""Regions, stars, segments and mask images: one boolean mask, True where a pixel is left out."""

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from regions import CirclePixelRegion, PixCoord, Regions

from astropy_imphot import UserError
from astropy_imphot.io.grid import Grid
from astropy_imphot.masking.ds9regions import read_regions, regions_mask
from astropy_imphot.masking.masks import exclusion_mask, star_mask, taper_weights

SHAPE = (40, 50)
ANGLE = np.radians(30)
FRAMES = ("fk5", "icrs", "galactic")

# Rows and columns of pixels, 0-based.
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


@pytest.fixture(scope="module")
def wcs():
    """The WCS of a field with pixels of 0.2 arcsec, turned by 30 degrees."""
    made = WCS(naxis=2)
    made.wcs.ctype = "RA---TAN", "DEC--TAN"
    made.wcs.crval = 53.16, -27.78
    made.wcs.crpix = 25.0, 20.0
    cos, sin = np.cos(ANGLE), np.sin(ANGLE)
    made.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * 0.2 / 3600
    made.wcs.set()
    return made


@pytest.fixture
def image(wcs):
    noise = np.random.default_rng(1).normal(0, 1, SHAPE)
    return CCDData(noise, unit="ct", wcs=wcs)


def circle(x, y, radius):
    """The pixels within a radius of a pixel, all in FITS pixels, of which the first is 1."""
    return np.hypot(X + 1 - x, Y + 1 - y) < radius


def sky_word(position, frame, sexagesimal=False):
    """A position in a region file's words, with all its digits."""
    position = position.transform_to(frame)
    if sexagesimal:
        return position.to_string("hmsdms", sep=":", precision=7).replace(" ", ",")
    lon, lat = position.spherical.lon.deg, position.spherical.lat.deg
    return f"{lon:.10f},{lat:.10f}"


# Shapes in pixels, with what they enclose, written straight.
COS, SIN = np.cos(np.radians(20)), np.sin(np.radians(20))
ALONG, ACROSS = COS * (X - 19) + SIN * (Y - 14), -SIN * (X - 19) + COS * (Y - 14)
PIXEL_SHAPES = {
    "circle(20,15,5.3)": circle(20, 15, 5.3),
    "circle(20.5,15.25,5.3)": circle(20.5, 15.25, 5.3),
    "circle 20 15 5.3": circle(20, 15, 5.3),
    "CIRCLE(20, 15, 5.3)": circle(20, 15, 5.3),
    "circle(1,40,5.3)": circle(1, 40, 5.3),
    "circle(-2,15,5.3)": circle(-2, 15, 5.3),
    "annulus(20,15,3.2,5.3)": circle(20, 15, 5.3) & ~circle(20, 15, 3.2),
    "ellipse(20,15,9.1,4.3,20)": (ALONG / 9.1) ** 2 + (ACROSS / 4.3) ** 2 < 1,
    "box(20,15,9.1,4.3,20)": (abs(ALONG) < 9.1 / 2) & (abs(ACROSS) < 4.3 / 2),
    "polygon(10.2,10.1,30.2,10.1,10.2,30.1)": (X + 1 > 10.2) & (Y + 1 > 10.1) & (X + Y + 2 < 40.3),
}


@pytest.mark.parametrize("shape", PIXEL_SHAPES)
@pytest.mark.parametrize("frame", ["image\n", "physical\n", "image;", "physical; ", "IMAGE\n", ""])
def test_shapes_in_pixels(wcs, shape, frame):
    inside = PIXEL_SHAPES[shape]
    assert 0 < inside.sum() < inside.size
    lines = f"{frame}-{shape}".splitlines()
    np.testing.assert_array_equal(regions_mask(lines, Grid(wcs, SHAPE)), inside)


@pytest.mark.parametrize("frame", [*FRAMES, "FK5", "J2000"])
@pytest.mark.parametrize("radius", ['1.07"', "0.0178333333'", "0.000297222222", "0.000297222222d"])
def test_circles_on_the_sky(wcs, frame, radius):
    position = wcs.pixel_to_world(19.3, 14.2)
    name = "fk5" if frame == "J2000" else frame.lower()
    inside = wcs.pixel_to_world(X, Y).separation(position) < 1.07 * u.arcsec
    assert 0 < inside.sum() < inside.size
    mask = regions_mask([frame, f"-circle({sky_word(position, name)},{radius})"], Grid(wcs, SHAPE))
    np.testing.assert_array_equal(mask, inside)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("frame", FRAMES)
def test_turned_shapes_on_the_sky(wcs, frame, mirrored):
    if mirrored:
        wcs = wcs.deepcopy()
        wcs.wcs.cd = wcs.wcs.cd * [[-1], [1]]
    # Angles are counted from the frame's own west towards its north, as in ds9.
    position = wcs.pixel_to_world(19.3, 14.2)
    center = position.transform_to(frame)
    east, north = center.spherical_offsets_to(wcs.pixel_to_world(X, Y).transform_to(frame))
    west, north = -east.arcsec, north.arcsec
    along, across = COS * west + SIN * north, -SIN * west + COS * north
    where = sky_word(position, frame)
    for shape, inside in {
        f'ellipse({where},2.63",1.01",20)': (along / 2.63) ** 2 + (across / 1.01) ** 2 < 1,
        f'box({where},2.63",1.01",20)': (abs(along) < 2.63 / 2) & (abs(across) < 1.01 / 2),
    }.items():
        assert 0 < inside.sum() < inside.size
        np.testing.assert_array_equal(regions_mask([frame, f"-{shape}"], Grid(wcs, SHAPE)), inside)


# Galactic coordinates are never sexagesimal.
@pytest.mark.parametrize(
    ("frame", "sexagesimal"), [*((frame, False) for frame in FRAMES), ("fk5", True), ("icrs", True)]
)
def test_coordinates_keep_their_precision(wcs, frame, sexagesimal):
    # Half a pixel would be told apart: each circle encloses the center of one pixel only.
    pixels = np.random.default_rng(1).integers([0, 0], SHAPE, (30, 2))
    lines = [frame]
    expected = np.zeros(SHAPE, dtype=bool)
    for row, column in pixels:
        position = wcs.pixel_to_world(column + 0.2, row - 0.2)
        lines.append(f'-circle({sky_word(position, frame, sexagesimal)},0.08")')
        expected[row, column] = True
    np.testing.assert_array_equal(regions_mask(lines, Grid(wcs, SHAPE)), expected)


def test_file_as_ds9_writes_it(wcs, tmp_path):
    star = sky_word(wcs.pixel_to_world(34, 24), "fk5", sexagesimal=True)
    path = tmp_path / "ds9.reg"
    path.write_text(
        "# Region file format: DS9 version 4.1\n"
        'global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 include=1\n'
        "fk5\n"
        f'circle({star},1.5") # color=red text={{a star, bright}} tag={{1}}\n'
        "\n"
        "image\n"
        "circle(20,15,5.3)\n"
        "# the bad column\n"
        "-box(20,20,1.5,40,0) # width=2\r\n"
    )
    inside = (np.hypot(X - 34, Y - 24) < 7.5) | circle(20, 15, 5.3)
    expected = ~inside | (X == 19)
    for source in (path, str(path), path.read_text().splitlines(), read_regions(path)):
        np.testing.assert_array_equal(regions_mask(source, Grid(wcs, SHAPE)), expected)


@pytest.mark.parametrize("frame", ["image", "physical", "fk5"])
def test_comment_behind_the_frame(wcs, frame):
    position = sky_word(wcs.pixel_to_world(19, 14), "fk5") if frame == "fk5" else "20,15"
    radius = '1.06"' if frame == "fk5" else "5.3"
    lines = [f"{frame} # the frame", f"-circle({position},{radius})"]
    np.testing.assert_array_equal(regions_mask(lines, Grid(wcs, SHAPE)), circle(20, 15, 5.3))


A, B, C = circle(15, 15, 6.2), circle(20, 15, 6.2), circle(35, 30, 4.2)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["circle(15,15,6.2)"], ~A),
        (["+circle(15,15,6.2)"], ~A),
        (["-circle(15,15,6.2)"], A),
        (["circle(15,15,6.2)", "circle(35,30,4.2)"], ~(A | C)),
        (["-circle(15,15,6.2)", "-circle(35,30,4.2)"], A | C),
        (["circle(15,15,6.2)", "-circle(20,15,6.2)"], ~A | B),
        (["-circle(20,15,6.2)", "circle(15,15,6.2)"], ~A | B),
        (["circle(15,15,6.2);-circle(20,15,6.2);circle(35,30,4.2)"], ~(A | C) | B),
        # Nothing of what is included is in the image.
        (["circle(500,500,5)"], np.ones(SHAPE, dtype=bool)),
        (["-circle(500,500,5)"], np.zeros(SHAPE, dtype=bool)),
    ],
)
def test_include_and_exclude(wcs, lines, expected):
    np.testing.assert_array_equal(regions_mask(["image", *lines], Grid(wcs, SHAPE)), expected)


def test_regions_objects(wcs):
    region = CirclePixelRegion(PixCoord(14, 14), 6.2)
    # Made by hand, it says neither include nor exclude.
    assert "include" not in region.meta
    np.testing.assert_array_equal(regions_mask(Regions([region]), Grid(wcs, SHAPE)), ~A)
    region.meta["include"] = False
    np.testing.assert_array_equal(regions_mask(Regions([region]), Grid(wcs, SHAPE)), A)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("text(20,20) # text={a galaxy}", "Text"),
        ("# text(20,20) text={a galaxy}", "Text"),
        ("point(20,20)", "Point"),
        ("point(20,20) # point=cross", "Point"),
        ("line(1,2,10,20)", "Line"),
        ("vector(1,2,10,20)", "vector"),
        ("ruler(1,2,10,20)", "ruler"),
        ("panda(10,20,0,360,4,0,5,1)", "panda"),
    ],
)
def test_shapes_that_cannot_be_used(wcs, shape, name):
    lines = ["image", shape, "-circle(15,15,6.2)"]
    with pytest.warns(AstropyUserWarning, match=name):
        mask = regions_mask(lines, Grid(wcs, SHAPE))
    np.testing.assert_array_equal(mask, A)


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize(
    "content",
    [
        "",
        "# Region file format: DS9\nimage\n",
        "image\npoint(20,20)\n",
        "image\ntext(20,20) # text={a}\n",
        "fk5\nvector(1,2,10,20)\n",
        "rubbish\n",
        'circle(53.16,-27.78,1")\n',
    ],
    ids=["empty", "comment", "point", "text", "vector", "rubbish", "sky without frame"],
)
def test_file_with_nothing_usable(wcs, tmp_path, content):
    path = tmp_path / "field.reg"
    path.write_text(content)
    with pytest.raises(UserError, match=r"field\.reg: .*: give circles"):
        regions_mask(path, Grid(wcs, SHAPE))


@pytest.mark.parametrize("line", ["circle(10,20)", "circle(a,b,c)", "circle(10,20,-3)"])
def test_broken_line(wcs, tmp_path, line):
    path = tmp_path / "field.reg"
    path.write_text(f"image\n{line}\n")
    with pytest.raises(UserError, match=r"field\.reg: the regions are not in ds9's format") as caught:
        regions_mask(path, Grid(wcs, SHAPE))
    message = str(caught.value)
    # Python's own words about a constructor are not for astronomers.
    assert "__init__" not in message
    assert re.search("correct|save", message)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x81"], ids=["missing", "binary"])
def test_file_that_cannot_be_read(wcs, tmp_path, content):
    path = tmp_path / "field.reg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"field\.reg (does not exist|cannot be read).*(check|save|give)"):
        regions_mask(path, Grid(wcs, SHAPE))


@pytest.mark.parametrize(("x", "y"), [(19.3, 14.2), (0.0, 39.0)])
def test_star_mask(wcs, x, y):
    position = wcs.pixel_to_world(x, y)
    inside = star_mask((position.ra.deg, position.dec.deg, 1.07), Grid(wcs, SHAPE))
    np.testing.assert_array_equal(inside, np.hypot(X - x, Y - y) < 1.07 / 0.2)


@pytest.mark.parametrize("distance", [60.0, 7200.0, 100 * 3600.0])
def test_star_outside_the_image(wcs, distance):
    position = SkyCoord(53.16, -27.78, unit="deg").directional_offset_by(40 * u.deg, distance * u.arcsec)
    with pytest.raises(UserError, match=r"the star at .* is outside the image: check its coord"):
        star_mask((position.ra.deg, position.dec.deg, 2), Grid(wcs, SHAPE))


@pytest.mark.parametrize(
    ("star", "message"),
    [
        ((53.16, -27.78, 0), "radius is 0.0: give more than 0 arcsec"),
        ((53.16, -27.78, -1), "radius is -1.0: give more than 0 arcsec"),
        ((53.16, -27.78, np.nan), "radius is nan: give more than 0 arcsec"),
        ((53.16, -97.78, 1), "give right ascension and declination"),
        ((53.16, -27.78), "give right ascension and declination"),
        (("3:32:38", "-27:46:48", 1), "give right ascension and declination"),
        (5, "give right ascension and declination"),
        ((np.nan, -27.78, 1), "outside the image|give right ascension and declination"),
    ],
    ids=str,
)
def test_star_that_is_none(wcs, star, message):
    with pytest.raises(UserError, match=message):
        star_mask(star, Grid(wcs, SHAPE))


def test_no_reason_to_leave_anything_out(image):
    assert not exclusion_mask(image).any()


@pytest.mark.parametrize("regions", ["star", "notstar"])
def test_star_and_notstar(image, regions):
    position = image.wcs.pixel_to_world(19.3, 14.2)
    star = (position.ra.deg, position.dec.deg, 1.07)
    near = np.hypot(X - 19.3, Y - 14.2) < 1.07 / 0.2
    mask = exclusion_mask(image, regions=regions, star=star)
    np.testing.assert_array_equal(mask, near if regions == "notstar" else ~near)
    with pytest.raises(UserError, match=rf"regions is '{regions}', but there is no star: give star"):
        exclusion_mask(image, regions=regions)
    # A star alone leaves nothing out.
    assert not exclusion_mask(image, star=star).any()


def extra_mask(kind, folder):
    values = np.zeros(SHAPE, dtype="u2")
    values[3:5, 6] = 1
    values[10, 10] = 40000
    path = folder / "extra.fits"
    if kind in ("str", "Path"):
        fits.PrimaryHDU(values).writeto(path)
    elif kind == "extension":
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values.astype("u1"), name="DQ")]).writeto(path)
    return {
        "bool array": values != 0,
        "float array": values / 2,
        "str": str(path),
        "Path": path,
        "extension": path,
        "HDU": fits.ImageHDU(values),
        "HDUList": fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values)]),
        "CCDData": CCDData(values, unit=""),
    }[kind], values != 0


@pytest.mark.parametrize(
    "kind", ["bool array", "float array", "str", "Path", "extension", "HDU", "HDUList", "CCDData"]
)
def test_extra_mask(image, tmp_path, kind):
    given, expected = extra_mask(kind, tmp_path)
    np.testing.assert_array_equal(exclusion_mask(image, extramask=given), expected)


def test_extra_mask_of_the_wrong_shape(image, tmp_path):
    path = tmp_path / "extra.fits"
    fits.PrimaryHDU(np.zeros((50, 40), "u1")).writeto(path)
    with pytest.raises(
        UserError, match=r"extra\.fits: the extra mask has .* \(50, 40\): it needs .* \(40, 50\)"
    ):
        exclusion_mask(image, extramask=path)
    with pytest.raises(UserError, match=r"^the extra mask has the shape \(50, 40\)"):
        exclusion_mask(image, extramask=np.zeros((50, 40), dtype=bool))


def test_extra_mask_without_image(image, tmp_path):
    path = tmp_path / "extra.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(UserError, match=r"extra\.fits: the extra mask has no image: give an image"):
        exclusion_mask(image, extramask=path)


def test_all_reasons_together(image):
    image.mask = Y == 0
    before = image.mask.copy()
    mask = exclusion_mask(image, regions=["image", "-circle(15,15,6.2)"], extramask=X == 0)
    np.testing.assert_array_equal(mask, before | A | (X == 0))
    np.testing.assert_array_equal(image.mask, before)


def test_nothing_left(image):
    for options in ({"extramask": np.ones(SHAPE)}, {"regions": ["image", "circle(500,500,5)"]}):
        with pytest.raises(UserError, match="no pixel of the MUSE image is left to fit: check the regions"):
            exclusion_mask(image, **options)
    image.mask = np.ones(SHAPE, dtype=bool)
    with pytest.raises(UserError, match="every pixel of the MUSE image is masked .*: check"):
        exclusion_mask(image)


def test_segment(image):
    image.data[abs(np.hypot(X - 15, Y - 12)) < 2.5] += 100
    image.data[36, 44:49] += 100
    # Masked pixels are no object, however bright.
    image.mask = (abs(X - 40) < 3) & (abs(Y - 5) < 3)
    image.data[image.mask] = 1e5
    left_out = exclusion_mask(image, segment=True)
    distance = np.minimum(np.hypot(X - 15, Y - 12) - 2.5, np.hypot(np.maximum(abs(X - 46) - 2, 0), Y - 36))
    assert not left_out[distance < 3].any()
    assert left_out[distance > 9].all()


def test_segment_without_objects(image):
    with pytest.raises(UserError, match=r"no object was detected .*: do not use segment"):
        exclusion_mask(image, segment=True)


@pytest.mark.parametrize("taper", [0.5, 1, 2.5, 6])
def test_taper_weights(taper):
    mask = np.zeros((13, 17), dtype=bool)
    mask[3, 4] = mask[9:11, 12] = mask[0, 0] = True
    y, x = np.mgrid[:13, :17]
    rows, columns = np.nonzero(mask)
    distance = np.hypot(y[..., None] - rows, x[..., None] - columns).min(axis=-1)
    expected = np.where(distance >= taper, 1, np.sin(np.pi / 2 * distance / taper) ** 2)
    np.testing.assert_allclose(taper_weights(mask, taper), expected, atol=1e-12)


@pytest.mark.parametrize(("masked", "taper"), [(True, 0), (False, 3), (False, 0)])
def test_taper_weights_without_taper(masked, taper):
    mask = np.zeros((5, 6), dtype=bool)
    mask[2, 3] = masked
    np.testing.assert_array_equal(taper_weights(mask, taper), ~mask)


@pytest.mark.parametrize("taper", [-1, np.nan])
def test_taper_that_is_none(taper):
    with pytest.raises(UserError, match=f"taper is {taper}: give 0 or more pixels"):
        taper_weights(np.zeros((5, 6), dtype=bool), taper)


@pytest.mark.filterwarnings("ignore:.*(Text|Point)(Sky|Pixel)Region encloses no pixels")
@pytest.mark.parametrize("frame", ["fk5", "icrs", "galactic", "image", "physical"])
def test_composites_and_labels_in_every_frame(wcs, tmp_path, frame):
    """A header, globals, comments, a composite, a text, a point and an excluded box."""
    sky = frame in FRAMES
    unit = 0.2 if sky else 1

    def at(x, y):
        return sky_word(wcs.pixel_to_world(x, y), frame) if sky else f"{x + 1},{y + 1}"

    def size(pixels):
        return f'{pixels * unit}"' if sky else f"{pixels}"

    path = tmp_path / "ds9.reg"
    path.write_text(
        "# Region file format: DS9 version 4.1\n"
        "# Filename: muse.fits\n"
        'global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 fixed=0 source=1\n'
        f"{frame}\n"
        f"# composite({at(20, 20)},0) || composite=1\n"
        f"circle({at(12, 15)},{size(5)}) || # color=red\n"
        f"circle({at(30, 22)},{size(4)}) # text={{two}}\n"
        f"-circle({at(31, 22)},{size(2)})\n"
        f"# text({at(5, 5)}) text={{a star}}\n"
        f"point({at(40, 30)}) # point=x\n"
    )
    kept = np.hypot(X - 12, Y - 15) < 5
    kept |= (np.hypot(X - 30, Y - 22) < 4) & (np.hypot(X - 31, Y - 22) >= 2)
    mask = regions_mask(path, Grid(wcs, SHAPE))
    # On the sky the circles' edges may fall either way.
    assert np.count_nonzero(mask == kept) <= (12 if sky else 0)
