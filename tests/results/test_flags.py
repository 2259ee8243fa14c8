"""Every flag is raised by its cause, and only by that."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.modeling.fitting import TRFLSQFitter
from astropy.nddata import CCDData

from astropy_imphot import ImphotWarning, fit_image_photometry, fit_star_photometry, make_template
from astropy_imphot.fitting.objects import misfitting_objects, object_pixels
from astropy_imphot.fitting.plausible import implausible
from astropy_imphot.results.flags import ExposureFlags, FitFlags, flag_names
from astropy_imphot.simulation import CENTER, Star, Truth, simulate_field, with_noise

GOOD = Truth(dx=0.31, dy=-0.1, scale=0.95, bg=1.0)
WRONG = {
    "rotation": replace(GOOD, rotation=0.5),
    "e1": replace(GOOD, e1=0.1),
    "bg_x": replace(GOOD, bg_x=0.01),
}


@pytest.fixture(scope="module")
def deep():
    """A good exposure, and others with a rotation, an elliptical PSF or a background gradient."""
    return simulate_field(51, size=30.0, truth=[GOOD, *WRONG.values()])


@pytest.fixture(scope="module")
def template(deep):
    return make_template(deep.hst, deep.muse[0])


@pytest.fixture(scope="module")
def good(deep, template):
    return fit_image_photometry(template, deep.muse[0], name="E1")


def check_written(fit):
    """Assert that the table, the summary and the report contain the flags."""
    assert fit.to_table()["flags"][0] == int(fit.flags)
    assert int(fit.summary(header=False).split()[-1]) == int(fit.flags)
    report = fit.report()
    for flag in FitFlags:
        assert (flag.meaning in report) == (flag in fit.flags)
        assert (f"flag {flag.value}, {flag.name}" in report) == (flag in fit.flags)


@pytest.mark.parametrize("kind", [FitFlags, ExposureFlags])
def test_each_has_a_bit_and_a_meaning(kind):
    assert [flag.value for flag in kind] == [2**bit for bit in range(len(kind))]
    assert len({flag.meaning for flag in kind}) == len(kind)
    assert all(len(flag.meaning) > 10 for flag in kind)
    assert flag_names(0, kind) == []
    assert flag_names(sum(kind), kind) == [flag.name for flag in kind]
    assert isinstance(kind(3), kind)


def test_good_fit(good):
    assert good.flags == 0
    assert isinstance(good.flags, FitFlags)
    check_written(good)
    assert good.summary().splitlines()[0].split()[-1] == "flags"


def test_at_bound(deep, template):
    fit = fit_image_photometry(template, deep.muse[0], min_scale=1.1)
    assert FitFlags.AT_BOUND in fit.flags
    assert abs(fit.scale.value - 1.1) < 0.002
    check_written(fit)
    assert FitFlags.AT_BOUND not in fit_image_photometry(template, deep.muse[0], min_scale=0.5).flags


def test_three_faint_galaxies():
    field = simulate_field(55, size=16.0, truth=[GOOD], n_objects=3, n_stars=0, magnitudes=(24.0, 25.0))
    fit = fit_image_photometry(field.hst, field.muse[0])
    assert FitFlags.DEGENERATE | FitFlags.FEW_SOURCES in fit.flags
    check_written(fit)
    fixed = fit_image_photometry(field.hst, field.muse[0], fix_beta=2.5)
    assert FitFlags.DEGENERATE not in fixed.flags


def test_few_pixels(deep, template, good):
    row, column = np.unravel_index(deep.muse[0].data.argmax(), deep.muse[0].shape)
    for size, few in ((15, True), (25, False)):
        region = ["image", f"box({column + 1}, {row + 1}, {size}, {size}, 0)"]
        fit = fit_image_photometry(template, deep.muse[0], regions=region, init_dx=0.3, init_dy=-0.1)
        assert (FitFlags.FEW_PIXELS in fit.flags) == few
        assert (fit.n_pixels < 400) == few


@pytest.mark.parametrize(("index", "key"), list(enumerate(WRONG, start=1)))
def test_what_images_can_have_is_fitted(deep, template, index, key):
    fit = fit_image_photometry(template, deep.muse[index])
    assert fit.flags == 0
    if key == "bg_x":
        # A slope is part of the modes of the background.
        assert len(fit.background_modes) > 0
        return
    off = fit.values[key].value - getattr(deep.truth[index], key)
    assert abs(off) < 4 * fit.values[key].stdev


def test_objects_with_residuals(deep, template):
    """A round PSF that is not a Moffat function changes only the residuals on the objects."""
    muse = deep.muse[0].copy()
    light = muse.data - np.median(muse.data)
    ring = [np.roll(light, shift, axis=axis) for axis in (0, 1) for shift in (-6, 6)]
    muse.data = muse.data + 0.2 * np.sum(ring, axis=0)
    options = {"keep_changed": True, "background": "constant"}
    fit = fit_image_photometry(template, muse, init_dx=0.3, init_dy=-0.1, **options)
    assert FitFlags.RESIDUALS in fit.flags


def test_template_noise(deep):
    noisy = with_noise(deep, 1, noise=0, hst_noise=0.006)
    noisy.muse[0].uncertainty = None
    fit = fit_image_photometry(noisy.hst, noisy.muse[0])
    assert FitFlags.TEMPLATE_NOISE in fit.flags
    check_written(fit)


@pytest.fixture(scope="module")
def stars():
    """A field with two stars, whose HST PSF is neither the default one nor that of WIDE."""
    where = [Star(21.0, x=4.0, y=-5.0), Star(21.5, x=-6.0, y=-6.0)]
    scene = {"size": 20.0, "n_objects": 30, "n_stars": 0, "magnitudes": (22.0, 25.5), "hst_pixel": 0.05}
    return simulate_field(2, stars=where, hst_psf=(0.12, 3.0), hst_margin=4.0, **scene)


@pytest.mark.parametrize(
    ("fwhm", "beta", "raised"),
    [(0.12, 3.0, False), (0.085, 1.6, True), (0.2, 3.0, True), (0.3, 3.0, True)],
    ids=["right", "default", "wide", "stars are artefacts"],
)
def test_hst_psf(stars, fwhm, beta, raised):
    fit = fit_image_photometry(stars.hst, stars.muse[0], hst_fwhm=fwhm, hst_beta=beta)
    assert (FitFlags.HST_PSF in fit.flags) == raised
    if not raised:
        check_written(fit)
        assert abs(fit.scale.value - 1) < 4 * fit.scale.stdev


def test_not_converged(deep, template):
    class GivesUp(TRFLSQFitter):
        def __call__(self, *args, **kwargs):
            fitted = super().__call__(*args, **kwargs)
            self.fit_info["success"] = False
            return fitted

    fit = fit_image_photometry(template, deep.muse[0], fitter=GivesUp())
    assert fit.flags == FitFlags.NOT_CONVERGED
    assert not fit.converged
    check_written(fit)


def test_beyond_margin(deep):
    narrow = make_template(deep.hst, deep.muse[0], margin=0.0)
    muse = deep.muse[0]
    moved = CCDData(
        np.roll(muse.data, 12, axis=1), uncertainty=muse.uncertainty, unit=muse.unit, wcs=muse.wcs
    )
    fit = fit_image_photometry(narrow, moved)
    assert abs(fit.dx.value - GOOD.dx - 2.4) < 0.02
    assert FitFlags.BEYOND_MARGIN in fit.flags
    check_written(fit)


def test_many_changed():
    labels = np.zeros((40, 40), int)
    labels[5:15, 5:15], labels[25:35, 25:35] = 1, 2
    excess, valid = np.array([1.0, 5.0, 6.0]), labels >= 0
    assert misfitting_objects(labels, excess, valid) == [2, 1]
    # With half of the pixels, one of them is within the limit.
    few = object_pixels(labels, 1) | object_pixels(labels, 2) | (np.indices(labels.shape)[0] < 5)
    assert len(misfitting_objects(labels, excess, few)) < 2


def test_a_large_new_object_is_masked():
    """Light that only MUSE has, and that is no point source."""
    field = simulate_field(53, size=20.0, n_stars=0)
    muse = field.muse[0].copy()
    y, x = np.indices(muse.shape)
    muse.data = muse.data + 20 * np.exp(-((x - 30) ** 2 + (y - 60) ** 2) / 40)
    fit = fit_image_photometry(field.hst, muse)
    assert fit.objects["left_out"].any()
    assert FitFlags.MANY_CHANGED not in fit.flags
    kept = fit_image_photometry(field.hst, muse, keep_changed=True)
    assert not kept.objects["left_out"].any()
    assert FitFlags.MANY_CHANGED in kept.flags
    check_written(kept)


def test_stars_have_flags_too():
    field = simulate_field(54, size=12.0, central_star=20.0)
    star = CENTER.ra.deg, CENTER.dec.deg, 2.5
    fit = fit_star_photometry(field.hst, field.muse[0], star)
    assert fit.flags == 0
    check_written(fit)
    noisy = with_noise(field, 1, noise=100.0)
    fit = fit_star_photometry(noisy.hst, noisy.muse[0], star)
    assert FitFlags.FEW_SOURCES in fit.flags
    check_written(fit)


@pytest.mark.parametrize("factor", [0.3, 2.5, 800.0])
def test_a_scale_far_from_1(deep, template, factor):
    muse = CCDData(deep.muse[0].data * factor, unit=deep.muse[0].unit, wcs=deep.muse[0].wcs)
    fit = fit_image_photometry(template, muse, fix_beta=2.5)
    assert abs(fit.scale.value / (0.95 * factor) - 1) < 0.05
    assert FitFlags.SCALE in fit.flags
    check_written(fit)


def test_a_negative_scale(deep, template):
    muse = CCDData(-deep.muse[0].data, unit=deep.muse[0].unit, wcs=deep.muse[0].wcs)
    assert (
        FitFlags.SCALE in fit_image_photometry(template, muse, fix_dx=0.31, fix_dy=-0.1, fix_beta=2.5).flags
    )


SAME = [
    ({}, {"FILTER": "F606W"}),
    ({"FILTER": "F606W"}, {"FILTER": "F606W"}),
    ({"FILTER": "ACS_f606w"}, {"FILTER1": "F606W", "FILTER2": "CLEAR2L"}),
    ({"FILTER": "V", "FILTPIV": 5950.0}, {"FILTER": "F606W", "INSTRUME": "ACS"}),
    # The red end of F850LP is outside of the cube.
    ({"FILTER": "F850LP", "FILTPIV": 8752.0}, {"FILTER": "F850LP", "INSTRUME": "ACS"}),
    ({"FILTPIV": 7250.0}, {"FILTER": "VIS", "INSTRUME": "VIS", "TELESCOP": "EUCLID"}),
    ({"FILTER": "F606W"}, {}),
]
DIFFERENT = [
    ({"FILTER": "F775W"}, {"FILTER": "F814W"}),
    ({"ESO DRS MUSE FILTER NAME": "white"}, {"FILTER": "F814W", "INSTRUME": "ACS"}),
    ({"FILTER": "F775W", "FILTPIV": 7690.0}, {"FILTER": "F814W", "INSTRUME": "ACS"}),
    # The name is right, and the wavelengths are not: nanometers, or the file of another filter.
    ({"FILTER": "F814W", "FILTPIV": 7690.0}, {"FILTER": "F814W", "INSTRUME": "ACS"}),
    ({"FILTPIV": 7000.0}, {"PHOTPLAM": 8057.0}),
    # White light has the wavelength of a filter that is much narrower.
    ({"FILTER": "white", "FILTPIV": 7050.0}, {"FILTER": "F702W", "PHOTPLAM": 6900.0}),
]


@pytest.mark.parametrize(("muse", "reference"), SAME)
def test_filters_that_are_the_same(muse, reference):
    assert implausible(1.0, muse, reference) == 0


@pytest.mark.parametrize(("muse", "reference"), DIFFERENT)
def test_filters_that_differ(muse, reference):
    with pytest.warns(ImphotWarning, match="the filter of the MUSE image is .*, and that of the HST image"):
        assert implausible(1.0, muse, reference) == FitFlags.BANDPASS


def fit_star(hst, muse):
    return fit_star_photometry(hst, muse, (CENTER.ra.deg, CENTER.dec.deg, 2.0))


@pytest.mark.parametrize("fit", [fit_image_photometry, fit_star])
def test_another_filter_is_flagged(fit):
    field = simulate_field(seed=1, size=12.0, central_star=20.0)
    field.muse[0].meta["FILTER"] = "F606W"
    with pytest.warns(ImphotWarning, match="is F606W, and that of the HST image F775W"):
        flags = fit(field.hst, field.muse[0]).flags
    assert FitFlags.BANDPASS in flags
