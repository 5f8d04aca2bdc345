"""Weights in the order of their memory, as rows, for loops that write one after the other.

`Blocks` sees rows along the axis that blocks run along. In memory these may be columns: here 6 by 4
weights with blocks of 3 down the columns, whose scales are 2 rows of 4, and each weight of a row
has a scale of its own:

    a b c d
    a b c d
    a b c d
    e f g h
    e f g h
    e f g h

Where all blocks lie one after the other, a row is as many of them as give it a fair length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._threads import slices
from minifloat.quantization.blocks import Blocks, spread

Array = NDArray[Any]

ROW = 1 << 12  # weights of a row, where blocks leave the choice


@dataclass(frozen=True)
class MemoryRows:
    """Rows of weights that lie one after the other, and which scale each weight has.

    Attributes
    ----------
    size : int
        Weights in all.
    length : int
        Weights of a row; the last row may have fewer.
    block : int
        Weights of a row that share a scale; 1 where blocks run down the columns.
    height : int
        Neighbouring rows that share their scales.
    matrix : int
        After so many rows others begin to share.
    """

    size: int
    length: int
    block: int
    height: int
    matrix: int

    @classmethod
    def of(cls, blocks: Blocks) -> MemoryRows:
        """Return the rows of weights, of which there is at least one."""
        shape, axis = blocks.shape, blocks.axis
        size = math.prod(shape)
        if axis is None:
            return cls.of_runs(size, size)
        after = math.prod(shape[axis + 1 :])
        length = shape[axis]
        width = min(blocks.width, length)
        if after > 1:
            return cls(size, after, 1, width, length)
        if blocks.height > 1:
            return cls(size, length, width, blocks.height, shape[-2])
        if length % width == 0 or length == size:
            return cls.of_runs(size, width)
        return cls(size, length, width, 1, size // length)

    @classmethod
    def of_runs(cls, size: int, width: int) -> MemoryRows:
        """Return rows of blocks of ``width``, the last of which may be shorter."""
        if width >= ROW and (width % ROW == 0 or width == size):
            return cls(size, ROW, ROW, -(-width // ROW), -(-size // ROW))
        length = max(1, ROW // width) * width
        return cls(size, length, width, 1, -(-size // length))

    @property
    def count(self) -> int:
        """Number of rows."""
        return -(-self.size // self.length)

    @property
    def per_row(self) -> int:
        """Scales of a row."""
        return -(-self.length // self.block)

    def parts(self, size: int) -> list[slice]:
        """Return all rows in parts of at least ``size`` weights, or of one row."""
        step = max(1, -(-size // self.length))
        return slices(self.count, step)

    def weights_of(self, rows: slice) -> slice:
        """Return where the weights of some rows are among all."""
        return slice(rows.start * self.length, min(rows.stop * self.length, self.size))

    def spread(self, scales: Array, rows: slice) -> Array:
        """Return a scale for each weight of some rows, of scales in the order of their memory."""
        matrix, row = np.divmod(np.arange(rows.start, rows.stop), self.matrix)
        group = matrix * -(-self.matrix // self.height) + row // self.height
        index = group[:, np.newaxis] * self.per_row + np.arange(self.per_row)
        held = scales[np.minimum(index, scales.size - 1)]  # the last row may have fewer
        weights = self.weights_of(rows)
        every = np.broadcast_to(spread(held, self.block, self.length), (len(held), self.length))
        return every.reshape(-1)[: weights.stop - weights.start]
