"""Operations in a format: each result is the exact one, rounded once.

Operands are numbers of any formats, and the result is an array of values of ``fmt``. Rounding,
overflow, NaN and random bits are those of `minifloat.round_to`. Infinities, NaN and zeros follow
IEEE 754-2019: x / 0 is infinite, 0 / 0 and the square root of -1 are NaN, and an exact sum of 0 is
-0 if it is rounded downward. NaN in a format without NaN follows ``nan``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import operations as kernels
from minifloat.arithmetic import functions
from minifloat.arithmetic.results import (
    Fmt,
    Numbers,
    Operands,
    Options,
    checked_format,
    kernel_results,
)
from minifloat.arithmetic.singles import Operation, rounded_singles

Array = NDArray[Any]


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
    """Return a - b; arguments as for `add`."""
    return _computed("subtract", Operands.of(a, b), fmt, options)


def multiply(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b; arguments as for `add`.

    >>> from minifloat import arithmetic
    >>> arithmetic.multiply(1.125, 1.125, "e4m3fn", rounding="upward")
    np.float64(1.375)
    """
    return _computed("multiply", Operands.of(a, b), fmt, options)


def divide(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a / b; arguments as for `add`."""
    return _computed("divide", Operands.of(a, b), fmt, options)


def reciprocal(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return 1 / a; arguments as for `add`."""
    return _computed("reciprocal", Operands.of(a), fmt, options)


def square(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a a; arguments as for `add`."""
    return multiply(a, a, fmt, **options)


def fma(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a b + c, rounded once; arguments as for `add`.

    >>> from minifloat import arithmetic
    >>> x = arithmetic.multiply(15, 15, "e4m3fn")
    >>> x, arithmetic.subtract(x, 224, "e4m3fn"), arithmetic.fma(15, 15, -224, "e4m3fn")
    (np.float64(224.0), np.float64(0.0), np.float64(1.0))
    """
    return _computed("fma", Operands.of(a, b, c), fmt, options)


def faa(a: Numbers, b: Numbers, c: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a + b + c, rounded once (P3109's fused add-add); arguments as for `add`."""
    return _computed("faa", Operands.of(a, b, c), fmt, options)


def sqrt(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the square root of a; arguments as for `add`. It is NaN below 0, and -0 at -0."""
    return _computed("sqrt", Operands.of(a), fmt, options)


def fmod(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a - b n, with the sign of a, where n is a / b cut to an integer.

    Arguments are as for `add`. NaN if ``a`` is infinite or ``b`` is 0.
    """
    return _selected("fmod", Operands.of(a, b), fmt, options)


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
    return _selected("ieee_remainder", Operands.of(a, b), fmt, options)


def negative(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return -a, rounded to the format; arguments as for `add`."""
    return _selected("negative", Operands.of(a), fmt, options)


def absolute(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the magnitude of a, rounded to the format; arguments as for `add`."""
    return _selected("absolute", Operands.of(a), fmt, options)


def copysign(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a with the sign of b, rounded to the format; arguments as for `add`."""
    return _selected("copysign", Operands.of(a, b), fmt, options)


def sign(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return -1, 0 or 1, as `numpy.sign`; arguments as for `add`."""
    return _selected("sign", Operands.of(a), fmt, options)


def minimum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser of a and b, NaN if one is NaN (IEEE 754's minimum).

    Arguments are as for `add`. -0 is less than 0.
    """
    return _selected("minimum", Operands.of(a, b), fmt, options)


def maximum(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater of a and b, NaN if one is NaN (IEEE 754's maximum).

    Arguments are as for `add`. 0 is greater than -0.
    """
    return _selected("maximum", Operands.of(a, b), fmt, options)


def fmin(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser of a and b; a number before NaN (IEEE 754's minimumNumber)."""
    return _selected("fmin", Operands.of(a, b), fmt, options)


def fmax(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater of a and b; a number before NaN (IEEE 754's maximumNumber)."""
    return _selected("fmax", Operands.of(a, b), fmt, options)


def minimum_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the smaller magnitude, of equal ones the lesser; NaN if one is NaN."""
    return _selected("minimum_magnitude", Operands.of(a, b), fmt, options)


def maximum_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the larger magnitude, of equal ones the greater; NaN if one is NaN."""
    return _selected("maximum_magnitude", Operands.of(a, b), fmt, options)


def fmin_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the smaller magnitude; a number before NaN."""
    return _selected("fmin_magnitude", Operands.of(a, b), fmt, options)


def fmax_magnitude(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the one with the larger magnitude; a number before NaN."""
    return _selected("fmax_magnitude", Operands.of(a, b), fmt, options)


def minimum_finite(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the lesser; a finite number before an infinity before NaN (P3109)."""
    return _selected("minimum_finite", Operands.of(a, b), fmt, options)


def maximum_finite(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the greater; a finite number before an infinity before NaN (P3109)."""
    return _selected("maximum_finite", Operands.of(a, b), fmt, options)


def clip(a: Numbers, low: Numbers, high: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a, or the end of ``low`` .. ``high`` that it is beyond; arguments as for `add`.

    NaN if one of the three is NaN, or ``low`` is above ``high`` (P3109's Clamp).
    """
    return _selected("clip", Operands.of(a, low, high), fmt, options)


def _least(x: Array, y: Array) -> Array:
    lesser = np.minimum(x, y)
    return np.where((x == y) & np.signbit(x), x, lesser)


def _greatest(x: Array, y: Array) -> Array:
    greater = np.maximum(x, y)
    return np.where((x == y) & ~np.signbit(x), x, greater)


def _smaller(x: Array, y: Array) -> Array:
    first, second = abs(x), abs(y)
    return np.where(first < second, x, np.where(first > second, y, _least(x, y)))


def _larger(x: Array, y: Array) -> Array:
    first, second = abs(x), abs(y)
    return np.where(first > second, x, np.where(first < second, y, _greatest(x, y)))


def _nearest_rest(x: Array, y: Array) -> Array:
    """Return IEEE 754's remainder. Where a difference decides, it is exact."""
    size = abs(y)
    rest = np.fmod(abs(x), size)
    is_odd = np.where(np.isfinite(2 * size), np.fmod(abs(x), 2 * size) != rest, abs(x) >= size)
    other = size - rest
    rest = np.where((rest > other) | (rest == other) & is_odd, -other, rest)
    return np.asarray(np.copysign(1, x) * rest)


def _clipped(x: Array, low: Array, high: Array) -> Array:
    return np.where(low > high, np.nan, _least(_greatest(x, low), high))


Choice = Callable[[Array, Array], Array]


def _number_first(choose: Choice) -> Choice:
    return lambda x, y: np.where(np.isnan(x), y, np.where(np.isnan(y), x, choose(x, y)))


def _finite_first(choose: Choice) -> Choice:
    def chosen(x: Array, y: Array) -> Array:
        only = np.isfinite(x) != np.isfinite(y)
        return np.where(only, np.where(np.isfinite(x), x, y), _number_first(choose)(x, y))

    return chosen


def _selected(name: str, operands: Operands, fmt: Fmt, options: Options) -> Any:
    """Return the results of a function that is exact in floats."""
    with np.errstate(all="ignore"):
        results = SELECTIONS[name](*operands.arrays)
    return operands.rounded(results, fmt, options)


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

SELECTIONS: Mapping[str, Callable[..., Array]] = {
    "positive": np.positive,
    "negative": np.negative,
    "absolute": np.absolute,
    "copysign": np.copysign,
    "sign": np.sign,
    "fmod": np.fmod,
    "ieee_remainder": _nearest_rest,
    "minimum": _least,
    "maximum": _greatest,
    "fmin": _number_first(_least),
    "fmax": _number_first(_greatest),
    "minimum_magnitude": _smaller,
    "maximum_magnitude": _larger,
    "fmin_magnitude": _number_first(_smaller),
    "fmax_magnitude": _number_first(_larger),
    "minimum_finite": _finite_first(_least),
    "maximum_finite": _finite_first(_greatest),
    "clip": _clipped,
}
"""Functions that are exact in floats."""
