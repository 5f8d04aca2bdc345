"""Which weights share a scale: a tensor as rows, and the blocks of its rows.

Weights are seen as rows along the axis that blocks run along. A block has ``width`` neighbours of a
row (fewer at its end), or of ``height`` neighbouring rows. The rows that share scales are a group:

    width 4, height 1           width 4, height 2
    a a a a b b b b c c         a a a a b b b b c c
    d d d d e e e e f f         a a a a b b b b c c
    g g g g h h h h i i         d d d d e e e e f f
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a tensor.

    Attributes
    ----------
    shape : tuple of int
        Shape of the weights.
    axis : int or None
        The axis that blocks run along, not negative; None: one block is the whole tensor.
    height, width : int
        Rows of a block, and weights of a row in it.
    """

    shape: tuple[int, ...]
    axis: int | None
    height: int
    width: int

    @staticmethod
    def of(block: int | tuple[int, int] | str, shape: tuple[int, ...], axis: int | None) -> Blocks:
        """Return the blocks of a `Recipe`; a tensor without axes is one block."""
        if axis is None or block == "tensor" or not shape:
            return Blocks(shape, None, 1, max(math.prod(shape), 1))
        axis %= len(shape)
        if block == "channel":
            return Blocks(shape, axis, 1, max(shape[axis], 1))
        assert not isinstance(block, str)
        height, width = (1, block) if isinstance(block, int) else block
        return Blocks(shape, axis, height if len(shape) > 1 else 1, width)

    @property
    def length(self) -> int:
        """Weights of a row."""
        return math.prod(self.shape) if self.axis is None else self.shape[self.axis]

    @property
    def row_count(self) -> int:
        """Number of rows; none where they have no weights."""
        if self.length:
            return math.prod(self.shape) // self.length
        return 1 if self.axis is None else 0

    @property
    def per_row(self) -> int:
        """Blocks of a row."""
        return 1 if self.axis is None else -(-self.length // self.width)

    @property
    def scale_shape(self) -> tuple[int, ...]:
        """Shape of the scales: as the weights, with a scale in place of the weights of a block."""
        if self.axis is None:
            return ()
        shape = list(self.shape)
        shape[self.axis] = self.per_row
        if self.height > 1:
            shape[-2] = -(-shape[-2] // self.height)
        return tuple(shape)

    def rows(self, a: Array) -> Array:
        """View an array of the weights' shape as rows."""
        if self.axis is None:
            return a.reshape(1, -1)
        return np.moveaxis(a, self.axis, -1).reshape(self.row_count, self.length)

    def restore(self, rows: Array) -> Array:
        """Return rows in the shape of the weights, contiguous."""
        return self._restore(rows, self.shape)

    def scale_rows(self, scales: Array) -> Array:
        """View scales, or zero points, as a row for each group; tables stay a last axis."""
        table = scales.shape[len(self.scale_shape) :]
        if self.axis is None:
            return scales.reshape(1, 1, *table)
        rows = np.moveaxis(scales, self.axis, len(self.shape) - 1)
        return rows.reshape(self.group_count, self.per_row, *table)

    def restore_scales(self, scale_rows: Array) -> Array:
        """Return a row of scales for each group in the shape of the scales, contiguous."""
        return self._restore(scale_rows, self.scale_shape)

    def every_weight(self, scales: Array) -> Array:
        """Return for each weight the scale of its block, in the shape of the weights."""
        if self.axis is None:
            return np.broadcast_to(scales, self.shape)
        rows = self.scale_rows(scales)[self.group_of(slice(0, self.row_count))]
        every = np.broadcast_to(spread(rows, self.width, self.length), (len(rows), self.length))
        return self.restore(every)

    def scale_index(self, group: int, k: int) -> tuple[int, ...]:
        """Return the index, among the scales, of block ``k`` of a group."""
        if self.axis is None:
            return ()
        shape = self.scale_shape
        others = shape[: self.axis] + shape[self.axis + 1 :]
        index = [int(i) for i in np.unravel_index(group, others)] if others else []
        return (*index[: self.axis], k, *index[self.axis :])

    @property
    def group_count(self) -> int:
        """Number of groups of rows."""
        if self.height == 1 or not self.row_count:
            return self.row_count
        return self.row_count // self.shape[-2] * -(-self.shape[-2] // self.height)

    def rows_of(self, group: int) -> slice:
        """Return the rows of a group."""
        if self.height == 1:
            return slice(group, group + 1)
        rows = self.shape[-2]
        matrix, k = divmod(group, -(-rows // self.height))
        first = matrix * rows
        start = first + k * self.height
        return slice(start, min(start + self.height, first + rows))

    def parts(self, size: int) -> Iterator[tuple[slice, slice, slice]]:
        """Yield rows, columns and blocks of parts of some ``size`` weights, or of whole blocks."""
        step = size if self.per_row == 1 else max(1, size // self.width) * self.width
        columns = max(1, min(step, self.length))
        rows = max(1, size // columns)
        for first in range(0, self.row_count, rows):
            for start in range(0, self.length, columns):
                stop = min(start + columns, self.length)
                held = slice(start // self.width, -(-stop // self.width))
                yield slice(first, first + rows), slice(start, stop), held

    def group_of(self, rows: slice) -> Any:
        """Return an index that picks the group of each of these rows."""
        if self.height == 1:
            return rows
        matrix, row = np.divmod(np.arange(rows.start, rows.stop), self.shape[-2])
        return matrix * -(-self.shape[-2] // self.height) + row // self.height

    def _restore(self, rows: Array, shape: tuple[int, ...]) -> Array:
        table = rows.shape[2:]
        if self.axis is None:
            return rows.reshape(shape + table)
        others = shape[: self.axis] + shape[self.axis + 1 :]
        turned = rows.reshape(*others, shape[self.axis], *table)
        return np.ascontiguousarray(np.moveaxis(turned, len(shape) - 1, self.axis))


def spread(scale_rows: Array, width: int, length: int) -> Array:
    """Repeat the scales of each row over the weights of their blocks (or leave a single one)."""
    if scale_rows.shape[1] == 1:
        return scale_rows
    return np.repeat(scale_rows, width, axis=1)[:, :length]


def tiles(rows: Array, width: int) -> list[Array]:
    """Return the blocks of one group, a row for each: the whole ones, and the shorter last one."""
    whole = rows.shape[1] // width * width
    parts = rows[:, :whole].reshape(len(rows), -1, width).swapaxes(0, 1)
    blocks = [parts.reshape(len(parts), -1)] if whole else []
    return [*blocks, rows[:, whole:].reshape(1, -1)] if whole < rows.shape[1] else blocks
