"""How the documentation is made: Sphinx, furo, MyST; ``make docs``."""

from __future__ import annotations

import numapool

project = "numapool"
author = "the numapool authors"
copyright = "2026, the numapool authors"
version = release = numapool.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "numapool"
html_static_path = ["static"]
html_css_files = ["style.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
maximum_signature_line_length = 88
nitpicky = False

# Marked blocks alone run, so that an example may also show what only a larger machine answers.
doctest_test_doctest_blocks = ""
doctest_global_setup = """
import numpy as np
import numapool as nump
"""
