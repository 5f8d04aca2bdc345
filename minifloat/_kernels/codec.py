"""Loops of `minifloat.codec`: words of a source float to codes, and codes to values.

Contract of every kernel: one-dimensional contiguous arrays and plain integers in, results into an
array passed in; no allocation, no exceptions.

The numbers in comments are the seven steps of `minifloat.codec`. The steps 1 and 6 cost
next to nothing: the loops encode a block of `CHECK_EVERY` elements as if it held only numbers
within the format, and keep the largest magnitude and the largest excess over the format. Where
these show a NaN, an infinity or an overflow, `_fix_specials` encodes the block's special elements
again.

Arithmetic is done in lanes of one width: int32 for sources of 16 and 32 bits, int64 for float64.
The fields of a plan have the lane's type ``T``.

    word of the source     s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
    significand            1 mmmmmmmmmmmmmmmmmmmmmmm             (0 m... where e = 0)
    cut by the format      1 mmm . mmmmmmmmmmmmmmmmmmmm          M bits kept, `shift` bits dropped
    fraction                     . mmmmmmmmmmmmmmmmmmmm000...j   30 bits, the last one sticky

Below the format's smallest normal exponent the cut moves left, one bit a binade, which is all there
is to subnormals. The code of the truncated magnitude is the kept significand plus the exponent
field shifted by M, less one binade, since the significand's leading bit adds it again; rounding
adds 1, and a carry moves into the exponent by itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel
from minifloat._kernels.prefetch import prefetch
from minifloat._kernels.scalar import (
    WINDOW,
    fpu_code,
    fpu_round,
    round_away,
    truncate,
    with_sign,
)

Array = NDArray[Any]
Lane = Any  # an integer of the lanes' type

CHECK_EVERY = 2048  # elements between two checks for infinities, NaNs and overflows
ENCODE_EVERY = 256  # the same in `encode`, where the next ones are fetched meanwhile
CACHE_LINE = 64  # bytes

FIELDS = (
    # the source's words: the sign is bit `source_sign_shift`; words above +inf's are NaNs
    "source_mantissa_bits",
    "source_sign_shift",
    "source_infinity",
    # the grid: `least_field` is the source's exponent field in the first normal binade
    "mantissa_bits",
    "least_field",
    "limit",  # magnitude of the largest value
    "negative_extra",  # to add to the limit of negative magnitudes
    "cap",  # float32 word just beyond the largest value, or 0 where the FPU cannot round
    # the sign: magnitudes from `first_negative` on take one, by (magnitude ^ flip) + add
    "first_negative",
    "flip",
    "add",
    # the mode: smallest fraction that rounds away from zero, see `scalar.round_away`
    "even",
    "odd",
    "minus",
    # special codes, stored as ~code where they count as overflows
    "nan",
    "inf_above",
    "inf_below",
    "over_above",
    "over_below",
    "clamps",  # 1 where infinities and overflows become the largest and smallest value
    # which codes have values
    "last_code",
    "unused_code",  # -1 where there is none
    # values by arithmetic; `least_word`, of the smallest normal value in float32, is 0: look up
    "least_word",
    "sign_shift",
    "inf_magnitude",  # -1 where there is none
    "half",  # 0 for float32 words, 1 for float16 words, 2 if some value is subnormal there
    "max_word",  # float32 word of the largest value, if `_round_values` may be used, else 0
)
PLAN32 = np.dtype([(name, np.int32) for name in FIELDS])
PLAN64 = np.dtype([(name, np.int64) for name in FIELDS])

MODE = np.dtype([("kind", np.int64), ("bits", np.int64), ("seed", np.uint64)])
STOCHASTIC_A, STOCHASTIC_B, STOCHASTIC_C, STOCHASTIC_EQUAL = range(4)  # kinds

shl = np.left_shift
shr = np.right_shift


@jit
def _round_one(
    words: Array, thresholds: Any, i: int, T: Any, top_bit: Lane, source_m: Lane, sign_shift: Lane,
    m: Lane, least_field: Lane, even: Lane, odd: Lane, minus: Lane,
) -> tuple[Lane, Lane, Lane]:  # fmt: skip
    """Round a word by the threshold drawn for it or, without one, by the mode's."""
    magnitude, negative, code, fraction = truncate(
        T(words[i]), T, top_bit, source_m, sign_shift, m, least_field
    )
    if thresholds is None:
        code = round_away(code, negative, fraction, T, even, odd, minus)
    else:
        code = T(code + T(fraction >= T(thresholds[i])))
    return magnitude, negative, code


