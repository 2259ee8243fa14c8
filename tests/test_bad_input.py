"""What users get wrong is told in one sentence, which names the file and tells a cure."""

import re
import shutil

import numpy as np
import pytest
from astropy.io import fits

from astropy_imphot import UserError, fit_image_photometry, fit_star_photometry
from astropy_imphot.cli.fit_photometry import main
from astropy_imphot.simulation import CENTER, simulate_field


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    """A folder with an HST and a MUSE image that can be fitted."""
    folder = tmp_path_factory.mktemp("good")
    field = simulate_field(seed=1, size=12.0, hst_pixel=0.06)
    hst, muse = field.hst, field.muse[0]
    primary = fits.PrimaryHDU()
    primary.header.update(INSTRUME="ACS", FILTER="F775W")
    science = fits.ImageHDU(hst.data, hst.wcs.to_header(), name="SCI")
    science.header["BUNIT"] = "ELECTRONS/S"
    weight = fits.ImageHDU(np.ones(hst.shape, "f4"), hst.wcs.to_header(), name="WHT")
    fits.HDUList([primary, science, weight]).writeto(folder / "hst.fits")
    data = fits.ImageHDU(muse.data, muse.wcs.to_header(), name="DATA")
    data.header["BUNIT"] = "10**(-20)*erg/s/cm**2/Angstrom"
    variance = fits.ImageHDU(muse.uncertainty.array, muse.wcs.to_header(), name="STAT")
    flags = fits.ImageHDU(np.zeros(muse.shape, "u1"), muse.wcs.to_header(), name="DQ")
    fits.HDUList([fits.PrimaryHDU(), data, variance, flags]).writeto(folder / "muse.fits")
    return folder


# What is done to a file. Each takes its path.


def remove(path):
    path.unlink(missing_ok=True)


def write(content):
    def change(path):
        path.write_bytes(content)

    return change


def truncate(path):
    path.write_bytes(path.read_bytes()[:9000])


def truncate_plain(path):
    data, header = fits.getdata(path, 1), fits.getheader(path, 1)
    fits.PrimaryHDU(data, header).writeto(path, overwrite=True)
    truncate(path)


def drop_images(path):
    fits.HDUList([fits.PrimaryHDU()]).writeto(path, overwrite=True)


