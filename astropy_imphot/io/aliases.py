"""Names of keywords for reference images that are not of HST."""

from functools import wraps

__all__ = ["accepts_reference"]


def accepts_reference(function):
    """
    Let a function take reference and reference_NAME as other names of its keywords hst and hst_NAME.

    Parameters
    ----------
    function : callable
        A function or method with such keywords.

    Returns
    -------
    callable
        The function, with the same signature. It raises TypeError if both names of a keyword are given.

    Examples
    --------
    >>> from astropy_imphot.io.aliases import accepts_reference
    >>> @accepts_reference
    ... def width(hst, hst_fwhm=0.085):
    ...     return f"{hst}: {hst_fwhm}"
    >>> width(reference="euclid.fits", reference_fwhm=0.16)
    'euclid.fits: 0.16'
    """

    @wraps(function)
    def call(*args, **keywords):
        given = {_name_here(key): value for key, value in keywords.items()}
        if len(given) < len(keywords):
            twice = next(key for key in keywords if _name_here(key) != key and _name_here(key) in keywords)
            raise TypeError(f"{function.__name__}() got both {twice!r} and {_name_here(twice)!r}: give one.")
        return function(*args, **given)

    return call


def _name_here(key):
    return (
        f"hst{key.removeprefix('reference')}" if key == "reference" or key.startswith("reference_") else key
    )
