"""Files of filter curves in every form."""

import bz2
import gzip
import re
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astropy_imphot import FilterCurve, ImphotWarning, UserError

WAVELENGTH = np.array([5000.0, 6000.0, 6500.0, 7000.0])
SENSITIVITY = np.array([0.0, 0.3, 0.4, 0.1])
UNITS = [u.AA, u.nm, u.um]

# As the filter profile service of the Spanish Virtual Observatory writes it.
VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <INFO name="QUERY_STATUS" value="OK"/>
  <RESOURCE type="results">
    <TABLE utype="photdm:PhotometryFilter.transmissionCurve.spectrum">
      <PARAM name="DetectorType" value="{type}" utype="PhotometryFilter.DetectorType" datatype="char"
        arraysize="*"/>
      <FIELD name="Wavelength" utype="spec:Data.SpectralAxis.Value" ucd="em.wl" unit="AA" datatype="double"/>
      <FIELD name="Transmission" ucd="phys.transmission" unit="" datatype="double"/>
      <DATA><TABLEDATA>
        <TR><TD>5000</TD><TD>0</TD></TR><TR><TD>6000</TD><TD>0.3</TD></TR>
        <TR><TD>6500</TD><TD>0.4</TD></TR><TR><TD>7000</TD><TD>0.1</TD></TR>
      </TABLEDATA></DATA>
    </TABLE>
  </RESOURCE>
