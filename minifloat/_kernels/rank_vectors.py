"""The instructions of `minifloat._kernels.ranks`, each on all lanes at once.

A rank among 31 points takes five steps of a binary search where the CPU can look lanes up in two
registers, and a comparison with each point elsewhere.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from minifloat._kernels.decoders import HAS_TABLES
from minifloat._kernels.lanes import (
    FLOAT,
    I8,
    I32,
    I64,
    LANES,
    address_of,
    constants,
    lanes_of,
    operation,
    splat,
)
from minifloat._kernels.ranks import MOST

DOUBLE = ir.DoubleType()


def _all(kind: Any, value: int) -> Any:
    return ir.Constant(lanes_of(kind), [value] * LANES)


def _keys(builder: Any, words: Any) -> Any:
    """Return float32 words with those of negative numbers turned round."""
    signs = builder.ashr(words, _all(I32, 31))
    return builder.xor(words, builder.and_(signs, _all(I32, 0x7FFFFFFF)))


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@operation
def word_range(_: Any, words: Any, start: Any, stop: Any) -> Any:
    """Return the largest of signed words, and of unsigned words less the sign."""
    bits = words.dtype.bitwidth
    kind = ir.IntType(bits)
    sign = -1 << (bits - 1)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, start, stop = args
        ends = {
            "smax": cgutils.alloca_once_value(builder, _all(kind, sign)),
            "umax": cgutils.alloca_once_value(builder, _all(kind, 0)),
        }
        step = ir.Constant(start.type, LANES)
        with cgutils.for_range_slice(builder, start, stop, step, inc=True) as (index, _):
            where = address_of(context, builder, signature.args[0], array, index, lanes_of(kind))
            held = builder.load(where, align=bits // 8)
            for name, end in ends.items():
                name = f"llvm.{name}.v{LANES}i{bits}"
                builder.store(_call(builder, name, held.type, builder.load(end), held), end)
        highest, unsigned = (
            _call(builder, f"llvm.vector.reduce.{name}.v{LANES}i{bits}", kind, builder.load(end))
            for name, end in ends.items()
        )
        found = [highest, builder.xor(unsigned, ir.Constant(kind, sign))]
        if bits < I64.width:
            found = [builder.sext(number, I64) for number in found]
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(types.int64, 2)(words, types.intp, types.intp), build


@operation
def first_keys(_: Any, points: Any, upward: Any, divisor: Any, at: Any, first: Any) -> Any:
    """Write the key of the first float32 beyond each point times the divisor."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(k: int, kind: Any) -> Any:
            return address_of(context, builder, signature.args[k], args[k], args[3], lanes_of(kind))

        divisors = splat(builder, args[2])
        exact = builder.fmul(builder.load(place(0, DOUBLE), align=8), divisors)
        goes_up = builder.load(place(1, I32), align=4)
        nearest = builder.fptrunc(exact, lanes_of(FLOAT))
        back = builder.fpext(nearest, exact.type)
        on_point = builder.fcmp_ordered("==", back, exact)
        stays = builder.and_(on_point, builder.icmp_signed("==", goes_up, _all(I32, 0)))
        before = builder.or_(builder.fcmp_ordered("<", back, exact), stays)
        keys = _keys(builder, builder.bitcast(nearest, lanes_of(I32)))
        keys = builder.add(keys, builder.zext(before, keys.type))
        builder.store(keys, place(4, I32), align=4)
        return context.get_dummy_value()

    return types.none(points, upward, types.float64, types.intp, first), build


def _by_search(builder: Any, keys: Any, first: list[Any], table: list[Any]) -> Any:
    """Return codes by binary search: the rank grows by 16, 8, 4, 2 and 1."""
    choose = f"llvm.x86.avx512.vpermi2var.d.{32 * LANES}"
    rank, step = _all(I32, 0), MOST // 2
    while step:
        middle = builder.add(rank, _all(I32, step - 1))
        point = _call(builder, choose, keys.type, first[0], middle, first[1])
        beyond = builder.icmp_signed(">=", keys, point)
        rank = builder.select(beyond, builder.add(rank, _all(I32, step)), rank)
        step //= 2
    return _call(builder, choose, keys.type, table[0], rank, table[1])


def _by_comparing(builder: Any, keys: Any, first: list[Any], table: list[Any]) -> Any:
    """Return codes as the sum of the differences at the points that are not above a key."""

    def lane(vectors: list[Any], j: int) -> Any:
        vector = vectors[j // LANES]
        return builder.shuffle_vector(vector, vector, constants(I32, [j % LANES] * LANES))

    codes = lane(table, 0)
    for j in range(MOST - 1):
        beyond = builder.sext(builder.icmp_signed(">=", keys, lane(first, j)), keys.type)
        difference = builder.sub(lane(table, j + 1), lane(table, j))
        codes = builder.add(codes, builder.and_(beyond, difference))
    return codes


@operation
def rank_codes(
    _: Any, words: Any, at: Any, first: Any, table: Any, codes: Any, to: Any
) -> Any:  # fmt: skip
    """Write codes of 8 bits by their ranks."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(k: int, index: Any, kind: Any) -> Any:
            return address_of(context, builder, signature.args[k], args[k], index, lanes_of(kind))

        def registers(k: int) -> list[Any]:
            return [
                builder.load(place(k, ir.Constant(I64, start), I32), align=4)
                for start in range(0, MOST, LANES)
            ]

        keys = _keys(builder, builder.load(place(0, args[1], I32), align=4))
        find = _by_search if HAS_TABLES else _by_comparing
        found = builder.trunc(find(builder, keys, registers(2), registers(3)), lanes_of(I8))
        builder.store(found, place(4, args[5], I8), align=1)
        return context.get_dummy_value()

    return types.none(words, types.intp, first, table, codes, types.intp), build
