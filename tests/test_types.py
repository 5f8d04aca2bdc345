"""Type checkers know what the public functions take and return, and they know the truth.

Both read a project of two modules in ``tests/downstream``, as they read a user's: from outside,
where only ``py.typed`` tells them that there are types.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest

import minifloat as mf
import minifloat.typing as mft
from minifloat import hardware, registers, testing
from minifloat.formats import literals

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "tests" / "downstream"
MYPY_SETTINGS = """
[mypy]
strict = true

[mypy-torch.*]
follow_imports = skip

[mypy-examples.*]
allow_redefinition = true
disable_error_code = no-untyped-def, import-untyped, name-defined
"""  # property tests have no types, `analysis` no py.typed; an example may use its module's names
PYRIGHT_SETTINGS = {
    "include": ["uses.py", "mistakes.py"],
    "typeCheckingMode": "strict",
}


def report(command: list[str], cwd: Path) -> str:
    """Return what a type checker prints, which finds the package as if it were installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, check=False, cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: there are errors
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project outside of the checkout, with all examples as modules."""
    folder = Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("user") / "project"))
    (folder / "__init__.py").unlink()
    (folder / "mypy.ini").write_text(MYPY_SETTINGS, encoding="utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps(PYRIGHT_SETTINGS), encoding="utf-8")
    (folder / "examples").mkdir()
    (folder / "examples" / "__init__.py").touch()
    for name, source in examples():
        path = folder / "examples" / f"{re.sub('[^a-z0-9]', '_', name.lower())}.py"
        path.write_text(source, encoding="utf-8")
    return folder


def examples() -> Iterator[tuple[str, str]]:
    """Yield the names and the examples of the pages and of the docstrings."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        yield page.stem, code(doctest.DocTestParser().get_examples(page.read_text("utf-8")))
    for info in pkgutil.walk_packages(mf.__path__, "minifloat."):
        needs_torch = info.name.startswith("minifloat.interop.")
        if needs_torch and importlib.util.find_spec("torch") is None:
            continue
        if "_kernels" not in info.name and not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for test in doctest.DocTestFinder().find(module, info.name):
                yield test.name, code(test.examples)


def code(found: list[doctest.Example]) -> str:
    """Return examples as one program."""
    return "".join(example.source for example in found)


def mistakes() -> set[int]:
    """Return the lines of the project that must be reported."""
    lines = (PROJECT / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}
    assert len(marked) > 80
    return marked


@pytest.fixture(scope="module")
def mypy(request: pytest.FixtureRequest, project: Path) -> list[tuple[str, int, str]]:
    """Return the errors that mypy reports: file, line, message."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install -e .[dev]")
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("mypy")  # a second run is quick
    output = report([sys.executable, "-m", "mypy", f"--cache-dir={cache}", "."], project)
    found = re.findall(r"^([\w/\\]+\.py):(\d+): error: (.*)$", output, re.MULTILINE)
    return [(file, int(line), message) for file, line, message in found]


def test_mypy_knows_every_type_that_a_project_uses(mypy: list[tuple[str, int, str]]) -> None:
    assert [error for error in mypy if error[0] == "uses.py"] == []


def test_mypy_reports_every_mistake_and_nothing_else(mypy: list[tuple[str, int, str]]) -> None:
    assert {line for file, line, _ in mypy if file == "mistakes.py"} == mistakes()


def test_mypy_accepts_the_examples_of_pages_and_docstrings(
    project: Path, mypy: list[tuple[str, int, str]]
) -> None:
    assert len(list(project.glob("examples/*.py"))) > 100
    found = [error for error in mypy if error[0].startswith("examples")]
    assert found == [], found


@pytest.fixture(scope="module")
def pyright(project: Path) -> dict[str, set[int]]:
    """Return the lines of errors that pyright reports on the project, by file."""
    if (command := shutil.which("pyright")) is None:
        pytest.skip("pyright is not installed: pip install pyright")
    output = report([command, "--outputjson", "--pythonpath", sys.executable], project)
    errors: dict[str, set[int]] = {"uses.py": set(), "mistakes.py": set()}
    for found in json.loads(output)["generalDiagnostics"]:
        if found["severity"] == "error":
            errors[Path(found["file"]).name].add(found["range"]["start"]["line"] + 1)
    return errors


def test_pyright_knows_every_type_that_a_project_uses(pyright: dict[str, set[int]]) -> None:
    assert pyright["uses.py"] == set()


def test_pyright_reports_every_mistake_and_nothing_else(pyright: dict[str, set[int]]) -> None:
    assert pyright["mistakes.py"] == mistakes()


def is_of(value: object, kind: Any) -> bool:
    """Return whether a value is of a type as annotations write it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if isinstance(kind, UnionType) or origin is typing.Union:
        return any(is_of(value, one) for one in arguments)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and is_of(value.dtype, arguments[1])
    if origin is np.dtype:
        scalar = get_origin(arguments[0]) or arguments[0]
        return isinstance(value, np.dtype) and (scalar is Any or issubclass(value.type, scalar))
    if origin in (tuple, list):
        return isinstance(value, origin) and all(is_of(one, arguments[0]) for one in value)
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return isinstance(value, dict) and value.keys() == hints.keys()
    return isinstance(value, origin or kind)


