"""The input bits that each bit of a program's outputs can depend on.

Every register is followed bit by bit. A bit is known (0 or 1), or it may depend on a set of input
bits. AND, OR, XOR and LOP3 depend on the operands that can change their truth table's result, given
the known bits. Shifts and PRMT move bits. Each half of an arithmetic result depends on all bits of
the same half of the operands. A bit of a look-up depends on the address bits that can change this
bit in the table. The sets are complete: an input bit outside the set has no influence, whatever the
values of the other bits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from minifloat.packing.layouts import HALF_BITS, WORD_BITS
from minifloat.registers._program import Instruction, Op, Operand, Program, Register, check_program

BYTE = 8
TRUTH_TABLES = {  # of two operands, in the notation of LOP3
    Op.AND: 0xC0,
    Op.OR: 0xFC,
    Op.XOR: 0x3C,
}


class Bit(NamedTuple):
    """One bit: its value if it is known, otherwise the input bits it may depend on."""

    sources: int  # bit ``32 * word + b`` is set for bit b of that input word
    known: int | None = None


ZERO, ONE = Bit(0, 0), Bit(0, 1)
Bits = Sequence[Bit]


def dependencies(program: Program) -> list[list[int]]:
    """Return, for each output, the input bits that each of its 32 bits may depend on.

    Parameters
    ----------
    program : Program

    Returns
    -------
    list of list of int
        Bit ``32 * w + b`` of an int stands for bit b of input word w.

    Examples
    --------
    >>> from minifloat import registers
    >>> first = registers.dependencies(registers.to_half("e5m2", "8"))[1]
    >>> [bits.bit_length() - 1 for bits in first]
    [-1, -1, -1, -1, -1, -1, -1, -1, 8, 9, 10, 11, 12, 13, 14, 15, \
-1, -1, -1, -1, -1, -1, -1, -1, 24, 25, 26, 27, 28, 29, 30, 31]
    """
    check_program(program)
    registers: list[Bits] = [
        [Bit(1 << WORD_BITS * word + bit) for bit in range(WORD_BITS)]
        for word in range(program.layout.words)
    ]

    def bits(operand: Operand) -> Bits:
        if isinstance(operand, Register):
            return registers[operand.index]
        return [ONE if operand >> bit & 1 else ZERO for bit in range(WORD_BITS)]

    for _, instruction in program.numbered():
        operands = [bits(operand) for operand in instruction.operands]
        registers.append(_result(instruction, operands, program.table))
    return [[bit.sources for bit in registers[output.index]] for output in program.outputs]


def _result(instruction: Instruction, operands: list[Bits], table: tuple[int, ...]) -> Bits:
    op = instruction.op
    if op.kind == "logic":
        truth = TRUTH_TABLES.get(op, instruction.table)
        operands = [*operands, [ZERO] * WORD_BITS][:3]
        return [_combined(truth, bits) for bits in zip(*operands, strict=True)]
    if op.kind == "shift":
        distance = instruction.operands[1]
        assert isinstance(distance, int)
        idle = [ZERO] * distance
        moved = [*idle, *operands[0]] if op is Op.SHL else [*operands[0][distance:], *idle]
        return moved[:WORD_BITS]
    if op is Op.PRMT:
        selector = instruction.operands[2]
        assert isinstance(selector, int)
        return _permuted([*operands[0], *operands[1]], selector)
    if op is Op.LDS:
        return _looked_up(operands[0], table)
    half: list[Bit] = []
    for start in (0, HALF_BITS):
        sources = _union(bit for bits in operands for bit in bits[start : start + HALF_BITS])
        half += [Bit(sources)] * HALF_BITS
    return half


def _combined(truth: int, bits: tuple[Bit, ...]) -> Bit:
    """Return the result of a truth table for three bits."""
    result, used = _reduced(truth, tuple(bit.known for bit in bits))
    if result is not None:
        return Bit(0, result)
    return Bit(_union(bit for bit, is_used in zip(bits, used, strict=True) if is_used))


@functools.cache
def _reduced(truth: int, known: tuple[int | None, ...]) -> tuple[int | None, tuple[bool, ...]]:
    """Return the result of a truth table if the known bits fix it, and which bits can change it."""
    choices = [(0, 1) if bit is None else (bit,) for bit in known]
    results = {abc: truth >> (4 * abc[0] + 2 * abc[1] + abc[2]) & 1 for abc in product(*choices)}

    def changes(k: int) -> bool:
        flipped = {abc: (*abc[:k], 1 - abc[k], *abc[k + 1 :]) for abc in results}
        return any(
            results[abc] != results.get(other, results[abc]) for abc, other in flipped.items()
        )

    different = set(results.values())
    return different.pop() if len(different) == 1 else None, tuple(changes(k) for k in range(3))


def _permuted(both: Bits, selector: int) -> Bits:
    result: list[Bit] = []
    for byte in range(WORD_BITS // BYTE):
        nibble = selector >> 4 * byte & 0xF
        selected = both[BYTE * (nibble & 7) : BYTE * (nibble & 7) + BYTE]
        result += [selected[-1]] * BYTE if nibble & 8 else selected
    return result


def _looked_up(address: Bits, table: tuple[int, ...]) -> Bits:
    changed = _changed_bits(table)
    result = []
    for bit in range(WORD_BITS):
        sources = _union(
            address[2 + k]
            for k in range(WORD_BITS - 2)
            if k >= len(changed) or changed[k] >> bit & 1
        )
        result.append(Bit(sources))
    return result


@functools.lru_cache(maxsize=16)
def _changed_bits(table: tuple[int, ...]) -> tuple[int, ...]:
    """Return, for each bit of the index, the bits of the table's words that it can change."""
    words = np.array(table, np.uint32)
    index = np.arange(words.size)
    return tuple(
        int(np.bitwise_or.reduce(words ^ words[np.minimum(index ^ 1 << k, words.size - 1)]))
        for k in range((words.size - 1).bit_length())
    )


def _union(bits: Iterable[Bit]) -> int:
    sources = 0
    for bit in bits:
        sources |= bit.sources
    return sources
