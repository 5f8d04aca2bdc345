"""Sums of a small matrix's columns times neighbours: sixteen of each of four groups at a time.

LLVM does not vectorize these short loops, so they are operations on vectors where they are
compiled. The groups' sums do not wait for one another.
"""

from typing import Any

from numpy.typing import NDArray

from minifloat._jit import instruction

Array = NDArray[Any]

LANES = 16
GROUPS = 4


def _define() -> Any:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, columns, first, out, at, last = args
        kinds = signature.args
        element = lanes.ELEMENTS[kinds[0].dtype]
        vector = lanes.lanes_of(element)
        shape = cgutils.create_struct_proxy(kinds[1])(context, builder, value=columns).shape
        size, width = cgutils.unpack_tuple(builder, shape, 2)
        places = []
        for _ in range(GROUPS):
            places.append(builder.select(builder.icmp_signed("<", at, last), at, last))
            at = builder.add(at, size)
        totals = [cgutils.alloca_once(builder, vector) for _ in places]
        for total in totals:  # -0 and a number are that number
            builder.store(ir.Constant(vector, [-0.0] * LANES), total)
        with cgutils.for_range(builder, size) as loop:
            row = builder.add(builder.mul(loop.index, width), first)
            where = lanes.address_of(context, builder, kinds[1], columns, row, vector)
            column = builder.load(where, align=4)
            for place, total in zip(places, totals, strict=True):
                index = builder.add(place, loop.index)
                number = lanes.address_of(context, builder, kinds[0], x, index, element)
                factor = lanes.splat(builder, builder.load(number))
                builder.store(lanes.fused(builder, column, factor, builder.load(total)), total)
        for place, total in zip(places, totals, strict=True):
            index = builder.add(place, first)
            where = lanes.address_of(context, builder, kinds[3], out, index, vector)
            builder.store(builder.load(total), where, align=4)
        return context.get_dummy_value()

    return lanes.operation(
        lambda _, x, columns, first, out, at, last: (
            types.none(x, columns, types.intp, out, types.intp, types.intp),
            build,
        )
    )


@instruction(_define)
def column_sums(x: Array, columns: Array, first: int, out: Array, at: int, last: int) -> None:
    """Write sums from ``first`` on of groups of m numbers, the first one at a place.

    ``columns`` is (m, width), of 1, -1 and 0. A place beyond ``last`` is that one instead.
    """
    m = len(columns)
    for group in range(GROUPS):
        place = min(at + group * m, last)
        for i in range(first, first + LANES):
            total = columns[0, i] * x[place]
            for k in range(1, m):
                total += columns[k, i] * x[place + k]
            out[place + i] = total
