"""Short texts of objects, for interactive sessions."""

from dataclasses import fields

__all__ = ["Representation", "in_words"]

# Characters of an attribute, and how many names of a collection are written.
LONGEST = 80
MOST_NAMES = 5


class Representation:
    """
    Base class with a ``repr`` of one line, and a ``str`` with a line for each attribute.

    Subclasses that are data classes have ``repr=False``; those that are not define ``_represented``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from astropy_imphot.io.representation import Representation
    >>> @dataclass(repr=False)
    ... class Image(Representation):
    ...     name: str
    ...     data: np.ndarray
    >>> Image("E1", np.zeros((300, 300)))
    <Image: name='E1', data=ndarray of shape (300, 300)>
    >>> print(Image("E1", np.zeros((300, 300))))
    Image
      name: 'E1'
      data: ndarray of shape (300, 300)
    """

    def _represented(self):
        """Return the attributes that are shown, by their names."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __repr__(self):
        shown = ", ".join(f"{key}={in_words(value)}" for key, value in self._represented().items())
        return f"<{type(self).__name__}: {shown}>"

    def __str__(self):
        lines = (f"  {key}: {in_words(value)}" for key, value in self._represented().items())
        return "\n".join([type(self).__name__, *lines])


def in_words(value):
    """
    Return an attribute in at most 80 characters.

    Parameters
    ----------
    value : object
        Any object.

    Returns
    -------
    str
        Kind and size of arrays, images and tables; names in a collection, or their number; and else what
        ``repr`` gives, or the kind if that is long.

    Examples
    --------
    >>> from astropy_imphot.io.representation import in_words
    >>> in_words(2.5), in_words({"F606W": 1, "F814W": 2}), in_words(range(1000))
    ('2.5', 'F606W, F814W', '1000 of int')
    """
    kind = type(value).__name__
    if hasattr(value, "colnames"):
        return f"{kind} of {len(value)} rows"
    if getattr(value, "shape", ()):
        return f"{kind} of shape {value.shape}"
    if isinstance(value, dict | list | range):
        return _collection(list(value))
    # Values are shown with their errors.
    text = str(value) if hasattr(value, "stdev") else repr(value)
    if len(text) <= LONGEST and "\n" not in text and not isinstance(value, Representation):
        return text
    return f"{text[: LONGEST - 3]}..." if isinstance(value, str) else kind


def _collection(names):
    if not names:
        return "none"
    if len(names) <= MOST_NAMES and all(isinstance(name, str) for name in names):
        return ", ".join(name[:LONGEST] for name in names)
    return f"{len(names)} of {type(names[0]).__name__}"
