"""Loops of `minifloat.codec`: words of a source float to codes, and codes to values.

Contract of every kernel: one-dimensional contiguous arrays and plain integers in, results into an
array passed in; no allocation, no exceptions. A kernel calls only kernels of this file, because
Numba's disk cache does not see changes in other files.

Arithmetic is done in lanes of one width: int32 for sources of 16 and 32 bits, int64 for float64.
``T`` is the type of a lane. Numba widens ``int32 + int32`` to int64, which would halve the speed,
so each result is cast back by ``T(...)``; the NumPy shifts keep the width by themselves.

    word of the source     s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
    significand            1 mmmmmmmmmmmmmmmmmmmmmmm             (0 m... where e = 0)
    cut by the format      1 mmm . mmmmmmmmmmmmmmmmmmmm          M bits kept, `shift` bits dropped
    fraction                     . mmmmmmmmmmmmmmmmmmmm000...j   30 bits, the last one sticky

Below the format's least normal exponent the cut moves left, one bit a binade, which is all there
is to subnormals. The code of the truncated magnitude is the kept significand plus the exponent
field shifted by M, less one binade, since the significand's leading bit adds it again; rounding
adds 1, and a carry moves into the exponent by itself.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]
Lane = Any  # an integer of the lanes' type

WINDOW = 30  # bits of the fraction that rounding looks at, the last of them sticky
BLOCK = 2048  # elements between two looks for infinities, NaNs and overflows

shl = np.left_shift
shr = np.right_shift


class Source(NamedTuple):
    """The words of a source float."""

    mantissa_bits: int
    sign_shift: int  # the sign is bit `sign_shift`
    infinity: int  # the word of +inf; greater magnitudes are NaNs


class Grid(NamedTuple):
    """The values of a format: an ExMy grid cut off at ``limit``, or integers."""

    mantissa_bits: int
    least_field: int  # the source's exponent field in the first normal binade
    limit: int  # magnitude of the greatest value
    limit_below: int  # what to add to it for negative values
    first_negative: int  # least magnitude that takes a sign: 0 where -0 has a code, else 1
    flip: int  # a negative code is (magnitude ^ flip) + add
    add: int
    cap: int  # float32 word just beyond the greatest value, or 0: keep to integer arithmetic


class Rule(NamedTuple):
    """Least fraction that rounds away: ``even``, plus ``odd`` if odd, plus ``minus`` if < 0."""

    even: int
    odd: int
    minus: int


class Outcome(NamedTuple):
    """Codes of what is not rounded; ``~code`` where it also counts as an overflow."""

    nan: int
    inf_above: int
    inf_below: int
    over_above: int
    over_below: int
    clamps: int  # 1 where infinities and overflows become the greatest and least value


class Dice(NamedTuple):
    """How random words become thresholds."""

    kind: int  # 0, 1, 2: P3109's StochasticA, B, C; 3: a coin; -1: none is thrown
    bits: int
    seed: np.uint64


class Look(NamedTuple):
    """How `_values` computes values of an ExMy format; ``least_word`` is 0: look them up."""

    mantissa_bits: int
    sign_shift: int
    least_word: int  # float32 word of the least normal value
    max_magnitude: int
    inf_magnitude: int  # -1 if there is none
    half: int  # 0 for float32 words, 1 for float16 words, 2 if some value is subnormal there
    greatest_word: int  # float32 word of the greatest value, if `_round_values` may be used


@jit
def _truncate(
    w: Lane, T: Any, top_bit: Lane, source_m: Lane, sign_shift: Lane, m: Lane, least_field: Lane
) -> tuple[Lane, Lane, Lane, Lane]:
    """Split a word: magnitude, all ones if negative, code toward zero, fraction dropped."""
    zero, one, window = T(0), T(1), T(WINDOW)
    negative = shr(shl(w, T(top_bit - sign_shift)), top_bit)
    magnitude = T(w & T(~shl(one, sign_shift)))
    field = max(shr(magnitude, source_m), one)
    significand = T(magnitude - shl(T(field - one), source_m))
    kept_field = max(field, least_field)
    shift = T(T(source_m - m) + T(kept_field - field))
    beyond = min(max(T(shift - window), zero), top_bit)
    seen = shr(significand, beyond)
    significand = T(seen | T(significand != shl(seen, beyond)))
    shift = min(shift, window)
    kept = shr(significand, shift)
    fraction = shl(T(significand - shl(kept, shift)), T(window - shift))
    code = T(kept + shl(T(kept_field - least_field), m))
    return magnitude, negative, code, fraction


@jit
def _round_one(
    words: Array, drawn: Array, i: int, T: Any, top_bit: Lane, source_m: Lane, sign_shift: Lane,
    m: Lane, least_field: Lane, even: Lane, odd: Lane, minus: Lane,
) -> tuple[Lane, Lane, Lane]:  # fmt: skip
    """Round a word by the threshold drawn for it or, where none is, by that of the mode."""
    magnitude, negative, code, fraction = _truncate(
        T(words[i]), T, top_bit, source_m, sign_shift, m, least_field
    )
    if drawn.size > 0:
        threshold = T(drawn[i])
    else:
        threshold = T(T(even + T(T(-T(code & T(1))) & odd)) + T(negative & minus))
    return magnitude, negative, T(code + T(fraction >= threshold))


@jit
def _with_sign(
    code: Lane, negative: Lane, T: Any, first_negative: Lane, flip: Lane, add: Lane
) -> Lane:
    """Return a magnitude's code; that of its negative where ``negative`` is all ones."""
    sign = T(negative & T(-T(code >= first_negative)))
    return T(T(code ^ T(sign & flip)) + T(sign & add))


