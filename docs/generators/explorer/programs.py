"""Register programs as lists of instructions, which the explorer runs step by step."""

from __future__ import annotations

from typing import Any

from minifloat import registers
from minifloat.registers import Operand, Program, Register

PROGRAMS = (  # format, layout, target, whether the power of two is left to the scale
    ("e2m2", "fpe2m2_kernel", "float16", False),
    ("e2m2", "fpe2m2_kernel", "float16", True),
    ("e2m1", "4", "float16", False),
    ("e2m1", "4", "bfloat16", False),
    ("int4", "4", "float16", False),
    ("int5", "1+4", "float16", False),
    ("e3m1", "1+4", "float16", False),
    ("e2m3", "2+4", "float16", False),
    ("e3m2", "2+4", "float16", False),
    ("e4m3fn", "8", "float16", False),
    ("e4m3fn", "8", "bfloat16", False),
    ("e5m2", "8", "float16", False),
    ("int8", "8", "float16", False),
    ("uint8", "8", "float16", False),
    ("nf4", "dense", "float16", False),
)


def programs() -> list[dict[str, Any]]:
    """Return the programs."""
    return [
        written(fmt, registers.to_half(fmt, layout, target, fold_scale=folded))  # type: ignore[arg-type]
        for fmt, layout, target, folded in PROGRAMS
    ]


def written(fmt: str, program: Program) -> dict[str, Any]:
    """Return a program as numbers and names: w0 is an input word, r0 a result."""
    words = program.layout.words

    def name(operand: Operand) -> str | int:
        if not isinstance(operand, Register):
            return operand
        return f"w{operand.index}" if operand.index < words else f"r{operand.index - words}"

    return {
        "format": fmt,
        "layout": program.layout.name,
        "target": program.target,
        "scaleExponent": program.scale_exponent,
        "words": words,
        "places": [list(row) for row in program.layout.places],
        "steps": [
            [str(op), *map(name, operands), *([table] if op is registers.Op.LOP3 else [])]
            for _, (op, operands, table) in program.numbered()
        ],
        "outputs": [name(output) for output in program.outputs],
        "table": list(program.table),
    }
