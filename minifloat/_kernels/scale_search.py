"""Loops of `minifloat.quantization`: searches for the scale of a block with the least error.

Contract and layout as in `scales`; errors are computed in float64.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.scales import AbsmaxToScale, ScaleValues, nearest, scale_of

Array = NDArray[Any]

FEW = 8  # terms for which counting does not pay
COUNTED = 24  # levels of a side that are counted rather than searched
LEVEL_BITS = 20  # of the number of a value; tf32 has 2**19


class Levels(NamedTuple):
    """The values of a format by the magnitude of w / scale: for weights >= 0, then for others.

    Magnitudes up to ``points[j]`` have value ``values[j]``, those beyond the next one; the last
    point of each side is inf. The values of the second side are negated.
    """

    values: Array
    points: Array
    second: int  # index of the second side's first value


class Block(NamedTuple):
    """The weights of a block, and space for a number for each."""

    magnitudes: Array  # float64
    importance: Array  # float64, ones if none is given
    starts: Array  # int64: index of the first level of the weight's side
    places: Array  # int64: index of a level
    terms: Array  # float64


@jit
def _space(size: int) -> Block:
    """Return space for blocks of ``size`` weights."""
    floats, places = np.empty((3, size), np.float64), np.empty((2, size), np.int64)
    return Block(floats[0], floats[1], places[0], places[1], floats[2])


@inlined
def _put(values: Array, importance: Array, start: int, levels: Levels, block: Block) -> None:
    """Put the weights from ``start`` on into the block."""
    for i in range(block.terms.size):
        value = np.float64(values[start + i])
        block.magnitudes[i] = abs(value)
        block.starts[i] = 0 if value >= 0 else levels.second
        block.importance[i] = importance[start + i] if importance.size > 0 else 1.0


@inlined
def _find_places(block: Block, levels: Levels) -> None:
    """Write the place of each term: the first on its side whose point is not below the term.

    Few points are counted, for many terms at a time; many are searched by halves.
    """
    count, second = levels.values.size, levels.second
    longest = max(second, count - second)
    terms, starts, places = block.terms, block.starts, block.places
    if longest <= COUNTED and terms.size >= FEW:
        for i in range(terms.size):
            places[i] = starts[i]
        for k in range(longest - 1):
            first = levels.points[k] if k < second else math.inf
            other = levels.points[second + k] if second + k < count else math.inf
            for i in range(terms.size):
                point = first if starts[i] == 0 else other
                places[i] += 1 if terms[i] > point else 0
        return
    for i in range(terms.size):
        low = starts[i]
        high = second if low == 0 else count
        while low < high - 1:
            middle = (low + high - 1) >> 1
            if terms[i] > levels.points[middle]:
                low = middle + 1
            else:
                high = middle + 1
        places[i] = low


@inlined
def _error(block: Block, scale: float, levels: Levels, power: float) -> float:
    """Return the sum of ``importance * |w - value * scale|**power`` for a scale above 0."""
    magnitudes, importance, terms = block.magnitudes, block.importance, block.terms
    for i in range(terms.size):
        terms[i] = magnitudes[i] / scale
    _find_places(block, levels)
    for i in range(terms.size):
        rest = abs(magnitudes[i] - levels.values[block.places[i]] * scale)
        terms[i] = importance[i] * (rest * rest if power == 2.0 else rest**power)
    return _sum(terms)


@inlined
def _sum(terms: Array) -> float:
    """Return the sum, of the terms in their order."""
    total = 0.0
    for i in range(terms.size):
        total += terms[i]
    return total


@inlined
def _least_scale(block: Block, error: float, levels: Levels) -> float:
    """Return a scale below which the clipping of one weight alone costs more than ``error``."""
    magnitudes, importance, terms = block.magnitudes, block.importance, block.terms
    first, other = levels.values[levels.second - 1], levels.values[levels.values.size - 1]
    for i in range(terms.size):
        value = first if block.starts[i] == 0 else other
        unclipped = magnitudes[i] - math.sqrt(error / importance[i])
        terms[i] = unclipped / value if importance[i] > 0 and value > 0 else 0.0
    least = 0.0
    for i in range(terms.size):
        least = max(least, terms[i])
    return least * (1 - 1e-9)


@inlined
def _least_error(block: Block, scale: float, levels: Levels) -> float:
    """Return a lower bound of the error of all scales from this one up.

    Only weights that stay at their first level count; their error grows with the scale.
    """
    magnitudes, terms, second = block.magnitudes, block.terms, levels.second
    first, other = max(levels.values[0], 0.0) * scale, max(levels.values[second], 0.0) * scale
    first_end, other_end = scale * levels.points[0], scale * levels.points[second]
    first_end = min(first_end, first) if first > 0 else first_end
    other_end = min(other_end, other) if other > 0 else other_end
    for i in range(terms.size):
        value, end = (first, first_end) if block.starts[i] == 0 else (other, other_end)
        rest = magnitudes[i] - value
        terms[i] = block.importance[i] * (rest * rest) if magnitudes[i] <= end else 0.0
    return _sum(terms)


@jit
def _largest_scale(block: Block, scale: float, error: float, levels: Levels) -> float:
    """Return a scale above which every scale has more than ``error``, or inf."""
    limit = error * (1 + 1e-9)
    for _ in range(200):
        scale *= 2
        if _least_error(block, scale, levels) > limit:
            for factor in (0.5**0.5, 0.5**0.25):
                if _least_error(block, scale * factor, levels) > limit:
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
    block: Block, low: float, high: float, levels: Levels, scratch: Scratch
) -> tuple[int, float, float]:  # fmt: skip
    """List the steps at inverse scales in ``low .. high``; return their number and two sums.

    A weight steps from a level to the next where the inverse scale is the level's point over its
    magnitude. Steps that do not fit into the scratch are counted and not listed. The sums are those
    of w * value and value**2 at ``low``, before the first step.
    """
    count, product, square = 0, 0.0, 0.0
    for i in range(block.terms.size):
        block.terms[i] = block.magnitudes[i] * low
    _find_places(block, levels)
    for i in range(block.terms.size):
        weight, w, j = block.importance[i], block.magnitudes[i], block.places[i]
        product += weight * w * levels.values[j]
        square += weight * (levels.values[j] * levels.values[j])
        last = (levels.second if block.starts[i] == 0 else levels.values.size) - 1
        while w > 0 and j < last:
            key = levels.points[j] / w
            if key > high:
                break
            if count < scratch.keys.size:
                scratch.keys[count] = key
                scratch.places[count] = (i << LEVEL_BITS) | j
            count += 1
            j += 1
    return count, product, square


@jit
def _merge_steps(count: int, scratch: Scratch) -> None:
    """Sort the steps by merging longer and longer runs; equal keys keep their order."""
    keys, order, merged = scratch.keys, scratch.ends, scratch.sorted_places
    for k in range(count):
        order[k] = k
    length = 1
    while length < count:
        for start in range(0, count, 2 * length):
            i, middle = start, min(start + length, count)
            j, stop = middle, min(start + 2 * length, count)
            for k in range(start, stop):
                if j == stop or (i < middle and keys[order[i]] <= keys[order[j]]):
                    merged[k] = order[i]
                    i += 1
                else:
                    merged[k] = order[j]
                    j += 1
        order, merged = merged, order
        length *= 2
    for k in range(count):
        step = order[k]  # which may lie where the place is written
        scratch.sorted_keys[k], scratch.sorted_places[k] = keys[step], scratch.places[step]


@jit
def sort_steps(count: int, scratch: Scratch) -> None:
    """Sort the steps by their keys, which are positive.

    A bucket sort with as many buckets as steps: the words of the keys have the order of the keys
    and are spread nearly evenly on a logarithmic scale. An insertion sort then orders neighbours.
    If a bucket is too full for that, `_merge_steps` sorts instead.
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
        _merge_steps(count, scratch)
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
def _best_scale(
    block: Block, scale: float, tensor: float, levels: Levels, grid: ScaleValues, scratch: Scratch
) -> float:  # fmt: skip
    """Return the scale of the grid that gives the least squared error; ``tensor`` multiplies it.

    For codes that do not change the error is the parabola

        sum w**2 - 2 s * product + s**2 * square        product = sum w v, square = sum v**2

    with its minimum at s = product / square; the scale of the grid nearest to that is best. The
    codes of the best scale are nearest for it, so the least error of all is the least over all
    assignments of nearest codes. The sweep visits each assignment, from large scales to small ones,
    between two scales beyond which the error is larger than at the given one.
    """
    error = _error(block, scale * tensor, levels, 2.0)
    if error == 0:
        return scale
    for i in range(block.terms.size):
        block.terms[i] = block.importance[i] * (block.magnitudes[i] * block.magnitudes[i])
    total = _sum(block.terms)
    best, best_scale = total - error, scale
    low = 1 / _largest_scale(block, scale * tensor, error, levels)
    least = _least_scale(block, error, levels)
    end = 1 / least if least > 0 else math.inf
    while low < end:
        high = end
        count, product, square = _collect(block, low, high, levels, scratch)
        while count > scratch.keys.size:  # a part that fits
            high = min(high, 1e300)
            high = math.sqrt(low) * math.sqrt(high) if low > 0 else high / 1024
            high = max(high, low * (1 + 1e-15))
            count, product, square = _collect(block, low, high, levels, scratch)
        if count > 0:
            sort_steps(count, scratch)
        for step in range(-1, count):
            if step >= 0:
                place = scratch.sorted_places[step]
                i, j = place >> LEVEL_BITS, place & ((1 << LEVEL_BITS) - 1)
                weight = block.importance[i]
                before, after = levels.values[j], levels.values[j + 1]
                product += weight * block.magnitudes[i] * (after - before)
                square += weight * (after * after - before * before)
            if square > 0 and product * product > best * square:
                candidate = min(nearest(product / square / tensor, grid), grid.largest)
                s = candidate * tensor
                gain = s * (2 * product - s * square)
                if gain > best:
                    best, best_scale = gain, candidate
        low = high
    best_error = _error(block, best_scale * tensor, levels, 2.0)
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
    k, whole, rest = 0, _space(min(size, length)), _space(length % size)
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            block = whole if start + size <= row + length or size > length else rest
            _put(values, importance, start, levels, block)
            if scales[k] > 0 and _sum(block.magnitudes) > 0:
                scales[k] = _best_scale(block, scales[k], tensor, levels, grid, scratch)
            k += 1


