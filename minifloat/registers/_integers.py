"""Integers to halves: put the bits into the mantissa of a known number, then subtract this number.

In a half of m mantissa bits, the word of ``2**m + q * 2**p`` has q at bit p of its mantissa. One
addition, or one multiplication and addition, turns it into the value of the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minifloat.formats import Format, NumberFormat
from minifloat.registers._floats import times_power
from minifloat.registers._gather import Gather, Move, in_halves
from minifloat.registers._program import Op, Register
from minifloat.registers._target import BOTH, MAX_TABLE_BITS, both_halves, half_format, holds


class Linear(NamedTuple):
    """Evenly spaced values: ``low + step * (code ^ flip)``."""

    flip: int
    step: float
    low: float


def linear_of(fmt: NumberFormat) -> Linear | None:
    """Return the values as a linear function of the codes, if the step is a power of two."""
    if fmt.is_integer:
        half = 1 << (fmt.bits - 1)
        return Linear(half, 1.0, -float(half)) if fmt.min < 0 else Linear(0, 1.0, 0.0)
    if not fmt.is_table:
        return None
    values = fmt.values()
    codes = np.arange(values.size)
    for flip in (0, 1 << (fmt.bits - 1)):
        if values.size <= flip or (flip and values.size != 2 * flip):
            continue
        low = values[codes ^ flip][0]
        step = values[codes ^ flip][1] - low
        line = low + step * (codes ^ flip)
        evenly = np.array_equal(line, values) and not fmt.has_negative_zero
        if evenly and step > 0 and math.frexp(step)[0] == 0.5:
            return Linear(flip, float(step), float(low))
    return None


def from_integer(fmt: NumberFormat, linear: Linear, half: Format, gather: Gather) -> list[Register]:
    """Emit the instructions; return the pairs."""
    max_bits = _max_bits(half)
    if fmt.bits > max_bits:
        wider = half_format("float16")  # float16 has more mantissa bits than bfloat16
        remedy = "; use target=float16" if fmt.bits <= _max_bits(wider) else ""
        raise ValueError(
            f"fmt must have at most {max_bits} bits for {half.name}, got {fmt}{remedy}"
        )
    convert = _by_two_sums if fmt.bits > half.mantissa_bits else _by_one_sum
    return convert(gather, linear, fmt.bits, half)


def _max_bits(half: Format) -> int:
    # one more bit is possible if the exponent field of 2**m ends in 0
    return half.mantissa_bits + ((half.bias + half.mantissa_bits) % 2 == 0)


def _by_one_sum(gather: Gather, linear: Linear, bits: int, half: Format) -> list[Register]:
    """Put each pair of codes q at bit p of ``2**m + q * 2**p``, with the p that cost the least."""

    def addend(p: int) -> float:
        return linear.low - linear.step * 2.0 ** (half.mantissa_bits - p)

    possible = [
        p
        for p in range(half.mantissa_bits - bits + 1)
        if holds(addend(p), half) and holds(linear.step / 2.0**p, half)
    ]
    if not possible:
        raise _no_addend(linear, bits, half)
    pairs = [
        {p: in_halves(gather.layout, even, range(p, p + bits)) for p in possible}
        for even in range(0, gather.layout.count, 2)
    ]
    outputs = []
    for moves, p in zip(pairs, _cheapest_offsets(pairs), strict=True):
        flip = linear.flip << p
        x = gather(moves[p], both_halves(2.0**half.mantissa_bits, half) ^ flip * BOTH)
        added = both_halves(addend(p), half)
        if linear.step == 2.0**p:
            outputs.append(gather.code.emit(Op.HADD2, x, added))
        else:
            factor = both_halves(linear.step / 2.0**p, half)
            outputs.append(gather.code.emit(Op.HFMA2, x, factor, added))
    return outputs


def _cheapest_offsets(pairs: Sequence[dict[int, list[Move]]]) -> list[int]:
    """Choose an offset for each pair so that few pieces and few shifts are needed in total.

    The pair with the most pieces comes first, and all its offsets are tried. Each other pair takes
    the offset that costs the least, given the shifts that already exist.
    """
    pieces = [
        {p: frozenset(Gather.pieces(moves)) for p, moves in options.items()} for options in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda i: -min(map(len, pieces[i].values())))
    plans = []
    for first in pairs[order[0]]:
        shifts = {piece for piece in pieces[order[0]][first] if piece[1]}
        offsets = {order[0]: first}
        total = len(shifts) + len(pieces[order[0]][first])
        for i in order[1:]:
            prices = {
                p: len(needed) + sum(piece[1] != 0 and piece not in shifts for piece in needed)
                for p, needed in pieces[i].items()
            }
            offsets[i] = min(prices, key=prices.__getitem__)
            total += prices[offsets[i]]
            shifts |= {piece for piece in pieces[i][offsets[i]] if piece[1]}
        plans.append((total, [offsets[i] for i in range(len(pairs))]))
    return min(plans)[1]


def _by_two_sums(gather: Gather, linear: Linear, bits: int, half: Format) -> list[Register]:
    """Add two numbers for codes one bit wider than the mantissa; the top bit has its own number.

    The top bit changes the last bit of the exponent field from 0 to 1, and so ``2**m`` into
    ``2**(m + 1)``.
    """
    code, top = gather.code, bits - 1
    magic = 2.0**half.mantissa_bits
    low_flip, top_flip = linear.flip & (1 << top) - 1, linear.flip >> top << half.mantissa_bits
    addend = linear.low / linear.step - 2 * magic
    if not (holds(addend, half) and holds(addend + magic, half)):
        raise _no_addend(linear, bits, half)
    outputs = []
    for even in range(0, gather.layout.count, 2):
        x = gather(  # magic plus the low bits
            in_halves(gather.layout, even, range(top)),
            both_halves(magic, half) ^ low_flip * BOTH,
        )
        y = gather(  # magic plus the value of the top bit
            in_halves(gather.layout, even, [half.mantissa_bits], top),
            both_halves(magic, half) ^ top_flip * BOTH,
        )
        y = code.emit(Op.HADD2, y, both_halves(addend, half))
        x = code.emit(Op.HADD2, x, y)
        outputs.append(times_power(code, x, round(math.log2(linear.step)), half))
    return outputs


def _no_addend(linear: Linear, bits: int, half: Format) -> ValueError:
    table = "; use registers.look_up" if bits <= MAX_TABLE_BITS else ""
    return ValueError(
        f"target must have the number to add for values from {linear.low:g} on in steps of "
        f"{linear.step:g}, got {half.name}{table}"
    )