def leave_a_table(path):
    table = fits.BinTableHDU.from_columns([fits.Column("ra", "D", array=[1.0])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


def mask_of(shape, value):
    def change(path):
        fits.PrimaryHDU(np.full(shape, value, "u1")).writeto(path)

    return change


def update(change):
    """Change the HDUs of a file, of which the second is the image."""

    def change_file(path):
        with fits.open(path, memmap=False) as hdus:
            change(hdus)
            hdus.writeto(path, overwrite=True)

    return change_file


@update
def make_cube(hdus):
    header = hdus[1].header.copy()
    header.update(CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=5000.0, CRPIX3=1.0, CDELT3=1.25)
    hdus[1] = fits.ImageHDU(np.stack([hdus[1].data] * 3), header, name=hdus[1].name)
    del hdus[2:]


@update
def drop_wcs(hdus):
    for key in ("CTYPE1", "CTYPE2"):
        del hdus[1].header[key]


def move(degrees):
    @update
    def change(hdus):
        hdus[1].header["CRVAL2"] += degrees

    return change


def fill(extension, value):
    @update
    def change(hdus):
        hdus[extension].data[:] = value

    return change


def set_cards(extension, **cards):
    @update
    def change(hdus):
        hdus[extension].header.update(cards)

    return change


@update
def on_the_muse_grid(hdus):
    shape, header = (60, 60), fits.getheader(hdus.filename().replace("hst.fits", "muse.fits"), "DATA")
    header["BUNIT"] = "ELECTRONS/S"
    hdus[1] = fits.ImageHDU(np.random.default_rng(1).normal(1, 1, shape), header, name="SCI")
    del hdus[2:]


# (the file that is wrong or None, what is done to it, the options, what the sentence has
# to say: the name of the file or of the option, and a cure)
CASES = {
    "missing": ("both", remove, {}, "does not exist: check the name"),
    "empty": ("both", write(b""), {}, "(check|download|give)"),
    "not FITS": ("both", write(b"hello" * 2000), {}, "(check|download|give)"),
    "truncated": ("both", truncate, {}, "ends before its data do: copy or download the file again"),
    "truncated plain": ("both", truncate_plain, {}, "ends before its data do: copy or download the file"),
    "no image": ("both", drop_images, {}, "there is no image: give a file with an image"),
    "table": ("both", leave_a_table, {}, "there is no image: give a file with an image"),
    "cube": ("both", make_cube, {}, "an image is needed, not a cube: .* make_wideband_image"),
    "no WCS": ("both", drop_wcs, {}, "has no celestial WCS: add CTYPE1"),
    "all NaN": ("both", fill(1, np.nan), {}, "check its mask"),
    "all flagged": ("muse", fill("DQ", 1), {}, "every pixel .* is masked .*: check its mask"),
    "no variance": ("muse", fill("STAT", 0), {}, "every pixel .* is masked .*: check its mask"),
    "no weight": ("hst", fill("WHT", 0), {}, "no valid pixel .*: check its mask and weights"),
    "MUSE in electrons": ("muse", set_cards(1, BUNIT="ELECTRONS/S"), {}, "in electron / s .BUNIT.: convert"),
    "HST not per second": ("hst", set_cards(1, BUNIT="ELECTRONS"), {}, "no exposure time .*: add EXPTIME"),
    "unknown filter": ("hst", set_cards(0, FILTER="F300X"), {}, "the filter F300X.*PHOTFLAM.*: add"),
    "no filter": ("hst", set_cards(0, FILTER=""), {}, "a filter without a name.*PHOTFLAM.*: add"),
    "next to it": ("hst", move(30 / 3600), {}, "does not overlap .*: give an image that does"),
    # HST reaches the margin, but not the image: half sizes are 11 and 6 arcsec.
    "in the margin only": ("hst", move(18.5 / 3600), {}, "(does not overlap|has to cover)"),
    "elsewhere": ("hst", move(1.0), {}, "does not overlap .*: give an image that does"),
    "other hemisphere": ("hst", move(110.0), {}, "does not overlap .*: give an image that does"),
    "decimated": ("hst", on_the_muse_grid, {}, "does not record how it was filtered: give hst_window"),
    "regridded for another": (
        "hst",
        set_cards(1, DECIMWIN="blackman"),
        {},
        "regridded for another MUSE image: run regrid_hst_to_muse",
    ),
    "no mask file": ("mask", remove, {}, "does not exist: check the name"),
    "mask not FITS": ("mask", write(b"hello" * 2000), {}, "(check|download|give)"),
    "mask without image": ("mask", drop_images, {}, "the extra mask has no image: give an image"),
    "mask of wrong shape": ("mask", mask_of((50, 60), 0), {}, r"the shape \(50, 60\): it needs .*\(60, 60\)"),
    "no region file": ("regions", remove, {}, "check the name"),
    "no region": (
        "regions",
        write(b"# Region file format: DS9\nfk5\n"),
        {},
        "no usable region: give circles",
    ),
    "broken region": ("regions", write(b"image\ncircle(10,20)\n"), {}, "(correct|save)"),
    "regions of no area": ("regions", write(b"image\npoint(20,20)\n"), {}, "give circles"),
    "margin": (None, None, {"margin": -1.0}, "margin is -1.0: give 0 to 60 arcsec"),
    "fwhm of 0": (None, None, {"fix_fwhm": 0.0}, "fix_fwhm is 0.0: give arcsec above 0"),
    "negative fwhm": (None, None, {"fix_fwhm": -0.7}, "fix_fwhm is -0.7: give arcsec above 0"),
    "beta of 1": (None, None, {"fix_beta": 1.0}, "fix_beta is 1.0: give a number above 1"),
    "negative beta": (None, None, {"fix_beta": -2.5}, "fix_beta is -2.5: give a number above 1"),
    "nan": (None, None, {"fix_dx": np.nan}, "fix_dx is nan: give a finite number"),
    "taper": (None, None, {"taper": -1.0}, "taper is -1.0: give 0 or more pixels"),
    "hst_fwhm": (None, None, {"hst_fwhm": -0.1}, "FWHM -0.1 .*: give hst_fwhm"),
    "hst_beta": (None, None, {"hst_beta": 1.0}, "beta 1.0: give .* hst_beta above 1"),
    "star outside": (
        None,
        None,
        {"star": (53.17, -27.79, 2.0), "regions": "star"},
        "the star at 53.17, -27.79 is outside .*: check its coordinates",
    ),
    "star of no radius": (
        None,
        None,
        {"star": (53.16, -27.78, 0.0), "regions": "star"},
        "radius is 0.0: give more than 0 arcsec",
    ),
    "no star": (None, None, {"regions": "notstar"}, "there is no star: give star"),
}
PARAMETERS = [
    pytest.param(which, change, options, message, id=f"{name}-{which}" if file == "both" else name)
    for name, (file, change, options, message) in CASES.items()
    for which in (("hst", "muse") if file == "both" else (file,))
]
FILES = {"hst": "hst.fits", "muse": "muse.fits", "mask": "mask.fits", "regions": "field.reg"}


@pytest.fixture
def arguments(good_files, tmp_path, which, change, options):
    """Arguments of which one is bad."""
    for name in ("hst.fits", "muse.fits"):
        shutil.copy(good_files / name, tmp_path)
    if change is not None:
        change(tmp_path / FILES[which])
    keyword = {"mask": "extramask", "regions": "regions"}.get(which)
    extra = {} if keyword is None else {keyword: str(tmp_path / FILES[which])}
    return {"hst": str(tmp_path / "hst.fits"), "muse": str(tmp_path / "muse.fits")} | options | extra


def command_line(hst, muse, star=None, **options):
    words = [hst, muse]
    for key, value in options.items():
        words += [f"--{key}", str(value)]
    if star is not None:
        words += ["--star", *(str(number) for number in star)]
    return words


def check(sentence, which, message):
    assert re.search(message, sentence), sentence
    assert "\n" not in sentence
    # Words of astropy and of Python on what only a programmer could do.
    for jargon in ("ignore_missing_simple", "__init__", "Errno"):
        assert jargon not in sentence
    if which is not None:
        # The file that is wrong is the first that is named.
        named = {key: sentence.find(name) for key, name in FILES.items() if name in sentence}
        assert which in named, sentence
        assert which == min(named, key=named.get), sentence
        assert sentence.count(FILES[which]) == 1, sentence


# A region file may warn of its shapes before it is refused.
@pytest.mark.filterwarnings("ignore:.*a PointPixelRegion")
@pytest.mark.parametrize(("which", "change", "options", "message"), PARAMETERS)
def test_function(arguments, which, message):
    with pytest.raises(UserError) as caught:
        fit_image_photometry(**arguments)
    check(str(caught.value), which, message)


@pytest.mark.filterwarnings("ignore:.*a PointPixelRegion")
@pytest.mark.parametrize(("which", "change", "options", "message"), PARAMETERS)
def test_script(arguments, tmp_path, capsys, which, message):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    output = ["--output", str(tmp_path / "fits.ecsv"), "--hardcopy", "pdf"]
    status = main([*command_line(**arguments), *output])
    printed = capsys.readouterr()
    assert status == 1
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fit_photometry: error: ")
    assert "Traceback" not in lines[0]
    check(lines[0], which, message)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("which", "change", "options"),
    [(None, None, {"margin": 2.0, "fix_beta": 2.5, "hst_fwhm": 0.1, "hst_beta": 1.7, "taper": 1.0})],
)
def test_the_good_files_are_good(arguments, tmp_path, capsys):
    # Or else the tests above would say nothing.
    output = ["--output", str(tmp_path / "fits.ecsv"), "--hardcopy", "pdf"]
    assert main([*command_line(**arguments), *output]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert len(printed.out.splitlines()) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fits.ecsv",
        "hst.fits",
        "muse.fits",
        "muse_image_fit.pdf",
    ]


@pytest.mark.filterwarnings("default::astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize(("which", "change", "options"), [("muse", set_cards(1, BUNIT=""), {})])
def test_script_warns_once_and_by_name(arguments, capsys):
    assert main(command_line(**arguments)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.search(
        r"fit_photometry: warning: .*muse\.fits: the MUSE image has no unit: 1e-20 erg .* is assumed",
        lines[0],
    )


@pytest.mark.parametrize(("which", "change", "options"), [(None, None, {})])
def test_second_image_is_bad(arguments, tmp_path, capsys):
    # The fit of the first is not lost.
    gone = str(tmp_path / "gone.fits")
    status = main([*command_line(**arguments), gone, "--output", str(tmp_path / "fits.ecsv")])
    printed = capsys.readouterr()
    assert status == 1
    assert "gone.fits does not exist" in printed.err
    assert len(printed.out.splitlines()) == 4
    assert (tmp_path / "fits.ecsv").exists()


@pytest.mark.parametrize("words", [[], ["hst.fits"], ["hst.fits", "muse.fits", "--fix_dx", "east"]])
def test_script_without_what_it_needs(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: fit_photometry")


def test_images_and_options_without_information():
    field = simulate_field(seed=1, size=12.0, central_star=20.0)
    hst, muse = field.hst, field.muse[0]
    flat = muse.copy()
    flat.data = np.full(muse.shape, 3.0)
    with pytest.raises(UserError, match="all pixels of the MUSE image have the same value"):
        fit_image_photometry(hst, flat)
    held = {f"fix_{key}": value for key, value in {"bg": 0, "dx": 0, "dy": 0, "e1": 0, "e2": 0}.items()}
    with pytest.raises(UserError, match="all parameters are fixed"):
        fit_star_photometry(hst, muse, (CENTER, 2.0), fix_scale=1, fix_fwhm=0.7, fix_beta=2.5, **held)
    with pytest.raises(UserError, match="fix_scale is 0"):
        fit_image_photometry(hst, muse, fix_scale=0)


def test_a_point_source_where_hst_did_not_observe(field):
    hst = field.hst.copy()
    hst.data[:, : hst.shape[1] // 3] = np.nan
    place = hst.wcs.pixel_to_world(hst.shape[1] // 6, hst.shape[0] // 2)
    fit = fit_image_photometry(hst, field.muse[0], point_sources=place)
    assert np.isfinite(fit.dx.value)
