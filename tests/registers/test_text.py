"""Emitted text: C is compiled and compared with `run`, assembly and CUDA text are read back.

`test_machine_code.py` tests the machine code of the CUDA text.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import minifloat as mf
from analysis.gpu.cuda_toolkit import REMEDY, disassemble, find_toolkit, run_tool
from minifloat import registers
from minifloat.registers import Instruction, Op, Register, look_up, to_half
from tests.registers.programs import critical_words, every_input, program_of

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
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


def main_of(program, main: str = MAIN, table: str = "") -> str:
    return main.format(
        words=program.layout.words, pairs=len(program.outputs), name=program.name, table=table
    )


def build(text: str, path: Path, *options: str, compiler: str | None = COMPILER) -> Path:
    """Compile a file of C (or C++) to a program beside it."""
    path.write_text(text)
    binary = path.with_suffix("")
    command = [compiler, *options, str(path), "-o", str(binary)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return binary


def compiled(program, folder: Path, main: str = MAIN, *, options: Sequence[str] = STRICT) -> Path:
    """Compile a program's C text, which stands alone, with a main function."""
    text = registers.to_c(program) + main_of(program, main)
    return build(text, folder / "program.c", *options)


def run_c(binary: Path, words: np.ndarray) -> np.ndarray:
    output = subprocess.run([binary], input=words.tobytes(), capture_output=True, check=True).stdout
    return np.frombuffer(output, np.uint32)


@needs_compiler
@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_c_equals_run(program, tmp_path):
    words = every_input(program)
    got = run_c(compiled(program, tmp_path), words)
    assert np.array_equal(got, registers.run(program, words).reshape(-1))


FAST = [("-O3", "-ffast-math"), ("-Ofast",), ("-O2", "-funsafe-math-optimizations"), ("-O0",)]


@needs_compiler
@pytest.mark.parametrize("options", FAST, ids=" ".join)
@pytest.mark.parametrize("fmt", ["e2m2", "int5"])
def test_no_option_changes_the_bits_of_c(fmt, options, tmp_path):
    """With arithmetic in double, -ffast-math turned the code of -0 into +0."""
    program = to_half(fmt, "dense")
    words = every_input(program)
    got = run_c(compiled(program, tmp_path, options=options), words)
    assert np.array_equal(got, registers.run(program, words).reshape(-1))
    for line in ("float ", "double ", "math.h"):
        assert line not in registers.to_c(program)


@needs_compiler
def test_the_comparison_finds_a_mistake(tmp_path):
    program = to_half("e2m2", "fpe2m2_kernel")
    binary = compiled(program, tmp_path)
    text = (tmp_path / "program.c").read_text()
    assert "0x80008000u" in text
    binary = build(text.replace("0x80008000u", "0xf800f800u"), tmp_path / "wrong.c")
    words = every_input(program)
    assert not np.array_equal(run_c(binary, words), registers.run(program, words).reshape(-1))


def instructions_of_every_kind() -> list[Instruction]:
    operands = (Register(0), Register(1), Register(2))
    return [
        *(
            Instruction(op, operands[: op.operands], 0x96 if op is Op.LOP3 else 0)
            for op in (Op.HSUB2, Op.HFMA2, Op.HADD2, Op.HMUL2, Op.OR, Op.XOR, Op.LOP3)
        ),
        Instruction(Op.PRMT, (Register(0), Register(1), 0xF0B7)),
    ]


@needs_compiler
@pytest.mark.parametrize("target", ["float16", "bfloat16"])
@pytest.mark.parametrize("instruction", instructions_of_every_kind(), ids=lambda i: i.op)
def test_c_of_every_instruction(instruction, target, tmp_path):
    """Random operands, and every mixture of the edges of the halves."""
    rng = np.random.default_rng(2)
    words = rng.integers(0, 1 << 32, (20_000, 3), np.uint32)
    edges = rng.choice(critical_words(target), (2, 200_000, 3)).astype(np.uint32)
    words = np.concatenate([words, edges[0] << 16 | edges[1]])
    program = program_of([instruction], target=target)
    got = run_c(compiled(program, tmp_path), words)
    assert np.array_equal(got, registers.run(program, words).reshape(-1))


@needs_compiler
def test_texts_compile_in_one_file(tmp_path):
    programs = [to_half("e2m2", "1+4"), to_half("e2m2", "1+4", "bfloat16"), look_up("nf4", "4")]
    last = to_half("e5m2fnuz", "8")
    text = "".join(map(registers.to_c, [*programs, last]))
    build(text + main_of(last), tmp_path / "program.c", *STRICT, "-Wno-unused-function")


