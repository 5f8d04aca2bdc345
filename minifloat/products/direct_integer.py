"""Products with 8-bit activations straight from packed codes.

Importing this file imports Numba, so `minifloat.products` does it when it has loaded the JIT.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import activations
from minifloat._kernels import integer_decoders as decoders
from minifloat._kernels import integer_products as kernels
from minifloat._kernels.integer_decoders import BYTES
from minifloat._kernels.lanes import LANES
from minifloat._threads import each
from minifloat.formats import NumberFormat
from minifloat.products.integer import IntegerVectors, factor_of, width_of
from minifloat.products.integers import small_integers
from minifloat.products.matrix import PackedMatrix
from minifloat.products.tiles import parts_of

Array = NDArray[Any]

SEVERAL = 4  # vectors that are multiplied at once, by as many rows


def can_multiply(q: PackedMatrix) -> bool:
    """Return whether there are rows enough for the kernels."""
    return q.shape[0] >= LANES


class DirectInteger:
    """Weights that the kernels decode to integers, and vectors in the kernels' order.

    The last rows are read from a copy with some bytes behind them.
    """

    def __init__(self, q: PackedMatrix, vectors: IntegerVectors) -> None:
        self.rows, length = q.shape
        bits, part = q.fmt.bits, vectors.part
        values = small_integers(q.fmt)
        rule, low = rule_of(q.fmt)
        row_bits = length * bits
        loose = True if row_bits % 8 or (part < length and part * bits % 8) else None
        planes = decoders.planes_of(bits, loose)
        run, parts = _run(part, planes)
        runs, padded = -(-length // run), -(-run // (BYTES * planes)) * BYTES * planes
        count, every = len(vectors.integers), runs * parts
        self.x = np.zeros((count, runs * padded), np.int8)
        self.x_offsets = np.zeros((count, every), np.int32)
        self.held = np.zeros(every, np.int64)
        scales, zeros = _of_each_row(q.row_scales(), self.rows), q.row_zero_points()
        if zeros is not None:
            zeros = _of_each_row(zeros, self.rows)
        activations.lay_out(
            vectors.integers, width_of(q), part, run, BYTES, planes, low if zeros is None else -1,
            self.x, self.x_offsets, self.held,
        )  # fmt: skip
        self.x_scales = vectors.scales
        if self.x_scales.shape[1] < every:  # parts beyond the row
            self.x_scales = np.zeros((count, every), np.float32)
            self.x_scales[:, : vectors.scales.shape[1]] = vectors.scales
        self.blocks = scales.shape[1]
        one = (0,)
        self.weights: Any = (
            one * bits, loose, True if decoders.HAS_PERMUTE else None, rule,
            _way(int(values.table.max())), one * planes, one * parts, run, scales, zeros,
            factor_of(q, values.exponent), length,
        )  # fmt: skip
        self.packed = np.ascontiguousarray(q.packed)
        self.safe_rows = max(0, (self.packed.size - BYTES) * 8 // row_bits)
        if self.safe_rows < LANES:
            self.safe_rows = 0
        tail_row = min(self.safe_rows, self.rows - LANES)
        self.tail_byte = tail_row * row_bits // 8
        nothing = np.zeros(BYTES, np.uint8)
        self.tail = np.concatenate((self.packed[self.tail_byte :], nothing))

    def write(self, y: Array, threads: int) -> None:
        """Write the products to ``y``."""
        if threads == 1:
            self._multiply(y, slice(0, self.rows))
            return
        share = -(-self.rows // (threads * LANES)) * LANES
        each(lambda part: self._multiply(y, part), parts_of(slice(0, self.rows), share), threads)

    def _multiply(self, y: Array, rows: slice) -> None:
        """Multiply by some rows, and by some before them if they are less than `LANES`."""
        middle = min(max(rows.start, self.safe_rows), rows.stop)
        both = (rows.start, middle, self.packed, 0), (middle, rows.stop, self.tail, self.tail_byte)
        n = len(y) // SEVERAL * SEVERAL
        turned = np.empty((self.blocks, LANES), np.float32)
        for start, stop, packed, byte in both:
            for some, count in ((slice(0, n), SEVERAL), (slice(n, len(y)), 1)):
                if start < stop and some.start < some.stop:
                    kernels.multiply(
                        self.x[some], (0,) * count, y[some], (0,) * (LANES // count), start, stop,
                        packed, 8 * byte, turned, self.x_scales[some], self.x_offsets[some],
                        self.held, *self.weights,
                    )  # fmt: skip


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
    if kernels.HAS_WIDE_FOURS:
        return kernels.WIDE_FOURS
    if kernels.HAS_FOURS:
        return kernels.FOURS
    if kernels.HAS_PAIRS and largest <= kernels.LARGEST_IN_PAIRS:
        return kernels.PAIRS
    return kernels.WORDS


def _run(part: int, planes: int) -> tuple[int, int]:
    """Return the columns of a run, and how many parts it has."""
    step = BYTES * planes
    if step % part == 0 and part % (kernels.FOUR * planes) == 0:
        return step, step // part
    return part, 1


def _of_each_row(numbers: Array, rows: int) -> Array:
    """Return scales or zero points, of which a tensor has one, for each row."""
    if len(numbers) == rows and numbers.flags.c_contiguous:
        return numbers
    return np.ascontiguousarray(np.broadcast_to(numbers, (rows, numbers.shape[1])))
