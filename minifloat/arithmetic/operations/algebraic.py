"""Sums, products, quotients and square roots: each result is the exact one, rounded once.

Operands are numbers of any formats, and the result is an array of values of ``fmt``. Rounding,
overflow, NaN and random bits are those of `minifloat.round_to`. Infinities, NaN and zeros follow
IEEE 754-2019: x / 0 is infinite, 0 / 0 and the square root of -1 are NaN, and an exact sum of 0 is
-0 if it is rounded downward. NaN in a format without NaN follows ``nan``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations import functions
from minifloat.arithmetic.operations.results import (
    Fmt,
    Numbers,
    Operands,
    Options,
    checked_format,
    kernel_results,
)
from minifloat.arithmetic.operations.singles import Operation, rounded_singles


def add(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a + b.

    Parameters
    ----------
    a, b : array_like of float16, bfloat16, float32, float64 or integers up to 2**53
        Numbers of any format, of shapes that broadcast; tensors too.
    fmt : format or str
        The format of the result. Its values are between 2**-1040 and 1.99 * 2**1023, so that
        float64 holds what is needed on the way; codebooks have no limit.
    **options
        ``rounding``, ``overflow``, ``nan``, ``seed``, ``random``, ``random_bits``, ``threads`` and
        ``dtype``, as for `minifloat.round_to`. The default ``dtype`` is the narrowest float that
        holds the operands; Python's own numbers count only where there are no others.

    Returns
    -------
    ndarray of ``dtype``, of the broadcast shape
        Values of ``fmt``. A NumPy scalar for scalars, a tensor if an operand is one.

    Raises
    ------
    TypeError, ValueError
        As `minifloat.round_to`; if the shapes do not broadcast, or ``fmt`` is too wide.

    Examples
    --------
    >>> from minifloat import arithmetic
    >>> arithmetic.add([1, 2, 3.5], 0.3, "e4m3fn")
    array([1.25, 2.25, 3.75])
    >>> arithmetic.add(16, 1.5, "e4m3fn", rounding="toward_zero")
    np.float64(16.0)
    """
    return _computed("add", Operands.of(a, b), fmt, options)


def subtract(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b; arguments as for `add`. x - x is 0, -0 if rounded downward; inf - inf NaN."""
    return _computed("subtract", Operands.of(a, b), fmt, options)


def multiply(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b; arguments as for `add`. NaN for 0 inf; 0 has the sign of the product.

    >>> from minifloat import arithmetic
    >>> arithmetic.multiply(1.125, 1.125, "e4m3fn", rounding="upward")
    np.float64(1.375)
    """
    return _computed("multiply", Operands.of(a, b), fmt, options)


def divide(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a / b; arguments as for `add`. x / 0 is infinite; 0 / 0 and inf / inf are NaN."""
    return _computed("divide", Operands.of(a, b), fmt, options)


def reciprocal(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return 1 / a; arguments as for `add`. Infinite at 0, with its sign; 0 at infinity."""
    return _computed("reciprocal", Operands.of(a), fmt, options)


def square(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a a; arguments as for `add`. 0 for -0, inf for -inf."""
    return multiply(a, a, fmt, **options)


def fma(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b + c, rounded once; arguments as for `add`. NaN for 0 inf, whatever c is.

    >>> from minifloat import arithmetic
    >>> x = arithmetic.multiply(15, 15, "e4m3fn")
    >>> x, arithmetic.subtract(x, 224, "e4m3fn"), arithmetic.fma(15, 15, -224, "e4m3fn")
    (np.float64(224.0), np.float64(0.0), np.float64(1.0))
    """
    return _computed("fma", Operands.of(a, b, c), fmt, options)


def faa(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a + b + c, rounded once (P3109's fused add-add); NaN if two are inf and -inf.

    Arguments are as for `add`. A sum of 0 is 0, and -0 if rounded downward or all three are -0.
    """
    return _computed("faa", Operands.of(a, b, c), fmt, options)


def sqrt(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the square root of a; arguments as for `add`. NaN below 0, -0 at -0, inf at inf."""
    return _computed("sqrt", Operands.of(a), fmt, options)


def _computed(name: str, operands: Operands, fmt: Fmt, options: Options) -> Any:
    """Return the results of a kernel, rounded."""
    fmt = checked_format(fmt)
    operation = KERNELS[name]
    rounded = rounded_singles(operation, operands, fmt, options)
    if rounded is not None:
        return rounded
    terms = operation.terms(*operands.arrays)
    kernel = operation.loop(kernels, options)
    results = kernel_results(kernel, operation.exact, terms, fmt, options)
    return operands.rounded(results, fmt, options)


KERNELS: Mapping[str, Operation] = {
    "add": Operation("add", functions.ADD, negates=(0, 1)),
    "subtract": Operation("add", functions.ADD, lambda x, y: [x, -y], negates=(0, 1)),
    "multiply": Operation("multiply", functions.MULTIPLY),
    "divide": Operation("divide", functions.DIVIDE),
    "reciprocal": Operation("divide", functions.DIVIDE, lambda x: [np.ones_like(x), x]),
    "fma": Operation("fma", functions.FMA, negates=(0, 2)),
    "faa": Operation("add_three", functions.ADD_THREE, negates=(0, 1, 2)),
    "sqrt": Operation("sqrt", functions.SQRT),
}
