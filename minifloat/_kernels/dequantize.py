"""The loop of `Quantized.dequantize`: packed codes, decoded in registers, times their scales.

Weights are seen in the order of their memory, as rows of one length; the last row may be shorter.
Neighbouring rows share a row of scales, which has a scale for each block of the row or, where
blocks run down the columns, for each weight. What can be read of packed codes, and ``loose``: see
`decoders`. Nothing is written beyond the weights that are asked for: after the whole steps of a
block the rest is stored under a mask.

A weight is the product of value and scale, rounded once. In float32 the CPU's product is that. Else
products are of float64, where that of two float32 numbers is exact. On the way to float16 and
bfloat16 they are rounded to odd, to 16 bits of precision: that keeps which side of a value, or of
a point halfway between two values, the product is on. 16 bits are at least two more than both
types have, and float32 holds them, also the smallest bfloat16.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from minifloat._jit import inlined, kernel
from minifloat._kernels.decoders import Rule, unit_of, values_at
from minifloat._kernels.lanes import (
    DOUBLE,
    FLOAT,
    HALF,
    I16,
    I32,
    I64,
    LANES,
    Vectors,
    address_of,
    constants,
    float_vectors,
    joined,
    lanes_of,
    operation,
    separate,
    splat,
    times,
)
from minifloat._kernels.prefetch import prefetch

Array = NDArray[Any]

AHEAD = 2048  # bytes from the read position to the prefetched one
OUT_AHEAD = 1024  # weights from the written position to the prefetched one
STICKY = (1 << 37) - 1  # the bits of a float64 below 16 bits of precision
FLOAT16_BITS, BFLOAT16_BITS = 10, 7  # of their mantissas


def _first_lanes(builder: Any, count: Any) -> Any:
    """Return a mask of so many lanes."""
    lanes = constants(I32, list(range(LANES)))
    return builder.icmp_signed("<", lanes, splat(builder, builder.trunc(count, I32)))


def _masked(builder: Any, verb: str, result: Any, lane: Any, args: list[Any]) -> Any:
    """Call LLVM's masked load or store of vectors of a lane's type."""
    name = f"llvm.masked.{verb}.v{LANES}{'f32' if lane == FLOAT else f'i{lane.width}'}.p0"
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _floats(builder: Any, numbers: Any) -> Any:
    """Return float32 of float32, or of unsigned integers."""
    if numbers.type.element == FLOAT:
        return numbers
    return builder.uitofp(numbers, lanes_of(FLOAT))


@operation
def _of_block(_: Any, numbers: Any, k: Any, each: Any) -> Any:
    """Return a block's number in all lanes, as float32, unless each weight has its own."""
    if numbers is types.none or each is not types.none:
        return types.none(numbers, k, each), lambda context, *_: context.get_dummy_value()

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, _ = args
        held = context.get_value_type(numbers.dtype)
        where = address_of(context, builder, signature.args[0], array, index, held)
        number = splat(builder, builder.load(where))
        return joined(builder, [_floats(builder, number)])

    return float_vectors(1)(numbers, types.intp, each), build


@operation
def _of_step(_: Any, block: Any, numbers: Any, k: Any, count: Any) -> Any:
    """Return the block's number if there is one, else the numbers of a step's first weights."""
    if block is not types.none or numbers is types.none:
        return block(block, numbers, k, count), lambda _context, _builder, _signature, args: args[0]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, array, index, some = args
        held, size = context.get_value_type(numbers.dtype), numbers.dtype.bitwidth // 8
        where = address_of(context, builder, signature.args[1], array, index, lanes_of(held))
        if count is types.none:
            loaded = builder.load(where, align=size)
        else:
            zeros = ir.Constant(lanes_of(held), None)
            mask = _first_lanes(builder, some)
            parts = [where, ir.Constant(I32, size), mask, zeros]
            loaded = _masked(builder, "load", lanes_of(held), held, parts)
        return joined(builder, [_floats(builder, loaded)])

    return float_vectors(1)(block, numbers, types.intp, count), build


@operation
def _widened(_: Any, scales: Any, factor: Any) -> Any:
    """Return the scales times the factor, in float64; or as they are, without one."""
    if factor is types.none or scales is types.none:
        return scales(scales, factor), lambda _context, _builder, _signature, args: args[0]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,) = separate(builder, args[0])
        wide = builder.fpext(vector, lanes_of(DOUBLE))
        return joined(builder, [builder.fmul(wide, splat(builder, args[1]))])

    return Vectors(types.float64, 1)(scales, types.float64), build


@operation
def _less(_: Any, values: Any, zeros: Any) -> Any:
    """Return the values minus zero points, if there are any."""
    if zeros is types.none:
        return values(values, zeros), lambda _context, _builder, _signature, args: args[0]

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (a,), (b,) = (separate(builder, vectors) for vectors in args)
        return joined(builder, [builder.fsub(a, b)])

    return values(values, zeros), build


