"""Imports go one way, and `import minifloat` is light: no Numba, nothing compiled."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import minifloat

PACKAGE = Path(__file__).resolve().parents[1] / "minifloat"

# The folders and modules of this package that each may import, at any depth of its code.
ARRAYS = {"_arrays", "_jit", "_kernels", "_tensors", "_threads", "formats"}
MAY_IMPORT: dict[str, set[str]] = {
    "formats": set(),
    "_jit": set(),
    "_kernels": {"_jit"},
    "_threads": {"formats"},
    "_tables": {"_text"},
    "_text": set(),
    "_paths": set(),
    "_tensors": set(),
    "testing": {"_paths", "formats"},  # the oracle shares no code with what it checks
    "_arrays": ARRAYS,
    "codec": ARRAYS,
    "packing": ARRAYS,
    "registers": ARRAYS | {"codec", "packing"},
    "arithmetic": ARRAYS | {"codec", "packing"},
    "hardware": ARRAYS | {"_paths", "codec", "packing", "arithmetic"},
    "quantization": ARRAYS | {"codec", "packing", "products"},
    "products": ARRAYS,  # their weights are any `PackedMatrix`
    "composites": ARRAYS | {"codec", "packing", "quantization"},
    "layers": {"_tensors", "formats", "products", "quantization"},
    "files": ARRAYS | {"_paths", "_text", "codec", "packing", "quantization"},
    "comparison": {"_tables", "_tensors", "_text", "formats", "quantization", "files"},
    "allocation": {
        "_arrays", "_tensors", "_threads", "formats", "quantization", "layers", "files",
        "comparison",
    },
    "caches": {"_arrays", "_tensors", "files", "formats", "layers", "quantization"},
    "conversion": {
        "_paths", "_tables", "_text", "formats", "quantization", "files", "comparison",
    },
    "auditing": {
        "_arrays", "_tables", "_tensors", "_text", "formats", "codec", "packing", "quantization",
        "files", "comparison",
    },
    "explorer": set(),
    "interop": ARRAYS | {"codec", "comparison", "files", "products", "quantization"},
    "cli": {
        "__init__", "_jit", "_paths", "_tables", "_text", "formats", "codec", "quantization",
        "arithmetic", "registers", "hardware", "comparison", "conversion", "auditing", "testing",
        "explorer",
    },
    "__main__": {"cli"},
    "typing": ARRAYS | {"codec", "packing", "quantization", "comparison", "registers"},
    "__init__": {
        "formats", "codec", "packing", "quantization", "layers", "files", "comparison",
        "allocation", "arithmetic", "caches", "composites", "hardware", "registers", "testing",
        "typing",
    },
}  # fmt: skip

# Other people's packages, beside NumPy, that each may import.
THIRD_PARTY: dict[str, set[str]] = {
    "_jit": {"numba"},
    "_kernels": {"llvmlite", "numba"},
    "testing": {"hypothesis"},
    "_tensors": {"ml_dtypes"},
    "files": {"gguf", "ml_dtypes", "onnx", "safetensors", "torch"},
    "interop": {"torch"},
    "allocation": {"scipy"},
    "hardware": {"platformdirs", "pyosys"},
    "_tables": {"rich"},
    "cli": {"argcomplete", "rich"},
}

LAZY = [
    "argcomplete", "dask", "distributed", "gguf", "hypothesis", "jax", "llvmlite", "matplotlib",
    "ml_dtypes", "networkx", "numba", "onnx", "platformdirs", "pyosys", "rich", "safetensors",
    "scipy", "torch",
]  # fmt: skip


class Import(NamedTuple):
    """One imported module, and whether importing the file that says so is enough to import it."""

    name: str
    at_top: bool


def module_of(path: Path) -> str:
    """Return the name in MAY_IMPORT under which a file stands."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(node: ast.AST, *, at_top: bool = True) -> Iterator[Import]:
    """Yield what the code of a file imports; `if TYPE_CHECKING` counts as not at the top."""
    for child in ast.iter_child_nodes(node):
        inside = at_top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inside = False
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute in this package"
            assert child.module is not None
            if child.module in ("minifloat", "minifloat._kernels"):
                yield from (Import(f"{child.module}.{alias.name}", at_top) for alias in child.names)
            else:
                yield Import(child.module, at_top)
        else:
            yield from imports(child, at_top=inside)


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def own(name: str) -> str:
    """Return the module of this package that an import reads, `__init__` for a verb of it."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "__init__"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    module = module_of(path)
    assert module in MAY_IMPORT, f"say in MAY_IMPORT what {module} may import"
    for name, at_top in imports(ast.parse(path.read_text(encoding="utf-8"))):
        top = name.partition(".")[0]
        if top == "minifloat":
            allowed = MAY_IMPORT[module] | {module}
            assert own(name) in allowed, f"{module} must not import {name}"
        elif top not in sys.stdlib_module_names:
            allowed = {"numpy", *THIRD_PARTY.get(module, set())}
            assert top in allowed, f"{module} must not import {name}"
            assert not (at_top and module == "formats"), f"formats must not import {name}"


def test_the_reader_of_imports_sees_them_all() -> None:
    source = """
