"""Simulated cubes have their true parameters."""

import numpy as np
import pytest
from astropy.time import Time

from astropy_imphot import FilterCurve, HstFilterInfo, bandpass_images, fit_image_photometry, read_cube
from astropy_imphot.simulation import CubeTruth, Truth, simulate_cubes
from astropy_imphot.simulation.drawing import draw_exposure, draw_objects, draw_planes, sky_grid

TRUTHS = [
    CubeTruth(dx=0.12, dy=-0.2, scale=0.93, bg=1.0, fwhm=0.65),
    CubeTruth(
        dx=-0.15,
        dy=0.25,
        fwhm=0.55,
        slope=-3e-5,
        beta=2.8,
        shape=(110, 97),
        shift=(0.37, -1.13),
        rotation=5.0,
    ),
]
BANDS = {
    "F606W": FilterCurve([4760, 7100], [1, 1], name="F606W"),
    "F814W": FilterCurve([7050, 9340], [1, 1], name="F814W"),
}


@pytest.fixture(scope="module")
def field():
    return simulate_cubes(5, TRUTHS, size=24.0, filters=list(BANDS))


def test_planes_are_those_of_an_image():
    rng = np.random.default_rng(2)
    objects = draw_objects(rng, 24, 26, None, (21, 26), lambda magnitude: 10 ** (-0.4 * (magnitude - 25)), 2)
    grid = sky_grid((81, 90), rotation=30.0)
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    # The offset of an image is along right ascension and declination, that of a cube along its pixel axes.
    truth = Truth(dx=0.13, dy=-0.21, fwhm=0.7, beta=2.7)
    offset = (cos * truth.dx + sin * truth.dy, -sin * truth.dx + cos * truth.dy)
    image = draw_exposure(objects, truth, grid)
    wide, plane = draw_planes(objects, [(0.9, 2.7), (0.7, 2.7)], grid, offset)
    np.testing.assert_allclose(plane, image, atol=5e-4 * image.max())
    assert wide.max() < 0.95 * plane.max()


def test_a_star_outside_is_not_wrapped_into_the_field():
    import galsim

    star = (-14.0, 0.0, 15.0, galsim.DeltaFunction(flux=1e4))
    (plane,) = draw_planes([star], [(0.8, 2.5)], sky_grid((50, 60)))
    assert plane[:, -1].max() < plane[:, 0].max() / 20


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", BANDS)
def test_fit_finds_the_truth_in_every_filter(field, number, name):
    truth = TRUTHS[number]
    (image,) = bandpass_images(field.cubes[number], [BANDS[name]])
    fit = fit_image_photometry(field.hst[name], image)
    fwhm = truth.fwhm_at(image.meta["FILTWAVE"])
    for key, tolerance in (("dx", 0.01), ("dy", 0.01), ("scale", 0.02), ("bg", 0.01), ("beta", 0.3)):
        value = getattr(fit, key)
        assert abs(value.value - getattr(truth, key)) < min(tolerance, 4 * value.stdev)
    assert abs(fit.fwhm.value - fwhm) < min(0.02, 4 * fit.fwhm.stdev)


def test_noise_has_the_variance_in_stat():
    levels = np.array([0.5, 1.0, 2.0])
    options = {"size": 12.0, "filters": ["F606W", "F775W"], "wavelengths": [5000.0, 7000.0, 9000.0]}
    noisy, clean = (
        simulate_cubes(6, noise=noise, hst_noise=hst_noise, **options)
        for noise, hst_noise in ((levels, {"F606W": 1e-3, "F775W": 3e-3}), (0.0, 0.0))
    )
    drawn = noisy.cubes[0]["DATA"].data - clean.cubes[0]["DATA"].data
    np.testing.assert_allclose(drawn.std(axis=(1, 2)), levels, rtol=0.05)
    np.testing.assert_allclose(noisy.cubes[0]["STAT"].data[:, 0, 0], levels**2)
    for name, level in (("F606W", 1e-3), ("F775W", 3e-3)):
        assert (noisy.hst[name].data - clean.hst[name].data).std() == pytest.approx(level, rel=0.01)


def test_spectra_are_flat():
    field = simulate_cubes(6, size=12.0, hst_noise=0.0, noise=0.0, wavelengths=[5000.0, 7000.0, 9000.0])
    light = [image.data * HstFilterInfo(name).photflam for name, image in field.hst.items()]
    for other in light[1:]:
        np.testing.assert_allclose(other, light[0], rtol=1e-5)
    sums = field.cubes[0]["DATA"].data.sum(axis=(1, 2))
    np.testing.assert_allclose(sums, sums[0], rtol=0.01)


