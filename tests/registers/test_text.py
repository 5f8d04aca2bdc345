"""Emitted text: C is compiled and compared with `run`, assembly and CUDA text are read back.

`test_machine_code.py` tests the machine code of the CUDA text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from minifloat import registers
from minifloat.registers import Instruction, Op, Register, look_up, to_half
from tests.registers.programs import every_input, program_of

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on PATH")

PROGRAMS = [
    to_half("e2m2", "fpe2m2_kernel"),
    to_half("e2m2b0", "1+4", fold_scale=True),
    to_half("e2m2", "dense", "bfloat16"),
    to_half("e2m1", "nvfp4"),
    to_half("e3m2", "2+4"),
    to_half("e4m3fn", "8"),
    to_half("e5m2", "8"),
    to_half("e5m2fnuz", "8"),
    to_half("e1m3b-10", "1+4"),
    to_half("int4", "4"),
    to_half("int5", "1+4", "bfloat16"),
    to_half("uint8", "8"),
    to_half("int8", "8", "bfloat16"),
    look_up("nf4", "dense"),
    look_up("nf5", "1+4", pairs=False),
]
MAIN = """
#include <stdio.h>
int main(void)
{{
    uint32_t w[{words}], out[{pairs}];
    while (fread(w, sizeof w, 1, stdin) == 1) {{
        {name}(w, {table}out);
        fwrite(out, sizeof out, 1, stdout);
    }}
    return 0;
}}
"""


def compiled(program, folder: Path, main: str = MAIN, *, before: str = "") -> Path:
    """Compile a program's C text with a main function; warnings are errors."""
    table = ""
    if program.table:
        table = (
            f"static const uint32_t T[] = {{{', '.join(f'{word}u' for word in program.table)}}};"
        )
    text = main.format(
        words=program.layout.words,
        pairs=len(program.outputs),
        name=program.name,
        table="T, " if program.table else "",
    )
    source, binary = folder / "program.c", folder / "program"
    source.write_text("\n".join([before, registers.to_c(program), table, text]))
    options = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [COMPILER, *options, str(source), "-o", str(binary), "-lm"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return binary


def run_c(binary: Path, words: np.ndarray) -> np.ndarray:
    output = subprocess.run([binary], input=words.tobytes(), capture_output=True, check=True).stdout
    return np.frombuffer(output, np.uint32)


@needs_compiler
@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_c_equals_run(program, tmp_path):
    words = every_input(program)
    got = run_c(compiled(program, tmp_path), words)
    assert np.array_equal(got, registers.run(program, words).reshape(-1))


@needs_compiler
def test_the_comparison_finds_a_mistake(tmp_path):
    program = to_half("e2m2", "fpe2m2_kernel")
    binary = compiled(program, tmp_path)
    text = (tmp_path / "program.c").read_text()
    assert "0x80008000u" in text
    (tmp_path / "program.c").write_text(text.replace("0x80008000u", "0xf800f800u"))
    subprocess.run([COMPILER, tmp_path / "program.c", "-o", binary, "-lm"], check=True)
    words = every_input(program)
    assert not np.array_equal(run_c(binary, words), registers.run(program, words).reshape(-1))


@needs_compiler
def test_c_of_every_instruction(tmp_path):
    """Instructions that no program above has, with random operands."""
    operands = (Register(0), Register(1), Register(2))
    for target in ("float16", "bfloat16"):
        instructions = [
            Instruction(op, operands[: op.operands], 0x96 if op is Op.LOP3 else 0)
            for op in (Op.HSUB2, Op.HFMA2, Op.HADD2, Op.HMUL2, Op.OR, Op.XOR, Op.LOP3)
        ]
        instructions.append(Instruction(Op.PRMT, (Register(0), Register(1), 0xF0B7)))
        rng = np.random.default_rng(2)
        words = rng.integers(0, 1 << 32, (2000, 3), np.uint32)
        for instruction in instructions:
            program = program_of([instruction], target=target)
            got = run_c(compiled(program, tmp_path), words)
            assert np.array_equal(got, registers.run(program, words).reshape(-1)), instruction


@needs_compiler
def test_two_texts_compile_in_one_file(tmp_path):
    first = registers.to_c(to_half("e2m2", "1+4")).replace("e2m2_to", "first_e2m2_to")
    compiled(to_half("e2m2", "dense"), tmp_path, before=first)


SWEEP = """
#include <stdio.h>
static const uint16_t WANT[] = {{WANT_VALUES}};
int main(void)
{{
    uint32_t word = 0, out[{pairs}];
    unsigned long wrong = 0;
    do {{
        {name}(&word, {table}out);
        for (int k = 0; k < {pairs}; k++)
            for (int h = 0; h < 2; h++)
                wrong += (uint16_t)(out[k] >> 16 * h) != WANT[word >> 4 * (2 * k + h) & 15];
    }} while (++word);
    printf("%lu\\n", wrong);
    return 0;
}}
"""


@needs_compiler
@pytest.mark.long
def test_c_on_all_words(tmp_path):
    """All 2**32 words of eight E2M1 codes, without the multiplication, which is slow in C."""
    program = to_half("e2m1", "dense", fold_scale=True)
    values = mf.parse("e2m1").values() * 2.0**program.scale_exponent
    want = ", ".join(map(str, registers.half_words(values, "float16")))
    binary = compiled(program, tmp_path, SWEEP.replace("WANT_VALUES", want))
    assert subprocess.run([binary], capture_output=True, check=True).stdout == b"0\n"


LINE = re.compile(r"  r(\d+) *= (\w+) +([^#]*?)(?: +#.*)?")


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_assembly_is_complete(program):
    """The program can be rebuilt from its assembly."""

    def operand(text: str) -> Register | int:
        if text[0] in "wr":
            return Register(int(text[1:]) + (program.layout.words if text[0] == "r" else 0))
        return int(text, 0)

    lines = registers.to_assembly(program).splitlines()
    assert program.name in lines[0]
    assert f"{program.cost.per_weight:.2f} per weight" in lines[0]
    instructions = []
    for line in lines[1:-1]:
        match = LINE.fullmatch(line)
        op = Op[match[2]]
        operands = [operand(text) for text in match[3].split(", ")]
        table = operands.pop() if op is Op.LOP3 else 0
        instructions.append(Instruction(op, tuple(operands), table))
    assert tuple(instructions) == program.instructions
    outputs = lines[-1].removeprefix("out = ").split(", ")
    assert tuple(map(operand, outputs)) == program.outputs
    assert str(program) == registers.to_assembly(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_cuda_has_a_statement_for_each_instruction(program):
    text = registers.to_cuda(program)
    body = text[text.index("{") :]
    assert body.count("uint32_t r") == len(program.instructions)
    assert body.count("out[") == len(program.outputs)
    assert ("const uint32_t *table" in text) == bool(program.table)
    if program.target == "bfloat16":  # compute capability 8.0 has no other
        assert set(re.findall(r"\w+\.rn\.\w+", text)) <= {"fma.rn.bf16x2"}
    if program.scale_exponent:
        assert f"times 2**{program.scale_exponent}" in text
    for line in program.layout.picture().splitlines():
        assert line in text
