"""Loops of `minifloat.quantization`: the scales of blocks.

Contract of every kernel: one-dimensional contiguous arrays and plain numbers in, results into an
array passed in; no exceptions.

Weights lie in rows of ``length``, blocks of ``size`` within them (the last of a row may be
shorter), scales in the blocks' order. Scales and errors are computed in float64.
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

LEVEL_BITS = 20  # of the number of a value; tf32 has 2**19


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
def _nearest(x: float, grid: ScaleValues) -> float:
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
    held = min(max(k, grid.emin - grid.mantissa_bits), top)
    scale = max(np.int64(shl(held + 1023, 52)).view(np.float64), grid.smallest)
    return scale if k <= top else math.inf


@inlined
def scale_of(maximum: float, grid: ScaleValues, rule: AbsmaxToScale) -> float:
    """Return the scale for an absmax; inf if that is inf or the scale beyond its format.

    The scale of zeros is 0, or the smallest one of a format without zero.
    """
    if rule.kind == VALUES:
        scale = _nearest(maximum / rule.reference, grid)
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


class Levels(NamedTuple):
    """The values of a format by the magnitude of w / scale: for weights >= 0, then for others.

    Magnitudes up to ``points[j]`` have value ``values[j]``, those beyond the next one; the last
    point of each side is inf. The values of the second side are negated.
    """

    values: Array
    points: Array
    second: int  # index of the second side's first value


@jit
def _level(magnitude: float, low: int, high: int, points: Array) -> int:
    """Return the first index in ``low .. high - 1`` whose point is not below the magnitude."""
    while low < high - 1:
        middle = (low + high - 1) >> 1
        if magnitude > points[middle]:
            low = middle + 1
        else:
            high = middle + 1
    return low


@jit
def _error(values: Array, importance: Array, scale: float, levels: Levels, power: float) -> float:
    """Return the sum of ``importance * |w - value * scale|**power`` for a scale above 0."""
    total = 0.0
    for i in range(values.size):
        w = np.float64(values[i])
        first, last = (0, levels.second) if w >= 0 else (levels.second, levels.values.size)
        j = _level(abs(w) / scale, first, last, levels.points)
        rest = abs(abs(w) - levels.values[j] * scale)
        weight = importance[i] if importance.size > 0 else 1.0
        total += weight * (rest * rest if power == 2.0 else rest**power)
    return total


@jit
def _leastscale_of(values: Array, importance: Array, error: float, levels: Levels) -> float:
    """Return a scale below which the clipping of one weight alone costs more than ``error``."""
    least = 0.0
    for i in range(values.size):
        weight = importance[i] if importance.size > 0 else 1.0
        last = levels.second - 1 if values[i] >= 0 else levels.values.size - 1
        if weight > 0 and levels.values[last] > 0:
            unclipped = abs(np.float64(values[i])) - math.sqrt(error / weight)
            least = max(least, unclipped / levels.values[last])
    return least * (1 - 1e-9)


@jit
def _least_error(values: Array, importance: Array, scale: float, levels: Levels) -> float:
    """Return a lower bound of the error of all scales from this one up.

    Only weights that stay at their first level count; their error grows with the scale.
    """
    total = 0.0
    for i in range(values.size):
        first = 0 if values[i] >= 0 else levels.second
        magnitude, value = abs(np.float64(values[i])), max(levels.values[first], 0.0)
        if magnitude <= scale * levels.points[first] and (value == 0 or magnitude <= scale * value):
            weight = importance[i] if importance.size > 0 else 1.0
            rest = magnitude - scale * value
            total += weight * (rest * rest)
    return total


@jit
def _largestscale_of(
    values: Array, importance: Array, scale: float, error: float, levels: Levels
) -> float:
    """Return a scale above which every scale has more than ``error``, or inf."""
    limit = error * (1 + 1e-9)
    for _ in range(200):
        scale *= 2
        if _least_error(values, importance, scale, levels) > limit:
            for factor in (0.5**0.5, 0.5**0.25):
                if _least_error(values, importance, scale * factor, levels) > limit:
                    scale *= factor
            return scale
    return math.inf


class Scratch(NamedTuple):
    """Scratch space for the steps of a block, or a part of them."""

    keys: Array  # float64
    places: Array  # int64
    sorted_keys: Array
    sorted_places: Array
    ends: Array  # int64


@jit
def _collect(
    values: Array, importance: Array, low: float, high: float, levels: Levels, scratch: Scratch
) -> tuple[int, float, float]:  # fmt: skip
    """List the steps at inverse scales in ``low .. high``; return their number and two sums.

    A weight steps from a level to the next where the inverse scale is the level's point over its
    magnitude. Steps that do not fit into the scratch are counted and not listed. The sums are those
    of w * value and value**2 at ``low``, before the first step.
    """
    count, product, square = 0, 0.0, 0.0
    for i in range(values.size):
        weight = importance[i] if importance.size > 0 else 1.0
        w = abs(np.float64(values[i]))
        first, last = (0, levels.second) if values[i] >= 0 else (levels.second, levels.values.size)
        j = _level(w * low, first, last, levels.points)
        product += weight * w * levels.values[j]
        square += weight * (levels.values[j] * levels.values[j])
        while w > 0 and j < last - 1 and levels.points[j] / w <= high:
            if count < scratch.keys.size:
                scratch.keys[count] = levels.points[j] / w
                scratch.places[count] = (i << LEVEL_BITS) | j
            count += 1
            j += 1
    return count, product, square


@jit
def sort_steps(count: int, scratch: Scratch) -> None:
    """Sort the steps by their keys, which are positive.

    A bucket sort with as many buckets as steps: the words of the keys have the order of the keys
    and are spread nearly evenly on a logarithmic scale. An insertion sort then orders neighbours.
    If a bucket is too full for that, `numpy.argsort` sorts instead.
    """
    words = scratch.keys.view(np.int64)
    lowest, highest = words[0], words[0]
    for k in range(count):
        lowest, highest = min(lowest, words[k]), max(highest, words[k])
    factor = (count - 1) / float(highest - lowest + 1)
    ends = scratch.ends[:count]
    ends[:] = 0
    for k in range(count):
        ends[int((words[k] - lowest) * factor)] += 1
    total, fullest = 0, 0
    for b in range(count):
        fullest = max(fullest, ends[b])
        total += ends[b]
        ends[b] = total
    if fullest > 64:
        order = np.argsort(scratch.keys[:count], kind="mergesort")  # stable, as NumPy's
        for k in range(count):
            scratch.sorted_keys[k] = scratch.keys[order[k]]
            scratch.sorted_places[k] = scratch.places[order[k]]
        return
    for k in range(count):
        b = int((words[k] - lowest) * factor)
        ends[b] -= 1
        scratch.sorted_keys[ends[b]] = scratch.keys[k]
        scratch.sorted_places[ends[b]] = scratch.places[k]
    for k in range(1, count):
        key, place, j = scratch.sorted_keys[k], scratch.sorted_places[k], k
        while j > 0 and scratch.sorted_keys[j - 1] > key:
            scratch.sorted_keys[j] = scratch.sorted_keys[j - 1]
            scratch.sorted_places[j] = scratch.sorted_places[j - 1]
            j -= 1
        scratch.sorted_keys[j], scratch.sorted_places[j] = key, place


@jit
def _bestscale_of(
    values: Array, importance: Array, scale: float, tensor: float, levels: Levels,
    grid: ScaleValues, scratch: Scratch,
) -> float:  # fmt: skip
    """Return the scale of the grid that gives the least squared error; ``tensor`` multiplies it.

    For codes that do not change the error is the parabola

        sum w**2 - 2 s * product + s**2 * square        product = sum w v, square = sum v**2

    with its minimum at s = product / square; the scale of the grid nearest to that is best. The
    codes of the best scale are nearest for it, so the least error of all is the least over all
    assignments of nearest codes. The sweep visits each assignment, from large scales to small ones,
    between two scales beyond which the error is larger than at the given one.
    """
    error = _error(values, importance, scale * tensor, levels, 2.0)
    if error == 0:
        return scale
    total = 0.0
    for i in range(values.size):
        weight = importance[i] if importance.size > 0 else 1.0
        w = np.float64(values[i])
        total += weight * (w * w)
    best, best_scale = total - error, scale
    low = 1 / _largestscale_of(values, importance, scale * tensor, error, levels)
    least = _leastscale_of(values, importance, error, levels)
    end = 1 / least if least > 0 else math.inf
    while low < end:
        high = end
        count, product, square = _collect(values, importance, low, high, levels, scratch)
        while count > scratch.keys.size:  # a part that fits
            high = min(high, 1e300)
            high = math.sqrt(low) * math.sqrt(high) if low > 0 else high / 1024
            high = max(high, low * (1 + 1e-15))
            count, product, square = _collect(values, importance, low, high, levels, scratch)
        if count > 0:
            sort_steps(count, scratch)
        for step in range(-1, count):
            if step >= 0:
                place = scratch.sorted_places[step]
                i, j = place >> LEVEL_BITS, place & ((1 << LEVEL_BITS) - 1)
                weight = importance[i] if importance.size > 0 else 1.0
                before, after = levels.values[j], levels.values[j + 1]
                product += weight * abs(np.float64(values[i])) * (after - before)
                square += weight * (after * after - before * before)
            if square > 0 and product * product > best * square:
                candidate = min(_nearest(product / square / tensor, grid), grid.largest)
                s = candidate * tensor
                gain = s * (2 * product - s * square)
                if gain > best:
                    best, best_scale = gain, candidate
        low = high
    best_error = _error(values, importance, best_scale * tensor, levels, 2.0)
    return best_scale if best_error < error else scale


@kernel(cost=5)
def least_squares(
    values: Array, importance: Array, length: int, size: int, tensor: float, levels: Levels,
    grid: ScaleValues, scratch: Scratch, scales: Array,
) -> None:  # fmt: skip
    """Replace each positive scale by the one of least squared error.

    ``importance`` has a factor for each weight, or is empty; the scratch has at least four steps
    for each weight of a block.
    """
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            if scales[block] > 0 and np.any(values[start:stop] != 0):
                scales[block] = _bestscale_of(
                    values[start:stop], importance[start:stop], scales[block], tensor, levels,
                    grid, scratch,
                )  # fmt: skip
            block += 1


@kernel
def squared_errors(
    values: Array, importance: Array, length: int, size: int, tensor: float, levels: Levels,
    scales: Array, errors: Array,
) -> None:  # fmt: skip
    """Write the squared error of each block; a scale of 0 counts as 1."""
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            scale = scales[block] * tensor
            errors[block] = _error(
                values[start:stop], importance[start:stop], scale if scale > 0 else 1.0, levels, 2.0
            )
            block += 1


@kernel(cost=8)
def shrink(
    values: Array, length: int, size: int, tensor: float, grid: ScaleValues, rule: AbsmaxToScale,
    steps: int, gap: float, power: float, maxima: Array, scales: Array, levels: Levels,
) -> None:  # fmt: skip
    """Replace each scale by the best of those for ``absmax * (1 - k * gap)``, k < ``steps``.

    Of equal errors the first wins; the error is the sum of ``|w - w'|**power``.
    """
    nothing = np.empty(0, np.float64)
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            least = math.inf
            if maxima[block] > 0 and scales[block] < math.inf:
                for k in range(steps):
                    scale = scale_of(maxima[block] * (1 - k * gap), grid, rule)
                    error = _error(values[start:stop], nothing, scale * tensor, levels, power)
                    if error < least:
                        least, scales[block] = error, scale
            block += 1


@kernel(cost=8)
def shrink_range(
    values: Array, length: int, size: int, tensor: float, grid: ScaleValues, rule: AbsmaxToScale,
    steps: int, gap: float, power: float, maxima: Array, scales: Array, low: Array, top: int,
    zeros: Array,
) -> None:  # fmt: skip
    """Do as `shrink`, for zero points: ``low`` and the length of the range, ``maxima``, shrink."""
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            least = math.inf
            if maxima[block] > 0 and scales[block] < math.inf:
                for k in range(steps):
                    scale = scale_of(maxima[block] * (1 - k * gap), grid, rule)
                    s = scale * tensor
                    zero = min(max(np.rint(-low[block] * (1 - k * gap) / s), 0.0), float(top))
                    error = 0.0
                    for i in range(start, stop):
                        w = np.float64(values[i])
                        code = min(max(np.rint(w / s) + zero, 0.0), float(top))
                        error += abs(w - (code - zero) * s) ** power
                    if error < least:
                        least, scales[block], zeros[block] = error, scale, zero
            block += 1