def test_values_are_of_the_types_that_type_checkers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def assert_type(value: object, kind: Any) -> None:
        nonlocal compared
        compared += 1
        assert is_of(value, kind), (value, kind)

    monkeypatch.setattr(typing, "assert_type", assert_type)
    for name, function in runpy.run_path(str(PROJECT / "uses.py")).items():
        if name.startswith("use_"):
            function()
    assert compared > 130
    assert not is_of(np.zeros(2, np.float32), mft.Codes)
    assert not is_of(np.float32(2), float)
    assert not is_of(None, int | str)


def test_the_project_uses_every_public_name() -> None:
    text = (PROJECT / "uses.py").read_text(encoding="utf-8")
    packages = {"mf": mf, "hardware": hardware, "registers": registers, "testing": testing}
    names = [f"{short}.{name}" for short, package in packages.items() for name in package.__all__]
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)] == []
    assert [name for name in mft.__all__ if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (literals.FormatName, mf.Format),
        (literals.IntegerName, mf.Integer),
        (literals.CodebookName, mf.Codebook),
    ],
)
def test_each_name_of_the_catalogue_is_known_to_type_checkers(
    names: Any, kind: type[mf.NumberFormat]
) -> None:
    known = [name for name in [*mf.CATALOGUE, *mf.ALIASES] if isinstance(mf.parse(name), kind)]
    assert sorted(get_args(names)) == sorted(known)


def strings_of(kind: Any) -> Iterator[str]:
    """Yield the strings of the Literals in a type."""
    for one in get_args(kind):
        yield from get_args(one) if get_origin(one) is Literal else ()


@pytest.mark.parametrize(
    ("kind", "alias", "others"),
    [
        (mf.Rounding, mft.RoundingLike, {"stochastic_a"}),
        (mf.Overflow, mft.OverflowLike, set()),
        (mf.NaNPolicy, mft.NaNPolicyLike, set()),
        (mf.Specials, mft.SpecialsLike, set()),
        (mf.ScaleRounding, mft.ScaleRoundingLike, set()),
        (mf.ScaleSearch, mft.ScaleSearchLike, set()),
    ],
)
def test_the_strings_of_an_option_are_those_of_its_enumeration(
    kind: type[StrEnum], alias: Any, others: set[str]
) -> None:
    assert kind in get_args(alias)
    assert set(strings_of(alias)) == {*map(str, kind), *others}
    assert all(isinstance(kind(text), kind) for text in others)


def test_the_typed_dicts_have_the_arguments_of_their_functions() -> None:
    def keywords(function: Callable[..., object]) -> set[str]:
        code = function.__code__
        first = code.co_argcount
        return set(code.co_varnames[first : first + code.co_kwonlyargcount])

    fields = mft.RecipeFields.__annotations__.keys()
    assert mft.EncodeOptions.__annotations__.keys() == keywords(mf.encode) - {"out"}
    assert keywords(mf.encode) - {"out"} == keywords(mf.round_to) - {"out", "dtype"}
    assert fields == keywords(mf.Recipe.__init__) | {"fmt"}
    assert mft.SearchOptions.__annotations__.keys() == keywords(mf.quantize) | fields - {"fmt"}


def test_a_checker_finds_each_public_name_of_the_lazy_package() -> None:
    """Each is imported for checkers from where it is loaded from."""
    source = (ROOT / "minifloat" / "__init__.py").read_text(encoding="utf-8")
    block = source.partition("if TYPE_CHECKING:")[2].partition("\n__all__")[0]
    seen = dict[str, str]()
    for module, names in re.findall(r"from minifloat\.([\w.]+) import ([\w, ]+)", block):
        seen |= dict.fromkeys((name.strip() for name in names.split(",")), module)
    assert seen == mf._HOME
    assert set(mf.__all__) == set(mf._HOME)