import os, numpy as np
from minifloat import codec, parse
if TYPE_CHECKING:
    import scipy
def f():
    from minifloat.formats import Format
    class C:
        import rich.table
"""
    assert list(imports(ast.parse(source))) == [
        ("os", True),
        ("numpy", True),
        ("minifloat.codec", True),
        ("minifloat.parse", True),
        ("scipy", False),
        ("minifloat.formats", False),
        ("rich.table", False),
    ]


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", ["minifloat", "minifloat.cli", "minifloat.testing"])
def test_import_is_lazy(module: str) -> None:
    program = f"import json, sys; import {module}; print(json.dumps(list(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(run(program))}
    assert "minifloat" in loaded
    assert loaded.isdisjoint({*LAZY, "analysis", "paper_figures"})


def test_import_of_the_analyses_is_lazy() -> None:
    program = "import json, sys, analysis; print(json.dumps(list(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(run(program))}
    assert loaded.isdisjoint({*LAZY, "numpy", "minifloat"})


def test_verbs_are_functions_whatever_was_imported_first() -> None:
    """A submodule of a verb's name would take its place in the package."""
    program = """
import importlib, inspect, pkgutil, minifloat as mf
for module in pkgutil.iter_modules(mf.__path__):
    if module.name != "__main__":
        importlib.import_module(f"minifloat.{module.name}")
print([name for name in mf.__all__ if inspect.ismodule(getattr(mf, name))])
"""
    assert run(program).strip() == "[]"


def test_import_of_the_kernels_loads_no_numba() -> None:
    """But of those whose vectors are a type that Numba alone knows."""
    program = """
import importlib, pkgutil, sys, minifloat._kernels as kernels
for module in pkgutil.iter_modules(kernels.__path__, "minifloat._kernels."):
    if module.name.rpartition(".")[2] not in (
        "lanes", "decoders", "dequantize", "products", "integer_decoders", "integer_dots",
        "integer_products", "integer_tiles", "rank_vectors", "packing_vectors", "scaled_sums",
        "turning",
    ):
        importlib.import_module(module.name)
print([name for name in sys.modules if name.partition(".")[0] in ("numba", "llvmlite")])
"""
    assert run(program).strip() == "[]"


def test_dir_shows_the_public_names_alone() -> None:
    program = "import minifloat as mf; mf.encode, mf.registers; print(sorted(dir(mf)))"
    names = [name for name in eval(run(program)) if not name.startswith("__")]
    modules = ["arithmetic", "caches", "composites", "hardware", "registers", "testing", "typing"]
    assert names == sorted([*minifloat.__all__, *modules])
