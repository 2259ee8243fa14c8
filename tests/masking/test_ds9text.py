"""Region files as ds9 and CASA write them, against masks from the WCS and numpy alone."""

import numpy as np
import pytest
from astropy.wcs import WCS

from astropy_imphot import UserError
from astropy_imphot.io.grid import Grid
from astropy_imphot.masking.ds9regions import read_regions, regions_mask
from astropy_imphot.masking.places import sky_places

SHAPE = (40, 50)
PIXEL = 0.2
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def made_wcs(mirrored=False, frame=("RA---TAN", "DEC--TAN")):
    """Pixels of 0.2 arcsec, turned by 30 degrees."""
    made = WCS(naxis=2)
    made.wcs.ctype = frame
    made.wcs.crval = 53.16, -27.78
    made.wcs.crpix = 25.0, 20.0
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    made.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * PIXEL / 3600 * ([[-1], [1]] if mirrored else 1)
    made.wcs.set()
    return made


PLAIN = made_wcs()
PLACE = PLAIN.pixel_to_world(19, 14)
WHERE = f"{PLACE.ra.deg:.9f},{PLACE.dec.deg:.9f}"
RA, DEC = WHERE.split(",")


def circle(x, y, radius):
    """The pixels within a radius of a pixel, all in FITS pixels, of which the first is 1."""
    return np.hypot(X + 1 - x, Y + 1 - y) < radius


def turned(kind, along, across, angle):
    """A shape on the sky: angle from west towards north, arcsec."""
    east, north = PLACE.spherical_offsets_to(PLAIN.pixel_to_world(X, Y))
    west, north = -east.arcsec, north.arcsec
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    x, y = cos * west + sin * north, -sin * west + cos * north
    if kind == "ellipse":
        return (x / along) ** 2 + (y / across) ** 2 < 1
    return (abs(x) < along / 2) & (abs(y) < across / 2)


C, D = circle(20, 15, 5.3), circle(40, 30, 4.2)
CORNERS = [PLAIN.pixel_to_world(*one) for one in ((10, 8), (28, 22))]
SKY_BOX = "box[[{:.9f}deg,{:.9f}deg],[{:.9f}deg,{:.9f}deg]]".format(
    *(value for one in CORNERS for value in (one.ra.deg, one.dec.deg))
)


def between(values, one, other):
    return (values > min(one, other)) & (values < max(one, other))


IN_SKY_BOX = between(PLAIN.pixel_to_world(X, Y).ra.deg, *(one.ra.deg for one in CORNERS)) & between(
    PLAIN.pixel_to_world(X, Y).dec.deg, *(one.dec.deg for one in CORNERS)
)

