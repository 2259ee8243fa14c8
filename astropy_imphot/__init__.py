"""Point-spread function, flux scale, background and pointing of MUSE images, by comparison with HST."""

from astropy_imphot._version import version as __version__
from astropy_imphot.calibration.bandpass import bandpass_image, bandpass_images
from astropy_imphot.calibration.filter_curve import FilterCurve
from astropy_imphot.calibration.filters import HstFilterInfo
from astropy_imphot.calibration.units import rescale_hst_like_muse
from astropy_imphot.cli.arguments import ImphotArgumentParser, extract_function_args
from astropy_imphot.fitting.batch import (
    FitImageAndStarPhotometryMP,
    FitImagePhotometryMP,
    FitStarPhotometryMP,
)
from astropy_imphot.fitting.image import fit_image_photometry
from astropy_imphot.fitting.star import fit_image_and_star_photometry, fit_star_photometry
from astropy_imphot.io.errors import FileError, ImphotWarning, UserError, WorkerError
from astropy_imphot.io.grid import image_grids_aligned
from astropy_imphot.io.images import read_cube, read_image, write_image
from astropy_imphot.masking import ds9regions
from astropy_imphot.models.convolved_template import ConvolvedTemplate2D
from astropy_imphot.models.point_source import PointSource2D
from astropy_imphot.models.star import MoffatStar2D
from astropy_imphot.products.corrected import apply_corrections
from astropy_imphot.products.plots import plot_image_fit, plot_star_fit
from astropy_imphot.psf.epsf import build_hst_psf
from astropy_imphot.psf.images import HstPsf, read_hst_psf
from astropy_imphot.reference.image import HstReference
from astropy_imphot.reference.reading import Reference, read_reference
from astropy_imphot.reference.regrid import make_template, regrid_hst_like_muse
from astropy_imphot.reference.template import HstTemplate
from astropy_imphot.results.flags import ExposureFlags, FitFlags, flag_names
from astropy_imphot.results.image import FittedImagePhotometry
from astropy_imphot.results.photometry import (
    FailedPhotometry,
    FittedPhotometry,
)
from astropy_imphot.results.star import FittedStarPhotometry, StarFit
from astropy_imphot.results.summary import summary_header
from astropy_imphot.results.values import FittedValue

__all__ = [
    "ConvolvedTemplate2D",
    "ExposureFlags",
    "FailedPhotometry",
    "FileError",
    "FilterCurve",
    "FitFlags",
    "FitImageAndStarPhotometryMP",
    "FitImagePhotometryMP",
    "FitStarPhotometryMP",
    "FittedField",
    "FittedImagePhotometry",
    "FittedPhotometry",
    "FittedStarPhotometry",
    "FittedValue",
    "HstFilterInfo",
    "HstPsf",
    "HstReference",
    "HstTemplate",
    "ImphotArgumentParser",
    "ImphotWarning",
    "MoffatStar2D",
    "PointSource2D",
    "Reference",
    "StarFit",
    "UserError",
    "WorkerError",
    "apply_corrections",
    "bandpass_image",
    "bandpass_images",
    "build_hst_psf",
    "ds9regions",
    "extract_function_args",
    "fit_field",
    "fit_image_and_star_photometry",
    "fit_image_photometry",
    "fit_star_photometry",
    "flag_names",
    "image_grids_aligned",
    "make_template",
    "plot_image_fit",
    "plot_star_fit",
    "read_cube",
    "read_hst_psf",
    "read_image",
    "read_reference",
    "regrid_hst_like_muse",
    "rescale_hst_like_muse",
    "summary_header",
    "write_image",
    "__version__",
]


def __getattr__(name):
    # Fields have a report and much more, which a single fit does not wait for.
    if name in ("FittedField", "fit_field"):
        from astropy_imphot.field import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
