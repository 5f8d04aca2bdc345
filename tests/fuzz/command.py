"""Run the command in this process, and check its exit code and every character that it prints."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from unittest.mock import patch

from minifloat.cli import main
from tests.fuzz.faults import Fault, check, check_line
from tests.fuzz.workplace import folder

STDIN = "1.5\n-0.3 nan\n\x1b[31m\n"  # for commands that read it
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for one


def run_command(arguments: Sequence[str]) -> str:
    """Return what the command prints to stdout; empty after an error."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(folder()),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "stdin", io.StringIO(STDIN)),
    ):
        try:
            code = main(arguments)
        except BaseException as error:
            raise Fault(f"a traceback, {type(error).__name__}: {error!s:.300}") from error
    printed, message = out.getvalue(), err.getvalue()
    for line in printed.split("\n"):
        check(line.isprintable(), f"stdout must be printable, got {line[:300]!r}")
    if code == 0 or (code == 1 and "audit" in arguments):  # stderr may have notes
        for line in message.split("\n"):
            check(line.isprintable(), f"stderr must be printable, got {line[:300]!r}")
            check(not line.startswith("minifloat: error: "), f"an error, and code 0: {line!r}")
        return printed
    check(code == 2, f"the exit code must be 0, 2 or for audit 1, got {code}")
    check_line("stderr", message.removesuffix("\n"))
    check(message.startswith("minifloat: error: "), f"an error must be called so: {message!r}")
    return ""


def check_json(printed: str) -> None:
    """Refuse what is no JSON, or has numbers that JSON has not."""

    def refuse(name: str) -> None:
        raise Fault(f"JSON must have no {name}")

    json.loads(printed, parse_constant=refuse)


def check_csv(printed: str) -> None:
    """Refuse rows of unequal lengths, and cells that a spreadsheet takes for formulas."""
    rows = list(csv.reader(io.StringIO(printed)))
    check(len({len(row) for row in rows}) == 1, "rows of the CSV must be of one length")
    for row in rows:
        for cell in row:
            check(not cell.startswith(FORMULA) or is_number(cell), f"a formula: {cell[:300]!r}")


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
