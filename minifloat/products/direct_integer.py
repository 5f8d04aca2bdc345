"""Products with 8-bit activations straight from packed codes.

Importing this file imports Numba, so `minifloat.products` does it when it has loaded the JIT.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._kernels import activations as vectors
from minifloat._kernels import integer_decoders as decoders
from minifloat._kernels import integer_dots as ways
from minifloat._kernels import integer_products as kernels
from minifloat._kernels import integer_tiles as tiles
from minifloat._kernels.integer_decoders import BYTES
from minifloat._kernels.lanes import LANES
from minifloat._threads import each
from minifloat.formats import NumberFormat
from minifloat.products.integer import Activations, factor_of, width_of
from minifloat.products.integers import small_integers
from minifloat.products.matrix import PackedMatrix
from minifloat.products.packed_rows import PackedRows, as_kernels_read, read_only
from minifloat.products.tiles import shares_of

Array = NDArray[Any]

MANY = 4  # vectors that are multiplied at once, by rows that were decoded before
PANEL = 1024  # columns that are decoded at a time, about


class DirectInteger:
    """Weights that the kernels decode to integers, and what these need, made once of a `Quantized`.

    The columns are cut into parts of ``part``.
    """

    def __init__(self, q: PackedMatrix, part: int) -> None:
        self.rows, self.length = q.shape
        self.part, bits, row_bits = part, q.fmt.bits, self.length * q.fmt.bits
        values = small_integers(q.fmt)
        rule, low = rule_of(q.fmt)
        loose = True if row_bits % 8 or (part < self.length and part * bits % 8) else None
        self.planes = decoders.planes_of(bits, loose)
        self.run, parts = _run(part, self.planes)
        self.every = -(-self.length // self.run) * parts  # some may be beyond the row
        scales, zeros = _of_each_row(q.row_scales(), self.rows), q.row_zero_points()
        self.offset = low if zeros is None else -1
        self.blocks = scales.shape[1]
        held = np.minimum(np.arange(self.every) * part // width_of(q), self.blocks - 1)
        step = BYTES * self.planes
        self.padded_run = -(-self.run // step) * step
        self.padded = -(-self.length // self.run) * self.padded_run
        packed, one = PackedRows(q.packed, row_bits, BYTES, LANES), (0,)
        self.prepare: Callable[..., Any] | None = None
        self.products: dict[Callable[..., None], Callable[..., Any]] = {}  # compiled
        self.short = _short(self.run, step)
        self.weights: Any = (
            packed.packed, packed.safe_rows, packed.tail, packed.tail_byte, held, one * bits, loose,
            True if decoders.HAS_PERMUTE else None, rule, _way(int(values.table.max())),
            one * self.planes, one * parts, self.run, scales,
            None if zeros is None else _of_each_row(zeros, self.rows),
            factor_of(q, values.exponent), self.length,
        )  # fmt: skip

    def multiply(self, x: Array, activations: Activations, threads: int) -> Array | None:
        """Return the products with vectors, whose parts are these; None if one is not finite."""
        prepared = self._prepared(as_kernels_read(x), activations)
        if prepared is None:
            return None
        y = np.empty((len(x), self.rows), np.float32)
        many, jobs = len(y) // MANY * MANY, []
        if many:
            integers, *others = (array[:many] for array in prepared)
            jobs.append((self._write_many, (_words(integers), *others), y[:many]))
        if many < len(y):
            jobs.append((self._write_each, tuple(array[many:] for array in prepared), y[many:]))

        def write(rows: slice) -> None:
            for job, numbers, results in jobs:
                job(numbers, results, rows)

        if threads == 1:
            write(slice(0, self.rows))
        else:
            each(write, shares_of(self.rows, x.size, threads, LANES), threads)
        return y

    def _prepared(self, x: Array, activations: Activations) -> tuple[Array, ...] | None:
        """Return integers in the kernels' order, what to add to the parts' sums, and scales."""
        count, block = len(x), activations.width(self.length)
        blocks = -(-self.length // block)
        room, own = np.empty((3, count * blocks)), np.empty((count, blocks), np.float32)
        out = np.empty((count, self.padded), np.int8)
        offsets = np.empty((count, self.every), np.int32)
        scales = np.empty((count, self.every), np.float32)
        args = (
            x, block, activations.scale_values, activations.rule, room, own,
            np.empty(x.shape, np.int8), self.part, self.run, BYTES, self.planes, self.offset, out,
            offsets, scales,
        )  # fmt: skip
        if self.prepare is None:
            self.prepare = _jit.entry(vectors.prepare, *args)
        return (out, offsets, scales) if self.prepare(*args) else None

    def _write_each(self, vectors: tuple[Array, ...], y: Array, rows: slice) -> None:
        """Multiply by some rows, and by some before them if they are less than `LANES`."""
        turned = np.empty((self.blocks, LANES), np.float32)
        args = (*vectors, y, rows.start, rows.stop, turned, *self.weights, self.short)
        self._call(kernels.multiply, args)

    def _write_many(self, vectors: tuple[Array, ...], y: Array, rows: slice) -> None:
        """Do it for a multiple of `MANY` vectors, with rows that are decoded once."""
        turned = np.empty((self.blocks, LANES), np.float32)
        runs = max(1, PANEL // self.run)
        room = np.empty(runs * self.padded_run * LANES + BYTES, np.uint8)
        args = (
            *vectors, (0,) * MANY, y, rows.start, rows.stop, turned,
            room[-room.ctypes.data % BYTES :], runs * self.run, np.empty((len(y), LANES)),
            *self.weights,
        )  # fmt: skip
        self._call(tiles.multiply, args)

    def _call(self, kernel: Callable[..., None], args: tuple[Any, ...]) -> None:
        if kernel not in self.products:
            self.products[kernel] = _jit.entry(kernel, *args)
        self.products[kernel](*args)


def _words(integers: Array) -> Array:
    """Return groups of vectors, as `integer_tiles.multiply` reads them."""
    words = integers.view(np.int32).reshape(len(integers) // MANY, MANY, -1)
    return np.ascontiguousarray(words.swapaxes(1, 2)).reshape(len(words), -1)


@lru_cache(maxsize=64)
def rule_of(fmt: NumberFormat) -> tuple[Any, int]:
    """Return how the kernels make integers of codes, and what is to be added to these."""
    values = small_integers(fmt)
    sign = 1 << fmt.bits - 1
    codes = np.arange(1 << fmt.bits)
    codes = codes[codes != fmt.unused_code]
    for flip in (0, sign):
        if np.array_equal(values.table[codes].astype(int) + values.low, (codes ^ flip) - flip):
            return decoders.Flipped((1 << fmt.bits) - 1, flip), -flip
    if decoders.HAS_PERMUTE:
        return decoders.Permuted(values.table), values.low
    if decoders.HAS_SHUFFLE and fmt.bits <= decoders.SHUFFLED_BITS:
        return decoders.Shuffled(values.table), values.low
    return decoders.InMemory(values.table), values.low


def _way(largest: int) -> Any:
    """Return how the kernels sum products of integers up to the largest."""
    if ways.HAS_WIDE_FOURS:
        return ways.WIDE_FOURS
    if ways.HAS_FOURS:
        return ways.FOURS
    if ways.HAS_PAIRS and largest <= ways.LARGEST_IN_PAIRS:
        return ways.PAIRS
    return ways.WORDS


def _run(part: int, planes: int) -> tuple[int, int]:
    """Return the columns of a run, and how many parts it has."""
    step = BYTES * planes
    if step % part == 0 and part % (ways.FOUR * planes) == 0:
        return step, step // part
    return part, 1


def _short(run: int, step: int) -> Any:
    """Return a tuple as long as a run has steps, if these are a few and all whole, or ()."""
    return (0,) * (run // step) if run in (step, 2 * step) else ()


def _of_each_row(numbers: Array, rows: int) -> Array:
    """Return scales or zero points, of which a tensor has one, for each row."""
    if len(numbers) != rows:
        numbers = np.broadcast_to(numbers, (rows, numbers.shape[1]))
    return read_only(numbers)
