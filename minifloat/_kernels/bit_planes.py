"""Products of bipolar integers: the bits of two rows that differ, counted plane by plane.

Contract: contiguous arrays, results into an array that is passed in; nothing raises.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import instruction, kernel

Array = NDArray[Any]

TILE = 1 << 11  # words of the rows of b that are multiplied at a time; they stay in the cache


def _define() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def define(_: Any, word: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ctpop(args[0])

        return types.int64(types.uint64), build

    return intrinsic(define)


@instruction(_define)
def count_ones(word: Any) -> Any:
    """Return how many bits of a uint64 are one."""
    return int(word).bit_count()


@kernel(cost=16.0)
def multiply(a: Array, b: Array, length: int, out: Array) -> None:
    """Write the products of the rows of ``a`` and ``b``: ``out[i, j]``.

    ``a`` and ``b`` are uint64 of shape (rows, planes, words), ``length`` is the numbers of a row,
    ``out`` is int64. Two planes agree where they have the same bit; a number's plane p is worth
    2**p or -2**p, so they add up to (length - 2 * bits that differ) * 2**(p + q).
    """
    rows, planes, words = a.shape
    columns, others = b.shape[0], b.shape[1]
    tile = max(1, TILE // max(1, others * words))
    for first in range(0, columns, tile):
        for i in range(rows):
            for j in range(first, min(first + tile, columns)):
                total = np.int64(0)
                for p in range(planes):
                    for q in range(others):
                        differing = np.int64(0)
                        for k in range(words):
                            differing += count_ones(a[i, p, k] ^ b[j, q, k])
                        agreement = np.int64(length) - np.int64(2) * differing
                        total += np.left_shift(agreement, np.int64(p + q))
                out[i, j] = total
