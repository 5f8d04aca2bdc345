"""Conversions written by hand in CUDA C, for the tests of the tools that compile them."""

from __future__ import annotations

import pytest

from analysis.gpu.device_function import DeviceFunction

ARCHITECTURES = [  # that they are compiled for
    "sm_90",
    *(pytest.param(arch, marks=pytest.mark.long) for arch in ("sm_80", "sm_100")),
]
WORDS_TO_PAIRS = "__device__ __forceinline__ void f(const uint32_t *w, uint32_t *out)"
WITH_TABLE = (
    "__device__ __forceinline__ void f(const uint32_t *w, const uint32_t *table, uint32_t *out)"
)


def one_word(body: str, pairs: int = 1) -> DeviceFunction:
    """Return a function of one word."""
    return DeviceFunction(f"{WORDS_TO_PAIRS} {{ {body} }}", "f", words=1, pairs=pairs)


def instruction(text: str, result: str, *operands: str) -> str:
    """Return C for one PTX instruction on 32-bit registers, as in ``mul.rn.f16x2``."""
    places = ", ".join(f"%{i}" for i in range(len(operands) + 1))
    places = text.replace("OPERANDS", places)
    inputs = ", ".join(f'"r"({operand})' for operand in operands)
    return f'asm("{places};" : "=r"({result}) : {inputs});'


def e2m2(*, multiply: bool) -> DeviceFunction:
    """Return FPE2M2's conversion: fpe2m2 in the layout `fpe2m2_kernel` to half2, 2^-15 as large.

    Parameters
    ----------
    multiply : bool
        Multiply by 2^15, so that the results are the values.

    Returns
    -------
    DeviceFunction
    """
    shifts = ("w[{}] << 8", "w[{}] << 4", "w[{}]", "w[{}] >> 4")
    lines = []
    for i in range(16):
        magnitudes = shifts[i % 4].format(i // 4)
        sign = f"w[4] << {i} & 0x80008000u"
        out = f"out[{i}]"
        select = "lop3.b32 OPERANDS, 0xf8"  # a | b & c
        lines.append(instruction(select, out, sign, magnitudes, "0x0f000f00u"))
        if multiply:
            lines.append(instruction("mul.rn.f16x2 OPERANDS", out, out, "0x78007800u"))
    body = "\n    ".join(lines)
    return DeviceFunction(f"{WORDS_TO_PAIRS} {{\n    {body}\n}}", "f", words=5, pairs=16)


def pair_table() -> DeviceFunction:
    """Return a conversion that looks up the bytes of a word, each a pair of four-bit codes."""
    lines = " ".join(f"out[{i}] = table[w[0] >> {8 * i} & 0xff];" for i in range(4))
    return DeviceFunction(f"{WITH_TABLE} {{ {lines} }}", "f", words=1, pairs=4, table_size=256)
