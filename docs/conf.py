"""The site: `sphinx-build -W --keep-going -c docs . build/site`, from the root of a checkout.

The sources are the pages, notebooks and docstrings in their places in the checkout. A link between
files is then the same in the checkout and on the site, and a broken link fails the build.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

project = "minifloat"
author = "The minifloat authors"
copyright = author
extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"),
    *("docstrings", "public_names", "explorer"),  # in _extensions
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "docs/**.rst", "notebooks/*.ipynb"]
exclude_patterns = [".*", "analysis", "build", "dist", "minifloat", "paper_figures", "tests"]

html_theme = "furo"
html_title = "minifloat"
templates_path = ["_templates"]
html_additional_pages = {"index": "to_first_page.html"}  # the address of the site without a page
html_copy_source = False
html_show_sourcelink = False

default_role = "py:obj"  # `a name` in a docstring
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the docstrings describe types
autodoc_preserve_defaults = True  # as the source has them: dtype=np.float32
maximum_signature_line_length = 72
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3  # [text](page.md#heading) is checked too
if importlib.util.find_spec("torch") is None:  # the page has the docstrings all the same
    autodoc_mock_imports = ["torch"]
    nb_execution_excludepatterns = ["*_with_pytorch.ipynb"]

nb_execution_mode = "auto"  # notebooks without outputs are run
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 90
nb_merge_streams = True
suppress_warnings = ["ref.python"]  # `shape` in a type: several classes have one
