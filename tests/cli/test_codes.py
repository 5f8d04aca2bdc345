"""`minifloat encode` and `decode`: numbers and codes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.calls import Capture, run


def test_encode(capsys: Capture) -> None:
    values = ("1.1", "-0.3", "-1e-3", "-inf", "-.5", "-0")
    lines = run(capsys, "encode", "e2m2", *values).splitlines()
    assert lines[0].split() == ["value", "code", "hex", "bits", "decoded", "kind", "error"]
    cells = [line.split() for line in lines[1:]]
    assert [row[0] for row in cells] == list(values)
    assert cells[0] == ["1.1", "4", "0x04", "0", "01", "00", "1", "normal", "-0.1"]
    assert cells[3] == ["-inf", "31", "0x1f", "1", "11", "11", "-7", "normal", "inf"]
    assert cells[5] == ["-0", "16", "0x10", "1", "00", "00", "-0", "zero", "0"]


def test_encode_rounds_what_was_typed_once(capsys: Capture) -> None:
    tie = "1.125"
    above, below = f"{tie}{'0' * 30}1", f"1.124{'9' * 30}"  # float64 has 1.125 for all three
    arguments = ("encode", "e2m2", below, tie, above, "-1/3", "0x1.8p0", "1e-5000", "1e999999999")
    rows = [line.split() for line in run(capsys, *arguments).splitlines()[1:]]
    assert [row[1] for row in rows] == ["4", "4", "5", "17", "6", "0", "15"]
    assert [row[-1] for row in rows[3:]] == ["0.08333", "0", "-1e-5000", "-1e999999999"]
    up = run(capsys, "encode", "e2m2", "1e-5000", "--rounding", "upward").splitlines()[1].split()
    assert up[1] == "1"


def test_options_may_stand_between_values(capsys: Capture) -> None:
    for words in (
        ("1.1", "--nan", "zero", "-5", "-1/3", "nan"),
        ("--nan", "zero", "1.1", "-5", "-1/3", "nan"),
        ("--nan", "zero", "--", "1.1", "-5", "-1/3", "nan"),
    ):
        rows = run(capsys, "encode", "e2m2", *words).splitlines()[1:]
        assert [row.split()[1] for row in rows] == ["4", "29", "17", "0"]


def test_a_file_may_begin_with_a_dash(
    capsys: Capture, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    model.rename("-5.npz")
    assert run(capsys, "compare", "--formats", "int4", "--", "-5.npz").startswith("-5.npz\n")


def test_encode_and_decode_read_stdin_and_print_json(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1.1 -0.3\n nan\tinf"))
    rows = json.loads(run(capsys, "encode", "e4m3fn", "-", "--json", "--overflow", "ieee"))
    assert [row["value"] for row in rows] == ["1.1", "-0.3", "nan", "inf"]
    assert rows[0] == {
        "value": "1.1", "code": 57, "hex": "0x39", "bits": "0 0111 001", "decoded": 1.125,
        "kind": "normal", "error": 0.025,
    }  # fmt: skip
    assert [row["decoded"] for row in rows[2:]] == ["nan", "nan"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(" ".join(str(row["code"]) for row in rows)))
    decoded = json.loads(run(capsys, "decode", "e4m3fn", "-", "--json"))
    assert [row["value"] for row in decoded] == [row["decoded"] for row in rows]
    for empty in (io.StringIO(""), None):
        monkeypatch.setattr(sys, "stdin", empty)
        err = run(capsys, "encode", "e2m2", "-", code=2)
        assert "VALUE must be given at least once, got nothing on stdin" in err


def test_encode_options(capsys: Capture) -> None:
    def codes(*argv: str) -> list[int]:
        return [int(line.split()[1]) for line in run(capsys, "encode", *argv).splitlines()[1:]]

    assert codes("e2m2", "--rounding", "upward", "1.1", "-1.1") == [5, 0b10100]
    assert codes("e2m2", "nan", "--nan", "zero") == [0]
    assert codes("e4m3fn", "nan", "1e9", "--overflow", "ieee") == [0x7F, 0x7F]
    stochastic = ("e2m2", *["1.1"] * 50, "--rounding", "stochastic", "--seed", "1")
    assert codes(*stochastic) == codes(*stochastic)
    assert set(codes(*stochastic)) == {4, 5}


def test_decode(capsys: Capture) -> None:
    lines = run(capsys, "decode", "e2m2", "0x1f", "0b00101", "7").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["31", "5", "7"]
    assert lines[1].split() == ["31", "0x1f", "1", "11", "11", "-7", "normal"]
    assert "nan" in run(capsys, "decode", "e4m3fn", "0x7f")
