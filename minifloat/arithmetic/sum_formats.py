"""Formats of running sums, which may be wider than the formats that have codes.

float32            23 bits of mantissa
float64            52; its accumulators are chains of IEEE's fused multiply-add, or exact sums
eXmY               IEEE formats wider than 16 bits, such as e8m13
any ExMy           of `minifloat.parse`, with subnormals and a sign: float16, bfloat16, e4m3fn
intN, fixedN.F     two's complement of N bits, the last F of them behind the point: int32, fixed24.8
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from minifloat.formats import Format, NumberFormat
from minifloat.formats.base import shown
from minifloat.formats.grammar import lowered
from minifloat.formats.names import parse

MAX_MANTISSA = 40  # so that float64, rounded to odd, is wide enough on the way
MAX_EXPONENT_BITS = 8  # float32's
MAX_FIXED_BITS = 48
WIDE_BITS = 16  # formats of at most so many bits have codes

_WIDE = re.compile(r"e(\d{1,2})m(\d{1,2})", re.ASCII)
_FIXED = re.compile(r"int(\d{1,2})|fixed(\d{1,2})\.(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class SumFormat:
    """What a running sum can be.

    Attributes
    ----------
    name : str
        As `SumFormat.parse` reads it.
    mantissa_bits : int
        Numbers below ``2**emin`` are multiples of ``2**(emin - mantissa_bits)``.
    emin : int
    largest, least : float
        The ends of the format.
    has_inf : bool
        Whether there are infinities.
    is_fixed : bool
        Whether the gaps are equal.

    Examples
    --------
    >>> from minifloat.arithmetic import SumFormat
    >>> SumFormat.parse("e8m13").emin, SumFormat.parse("fixed8.4").largest
    (-126, 7.9375)
    """

    name: str
    mantissa_bits: int
    emin: int
    largest: float
    least: float
    has_inf: bool
    is_fixed: bool

    @classmethod
    def parse(cls, fmt: SumFormat | NumberFormat | str, argument: str = "fmt") -> SumFormat:
        """Return the format of a name.

        Parameters
        ----------
        fmt : str, Format or SumFormat
            See the module's table.
        argument : str
            The caller's name for it, for messages.

        Returns
        -------
        SumFormat

        Raises
        ------
        ValueError
            If there is no such format, or sums cannot be of it.
        TypeError
            If it is neither a name nor a format.
        """
        if isinstance(fmt, SumFormat):
            return fmt
        if isinstance(fmt, str):
            word = SHORT.get(lowered(fmt), lowered(fmt))
            if word in WIDEST:
                return WIDEST[word]
            if match := _FIXED.fullmatch(word):
                return _fixed(word, match, argument)
            if match := _WIDE.fullmatch(word):
                exponent_bits, mantissa_bits = int(match[1]), int(match[2])
                if 1 + exponent_bits + mantissa_bits > WIDE_BITS and word != "e8m10":
                    return _wide(word, exponent_bits, mantissa_bits, argument)
        return _of_format(parse(fmt, argument), argument)

    def __str__(self) -> str:
        return self.name


def _wide(name: str, exponent_bits: int, mantissa_bits: int, argument: str) -> SumFormat:
    if not 2 <= exponent_bits <= MAX_EXPONENT_BITS or not 1 <= mantissa_bits <= MAX_MANTISSA:
        raise ValueError(
            f"{argument} must have 2..{MAX_EXPONENT_BITS} exponent bits and 1..{MAX_MANTISSA} "
            f"mantissa bits, got {shown(name)}"
        )
    bias = 2 ** (exponent_bits - 1) - 1
    largest = (2.0 - 2.0**-mantissa_bits) * 2.0**bias
    return SumFormat(name, mantissa_bits, 1 - bias, largest, -largest, True, False)


FLOAT32 = _wide("float32", 8, 23, "fmt")
FLOAT64 = SumFormat("float64", 52, -1022, sys.float_info.max, -sys.float_info.max, True, False)
WIDEST = {fmt.name: fmt for fmt in (FLOAT32, FLOAT64)}
SHORT = {"fp32": "float32", "single": "float32", "fp64": "float64", "double": "float64"}


def _fixed(name: str, match: re.Match[str], argument: str) -> SumFormat:
    bits, point = int(match[1] or match[2]), int(match[3] or 0)
    if not 2 <= bits <= MAX_FIXED_BITS or point >= bits:
        raise ValueError(
            f"{argument} must have 2..{MAX_FIXED_BITS} bits, fewer of them behind the point, got "
            f"{shown(name)}"
        )
    half, unit = 2.0 ** (bits - 1), 2.0**-point
    return SumFormat(name, bits, bits - point, (half - 1) * unit, -half * unit, False, True)


def _of_format(fmt: NumberFormat, argument: str) -> SumFormat:
    if not isinstance(fmt, Format) or not fmt.signed or fmt.binary_grid is None:
        raise ValueError(
            f"{argument} must be float32, float64, an ExMy with a sign and subnormals, intN or "
            f"fixedN.F, got {fmt}"
        )
    if fmt.max > FLOAT32.largest or fmt.smallest < 2.0**-149:
        raise ValueError(f"{argument} must be a format whose values float32 holds, got {fmt}")
    return SumFormat(fmt.name, fmt.mantissa_bits, fmt.emin, fmt.max, fmt.min, fmt.has_inf, False)
