"""Codes for everything that is not rounded to a value: NaN, infinities and overflows.

The steps 1 and 6 of `minifloat.codec`, under each policy.
"""

from __future__ import annotations

from typing import NamedTuple

from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding, overflows_to_infinity

BEYOND = (Overflow.IEEE, Overflow.SAT_NONE)  # policies that leave the range of finite values


class SpecialCodes(NamedTuple):
    """A code for each case; ``~code`` (negative) where it counts as an overflow error."""

    nan: int
    inf_above: int
    inf_below: int
    over_above: int
    over_below: int


def special_codes(
    fmt: NumberFormat, rounding: Rounding, overflow: Overflow, nan: NaNPolicy
) -> SpecialCodes:
    """Return the codes that ``fmt`` gives to NaN, +inf, -inf and values beyond its two ends.

    Raises
    ------
    ValueError
        If NaN is to become zero and the format has none.
    """
    above, below = fmt.inf_code(), fmt.inf_code(negative=True)
    return SpecialCodes(
        nan=_nan_result(fmt, nan) if fmt.nan_code is None else fmt.nan_code,
        inf_above=_at_infinity(fmt, overflow, above, fmt.max_code),
        inf_below=_at_infinity(fmt, overflow, below, fmt.min_code),
        over_above=_beyond(fmt, rounding, overflow, above, fmt.max_code, negative=False),
        over_below=_beyond(fmt, rounding, overflow, below, fmt.min_code, negative=True),
    )


def _nan_result(fmt: NumberFormat, nan: NaNPolicy) -> int:
    """Return the code of NaN in a format without one."""
    if nan is NaNPolicy.MAX:
        return fmt.max_code
    if nan is NaNPolicy.ZERO and fmt.zero_code is None:
        raise ValueError(f'nan must not be "zero" for {fmt}, which has no zero; use "max"')
    return fmt.zero_code or 0


def _at_infinity(fmt: NumberFormat, overflow: Overflow, infinity: int | None, end: int) -> int:
    """Return the code of an infinity."""
    if overflow is Overflow.SATURATE:
        return end
    if infinity is not None:
        return infinity
    if overflow is Overflow.RAISE:
        return ~end
    if overflow in BEYOND and fmt.nan_code is not None:
        return fmt.nan_code
    return end


def _beyond(
    fmt: NumberFormat,
    rounding: Rounding,
    overflow: Overflow,
    infinity: int | None,
    end: int,
    *,
    negative: bool,
) -> int:
    """Return the code of a finite value that rounds beyond one end of the format."""
    if overflow is Overflow.RAISE:
        return ~end
    end_odd = overflow is Overflow.IEEE and bool(end & 1)  # else TO_ODD never stops at the end
    if overflow not in BEYOND or not overflows_to_infinity(
        rounding, end_odd=end_odd, negative=negative
    ):
        return end
    if infinity is not None:
        return infinity
    return end if fmt.nan_code is None else fmt.nan_code
