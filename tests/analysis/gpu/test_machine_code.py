"""Machine instructions of conversions whose cost is known: the count finds them, and no more."""

from __future__ import annotations

import pytest

from analysis.gpu.cuda_toolkit import REMEDY, compile_cubin, find_toolkit
from analysis.gpu.device_function import DeviceFunction
from analysis.gpu.machine_code import Instruction, depending_on_words, machine_cost, read_kernels
from minifloat import registers
from tests.analysis.gpu.device_functions import (
    ARCHITECTURES,
    e2m2,
    instruction,
    one_word,
    pair_table,
)

needs_toolkit = pytest.mark.skipif(find_toolkit() is None, reason=f"no CUDA toolkit; {REMEDY}")

MASK_AND_OR = "lop3.b32 OPERANDS, 0xea"
KNOWN = {
    "nothing": (one_word("out[0] = w[0];"), {}, 0),
    "xor": (one_word("out[0] = w[0] ^ 0x12345678;"), {"logic": 1}, 0),
    "shifts": (one_word("out[0] = w[0] << 5; out[1] = w[0] >> 5;", 2), {"shift": 2}, 0),
    "a shift by 16": (one_word("out[0] = w[0] << 16;"), {"shift": 1}, 0),
    "permute": (
        one_word(instruction("prmt.b32 OPERANDS, 0x6240", "out[0]", "w[0]", "0")),
        {"permute": 1},
        0,
    ),
    "product": (
        one_word(instruction("mul.rn.f16x2 OPERANDS", "out[0]", "w[0]", "0x78007800")),
        {"half": 1},
        0,
    ),
    "sum": (
        one_word(instruction("add.rn.f16x2 OPERANDS", "out[0]", "w[0]", "0xe408e408")),
        {"half": 1},
        0,
    ),
    "bfloat16 product": (
        one_word(
            instruction("fma.rn.bf16x2 OPERANDS", "out[0]", "w[0]", "0x7b807b80", "0x80008000")
        ),
        {"half": 1},
        0,
    ),
    "two constants, one in a register": (
        one_word(instruction(MASK_AND_OR, "out[0]", "w[0]", "0x000f000f", "0x64006400")),
        {"logic": 1},
        1,
    ),
    "the same in C": (
        one_word("out[0] = w[0] & 0x000f000f | 0x64006400;"),
        {"logic": 2},
        0,
    ),
    "table": (pair_table(), {"look-up": 4, "logic": 4, "shift": 4}, 0),
    "e2m2, scaled": (e2m2(multiply=False), {"logic": 32, "shift": 27}, 0),
    "e2m2": (e2m2(multiply=True), {"logic": 32, "shift": 27, "half": 16}, 0),
}


@needs_toolkit
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", KNOWN)
def test_counts_known_conversions(name: str, arch: str) -> None:
    function, kinds, constants = KNOWN[name]
    cost = machine_cost(function, arch)
    assert cost.kinds == kinds
    assert cost.constants == constants
    assert cost.total == sum(kinds.values()) == sum(cost.opcodes.values())
    assert cost.per_code == cost.total / (2 * function.pairs)


@needs_toolkit
def test_work_done_twice_costs_twice() -> None:
    step = "v = (v ^ v >> 7) + 0x9e3779b9;"
    once, twice = (
        machine_cost(one_word(f"uint32_t v = w[0]; {step * n} out[0] = v;")) for n in (1, 2)
    )
    assert twice.total == 2 * once.total > 0


PROGRAMS = [
    ("fpe2m2", "fpe2m2_kernel", "float16"),
    ("e2m2", "1+4", "bfloat16"),
    ("e2m2", "dense", "float16"),
    ("e2m1", "4", "float16"),
    ("e3m2", "2+4", "float16"),
    ("e4m3", "8", "float16"),
    ("e5m2", "8", "float16"),
    ("int4", "4", "float16"),
    ("int5", "1+4", "float16"),
]


@needs_toolkit
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("fmt", "layout", "target"), PROGRAMS)
def test_programs_cost_what_they_say(fmt: str, layout: str, target: str, arch: str) -> None:
    program = registers.to_half(fmt, layout, target=target)
    cost = machine_cost(DeviceFunction.of(program), arch)
    said = program.cost._asdict()
    weights = said.pop("weights")
    assert cost.kinds == {kind: count for kind, count in said.items() if count}
    assert cost.codes == weights


@needs_toolkit
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("layout", ["4", "dense"])
def test_tables_cost_what_they_say(layout: str, arch: str) -> None:
    program = registers.look_up("nf4", layout)
    cost = machine_cost(DeviceFunction.of(program), arch)
    assert cost.total == program.cost.total
    assert cost.kinds["look-up"] == program.cost.load


@needs_toolkit
def test_work_that_comes_to_nothing_costs_nothing() -> None:
    assert machine_cost(one_word("out[0] = w[0] ^ 0x1234 ^ 0x1234;")).total == 0


