"""Sums over the numbers of each block, in float64.

Layout and arguments as in `block_rounding`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
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
