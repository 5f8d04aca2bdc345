"""Which formats have small integers as values, for products with 8-bit activations."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.formats.base import shown

Array = NDArray[Any]

LARGEST = 255  # of what a code means, above the lowest value
MOST_BITS = 8
SMALLEST_UNIT, LARGEST_UNIT = -149, 127  # exponents: float32 has them

REMEDY = "leave out activations, or use such a format, as e2m1, e2m2, e2m3 or integers"


class SmallIntegers(NamedTuple):
    """The values of a format: ``(table[code] + low) * 2**exponent``."""

    table: Array  # uint8, for each of 256 bytes, whose upper bits do not count
    low: int
    exponent: int


@lru_cache(maxsize=64)
def small_integers(fmt: NumberFormat) -> SmallIntegers:
    """Return the values of a format as small integers times a power of two.

    Raises
    ------
    ValueError
        If they are none.
    """
    rule = "q must have a format whose values are a power of two times integers of one byte"
    if fmt.bits > MOST_BITS:
        raise ValueError(f"{rule}, got {fmt}, of {fmt.bits} bits; {REMEDY}")
    if fmt.is_lookup:
        raise ValueError(f"{rule}, got {fmt}, whose values are in tables; {REMEDY}")
    codes = [code for code in range(fmt.code_count) if code != fmt.unused_code]
    values = fmt.values()[codes]
    if not np.isfinite(values).all():
        raise ValueError(f"{rule}, got {fmt}, which has infinities or NaN; {REMEDY}")
    exact = [Fraction(value) for value in values.tolist()]
    unit = Fraction(1, max(value.denominator for value in exact))
    integers = [int(value / unit) for value in exact]
    while not any(integer & 1 for integer in integers) and any(integers):
        integers, unit = [integer >> 1 for integer in integers], unit * 2
    low = min(0, *integers)
    if max(integers) - low > LARGEST:
        raise ValueError(
            f"{rule}, got {fmt}, whose values are {shown(min(integers))} to "
            f"{shown(max(integers))} times {float(unit):g}; {REMEDY}"
        )
    exponent = unit.numerator.bit_length() - unit.denominator.bit_length()
    if not SMALLEST_UNIT <= exponent <= LARGEST_UNIT:
        raise ValueError(f"{rule} that float32 has, got {fmt}, in steps of 2**{exponent}; {REMEDY}")
    table = np.zeros(1 << fmt.bits, np.uint8)
    table[codes] = np.array(integers) - low
    return SmallIntegers(np.tile(table, (1 << MOST_BITS) // table.size), low, exponent)