@jit
def _round(
    words: Array, drawn: Array, codes: Array, T: Any, top_bit: Lane, source: Source, grid: Grid,
    rule: Rule,
) -> tuple[Lane, Lane]:  # fmt: skip
    """Encode numbers in any mode; return the greatest magnitude and the furthest overflow."""
    source_m, sign_shift = T(source.mantissa_bits), T(source.sign_shift)
    m, least_field = T(grid.mantissa_bits), T(grid.least_field)
    limit, limit_below = T(grid.limit), T(grid.limit_below)
    first_negative, flip, add = T(grid.first_negative), T(grid.flip), T(grid.add)
    even, odd, minus = T(rule.even), T(rule.odd), T(rule.minus)
    largest, excess = T(0), T(-1)
    for i in range(words.size):
        magnitude, negative, code = _round_one(
            words, drawn, i, T, top_bit, source_m, sign_shift, m, least_field, even, odd, minus
        )
        most = T(limit + T(negative & limit_below))
        largest = max(largest, magnitude)
        excess = max(excess, T(code - most))
        codes[i] = _with_sign(min(code, most), negative, T, first_negative, flip, add)
    return largest, excess


@jit
def _round_nearest_even(words: Array, codes: Array, T: Any, grid: Grid) -> tuple[Lane, Lane]:
    """Encode float32 to nearest even through the FPU; the same results as `_round`.

    Adding ``2**(e + 23 - m)`` to ``|x|`` makes the FPU round to the format's grid in the binade
    ``e`` (which stops at the least normal one). The sum's word less the word of the addend is the
    significand rounded; with ``m >= 1`` its parity is the code's. ``|x|`` is capped beyond the
    format's maximum first, so the sum never overflows and every overflow is still seen.
    """
    drop = np.int32(23 - grid.mantissa_bits)
    magic = np.int32(shl(drop, np.int32(23)))
    least = np.int32(grid.least_field << 23)
    cap = np.int32(grid.cap)
    limit, limit_below = T(grid.limit), T(grid.limit_below)
    first_negative, flip, add = T(grid.first_negative), T(grid.flip), T(grid.add)
    largest, excess = T(0), T(-1)
    for i in range(words.size):
        w = np.int32(words[i])
        magnitude = np.int32(w & np.int32(0x7FFFFFFF))
        capped = np.int32(min(magnitude, cap))
        exponent = np.int32(max(np.int32(capped & np.int32(0x7F800000)), least))
        addend = np.int32(exponent + magic)
        total = np.float32(np.int32(capped).view(np.float32) + np.int32(addend).view(np.float32))
        significand = np.int32(np.float32(total).view(np.int32) - addend)
        code = T(np.int32(significand + shr(np.int32(exponent - least), drop)))
        negative = T(shr(w, np.int32(31)))
        most = T(limit + T(negative & limit_below))
        largest = max(largest, T(magnitude))
        excess = max(excess, T(code - most))
        codes[i] = _with_sign(min(code, most), negative, T, first_negative, flip, add)
    return largest, excess


