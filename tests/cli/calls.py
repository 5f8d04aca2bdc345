"""Calls of the `minifloat` command, in this process and in one of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from minifloat.cli import main

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *argv: object, code: int = 0, notes: str = "") -> str:
    """Run the command in this process; return stdout, or stderr after an error.

    ``notes`` are what stderr has beside the output.
    """
    assert main([str(word) for word in argv]) == code
    out, err = capsys.readouterr()
    if code == 0:
        assert err == notes
        return out
    assert out == ""
    assert err.startswith("minifloat: error: ")
    assert err.count("\n") == 1
    return err


def spawn(*argv: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minifloat", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)
