"""Programs are proved for every format, and wrong programs are rejected."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minifloat as mf
from minifloat import registers
from minifloat.formats import Codebook, Format, Integer
from minifloat.packing.layouts import FPE2M2_KERNEL, Layout, parse_layout
from minifloat.registers import AND_OR, Builder, Instruction, Op, Program, Register, prove, to_half
from tests.registers.slow_machine import slow_run

TARGETS = {"float16": (5, 10), "bfloat16": (8, 7)}
KERNEL_SIGN_PLANE = 4


def fits(exponent_bits, mantissa_bits, target, *, whole_range=True):
    e, m = TARGETS[target]
    return exponent_bits <= e and mantissa_bits <= m - (whole_range and exponent_bits == e)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(2, 9))
def test_every_exmy_up_to_8_bits(bits, signed, target):
    """With several biases; if the target lacks some values, with the factor left to the scale."""
    proved = 0
    for exponent_bits in range(1, bits - signed + 1):
        mantissa_bits = bits - signed - exponent_bits
        if not fits(exponent_bits, mantissa_bits, target):
            continue
        usual = 2 ** (exponent_bits - 1) - 1
        for bias in (usual, 0, usual + 1, 17, -30):
            fmt = Format(exponent_bits, mantissa_bits, bias=bias, signed=signed)
            proof = prove(to_half(fmt, "dense", target, fold_scale=True), fmt)
            assert proof.holds, proof
            assert not proof.specials
            target_bias = 2 ** (TARGETS[target][0] - 1) - 1
            halved = exponent_bits == TARGETS[target][0]
            assert proof.program.scale_exponent == bias - target_bias - halved
            if target_has_values_of(fmt, target):
                proof = prove(to_half(fmt, "dense", target), fmt)
                assert proof.holds, proof
                assert proof.program.scale_exponent == 0
            else:
                with pytest.raises(ValueError, match="target must have every value"):
                    to_half(fmt, "dense", target)
            proved += 1
    assert proved or (bits, signed) == (2, False) or bits > 6


def target_has_values_of(fmt, target):
    words = registers.half_words(fmt.values(), target)
    return np.array_equal(mf.decode(words, target, dtype=np.float64), fmt.values())


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_every_exmy_up_to_16_bits(target):
    for bits, signed in itertools.product(range(9, 17), (True, False)):
        for exponent_bits in range(1, bits - signed + 1):
            mantissa_bits = bits - signed - exponent_bits
            if fits(exponent_bits, mantissa_bits, target):
                fmt = Format(exponent_bits, mantissa_bits, signed=signed)
                assert prove(to_half(fmt, "dense", target, fold_scale=True), fmt)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("fmt", "layouts"),
    [
        ("e2m2", ["fpe2m2_kernel", "fpe2m2_checkpoint", "1+4", "4+1", "1+2+2"]),
        ("fpe2m2", ["fpe2m2_kernel", "fpe2m2_checkpoint", "1+4"]),
        ("e3m1", ["1+4"]),
        ("e1m3", ["1+4"]),
        ("e2m1", ["nvfp4", "4", "2+2", "1+1+2"]),
        ("e3m2", ["2+4", "4+2"]),
        ("e2m3", ["2+4", "4+2"]),
        ("e3m3", ["1+2+4", "4+2+1"]),
        ("e5m1b16", ["1+2+4"]),
        ("e4m3fn", ["8", "4+4"]),
        ("e5m2", ["8"]),
        ("e4m3fnuz", ["8"]),
        ("e5m2fnuz", ["8"]),
        ("e4m3ieee", ["8"]),
        ("binary8p4se", ["8"]),
        ("ue4m3", ["1+2+4"]),
        *[(f"int{bits}", ["dense"]) for bits in range(2, 9)],
        *[(f"int{bits}full", ["dense"]) for bits in range(2, 9)],
        *[(f"uint{bits}", ["dense"]) for bits in range(1, 9)],
        ("int4", ["4", "2+2"]),
        ("int5", ["1+4", "4+1"]),
        ("int8", ["8"]),
        ("uint8", ["8"]),
        ("mxint8", ["8"]),
        ("bipolar_int4", ["4"]),
        ("nf4", ["dense", "4"]),
        ("nf5", ["dense", "1+4"]),
        ("bnb_fp4", ["dense"]),
    ],
)
def test_named_formats(fmt, layouts, target):
    for layout in layouts:
        for fold_scale in (False, True):
            if fmt == "binary8p4se" and not fold_scale:
                assert prove(to_half(fmt, layout, target), fmt)
            proof = prove(to_half(fmt, layout, target, fold_scale=fold_scale), fmt)
            assert proof.holds, proof


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("target", TARGETS)
def test_offset_integers(bits, target):
    """Codes q with the value q - zero, as in GPTQ and AWQ."""
    for zero in {0, 1, 2 ** (bits - 1), 2**bits - 1}:
        fmt = Codebook([float(q - zero) for q in range(2**bits)], "offset")
        if (bits, target) == (8, "bfloat16") and zero % 2:  # it has only even numbers from 256 on
            with pytest.raises(ValueError, match="target must have the number to add"):
                to_half(fmt, "dense", target)
            assert prove(registers.look_up(fmt, "dense", target), fmt)
            continue
        program = to_half(fmt, "dense", target)
        assert not program.table
        assert prove(program, fmt)
        assert prove(program, Integer(bits, signed=False)).holds == (zero == 0)


@pytest.mark.parametrize(
    "values",
    [
        [-(2.0**-30), 0, 2.0**-30, 2.0**-29],  # float16 does not have this step
        [0, 4096, 8192, 12288],
        [65504.0, 131008.0],  # above the maximum
        [-2.0, -1.0, -0.0, 1.0],  # no addition gives -0
        [3.0, 2.0, 1.0, 0.0],
        [0.0, 3.0, 6.0, 9.0],
        [1.0, 2.0, 3.0, -1.0],
        [0.5, 0.75, 0.0, 0.25],
        [0.0, 1.0, 2.0],
    ],
)
def test_odd_codebooks(values):
    fmt = Codebook(values, "1st one!")
    for target in TARGETS:
        proof = prove(to_half(fmt, "dense", target), fmt)
        assert proof, proof


def test_wide_integers():
    for fmt in ("int9", "int10", "uint10"):
        assert prove(to_half(fmt, "dense"), fmt)
    with pytest.raises(ValueError, match="fmt must have at most 10 bits for float16, got int11"):
        to_half("int11", "dense")
    with pytest.raises(ValueError, match="fmt must have at most 8 bits for bfloat16, got uint9"):
        to_half("uint9", "dense", "bfloat16")


def test_tables():
    for fmt in ("nf4", "nf5", "e2m2", "e4m3fn", "e8m0"):
        for pairs in (True, False) if mf.parse(fmt).bits < 7 else (False,):
            for target in TARGETS:
                program = registers.look_up(fmt, "dense", target, pairs=pairs)
                if fmt == "e8m0" and target == "float16":
                    continue  # 2**127 overflows
                assert prove(program, fmt)
                assert program.cost.load == program.layout.count // (2 if pairs else 1)
    wrong = registers.look_up("nf4", "dense")
    wrong = dataclasses.replace(wrong, table=(*wrong.table[:7], 1, *wrong.table[8:]))
    assert not prove(wrong, "nf4")
    cut = dataclasses.replace(wrong, table=wrong.table[:255])
    with pytest.raises(ValueError, match="within its table"):
        prove(cut, "nf4")


SPECIALS = {
    ("e4m3fn", "float16"): {0x7F: 480.0, 0xFF: -480.0},
    ("e5m2", "float16"): {0x7C: np.inf, 0xFC: -np.inf, **dict.fromkeys((0x7D, 0x7E, 0x7F), np.nan),
                          **dict.fromkeys((0xFD, 0xFE, 0xFF), np.nan)},
    ("e4m3fnuz", "float16"): {0x80: -0.0},
    ("int5", "float16"): {0x10: -16.0},
    ("e4m3ieee", "bfloat16"): {0x78: 256.0, 0xF8: -256.0, 0x79: 288.0},
}  # fmt: skip


@pytest.mark.parametrize(("fmt", "target"), SPECIALS)
def test_codes_that_are_not_numbers_are_reported(fmt, target):
    proof = prove(to_half(fmt, "dense", target), fmt)
    reads_as = {special.code: special.reads_as for special in proof.specials}
    want = SPECIALS[fmt, target]
    for code, value in want.items():
        np.testing.assert_equal(reads_as[code], value)
    if len(want) != 3:
        assert reads_as.keys() == want.keys()
    first = min(want)
    kind = mf.parse(fmt).kind(first)
    assert f"{first:#x} ({kind}) reads as {want[first]}" in str(proof)


def replaced(program, old, new):
    """Return the program with every occurrence of one constant replaced."""
    count = 0
    instructions = []
    for op, operands, table in program.instructions:
        count += operands.count(old)
        changed = tuple(new if operand == old else operand for operand in operands)
        instructions.append(Instruction(op, changed, table))
    assert count, f"{old:#x} is not in the program"
    return dataclasses.replace(program, instructions=tuple(instructions))


def by_hand(words, layout, fmt, emit, scale_exponent=0):
    code = Builder(words)
    outputs = tuple(emit(code))
    return Program("by_hand", layout, "float16", scale_exponent, code.instructions, outputs)


def fpe2m2_program(sign_mask=0x8000_8000, factor=0x7800_7800, layout=FPE2M2_KERNEL):
    """Return the kernel published with FPE2M2, corrected."""

    def emit(code):
        signs = code.word(KERNEL_SIGN_PLANE)
        for pair in range(16):
            x = code.word(pair // 4)
            shift = (8, 4, 0, -4)[pair % 4]
            if shift:
                x = code.emit(Op.SHL if shift > 0 else Op.SHR, x, abs(shift))
            s = code.emit(Op.SHL, signs, pair) if pair else signs
            s = code.emit(Op.AND, s, sign_mask)
            x = code.emit(Op.LOP3, x, 0x0F00_0F00, s, table=AND_OR)
            yield code.emit(Op.HMUL2, x, factor) if factor else x

    return by_hand(5, layout, "e2m2b0", emit)


def test_the_published_kernel_corrected():
    assert prove(fpe2m2_program(), "e2m2b0")
    assert fpe2m2_program().cost == to_half("e2m2b0", FPE2M2_KERNEL).cost


def test_rejected_sign_mask():
    """With 0xf800, as published, the signs of later pairs leak into the exponent."""
    proof = prove(fpe2m2_program(sign_mask=0xF800_F800), "e2m2b0")
    assert not proof
    assert proof.leaks[0].code == 0
    assert (KERNEL_SIGN_PLANE, 14) in proof.leaks[0].bits
    assert "may depend on bit 11 of word 4" in str(proof)
    assert "IS WRONG" in str(proof)


def test_rejected_missing_factor():
    for factor in (0x3C00_3C00, None):  # 1.0, as published, and no factor
        proof = prove(fpe2m2_program(factor=factor), "e2m2b0")
        assert not proof
        assert not proof.leaks
        assert proof.differences[0].got == proof.differences[0].want * 2.0**-15
    assert not prove(to_half("e2m2", "1+4"), "e2m2b0")  # its factor is half of this one


def test_rejected_swapped_halves():
    """As published, the signs of even codes are in the high half, their magnitudes in the low."""
    rows = [[*row[:4], row[4] ^ 16] for row in FPE2M2_KERNEL.places]
    published = Layout(5, 5, rows, "fpe2m2_prototype")
    proof = prove(fpe2m2_program(layout=published), "e2m2b0")
    assert len(proof.leaks) == 32
    assert proof.leaks[0].bits == ((KERNEL_SIGN_PLANE, 15),)
    swapped = to_half("e2m2", "1+4")
    rolled = [Instruction(Op.PRMT, (output, 0, 0x1032)) for output in swapped.outputs]
    end = swapped.layout.words + len(swapped.instructions)
    swapped = dataclasses.replace(
        swapped,
        instructions=(*swapped.instructions, *rolled),
        outputs=tuple(Register(end + k) for k in range(16)),
    )
    assert len(prove(swapped, "e2m2").leaks) == 32


def test_rejected_e4m3_without_a_multiplication():
    """BitBLAS sets exponent bits by XOR, which turns zero and subnormals into 2**-7."""

    def emit(code):
        for x in (code.word(0), code.emit(Op.SHL, code.word(0), 8)):
            sign = code.emit(Op.AND, x, 0x8000_8000)
            x = code.emit(Op.LOP3, code.emit(Op.SHR, x, 1), 0x3F80_3F80, sign, table=AND_OR)
            yield code.emit(Op.XOR, x, 0x2000_2000)

    layout = Layout(8, 1, [[8, *range(9, 16)], range(24, 32), range(8), range(16, 24)])
    program = by_hand(1, layout, "e4m3fn", emit)
    proof = prove(program, "e4m3fn")
    assert not proof
    zeros = [d for d in proof.differences if d.code == 0]
    assert zeros
    assert zeros[0].got == 2.0**-7
    numbers = [code for code in range(256) if mf.parse("e4m3fn").kind(code) == "normal"]
    wrong = {d.code for d in proof.differences}
    assert not wrong & set(numbers), "its normal numbers are right"


def test_rejected_flush_to_zero():
    """Subnormals of E2M2 are subnormal halves before the multiplication."""
    for fmt in ("e2m2", "e4m3fn", "e3m2"):
        program = to_half(fmt, "dense")
        assert prove(program, fmt)
        proof = prove(program, fmt, flush_subnormals=True)
        assert not proof
        assert {d.got for d in proof.differences} == {0.0}
    assert prove(to_half("int5", "dense"), "int5", flush_subnormals=True)  # it has no subnormals


def test_rejected_other_mistakes():
    program = to_half("e2m2", "fpe2m2_kernel")
    for old, new in [
        (0x0F00_0F00, 0x0E00_0F00),
        (0x0F00_0F00, 0x0F00_1F00),
        (0x8000_8000, 0x0000_8000),
        (0x7400_7400, 0x7400_7800),
    ]:
        assert not prove(replaced(program, old, new), "e2m2")
    shifted = [
        Instruction(op, (operands[0], 7) if op is Op.SHL and operands[1] == 8 else operands, table)
        for op, operands, table in program.instructions
    ]
    assert not prove(dataclasses.replace(program, instructions=tuple(shifted)), "e2m2")
    outputs = (program.outputs[1], program.outputs[0], *program.outputs[2:])
    assert prove(dataclasses.replace(program, outputs=outputs), "e2m2").leaks
    assert not prove(dataclasses.replace(program, scale_exponent=-1), "e2m2")
    assert not prove(program, "e3m1")
    with pytest.raises(ValueError, match="fmt must have codes of 5 bits, got e2m1"):
        prove(program, "e2m1")


@settings(max_examples=60)
@given(st.data())
def test_dependencies_are_complete(data):
    """Flipping an input bit changes only output bits that depend on it."""
    fmt, layout = data.draw(
        st.sampled_from([("e2m2", "1+4"), ("nf4", "dense"), ("int8", "8"), ("e5m2fnuz", "8")])
    )
    program = to_half(fmt, layout, data.draw(st.sampled_from(sorted(TARGETS))))
    words = [data.draw(st.integers(0, 2**32 - 1)) for _ in range(program.layout.words)]
    flipped = data.draw(st.integers(0, 32 * len(words) - 1))
    other = list(words)
    other[flipped // 32] ^= 1 << flipped % 32
    sources = registers.dependencies(program)
    for k, (a, b) in enumerate(
        zip(slow_run(program, words), slow_run(program, other), strict=True)
    ):
        for bit in range(32):
            if (a ^ b) >> bit & 1:
                assert sources[k][bit] >> flipped & 1


def test_dependencies_use_known_bits():
    """AND with zero, OR with ones and truth tables that ignore an operand depend on nothing."""
    w = Register(0)
    for op, constant, want in [
        (Op.AND, 0, 0), (Op.OR, 2**32 - 1, 0), (Op.XOR, 5, 1), (Op.AND, 1, 1), (Op.OR, 1, 0),
    ]:  # fmt: skip
        program = Program(
            "p", Layout(16, 1, [range(16), range(16, 32)]), "float16", 0,
            (Instruction(op, (w, constant)),), (Register(1),),
        )  # fmt: skip
        assert registers.dependencies(program)[0][0] == want
    ignoring = Instruction(Op.LOP3, (w, Register(1), 0), 0xF0)  # a
    program = Program(
        "p", Layout(16, 2, [range(16), range(16, 32), range(32, 48), range(48, 64)]), "float16", 0,
        (ignoring,), (Register(2), Register(1)),
    )  # fmt: skip
    assert registers.dependencies(program)[0] == [1 << bit for bit in range(32)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("fmt", "layout", "word", "fold_scale"),
    [
        ("e2m2", "fpe2m2_kernel", 0, True),
        ("e2m2", "fpe2m2_kernel", 4, True),
        ("e2m1", "nvfp4", 0, False),
        ("int4", "4", 0, False),
        ("nf4", "dense", 0, False),
        ("e4m3fn", "8", 0, False),
        ("e5m2", "8", 0, False),
    ],
)
def test_all_values_of_a_word(fmt, layout, word, fold_scale):
    assert registers.sweep(to_half(fmt, layout, fold_scale=fold_scale), fmt, word) == 0


def test_the_sweep_finds_a_mistake():
    program = to_half("e2m1", "4")
    assert registers.sweep(program, "e2m1", values=1 << 20) == 0
    wrong = replaced(program, 0x0E00_0E00, 0x0E00_0600)
    assert registers.sweep(wrong, "e2m1", values=1 << 20) > 0


@pytest.mark.parametrize(
    ("fmt", "options", "message"),
    [
        ("e5m2", {"layout": "1+4"}, "layout must be for codes of 8 bits"),
        ("e2m2", {"layout": "3+2"}, "planes must be 1, 2, 4, 8 or 16 bits wide, got 3"),
        ("e2m2", {"target": "float32"}, "target must be float16 or bfloat16, got 'float32'"),
        ("e6m1", {}, "at most 5 exponent bits for float16, got e6m1; use target=bfloat16"),
        ("e2m2_nosub", {}, "fmt must have subnormals, .* use registers.look_up"),
        ("e3m8_nosub", {}, "fmt must have subnormals, .* got e3m8_nosub$"),  # too wide for a table
        ("e6m9", {}, "at most 5 exponent bits for float16, got e6m9$"),  # nor does bfloat16
        ("e3m8", {"target": "bfloat16"}, "at most 7 mantissa bits .* use target=float16"),
        ("int9", {"target": "bfloat16"}, "at most 8 bits for bfloat16, got int9; use target=float"),
        ("int11", {"target": "bfloat16"}, "at most 8 bits for bfloat16, got int11$"),
        ("e5m10none", {}, "fmt must have at most 9 mantissa bits for float16"),
        ("e1m11", {}, "fmt must have at most 10 mantissa bits for float16"),
        ("e4m3b-2", {}, "target must have every value .* use fold_scale=True"),
    ],
)
def test_formats_without_a_program(fmt, options, message):
    with pytest.raises(ValueError, match=message):
        to_half(fmt, **{"layout": "dense", **options})


@pytest.mark.parametrize("target", TARGETS)
def test_remedies_work(target):
    """Follow each remedy that a message names, until there is a program or no remedy."""
    remedied = 0
    for fmt in mf.testing.random_formats(np.random.default_rng(8), 100, max_bits=12):
        options = {"target": target}
        for _ in range(3):
            try:
                program = to_half(fmt, "dense", **options)
            except ValueError as error:
                message = str(error)
            else:
                assert fmt.bits > 8 or prove(program, fmt)
                break
            if "look_up" in message:
                assert registers.look_up(fmt, "dense", target).table
                remedied += 1
                break
            remedy = re.search(r"; use (\w+)=(\w+)", message)
            if remedy is None:
                break
            remedied += 1
            options[remedy[1]] = True if remedy[2] == "True" else remedy[2]
        else:
            raise AssertionError(f"{fmt}: three remedies did not help: {message}")
    assert remedied > 15


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda p: registers.to_c("e2m1"),
            TypeError,
            "program must be a Program, got 'e2m1'; make",
        ),
        (lambda p: registers.to_cuda(None), TypeError, "program must be a Program, got None"),
        (lambda p: registers.to_assembly(1), TypeError, "program must be a Program, got 1"),
        (lambda p: registers.dependencies("p"), TypeError, "program must be a Program, got 'p'"),
        (lambda p: registers.run("p", np.zeros(1, np.uint32)), TypeError, "must be a Program"),
        (lambda p: prove("e2m1", "e2m1"), TypeError, "program must be a Program, got 'e2m1'"),
        (lambda p: registers.sweep("p", "e2m1"), TypeError, "program must be a Program"),
        (lambda p: registers.sweep(p, "e2m1", 1), ValueError, r"word must be in 0\.\.0, got 1"),
        (lambda p: registers.sweep(p, "e2m1", -1), ValueError, r"word must be in 0\.\.0, got -1"),
        (lambda p: registers.sweep(p, "e2m1", values=0), ValueError, "values must be in 1"),
        (lambda p: to_half("e2m1", "4", fold_scale="no"), TypeError, "fold_scale must be a bool"),
        (lambda p: registers.look_up("e2m1", "4", pairs="no"), TypeError, "pairs must be a bool"),
        (lambda p: registers.search("e2m1", trials=0), ValueError, r"trials must be in 1\.\."),
        (lambda p: registers.search("e2m1", trials=1e3), TypeError, "trials must be an int"),
        (lambda p: registers.search("e2m1", restarts=0), ValueError, r"restarts must be in 1\.\."),
        (lambda p: registers.search("e2m1", seed=-1), ValueError, r"seed must be in 0\.\."),
        (lambda p: registers.search("e2m1", seed=None), TypeError, "seed must be an int"),
        (lambda p: dataclasses.replace(p, table=(1 << 32,)), ValueError, "table must be in 0"),
        (lambda p: dataclasses.replace(p, name="né"), ValueError, "name must be an identifier"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(to_half("e2m1", "4"))


def test_a_word_without_codes_is_swept():
    layout = Layout(4, 2, [range(4), range(4, 8)])
    program = to_half("e2m1", layout)
    assert registers.sweep(program, "e2m1", 1, values=1 << 17) == 0


def test_tables_have_limits():
    with pytest.raises(ValueError, match="at most 6 bits for a table of pairs"):
        registers.look_up("e4m3fn", "8", pairs=True)
    with pytest.raises(ValueError, match="at most 8 bits for a table"):
        registers.look_up("float16", "16")
    with pytest.raises(TypeError, match="layout must be a Layout"):
        to_half("e2m2", 5)
    odd = Layout(5, 1, [range(5)])
    with pytest.raises(ValueError, match="even number of codes"):
        to_half("e2m2", odd)


def test_parse_layout_finds_the_same_program():
    assert to_half("e2m2", parse_layout("1+4", 5)) == to_half("e2m2", "1+4")