@kernel
def squared_errors(
    values: Array, importance: Array, length: int, size: int, tensor: float, levels: Levels,
    scales: Array, errors: Array,
) -> None:  # fmt: skip
    """Write the squared error of each block; a scale of 0 counts as 1."""
    k, whole, rest = 0, _space(min(size, length)), _space(length % size)
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            block = whole if start + size <= row + length or size > length else rest
            _put(values, importance, start, levels, block)
            scale = scales[k] * tensor
            errors[k] = _error(block, scale if scale > 0 else 1.0, levels, 2.0)
            k += 1


@kernel(cost=8)
def shrink(
    values: Array, length: int, size: int, tensor: float, grid: ScaleValues, rule: AbsmaxToScale,
    steps: int, gap: float, power: float, maxima: Array, scales: Array, levels: Levels,
) -> None:  # fmt: skip
    """Replace each scale by the best of those for ``absmax * (1 - k * gap)``, k < ``steps``.

    Of equal errors the first wins; the error is the sum of ``|w - w'|**power``.
    """
    nothing, whole, rest = np.empty(0, np.float64), _space(min(size, length)), _space(length % size)
    b = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            block = whole if start + size <= row + length or size > length else rest
            _put(values, nothing, start, levels, block)
            least = math.inf
            if maxima[b] > 0 and scales[b] < math.inf:
                for k in range(steps):
                    scale = scale_of(maxima[b] * (1 - k * gap), grid, rule)
                    error = _error(block, scale * tensor, levels, power)
                    if error < least:
                        least, scales[b] = error, scale
            b += 1


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
