"""`minifloat vectors`: what it prints and writes, and its messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minifloat.cli import main, vectors
from minifloat.testing import _operations, _sources, _units, _vectors
from minifloat.testing import vectors as made

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *argv: str) -> str:
    assert main(["vectors", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("format_", ["hex", "csv", "mem"])
def test_it_prints_what_the_library_gives(capsys: Capture, format_: str) -> None:
    assert run(capsys, "e2m1", "--format", format_) == made("e2m1").text(format_)


def test_the_options_are_passed_on(capsys: Capture) -> None:
    where = ("--source", "bfloat16", "--rounding", "upward", "--overflow", "ieee", "--nan", "zero")
    want = made("e2m1", source="bfloat16", rounding="upward", overflow="ieee", nan="zero")
    assert run(capsys, "e2m1", *where) == want.text()
    want = made("e4m3fn", "decoder", source="float16")
    assert run(capsys, "e4m3fn", "--unit", "decoder", "--source", "float16") == want.text()


def test_the_options_of_units_that_compute(capsys: Capture) -> None:
    where = ("--output", "bfloat16", "--lanes", "3", "--rounding", "downward")
    want = made("e2m1", "dot", output="bfloat16", lanes=3, rounding="downward")
    assert run(capsys, "e2m1", "--unit", "dot", *where) == want.text()
    want = made("e2m1", "multiplier", output="exact")
    assert run(capsys, "e2m1", "--unit", "multiplier", "--output", "exact") == want.text()


def test_a_file_is_written(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "vectors.mem"
    out = run(capsys, "e2m1", "--format", "mem", "--out", str(path))
    assert out == f"{len(made('e2m1'))} vectors in {path}\n"
    assert path.read_text() == made("e2m1").text("mem")


def test_a_dash_is_stdout(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "e2m1", "--out", "-") == made("e2m1").text()
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_replaced(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert main(["vectors", "e2m1", "--out", str(path)]) == 2
    assert "--out must be a file that can be written" in capsys.readouterr().err
    assert path.is_fifo()


def test_the_choices_are_those_of_the_library() -> None:
    assert set(vectors.UNITS) == {*_units.UNITS, *_operations.PORTS}
    assert set(vectors.SOURCES) == set(_sources.SOURCES)
    assert vectors.FORMATS == _vectors.FORMATS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e2m9x"], "FORMAT must be a known format name, got 'e2m9x'"),
        (["e2m1", "--unit", "adder"], "--unit must be encoder, decoder, multiplier, add, "),
        (["e2m1", "--format", "json"], "--format must be hex, csv or mem, got 'json'"),
        (["e2m1", "--source", "fp8"], "--source must be float32, float16, bfloat16 or float64"),
        (["e2m1", "--rounding", "nearest"], "--rounding must be one of nearest_even, "),
        (
            ["e2m1", "--rounding", "stochastic"],
            "--rounding must be a mode without random bits for vectors, got stochastic; "
            "minifloat.testing.check_encoder compares such an encoder, in Python",
        ),
        (
            ["e2m1", "--unit", "decoder", "--overflow", "ieee"],
            "--overflow must be left out for a decoder, got ieee",
        ),
        (
            ["e8m0", "--unit", "decoder", "--source", "float16"],
            "--source must have every value of e8m0, got float16; use --source bfloat16",
        ),
        (
            ["e2m1", "--out", "nowhere/v.hex"],
            "--out must be a file that can be written, got nowhere/v.hex (No such file or ",
        ),
        (
            ["e2m1", "--unit", "add", "--lanes", "3"],
            "--lanes must be left out but for a dot product",
        ),
        (
            ["e2m1", "--unit", "dot", "--lanes", "0"],
            "--lanes must be an integer of at least 1, got '0'",
        ),
        (["e2m1", "--unit", "dot", "--lanes", "999"], "--lanes must be in 1..256, got 999"),
        (["e2m1", "--output", "e2m1"], "--output must be left out for an encoder, got e2m1"),
        (
            ["e2m1", "--unit", "add", "--output", "x"],
            "--output must be a known format name, got 'x'",
        ),
        (
            ["e2m1", "--unit", "add", "--output", "float32"],
            "--output must be a known format name, got 'float32'; formats have at most 16 bits",
        ),
        (
            ["e2m1", "--unit", "add", "--output", "exact", "--rounding", "upward"],
            "--rounding must be left out for exact results, got upward",
        ),
        (["e2m1", "--out", ""], "--out must be a path of at least a character"),
        (["e2m1", "--out", "a\0b"], "--out must be a path of at least a character"),
    ],
)
def test_it_says_what_is_wrong(capsys: Capture, arguments: list[str], message: str) -> None:
    assert main(["vectors", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"minifloat: error: {message}")
