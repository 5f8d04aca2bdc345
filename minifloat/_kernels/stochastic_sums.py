"""Loops of stochastic accumulators: sums that are rounded at random, reproducibly.

A step of `sums` leaves each sum as it is, or rounded to odd in float64; then `round_drawn` rounds
it to its format, by a random word that depends on the result's own stream and on the number of the
rounding, and on nothing else.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import kernel
from minifloat._kernels.codec import STOCHASTIC_A, STOCHASTIC_C, STOCHASTIC_EQUAL
from minifloat._kernels.random_words import word_of
from minifloat._kernels.sums import grid_of, rounded

Array = NDArray[Any]

ABOVE = 1.0 + 2.0**-52  # times a number: the next one above it
ANY, NEVER = 5e-324, 2.0  # thresholds: every fraction but 0, and none


@kernel(cost=2.0)
def round_drawn(
    numbers: Array, streams: Array, number: int, grid: Array, mode: Array, modulus: float,
    normal: float,
) -> None:  # fmt: skip
    """Round each number by word ``number`` of its stream, see `codec._thresholds`.

    ``modulus`` and ``normal`` are those of `sums.rounded`.
    """
    kind, bits = mode[0]["kind"], mode[0]["bits"]
    fields = grid_of(grid)
    whole = np.int64(1) << np.int64(bits)
    gap = np.float64(1.0) / np.float64(whole)
    for i in range(numbers.size):
        word = word_of(streams[i], number)
        r = np.int64(word >> np.uint64(np.int64(64) - bits))
        k = np.int64(whole - r)
        if kind == STOCHASTIC_A:
            t = np.float64(np.float64(k) * gap)
        elif kind == STOCHASTIC_EQUAL:
            t = np.float64(ANY if r + r >= whole else NEVER)
        else:
            t = np.float64((np.float64(k) - 0.5) * gap)
            t = np.float64(t * ABOVE) if (kind == STOCHASTIC_C) & ((k & 1) == 1) else t
        threshold = (t, t, t, t, np.float64(modulus), np.float64(normal))
        numbers[i] = rounded(numbers[i], fields, threshold)
