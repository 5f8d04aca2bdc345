"""The loop of `minifloat.quantization`: weights to scales and packed codes, a few blocks at a time.

Some `PART` weights pass all steps while they are in the cache: the ends of their blocks, scales,
codes, bytes. Blocks are taken together in each step, so that the CPU works on several at once.

A code is found in one of three ways, each of which rounds the exact quotient w / divisor once:

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
from minifloat._kernels.packing import BYTE_GROUP, pack_row
from minifloat._kernels.prefetch import prefetch
from minifloat._kernels.ranks import LANES, first_keys, rank_codes
from minifloat._kernels.scalar import fpu_code, fpu_round, with_sign
from minifloat._kernels.scales import (
    AbsmaxToScale,
    ScaleValues,
    block_range,
    float_of,
    scales_of,
    single_word,
)

Array = NDArray[Any]
Lane = Any  # an int32
Single = Any  # a float32

RANKED, ROUNDED, SHIFTED = range(3)
PART = 1 << 14
CACHE_LINE = 64  # bytes

shl = np.left_shift
shr = np.right_shift


class Coder(NamedTuple):
    """How quotients become codes of a format."""

    kind: int
    bits: int
    by_quotient: bool  # whether the quotient is taken in float64 first; not if SHIFTED
    points: Array  # RANKED: float64, between neighbouring values, then inf
    upward: Array  # int32, 1 where a number on the point goes to the higher value
    table: Array  # int32, codes in the order of the values, the last one repeated
    point_count: int  # a multiple of `LANES`
    plan: Array  # ROUNDED: a plan of `minifloat._kernels.codec`
    top: float  # SHIFTED: the largest code
    signed: bool


class Scratch(NamedTuple):
    """Scratch space for a part: a number for each block, and for each weight."""

    lows: Array  # float64
    highs: Array
    divisors: Array
    words: Array  # int32, of float32 numbers: LANES, and one for each weight where they are needed
    first: Array  # int32, MOST keys
    codes: Array  # BYTE_GROUP + LANES more than there are weights


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
def _odd_quotients(words: Array, half: bool, divisor: float, singles: Array) -> None:
    """Write the words of float64 quotients, rounded to float32 and to odd."""
    T = np.int32
    for i in range(words.size):
        quotient = float_of(words, i, half) / divisor
        nearest = np.float32(quotient)
        word = T(nearest.view(T))
        back = np.float64(nearest)
        moves = (back != quotient) & (T(word & T(1)) == 0)
        outward = abs(back) < abs(quotient)
        step = T(T(outward) - T(not outward))
        singles[i] = T(word + step) if moves else word


@jit
def _shift(words: Array, half: bool, divisor: float, zero: float, top: float, codes: Array) -> None:
    """Round quotients to integers and add the zero point."""
    for i in range(words.size):
        code = np.rint(float_of(words, i, half) / divisor) + zero
        codes[i] = np.int32(min(max(code, 0.0), top))


@jit
def _widen(words: Array, half: bool, singles: Array) -> None:
    """Write the words of float32 for those of 16 bits."""
    for i in range(words.size):
        singles[i] = single_word(np.int32(words[i]), half)


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
    points: Array, upward: Array, point_count: int, table: Array, first: Array, spare: Array,
    codes: Array, to: int,
) -> None:  # fmt: skip
    """Write the codes of blocks; up to `LANES` codes behind them become anything."""
    for k in range((high - low + size - 1) // size):
        start = low + k * size
        stop = min(start + size, high)
        _fetch(words, start, stop)
        for at in range(0, point_count, LANES):
            first_keys(points, upward, divisors[k], at, first)
        whole = stop if stop - offset + LANES <= singles.size else stop - (stop - start) % LANES
        for i in range(start, whole, LANES):
            rank_codes(singles, i - offset, first, table, codes, to + i - low)
        if whole < stop:  # the last words of all: what lies behind them cannot be read
            for i in range(whole, stop):
                spare[i - whole] = singles[i - offset]
            rank_codes(spare, 0, first, table, codes, to + whole - low)


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
    words: Array, low: int, high: int, size: int, half: bool, divisors: Array, zeros: Array,
    top: float, codes: Array, to: int,
) -> None:  # fmt: skip
    """Write the codes of blocks."""
    for k in range((high - low + size - 1) // size):
        start = low + k * size
        stop = min(start + size, high)
        _fetch(words, start, stop)
        zero = np.float64(zeros[k])
        _shift(words[start:stop], half, divisors[k], zero, top, codes[to + start - low :])


@jit
def _find(
    words: Array, low: int, high: int, size: int, half: bool, tensor: float, grid: ScaleValues,
    rule: AbsmaxToScale, coder: Coder, lows: Array, highs: Array, scales: Array, zeros: Array,
) -> bool:  # fmt: skip
    """Write the scales and zero points of some blocks; return whether each has one.

    It has none if it is beyond the scale's format, if a weight is not finite, or if it is below 0
    and the format is not.
    """
    count, found, has_zeros = (high - low + size - 1) // size, True, coder.kind == SHIFTED
    signed, top = coder.signed, coder.top
    for k in range(count):
        start = low + k * size
        lows[k], highs[k] = block_range(words, start, min(start + size, high), half)
    for k in range(count):
        found &= signed or has_zeros or lows[k] == 0
        highs[k] = highs[k] - lows[k] if has_zeros else max(highs[k], -lows[k])
    scales_of(highs[:count], grid, rule, scales)
    for k in range(count):
        found &= scales[k] <= grid.largest
    for k in range(count if has_zeros else 0):
        divisor = float(scales[k]) * tensor
        divisor = divisor if divisor > 0 else 1.0
        zeros[k] = np.int32(min(max(np.rint(-lows[k] / divisor), 0.0), top))
    return found


@jit
def _divisors(scales: Array, tensor: float, divisors: Array) -> None:
    """Write what blocks are divided by."""
    for k in range(scales.size):
        scale = float(scales[k])
        divisors[k] = (scale if scale > 0 else 1.0) * tensor


@jit
def _put(
    words: Array, singles: Array, low: int, high: int, size: int, half: bool, coder: Coder,
    scratch: Scratch, zeros: Array, held: int,
) -> None:  # fmt: skip
    """Write the codes of a part to the scratch space, behind those that are held there."""
    own, divisors, codes = scratch.words, scratch.divisors, scratch.codes
    if coder.kind == SHIFTED:
        _shift_blocks(words, low, high, size, half, divisors, zeros, coder.top, codes, held)
        return
    offset = 0 if words.itemsize == 4 and not coder.by_quotient else low  # of those in float32
    if coder.by_quotient:
        for k in range((high - low + size - 1) // size):
            start = low + k * size
            _odd_quotients(
                words[start : min(start + size, high)], half, divisors[k], own[start - low :]
            )
            divisors[k] = 1.0
    elif words.itemsize == 2:
        _widen(words[low:high], half, own)
    if coder.kind == RANKED:
        _rank_blocks(
            words, singles, low, high, size, offset, divisors, coder.points, coder.upward,
            coder.point_count, coder.table, scratch.first, own, codes, held,
        )  # fmt: skip
    else:
        _round_blocks(words, singles, low, high, size, offset, divisors, coder.plan, codes, held)


@kernel(cost=20)
def quantize(
    words: Array, singles: Array, half: bool, length: int, size: int, tensor: float,
    grid: ScaleValues, rule: AbsmaxToScale, finds: bool, coder: Coder, scratch: Scratch,
    scales: Array, zeros: Array, packed: Array,
) -> bool:  # fmt: skip
    """Quantize weights; return whether each block has a scale, see `_find`.

    ``words`` are of 16 bits (float16 if ``half``, or bfloat16), 32 or 64. ``singles`` is the same
    array, if it is float32's and quotients are not taken first, else ``scratch.words``. Scales and
    zero points are found, or given; there are zero points if the coder shifts. Codes lie closely.
    """
    if length % size == 0:  # rows of whole blocks are one
        length = words.size
    whole = max(1, PART // size) * size
    found, block, held, at = True, 0, 0, 0
    for row in range(0, words.size, length):
        for low in range(row, row + length, whole):
            high = min(low + whole, row + length)
            if finds:
                found &= _find(
                    words, low, high, size, half, tensor, grid, rule, coder, scratch.lows,
                    scratch.highs, scales[block:], zeros[block:],
                )  # fmt: skip
            count = (high - low + size - 1) // size
            for start in range(low, high, PART):
                stop = min(start + PART, high)
                _divisors(scales[block : block + count], tensor, scratch.divisors)
                _put(
                    words, singles, start, stop, size, half, coder, scratch, zeros[block:], held
                )  # fmt: skip
                held += stop - start
                full = held - held % BYTE_GROUP
                pack_row(scratch.codes[:full], coder.bits, False, packed[at:])
                at += full // BYTE_GROUP * coder.bits
                held -= full
                for j in range(held):
                    scratch.codes[j] = scratch.codes[full + j]
            block += count
    pack_row(scratch.codes[:held], coder.bits, False, packed[at:])
    return found
