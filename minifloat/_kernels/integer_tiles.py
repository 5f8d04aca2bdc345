"""Products of many vectors of 8-bit integers with rows that are decoded once, 16 at a time.

The integers of 16 rows become a tile: for each four columns, in the order in which codes are
decoded, the four of all rows, one row after the other. So a lane has one row, each four integers of
a vector are multiplied by the same of all rows at once, and no lanes are added at the end.

A tile has some columns at a time, so that it stays in the nearest cache while all vectors are
multiplied; their results are held in memory meanwhile. Parts, runs, and the order of the integers
are those of `integer_products`.
"""

from typing import Any

from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.decoders import unit_of
from minifloat._kernels.integer_decoders import BYTES, Decoder, bytes_type
from minifloat._kernels.integer_dots import dots
from minifloat._kernels.lanes import (
    DOUBLE,
    I32,
    LANES,
    Vectors,
    addresses_below,
    constants,
    data_of,
    joined,
    lanes_of,
    operation,
    separate,
    splat,
)
from minifloat._kernels.scaled_sums import plus_scaled, store
from minifloat._kernels.turning import turn_all, turned_lanes

Array = NDArray[Any]


@operation
def _decode(
    _: Any, packed: Any, at: Any, apart: Any, width: Any, loose: Any, permute: Any, rule: Any,
    tile: Any, place: Any, planes: Any,
) -> Any:  # fmt: skip
    """Write a step's integers of 16 rows to the tile, `BYTES` bytes for each place."""
    decoder = Decoder.of(packed, width, loose, permute, rule)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        codes, index, apart, _, _, _, rule, tile, place, _ = args
        rows = []
        for _ in range(LANES):
            rows.append(decoder.step(context, builder, codes, index, rule))
            index = builder.add(index, apart)
        words = lanes_of(I32)
        begin = data_of(context, builder, signature.args[7], tile)
        begin = builder.bitcast(begin, words.as_pointer())
        for plane in range(len(planes)):
            entries = [[builder.bitcast(row[plane], words)] for row in rows]
            for vector in turned_lanes(builder, entries, LANES)[0]:
                builder.store(vector, builder.gep(begin, [place]), align=BYTES)
                place = builder.add(place, place.type(1))
        return context.get_dummy_value()

    return types.none(
        packed, types.intp, types.intp, width, loose, permute, rule, tile, types.intp, planes
    ), build


