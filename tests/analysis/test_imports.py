"""Imports between the folders of `analysis` go one way, and only public modules are imported."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import analysis
from tests.test_imports import imports

PACKAGE = Path(analysis.__file__).parent

# The folders and modules of this package that each may import, at any depth of its code.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "studies": {"models", "output", "records"},
    "claims": {"formats", "methods", "models", "records", "studies"},
    "methods": {"errors", "models", "records", "statistics", "studies", "weights"},
    "training": {
        "errors",
        "models",
        "output",
        "published",
        "records",
        "statistics",
        "studies",
    },
    "numerics": {"errors", "models", "output", "records", "statistics", "studies"},
    "hardware": {"errors", "models", "output", "records", "statistics"},
    "output": set(),
    "records": set(),
    "statistics": set(),
    "gpu": set(),
    "published": {"errors"},
    "formats": {"errors", "published"},
    "weights": {"errors"},
    "models": {"output", "statistics"},
    "__init__": {"errors"},
}

# Other packages, beside NumPy and minifloat, that each may import; models of `models` by name.
THIRD_PARTY: dict[str, set[str]] = {
    "errors": {"scipy"},
    "formats": {"scipy"},
    "claims": {"scipy"},
    "methods": {"scipy"},
    "published": {"ml_dtypes", "scipy"},
    "training": {"scipy", "sklearn", "torch"},
    "weights": {"scipy"},
}


def module_of(path: Path) -> str:
    """Return the name in MAY_IMPORT of a file."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own(name: str) -> str:
    """Return the folder or module of `analysis` that an import reads."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "__init__"


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    module = module_of(path)
    assert module in MAY_IMPORT, f"{module} must have a line in MAY_IMPORT"
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        top, *inner = name.split(".")
        if top == "analysis":
            assert own(name) in MAY_IMPORT[module] | {module}, f"{module} must not import {name}"
        elif top == "minifloat":
            private = [part for part in inner if part.startswith("_")]
            assert not private, f"{module} must not import the private {name}"
        elif top not in sys.stdlib_module_names:
            assert top in {"numpy", *THIRD_PARTY.get(module, set())}, f"{module} imports {name}"


def test_the_table_has_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        free = [name for name in MAY_IMPORT if name not in order and MAY_IMPORT[name] <= {*order}]
        assert free, f"there is a circle among {MAY_IMPORT.keys() - set(order)}"
        order += free
