"""Loops of `minifloat.quantization`: the scales of blocks.

Contract of every kernel: one-dimensional contiguous arrays and plain numbers in, results into an
array passed in; no exceptions.

Weights lie in rows of ``length``, blocks of ``size`` within them (the last of a row may be
shorter), scales in the blocks' order. Scales are computed in float64.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.ranks import LANES, word_range

Array = NDArray[Any]

shl = np.left_shift
shr = np.right_shift

VALUES = 0  # kinds of `AbsmaxToScale`: to the nearest value of the scale's format,
POWERS, NEXT_POWERS = 1, 2  # or to a power of two, up from its `carry` on or just above 1


class ScaleValues(NamedTuple):
    """The positive values of a scale's format."""

    mantissa_bits: int
    emin: int
    has_zero: int
    smallest: float
    largest: float


class AbsmaxToScale(NamedTuple):
    """How absmax becomes a scale: absmax over ``reference``, rounded."""

    kind: int
    reference: float
    carry: float  # kind POWERS: the smallest significand in 1..2 that rounds to the next power


@inlined
def nearest(x: float, grid: ScaleValues) -> float:
    """Round x >= 0 to the nearest scale, ties to the even code; inf beyond them, never 0.

    Both steps are exact in float64, which has all scales, their midpoints and more bits than x / q
    needs before the point.
    """
    x = min(x, 4.0 * grid.largest)
    exponent: int = max(int(shr(np.float64(x).view(np.int64), 52)) - 1023, grid.emin)
    quantum = np.int64(shl(exponent - grid.mantissa_bits + 1023, 52)).view(np.float64)
    inverse = np.int64(shl(grid.mantissa_bits - exponent + 1023, 52)).view(np.float64)
    steps = x * inverse
    rounded = np.rint(steps)
    even = 1.0 + float((exponent - grid.emin + grid.has_zero) & 1)
    rounded = even if grid.mantissa_bits == 0 and steps == 1.5 else rounded  # its code is exponent
    scale = max(rounded * quantum, grid.smallest)
    return scale if scale <= grid.largest else math.inf


@inlined
def _significand(x: float) -> tuple[float, int]:
    """Return x > 0 as ``math.frexp`` does, and something for 0 and inf."""
    is_small = x < 2.0**-1000
    word = np.float64(x * (2.0**64 if is_small else 1.0)).view(np.int64)
    exponent = shr(word, 52) - 1022
    significand = np.int64(word - shl(exponent, 52)).view(np.float64)
    return significand, exponent - (64 if is_small else 0)


@inlined
def _power(x: float, grid: ScaleValues, rule: AbsmaxToScale) -> float:
    """Round x / reference > 0 to a power of two, by comparing significands; inf beyond the scales.

    With x = m * 2**e and reference = r * 2**f, both significands in 0.5 .. 1, the quotient is
    (m / r) * 2**(e - f), and m / r, or 2 m / r where m < r, is at least c in 1..2 when m (or 2 m)
    is at least c * r.
    """
    m, e = _significand(x)
    r, f = _significand(rule.reference)
    is_less = m < r
    m = 2 * m if is_less else m
    carries = m > r if rule.kind == NEXT_POWERS else m >= rule.carry * r
    k = e - f - (1 if is_less else 0) + (1 if carries else 0)
    top = _significand(grid.largest)[1] - 1
    least, bottom = _significand(grid.smallest)
    bottom = bottom - 1 if least == 0.5 else bottom  # of the smallest power, not scale
    held = min(max(k, bottom), top)
    return np.int64(shl(held + 1023, 52)).view(np.float64) if k <= top else math.inf


@inlined
def scale_of(maximum: float, grid: ScaleValues, rule: AbsmaxToScale) -> float:
    """Return the scale for an absmax; inf if that is inf or the scale beyond its format.

    The scale of zeros is 0, or the smallest one of a format without zero.
    """
    if rule.kind == VALUES:
        scale = nearest(maximum / rule.reference, grid)
    else:
        scale = _power(maximum, grid, rule)
    least = 0.0 if grid.has_zero else grid.smallest
    return scale if maximum > 0 else least


@jit
def single_word(word: Any, half: bool) -> Any:
    """Return the word (int32) of the float32 that is equal to a float16, or to a bfloat16."""
    T = np.int32
    magnitude = T(word & T(0x7FFF))
    sign = T(shl(T(word & T(0x8000)), T(16)))
    widened = T(shl(magnitude, T(13)) + T(112 << 23))
    above = T(widened + T(112 << 23))  # infinities and NaNs
    below = np.float32(np.float32(magnitude) * np.float32(2.0**-24)).view(T)  # subnormals
    widened = above if magnitude >= T(0x7C00) else widened
    widened = below if magnitude < T(0x400) else widened
    return T(sign | (widened if half else T(shl(magnitude, T(16)))))


@jit
def float_of(words: Array, i: int, half: bool | None) -> float:
    """Return a number in float64, from its word of 32 or 64 bits, or of 16 (see `single_word`).

    ``half`` is None except for 16 bits.
    """
    if half is not None:
        return np.float64(np.int32(single_word(np.int32(words[i]), half)).view(np.float32))
    if words.itemsize == 8:
        return np.int64(words[i]).view(np.float64)
    return np.float64(np.int32(words[i]).view(np.float32))


@inlined
def _magnitude(words: Array, magnitude: int, half: bool | None) -> float:
    """Return a word without a sign as a number; NaN as inf, and words below 0 as 0."""
    if magnitude <= 0:
        return 0.0
    if half is not None:
        value = np.float64(np.int32(single_word(np.int32(magnitude), half)).view(np.float32))
    elif words.itemsize == 8:
        value = np.int64(magnitude).view(np.float64)
    else:
        value = np.float64(np.int32(magnitude).view(np.float32))
    return value if value < math.inf else math.inf


@inlined
def block_range(words: Array, start: int, stop: int, half: bool | None) -> tuple[float, float]:
    """Return the lowest and the highest of some neighbours and 0; NaNs count as infinities."""
    whole = stop - (stop - start) % LANES
    highest, below = word_range(words, start, whole)
    top = 64 - 8 * words.itemsize
    for i in range(whole, stop):
        word: int = shr(shl(np.int64(words[i]), top), top)
        highest, below = max(highest, word), max(below, word ^ (-1 << (8 * words.itemsize - 1)))
    return -_magnitude(words, below, half), _magnitude(words, highest, half)


@kernel
def ranges(
    words: Array, half: bool | None, length: int, size: int, lows: Array, highs: Array
) -> None:
    """Find the lowest and the highest of each block's numbers and 0; NaNs count as infinities.

    Words of 16 bits are float16's if ``half``, else bfloat16's; it is None for wider ones.
    """
    block = 0
    for row in range(0, words.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            lows[block], highs[block] = block_range(words, start, stop, half)
            block += 1


@kernel
def scales_of(maxima: Array, grid: ScaleValues, rule: AbsmaxToScale, scales_out: Array) -> None:
    """Turn absmax into scales; see `scale_of`."""
    for i in range(maxima.size):
        scales_out[i] = scale_of(maxima[i], grid, rule)
