"""Rows of packed codes as kernels may read them, which load more bytes than a row has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FEW = 1 << 12  # bytes that are copied as a whole, so that one call of a kernel reads them all


def read_only(array: Array) -> Array:
    """Return a contiguous array that cannot be written: for the JIT, one that can has a type."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def as_kernels_read(x: Array) -> Array:
    """Return vectors as an array that is contiguous and aligned, and of the JIT's usual type."""
    return x if x.flags.carray else np.require(x, requirements=("C", "A", "W"))


class PackedRows:
    """Packed codes in rows, whose last rows are there again, with bytes of 0 behind them.

    Parameters
    ----------
    packed : ndarray of uint8
    row_bits : int
        Bits of a row.
    beyond : int
        A kernel reads at most so many bytes from any code on.
    together : int
        A kernel that chooses itself reads so many rows from the same array.
    """

    def __init__(self, packed: Array, row_bits: int, beyond: int, together: int = 1) -> None:
        safe_bytes = packed.size - beyond if packed.size > FEW else 0
        self.safe_rows = max(0, safe_bytes * 8 // row_bits)
        self.tail_byte = max(0, self.safe_rows - together + 1) * row_bits // 8
        tail = np.concatenate((packed[self.tail_byte :], np.zeros(beyond, np.uint8)))
        self.packed, self.tail = read_only(packed), read_only(tail)

    def of(self, rows: slice) -> list[tuple[int, int, Array, int]]:
        """Return parts of the rows: from, to, their packed codes, and at which bit these begin."""
        low, high = rows.start, rows.stop
        if low >= self.safe_rows:
            return [(low, high, self.tail, 8 * self.tail_byte)]
        middle = min(self.safe_rows, high)
        first = (low, middle, self.packed, 0)
        return [first, *self.of(slice(middle, high))] if middle < high else [first]
