"""Bandpass images of cubes against photon integrals, which are computed without the package."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.integrate import quad

from astropy_imphot import FilterCurve, bandpass_image
from astropy_imphot.calibration import curves

# MUSE: 3681 planes of 1.25 Angstrom.
FIRST, STEP, NZ = 4750.0, 1.25, 3681
EDGES = FIRST + STEP * (np.arange(NZ + 1) - 0.5)

# Flat in f_nu, a blue source and a red one: f_lambda is proportional to this power of wavelength.
EXPONENTS = (-2.0, -3.5, 3.0)

FILTERS = {
    "F606W": "acs_wfc_f606w",
    "F775W": "acs_wfc_f775w",
    "F814W": "acs_wfc_f814w",
    "F850LP": "acs_wfc_f850lp",
    "F070W": "nircam_f070w",
    "VIS": "vis_vis",
}

pytestmark = pytest.mark.filterwarnings("ignore:.* of the filter curve .* lies outside")


def source(x, exponent):
    return (x / 7000.0) ** exponent


@pytest.fixture(scope="module")
def cube():
    """Three sources, one a column. A voxel is the mean flux density in its plane, as in MUSE's cubes."""
    power = np.array(EXPONENTS) + 1
    primitive = 7000.0 / power * (EDGES[:, None] / 7000.0) ** power
    spectra = np.diff(primitive, axis=0) / STEP
    hdu = fits.ImageHDU(np.broadcast_to(spectra[:, None, :], (NZ, 2, 3)).astype("f4"), name="DATA")
    hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CTYPE3="AWAV", CUNIT3="Angstrom")
    hdu.header.update(CRPIX3=1.0, CRVAL3=FIRST, CD3_3=STEP, CD1_1=-0.2 / 3600, CD2_2=0.2 / 3600)
    return fits.HDUList([fits.PrimaryHDU(), hdu])


def numbers(name):
    table = Table.read(Path(curves.FOLDER) / f"{FILTERS[name]}.ecsv")
    return np.array(table["wavelength"]), np.array(table["sensitivity"])


def integral(function, x, y, low, high):
    """The integral of a function times the curve, segment by segment of the curve."""
    points = np.unique(np.concatenate([[low, high], x[(x > low) & (x < high)]]))

    def integrand(one):
        return function(one) * np.interp(one, x, y, left=0, right=0)

    return sum(
        quad(integrand, *ends, epsabs=0, epsrel=1e-7)[0]
        for ends in zip(points[:-1], points[1:], strict=True)
        if np.interp(ends, x, y, left=0, right=0).any()
    )


@pytest.mark.parametrize("name", FILTERS)
def test_photons_in_the_range_of_muse(cube, name):
    x, y = numbers(name)
    image = bandpass_image(cube, FilterCurve.named(name))
    limits = EDGES[[0, -1]]
    photons = integral(lambda one: one, x, y, *limits)
    for column, exponent in enumerate(EXPONENTS):
        counts = integral(lambda one, exponent=exponent: one * source(one, exponent), x, y, *limits)
        assert image.data[0, column] == pytest.approx(counts / photons, rel=1e-5)
    everything = integral(lambda one: one, x, y, x[0], x[-1])
    assert image.meta["FILTFRAC"] == pytest.approx(photons / everything, abs=1e-4)
    pivot = np.sqrt(photons / integral(lambda one: 1 / one, x, y, *limits))
    assert image.meta["FILTPIV"] == pytest.approx(pivot, abs=0.01)
    # The mean is that of the flux per frequency at the pivot wavelength: a source that is flat in it.
    assert image.data[0, 0] == pytest.approx(source(pivot, -2.0), rel=1e-5)


@pytest.mark.parametrize("name", FILTERS)
def test_photons_that_galsim_counts(cube, name):
    galsim = pytest.importorskip("galsim")
    x, y = numbers(name)
    whole = galsim.Bandpass(galsim.LookupTable(x, y, interpolant="linear"), "Angstrom")
    # GalSim's limits are in nm.
    within = whole.truncate(
        blue_limit=max(EDGES[0] / 10, whole.blue_limit), red_limit=min(EDGES[-1] / 10, whole.red_limit)
    )
    image = bandpass_image(cube, FilterCurve.named(name))

    def counts(exponent, bandpass):
        sed = galsim.SED(lambda one: source(one, exponent), "Angstrom", "flambda")
        return sed.calculateFlux(bandpass)

    def mean(exponent, bandpass):
        return counts(exponent, bandpass) / counts(0.0, bandpass)

    for column, exponent in enumerate(EXPONENTS):
        assert image.data[0, column] == pytest.approx(mean(exponent, within), rel=1e-3)
        if name in ("F775W", "F070W"):
            # Filters that are within MUSE as a whole.
            assert image.data[0, column] == pytest.approx(mean(exponent, whole), rel=1e-3)


