"""The instruction of `minifloat._kernels.packing`: several groups of codes in one register."""

from typing import Any

from llvmlite import ir
from numba import types

from minifloat._kernels.lanes import I32, I64, address_of, operation, splat
from minifloat._kernels.packing import GROUPS

WORDS = ir.VectorType(I64, GROUPS)


@operation
def pack_groups(_: Any, codes: Any, at: Any, bits: Any, packed: Any, to: Any) -> Any:
    """Squeeze the words of groups in three steps, all at once, and store them one by one."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        codes, at, bits, packed, to = args
        where = address_of(context, builder, signature.args[0], codes, at, WORDS)
        words = builder.load(where, align=1)
        for width, low in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
            free = builder.mul(builder.sub(I64(8), bits), I64(width // 8))
            mask = ir.Constant(WORDS, [low] * GROUPS)
            upper = builder.lshr(builder.and_(words, builder.not_(mask)), splat(builder, free, 8))
            words = builder.or_(builder.and_(words, mask), upper)
        for g in range(GROUPS):
            word = builder.extract_element(words, I32(g))
            where = address_of(context, builder, signature.args[3], packed, to, I64)
            builder.store(word, where, align=1)
            to = builder.add(to, bits)
        return context.get_dummy_value()

    return types.none(codes, types.intp, types.intp, packed, types.intp), build
