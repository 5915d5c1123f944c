"""How the documentation is made: Sphinx, furo, MyST; ``make docs``."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

import numapool

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "numapool"
author = "the numapool authors"
copyright = "2026, the numapool authors"
version = release = numapool.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "numapool"
pygments_dark_style = "github-dark"
html_static_path = ["static"]
html_css_files = ["style.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autosummary_generate = False
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
maximum_signature_line_length = 88
nitpicky = False

# Marked blocks alone run, so that an example may also show what only a larger machine answers.
doctest_test_doctest_blocks = ""


def _inventory(name: str) -> str:
    """Compile docs/inventories/NAME.txt, and return where: a build needs no network."""
    here = Path(__file__).parent
    lines = (here / "inventories" / f"{name}.txt").read_text().splitlines(keepends=True)
    header = "".join(line for line in lines if line.startswith("#"))
    entries = "".join(line for line in lines if not line.startswith("#"))
    compiled = here.parent / "build" / "docs" / f"{name}.inv"
    compiled.parent.mkdir(parents=True, exist_ok=True)
    compiled.write_bytes(header.encode() + zlib.compress(entries.encode()))
    return str(compiled)


intersphinx_mapping = {
    "python": ("https://docs.python.org/3", _inventory("python")),
    "numpy": ("https://numpy.org/doc/stable", _inventory("numpy")),
}


def _run_each_block_alone(_: Sphinx, doctree: nodes.document) -> None:
    """Give every example a group of its own, so that a reader can run it as it stands."""
    for number, block in enumerate(doctree.findall(nodes.literal_block)):
        if block.get("testnodetype") == "doctest":
            block["groups"] = [f"block {number}"]


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("doctree-read", _run_each_block_alone)
