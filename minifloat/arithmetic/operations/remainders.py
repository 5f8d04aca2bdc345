"""Remainders of divisions, each rounded once; arguments and options are as for `add`.

The remainder of two float64 numbers is a float64 number, but where the divisor is added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

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

Array = NDArray[Any]


def fmod(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b n, with the sign of a, where n is a / b cut to an integer.

    Arguments are as for `add`. NaN if ``a`` is infinite or ``b`` is 0.
    """
    return _of_floats(np.fmod, Operands.of(a, b), fmt, options)


def remainder(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b floor(a / b), with the sign of b, as `numpy.remainder` and Python's ``%``.

    Arguments are as for `add`. NaN if ``a`` is infinite or ``b`` is 0.

    >>> from minifloat import arithmetic
    >>> arithmetic.remainder([7, -7], 4, "e2m1"), arithmetic.fmod([7, -7], 4, "e2m1")
    (array([3., 1.]), array([ 3., -3.]))
    """
    operands = Operands.of(a, b)
    with np.errstate(all="ignore"):
        x, y = (operand.astype(np.float64, copy=False) for operand in operands.arrays)
        rest = np.fmod(x, y)  # exact
        other_side = (rest != 0) & ((rest < 0) != (y < 0))
        rest = np.where(rest == 0, np.copysign(rest, y), rest)
        terms = [rest, np.where(other_side, y, -0.0)]
    fmt = checked_format(fmt)
    results = kernel_results(kernels.add, functions.ADD, terms, fmt, options)
    return operands.rounded(results, fmt, options)


def ieee_remainder(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b n, where n is a / b rounded to the nearest integer, ties to even.

    It is IEEE 754's remainder and Python's `math.remainder`, at most half of b. Arguments are as
    for `add`. NaN if ``a`` is infinite or ``b`` is 0; ``a`` if ``b`` is infinite. A result of 0 has
    the sign of a.

    >>> from minifloat import arithmetic
    >>> arithmetic.ieee_remainder([5, 6, 7, -7], 4, "e2m1")
    array([ 1., -2., -1.,  1.])
    """
    return _of_floats(_nearest_rest, Operands.of(a, b), fmt, options)


def _of_floats(
    compute: Callable[[Array, Array], Array], operands: Operands, fmt: Fmt, options: Options
) -> Any:
    """Return the results of a function that is exact in floats, rounded."""
    with np.errstate(all="ignore"):
        results = compute(*operands.arrays)
    return operands.rounded(results, fmt, options)


def _nearest_rest(x: Array, y: Array) -> Array:
    """Return IEEE 754's remainder. Where a difference decides, it is exact."""
    size = abs(y)
    rest = np.fmod(abs(x), size)
    is_odd = np.where(np.isfinite(2 * size), np.fmod(abs(x), 2 * size) != rest, abs(x) >= size)
    other = size - rest
    rest = np.where((rest > other) | (rest == other) & is_odd, -other, rest)
    return np.asarray(np.copysign(1, x) * rest)
