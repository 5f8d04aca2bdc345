"""Formats as sorted lists of values: code books, and grids that have gaps of their own kind.

In a deterministic mode encoding is a step function of the value. Here its steps are found exactly,
in rational arithmetic, for every format that the arithmetic kernels do not do: a `Codebook`, a
`Format` without subnormals (E8M0 among them) and one whose least values are below float64's
normal range. `minifloat._kernels.decision_points` then only has to look up the step.
"""

from __future__ import annotations

import itertools
import math
import struct
from fractions import Fraction
from typing import NamedTuple

from minifloat.codec.special_codes import Outcomes
from minifloat.formats import Codebook, Format, NumberFormat
from minifloat.formats.rounding import Rounding, Threshold, away_threshold

SMALLEST = 5e-324  # float64's least positive value
LARGEST = 1.7976931348623157e308


class Point(NamedTuple):
    """A value and its outcome: a code, or what stands beyond the ends (see `Outcomes`)."""

    value: Fraction
    below_zero: bool  # tells -0 from 0
    odd: bool
    outcome: int


class Steps(NamedTuple):
    """From ``keys[i]`` on (see `float_key`) the outcome is ``outcomes[i]``."""

    keys: list[int]
    outcomes: list[int]


def float_key(x: float) -> int:
    """Return an integer ordered as the floats are; -0 comes just before 0.

    Examples
    --------
    >>> float_key(-0.0), float_key(0.0), float_key(5e-324)
    (-1, 0, 1)
    """
    word = int(struct.unpack("<q", struct.pack("<d", x))[0])
    return word if word >= 0 else word ^ 0x7FFFFFFFFFFFFFFF


def points(fmt: NumberFormat, outcome: Outcomes) -> list[Point]:
    """Return the format's values in order, with the next grid point beyond each end of an ExMy."""
    if isinstance(fmt, Codebook):
        found = [
            Point(Fraction(value), math.copysign(1, value) < 0, bool(code & 1), code)
            for code, value in enumerate(fmt.codebook)
        ]
        return sorted(found, key=lambda point: (point.value, not point.below_zero))
    assert isinstance(fmt, Format)
    last = fmt.max_magnitude
    up = [Point(_grid(fmt, k), False, bool(k & 1), k) for k in range(last + 1)]
    up.append(Point(_grid(fmt, last + 1), False, not last & 1, outcome.over_above))
    if not fmt.signed:
        below = [Point(-up[1].value, True, True, outcome.over_below)] if fmt.has_zero else []
        return below + up
    if not fmt.has_zero:  # what is nearer to zero than the least value of its sign becomes that one
        up.insert(0, up[0]._replace(value=Fraction(0)))
    down = [Point(-p.value, True, p.odd, fmt.sign_bit | p.outcome) for p in reversed(up[:-1])]
    if fmt.has_zero and not fmt.has_negative_zero:
        down.pop()
    return [Point(-up[-1].value, True, up[-1].odd, outcome.over_below), *down, *up]


def steps(fmt: NumberFormat, rounding: Rounding, outcome: Outcomes) -> Steps:
    """Return the steps of a deterministic mode; for a stochastic one those toward zero."""
    found = points(fmt, outcome)
    mode = Rounding.TOWARD_ZERO if rounding.is_stochastic else rounding
    keys = [float_key(-math.inf), float_key(-LARGEST)]
    results = [outcome.inf_below, outcome.over_below]
    if isinstance(fmt, Format) and (fmt.has_zero or fmt.signed):
        keys.append(float_key(-LARGEST))
    elif isinstance(fmt, Codebook):
        keys.append(_first_key(found[0].value, inclusive=True))
    else:  # without zero, the least value takes in all that is above zero
        keys.append(float_key(SMALLEST))
    results.append(found[0].outcome)
    for low, high in itertools.pairwise(found):
        keys.append(_switch(low, high, mode))
        results.append(high.outcome)
    if isinstance(fmt, Codebook):
        keys.append(_first_key(found[-1].value, inclusive=False))
        results.append(outcome.over_above)
    keys.append(float_key(math.inf))
    results.append(outcome.inf_above)
    return Steps(keys, results)


def away(low: Point, high: Point) -> int:
    """Return 1 if of two neighbours the lower one is nearer to zero, -1 if the higher one is.

    0 where both are as near, one on each side: away from zero then is where the element's sign is.
    """
    if low.value == -high.value and low.value < 0:
        return 0
    return 1 if abs(low.value) <= abs(high.value) else -1


def _switch(low: Point, high: Point, mode: Rounding) -> int:
    """Return the first key between two neighbours that goes to the higher one."""
    if low.value == high.value:  # -0 and 0
        return float_key(0.0)
    direction = away(low, high)
    if direction == 0 and mode in _BY_MAGNITUDE:  # each sign keeps to its side
        return float_key(0.0)
    up = direction >= 0
    if low.value < 0 < high.value and mode in (Rounding.UPWARD, Rounding.DOWNWARD):
        up = True  # a code book without zero: the signs of its values do not matter
    near, far = (low, high) if up else (high, low)
    odd = near.odd and not far.odd
    middle = (low.value + high.value) / 2
    value, away_at_value = {
        Threshold.ABOVE_ZERO: (near.value, False),
        Threshold.HALF: (middle, True),
        Threshold.ABOVE_HALF: (middle, False),
        Threshold.NEVER: (far.value, True),
    }[away_threshold(mode, odd=odd, negative=not up)]
    return _first_key(value, inclusive=away_at_value == up)


_BY_MAGNITUDE = (
    Rounding.TOWARD_ZERO,
    Rounding.AWAY_FROM_ZERO,
    Rounding.NEAREST_ZERO,
    Rounding.NEAREST_AWAY,
)


def _first_key(value: Fraction, *, inclusive: bool) -> int:
    """Return the key of the first float64 that is >= value (or > value)."""
    if abs(value) > Fraction(LARGEST):
        return float_key(math.inf) if value > 0 else float_key(-LARGEST)
    x = float(value)  # rounded to nearest, so one of the two floats around the value
    key = float_key(-0.0 if x == 0 and value <= 0 else x)
    if x == 0 and value != 0:
        return float_key(SMALLEST if value > 0 else -0.0)
    if value == 0:
        return float_key(-0.0) if inclusive else float_key(SMALLEST)
    if Fraction(x) < value or (Fraction(x) == value and not inclusive):
        key += 1
    return key


def _grid(fmt: Format, magnitude: int) -> Fraction:
    """Return the value of a magnitude, also beyond the greatest one."""
    field, mantissa = divmod(magnitude, 1 << fmt.mantissa_bits)
    if magnitude == 0 and fmt.has_zero:
        return Fraction(0)
    if field == 0 and fmt.subnormals:
        return mantissa * Fraction(2) ** (fmt.emin - fmt.mantissa_bits)
    significand = (1 << fmt.mantissa_bits) + mantissa
    return significand * Fraction(2) ** (field - fmt.bias - fmt.mantissa_bits)
