"""Sums over the numbers of each block, in float64, and the better of two roundings of each block.

Layout and arguments as in `block_rounding`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.choosing import MARGIN
from minifloat._kernels.vector_sums import LANES, dot, squared_error

Array = NDArray[Any]


@kernel
def dots(x: Array, y: Array, height: int, width: int, size: int, down: Any, sums: Array) -> None:
    """Write the sum of the products of float32 numbers of each block."""
    block = 0
    if down is None:
        for row in range(0, x.size, width):
            for start in range(row, row + width, size):
                sums[block] = _dot(x, y, start, min(start + size, row + width))
                block += 1
        return
    for top in range(0, x.size, height * width):
        for start in range(0, height, size):
            found = sums[block : block + width]
            _fill_with_zeros(found)
            for row in range(start, min(start + size, height)):
                at = top + row * width
                _add_products(x[at : at + width], y[at : at + width], found)
            block += width


@kernel
def squared_errors(
    x: Array, values: Array, steps: Array, height: int, width: int, size: int, down: Any,
    sums: Array,
) -> None:  # fmt: skip
    """Write the squared error of each block, whose numbers become ``values`` times the step."""
    block = 0
    if down is None:
        for row in range(0, x.size, width):
            for start in range(row, row + width, size):
                stop = min(start + size, row + width)
                sums[block] = _squared_error(x, values, np.float64(steps[block]), start, stop)
                block += 1
        return
    for top in range(0, x.size, height * width):
        for start in range(0, height, size):
            found, own = sums[block : block + width], steps[block : block + width]
            _fill_with_zeros(found)
            for row in range(start, min(start + size, height)):
                at = top + row * width
                _add_squared_errors(x[at : at + width], values[at : at + width], own, found)
            block += width


@kernel
def keep_better(
    values: Array, steps: Array, errors: Array, height: int, width: int, size: int, down: Any,
    best_values: Array, best_steps: Array, least: Array,
) -> None:  # fmt: skip
    """Replace the best of each block where the error is less, as in `choosing.choose`."""
    block = 0
    if down is None:
        for row in range(0, values.size, width):
            for start in range(row, row + width, size):
                if errors[block] < least[block] * MARGIN:
                    least[block], best_steps[block] = errors[block], steps[block]
                    for i in range(start, min(start + size, row + width)):
                        best_values[i] = values[i]
                block += 1
        return
    for top in range(0, values.size, height * width):
        for start in range(0, height, size):
            for row in range(start, min(start + size, height)):
                at = top + row * width
                _replace(values[at : at + width], errors[block:], least[block:], best_values[at:])
            for c in range(block, block + width):
                if errors[c] < least[c] * MARGIN:
                    least[c], best_steps[c] = errors[c], steps[c]
            block += width


@jit
def _dot(x: Array, y: Array, start: int, stop: int) -> float:
    total = 0.0
    while start + LANES <= stop:
        total += dot(x, y, start)
        start += LANES
    for i in range(start, stop):
        total += np.float64(x[i]) * np.float64(y[i])
    return total


@jit
def _squared_error(x: Array, values: Array, step: float, start: int, stop: int) -> float:
    total = 0.0
    while start + LANES <= stop:
        total += squared_error(x, values, step, start)
        start += LANES
    for i in range(start, stop):
        rest = np.float64(x[i]) - np.float64(values[i]) * step
        total += rest * rest
    return total


@inlined
def _fill_with_zeros(sums: Array) -> None:
    for c in range(sums.size):
        sums[c] = 0.0


@inlined
def _add_products(x: Array, y: Array, sums: Array) -> None:
    for c in range(sums.size):
        sums[c] += np.float64(x[c]) * np.float64(y[c])


@inlined
def _add_squared_errors(x: Array, values: Array, steps: Array, sums: Array) -> None:
    for c in range(sums.size):
        rest = np.float64(x[c]) - np.float64(values[c]) * np.float64(steps[c])
        sums[c] += rest * rest


@inlined
def _replace(values: Array, errors: Array, least: Array, best: Array) -> None:
    for c in range(values.size):
        best[c] = values[c] if errors[c] < least[c] * MARGIN else best[c]
