"""`minifloat registers`: both costs, complete text, signs of life."""

from __future__ import annotations

import re

import pytest

from minifloat import registers
from minifloat.cli import main

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *argv: str) -> str:
    assert main(["registers", *argv]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--fold-scale",)])
def test_both_costs_are_printed(capsys: Capture, options: tuple[str, ...]) -> None:
    out = run(capsys, "e2m2", "--layout", "fpe2m2_kernel", *options)
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
    out = run(capsys, fmt, "--layout", "dense", *options)
    assert re.findall(r"^(\S+) instructions per weight", out, re.MULTILINE) == costs


@pytest.mark.parametrize("kind", ["c", "cuda", "asm"])
@pytest.mark.parametrize("fmt", ["nf4", "nf5", "bnb_fp4"])
def test_text_has_the_table(capsys: Capture, fmt: str, kind: str) -> None:
    text = run(capsys, fmt, "--layout", "dense", "--emit", kind)
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
