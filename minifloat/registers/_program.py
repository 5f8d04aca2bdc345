"""`Program`: the instructions of a register program, and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from minifloat.formats.base import check_int
from minifloat.packing.layouts import WORD_BITS, Layout

Target = Literal["float16", "bfloat16"]
Name = Callable[["Operand"], str]

TABLE_COLUMNS = 8

AND_OR, AND_XOR = 0xEA, 0x6A  # truth tables of (a & b) | c and (a & b) ^ c


class Op(StrEnum):
    """The instructions: those of NVIDIA's GPUs on 32-bit registers.

    AND, OR, XOR    bit by bit
    SHL, SHR        shift by a constant of 0..31; the free bits become 0
    LOP3            any function of three bits: bit ``4a + 2b + c`` of its truth table
    PRMT            bytes: nibble i of operand c selects byte i of the result, 0..3 from a and 4..7
                    from b; if the nibble's bit 3 is set, all 8 bits are the selected byte's top bit
    HMUL2, HADD2    a * b and a + b on each half, float16 or bfloat16, rounded to nearest even
    HSUB2, HFMA2    a - b, and a * b + c rounded once
    LDS             the 32-bit word of the program's table at byte offset a
    """

    AND = "AND"
    OR = "OR"
    XOR = "XOR"
    SHL = "SHL"
    SHR = "SHR"
    LOP3 = "LOP3"
    PRMT = "PRMT"
    HMUL2 = "HMUL2"
    HADD2 = "HADD2"
    HSUB2 = "HSUB2"
    HFMA2 = "HFMA2"
    LDS = "LDS"

    @property
    def operands(self) -> int:
        """Number of operands."""
        return {"LOP3": 3, "PRMT": 3, "HFMA2": 3, "LDS": 1}.get(self.value, 2)

    @property
    def kind(self) -> str:
        """The kind of its cost: logic, shift, permute, half or load."""
        if self in (Op.SHL, Op.SHR):
            return "shift"
        if self is Op.PRMT:
            return "permute"
        if self is Op.LDS:
            return "load"
        return "half" if self.value.startswith("H") else "logic"


KINDS = ("logic", "shift", "permute", "half", "load")


@dataclass(frozen=True)
class Register:
    """A value: an input word if ``index < words``, otherwise the result of an instruction."""

    index: int


Operand = Register | int  # an int is a 32-bit constant


class Instruction(NamedTuple):
    """One instruction; ``table`` is the truth table of LOP3."""

    op: Op
    operands: tuple[Operand, ...]
    table: int = 0


class Cost(NamedTuple):
    """Instructions of a program by kind, and the number of weights it converts."""

    weights: int
    logic: int = 0
    shift: int = 0
    permute: int = 0
    half: int = 0
    load: int = 0

    @property
    def total(self) -> int:
        """Instructions of all kinds."""
        return self.logic + self.shift + self.permute + self.half + self.load

    @property
    def per_weight(self) -> float:
        """Instructions per weight."""
        return self.total / self.weights


@dataclass(frozen=True)
class Program:
    """A sequence of instructions that turns the words of a group into pairs of halves.

    A half is a float16 or a bfloat16.

    Attributes
    ----------
    name : str
        The function's name in C and CUDA C.
    layout : Layout
        The places of the codes in the input words.
    target : str
        "float16" or "bfloat16".
    scale_exponent : int
        Output ``i`` is the value of code ``i`` times ``2**scale_exponent``. 0 unless this factor
        is left to the scale.
    instructions : tuple of Instruction
        Each writes one new register; no register is written twice.
    outputs : tuple of Register
        Register ``k`` holds codes 2k (low half) and 2k + 1 (high half).
    table : tuple of int
        32-bit words for LDS.

    Raises
    ------
    ValueError
        If an instruction reads a register before it is written, has the wrong number of operands
        or an operand out of range, or the number of outputs is not half the number of codes.

    Examples
    --------
    >>> from minifloat import registers
    >>> program = registers.to_half("e2m2", "fpe2m2_kernel")
    >>> program
    <Program e2m2_to_float16: 32 codes in 5 words, 75 instructions, 2.34 per weight>
    """

    name: str
    layout: Layout
    target: Target
    scale_exponent: int
    instructions: tuple[Instruction, ...]
    outputs: tuple[Register, ...]
    table: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.target not in ("float16", "bfloat16"):
            raise ValueError(f"target must be float16 or bfloat16, got {self.target!r}")
        if not (self.name.isidentifier() and self.name.isascii()):
            raise ValueError(f"name must be an identifier, for C, got {self.name!r}")
        for word in self.table:
            check_int("table", word, 0, (1 << WORD_BITS) - 1)
        if 2 * len(self.outputs) != self.layout.count:
            raise ValueError(
                f"outputs must be one register for each pair of {self.layout.count} codes, got "
                f"{len(self.outputs)}"
            )
        for position, instruction in enumerate(self.instructions):
            self._check(position, instruction)
        for output in self.outputs:
            if not 0 <= output.index < self.layout.words + len(self.instructions):
                raise ValueError(f"outputs must be registers of the program, got {output}")

    def _check(self, position: int, instruction: Instruction) -> None:
        where = f"instruction {position} ({instruction.op})"
        op, operands, table = instruction
        if len(operands) != op.operands:
            raise ValueError(f"{where} must have {op.operands} operands, got {len(operands)}")
        for operand in operands:
            if isinstance(operand, Register):
                if not 0 <= operand.index < self.layout.words + position:
                    raise ValueError(
                        f"{where} must read registers written before it, got {operand}"
                    )
            elif not 0 <= operand < 1 << WORD_BITS:
                raise ValueError(f"{where} must have 32-bit constants, got {operand}")
        if op.kind == "shift" and not (isinstance(operands[1], int) and operands[1] < WORD_BITS):
            raise ValueError(f"{where} must shift by a constant below 32, got {operands[1]}")
        if op is Op.PRMT and not isinstance(operands[2], int):
            raise ValueError(f"{where} must have a constant selector, got {operands[2]}")
        if not 0 <= table <= 0xFF:
            raise ValueError(f"{where} must have a truth table of 8 bits, got {table}")
        if op is Op.LDS and not self.table:
            raise ValueError(f"{where} must have a table to read; give the program one")

    def numbered(self) -> Iterator[tuple[Register, Instruction]]:
        """Yield each instruction with the register that it writes."""
        for position, instruction in enumerate(self.instructions):
            yield Register(self.layout.words + position), instruction

    @property
    def cost(self) -> Cost:
        """Instructions by kind."""
        counts = Counter(instruction.op.kind for instruction in self.instructions)
        return Cost(self.layout.count, **counts)

    def __repr__(self) -> str:
        words = f"{self.layout.words} word{'s' * (self.layout.words > 1)}"
        return (
            f"<Program {self.name}: {self.layout.count} codes in {words}, "
            f"{self.cost.total} instructions, {self.cost.per_weight:.2f} per weight>"
        )

    def __str__(self) -> str:
        return to_assembly(self)


def check_program(program: object) -> None:
    """Raise unless ``program`` is a `Program`."""
    if not isinstance(program, Program):
        raise TypeError(
            f"program must be a Program, got {program!r}; make one with registers.to_half"
        )


class Builder:
    """Collects the instructions of a program.

    Parameters
    ----------
    words : int
        Number of input words.

    Examples
    --------
    >>> from minifloat.registers import Builder, Op
    >>> code = Builder(1)
    >>> code.emit(Op.AND, code.word(0), 0x0F000F00)
    Register(index=1)
    """

    def __init__(self, words: int) -> None:
        self.words = words
        self._results: dict[Instruction, Register] = {}

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """The instructions emitted so far."""
        return tuple(self._results)

    def word(self, index: int) -> Register:
        """Return the register of an input word."""
        return Register(index)

    def emit(self, op: Op, *operands: Operand, table: int = 0) -> Register:
        """Append an instruction unless an equal one exists; return the register of its result."""
        instruction = Instruction(op, operands, table)
        return self._results.setdefault(instruction, Register(self.words + len(self._results)))


def to_assembly(program: Program) -> str:
    """Return the program as assembly, one instruction a line.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
        ``w0``, ``w1`` ... are input words, ``r0``, ``r1`` ... results; the line ``out =`` lists the
        results that are pairs of halves. The words of a table for LDS follow.

    Examples
    --------
    >>> from minifloat import registers
    >>> print(registers.to_assembly(registers.to_half("uint8", "8")))
    uint8_to_float16: 4 codes in 1 word, layout 8; 4 instructions, 1.00 per weight
      r0  = LOP3   w0, 0x00ff00ff, 0x64006400, 0xea    # (a & b) | c
      r1  = HADD2  r0, 0xe400e400
      r2  = PRMT   w0, 0x64006400, 0x00007351
      r3  = HADD2  r2, 0xe400e400
    out = r1, r3
    """
    check_program(program)
    name = operand_names(program)
    cost = program.cost
    words = f"{program.layout.words} word{'s' * (program.layout.words > 1)}"
    factor = f"; values times 2**{program.scale_exponent}" if program.scale_exponent else ""
    lines = [
        f"{program.name}: {program.layout.count} codes in {words}, layout {program.layout.name}; "
        f"{cost.total} instructions, {cost.per_weight:.2f} per weight{factor}"
    ]
    for register, (op, operands, table) in program.numbered():
        arguments = ", ".join(name(operand) for operand in operands)
        line = f"  {name(register):<3} = {op:<6} {arguments}"
        if op is Op.LOP3:
            line = f"{f'{line}, {table:#04x}':<50} # {truth(table).format(a='a', b='b', c='c')}"
        lines.append(line)
    lines.append(f"out = {', '.join(name(output) for output in program.outputs)}")
    if program.table:
        lines.append(f"table of {len(program.table)} words, from byte 0 on:")
    for start in range(0, len(program.table), TABLE_COLUMNS):
        row = program.table[start : start + TABLE_COLUMNS]
        lines.append(f"  {' '.join(f'0x{word:08x}' for word in row)}")
    return "\n".join(lines)


def operand_names(program: Program) -> Name:
    """Return a function that names operands in assembly."""

    def name(operand: Operand) -> str:
        if isinstance(operand, Register):
            index = operand.index - program.layout.words
            return f"r{index}" if index >= 0 else f"w{operand.index}"
        return str(operand) if operand < 32 else f"0x{operand:08x}"

    return name


SHORT_TRUTHS = {AND_OR: "({a} & {b}) | {c}", AND_XOR: "({a} & {b}) ^ {c}"}
MINTERMS = (
    "(~{a} & ~{b} & ~{c})", "(~{a} & ~{b} & {c})", "(~{a} & {b} & ~{c})", "(~{a} & {b} & {c})",
    "({a} & ~{b} & ~{c})", "({a} & ~{b} & {c})", "({a} & {b} & ~{c})", "({a} & {b} & {c})",
)  # fmt: skip


def truth(table: int) -> str:
    """Return a truth table as an expression in {a}, {b} and {c}."""
    terms = [term for bit, term in enumerate(MINTERMS) if table >> bit & 1]
    return SHORT_TRUTHS.get(table, " | ".join(terms) or "0")
