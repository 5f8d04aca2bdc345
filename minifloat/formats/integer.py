"""Integers as formats: two's complement or unsigned, symmetric unless asked otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from minifloat.formats.base import (
    MAX_CODE_BITS,
    BinaryGrid,
    NumberFormat,
    check_bool,
    check_code,
    check_int,
)


@dataclass(frozen=True, repr=False)
class Integer(NumberFormat):
    """A two's-complement or unsigned integer format.

    Parameters
    ----------
    bits : int
        2 to 16 if signed, 1 to 16 if unsigned.
    signed : bool
        Whether codes are two's complement.
    symmetric : bool
        Whether ``-2**(bits-1)`` is left out, so that every value has its negative. The code of
        this value is then unused. Stored as False if unsigned.

    Raises
    ------
    ValueError, TypeError
        If ``bits`` is out of range or a flag is not a bool.

    Examples
    --------
    >>> from minifloat.formats import Integer
    >>> Integer(4)
    <Integer int4: bits 4, max 7, min -7, smallest 1>
    >>> Integer(4, symmetric=False).min
    -8.0
    """

    bits: int
    signed: bool = True
    symmetric: bool = True

    def __post_init__(self) -> None:
        check_bool("signed", self.signed)
        check_bool("symmetric", self.symmetric)
        bits = check_int("bits", self.bits, 2 if self.signed else 1, MAX_CODE_BITS)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "symmetric", self.symmetric and self.signed)

    @property
    def name(self) -> str:
        """The name that `minifloat.parse` reads; ``f"{fmt}"`` prints it."""
        full = "full" if self.signed and not self.symmetric else ""
        return f"{'' if self.signed else 'u'}int{self.bits}{full}"

    @property
    def precision(self) -> int:
        """Width of the largest magnitude in bits."""
        return self.bits - self.signed

    @property
    def max_code(self) -> int:
        """Code of `max`."""
        return int(self.max)

    @property
    def min_code(self) -> int:
        """Code of `min`."""
        return int(self.min) % (1 << self.bits)

    @property
    def zero_code(self) -> int:
        """Code of 0, which is 0."""
        return 0

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers: true."""
        return True

    @property
    def binary_grid(self) -> BinaryGrid:
        """The grid of an integer: all subnormal, in steps of one."""
        limits = int(self.max), -int(self.min)
        return BinaryGrid(self.bits, self.bits, *limits, twos_complement=self.signed)

    @property
    def next_above_max(self) -> Fraction:
        """The integer beyond `max`: rounding to it is an overflow."""
        return Fraction(int(self.max) + 1)

    @property
    def max(self) -> float:
        """Largest value."""
        return float((1 << (self.bits - self.signed)) - 1)

    @property
    def min(self) -> float:
        """Lowest value."""
        if not self.signed:
            return 0.0
        return -self.max if self.symmetric else -self.max - 1

    @property
    def smallest(self) -> float:
        """Smallest value above zero, 1."""
        return 1.0

    @property
    def unused_code(self) -> int | None:
        """The code of ``-2**(bits-1)`` in a symmetric format, otherwise None."""
        return 1 << (self.bits - 1) if self.symmetric else None

    def value(self, code: int) -> float:
        """Return the value of one code; NaN for the unused code."""
        code = check_code(code, self)
        if code == self.unused_code:
            return math.nan
        negative = self.signed and code >> (self.bits - 1)
        return float(code - (1 << self.bits) if negative else code)

    def kind(self, code: int) -> str:
        """Return zero, normal or unused."""
        code = check_code(code, self)
        if code == self.unused_code:
            return "unused"
        return "normal" if code else "zero"
