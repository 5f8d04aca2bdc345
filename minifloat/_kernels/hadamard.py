"""Blocks of rows multiplied by a Hadamard matrix, and by the signs of a rotation, in place.

The matrix H is the Kronecker product of S, the Hadamard matrix of Sylvester of size n, and a small
matrix C of size m with entries 1 and -1. A block has m times n numbers. First each m neighbours x
become ``C_0 x_0 + C_1 x_1 + ...``, with the columns of C, added from the left. Then S replaces
numbers a, b at distance m by a + b and a - b, then those at distance 2 m, 4 m, ..., m n / 2.

All arrays are of one float, and each operation is rounded to it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel

Array = NDArray[Any]

COLUMNS = 256  # of blocks that are rotated together, down columns


@kernel
def rotate(x: Array, size: int, factors: Array, columns: Array, scratch: Array) -> None:
    """Replace each block b of each row of ``x`` by H (factors * b).

    ``x`` has rows one after the other, in blocks of ``size``; ``factors`` are those of a row. Row k
    of ``columns``, (m, m), is column k of C; ``scratch`` has m numbers.
    """
    length = factors.size
    for start in range(0, x.size, size):
        block, place = x[start : start + size], start % length
        _multiply(block, factors[place : place + size])
        _hadamard(block, columns, scratch)


@kernel
def rotate_back(x: Array, size: int, factors: Array, rows: Array, scratch: Array) -> None:
    """Replace each block b of each row of ``x`` by factors * (H^T b).

    ``rows`` are those of C; the rest is as of `rotate`.
    """
    length = factors.size
    for start in range(0, x.size, size):
        block, place = x[start : start + size], start % length
        _hadamard(block, rows, scratch)
        _multiply(block, factors[place : place + size])


@kernel
def rotate_down(x: Array, size: int, factors: Array, width: int, back: bool) -> None:
    """Rotate each block of ``size`` rows of ``width`` numbers: down its columns, as `rotate` does.

    For sizes that are powers of two. A few columns are done at a time, in the cache.
    """
    height = factors.size
    for top in range(0, x.size, size * width):
        place = top // width % height
        for left in range(0, width, COLUMNS):
            right = min(left + COLUMNS, width)
            if not back:
                _multiply_rows(x, top, width, left, right, factors[place : place + size])
            distance = 1
            while distance < size:
                for k in range(size):
                    if k & distance == 0:
                        low, high = top + k * width, top + (k + distance) * width
                        _add_and_subtract(
                            x[low + left : low + right], x[high + left : high + right]
                        )
                distance *= 2
            if back:
                _multiply_rows(x, top, width, left, right, factors[place : place + size])


@jit
def _multiply_rows(
    x: Array, top: int, width: int, left: int, right: int, factors: Array
) -> None:  # fmt: skip
    for k in range(factors.size):
        at = top + k * width
        _scale(x[at + left : at + right], factors[k])


@inlined
def _scale(row: Array, factor: Any) -> None:
    for i in range(len(row)):
        row[i] = row[i] * factor


@inlined
def _multiply(block: Array, factors: Array) -> None:
    for i in range(len(block)):
        block[i] = block[i] * factors[i]


@jit
def _hadamard(block: Array, columns: Array, scratch: Array) -> None:
    m = len(columns)
    distance = m
    if m > 1:
        for k in range(0, len(block), m):
            _combine(block[k : k + m], columns, scratch)
    elif len(block) % 8 == 0:
        for k in range(0, len(block), 8):
            _add_and_subtract_eight(block[k : k + 8])
        distance = 8
    while distance < len(block):
        for k in range(0, len(block), 2 * distance):
            middle = k + distance
            _add_and_subtract(block[k:middle], block[middle : middle + distance])
        distance *= 2


@inlined
def _combine(x: Array, columns: Array, scratch: Array) -> None:
    """Replace m numbers by the sum of the columns times them."""
    for i in range(len(scratch)):
        scratch[i] = columns[0, i] * x[0]
    for k in range(1, len(x)):
        _add_product(scratch, columns[k], x[k])
    x[:] = scratch


@inlined
def _add_product(total: Array, column: Array, x: np.floating[Any]) -> None:
    for i in range(len(total)):
        total[i] = total[i] + column[i] * x


@inlined
def _add_and_subtract(low: Array, high: Array) -> None:
    for i in range(len(low)):
        a, b = low[i], high[i]
        low[i] = a + b
        high[i] = a - b


@inlined
def _add_and_subtract_eight(x: Array) -> None:
    """Do the distances 1, 2 and 4 of eight numbers, in registers."""
    a, b, c, d, e, f, g, h = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    a, b, c, d, e, f, g, h = a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h
    a, b, c, d, e, f, g, h = a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h
    x[0], x[1], x[2], x[3] = a + e, b + f, c + g, d + h
    x[4], x[5], x[6], x[7] = a - e, b - f, c - g, d - h
