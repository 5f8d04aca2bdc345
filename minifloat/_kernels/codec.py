"""Loops of `minifloat.codec`: words of a source float to codes, and codes to values.

Contract of every kernel: one-dimensional contiguous arrays and plain integers in, results into an
array passed in; no allocation, no exceptions.

The numbers in comments are the seven steps of `minifloat.codec`. The steps 1 and 6 cost next to
nothing: the loops encode a block of elements with all magnitudes capped at the end of the format,
and keep the largest magnitude and whether any was capped. Where these show a NaN, an infinity or an
overflow that does not just become the largest value, `_fix_specials` encodes the block's special
elements again.

Arithmetic is done in lanes of one width: int64 for float64, int32 for float32 and for sources of 16
bits, which become float32 first. The fields of a plan have the lane's type ``T``.

    word of the source     s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm
    significand            1 mmmmmmmmmmmmmmmmmmmmmmm             (0 m... where e = 0)
    cut by the format      1 mmm . mmmmmmmmmmmmmmmmmmmm          M bits kept, the others dropped
    fraction                     . mmmmmmmmmmmmmmmmmmmm000...    30 bits in int32, 62 in int64

The thresholds of a stochastic mode have 30 bits, whatever the source. There the last bit of the
fraction is sticky: it stands for all that is cut off.

Below the format's smallest normal exponent the cut moves left, one bit a binade, which is all there
is to subnormals. The code of the truncated magnitude is the kept significand plus the exponent
field shifted by M, less one binade, since the significand's leading bit adds it again; rounding
adds 1, and a carry moves into the exponent by itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel
from minifloat._kernels.prefetch import prefetch_block
from minifloat._kernels.random_words import draw
from minifloat._kernels.scalar import (
    WINDOW,
    aligned,
    fpu_code,
    fpu_round,
    gathered,
    round_away,
    sign_and_magnitude,
    truncate,
    with_sign,
)

Array = NDArray[Any]
Lane = Any  # an integer of the lanes' type

CHECK_EVERY = 2048  # elements between two checks for infinities, NaNs and overflows
ENCODE_EVERY = 256  # the same in `encode`, where the next ones are fetched meanwhile

FIELDS = (
    # the source's words, once they are as wide as a lane; words above +inf's are NaNs
    "source_mantissa_bits",
    "source_infinity",
    # the grid: `least_field` is the source's exponent field in the first normal binade
    "mantissa_bits",
    "least_field",
    "limit",  # magnitude of the largest value
    "negative_extra",  # to add to the limit of negative magnitudes
    "cap",  # float32 word just beyond the largest value, or 0 where the FPU cannot round
    "top",  # word of the source up to which magnitudes are encoded
    "negative_top",  # to add to it for negative ones
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
    "direct",  # 1 where `_round_values` may be used
)
PLAN32 = np.dtype([(name, np.int32) for name in FIELDS])
PLAN64 = np.dtype([(name, np.int64) for name in FIELDS])

MODE = np.dtype([("kind", np.int64), ("bits", np.int64), ("seed", np.uint64)])
STOCHASTIC_A, STOCHASTIC_B, STOCHASTIC_C, STOCHASTIC_EQUAL = range(4)  # kinds

shl = np.left_shift
shr = np.right_shift


@jit
def _round_one(
    magnitude: Lane, negative: Lane, thresholds: Any, i: int, T: Any, source_m: Lane, m: Lane,
    least_field: Lane, even: Lane, odd: Lane, minus: Lane,
) -> Lane:  # fmt: skip
    """Round a magnitude by the threshold drawn for it or, without one, by the mode's."""
    top_bit = T(np.iinfo(T).bits - 1)
    significand, dropped, binade = aligned(magnitude, T, source_m, m, least_field)
    if thresholds is None:
        code, fraction = truncate(significand, dropped, binade, T, m, T(top_bit - T(1)))
        code = round_away(code, negative, fraction, T, even, odd, minus)
    else:
        significand = gathered(significand, dropped, T, top_bit)
        code, fraction = truncate(significand, dropped, binade, T, m, T(WINDOW))
        code = T(code + T(fraction >= T(thresholds[i])))
    return code


