"""Point sources: GalSim's stars, counted photons, differences, units, copies and fits."""

import copy
import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling.fitting import TRFLSQFitter
from astropy.modeling.models import Const2D
from numpy.testing import assert_allclose

from astropy_imphot import PointSource2D, UserError
from astropy_imphot.models.point_source import PointSources, SourceStamps, point_source_model, psf_terms
from astropy_imphot.parameters import ParameterInfo
from astropy_imphot.psf.moffat import MOFFAT
from astropy_imphot.psf.shape import PsfShape, central_difference
from astropy_imphot.simulation import sky_grid


class GaussianStar(PsfShape):
    """A Gaussian, whose derivatives are by differences."""

    name = "GaussianStar"
    parameters = (ParameterInfo(name="fwhm", words="FWHM", kind="psf", unit="arcsec", default=0.7),)

    def profile(self, radius, fwhm):
        """As `PsfShape.profile`."""
        variance = fwhm**2 / (8 * np.log(2))
        return np.exp(-(radius**2) / (2 * variance)) / (2 * np.pi * variance)


GAUSSIAN = GaussianStar()

# Each shape with its parameters.
SHAPES = [
    (MOFFAT, {"fwhm": 0.5, "beta": 1.3}),
    (MOFFAT, {"fwhm": 0.7, "beta": 2.5}),
    (MOFFAT, {"fwhm": 0.9, "beta": 30.0}),
    (GAUSSIAN, {"fwhm": 0.8}),
]
ROUND, ELONGATED = {"e1": 0.0, "e2": 0.0}, {"e1": 0.12, "e2": -0.2}

Y, X = np.mgrid[:31, :37].astype(float)


@pytest.mark.parametrize("ellipticity", [ROUND, ELONGATED])
@pytest.mark.parametrize(("psf", "values"), SHAPES)
def test_derivatives_of_the_model(psf, values, ellipticity):
    # One of the pixels has the star in its center.
    star = point_source_model(psf)(
        flux=70.0, x_0=18.0, y_0=14.0, pixel_scale=(0.2, 0.25), **values, **ellipticity
    )
    analytic = dict(zip(star.param_names, star.fit_deriv(X, Y, *star.parameters), strict=True))
    for place, key in enumerate(star.param_names):

        def light(value, place=place):
            parameters = star.parameters.copy()
            parameters[place] = value
            return star.evaluate(X, Y, *parameters)

        numerical = central_difference(light, star.parameters[place], 1e-3)
        assert np.abs(numerical).max() > 1e-3, key
        assert_allclose(analytic[key], numerical, rtol=0, atol=1e-5 * np.abs(numerical).max(), err_msg=key)


@pytest.mark.parametrize(("psf", "values"), SHAPES)
def test_terms_are_those_that_are_asked_for(psf, values):
    right, up = 0.2 * (X - 18), 0.2 * (Y - 14)
    together = psf_terms(psf, right, up, values, keys=("e2", None, "dx", "fwhm"))
    assert list(together) == ["e2", None, "dx", "fwhm"]
    for key, term in together.items():
        assert_allclose(psf_terms(psf, right, up, values, keys=(key,))[key], term, rtol=1e-12)
    assert list(psf_terms(psf, right, up, values)) == [None]


@pytest.mark.parametrize("ellipticity", [ROUND, ELONGATED])
@pytest.mark.parametrize(("psf", "values"), SHAPES[:2] + SHAPES[3:])
def test_light_is_galsims(psf, values, ellipticity):
    import galsim

    kind = {"Moffat": galsim.Moffat, "GaussianStar": galsim.Gaussian}[psf.name]
    profile = kind(flux=250.0, **values).shear(**ellipticity)
    wcs = galsim.JacobianWCS(0.25, 0.0, 0.0, 0.2)
    image = galsim.ImageD(37, 31, xmin=0, ymin=0)
    profile.drawImage(image, wcs=wcs, center=galsim.PositionD(17.3, 14.8), method="no_pixel")
    star = point_source_model(psf)(
        flux=250.0, x_0=17.3, y_0=14.8, pixel_scale=(0.2, 0.25), **values, **ellipticity
    )
    assert_allclose(star(X, Y), image.array, rtol=0, atol=1e-5 * image.array.max())


