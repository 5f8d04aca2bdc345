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
from minifloat.products.packed_rows import PackedRows, read_only
from minifloat.products.tiles import shares_of

Array = NDArray[Any]

SEVERAL = 4  # vectors that are multiplied at once, by as many rows


def can_multiply(q: PackedMatrix) -> bool:
    """Return whether there are rows enough for the kernels."""
    return q.shape[0] >= LANES


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
        self.packed = PackedRows(q.packed, row_bits, BYTES, LANES)
        one = (0,)
        self.weights: Any = (
            self.packed.packed, self.packed.safe_rows, self.packed.tail, self.packed.tail_byte,
            held, one * bits, loose, True if decoders.HAS_PERMUTE else None, rule,
            _way(int(values.table.max())), one * self.planes, one * parts, self.run, scales,
            None if zeros is None else _of_each_row(zeros, self.rows),
            factor_of(q, values.exponent), self.length,
        )  # fmt: skip

    def write(self, vectors: IntegerVectors, y: Array, threads: int) -> None:
        """Write the products with the vectors, whose parts are these, to ``y``."""
        x = self._laid_out(vectors)
        if threads == 1:
            self._multiply(x, y, slice(0, self.rows))
            return
        parts = shares_of(self.rows, x[0].size, threads, LANES)
        each(lambda rows: self._multiply(x, y, rows), parts, threads)

    def _laid_out(self, vectors: IntegerVectors) -> tuple[Array, Array, Array]:
        """Return integers in the kernels' order, what to add to the parts' sums, and scales."""
        count, step = len(vectors.integers), BYTES * self.planes
        padded = -(-self.length // self.run) * -(-self.run // step) * step
        x, offsets = np.zeros((count, padded), np.int8), np.zeros((count, self.every), np.int32)
        activations.lay_out(
            vectors.integers, self.part, self.run, BYTES, self.planes, self.offset, x, offsets
        )
        scales = vectors.scales
        if scales.shape[1] < self.every:
            scales = np.zeros((count, self.every), np.float32)
            scales[:, : vectors.scales.shape[1]] = vectors.scales
        return x, offsets, scales

    def _multiply(self, x: tuple[Array, Array, Array], y: Array, rows: slice) -> None:
        """Multiply by some rows, and by some before them if they are less than `LANES`."""
        integers, offsets, scales = x
        turned = np.empty((self.blocks, LANES), np.float32)
        n = len(y) // SEVERAL * SEVERAL
        for some, count in ((slice(0, n), SEVERAL), (slice(n, len(y)), 1)):
            if some.start < some.stop:
                kernels.multiply(
                    integers[some], offsets[some], scales[some], (0,) * count, y[some],
                    (0,) * (LANES // count), rows.start, rows.stop, turned, *self.weights,
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
    if len(numbers) != rows:
        numbers = np.broadcast_to(numbers, (rows, numbers.shape[1]))
    return read_only(numbers)
