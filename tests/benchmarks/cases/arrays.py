"""Operations in a format, arrays that compute in theirs, and pychop on NumPy's results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import minifloat as mf
from minifloat import arithmetic
from tests.benchmarks.cases.case import Case, Inputs, Thunk

SIZE = 1_000_000
FIELDS = {"bfloat16": (8, 7), "float16": (5, 10)}  # exponent and mantissa bits


def computed(fmt: str, function: Callable[[Any, Any], Any]) -> Callable[[Inputs], Thunk]:
    """Compute with two arrays of a format."""

    def prepare(inputs: Inputs) -> Thunk:
        x = arithmetic.array(inputs.x64, fmt)
        y = x[::-1].copy()
        return lambda: function(x, y)

    return prepare


def operated(fmt: str, name: str) -> Callable[[Inputs], Thunk]:
    """Compute one of the operations in a format, of float32 arrays."""

    def prepare(inputs: Inputs) -> Thunk:
        x = mf.round_to(inputs.x, fmt)
        operation, y = getattr(arithmetic, name), x[::-1].copy()
        return lambda: operation(x, y, fmt)

    return prepare


def rounded_singles(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round float32 normals to a new array."""
    return lambda inputs: lambda: mf.round_to(inputs.x, fmt)


def rounded(fmt: str) -> Callable[[Inputs], Thunk]:
    """Round float64 normals to a new array."""
    return lambda inputs: lambda: mf.round_to(inputs.x64, fmt)


def chopped(fmt: str, function: Callable[[Any, Any], Any]) -> Callable[[Inputs], Thunk]:
    """Compute with NumPy, and round the result with pychop."""

    def prepare(inputs: Inputs) -> Thunk:
        chop = import_module("pychop").Chop(*FIELDS[fmt])
        x = mf.round_to(inputs.x64, fmt)
        y = x[::-1].copy()
        return lambda: chop(function(x, y))

    return prepare


def array_cases() -> Iterator[Case]:
    """Operations on arrays of a format, over one rounding and over pychop's."""
    for fmt in ("e4m3fn", "bfloat16"):
        for name in ("add", "multiply", "divide"):
            yield Case(
                f"{name} / round_to", fmt, None, operated(fmt, name), rounded_singles(fmt),
                own_size=SIZE,
            )  # fmt: skip
        for name, function in (("x + y", np.add), ("x * y", np.multiply), ("x / y", np.divide)):
            yield Case(
                f"array {name} / round_to", fmt, None, computed(fmt, function), rounded(fmt),
                own_size=SIZE,
            )  # fmt: skip
    if find_spec("pychop"):
        for fmt in FIELDS:
            yield Case(
                "array x + y / pychop", fmt, 5.0, computed(fmt, np.add), chopped(fmt, np.add),
                own_size=SIZE,
            )  # fmt: skip