def test_light_is_that_of_counted_photons():
    fwhm, beta, e1, e2, count = 0.7, 2.5, 0.2, 0.1, 400_000
    rng = np.random.default_rng(11)
    # The flux within r of a Moffat function is 1 - (1 + r^2/a^2)^(1 - beta).
    size = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    radius = size * np.sqrt(rng.uniform(size=count) ** (1 / (1 - beta)) - 1)
    angle = rng.uniform(0, 2 * np.pi, count)
    round_ = np.array([radius * np.cos(angle), radius * np.sin(angle)])
    # The axes a and b of an ellipse of the same area: (a^2 - b^2)/(a^2 + b^2) = e, along half its angle.
    e, turned = np.hypot(e1, e2), 0.5 * np.arctan2(e2, e1)
    stretch = ((1 + e) / (1 - e)) ** 0.25
    to_axes = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    x, y = to_axes.T @ np.diag([stretch, 1 / stretch]) @ to_axes @ round_
    edges = np.arange(-2.4, 2.5, 0.4)
    counts, _, _ = np.histogram2d(y, x, bins=(edges, edges))
    fine = PointSource2D(flux=count, fwhm=fwhm, beta=beta, e1=e1, e2=e2, pixel_scale=0.02)
    places = (np.arange(240) - 119.5).reshape(1, -1)
    expected = fine(places, places.T).reshape(12, 20, 12, 20).sum(axis=(1, 3))
    chi2 = np.sum((counts - expected) ** 2 / expected)
    # The mean and five standard deviations of a chi-square of 144 degrees of freedom.
    assert chi2 < 144 + 5 * np.sqrt(288)


@pytest.mark.parametrize("scale", [0.2, (0.2, 0.2), 200 * u.mas, [0.2, 0.2] * u.arcsec])
def test_pixel_scales(scale):
    star = PointSource2D(flux=100.0, x_0=18.2, y_0=14.6, fwhm=0.7, beta=4.0, pixel_scale=scale)
    assert star.pixel_scale == (0.2, 0.2)
    # With a scale for each axis, the width is measured along each in arcsec.
    wide = PointSource2D(flux=100.0, fwhm=0.8, pixel_scale=(0.1, 0.4))
    assert_allclose(wide(1.0, 0.0), 0.5 * wide(0.0, 0.0))
    assert_allclose(wide(0.0, 4.0), 0.5 * wide(0.0, 0.0))


def test_a_scale_in_another_unit():
    with pytest.raises(UserError, match="pixel_scale"):
        PointSource2D(pixel_scale=0.2 * u.s)


def test_values_with_units():
    plain = PointSource2D(flux=100.0, x_0=18.0, y_0=14.0, fwhm=0.65, beta=2.8, e1=0.1)
    with_units = PointSource2D(
        flux=100 * u.ct, x_0=18 * u.pix, y_0=14 * u.pix, fwhm=650 * u.mas, beta=2.8, e1=0.1
    )
    light = with_units(X * u.pix, Y * u.pix)
    assert light.unit == u.ct
    assert_allclose(light.value, plain(X, Y), rtol=1e-12)
    with pytest.raises(UserError, match="fwhm"):
        PointSource2D(fwhm=0.7 * u.s)(1.0, 2.0)


def test_fit_with_units():
    truth = PointSource2D(flux=100.0, x_0=18.3, y_0=14.1, fwhm=0.6, beta=3.0)
    start = PointSource2D(flux=60 * u.ct, x_0=18 * u.pix, y_0=14 * u.pix, fwhm=800 * u.mas, beta=2.5)
    fitted = TRFLSQFitter()(start, X * u.pix, Y * u.pix, truth(X, Y) * u.ct)
    assert_allclose(fitted.fwhm.quantity.to_value(u.arcsec), 0.6, atol=1e-4)
    assert_allclose(fitted.x_0.quantity.to_value(u.pix), 18.3, atol=1e-4)
    assert_allclose(fitted.flux.quantity.to_value(u.ct), 100, rtol=1e-4)


