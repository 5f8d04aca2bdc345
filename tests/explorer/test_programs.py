"""Register programs and matrix units of the explorer give the library's bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from docs.generators.explorer.programs import PROGRAMS, written
from minifloat import arithmetic, registers
from minifloat.packing import pack_words
from minifloat.packing.layouts import Layout
from minifloat.registers import Op, Program, Register
from tests.explorer.cases import words

Run = Callable[[list[dict[str, Any]]], list[Any]]


def check_programs(run: Run, *, every: bool) -> None:
    """All codes at all places, or some of them, through every program."""
    asked, expected = [], []
    for number, (name, layout, target, folded) in enumerate(PROGRAMS):
        program = registers.to_half(name, layout, target, fold_scale=folded)  # type: ignore[arg-type]
        bits, count = mf.parse(name).bits, program.layout.count
        rng = np.random.default_rng(number)
        rows = 1 << bits if every else 6  # with all rows each code is at each place
        groups = (np.arange(rows)[:, np.newaxis] + rng.integers(0, rows, count)) % (1 << bits)
        asked.append({"ask": "program", "index": number, "codes": groups.tolist()})
        words_ = pack_words(groups.astype(np.uint8), program.layout)
        expected.append(registers.run(program, words_).reshape(rows, -1).tolist())
    for program, own, found in zip(PROGRAMS, expected, run(asked), strict=True):
        assert found == own, program


def test_some_codes_through_every_program(run: Run) -> None:
    check_programs(run, every=False)


@pytest.mark.long
def test_all_codes_at_all_places_through_every_program(run: Run) -> None:
    check_programs(run, every=True)


def test_each_instruction_on_random_words(run: Run) -> None:
    rng = np.random.default_rng(8)
    builder = registers.Builder(4)
    a, b, c, d = (builder.word(at) for at in range(4))
    for at in (0, 1, 13, 31):
        builder.emit(Op.SHL, a, at)
        builder.emit(Op.SHR, b, at)
    for op in (Op.AND, Op.OR, Op.XOR, Op.HMUL2, Op.HADD2, Op.HSUB2):
        builder.emit(op, a, b)
        builder.emit(op, c, d)
    builder.emit(Op.HFMA2, a, b, c)
    builder.emit(Op.HFMA2, b, c, d)
    for table in (0xEA, 0x6A, 0x01, 0x80, 0x96):
        builder.emit(Op.LOP3, a, b, c, table=table)
    for selector in (0x5410, 0xFEDC, 0x9A3F, 0x0000):
        builder.emit(Op.PRMT, a, b, selector)
    builder.emit(Op.LDS, builder.emit(Op.AND, a, 12))
    count = 2 * len(builder.instructions)
    layout = Layout(1, 4, [[at] for at in range(count)])
    words_ = rng.integers(0, 2**32, (200, 4), np.uint32)
    words_[100:, :] &= (
        np.uint32(0x3C00_3C00) | rng.integers(0, 2**32, (100, 4), np.uint32) & 0x83FF83FF
    )
    words_[::7, 0] = 0x7C00FC01  # infinity, NaN
    for target in ("float16", "bfloat16"):
        outputs = tuple(Register(4 + at) for at in range(count // 2))
        program = Program("every", layout, target, 0, builder.instructions, outputs, (1, 2, 3, 4))  # type: ignore[arg-type]
        expected = registers.run(program, words_).reshape(len(words_), -1)
        case = {"ask": "registers", "program": written("every", program), "words": words_.tolist()}
        assert [row[4:] for row in run([case])[0]] == expected.tolist(), target


def operands(unit: arithmetic.Unit, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield two rows of the unit's format: spread, near each other, with zeros or cancelling."""
    length, kind = int(rng.choice([1, 3, 16, 40, 64])), int(rng.integers(6))
    rows = rng.standard_normal((2, length))
    if kind == 1:
        rows *= 2.0 ** rng.integers(-14, 14, (2, length))
    elif kind == 2:
        rows[:, length // 2 :] = rows[:, : length - length // 2] * np.array([[-1], [1]])
    elif kind == 3:
        rows[rng.random((2, length)) < 0.4] = 0
    elif kind == 4:
        rows = np.round(rows * 8) * 2.0 ** int(rng.integers(-30, 20))
    elif kind == 5 and unit.scale is None and unit.output != "float64":
        rows[0] *= 2.0 ** (unit.inputs[0].emin + rng.integers(-2, 3))  # subnormal, some of them
        rows[1] *= 2.0**9
    for row in rows:
        if unit.scale is not None or unit.inputs[0].name == "float64":
            yield row
        elif unit.inputs[0].name in ("float32", "tf32"):
            yield row.astype(np.float32)
        else:
            fmt = mf.parse(unit.inputs[0].name)
            yield mf.round_to(row.astype(np.float32), fmt)


def check_units(run: Run, names: Iterable[str], count: int) -> None:
    """Random and hard dot products in units, as words: the sign of zero counts."""
    asked, expected = [], []
    for name in names:
        pairs, results = unit_pairs(name, count)
        asked.append({"ask": "dot", "unit": name, "pairs": pairs})
        expected.append(results)
    for case, own, found in zip(asked, expected, run(asked), strict=True):
        assert found == own, case["unit"]


def unit_pairs(name: str, count: int) -> tuple[list[Any], list[str]]:
    """Return operands of dot products, and the library's results as words."""
    unit = arithmetic.UNITS[name]
    rng = np.random.default_rng(len(name))
    pairs, results = [], []
    for number in range(count):
        a, b = operands(unit, rng)
        c = np.float32(rng.standard_normal() * 2.0 ** rng.choice([0, 6, -30, -45]))
        c = c if number % 3 else np.float32(0)
        x, y = a, b
        if unit.scale is not None:
            recipe = mf.RECIPES[name.split("/")[1]]
            x, y = mf.quantize(a, recipe), mf.quantize(b, recipe)
        if unit.output == "float16":
            c = np.float32(np.float16(c))
        with np.errstate(over="ignore", invalid="ignore"):
            result = float(arithmetic.dot(x, y, c, unit=name))
        results.append(math.nan if math.isnan(result) else result)
        pairs.append([words(a), words(b), words(np.array([c]))[0]])
    return pairs, words(np.array(results))


def test_dot_products(run: Run) -> None:
    names = (
        "hopper/e4m3fn/float32", "volta/float16/float16", "blackwell/nvfp4/float32",
        "cdna3/e4m3fnuz/float32", "cdna2/bfloat16/float32", "blackwell-mma/e5m2/float32",
        "ampere/float64/float64", "cdna3/float16/float32", "turing/float16/float16",
    )  # fmt: skip
    check_units(run, names, 40)


@pytest.mark.long
def test_dot_products_in_every_unit(run: Run) -> None:
    check_units(run, arithmetic.UNITS, 200)