@needs_compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ on PATH")
@pytest.mark.parametrize("program", [PROGRAMS[0], PROGRAMS[-2]], ids=repr)
def test_c_is_c_plus_plus_too(program, tmp_path):
    text = registers.to_c(program) + main_of(program)
    binary = build(text, tmp_path / "program.cpp", "-Wall", "-Wextra", "-Werror", compiler="g++")
    words = every_input(program)
    assert np.array_equal(run_c(binary, words), registers.run(program, words).reshape(-1))


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
@pytest.mark.parametrize("fold_scale", [True, False])
def test_c_on_all_words(fold_scale, tmp_path):
    """All 2**32 words of eight E2M1 codes."""
    program = to_half("e2m1", "dense", fold_scale=fold_scale)
    values = mf.parse("e2m1").values() * 2.0**program.scale_exponent
    want = ", ".join(map(str, registers.half_words(values, "float16")))
    binary = compiled(program, tmp_path, SWEEP.replace("WANT_VALUES", want))
    assert subprocess.run([binary], capture_output=True, check=True).stdout == b"0\n"


LINE = re.compile(r"  r(\d+) *= (\w+) +([^#]*?)(?: +#.*)?")


@pytest.mark.parametrize(
    "fmt", ["[-1 -0.5 0 1e-05]", f"[{' '.join(str(k / 7) for k in range(16))}]"]
)
def test_a_codebook_named_by_its_values_has_a_short_name_that_nobody_reserves(fmt: str) -> None:
    """C++ reserves names with two underscores after one another."""
    name = to_half(fmt, str(mf.parse(fmt).bits)).name
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_]{1,100}", name)
    assert "__" not in name


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_assembly_is_complete(program):
    """The program can be rebuilt from its assembly."""

    def operand(text: str) -> Register | int:
        if text[0] in "wr":
            return Register(int(text[1:]) + (program.layout.words if text[0] == "r" else 0))
        return int(text, 0)

    text, _, numbers = registers.to_assembly(program).partition("\ntable of ")
    lines, rows = text.splitlines(), numbers.splitlines()[1:]
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
    words = tuple(int(word, 16) for row in rows for word in row.split())
    assert words == program.table
    assert numbers.startswith(f"{len(words)} words, from byte 0 on:") or not words
    assert str(program) == registers.to_assembly(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=repr)
def test_cuda_has_a_statement_for_each_instruction(program):
    text = registers.to_cuda(program)
    body = text[text.index("void ") :]
    assert body.count("uint32_t r") == len(program.instructions)
    assert body.count("out[") == len(program.outputs)
    assert ("const uint32_t *table" in text) == bool(program.table)
    if program.target == "bfloat16":  # compute capability 8.0 has no other
        assert set(re.findall(r"\w+\.rn\.\w+", text)) <= {"fma.rn.bf16x2"}
    if program.scale_exponent:
        assert f"times 2**{program.scale_exponent}" in text
    for line in program.layout.picture().splitlines():
        assert line in text


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ on PATH")
@pytest.mark.parametrize("fmt", ["nf4", "bnb_fp4", "nf5", "sf4"])
def test_cuda_text_has_the_table_that_it_needs(fmt, tmp_path):
    """Without PTX in it, the text is C++, which a CPU can run."""
    program = look_up(fmt, "dense", pairs=True)
    text = registers.to_cuda(program).replace("__device__", "").replace("__forceinline__", "inline")
    if "asm(" in text:
        text = re.sub(
            r'asm\("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"\((r\d+)\) : '
            r'"r"\((.*?)\), "r"\((.*?)\), "r"\((.*?)\)\)',
            r"\1 = (\2 & \3) | \4",
            text,
        )
    binary = build(
        text + main_of(program, table=f"{program.name}_table, "),
        tmp_path / "program.cpp",
        "-Wall",
        "-Wextra",
        "-Werror",
        compiler="g++",
    )
    words = every_input(program)
    assert np.array_equal(run_c(binary, words), registers.run(program, words).reshape(-1))


KERNEL = """
__global__ void kernel(const uint32_t *words, uint32_t *results)
{{
    uint32_t w[{words}], out[{pairs}];
    for (int i = 0; i < {words}; i++) w[i] = words[i];
    {name}(w, {table}out);
    for (int i = 0; i < {pairs}; i++) results[i] = out[i];
}}
"""


@pytest.mark.skipif(find_toolkit() is None, reason=f"no CUDA toolkit; {REMEDY}")
@pytest.mark.parametrize("program", [PROGRAMS[0], PROGRAMS[2], PROGRAMS[-2]], ids=repr)
def test_cuda_stands_alone_and_no_option_changes_its_code(program, tmp_path):
    source, cubins = tmp_path / "text.cu", []
    table = f"{program.name}_table, " if program.table else ""
    source.write_text(registers.to_cuda(program) + main_of(program, KERNEL, table))
    for option in ("-use_fast_math", "-fmad=true"):  # the second is the default
        run_tool(
            find_toolkit().nvcc,
            "-arch=sm_90",
            "-allow-unsupported-compiler",
            "-cubin",
            "-Werror=all-warnings",
            option,
            source,
            "-o",
            tmp_path / "text.cubin",
        )
        code = json.loads(disassemble((tmp_path / "text.cubin").read_bytes()))
        cubins.append(code[1:])
    assert cubins[0] == cubins[1]
