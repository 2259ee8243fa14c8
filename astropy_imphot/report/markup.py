"""HTML of which every text is escaped: there is one way to make it, and that way escapes."""

from html import escape

__all__ = ["Markup", "element", "fill", "joined", "text"]

# Elements without an end tag.
EMPTY = {"br", "col", "img", "input", "meta"}

# A page that is whole in itself has no other links.
LINKS = ("#", "data:image/")


class Markup(str):
    """
    Text that is HTML already, as `element` returns it; all other text is escaped.

    Examples
    --------
    >>> from astropy_imphot.report.markup import Markup, element
    >>> isinstance(element("p", "a < b"), Markup)
    True
    """

    __slots__ = ()


def text(value):
    """
    Return anything as HTML.

    Parameters
    ----------
    value : object
        `Markup` is kept; None is nothing; the text of all else is escaped.

    Returns
    -------
    Markup
        The HTML.

    Examples
    --------
    >>> from astropy_imphot.report.markup import text
    >>> text("<script>")
    '&lt;script&gt;'
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup()
    # File names may hold bytes that are no text, and headers characters that HTML does not allow.
    plain = str(value).encode("utf-8", "replace").decode("utf-8")
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in plain)
    return Markup(escape(plain))


def joined(parts, separator=""):
    """
    Return parts of a page, one after the other.

    Parameters
    ----------
    parts : iterable
        What `text` takes.
    separator : object
        What comes between two of them (default: nothing).

    Returns
    -------
    Markup
        The HTML.

    Examples
    --------
    >>> from astropy_imphot.report.markup import element, joined
    >>> joined(["a & b", element("br"), "c"])
    'a &amp; b<br>c'
    """
    return Markup(text(separator).join(text(part) for part in parts))


def element(tag, *children, **attributes):
    """
    Return an element of a page.

    Parameters
    ----------
    tag : str
        Its name.
    *children : object
        What is in it, as `text` takes it.
    **attributes : object
        Its attributes: ``class_`` is written class, and ``data_value`` data-value. True
        gives an attribute without a value; None and False give none.

    Returns
    -------
    Markup
        The HTML.

    Raises
    ------
    ValueError
        If the element would run a script or load something from elsewhere.

    Examples
    --------
    >>> from astropy_imphot.report.markup import element
    >>> element("p", "a < b ", element("b", "now"), class_="note", title='"quoted"')
    '<p class="note" title="&quot;quoted&quot;">a &lt; b <b>now</b></p>'
    >>> element("input", type="checkbox", checked=True)
    '<input type="checkbox" checked>'
    """
    words = [tag]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if name.startswith("on") or (name in ("href", "src") and not str(value).startswith(LINKS)):
            raise ValueError(f"{name}={str(value)[:80]!r} has no place in a page that is whole in itself.")
        words.append(name if value is True else f'{name}="{text(str(value))}"')
    start = f"<{' '.join(words)}>"
    if tag in EMPTY:
        return Markup(start)
    return Markup("".join([start, *map(text, children), f"</{tag}>"]))


def fill(template, **parts):
    """
    Fill the places of a page.

    Parameters
    ----------
    template : `string.Template`
        The page.
    **parts : object
        What comes to the places, as `text` takes it.

    Returns
    -------
    Markup
        The page.

    Examples
    --------
    >>> from string import Template
    >>> from astropy_imphot.report.markup import fill
    >>> fill(Template("<title>$title</title>"), title="E1 & E2")
    '<title>E1 &amp; E2</title>'
    """
    return Markup(template.substitute({key: text(value) for key, value in parts.items()}))