@jit
def _prefetch_block(words: Array, start: int, count: int) -> None:
    """Ask for ``count`` words from ``start`` on.

    The loops below compute so much for each word that their reads would wait for memory.
    """
    stop = min(start + count, words.size)
    for i in range(start, stop, CACHE_LINE // words.itemsize):
        prefetch(words, i)


@jit
def _round(words: Array, thresholds: Any, codes: Array, plan: Array) -> tuple[Lane, Lane]:
    """Encode numbers in any mode; return the largest magnitude and the largest excess."""
    p = plan[0]
    T = type(p["limit"])
    top_bit = T(8 * plan["limit"].itemsize - 1)
    source_m, sign_shift = p["source_mantissa_bits"], p["source_sign_shift"]
    m, least_field = p["mantissa_bits"], p["least_field"]
    limit, negative_extra = p["limit"], p["negative_extra"]
    first_negative, flip, add = p["first_negative"], p["flip"], p["add"]
    even, odd, minus = p["even"], p["odd"], p["minus"]
    largest, excess = T(0), T(-1)
    for i in range(words.size):
        magnitude, negative, code = _round_one(
            words, thresholds, i, T, top_bit, source_m, sign_shift, m, least_field, even, odd, minus
        )
        end = T(limit + T(negative & negative_extra))
        largest = max(largest, magnitude)
        excess = max(excess, T(code - end))
        codes[i] = with_sign(min(code, end), negative, T, first_negative, flip, add)
    return largest, excess


@jit
def _round_nearest_even(words: Array, codes: Array, plan: Array) -> tuple[Lane, Lane]:
    """Encode float32 to nearest even through the FPU; the same results as `_round`.

    With ``m >= 1`` the rounded significand has the parity of the code.
    """
    p = plan[0]
    T = np.int32
    drop = T(T(23) - p["mantissa_bits"])
    magic = T(shl(drop, T(23)))
    least = T(shl(p["least_field"], T(23)))
    cap = p["cap"]
    limit, negative_extra = p["limit"], p["negative_extra"]
    first_negative, flip, add = p["first_negative"], p["flip"], p["add"]
    largest, excess = T(0), T(-1)
    for i in range(words.size):
        # 2. the sign and the magnitude
        w = T(words[i])
        negative = shr(w, T(31))
        magnitude = T(w & T(0x7FFFFFFF))
        # 3. to 5. the magnitude, rounded
        _, exponent, addend, total = fpu_round(magnitude, cap, least, magic)
        code = fpu_code(exponent, addend, total, least, drop)
        # 6. the end of the format
        end = T(limit + T(negative & negative_extra))
        largest = max(largest, magnitude)
        excess = max(excess, T(code - end))
        # 7. the sign
        codes[i] = with_sign(min(code, end), negative, T, first_negative, flip, add)
    return largest, excess


@jit
def _fix_specials(words: Array, thresholds: Any, codes: Array, plan: Array) -> tuple[int, int]:
    """Overwrite the codes of infinities, NaNs and overflows; return how many NaNs, overflows."""
    p = plan[0]
    T = type(p["limit"])
    top_bit = T(8 * plan["limit"].itemsize - 1)
    source_m, sign_shift = p["source_mantissa_bits"], p["source_sign_shift"]
    m, least_field, infinity = p["mantissa_bits"], p["least_field"], p["source_infinity"]
    limit, negative_extra = p["limit"], p["negative_extra"]
    even, odd, minus = p["even"], p["odd"], p["minus"]
    nan, inf_above, inf_below = p["nan"], p["inf_above"], p["inf_below"]
    over_above, over_below = p["over_above"], p["over_below"]
    nans, overflows = 0, 0
    for i in range(words.size):
        magnitude, negative, code = _round_one(
            words, thresholds, i, T, top_bit, source_m, sign_shift, m, least_field, even, odd, minus
        )
        # 1. NaNs and infinities
        if magnitude > infinity:
            codes[i] = nan
            nans += 1
        elif magnitude == infinity or code > T(limit + T(negative & negative_extra)):
            if magnitude == infinity:
                special = inf_below if negative else inf_above
            else:  # 6. beyond the end
                special = over_below if negative else over_above
            codes[i] = special if special >= 0 else ~special
            overflows += special < 0
    return nans, overflows


@jit
def _has_specials(largest: Lane, excess: Lane, plan: Array) -> bool:
    """Return whether a block has NaNs, or others that do not just become the largest value."""
    p = plan[0]
    infinity = p["source_infinity"]
    is_special = p["clamps"] == 0 and (largest == infinity or excess > 0)
    return bool(largest > infinity or is_special)


@kernel
def encode(words: Array, codes: Array, plan: Array) -> tuple[int, int]:
    """Encode words of a source float; return how many NaNs and counted overflows there were.

    ``codes`` has a place for each word or, where only the counts are wanted, `ENCODE_EVERY` places.
    """
    nans, overflows = 0, 0
    for low in range(0, words.size, ENCODE_EVERY):
        high = min(low + ENCODE_EVERY, words.size)
        place = low if codes.size == words.size else 0
        block, out = words[low:high], codes[place : place + high - low]
        _prefetch_block(words, high, ENCODE_EVERY)
        if plan[0]["cap"] > 0:
            largest, excess = _round_nearest_even(block, out, plan)
        else:
            largest, excess = _round(block, None, out, plan)
        if _has_specials(largest, excess, plan):
            more_nans, more_overflows = _fix_specials(block, None, out, plan)
            nans += more_nans
            overflows += more_overflows
    return nans, overflows


@jit
def draw(seed: np.uint64, first: int, random_words: Array) -> None:
    """Fill ``random_words`` (uint64) with words ``first``, ``first + 1``, ... of stream ``seed``.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) as a counter: a word is a hash of the seed and
    its index, and of nothing else.
    """
    gamma = np.uint64(0x9E3779B97F4A7C15)
    key = np.uint64(seed)
    for j in range(random_words.size):
        z = np.uint64(key + np.uint64(np.uint64(first + j + 1) * gamma))
        z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
        z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
        random_words[j] = np.uint64(z ^ np.uint64(z >> np.uint64(31)))


@jit
def _thresholds(random_words: Array, drop: int, bits: int, kind: int, thresholds: Array) -> None:
    """Turn random words into the smallest fractions that round away from zero.

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
    for i in range(random_words.size):
        r = np.int32(shr(np.uint32(random_words[i]), down))
        k = np.int32(whole - r)
        if kind == STOCHASTIC_A:
            thresholds[i] = shl(k, up)
        elif kind == STOCHASTIC_EQUAL:
            thresholds[i] = one if np.int32(r + r) >= whole else np.int32(1 << WINDOW)
        else:
            odd = np.int32(k & one) if kind == STOCHASTIC_C else np.int32(0)
            thresholds[i] = np.int32(shl(np.int32(k + k - one), np.int32(up - one)) + odd)


@kernel
def fill_thresholds(
    thresholds: Array, random_words: Array, start: int, mode: Array, scratch: Array
) -> None:
    """Fill ``thresholds`` for elements ``start`` and on.

    ``random_words`` are the caller's, of ``mode[0]["bits"]`` bits, or empty: then each element gets
    half a word of the stream. ``scratch`` (uint64) holds half as many words, and one more.
    """
    bits, kind = mode[0]["bits"], mode[0]["kind"]
    if random_words.size > 0:
        _thresholds(random_words, 0, bits, kind, thresholds)
    else:
        skip = start & 1
        drawn = scratch[: (skip + thresholds.size + 1) >> 1]
        draw(mode[0]["seed"], start >> 1, drawn)
        halves = drawn.view(np.uint32)[skip : skip + thresholds.size]
        _thresholds(halves, 32 - bits, bits, kind, thresholds)


@kernel
def encode_stochastic(
    words: Array, random_words: Array, start: int, codes: Array, plan: Array, mode: Array,
    scratch: Array,
) -> tuple[int, int]:  # fmt: skip
    """Encode as `encode` does, in a stochastic mode; ``start`` is the first element's index.

    ``random_words`` are the caller's, one an element, or empty. ``scratch`` is of uint64, one for
    each element of a block of `CHECK_EVERY`, and one more.
    """
    half = CHECK_EVERY // 2
    places = scratch[:half].view(np.int32)
    nans, overflows = 0, 0
    for low in range(0, words.size, CHECK_EVERY):
        high = min(low + CHECK_EVERY, words.size)
        place = low if codes.size == words.size else 0
        block, out = words[low:high], codes[place : place + high - low]
        thresholds = places[: high - low]
        fill_thresholds(thresholds, random_words[low:high], start + low, mode, scratch[half:])
        _prefetch_block(words, high, CHECK_EVERY)
        largest, excess = _round(block, thresholds, out, plan)
        if _has_specials(largest, excess, plan):
            more_nans, more_overflows = _fix_specials(block, thresholds, out, plan)
            nans += more_nans
            overflows += more_overflows
    return nans, overflows


@jit
def _values(codes: Array, values: Array, plan: Array) -> None:
    """Compute the words of values of an ExMy format; every step is exact.

    A normal code, moved to float32's mantissa, lacks only the difference of the biases. A
    subnormal one gets the exponent of the smallest normal binade instead and loses its leading one
    by a subtraction. Narrowing to float16 cuts off zeros; below 2**-14 it counts in 2**-24.
    """
    p = plan[0]
    half = p["half"]
    m = np.int32(p["mantissa_bits"])
    up = np.int32(np.int32(23) - m)
    least = np.int32(p["least_word"])
    least_value = np.int32(least).view(np.float32)
    rebias = np.int32(least - np.int32(0x00800000))
    mask = np.int32((1 << np.int64(p["sign_shift"])) - 1)
    subnormal_halves = half > 1
    top, infinite = np.int32(p["limit"]), np.int32(p["inf_magnitude"])
    has_specials = top < mask
    to_sign = np.int32((15 if half else 31) - np.int64(p["sign_shift"]))
    inf_word = np.int32(0x7C00 if half else 0x7F800000)
    nan_word = np.int32(0x7E00 if half else 0x7FC00000)
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
        if half:
            narrow = max(np.int32(shr(word, np.int32(13)) - np.int32(112 << 10)), zero)
            if subnormal_halves:
                tiny = np.int32(np.float32(value * np.float32(16777216.0)))
                narrow = tiny if word < np.int32(0x38800000) else narrow
            word = np.int32(narrow)
        if has_specials and magnitude > top:
            word = inf_word if magnitude == infinite else nan_word
        values[i] = np.int32(word | shl(np.int32(code & ~mask), to_sign))


@jit
def _look_up(codes: Array, values: Array, table: Array) -> None:
    for i in range(codes.size):
        values[i] = table[codes[i]]


@jit
def _decode_block(codes: Array, values: Array, plan: Array, table: Array) -> None:
    """Write the words of the codes' values; every code is known to be in the table."""
    if plan[0]["least_word"] > 0:
        _values(codes, values, plan)
    else:
        _look_up(codes, values, table)


@jit
def _all_have_values(codes: Array, plan: Array) -> bool:
    U = codes.dtype.type
    p = plan[0]
    largest, is_unused = U(0), False
    for i in range(codes.size):
        largest = max(largest, codes[i])
    if p["unused_code"] >= 0:
        unused = U(p["unused_code"])
        for i in range(codes.size):
            is_unused |= codes[i] == unused
    return bool(np.int64(largest) <= np.int64(p["last_code"]) and not is_unused)


@kernel
def decode(codes: Array, values: Array, plan: Array, table: Array) -> bool:
    """Write the words of the codes' values; return False, and stop, if a code has no value."""
    for low in range(0, codes.size, CHECK_EVERY):
        block = codes[low : low + CHECK_EVERY]
        if not _all_have_values(block, plan):
            return False
        _decode_block(block, values[low : low + CHECK_EVERY], plan, table)
    return True


@kernel
def decode_checked(codes: Array, values: Array, plan: Array, table: Array) -> None:
    """Write the words of the codes' values; every code is known to have one."""
    _decode_block(codes, values, plan, table)


@jit
def _round_values(words: Array, values: Array, plan: Array) -> tuple[Lane, Lane]:
    """Round float32 to float32 as `_round_nearest_even` does, without going through codes.

    For formats with a sign and equal ends; ``values`` must not be ``words``, which are still needed
    where there are NaNs.
    """
    p = plan[0]
    T = np.int32
    magic = T(shl(T(T(23) - p["mantissa_bits"]), T(23)))
    least = T(shl(p["least_field"], T(23)))
    cap, top, first_negative = p["cap"], p["max_word"], p["first_negative"]
    largest, excess = T(0), T(-1)
    for i in range(words.size):
        # 2. the sign and the magnitude
        w = T(words[i])
        magnitude = T(w & T(0x7FFFFFFF))
        # 3. to 5. the magnitude, rounded
        _, _, addend, total = fpu_round(magnitude, cap, least, magic)
        word = np.float32(total - np.int32(addend).view(np.float32)).view(np.int32)
        # 6. the end of the format
        largest = max(largest, magnitude)
        excess = max(excess, T(word - top))
        # 7. the sign
        sign = T(T(w ^ magnitude) & T(-T(word >= first_negative)))
        values[i] = T(min(word, top) | sign)
    return largest, excess


@kernel
def round_to(
    words: Array, values: Array, plan: Array, table: Array, codes: Array
) -> tuple[int, int]:
    """Encode and decode block by block; ``codes`` is scratch for a block of them."""
    direct = plan[0]["cap"] > 0 and plan[0]["max_word"] > 0
    nans, overflows = 0, 0
    for low in range(0, words.size, CHECK_EVERY):
        high = min(low + CHECK_EVERY, words.size)
        block, out = words[low:high], values[low:high]
        if direct:
            largest, excess = _round_values(block, out, plan)
            if not _has_specials(largest, excess, plan):
                continue
        block_codes = codes[: high - low]
        more_nans, more_overflows = encode(block, block_codes, plan)
        nans += more_nans
        overflows += more_overflows
        _decode_block(block_codes, out, plan, table)
    return nans, overflows


@kernel
def round_stochastic(
    words: Array, random_words: Array, start: int, values: Array, plan: Array, table: Array,
    codes: Array, mode: Array, scratch: Array,
) -> tuple[int, int]:  # fmt: skip
    """Round as `round_to` does, in a stochastic mode: see `encode_stochastic`."""
    nans, overflows = 0, 0
    for low in range(0, words.size, CHECK_EVERY):
        high = min(low + CHECK_EVERY, words.size)
        block_codes = codes[: high - low]
        more_nans, more_overflows = encode_stochastic(
            words[low:high], random_words[low:high], start + low, block_codes, plan, mode, scratch
        )
        nans += more_nans
        overflows += more_overflows
        _decode_block(block_codes, values[low:high], plan, table)
    return nans, overflows


@kernel
def count_nans(words: Array, plan: Array) -> int:
    """Count the NaNs; quick where there are none."""
    p = plan[0]
    T = type(p["limit"])
    mask = T(~shl(T(1), p["source_sign_shift"]))
    infinity = p["source_infinity"]
    nans = 0
    for start in range(0, words.size, CHECK_EVERY):
        block = words[start : start + CHECK_EVERY]
        largest = T(0)
        for i in range(block.size):
            largest = max(largest, T(T(block[i]) & mask))
        if largest > infinity:
            for i in range(block.size):
                nans += T(T(block[i]) & mask) > infinity
    return nans


@kernel
def largest_code(codes: Array) -> int:
    """Return the largest of unsigned codes, 0 if there is none."""
    largest = codes.dtype.type(0)
    for i in range(codes.size):
        largest = np.maximum(largest, codes[i])
    return int(largest)


@kernel
def count_outside(codes: Array, code_count: int, unused: int) -> int:
    """Count the codes that mean nothing: not in ``0 .. code_count - 1``, or equal to ``unused``."""
    outside = 0
    for i in range(codes.size):
        code = np.int64(codes[i])
        outside += (code < 0) | (code >= code_count) | (code == unused)
    return outside
