"""Products straight from packed codes, or from tiles of weights that the same kernels decode.

Importing this file imports Numba, so `minifloat.products` does it when it has loaded the JIT.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._kernels import products as kernels
from minifloat._kernels.decoders import InMemory
from minifloat._kernels.lanes import LANES
from minifloat._threads import each
from minifloat.products.decoders import rule_of
from minifloat.products.matrix import PackedMatrix
from minifloat.products.packed_rows import PackedRows, as_kernels_read
from minifloat.products.tiles import ROWS, TILE, shares_of, tiles_of, times_transposed

Array = NDArray[Any]

LINE = 64  # bytes of a line of the CPU's cache
LONG = 1 << 10  # numbers
TILE_PER_VECTOR, LEAST_TILE, MOST_TILE = 1 << 13, 1 << 20, 1 << 22  # weights
SEVERAL = 4  # vectors that are multiplied at once
SHORT = (1, 2)  # steps of blocks whose loop is unrolled

# Up to this many vectors, products straight from the codes took less time than tiles, on AVX-512.
FEW, FEW_LOOKED_UP = 48, 8


def can_decode(q: PackedMatrix) -> bool:
    """Return whether the kernels can decode these weights."""
    return (
        q.fmt.bits <= 8 and not q.fmt.is_lookup and (_along_rows(q) or q.row_zero_points() is None)
    )


def _along_rows(q: PackedMatrix) -> bool:
    return bool(q.blocks.axis != 0)


class Direct:
    """Weights that the kernels decode, and what these need, made once of a `Quantized`.

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
        self.column_factor = float(self.factor)
        self.products: dict[int, Callable[..., bool]] = {}  # by the vectors they take at once
        self.columns: Array | None = None
        self.block, self.height, width = self.length, self.rows, q.blocks.width
        factor: Any = self.factor
        if not _along_rows(q):
            self.columns, self.height = np.ascontiguousarray(q.scales), width
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
        row_bits, steps = self.length * q.fmt.bits, self.block / LANES
        self.packed = PackedRows(q.packed, row_bits, LANES)
        self.loose = True if row_bits % 8 or self.block * q.fmt.bits % 8 else None
        self.short = (0,) * int(steps) if steps in SHORT else ()
        self.padded = scales.shape[1] * -(-self.block // LANES) * LANES
        self.weights: Any = (
            (0,) * q.fmt.bits,
            self.loose,
            rule,
            self.block,
            np.ascontiguousarray(scales),
            factor,
            None if zeros is None else np.ascontiguousarray(zeros),
            unit,
        )

    def write(self, x: Array, y: Array, threads: int) -> bool:
        """Write the products with ``x`` to ``y``; return whether all of both is finite."""
        x = as_kernels_read(x)
        if len(x) > self.few:
            return self.write_by_tiles(x, y, threads)
        if threads == 1:
            return self.multiply(x, y, slice(0, self.rows))
        parts = shares_of(self.rows, x.size, threads)
        return all(each(lambda part: self.multiply(x, y, part), parts, threads))

    def write_by_tiles(self, x: Array, y: Array, threads: int) -> bool:
        """Do so by tiles, larger ones for more vectors, which NumPy copies for each tile."""
        down, powers = np.empty((len(x), 1, self.length), np.float32), np.empty(len(x))
        if not kernels.scale_down(x, None, 1.0, self.length, down, powers):
            return False
        half = -(-self.rows // (2 * ROWS)) * ROWS * self.length  # for a second thread
        size = min(max(LEAST_TILE, len(x) * TILE_PER_VECTOR), MOST_TILE, max(TILE, half))
        tiles = tiles_of(self.rows, self.length, size)
        buffers: list[Array] = []

        def multiply_tile(rows: slice) -> None:
            buffer = buffers.pop() if buffers else self.buffer(tiles[0])
            self.multiply_tile(down[:, 0], y, rows, buffer)
            buffers.append(buffer)

        each(multiply_tile, tiles, threads)
        return kernels.scale_up(y, powers)

    def multiply(self, x: Array, y: Array, rows: slice) -> bool:
        """Multiply by some rows straight from the codes."""
        most = len(x) // SEVERAL * SEVERAL
        if 0 < most < len(x):
            both = ((x[:most], y[:most]), (x[most:], y[most:]))
            return all(self.multiply(*some, rows) for some in both)
        several = (0,) * (SEVERAL if most else 1)
        scratch, powers, finite = self.scratch(len(x)), np.empty(len(x)), True
        for start, stop, packed, base in self.packed.of(rows):
            args = (
                x, several, self.columns, self.column_factor, self.height, y, start, stop, packed,
                base, scratch, powers, self.short, *self.weights,
            )  # fmt: skip
            if len(several) not in self.products:
                self.products[len(several)] = _jit.entry(kernels.multiply, *args)
            finite &= self.products[len(several)](*args)
        return finite

    def buffer(self, rows: slice) -> Array:
        """Return room for a tile of so many rows."""
        return np.empty((rows.stop - rows.start) * self.length + LANES, np.float32)

    def multiply_tile(self, x: Array, y: Array, rows: slice, buffer: Array) -> None:
        """Decode a tile and multiply by it."""
        scratch = np.empty(kernels.HELD, np.float32)
        for start, stop, packed, base in self.packed.of(rows):
            kernels.decode(buffer, self.length, start, stop, packed, base, scratch, *self.weights)
            weights = buffer[: (stop - start) * self.length].reshape(stop - start, self.length)
            self.scale(weights, start, stop)
            times_transposed(x, weights, y[:, start:stop])

    def scale(self, weights: Array, start: int, stop: int) -> None:
        """Multiply weights by the scales of their groups, where there are any."""
        if self.columns is None:
            return
        for group in range(start // self.height, -(-stop // self.height)):
            first, last = group * self.height - start, (group + 1) * self.height - start
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                scales = (self.columns[group] * np.float64(self.factor)).astype(np.float32)
                weights[max(first, 0) : last] *= scales

    def scratch(self, count: int) -> Array:
        """Return the scratch of `multiply` for so many vectors.

        Long vectors begin at the start of a cache line, which is faster.
        """
        size = kernels.HELD + count * self.padded
        if size < LONG:
            return np.zeros(size, np.float32)
        zeros = np.zeros(size + LINE // 4, np.float32)
        start = -zeros.__array_interface__["data"][0] % LINE // 4
        return zeros[start : start + size]


@lru_cache(maxsize=64)
def _factor(tensor_scale: float | None, exponent: int) -> tuple[Any, float]:
    """Return the factors of scales and of zero points, for values that lack a power of two."""
    with np.errstate(over="ignore", under="ignore"):
        factor: Any = float(np.ldexp(tensor_scale or 1.0, exponent))
        if float(np.float32(factor)) == factor:  # rounded once, times a scale, either way
            factor = np.float32(factor)
        return factor, float(np.ldexp(1.0, -exponent))
