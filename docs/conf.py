"""Settings of the documentation, which `make docs` builds; warnings are errors there."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "site"))

import generated  # noqa: E402
import mathml  # noqa: E402
import rewriting  # noqa: E402

project = "unbraid"
author = "the unbraid developers"
html_title = "unbraid"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_math_renderer = "mathml"
exclude_patterns = ["_build"]
html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
default_role = "literal"  # docstrings write `x` for code
autodoc_typehints = "none"  # docstrings say shapes and ranges, which types do not
autodoc_member_order = "groupwise"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Sites", "params_style"), ("Source", "notes_style")]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # titles of included pages
    "misc.highlighting_failure",  # signatures in the design page are no whole Python
]


def setup(app: Any) -> None:
    """Write the pages that are made of the code, and rewrite what Sphinx reads otherwise."""
    generated.write_pages(HERE / "generated")
    app.add_html_math_renderer("mathml", (mathml.inline, None), (mathml.block, None))
    app.connect("autodoc-process-docstring", rewriting.docstring, priority=400)
    app.connect("source-read", rewriting.links)