@jit
def _put_right(
    words: Array, drawn: Array, codes: Array, T: Any, top_bit: Lane, source: Source, grid: Grid,
    rule: Rule, outcome: Outcome,
) -> tuple[int, int]:  # fmt: skip
    """Overwrite the codes of infinities, NaNs and overflows; return how many NaNs, overflows."""
    source_m, sign_shift = T(source.mantissa_bits), T(source.sign_shift)
    m, least_field = T(grid.mantissa_bits), T(grid.least_field)
    limit, limit_below = T(grid.limit), T(grid.limit_below)
    even, odd, minus = T(rule.even), T(rule.odd), T(rule.minus)
    nans, overflows = 0, 0
    for i in range(words.size):
        magnitude, negative, code = _round_one(
            words, drawn, i, T, top_bit, source_m, sign_shift, m, least_field, even, odd, minus
        )
        if magnitude > source.infinity:
            codes[i] = outcome.nan
            nans += 1
        elif magnitude == source.infinity or code > T(limit + T(negative & limit_below)):
            if magnitude == source.infinity:
                result = outcome.inf_below if negative else outcome.inf_above
            else:
                result = outcome.over_below if negative else outcome.over_above
            codes[i] = result if result >= 0 else ~result
            overflows += result < 0
    return nans, overflows


@jit
def _is_special(largest: Lane, excess: Lane, infinity: Lane, outcome: Outcome) -> bool:
    """Return whether a block has NaNs, or what else does not just become the greatest value."""
    return largest > infinity or (outcome.clamps == 0 and (largest == infinity or excess > 0))


@jit
def _encode_block(
    words: Array, drawn: Array, codes: Array, T: Any, top_bit: Lane, source: Source, grid: Grid,
    rule: Rule, outcome: Outcome,
) -> tuple[int, int]:  # fmt: skip
    if grid.cap > 0:
        largest, excess = _round_nearest_even(words, codes, T, grid)
    else:
        largest, excess = _round(words, drawn, codes, T, top_bit, source, grid, rule)
    if _is_special(largest, excess, T(source.infinity), outcome):
        return _put_right(words, drawn, codes, T, top_bit, source, grid, rule, outcome)
    return 0, 0


@jit
def draw(seed: np.uint64, first: int, words: Array) -> None:
    """Fill ``words`` (uint64) with words ``first``, ``first + 1``, ... of the stream ``seed``.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) as a counter: a word is a hash of the seed and
    its index, and of nothing else.
    """
    gamma = np.uint64(0x9E3779B97F4A7C15)
    key = np.uint64(seed)
    for j in range(words.size):
        z = np.uint64(key + np.uint64(np.uint64(first + j + 1) * gamma))
        z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
        z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
        words[j] = np.uint64(z ^ np.uint64(z >> np.uint64(31)))


@jit
def _thresholds(words: Array, drop: int, bits: int, kind: int, drawn: Array) -> None:
    """Turn random words into the least fractions that round away from zero.

    With ``R = word >> drop`` of n bits, ``K = 2**n - R`` and the fraction f, P3109 rounds away if

        A (kind 0)   floor(f 2**n) + R >= 2**n              that is   f 2**n     >= K
        B (kind 1)   floor(f 2**(n+1)) + 2 R + 1 >= 2**(n+1)          f 2**(n+1) >= 2 K - 1
        C (kind 2)   rint(f 2**n) + R >= 2**n               as B, but > where K is odd
        coin (3)     R's top bit is 1 and f > 0
    """
    one = np.int32(1)
    whole = np.int32(1 << bits)
    up = np.int32(WINDOW - bits)
    down = np.uint32(drop)
    for i in range(words.size):
        r = np.int32(shr(np.uint32(words[i]), down))
        k = np.int32(whole - r)
        if kind == 0:
            drawn[i] = shl(k, up)
        elif kind == 3:
            drawn[i] = one if np.int32(r + r) >= whole else np.int32(1 << WINDOW)
        else:
            odd = np.int32(k & one) if kind == 2 else np.int32(0)
            drawn[i] = np.int32(shl(np.int32(k + k - one), np.int32(up - one)) + odd)


