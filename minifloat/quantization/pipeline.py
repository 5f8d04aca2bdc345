"""The work of `minifloat.quantize`: scales and codes of some rows at a time, down to packed bytes.

Each block of neighbours along an axis gets a scale (`scales` has the rules), and each
weight of it the code ``encode(w / scale)``. The quotient is taken in float64, where it is on the
right side of every decision point of a format of up to 11 bits of precision, for float32 weights
and scales: a quotient that is not on a decision point differs from it by more than float64's
rounding error. So each weight is rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import code_dtype
from minifloat._kernels import codec as codec_kernels
from minifloat._kernels import scales as kernels
from minifloat._threads import each
from minifloat.codec import encode
from minifloat.codec.plans import scaled_record
from minifloat.formats import NumberFormat
from minifloat.packing import byte_count, pack, unpack
from minifloat.quantization import feedback as gptq
from minifloat.quantization.quantized import DoubleScales, Quantized, spread
from minifloat.quantization.scales import (
    ScaleRounding,
    ScaleSearch,
    levels,
    powers_of_two,
    reach,
    scale_rule,
)

Array = NDArray[Any]

CHUNK = 1 << 20  # elements that are quantized at a time
STEPS = 1 << 20  # steps of the search for the least squared error that are sorted at a time
SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER = 80, 0.01, 2.4
LEAST_FLOAT32 = 2.0**-149
NO_IMPORTANCE = np.empty(0, np.float64)


@dataclass
class Job:
    """One call of `quantize`, its arguments checked; ``rows`` are the weights along the axis."""

    fmt: NumberFormat
    weights: Array
    axis: int | None
    rows: Array
    length: int
    size: int
    dtype: np.dtype[Any]
    scale_name: str
    grid: kernels.ScaleGrid
    rounding: ScaleRounding
    rule: ScaleSearch
    percentile: float
    importance: Array | None
    zero_point: bool
    double: Callable[[Array], DoubleScales] | None
    tensor: float | None = None
    feedback: Array | None = None
    saturates: bool = False  # whether a scale beyond its format becomes its greatest

    @property
    def blocks(self) -> int:
        """Blocks to a row."""
        return 1 if self.axis is None else -(-self.length // self.size)

    @property
    def searched_grid(self) -> kernels.ScaleGrid:
        """The scales that a block may have."""
        powers = self.rounding is not ScaleRounding.NEAREST_EVEN
        return powers_of_two(self.grid) if powers else self.grid

    def run(self, block_size: int | None, threads: int) -> Quantized:
        count = self.rows.shape[0]
        dtype = code_dtype(self.fmt.bits)
        packed = np.empty(byte_count(self.rows.size, self.fmt.bits), np.uint8)
        scales = np.empty((count, self.blocks), np.float32)
        zeros = np.zeros(scales.shape, dtype) if self.zero_point else None

        def find(some: slice) -> None:
            scales[some] = self.find_scales(some).reshape(-1, self.blocks)

        def put_codes(some: slice, write: Callable[..., None]) -> None:
            codes = np.empty((some.stop - some.start, self.length), dtype)
            write(some, scales[some], None if zeros is None else zeros[some], codes)
            first = some.start * self.length * self.fmt.bits // 8
            held = packed[first : first + byte_count(codes.size, self.fmt.bits)]
            pack(codes.reshape(-1), self.fmt.bits, out=held)

        def put(some: slice) -> None:
            if zeros is not None:
                zeros[some] = self.find_zeros(some, scales[some])
            put_codes(some, self.encode)

        def both(some: slice) -> None:
            find(some)
            put(some)

        def walk(some: slice) -> None:
            put_codes(some, self.walk)

        double = None
        if self.feedback is not None:
            self.each_chunk(walk, threads)
        elif self.double is not None:
            self.each_chunk(find, threads)
            double = self.double(self.restore(scales).reshape(-1))
            scales = self.as_found(double.values())
            self.each_chunk(put, threads)
        else:
            self.each_chunk(both, threads)
        return Quantized(
            packed=self.restore_packed(packed),
            scales=self.restore(scales),
            fmt=self.fmt,
            shape=self.weights.shape,
            block_size=block_size,
            axis=self.axis,
            scale_format=self.scale_name,
            tensor_scale=self.tensor,
            zeros=None if zeros is None else self.restore(zeros),
            double=double,
        )

    def each_chunk(self, work: Callable[[slice], None], threads: int) -> None:
        """Call ``work`` for rows that fit in the cache, or a few; their codes begin at a byte."""
        count = self.rows.shape[0]
        whole = 8 // math.gcd(8, self.length)
        step = max(1, CHUNK // max(self.length, 1) // whole) * whole
        chunks = [slice(i, min(i + step, count)) for i in range(0, count, step)]
        each(work, chunks, threads)

    def chunk(self, some: slice) -> Array:
        """Return weights as float32 or float64, contiguous."""
        return np.ascontiguousarray(self.rows[some], self.dtype)

    def find_tensor_scale(self) -> float:
        """Return the factor of all scales; 1 for zeros."""
        greatest = [0.0]

        def find(some: slice) -> None:
            greatest.append(self.greatest(some, self.chunk(some)).max(initial=0))

        self.each_chunk(find, 1)
        powers = self.grid.mantissa_bits == 0 or self.rounding is not ScaleRounding.NEAREST_EVEN
        exact = max(greatest) / reach(self.fmt) / (1.0 if powers else self.grid.greatest)
        with np.errstate(over="ignore"):
            found = np.float32(exact)
        # the greatest block's scale over this one must not be just beyond a power of two
        if self.rounding is ScaleRounding.DOWN and found > exact:
            found = np.nextafter(found, np.float32(0))
        if self.rounding is ScaleRounding.UP and found < exact:
            found = np.nextafter(found, np.float32(np.inf))
        if found == np.inf:
            raise ValueError(f"tensor_scale must be a float32 number, got {exact:g}; scale w down")
        if found == 0:
            return 1.0 if exact == 0 else LEAST_FLOAT32
        return float(found)

    def greatest(self, some: slice, chunk: Array) -> Array:
        """Return the greatest magnitude of each block of a chunk, all of them finite."""
        found = np.zeros(len(chunk) * self.blocks)
        if chunk.size == 0:
            return found
        word: type[np.int32 | np.int64] = np.int32 if self.dtype == np.float32 else np.int64
        room = np.empty(1, word)
        signs = kernels.greatest(
            chunk.reshape(-1).view(word), room, room.view(self.dtype), found, self.length, self.size
        )
        if not np.isfinite(found).all():
            row, k = divmod(int(np.flatnonzero(~np.isfinite(found))[0]), self.blocks)
            place = self.index(some.start + row, k)
            raise ValueError(
                f"w must be finite, got {self.weights[place]} at index {place}; replace it before "
                "quantizing"
            )
        if signs and self.fmt.min >= 0 and not self.zero_point and (chunk < 0).any():
            raise ValueError(f"fmt must have negative values for weights below 0, got {self.fmt}")
        return found

    def find_scales(self, some: slice) -> Array:
        """Return the scales of the blocks of some rows."""
        chunk = self.chunk(some)
        most = self.greatest(some, chunk)
        if self.rule is ScaleSearch.PERCENTILE:
            part = self.percentiles(chunk)
            most = np.where(part > 0, part, most)
        if self.zero_point:
            low, high = self.ends(chunk)
            most = (high - low).reshape(-1)
        tensor = 1.0 if self.tensor is None else self.tensor
        rule = scale_rule(self.fmt, self.rounding, tensor)
        found = np.empty(most.size)
        kernels.scales(most, self.grid, rule, found)
        if self.saturates:
            np.minimum(found, self.searched_grid.greatest, out=found)
        if not np.isfinite(found).all():
            row, k = divmod(int(np.flatnonzero(~np.isfinite(found))[0]), self.blocks)
            with np.errstate(over="ignore"):
                wanted = most[row * self.blocks + k] / rule.reference
            raise ValueError(
                f"scale must hold every block's scale, got {wanted:g} for {self.scale_name}, in "
                f"block {k} of row {some.start + row}; use a wider scale or smaller weights"
            )
        if chunk.size and self.rule is ScaleSearch.MSE:
            self.least_squares(some, chunk, tensor, found)
        if chunk.size and self.rule is ScaleSearch.SHRINK:
            kernels.shrink(
                chunk.reshape(-1), NO_IMPORTANCE, self.length, self.size, tensor,
                levels(self.fmt), self.grid, rule, SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER, most,
                found,
            )  # fmt: skip
        return found

    def least_squares(self, some: slice, chunk: Array, tensor: float, found: Array) -> None:
        importance = NO_IMPORTANCE
        if self.importance is not None:
            importance = np.ascontiguousarray(self.importance[some], np.float64).reshape(-1)
        found_levels = levels(self.fmt)
        longest = min(self.size, self.length)
        steps = min(longest * found_levels.values.size, max(STEPS, 4 * longest))
        floats, places = np.empty((2, steps)), np.empty((3, steps), np.int64)
        kernels.least_squares(
            chunk.reshape(-1), importance, self.length, self.size, tensor, found_levels,
            self.searched_grid,
            kernels.Room(floats[0], places[0], floats[1], places[1], places[2]), found,
        )  # fmt: skip

    def percentiles(self, chunk: Array) -> Array:
        magnitudes = np.abs(chunk.astype(np.float64))
        found = np.zeros((chunk.shape[0], self.blocks))
        for k in range(self.blocks if chunk.size else 0):
            block = magnitudes[:, k * self.size : (k + 1) * self.size]
            found[:, k] = np.percentile(block, self.percentile, axis=1)
        return found.reshape(-1)

    def ends(self, chunk: Array) -> tuple[Array, Array]:
        """Return the least and the greatest of each block's weights and 0."""
        if chunk.size == 0:
            zeros = np.zeros((chunk.shape[0], self.blocks))
            return zeros, zeros
        starts = np.arange(0, self.length, self.size)
        weights = chunk.astype(np.float64)
        low = np.minimum.reduceat(weights, starts, axis=1)
        high = np.maximum.reduceat(weights, starts, axis=1)
        return np.minimum(low, 0), np.maximum(high, 0)

    def find_zeros(self, some: slice, scales: Array) -> Array:
        """Return the codes that mean 0."""
        low, _ = self.ends(self.chunk(some))
        return np.clip(np.rint(-low / _divisor(scales)), 0, self.fmt.max)

    def encode(self, some: slice, scales: Array, zeros: Array | None, codes: Array) -> None:
        """Write the codes of some rows."""
        chunk = self.chunk(some)
        if chunk.size == 0:
            return
        if zeros is not None:
            divisor = spread(_divisor(scales), self.size, self.length)
            steps = np.rint(chunk / divisor) + spread(zeros, self.size, self.length)
            codes[...] = np.clip(steps, 0, self.fmt.max)
            return
        record = scaled_record(self.fmt)
        if self.tensor is None and self.dtype == np.float32 and record is not None:
            codec_kernels.encode_scaled(
                chunk.reshape(-1).view(np.int32), scales.reshape(-1), codes.reshape(-1),
                self.length, self.size, record,
            )  # fmt: skip
            return
        factor = 1.0 if self.tensor is None else self.tensor
        divisor = spread(_divisor(scales) * factor, self.size, self.length)
        with np.errstate(over="ignore", under="ignore"):
            encode(chunk / divisor, self.fmt, out=codes)

    def walk(self, some: slice, scales: Array, zeros: Array | None, codes: Array) -> None:
        """Write the scales, zeros and codes of some rows by GPTQ, block after block."""
        replace(self, rule=ScaleSearch.ABSMAX).find_scales(some)  # refuses what w itself has
        assert self.feedback is not None
        weights = self.chunk(some).astype(np.float64)
        walk = gptq.Walk(weights, self.feedback, self.fmt, codes)
        for k in range(self.blocks):
            columns = slice(k * self.size, min((k + 1) * self.size, self.length))
            block = replace(
                self,
                rows=walk.updated(columns),
                length=columns.stop - columns.start,
                dtype=weights.dtype,
                importance=None if self.importance is None else self.importance[some, columns],
                saturates=True,
            )
            every = slice(0, len(weights))
            scales[:, k] = block.find_scales(every)
            if zeros is not None:
                zeros[:, k] = block.find_zeros(every, scales[:, k : k + 1])[:, 0]
            factors = scales[:, k].astype(np.float64) * (self.tensor or 1.0)
            walk.round(columns, factors, None if zeros is None else zeros[:, k])

    def restore_packed(self, packed: Array) -> Array:
        """Return packed codes in the order of the weights."""
        if self.axis is None or self.axis == self.weights.ndim - 1:
            return packed
        codes = unpack(packed, self.fmt.bits, self.rows.size).reshape(self.rows.shape)
        return pack(self.restore(codes).reshape(-1), self.fmt.bits)

    def restore(self, a: Array) -> Array:
        """Return scales, or what else there is for a row, along the axis again, contiguous."""
        if self.axis is None:
            return a.reshape(())
        others = self.weights.shape[: self.axis] + self.weights.shape[self.axis + 1 :]
        return np.ascontiguousarray(np.moveaxis(a.reshape(*others, a.shape[1]), -1, self.axis))

    def as_found(self, scales: Array) -> Array:
        """Return restored scales in rows again."""
        if self.axis is None:
            return scales.reshape(1, 1)
        shape = list(self.weights.shape)
        shape[self.axis] = self.blocks
        moved = np.moveaxis(scales.reshape(shape), self.axis, -1)
        return np.ascontiguousarray(moved).reshape(self.rows.shape[0], self.blocks)

    def index(self, row: int, block: int) -> tuple[int, ...]:
        """Return the index in the weights of a block's first element that is not finite."""
        start = block * self.size
        some = self.rows[row, start : start + self.size]
        column = start + int(np.flatnonzero(~np.isfinite(some))[0])
        if self.axis is None:
            return tuple(int(i) for i in np.unravel_index(column, self.weights.shape))
        others = self.weights.shape[: self.axis] + self.weights.shape[self.axis + 1 :]
        index = [int(i) for i in np.unravel_index(row, others)] if others else []
        return (*index[: self.axis], column, *index[self.axis :])


def _divisor(scales: Array) -> Array:
    """Return scales in float64, 1 in place of 0."""
    return np.where(scales == 0, 1.0, scales.astype(np.float64))