# The planes without data of exposures with adaptive optics, Angstrom, and the forms in which cubes have them.
NOTCH = (5780.0, 6050.0)
FORMS = {"DATA": np.nan, "DQ": 1, "STAT": np.nan, "STAT of 0": 0}


@pytest.mark.filterwarnings("ignore:.* of the filter curve .* lies in planes")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["F606W"])
def test_notch_of_adaptive_optics(cube, form, name):
    header = cube["DATA"].header
    data = cube["DATA"].data.copy()
    layers = {"DATA": data, "STAT": np.ones_like(data), "DQ": np.zeros(data.shape, "u1")}
    planes = np.flatnonzero((EDGES[:-1] > NOTCH[0]) & (EDGES[1:] < NOTCH[1]))
    layers[form.split()[0]][planes] = FORMS[form]
    data[planes] = FORMS[form] if form == "DATA" else 1e3
    hdus = [fits.ImageHDU(layer, header, name=key) for key, layer in layers.items()]
    image = bandpass_image(fits.HDUList([fits.PrimaryHDU(), *hdus]), FilterCurve.named(name))
    x, y = numbers(name)
    limits = [(EDGES[0], EDGES[planes[0]]), (EDGES[planes[-1] + 1], EDGES[-1])]

    def used(power):
        return sum(integral(lambda one: one**power, x, y, *pair) for pair in limits)

    for column, exponent in enumerate(EXPONENTS):
        counts = sum(
            integral(lambda one, exponent=exponent: one * source(one, exponent), x, y, *pair)
            for pair in limits
        )
        assert image.data[0, column] == pytest.approx(counts / used(1), rel=1e-5)
    everything = integral(lambda one: one, x, y, x[0], x[-1])
    gap = integral(lambda one: one, x, y, limits[0][1], limits[1][0])
    mean = used(2) / used(1)
    expected = {
        "FILTFRAC": used(1) / everything,
        "FILTGAP": gap / everything,
        "FILTOUT": 1 - (used(1) + gap) / everything,
    }
    for key, value in expected.items():
        assert image.meta[key] == pytest.approx(value, abs=1e-4), key
    assert gap / everything > 0.05
    assert image.meta["FILTWAVE"] == pytest.approx(mean, abs=0.02)
    assert image.meta["FILTWIDT"] == pytest.approx(np.sqrt(used(3) / used(1) - mean**2), abs=0.02)
    assert image.meta["FILTPIV"] == pytest.approx(np.sqrt(used(1) / used(-1)), abs=0.02)


def test_what_energy_weights_change(cube):
    """A source that is flat in f_nu appears 2.6 % too bright in F606W."""
    photon, energy = (bandpass_image(cube, "F606W", weights=weights) for weights in ("photon", "energy"))
    ratio = energy.data[0] / photon.data[0]
    np.testing.assert_allclose(ratio, [1.026, 1.045, 0.963], atol=0.003)
    assert energy.meta["FILTWAVE"] < photon.meta["FILTWAVE"] - 50


def test_speclite_counts_the_same_photons(cube):
    """By AB magnitudes, of which the zero point counts photons as well."""
    filters = pytest.importorskip("speclite.filters")
    vis = filters.load_filter("Euclid-VIS")
    image = bandpass_image(cube, "Euclid-VIS")
    wavelength = np.arange(2900.0, 12100.0, 0.5)
    for column, exponent in enumerate(EXPONENTS):
        flux = source(wavelength, exponent) * 1e-17 * u.erg / u.s / u.cm**2 / u.AA
        magnitude = vis.get_ab_magnitude(flux, wavelength * u.AA)
        found = (image.data[0, column] * 1e-17 * u.erg / u.s / u.cm**2 / u.AA).to(
            u.ABmag, u.spectral_density(image.meta["FILTPIV"] * u.AA)
        )
        # 0.2 % of VIS is outside of MUSE. Energy weights are 0.05 to 0.09 mag off.
        assert found.value == pytest.approx(magnitude, abs=5e-3)
