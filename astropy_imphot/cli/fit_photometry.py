"""The command fit_photometry: the PSF, fluxes and offsets of MUSE images from an HST image."""

import logging
import sys
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from astropy_imphot.cli.arguments import ImphotArgumentParser, extract_function_args, none_or, run
from astropy_imphot.cli.fit_options import add_fit_options, add_reference_options
from astropy_imphot.fitting.batch import FitImageAndStarPhotometryMP, FitImagePhotometryMP
from astropy_imphot.fitting.image import fit_image_photometry
from astropy_imphot.fitting.star import fit_image_and_star_photometry
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import short_name
from astropy_imphot.io.images import write_image
from astropy_imphot.io.writing import atomic_write, refuse_existing
from astropy_imphot.products.corrected import apply_corrections
from astropy_imphot.products.images import saved_paths, write_fit_images
from astropy_imphot.products.tables import check_format, write_table
from astropy_imphot.reference.reading import read_reference
from astropy_imphot.results.photometry import FailedPhotometry

__all__ = ["main"]

log = logging.getLogger("astropy_imphot")

PLOT_FORMATS = ("pdf", "jpg", "png", "eps")


def _parser():
    parser = ImphotArgumentParser(
        prog="fit_photometry",
        description="Fit the point-spread function, flux scale, background and offset of MUSE images by "
        "comparison with an HST image of the same sky.",
        epilog="The command prints a line for each MUSE image, in the order of the command line. Offsets are "
        "MUSE - HST; dra and ddec are differences of coordinates, to be subtracted from CRVAL1 and CRVAL2.",
    )
    parser.add_argument(
        "hst_image",
        help="FITS file: the image of HST, JWST, Euclid or a survey at its own pixels, or a file of "
        "regrid_hst_to_muse",
    )
    parser.add_argument("muse_images", nargs="+", help="FITS files of MUSE images")

    add_fit_options(parser, fix_beta=2.5)
    add_reference_options(parser.add_argument_group("what the header of the HST image lacks"))

    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="table", help="write a table: .ecsv, .fits, .csv, ...")
    output.add_argument(
        "--save",
        action="store_true",
        help="write X_image.fits, X_hst_model.fits, X_residual.fits, their Fourier transforms, _fft, and "
        "X_changed.reg, the regions of excluded objects",
    )
    output.add_argument(
        "--apply", action="store_true", help="write X_aligned.fits, corrected by offset, scale and background"
    )
    output.add_argument(
        "--resample",
        action="store_true",
        help="with --apply: shift the pixels; the WCS is corrected for the rotation only",
    )
    output.add_argument("--overwrite", action="store_true", help="replace files that exist")
    output.add_argument("--verbose", action="store_true", help="print a report of each fit")
    output.add_argument(
        "--hardcopy",
        metavar="|".join((*PLOT_FORMATS, "none")),
        type=none_or(str),
        choices=[*PLOT_FORMATS, None],
        help="write a plot of each fit beside its image X.fits: X_image_fit.EXT, X_star_fit.EXT",
    )
    output.add_argument("--display", action="store_true", help="show a plot of each fit")
    output.add_argument("--nowait", action="store_true", help="do not wait until a plot shown is closed")
    output.add_argument("--title", metavar="T", help="title of the plots; None: the image's name")

    many = parser.add_argument_group("many images")
    many.add_argument(
        "--nprocess",
        metavar="N",
        type=int,
        help="images fitted at a time; None: one for each core",
    )
    many.add_argument(
        "--on_error",
        choices=["raise", "skip"],
        default="raise",
        help="if an image fails: stop, and keep the finished fits; or continue, with the reason in its line",
    )
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
    >>> from astropy_imphot.cli.fit_photometry import main
    >>> main(["no_such_file.fits", "muse.fits"])
    1
    """
    return run(_parser(), _fit_all, args)


def _fit_all(options):
    if options.regions == "star" and options.star is None:
        options.regions = None
    if options.output:
        check_format(options.output)
    _check_files(options)
    results, failures = [], 0
    with _fits(options) as fits:
        for muse, fit in tqdm(fits, **_bar(options)):
            for one in fit if isinstance(fit, tuple) else (fit,):
                _print(one, options, first=not results)
                results.append(one)
                failures += isinstance(one, FailedPhotometry)
                if not isinstance(one, FailedPhotometry):
                    _write(one, muse, options)
            if options.output:
                # Finished fits are on the disk even if the next one fails.
                write_table(results, options.output, overwrite=options.overwrite or len(results) > 1)
    if failures:
        log.error("error: %d of %d images failed.", failures, len(options.muse_images))
    return 1 if failures else 0


@contextmanager
def _fits(options):
    """Yield the images with their fits, in their order, from this process or several ones."""
    function, batch = (
        (fit_image_photometry, FitImagePhotometryMP)
        if options.star is None
        else (fit_image_and_star_photometry, FitImageAndStarPhotometryMP)
    )
    keywords = extract_function_args(options, fit_image_photometry)
    images = options.muse_images
    hst = read_reference(
        options.hst_image, zeropoint=options.zeropoint, filter_name=options.filter, pivot=options.pivot
    )
    if len(images) == 1 and options.on_error == "raise":
        star = () if options.star is None else (keywords.pop("star"),)
        yield ((muse, function(hst, muse, *star, **keywords)) for muse in images)
        return
    with batch(hst, images, nprocess=options.nprocess, on_error=options.on_error, **keywords) as fits:
        yield fits.items()


def _check_files(options):
    """Raise a `UserError` if a file to be written exists, is an input, or would be written twice."""
    written = [path for muse in options.muse_images for path in _files(muse, options)]
    written += [options.output] * bool(options.output)
    taken = {
        Path(name).resolve()
        for name in (
            options.hst_image,
            *options.muse_images,
            options.regions,
            options.extramask,
            options.hst_psf,
        )
        if name is not None
    }
    for path in written:
        refuse_existing(path, options.overwrite)
        if Path(path).resolve() in taken:
            raise UserError(f"{path} would be written over an input or another output: rename one of them.")
        taken.add(Path(path).resolve())


def _files(muse, options):
    """Return the files that are written beside an image."""
    if options.hardcopy:
        yield _beside(muse, f"_image_fit.{options.hardcopy}")
        if options.star is not None:
            yield _beside(muse, f"_star_fit.{options.hardcopy}")
    if options.save:
        yield from saved_paths(muse).values()
    if options.apply:
        yield _beside(muse, "_aligned.fits")


def _print(fit, options, first):
    with tqdm.external_write_mode(file=sys.stdout):
        if options.verbose:
            print(fit.report(), end="\n\n", flush=True)
        else:
            print(fit.summary(header=first), flush=True)


def _write(fit, muse, options):
    image_fit = fit.method == "image"
    if image_fit and options.save:
        write_fit_images(fit, muse, overwrite=options.overwrite)
    if image_fit and options.apply:
        corrected = apply_corrections(muse, fit, resample=options.resample)
        write_image(corrected, _beside(muse, "_aligned.fits"), overwrite=options.overwrite)
    if options.hardcopy or options.display:
        _plot(fit, muse, options)


def _plot(fit, muse, options):
    from astropy_imphot.products.plots import close, plot_image_fit, plot_star_fit, show

    ending, plot = {"image": ("image", plot_image_fit), "stars": ("star", plot_star_fit)}[fit.method]
    figure = plot(fit, title=options.title)
    if options.hardcopy:
        path = _beside(muse, f"_{ending}_fit.{options.hardcopy}")
        with atomic_write(path, options.overwrite) as temporary:
            figure.savefig(temporary)
    if options.display:
        show(wait=not options.nowait)
    else:
        close(figure)


def _beside(muse, ending):
    return Path(muse).with_name(short_name(muse) + ending)


def _bar(options):
    few = len(options.muse_images) == 1
    return {"total": len(options.muse_images), "unit": "image", "disable": few or not sys.stderr.isatty()}


if __name__ == "__main__":
    sys.exit(main())
