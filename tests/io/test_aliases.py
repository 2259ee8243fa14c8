"""Keywords of images that are not of HST."""

import inspect

import pytest

from astropy_imphot import FitImagePhotometryMP, fit_image_photometry, make_template
from astropy_imphot.cli import fit_field, fit_photometry
from astropy_imphot.simulation import example_field


@pytest.fixture(scope="module")
def field():
    return example_field()


def test_reference_is_hst(field):
    muse = field.muse[0]
    plain = fit_image_photometry(field.hst, muse, hst_fwhm=0.1, hst_beta=2.0)
    other = fit_image_photometry(reference=field.hst, muse=muse, reference_fwhm=0.1, reference_beta=2.0)
    assert other.fwhm == plain.fwhm
    assert other.options.hst_fwhm == 0.1


def test_of_methods_and_templates(field):
    fits = FitImagePhotometryMP(reference=field.hst, muse=field.muse, reference_fwhm=0.1)
    assert len(fits) == len(field.muse)
    assert make_template(reference=field.hst, muse=field.muse[0]).muse_shape == field.muse[0].shape


@pytest.mark.parametrize("keywords", [{"hst_fwhm": 0.1, "reference_fwhm": 0.1}, {"reference": "hst.fits"}])
def test_both_names(field, keywords):
    hst = {"hst": field.hst} if "reference" in keywords else {"reference": field.hst}
    with pytest.raises(TypeError, match="got both 'reference.*' and 'hst.*': give one"):
        fit_image_photometry(**hst, muse=field.muse[0], **keywords)


def test_an_unknown_name(field):
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        fit_image_photometry(field.hst, field.muse[0], reference_width=0.1)


def test_the_signature_is_that_of_the_function():
    assert list(inspect.signature(fit_image_photometry).parameters)[:2] == ["hst", "muse"]


@pytest.mark.parametrize("command", [fit_photometry, fit_field])
def test_options_of_commands(command):
    parsed = command._parser().parse_args(
        [
            "a.fits",
            "b.fits",
            "--reference_fwhm",
            "0.16",
            *(["--hst", "c.fits", "--outdir", "d"] * (command is fit_field)),
        ]
    )
    assert parsed.hst_fwhm == 0.16
