"""Cube times bandpass: the image that a filter would have seen."""

import os
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData, VarianceUncertainty
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from astropy_imphot import (
    FilterCurve,
    UserError,
    bandpass_image,
    bandpass_images,
    read_cube,
    read_image,
    write_image,
)
from astropy_imphot.calibration import bandpass

NZ, NY, NX = 60, 7, 9
START, STEP = 6000.0, 1.25
MUSE_UNIT = 1e-20 * u.erg / u.s / u.cm**2 / u.AA
BUNIT = "10**(-20)*erg/s/cm**2/Angstrom"

# Wavelengths of the curve's points are between the planes' edges, as in life.
CURVE = FilterCurve([6003.3, 6010.1, 6040.7, 6069.9], [0.0, 1.0, 0.7, 0.0], name="V")


def header(unit="Angstrom", ctype="AWAV"):
    factor = u.AA.to(unit)
    made = fits.Header()
    made.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3=ctype, CUNIT3=unit)
    made.update(CRVAL1=53.16, CRVAL2=-27.78, CRPIX1=5.0, CRPIX2=4.0)
    made.update(CD1_1=-0.2 / 3600, CD2_2=0.2 / 3600)
    made.update(CRVAL3=START * factor, CRPIX3=1.0, CD3_3=STEP * factor)
    return made


def cube_hdus(stat=True, dq=True, unit="Angstrom", ctype="AWAV"):
    """A cube with voxels masked in all the ways that there are."""
    rng = np.random.default_rng(1)
    shape = (NZ, NY, NX)
    data = rng.normal(5, 1, shape).astype("f4")
    variance = rng.uniform(0.5, 2, shape).astype("f4")
    flags = np.zeros(shape, "u1")
    data[rng.random(shape) < 0.05] = np.nan
    variance[rng.random(shape) < 0.02] = np.nan
    flags[rng.random(shape) < 0.05] = 1
    # A spectrum with no valid voxel within the curve, and one with none at all.
    data[2:57, 2, 3] = np.nan
    flags[:, 4, 5] = 1
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "UDF"
    hdus = fits.HDUList([primary, fits.ImageHDU(data, header(unit, ctype), name="DATA")])
    hdus["DATA"].header["BUNIT"] = BUNIT
    if stat:
        hdus.append(fits.ImageHDU(variance, header(unit, ctype), name="STAT"))
    if dq:
        hdus.append(fits.ImageHDU(flags, header(unit, ctype), name="DQ"))
    return hdus


@pytest.fixture(scope="module")
def cube_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / "cube.fits"
    cube_hdus().writeto(path)
    return path


def integral(start, stop, curve, power=1):
    """The integral of the curve times wavelength by Simpson's rule between the limits and its points."""
    start, stop = np.clip([start, stop], curve.wavelength[0], curve.wavelength[-1])
    inside = curve.wavelength[(curve.wavelength > start) & (curve.wavelength < stop)]
    ends = np.concatenate([[start], inside, [stop]])
    ends, middles = np.stack([ends[:-1], ends[1:]]), (ends[:-1] + ends[1:]) / 2
    low, high, middle = (
        x**power * np.interp(x, curve.wavelength, curve.sensitivity) for x in (*ends, middles)
    )
    return np.sum((low + 4 * middle + high) / 6 * np.diff(ends, axis=0)[0])


def expected(hdus, curve, power=1):
    """Sum(w d) / sum(w) and sum(w^2 v) / sum(w)^2, written straight, and the mask."""
    data = hdus["DATA"].data.astype(float)
    valid = np.isfinite(data)
    variance = None
    if "STAT" in hdus:
        variance = hdus["STAT"].data.astype(float)
        valid &= np.isfinite(variance)
    if "DQ" in hdus:
        valid &= hdus["DQ"].data == 0
    centers = START + STEP * np.arange(NZ)
    w = np.array([integral(center - STEP / 2, center + STEP / 2, curve, power) for center in centers])
    w = np.where(valid, w[:, None, None], 0)
    with np.errstate(invalid="ignore"):
        flux = (w * np.where(valid, data, 0)).sum(0) / w.sum(0)
        noise = None if variance is None else (w**2 * np.where(valid, variance, 0)).sum(0) / w.sum(0) ** 2
    return flux, noise, w.sum(0) == 0


