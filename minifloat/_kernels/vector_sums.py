"""Sums of sixteen terms in float64, each one operation on vectors where it is compiled.

Terms are added by halves: those at distance 8 first, then 4, 2 and 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import instruction

Array = NDArray[Any]

LANES = 16


def _define(terms: Callable[..., Any], operation: Callable[..., Any]) -> Any:
    """Return an operation that adds up ``terms`` of two arrays, and of a number, if it has one.

    ``operation`` makes it of what its types are called by, and of the function that builds it.
    """
    from llvmlite import ir

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        single, double = (ir.VectorType(kind(), LANES) for kind in (ir.FloatType, ir.DoubleType))
        *numbers, at = args[2:]
        wide = []
        for kind, array in zip(signature.args, args[:2], strict=False):
            where = lanes.address_of(context, builder, kind, array, at, single)
            wide.append(builder.fpext(builder.load(where, align=4), double))
        total = terms(builder, *wide, *(lanes.splat(builder, number) for number in numbers))
        half = LANES
        while half > 1:
            half //= 2
            low, high = (
                lanes.constants(lanes.I32, list(range(start, start + half))) for start in (0, half)
            )
            total = builder.fadd(
                builder.shuffle_vector(total, total, low),
                builder.shuffle_vector(total, total, high),
            )
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return lanes.operation(operation(build))


def _define_dot() -> Any:
    from numba import types

    def terms(builder: Any, x: Any, y: Any) -> Any:
        return builder.fmul(x, y)

    return _define(
        terms,
        lambda build: lambda _, x, y, at: (types.float64(x, y, types.intp), build),
    )


def _define_squared_error() -> Any:
    from numba import types

    def terms(builder: Any, x: Any, values: Any, step: Any) -> Any:
        rest = builder.fsub(x, builder.fmul(values, step))
        return builder.fmul(rest, rest)

    return _define(
        terms,
        lambda build: (
            lambda _, x, values, step, at: (
                types.float64(x, values, types.float64, types.intp),
                build,
            )
        ),
    )


@instruction(_define_dot)
def dot(x: Array, y: Array, at: int) -> float:
    """Return the sum of the products of sixteen float32 numbers from a place on."""
    terms = np.zeros(LANES)
    for k in range(LANES):
        terms[k] = np.float64(x[at + k]) * np.float64(y[at + k])
    return _by_halves(terms)


@instruction(_define_squared_error)
def squared_error(x: Array, values: Array, step: float, at: int) -> float:
    """Return the sum of squares of sixteen float32 numbers minus values times a step."""
    terms = np.zeros(LANES)
    for k in range(LANES):
        rest = np.float64(x[at + k]) - np.float64(values[at + k]) * step
        terms[k] = rest * rest
    return _by_halves(terms)


def _by_halves(terms: Array) -> float:
    half = LANES
    while half > 1:
        half //= 2
        for k in range(half):
            terms[k] += terms[k + half]
    return float(terms[0])
