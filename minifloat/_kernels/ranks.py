"""Steps of `LANES` numbers that are compared as integers: ends of a block, ranks among points.

The words of floats, as signed integers whose negative ones are turned round, have the order of the
floats: these are their keys; -0 comes just before 0. A format of up to `MOST` values is a table of
its codes in the order of the values, and a number's code is found by its rank: how many of the
points between neighbouring values, as keys, are not above the number's key.

Each function here says what the instruction of `minifloat._kernels.rank_vectors` does.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import instruction

Array = NDArray[Any]

LANES = 16
MOST = 32  # values of a format whose numbers are ranked


def _keys(words: Array) -> NDArray[np.int64]:
    signed = words.view(f"i{words.itemsize}").astype(np.int64)
    return np.where(signed < 0, signed ^ ((1 << (8 * words.itemsize - 1)) - 1), signed)


def _define_word_range() -> Any:
    from minifloat._kernels import rank_vectors

    return rank_vectors.word_range


def _define_first_keys() -> Any:
    from minifloat._kernels import rank_vectors

    return rank_vectors.first_keys


def _define_rank_codes() -> Any:
    from minifloat._kernels import rank_vectors

    return rank_vectors.rank_codes


@instruction(_define_word_range)
def word_range(words: Array, start: int, stop: int) -> tuple[int, int]:
    """Return the largest word as it is, signed, and the largest of all without their sign.

    The first is the word of the largest number, if one is above 0. The second is the magnitude of
    the lowest number's word, if one has a sign, and else below 0. Words are of 16, 32 or 64 bits, a
    multiple of `LANES` of them; without any, both results are below 0.
    """
    signed = words[start:stop].view(f"i{words.itemsize}").astype(np.int64)
    sign = 1 << (8 * words.itemsize - 1)
    without = signed ^ -sign  # as unsigned words, less the sign
    return int(signed.max(initial=-sign)), int(without.max(initial=-sign))


@instruction(_define_first_keys)
def first_keys(points: Array, upward: Array, divisor: float, at: int, first: Array) -> None:
    """Write the key of the first float32 beyond each of `LANES` points times the divisor.

    A number on a point is beyond it if ``upward`` is 1 there. The products are exact in float64.
    """
    exact = points[at : at + LANES] * divisor
    nearest = exact.astype(np.float32)
    back = nearest.astype(np.float64)
    before = (back < exact) | ((back == exact) & (upward[at : at + LANES] == 0))
    first[at : at + LANES] = _keys(nearest.view(np.int32)) + before


@instruction(_define_rank_codes)
def rank_codes(words: Array, at: int, first: Array, table: Array, codes: Array, to: int) -> None:
    """Write the codes of `LANES` float32 numbers by their ranks among ``first``, sorted keys.

    ``first`` has a key for each two neighbours in ``table``, which has `MOST` codes, and one more,
    which is not read.
    """
    ranks = np.searchsorted(first[: MOST - 1], _keys(words[at : at + LANES]), side="right")
    codes[to : to + LANES] = table[ranks]
