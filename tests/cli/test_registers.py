"""`minifloat registers`: both costs, complete text, signs of life."""

from __future__ import annotations

import re
from functools import partial

import pytest

from minifloat import registers
from minifloat.cli import main
from tests.cli.calls import Capture, run


@pytest.mark.parametrize("options", [(), ("--fold-scale",)])
def test_both_costs_are_printed(capsys: Capture, options: tuple[str, ...]) -> None:
    out = run(capsys, "registers", "e2m2", "--layout", "fpe2m2_kernel", *options)
    assert [line for line in out.splitlines() if "instructions per weight" in line] == [
        "2.34 instructions per weight (75 for 32) give the values",
        "1.84 instructions per weight (59 for 32) give values times 2**-14, left to the scale "
        "(--fold-scale)",
    ]


@pytest.mark.parametrize(
    ("fmt", "options", "costs"),
    [
        ("int5", (), ["2.47"]),  # finished, and nothing to leave to the scale
        ("nf4", (), ["1.50"]),
        ("e5m2", (), ["0.50"]),
        ("e5m0", ("--fold-scale",), ["6.19"]),  # float16 does not hold its largest value
    ],
)
def test_one_cost_is_printed_where_there_is_one(
    capsys: Capture, fmt: str, options: tuple[str, ...], costs: list[str]
) -> None:
    out = run(capsys, "registers", fmt, "--layout", "dense", *options)
    assert re.findall(r"^(\S+) instructions per weight", out, re.MULTILINE) == costs


@pytest.mark.parametrize("kind", ["c", "cuda", "asm"])
@pytest.mark.parametrize("fmt", ["nf4", "nf5", "bnb_fp4"])
def test_text_has_the_table(capsys: Capture, fmt: str, kind: str) -> None:
    text = run(capsys, "registers", fmt, "--layout", "dense", "--emit", kind)
    table = list(registers.look_up(fmt, "dense").table)
    words = [int(word, 16) for word in re.findall(r"\b0x([0-9a-f]{8})(?=u?[, \n])", text)]
    starts = [k for k, word in enumerate(words) if word == table[0]]
    assert any(words[k : k + len(table)] == table for k in starts)


def test_progress_is_shown_before_the_search_has_found_anything(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minifloat.cli.terminal.has_rich", lambda: False)
    monkeypatch.setattr("minifloat.registers._search._annealed", interrupted)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["registers", "e2m2"]) == 130
    assert "0%" in capsys.readouterr().err


def test_registers_shows_the_layout_the_program_and_its_proof(capsys: Capture) -> None:
    out = run(capsys, "registers", "e2m2", "--layout", "fpe2m2_kernel", "--prove")
    assert out.startswith("<Layout fpe2m2_kernel: bits 5, codes 32, words 5>")
    assert "word 4  31..16   1.4  3.4" in out
    assert "75 instructions, 2.34 per weight" in out
    assert out.count(" = HMUL2 ") == 16
    assert "is proved for e2m2" in out
    folded = run(capsys, "registers", "e2m2", "--layout", "fpe2m2_kernel", "--fold-scale")
    assert "59 instructions, 1.84 per weight; values times 2**-14" in folded
    assert "proved" not in folded


def test_registers_searches_unless_told_a_layout(capsys: Capture) -> None:
    out = run(capsys, "registers", "e2m1", "--fold-scale")
    assert out.startswith("e2m1_to_float16: 10 instructions for 8 weights")
    spelling = re.search(r"spelled (\w+)", out)
    assert spelling
    again = run(capsys, "registers", "e2m1", "--fold-scale", "--layout", spelling[1])
    assert "10 instructions" in again


def test_registers_emits_text_alone(capsys: Capture) -> None:
    program = registers.to_half("int4", "4", "bfloat16")
    where = ("registers", "int4", "--layout", "4", "--target", "bfloat16", "--emit")
    for kind in ("c", "cuda"):
        text = getattr(registers, f"to_{kind}")(program)
        assert run(capsys, *where, kind) == text + "\n"
        proved = run(capsys, *where, kind, "--prove")
        assert proved.startswith(text)
        assert all(line.startswith("//") for line in proved[len(text) :].split("\n") if line)
    assert run(capsys, *where, "asm") == f"{program}\n"


def test_registers_table(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(registers.costs, ["e2m1", "e5m0", "int4", "nf4"])
    monkeypatch.setattr(registers, "costs", few)
    lines = run(capsys, "registers").splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["e2m1", "e5m0", "int4", "nf4"]
    assert lines[1].split()[-4:] == ["per", "weight", "with", "2**k"]
    assert lines[2].split()[-2:] == ["1.250", "1.750"]
    assert lines[3].split()[-1] == "-"  # float16 does not hold its largest value
    assert lines[5].split()[7] == "4"  # loads


def test_the_table_has_every_exmy_of_4_to_8_bits() -> None:
    names = [fmt.name for fmt in registers.table_formats()]
    assert len(names) == 22 + 2 + 5 + 2 == len(set(names))
    assert {"e2m2", "e1m6", "e5m2none", "e5m0", "e4m3fn", "int8", "nf5"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e2m2", "--layout", "3+2"], "planes must be 1, 2, 4, 8 or 16 bits wide, got 3"),
        (["e2m2", "--emit", "ptx"], "--emit must be c, cuda or asm, got 'ptx'"),
        (["e2m2", "--layout", "2+4"], "--layout must be for codes of 5 bits"),
        (["e2m9"], "FORMAT must have at most 8 bits to be searched, got e2m9; use --layout"),
        (
            ["e7m0", "--layout", "dense"],
            "FORMAT must have at most 5 exponent bits for float16, got e7m0; use --target b",
        ),
        (["e2m2", "--target", "float32"], "--target must be float16 or bfloat16, got 'float32'"),
        (
            ["e3m1_nosub", "--layout", "dense"],
            "; minifloat.registers.look_up makes one with a table, in Python",
        ),
    ],
)
def test_registers_says_what_is_wrong(capsys: Capture, arguments: list[str], message: str) -> None:
    assert message in run(capsys, "registers", *arguments, code=2)
