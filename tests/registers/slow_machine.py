"""A slow machine for register programs, one bit and one exact number at a time, to check `run`."""

from __future__ import annotations

import math
from fractions import Fraction

import minifloat as mf
from minifloat.registers import Op, Program, Register
from minifloat.testing import exact_decode, exact_encode

ALL_ONES = 0xFFFFFFFF


def slow_run(program: Program, words: list[int], *, flush: bool = False) -> list[int]:
    """Return the output words of one group."""
    registers = list(words)

    def value(operand) -> int:
        return registers[operand.index] if isinstance(operand, Register) else operand

    for op, operands, table in program.instructions:
        numbers = [value(operand) for operand in operands]
        if op.kind == "half":
            registers.append(pair(op, numbers, program.target, flush))
        elif op is Op.LDS:
            registers.append(program.table[numbers[0] // 4])
        else:
            registers.append(INTEGER[op](*numbers, *([table] if op is Op.LOP3 else [])))
    return [registers[output.index] for output in program.outputs]


def lop3(a: int, b: int, c: int, table: int) -> int:
    result = 0
    for bit in range(32):
        index = 4 * (a >> bit & 1) + 2 * (b >> bit & 1) + (c >> bit & 1)
        result |= (table >> index & 1) << bit
    return result


def prmt(a: int, b: int, selector: int) -> int:
    sources = [*a.to_bytes(4, "little"), *b.to_bytes(4, "little")]
    result = bytearray()
    for byte in range(4):
        nibble = selector >> 4 * byte & 15
        selected = sources[nibble % 8]
        result.append(selected if nibble < 8 else 255 if selected >= 128 else 0)
    return int.from_bytes(result, "little")


INTEGER = {
    Op.AND: lambda a, b: a & b,
    Op.OR: lambda a, b: a | b,
    Op.XOR: lambda a, b: a ^ b,
    Op.SHL: lambda a, b: a << b & ALL_ONES,
    Op.SHR: lambda a, b: a >> b,
    Op.LOP3: lop3,
    Op.PRMT: prmt,
}


def pair(op: Op, numbers: list[int], target: str, flush: bool) -> int:
    """Apply an arithmetic instruction to both halves."""
    low = half(op, [number & 0xFFFF for number in numbers], target, flush)
    return half(op, [number >> 16 for number in numbers], target, flush) << 16 | low


def half(op: Op, words: list[int], target: str, flush: bool) -> int:
    """Return the word of an arithmetic result, rounded once from the exact number."""
    fmt = mf.parse(target)
    words = [flushed(word, fmt) if flush else word for word in words]
    numbers = [exact_decode(word, fmt) for word in words]
    if op is Op.HSUB2:
        numbers[1] = -numbers[1]
    # float64 gives infinities, NaNs and signs of zero; fractions give all other results
    if op is Op.HMUL2:
        rough, exact = numbers[0] * numbers[1], product(numbers[:2])
    elif op is Op.HFMA2:
        rough = numbers[0] * numbers[1] + numbers[2]
        exact = total([product(numbers[:2]), as_fraction(numbers[2])])
    else:
        rough, exact = numbers[0] + numbers[1], total(list(map(as_fraction, numbers[:2])))
    if math.isnan(rough):
        return 0x7FFF
    number = rough if exact is None or exact == 0 else exact
    word = exact_encode(number, fmt, "nearest_even", "ieee")
    return flushed(word, fmt) if flush else word


def as_fraction(number: float) -> Fraction | None:
    return Fraction(number) if math.isfinite(number) else None


def product(numbers: list[float]) -> Fraction | None:
    return total([as_fraction(numbers[0])], as_fraction(numbers[1]))


def total(terms: list[Fraction | None], factor: Fraction | None = Fraction(1)) -> Fraction | None:
    if factor is None or any(term is None for term in terms):
        return None
    return sum(terms) * factor


def flushed(word: int, fmt: mf.Format) -> int:
    return word & 0x8000 if fmt.kind(word) == "subnormal" else word