</VOTABLE>
"""


ROWS = "".join(f"{one:.1f} {other:.1f}\n" for one, other in zip(WAVELENGTH, SENSITIVITY, strict=True))
NANOMETERS = "".join(
    f"{one / 10:.1f} {other:.1f}\n" for one, other in zip(WAVELENGTH, SENSITIVITY, strict=True)
)
MICRONS = "".join(
    f"{one / 1e4:.2f} {other:.1f}\n" for one, other in zip(WAVELENGTH, SENSITIVITY, strict=True)
)


def table(unit, names=("lambda", "throughput")):
    made = Table([(WAVELENGTH * u.AA).to_value(unit), SENSITIVITY, np.arange(4)], names=(*names, "row"))
    made[names[0]].unit = unit
    return made


def check(curve):
    np.testing.assert_allclose(curve.wavelength, WAVELENGTH, rtol=1e-12)
    np.testing.assert_allclose(curve.sensitivity, SENSITIVITY)
    assert curve.name == "V"


# VOTables should not have Angstrom, or percent, as a unit.
@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("name", ["V.ecsv", "V.fits", "V.FIT", "V.vot", "V.xml"])
def test_tables_with_units(tmp_path, name, unit):
    path = tmp_path / name
    formats = {".ecsv": "ascii.ecsv", ".vot": "votable", ".xml": "votable"}
    table(unit).write(path, format=formats.get(path.suffix, "fits"))
    check(FilterCurve.read(path))
    check(FilterCurve.read(path, wave_unit=unit))
    other = u.nm if unit != u.nm else u.AA
    words = rf"{name}: the wavelengths .* are in .*, and the unit that is given is {other}: leave it out"
    with pytest.raises(UserError, match=words):
        FilterCurve.read(path, wave_unit=other)


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("name", ["wavelength [{}]", "lambda ({})", "wl({}) "])
def test_csv_with_the_unit_in_a_name(tmp_path, name, unit):
    path = tmp_path / "V.csv"
    table(unit, names=(name.format(unit), "throughput")).write(path, format="ascii.csv")
    check(FilterCurve.read(path))


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("head", ["wavelength,throughput,row\n", "wavelength [air],T,row\n", ""])
def test_csv_without_unit(tmp_path, head, unit):
    path = tmp_path / "V.csv"
    table(unit).write(path, format="ascii.no_header", delimiter=",")
    path.write_text(head + path.read_text())
    check(FilterCurve.read(path, wave_unit=unit))
    if unit == u.AA and "air" not in head:
        check(FilterCurve.read(path))


@pytest.mark.parametrize(("kind", "response"), [("0", "energy"), ("1", "photon"), ("", "photon")])
def test_votable_of_the_virtual_observatory(tmp_path, kind, response):
    path = tmp_path / "V.xml"
    path.write_text(VOTABLE.format(type=kind))
    curve = FilterCurve.read(path)
    check(curve)
    assert curve.response == response


@pytest.mark.parametrize("name", ["V.ecsv", "V.fits"])
@pytest.mark.parametrize("response", ["photon", "energy"])
def test_response_in_the_keywords(tmp_path, name, response):
    made = table(u.nm)
    made.meta["response"] = response
    made.write(tmp_path / name)
    assert FilterCurve.read(tmp_path / name).response == response


def test_response_that_there_is_not(tmp_path):
    made = table(u.nm)
    made.meta["response"] = "quantum efficiency"
    made.write(tmp_path / "V.ecsv")
    words = r"V\.ecsv: the response of the filter curve V is 'quantum efficiency': give 'photon' or"
    with pytest.raises(UserError, match=words):
        FilterCurve.read(tmp_path / "V.ecsv")


# Files of one curve, and the warning that they give.
AS_PEOPLE_HAVE_THEM = {
    "doubled": (
        "V.dat",
        ROWS.replace("6500.0 0.4\n", "6500.0 0.4\n6500.0 0.4\n"),
        r"\(1, the first in line 4\)",
    ),
    "all doubled": (
        "V.csv",
        (ROWS + ROWS).replace(" ", ","),
        r"\(4, the first in line 5\): of equal rows one",
    ),
    "unsorted": ("V.dat", "6500 .4\n5000 0\n7000 .1\n6000 .3\n", ""),
    "byte-order mark": ("V.dat", "\ufeff" + ROWS, ""),
    "byte-order mark, comment": ("V.txt", "\ufeff# lambda T\n" + ROWS, ""),
    "byte-order mark, CSV": ("V.csv", "\ufeffw,T\n" + ROWS.replace(" ", ","), ""),
    "UTF-16": ("V.txt", ROWS.encode("utf-16"), ""),
    "Latin-1": ("V.txt", "# \u00c5ngstr\u00f6m\n".encode("latin-1") + ROWS.encode(), ""),
    "old Mac": ("V.txt", ROWS.replace("\n", "\r"), ""),
    "Windows": ("V.txt", ROWS.replace("\n", "\r\n"), ""),
    "header line": ("V.dat", "wavelength transmission\n" + ROWS, ""),
    "two header lines": ("V.dat", "wavelength T\nnm none\n\n" + NANOMETERS, "nm is assumed"),
    "commas": ("V.txt", ROWS.replace(" ", ", "), ""),
    "commas, header line": ("V.dat", "w, T\n" + ROWS.replace(" ", ","), ""),
    "semicolons": ("V.csv", "w;T\n" + ROWS.replace(" ", ";"), ""),
    "tabs": ("V.tsv", "w\tT\n" + ROWS.replace(" ", "\t"), ""),
    "quotes": ("V.csv", '"w [nm]","T"\n' + NANOMETERS.replace(" ", ","), ""),
    "comments": ("V.dat", "! a\n; b\n% c\n# d\n\n" + ROWS.replace("\n", " # e, 1\n"), ""),
    "Fortran": ("V.dat", ROWS.replace(".0 ", ".D0 "), ""),
    "nm in a comment": ("V.dat", "# F1 (V, 5 nm)\n# wavelength (nm), T\n" + NANOMETERS, ""),
    "nm in a header line": ("V.dat", "wavelength[nm] T[%]\n" + NANOMETERS, ""),
    "nm": ("V.dat", NANOMETERS, "500 to 700, have no unit, and nm is assumed: give it"),
    "micron": ("V.csv", MICRONS.replace(" ", ","), "0.5 to 0.7, have no unit, and um is assumed: give it"),
    "microns": ("V.csv", "w [microns],T\n" + MICRONS.replace(" ", ","), ""),
    "gzip": ("V.dat.gz", gzip.compress(ROWS.encode()), ""),
    "gzip, CSV": ("V.csv.gz", gzip.compress(b"w,T\n" + ROWS.replace(" ", ",").encode()), ""),
    "bzip2": ("V.dat.bz2", bz2.compress(ROWS.encode()), ""),
}


@pytest.mark.parametrize("kind", AS_PEOPLE_HAVE_THEM)
def test_text_files_as_people_have_them(tmp_path, kind):
    name, content, words = AS_PEOPLE_HAVE_THEM[kind]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(FilterCurve.read(path))
    assert len(caught) == bool(words)
    for warning in caught:
        assert warning.category is ImphotWarning
        assert str(warning.message).startswith(f"{path}: ")
        assert re.search(words, str(warning.message))


@pytest.mark.parametrize("unit", ["ANGSTROMS", "angstrom", "MICRONS", "NANOMETERS"])
def test_tables_of_stsci(tmp_path, unit):
    made = table({"M": u.um, "N": u.nm}.get(unit[0], u.AA), names=("WAVELENGTH", "THROUGHPUT"))
    hdu = fits.table_to_hdu(made)
    hdu.header.update(TUNIT1=unit, TUNIT2="TRANSMISSION")
    hdu.writeto(tmp_path / "V.fits")
    check(FilterCurve.read(tmp_path / "V.fits"))


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W50")
@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("name", ["V.ecsv", "V.fits", "V.vot"])
def test_compressed_tables_and_marks(tmp_path, name):
    path = tmp_path / name
    formats = {".ecsv": "ascii.ecsv", ".vot": "votable", ".fits": "fits"}
    made = table(u.nm)
    made["throughput"] = 100 * made["throughput"]
    made["throughput"].unit = u.percent
    made.write(path, format=formats[path.suffix])
    content = path.read_bytes()
    path.with_name(f"{name}.gz").write_bytes(gzip.compress(content))
    curve = FilterCurve.read(f"{path}.gz")
    assert curve.name == "V"
    # VOTables have no unit for percent.
    np.testing.assert_allclose(curve.sensitivity / curve.sensitivity.max(), SENSITIVITY / 0.4, rtol=1e-12)
    if name != "V.fits":
        path.write_bytes(b"\xef\xbb\xbf" + content)
        np.testing.assert_array_equal(FilterCurve.read(path).sensitivity, curve.sensitivity)


@pytest.mark.parametrize("rows", ["5000 0\n5000 1\n6000 1\n6000 0\n", "6000 0\n6000 1\n5000 1\n5000 0\n"])
def test_a_step(tmp_path, rows):
    (tmp_path / "box.dat").write_text(rows)
    with pytest.warns(ImphotWarning, match="different sensitivities are a step"):
        curve = FilterCurve.read(tmp_path / "box.dat")
    assert curve.total == pytest.approx(1000, rel=1e-6)
    # Of the box: the root of the integral of x over that of 1/x.
    pivot = np.sqrt((6000**2 - 5000**2) / 2 / np.log(6000 / 5000))
    assert curve.pivot == pytest.approx(pivot, rel=1e-6)
    np.testing.assert_allclose(curve.integral(4000, [5000.1, 5500, 7000]), [0.1, 500, 1000], rtol=1e-3)


def two_tables(path):
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table(u.nm)), fits.table_to_hdu(table(u.um))]
    fits.HDUList(hdus).writeto(path)


def unit_without_meaning(path):
    made = table(u.nm)
    made["lambda"].unit = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu = fits.table_to_hdu(made)
    hdu.header["TUNIT1"] = "angstroems"
    hdu.writeto(path)


def text(content):
    return lambda path: path.write_text(content)


def image(path):
    fits.writeto(path, np.ones((4, 5)))


def not_a_number(path):
    made = table(u.nm)
    made["throughput"][1] = np.nan
    made.write(path)


def frequencies(path):
    Table({"f": [500, 600] * u.THz, "t": [1, 1]}).write(path)


BAD = {
    "two tables": ("V.fits", two_tables, "cannot be read as FITS: give one table"),
    "an image": ("V.fits", image, "cannot be read as FITS: give one table"),
    "no FITS": ("V.fits", text("6000 1\n7000 1\n"), "cannot be read as FITS: give one table"),
    "no VOTable": ("V.xml", text("<a></b>"), "cannot be read as VOTABLE: give one table"),
    "no ECSV": ("V.ecsv", text("6000 1\n7000 1\n"), "cannot be read as ECSV: give one table"),
    "empty": ("V.csv", text(""), "the filter curve has no line of two numbers: give"),
    "one column": ("V.csv", text("a\n6000\n7000\n"), "line 2 of the filter curve has no sensitivity: give"),
    "words": (
        "V.csv",
        text("a,b\n6000,x\n7000,y\n"),
        "line 2 of the filter curve has 'x' as sensitivity: give",
    ),
    "hole": (
        "V.csv",
        text("a,b\n6000,1\n7000,\n8000,1\n"),
        "line 3 of the filter curve has no sensitivity: give",
    ),
    "unit in name": (
        "V.csv",
        text("w [furlongs],b\n0.6,1\n0.7,1\n"),
        r"unit furlongs of .* \[furlongs\]",
    ),
    "unit": ("V.fits", unit_without_meaning, "unit angstroems of the column lambda .* not known: use"),
    "frequency": ("V.ecsv", frequencies, "is in THz: give"),
    "binary": ("V.dat", lambda path: path.write_bytes(b"60\0 1"), "is not a text file: give a text file, or"),
    "cut": (
        "V.dat.gz",
        lambda path: path.write_bytes(gzip.compress(ROWS.encode())[:-9]),
        "cannot be read: copy or",
    ),
    "NaN": ("V.dat", text("# w t\n6000 1\n7000 nan\n"), "line 3 .* the sensitivity nan: give finite numbers"),
    "infinite": ("V.csv", text("6000,1\ninf,1\n"), "line 2 .* the wavelength inf .*: give finite numbers"),
    "NaN in a table": ("V.fits", not_a_number, "row 2 .* the sensitivity nan: give finite numbers"),
    "zero": ("V.dat", text("0 1\n7000 1\n"), "line 1 .* the wavelength 0 and .*, or remove it"),
    "word in a line": ("V.dat", text("6000 1\nend\n7000 1\n"), "line 2 .* 'end' as wavelength: give"),
    "decimal comma": ("V.dat", text("6000,5 0,1\n"), "line 1 .* comma as decimal mark: write a point"),
    "decimal comma, semicolon": ("V.csv", text("w;t\n6000,5;0,1\n"), "line 2 .* comma as decimal mark"),
    "decimal comma, tab": ("V.tsv", text("6000\t0,1\n"), "line 1 .* comma as decimal mark: write a point"),
    "decimal comma, commas": ("V.csv", text("6000,5,0,1\n"), "line 1 .* more than one comma and no decimal"),
    "rows that are numbered": ("V.dat", text("1 6000 1\n2 6500 1\n3 7000 1\n"), "numbers its rows: remove"),
    "two curves": (
        "V.dat",
        text("6000 1\n7000 .2\n8000 1\n6000 .5\n7000 .3\n8000 1\n"),
        "line 1 and line 4 .* same wavelength 6000 and different sensitivities: remove one",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_in_another_form(tmp_path, kind):
    name, write, words = BAD[kind]
    write(tmp_path / name)
    with pytest.raises(UserError, match=words) as caught:
        FilterCurve.read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert str(caught.value).count("\n") == 0
