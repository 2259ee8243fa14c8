"""The command fit_field: from exposures and HST images to the files that a pipeline needs."""

import json
import logging
import sys
from argparse import ArgumentTypeError
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from astropy_imphot.calibration.filters import filter_in_header
from astropy_imphot.cli.arguments import ImphotArgumentParser, extract_function_args, run
from astropy_imphot.cli.fit_options import add_fit_options
from astropy_imphot.field.alignment import EXPOSURES
from astropy_imphot.field.run import fit_field
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.files import naming
from astropy_imphot.io.images import read_header
from astropy_imphot.psf.wavelength import REFERENCE
from astropy_imphot.reference.reading import read_reference
from astropy_imphot.results.flags import ExposureFlags, flag_names

__all__ = ["main"]

log = logging.getLogger("astropy_imphot")

# The columns of the summary: name, format and unit.
COLUMNS = (
    ("scale", "8.4f", ""),
    ("fwhm", "7.4f", '(")'),
    ("beta", "7.4f", ""),
    ("dx", "8.4f", '(")'),
    ("dy", "8.4f", '(")'),
    ("dra", "8.4f", '(")'),
    ("ddec", "8.4f", '(")'),
    ("chi2", "7.1f", ""),
    ("dof", "4d", ""),
)
# Those of exposures that are references of each other.
RELATIVE_COLUMNS = (
    ("scale", "8.4f", ""),
    ("dra", "8.4f", '(")'),
    ("ddec", "8.4f", '(")'),
    ("rotation", "8.4f", "(deg)"),
    ("bg", "8.3f", ""),
    ("pairs", "5d", ""),
)
NAME_WIDTH = 32

# A running scheduler answers within this time.
CONNECT_SECONDS = 10