@operation
def _scaled(_: Any, values: Any, scales: Any) -> Any:
    """Return the values times scales, in the type of these."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (vector,), (scale,) = (separate(builder, vectors) for vectors in args)
        if vector.type != scale.type:
            vector = builder.fpext(vector, scale.type)
        return joined(builder, [builder.fmul(vector, scale)])

    return scales(values, scales), build


def _to_odd(builder: Any, wide: Any) -> Any:
    """Return float64 lanes as float32, rounded to odd at 16 bits of precision."""
    sticky = constants(I64, [STICKY] * LANES)
    bits = builder.bitcast(wide, lanes_of(I64))
    carried = builder.add(builder.and_(bits, sticky), sticky)  # into the last bit kept, if any is 1
    bits = builder.and_(builder.or_(bits, carried), builder.not_(sticky))
    return builder.fptrunc(builder.bitcast(bits, wide.type), lanes_of(FLOAT))


def _words_of_bfloat16(builder: Any, floats: Any) -> Any:
    """Return float32 lanes rounded to bfloat16, to nearest even."""

    def every(number: int) -> Any:
        return constants(I32, [number] * LANES)

    bits = builder.bitcast(floats, lanes_of(I32))
    last = builder.and_(builder.lshr(bits, every(16)), every(1))
    words = builder.lshr(builder.add(builder.add(bits, every(0x7FFF)), last), every(16))
    is_nan = builder.fcmp_unordered("uno", floats, floats)
    return builder.trunc(builder.select(is_nan, every(0x7FC0), words), lanes_of(I16))


@operation
def _write(_: Any, products: Any, mantissa: Any, out: Any, at: Any, count: Any) -> Any:
    """Round products to the type whose mantissa is as long as the tuple, and write the first."""
    bits = len(mantissa)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (lanes,) = separate(builder, args[0])
        kind = I16 if bits in (FLOAT16_BITS, BFLOAT16_BITS) else FLOAT
        if kind == I16:
            lanes = _to_odd(builder, lanes)
            if bits == FLOAT16_BITS:
                halves = builder.fptrunc(lanes, lanes_of(HALF))
                lanes = builder.bitcast(halves, lanes_of(I16))
            else:
                lanes = _words_of_bfloat16(builder, lanes)
        elif lanes.type.element == DOUBLE:
            lanes = builder.fptrunc(lanes, lanes_of(FLOAT))
        where = address_of(context, builder, signature.args[2], args[2], args[3], lanes_of(kind))
        size = out.dtype.bitwidth // 8
        if count is types.none:
            builder.store(lanes, where, align=size)
        else:
            mask = _first_lanes(builder, args[4])
            parts = [lanes, where, ir.Constant(I32, size), mask]
            _masked(builder, "store", ir.VoidType(), kind, parts)
        return context.get_dummy_value()

    return types.none(products, mantissa, out, types.intp, count), build


@inlined
def _write_step(
    out: Array, to: int, mantissa: Any, packed: Array, at: int, width: Any, loose: Any, rule: Rule,
    unit: Any, scale: Any, scales: Array, factor: Any, zero: Any, zeros: Any, k: int, count: Any,
) -> None:  # fmt: skip
    """Write a step's weights, or the first ``count`` of them."""
    values = times(values_at(packed, at, 0, 0, (0,), width, loose, rule), unit)
    values = _less(values, _of_step(zero, zeros, k, count))
    scale = _widened(_of_step(scale, scales, k, count), factor)
    _write(_scaled(values, scale), mantissa, out, to, count)


@kernel
def dequantize(
    out: Array, mantissa: Any, first: int, stop: int, packed: Array, base: int, width: Any,
    loose: Any, rule: Rule, unit: Array, scales: Array, factor: Any, zeros: Any, each: Any,
    per_row: int, size: int, length: int, block: int, height: int, matrix: int,
) -> None:  # fmt: skip
    """Write the weights of rows ``first .. stop - 1`` to ``out``, from its start on.

    ``packed`` begins with bit ``base`` of the codes, which are ``size``. The rule's values times
    ``unit[0]`` are the format's. A row of ``length`` weights is in blocks of ``block``; if ``each``
    is not None it is one block, and each weight has a scale. ``height`` neighbouring rows, or fewer
    at the end of a matrix of ``matrix`` rows, share ``per_row`` scales, and zero points if there
    are any. Scales are multiplied by ``factor``, in float64, unless that is None. The length of the
    tuple ``mantissa`` says what ``out`` holds: float32, or 16-bit words of float16 or bfloat16.
    """
    units, shift = _of_block(unit, 0, None), first * length
    step = LANES * len(width) // unit_of(loose)
    for m in range(first // matrix, -(-stop // matrix)):
        top, low, high = m * matrix, max(first, m * matrix), min(stop, m * matrix + matrix)
        for group in range((low - top) // height, -(-(high - top) // height)):
            begin = top + group * height
            for row in range(max(low, begin), min(high, begin + height)):
                k = (m * -(-matrix // height) + group) * per_row
                end = min(row * length + length, size)
                for start in range(row * length, end, block):
                    at, to = (start * len(width) - base) // unit_of(loose), start - shift
                    scale, zero = _of_block(scales, k, each), _of_block(zeros, k, each)
                    rest = min(block, end - start)
                    whole = rest // LANES * LANES
                    for i in range(0, whole, LANES):
                        prefetch(packed, (at if loose is None else at >> 3) + AHEAD)
                        prefetch(out, to + i + OUT_AHEAD)
                        _write_step(
                            out, to + i, mantissa, packed, at, width, loose, rule, units, scale,
                            scales, factor, zero, zeros, k + i, None,
                        )  # fmt: skip
                        at += step
                    if whole < rest:
                        _write_step(
                            out, to + whole, mantissa, packed, at, width, loose, rule, units, scale,
                            scales, factor, zero, zeros, k + whole, rest - whole,
                        )  # fmt: skip
                    k += 1
