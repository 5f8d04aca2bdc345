"""Units that compute with codes: what they take, and their exact results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import Integer, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.names import parse
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.testing._exact import Numbers, all_values, total
from minifloat.testing._oracle import encode_number

EXACT = "exact"
MAX_LANES = 256
NO_CODE = -1
PORTS = {
    "multiplier": ("a", "b", "product"),
    "add": ("a", "b", "sum"),
    "fma": ("a", "b", "c", "sum"),
    "dot": ("a", "b", "sum"),
}
"""The inputs and the output of each unit."""


@dataclass(frozen=True)
class Operation:
    """A unit that computes with codes.

    Attributes
    ----------
    unit : str
        One of `PORTS`.
    fmt, other : NumberFormat
        Of the inputs ``a`` and ``b``.
    output : NumberFormat or None
        Of the result and of the addend of a multiply-add; None for exact results.
    lanes : int
        Of a dot product; 1 for other units.
    """

    unit: str
    fmt: NumberFormat
    other: NumberFormat
    output: NumberFormat | None
    lanes: int

    @property
    def formats(self) -> tuple[NumberFormat, ...]:
        """The format of each input."""
        if self.unit == "fma":
            return self.fmt, self.other, self.output or self.fmt
        return self.fmt, self.other

    def results(self, inputs: Sequence[NDArray[Any]], *, downward: bool = False) -> Numbers:
        """Return the exact results for arrays of codes, of shape (n, lanes) for a dot product."""
        numbers = [all_values(f).at(x) for f, x in zip(self.formats, inputs, strict=True)]
        a, b, *c = numbers
        if self.unit == "add":
            return total([a, b], downward=downward)
        products = a.times(b)
        if self.unit == "multiplier":
            return products
        if self.unit == "fma":
            return total([products, *c], downward=downward)
        lanes = [products.at((slice(None), lane)) for lane in range(self.lanes)]
        start = Numbers(0 * lanes[0].amounts, np.zeros(len(a.amounts)), products.unit)
        return total([start, *lanes], downward=downward)

    @property
    def width(self) -> int:
        """Width of the output in bits; exact results are in two's complement."""
        if self.output is not None:
            return self.output.bits
        low, high = self._range
        return 1 + max((~low if low < 0 else low).bit_length(), high.bit_length())

    @property
    def _range(self) -> tuple[int, int]:
        """The least and the largest exact result, in its unit."""
        a, b = _ends(self.fmt), _ends(self.other)
        unit, other_unit = (all_values(fmt).unit for fmt in (self.fmt, self.other))
        if self.unit == "add":
            return _sum_of(a, unit, b, other_unit)
        products = [x * y for x in a for y in b]
        ends = self.lanes * min(products), self.lanes * max(products)
        return _sum_of(ends, unit * other_unit, a, unit) if self.unit == "fma" else ends


def _sum_of(
    a: tuple[int, int], a_unit: Fraction, b: tuple[int, int], b_unit: Fraction
) -> tuple[int, int]:
    """Return the ends of sums of numbers between ends, in the finer of their units."""
    unit = min(a_unit, b_unit)
    low, high = (int(x * a_unit / unit + y * b_unit / unit) for x, y in zip(a, b, strict=True))
    return low, high


def _ends(fmt: NumberFormat) -> tuple[int, int]:
    """Return the least and the largest amount of a code, as two's complement if an integer."""
    amounts = all_values(fmt).amounts
    if isinstance(fmt, Integer) and fmt.signed:  # a circuit has the code that a format leaves out
        return -(1 << (fmt.bits - 1)), max(amounts)
    return min(amounts), max(amounts)


def operation(
    unit: str,
    fmt: NumberFormat | str,
    other: NumberFormat | str | None,
    output: NumberFormat | str | None,
    lanes: int | None,
) -> Operation:
    """Return an operation with checked arguments."""
    fmt = parse(fmt)
    second = fmt if other is None else parse(other, "other")
    if unit != "dot" and lanes is not None:
        raise ValueError(f"lanes must be left out but for a dot product, got {lanes!r}")
    count = 1 if unit != "dot" else check_int("lanes", 16 if lanes is None else lanes, 1, MAX_LANES)
    if isinstance(output, str) and output == EXACT:
        return Operation(unit, fmt, second, None, count)
    return Operation(unit, fmt, second, fmt if output is None else parse(output, "output"), count)


def rounded(
    results: Numbers, fmt: NumberFormat, rounding: Rounding, overflow: Overflow, nan: NaNPolicy
) -> NDArray[np.int64]:
    """Return the codes of exact results, `NO_CODE` for an error under the policies."""
    known: dict[tuple[int, str], int] = {}
    codes = np.full(len(results.amounts), NO_CODE)
    signs = map(repr, results.signs.tolist())  # tells -0 from 0, and NaN is itself
    for place, key in enumerate(zip(results.amounts.tolist(), signs, strict=True)):
        if key not in known:
            known[key] = NO_CODE
            with suppress(ValueError):
                number = results.number(place)
                known[key] = encode_number(number, fmt, rounding, overflow, nan, 0, 1)
        codes[place] = known[key]
    return codes
