"""Formulas as MathML, which browsers draw by themselves: the pages need no script and no other server."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError


def inline(translator, node):
    """Append a formula within a line."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def display(translator, node):
    """Append a formula with lines of its own, which may be wider than a phone."""
    if node.get("label"):
        raise ExtensionError("formulas have no numbers here: leave out their label.")
    translator.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise SkipNode


def setup(app):
    """Register the renderer that ``html_math_renderer = "mathml"`` chooses."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
