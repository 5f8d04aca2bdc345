"""Elementary functions in a format: each result is the exact one, rounded once.

Arguments, options and results are as for `minifloat.arithmetic.add`. Nearly all results are
decided by float64, the others by fractions (`functions`). Special values are IEEE 754-2019's, as
NumPy has them.
"""

from __future__ import annotations

from typing import Any, Unpack

from minifloat.arithmetic.operations.functions import FUNCTIONS
from minifloat.arithmetic.operations.results import (
    Fmt,
    Numbers,
    Operands,
    Options,
    checked_format,
    function_results,
)


def _computed(name: str, operands: Operands, fmt: Fmt, options: Options) -> Any:
    fmt = checked_format(fmt)
    results = function_results(FUNCTIONS[name], operands.arrays, fmt, options)
    return operands.rounded(results, fmt, options)


def exp(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return e to the power of a. 0 at -inf; it overflows as any result.

    >>> from minifloat import arithmetic
    >>> arithmetic.exp([0, 1, 2, 10], "e4m3fn")
    array([  1.  ,   2.75,   7.5 , 448.  ])
    """
    return _computed("exp", Operands.of(a), fmt, options)


def exp2(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return 2 to the power of a. 0 at -inf."""
    return _computed("exp2", Operands.of(a), fmt, options)


def expm1(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return e to the power of a, less 1. -1 at -inf, -0 at -0."""
    return _computed("expm1", Operands.of(a), fmt, options)


def log(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the natural logarithm of a. -inf at 0, NaN below."""
    return _computed("log", Operands.of(a), fmt, options)


def log2(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the logarithm of a to base 2. -inf at 0, NaN below."""
    return _computed("log2", Operands.of(a), fmt, options)


def log10(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the logarithm of a to base 10. -inf at 0, NaN below."""
    return _computed("log10", Operands.of(a), fmt, options)


def log1p(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the natural logarithm of 1 + a. -inf at -1, NaN below, -0 at -0."""
    return _computed("log1p", Operands.of(a), fmt, options)


def sigmoid(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return 1 / (1 + exp(-a)). 0 at -inf, 1 at inf."""
    return _computed("sigmoid", Operands.of(a), fmt, options)


def softplus(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the natural logarithm of 1 + exp(a). 0 at -inf, inf at inf."""
    return _computed("softplus", Operands.of(a), fmt, options)


def sinh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the hyperbolic sine. -0 at -0, infinite at infinities."""
    return _computed("sinh", Operands.of(a), fmt, options)


def cosh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the hyperbolic cosine. inf at both infinities."""
    return _computed("cosh", Operands.of(a), fmt, options)


def tanh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the hyperbolic tangent. -1 and 1 at infinities, and less than that before; -0 at -0.

    >>> from minifloat import arithmetic
    >>> arithmetic.tanh([0.5, 20], "e4m3fn", rounding="toward_zero")  # tanh(20) is less than 1
    array([0.4375, 0.9375])
    """
    return _computed("tanh", Operands.of(a), fmt, options)


def arcsinh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse hyperbolic sine. -0 at -0, infinite at infinities."""
    return _computed("arcsinh", Operands.of(a), fmt, options)


def arccosh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse hyperbolic cosine. 0 at 1, NaN below."""
    return _computed("arccosh", Operands.of(a), fmt, options)


def arctanh(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse hyperbolic tangent. Infinite at -1 and 1, NaN beyond."""
    return _computed("arctanh", Operands.of(a), fmt, options)


def sin(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the sine of an angle in radians. NaN if it is infinite, -0 at -0."""
    return _computed("sin", Operands.of(a), fmt, options)


def cos(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the cosine of an angle in radians. NaN if it is infinite."""
    return _computed("cos", Operands.of(a), fmt, options)


def tan(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the tangent of an angle in radians. NaN if it is infinite, -0 at -0."""
    return _computed("tan", Operands.of(a), fmt, options)


def arcsin(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse sine, -pi/2 to pi/2. NaN beyond -1 and 1, -0 at -0."""
    return _computed("arcsin", Operands.of(a), fmt, options)


def arccos(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse cosine, 0 to pi. 0 at 1, NaN beyond -1 and 1."""
    return _computed("arccos", Operands.of(a), fmt, options)


def arctan(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse tangent. -pi/2 and pi/2 at infinities, -0 at -0."""
    return _computed("arctan", Operands.of(a), fmt, options)


def sinpi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the sine of pi a. 0 with the sign of a at integers; NaN at infinities."""
    return _computed("sinpi", Operands.of(a), fmt, options)


def cospi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the cosine of pi a. 0 at integers and a half; NaN at infinities."""
    return _computed("cospi", Operands.of(a), fmt, options)


def tanpi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the tangent of pi a. Infinite at integers and a half; NaN at infinities."""
    return _computed("tanpi", Operands.of(a), fmt, options)


def arcsinpi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse sine, divided by pi. NaN beyond -1 and 1."""
    return _computed("arcsinpi", Operands.of(a), fmt, options)


def arccospi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse cosine, divided by pi. NaN beyond -1 and 1."""
    return _computed("arccospi", Operands.of(a), fmt, options)


def arctanpi(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the inverse tangent, divided by pi. -1/2 and 1/2 at infinities."""
    return _computed("arctanpi", Operands.of(a), fmt, options)


def rsqrt(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return 1 / sqrt(a). Infinite at 0, with its sign; NaN below; 0 at inf."""
    return _computed("rsqrt", Operands.of(a), fmt, options)


def cbrt(a: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the cube root of a. -0 at -0, infinite at infinities."""
    return _computed("cbrt", Operands.of(a), fmt, options)


def hypot(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the square root of a**2 + b**2. Infinite if an operand is, even beside NaN."""
    return _computed("hypot", Operands.of(a, b), fmt, options)


def power(a: Numbers, b: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return a to the power of b. 1 for b = 0 and for a = 1, also beside NaN.

    Special values are those of IEEE 754's pow: NaN for a < 0 if b is no integer, infinite for a = 0
    and b < 0.
    """
    return _computed("power", Operands.of(a, b), fmt, options)


def arctan2(y: Numbers, x: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the angle of the point (x, y), -pi to pi. Signs of 0 count: pi at y = 0, x = -0.

    Special values are those of IEEE 754's atan2: multiples of pi/4 where both are infinite.
    """
    return _computed("arctan2", Operands.of(y, x), fmt, options)


def arctan2pi(y: Numbers, x: Numbers, fmt: Fmt, **options: Unpack[Options]) -> Any:
    """Return the angle of the point (x, y), divided by pi; otherwise as `arctan2`."""
    return _computed("arctan2pi", Operands.of(y, x), fmt, options)
