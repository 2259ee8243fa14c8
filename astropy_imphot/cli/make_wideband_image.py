"""The command make_wideband_image: images of cubes in a filter."""

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from astropy_imphot.calibration.bandpass import bandpass_image
from astropy_imphot.calibration.filter_curve import WEIGHTS, FilterCurve, as_curve
from astropy_imphot.cli.arguments import ImphotArgumentParser, run
from astropy_imphot.io.errors import UserError
from astropy_imphot.io.images import write_image
from astropy_imphot.io.writing import refuse_existing

__all__ = ["main"]


def _parser():
    parser = ImphotArgumentParser(
        prog="make_wideband_image",
        description="Make the images of MUSE cubes in a filter: the mean of the planes, weighted by the "
        "filter's curve times the wavelength, as a detector that counts photons does, integrated over each "
        "plane's width.",
        epilog="The command writes PREFIX_NAME.fits, where 'datacube' or 'cube' in the cube's name becomes "
        "'image': DATACUBE_E1.fits becomes F606W_IMAGE_E1.fits.",
    )
    parser.add_argument(
        "filter_curve",
        help="file of two columns, wavelength and sensitivity: text, in which # starts a comment, CSV, ECSV, "
        "FITS or VOTable; or the name of a filter, such as F606W, F070W or Euclid-VIS",
    )
    parser.add_argument("cubes", nargs="+", help="FITS files with the extensions DATA and STAT")
    parser.add_argument("--prefix", metavar="P", help="first part of the names; None: the curve file's stem")
    parser.add_argument("--outdir", metavar="DIR", default=".", help="folder of the images")
    parser.add_argument(
        "--wave_units",
        metavar="U",
        help="unit of the curve's wavelengths if the file has none: Angstrom, nm, um; None: the one in which "
        "they can be those of a filter",
    )
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="photon",
        help="photon: the mean of the planes is weighted as by a detector that counts photons, as HST's; "
        "energy: the weights are the curve alone, as in the classic imphot",
    )
    parser.add_argument("--nprocess", metavar="N", type=int, default=1, help="cubes processed at a time")
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
    >>> from astropy_imphot.cli.make_wideband_image import main
    >>> main(["no_such_curve.txt", "cube.fits"])
    1
    """
    return run(_parser(), _make, args)


def _make(options):
    name, unit = options.filter_curve, options.wave_units
    curve = as_curve(name) if unit is None else FilterCurve.read(name, unit)
    if options.nprocess < 1:
        raise UserError(f"--nprocess is {options.nprocess}: give 1 or more.")
    prefix = curve.name if options.prefix is None else options.prefix
    paths = [Path(options.outdir) / f"{prefix}_{_image_name(cube)}" for cube in options.cubes]
    for path in paths:
        refuse_existing(path, options.overwrite)
        if paths.count(path) > 1:
            raise UserError(f"two cubes would be written to {path}: give them different names.")
    if options.nprocess == 1:
        for cube, path in zip(options.cubes, paths, strict=True):
            _write(cube, curve, path, options, options.quiet)
            _print(path, options)
    else:
        with ProcessPoolExecutor(min(options.nprocess, len(paths))) as executor:
            jobs = [
                executor.submit(_write, cube, curve, path, options, True)
                for cube, path in zip(options.cubes, paths, strict=True)
            ]
            for job, path in zip(tqdm(jobs, unit="cube", disable=_hidden(options.quiet)), paths, strict=True):
                job.result()
                _print(path, options)


def _write(cube, curve, path, options, quiet):
    def bar(blocks):
        return tqdm(blocks, desc=Path(cube).name, unit="block", disable=_hidden(quiet))

    image = bandpass_image(cube, curve, weights=options.weights, progress_bar=bar)
    write_image(image, path, overwrite=options.overwrite)


def _hidden(quiet):
    return True if quiet else not sys.stderr.isatty()


def _print(path, options):
    if not options.quiet:
        print(path)


def _image_name(cube):
    """Return a cube's name with 'datacube' or 'cube' made 'image', in the same case."""

    def image(match):
        word = match[0]
        return "IMAGE" if word.isupper() else "Image" if word[0].isupper() else "image"

    return re.sub("datacube|cube", image, Path(cube).name, flags=re.IGNORECASE)


if __name__ == "__main__":
    sys.exit(main())
