"""The offset at the start of a fit: many arcsec, accurate to a pixel."""

from dataclasses import replace

import numpy as np
import pytest

from astropy_imphot import UserError, fit_image_photometry, make_template
from astropy_imphot.fitting.start import SEARCH_RADIUS, coarser_image, coarser_template, find_offset
from astropy_imphot.reference.regrid import coarse_template
from astropy_imphot.results.flags import FitFlags
from astropy_imphot.simulation import Truth, simulate_field

OFFSETS = [(7.0, -8.0), (-9.3, 0.0), (0.13, 9.9), (-10.0, -10.0)]
# Half a block of the search, arcsec.
PIXEL = 0.2


@pytest.fixture(scope="module")
def far():
    truths = [Truth(dx=dx, dy=dy, bg=3.0, scale=0.9) for dx, dy in OFFSETS]
    return simulate_field(13, size=20.0, truth=truths, n_stars=25, noise=0.4, hst_margin=15.0)


@pytest.fixture(scope="module", params=[15, 5], ids=["all covered", "partly covered"])
def hst(request, far):
    """HST images with this margin around the MUSE image, arcsec."""
    rim = round((15 - request.param) / 0.03)
    ny, nx = far.hst.shape
    return far.hst[rim : ny - rim, rim : nx - rim]


@pytest.fixture(scope="module")
def sky(hst, far):
    small, _ = coarser_image(far.muse[0], np.zeros(far.muse[0].shape, bool))
    return coarse_template(hst, small, margin=SEARCH_RADIUS)


def holes(shape, fraction=0.3):
    blocks = (
        np.random.default_rng(1).permutation(shape[0] * shape[1] // 100)
        < fraction * shape[0] * shape[1] / 100
    )
    return np.kron(blocks.reshape(shape[0] // 10, shape[1] // 10), np.ones((10, 10))) > 0


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("index", range(len(OFFSETS)))
def test_found_to_a_pixel(far, sky, index, masked):
    muse = far.muse[index]
    mask = holes(muse.shape) & masked
    # Masked pixels have no influence.
    muse = replace_data(muse, np.where(mask, 1e4, muse.data))
    found, clear = find_offset(sky, *coarser_image(muse, mask))
    assert clear
    assert np.abs(np.subtract(found, OFFSETS[index])).max() < PIXEL, found


def replace_data(image, data):
    changed = image.copy()
    changed.data = data
    return changed


@pytest.mark.parametrize("axis", [0, 1])
def test_given_offsets_are_kept(far, sky, axis):
    nothing = np.zeros(far.muse[0].shape, bool)
    for offset, right in ((OFFSETS[0][axis] + 0.03, True), (0.0, False)):
        known = [None, None]
        known[axis] = offset
        found, _ = find_offset(sky, *coarser_image(far.muse[0], nothing), tuple(known))
        assert found[axis] == offset
        other = 1 - axis
        assert (abs(found[other] - OFFSETS[0][other]) < PIXEL) == right


def test_nothing_in_common(far, sky):
    muse = far.muse[0]
    nothing = np.zeros(muse.shape, bool)
    flat = replace(sky, data=np.ones_like(sky.data))
    image, mask = coarser_image(muse, nothing)
    assert find_offset(flat, image, mask) == ((0, 0), False)
    assert find_offset(flat, image, mask, (2.0, None)) == ((2, 0), False)
    assert find_offset(sky, replace_data(image, np.zeros(image.shape)), mask) == ((0, 0), False)


def test_image_of_one_row(far):
    with pytest.raises(UserError, match="100 x 1 pixels"):
        fit_image_photometry(far.hst, far.muse[0][50:51])


@pytest.mark.parametrize("margin", [3.0, 3.2])
def test_blocks_of_a_template(far, margin):
    template = make_template(far.hst, far.muse[2], margin=margin)
    # For even and for odd margins, in pixels.
    template = replace(
        template,
        data=np.roll(template.data, (2, 2), (0, 1)),
        margin=tuple(one + 1 for one in template.margin),
    )
    image, mask = coarser_image(far.muse[2], np.zeros(far.muse[2].shape, bool))
    found, _ = find_offset(coarser_template(template, image), image, mask)
    assert np.abs(np.subtract(found, OFFSETS[2])).max() < PIXEL, found


def test_fit_finds_its_start(far, hst):
    fit = fit_image_photometry(hst, far.muse[0])
    for key, truth in zip(("dx", "dy"), OFFSETS[0], strict=True):
        value = fit.values[key]
        assert abs(value.value - truth) < 4 * value.stdev
        assert value.stdev < 0.03
    assert FitFlags.BEYOND_MARGIN not in fit.flags


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"init_dx": 7.1, "init_dy": -7.9}, None),
        ({"fix_dx": 7.0, "init_dy": -7.9}, None),
        ({"init_dx": 7.1}, (7.1, None)),
        ({"fix_dy": -8.0}, (None, -8.0)),
        ({}, (None, None)),
    ],
)
def test_no_search_along_axes_that_are_given(far, monkeypatch, options, known):
    searches = []

    def search(template, image, mask, known):
        searches.append(known)
        return find_offset(template, image, mask, known)

    monkeypatch.setattr("astropy_imphot.fitting.image.find_offset", search)
    fit = fit_image_photometry(far.hst, far.muse[0], fix_beta=2.5, **options)
    assert searches == ([] if known is None else [known])
    for key, truth in zip(("dx", "dy"), OFFSETS[0], strict=True):
        assert abs(fit.values[key].value - truth) < 0.03


def test_offset_beyond_the_margin_of_a_template(far):
    template = make_template(far.hst, far.muse[0], margin=3.0)
    fit = fit_image_photometry(template, far.muse[0])
    for key, truth in zip(("dx", "dy"), OFFSETS[0], strict=True):
        assert abs(fit.values[key].value - truth) < 4 * fit.values[key].stdev
    assert FitFlags.BEYOND_MARGIN in fit.flags
    assert fit.n_pixels < 0.7 * far.muse[0].data.size


def moved_header(muse, shift):
    """An exposure whose header is off by so many arcsec along x."""
    muse = muse.copy()
    muse.wcs = muse.wcs.deepcopy()
    muse.wcs.wcs.crpix[0] -= shift / 0.2
    return muse


@pytest.mark.parametrize(("shift", "clear"), [(0.0, True), (3.0, True), (-20.0, False), (25.0, False)])
def test_an_exposure_that_is_farther_off_than_the_search(far, shift, clear):
    muse = moved_header(far.muse[2], shift)
    small, mask = coarser_image(muse, np.zeros(muse.shape, bool))
    found, is_clear = find_offset(coarse_template(far.hst, small, margin=SEARCH_RADIUS), small, mask)
    assert is_clear == clear
    if clear:
        assert np.abs(np.subtract(found, OFFSETS[2]) - (shift, 0)).max() < PIXEL


def test_the_flag_has_the_range_of_the_search(far):
    few = dict.fromkeys(("fix_beta", "fix_fwhm"), 2.0) | {"background": "constant", "keep_changed": True}
    fit = fit_image_photometry(far.hst, moved_header(far.muse[2], -20.0), **few)
    assert FitFlags.NO_MATCH in fit.flags
    assert f"within {SEARCH_RADIUS:.0f} arcsec along each axis" in FitFlags.NO_MATCH.meaning