@pytest.mark.parametrize("stat", [True, False])
@pytest.mark.parametrize("dq", [True, False])
def test_the_formula(stat, dq):
    hdus = cube_hdus(stat, dq)
    image = bandpass_image(hdus, CURVE)
    flux, noise, mask = expected(hdus, CURVE)
    assert mask[2, 3]
    assert mask[4, 5] == dq
    np.testing.assert_array_equal(image.mask, mask)
    np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)
    if stat:
        assert isinstance(image.uncertainty, VarianceUncertainty)
        np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)
    else:
        assert image.uncertainty is None


@pytest.mark.parametrize(
    ("weights", "response", "power"),
    [("photon", "photon", 1), ("photon", "energy", 0), ("energy", "photon", 0), ("energy", "energy", 0)],
)
def test_weights_and_responses(weights, response, power):
    """A steep spectrum shows the difference, which is small in so narrow a filter."""
    hdus = cube_hdus()
    hdus["DATA"].data *= np.linspace(-20, 20, NZ, dtype="f4")[:, None, None]
    curve = FilterCurve(CURVE.wavelength, CURVE.sensitivity, response=response)
    image = bandpass_image(hdus, curve, weights=weights)
    flux, noise, mask = expected(hdus, curve, power)
    other = expected(hdus, curve, 1 - power)[0]
    assert np.nanmin(np.abs(other - flux)) > 1e-2
    np.testing.assert_allclose(image.data[~mask], flux[~mask], atol=1e-4)
    np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)
    assert (image.meta["FILTWGHT"], image.meta["FILTRESP"]) == (weights, response)


def test_weights_that_there_are_not(cube_path):
    with pytest.raises(UserError, match="weights is 'flux': give 'photon' or 'energy'"):
        bandpass_image(cube_path, CURVE, weights="flux")


def test_no_mask_where_every_spectrum_is_valid():
    hdus = cube_hdus()
    for hdu, value in zip(hdus[1:], (3.0, 2.0, 0), strict=True):
        hdu.data[:] = value
    image = bandpass_image(hdus, CURVE)
    assert image.mask is None
    np.testing.assert_allclose(image.data, 3.0, rtol=1e-6)


@pytest.mark.parametrize(("unit", "ctype"), [("nm", "AWAV"), ("m", "WAVE"), ("Angstrom", "WAVE")])
def test_units_of_the_axis(unit, ctype):
    image = bandpass_image(cube_hdus(unit=unit, ctype=ctype), CURVE)
    same = bandpass_image(cube_hdus(), CURVE)
    np.testing.assert_allclose(image.data, same.data, rtol=1e-5)


def test_unit_wcs_and_header(cube_path):
    image = bandpass_image(cube_path, CURVE)
    assert image.unit == MUSE_UNIT
    assert image.shape == (NY, NX)
    assert image.meta["OBJECT"] == "UDF"
    sky = WCS(header()).celestial.pixel_to_world([0, 8], [0, 6])
    assert image.wcs.pixel_to_world([0, 8], [0, 6]).separation(sky).max() < 1e-8 * u.arcsec


def test_every_input_gives_the_same_image(cube_path):
    hdus = cube_hdus()
    in_memory = NDData(
        hdus["DATA"].data,
        VarianceUncertainty(hdus["STAT"].data),
        hdus["DQ"].data != 0,
        WCS(header()),
        meta=fits.Header(),
        unit=MUSE_UNIT,
    )
    first = bandpass_image(cube_path, CURVE)
    for source in (str(cube_path), hdus, in_memory):
        image = bandpass_image(source, CURVE)
        np.testing.assert_array_equal(image.data, first.data)
        np.testing.assert_array_equal(image.uncertainty.array, first.uncertainty.array)
        assert image.unit == first.unit


