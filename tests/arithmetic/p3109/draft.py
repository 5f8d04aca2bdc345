"""P3109's operations on fractions, as draft P3109/D1 has them (clauses 4.10, 4.11 and 5.1.2).

The projection is that of the report (`tests/formats/p3109_report.py`), elementary functions are
decimal numbers (`slow_functions`). The draft's rows that agree with the arithmetic of real numbers
and infinities are not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from minifloat.arithmetic import p3109
from tests.arithmetic.operations import slow_functions as slow
from tests.formats import p3109_report as report
from tests.formats.p3109_report import P3109Format

INF, NAN = math.inf, math.nan
X = Fraction | float  # a datum: a fraction, an infinity or NaN


def is_nan(*x: X) -> bool:
    return any(isinstance(v, float) and math.isnan(v) for v in x)


def is_inf(x: X) -> bool:
    return x in (INF, -INF)


def sgn(x: X) -> int:
    return (x > 0) - (x < 0)


# 4.10, as far as the rows are not those of real numbers


def add(x: X, y: X) -> X:
    if is_nan(x, y) or (is_inf(x) and is_inf(y) and x != y):
        return NAN
    return x if is_inf(x) else y if is_inf(y) else Fraction(x) + Fraction(y)


def multiply(x: X, y: X) -> X:
    if is_nan(x, y) or (is_inf(x) and y == 0) or (x == 0 and is_inf(y)):
        return NAN
    return sgn(x) * sgn(y) * INF if is_inf(x) or is_inf(y) else Fraction(x) * Fraction(y)


def divide(x: X, y: X) -> X:
    if is_nan(x, y) or (is_inf(x) and is_inf(y)) or y == 0:
        return NAN
    if is_inf(y):
        return Fraction(0)
    return sgn(x) * sgn(y) * INF if is_inf(x) else Fraction(x) / Fraction(y)


def negate(x: X) -> X:
    return -x


def copysign(x: X, y: X) -> X:
    return NAN if is_nan(x, y) else -abs(x) if y < 0 else abs(x)


def minimum(x: X, y: X) -> X:
    return NAN if is_nan(x, y) else min(x, y)


def maximum(x: X, y: X) -> X:
    return NAN if is_nan(x, y) else max(x, y)


def by_magnitude(x: X, y: X, larger: bool) -> X:
    if is_nan(x, y):
        return NAN
    if abs(x) == abs(y):
        return max(x, y) if larger else min(x, y)
    return x if (abs(x) > abs(y)) == larger else y


def number(choose: Callable[[X, X], X]) -> Callable[[X, X], X]:
    return lambda x, y: y if is_nan(x) else x if is_nan(y) else choose(x, y)


def finite(choose: Callable[[X, X], X]) -> Callable[[X, X], X]:
    def chosen(x: X, y: X) -> X:
        usual = [v for v in (x, y) if not is_nan(v) and not is_inf(v)]
        return usual[0] if len(usual) == 1 else number(choose)(x, y)

    return chosen


def clamp(x: X, low: X, high: X) -> X:
    if is_nan(x, low, high) or low > high:
        return NAN
    return low if x <= low else high if x >= high else x


def of_one(name: str) -> Callable[[X], X]:
    """Return a function from the decimal oracle; there is one zero."""

    def evaluated(x: X) -> X:
        if x == 0 and name in ("rsqrt",):
            return NAN
        return slow.value(name, float(x))

    return evaluated


def root(x: X) -> X:
    if is_nan(x) or x < 0:
        return NAN
    return x if x in (0, INF) else square_root(x)


def square_root(x: X) -> Fraction:
    whole = math.isqrt(int(Fraction(x) * 4**100))
    return Fraction(2 * whole + (whole**2 != Fraction(x) * 4**100), 2 * 2**100)


def hypot(x: X, y: X) -> X:
    if is_nan(x, y):
        return NAN
    return INF if is_inf(x) or is_inf(y) else square_root(Fraction(x) ** 2 + Fraction(y) ** 2)


def arctan2(y: X, x: X, pi: Fraction) -> X:
    """Return the angle of a point in units of which pi is so many."""
    if is_nan(x, y) or (x == 0 and y == 0) or (is_inf(x) and is_inf(y)):
        return NAN
    if x == INF or (y == 0 and x > 0):
        return Fraction(0)
    if is_inf(y) or x == 0:
        return sgn(y) * pi / 2
    if x == -INF or y == 0:
        return -pi if y < 0 else pi
    name = "arctan2" if pi > 2 else "arctan2pi"
    return slow.exactly(name, float(y), float(x))


PI = Fraction(slow.pi())
ONE: dict[str, Callable[[X], X]] = {
    "Convert": lambda x: x,
    "Abs": abs,
    "Negate": negate,
    "Sqrt": root,
    "Recip": lambda x: divide(Fraction(1), x),
} | {name: of_one(own) for name, own in p3109.OPERATIONS.items() if own in slow.SPECIAL}
TWO: dict[str, Callable[[X, X], X]] = {
    "CopySign": copysign,
    "Add": add,
    "Subtract": lambda x, y: add(x, negate(y)),
    "Multiply": multiply,
    "Divide": divide,
    "Hypot": hypot,
    "ArcTan2": lambda y, x: arctan2(y, x, PI),
    "ArcTan2Pi": lambda y, x: arctan2(y, x, Fraction(1)),
    "Minimum": minimum,
    "Maximum": maximum,
    "MinimumNumber": number(minimum),
    "MaximumNumber": number(maximum),
    "MinimumMagnitude": lambda x, y: by_magnitude(x, y, False),
    "MaximumMagnitude": lambda x, y: by_magnitude(x, y, True),
    "MinimumMagnitudeNumber": number(lambda x, y: by_magnitude(x, y, False)),
    "MaximumMagnitudeNumber": number(lambda x, y: by_magnitude(x, y, True)),
    "MinimumFinite": finite(minimum),
    "MaximumFinite": finite(maximum),
}
THREE: dict[str, Callable[[X, X, X], X]] = {
    "FMA": lambda x, y, z: add(multiply(x, y), z),
    "FAA": lambda x, y, z: add(add(x, y), z),
    "Clamp": clamp,
}
ALL: dict[str, Callable[..., X]] = ONE | TWO | THREE


def data(f: P3109Format) -> list[X]:
    return [report.decode(f, code) for code in range(2**f.K)]


def project(f: Any, x: X, mode: str, saturation: str, *words: int) -> float:
    """Return the value that a datum is projected to."""
    if not is_nan(x) and not is_inf(x):
        x = Fraction(x)
    return float(report.project(f, x, mode, saturation, *words))


def datum(x: float) -> X:
    return Fraction(x) if math.isfinite(x) else x


def block_project(f: Any, scale: X, z: X, mode: str, saturation: str) -> float:
    """5.1.2."""
    if is_nan(scale, z):
        return NAN
    if scale == 0:
        quotient: X = Fraction(0)
    elif is_inf(scale):
        quotient = Fraction(sgn(z) * sgn(scale))
    else:
        quotient = divide(z, scale)
    return project(f, quotient, mode, saturation)
