"""Loops for formats that are a list of values: codebooks, and grids without subnormals.

Steps 3 to 6 of `minifloat.codec` are one search here: in a deterministic mode a code holds from
one decision point to the next. Floats are compared as integers: the word of a float64, with all
bits but the sign flipped when negative, is ordered as the line is from -inf to inf, and -0 comes
before 0.

Contract of every kernel: as in `minifloat._kernels.codec`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel
from minifloat._kernels.scalar import MAGNITUDE, WINDOW, float_key, last_not_above

Array = NDArray[Any]

INFINITY = 0x7FF0000000000000
SEARCH_EVERY = 512  # elements whose places are counted together
FEW = 128  # decision points; so many are counted faster than searched

# Where a code begins: every float from `key` on has it, as far as the next beginning.
BEGINNING = np.dtype([("key", np.int64), ("code", np.int64)])
# A value and its relation to the next one, between which a stochastic mode chooses. `gap` is their
# distance. `away` is 1 if the next one is further from zero, -1 if it is nearer, and 0 if both are
# as far, one on each side.
VALUE = np.dtype(
    [
        ("key", np.int64),
        ("value", np.float64),
        ("gap", np.float64),
        ("code", np.int64),
        ("away", np.int64),
    ]
)


@jit
def _find_places(words: Array, keys: Array, ordered: Array, places: Array) -> None:
    """Find the place of each word: the last of the sorted ``keys`` that is not above it."""
    for i in range(words.size):
        ordered[i] = float_key(words[i])
        places[i] = 0
    if keys.size <= FEW:
        for k in range(1, keys.size):
            key = keys[k]
            for i in range(words.size):
                places[i] += ordered[i] >= key
    else:
        for i in range(words.size):
            places[i] = last_not_above(keys, ordered[i])


@kernel
def encode(
    words: Array, codes: Array, beginnings: Array, nan_code: int, scratch: Array
) -> tuple[int, int]:
    """Encode float64 words by the place among ``beginnings`` where each one falls.

    Return how many NaNs there were, and how many codes that count as overflows (stored as
    ``~code``). ``scratch`` is of two rows of `SEARCH_EVERY` int64.
    """
    keys, results = beginnings["key"], beginnings["code"]
    nans, overflows = 0, 0
    for low in range(0, words.size, SEARCH_EVERY):
        block = words[low : low + SEARCH_EVERY]
        places = scratch[1, : block.size]
        _find_places(block, keys, scratch[0], places)
        for i in range(block.size):
            if (np.int64(block[i]) & MAGNITUDE) > INFINITY:  # 1. NaN
                codes[low + i] = nan_code
                nans += 1
            else:
                result = results[places[i]]
                codes[low + i] = result if result >= 0 else ~result
                overflows += result < 0
    return nans, overflows


@kernel
def choose(words: Array, thresholds: Array, values: Array, codes: Array) -> int:
    """Choose stochastically between neighbours; return how many codes count as overflows.

    ``values`` are sorted; elements beyond their ends are left alone. The fraction that an element
    has covered is counted from the neighbour that is nearer to zero or, where both are as far, from
    the one whose sign is not the element's. It is computed in float64.
    """
    keys = values["key"]
    last = keys.size - 1
    overflows = 0
    for i in range(words.size):
        w = np.int64(words[i])
        key = float_key(w)
        j = last_not_above(keys, key)
        if keys[0] <= key and j < last:
            x, away, gap = w.view(np.float64), values[j]["away"], values[j]["gap"]
            up = away > 0 or (away == 0 and w >= 0)
            # 4. the fraction of the gap
            covered = x - values[j]["value"] if up else values[j + 1]["value"] - x
            fraction = covered / gap * (1 << WINDOW) if gap > 0 else 0.0
            whole = np.int64(fraction)
            whole = whole | np.int64(fraction > whole)
            # 5. away from zero, or not
            goes_up = (whole >= thresholds[i]) == up
            result = values[j + 1]["code"] if goes_up else values[j]["code"]
            codes[i] = result if result >= 0 else ~result
            overflows += result < 0
    return overflows