def test_every_form_of_curve(cube_path, tmp_path):
    path = tmp_path / "V.txt"
    np.savetxt(path, np.stack([CURVE.wavelength, CURVE.sensitivity], 1), header="wavelength throughput")
    first = bandpass_image(cube_path, CURVE)
    for curve in (path, str(path), (CURVE.wavelength, CURVE.sensitivity)):
        np.testing.assert_allclose(bandpass_image(cube_path, curve).data, first.data, rtol=1e-6)


def test_the_level_of_the_curve_does_not_matter(cube_path):
    image = bandpass_image(cube_path, (CURVE.wavelength, 1e-9 * CURVE.sensitivity))
    np.testing.assert_allclose(image.data, bandpass_image(cube_path, CURVE).data, rtol=1e-5)


CURVES = [
    CURVE,
    FilterCurve([6000.0, 6010.0], [1, 1], name="blue"),
    FilterCurve([6060.0, 6070.0], [1, 3], name="red"),
    # Narrower than a plane.
    FilterCurve([6030.1, 6030.3], [1, 1], name="line"),
]


def test_several_curves_in_one_pass(cube_path):
    together = bandpass_images(cube_path, CURVES)
    assert len(together) == len(CURVES)
    for image, curve in zip(together, CURVES, strict=True):
        alone = bandpass_image(cube_path, curve)
        np.testing.assert_array_equal(np.isnan(image.data), np.isnan(alone.data))
        np.testing.assert_allclose(image.data, alone.data, rtol=2e-6)
        np.testing.assert_allclose(image.uncertainty.array, alone.uncertainty.array, rtol=2e-6)
        flux, _, mask = expected(cube_hdus(), curve)
        np.testing.assert_array_equal(np.ma.getmaskarray(np.ma.array(image.data, mask=image.mask)), mask)
        np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)


def test_images_do_not_share_their_headers(cube_path):
    blue, red = bandpass_images(cube_path, CURVES[1:3])
    blue.meta["OBSERVER"] = "blue"
    assert "OBSERVER" not in red.meta


@pytest.mark.parametrize("kind", [fits.Header, dict])
def test_images_say_which_filter_they_are_of(cube_path, tmp_path, kind):
    cube = read_cube(cube_path)
    cube.meta = kind(cube.meta)
    before = kind(cube.meta)
    image, other = bandpass_images(cube, CURVES[1:3])
    assert cube.meta == before
    assert (image.meta["FILTER"], other.meta["FILTER"]) == (CURVES[1].name, CURVES[2].name)
    write_image(image, tmp_path / "image.fits")
    header = read_image(tmp_path / "image.fits").meta
    assert header["FILTER"] == CURVES[1].name
    edges = START + STEP * (np.arange(NZ + 1) - 0.5)
    weights = [integral(*limits, CURVES[1]) for limits in zip(edges[:-1], edges[1:], strict=True)]
    mean = np.sum(weights * (edges[:-1] + STEP / 2)) / np.sum(weights)
    assert header["FILTWAVE"] == pytest.approx(mean, abs=1e-3)
    assert (header["FILTFRAC"], header["FILTOUT"], header["FILTGAP"]) == (1, 0, 0)
    if kind is fits.Header:
        written = fits.getheader(tmp_path / "image.fits")
        assert "Angstrom" in written.comments["FILTWAVE"]
        assert written.comments["FILTER"]


def test_name_that_a_header_cannot_hold(cube_path):
    image = bandpass_image(cube_path, FilterCurve(CURVE.wavelength, CURVE.sensitivity, name="Hα"))
    assert image.meta["FILTER"] == "H?"