@pytest.mark.parametrize("index", [-2.0, -3.5, 3.0])
def test_hst_counts_photons(index):
    """The ratio of the images in two filters, which does not depend on a PSF that is the same in both."""
    planes = np.arange(4500.0, 8700.0, 20.0)
    field = simulate_cubes(
        6,
        [CubeTruth(slope=0.0)],
        size=6.0,
        filters=["F606W", "F775W"],
        wavelengths=planes,
        noise=1e-6,
        hst_noise=0.0,
        hst_pixel=0.1,
        spectral_indices=[index],
    )

    def hst_ratio():
        blue, red = (image.data * HstFilterInfo(name).photflam for name, image in field.hst.items())
        return np.median((blue / red)[red > red.max() / 100])

    def muse_ratio(weights):
        curves = [FilterCurve.named(name) for name in field.hst]
        blue, red = (image.data for image in bandpass_images(field.cubes[0], curves, weights=weights))
        return np.median((blue / red)[red > red.max() / 100])

    def photon_mean(name):
        curve = FilterCurve.named(name)
        x = np.arange(curve.wavelength[0], curve.wavelength[-1], 0.5)
        photons = x * np.interp(x, curve.wavelength, curve.sensitivity)
        return np.sum(photons * x**index) / np.sum(photons)

    assert hst_ratio() == pytest.approx(photon_mean("F606W") / photon_mean("F775W"), rel=1e-4)
    # The planes are 20 Angstrom wide.
    assert muse_ratio("photon") == pytest.approx(hst_ratio(), rel=1e-3)
    assert muse_ratio("energy") != pytest.approx(hst_ratio(), rel=1e-2)


def test_objects_have_their_spectra_in_turn():
    rng = np.random.default_rng(3)
    objects = draw_objects(rng, 12, 12, 6, (21, 26), lambda magnitude: 10 ** (-0.4 * (magnitude - 25)), 2)
    grid = sky_grid((60, 60))
    psfs = [(0.7, 2.5), (0.6, 2.8)]
    spectra = np.array([[1.0, 0.5], [2.0, 3.0], [0.3, 0.0]] * 2)
    together = np.array(list(draw_planes(objects, psfs, grid, spectra=spectra)))
    alone = [np.array(list(draw_planes([one], psfs, grid))) for one in objects]
    expected = sum(factors[:, None, None] * light for factors, light in zip(spectra, alone, strict=True))
    np.testing.assert_allclose(together, expected, atol=1e-3 * together.max())


def test_galaxies_of_all_colors_have_the_scale_of_hst():
    # The filters are within the range of the planes.
    truth = CubeTruth(dx=0.1, scale=0.9)
    field = simulate_cubes(
        5,
        [truth],
        size=24.0,
        filters=["F606W", "F775W"],
        wavelengths=np.arange(4500.0, 8700.0, 50.0),
        spectral_indices=[-2.0, -3.5, 3.0],
    )
    images = bandpass_images(field.cubes[0], [FilterCurve.named(name) for name in field.hst])
    for (name, hst), image in zip(field.hst.items(), images, strict=True):
        fit = fit_image_photometry(hst, image)
        assert abs(fit.scale.value - truth.scale) < min(0.01, 4 * fit.scale.stdev), name
        assert fit.sizes["scatter"] < 0.02, name


def test_headers_identify_the_exposures(field):
    primary = [cube[0].header for cube in field.cubes]
    dates = [header["DATE-OBS"] for header in primary]
    assert [len(date) for date in dates] == [23, 23]
    assert len({*dates}) == len({header["EXPNAME"] for header in primary}) == 2
    for header in primary:
        assert Time(header["DATE-OBS"]).mjd == pytest.approx(header["MJD-OBS"], abs=1e-8)
        assert header["OBJECT"] == "UDF"


def test_each_exposure_has_its_grid(field):
    first, second = (read_cube(cube) for cube in field.cubes)
    assert first.data.shape == (46, 120, 120)
    assert second.data.shape == (46, 110, 97)
    centers = [cube.wcs.celestial.pixel_to_world((nx - 1) / 2, (ny - 1) / 2) for cube, ny, nx in
               ((first, 120, 120), (second, 110, 97))]  # fmt: skip
    east, north = centers[0].spherical_offsets_to(centers[1])
    np.testing.assert_allclose([east.arcsec, north.arcsec], [-0.37, -1.13], atol=1e-6)


def test_mpdaf_reads_the_cube(field, tmp_path):
    from mpdaf.obj import Cube

    field.cubes[1].writeto(tmp_path / "cube.fits")
    cube = Cube(str(tmp_path / "cube.fits"))
    np.testing.assert_allclose(cube.wave.coord(), np.arange(4800.0, 9301.0, 100.0))
    assert cube.wcs.get_rot() == pytest.approx(-5.0, abs=1e-6)
    assert cube.var is not None


def test_cubes_are_reproduced_by_their_seed():
    one, same, other = (
        simulate_cubes(seed, size=10.0, filters=["F775W"], wavelengths=[5000.0, 9000.0]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.cubes[0]["DATA"].data, same.cubes[0]["DATA"].data)
    assert not np.array_equal(one.hst["F775W"].data, other.hst["F775W"].data)