@operation
def _held(_: Any, totals: Any, n: Any, several: Any) -> Any:
    """Return ``totals[n]`` and the next of several, a vector for each."""
    kind = Vectors(types.float64, len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = args[0], args[1], args[1].type(0)
        below = addresses_below(
            context, builder, signature.args[0], place, kind.count, lanes_of(DOUBLE)
        )
        return joined(builder, [builder.load(where, align=8) for where in below])

    return kind(totals, types.intp, several), build


@operation
def _hold(_: Any, results: Any, totals: Any, n: Any) -> Any:
    """Write results to ``totals[n]`` and the next."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = separate(builder, args[0])
        place = args[1], args[2], args[2].type(0)
        below = addresses_below(
            context, builder, signature.args[1], place, len(vectors), lanes_of(DOUBLE)
        )
        for vector, where in zip(vectors, below, strict=True):
            builder.store(vector, where, align=8)
        return context.get_dummy_value()

    return types.none(results, totals, types.intp), build


@operation
def _sums(
    _: Any, tile: Any, place: Any, x: Any, n: Any, word: Any, several: Any, way: Any, planes: Any,
    parts: Any, steps: Any,
) -> Any:  # fmt: skip
    """Return the sums of a part's products with several vectors.

    The part begins at a place of the tile, and at a word of a vector.
    """
    share = LANES // len(parts)  # of a vector of codes that a part has

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile, place, x, n, word, *_, steps = args
        count = place.type(len(several))
        totals = [cgutils.alloca_once_value(builder, constants(I32, [0] * LANES)) for _ in several]
        begin = data_of(context, builder, signature.args[0], tile)
        begin = builder.gep(builder.bitcast(begin, lanes_of(I32).as_pointer()), [place])
        group = x, builder.sdiv(n, count), builder.mul(word, count)
        (words,) = addresses_below(context, builder, signature.args[2], group, 1, I32)
        with cgutils.for_range(builder, builder.mul(steps, steps.type(len(planes)))) as loop:
            first = builder.mul(loop.index, place.type(LANES))
            for j in range(share):
                at = builder.add(first, first.type(j))
                loaded = builder.load(builder.gep(begin, [at]), align=BYTES)
                integers, at = builder.bitcast(loaded, bytes_type()), builder.mul(at, count)
                for k, total in enumerate(totals):
                    where = builder.gep(words, [builder.add(at, at.type(k))])
                    operand = builder.bitcast(splat(builder, builder.load(where)), bytes_type())
                    builder.store(dots(builder, builder.load(total), integers, operand, way), total)
        return joined(builder, [builder.load(total) for total in totals])

    return Vectors(types.int32, len(several))(
        tile, types.intp, x, types.intp, types.intp, several, way, planes, parts, types.intp
    ), build


@inlined
def _fill(
    tile: Array, codes: Array, at: int, apart: int, width: Any, loose: Any, permute: Any, rule: Any,
    planes: Any, run: int, first: int, stop: int,
) -> None:  # fmt: skip
    """Decode the columns ``first .. stop - 1`` of the rows at ``at``; ``first`` begins a run."""
    step, unit, place = BYTES * len(planes), unit_of(loose), 0
    for column in range(first, stop, run):
        for k in range(-(-min(run, stop - column) // step)):
            index = at + (column + k * step) * len(width) // unit
            _decode(codes, index, apart, width, loose, permute, rule, tile, place, planes)
            place += len(planes) * LANES


@inlined
def _plus_panel(
    results: Any, tile: Array, x: Array, offsets: Array, x_scales: Array, n: int, several: Any,
    row: int, turned: Array, held: Array, way: Any, planes: Any, parts: Any, run: int, zeros: Any,
    first: int, stop: int,
) -> Any:  # fmt: skip
    """Return the results plus the products of the columns in the tile, run after run."""
    step = BYTES * len(planes)
    part, place = first // run * len(parts), 0
    before = first // run * -(-run // step) * len(planes) * LANES  # words of a vector
    for column in range(first, stop, run):
        steps = -(-min(run, stop - column) // step)
        for p in range(len(parts)):
            begin = place + p * (LANES // len(parts))
            sums = _sums(tile, begin, x, n, before + begin, several, way, planes, parts, steps)
            results = plus_scaled(
                results, sums, part, row, turned, zeros, held, n, x_scales, offsets
            )
            part += 1
        place += steps * len(planes) * LANES
    return results


@kernel
def multiply(
    x: Array, offsets: Array, x_scales: Array, several: Any, y: Array, first: int, stop: int,
    turned: Array, tile: Array, columns: int, totals: Array, packed: Array, safe_rows: int,
    tail: Array, tail_byte: int, held: Array, width: Any, loose: Any, permute: Any, rule: Any,
    way: Any, planes: Any, parts: Any, run: int, scales: Array, zeros: Any, factor: float,
    length: int,
) -> None:  # fmt: skip
    """Write the products of packed weights' rows ``first .. stop - 1`` with vectors to ``y``.

    Arguments are those of `integer_products.multiply`, but for these: ``x[g]`` has as many vectors
    as ``several`` is long, the first four integers of each, then the next four, ..., as words of
    int32. ``tile`` is scratch space for so many ``columns``, which are whole runs, of 16 rows,
    aligned to `BYTES`; and ``totals`` for 16 results of each vector.
    """
    unit = unit_of(loose)
    apart = length * len(width) // unit
    for group in range(first, stop, LANES):
        row = min(group, stop - LANES)
        codes, base = packed, 0
        if row + LANES > safe_rows:
            codes, base = tail, tail_byte * 8 // unit
        turn_all(scales, row, turned)
        totals[:] = 0
        for panel in range(0, length, columns):
            end = min(panel + columns, length)
            _fill(
                tile, codes, row * apart - base, apart, width, loose, permute, rule, planes, run,
                panel, end,
            )  # fmt: skip
            for n in range(0, y.shape[0], len(several)):
                results = _plus_panel(
                    _held(totals, n, several), tile, x, offsets, x_scales, n, several, row, turned,
                    held, way, planes, parts, run, zeros, panel, end,
                )  # fmt: skip
                _hold(results, totals, n)
        for n in range(0, y.shape[0], len(several)):
            store(_held(totals, n, several), factor, y, n, row)
