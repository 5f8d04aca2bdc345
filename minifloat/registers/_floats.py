"""ExMy to halves: the magnitude is shifted, the exponents' difference multiplied in.

A magnitude of M mantissa bits shifted left by m - M, for a half of m, is the word of
``value * 2**(bias - the half's bias)``, subnormals included, for the exponent field keeps its
distance from the significand and a zero field means the same in both. The sign goes to the top. One
multiplication by a power of two makes up for the biases, or is left to the scale.
"""

from __future__ import annotations

from minifloat.formats import Format, Specials
from minifloat.packing.layouts import HALF_BITS
from minifloat.registers._gather import Gather, in_halves
from minifloat.registers._program import AND_OR, Builder, Op, Register
from minifloat.registers._target import BOTH, both_halves, not_held

IF_THEN_ELSE = 0xCA  # truth table of (a & b) | (~a & c)
HALF_SIGNS = 0xBB99  # selector of PRMT: each half's top bit, all over the half
TOP, SECOND = 0x4000, 0x2000  # the upper exponent bits of a half


def from_float(
    fmt: Format, half: Format, gather: Gather, fold_scale: bool
) -> tuple[list[Register], int]:
    """Write the instructions; return the pairs, and the exponent of what they are multiplied by."""
    # otherwise the top binade would read as infinity and NaN
    whole_range = fmt.exponent_bits == half.exponent_bits and fmt.specials is not Specials.IEEE
    _check_fields(fmt, half, whole_range)
    missing = [] if fold_scale else not_held(fmt, half)
    if missing:
        raise ValueError(
            f"target must hold every value of {fmt}, got {half.name}, which does not hold "
            f"{missing[0]!r}; use fold_scale=True, which leaves a power of two to the scale"
        )
    exponent = fmt.bias - half.bias - whole_range
    outputs = []
    for even in range(0, gather.layout.count, 2):
        x = gather(in_halves(gather.layout, even, float_bits(fmt, half)))
        if whole_range:
            x = _halved(gather.code, x, half)
        outputs.append(x if fold_scale else times_power(gather.code, x, -exponent, half))
    return outputs, exponent if fold_scale else 0


def float_bits(fmt: Format, half: Format) -> list[int]:
    """Return where in a half each bit of a code goes, from the lowest on."""
    m = half.mantissa_bits
    magnitude = range(m - fmt.mantissa_bits, m + fmt.exponent_bits)
    return [*magnitude, HALF_BITS - 1] if fmt.signed else list(magnitude)


def _check_fields(fmt: Format, half: Format, whole_range: bool) -> None:
    if not fmt.subnormals:
        raise ValueError(
            f"fmt must have subnormals, as the target has, got {fmt}; use registers.look_up"
        )
    if fmt.exponent_bits > half.exponent_bits:
        raise ValueError(
            f"fmt must have at most {half.exponent_bits} exponent bits for {half.name}, got "
            f"{fmt}{'; use target=bfloat16' if fmt.exponent_bits <= 8 else ''}"
        )
    room = half.mantissa_bits - whole_range  # halving a subnormal needs a bit
    if fmt.mantissa_bits > room:
        raise ValueError(f"fmt must have at most {room} mantissa bits for this, got {fmt}")


def times_power(code: Builder, x: Register, exponent: int, half: Format) -> Register:
    """Multiply by 2**exponent, in two steps where one factor would overflow."""
    while exponent:
        step = min(exponent, half.bias)
        x = code.emit(Op.HMUL2, x, both_halves(2.0**step, half))
        exponent -= step
    return x


def _halved(code: Builder, x: Register, half: Format) -> Register:
    """Return half of the number in x, where an exponent field of all ones is a number too.

    Fields below half the range are halved as they are, without the top bit, which they do not
    have. For those above, let s be the second exponent bit and r the rest: the word with the top
    bits 01 for whatever they were has exponent ``r + 2**(E-2)``, and is always normal; a factor
    with s in the same place makes up for the rest, its other bits chosen so that the product is
    half the number. The top bit picks one of the two.
    """
    below = code.emit(Op.AND, x, (0xFFFF - TOP) * BOTH)
    below = code.emit(Op.HMUL2, below, both_halves(0.5, half))
    low = code.emit(Op.LOP3, x, (0xFFFF - TOP - SECOND) * BOTH, SECOND * BOTH, table=AND_OR)
    fields = (1 << half.exponent_bits - 1) + (1 << half.exponent_bits - 2) - 2
    factor = code.emit(
        Op.LOP3, x, SECOND * BOTH, (fields << half.mantissa_bits) * BOTH, table=AND_OR
    )
    above = code.emit(Op.HMUL2, low, factor)
    is_above = code.emit(Op.PRMT, code.emit(Op.SHL, x, 1), 0, HALF_SIGNS)
    return code.emit(Op.LOP3, is_above, above, below, table=IF_THEN_ELSE)
