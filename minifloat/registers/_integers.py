"""Integers to halves: the bits go into the mantissa of a known number, which is taken away again.

The word of ``2**m + q * 2**p``, for a half of m mantissa bits, has q at bit p of its mantissa. One
addition, or multiplication and addition, makes the value of it.
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
from minifloat.registers._target import BOTH, both_halves, holds


class Linear(NamedTuple):
    """Codes in even steps: the value is ``low + step * (code ^ flip)``."""

    flip: int
    step: float
    low: float


def linear_of(fmt: NumberFormat) -> Linear | None:
    """Return how the values follow from the codes, if evenly and by a power of two."""
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
    """Write the instructions; return the pairs."""
    # one bit more is possible where the exponent field of 2**m ends in 0
    room = half.mantissa_bits + ((half.bias + half.mantissa_bits) % 2 == 0)
    if fmt.bits > room:
        raise ValueError(f"fmt must have at most {room} bits for {half.name}, got {fmt}")
    make = _sums_of_two if fmt.bits > half.mantissa_bits else _less_magic
    return make(gather, linear, fmt.bits, half)


def _less_magic(gather: Gather, linear: Linear, bits: int, half: Format) -> list[Register]:
    """Put each pair of codes q at bit p of ``2**m + q * 2**p``, for the p that cost least."""

    def addend(p: int) -> float:
        return linear.low - linear.step * 2.0 ** (half.mantissa_bits - p)

    possible = [
        p
        for p in range(half.mantissa_bits - bits + 1)
        if holds(addend(p), half) and holds(linear.step / 2.0**p, half)
    ]
    if not possible:
        raise _no_addend(linear, half)
    pairs = [
        {p: in_halves(gather.layout, even, range(p, p + bits)) for p in possible}
        for even in range(0, gather.layout.count, 2)
    ]
    outputs = []
    for moves, p in zip(pairs, _cheapest_offsets(pairs), strict=True):
        flip = linear.flip << p
        x = gather(moves[p], both_halves(2.0**half.mantissa_bits, half) ^ flip * BOTH)
        rest = both_halves(addend(p), half)
        if linear.step == 2.0**p:
            outputs.append(gather.code.emit(Op.HADD2, x, rest))
        else:
            factor = both_halves(linear.step / 2.0**p, half)
            outputs.append(gather.code.emit(Op.HFMA2, x, factor, rest))
    return outputs


def _cheapest_offsets(pairs: Sequence[dict[int, list[Move]]]) -> list[int]:
    """Choose an offset for each pair so that few pieces and few shifts are needed in all.

    The pair in the most pieces comes first, and each of its offsets is tried; the others take what
    costs least given the shifts that are there.
    """
    pieces = [
        {p: frozenset(Gather.pieces(moves)) for p, moves in options.items()} for options in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda i: -min(map(len, pieces[i].values())))
    plans = []
    for first in pairs[order[0]]:
        there = {piece for piece in pieces[order[0]][first] if piece[1]}
        chosen = {order[0]: first}
        total = len(there) + len(pieces[order[0]][first])
        for i in order[1:]:
            prices = {
                p: len(some) + sum(piece[1] != 0 and piece not in there for piece in some)
                for p, some in pieces[i].items()
            }
            chosen[i] = min(prices, key=prices.__getitem__)
            total += prices[chosen[i]]
            there |= {piece for piece in pieces[i][chosen[i]] if piece[1]}
        plans.append((total, [chosen[i] for i in range(len(pairs))]))
    return min(plans)[1]


def _sums_of_two(gather: Gather, linear: Linear, bits: int, half: Format) -> list[Register]:
    """Add two numbers for codes one bit wider than the mantissa: the top bit has its own.

    It turns the exponent field's last bit from 0 to 1, and so ``2**m`` into ``2**(m + 1)``.
    """
    code, top = gather.code, bits - 1
    magic = 2.0**half.mantissa_bits
    low_flip, top_flip = linear.flip & (1 << top) - 1, linear.flip >> top << half.mantissa_bits
    addend = linear.low / linear.step - 2 * magic
    if not (holds(addend, half) and holds(addend + magic, half)):
        raise _no_addend(linear, half)
    outputs = []
    for even in range(0, gather.layout.count, 2):
        x = gather(  # magic plus the low bits
            in_halves(gather.layout, even, range(top)),
            both_halves(magic, half) ^ low_flip * BOTH,
        )
        y = gather(  # magic plus what the top bit is worth
            in_halves(gather.layout, even, [half.mantissa_bits], top),
            both_halves(magic, half) ^ top_flip * BOTH,
        )
        y = code.emit(Op.HADD2, y, both_halves(addend, half))
        x = code.emit(Op.HADD2, x, y)
        outputs.append(times_power(code, x, round(math.log2(linear.step)), half))
    return outputs


def _no_addend(linear: Linear, half: Format) -> ValueError:
    return ValueError(
        f"target must hold what is to be added for values from {linear.low:g} on in steps of "
        f"{linear.step:g}, got {half.name}; use registers.look_up"
    )
