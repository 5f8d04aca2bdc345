"""A format as exact integers: each code is an integer times one power of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from minifloat.formats import Codebook, NumberFormat
from minifloat.formats.base import check_int
from minifloat.formats.codebook import codebook_of
from minifloat.formats.names import parse

MAX_BITS = 8  # of a code: all codes, and all pairs of codes, can be tried


@dataclass(frozen=True)
class Integers:
    """The values of a format's codes in one unit, as a circuit of whole numbers sees them.

    Codes that are not finite numbers read as 0, and so do the codes that a codebook lacks. The
    code that a symmetric integer leaves unused reads as two's complement has it.

    Attributes
    ----------
    fmt : NumberFormat
    unit : Fraction
        A power of two; each value is an integer times this.
    values : tuple of int
        By code, of all ``2**bits`` codes.
    negative : tuple of bool
        By code; tells -0 from 0.
    sign_bit : bool
        Whether the top bit of a code is a sign, and the rest a magnitude.
    """

    fmt: NumberFormat
    unit: Fraction
    values: tuple[int, ...]
    negative: tuple[bool, ...]
    sign_bit: bool

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.fmt.bits

    @property
    def magnitude_codes(self) -> int:
        """Number of codes without their sign bit, or of all codes if there is none."""
        return len(self.values) // (2 if self.sign_bit else 1)

    @property
    def signed(self) -> bool:
        """Whether some value is negative."""
        return min(self.values) < 0

    @property
    def magnitude_width(self) -> int:
        """Width of the largest magnitude in bits."""
        return max(1, *(abs(value).bit_length() for value in self.values))

    @property
    def width(self) -> int:
        """Width of the values in two's complement, in bits."""
        return signed_width(min(self.values), max(self.values))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each code is: a kind as `NumberFormat.kind` has it, but infinities with their sign.

        Codes that a codebook lacks are zeros, and the one that an integer leaves unused is normal.
        """
        return _kinds(self.fmt)

    def codes_of_kind(self, kind: str) -> list[int]:
        """Return the codes of a kind: zero, nan, positive_inf or negative_inf."""
        return [code for code, name in enumerate(self.kinds) if name == kind]


def signed_width(low: int, high: int) -> int:
    """Return the bits of two's complement that hold ``low`` to ``high``; both may be positive.

    Examples
    --------
    >>> signed_width(-8, 7), signed_width(-7, 8), signed_width(0, 7)
    (4, 5, 4)
    """
    return 1 + max((~low if low < 0 else low).bit_length(), high.bit_length())


@lru_cache(maxsize=256)
def integers(fmt: NumberFormat) -> Integers:
    """Return a format of at most 8 bits as exact integers.

    Raises
    ------
    ValueError
        If the format is wider.

    Examples
    --------
    >>> import minifloat as mf
    >>> e2m1 = integers(mf.parse("e2m1"))
    >>> e2m1.values[:8], e2m1.unit, e2m1.width
    ((0, 1, 2, 3, 4, 6, 8, 12), Fraction(1, 2), 5)
    """
    if fmt.bits > MAX_BITS:
        raise ValueError(
            f"fmt must have at most {MAX_BITS} bits to be a circuit, got {fmt}; "
            "all its codes, and pairs of them, are tried"
        )
    exact = [_exact(fmt, code) for code in range(1 << fmt.bits)]
    unit = Fraction(math.gcd(*(value.numerator & -value.numerator for value in exact if value)))
    unit /= max(value.denominator for value in exact)
    values = tuple(int(value / unit) for value in exact)
    half = len(values) // 2
    low, high = values[:half], values[half:]
    mirrored = all(x == -y for x, y in zip(low, high, strict=True))
    sign_bit = fmt.bits > 1 and min(high) < 0 <= min(low) and mirrored
    negative = tuple(code >= half if sign_bit else value < 0 for code, value in enumerate(values))
    return Integers(fmt, unit, values, negative, sign_bit)


def _exact(fmt: NumberFormat, code: int) -> Fraction:
    """Return the value of a code, 0 if it has no finite one."""
    if code == fmt.unused_code and fmt.is_integer:
        return Fraction(code - (1 << fmt.bits))
    if code >= fmt.code_count or not math.isfinite(fmt.value(code)):
        return Fraction(0)
    return fmt.exact_value(code)


@lru_cache(maxsize=256)
def _kinds(fmt: NumberFormat) -> tuple[str, ...]:
    kinds = [fmt.kind(code) for code in range(fmt.code_count)]
    kinds += ["zero"] * ((1 << fmt.bits) - len(kinds))
    for code, kind in enumerate(kinds):
        if kind == "inf":
            kinds[code] = "negative_inf" if fmt.value(code) < 0 else "positive_inf"
        elif kind == "unused":
            kinds[code] = "normal"
    return tuple(kinds)


def integer_codebook(fmt: NumberFormat | str, largest: int = 127) -> Codebook:
    """Return a codebook of integers: a format's values over its largest magnitude, in steps.

    The values of most codebooks are float32 numbers, which take 28 bits and more as integers. A
    circuit has integers of 8 bits instead, and its scale the rest.

    Parameters
    ----------
    fmt : format or str
        Of at most 8 bits, and without infinities and NaN.
    largest : int
        Steps of the largest magnitude, 1 to 32767.

    Returns
    -------
    Codebook
        Its name says so: "nf4 in 127ths"; or it is the values, where that would be too long.

    Raises
    ------
    ValueError
        If two values round to one integer, or an argument is out of range.

    Examples
    --------
    >>> from minifloat.hardware import integer_codebook
    >>> integer_codebook("nf4")
    <Codebook nf4 in 127ths: bits 4, values 16, max 127, min -127, smallest 10>
    """
    fmt, largest = parse(fmt), check_int("largest", largest, 1, 32767)
    values = [fmt.exact_value(code) for code in range(fmt.code_count)]
    top = max(map(abs, values))
    rounded = [round(value / top * largest) for value in values]
    if len(set(rounded)) < len(rounded):
        raise ValueError(f"largest must keep the values of {fmt} apart, got {largest}; raise it")
    integral, name = [float(value) for value in rounded], f"{fmt.name} in {largest}ths"
    return codebook_of(integral, name)
