"""Products straight from packed codes, or from tiles of weights that the same kernels decode.

Importing this file imports Numba, so `minifloat.products` does it when it has loaded the JIT.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import products as kernels
from minifloat._kernels.decoders import InMemory
from minifloat._kernels.lanes import LANES
from minifloat._threads import each
from minifloat.products.decoders import rule_of
from minifloat.products.matrix import PackedMatrix
from minifloat.products.packed_rows import PackedRows
from minifloat.products.tiles import parts_of, tiles_of, times_transposed

Array = NDArray[Any]

LINE = 64  # bytes of a line of the CPU's cache
SEVERAL, SEVERAL_ROWS = 4, 2  # vectors and rows that are multiplied at once
HEAD_START = 3 << 18  # products that the caller's thread sums up while others are woken

# Up to this many vectors, products straight from the codes took less time than tiles, on AVX-512.
FEW, FEW_LOOKED_UP = 64, 8


def can_decode(q: PackedMatrix) -> bool:
    """Return whether the kernels can decode these weights."""
    return q.fmt.bits <= 8 and (_along_rows(q) or q.row_zero_points() is None)


def _along_rows(q: PackedMatrix) -> bool:
    return bool(q.blocks.axis != 0)


class Direct:
    """Weights that the kernels decode.

    The kernels see vectors multiplied by a power of two, so that the largest magnitude is in
    [0.5, 1), and numbers that underflow are too small to count. Blocks that run down the columns
    make groups of rows with the same scales. The scales of a group multiply the vectors or, if the
    vectors are many, the tiles.
    """

    def __init__(self, q: PackedMatrix) -> None:
        self.rows, self.length = q.shape
        rule, exponent = rule_of(q.fmt)
        self.few = FEW_LOOKED_UP if isinstance(rule, InMemory) else FEW
        self.factor, unit = _factor(q.tensor_scale, exponent)
        self.groups: list[tuple[slice, Array | None]] = [(slice(0, self.rows), None)]
        self.block, factor, width = self.length, self.factor, q.blocks.width
        if not _along_rows(q):
            groups = parts_of(slice(0, self.rows), width)
            self.groups = list(zip(groups, np.ascontiguousarray(q.scales), strict=True))
            self.few = min(self.few, width // 2)
            scales, zeros = np.ones((self.rows, 1), np.float32), None
            factor = np.float32(1.0)
        else:
            scales, zeros = q.row_scales(), q.row_zero_points()
            if q.blocks.axis is None:
                scales = np.full((self.rows, 1), scales[0, 0])
                zeros = None if zeros is None else np.full((self.rows, 1), zeros[0, 0])
            else:
                self.block = min(width, self.length)
        self.row_bits = self.length * q.fmt.bits
        self.packed = PackedRows(q.packed, self.row_bits, LANES)
        self.loose = True if self.row_bits % 8 or self.block * q.fmt.bits % 8 else None
        self.weights: Any = (
            (0,) * q.fmt.bits, self.loose, rule, self.block, np.ascontiguousarray(scales), factor,
            None if zeros is None else np.ascontiguousarray(zeros), unit, self.length,
        )  # fmt: skip

    def write(self, x: Array, y: Array, threads: int) -> bool:
        """Write the products with ``x`` to ``y``; return whether all of both is finite."""
        x = np.ascontiguousarray(x)
        if len(x) > self.few:
            return self.write_by_tiles(x, y, threads)
        if len(self.groups) == 1:
            return self.write_group(x, *self.groups[0], y, threads)
        if not np.isfinite(x).all():  # otherwise each group would find that out
            return False
        return all(each(lambda group: self.write_group(x, *group, y, 1), self.groups, threads))

    def write_group(
        self, x: Array, rows: slice, scales: Array | None, y: Array, threads: int
    ) -> bool:
        """Do so straight from the codes, for rows and vectors that are multiplied by scales."""
        down, powers = _in_blocks(len(x), self.length, self.block), np.empty(len(x))
        if not kernels.scale_down(x, scales, float(self.factor), self.block, down, powers):
            return False
        down = down.reshape(len(x), -1)
        ahead = min(HEAD_START // down.size, rows.stop - rows.start)
        share = max(1, -(-(rows.stop - rows.start - ahead) // threads))
        parts = parts_of(rows, share, ahead)
        each(lambda part: self.multiply(down, y, part), parts, threads)
        return kernels.scale_up(y[:, rows], powers)

    def write_by_tiles(self, x: Array, y: Array, threads: int) -> bool:
        """Do so by tiles."""
        down, powers = np.empty((len(x), 1, self.length), np.float32), np.empty(len(x))
        if not kernels.scale_down(x, None, 1.0, self.length, down, powers):
            return False
        tiles = tiles_of(self.rows, self.length)
        each(lambda tile: self.multiply_tile(down[:, 0], y, tile), tiles, threads)
        return kernels.scale_up(y, powers)

    def multiply(self, x: Array, y: Array, rows: slice) -> None:
        """Multiply by some rows straight from the codes."""
        one = (0,)
        for start, stop, packed, base in self.packed.of(rows):
            n = len(x) // SEVERAL * SEVERAL if stop - start >= SEVERAL_ROWS else 0
            if n:
                kernels.multiply(
                    x[:n], one * SEVERAL, y[:n], one * SEVERAL_ROWS, start, stop, packed, base,
                    *self.weights,
                )  # fmt: skip
            if n < len(x):
                kernels.multiply(x[n:], one, y[n:], one, start, stop, packed, base, *self.weights)

    def multiply_tile(self, x: Array, y: Array, rows: slice) -> None:
        """Decode a tile and multiply by it."""
        tile = np.empty((rows.stop - rows.start) * self.length + LANES, np.float32)
        for start, stop, packed, base in self.packed.of(rows):
            kernels.decode(tile, start, stop, packed, base, *self.weights)
            weights = tile[: (stop - start) * self.length].reshape(stop - start, self.length)
            self.scale(weights, start, stop)
            y[:, start:stop] = times_transposed(x, weights)

    def scale(self, weights: Array, start: int, stop: int) -> None:
        """Multiply weights by the scales of their groups, where there are any."""
        size = self.groups[0][0].stop
        for rows, scales in self.groups[start // size : -(-stop // size)]:
            within = slice(max(rows.start - start, 0), rows.stop - start)
            if scales is not None:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    weights[within] *= (scales * np.float64(self.factor)).astype(np.float32)


@lru_cache(maxsize=64)
def _factor(tensor_scale: float | None, exponent: int) -> tuple[Any, float]:
    """Return the factors of scales and of zero points, for values that lack a power of two."""
    with np.errstate(over="ignore", under="ignore"):
        factor: Any = float(np.ldexp(tensor_scale or 1.0, exponent))
        if float(np.float32(factor)) == factor:  # rounded once, times a scale, either way
            factor = np.float32(factor)
        return factor, float(np.ldexp(1.0, -exponent))


def _in_blocks(count: int, length: int, block: int) -> Array:
    """Return zeros for vectors in blocks of whole steps, from the start of a cache line on."""
    shape = (count, -(-length // block), -(-block // LANES) * LANES)
    size = math.prod(shape)
    zeros = np.zeros(size + LINE // 4, np.float32)
    start = -zeros.__array_interface__["data"][0] % LINE // 4
    return zeros[start : start + size].reshape(shape)
