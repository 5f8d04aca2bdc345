"""Programs as text in C and CUDA C."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from minifloat.registers._program import (
    Instruction,
    Name,
    Op,
    Operand,
    Program,
    Register,
    Target,
    operand_names,
    truth,
)

Statement = Callable[[str, Instruction, Name, Target], str]


def to_c(program: Program) -> str:
    """Return the program as a function in C.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
        ``void NAME(const uint32_t *w, uint32_t *out)``, or with the table before ``out``; C99. It
        gives the same bits as `run` (not under ``-ffast-math``).

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
    ops = {instruction.op for instruction in program.instructions}
    parts = ["#include <stdint.h>"]
    if any(op.kind == "half" for op in ops):
        parts.append(_c_halves(program.target))
    if Op.PRMT in ops:
        parts.append(C_PRMT)
    return "\n".join([*parts, _function(program, "static inline void", _c_statement)])


def to_cuda(program: Program) -> str:
    """Return the program as a device function in CUDA C.

    Parameters
    ----------
    program : Program

    Returns
    -------
    str
        ``__device__ __forceinline__ void NAME(const uint32_t *w, uint32_t *out)``, or with the
        table before ``out``; put the table into shared memory. ``out[k]`` is the word of a
        ``half2`` or ``__nv_bfloat162``: codes 2k and 2k + 1. For compute capability 8.0 and above.

    Examples
    --------
    >>> from minifloat import registers
    >>> text = registers.to_cuda(registers.to_half("uint8", "8"))
    >>> print(text[text.index("__device__"):text.index("{")])
    __device__ __forceinline__ void uint8_to_float16(const uint32_t *w, uint32_t *out)
    """
    body = _function(program, "__device__ __forceinline__ void", _cuda_statement)
    return f"#include <cstdint>\n\n{body}"


def _names_in_c(program: Program) -> Name:
    plain = operand_names(program)

    def name(operand: Operand) -> str:
        if isinstance(operand, Register) and operand.index < program.layout.words:
            return f"w[{operand.index}]"
        return plain(operand) if isinstance(operand, Register) else f"{plain(operand)}u"

    return name


def _function(program: Program, opening: str, statement: Statement) -> str:
    name = _names_in_c(program)
    table = "const uint32_t *table, " if program.table else ""
    lines = [f"// {line}".rstrip() for line in _about(program)]
    lines += [f"{opening} {program.name}(const uint32_t *w, {table}uint32_t *out)", "{"]
    for register, instruction in program.numbered():
        lines.append(f"    {statement(name(register), instruction, name, program.target)};")
    lines += [f"    out[{k}] = {name(output)};" for k, output in enumerate(program.outputs)]
    return "\n".join([*lines, "}", ""])


def _about(program: Program) -> Iterator[str]:
    layout, cost = program.layout, program.cost
    yield f"{program.name}: {layout.count} codes, {cost.total} instructions. Made by minifloat."
    yield f"out[k] holds codes 2k (low half) and 2k + 1 (high half) as {program.target}"
    if program.scale_exponent:
        yield f"times 2**{program.scale_exponent}: multiply the scale by 2**"
        yield f"{-program.scale_exponent}."
    if program.table:
        yield f"from table, the {len(program.table)} words of minifloat's program.table."
    yield f"Layout {layout.spelling}; 7.3 is bit 3 of code 7:"
    yield from layout.picture().splitlines()


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


def _c_halves(target: Target) -> str:
    m, bias = (10, 15) if target == "float16" else (7, 127)
    return f"""#include <math.h>
#include <string.h>

#ifndef MINIFLOAT_{target.upper()}
#define MINIFLOAT_{target.upper()}
static double {target}_value(uint32_t h)
{{
    int field = (h & 0x7fff) >> {m}, mantissa = h & {(1 << m) - 1};
    double value = field == {2 * bias + 1} ? (mantissa ? NAN : INFINITY)
                 : field ? ldexp({1 << m} + mantissa, field - {bias + m})
                 : ldexp(mantissa, {1 - bias - m});
    return h & 0x8000 ? -value : value;
}}

static uint32_t {target}_word(double value)
{{
    uint32_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    if (isnan(value)) return 0x7fff;
    if (isinf(value)) return sign | {(2 * bias + 1) << m:#x};
    if (value == 0) return sign;
    frexp(value, &exponent);
    exponent = exponent - 1 < {1 - bias} ? {1 - bias} : exponent - 1;
    if (exponent > {bias}) return sign | {(2 * bias + 1) << m:#x};
    return sign | (((uint32_t)(exponent + {bias - 1}) << {m})
                   + (uint32_t)nearbyint(ldexp(fabs(value), {m} - exponent)));
}}

/* The product is exact. The sum is rounded to odd, so that rounding it again gives one rounding. */
static double {target}_fma(double x, double y, double z)
{{
    double product = x * y, sum = product + z, behind = sum - product;
    double lost = (product - (sum - behind)) + (z - behind);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (isfinite(sum) && lost != 0 && (bits & 1) == 0)
        sum = nextafter(sum, lost > 0 ? INFINITY : -INFINITY);
    return sum;
}}

static uint32_t fma2_{target}(uint32_t a, uint32_t b, uint32_t c)
{{
    uint32_t out = 0;
    for (int s = 0; s < 32; s += 16)
        out |= {target}_word({target}_fma({target}_value(a >> s & 0xffff),
                                          {target}_value(b >> s & 0xffff),
                                          {target}_value(c >> s & 0xffff))) << s;
    return out;
}}
#endif
"""


C_PRMT = """
#ifndef MINIFLOAT_PRMT
#define MINIFLOAT_PRMT
static uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (int k = 0; k < 4; k++) {
        uint32_t nibble = selector >> 4 * k & 15, byte = bytes >> 8 * (nibble & 7) & 0xff;
        if (nibble & 8) byte = byte & 0x80 ? 0xff : 0;
        out |= byte << 8 * k;
    }
    return out;
}
#endif
"""
