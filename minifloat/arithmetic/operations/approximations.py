"""Elementary functions in float64, as two numbers: a value near ``base + part``.

Where ``base`` is not 0 the function is next to it, and ``part`` tells on which side and how far: e
to the power of 1e-30 is 1 and a part of 1e-30. Without that, a result next to a value of a format
could not be told from the value itself. Elsewhere ``part`` is what NumPy computes.

NumPy's float64 functions are taken to be right to `ACCURACY`. (Their documentation has at most 4
ulp, which is 1/1000 of that.) A part beside a base is the first term of a series and right to
`PART_ACCURACY`. Special values are NumPy's, which are IEEE 754's; a finite number whose result
is beyond float64 gets the largest or the smallest float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[Array, Array]

ACCURACY = 2.0**-40  # relative
PART_ACCURACY = 2.0**-21  # relative
TURN_ACCURACY = 2.0**-48  # absolute, of functions of angles above 1
LARGEST, SMALLEST = float(np.finfo(np.float64).max), 2.0**-1074
SMALL, TINY = 2.0**-13, 2.0**-26  # below these the second term of a series is too small to matter
FAR = 18.0  # beyond this exp(-x)**2 is too small to matter


def plain(y: Array) -> Pair:
    """Return an approximation without a base."""
    return np.zeros(()), y


def near(where: Array, base: Array | float, part: Array, pair: Pair) -> Pair:
    """Return ``base`` and ``part`` where the function is near its base, else the pair."""
    if not where.any():
        return pair
    part = np.where(part == 0, np.copysign(SMALLEST, part), part)  # it has underflowed
    return np.where(where, base, pair[0]), np.where(where, part, pair[1])


def is_small(x: Array, limit: float) -> Array:
    """Return where a number is near 0, but not 0."""
    return np.asarray((abs(x) < limit) & (x != 0))


def is_far(x: Array) -> Array:
    """Return where a number is finite, but far from 0."""
    return np.asarray((abs(x) > FAR) & np.isfinite(x))


def finite(x: Array, y: Array) -> Array:
    """Return results, finite for finite numbers."""
    return np.where(np.isinf(y) & np.isfinite(x), np.copysign(LARGEST, y), y)


def positive(x: Array, y: Array) -> Array:
    """Return results, above 0 for finite numbers."""
    return np.where((y == 0) & np.isfinite(x), SMALLEST, y)


# exponentials and logarithms


def exp(x: Array) -> Pair:
    """Return e to the power of x."""
    pair = plain(positive(x, finite(x, np.exp(x))))
    return near(is_small(x, TINY), 1.0, x * (1 + x / 2), pair)


def exp2(x: Array) -> Pair:
    """Return 2 to the power of x."""
    pair = plain(positive(x, finite(x, np.exp2(x))))
    return near(is_small(x, TINY), 1.0, x * np.log(2.0), pair)


def expm1(x: Array) -> Pair:
    """Return e to the power of x, less 1."""
    pair = near(is_small(x, TINY), x, x * x / 2, plain(finite(x, np.expm1(x))))
    return near(is_far(x) & (x < 0), -1.0, np.exp(x), pair)


def log1p(x: Array) -> Pair:
    """Return the logarithm of 1 + x."""
    return near(is_small(x, TINY), x, -x * x / 2, plain(np.log1p(x)))


def sigmoid(x: Array) -> Pair:
    """Return 1 / (1 + exp(-x))."""
    tail = np.exp(-abs(x))
    y = positive(x, np.where(x < 0, tail, 1.0) / (1 + tail))
    pair = near(is_small(x, TINY), 0.5, x / 4, plain(y))
    return near(is_far(x) & (x > 0), 1.0, -tail, pair)


def softplus(x: Array) -> Pair:
    """Return the logarithm of 1 + exp(x)."""
    pair = plain(positive(x, np.logaddexp(x, 0.0)))
    return near(is_far(x) & (x > 0), x, np.exp(-x), pair)


# functions that are x + third x**3 or 1 + half x**2 near 0


def odd(compute: Callable[[Array], Array], third: float) -> Callable[[Array], Pair]:
    """Return the approximation of a function that is x + third x**3 near 0."""

    def approximate(x: Array) -> Pair:
        return near(is_small(x, SMALL), x, third * x * x * x, plain(compute(x)))

    return approximate


def even(
    compute: Callable[[Array], Array], half: float, scale: float = 1.0
) -> Callable[[Array], Pair]:
    """Return the approximation of a function of scale x that is 1 + half (scale x)**2 near 0."""

    def approximate(x: Array) -> Pair:
        part = half * (scale * x) * (scale * x)
        return near(is_small(x, SMALL / scale), 1.0, part, plain(compute(x)))

    return approximate


def sinh(x: Array) -> Array:
    """Return the hyperbolic sine."""
    return finite(x, np.sinh(x))


def cosh(x: Array) -> Array:
    """Return the hyperbolic cosine."""
    return finite(x, np.cosh(x))


def tanh(x: Array) -> Pair:
    """Return the hyperbolic tangent."""
    part = -2 * np.sign(x) * np.exp(-2 * abs(x))
    return near(is_far(x), np.sign(x), part, odd(np.tanh, -1 / 3)(x))


# functions in units of pi


def sinpi(x: Array) -> Array:
    """Return sin(pi x); an exact 0 has the sign of x (IEEE 754-2019, 9.2)."""
    rest = np.fmod(x, 2.0)  # exact, as the next steps
    rest = np.where(rest > 1, rest - 2, np.where(rest < -1, rest + 2, rest))
    rest = np.where(abs(rest) > 0.5, np.copysign(1 - abs(rest), rest), rest)
    y = np.sin(np.pi * rest)
    return np.where(y == 0, np.copysign(0.0, x), np.where(abs(rest) == 0.5, np.sign(rest), y))


def cospi(x: Array) -> Array:
    """Return cos(pi x)."""
    rest = abs(np.fmod(x, 2.0))
    rest = np.where(rest > 1, 2 - rest, rest)
    return np.where(rest == 0.5, 0.0, np.sin(np.pi * (0.5 - rest)))


def tanpi(x: Array) -> Array:
    """Return tan(pi x)."""
    sine, cosine = sinpi(x), cospi(x)
    return np.where(np.isnan(sine), sine, sine / cosine)


def arccospi(x: Array) -> Pair:
    """Return arccos(x) / pi."""
    return near(is_small(x, TINY), 0.5, -x / np.pi, plain(np.arccos(x) / np.pi))


def arctanpi(x: Array) -> Pair:
    """Return arctan(x) / pi."""
    huge = (abs(x) > 1 / TINY) & np.isfinite(x)
    return near(huge, np.sign(x) / 2, -1 / (np.pi * x), plain(np.arctan(x) / np.pi))


# functions of two numbers


def hypot(x: Array, y: Array) -> Pair:
    """Return the square root of x**2 + y**2."""
    low, high = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
    where = (low < high * SMALL) & (low > 0) & np.isfinite(high)
    result = finite(high, np.hypot(x, y))
    return near(where, high, low / high * low / 2, plain(result))


def rsqrt(x: Array) -> Array:
    """Return 1 / sqrt(x)."""
    return 1 / np.sqrt(x)


def power(x: Array, y: Array) -> Pair:
    """Return x to the power of y."""
    both = np.isfinite(x) & np.isfinite(y) & (x != 0)
    result = np.power(x, y)
    large = np.where(both & np.isinf(result), np.copysign(LARGEST, result), result)
    return plain(np.where(both & (large == 0), np.copysign(SMALLEST, large), large))