# Lines, and what they mask.
FORMS = {
    "wcs in a line": (f'wcs;-circle({WHERE},1.06")', C),
    "wcs": (f'wcs\n-circle({WHERE},1.06")', C),
    "image pixels on the sky": (f"icrs\n-circle({WHERE},5.3i)", C),
    "physical pixels on the sky": (f"icrs\n-circle({WHERE},5.3p)", C),
    "annulus": (f"icrs\n-annulus({WHERE},2.1i,5.3i)", C & ~circle(20, 15, 2.1)),
    "ellipse": (f"icrs\n-ellipse({WHERE},9i,4i,20)", turned("ellipse", 1.8, 0.8, 20)),
    "box": (f"icrs\n-box({WHERE},17.3i,8.2p,20)", turned("box", 3.46, 1.64, 20)),
    "rotbox": (f'icrs\n-rotbox({WHERE},3.46",1.64",20)', turned("box", 3.46, 1.64, 20)),
    "minutes": (f"icrs\n-circle({WHERE},0.0176667')", C),
    "radians": (f"icrs\n-circle({WHERE},5.139e-6r)", C),
    "place in image pixels": ("fk5\n-circle(20i,15i,5.3i)", C),
    "place in pixels, size in degrees": ("wcs\n-circle(20p,15p,0.000294444)", C),
    "place in pixels, arcsec": (f'icrs\n-circle(20i,15i,1.06")\n-circle({WHERE},0.1")', C),
    "place in pixels, no angle": (
        "fk5\n-ellipse(20i,15i,9i,4i,0)",
        ((X - 19) / 9) ** 2 + ((Y - 14) / 4) ** 2 < 1,
    ),
    "polygon in pixels": (
        "fk5\n-polygon(10.2i,10.1i,30.2i,10.1i,10.2i,30.1i)",
        (X + 1 > 10.2) & (Y + 1 > 10.1) & (X + Y + 2 < 40.3),
    ),
    "arcsec in pixel frames": ('image\n-circle(20,15,1.06")', C),
    "minutes in pixel frames": ("physical\n-circle(20,15,0.0176667')", C),
    "degrees in pixel frames": ("image;-circle(20,15,0.000294444d)", C),
    "ellipse in pixel frames": (
        'image\n-ellipse(20,15,1.8",0.8",0)',
        ((X - 19) / 9) ** 2 + ((Y - 14) / 4) ** 2 < 1,
    ),
    "pixels in pixel frames": ("image\n-circle(20i,15i,5.3p)", C),
    "global include=0": ("global color=green include=0\nimage\ncircle(20,15,5.3)", C),
    "global include=0 and plus": ("global include = 0\nimage\ncircle(20,15,5.3)\n+circle(40,30,4.2)", ~D),
    "global include=1": ("global include=1\nimage\n-circle(20,15,5.3)", C),
    "include=0": ("image\ncircle(20,15,5.3) # include=0", C),
    "blank behind the minus": ("image\n- circle(20,15,5.3)\n -circle(40,30,4.2)", C | D),
    "exclamation mark": ("image\n!circle(20,15,5.3)", C),
    "composite": (
        "image\n# composite(20,15,0) || composite=1\ncircle(20,15,5.3) ||\ncircle(40,30,4.2)",
        ~(C | D),
    ),
    "composite of exclusions": (
        "image\n# composite(20,15,0) || composite=1\n-circle(20,15,5.3) || # color=red\n-circle(40,30,4.2)",
        C | D,
    ),
    "excluded composite": (
        "image\n# -composite(9,9,0) || composite=1\ncircle(20,15,5.3)||\ncircle(40,30,4.2)\n+circle(20,15,9)",
        ~circle(20, 15, 9) | C | D,
    ),
    "byte-order mark": ("\ufeffimage\n-circle(20,15,5.3)", C),
    "CASA": (f"#CRTFv0\ncircle[[{RA}deg, {DEC}deg], 1.06arcsec], coord=ICRS", ~C),
    "CASA, excluded": (f"#CRTFv0 CASA\n-circle[[{RA}deg, {DEC}deg], 1.06arcsec], coord=ICRS", C),
    "CASA, global": (f"#CRTFv0\nglobal coord=ICRS, color=red\n-circle[[{RA}deg, {DEC}deg], 1.06arcsec]", C),
    "CASA, pixels": ("#CRTFv0\n-circle[[19pix, 14pix], 5.3pix]", C),
    "CASA, annotation": (
        f"#CRTFv0\n-circle[[19pix, 14pix], 5.3pix]\nann circle[[{RA}deg, {DEC}deg], 1arcsec], coord=ICRS",
        C,
    ),
    # Half axes, of which the first is at the position angle, from north towards east.
    "CASA, ellipse": (
        f"#CRTFv0\n-ellipse[[{RA}deg, {DEC}deg], [1.8arcsec, 0.8arcsec], 20deg], coord=ICRS",
        turned("ellipse", 1.8, 0.8, 110),
    ),
    "CASA, box": (
        f"#CRTFv0\n-rotbox[[{RA}deg, {DEC}deg], [3.46arcsec, 1.64arcsec], 20deg], coord=ICRS",
        turned("box", 3.46, 1.64, 20),
    ),
    "CASA, corners": (f"#CRTFv0\n-{SKY_BOX}, coord=ICRS", IN_SKY_BOX),
}


@pytest.mark.parametrize("source", ["lines", "file"])
@pytest.mark.parametrize("form", FORMS)
def test_masks(tmp_path, form, source):
    text, expected = FORMS[form]
    assert 0 < expected.sum() < expected.size
    given = text.lstrip("\ufeff").splitlines()
    if source == "file":
        given = tmp_path / "field.reg"
        given.write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(regions_mask(given, Grid(PLAIN, SHAPE)), expected)


@pytest.mark.parametrize("mirrored", [False, True])
def test_frame_of_the_image(mirrored):
    wcs = made_wcs(mirrored, ("GLON-TAN", "GLAT-TAN"))
    place = wcs.pixel_to_world(19, 14)
    lines = [f'wcs;-circle({place.l.deg:.9f},{place.b.deg:.9f},1.06")']
    np.testing.assert_array_equal(regions_mask(lines, Grid(wcs, SHAPE)), C)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image\ncircle(20,15,5.3) && circle(40,30,4)", "line 2 combines regions by &&: give single regions"),
        (
            "fk5\nbox(20i,15i,9i,4i,30)",
            "line 2 has a place in pixels and an angle on the sky: write it in one",
        ),
        (
            "image\ncircle(1,2,3)\ndetector\ncircle(20,15,5)",
            "line 3 has the frame detector: save the regions in",
        ),
        ("wcsa;circle(53.16,-27.78,5)", "line 1 has the frame wcsa: save the regions in"),
        ("#CRTFv0\ncircle[[1deg]]", "not in CASA's format .*: correct them, or save them again"),
        (
            "SIMPLE  =                    T",
            "is a FITS table of regions, .*: save the regions in ds9's format",
        ),
    ],
)
def test_files_that_are_refused(tmp_path, text, words):
    path = tmp_path / "field.reg"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"field\.reg:? .*{words}"):
        regions_mask(path, Grid(PLAIN, SHAPE))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stars.reg", f'wcs;circle({WHERE},1")'),
        ("stars.reg", f'global include=0\nfk5;circle({WHERE},1")'),
        ("stars.crtf", f"#CRTFv0\ncircle[[{RA}deg, {DEC}deg], 1arcsec], coord=ICRS"),
    ],
)
def test_places(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    np.testing.assert_allclose(sky_places(tmp_path / name), [(PLACE.ra.deg, PLACE.dec.deg)], atol=1e-5)
    assert len(read_regions(tmp_path / name)) == 1
