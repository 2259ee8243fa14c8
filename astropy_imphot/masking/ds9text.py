"""Forms of ds9's region files which the regions package does not read, in those that it reads."""

import re

import astropy.units as u
import numpy as np
from astropy.wcs.utils import wcs_to_celestial_frame

from astropy_imphot.io.errors import UserError

__all__ = ["FRAMES", "readable_lines"]

# Coordinate frames in ds9 region files. "physical" is the same as "image" in images that were not cut, and
# "wcs" is that of the image.
SKY_FRAMES = ("fk4", "fk5", "b1950", "j2000", "icrs", "galactic", "ecliptic")
FRAMES = ("image", "physical", "wcs", *SKY_FRAMES)

# Frames that need more than the WCS of the image.
OTHER_FRAMES = re.compile(r"wcs[0a-z]|linear|detector|amplifier", re.IGNORECASE)

# Shapes with two coordinates, then sizes; and whether an angle follows these.
HAS_ANGLE = {"circle": False, "annulus": False, "ellipse": True, "box": True, "rotbox": True}

# Other names of shapes.
NAMES = {"rotbox": "box"}

SHAPE = re.compile(r"([+!-]?)\s*([a-z]+)(?:\s*\(([^()]*)\)|\s([^()|]*))(.*)", re.IGNORECASE)
COMPOSITE = re.compile(r"#?\s*([+!-]?)\s*composite\b.*", re.IGNORECASE)
NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([ip\"'dr]?)", re.IGNORECASE)
WIDTHS = {'"': u.arcsec, "'": u.arcmin, "d": u.deg, "r": u.rad, "": u.deg}


def readable_lines(lines, grid=None):
    r"""
    Return the lines of a region file in forms that the regions package reads.

    Parameters
    ----------
    lines : sequence of str
        The file's.
    grid : `~astropy_imphot.io.grid.Grid`, optional
        The image's pixels, for sizes in pixels in frames of the sky and angular sizes in pixel frames. By
        default (None) such regions stay as they are.

    Returns
    -------
    list of str
        One frame, shape or setting in each. ``wcs`` is the frame of the image, or ICRS; regions without a
        sign have a minus after ``global include=0`` and in a composite with a minus.

    Raises
    ------
    UserError
        If a line has another frame of ds9, such as detector, regions that are combined by "&&", or places in
        pixels with an angle on the sky.

    Examples
    --------
    >>> from astropy_imphot.masking.ds9text import readable_lines
    >>> from astropy_imphot.simulation import sky_grid
    >>> readable_lines(["global include=0", "icrs; circle(53.1, -27.7, 15i)"], sky_grid((4, 4)))
    ['global include=0', 'icrs', '-circle(53.1,-27.7,0.000833333333333333d)']
    """
    reader = _Reader(grid)
    return [text for number, line in enumerate(lines, start=1) for text in reader.read(line, number)]


class _Reader:
    """The state of a file that is read line by line: frame, default sign, composite."""

    def __init__(self, grid):
        # In pixels, if the file has none.
        self.frame = None
        self.sign = ""
        self.composite = None
        self.grid = grid
        self.scale = None if grid is None else np.sqrt(np.prod(grid.pixel_scale))

    def read(self, line, number):
        composite = COMPOSITE.fullmatch(line.strip())
        if composite:
            self.composite = "-" if composite[1] in ("-", "!") else ""
            return [line.strip().replace(composite[1], "", 1) if composite[1] else line]
        content, mark, comment = line.partition("#")
        if "&&" in content:
            raise UserError(f"line {number} combines regions by &&: give single regions, or polygons.")
        statements = [one.strip() for one in content.split(";") if one.strip()]
        if not statements:
            return [line]
        found = [text for one in statements for text in self._statement(one, number)]
        if mark:
            found[-1] += f" #{comment}"
        return found

    def _statement(self, text, number):
        word = text.split()[0].lower()
        if word == "global":
            self.sign = "-" if re.search(r"\binclude\s*=\s*0", text) else ""
            return [text]
        if OTHER_FRAMES.fullmatch(text):
            raise UserError(f"line {number} has the frame {text}: save the regions in fk5, icrs or image.")
        if text.lower() in FRAMES:
            self.frame = text.lower()
            return [
                _frame_of(self.grid) if self.frame == "wcs" else "image" if self.frame == "physical" else text
            ]
        shape = SHAPE.fullmatch(text)
        if not shape:
            return [text]
        sign, name, in_brackets, without, rest = shape.groups()
        numbers, rest = in_brackets or without or "", rest.strip()
        sign = {"!": "-", "": self.composite or self.sign}.get(sign, sign)
        if self.composite is not None and not rest.endswith("||"):
            # The last of its members.
            self.composite = None
        name = NAMES.get(name.lower(), name)
        values = [one for one in re.split(r"[,\s]+", numbers.strip()) if one]
        before, values, after = self._converted(name.lower(), values, number)
        return [*before, f"{sign}{name}({','.join(values)}){' ' + rest if rest else ''}", *after]

    def _converted(self, name, values, number):
        """Return numbers in the units of the frame, and lines for another frame around them."""
        if None in (self.grid, self.frame):
            return [], values, []
        on_sky = self.frame not in ("image", "physical")
        has_angle = HAS_ANGLE.get(name)
        places = 2 if has_angle is not None else len(values) if name == "polygon" else 0
        in_pixels = bool(places) and all(_unit(one) in ("i", "p") for one in values[:places])
        end = len(values) - (1 if has_angle and len(values) % 2 else 0)
        if on_sky and in_pixels:
            angle = NUMBER.fullmatch(values[-1]) if end < len(values) else None
            if angle and float(angle[1]) != 0:
                raise UserError(
                    f"line {number} has a place in pixels and an angle on the sky: write it in one frame."
                )
            values = [*(NUMBER.fullmatch(one)[1] for one in values[:places]), *values[places:]]
            sizes = [self._pixels(one, u.deg) for one in values[places:end]]
            back = _frame_of(self.grid) if self.frame == "wcs" else self.frame
            return ["image"], [*values[:places], *sizes, *values[end:]], [back]
        if has_angle is None:
            return [], values, []
        convert = self._degrees if on_sky else self._pixels
        return [], [*values[:2], *(convert(one) for one in values[2:end]), *values[end:]], []

    def _degrees(self, text):
        """Return a size on the sky."""
        if _unit(text) not in ("i", "p"):
            return text
        return f"{float(NUMBER.fullmatch(text)[1]) * self.scale / 3600:.15g}d"

    def _pixels(self, text, default=None):
        """Return a size in pixels; a number without unit is one, or in the default unit."""
        unit = _unit(text)
        if unit is None or unit in ("i", "p") or (unit == "" and default is None):
            return text.rstrip("ipIP")
        return f"{float(NUMBER.fullmatch(text)[1]) * WIDTHS[unit].to(u.arcsec) / self.scale:.15g}"


def _unit(text):
    """Return the unit at the end of a number, or None if it is none."""
    found = NUMBER.fullmatch(text)
    return found and found[2].lower()


def _frame_of(grid):
    name = "icrs" if grid is None else wcs_to_celestial_frame(grid.wcs).name
    if name not in SKY_FRAMES:
        raise UserError(f"the frame of the image is {name}: give regions in icrs.")
    return name
