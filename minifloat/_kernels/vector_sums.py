"""Sums of sixteen terms in float64, each one operation on vectors where it is compiled.

Terms are added by halves: those at distance 8 first, then 4, 2 and 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import instruction

Array = NDArray[Any]

LANES = 16


def _define_dot() -> Any:
    from numba import types

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = (_wide(context, builder, signature, args, k) for k in (0, 1))
        return _added_by_halves(builder, builder.fmul(x, y))

    return lanes.operation(lambda _, x, y, at: (types.float64(x, y, types.intp), build))


def _define_squared_error() -> Any:
    from numba import types

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, values = (_wide(context, builder, signature, args, k) for k in (0, 1))
        rest = builder.fsub(x, builder.fmul(values, lanes.splat(builder, args[2])))
        return _added_by_halves(builder, builder.fmul(rest, rest))

    return lanes.operation(
        lambda _, x, values, step, at: (
            types.float64(x, values, types.float64, types.intp), build,
        )
    )  # fmt: skip


def _wide(context: Any, builder: Any, signature: Any, args: Any, k: int) -> Any:
    """Return sixteen float32 numbers of an argument in float64; the last one is their place."""
    from minifloat._kernels import lanes

    single, double = lanes.lanes_of(lanes.FLOAT), lanes.lanes_of(lanes.DOUBLE)
    where = lanes.address_of(context, builder, signature.args[k], args[k], args[-1], single)
    return builder.fpext(builder.load(where, align=4), double)


def _added_by_halves(builder: Any, terms: Any) -> Any:
    from minifloat._kernels import lanes

    half = LANES
    while half > 1:
        half //= 2
        low, high = (
            builder.shuffle_vector(
                terms, terms, lanes.constants(lanes.I32, list(range(start, start + half)))
            )
            for start in (0, half)
        )
        terms = builder.fadd(low, high)
    return builder.extract_element(terms, lanes.I32(0))


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
