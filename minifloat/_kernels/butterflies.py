"""Pairs of numbers a, b at a distance, replaced by a + b and a - b: sixteen numbers at a time.

LLVM does not vectorize these short loops, so each is one operation on vectors where it is compiled.
"""

from typing import Any

from numpy.typing import NDArray

from minifloat._jit import instruction

Array = NDArray[Any]

LANES = 16
FEW = 4


def _define_within() -> Any:
    from numba import types

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *_, at, size = args
        source, target = (_address(context, builder, signature, args, k, at) for k in (0, 1))
        x = builder.load(source, align=4)
        for distance in (1, 2, 4, 8):
            partners = lanes.constants(lanes.I32, [k ^ distance for k in range(LANES)])
            partner = builder.shuffle_vector(x, x, partners)
            total, rest = builder.fadd(x, partner), builder.fsub(partner, x)
            sides = [k + LANES if k & distance else k for k in range(LANES)]
            done = builder.shuffle_vector(total, rest, lanes.constants(lanes.I32, sides))
            x = builder.select(builder.icmp_signed("<", size.type(distance), size), done, x)
        builder.store(x, target, align=4)
        return context.get_dummy_value()

    return lanes.operation(
        lambda _, x, out, at, size: (types.none(x, out, types.intp, types.intp), build)
    )


def _define_across(count: int = LANES) -> Any:
    from numba import types

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        low, high = (_address(context, builder, signature, args, 0, at, count) for at in args[1:])
        a, b = (builder.load(where, align=4) for where in (low, high))
        builder.store(builder.fadd(a, b), low, align=4)
        builder.store(builder.fsub(a, b), high, align=4)
        return context.get_dummy_value()

    return lanes.operation(lambda _, x, low, high: (types.none(x, types.intp, types.intp), build))


def _define_scaled() -> Any:
    from numba import types

    from minifloat._kernels import lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, factors, out = (
            _address(context, builder, signature, args, k, args[3]) for k in range(3)
        )
        a, b = (builder.load(where, align=4) for where in (x, factors))
        builder.store(builder.fmul(a, b), out, align=4)
        return context.get_dummy_value()

    return lanes.operation(
        lambda _, x, factors, out, at: (types.none(x, factors, out, types.intp), build)
    )


def _address(
    context: Any, builder: Any, signature: Any, args: Any, k: int, at: Any, count: int = LANES
) -> Any:
    """Return the address of a vector: of a place in one of the arguments."""
    from minifloat._kernels import lanes

    kind = lanes.lanes_of(lanes.ELEMENTS[signature.args[k].dtype], count)
    return lanes.address_of(context, builder, signature.args[k], args[k], at, kind)


@instruction(_define_within)
def within(x: Array, out: Array, at: int, size: int) -> None:
    """Do the distances 1, 2, 4 and 8 below ``size``, in this order, of numbers from a place."""
    for k in range(LANES):
        out[at + k] = x[at + k]
    for distance in (1, 2, 4, 8):
        for k in range(LANES):
            if distance < size and k & distance == 0:
                a, b = out[at + k], out[at + k + distance]
                out[at + k] = a + b
                out[at + k + distance] = a - b


@instruction(_define_across)
def across(x: Array, low: int, high: int) -> None:
    """Take the a's from one place on, and the b's from another."""
    for k in range(LANES):
        a, b = x[low + k], x[high + k]
        x[low + k] = a + b
        x[high + k] = a - b


@instruction(lambda: _define_across(FEW))
def across_few(x: Array, low: int, high: int) -> None:
    """Take four a's from one place on, and four b's from another."""
    for k in range(FEW):
        a, b = x[low + k], x[high + k]
        x[low + k] = a + b
        x[high + k] = a - b


@instruction(_define_scaled)
def scaled(x: Array, factors: Array, out: Array, at: int) -> None:
    """Write the products of numbers from a place with factors; ``out`` may be ``x``."""
    for k in range(LANES):
        out[at + k] = x[at + k] * factors[at + k]