# Planes at a time: 1, 1, some that do not divide their number, and all.
@pytest.mark.parametrize("voxels", [1, NY * NX, 7 * NY * NX, 10**9])
def test_blocks_do_not_matter(cube_path, monkeypatch, voxels):
    monkeypatch.setattr(bandpass, "BLOCK_VOXELS", voxels)
    blocks = []

    def progress_bar(steps):
        blocks.extend(planes for _, planes in steps)
        return steps

    images = bandpass_images(cube_path, CURVES, progress_bar=progress_bar)
    for image, curve in zip(images, CURVES, strict=True):
        flux, noise, mask = expected(cube_hdus(), curve)
        np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)
        np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)
    sizes = [planes.stop - planes.start for planes in blocks]
    assert max(sizes) <= max(1, voxels // (NY * NX))
    # Every plane but those that no curve needs, once.
    planes = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
    weighted = [
        any(integral(START + STEP * (n - 0.5), START + STEP * (n + 0.5), curve) > 0 for curve in CURVES)
        for n in range(NZ)
    ]
    np.testing.assert_array_equal(np.sort(planes), np.flatnonzero(weighted))


# Rows at a time: 1, some that do not divide their number, and all.
@pytest.mark.parametrize("pixels", [1, 3 * NX, NY * NX])
def test_strips_do_not_matter(cube_path, monkeypatch, pixels):
    monkeypatch.setattr(bandpass, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(bandpass, "STRIP_BLOCK_VOXELS", 500)
    for image, curve in zip(bandpass_images(cube_path, CURVES), CURVES, strict=True):
        flux, noise, mask = expected(cube_hdus(), curve)
        np.testing.assert_array_equal(np.isnan(image.data), mask)
        np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)
        np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)


def test_strips_give_exactly_the_same(monkeypatch):
    """Of values and weights that are added up without rounding."""
    hdus = cube_hdus()
    for name in ("DATA", "STAT"):
        hdus[name].data[:] = np.round(64 * hdus[name].data) / 64
    edge = START - STEP / 2
    curves = [FilterCurve([edge, edge + n * STEP], [1, 1], name=f"{n}") for n in (NZ, 8)]
    whole = bandpass_images(hdus, curves, weights="energy")
    monkeypatch.setattr(bandpass, "STRIP_PIXELS", 2 * NX)
    for image, one in zip(bandpass_images(hdus, curves, weights="energy"), whole, strict=True):
        np.testing.assert_array_equal(image.data, one.data)
        np.testing.assert_array_equal(image.uncertainty.array, one.uncertainty.array)
        np.testing.assert_array_equal(image.mask, one.mask)


def test_memory_of_a_wide_field():
    """Of a mosaic, which takes as much as an exposure, and the images that are returned."""
    voxels = np.ones((4, 1600, 1600), "f4")
    cube = NDData(voxels, VarianceUncertainty(voxels, copy=False), wcs=WCS(header()), unit="ct", meta={})
    curves = [FilterCurve([START, START + 3 * STEP], [1, 1])] * 3
    tracemalloc.start()
    try:
        images = bandpass_images(cube, curves)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(image.data.nbytes + image.uncertainty.array.nbytes for image in images)
    assert peak < 2 * size


@pytest.mark.parametrize(("voxels", "threads"), [(1, 1), (200, 2), (10**9, 3), (1000, 100)])
def test_pieces_and_threads_do_not_matter(cube_path, monkeypatch, voxels, threads):
    monkeypatch.setattr(bandpass, "PIECE_VOXELS", voxels)
    monkeypatch.setattr(bandpass, "N_THREADS", threads)
    for image, curve in zip(bandpass_images(cube_path, CURVES), CURVES, strict=True):
        flux, noise, mask = expected(cube_hdus(), curve)
        np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)
        np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)


