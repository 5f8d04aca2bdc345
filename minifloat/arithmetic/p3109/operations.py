"""P3109's operations by their names, and what is special about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations.algebraic import KERNELS
from minifloat.arithmetic.operations.functions import FUNCTIONS
from minifloat.arithmetic.operations.results import (
    Fmt,
    Numbers,
    Operands,
    Options,
    checked_format,
    function_results,
    kernel_results,
)
from minifloat.arithmetic.operations.selections import SELECTIONS
from minifloat.arithmetic.p3109.projections import Projection, options_of
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown

Array = NDArray[Any]
Change = Callable[[Array], Array]

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


def compute(name: str, *operands: Numbers, fmt: Fmt, **projection: Unpack[Projection]) -> Any:
    """Compute an operation of P3109 on values.

    Parameters
    ----------
    name : str
        One of `OPERATIONS`, such as ``"Add"``.
    *operands : array_like
        One, two or three arrays of numbers that broadcast, as for `minifloat.arithmetic.add`.
    fmt : format or str
        The format of the result; P3109's are ``binary8p3se`` and so on.
    **projection
        ``rounding`` and ``saturation``, and options of `minifloat.round_to`; see `Projection`.

    Returns
    -------
    ndarray, NumPy scalar or tensor
        Values of ``fmt``, as `minifloat.arithmetic.add` returns them.

    Raises
    ------
    ValueError
        If there is no such operation or mode, the number of operands is not its own, or as
        `minifloat.arithmetic.add`. In a format without NaN a result of NaN is one.

    Examples
    --------
    >>> from minifloat.arithmetic import p3109
    >>> p3109.compute("Divide", [1, 1, -8], [3, 0, 3], fmt="binary8p4se")
    array([ 0.34375,      nan, -2.75   ])
    >>> p3109.compute("Exp", 100, fmt="binary8p4sf", saturation="SatFinite")
    np.float64(240.0)
    """
    check_name(name, len(operands))
    fmt = checked_format(fmt)
    options = options_of(projection)
    given = Operands.of(*operands)
    results = results_of(name, given.arrays, fmt, options)
    return given.rounded(results, fmt, options)


def check_name(name: str, count: int) -> None:
    """Raise unless an operation has this name and so many operands."""
    if name not in OPERATIONS:
        raise ValueError(f"name must be one of {', '.join(OPERATIONS)}, got {shown(name)}")
    arity = 3 if name in TERNARY else 2 if name in BINARY else 1
    if count != arity:
        raise ValueError(f"operands must be {arity} for {name}, got {count}")


def results_of(
    name: str,
    operands: Sequence[Array],
    fmt: NumberFormat,
    options: Options,
    change: Change = lambda results: results,
) -> Array:
    """Return an operation's results, to be rounded: on their exact values' side of all decisions.

    ``change`` is what they undergo before that.
    """
    with np.errstate(all="ignore"):
        x = [operand + 0.0 for operand in operands]  # without -0
        own = OPERATIONS[name]
        if own in FUNCTIONS:
            results = function_results(FUNCTIONS[own], x, fmt, options, change)
        elif own in KERNELS:
            operation = KERNELS[own]
            terms = operation.terms(*x)
            kernel = getattr(kernels, operation.name)
            results = kernel_results(kernel, operation.exact, terms, fmt, options)
        else:
            results = SELECTIONS[own](*x).astype(np.float64, copy=False)
        if name in NAN_WHERE:
            results = np.where(NAN_WHERE[name](*x), np.nan, results)
        return change(results + 0.0)
