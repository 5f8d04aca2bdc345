"""`minifloat demo` and the completions of the shell; what the demonstration shows is right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from minifloat.cli import COMMANDS, demo, main
from minifloat.formats.names import parse
from minifloat.formats.rounding import Rounding
from minifloat.testing import exact_encode

WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None; from minifloat.cli import main; main()"


@pytest.fixture(scope="module")
def printed() -> str:
    """Return the output of a process that cannot import Numba, and so never compiles."""
    command = [sys.executable, "-c", WITHOUT_NUMBA, "demo"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert done.stderr == b""
    return done.stdout.decode()


def test_each_mode_has_its_exact_value(printed: str) -> None:
    lines = re.findall(r"^  0 00 (\d+) +0\.\d+ +(.+)$", printed, re.MULTILINE)
    assert len(lines) == 2
    for bits, modes in lines:
        for mode in modes.split(", "):
            code = exact_encode(Fraction(demo.ROUNDED), parse("e2m2"), Rounding(mode))
            assert code == int(bits, 2), mode


def test_rounding_once_and_twice(printed: str) -> None:
    x = Fraction(demo.TWICE)
    assert Fraction(1, 4) < x < Fraction(1, 4) + Fraction(1, 2**24)  # to float32 it is the tie
    assert re.search(r"rounded once +0\.5\n +by way of float32 +0,", printed)


def test_the_error_of_int5_is_that_of_rint(printed: str) -> None:
    w = np.random.default_rng(2).standard_normal(demo.WEIGHTS)
    scales = (np.abs(w).max(1, keepdims=True) / 15).astype(np.float16).astype(np.float64)
    error = np.linalg.norm(np.clip(np.rint(w / scales), -15, 15) * scales - w) / np.linalg.norm(w)
    assert re.search(rf"^int5/64/float16 +5\.25 +{error:.2%} ", printed, re.MULTILINE)
    stars = re.findall(r"^(\w+)/64/float16 +\S+ +\*", printed, re.MULTILINE)
    assert stars == ["nf5", "nf4"]


def test_the_sums_are_those_of_the_units(printed: str) -> None:
    """Hopper keeps 13 bits below 2**17: the ones are cut off; Blackwell's 25 hold them."""
    exact = re.search(r"exact +(\d+)$", printed, re.MULTILINE)
    assert exact
    assert exact[1] == str(demo.ONES)
    assert re.search(r"hopper/e4m3fn/float32 +0$", printed, re.MULTILINE)
    assert re.search(rf"blackwell/e4m3fn/float32 +{demo.ONES}$", printed, re.MULTILINE)


@pytest.mark.parametrize("command", [name for name, *_ in COMMANDS])
def test_every_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    examples = re.findall(r"^  minifloat (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert examples
    assert set(examples) == {command}


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="the extra completion")

    def completions(line: str) -> list[str]:
        environment = {
            **os.environ,
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "words"),
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        }
        command = [sys.executable, "-c", "from minifloat.cli import main; main()"]
        subprocess.run(command, check=False, env=environment)
        return (tmp_path / "words").read_text(encoding="utf-8").split()

    assert completions("minifloat com") == ["compare"]
    assert completions("minifloat registers --emit ") == ["c", "cuda", "asm"]
