"""float16 words to float32 words: one instruction, where the CPU has it."""

from typing import Any

import numpy as np

from minifloat._jit import instruction

Lane = Any  # an int32

BINADE = 23  # place of float32's exponent


def _define() -> Any:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from minifloat._kernels.decoders import HAS_HALVES

    word, single = ir.IntType(32), ir.FloatType()

    def convert(builder: Any, half: Any) -> Any:
        narrow = builder.bitcast(builder.trunc(half, ir.IntType(16)), ir.HalfType())
        return builder.fpext(narrow, single)

    def compute(builder: Any, half: Any) -> Any:
        """Exchange the biases; a subnormal gets a leading one, which a subtraction takes away."""
        least = ir.Constant(word, (127 - 14) << BINADE)
        normal, special = (ir.Constant(word, bias << BINADE) for bias in (112, 224))
        is_subnormal = builder.icmp_signed("<", half, ir.Constant(word, 0x0400))
        is_special = builder.icmp_signed(">=", half, ir.Constant(word, 0x7C00))
        base = builder.select(is_subnormal, least, builder.select(is_special, special, normal))
        moved = builder.add(builder.shl(half, ir.Constant(word, 13)), base)
        lead = builder.select(is_subnormal, builder.bitcast(least, single), ir.Constant(single, 0))
        return builder.fsub(builder.bitcast(moved, single), lead)

    def define(_: Any, half: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = (convert if HAS_HALVES else compute)(builder, args[0])
            return builder.bitcast(value, word)

        return types.int32(types.int32), build

    return intrinsic(define)


@instruction(_define)
def single_word(half: Lane) -> Lane:
    """Return the float32 word of the number whose float16 word is ``half``; any NaN for a NaN."""
    return np.float32(np.uint16(half).view(np.float16)).view(np.int32)
