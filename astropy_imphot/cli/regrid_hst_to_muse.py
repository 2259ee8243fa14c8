"""The command regrid_hst_to_muse: HST images on the grid of a MUSE image."""

import re
import sys
from pathlib import Path

from tqdm import tqdm

from astropy_imphot.cli.arguments import ImphotArgumentParser, run
from astropy_imphot.cli.fit_options import add_hst_psf_options, add_reference_options
from astropy_imphot.fitting.options import ImageFitOptions
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.grid import read_grid
from astropy_imphot.io.writing import refuse_existing
from astropy_imphot.reference.reading import read_reference
from astropy_imphot.reference.regrid import make_template

__all__ = ["main"]


def _parser():
    parser = ImphotArgumentParser(
        prog="regrid_hst_to_muse",
        description="Resample HST images onto the pixels of a MUSE image or cube, in its flux unit.",
        epilog="The command writes hst_FILTER_for_FIELD.fits: DATA, STAT and DQ on exactly the MUSE pixels, "
        "and in further extensions the finer and wider template that fit_photometry uses, without point "
        "sources and artefacts, and tables of these.",
    )
    parser.add_argument("muse_image_or_cube", help="FITS file with the pixel grid of the output")
    parser.add_argument("hst_images", nargs="+", help="FITS files of images of HST, JWST, Euclid or surveys")
    parser.add_argument(
        "--field",
        metavar="NAME",
        help="FIELD in the files' names; None: the MUSE header's OBJECT, or the file's stem",
    )
    parser.add_argument("--outdir", metavar="DIR", default=".", help="folder of the images")
    parser.add_argument(
        "--margin",
        metavar="A",
        type=float,
        default=3.0,
        help="width of the sky kept around the MUSE image, arcsec",
    )
    add_hst_psf_options(parser.add_argument_group("the HST image"))
    add_reference_options(parser.add_argument_group("what the headers of the HST images lack"))
    parser.add_argument("--overwrite", action="store_true", help="replace images that exist")
    parser.add_argument("--quiet", action="store_true", help="show neither progress nor the files' names")
    return parser


def main(args=None):
    """
    Run the command.

    Parameters
    ----------
    args : sequence of str, optional
        The command line without the command's name. By default (None) that of the process.

    Returns
    -------
    int
        The exit status: 0, or 1 after an error.

    Examples
    --------
    >>> from astropy_imphot.cli.regrid_hst_to_muse import main
    >>> main(["no_such_image.fits", "hst.fits"])
    1
    """
    return run(_parser(), _regrid, args)


def _regrid(options):
    muse = read_grid(options.muse_image_or_cube)
    field = options.field or muse.meta.get("OBJECT") or Path(options.muse_image_or_cube).stem
    paths = {}
    for hst in options.hst_images:
        reference = read_reference(
            hst, zeropoint=options.zeropoint, filter_name=options.filter, pivot=options.pivot
        )
        filter_name = reference.filter_name or Path(hst).stem
        path = Path(options.outdir) / f"hst_{_word(filter_name)}_for_{_word(field)}.fits"
        refuse_existing(path, options.overwrite)
        if path in paths.values():
            raise UserError(f"two HST images would be written to {path}: give one of each filter.")
        paths[reference] = path
    given = _given(options)
    hidden = options.quiet or len(paths) == 1 or not sys.stderr.isatty()
    for hst, path in tqdm(paths.items(), unit="image", disable=hidden):
        # The image has the point sources, the template has them in a table.
        image = make_template(hst, muse, margin=options.margin).image()
        preparation = given.for_reference(hst).preparation
        template = make_template(hst, muse, margin=options.margin, **preparation)
        template.write(path, image=image, overwrite=options.overwrite)
        if not options.quiet:
            print(path)


def _given(options):
    """Return what is done with HST images at their own pixels, as options of fits."""
    keys = (
        "hst_fwhm",
        "hst_beta",
        "hst_psf",
        "hst_psf_scale",
        "repair",
        "point_sources",
        "not_point_sources",
    )
    return ImageFitOptions(**{key: getattr(options, key) for key in keys}).loaded()


def _word(text):
    """Return a text with an underscore for characters that are not used in names of files."""
    return re.sub(r"[^\w.+-]+", "_", str(text).strip())


if __name__ == "__main__":
    sys.exit(main())