def test_spectra_with_few_or_only_invalid_voxels():
    """Most spectra are added up without a look at their voxels: these must not be."""
    rng = np.random.default_rng(2)
    hdus, truth = cube_hdus(), cube_hdus()
    for made in (hdus, truth):
        made["DQ"].data[:] = 0
    for name, level in (("DATA", 5), ("STAT", 1)):
        hdus[name].data[:] = truth[name].data[:] = rng.uniform(level, 2 * level, (NZ, NY, NX))
    places = [
        ("DATA", np.nan),
        ("DATA", np.inf),
        ("DATA", -np.inf),
        ("STAT", np.nan),
        ("STAT", np.inf),
        ("STAT", 0),
        ("STAT", -1),
        ("DQ", 2),
    ]
    for column, (name, value) in enumerate(places):
        hdus[name].data[30, 1, column] = value
        truth["DATA"].data[30, 1, column] = np.nan
        hdus[name].data[:, 3, column] = value
        truth["DATA"].data[:, 3, column] = np.nan
    image = bandpass_image(hdus, CURVE)
    flux, noise, mask = expected(truth, CURVE)
    assert mask.sum() == len(places)
    np.testing.assert_array_equal(image.mask, mask)
    np.testing.assert_allclose(image.data[~mask], flux[~mask], rtol=2e-6)
    np.testing.assert_allclose(image.uncertainty.array[~mask], noise[~mask], rtol=2e-6)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells no peak of memory")
def test_memory_does_not_grow_with_the_cube(tmp_path):
    voxels = np.ones((1200, 128, 128), "f4")
    path = tmp_path / "large.fits"
    hdus = [fits.ImageHDU(voxels, header(), name=name) for name in ("DATA", "STAT")]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    code = f"""
import re
from pathlib import Path
from astropy_imphot.calibration import bandpass
from astropy_imphot.calibration.bandpass import bandpass_image

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

bandpass.BLOCK_VOXELS = 1_000_000
curve = ([6000.0, 7400.0], [1, 1])
before = peak()
bandpass_image({str(path)!r}, curve)
print(peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Half of what the file has.
    assert int(result.stdout) < voxels.nbytes


def test_planes_outside_the_curve_are_not_read():
    hdus = cube_hdus(stat=False, dq=False)

    class Watched(np.ndarray):
        def __getitem__(self, planes):
            read.append(planes)
            return super().__getitem__(planes)

    read = []
    cube = NDData(hdus["DATA"].data.view(Watched), wcs=WCS(header()), unit="ct", meta={})
    read.clear()
    bandpass_image(cube, FilterCurve([6030.0, 6040.0], [1, 1]))
    planes = [key for key in read if isinstance(key, slice)]
    assert planes
    assert min(key.start for key in planes) == 24
    assert max(key.stop for key in planes) == 33


def box(lost):
    """A box of which a fraction lies below the cube's first edge."""
    edge = START - STEP / 2
    return FilterCurve([edge - 50 * lost, edge + 50 * (1 - lost)], [1, 1], name="V")


def test_warning_for_a_curve_that_reaches_out(cube_path):
    with pytest.warns(AstropyUserWarning, match=r"cube\.fits: 0\.6 % of .* V lies outside the cube"):
        bandpass_image(cube_path, box(0.006))
    # Warnings are errors in these tests.
    bandpass_image(cube_path, box(0.004))


@pytest.mark.parametrize("wavelengths", [(4000, 5990), (6080, 9000), (600, 607)])
def test_no_overlap(cube_path, wavelengths):
    with pytest.raises(
        UserError, match=r"cube\.fits: .* V .* does not overlap the cube \(5999 to 6074 Ang.*: c"
    ):
        bandpass_image(cube_path, FilterCurve(wavelengths, [1, 1], name="V"))


def test_no_overlap_of_one_of_several(cube_path):
    with pytest.raises(UserError, match="curve far "):
        bandpass_images(cube_path, [CURVE, FilterCurve([8000, 9000], [1, 1], name="far")])


@pytest.mark.parametrize("name", ["gone.fits", "image.fits"])
def test_no_cube(tmp_path, name):
    fits.PrimaryHDU(np.ones((5, 6)), WCS(header()).celestial.to_header()).writeto(tmp_path / "image.fits")
    with pytest.raises(UserError, match=name):
        bandpass_image(tmp_path / name, CURVE)


