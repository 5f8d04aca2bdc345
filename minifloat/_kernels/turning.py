"""Lanes of several vectors added up, or kept apart: in the way of a tournament, round by round."""

from typing import Any

from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from minifloat._jit import inlined
from minifloat._kernels.lanes import (
    FLOAT,
    I32,
    I64,
    LANES,
    addresses_below,
    constants,
    lanes_of,
    operation,
)

Array = NDArray[Any]


def turned_lanes(builder: Any, entries: list[list[Any]], parts: int, k: int = 0) -> list[list[Any]]:
    """Make one entry of several, from round ``k`` on; at first an entry is one vector.

    In each round two entries become one: the vectors' even lanes plus their odd ones. The parts lie
    in equal shares of the lanes; when a part is in one lane, the two are not added but both kept.
    At the end there is for each part a vector whose lane j has the sum of the part's lanes of
    vector j. Single lanes are paired in the first two rounds, then groups of 4.
    """
    while len(entries) > 1:
        merged = []
        for a, b in zip(entries[::2], entries[1::2], strict=True):
            pairs = [
                _even_and_odd(builder, *pair, 1 if k < 2 else 4) for pair in zip(a, b, strict=True)
            ]
            if parts << k < LANES:
                merged.append([builder.add(*pair) for pair in pairs])
            else:
                merged.append([pair[j] for j in (0, 1) for pair in pairs])
        entries, k = merged, k + 1
    return entries


def _even_and_odd(builder: Any, a: Any, b: Any, size: int) -> list[Any]:
    """Return the even and the odd groups of ``size`` lanes of two vectors.

    Single lanes stay in their quarters of the vectors, which is faster: those of ``a`` and then of
    ``b`` in each quarter.
    """
    quarter = LANES // 4
    found = []
    for first in (0, 1):
        if size == 1:
            lanes = [
                vector * LANES + q * quarter + first + 2 * k
                for q in range(4) for vector in (0, 1) for k in range(quarter // 2)
            ]  # fmt: skip
        else:
            lanes = [
                vector * LANES + (first + 2 * k) * quarter + j
                for vector in (0, 1) for k in (0, 1) for j in range(quarter)
            ]  # fmt: skip
        found.append(builder.shuffle_vector(a, b, constants(I32, lanes)))
    return found


@operation
def _turn(_: Any, scales: Any, row: Any, b: Any, turned: Any) -> Any:
    """Write ``scales[row + k, b + j]`` to ``turned[b + j, k]``, 16 of both."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = lanes_of(FLOAT)
        *source, _ = args
        below = addresses_below(context, builder, signature.args[0], source, LANES, kind)
        loaded = [[builder.load(where, align=4)] for where in below]
        (vectors,) = turned_lanes(builder, loaded, LANES)
        target = args[3], args[2], ir.Constant(I64, 0)
        places = addresses_below(context, builder, signature.args[3], target, LANES, kind)
        for vector, where in zip(vectors, places, strict=True):
            builder.store(vector, where, align=4)
        return context.get_dummy_value()

    return types.none(scales, types.intp, types.intp, turned), build


@inlined
def turn_all(scales: Array, row: int, turned: Array) -> None:
    """Write the scales of 16 rows to ``turned``, those of each block side by side."""
    blocks = scales.shape[1]
    if blocks >= LANES:
        for b in range(0, blocks - LANES, LANES):
            _turn(scales, row, b, turned)
        _turn(scales, row, blocks - LANES, turned)
    else:
        for b in range(blocks):
            for k in range(LANES):
                turned[b, k] = scales[row + k, b]
