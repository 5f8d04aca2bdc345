"""ExMy to halves: shift the magnitude, then multiply by the power of two between the biases.

Let the format have M mantissa bits and the half m. The magnitude shifted left by m - M is the word
of ``value * 2**(fmt.bias - half.bias)``: the mantissa and the exponent field arrive in the mantissa
and the exponent field of the half. This holds for subnormals too, since field 0 means the same in
both formats. The sign moves to the top bit. One multiplication by a power of two corrects the
biases, or is left to the scale.
"""

from __future__ import annotations

from minifloat.formats import Format, Specials
from minifloat.packing.layouts import HALF_BITS
from minifloat.registers._gather import Gather, in_halves
from minifloat.registers._program import AND_OR, Builder, Op, Register
from minifloat.registers._target import BOTH, MAX_TABLE_BITS, both_halves, half_format, not_held

IF_THEN_ELSE = 0xCA  # truth table of (a & b) | (~a & c)
HALF_SIGNS = 0xBB99  # selector of PRMT: the top bit of each half, in all bits of the half
TOP, SECOND = 0x4000, 0x2000  # the upper exponent bits of a half


def from_float(
    fmt: Format, half: Format, gather: Gather, fold_scale: bool
) -> tuple[list[Register], int]:
    """Emit the instructions; return the pairs, and the exponent of the factor that they contain."""
    _check_fields(fmt, half)
    whole_range = _has_whole_range(fmt, half)
    missing = [] if fold_scale else not_held(fmt, half)
    if missing:
        raise ValueError(
            f"target must have every value of {fmt}, got {half.name}, which does not have "
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
    """Return the position in a half of each bit of a code, from the lowest bit on."""
    m = half.mantissa_bits
    magnitude = range(m - fmt.mantissa_bits, m + fmt.exponent_bits)
    return [*magnitude, HALF_BITS - 1] if fmt.signed else list(magnitude)


def _has_whole_range(fmt: Format, half: Format) -> bool:
    """Return whether the half reads the format's top binade as infinity and NaN.

    Its numbers must then be halved first.
    """
    return fmt.exponent_bits == half.exponent_bits and fmt.specials is not Specials.IEEE


def _max_mantissa_bits(fmt: Format, half: Format) -> int:
    return half.mantissa_bits - _has_whole_range(fmt, half)  # halving a subnormal needs a bit more


def _check_fields(fmt: Format, half: Format) -> None:
    if not fmt.subnormals:
        table = "; use registers.look_up" if fmt.bits <= MAX_TABLE_BITS else ""
        raise ValueError(f"fmt must have subnormals, as the target does, got {fmt}{table}")
    others = [
        f"; use target={other}"
        for other in map(half_format, ("float16", "bfloat16"))
        if fmt.exponent_bits <= other.exponent_bits
        and fmt.mantissa_bits <= _max_mantissa_bits(fmt, other)
    ]
    remedy = "".join(others[:1])
    if fmt.exponent_bits > half.exponent_bits:
        raise ValueError(
            f"fmt must have at most {half.exponent_bits} exponent bits for {half.name}, got "
            f"{fmt}{remedy}"
        )
    max_bits = _max_mantissa_bits(fmt, half)
    if fmt.mantissa_bits > max_bits:
        raise ValueError(
            f"fmt must have at most {max_bits} mantissa bits for {half.name}, got {fmt}{remedy}"
        )


def times_power(code: Builder, x: Register, exponent: int, half: Format) -> Register:
    """Multiply by 2**exponent, in several steps if one factor would overflow."""
    while exponent:
        step = min(exponent, half.bias)
        x = code.emit(Op.HMUL2, x, both_halves(2.0**step, half))
        exponent -= step
    return x


def _halved(code: Builder, x: Register, half: Format) -> Register:
    """Return half of the number in x; an exponent field of all ones is a number too.

    An exponent field without its top bit is multiplied by 0.5 directly. For a field with the top
    bit, let s be the second exponent bit and r the bits below it. Replacing the top bits by 01
    gives a word of exponent ``r + 2**(E-2)``, which is always normal. It is multiplied by a factor
    that has s in the same place and whose other bits make the product half of the number. The top
    bit selects one of the two results.
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
