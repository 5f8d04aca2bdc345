"""The loop of `minifloat.quantization`: weights to scales and packed codes, a few blocks at a time.

Some `PART` weights pass all steps while they are in the cache: the ends of their blocks, scales,
codes, bytes. Blocks are taken together in each step, so that the CPU works on several at once.

A code is found in one of three ways, each of which rounds the exact quotient w / divisor once (an
argument of the kernel that is None is a way, or a step, that is not compiled):

    RANKED    the points between the format's values, times the divisor, are compared with weights
    ROUNDED   the FPU rounds the quotient, in float32, to the format; float64 decides about ties
    SHIFTED   integers: the quotient, in float64, is rounded to an integer; the zero point is added

Where float32 does not hold weights or divisors, the quotient is taken in float64 and made float32
by rounding to odd: it is on a float32 number with an even word only if the exact one is. So it is
on the right side of every decision point that is such a number.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.packing import BYTE_GROUP, GROUPS, pack_groups, pack_row
from minifloat._kernels.prefetch import prefetch
from minifloat._kernels.ranks import LANES, first_keys, rank_codes
from minifloat._kernels.scalar import fpu_code, fpu_round, with_sign
from minifloat._kernels.scales import (
    AbsmaxToScale,
    ScaleValues,
    block_range,
    float_of,
    scale_of,
    single_word,
)

Array = NDArray[Any]
Lane = Any  # an int32
Single = Any  # a float32

PART = 1 << 14
PACKED_TOGETHER = BYTE_GROUP * GROUPS
CACHE_LINE = 64  # bytes

shl = np.left_shift
shr = np.right_shift


class Ranks(NamedTuple):
    """The tables that weights are ranked with."""

    points: Array  # float64, between neighbouring values, then inf
    upward: Array  # int32, 1 where a number on the point goes to the higher value
    table: Array  # int32, codes in the order of the values, the last one repeated
    point_count: int  # a multiple of `LANES`


class Coder(NamedTuple):
    """How quotients become codes of a format: RANKED, ROUNDED, or else SHIFTED."""

    ranks: Ranks | None
    plan: Array | None  # of `minifloat._kernels.codec`, to round
    by_quotient: bool  # whether the quotient is taken in float64 first; not if SHIFTED


class Scratch(NamedTuple):
    """Scratch space for a part: a number for each block, and for each weight."""

    lows: Array  # float64
    highs: Array
    divisors: Array
    words: Array  # int32, of float32 numbers: LANES, and one for each weight where they are needed
    first: Array  # int32, MOST keys
    codes: Array  # PACKED_TOGETHER + LANES more than there are weights
    spare: Array  # uint8, PACKED_TOGETHER + 8


@jit
def _round_quotient(
    value: Single, divisor: Single, cap: Lane, least: Lane, magic: Lane, drop: Lane, half: Lane
) -> tuple[Single, Lane, Single, bool]:
    """Return a magnitude over a scale, its code, the rest that rounding cut off, whether it ties.

    The quotient is rounded to float32, and then by the FPU to the format.
    """
    quotient = np.float32(value / divisor)
    word = np.float32(quotient).view(np.int32)
    capped, exponent, addend, total = fpu_round(word, cap, least, magic)
    rounded = np.float32(total - np.int32(addend).view(np.float32))
    rest = np.float32(np.int32(capped).view(np.float32) - rounded)
    rest_word = np.int32(np.float32(rest).view(np.int32) & np.int32(0x7FFFFFFF))
    code = fpu_code(exponent, addend, total, least, drop)
    return quotient, code, rest, rest_word == np.int32(exponent - half)


@jit
def _round(words: Array, divisor: Single, codes: Array, plan: Array) -> None:
    """Encode float32 weights over a float32 scale.

    The quotient is rounded to float32 and then to the format. The first rounding can do harm only
    where it ends on a tie of the second. So ties are looked for in all weights at once; if there is
    one, the float64 quotient decides it: that is a tie only if the exact quotient is.
    """
    p = plan[0]
    T = np.int32
    drop = T(T(23) - p["mantissa_bits"])
    magic = T(shl(drop, T(23)))
    half = T(shl(T(p["mantissa_bits"] + T(1)), T(23)))
    least = T(shl(p["least_field"], T(23)))
    cap, limit, negative_extra = p["cap"], p["limit"], p["negative_extra"]
    first_negative, flip, add = p["first_negative"], p["flip"], p["add"]
    ties = T(0)
    for i in range(words.size):
        w = T(words[i])
        negative = shr(w, T(31))
        value = T(w & T(0x7FFFFFFF)).view(np.float32)
        _, code, _, is_tie = _round_quotient(value, divisor, cap, least, magic, drop, half)
        ties = T(ties | T(is_tie))
        end = T(limit + T(negative & negative_extra))
        codes[i] = with_sign(T(min(code, end)), negative, T, first_negative, flip, add)
    if ties == 0:
        return
    for i in range(words.size):
        w = T(words[i])
        negative = shr(w, T(31))
        value = T(w & T(0x7FFFFFFF)).view(np.float32)
        quotient, code, rest, is_tie = _round_quotient(
            value, divisor, cap, least, magic, drop, half
        )
        if is_tie:
            exact = np.float64(value) / np.float64(divisor)
            if exact != np.float64(quotient):
                code = T(code - T(rest < 0) + T(exact > np.float64(quotient)))
            end = T(limit + T(negative & negative_extra))
            codes[i] = with_sign(T(min(code, end)), negative, T, first_negative, flip, add)


@jit
def _odd_quotients(
    words: Array, start: int, stop: int, half: bool | None, divisor: float, singles: Array, to: int
) -> None:
    """Write the words of float64 quotients, rounded to float32 and to odd."""
    T = np.int32
    for i in range(start, stop):
        quotient = float_of(words, i, half) / divisor
        nearest = np.float32(quotient)
        word = T(nearest.view(T))
        back = np.float64(nearest)
        moves = (back != quotient) & (T(word & T(1)) == 0)
        outward = abs(back) < abs(quotient)
        step = T(T(outward) - T(not outward))
        singles[to + i - start] = T(word + step) if moves else word


@jit
def _shift(
    words: Array, half: bool | None, divisor: float, zero: float, top: float, codes: Array
) -> None:
    """Round quotients to integers and add the zero point."""
    for i in range(words.size):
        code = np.rint(float_of(words, i, half) / divisor) + zero
        codes[i] = np.int32(min(max(code, 0.0), top))


@jit
def _widen(words: Array, start: int, stop: int, half: Any, singles: Array) -> None:
    """Write the words of float32 for those of 16 bits."""
    for i in range(start, stop):
        singles[i - start] = single_word(np.int32(words[i]), half)


@inlined
def _fetch(words: Array, start: int, stop: int) -> None:
    """Ask for the words that come a part later."""
    line = CACHE_LINE // words.itemsize
    i = start + PART
    while i < stop + PART:  # a range would divide by the step
        prefetch(words, i)
        i += line


@jit
def _rank_blocks(
    words: Array, singles: Array, low: int, high: int, size: int, offset: int, divisors: Array,
    ranks: Ranks, first: Array, spare: Array, codes: Array, to: int,
) -> None:  # fmt: skip
    """Write the codes of blocks; up to `LANES` codes behind them become anything."""
    for k in range((high - low + size - 1) // size):
        start = low + k * size
        stop = min(start + size, high)
        _fetch(words, start, stop)
        for at in range(0, ranks.point_count, LANES):
            first_keys(ranks.points, ranks.upward, divisors[k], at, first)
        whole = stop if stop - offset + LANES <= singles.size else stop - (stop - start) % LANES
        for i in range(start, whole, LANES):
            rank_codes(singles, i - offset, first, ranks.table, codes, to + i - low)
        if whole < stop:  # the last words of all: what lies behind them cannot be read
            for i in range(whole, stop):
                spare[i - whole] = singles[i - offset]
            rank_codes(spare, 0, first, ranks.table, codes, to + whole - low)


@jit
def _round_blocks(
    words: Array, singles: Array, low: int, high: int, size: int, offset: int, divisors: Array,
    plan: Array, codes: Array, to: int,
) -> None:  # fmt: skip
    """Write the codes of blocks."""
    for k in range((high - low + size - 1) // size):
        start = low + k * size
        stop = min(start + size, high)
        _fetch(words, start, stop)
        block_codes = codes[to + start - low :]
        _round(singles[start - offset : stop - offset], np.float32(divisors[k]), block_codes, plan)


@jit
def _shift_blocks(
    words: Array, low: int, high: int, size: int, half: bool | None, divisors: Array, zeros: Array,
    block: int, top: float, codes: Array, to: int,
) -> None:  # fmt: skip
    """Write the codes of blocks."""
    for k in range((high - low + size - 1) // size):
        start = low + k * size
        stop = min(start + size, high)
        _fetch(words, start, stop)
        zero = np.float64(zeros[block + k])
        _shift(words[start:stop], half, divisors[k], zero, top, codes[to + start - low :])


@jit
def _find(
    words: Array, low: int, high: int, size: int, half: bool | None, tensor: float,
    grid: ScaleValues, rule: AbsmaxToScale, signed: bool, top: float, lows: Array, highs: Array,
    scales: Array, zeros: Any, block: int,
) -> bool:  # fmt: skip
    """Write the scales and zero points of some blocks; return whether each has one.

    It has none if it is beyond the scale's format, if a weight is not finite, or if it is below 0
    and the format is not.
    """
    count, found = (high - low + size - 1) // size, True
    for k in range(count):
        start = low + k * size
        lows[k], highs[k] = block_range(words, start, min(start + size, high), half)
    for k in range(count):
        if zeros is None:
            found &= signed or lows[k] == 0
            highs[k] = max(highs[k], -lows[k])
        else:
            highs[k] -= lows[k]
    for k in range(count):
        scale = scale_of(highs[k], grid, rule)
        scales[block + k] = scale
        found &= scale <= grid.largest
    if zeros is not None:
        for k in range(count):
            divisor = float(scales[block + k]) * tensor
            divisor = divisor if divisor > 0 else 1.0
            zeros[block + k] = np.int32(min(max(np.rint(-lows[k] / divisor), 0.0), top))
    return found


@jit
def _pack(
    codes: Array, count: int, bits: int, wide: Any, packed: Array, at: int, spare: Array
) -> None:
    """Pack codes from byte ``at`` on; codes of a byte up to the next whole `PACKED_TOGETHER`."""
    if wide is not None:
        pack_row(codes[:count], bits, False, packed[at:])
    if wide is None:
        size = GROUPS * bits
        for i in range(0, count, PACKED_TOGETHER):
            if at + size + 8 <= packed.size:  # 8 bytes are written for each group
                pack_groups(codes, i, bits, packed, at)
            else:
                pack_groups(codes, i, bits, spare, 0)
                for j in range(min(size, packed.size - at)):
                    packed[at + j] = spare[j]
            at += size


@kernel(cost=3)
def quantize(
    words: Array, singles: Array, half: bool | None, length: int, size: int, tensor: float,
    grid: ScaleValues, rule: AbsmaxToScale, finds: Any, ranks: Ranks | None, plan: Array | None,
    by_quotient: Any, widens: Any, bits: int, wide: Any, signed: bool, top: float,
    scratch: Scratch, scales: Array, zeros: Array | None, packed: Array,
) -> bool:  # fmt: skip
    """Quantize weights; return whether each block has a scale, see `_find`.

    ``words`` are of 32 or 64 bits, where ``half`` is None, or of 16: float16 if it is True, or
    bfloat16. ``singles`` is the same array if it is float32's and quotients are not taken first.
    Else it is ``scratch.words``, where float32 numbers are made: quotients (``by_quotient``), or
    words of 16 bits in 32 (``widens``).

    Codes are found by ``ranks``, or by ``plan``, or else with ``zeros``: two of them are None. So
    is each of ``finds`` (if scales and zero points are given), ``by_quotient``, ``widens`` and
    ``wide`` (codes of more than 8 bits) that does not hold: what is None is not compiled.

    Codes of ``bits`` lie closely; the largest is ``top``, and there are values below 0 if
    ``signed``.
    """
    own, divisors, codes = scratch.words, scratch.divisors, scratch.codes
    if length % size == 0:  # rows of whole blocks are one
        length = words.size
    whole = max(1, PART // size) * size
    zero = int(np.intp(0))  # a constant has a type of its own, for which callees are compiled, too
    found, block, held, at = True, zero, zero, zero
    for row in range(0, words.size, length):
        for low in range(row, row + length, whole):
            high = min(low + whole, row + length)
            if finds is not None:
                found &= _find(
                    words, low, high, size, half, tensor, grid, rule, signed, top, scratch.lows,
                    scratch.highs, scales, zeros, block,
                )  # fmt: skip
            count = (high - low + size - 1) // size
            for start in range(low, high, PART):
                stop = min(start + PART, high)
                offset = 0
                for k in range(count):
                    scale = float(scales[block + k])
                    divisors[k] = (scale if scale > 0 else 1.0) * tensor
                if by_quotient is not None:
                    offset = start
                    for k in range(count):
                        first = start + k * size
                        end = min(first + size, stop)
                        _odd_quotients(words, first, end, half, divisors[k], own, first - start)
                        divisors[k] = 1.0
                if widens is not None:
                    offset = start
                    _widen(words, start, stop, half, own)
                if ranks is not None:
                    _rank_blocks(
                        words, singles, start, stop, size, offset, divisors, ranks, scratch.first,
                        own, codes, held,
                    )  # fmt: skip
                if plan is not None:
                    _round_blocks(
                        words, singles, start, stop, size, offset, divisors, plan, codes, held
                    )  # fmt: skip
                if zeros is not None:
                    _shift_blocks(
                        words, start, stop, size, half, divisors, zeros, block, top, codes, held
                    )  # fmt: skip
                held += stop - start
                full = held - held % PACKED_TOGETHER
                _pack(codes, full, bits, wide, packed, at, scratch.spare)
                at += full // BYTE_GROUP * bits
                held -= full
                for j in range(held):
                    codes[j] = codes[full + j]
            block += count
    for j in range(held, held + PACKED_TOGETHER):
        codes[j] = 0
    _pack(codes, held, bits, wide, packed, at, scratch.spare)
    return found