@needs_toolkit
def test_kernels_of_one_word_read_as_written() -> None:
    source = """
extern "C" __global__ void add(unsigned *x) { x[threadIdx.x] ^= 5; }
extern "C" __global__ void idle() {}
"""
    kernels = read_kernels(compile_cubin(source, "sm_80"))
    opcodes = [step.opcode.partition(".")[0] for step in kernels["add"]]
    assert [opcodes.count(name) for name in ("LDG", "LOP3", "STG", "EXIT", "NOP")] == [1] * 4 + [0]
    (logic,) = (step for step in kernels["add"] if step.kind == "logic")
    assert "0x5" in logic.operands
    assert not any(step.kind in ("load", "store") for step in kernels["idle"])


@needs_toolkit
def test_errors() -> None:
    unused = DeviceFunction(one_word("out[0] = out[1] = w[0];").text, "f", words=2, pairs=2)
    with pytest.raises(RuntimeError, match=r"f must use all its 2 words.* got 1 loads"):
        machine_cost(unused)
    with pytest.raises(RuntimeError, match=r"nvcc failed:\n(.|\n)*undefined"):
        machine_cost(one_word("out[0] = missing;"))
    with pytest.raises(RuntimeError, match="nvdisasm failed"):
        read_kernels(b"no machine code")


@pytest.mark.parametrize(
    ("opcode", "operands", "kind"),
    [
        ("IMAD.MOV.U32", "R1,RZ,RZ,c[0x0][0x28]", "move"),
        ("HFMA2.MMA", "R9,R9.reuse,32768,32768,-RZ", "half"),
        ("IMAD.SHL.U32", "R4,R4.reuse,0x100,RZ", "shift"),
        ("IMAD.U32", "R9,R4,0x10000,RZ", "shift"),
        ("IMAD", "R9,R4,0x10001,RZ", "integer"),
        ("IMAD", "R9,R4,0x10000,R5", "integer"),
        ("IMAD.X", "R13,RZ,RZ,R13,P2", "integer"),
        ("LDS.U16", "R2,[R10+0x4]", "look-up"),
        ("BAR.SYNC.DEFER_BLOCKING", "0x0", "other"),
    ],
)
def test_kinds(opcode: str, operands: str, kind: str) -> None:
    assert Instruction(opcode, tuple(operands.split(","))).kind == kind


@pytest.mark.parametrize(
    ("code", "depends"),
    [
        ("LDG R4,[R2.64]; MOV R5,0x7; LOP3 R6,R4,R5,RZ,0xc0,!PT", [0, 0, 1]),
        ("LDG R4,[R2.64]; MOV R4,0x7; SHF R6,R4,0x1,RZ", [0, 0, 0]),
        ("LDG R4,[R2.64]; @P0 MOV R4,0x7; SHF R6,R4,0x1,RZ", [0, 0, 1]),
        ("LDG R4,[R2.64]; ISETP P0,PT,R4,RZ,PT; @P0 MOV R7,0x7; MOV R8,R7", [0, 1, 1, 1]),
        ("LDG R4,[R2.64]; IADD3 R5,P1,R4,R4,RZ; IADD3.X R6,R7,R7,RZ,P1", [0, 1, 1]),
        ("LDG R4,[R2.64]; IMAD.WIDE R6,R4,0x4,R8; MOV R9,R7", [0, 1, 1]),
        ("LDG R4,[R2.64]; LDS R5,[R4]; LDS R6,[R7]; STG [R2.64],R5; MOV R8,R2", [0, 1, 0, 1, 0]),
        ("LDG R4,[R2.64]; HMUL2 R5,R4.reuse.H0_H0,R41; MOV R6,R41", [0, 1, 0]),
    ],
)
def test_dependence_on_words(code: str, depends: list[int]) -> None:
    steps = []
    for line in code.split("; "):
        *guard, opcode, operands = line.split()
        steps.append(Instruction(opcode, tuple(operands.split(",")), "".join(guard)))
    assert depending_on_words(steps) == [bool(flag) for flag in depends]


def test_branches_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel must be a straight line of code, got a branch"):
        depending_on_words([Instruction("BRA", ("0x100",))])


def test_a_missing_toolkit_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.gpu.cuda_toolkit.find_toolkit", lambda: None)
    with pytest.raises(RuntimeError, match=r"a CUDA toolkit must be installed.*minifloat\[cuda\]"):
        machine_cost(one_word("out[0] = w[0];"))


def test_device_functions_are_checked() -> None:
    with pytest.raises(ValueError, match="name must be a function in text, got 'g'"):
        DeviceFunction("void f() {}", "g", words=1, pairs=1)
    with pytest.raises(ValueError, match=r"words must be in 1\.\.pairs = 1, got 2"):
        DeviceFunction("void f() {}", "f", words=2, pairs=1)
    with pytest.raises(ValueError, match="table_size must be at least 0, got -1"):
        DeviceFunction("void f() {}", "f", words=1, pairs=1, table_size=-1)
