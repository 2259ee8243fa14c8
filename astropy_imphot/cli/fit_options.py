"""The options of a fit, for several commands."""

import astropy.units as u

from astropy_imphot.cli.arguments import none_or
from astropy_imphot.fitting.options import ImageFitOptions
from astropy_imphot.parameters import FLUX, model_parameters
from astropy_imphot.psf.fourier import WINDOWS
from astropy_imphot.psf.moffat import MOFFAT

__all__ = ["add_fit_options", "add_hst_psf_options", "add_reference_options"]


def add_fit_options(parser, *, fix_beta):
    """
    Add the options of `~astropy_imphot.fit_image_photometry` to a command.

    Parameters
    ----------
    parser : `ImphotArgumentParser`
        The command's parser.
    fix_beta : float or None
        The default of --fix_beta.

    Examples
    --------
    >>> from astropy_imphot import ImphotArgumentParser
    >>> from astropy_imphot.cli.fit_options import add_fit_options
    >>> parser = ImphotArgumentParser(prog="fit")
    >>> add_fit_options(parser, fix_beta=None)
    >>> parser.parse_args(["--margin", "2"]).margin
    2.0
    """
    what = parser.add_argument_group("pixels and objects that are fitted")
    what.add_argument(
        "--regions",
        metavar="file|star|notstar|none",
        type=none_or(str),
        default="star",
        help="ds9 file of the regions to fit, of which those with a leading - are excluded; star: the circle "
        "of --star, if it is given; notstar: all but that circle; none: the whole image",
    )
    what.add_argument(
        "--star",
        nargs=3,
        type=float,
        metavar=("ra", "dec", "radius"),
        help="fit this star as well: its position in degrees, and the radius of a circle around it in arcsec",
    )
    what.add_argument("--segment", action="store_true", help="fit only the pixels of detected objects")
    what.add_argument("--extramask", metavar="file", help="FITS image that is not 0 where a pixel is masked")
    what.add_argument(
        "--taper",
        metavar="pixels",
        type=float,
        default=ImageFitOptions.taper,
        help="width over which weights fall at the edges of masks",
    )
    what.add_argument(
        "--keep_changed",
        action="store_true",
        help="neither add point sources nor mask objects that only one of the images has",
    )
    what.add_argument(
        "--background",
        metavar="auto|constant|N|LENGTH",
        type=_background,
        default=ImageFitOptions.background,
        help="smooth modes of the background: as many as the residuals contain; none; N half periods along "
        "each axis; or down to a period such as 15arcsec",
    )

    fixed = parser.add_argument_group("parameters that are held fixed; none: fitted")
    infos = model_parameters(MOFFAT).values()
    for info in infos:
        if not info.on_demand:
            fixed.add_argument(
                f"--fix_{info.name}",
                metavar="V",
                type=none_or(float),
                default=fix_beta if info.name == "beta" else None,
                help=_described(info),
            )
    fixed.add_argument("--min_scale", metavar="V", type=none_or(float), help="lower limit of the scale")
    for key in ("dx", "dy"):
        fixed.add_argument(
            f"--init_{key}",
            metavar="A",
            type=none_or(float),
            help=f"first guess of {key}, arcsec; None: where the images correlate best",
        )
    fixed.add_argument(
        "--free",
        metavar="NAME,...",
        type=lambda names: () if names == "none" else tuple(name.strip() for name in names.split(",")),
        default=(),
        help="parameters that are fitted without a prior; otherwise bg_x and bg_y are 0, and the others "
        "small: "
        + "; ".join(
            f"{info.name} ({_described(info)})" for info in infos if info.on_demand or info.prior is not None
        ),
    )

    hst = parser.add_argument_group("the HST image")
    add_hst_psf_options(hst)
    hst.add_argument(
        "--hst_window",
        "--reference_window",
        choices=list(WINDOWS),
        help="low-pass filter of an HST image on the MUSE grid, if its header has none: blackman for files "
        "of the classic imphot",
    )
    hst.add_argument(
        "--margin",
        metavar="A",
        type=float,
        default=ImageFitOptions.margin,
        help="width of the sky used around the MUSE image, arcsec",
    )


def add_reference_options(group):
    """
    Add the options for what the header of a reference image lacks.

    Parameters
    ----------
    group : argument group of `ImphotArgumentParser`
        Where they are listed.

    Examples
    --------
    >>> from astropy_imphot import ImphotArgumentParser
    >>> from astropy_imphot.cli.fit_options import add_reference_options
    >>> parser = ImphotArgumentParser(prog="fit")
    >>> add_reference_options(parser.add_argument_group("the HST image"))
    >>> parser.parse_args(["--zeropoint", "24.6"]).zeropoint
    24.6
    """
    group.add_argument(
        "--zeropoint",
        metavar="MAG",
        type=float,
        help="AB magnitude of a pixel value of 1; None: from the unit or the zero point in the header",
    )
    group.add_argument("--filter", metavar="NAME", help="its filter; None: that of the header")
    group.add_argument(
        "--pivot",
        metavar="A",
        type=float,
        help="pivot wavelength of its filter, Angstrom; None: PHOTPLAM, or that of the camera's filter",
    )


def add_hst_psf_options(group):
    """
    Add the options for the PSF, the artefacts and the point sources of the HST image.

    Parameters
    ----------
    group : argument group of `ImphotArgumentParser`
        Where they are listed.

    Examples
    --------
    >>> from astropy_imphot import ImphotArgumentParser
    >>> from astropy_imphot.cli.fit_options import add_hst_psf_options
    >>> parser = ImphotArgumentParser(prog="regrid")
    >>> add_hst_psf_options(parser.add_argument_group("the HST image"))
    >>> parser.parse_args(["--keep_artefacts"]).repair
    False
    """
    group.add_argument(
        "--hst_fwhm",
        "--reference_fwhm",
        metavar="A",
        type=float,
        help="FWHM of its PSF, arcsec; None: that of its camera, of ACS 0.085",
    )
    group.add_argument(
        "--hst_beta",
        "--reference_beta",
        metavar="V",
        type=float,
        help="exponent of its PSF; None: that of its camera, of ACS 1.6",
    )
    group.add_argument(
        "--hst_psf",
        "--reference_psf",
        metavar="file",
        help="FITS image of its PSF along the axes of the HST image, instead of a Moffat function",
    )
    group.add_argument(
        "--hst_psf_scale",
        "--reference_psf_scale",
        metavar="A",
        type=float,
        help="size of the pixels of that image, arcsec; None: that of its WCS or keyword PIXSCALE",
    )
    group.add_argument(
        "--keep_artefacts",
        dest="repair",
        action="store_false",
        help="do not repair cosmic rays and hot pixels; small holes are interpolated",
    )
    group.add_argument(
        "--point_sources",
        metavar="file",
        help="places of stars and QSOs in addition to those that are found: ds9 regions (.reg), or a table "
        "with columns ra and dec in degrees",
    )
    group.add_argument(
        "--not_point_sources",
        metavar="file",
        help="places of sources that are found and are no stars, in the same form",
    )


def _background(text):
    """Return the background's modes from text: auto, constant, a number, or a length with its unit."""
    if text in ("auto", "constant"):
        return text
    return int(text) if text.isdigit() else u.Quantity(text)


def _described(info):
    """Return the words and the unit of a parameter."""
    unit = info.unit.replace(FLUX, "the image's unit")
    return f"{info.words}, {unit}" if unit else info.words
