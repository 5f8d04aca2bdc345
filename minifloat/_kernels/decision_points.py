"""Loops for formats that are a list of values: code books, and grids without subnormals.

Floats are compared as integers: the word of a float64, with all bits but the sign flipped when
negative, is ordered as the line is from -inf to inf, and -0 comes before 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel

Array = NDArray[Any]

WINDOW = 30  # as in the codec's kernels: thresholds are fractions times 2**WINDOW
INFINITY = 0x7FF0000000000000
MAGNITUDE = 0x7FFFFFFFFFFFFFFF
BLOCK = 512  # elements whose steps are counted together
FEW = 128  # steps; so many are counted faster than searched


@jit
def _last_not_above(keys: Array, key: Any) -> int:
    """Return the index of the last of the sorted ``keys`` that is <= ``key``, at least 0."""
    low, count = 0, keys.size
    while count > 1:
        half = count >> 1
        low += half if keys[low + half] <= key else 0
        count -= half
    return low


@jit
def _find_steps(words: Array, keys: Array, ordered: Array, places: Array) -> None:
    """Find the step of each word: the last of the sorted ``keys`` that is not above it."""
    for i in range(words.size):
        w = np.int64(words[i])
        ordered[i] = w ^ ((w >> 63) & MAGNITUDE)
        places[i] = 0
    if keys.size <= FEW:
        for key in keys[1:]:
            for i in range(words.size):
                places[i] += ordered[i] >= key
    else:
        for i in range(words.size):
            places[i] = _last_not_above(keys, ordered[i])


@kernel
def encode(
    words: Array, keys: Array, outcomes: Array, nan: int, codes: Array, room: Array
) -> tuple[int, int]:
    """Encode float64 words: from ``keys[i]`` on, the code is ``outcomes[i]`` (or its ``~``).

    Return the number of NaNs and of outcomes that count as overflows (those stored as ``~code``).
    ``room`` is for two rows of `BLOCK` int64.
    """
    nans, overflows = 0, 0
    for low in range(0, words.size, BLOCK):
        block = words[low : low + BLOCK]
        places = room[1, : block.size]
        _find_steps(block, keys, room[0], places)
        for i in range(block.size):
            if (np.int64(block[i]) & MAGNITUDE) > INFINITY:
                codes[low + i] = nan
                nans += 1
            else:
                result = outcomes[places[i]]
                codes[low + i] = result if result >= 0 else ~result
                overflows += result < 0
    return nans, overflows


@kernel
def choose(
    words: Array,
    drawn: Array,
    keys: Array,
    values: Array,
    outcomes: Array,
    away_from_zero: Array,
    codes: Array,
) -> int:
    """Choose stochastically between neighbours; return how many outcomes count as overflows.

    ``values`` are sorted, ``keys`` and ``outcomes`` are theirs; elements beyond the ends are left
    alone. Between ``values[j]`` and ``values[j + 1]`` the fraction is counted from the lower one
    where ``away_from_zero[j]`` is 1, from the upper one where it is -1, and where it is 0 from the
    one whose sign is not the element's. It is computed in float64.
    """
    last = keys.size - 1
    overflows = 0
    for i in range(words.size):
        w = np.int64(words[i])
        key = w ^ ((w >> 63) & MAGNITUDE)
        j = _last_not_above(keys, key)
        if keys[0] <= key and j < last:
            x, low, high = np.int64(w).view(np.float64), values[j], values[j + 1]
            up = away_from_zero[j] > 0 or (away_from_zero[j] == 0 and w >= 0)
            covered = x - low if up else high - x
            fraction = covered / (high - low) * (1 << WINDOW) if high > low else 0.0
            seen = np.int64(fraction)
            seen = seen | np.int64(fraction > seen)
            away = seen >= drawn[i]
            result = outcomes[j + 1] if away == up else outcomes[j]
            codes[i] = result if result >= 0 else ~result
            overflows += result < 0
    return overflows
