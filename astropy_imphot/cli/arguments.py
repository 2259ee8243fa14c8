"""The parser, the log and the errors of the commands."""

import argparse
import inspect
import logging
import re
import sys
import warnings

from astropy import log as astropy_log

from astropy_imphot._version import version
from astropy_imphot.io.errors import UserError

__all__ = ["ImphotArgumentParser", "extract_function_args", "none_or", "run"]


class ImphotArgumentParser(argparse.ArgumentParser):
    """
    A parser with the options of every command: --version, and defaults in the help.

    Parameters
    ----------
    **kwargs
        For `argparse.ArgumentParser`.

    Examples
    --------
    >>> from astropy_imphot import ImphotArgumentParser
    >>> parser = ImphotArgumentParser(prog="fit", description="Fits.")
    >>> _ = parser.add_argument("--margin", type=float, default=3.0, help="in arcsec")
    >>> parser.parse_args([]).margin
    3.0
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", argparse.ArgumentDefaultsHelpFormatter)
        super().__init__(**kwargs)
        # Else "-1e-3" would be an option.
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        self.add_argument("--version", action="version", version=f"%(prog)s {version}")


def extract_function_args(options, function):
    """
    Return the options of a command that are keywords of a function.

    Parameters
    ----------
    options : `argparse.Namespace`
        The parsed options.
    function : callable
        A function whose keywords have the options' names.

    Returns
    -------
    dict
        Keywords for the function.

    Examples
    --------
    >>> from argparse import Namespace
    >>> from astropy_imphot import extract_function_args
    >>> def fit(image, margin=3.0): pass
    >>> extract_function_args(Namespace(margin=2.0, verbose=True), fit)
    {'margin': 2.0}
    """
    names = inspect.signature(function).parameters
    return {key: value for key, value in vars(options).items() if key in names}


def none_or(kind):
    """
    Return a converter that reads the word "none" as None, for an option of a command line.

    Parameters
    ----------
    kind : callable
        The converter of all other words, such as float.

    Returns
    -------
    callable
        For argparse's ``type``.

    Examples
    --------
    >>> from astropy_imphot.cli.arguments import none_or
    >>> none_or(float)("2.5"), none_or(float)("none"), none_or(str)("star")
    (2.5, None, 'star')
    """

    def convert(text):
        return None if text.lower() == "none" else kind(text)

    # argparse has this name in its error if a word cannot be converted.
    convert.__name__ = kind.__name__
    return convert


def run(parser, command, args):
    """
    Parse a command line and run the command, with errors in one line instead of a traceback.

    Parameters
    ----------
    parser : `ImphotArgumentParser`
        The command's parser.
    command : callable
        Takes the options and returns the exit status, or None for 0.
    args : sequence of str, or None
        The command line without the command's name; None for `sys.argv`.

    Returns
    -------
    int
        The exit status: 0; 1 after an error of the input, which is printed in one line on standard
        error; or 130 after Ctrl-C.

    Examples
    --------
    >>> from astropy_imphot.cli.arguments import ImphotArgumentParser, run
    >>> run(ImphotArgumentParser(prog="nothing"), lambda options: None, [])
    0
    """
    options = parser.parse_args(args)
    log = logging.getLogger("astropy_imphot")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{parser.prog}: %(message)s"))
    log.addHandler(handler)
    level, astropy_level = log.level, astropy_log.level
    log.setLevel(logging.INFO)
    # astropy prints messages below this level on standard output, where the results are.
    astropy_log.setLevel(max(astropy_level, logging.WARNING))

    shown = set()

    def show_warning(message, category, *args, **kwargs):
        # A file is read more than once.
        if str(message) not in shown:
            shown.add(str(message))
            log.warning("warning: %s", message)

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            return command(options) or 0
    except UserError as error:
        log.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("interrupted.")
        return 130
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        astropy_log.setLevel(astropy_level)