@kernel
def throw(given: Array, start: int, dice: Dice, room: Array, drawn: Array) -> None:
    """Fill ``drawn`` with thresholds of elements ``start`` and on.

    The words are ``given`` ones of ``dice.bits`` bits or, where that is empty, half a word of the
    stream for each element; ``room`` (uint64) is for them.
    """
    if given.size > 0:
        _thresholds(given, 0, dice.bits, dice.kind, drawn)
    else:
        skip = start & 1
        some = room[: (skip + drawn.size + 1) >> 1]
        draw(dice.seed, start >> 1, some)
        halves = some.view(np.uint32)[skip : skip + drawn.size]
        _thresholds(halves, 32 - dice.bits, dice.bits, dice.kind, drawn)


@kernel
def encode(
    words: Array, given: Array, start: int, codes: Array, lanes: Array, source: Source, grid: Grid,
    rule: Rule, outcome: Outcome, dice: Dice, room: Array, drawn: Array,
) -> tuple[int, int]:  # fmt: skip
    """Encode words of a source float; return how many NaNs and counted overflows there were.

    ``codes`` has room for all, or, where only the counts are wanted, for `BLOCK` of them.
    ``lanes`` is empty and carries the lanes' type; ``start`` is the index of the first element.
    In a stochastic mode ``drawn`` and ``room`` have room for `BLOCK` thresholds and their words,
    else they are empty; ``given`` are the caller's random words, or empty.
    """
    T = lanes.dtype.type
    top_bit = T(8 * lanes.itemsize - 1)
    nans, overflows = 0, 0
    for low in range(0, words.size, BLOCK):
        high = min(low + BLOCK, words.size)
        place = low if codes.size == words.size else 0
        out = codes[place : place + high - low]
        some = drawn[: high - low]
        if dice.kind >= 0:
            throw(given[low:high], start + low, dice, room, some)
        more_nans, more_overflows = _encode_block(
            words[low:high], some, out, T, top_bit, source, grid, rule, outcome
        )
        nans += more_nans
        overflows += more_overflows
    return nans, overflows


@jit
def _values(codes: Array, values: Array, look: Look) -> None:
    """Compute the words of values of an ExMy format; every step is exact.

    A normal code, moved to float32's mantissa, lacks only the difference of the biases. A
    subnormal one gets the exponent of the least normal binade instead and loses its leading one
    by a subtraction. Narrowing to float16 cuts off zeros; below 2**-14 it counts in 2**-24.
    """
    m = np.int32(look.mantissa_bits)
    up = np.int32(23 - look.mantissa_bits)
    least = np.int32(look.least_word)
    least_value = np.int32(least).view(np.float32)
    rebias = np.int32(least - np.int32(0x00800000))
    mask = np.int32((1 << look.sign_shift) - 1)
    subnormal_halves = look.half > 1
    top, infinite = np.int32(look.max_magnitude), np.int32(look.inf_magnitude)
    has_specials = top < mask
    to_sign = np.int32((15 if look.half else 31) - look.sign_shift)
    inf_word = np.int32(0x7C00 if look.half else 0x7F800000)
    nan_word = np.int32(0x7E00 if look.half else 0x7FC00000)
    zero = np.int32(0)
    for i in range(codes.size):
        code = np.int32(codes[i])
        magnitude = np.int32(code & mask)
        subnormal = shr(magnitude, m) == 0
        base = least if subnormal else rebias
        lead = least_value if subnormal else np.float32(0.0)
        shifted = np.int32(shl(magnitude, up) + base)
        value = np.float32(np.int32(shifted).view(np.float32) - lead)
        word = np.float32(value).view(np.int32)
        if look.half:
            narrow = max(np.int32(shr(word, np.int32(13)) - np.int32(112 << 10)), zero)
            if subnormal_halves:
                tiny = np.int32(np.float32(value * np.float32(16777216.0)))
                narrow = tiny if word < np.int32(0x38800000) else narrow
            word = np.int32(narrow)
        if has_specials and magnitude > top:
            word = inf_word if magnitude == infinite else nan_word
        values[i] = np.int32(word | shl(np.int32(code & ~mask), to_sign))


