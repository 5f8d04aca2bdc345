"""Exact decision points of any format: the numbers at which rounding passes to the next value.

In a deterministic mode encoding is a step function of the value. Between two neighbouring values of
a format it has one step, at the decision point; the mode decides to which of the two a number on
the point itself goes. `decision_points` finds them in rational arithmetic, for ExMy formats,
integers and codebooks alike.

`beginnings` turns them into float64 for the formats that the arithmetic kernels do not do: a
`Codebook`, a `Format` without subnormals (E8M0 among them), and one whose smallest values are below
float64's normal range. `minifloat._kernels.decision_points` then only has to search.
"""

from __future__ import annotations

import itertools
import math
import struct
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from minifloat.codec.special_codes import SpecialCodes
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding, Threshold, away_threshold

SMALLEST = 5e-324  # float64's smallest positive value
LARGEST = 1.7976931348623157e308
BEYOND = -1  # in place of a code that the overflow policy gives
BY_MAGNITUDE = (
    Rounding.TOWARD_ZERO,
    Rounding.AWAY_FROM_ZERO,
    Rounding.NEAREST_ZERO,
    Rounding.NEAREST_AWAY,
)


class Value(NamedTuple):
    """A value of a format: exact, with its code."""

    exact: Fraction
    negative: bool  # tells -0 from 0
    odd: bool  # the code is odd
    code: int


class Side(Enum):
    """The direction in which a number on a decision point goes."""

    LOWER = "to the lower value"
    UPPER = "to the higher value"
    OWN_SIGN = "-0 to the lower value, 0 to the higher one"


class DecisionPoint(NamedTuple):
    """Numbers below ``at`` round to the lower of two values, numbers above it to the higher one."""

    at: Fraction
    side: Side


def sorted_values(fmt: NumberFormat, *, negative_zero: bool = True) -> list[Value]:
    """Return the finite values of a format, from the lowest; -0 comes just before 0.

    Parameters
    ----------
    fmt : NumberFormat
    negative_zero : bool
        Whether -0 is listed where there is 0 too.

    Returns
    -------
    list of Value

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.codec.decision_points import sorted_values
    >>> [(float(value.exact), value.code) for value in sorted_values(mf.parse("int2"))]
    [(-1.0, 3), (0.0, 0), (1.0, 1)]
    """
    finite = [
        (value, math.copysign(1.0, value) > 0, code)
        for code, value in enumerate(fmt.values().tolist())
        if math.isfinite(value)
    ]
    values = [
        Value(Fraction(value), not positive, bool(code & 1), code)
        for value, positive, code in sorted(finite)
    ]
    if not negative_zero:
        pairs = zip(values, [*values[1:], None], strict=True)
        values = [low for low, high in pairs if high is None or low.exact != high.exact]
    return values


def decision_points(
    fmt: NumberFormat, rounding: Rounding = Rounding.NEAREST_EVEN, *, negative_zero: bool = True
) -> list[DecisionPoint]:
    """Return the decision points of a deterministic mode, one between any two `sorted_values`.

    They say nothing of numbers beyond the first and the last value: these saturate or overflow.

    Parameters
    ----------
    fmt : NumberFormat
    rounding : Rounding
    negative_zero : bool
        As for `sorted_values`.

    Returns
    -------
    list of DecisionPoint

    Raises
    ------
    ValueError
        If the mode is stochastic.

    Examples
    --------
    >>> import minifloat as mf
    >>> from minifloat.codec.decision_points import decision_points
    >>> for point in decision_points(mf.parse("uint2")):
    ...     print(point.at, point.side.value)
    1/2 to the lower value
    3/2 to the higher value
    5/2 to the lower value
    """
    values = sorted_values(fmt, negative_zero=negative_zero)
    return [
        # in an ExMy format without zero, numbers between -s and s keep their sign
        DecisionPoint(Fraction(0), Side.OWN_SIGN)
        if not fmt.is_table and low.exact < 0 < high.exact
        else between(low, high, rounding)
        for low, high in itertools.pairwise(values)
    ]


def first_keys(points: list[DecisionPoint]) -> list[int]:
    """Return the key (see `float_key`) of the first float64 beyond each point, or on it.

    Examples
    --------
    >>> first_keys([DecisionPoint(Fraction(0), Side.UPPER), DecisionPoint(Fraction(0), Side.LOWER)])
    [-1, 1]
    """
    return [_first_key(point) for point in points]


def float_key(x: float) -> int:
    """Return an integer ordered as the floats are; -0 comes just before 0.

    Examples
    --------
    >>> float_key(-0.0), float_key(0.0), float_key(5e-324)
    (-1, 0, 1)
    """
    word = int(struct.unpack("<q", struct.pack("<d", x))[0])
    return word if word >= 0 else word ^ 0x7FFFFFFFFFFFFFFF


def float32_key(key: int) -> int:
    """Return the same of the first float32 that is not below a float64, given by its key.

    Examples
    --------
    >>> float32_key(float_key(-5e-324)), float32_key(float_key(0.0)), float32_key(float_key(5e-324))
    (-1, 0, 1)
    """
    word = key if key >= 0 else key ^ 0x7FFFFFFFFFFFFFFF
    x = float(struct.unpack("<d", struct.pack("<q", word))[0])
    try:
        single = struct.pack("<f", x)  # rounded to nearest, so one of the two floats around x
    except OverflowError:
        single = struct.pack("<f", math.copysign(math.inf, x))
    word = int(struct.unpack("<i", single)[0])
    is_below = float(struct.unpack("<f", single)[0]) < x
    return (word if word >= 0 else word ^ 0x7FFFFFFF) + int(is_below)