@pytest.mark.parametrize(("psf", "values"), SHAPES[1:2] + SHAPES[3:])
def test_fit_of_values_and_errors(psf, values):
    kind = point_source_model(psf)
    truth = kind(flux=100.0, x_0=18.3, y_0=14.1, **values, **ELONGATED)
    rng, pulls = np.random.default_rng(21), []
    for _ in range(30):
        start = kind(flux=70.0, x_0=18.0, y_0=14.5)
        for key in ("e1", "e2"):
            start.fixed[key] = False
        image = truth(X, Y) + rng.normal(0, 0.1, X.shape)
        fitter = TRFLSQFitter(calc_uncertainties=True)
        fitted = fitter(start, X, Y, image, weights=np.full(X.shape, 10.0))
        pulls.append((fitted.parameters - truth.parameters) / fitted.stds.stds)
    pulls = np.array(pulls)
    # Four standard deviations of the mean and of the standard deviation of 30 values.
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(30)
    assert np.abs(pulls.std(axis=0) - 1).max() < 4 / np.sqrt(60)


def test_ellipticity_is_held_by_default():
    start = PointSource2D(flux=70.0, x_0=18.0, y_0=14.0)
    fitted = TRFLSQFitter()(start, X, Y, PointSource2D(flux=90.0, x_0=18.2, y_0=14.0, e1=0.1)(X, Y))
    assert fitted.e1.value == fitted.e2.value == 0
    assert fitted.beta.value != 2.5


def test_a_pair_of_stars_on_a_background():
    def pair(first, second, level):
        return (
            PointSource2D(flux=first, x_0=15.2, y_0=14.0, fwhm=0.7, beta=2.5)
            + PointSource2D(flux=second, x_0=20.4, y_0=16.3, fwhm=0.7, beta=2.5)
            + Const2D(level)
        )

    fitted = TRFLSQFitter()(pair(50.0, 50.0, 0.0), X, Y, pair(100.0, 30.0, 2.0)(X, Y))
    assert_allclose(
        [fitted.flux_0.value, fitted.flux_1.value, fitted.amplitude_2.value], [100, 30, 2], rtol=1e-4
    )


@pytest.mark.parametrize(("psf", "values"), SHAPES[1:2] + SHAPES[3:])
def test_copies(psf, values):
    star = point_source_model(psf)(flux=70.0, x_0=18.2, pixel_scale=(0.2, 0.3), **values)
    star.fwhm.bounds = (0.3, 2.0)
    star.x_0.fixed = True
    for twin in (star.copy(), copy.deepcopy(star), pickle.loads(pickle.dumps(star))):
        assert type(twin) is type(star)
        assert twin.pixel_scale == (0.2, 0.3)
        assert twin.bounds["fwhm"] == (0.3, 2.0)
        assert twin.fixed["x_0"]
        assert_allclose(twin(X, Y), star(X, Y), rtol=1e-14)
        twin.flux = 1.0
        assert star.flux == 70


def test_classes_for_shapes():
    assert point_source_model(MOFFAT) is PointSource2D
    kind = point_source_model(GAUSSIAN)
    assert kind is point_source_model(GaussianStar())
    assert kind.param_names == ("flux", "x_0", "y_0", "fwhm", "e1", "e2")


GRID = sky_grid((40, 50))
PLACES = np.array([[10.3, 8.0], [30.0, 20.2], [47.5, 33.4]])
VALUES = {"scale": 0.9, "dx": 0.13, "dy": -0.27, "rotation": 0.8, "fwhm": 0.7, "beta": 2.5} | ELONGATED
OWN = np.array([[1.0, 0.0, 0.0], [0.7, 0.1, -0.05], [1.2, -0.04, 0.3]])
ROWS, COLUMNS = np.mgrid[:40, :50].astype(float)


