"""Codes for what is not rounded: overflows, infinities and NaNs under each policy."""

from __future__ import annotations

from typing import NamedTuple

from minifloat.formats import Codebook, Format, Integer, NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, overflows_to_infinity


class Outcomes(NamedTuple):
    """A code for each case; ``~code`` (negative) where it counts as an overflow error."""

    nan: int
    inf_above: int
    inf_below: int
    over_above: int
    over_below: int


def outcomes(fmt: NumberFormat, rounding: Rounding, overflow: Overflow, nan: NaNPolicy) -> Outcomes:
    """Return the codes that ``fmt`` gives to NaN, +inf, -inf and values beyond its two ends.

    Raises
    ------
    ValueError
        If NaN is to become zero and the format has none.
    """
    highest, lowest = end_codes(fmt)
    nan_code = fmt.nan_code if isinstance(fmt, Format) and fmt.has_nan else None
    inf_above, inf_below = _infinity_codes(fmt)

    def at_infinity(infinity: int | None, end: int) -> int:
        if overflow is Overflow.SATURATE:
            return end
        if infinity is not None:
            return infinity
        if overflow is Overflow.RAISE:
            return ~end
        if overflow is Overflow.IEEE and nan_code is not None:
            return nan_code
        return end

    def beyond(infinity: int | None, end: int, negative: bool) -> int:
        if overflow is Overflow.RAISE:
            return ~end
        if overflow is not Overflow.IEEE:
            return end
        max_odd = bool(highest & 1)
        if not overflows_to_infinity(rounding, max_odd=max_odd, negative=negative):
            return end
        if infinity is not None:
            return infinity
        return end if nan_code is None else nan_code

    return Outcomes(
        nan=_nan_outcome(fmt, nan) if nan_code is None else nan_code,
        inf_above=at_infinity(inf_above, highest),
        inf_below=at_infinity(inf_below, lowest),
        over_above=beyond(inf_above, highest, False),
        over_below=beyond(inf_below, lowest, True),
    )


def end_codes(fmt: NumberFormat) -> tuple[int, int]:
    """Return the codes of the greatest and of the least value."""
    if isinstance(fmt, Codebook):
        return fmt.codebook.index(fmt.max), fmt.codebook.index(fmt.min)
    if isinstance(fmt, Integer):
        return int(fmt.max), int(fmt.min) % (1 << fmt.bits)
    assert isinstance(fmt, Format)
    return fmt.max_magnitude, (fmt.sign_bit | fmt.max_magnitude if fmt.signed else 0)


def _infinity_codes(fmt: NumberFormat) -> tuple[int | None, int | None]:
    if not (isinstance(fmt, Format) and fmt.has_inf):
        return None, None
    return fmt.inf_magnitude, fmt.sign_bit | fmt.inf_magnitude if fmt.signed else None


def _nan_outcome(fmt: NumberFormat, nan: NaNPolicy) -> int:
    if nan is NaNPolicy.MAX:
        return end_codes(fmt)[0]
    if nan is NaNPolicy.ZERO and not fmt.has_zero:
        raise ValueError(f'nan must not be "zero" for {fmt}, which has no zero; use "max"')
    if nan is NaNPolicy.ZERO and isinstance(fmt, Codebook):
        zeros = [code for code, value in enumerate(fmt.codebook) if value == 0]
        return min(zeros, key=lambda code: str(fmt.codebook[code]) == "-0.0")
    return 0
