"""Blocks of rows multiplied by a Hadamard matrix, and by the signs of a rotation, in place.

The matrix H is the Kronecker product of S, the Hadamard matrix of Sylvester of size n, and a small
matrix C of size m with entries 1 and -1. A block has m times n numbers. First each m neighbours x
become ``C_0 x_0 + C_1 x_1 + ...``, with the columns of C, added from the left. Then S replaces
numbers a, b at distance m by a + b and a - b, then those at distance 2 m, 4 m, ..., m n / 2.

All arrays are of one float, and each operation is rounded to it.
"""

from typing import Any

from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.butterflies import FEW, LANES, across, across_few, scaled, within
from minifloat._kernels.column_sums import GROUPS, column_sums

Array = NDArray[Any]

COLUMNS = 256  # of blocks that are rotated together, down columns


@kernel
def rotate(
    x: Array, out: Array, size: int, factors: Array, columns: Array, scratch: Array, back: bool
) -> None:
    """Write H (factors * b) for each block b of each row of ``x``; ``back``: factors * (H^T b).

    ``x`` has rows one after the other, in blocks of ``size``, and ``out`` may be ``x``. ``factors``
    are those of a row. Row k of ``columns``, (m, m), is column k of C, or row k of C to rotate
    back, and zeros up to a multiple of `LANES`; ``scratch`` has as many more numbers than a row.
    """
    length = factors.size
    for start in range(0, x.size, length):
        given, row = x[start : start + length], out[start : start + length]
        if len(columns) > 1:
            _rotate_by_columns(given, row, size, factors, columns, scratch, back)
        elif length % LANES == 0:
            _rotate_in_vectors(given, row, size, factors, back)
        else:
            _rotate_short(given, row, size, factors, back)


@jit
def _rotate_by_columns(
    x: Array, out: Array, size: int, factors: Array, columns: Array, scratch: Array, back: bool
) -> None:
    if back:
        _combine(x, columns, scratch)
    else:
        _multiply(x, factors, out)
        _combine(out, columns, scratch)
    distance = len(columns)  # a multiple of four
    while distance < size:
        step = LANES if distance % LANES == 0 else FEW
        for start in range(0, len(x), 2 * distance):
            for low in range(start, start + distance, step):
                if step == LANES:
                    across(scratch, low, low + distance)
                else:
                    across_few(scratch, low, low + distance)
        distance *= 2
    if back:
        _multiply(scratch[: len(x)], factors, out)
    else:
        _scale(scratch[: len(x)], x.dtype.type(1), out)


@inlined
def _combine(x: Array, columns: Array, out: Array) -> None:
    """Write the sums of each m neighbours.

    Sums beyond the m-th are zeros of the next neighbours, which are written later.
    """
    m, width = columns.shape
    for at in range(0, len(x), GROUPS * m):
        for first in range(width - LANES, -1, -LANES):
            column_sums(x, columns, first, out, at, len(x) - m)


@jit
def _rotate_short(x: Array, out: Array, size: int, factors: Array, back: bool) -> None:
    if back:
        _scale(x, x.dtype.type(1), out)
    else:
        _multiply(x, factors, out)
    distance = 1
    while distance < size:
        for k in range(0, len(x), 2 * distance):
            middle = k + distance
            _add_and_subtract(out[k:middle], out[middle : middle + distance])
        distance *= 2
    if back:
        _multiply(out, factors, out)


@jit
def _rotate_in_vectors(x: Array, out: Array, size: int, factors: Array, back: bool) -> None:
    for at in range(0, len(x), LANES):
        if back:
            within(x, out, at, size)
        else:
            scaled(x, factors, out, at)
            within(out, out, at, size)
    distance = LANES
    while distance < size:
        for start in range(0, len(x), 2 * distance):
            for low in range(start, start + distance, LANES):
                across(out, low, low + distance)
        distance *= 2
    if back:
        for at in range(0, len(x), LANES):
            scaled(out, factors, out, at)


@kernel
def rotate_down(x: Array, out: Array, size: int, factors: Array, width: int, back: bool) -> None:
    """Rotate each block of ``size`` rows of ``width`` numbers: down its columns, as `rotate` does.

    For sizes that are powers of two. A few columns are done at a time, in the cache.
    """
    height = factors.size
    for top in range(0, x.size, size * width):
        place = top // width % height
        signs = factors[place : place + size]
        for left in range(0, width, COLUMNS):
            right = min(left + COLUMNS, width)
            for k in range(size):
                low, high = top + k * width + left, top + k * width + right
                _scale(x[low:high], x.dtype.type(1) if back else signs[k], out[low:high])
            distance = 1
            while distance < size:
                for k in range(size):
                    if k & distance == 0:
                        low, high = top + k * width, top + (k + distance) * width
                        _add_and_subtract(
                            out[low + left : low + right], out[high + left : high + right]
                        )
                distance *= 2
            if back:
                for k in range(size):
                    low, high = top + k * width + left, top + k * width + right
                    _scale(out[low:high], signs[k], out[low:high])


@inlined
def _scale(row: Array, factor: Any, out: Array) -> None:
    for i in range(len(row)):
        out[i] = row[i] * factor


@inlined
def _multiply(row: Array, factors: Array, out: Array) -> None:
    for i in range(len(row)):
        out[i] = row[i] * factors[i]


@inlined
def _add_and_subtract(low: Array, high: Array) -> None:
    for i in range(len(low)):
        a, b = low[i], high[i]
        low[i] = a + b
        high[i] = a - b
