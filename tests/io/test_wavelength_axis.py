"""Wavelength axes of cubes, in the forms of many files: read rightly, or an error that has the keyword."""

import os
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from astropy.wcs import WCS
from scipy.integrate import quad

from astropy_imphot import FilterCurve, UserError, bandpass_image, read_cube
from astropy_imphot.io.grid import read_grid

NZ, NY, NX = 30, 4, 5
START, STEP = 6000.0, 10.0
CURVE = FilterCurve([6053.0, 6081.0, 6200.0, 6224.0], [0, 1, 0.7, 0], name="V")
VOXELS = (
    np.random.default_rng(1).normal(5, 1, (NY, NX)) * np.linspace(-1, 3, NZ)[:, np.newaxis, np.newaxis]
).astype("f4")


@pytest.fixture(scope="module")
def expected():
    """The filter image, by numerical integration."""
    edges = START + STEP * (np.arange(NZ + 1) - 0.5)
    weights = [
        quad(
            lambda x: x * np.interp(x, CURVE.wavelength, CURVE.sensitivity, left=0, right=0),
            *pair,
            points=[point for point in CURVE.wavelength if pair[0] < point < pair[1]] or None,
        )[0]
        for pair in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.tensordot(weights, VOXELS.astype(float), 1) / np.sum(weights)


def write(folder, changes, data=VOXELS):
    """A cube with some keywords changed, or removed (None)."""
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=53.16, CRVAL2=-27.78, CRPIX1=3.0, CRPIX2=2.0)
    header.update(CD1_1=-0.2 / 3600, CD1_2=0.0, CD2_1=0.0, CD2_2=0.2 / 3600)
    header.update(CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=START, CRPIX3=1.0, CD3_3=STEP)
    header["BUNIT"] = "10**(-20)*erg/s/cm**2/Angstrom"
    for key, value in changes.items():
        if value is None:
            header.remove(key)
        else:
            header[key] = value
    path = folder / "cube.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, header, name="DATA")]).writeto(path)
    return path


def of_unit(unit, factor, **more):
    return {"CUNIT3": unit, "CRVAL3": START * factor, "CD3_3": STEP * factor} | more


# Keywords, and those that are in the warning.
MENDED = {
    "CDELT3": ({"CD3_3": None, "CDELT3": STEP}, "CD3_3 = 10.0 is taken in place of no keyword"),
    "CD3_3 of 0": ({"CD3_3": 0.0, "CDELT3": STEP}, "CD3_3 = 10.0 is taken in place of 0.0"),
    **{
        kind or "blank": ({"CTYPE3": kind}, f"CTYPE3 = WAVE is taken in place of '{kind}'")
        for kind in ("LINEAR", "WAVELENGTH", "LAMBDA", "Wavelength", "wave", "")
    },
    "no CTYPE3": ({"CTYPE3": None}, "CTYPE3 = WAVE is taken in place of no keyword"),
    "awav": ({"CTYPE3": "awav"}, "CTYPE3 = AWAV"),
    **{
        unit: (of_unit(unit, factor), f"CUNIT3 = {standard} is taken in place of '{unit}'")
        for unit, standard, factor in (
            ("ANGSTROM", "Angstrom", 1),
            ("A", "Angstrom", 1),
            ("AA", "Angstrom", 1),
            ("micron", "um", 1e-4),
            ("MICRONS", "um", 1e-4),
            ("NM", "nm", 0.1),
            ("nanometer", "nm", 0.1),
        )
    },
    "LINEAR micron": (of_unit("micron", 1e-4, CTYPE3="LINEAR"), "CTYPE3 = WAVE, CUNIT3 = um"),
}
STANDARD = {
    "AWAV": {},
    "WAVE": {"CTYPE3": "WAVE"},
    "CDELT": {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None, "CD3_3": None}
    | {"CDELT1": -0.2 / 3600, "CDELT2": 0.2 / 3600, "CDELT3": STEP},
    "both": {"CDELT3": 1.0},
    "angstrom": {"CUNIT3": "angstrom"},
    "nm": of_unit("nm", 0.1),
    "um": of_unit("um", 1e-4),
    "m": of_unit("m", 1e-10),
    "no unit, m": of_unit(None, 1e-10),
}


