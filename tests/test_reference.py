"""The reference, `docs/api`, has every public name."""

import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import analysis

API = Path(__file__).parents[1] / "docs" / "api"
PACKAGES = (
    "minifloat",
    "minifloat.caches",
    "minifloat.composites",
    "minifloat.registers",
    "minifloat.hardware",
    "minifloat.testing",
    "analysis",
)
STUDIES = ("claims", "hardware", "methods", "models", "numerics", "training")
NO_PAGE = {f"analysis.{name}.__main__" for name in STUDIES}
DIRECTIVE = re.compile(r"^\.\. ([\w:]+):: ([\w.]+).*\n((?: +:.*\n)*)", re.M)


def documented(page: str) -> Iterator[str]:
    """Yield the names on a page of the reference; a module's stands for all its members."""
    module = ""
    for directive, name, options in DIRECTIVE.findall(page):
        if directive in ("automodule", "currentmodule"):
            module = name
            if directive == "automodule" and ":no-members:" not in options:
                yield module
        else:
            yield name if name.startswith("minifloat.") else f"{module}.{name}"


def public() -> Iterator[set[str]]:
    """Yield the names of each public object and module; the reference needs one of them.

    Public are all names of the packages' ``__all__``, and all modules of `analysis`.
    """
    names = defaultdict(set)
    for package in PACKAGES:
        for short in import_module(package).__all__:
            home = getattr(getattr(import_module(package), short), "__module__", package)
            names[home, short] |= {f"{package}.{short}", package, f"{home}.{short}", home}
    yield from names.values()
    for found in pkgutil.walk_packages(analysis.__path__, "analysis."):
        if not found.ispkg and found.name not in NO_PAGE:
            yield {found.name}


def test_every_public_name_is_on_a_page() -> None:
    pages = [path.read_text(encoding="utf-8") for path in API.glob("*.rst")]
    on_pages = {name for page in pages for name in documented(page)}
    assert [names for names in public() if not names & on_pages] == []
    assert len(list(public())) > 300


def test_a_name_on_no_page_would_be_found() -> None:
    page = """
.. automodule:: minifloat.codec
   :no-members:

.. currentmodule:: minifloat

.. autoclass:: Composite
   :members:

.. py:function:: minifloat.encode(x)

.. automodule:: minifloat.registers
"""
    assert list(documented(page)) == [
        "minifloat.Composite",
        "minifloat.encode",
        "minifloat.registers",
    ]