def sources(reach):
    return PointSources(
        x=PLACES[:, 0],
        y=PLACES[:, 1],
        flux=np.array([100.0, 60.0, 20.0]),
        flux_err=np.array([1.0, 0.6, 0.2]),
        saturated=np.array([True, False, False]),
        reach=np.full(3, reach),
    )


def stamps(reach=30.0):
    return SourceStamps(sources(reach), GRID, MOFFAT, COLUMNS, ROWS)


def stars(values, own):
    """Return the same stars by the model of a star, turned about the center of the image."""
    center = np.array([24.5, 19.5])
    angle = np.radians(values["rotation"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    total = 0
    for place, flux, (ratio, *motion) in zip(PLACES, sources(1.0).flux, own, strict=True):
        shift = (np.array([values["dx"], values["dy"]]) + motion) / 0.2
        x, y = turn @ (place - center) + center + shift
        shape = {key: values[key] for key in ("fwhm", "beta", "e1", "e2")}
        total = total + PointSource2D(flux=values["scale"] * ratio * flux, x_0=x, y_0=y, **shape)(
            COLUMNS, ROWS
        )
    return total


def test_stamps_are_stars_of_the_model():
    light = stamps().total(VALUES, OWN, (None,))[None]
    assert_allclose(light.reshape(40, 50), stars(VALUES, OWN), rtol=1e-6)


def test_derivatives_of_the_field():
    keys = tuple(VALUES)
    found = stamps().total(VALUES, OWN, keys)
    for key in keys:
        numerical = central_difference(
            lambda one, key=key: stars(VALUES | {key: one}, OWN), VALUES[key], 1e-3
        )
        difference = found[key].reshape(40, 50) - numerical
        assert np.abs(difference).max() < 1e-6 * np.abs(numerical).max(), key


def test_derivatives_of_single_sources():
    keys = ("ratio", "motion_x", "motion_y")
    for number, (index, columns) in enumerate(stamps().columns(VALUES, OWN, keys)):
        for place, key in enumerate(keys):

            def light(value, number=number, place=place):
                own = OWN.copy()
                own[number, place] = value
                return stars(VALUES, own).ravel()

            numerical = central_difference(light, OWN[number, place], 1e-3)
            assert np.abs(columns[key] - numerical[index]).max() < 1e-6 * np.abs(numerical).max(), key


def test_reach_of_sources():
    light = stamps(reach=2.0).total(VALUES, OWN, (None,))[None].reshape(40, 50)
    whole = stars(VALUES, OWN)
    far = np.min([0.2 * np.hypot(COLUMNS - x, ROWS - y) for x, y in PLACES], axis=0)
    # They are displaced by up to half an arcsec here.
    assert np.all(light[far > 2.7] == 0)
    assert np.all(light[far < 1.3] > 0)
    assert 0.85 < light.sum() / whole.sum() < 1


def test_stamps_follow_their_sources():
    kept = stamps(reach=2.0)
    kept.total(VALUES, OWN, (None,))
    for dx in (0.25, 1.0, -3.0):
        moved = VALUES | {"dx": dx}
        again, anew = (one.total(moved, OWN, (None,))[None] for one in (kept, stamps(reach=2.0)))
        assert_allclose(again, anew, rtol=1e-12)


def test_sources_are_joined_scaled_and_chosen():
    three = sources(5.0)
    assert len(PointSources.none()) == 0
    assert len(PointSources.none().joined(three)) == 3
    assert PointSources.none().saturated.dtype == bool
    both = three.joined(three.times(2.0))
    assert both.flux.tolist() == [100, 60, 20, 200, 120, 40]
    assert both.flux_err.tolist() == [1, 0.6, 0.2, 2, 1.2, 0.4]
    assert both.x.tolist() == 2 * PLACES[:, 0].tolist()
    few = both.chosen(both.flux < 50)
    assert few.flux.tolist() == [20, 40]
    assert few.reach.tolist() == [5, 5]
    assert "3" in repr(three)
