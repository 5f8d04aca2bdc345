"""Loops of `minifloat.products` for 8-bit activations: sums of integers, exact, then scaled.

Contract of every kernel: contiguous arrays and plain numbers in, results into an array passed in;
no exceptions. What can be read of packed codes: see `integer_decoders`.

A part is the columns whose products are summed in int32. A run is a part, padded to whole steps; or
several parts, where a step has them all in lanes of their own. The integers of ``x`` lie in runs,
with zeros as padding, in the order of the decoded codes: there a step's lanes hold codes of the
next run.

Sixteen rows are computed at a time. Their totals are in 16 lanes each, and become one vector, see
`turning`. Where there are many vectors, `integer_tiles` decodes the codes only once.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.decoders import unit_of
from minifloat._kernels.integer_decoders import BYTES, Decoder, bytes_type
from minifloat._kernels.integer_dots import dots
from minifloat._kernels.lanes import (
    I8,
    I32,
    I64,
    LANES,
    Vectors,
    addresses_below,
    constants,
    data_of,
    joined,
    operation,
)
from minifloat._kernels.prefetch import SECOND, fetch, prefetch_block
from minifloat._kernels.scaled_sums import no_results, plus_scaled, store
from minifloat._kernels.turning import turn_all, turned_lanes

Array = NDArray[Any]

GROUP = 4  # rows


@operation
def _sums(
    _: Any, packed: Any, at: Any, apart: Any, width: Any, loose: Any, permute: Any, rule: Any,
    x: Any, n: Any, i: Any, planes: Any, way: Any, parts: Any, steps: Any, short: Any,
) -> Any:  # fmt: skip
    """Return the sums of a run's products of 16 rows: a vector for each part.

    `GROUP` rows are done at a time, since registers are few. If the tuple ``short`` is not empty,
    the run has as many steps as it is long, and there is no loop.
    """
    decoder = Decoder.of(packed, width, loose, permute, rule)
    tight = loose is types.none
    step = BYTES * len(planes) * len(width) // (8 if tight else 1)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        packed, at, apart, _, _, _, rule, x_array, n, i, *_, steps, _ = args
        far = builder.mul(apart, apart.type(LANES))  # to the rows that come next
        entries = []
        for _ in range(0, LANES, GROUP):
            totals = [
                cgutils.alloca_once_value(builder, constants(I32, [0] * LANES))
                for _ in range(GROUP)
            ]

            def add(number: Any, totals: list[Any], at: Any) -> None:
                """Add the products of a step, by its number."""
                column = builder.mul(number, i.type(BYTES * len(planes)))
                place = x_array, n, builder.add(i, column)
                (begin,) = addresses_below(context, builder, x, place, 1, I8)
                index = builder.add(at, builder.mul(number, at.type(step)))
                for total in totals:
                    ahead = builder.add(index, far)
                    ahead = ahead if tight else builder.ashr(ahead, ahead.type(3))
                    begin_of = data_of(context, builder, signature.args[0], packed)
                    fetch(builder, begin_of, ahead, SECOND)
                    integers = decoder.step(context, builder, packed, index, rule)
                    for plane, vector in enumerate(integers):
                        where = builder.gep(begin, [ir.Constant(I64, BYTES * plane)])
                        where = builder.bitcast(where, bytes_type().as_pointer())
                        operand = builder.load(where, align=1)
                        old = builder.load(total)
                        builder.store(dots(builder, old, vector, operand, way), total)
                    index = builder.add(index, apart)

            if len(short):
                for k in range(len(short)):
                    add(i.type(k), totals, at)
            else:
                with cgutils.for_range(builder, steps) as loop:
                    add(loop.index, totals, at)
            at = builder.add(at, builder.mul(apart, apart.type(GROUP)))
            loaded = [[builder.load(total)] for total in totals]
            entries += turned_lanes(builder, loaded, len(parts))
        rounds = (LANES // len(entries)).bit_length() - 1
        (shares,) = turned_lanes(builder, entries, len(parts), rounds)
        return joined(builder, shares)

    return Vectors(types.int32, len(parts))(
        packed, types.intp, types.intp, width, loose, permute, rule, x, types.intp, types.intp,
        planes, way, parts, types.intp, short,
    ), build  # fmt: skip


@inlined
def _plus_runs(
    result: Any, x: Array, offsets: Array, x_scales: Array, n: int, row: int, turned: Array,
    codes: Array, at: int, apart: int, held: Array, width: Any, loose: Any, permute: Any, rule: Any,
    way: Any, planes: Any, parts: Any, run: int, zeros: Any, first: int, stop: int, short: Any,
) -> Any:  # fmt: skip
    """Return the results plus the products of the columns ``first .. stop - 1``, run after run.

    Of the rows at ``at``, where ``first`` begins a run.
    """
    step = BYTES * len(planes)
    i, part = first // run * (-(-run // step) * step), first // run * len(parts)
    at += first * len(width) // unit_of(loose)
    for column in range(first, stop, run):
        steps = -(-min(run, stop - column) // step)
        sums = _sums(
            codes, at, apart, width, loose, permute, rule, x, n, i, planes, way, parts, steps, short
        )
        result = plus_scaled(result, sums, part, row, turned, zeros, held, n, x_scales, offsets)
        at += run * len(width) // unit_of(loose)
        i += steps * step
        part += len(parts)
    return result


@kernel
def multiply(
    x: Array, offsets: Array, x_scales: Array, y: Array, first: int, stop: int, turned: Array,
    packed: Array, safe_rows: int, tail: Array, tail_byte: int, held: Array, width: Any, loose: Any,
    permute: Any, rule: Any, way: Any, planes: Any, parts: Any, run: int, scales: Array, zeros: Any,
    factor: float, length: int, short: Any,
) -> None:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with ``x[n]`` to ``y[n]``.

    The first ``safe_rows`` rows are read from ``packed``. Rows that are computed together with
    others are read from ``tail``, which begins with byte ``tail_byte`` of the codes. 16 rows are
    computed together, and ``stop`` is at least so many. ``run`` is the number of columns of a run,
    and ``parts`` as long as it has parts. Where that is a few whole steps, the tuple ``short`` may
    be as long as these are many, which is faster; else it is empty.

    ``scales[row, b]`` and ``zeros[row, b]``, or None, are of blocks of weights, and ``held[part]``
    is the block b. ``x_scales[n, part]`` is a part's scale, and ``offsets[n, part]`` is added to
    its sum; times the zero point, where there is one. ``turned`` is scratch space of 16 scales for
    each block of a row.
    """
    apart = length * len(width) // unit_of(loose)
    whole = length // run * run if len(short) else 0  # columns
    for group in range(first, stop, LANES):
        row = min(group, stop - LANES)
        codes, base = packed, 0
        if row + LANES > safe_rows:
            codes, base = tail, tail_byte * 8 // unit_of(loose)
        turn_all(scales, row, turned)
        blocks = LANES * scales.shape[1]
        prefetch_block(scales, (row + 2 * LANES) * scales.shape[1], blocks)
        for n in range(y.shape[0]):
            result, at = no_results((0,)), row * apart - base
            if len(short):
                result = _plus_runs(
                    result, x, offsets, x_scales, n, row, turned, codes, at, apart, held, width,
                    loose, permute, rule, way, planes, parts, run, zeros, 0, whole, short,
                )  # fmt: skip
            result = _plus_runs(
                result, x, offsets, x_scales, n, row, turned, codes, at, apart, held, width, loose,
                permute, rule, way, planes, parts, run, zeros, whole, length, (),
            )  # fmt: skip
            store(result, factor, y, n, row)
