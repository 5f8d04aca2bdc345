"""Sums of integers times scales, added up in float64: a lane for each of 16 rows of weights."""

from typing import Any

from llvmlite import ir
from numba import types

from minifloat._kernels.lanes import (
    DOUBLE,
    FLOAT,
    I32,
    I64,
    LANES,
    Vectors,
    addresses_below,
    data_of,
    joined,
    lanes_of,
    operation,
    separate,
    splat,
)


@operation
def no_results(_: Any, several: Any) -> Any:
    """Return float64 zeros for each of several vectors."""
    kind = Vectors(types.float64, len(several))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return joined(builder, [ir.Constant(lanes_of(DOUBLE), [0.0] * LANES)] * kind.count)

    return kind(several), build


@operation
def plus_scaled(
    _: Any, results: Any, sums: Any, part: Any, row: Any, turned: Any, zeros: Any, held: Any,
    n: Any, x_scales: Any, offsets: Any,
) -> Any:  # fmt: skip
    """Return the results of some vectors plus their sums and what these lack, scaled.

    The sums are those of one part or of several, part after part, each of all vectors.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        results, sums, part, row, turned, zeros, held, n, x_scales, offsets = args
        turned_type, zeros_type, held_type, _, scales_type, offsets_type = signature.args[4:]
        wide, totals = lanes_of(DOUBLE), separate(builder, results)

        def of_rows(block: Any) -> Any:
            """Return the zero points of a block of the rows."""
            kind = context.get_value_type(zeros_type.dtype)
            found, place = ir.Constant(lanes_of(kind), ir.Undefined), (zeros, row, block)
            for k, where in enumerate(
                addresses_below(context, builder, zeros_type, place, LANES, kind)
            ):
                found = builder.insert_element(found, builder.load(where), ir.Constant(I32, k))
            return builder.zext(found, lanes_of(I32))

        def of_vectors(array_type: Any, array: Any, kind: Any) -> list[Any]:
            place = array, n, part
            below = addresses_below(context, builder, array_type, place, len(totals), kind)
            return [builder.load(where) for where in below]

        for first in range(0, sums.type.count, len(totals)):
            block = builder.load(builder.gep(data_of(context, builder, held_type, held), [part]))
            place = turned, block, ir.Constant(I64, 0)
            (where,) = addresses_below(context, builder, turned_type, place, 1, lanes_of(FLOAT))
            weights = builder.fpext(builder.load(where, align=4), wide)
            zero = None if zeros_type is types.none else of_rows(block)
            scales = of_vectors(scales_type, x_scales, FLOAT)
            for k, offset in enumerate(of_vectors(offsets_type, offsets, I32)):
                lacks = splat(builder, offset)
                lacks = lacks if zero is None else builder.mul(zero, lacks)
                vector = builder.add(builder.extract_value(sums, first + k), lacks)
                scale = splat(builder, builder.fpext(scales[k], DOUBLE))
                product = builder.fmul(builder.sitofp(vector, wide), builder.fmul(weights, scale))
                totals[k] = builder.fadd(totals[k], product)
            part = builder.add(part, part.type(1))
        return joined(builder, totals)

    return results(
        results, sums, types.intp, types.intp, turned, zeros, held, types.intp, x_scales, offsets
    ), build


@operation
def store(_: Any, results: Any, factor: Any, y: Any, n: Any, row: Any) -> Any:
    """Write the results times a factor to ``y[n, row]`` and the 15 after it, and those below."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        results, factor, *place = args
        factor, kind = splat(builder, factor), lanes_of(FLOAT)
        totals = separate(builder, results)
        below = addresses_below(context, builder, signature.args[2], place, len(totals), kind)
        for total, where in zip(totals, below, strict=True):
            builder.store(builder.fptrunc(builder.fmul(total, factor), kind), where, align=4)
        return context.get_dummy_value()

    return types.none(results, types.float64, y, types.intp, types.intp), build
