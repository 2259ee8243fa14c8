"""Files of filter curves in every form."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astropy_imphot import FilterCurve, UserError

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


def table(unit, names=("lambda", "throughput")):
    made = Table([(WAVELENGTH * u.AA).to_value(unit), SENSITIVITY, np.arange(4)], names=(*names, "row"))
    made[names[0]].unit = unit
    return made


def check(curve):
    np.testing.assert_allclose(curve.wavelength, WAVELENGTH, rtol=1e-12)
    np.testing.assert_allclose(curve.sensitivity, SENSITIVITY)
    assert curve.name == "V"


# VOTables should not have Angstrom as a unit.
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


def frequencies(path):
    Table({"f": [500, 600] * u.THz, "t": [1, 1]}).write(path)


BAD = {
    "two tables": ("V.fits", two_tables, "cannot be read as FITS: give one table"),
    "an image": ("V.fits", image, "cannot be read as FITS: give one table"),
    "no FITS": ("V.fits", text("6000 1\n7000 1\n"), "cannot be read as FITS: give one table"),
    "no VOTable": ("V.xml", text("<a></b>"), "cannot be read as VOTABLE: give one table"),
    "no ECSV": ("V.ecsv", text("6000 1\n7000 1\n"), "cannot be read as ECSV: give one table"),
    "empty": ("V.csv", text(""), "cannot be read as CSV: give one table"),
    "one column": ("V.csv", text("a\n6000\n7000\n"), "fewer than two columns: give"),
    "words": ("V.csv", text("a,b\n6000,x\n7000,y\n"), "the column b .* is not of numbers: give"),
    "hole": ("V.csv", text("a,b\n6000,1\n7000,\n8000,1\n"), "two columns of finite numbers"),
    "unit in name": (
        "V.csv",
        text("w [microns],b\n0.6,1\n0.7,1\n"),
        r"unit microns of .* \[microns\]",
    ),
    "unit": ("V.fits", unit_without_meaning, "unit angstroems of the column lambda .* not known: use"),
    "frequency": ("V.ecsv", frequencies, "is in THz: give"),
    "unknown form": ("V.dat", text("w,t\n6000,1\n"), r"give it .* or a table \(\.csv,"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_in_another_form(tmp_path, kind):
    name, write, words = BAD[kind]
    write(tmp_path / name)
    with pytest.raises(UserError, match=words) as caught:
        FilterCurve.read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert str(caught.value).count("\n") == 0