def _parser():
    parser = ImphotArgumentParser(
        prog="fit_field",
        description="Fit all exposures of a field to HST images in several filters, combine the filters, and "
        "write tables, OFFSET_LIST.fits, IMPHOT.fits and a report.",
        epilog="After an interruption, the same command continues with the exposures that are not finished. "
        "Failed exposures are fitted again, and more exposures can be added. The command prints a line for "
        f"each exposure; fwhm and beta are those at {REFERENCE:g} Angstrom. The exit status is 1 if one "
        "failed.",
    )
    parser.add_argument("exposures", nargs="+", help="FITS files of MUSE cubes or images, on any grids")
    parser.add_argument(
        "--hst",
        "--reference",
        nargs="+",
        required=True,
        metavar="image",
        help="FITS files of images of HST, JWST, Euclid or surveys at their own pixels, one for each filter; "
        "NAME=file where the header does not have the filter's name; or the word exposures if there are "
        "none: the exposures are then references of each other",
    )
    parser.add_argument(
        "--outdir",
        required=True,
        metavar="folder",
        help="folder of all output, which is made if there is none",
    )

    filters = parser.add_argument_group("filters")
    filters.add_argument(
        "--filter",
        dest="filter_name",
        metavar="NAME",
        help="filter of exposures that are images; None: that of their headers, or of the only HST image",
    )
    filters.add_argument(
        "--curve",
        dest="curves",
        action="append",
        type=_curve,
        metavar="NAME=file",
        default=[],
        help="curve of a filter, for cubes: a text file of wavelengths (Angstrom) and sensitivities; "
        "without it, the curve of the HST image's camera that comes with the package",
    )
    filters.add_argument(
        "--zeropoint",
        dest="zeropoints",
        action="append",
        type=_number,
        metavar="NAME=MAG",
        default=[],
        help="AB magnitude of a pixel value of 1 in the HST image of a filter; without it, from the unit or "
        "the zero point in the header",
    )
    filters.add_argument(
        "--pivot",
        dest="pivots",
        action="append",
        type=_number,
        metavar="NAME=A",
        default=[],
        help="pivot wavelength of a filter, Angstrom; without it, PHOTPLAM or that of the camera's filter",
    )
    filters.add_argument(
        "--fwhm_degree",
        metavar="N",
        type=int,
        default=1,
        help="degree of FWHM(wavelength)",
    )
    filters.add_argument(
        "--beta_degree",
        metavar="N",
        type=int,
        default=0,
        help="degree of beta(wavelength)",
    )

    add_fit_options(parser, fix_beta=None)

    output = parser.add_argument_group("output")
    output.add_argument(
        "--write_fsf",
        action="store_true",
        help="copy the cubes to the exposures' folders, with the PSF as MPDAF's keywords in their primary "
        "headers",
    )
    output.add_argument(
        "--inplace",
        action="store_true",
        help="with --write_fsf: write the keywords into the cubes themselves",
    )
    output.add_argument(
        "--no_plots", action="store_true", help="draw no pictures and figures, which need matplotlib"
    )
    output.add_argument("--quiet", action="store_true", help="print nothing but errors and warnings")

    many = parser.add_argument_group("long runs")
    many.add_argument(
        "--restart",
        action="store_true",
        help="remove the results of earlier runs in --outdir first",
    )
    many.add_argument(
        "--nprocess",
        metavar="N",
        type=int,
        help="exposures fitted at a time; None: one for each core",
    )
    many.add_argument(
        "--scheduler",
        metavar="tcp://...",
        help="address of a Dask scheduler, on whose workers exposures are fitted; they need the same files",
    )
    many.add_argument(
        "--dask-scheduler-file",
        dest="scheduler_file",
        metavar="file",
        help="file of a Dask scheduler, instead of its address",
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
        The exit status: 0, or 1 after an error or if an exposure failed.

    Examples
    --------
    >>> from astropy_imphot.cli.fit_field import main
    >>> main(["cube.fits", "--hst", "no_such_file.fits", "--outdir", "out"])
    1
    """
    return run(_parser(), _fit, args)


def _fit(options):
    if options.inplace and not options.write_fsf:
        raise UserError("--inplace is an option of --write_fsf: give both.")
    if options.regions == "star" and options.star is None:
        options.regions = None
    keywords = extract_function_args(options, fit_field)
    keywords["hst"] = _references(options)
    keywords["curves"] = dict(options.curves)
    if len(keywords["curves"]) < len(options.curves):
        raise UserError("--curve is given twice for the same filter: give one.")
    if options.write_fsf:
        keywords["write_psf"] = "inplace" if options.inplace else "copy"

    def bar(fits):
        hidden = options.quiet or not sys.stderr.isatty()
        return tqdm(fits, total=len(fits), unit="exposure", disable=hidden)

    with _executor(options) as executor:
        found = fit_field(**keywords, plots=not options.no_plots, executor=executor, progress_bar=bar)
    if not options.quiet:
        for line in _summary(found.exposures):
            print(line)
        if found.report is not None:
            print(found.report)
    for failure in found.failures.values():
        log.error("error: %s", failure)
    return 1 if found.failures else 0


@contextmanager
def _executor(options):
    """Yield the executor of a Dask cluster, or None for processes of this machine."""
    if options.scheduler is None and options.scheduler_file is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError('a Dask cluster needs its package: pip install "astropy-imphot[dask]".') from error
    address = options.scheduler or _address(options.scheduler_file)
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"there is no Dask scheduler at {address}: {error}.") from error
    if not client.scheduler_info()["workers"]:
        log.warning("warning: the Dask scheduler at %s has no workers yet: waiting for them.", address)
    with client, client.get_executor() as executor:
        yield executor


def _address(path):
    """Return the address in the file of a Dask scheduler; a client would wait forever for the file."""
    try:
        return json.loads(Path(path).read_text())["address"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not the file of a Dask scheduler: start the scheduler first.") from error


def _references(options):
    """Return the HST images with what is given for their filters, or the word exposures."""
    if options.hst == [EXPOSURES]:
        if options.zeropoints or options.pivots:
            raise UserError("--zeropoint and --pivot are for reference images, and there are none.")
        return EXPOSURES
    images = {}
    for text in options.hst:
        name, equals, path = text.partition("=")
        given = bool(equals) and not Path(text).exists()
        path = path if given else text
        images[path] = {"filter_name": name.upper()} if given else {}
    for key, values in (("zeropoint", options.zeropoints), ("pivot", options.pivots)):
        for name, value in values:
            of_filter = [path for path, more in images.items() if _filter(path, more) == name.upper()]
            if not of_filter:
                raise UserError(f"--{key} is given for {name}, in which there is no HST image.")
            images[of_filter[0]][key] = value
    return [read_reference(path, **more) if more else path for path, more in images.items()]


def _filter(path, given):
    with naming(path):
        return given["filter_name"] if "filter_name" in given else filter_in_header(read_header(path))


def _number(text):
    name, equals, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=number") from error


def _curve(text):
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=file")
    return name, path


def _summary(exposures):
    columns = RELATIVE_COLUMNS if "pairs" in exposures.colnames else COLUMNS
    widths = {key: int(style.rstrip("fd").split(".")[0]) for key, style, _ in columns}
    for title, row in (
        ("# exposure", {key: key for key in widths}),
        ("#", {key: unit for key, _, unit in columns}),
    ):
        yield "  ".join([f"{title:<{NAME_WIDTH}}", *(f"{row[key]:>{widths[key]}}" for key in widths)])
    yield "#" + "-" * (NAME_WIDTH + sum(widths.values()) + 2 * len(widths) - 1)
    for row in exposures:
        if row["error"]:
            yield f"# {row['exposure']} failed: {row['error']}"
            continue
        cells = [format(getattr(row[key], "value", row[key]), style) for key, style, _ in columns]
        names = ", ".join(flag_names(int(row["flags"]), ExposureFlags))
        yield "  ".join([f"{row['exposure']:<{NAME_WIDTH}}", *cells, names]).rstrip()


if __name__ == "__main__":
    sys.exit(main())
