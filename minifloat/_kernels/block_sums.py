"""What is summed over the numbers of each block, and the better of two roundings of each block.

Layout and arguments as in `block_rounding`. Sums are in float64.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.choosing import MARGIN

Array = NDArray[Any]


class Grid(NamedTuple):
    """Where blocks begin: ``groups`` of ``bands`` of ``columns``; block by block in this order.

    Along rows a group is a row, and a band has one block; down columns a group is a matrix.
    """

    groups: int
    group_stride: int
    bands: int
    band_stride: int
    columns: int
    stride: int  # from a number of a block to the next
    length: int  # of the axis


@inlined
def _grid(count: int, height: int, width: int, size: int, down: Any) -> Grid:
    if down is None:
        return Grid(count // width, width, (width + size - 1) // size, size, 1, 1, width)
    area, bands = height * width, (height + size - 1) // size
    return Grid(count // area, area, bands, size * width, width, width, height)


@kernel
def mean_squares(x: Array, height: int, width: int, size: int, down: Any, means: Array) -> None:
    """Write the mean square of each block."""
    grid, block = _grid(x.size, height, width, size, down), 0
    for group in range(grid.groups):
        for band in range(grid.bands):
            first = group * grid.group_stride + band * grid.band_stride
            count = min(size, grid.length - band * size)
            for start in range(first, first + grid.columns):
                total = 0.0
                for k in range(count):
                    number = np.float64(x[start + k * grid.stride])
                    total += number * number
                means[block] = total / count
                block += 1


@kernel
def gains(
    x: Array, values: Array, steps: Array, height: int, width: int, size: int, down: Any,
    found: Array,
) -> None:  # fmt: skip
    """Write <z, z> / <z, q> of each block: z are the numbers over their step, q the ``values``.

    It is 1 where q or z are zeros.
    """
    grid, block = _grid(x.size, height, width, size, down), 0
    for group in range(grid.groups):
        for band in range(grid.bands):
            first = group * grid.group_stride + band * grid.band_stride
            count = min(size, grid.length - band * size)
            for start in range(first, first + grid.columns):
                squares, products = 0.0, 0.0
                for k in range(count):
                    i = start + k * grid.stride
                    number = np.float64(x[i])
                    squares += number * number
                    products += number * np.float64(values[i])
                products *= np.float64(steps[block])
                found[block] = squares / products if products > 0 else 1.0
                block += 1


@kernel
def squared_errors(
    x: Array, values: Array, steps: Array, height: int, width: int, size: int, down: Any,
    errors: Array,
) -> None:  # fmt: skip
    """Write the squared error of each block, whose numbers become ``values`` times the step.

    Sums are those of the terms in their order.
    """
    grid, block = _grid(x.size, height, width, size, down), 0
    for group in range(grid.groups):
        for band in range(grid.bands):
            first = group * grid.group_stride + band * grid.band_stride
            count = min(size, grid.length - band * size)
            for start in range(first, first + grid.columns):
                total, step = 0.0, steps[block]
                for k in range(count):
                    i = start + k * grid.stride
                    rest = np.float64(x[i]) - np.float64(values[i]) * step
                    total += rest * rest
                errors[block] = total
                block += 1


@kernel
def keep_better(
    values: Array, steps: Array, errors: Array, height: int, width: int, size: int, down: Any,
    best_values: Array, best_steps: Array, least: Array,
) -> None:  # fmt: skip
    """Replace the best of each block where the error is less, as in `choosing.choose`."""
    grid, block = _grid(values.size, height, width, size, down), 0
    for group in range(grid.groups):
        for band in range(grid.bands):
            first = group * grid.group_stride + band * grid.band_stride
            count = min(size, grid.length - band * size)
            for start in range(first, first + grid.columns):
                if errors[block] < least[block] * MARGIN:
                    least[block], best_steps[block] = errors[block], steps[block]
                    for k in range(count):
                        i = start + k * grid.stride
                        best_values[i] = values[i]
                block += 1
