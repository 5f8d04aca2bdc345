"""Loops of `minifloat.quantization.choosing`: blocks that are one of several candidates.

Contract and layout as in `scales`. ``steps`` has the values of one candidate after the other, as
`minifloat._kernels.gptq.STEP`: those of candidate c are ``steps[starts[c] : starts[c + 1]]``. The
divisor of a weight is its block's scale times the candidate's factor, in float64.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.scalar import float_key, last_not_above

Array = NDArray[Any]

COUNTED = 64  # values that are counted rather than searched
MARGIN = 1 - 2.0**-40  # errors that differ by less are equal: they would be, without rounding


class Scratch(NamedTuple):
    """Scratch space: a number for each weight of a block."""

    weights: Array  # float64
    keys: Array  # int64
    places: Array  # int64


@inlined
def _find_places(
    values: Array, start: int, stop: int, divisor: float, steps: Array, first: int, last: int,
    scratch: Scratch,
) -> None:  # fmt: skip
    """Write the weights of a block, and the index of the step that each becomes.

    Few steps are counted, for many weights at a time; many are searched by halves.
    """
    weights, keys, places = scratch
    step_keys = steps["key"]
    count = stop - start
    for i in range(count):
        weights[i] = np.float64(values[start + i])
        keys[i] = np.float64(weights[i] / divisor).view(np.int64)
    for i in range(count):
        keys[i] = float_key(keys[i])
    if last - first > COUNTED:
        for i in range(count):
            places[i] = first + last_not_above(step_keys[first:last], keys[i])
        return
    for i in range(count):
        places[i] = first
    for k in range(first + 1, last):
        key = step_keys[k]
        for i in range(count):
            places[i] += 1 if keys[i] >= key else 0


@inlined
def _divisor(scale: float, factor: float) -> float:
    return (scale if scale > 0 else 1.0) * factor


@kernel(cost=6)
def choose(
    values: Array, importance: Array, length: int, size: int, scales: Array, factors: Array,
    steps: Array, starts: Array, scratch: Scratch, choices: Array,
) -> None:  # fmt: skip
    """Write which candidate of each block has the least squared error, of equal ones the first.

    ``scales`` has a row for each candidate. ``importance`` has a factor for each squared error, or
    is empty. Sums are those of the terms in their order.
    """
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            least, best = 0.0, 0
            for c in range(factors.size):
                divisor = _divisor(scales[c, block], factors[c])
                _find_places(
                    values, start, stop, divisor, steps, starts[c], starts[c + 1], scratch
                )  # fmt: skip
                weights, error = scratch.weights, 0.0
                for i in range(stop - start):
                    rest = weights[i] - steps[scratch.places[i]]["value"] * divisor
                    weights[i] = rest * rest
                if importance.size > 0:
                    for i in range(stop - start):
                        weights[i] = importance[start + i] * weights[i]
                for i in range(stop - start):
                    error += weights[i]
                if c == 0 or error < least * MARGIN:
                    least, best = error, c
            choices[block] = best
            block += 1


@kernel(cost=4)
def encode_chosen(
    values: Array, length: int, size: int, scales: Array, choices: Array, factors: Array,
    steps: Array, starts: Array, scratch: Scratch, codes: Array,
) -> None:  # fmt: skip
    """Write the codes of weights, each by the candidate of its block."""
    block = 0
    for row in range(0, values.size, length):
        for start in range(row, row + length, size):
            stop = min(start + size, row + length)
            c = choices[block]
            divisor = _divisor(np.float64(scales[block]), factors[c])
            _find_places(values, start, stop, divisor, steps, starts[c], starts[c + 1], scratch)
            for i in range(stop - start):
                codes[start + i] = steps[scratch.places[i]]["code"]
            block += 1


@kernel
def copy_chosen(
    codes: Array, choices: Array, choice: int, length: int, size: int, out: Array
) -> None:
    """Copy the codes of blocks that are one of the candidates."""
    block = 0
    for row in range(0, codes.size, length):
        for start in range(row, row + length, size):
            if choices[block] == choice:
                for i in range(start, min(start + size, row + length)):
                    out[i] = codes[i]
            block += 1
