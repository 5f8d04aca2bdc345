"""Loops for formats that are a list of values: codebooks, and grids without subnormals.

Steps 3 to 6 of `minifloat.codec` are one search here: in a deterministic mode a code holds from
one decision point to the next. Floats are compared as integers, their keys: the word of a number,
with all bits but the sign flipped when negative, is ordered as the line is from -inf to inf, and -0
comes before 0. Keys are as wide as the lanes: int64 for float64, int32 for all others.

Contract of every kernel: as in `minifloat._kernels.codec`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import jit, kernel
from minifloat._kernels.prefetch import prefetch_block
from minifloat._kernels.scalar import WINDOW, float_key, last_not_above, sign_and_magnitude

Array = NDArray[Any]
Lane = Any  # an integer of the lanes' type

SEARCH_EVERY = 512  # elements whose codes are looked for together
FEW = 128  # beginnings; the steps of so many are added up faster than one is searched
AT_ONCE = 8  # steps that are added in one loop

# Where a code begins: every number from `key` on has it, as far as the next beginning. It is stored
# as ~code where it counts as an overflow. `step` is what to add to the result before.
BEGINNING32 = np.dtype([("key", np.int32), ("code", np.int32), ("step", np.int32)])
BEGINNING64 = np.dtype([("key", np.int64), ("code", np.int64), ("step", np.int64)])
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
def _keys(words: Array, keys: Array, T: Any) -> Lane:
    """Write the keys of numbers; return the largest magnitude."""
    largest = T(0)
    for i in range(words.size):
        negative, magnitude = sign_and_magnitude(words, i, T)
        keys[i] = T(magnitude ^ negative)
        largest = max(largest, magnitude)
    return largest


@jit
def _add_steps(keys: Array, beginnings: Array, first: int, results: Array, T: Any) -> None:
    """Add the steps of `AT_ONCE` beginnings to the results of the numbers that reach them."""
    b = beginnings
    k0, k1, k2, k3 = b[first]["key"], b[first + 1]["key"], b[first + 2]["key"], b[first + 3]["key"]
    s0, s1, s2, s3 = (
        b[first]["step"],
        b[first + 1]["step"],
        b[first + 2]["step"],
        b[first + 3]["step"],
    )
    first += 4
    k4, k5, k6, k7 = b[first]["key"], b[first + 1]["key"], b[first + 2]["key"], b[first + 3]["key"]
    s4, s5, s6, s7 = (
        b[first]["step"],
        b[first + 1]["step"],
        b[first + 2]["step"],
        b[first + 3]["step"],
    )
    zero = T(0)
    for i in range(keys.size):
        key = keys[i]
        low = T(T(s0 if key >= k0 else zero) + T(s1 if key >= k1 else zero))
        low = T(low + T(T(s2 if key >= k2 else zero) + T(s3 if key >= k3 else zero)))
        high = T(T(s4 if key >= k4 else zero) + T(s5 if key >= k5 else zero))
        high = T(high + T(T(s6 if key >= k6 else zero) + T(s7 if key >= k7 else zero)))
        results[i] = T(results[i] + T(low + high))


@jit
def _find(keys: Array, beginnings: Array, results: Array, T: Any) -> None:
    """Find the result that holds at each key."""
    if beginnings.size <= FEW:
        for i in range(keys.size):
            results[i] = T(0)
        for first in range(0, beginnings.size, AT_ONCE):
            _add_steps(keys, beginnings, first, results, T)
    else:
        starts, codes = beginnings["key"], beginnings["code"]
        for i in range(keys.size):
            results[i] = codes[last_not_above(starts, keys[i])]


@kernel
def encode(
    words: Array, codes: Array, beginnings: Array, infinity: int, nan_code: int, scratch: Array
) -> tuple[int, int]:
    """Encode words of a source float by the place among ``beginnings`` where each one falls.

    The number of beginnings is a multiple of `AT_ONCE`. Words above ``infinity`` are NaNs. Return
    how many of these there were, and how many codes that count as overflows. ``scratch`` is of two
    rows of `SEARCH_EVERY` lanes.
    """
    T = scratch.dtype.type
    nans, overflows = 0, 0
    for low in range(0, words.size, SEARCH_EVERY):
        high = min(low + SEARCH_EVERY, words.size)
        block, out = words[low:high], codes[low:high]
        keys, results = scratch[0, : high - low], scratch[1, : high - low]
        prefetch_block(words, high, SEARCH_EVERY)
        largest = _keys(block, keys, T)
        _find(keys, beginnings, results, T)
        least = T(0)
        for i in range(out.size):
            least = min(least, results[i])
            out[i] = results[i]
        if largest > infinity or least < 0:
            for i in range(out.size):
                _, magnitude = sign_and_magnitude(block, i, T)
                result = results[i]
                if magnitude > infinity:  # 1. NaN
                    out[i] = nan_code
                    nans += 1
                elif result < 0:
                    out[i] = ~result
                    overflows += 1
    return nans, overflows


@kernel
def choose(words: Array, thresholds: Array, values: Array, codes: Array) -> int:
    """Choose stochastically between neighbours; return how many codes count as overflows.

    ``values`` are sorted; elements beyond their ends are left alone. The fraction that an element
    has covered is counted from the neighbour that is nearer to zero or, where both are as far, from
    the one whose sign is not the element's. It is computed in float64, from halves where the gap is
    wider than the largest number.
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
            near = values[j]["value"] if up else values[j + 1]["value"]
            if gap == np.inf:
                gap = np.float64(0.5 * values[j + 1]["value"] - 0.5 * values[j]["value"])
                x, near = 0.5 * x, 0.5 * near
            covered = x - near if up else near - x
            fraction = covered / gap * (1 << WINDOW) if gap > 0 else 0.0
            whole = np.int64(fraction)
            whole = whole | np.int64(fraction > whole)
            # 5. away from zero, or not
            goes_up = (whole >= thresholds[i]) == up
            result = values[j + 1]["code"] if goes_up else values[j]["code"]
            codes[i] = result if result >= 0 else ~result
            overflows += result < 0
    return overflows
