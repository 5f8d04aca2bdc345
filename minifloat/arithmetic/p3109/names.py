"""P3109's names of operations, and where their results are NaN beside IEEE 754's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minifloat.formats.base import shown

Array = NDArray[Any]
Entry = TypeVar("Entry")

OPERATIONS: Mapping[str, str] = {
    "Convert": "positive",
    "Abs": "absolute",
    "Negate": "negative",
    "CopySign": "copysign",
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Divide": "divide",
    "FMA": "fma",
    "FAA": "faa",
    "Sqrt": "sqrt",
    "Recip": "reciprocal",
    "RSqrt": "rsqrt",
    "Exp": "exp",
    "Exp2": "exp2",
    "Log": "log",
    "Log2": "log2",
    "LogOnePlus": "log1p",
    "ExpMinusOne": "expm1",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "ArcSin": "arcsin",
    "ArcCos": "arccos",
    "ArcTan": "arctan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Tanh": "tanh",
    "ArcSinh": "arcsinh",
    "ArcCosh": "arccosh",
    "ArcTanh": "arctanh",
    "SinPi": "sinpi",
    "CosPi": "cospi",
    "TanPi": "tanpi",
    "ArcSinPi": "arcsinpi",
    "ArcCosPi": "arccospi",
    "ArcTanPi": "arctanpi",
    "Softplus": "softplus",
    "Hypot": "hypot",
    "ArcTan2": "arctan2",
    "ArcTan2Pi": "arctan2pi",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "MinimumNumber": "fmin",
    "MaximumNumber": "fmax",
    "MinimumMagnitude": "minimum_magnitude",
    "MaximumMagnitude": "maximum_magnitude",
    "MinimumMagnitudeNumber": "fmin_magnitude",
    "MaximumMagnitudeNumber": "fmax_magnitude",
    "MinimumFinite": "minimum_finite",
    "MaximumFinite": "maximum_finite",
    "Clamp": "clip",
}
"""P3109's names, and those of the functions of `minifloat.arithmetic`."""

TERNARY = ("FMA", "FAA", "Clamp")
BINARY = (
    "CopySign", "Add", "Subtract", "Multiply", "Divide", "Hypot", "ArcTan2", "ArcTan2Pi",
    "Minimum", "Maximum", "MinimumNumber", "MaximumNumber", "MinimumMagnitude",
    "MaximumMagnitude", "MinimumMagnitudeNumber", "MaximumMagnitudeNumber", "MinimumFinite",
    "MaximumFinite",
)  # fmt: skip

Special = Callable[..., Array]
NAN_WHERE: Mapping[str, Special] = {  # beside what IEEE 754 has
    "Divide": lambda x, y: y == 0,
    "Recip": lambda x: x == 0,
    "RSqrt": lambda x: x <= 0,
    "Hypot": lambda x, y: np.isnan(x) | np.isnan(y),
    "CopySign": lambda x, y: np.isnan(x) | np.isnan(y),
    "ArcTan2": lambda y, x: (x == 0) & (y == 0) | np.isinf(x) & np.isinf(y),
    "ArcTan2Pi": lambda y, x: (x == 0) & (y == 0) | np.isinf(x) & np.isinf(y),
}


def named(argument: str, name: object, table: Mapping[str, Entry]) -> Entry:
    """Return the entry of a name, or raise if there is none."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{argument} must be one of {', '.join(table)}, got {shown(name)}")
    return table[name]


def check_name(name: str, count: int) -> None:
    """Raise unless an operation has this name and so many operands."""
    named("name", name, OPERATIONS)
    arity = 3 if name in TERNARY else 2 if name in BINARY else 1
    if count != arity:
        raise ValueError(f"operands must be {arity} for {name}, got {count}")