def test_agrees_with_mpdaf_on_a_real_cube(real_data):
    from mpdaf.obj import Cube

    path = os.path.join(real_data, "sdetect", "minicube.fits")
    wavelength = np.linspace(7000.0, 9000.0, 81)
    sensitivity = np.exp(-0.5 * ((wavelength - 8000) / 250) ** 2)
    image = bandpass_image(path, (wavelength, sensitivity), weights="energy")
    with warnings.catch_warnings():
        # mpdaf's complaints about the file's headers.
        warnings.simplefilter("ignore")
        truth = Cube(path).bandpass_image(wavelength, sensitivity, interpolation="linear")
    mask = np.ma.getmaskarray(truth.data)
    np.testing.assert_array_equal(np.ma.getmaskarray(np.ma.array(image.data, mask=image.mask)), mask)
    np.testing.assert_allclose(image.data[~mask], truth.data.data[~mask], rtol=1e-5)
    np.testing.assert_allclose(image.uncertainty.array[~mask], truth.var.data[~mask], rtol=1e-5)
    assert image.unit == truth.unit


def test_planes_that_are_masked():
    """As those of the notch filter for the sodium lasers."""
    hdus = cube_hdus()
    for name in ("DATA", "STAT", "DQ"):
        hdus[name].data[:] = name != "DQ"
    # A slope, so that the image tells which planes were used; the corner of one that is masked is valid.
    hdus["DATA"].data *= np.arange(NZ, dtype="f4")[:, None, None]
    hdus["DATA"].data[20:30] = np.nan
    hdus["DATA"].data[25, :2, :2] = 25
    curve = FilterCurve([5990.0, 6100.0], [1.0, 1.0], name="box")
    with pytest.warns(AstropyUserWarning) as caught:
        image = bandpass_image(hdus, curve)
    centers = START + STEP * np.arange(NZ)
    edges = START + STEP * (np.arange(NZ + 1) - 0.5)
    w = np.array([integral(*limits, curve) for limits in zip(edges[:-1], edges[1:], strict=True)])
    total = integral(5990.0, 6100.0, curve)
    used = np.where((np.arange(NZ) >= 20) & (np.arange(NZ) < 30), 0, w)
    mean = np.average(centers, weights=used)
    values = {
        "FILTWAVE": mean,
        "FILTWIDT": np.sqrt(np.average((centers - mean) ** 2, weights=used)),
        "FILTPIV": np.sqrt(used.sum() / np.sum(used / centers**2)),
        "FILTFRAC": used.sum() / total,
        "FILTOUT": 1 - w.sum() / total,
        "FILTGAP": w[20:30].sum() / total,
    }
    for key, value in values.items():
        assert image.meta[key] == pytest.approx(value, abs=1e-3 if value > 1 else 1e-4), key
    assert image.data[3, 3] == pytest.approx(np.average(np.arange(NZ), weights=used), rel=1e-6)
    words = [str(one.message) for one in caught]
    assert len(words) == 2
    assert f"{100 * values['FILTOUT']:.1f} % of the filter curve box lies outside the cube." in words[0]
    assert f"{100 * values['FILTGAP']:.1f} % of the filter curve box lies in planes of the cube" in words[1]


def test_no_valid_voxel_in_the_filter():
    hdus = cube_hdus()
    hdus["DATA"].data[:12] = np.nan
    with pytest.raises(UserError, match="the cube has no valid voxel in the filter curve blue: check"):
        bandpass_images(hdus, CURVES[2:0:-1])


def test_curves_of_quantities(cube_path):
    expected = bandpass_image(cube_path, CURVE)
    pair = (CURVE.wavelength / 10 * u.nm, CURVE.sensitivity * 100 * u.percent)
    np.testing.assert_allclose(bandpass_image(cube_path, pair).data, expected.data, rtol=1e-6)
    with pytest.raises(UserError, match="the wavelength of the filter curve filter is in s: give it in Angs"):
        bandpass_image(cube_path, ([6000, 6050] * u.s, [1, 1]))
