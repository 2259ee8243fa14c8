"""Bandpass images of cubes against integrals over the filters that count photons, computed without the package."""

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

# A source that is flat in f_nu, a blue one and a red one: f_lambda is proportional to this power of wavelength.
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
    """Three sources, one a column. A voxel is the mean flux density in its plane, as the pipeline resamples."""
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


# The largest part of a photon integral of the sources over the whole filter that is beyond MUSE's range changes
# the mean by this much. F850LP has a quarter of its filter there.
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("F606W", 0.02), ("F775W", 1e-5), ("F814W", 0.02), ("F850LP", 0.11), ("F070W", 1e-5), ("VIS", 2e-3)],
)
def test_photons_of_the_whole_filter(cube, name, tolerance):
    """GalSim counts the photons of the whole filter."""
    galsim = pytest.importorskip("galsim")
    x, y = numbers(name)
    bandpass = galsim.Bandpass(galsim.LookupTable(x, y, interpolant="linear"), "Angstrom")
    image = bandpass_image(cube, FilterCurve.named(name))
    flat = galsim.SED(lambda one: 1.0 + 0 * one, "Angstrom", "flambda").calculateFlux(bandpass)
    for column, exponent in enumerate(EXPONENTS):
        sed = galsim.SED(lambda one, exponent=exponent: source(one, exponent), "Angstrom", "flambda")
        assert image.data[0, column] == pytest.approx(sed.calculateFlux(bandpass) / flat, rel=tolerance)


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
    wavelength = np.arange(2900.0, 10500.0, 0.5)
    for column, exponent in enumerate(EXPONENTS):
        flux = source(wavelength, exponent) * 1e-17 * u.erg / u.s / u.cm**2 / u.AA
        magnitude = vis.get_ab_magnitude(flux, wavelength * u.AA)
        found = (image.data[0, column] * 1e-17 * u.erg / u.s / u.cm**2 / u.AA).to(
            u.ABmag, u.spectral_density(image.meta["FILTPIV"] * u.AA)
        )
        # The part of VIS outside of MUSE is 0.2 %.
        assert found.value == pytest.approx(magnitude, abs=3e-3)