def check(path, expected):
    image = bandpass_image(path, CURVE)
    np.testing.assert_allclose(image.data, expected, rtol=1e-6, atol=1e-6)
    assert image.shape == (NY, NX)
    np.testing.assert_allclose(read_grid(path).pixel_scale, 0.2)


@pytest.mark.parametrize("name", MENDED)
def test_forms_that_are_mended(tmp_path, expected, name):
    changes, text = MENDED[name]
    path = write(tmp_path, changes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_cube(path)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        f"{path}: the axis of wavelengths is not as in the FITS standard"
    )
    assert text in str(caught[0].message)
    with pytest.warns(UserWarning, match="axis of wavelengths"):
        check(path, expected)


@pytest.mark.parametrize("name", STANDARD)
def test_forms_of_the_standard(tmp_path, expected, name):
    # A warning would be an error.
    check(write(tmp_path, STANDARD[name]), expected)


def on_axis(number):
    """A cube with its wavelengths on axis 1 or 2."""
    order = {1: (1, 2, 0), 2: (1, 0, 2)}[number]
    sky = iter([("RA---TAN", 53.16, 3.0, -0.2 / 3600), ("DEC--TAN", -27.78, 2.0, 0.2 / 3600)])
    changes = {"CUNIT3": None}
    for axis in (1, 2, 3):
        values = ("AWAV", START, 1.0, STEP) if axis == number else next(sky)
        keys = (f"CTYPE{axis}", f"CRVAL{axis}", f"CRPIX{axis}", f"CD{axis}_{axis}")
        changes |= dict(zip(keys, values, strict=True))
    return changes | {f"CUNIT{number}": "Angstrom"}, np.ascontiguousarray(VOXELS.transpose(order))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (on_axis(1), r"the wavelengths of the cube are on axis 1 \(NAXIS1\), and not on axis 3: move it"),
        (on_axis(2), r"the wavelengths of the cube are on axis 2 \(NAXIS2\), and not on axis 3: move it"),
        ({"CD3_3": None}, "no step of wavelengths: add CD3_3 or CDELT3"),
        ({"CD3_3": 0.0}, "no step of wavelengths: add CD3_3 or CDELT3"),
        ({"CUNIT3": None}, "no unit of wavelengths: add CUNIT3"),
        ({"CTYPE3": "LAMBDA", "CUNIT3": None}, "no unit of wavelengths: add CUNIT3"),
        ({"CUNIT3": "furlong"}, "CUNIT3 = 'furlong', is no length: correct it"),
        ({"CUNIT3": "Hz"}, "CUNIT3 = 'Hz', is no length: correct it"),
        ({"CTYPE3": "FREQ", "CUNIT3": "Hz"}, "no axis of wavelengths, but CTYPE3 = 'FREQ': convert"),
        ({"CTYPE3": "VELO", "CUNIT3": "m/s"}, "no axis of wavelengths, but CTYPE3 = 'VELO': convert"),
        ({"CUNIT1": "furlong"}, r"the WCS of the image cannot be read \(.*\): correct"),
    ],
    ids=str,
)
def test_forms_that_are_refused(tmp_path, changes, reason):
    changes, data = changes if isinstance(changes, tuple) else (changes, VOXELS)
    path = write(tmp_path, changes, data)
    for read in (read_cube, read_grid, lambda path: bandpass_image(path, CURVE)):
        with pytest.raises(UserError, match=f"cube.fits: .*{reason}"):
            read(path)


def test_cube_in_memory(tmp_path):
    for number in (1, 2):
        changes, data = on_axis(number)
        path = write(tmp_path, changes, data)
        cube = NDData(data, wcs=WCS(fits.getheader(path, 1)))
        path.unlink()
        with pytest.raises(UserError, match=f"the wavelengths of the cube are on axis {number}"):
            bandpass_image(cube, CURVE)


def test_cube_of_mpdaf(real_data):
    # CTYPE3 is LINEAR, and the wavelengths start at 7300 Angstrom.
    with pytest.warns(UserWarning, match="CTYPE3 = WAVE is taken in place of 'LINEAR'"):
        image = bandpass_image(
            os.path.join(real_data, "obj", "CUBE.fits"), ([8000, 8001, 8500, 8501], [0, 1, 1, 0])
        )
    assert image.meta["FILTWAVE"] == pytest.approx(
        (8001**2 + 8001 * 8500 + 8500**2) / (8001 + 8500) * 2 / 3, abs=0.5
    )
