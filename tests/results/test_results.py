"""Values, tables, summaries, reports and plots."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, vstack
from numpy.testing import assert_allclose

import astropy_imphot
from astropy_imphot import FittedValue, UserError, fit_image_photometry, plot_image_fit
from astropy_imphot.products.tables import check_format, write_table
from astropy_imphot.results.offsets import sky_offsets
from astropy_imphot.simulation import CENTER, simulate_field, sky_grid


@pytest.fixture(scope="module")
def fit(field, template):
    return fit_image_photometry(template, field.muse[0], fix_beta=2.7, name="E1")


def test_values(fit, field):
    assert fit.beta == FittedValue(2.7, 0.0, True, u.dimensionless_unscaled)
    assert fit.fwhm.unit == u.arcsec
    assert fit.bg.unit == field.muse[0].unit
    assert not fit.dx.fixed
    assert fit.free == ("scale", "bg", "dx", "dy", "fwhm", "rotation", "e1", "e2")
    assert fit.covariance.shape == (8, 8)
    assert_allclose(np.sqrt(np.diag(fit.covariance))[2], fit.dx.stdev)
    assert_allclose(fit.rms_error, 0.1, rtol=0.03)
    assert_allclose(fit.rchi, 1, rtol=0.05)
    assert fit.converged
    assert fit.method == "image"


def test_images(fit, field):
    assert_allclose(fit.residual.data, fit.data.data - fit.model.data)
    assert_allclose(fit.data.data, field.muse[0].data)
    assert_allclose(np.std(fit.residual.data), fit.rms_error, rtol=1e-3)
    assert fit.model.wcs.wcs.compare(field.muse[0].wcs.wcs)


def test_table(fit):
    table = vstack([fit.to_table(), fit.to_table()])
    assert isinstance(table, QTable)
    assert table["dx"].unit == u.arcsec
    assert table["dx"][1].value == fit.dx.value
    assert table["fwhm_err"][0].value == fit.fwhm.stdev
    assert table["name"][0] == "E1"
    assert table.meta["VERSION"] == f"astropy_imphot {astropy_imphot.__version__}"


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "csv"])
def test_written_tables(fit, tmp_path, suffix):
    path = tmp_path / f"results.{suffix}"
    write_table([fit, fit], path)
    table = QTable.read(path)
    assert len(table) == 2
    assert_allclose(u.Quantity(table["scale"]).value, fit.scale.value, rtol=1e-6)
    with pytest.raises(UserError, match="exists"):
        write_table([fit], path)
    write_table([fit], path, overwrite=True)
    assert len(QTable.read(path)) == 1
    with pytest.raises(UserError, match="suffix"):
        check_format("results.xyz")


def test_summary(fit):
    lines = fit.summary().split("\n")
    assert len(lines) == 4
    assert all(line.startswith("#") for line in lines[:3])
    names = lines[0].lstrip("# ").split()
    assert names == [
        "name",
        "method",
        "scale",
        "fwhm",
        "beta",
        "bg",
        "dx",
        "dy",
        "dra",
        "ddec",
        "rms",
        "flags",
    ]
    words = fit.summary(header=False).split()
    assert words[:2] == ["E1", "image"]
    for name, word in zip(names[2:-2], words[2:-2], strict=True):
        assert_allclose(float(word), fit.values[name].value, atol=6e-5, rtol=1e-4)
    assert_allclose(float(words[-2]), fit.rms_error, rtol=1e-3)
    assert int(words[-1]) == fit.flags


def test_report(fit):
    report = fit.report()
    for word in (
        "scale",
        "fixed",
        "correlations",
        "reduced chi-squared",
        "pixels",
        "converged",
        "independent",
    ):
        assert word in report
    assert f"{fit.n_pixels} pixels" in report


@pytest.mark.parametrize("rotation", [0.0, 57.0])
def test_sky_offsets_correct_crval(rotation):
    """The offsets subtracted from CRVAL shift the position of every pixel by dx and dy."""
    grid = sky_grid((80, 100), rotation=rotation)
    dx, dy = (FittedValue(value, 0.01, False, u.arcsec) for value in (0.3, -0.5))
    offsets = sky_offsets(dx, dy, np.diag([1e-4, 4e-4]), grid)
    assert all(value.stdev > 0 for value in offsets.values())
    wcs = grid.wcs.deepcopy()
    wcs.wcs.crval -= [offsets["dra"].value / 3600, offsets["ddec"].value / 3600]
    x, y = np.array([5.0, 50.0, 95.0]), np.array([70.0, 40.0, 3.0])
    back = grid.wcs.pixel_to_world(x - 0.3 / 0.2, y + 0.5 / 0.2)
    assert np.all(wcs.pixel_to_world(x, y).separation(back).arcsec < 1e-3)
    # The difference in right ascension is larger by 1/cos(dec) than the distance on the sky.
    if rotation == 0:
        assert_allclose(offsets["dra"].value, -0.3 / np.cos(CENTER.dec.rad), rtol=1e-4)
        assert_allclose(offsets["dra"].stdev, 0.01 / np.cos(CENTER.dec.rad), rtol=1e-4)
        assert_allclose(offsets["ddec"].stdev, 0.02, rtol=1e-4)


def test_sky_offsets_across_zero_hours():
    from astropy.coordinates import SkyCoord

    grid = sky_grid((80, 100), center=SkyCoord(0.0, 10.0, unit="deg"))
    dx, dy = (FittedValue(value, 0.01, False, u.arcsec) for value in (0.3, 0.0))
    offsets = sky_offsets(dx, dy, np.eye(2), grid)
    assert_allclose(offsets["dra"].value, -0.3 / np.cos(np.radians(10)), rtol=1e-3)


def test_plot(fit, tmp_path):
    figure = plot_image_fit(fit, title="a title")
    assert figure.get_suptitle() == "a title"
    panels = {axes.get_title() for axes in figure.axes}
    assert {"MUSE", "model", "MUSE - model", "mean power spectra"} <= panels
    shown = {
        axes.get_title(): axes.images[0] for axes in figure.axes if axes.get_title() in ("MUSE", "model")
    }
    assert shown["MUSE"].get_clim() == shown["model"].get_clim()
    figure.savefig(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 20_000


def test_the_key_of_the_arrows_is_within_a_small_panel():
    from matplotlib.quiver import QuiverKey

    field = simulate_field(1, size=8.0, n_objects=3, n_stars=0, magnitudes=(21.0, 22.0))
    figure = plot_image_fit(fit_image_photometry(field.hst, field.muse[0]))
    figure.canvas.draw()
    (panel,) = (axes for axes in figure.axes if axes.get_title() == "MUSE - model")
    (key,) = (child for child in panel.get_children() if isinstance(child, QuiverKey))
    low, high = panel.get_xlim()
    assert 0.5 < key.X + key.U / (high - low) < 1


def test_masked_objects_are_outlined(fit):
    from matplotlib.contour import ContourSet

    objects = fit.objects.copy()
    objects["left_out"][0] = True
    figure = plot_image_fit(replace(fit, objects=objects))
    (panel,) = (axes for axes in figure.axes if axes.get_title() == "MUSE")
    assert any(isinstance(child, ContourSet) for child in panel.get_children())
    assert not fit.objects["left_out"].any()


def test_star_plot(tmp_path):
    from astropy_imphot import fit_star_photometry, plot_star_fit

    field = simulate_field(1, size=12.0, central_star=20.0)
    fit = fit_star_photometry(field.hst, field.muse[0], (CENTER.ra.deg, CENTER.dec.deg, 2.0), name="E1")
    figure = plot_star_fit(fit)
    assert figure.get_suptitle() == "E1"
    titles = [axes.get_title() for axes in figure.axes]
    assert {"MUSE star", "HST star", "MUSE - Moffat", "HST - Moffat"} <= set(titles)
    # The curve of the model is close to the pixels.
    pixels, curve = figure.axes[0].lines[:2]
    expected = np.interp(pixels.get_xdata(), curve.get_xdata(), curve.get_ydata())
    assert np.std(pixels.get_ydata() - expected) < 0.13
