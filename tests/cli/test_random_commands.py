"""Random command lines and hostile names: exit code 0, 2, or 1 of an audit; nothing to steer."""

from __future__ import annotations

import itertools
import random
import sys
import unicodedata
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from minifloat.cli import COMMANDS, main

HOSTILE = (
    "\x1b[31m",
    "\x9b2J",
    "\u202eevil",
    "a\nb",
    "=1+1",
    "@x",
    "-",
    "--",
    "",
    " ",
    "\ud800",
    "%s%d",
    "{x}",
    "x" * 5000,
    "[red]",
    "../../etc",
    "\u0663",
    "1_000",
    "\x00",
)
NUMBERS = (
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "-1/3",
    "1/0",
    "1e-5000",
    "1e999999999",
    "-1e999999999999999999999",
    "inf",
    "-inf",
    "nan",
    "-nan",
    "0x1.8p-3",
    "0x1p99999999999",
    "1" * 5000,
    "0." + "1" * 5000,
    "1e",
    "99999999999999999999999",
    "-99999999999999999999999",
    "0b101",
    "7",
    "31",
    "1.5",
    "9" * 4500,
)
FORMATS = (
    "e2m2",
    "nf4",
    "e8m0",
    "int4",
    "uint4",
    "e4m3fn",
    "e5m2",
    "mxfp4",
    "nvfp4",
    "e9q",
    "e16m0",
    "fp8",
    "e2m2/64",
    "e2m1/32/e8m0",
    "e2m2/99999999999999999999999",
    "e2m2/channel/float32/mse",
    "int4full",
    "e2m2/4x4/float16",
    "uint4/8/float16/zero-point",
    "e2m2/tensor/float32/percentile99.9",
    "posit8",
)
OPTIONS = (
    "--json",
    "--csv",
    "--details",
    "--all",
    "--rounding",
    "--overflow",
    "--nan",
    "--seed",
    "--axis",
    "--block",
    "--scale",
    "--formats",
    "--recipes",
    "--sort",
    "--top",
    "--min-size",
    "--include",
    "--exclude",
    "--workers",
    "stochastic",
    "saturate",
    "raise",
    "ieee",
    "zero",
    "max",
    "to_odd",
    "64",
    "channel",
    "tensor",
    "4x4",
    "8x99999999999999999999",
    "float16",
    "float32",
    "e8m0:ceil",
    "name",
    "error",
    "size",
    "*",
    "*w*",
    "w",
    "--help",
    "--version",
    "-h",
    "-x",
)
# not convert, which writes where it is told to, and not explore, which opens a browser
LEFT_OUT = ("registers", "convert", "explore")
COMMAND_NAMES = [name for name, *_ in COMMANDS if name not in LEFT_OUT]


def steers(text: str) -> set[str]:
    """Return the characters of a text that could steer a terminal."""
    return {
        char
        for char in text
        if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


def command_lines(files: list[str], count: int, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    pools = (FORMATS, NUMBERS, OPTIONS, HOSTILE, tuple(files))
    lines = []
    for _ in range(count):
        command = rng.choice(COMMAND_NAMES)
        likely = {"compare": (4, 4, 2, 2, 0), "encode": (0, 1, 1, 2, 3), "decode": (0, 1, 1, 2, 3)}
        words = [rng.choice(FORMATS)] if command in ("encode", "decode", "show") else []
        if command == "compare":
            words = [rng.choice(files)] * rng.randrange(2)
        if command in ("inspect", "audit"):
            words = [rng.choice(files) for _ in range(1 + (command == "audit"))]
        for _ in range(rng.randrange(5)):
            pool = pools[rng.choice(likely.get(command, (0, 2, 3)))]
            words.append(rng.choice(pool))
        if rng.random() < 0.1:
            rng.shuffle(words)
        lines.append([command, *words])
    return lines


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(1)
    arrays = {
        "w": rng.standard_normal((4, 40)),
        "=HYPERLINK(1)": rng.standard_normal(9),
        "\x1b[2J\x9b\u202e": np.float32(rng.standard_normal((2, 2, 8))),
        "mask": np.array([-1e9, -np.inf]),
        "huge": np.array([1e300, -1e300]),
        "tiny": np.array([1e-300, 1e-310]),
        "empty": np.zeros((0, 3)),
        "zero": np.zeros(3),
        "ids": np.arange(3),
        "nans": np.frombuffer(b"\x01\x00\x80\x7f" * 4, np.float32),  # signalling
        "one": np.float64(3),
    }
    np.savez(tmp_path / "m.npz", **arrays)
    (tmp_path / "\x1b[1m=x.npz").write_bytes((tmp_path / "m.npz").read_bytes())
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04\x1b[2J")
    np.save(tmp_path / "only.npy", np.float16([[1, 2], [3, 4]]))
    return [str(path) for path in sorted(tmp_path.iterdir())] + [str(tmp_path), "missing.npz"]


def run_random_commands(
    files: list[str], count: int, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {0: 0, 1: 0, 2: 0}
    for line in command_lines(files, count, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            code = main(line)
        out, err = capsys.readouterr()
        assert code in outcomes, line
        assert code != 1 or line[0] == "audit", line
        outcomes[code] += 1
        assert steers(out) == set(), line
        assert steers(err) == set(), line
        assert "Traceback" not in err, line
        if code == 2:
            assert err.startswith("minifloat: error: "), line
            assert err.count("\n") == 1, line
            assert len(err) < 2100, line
            assert out == "", line
    assert min(outcomes[0], outcomes[2]) > count / 20, "both outcomes are common"


@pytest.fixture(autouse=True)
def _small_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("minifloat.comparison"), "GAUSSIAN_SHAPE", (2, 40))
    monkeypatch.setattr(sys, "stdin", None)


def test_random_commands(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run_random_commands(files, 250, 1, capsys)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_random_commands(
    files: list[str], capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    run_random_commands(files, 2000, seed, capsys)


def test_every_hostile_word_in_every_place(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    templates = (
        ["compare", "?"], ["compare", files[0], "--formats", "?"], ["show", "?"], ["?"],
        ["compare", files[0], "--recipes", "?"], ["compare", files[0], "--sort", "?"],
        ["compare", files[0], "--include", "?"], ["encode", "?", "1"], ["encode", "e2m2", "?"],
        ["decode", "e2m2", "?"], ["compare", "--block", "?"], ["compare", "--scale", "?"],
        ["encode", "e2m2", "1", "--rounding", "?"], ["inspect", "?"], ["audit", "?", files[0]],
        ["audit", files[0], files[0], "--include", "?"],
    )  # fmt: skip
    for template, word in itertools.product(templates, HOSTILE):
        line = [word if part == "?" else part for part in template]
        assert main(line) in ((0, 1, 2) if line[0] == "audit" else (0, 2)), line
        out, err = capsys.readouterr()
        assert steers(out + err) == set(), line
