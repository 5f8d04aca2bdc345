"""Registers whose bits are those of the instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minifloat as mf
from paper_figures import style
from paper_figures.rows import Rows, grouped
from tests.paper_figures.figures import (
    assert_agree,
    assert_legible,
    assert_seen,
    changed,
    in_docs,
    module_of,
    quiet,
)


def register_value(bits: Rows) -> int:
    return sum(row["value"] << row["bit"] for row in bits)


def check(rows: Rows) -> None:
    steps = {text.split()[0]: bits for text, bits in grouped(rows, "register")}
    texts = [text for text, _ in grouped(rows, "register")]
    registers = {name: register_value(bits) for name, bits in steps.items()}
    done = 0
    for text in texts:
        name, *instruction = text.partition(" # ")[0].replace(" = ", " ").replace(",", "").split()
        if not instruction:
            continue
        op, *operands = instruction
        a, b, *rest = (registers.get(x) if x in registers else int(x, 0) for x in operands)
        if op == "SHL":
            expected = a << b & 0xFFFFFFFF
        elif op == "AND":
            expected = a & b
        elif op == "LOP3":
            assert rest[1] == 0xEA  # (a & b) | c
            expected = a & b | rest[0]
        else:
            assert op == "HMUL2"
            halves = np.array([a, b], np.uint32).view(np.float16)
            expected = int((halves[:2] * halves[2:]).view(np.uint32)[0])
        assert registers[name] == expected, text
        done += 1
    assert done == 5
    # the bits that are said to be a code's are that code's, everywhere but in the result
    module = module_of("register_conversion")
    for text, bits in list(grouped(rows, "register"))[:-1]:
        for half, code in enumerate(module.CODES):
            own = [row for row in bits if row["code"] == 2 * module.PAIR + half]
            for field, width, mask in (("S", 4, 1), ("E", 2, 3), ("M", 0, 3)):
                bits_of_field = [row["value"] for row in own if row["field"] == field]
                if bits_of_field:
                    seen = int("".join(map(str, bits_of_field)), 2)
                    assert seen == code >> width & mask, (text, half, field)
    last = list(grouped(rows, "register"))[-1][1]
    halves = np.array([register_value(last)], np.uint32).view(np.float16)
    assert halves.tolist() == mf.decode(list(module.CODES), module.FORMAT).tolist()
    assert [last[-1]["half"], last[0]["half"]] == halves.tolist()


def test_registers_hold_the_results_of_their_instructions(computed: dict[str, Rows]) -> None:
    check(computed["register_conversion"])


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("value", lambda x: 1 - x),
    ],
)
def test_the_check_has_teeth(
    column: str, change: Callable[[Any], Any], computed: dict[str, Rows]
) -> None:
    assert_seen(check, changed(computed["register_conversion"], column, change))


def test_all_texts_are_legible(computed: dict[str, Rows]) -> None:
    assert_legible("register_conversion", computed["register_conversion"])


def test_the_docs_show_the_same_numbers(computed: dict[str, Rows]) -> None:
    assert_agree(in_docs("register_conversion"), computed["register_conversion"])


@pytest.mark.parametrize(("fmt", "layout"), [("e3m2", "dense"), ("int5", "1+4"), ("e4m3fn", "8")])
def test_any_program_can_be_followed(
    fmt: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = module_of("register_conversion")
    for name, value in {"FORMAT": fmt, "LAYOUT": layout, "CODES": (5, 9)}.items():
        monkeypatch.setattr(module, name, value)
    rows = module.data(quiet)
    assert [rows[-1]["half"], rows[-32]["half"]] == mf.decode([5, 9], fmt).tolist()
    with style.house_style():
        module.draw(rows)
