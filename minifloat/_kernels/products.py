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
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._jit import inlined, jit, kernel
from minifloat._kernels.decoders import Rule, unit_of, values_at
from minifloat._kernels.lanes import (
    FLOAT,
    I32,
    I64,
    LANES,
    addresses_below,
    constants,
    fused,
    joined,
    lanes_of,
    load,
    minus,
    operation,
    separate,
    splat,
    spread,
    store,
    times,
    zero_vectors,
)
from minifloat._kernels.prefetch import prefetch

Array = NDArray[Any]

PAIR = (0, 0)  # as many rows are multiplied at once: their sums do not wait for each other

HELD = 2 * len(PAIR) * LANES  # scratch for scales and zero points

# Bytes from the read position to the prefetched one. The rows of a pair are read side by side, so
# the next pair is fetched, unless that is too far away.
LEAST_AHEAD, AHEAD, MOST_AHEAD = 2048, 4096, 1 << 14


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


@operation
def _write_times(_: Any, held: Any, k: Any, numbers: Any, row: Any, first: Any, factor: Any) -> Any:
    """Write a row's numbers from the first on, as many as there are, to ``held[k]``.

    They are multiplied by a factor and rounded to float32. The other lanes are 0.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, k, array, row, first, factor = args
        kind = lanes_of(context.get_value_type(numbers.dtype))
        (where,) = addresses_below(
            context, builder, signature.args[2], (array, row, first), 1, kind
        )
        shape = cgutils.create_struct_proxy(signature.args[2])(context, builder, array).shape
        left = builder.sub(builder.extract_value(shape, 1), first)
        lanes = constants(I64, list(range(LANES)))
        mask = builder.icmp_signed("<", lanes, splat(builder, left))
        size = numbers.dtype.bitwidth // 8
        name = f"llvm.masked.load.v{LANES}{'i' if size == 1 else 'f'}{8 * size}.p0"
        masked = ir.FunctionType(kind, [kind.as_pointer(), I32, mask.type, kind])
        load_masked = cgutils.get_or_insert_function(builder.module, masked, name)
        align, nothing = ir.Constant(I32, size), ir.Constant(kind, None)
        values = builder.call(load_masked, [where, align, mask, nothing])
        wide = lanes_of(factor.type)
        if isinstance(numbers.dtype, types.Integer):
            values = builder.uitofp(values, wide)
        elif kind != wide:
            values = builder.fpext(values, wide)
        values = builder.fmul(values, splat(builder, factor))
        if wide != lanes_of(FLOAT):
            values = builder.fptrunc(values, lanes_of(FLOAT))
        (where,) = addresses_below(
            context, builder, signature.args[0], (out, k, k.type(0)), 1, lanes_of(FLOAT)
        )
        builder.store(values, where, align=4)
        return context.get_dummy_value()

    return types.none(held, types.intp, numbers, types.intp, types.intp, factor), build


@inlined
def _plus_block(
    total: Any, packed: Array, at: int, step: int, apart: int, ahead: int, width: Any, loose: Any,
    rule: Rule, scales: Array, zeros: Any, b: int, x: Array, n: int, i: int, several: Any,
    steps: int,
) -> Any:  # fmt: skip
    """Return the totals plus the products of a block of each row with several vectors."""
    part = zero_vectors(PAIR, several)
    for _ in range(steps):
        for k in range(len(PAIR)):
            row = at + k * apart
            prefetch(packed, (row if loose is None else row >> 3) + step + ahead)
        values = values_at(packed, at, step, apart, PAIR, width, loose, rule)
        if zeros is not None:
            values = minus(values, spread(zeros, b, PAIR))
        part = _plus_products(part, values, load(x, n, i, several))
        step += LANES * len(width) // 8
        i += LANES
    return _plus_scaled(total, part, spread(scales, b, PAIR))


@jit
def _at(arrays: Any, k: int) -> Any:
    """Return ``arrays[k]``, or None of nothing."""
    return None if arrays is None else arrays[k]


@inlined
def _hold(
    held: Any, numbers: Any, row: int, below: int, first: int, factor: Any, rows: Any
) -> None:
    """Write up to `LANES` of the numbers from ``[row, first]`` on, times a factor, to ``held``.

    Do so for each of two rows, and prefetch those of the next ones.
    """
    if numbers is not None:
        for k in range(len(rows)):
            _write_times(held, k, numbers, row + k * below, first, factor)
            prefetch(numbers, (row + len(rows) + k) * numbers.shape[1] + first)


@inlined
def _held(scratch: Array) -> tuple[Array, Array]:
    """Return room for scales and zero points of a pair of rows."""
    held = scratch[:HELD].reshape(2, len(PAIR), LANES)
    return held[0], held[1]


@inlined
def _distance(row_bytes: int) -> int:
    """Return how far ahead to prefetch."""
    pair = len(PAIR) * row_bytes
    return max(pair, LEAST_AHEAD) if pair <= MOST_AHEAD else AHEAD


@kernel
def multiply(
    x: Array, several: Any, columns: Any, column_factor: float, height: int, y: Array, first: int,
    stop: int, packed: Array, base: int, scratch: Array, powers: Array, short: Any, width: Any,
    loose: Any, rule: Rule, block: int, scales: Array, factor: Any, zeros: Any, unit: float,
) -> bool:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with ``x[n]`` to ``y[n]``.

    Return whether all of them, and all of ``x``, are finite; if not, some may not be written.

    ``packed`` begins with bit ``base`` of the codes. ``scales[row, b] * factor`` is a block's
    scale; if there are zero points, ``zeros[row, b] * unit`` is subtracted from its values. With
    ``columns``, ``x * columns[row // height] * column_factor`` is multiplied instead of ``x``. As
    many vectors as the tuple ``several`` is long are multiplied at once, and their number is a
    multiple of that. If blocks are whole steps, the tuple ``short`` may be as long as these are
    many, which is faster for a few; else it is empty.

    ``scratch`` has `HELD` numbers and zeros for the vectors, each in blocks of whole steps;
    ``powers`` is float64 of shape (vectors,).
    """
    count, length = x.shape
    bits, last, finite = len(width), scales.shape[1] - 1, True
    steps = len(short) or -(-block // LANES)
    last_steps = -(-(length - last * block) // LANES)
    # a block begins so far from the one before: by its position, or by whole steps
    between = 0 if len(short) else block * bits // unit_of(loose)
    steps_between = len(short) * LANES * bits // 8
    ahead = _distance(length * bits // 8)
    held, held_zeros = _held(scratch)
    padded = scratch[HELD:].reshape(count, (scratch.size - HELD) // count)
    down = padded.reshape(count, last + 1, -(-block // LANES) * LANES)
    for group in range(first // height, -(-stop // height)):
        if not scale_down(x, _at(columns, group), column_factor, block, down, powers):
            finite = False
            continue
        high = min(stop, (group + 1) * height)
        for row in range(max(first, group * height), high, len(PAIR)):
            below = min(1, high - 1 - row)  # rows; a single row is its own pair
            apart = below * length * bits // unit_of(loose)
            for n in range(0, count, len(several)):
                at = (row * length * bits - base) // unit_of(loose)
                total = zero_vectors(PAIR, several)
                for first_held in range(0, last, LANES):
                    _hold(held, scales, row, below, first_held, factor, PAIR)
                    _hold(held_zeros, zeros, row, below, first_held, unit, PAIR)
                    for b in range(first_held, min(first_held + LANES, last)):
                        total = _plus_block(
                            total, packed, at + b * between, b * steps_between, apart, ahead,
                            width, loose, rule, held, held_zeros, b - first_held, padded, n,
                            b * steps * LANES, several, steps,
                        )  # fmt: skip
                _hold(held, scales, row, below, last, factor, PAIR)
                _hold(held_zeros, zeros, row, below, last, unit, PAIR)
                total = _plus_block(
                    total, packed, at + last * between, last * steps_between, apart, ahead, width,
                    loose, rule, held, held_zeros, 0, padded, n, last * steps * LANES, several,
                    last_steps,
                )  # fmt: skip
                sums = _sums(total)
                for k in range(len(sums)):
                    vector = n + k % len(several)
                    number = np.float32(sums[k] * powers[vector])
                    y[vector, row + k // len(several) * below] = number
                    finite = finite and bool(abs(number) < np.inf)
    return finite


@kernel
def decode(
    weights: Array, length: int, first: int, stop: int, packed: Array, base: int,
    scratch: Array, width: Any, loose: Any, rule: Rule, block: int, scales: Array, factor: Any,
    zeros: Any, unit: float,
) -> None:  # fmt: skip
    """Write the weights of some rows, one after the other, and up to `LANES` numbers more.

    ``scratch`` has `HELD` numbers; the others are those of `multiply`.
    """
    held, held_zeros = _held(scratch)
    bits, one, ahead = len(width), (0,), _distance(length * len(width) // 8)
    for row in range(first, stop):
        begin = (row - first) * length
        for b in range(scales.shape[1]):
            if b % LANES == 0:
                _hold(held, scales, row, 0, b, factor, one)
                _hold(held_zeros, zeros, row, 0, b, unit, one)
            scale = spread(held, b % LANES, one)
            at, step = ((row * length + b * block) * bits - base) // unit_of(loose), 0
            for i in range(begin + b * block, begin + min(b * block + block, length), LANES):
                prefetch(packed, (at if loose is None else at >> 3) + step + ahead)
                values = values_at(packed, at, step, 0, one, width, loose, rule)
                if zeros is not None:
                    values = minus(values, spread(held_zeros, b % LANES, one))
                store(times(values, scale), weights, i)
                step += LANES * bits // 8


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
