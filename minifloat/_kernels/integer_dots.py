"""Products of integers of 8 bits, four summed to each lane, in the way that a CPU has.

A way is named by the length of a tuple, as a type that kernels are compiled for.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from minifloat._kernels.decoders import FEATURES
from minifloat._kernels.integer_decoders import BYTES, call, concatenated, part_of
from minifloat._kernels.lanes import I16, I32, LANES, constants

FOUR = BYTES // LANES  # bytes whose products go to one lane

WORDS, PAIRS, FOURS, WIDE_FOURS = ((0,) * length for length in (1, 2, 3, 4))  # the last is best
LARGEST_IN_PAIRS = 129  # times 127, twice, is within int16

HAS_WIDE_FOURS = {"+avx512vnni", "+avx512bw"} <= FEATURES
HAS_FOURS = "+avxvnni" in FEATURES or {"+avx512vnni", "+avx512vl"} <= FEATURES
HAS_PAIRS = "+avx2" in FEATURES


def dots(builder: Any, totals: Any, integers: Any, x: Any, way: Any) -> Any:
    """Return the totals plus four products in each lane: of unsigned integers with signed ``x``."""
    dot, lanes = _WAYS[len(way) - 1]
    pieces = [
        dot(
            builder,
            part_of(builder, totals, first, lanes),
            *(part_of(builder, a, FOUR * first, FOUR * lanes) for a in (integers, x)),
        )
        for first in range(0, LANES, lanes)
    ]
    return concatenated(builder, pieces)


def _dot_words(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    """Do it with products of 16 bits; 255 * 127 fits."""
    words = ir.VectorType(I16, integers.type.count)
    products = builder.mul(builder.zext(integers, words), builder.sext(x, words))
    pairs = ir.VectorType(I32, words.count // 2)
    products, half = builder.bitcast(products, pairs), constants(I32, [16] * pairs.count)
    odd = builder.ashr(products, half)
    sums = builder.add(odd, builder.ashr(builder.shl(products, half), half))
    both = (
        builder.shuffle_vector(sums, sums, constants(I32, list(range(k, pairs.count, 2))))
        for k in (0, 1)
    )
    return builder.add(total, builder.add(*both))


def _dot_pairs(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    """Do it by an instruction whose sums of two products saturate beyond int16."""
    words = ir.VectorType(I16, 2 * total.type.count)
    pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", words, integers, x)
    ones = constants(I16, [1] * words.count)
    sums = call(builder, "llvm.x86.avx2.pmadd.wd", total.type, pairs, ones)
    return builder.add(total, sums)


def _dot_fours(builder: Any, total: Any, integers: Any, x: Any) -> Any:
    name = f"llvm.x86.avx512.vpdpbusd.{32 * total.type.count}"
    integers, x = (builder.bitcast(vector, total.type) for vector in (integers, x))
    return call(builder, name, total.type, total, integers, x)


_WAYS: list[tuple[Callable[..., Any], int]] = [  # and lanes of the totals
    (_dot_words, LANES),
    (_dot_pairs, LANES // 2),
    (_dot_fours, LANES // 2),
    (_dot_fours, LANES),
]