@jit
def _round(words: Array, thresholds: Any, codes: Array, plan: Array) -> tuple[Lane, Lane]:
    """Encode in any mode; return the largest magnitude, and not 0 if any was capped."""
    p = plan[0]
    T = type(p["limit"])
    source_m, m, least_field = p["source_mantissa_bits"], p["mantissa_bits"], p["least_field"]
    top, negative_top = p["top"], p["negative_top"]
    first_negative, flip, add = p["first_negative"], p["flip"], p["add"]
    even, odd, minus = p["even"], p["odd"], p["minus"]
    largest, beyond = T(0), T(0)
    for i in range(words.size):
        negative, magnitude = sign_and_magnitude(words, i, T)
        # 6. the end of the format
        capped = min(magnitude, T(top + T(negative & negative_top)))
        largest = max(largest, magnitude)
        beyond = T(beyond | T(magnitude ^ capped))
        # 3. to 5. the magnitude, rounded
        code = _round_one(
            capped, negative, thresholds, i, T, source_m, m, least_field, even, odd, minus
        )
        # 7. the sign
        codes[i] = with_sign(code, negative, T, first_negative, flip, add)
    return largest, beyond


@jit
def _round_nearest_even(words: Array, codes: Array, plan: Array) -> tuple[Lane, Lane]:
    """Encode float32, or less, to nearest even through the FPU; the same results as `_round`.

    With ``m >= 1`` the rounded significand has the parity of the code.
    """
    p = plan[0]
    T = np.int32
    drop = T(T(23) - p["mantissa_bits"])
    magic = T(shl(drop, T(23)))
    least = T(shl(p["least_field"], T(23)))
    top, negative_top = p["top"], p["negative_top"]
    first_negative, flip, add = p["first_negative"], p["flip"], p["add"]
    largest, beyond = T(0), T(0)
    for i in range(words.size):
        negative, magnitude = sign_and_magnitude(words, i, T)
        # 6. the end of the format; 3. to 5. the magnitude, rounded
        end = T(top + T(negative & negative_top))
        capped, exponent, addend, total = fpu_round(magnitude, end, least, magic)
        code = fpu_code(exponent, addend, total, least, drop)
        largest = max(largest, magnitude)
        beyond = T(beyond | T(magnitude ^ capped))
        # 7. the sign
        codes[i] = with_sign(code, negative, T, first_negative, flip, add)
    return largest, beyond


