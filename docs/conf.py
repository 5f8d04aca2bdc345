"""The site: `sphinx-build -W --keep-going -c docs . build/site`, from the root of a checkout.

The sources are the pages, notebooks and docstrings in their places in the checkout. A link between
files is then the same in the checkout and on the site, and a broken link fails the build.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]  # `analysis`, and ours

import minifloat  # noqa: E402

project = "minifloat"
author = "The minifloat authors"
copyright = author
release = version = minifloat.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",  # in _extensions, as the next ones
    "explorer",
    "figure_sizes",
    "folding_tables",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "docs/**.rst", "notebooks/*.ipynb"]
exclude_patterns = [".*", "analysis", "build", "dist", "minifloat", "paper_figures", "tests"]

html_theme = "furo"
html_title = f"minifloat {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"index": "to_first_page.html"}  # the address of the site without a page
html_copy_source = False
html_show_sourcelink = False

highlight_language = "text"  # of indented blocks: commands and what they print
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

default_role = "py:obj"  # `a name` in a docstring
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the docstrings describe types
autodoc_preserve_defaults = True  # as the source has them: dtype=np.float32
maximum_signature_line_length = 72
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # "a, b : type" are two names
napoleon_use_rtype = False

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3  # [text](page.md#heading) is checked too
if importlib.util.find_spec("torch") is None:  # the page has the docstrings all the same
    autodoc_mock_imports = ["torch"]

nb_execution_mode = "off"  # their outputs are in the files
nb_merge_streams = True
nb_ipywidgets_js = {}  # pages load nothing from elsewhere; a slider shows its picture
suppress_warnings = ["ref.python"]  # `shape` in a type: several classes have one
