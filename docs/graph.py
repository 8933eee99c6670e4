# docs/graph.py -- the directive `lazy-graph`: Python code, and a drawing of the graph that it leaves unevaluated
"""The last line of the content names one or several arrays; ``export_to_dot`` writes the graph behind them, and
Graphviz draws it. Where ``dot`` is not installed the page shows the text that would be drawn."""

import ast
import io
import shutil
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.ext.graphviz import graphviz
from sphinx.util.docutils import SphinxDirective

import nhwc as mx

# The card that a drawing stands on is the style sheet's; a frame has its label where few arrows enter.
LOOKS = 'bgcolor="transparent"; ranksep=0.3; fontname="sans-serif"; labelloc=b;'


def dot_of(code):
    """What ``export_to_dot`` writes of the arrays that the last line names, under those names."""
    tree = ast.parse(code)
    last = tree.body.pop().value
    shown = last.elts if isinstance(last, ast.Tuple) else [last]
    scope = {"mx": mx}
    exec(compile(tree, "<lazy-graph>", "exec"), scope)
    out = io.StringIO()
    mx.export_to_dot(out, **{name.id: scope[name.id] for name in shown})
    return out.getvalue().replace("digraph {", f"digraph {{\n  {LOOKS}", 1)


class LazyGraph(SphinxDirective):
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self):
        code = "\n".join(self.content)
        dot = dot_of(code)
        if shutil.which("dot"):
            drawing = graphviz(code=dot, options={}, alt=self.options["alt"], classes=["lazy-graph"])
        else:
            drawing = nodes.literal_block(dot, dot, language="text")
        return [nodes.literal_block(code, code, language="python"), drawing]


def setup(app):
    app.add_directive("lazy-graph", LazyGraph)
    return {"parallel_read_safe": True}