@jit
def _fix_specials(words: Array, thresholds: Any, codes: Array, plan: Array) -> tuple[int, int]:
    """Overwrite the codes of infinities, NaNs and overflows; return how many NaNs, overflows."""
    p = plan[0]
    T = type(p["limit"])
    source_m, m, least_field = p["source_mantissa_bits"], p["mantissa_bits"], p["least_field"]
    infinity, limit, negative_extra = p["source_infinity"], p["limit"], p["negative_extra"]
    even, odd, minus = p["even"], p["odd"], p["minus"]
    nan, inf_above, inf_below = p["nan"], p["inf_above"], p["inf_below"]
    over_above, over_below = p["over_above"], p["over_below"]
    nans, overflows = 0, 0
    for i in range(words.size):
        negative, magnitude = sign_and_magnitude(words, i, T)
        # 3. to 5. the magnitude, rounded
        code = _round_one(
            magnitude, negative, thresholds, i, T, source_m, m, least_field, even, odd, minus
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
def _has_specials(largest: Lane, beyond: Lane, plan: Array) -> bool:
    """Return whether a block has NaNs, or others that do not just become the largest value."""
    p = plan[0]
    infinity = p["source_infinity"]
    is_special = p["clamps"] == 0 and (largest == infinity or beyond != 0)
    return bool(largest > infinity or is_special)


@kernel
def encode(words: Array, codes: Array, plan: Array, in_steps: Any) -> tuple[int, int]:
    """Encode words of a source float; return how many NaNs and counted overflows there were.

    ``in_steps`` is None if the FPU rounds, and the other way is then not compiled.
    """
    nans, overflows = 0, 0
    for low in range(0, words.size, ENCODE_EVERY):
        high = min(low + ENCODE_EVERY, words.size)
        block, out = words[low:high], codes[low:high]
        prefetch_block(words, high, ENCODE_EVERY)
        if in_steps is None:
            largest, beyond = _round_nearest_even(block, out, plan)
        else:
            largest, beyond = _round(block, None, out, plan)
        if _has_specials(largest, beyond, plan):
            more_nans, more_overflows = _fix_specials(block, None, out, plan)
            nans += more_nans
            overflows += more_overflows
    return nans, overflows


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
        block, out = words[low:high], codes[low:high]
        thresholds = places[: high - low]
        fill_thresholds(thresholds, random_words[low:high], start + low, mode, scratch[half:])
        prefetch_block(words, high, CHECK_EVERY)
        largest, beyond = _round(block, thresholds, out, plan)
        if _has_specials(largest, beyond, plan):
            more_nans, more_overflows = _fix_specials(block, thresholds, out, plan)
            nans += more_nans
            overflows += more_overflows
    return nans, overflows


@jit
def _values(codes: Array, values: Array, plan: Array) -> bool:
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
    last, unused = np.int32(p["last_code"]), np.int32(p["unused_code"])
    largest, is_unused = np.int32(0), False
    for i in range(codes.size):
        code = np.int32(codes[i])
        largest = max(largest, code)
        is_unused |= code == unused
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
    return bool(largest <= last and not is_unused)


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
    if np.int64(p["last_code"]) < (1 << np.iinfo(codes.dtype).bits) - 1:
        for i in range(codes.size):
            largest = np.maximum(largest, codes[i])
    if p["unused_code"] >= 0:
        unused = U(p["unused_code"])
        for i in range(codes.size):
            is_unused |= codes[i] == unused
    return bool(np.int64(largest) <= np.int64(p["last_code"]) and not is_unused)


@kernel
def decode(codes: Array, values: Array, plan: Array, table: Array) -> bool:
    """Write the words of the codes' values; return False, and stop, if a code has no value."""
    if plan[0]["least_word"] > 0:
        return _values(codes, values, plan)
    for low in range(0, codes.size, CHECK_EVERY):
        block = codes[low : low + CHECK_EVERY]
        if not _all_have_values(block, plan):
            return False
        _decode_block(block, values[low : low + CHECK_EVERY], plan, table)
    return True


@jit
def _round_values(words: Array, values: Array, plan: Array) -> tuple[Lane, Lane]:
    """Round to float32 as `_round_nearest_even` does, without going through codes.

    For formats with a sign and equal ends; ``values`` must not be ``words``, which are still needed
    where there are NaNs.
    """
    p = plan[0]
    T = np.int32
    magic = T(shl(T(T(23) - p["mantissa_bits"]), T(23)))
    least = T(shl(p["least_field"], T(23)))
    top, first_negative, sign_bit = p["top"], p["first_negative"], T(-0x80000000)
    largest, beyond = T(0), T(0)
    for i in range(words.size):
        negative, magnitude = sign_and_magnitude(words, i, T)
        # 6. the end of the format; 3. to 5. the magnitude, rounded
        capped, _, addend, total = fpu_round(magnitude, top, least, magic)
        word = np.float32(total - np.int32(addend).view(np.float32)).view(np.int32)
        largest = max(largest, magnitude)
        beyond = T(beyond | T(magnitude ^ capped))
        # 7. the sign
        sign = T(negative & T(-T(word >= first_negative)))
        values[i] = T(word | T(sign & sign_bit))
    return largest, beyond


@kernel
def round_to(
    words: Array, values: Array, plan: Array, table: Array, codes: Array, in_steps: Any
) -> tuple[int, int]:
    """Encode and decode block by block; ``codes`` is scratch for a block of them."""
    nans, overflows = 0, 0
    for low in range(0, words.size, CHECK_EVERY):
        high = min(low + CHECK_EVERY, words.size)
        block, out = words[low:high], values[low:high]
        if in_steps is None and plan[0]["direct"] > 0:
            largest, beyond = _round_values(block, out, plan)
            if not _has_specials(largest, beyond, plan):
                continue
        block_codes = codes[: high - low]
        more_nans, more_overflows = encode(block, block_codes, plan, in_steps)
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