def key_of(value: Value) -> int:
    """Return the key (see `float_key`) of the first float64 that is not below a value."""
    if value.exact == 0 and not value.negative:
        return float_key(0.0)
    return _first_key(DecisionPoint(value.exact, Side.UPPER))


def line(fmt: NumberFormat, special: SpecialCodes) -> list[Value]:
    """Return a format's values in order, with the next grid point beyond each end of a grid.

    The points beyond the ends have the codes of overflows, ``~code`` included.
    """
    values = list(grid(fmt))
    for end, code in ((0, special.over_below), (-1, special.over_above)):
        if values[end].code == BEYOND:
            values[end] = values[end]._replace(code=code)
    return values


@lru_cache(maxsize=2)  # of 16 bits it takes 20 MB and a third of a second
def grid(fmt: NumberFormat) -> tuple[Value, ...]:
    """Return a format's values as `line` does, with the code `BEYOND` beyond the ends."""
    values = sorted_values(fmt)
    following = fmt.next_above_max
    if following is None:  # a codebook ends at its ends
        return tuple(values)
    above = Value(following, False, not values[-1].odd, BEYOND)
    if fmt.min >= 0:
        below = [Value(-values[1].exact, True, True, BEYOND)] if fmt.has_zero else []
        return (*below, *values, above)
    if not fmt.has_zero:  # numbers nearer to zero than the smallest of their sign round to that
        middle = len(values) // 2
        zeros = [value._replace(exact=Fraction(0)) for value in values[middle - 1 : middle + 1]]
        values[middle:middle] = zeros
    before = Fraction(fmt.min) - (following - Fraction(fmt.max))  # two's complement: not -following
    return (Value(before, True, not values[0].odd, BEYOND), *values, above)


@lru_cache(maxsize=8)
def _keys_between(fmt: NumberFormat, mode: Rounding) -> tuple[int, ...]:
    """Return the first key beyond each decision point of `line`; no code of an overflow counts."""
    return tuple(
        _first_key(between(low, high, mode)) for low, high in itertools.pairwise(grid(fmt))
    )


def beginnings(
    fmt: NumberFormat, rounding: Rounding, special: SpecialCodes
) -> list[tuple[int, int]]:
    """Return the code that holds from each key (see `float_key`) on, as far as the next key.

    A stochastic mode begins with the codes of `Rounding.TOWARD_ZERO`.
    """
    values = line(fmt, special)
    mode = Rounding.TOWARD_ZERO if rounding.is_stochastic else rounding
    starts = [
        (float_key(-math.inf), special.inf_below),
        (float_key(-LARGEST), special.over_below),
    ]
    if fmt.is_table:
        first = _first_key(DecisionPoint(values[0].exact, Side.UPPER))
    elif fmt.has_zero or fmt.min < 0:
        first = float_key(-LARGEST)
    else:  # without zero, the smallest value takes in all numbers above zero
        first = float_key(SMALLEST)
    starts.append((first, values[0].code))
    starts += zip(_keys_between(fmt, mode), (value.code for value in values[1:]), strict=True)
    if fmt.is_table:
        past = _first_key(DecisionPoint(values[-1].exact, Side.LOWER))
        starts.append((past, special.over_above))
    return [*starts, (float_key(math.inf), special.inf_above)]


def away(low: Value, high: Value) -> int:
    """Return 1 if the lower of two neighbours is nearer to zero, -1 if the higher one is.

    0 where both are as near, one on each side: away from zero then is where the element's sign is.
    """
    if low.negative == high.negative:
        return -1 if low.negative else 1
    if low.exact == -high.exact and low.exact < 0:
        return 0
    return 1 if abs(low.exact) <= abs(high.exact) else -1


def between(low: Value, high: Value, mode: Rounding) -> DecisionPoint:
    """Return the decision point between two neighbours."""
    direction = away(low, high)
    up = direction >= 0
    if low.negative != high.negative:
        if low.exact == high.exact or (direction == 0 and mode in BY_MAGNITUDE):
            return DecisionPoint(Fraction(0), Side.OWN_SIGN)  # each sign keeps to its side
        if low.exact < 0 < high.exact and mode in (Rounding.UPWARD, Rounding.DOWNWARD):
            up = True  # a codebook without zero: the signs of its values do not matter
    near, far = (low, high) if up else (high, low)
    threshold = away_threshold(mode, odd=near.odd and not far.odd, negative=not up)
    if threshold is Threshold.ABOVE_ZERO:
        at = near.exact
    elif threshold is Threshold.NEVER:
        at = far.exact
    else:
        at = (low.exact + high.exact) / 2
    is_away = threshold in (Threshold.HALF, Threshold.NEVER)  # on the point itself
    return DecisionPoint(at, Side.UPPER if is_away == up else Side.LOWER)


def _first_key(point: DecisionPoint) -> int:
    """Return the key of the first float64 that goes to the higher value."""
    if point.side is Side.OWN_SIGN:
        return float_key(0.0)
    value, inclusive = point.at, point.side is Side.UPPER
    try:
        x = float(value)  # rounded to nearest, so one of the two floats around the value
    except OverflowError:
        return float_key(math.inf) if value > 0 else float_key(-LARGEST)
    if not value:
        return float_key(-0.0) if inclusive else float_key(SMALLEST)
    if x == 0:
        return float_key(SMALLEST if value > 0 else -0.0)
    digits, scale = x.as_integer_ratio()
    mine, exact = digits * value.denominator, value.numerator * scale
    return float_key(x) + (mine < exact or (mine == exact and not inclusive))
