"""Programs as text in C and CUDA C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from minifloat.registers._emulation import PRMT_IN_C, halves_in_c
from minifloat.registers._program import (
    Instruction,
    Name,
    Op,
    Operand,
    Program,
    Register,
    Target,
    check_program,
    operand_names,
    truth,
)

Statement = Callable[[str, Instruction, Name, Target], str]

TABLE_COLUMNS = 6


def to_c(program: Program) -> str:
    """Return the program as a function in C.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
        ``static inline void NAME(const uint32_t *w, uint32_t *out)`` and all that it needs, the
        table included; C99. It gives the same bits as `run` under every option of a compiler,
        because it works on integers only. It emulates arithmetic on halves: right for a check, too
        slow for a kernel.

    Examples
    --------
    >>> from minifloat import registers
    >>> text = registers.to_c(registers.to_half("e5m2", "8"))
    >>> print(text[text.index("static inline void"):])
    static inline void e5m2_to_float16(const uint32_t *w, uint32_t *out)
    {
        uint32_t r0 = prmt(w[0], 0u, 0x00002604u);
        uint32_t r1 = w[0] & 0xff00ff00u;
        out[0] = r0;
        out[1] = r1;
    }
    <BLANKLINE>
    """
    check_program(program)
    ops = {instruction.op for instruction in program.instructions}
    parts = ["#include <stdint.h>\n"]
    if any(op.kind == "half" for op in ops):
        parts.append(halves_in_c(program.target))
    if Op.PRMT in ops:
        parts.append(PRMT_IN_C)
    about = [f"from a table of {len(program.table)} words."] if program.table else []
    arguments = "(const uint32_t *w, uint32_t *out)"
    lines = [*_comment(program, about), f"static inline void {program.name}{arguments}", "{"]
    if program.table:
        lines += (f"    {line}" for line in _array("static const uint32_t table", program.table))
    return "\n".join([*parts, *lines, *_body(program, _c_statement), "}", ""])


def to_cuda(program: Program) -> str:
    """Return the program as a device function in CUDA C.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
        ``__device__ __forceinline__ void NAME(const uint32_t *w, uint32_t *out)``. With a table,
        the array ``NAME_table`` and ``void NAME(const uint32_t *w, const uint32_t *table,
        uint32_t *out)``: pass the array or, which is faster, a copy of it in shared memory.
        ``out[k]`` is the word of a ``half2`` or ``__nv_bfloat162``: codes 2k and 2k + 1. For
        compute capability 8.0 and above.

    Examples
    --------
    >>> from minifloat import registers
    >>> text = registers.to_cuda(registers.to_half("uint8", "8"))
    >>> print(text[text.index("__device__"):text.index("{")])
    __device__ __forceinline__ void uint8_to_float16(const uint32_t *w, uint32_t *out)
    """
    check_program(program)
    lines, about, table = ["#include <cstdint>", ""], [], ""
    if program.table:
        array, table = f"{program.name}_table", "const uint32_t *table, "
        lines += [*_array(f"__device__ const uint32_t {array}", program.table), ""]
        about = [f"from table: {array} or, which is faster, a copy of it in shared memory."]
    opening = f"__device__ __forceinline__ void {program.name}"
    lines += [*_comment(program, about), f"{opening}(const uint32_t *w, {table}uint32_t *out)", "{"]
    return "\n".join([*lines, *_body(program, _cuda_statement), "}", ""])


def _names_in_c(program: Program) -> Name:
    plain = operand_names(program)

    def name(operand: Operand) -> str:
        if isinstance(operand, Register) and operand.index < program.layout.words:
            return f"w[{operand.index}]"
        return plain(operand) if isinstance(operand, Register) else f"{plain(operand)}u"

    return name


def _body(program: Program, statement: Statement) -> Iterator[str]:
    name = _names_in_c(program)
    for register, instruction in program.numbered():
        yield f"    {statement(name(register), instruction, name, program.target)};"
    for k, output in enumerate(program.outputs):
        yield f"    out[{k}] = {name(output)};"


def _array(declaration: str, words: Sequence[int]) -> Iterator[str]:
    yield f"{declaration}[{len(words)}] = {{"
    for start in range(0, len(words), TABLE_COLUMNS):
        row = words[start : start + TABLE_COLUMNS]
        yield f"    {', '.join(f'{word:#010x}u' for word in row)},"
    yield "};"


def _comment(program: Program, table: Sequence[str]) -> list[str]:
    layout, cost = program.layout, program.cost
    lines = [
        f"{program.name}: {layout.count} codes, {cost.total} instructions. Made by minifloat.",
        f"out[k] holds codes 2k (low half) and 2k + 1 (high half) as {program.target}",
    ]
    if program.scale_exponent:
        lines.append(f"times 2**{program.scale_exponent}: multiply the scale by 2**")
        lines.append(f"{-program.scale_exponent}.")
    lines += [*table, f"Layout {layout.spelling}; 7.3 is bit 3 of code 7:"]
    lines += layout.picture().splitlines()
    return [f"// {line}".rstrip() for line in lines]


OPERATORS = {Op.AND: "&", Op.OR: "|", Op.XOR: "^", Op.SHL: "<<", Op.SHR: ">>"}


def _c_statement(result: str, instruction: Instruction, name: Name, target: Target) -> str:
    op, operands, table = instruction
    names = [name(operand) for operand in operands]
    if op in OPERATORS:
        value = f"{names[0]} {OPERATORS[op]} {names[1]}"
    elif op is Op.LOP3:
        value = truth(table).format(a=names[0], b=names[1], c=names[2])
    elif op is Op.PRMT:
        value = f"prmt({', '.join(names)})"
    elif op is Op.LDS:
        value = f"table[{names[0]} >> 2]"
    else:
        factors = (name(operand) for operand in _as_fma(instruction, target))
        value = f"fma2_{target}({', '.join(factors)})"
    return f"uint32_t {result} = {value}"


def _cuda_statement(result: str, instruction: Instruction, name: Name, target: Target) -> str:
    op, operands, table = instruction
    if op in OPERATORS:
        return _c_statement(result, instruction, name, target)
    if op is Op.LDS:
        address = f"(const char *)table + {name(operands[0])}"
        return f"uint32_t {result} = *(const uint32_t *)({address})"
    if op is Op.LOP3:
        opcode, last = "lop3.b32", f", {table:#04x}"
    elif op is Op.PRMT:
        opcode, last = "prmt.b32", ""
    elif target == "float16":
        opcode, last = f"{HALF_OPCODES[op]}.rn.f16x2", ""
    else:  # mul, add and sub need compute capability 9.0
        operands, opcode, last = _as_fma(instruction, target), "fma.rn.bf16x2", ""
    slots = ", ".join(f"%{k}" for k in range(len(operands) + 1))
    inputs = ", ".join(f'"r"({name(operand)})' for operand in operands)
    return f'uint32_t {result}; asm("{opcode} {slots}{last};" : "=r"({result}) : {inputs})'


HALF_OPCODES = {Op.HMUL2: "mul", Op.HADD2: "add", Op.HSUB2: "sub", Op.HFMA2: "fma"}


def _as_fma(instruction: Instruction, target: Target) -> tuple[Operand, Operand, Operand]:
    """Return a, b and c such that a * b + c equals the instruction, bit for bit."""
    one = 0x3C003C00 if target == "float16" else 0x3F803F80
    minus = 0x80008000
    a, b = instruction.operands[:2]
    if instruction.op is Op.HMUL2:
        return a, b, minus  # -0 keeps the sign of a product that is zero
    if instruction.op is Op.HADD2:
        return a, one, b
    if instruction.op is Op.HSUB2:
        return b, one | minus, a
    return a, b, instruction.operands[2]
