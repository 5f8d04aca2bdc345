"""The values of a format's codes, derived from its description."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from minifloat.formats import Codebook, Format, Integer, NumberFormat, Specials
from minifloat.formats.names import parse


def exact_decode(code: int, fmt: NumberFormat | str) -> float:
    """Return the value of one code, derived from the description of the format.

    Parameters
    ----------
    code : int
        In ``0 .. fmt.code_count - 1``.
    fmt : format or str

    Returns
    -------
    float
        Exact, with the sign of zero; NaN for NaN codes and for unused codes.

    Raises
    ------
    ValueError
        If ``code`` is outside the format.

    Examples
    --------
    >>> from minifloat.testing import exact_decode
    >>> exact_decode(0b1_01_10, "e2m2")
    -1.5
    """
    fmt = parse(fmt)
    if not 0 <= code < fmt.code_count:
        raise ValueError(f"code must be in 0..{fmt.code_count - 1} for {fmt}, got {code}")
    if isinstance(fmt, Codebook):
        return fmt.codebook[code]
    if isinstance(fmt, Integer):
        negative = fmt.signed and code >= 1 << (fmt.bits - 1)
        number = code - (1 << fmt.bits) if negative else code
        return float(number) if number in integer_range(fmt) else math.nan
    assert isinstance(fmt, Format)
    if code == nan_in_place_of_minus_zero(fmt):
        return math.nan
    sign_bit = sign_bit_of(fmt)
    negative = code >= sign_bit  # never in an unsigned format
    magnitude = code - sign_bit if negative else code
    values = magnitudes_of(fmt)
    if magnitude < len(values) - 1:
        size = float(values[magnitude])
    else:
        size = math.inf if magnitude == infinity_of(fmt) else math.nan
    return -size if negative else size


@lru_cache(maxsize=64)
def magnitudes_of(fmt: Format) -> tuple[float | Fraction, ...]:
    """Return the values of the magnitudes 0, 1, 2 ... up to the largest, and of one more.

    All are floats except the last, which may be too large for float64. Python compares floats,
    integers and fractions exactly.
    """
    per_binade = 1 << fmt.mantissa_bits
    not_finite = {
        Specials.NONE: 0,
        Specials.IEEE: per_binade,  # the whole binade of the all-ones exponent
        Specials.FN: 1,  # the NaN
        Specials.FNUZ: 0,  # its NaN is elsewhere
        Specials.P3109: 1 if fmt.signed else 2,  # infinity, and unsigned formats' NaN
    }[fmt.specials]
    count = sign_bit_of(fmt) - not_finite
    values: list[float | Fraction] = []
    for magnitude in range(count + 1):
        field, mantissa = divmod(magnitude, per_binade)
        if fmt.subnormals and field == 0:
            value = mantissa * power_of_two(1 - fmt.bias - fmt.mantissa_bits)
        elif magnitude == 0 and fmt.mantissa_bits > 0:
            value = Fraction(0)
        else:
            value = (per_binade + mantissa) * power_of_two(field - fmt.bias - fmt.mantissa_bits)
        values.append(float(value) if magnitude < count else value)
    return tuple(values)


def sign_bit_of(fmt: Format) -> int:
    """Return the bit above exponent and mantissa, whether or not the format has a sign."""
    return 1 << (fmt.exponent_bits + fmt.mantissa_bits)


def power_of_two(exponent: int) -> Fraction:
    """Return an exact power of two."""
    return Fraction(2) ** exponent


def infinity_of(fmt: Format) -> int | None:
    """Return the magnitude of infinity; None if the format has none."""
    return len(magnitudes_of(fmt)) - 1 if fmt.specials in ("ieee", "p3109") else None


def nan_in_place_of_minus_zero(fmt: Format) -> int | None:
    """Return the code of NaN if it has the place of -0, else None."""
    if fmt.signed and fmt.specials in ("fnuz", "p3109"):
        return sign_bit_of(fmt)
    return None


def nan_code_of(fmt: NumberFormat) -> int | None:
    """Return the code of the positive quiet NaN, or of the only NaN."""
    if not isinstance(fmt, Format) or fmt.specials == "none":
        return None
    last = sign_bit_of(fmt) - 1
    if fmt.specials == "ieee":  # the exponent is all ones, and the top bit of the mantissa is set
        return None if fmt.mantissa_bits == 0 else last - ((1 << (fmt.mantissa_bits - 1)) - 1)
    if fmt.specials == "fn" or not fmt.signed:
        return last
    return nan_in_place_of_minus_zero(fmt)


def integer_range(fmt: Integer) -> range:
    """Return the values of an integer format."""
    if not fmt.signed:
        return range(2**fmt.bits)
    top = 2 ** (fmt.bits - 1)
    return range(1 - top if fmt.symmetric else -top, top)


@lru_cache(maxsize=64)
def sorted_codebook(fmt: Codebook) -> tuple[tuple[float, ...], dict[float, int], dict[float, int]]:
    """Return the values in order, and the code of each value for positive and for negative x.

    The codes differ for zero if the table has both 0.0 and -0.0, which are equal as keys.
    """
    positive: dict[float, int] = {}
    negative: dict[float, int] = {}
    for code, value in enumerate(fmt.codebook):
        minus_zero = value == 0 and math.copysign(1, value) < 0
        if value not in positive or not minus_zero:
            positive[value] = code
        if value not in negative or minus_zero:
            negative[value] = code
    return tuple(sorted(positive)), positive, negative


class _Limits(NamedTuple):
    """The ends of the range of finite values."""

    lowest: float
    largest: float
    lowest_code: int
    largest_code: int


@lru_cache(maxsize=64)
def ends(fmt: NumberFormat) -> _Limits:
    """Return the lowest and the largest finite value, with their codes."""
    values = {code: exact_decode(code, fmt) for code in range(fmt.code_count)}
    finite = [code for code, value in values.items() if math.isfinite(value)]
    finite.sort(key=lambda code: (values[code], math.copysign(1, values[code])))  # -0 before +0
    low, high = finite[0], finite[-1]
    return _Limits(values[low], values[high], low, high)
