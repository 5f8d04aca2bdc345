"""Steps of one number that several kernel files share, inlined into the loops that call them.

``T`` is the type of a lane, int32 or int64. Numba widens ``int32 + int32`` to int64, which would
halve the speed, so each result is cast back; the NumPy shifts keep the width by themselves.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit
from minifloat._kernels.halves import single_word

Array = NDArray[Any]
Lane = Any  # an integer of the lanes' type
Single = Any  # a float32

WINDOW = 30  # bits of a fraction that is compared with a drawn threshold; the last one is sticky
MAGNITUDE = 0x7FFFFFFFFFFFFFFF  # all bits of a float64 word but the sign

shl = np.left_shift
shr = np.right_shift


@jit
def sign_and_magnitude(words: Array, i: int, T: Any) -> tuple[Lane, Lane]:
    """Return all ones if a number is negative, and its magnitude, as wide as a lane (step 2).

    Words of 16 bits become float32's: int16 is bfloat16, the upper half of it; uint16 is float16.
    """
    word, info = T(words[i]), np.iinfo(words.dtype)
    top_bit = T(np.iinfo(T).bits - 1)
    if info.bits == 16:
        word = shl(word, T(16))
    magnitude = T(word & T(~shl(T(1), top_bit)))
    if info.bits == 16 and info.min == 0:
        magnitude = T(single_word(np.int32(shr(magnitude, T(16)))))
    return shr(word, top_bit), magnitude


@jit
def aligned(
    magnitude: Lane, T: Any, source_m: Lane, m: Lane, least_field: Lane
) -> tuple[Lane, Lane, Lane]:
    """Return the significand, how many of its bits the format drops, and the binade's number."""
    one = T(1)
    field = max(shr(magnitude, source_m), one)
    significand = T(magnitude - shl(T(field - one), source_m))
    kept_field = max(field, least_field)
    dropped = T(T(source_m - m) + T(kept_field - field))
    return significand, dropped, T(kept_field - least_field)


@jit
def gathered(significand: Lane, dropped: Lane, T: Any, top_bit: Lane) -> Lane:
    """Return the significand with all bits beyond the first `WINDOW` dropped ones in the last."""
    beyond = min(max(T(dropped - T(WINDOW)), T(0)), top_bit)
    seen = shr(significand, beyond)
    return T(seen | T(significand != shl(seen, beyond)))


@jit
def truncate(
    significand: Lane, dropped: Lane, binade: Lane, T: Any, m: Lane, window: Lane
) -> tuple[Lane, Lane]:
    """Return the code toward zero and the fraction of the gap, of ``window`` bits.

    The steps 3 and 4 of `minifloat.codec`. Where more bits are dropped than the window has, none
    is kept, and what is left of the fraction is less than a half.
    """
    dropped = min(dropped, window)
    # 3. the neighbour toward zero: the significand, cut where the format's last bit is
    code = T(shr(significand, dropped) + shl(binade, m))
    # 4. the fraction of the gap that the magnitude has covered
    mask = T(shl(T(1), window) - T(1))
    return code, T(shl(significand, T(window - dropped)) & mask)


@jit
def round_away(
    code: Lane, negative: Lane, fraction: Lane, T: Any, even: Lane, odd: Lane, minus: Lane
) -> Lane:
    """Return the code one further from zero where the fraction reaches the mode's threshold.

    Step 5: the threshold is ``even``, plus ``odd`` where the code is odd, plus ``minus`` below 0.
    """
    threshold = T(T(even + T(T(-T(code & T(1))) & odd)) + T(negative & minus))
    return T(code + T(fraction >= threshold))


@jit
def with_sign(
    code: Lane, negative: Lane, T: Any, first_negative: Lane, flip: Lane, add: Lane
) -> Lane:
    """Return the code of a magnitude, or of its negative where ``negative`` is all ones (step 7).

    Magnitudes below ``first_negative`` take no sign; a negative code is ``(code ^ flip) + add``.
    """
    sign = T(negative & T(-T(code >= first_negative)))
    return T(T(code ^ T(sign & flip)) + T(sign & add))


@jit
def fpu_round(
    magnitude: Lane, cap: Lane, least: Lane, magic: Lane
) -> tuple[Lane, Lane, Lane, Single]:
    """Let the FPU round a float32 magnitude to nearest even, on the grid of a format.

    Adding ``2**(e + 23 - m)`` to ``|x|`` rounds it to the format's grid in the binade ``e`` (at
    least the smallest normal one): steps 3, 4 and 5 at once. ``|x|`` is capped beyond the maximum
    of the format first, so the sum never overflows. ``least`` is the word of the smallest normal
    value, ``magic`` the distance ``23 - m`` moved to the exponent. Returned are the words of the
    capped magnitude, of its power of two and of the addend, and the sum. The sum less the addend
    is the rounded value; the sum's word less the addend's is the rounded significand.
    """
    capped = np.int32(min(magnitude, cap))
    exponent = np.int32(max(np.int32(capped & np.int32(0x7F800000)), least))
    addend = np.int32(exponent + magic)
    total = np.float32(np.int32(capped).view(np.float32) + np.int32(addend).view(np.float32))
    return capped, exponent, addend, total


@jit
def fpu_code(exponent: Lane, addend: Lane, total: Single, least: Lane, drop: Lane) -> Lane:
    """Return the code of a magnitude that `fpu_round` has rounded; ``drop`` is ``23 - m``."""
    significand = np.int32(np.float32(total).view(np.int32) - addend)
    return np.int32(significand + shr(np.int32(exponent - least), drop))


@jit
def float_key(w: Any) -> Any:
    """Return a float64 word as an integer in the order of the floats; -0 comes just before 0."""
    word = np.int64(w)
    return word ^ ((word >> 63) & MAGNITUDE)


@jit
def last_not_above(keys: Array, key: Any) -> int:
    """Return the index of the last of the sorted ``keys`` that is <= ``key``, at least 0."""
    low, count = 0, keys.size
    while count > 1:
        half = count >> 1
        low += half if keys[low + half] <= key else 0
        count -= half
    return low
