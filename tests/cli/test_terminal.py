"""What a terminal shows: the number line, and tables that fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from minifloat.cli import COMMANDS
from minifloat.cli.terminal import Table, number_line
from minifloat.formats.catalogue import CATALOGUE
from tests.cli.calls import Capture, run, spawn


def test_number_line_is_proportional() -> None:
    marks, labels = number_line([-1.0, -0.0, 0.0, 0.5, 1.0], 21).split("\n")
    assert marks == "┼─────────┼────┼────┼"
    assert labels == "-1        0   0.5   1"
    assert number_line([-1.0, 1.0], 11, unicode=False).split("\n")[0] == "|---------|"


def test_number_line_survives_extremes() -> None:
    for values in ([0.0], [1e308, -1e308, float("inf"), float("nan")], [2.0**-1074, 1.0]):
        lines = number_line(values, 80).split("\n")
        assert len(lines[0]) == 80
        assert all(len(line) <= 80 for line in lines)
    assert number_line([0.0, 1e-9, 1.0], 10, unicode=False).endswith("\n# several values")


def test_number_line_has_no_label_on_another() -> None:
    for name, fmt in CATALOGUE.items():
        if fmt.code_count <= 256:
            values = [row.value for row in fmt.table()]
            labels = number_line(values, 80).split("\n")[1].split()
            numbers = [float(label) for label in labels]
            assert numbers == sorted(numbers), name
            assert set(labels) <= {f"{value + 0.0:.4g}" for value in values}, name


def test_output_that_cannot_print_unicode() -> None:
    result = spawn("show", "e2m2", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "|-----|" in result.stdout


def test_table_with_and_without_rich(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    table = Table("Title", ("name", "size"), ("name",), [("a[b]c", "*1"), ("d", "200")])
    assert table.text() == "Title\nname   size\na[b]c    *1\nd       200"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    table.show()
    rich = capsys.readouterr().out
    for word in ("Title", "name", "a[b]c", "*1", "200"):
        assert word in rich
    assert rich != table.text() + "\n"
    monkeypatch.setenv("COLUMNS", "12")  # too narrow for rich not to cut numbers off
    table.show()
    assert capsys.readouterr().out == table.text() + "\n"


@pytest.mark.parametrize("width", [60, 79])
def test_nothing_is_wider_than_the_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(model.parent)
    arrays = {"model.layers.11.self_attn.q_proj.weight": np.ones((2, 64)), "x" * 300: np.ones(3)}
    np.savez("long.npz", **arrays, nan=np.array([np.nan]))
    commands = [
        ["compare", "long.npz"], ["compare", "long.npz", "--details"], ["list"], ["show", "nvfp4"],
        ["compare", "long.npz", "--recipes", "mxfp4,e4m3fn/128x128/float32,e2m1/32/e8m0:ceil"],
        ["show", "e4m3fn"], ["show", "e5m6", "--all"], ["encode", "float16", "0.1", "9" * 99],
        *([command[0], "--help"] for command in COMMANDS),
    ]  # fmt: skip
    for command in commands:
        lines = run(capsys, *command).splitlines()
        assert max(map(len, lines)) <= width, (command, max(lines, key=len))
    table = run(capsys, "compare", "long.npz")
    assert "model.l" in table
    assert sum(line.startswith("format ") for line in table.splitlines()) == (
        2 if width < 72 else 1
    )


def test_a_pipe_has_no_width(capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    recipes = ",".join(f"e2m1/{block}/e8m0:ceil" for block in range(8, 17))
    lines = run(capsys, "compare", model, "--recipes", recipes).splitlines()
    assert max(map(len, lines)) > 150


def test_the_number_line_labels_zero() -> None:
    for width in (60, 80, 120):
        values = [row.value for row in CATALOGUE["e4m3fn"].table()]
        assert "0" in number_line(values, width).split("\n")[1].split()
