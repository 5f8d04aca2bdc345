"""`registers.run` equals an exact, slow machine bit for bit, for every instruction."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minifloat import registers
from minifloat.packing.layouts import Layout
from minifloat.registers import Instruction, Op, Program, Register
from tests.registers import slow_machine as slow_registers
from tests.registers.programs import critical_words, program_of
from tests.registers.slow_machine import slow_run

TWO_CODES = Layout(16, 1, [range(16), range(16, 32)])
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
WORDS = st.integers(0, 2**32 - 1)


@st.composite
def programs(draw):
    """Draw sequences of all instructions over registers and constants."""
    target = draw(st.sampled_from(sorted(HALVES)))
    instructions = []
    for position in range(draw(st.integers(1, 8))):
        op = draw(st.sampled_from([op for op in Op if op is not Op.LDS]))
        readable = st.integers(0, 2 + position).map(Register)
        operands = [draw(readable | WORDS) for _ in range(op.operands)]
        if op.kind == "shift":
            operands[1] = draw(st.integers(0, 31))
        if op is Op.PRMT:
            operands[2] = draw(WORDS)
        table = draw(st.integers(0, 255)) if op is Op.LOP3 else 0
        instructions.append(Instruction(op, tuple(operands), table))
    return program_of(instructions, target=target)


@settings(max_examples=150)
@given(programs(), st.lists(WORDS, min_size=3, max_size=3), st.booleans())
def test_against_the_slow_machine(program, words, flush):
    got = registers.run(program, np.array(words, np.uint32), flush_subnormals=flush)
    assert got.tolist() == slow_run(program, words, flush=flush)


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("target", sorted(HALVES))
@pytest.mark.parametrize("op", [Op.HMUL2, Op.HADD2, Op.HSUB2, Op.HFMA2])
def test_arithmetic_at_the_edges(op, target, flush):
    words = critical_words(target)
    rng = np.random.default_rng(3)
    a = np.repeat(np.array(words, np.uint32), 24)
    b, c = rng.choice(words, a.size).astype(np.uint32), rng.choice(words, a.size).astype(np.uint32)
    program = program_of([Instruction(op, tuple(map(Register, range(op.operands))))], target=target)
    got = registers.run(program, np.stack([a, b, c], 1), flush_subnormals=flush)
    for x, y, z, out in zip(a, b, c, got[:, 0] & 0xFFFF, strict=True):
        operands = [int(x), int(y), int(z)][: op.operands]
        want = slow_registers.half(op, operands, target, flush)
        assert out == want, (op, target, [hex(word) for word in operands], hex(out), hex(want))


@pytest.mark.parametrize("constant", [0x7800, 0x3C00, 0x5C00, 0x0400, 0x0001, 0xC000])
def test_every_float16_times_a_constant_equals_numpy(constant):
    words = np.arange(1 << 16, dtype=np.uint32)
    program = program_of([Instruction(Op.HMUL2, (Register(0), constant))], words=1)
    got = registers.run(program, words[:, None])[:, 0] & 0xFFFF
    factor = np.uint16(constant).view(np.float16)
    with np.errstate(all="ignore"):
        want = (words.astype(np.uint16).view(np.float16) * factor).view(np.uint16)
    numbers = ~np.isnan(want.view(np.float16))
    assert np.array_equal(got[numbers], want[numbers])
    assert np.all(got[~numbers] == 0x7FFF)


@pytest.mark.long
@pytest.mark.parametrize("op", [Op.HMUL2, Op.HADD2])
def test_all_pairs_of_float16_equal_numpy(op):
    other = np.arange(1 << 16, dtype=np.uint32)
    program = program_of([Instruction(op, (Register(0), Register(1)))], words=2)
    words = np.stack([other, other], 1)
    function = np.multiply if op is Op.HMUL2 else np.add
    with np.errstate(all="ignore"):
        for x in range(1 << 16):
            words[:, 0] = x
            got = (registers.run(program, words)[:, 0] & 0xFFFF).astype(np.uint16)
            factor = np.uint16(x).view(np.float16)
            want = function(factor, other.astype(np.uint16).view(np.float16))
            same = (got == want.view(np.uint16)) | (np.isnan(want) & (got == 0x7FFF))
            assert same.all(), hex(x)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (Instruction(Op.HMUL2, (Register(0), Register(1))), {"op": Op.HADD2}),
        (Instruction(Op.HSUB2, (Register(0), Register(1))), {"op": Op.HADD2}),
        (Instruction(Op.AND, (Register(0), Register(1))), {"op": Op.OR}),
        (Instruction(Op.SHR, (Register(0), 3)), {"operands": (Register(0), 4)}),
        (Instruction(Op.SHR, (Register(0), 3)), {"op": Op.SHL}),
        (Instruction(Op.PRMT, (Register(0), Register(1), 0x7B20)), {"op": Op.LOP3}),
        *[
            (Instruction(Op.LOP3, tuple(map(Register, range(3))), 0xCA), {"table": 0xCA ^ 1 << bit})
            for bit in range(8)
        ],
    ],
)
def test_the_oracle_finds_a_wrong_machine(right, wrong):
    """Each planted mistake in one instruction makes the comparison above fail."""
    words = np.random.default_rng(5).integers(0, 1 << 32, (20, 3), np.uint32)
    want = [slow_run(program_of([right]), group) for group in words.tolist()]
    assert registers.run(program_of([right]), words).tolist() == want
    assert registers.run(program_of([right._replace(**wrong)]), words).tolist() != want


def test_hfma_rounds_once():
    """(1 + 2**-10)**2 + 2**-11 is just above a tie; a rounded product would make it a tie."""
    program = program_of([Instruction(Op.HFMA2, (Register(0), Register(0), Register(1)))], words=2)
    assert registers.run(program, np.array([0x3C01, 0x1000], np.uint32))[0] == 0x3C03


def test_shapes_and_tiles():
    program = registers.to_half("e2m2", "fpe2m2_kernel")
    words = np.random.default_rng(0).integers(0, 1 << 32, (3, 7, 5 * 111), np.uint32)
    got = registers.run(program, words)
    assert got.shape == (3, 7, 16 * 111)
    one_by_one = [registers.run(program, group) for group in words.reshape(-1, 5)]
    assert np.array_equal(got.reshape(-1, 16), one_by_one)
    assert np.array_equal(registers.run(program, words[::-1, ::2]), got[::-1, ::2])
    out = np.empty_like(got)
    assert registers.run(program, words, out=out) is out
    assert np.array_equal(out, got)
    assert registers.run(program, np.zeros((0, 5), np.uint32)).shape == (0, 16)
    assert registers.run(program, np.zeros((2, 0), np.uint32)).shape == (2, 0)


def test_bad_input():
    program = registers.to_half("e2m2", "fpe2m2_kernel")
    words = np.zeros(10, np.uint32)
    with pytest.raises(TypeError, match="words must be a NumPy array of uint32, got int32"):
        registers.run(program, words.astype(np.int32))
    with pytest.raises(TypeError, match="words must be a NumPy array of uint32, got list"):
        registers.run(program, [0] * 5)
    for shape in ((), (4,), (5, 1)):
        with pytest.raises(ValueError, match="words must have whole groups of 5"):
            registers.run(program, np.zeros(shape, np.uint32))
    with pytest.raises(ValueError, match="out must have shape"):
        registers.run(program, words, out=np.zeros(5, np.uint32))
    with pytest.raises(TypeError, match="out must have dtype uint32"):
        registers.run(program, words, out=np.zeros(32, np.int32))
    with pytest.raises(ValueError, match="out must be contiguous and not overlap words"):
        registers.run(program, words, out=np.zeros(64, np.uint32)[::2])
    wide = program_of([Instruction(Op.LDS, (Register(0),))], words=1, table=[7, 8])
    assert registers.run(wide, np.array([4], np.uint32)).tolist() == [8]
    with pytest.raises(ValueError, match="within its table of 8 bytes, got 2 look-ups"):
        registers.run(wide, np.array([8, 4, 400], np.uint32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "float32"}, "target must be float16 or bfloat16"),
        ({"name": "e2m2 to"}, "name must be an identifier"),
        ({"outputs": ()}, "outputs must be one register for each pair of 2 codes, got 0"),
        ({"outputs": (Register(9),)}, "outputs must be registers of the program"),
        ({"instructions": (Instruction(Op.AND, (1,)),)}, "must have 2 operands, got 1"),
        ({"instructions": (Instruction(Op.AND, (1, Register(1))),)}, "registers written before it"),
        ({"instructions": (Instruction(Op.AND, (1, -1)),)}, "must have 32-bit constants, got -1"),
        ({"instructions": (Instruction(Op.SHL, (1, 32)),)}, "shift by a constant below 32, got 32"),
        ({"instructions": (Instruction(Op.LOP3, (1, 2, 3), 256),)}, "truth table of 8 bits"),
        ({"instructions": (Instruction(Op.LDS, (1,)),)}, "must have a table to read"),
        (
            {"instructions": (Instruction(Op.PRMT, (1, 2, Register(0))),)},
            "must have a constant selector",
        ),
    ],
)
def test_programs_are_checked(change, message):
    program = Program("p", TWO_CODES, "float16", 0, (), (Register(0),))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(program, **change)
