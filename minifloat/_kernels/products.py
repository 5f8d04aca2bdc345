"""Loops of `minifloat.products`: packed codes, decoded in registers, times ``x``.

Contract of every kernel: contiguous arrays and plain integers in, results into an array passed in;
no exceptions. What can be read of packed codes, and ``loose``: see `decoders`. In ``x`` each block
is padded with zeros to whole steps: there a step's lanes hold the next block's codes.

There is no branch among the steps of a block: next to a branch Numba counts references to the
arrays, which takes longer than a block.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.decoders import Rule, decoded, unit_of
from minifloat._kernels.lanes import (
    I32,
    LANES,
    constants,
    factors,
    fused,
    joined,
    load,
    operation,
    separate,
    store,
    times,
    zero_vectors,
)
from minifloat._kernels.prefetch import prefetch

Array = NDArray[Any]

AHEAD = 2048  # bytes from the read position to the prefetched one


@operation
def _plus_products(_: Any, total: Any, values: Any, x: Any) -> Any:
    """Return the totals plus the product of each row's values with each vector."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, rows, several = (separate(builder, vectors) for vectors in args)
        pairs = [(a, b) for a in rows for b in several]
        return joined(
            builder, [fused(builder, *pair, c) for pair, c in zip(pairs, totals, strict=True)]
        )

    return total(total, values, x), build


@operation
def _plus_scaled(_: Any, total: Any, part: Any, scales: Any) -> Any:
    """Return the totals plus the parts, each times its row's scale."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, parts, rows = (separate(builder, vectors) for vectors in args)
        several = len(parts) // len(rows)
        return joined(
            builder,
            [fused(builder, rows[k // several], parts[k], totals[k]) for k in range(len(totals))],
        )

    return total(total, part, scales), build


@operation
def _sums(_: Any, total: Any) -> Any:
    """Return the sum of each vector's lanes, added up in pairs."""
    kind = types.UniTuple(types.float32, total.count)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums = []
        for vector in separate(builder, args[0]):
            half = LANES // 2
            while half:
                halves = (
                    builder.shuffle_vector(
                        vector, vector, constants(I32, list(range(first, first + half)))
                    )
                    for first in (0, half)
                )
                vector = builder.fadd(*halves)
                half //= 2
            sums.append(builder.extract_element(vector, ir.Constant(I32, 0)))
        return context.make_tuple(builder, kind, sums)

    return kind(total), build


@inlined
def _plus_block(
    total: Any, packed: Array, at: int, apart: int, rows: Any, width: Any, loose: Any, rule: Rule,
    scales: Array, factor: Any, zeros: Any, unit: float, row: int, b: int, x: Array, n: int, i: int,
    several: Any, steps: int,
) -> Any:  # fmt: skip
    """Return the totals plus the products of a block of each row with several vectors."""
    part = zero_vectors(rows, several)
    for _ in range(steps):
        for k in range(len(rows)):
            ahead = at + k * apart
            prefetch(packed, (ahead if loose is None else ahead >> 3) + AHEAD)
        values = decoded(packed, at, apart, rows, width, loose, rule, zeros, row, b, unit)
        part = _plus_products(part, values, load(x, n, i, several))
        at += LANES * len(width) // unit_of(loose)
        i += LANES
    return _plus_scaled(total, part, factors(scales, row, b, factor, rows))


@kernel
def multiply(
    x: Array, several: Any, y: Array, rows: Any, first: int, stop: int, packed: Array, base: int,
    width: Any, loose: Any, rule: Rule, block: int, scales: Array, factor: Any, zeros: Any,
    unit: float, length: int,
) -> None:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with ``x[n]`` to ``y[n]``.

    ``packed`` begins with bit ``base`` of the codes. ``scales[row, b] * factor`` is a block's
    scale; if there are zero points, ``zeros[row, b] * unit`` is subtracted from its values. The
    lengths of the tuples ``several`` and ``rows`` say how many vectors and rows are multiplied at
    once; the number of vectors is a multiple of the first, and there are at least so many rows.
    """
    last = scales.shape[1] - 1
    steps, last_steps = -(-block // LANES), -(-(length - last * block) // LANES)
    apart = length * len(width) // unit_of(loose)
    for group in range(first, stop, len(rows)):
        row = min(group, stop - len(rows))
        for n in range(0, y.shape[0], len(several)):
            total = zero_vectors(rows, several)
            at, i = row * apart - base // unit_of(loose), 0
            for b in range(last):
                total = _plus_block(
                    total, packed, at, apart, rows, width, loose, rule, scales, factor, zeros, unit,
                    row, b, x, n, i, several, steps,
                )  # fmt: skip
                at += block * len(width) // unit_of(loose)
                i += steps * LANES
            total = _plus_block(
                total, packed, at, apart, rows, width, loose, rule, scales, factor, zeros, unit,
                row, last, x, n, i, several, last_steps,
            )  # fmt: skip
            sums = _sums(total)
            for k in range(len(sums)):
                y[n + k % len(several), row + k // len(several)] = sums[k]


@kernel
def decode(
    weights: Array, first: int, stop: int, packed: Array, base: int, width: Any, loose: Any,
    rule: Rule, block: int, scales: Array, factor: Any, zeros: Any, unit: float, length: int,
) -> None:  # fmt: skip
    """Write the weights of some rows, one after the other, and up to `LANES` numbers more."""
    bits, one = len(width), (0,)
    for row in range(first, stop):
        for b in range(scales.shape[1]):
            scale = factors(scales, row, b, factor, one)
            at = ((row * length + b * block) * bits - base) // unit_of(loose)
            begin = (row - first) * length
            for i in range(begin + b * block, begin + min(b * block + block, length), LANES):
                values = decoded(packed, at, 0, one, width, loose, rule, zeros, row, b, unit)
                store(times(values, scale), weights, i)
                at += LANES * bits // unit_of(loose)


@jit
def _number(x: Array, n: int, i: int, scales: Any, factor: float) -> Any:
    if scales is None:
        return np.float64(x[n, i])
    return np.float64(x[n, i]) * (np.float64(scales[i]) * np.float64(factor))


@kernel
def scale_down(x: Array, scales: Any, factor: float, block: int, out: Array, powers: Array) -> bool:
    """Divide each vector by the smallest power of two above its magnitudes, if all are finite.

    ``x`` is float32 of shape (count, length), ``powers`` float64 of shape (count,), and ``out``
    float32 of shape (count, blocks, steps); its padding behind the numbers of a block stays as it
    is. With ``scales``, float32 of shape (length,), the vectors are ``x * scales * factor``. Return
    whether all is finite; if not, ``out`` is of no use.
    """
    count, length = x.shape
    for n in range(count):
        top: Any = 0
        for i in range(length):
            number = np.float64(_number(x, n, i, scales, factor))
            top = max(top, number.view(np.int64) & 0x7FFFFFFFFFFFFFFF)
        if top >= 0x7FF0000000000000:
            return False
        exponent = math.frexp(np.int64(top).view(np.float64))[1]
        powers[n], down = math.ldexp(1.0, exponent), math.ldexp(1.0, -exponent)
        for b in range(out.shape[1]):
            for i in range(min(block, length - b * block)):
                out[n, b, i] = _number(x, n, b * block + i, scales, factor) * down
    return True


@kernel
def scale_up(y: Array, powers: Array) -> bool:
    """Multiply each row by its power of two, and return whether all is finite."""
    finite = True
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            number = np.float32(y[n, i] * powers[n])
            y[n, i] = number
            finite = finite and bool(abs(number) < np.inf)
    return finite