@jit
def _look_up(codes: Array, table: Array, values: Array) -> None:
    for i in range(codes.size):
        values[i] = table[codes[i]]


@kernel
def decode(codes: Array, table: Array, values: Array, look: Look) -> None:
    """Write the words of the codes' values; every code is known to be in the table."""
    if look.least_word > 0:
        _values(codes, values, look)
    else:
        _look_up(codes, table, values)


@jit
def _round_values(words: Array, values: Array, T: Any, grid: Grid, look: Look) -> tuple[Lane, Lane]:
    """Round float32 to float32 as `_round_nearest_even` does, without going through codes.

    The sum less the addend is the rounded value itself. For formats with a sign and equal ends;
    ``values`` must not be ``words``, which are still needed where there are NaNs.
    """
    magic = np.int32(shl(np.int32(23 - grid.mantissa_bits), np.int32(23)))
    least = np.int32(grid.least_field << 23)
    cap, top = np.int32(grid.cap), np.int32(look.greatest_word)
    first_negative = np.int32(grid.first_negative)
    largest, excess = np.int32(0), np.int32(-1)
    for i in range(words.size):
        w = np.int32(words[i])
        magnitude = np.int32(w & np.int32(0x7FFFFFFF))
        capped = np.int32(min(magnitude, cap))
        exponent = np.int32(max(np.int32(capped & np.int32(0x7F800000)), least))
        addend = np.int32(np.int32(exponent + magic)).view(np.float32)
        total = np.float32(np.int32(capped).view(np.float32) + addend)
        word = np.float32(total - addend).view(np.int32)
        largest = max(largest, magnitude)
        excess = max(excess, np.int32(word - top))
        sign = np.int32(np.int32(w ^ magnitude) & np.int32(-np.int32(word >= first_negative)))
        values[i] = np.int32(min(word, top) | sign)
    return T(largest), T(excess)


@kernel
def round_to(
    words: Array, given: Array, start: int, codes: Array, lanes: Array, source: Source, grid: Grid,
    rule: Rule, outcome: Outcome, dice: Dice, room: Array, drawn: Array, table: Array,
    values: Array, look: Look,
) -> tuple[int, int]:  # fmt: skip
    """Encode and decode block by block; ``codes`` is room for `BLOCK` of them."""
    T = lanes.dtype.type
    infinity = T(source.infinity)
    direct = grid.cap > 0 and look.greatest_word > 0
    nans, overflows = 0, 0
    for low in range(0, words.size, BLOCK):
        high = min(low + BLOCK, words.size)
        some = codes[: high - low]
        if direct:
            largest, excess = _round_values(words[low:high], values[low:high], T, grid, look)
            if not _is_special(largest, excess, infinity, outcome):
                continue
        more_nans, more_overflows = encode(
            words[low:high], given[low:high], start + low, some, lanes, source, grid, rule,
            outcome, dice, room, drawn,
        )  # fmt: skip
        nans += more_nans
        overflows += more_overflows
        decode(some, table, values[low:high], look)
    return nans, overflows


@kernel
def count_nans(words: Array, lanes: Array, source: Source) -> int:
    """Count the NaNs; quick where there are none."""
    T = lanes.dtype.type
    mask = T(~shl(T(1), T(source.sign_shift)))
    infinity = T(source.infinity)
    nans = 0
    for start in range(0, words.size, BLOCK):
        block = words[start : start + BLOCK]
        largest = T(0)
        for i in range(block.size):
            largest = max(largest, T(T(block[i]) & mask))
        if largest > infinity:
            for i in range(block.size):
                nans += T(T(block[i]) & mask) > infinity
    return nans


@kernel
def greatest(codes: Array) -> int:
    """Return the greatest of unsigned codes, 0 if there is none."""
    found = codes.dtype.type(0)
    for i in range(codes.size):
        found = np.maximum(found, codes[i])
    return int(found)


@kernel
def count_outside(codes: Array, code_count: int, unused: int) -> int:
    """Count the codes that mean nothing: not in ``0 .. code_count - 1``, or equal to ``unused``."""
    outside = 0
    for i in range(codes.size):
        code = np.int64(codes[i])
        outside += (code < 0) | (code >= code_count) | (code == unused)
    return outside
