# docs/conf.py -- the documentation site: `sphinx-build -W docs build/docs`
"""Read by Sphinx. The package is imported as it is installed; what is not installed beside it is imitated."""

import importlib.util
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from sphinx.ext.autodoc.mock import _MockObject

import nhwc

project = "nhwc"
author = "the authors of nhwc"
copyright = author
version = release = nhwc.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.graphviz",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "graph",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_mock_imports = [name for name in ("torch", "jax", "mpi4py") if importlib.util.find_spec(name) is None]
_MockObject.__or__ = lambda self, other: self  # `Tensor | None`, where torch is imitated
_MockObject.__lt__ = lambda self, other: False  # a version that is new enough
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

graphviz_output_format = "svg"

html_theme = "furo"
html_title = f"nhwc {release}"
html_static_path = ["_static"]
html_css_files = ["nhwc.css"]
html_copy_source = False
html_show_sphinx = False


def shorten_signature(app, what, name, obj, options, signature, result):
    """Names without the extension module's, and methods without `self`; nanobind writes both."""

    def short(text):
        return text and text.replace("nhwc._core.", "")

    if signature and what == "method":
        signature = re.sub(r"^\(self(?:: [\w.]+)?(?:, )?", "(", short(signature))
    return short(signature), short(result)


def setup(app):
    app.connect("autodoc-process-signature", shorten_signature)
