"""The command as a process: help, streams, interrupts, what it imports."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numba
import pytest

import minifloat
from minifloat import _jit
from minifloat.cli import COMMANDS, _parsers, demo, main
from minifloat.cli.terminal import progress_bar
from minifloat.files import WeightsError
from tests.cli.calls import Capture, run, spawn

compare_module = import_module("minifloat.comparison")


def test_help_breaks_no_paragraph_twice(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = run(capsys, "compare", "--help").split("A tensor that some recipe")[1].splitlines()
    assert all(len(line) > 40 for line in lines[1:-1])


def test_version_and_help() -> None:
    result = spawn("--version")
    assert (result.returncode, result.stdout) == (0, f"minifloat {minifloat.__version__}\n")
    for command in ([], *([command[0]] for command in COMMANDS)):
        assert main([*command, "--help"]) == 0


def written_commands() -> list[list[str]]:
    """Return the arguments of every command line on the pages, in the notebooks, of the demo."""
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *sorted(root.glob("docs/**/*.md")))
    texts = [path.read_text() for path in pages]
    for page in list(texts):
        texts += [  # fenced commands, as indented ones
            "".join(f"    {line}\n" for line in block.splitlines())
            for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        ]
    texts.append("".join(f"  {line.split('   ')[0]}\n" for line in demo.LAST.splitlines()))
    for path in sorted(root.glob("notebooks/*.ipynb")):
        texts += ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    lines = [
        line for text in texts for line in re.findall(r"^(?: {4}|  && )minifloat (.*)", text, re.M)
    ]
    return [shlex.split(line.partition(" #")[0]) for line in lines]


@pytest.mark.parametrize("arguments", written_commands(), ids=" ".join)
def test_every_command_on_the_pages_can_be_typed(arguments: list[str]) -> None:
    _, commands = _parsers()
    words = [word for word in arguments if word != "--help"]
    assert commands[words[0]].parse_intermixed_args(words[1:]).run


def test_there_are_commands_on_the_pages() -> None:
    assert ["compare", "model.safetensors", "--sort", "error", "--top", "5"] in written_commands()
    assert len(written_commands()) > 10


def test_exit_code_of_an_error() -> None:
    result = spawn("show", "e9q")
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell's pipe")
def test_a_closed_pipe_is_no_error() -> None:
    command = f"'{sys.executable}' -m minifloat show e5m6 --all | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stdout == "Format e5m6\n"
    assert result.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell's redirection")
@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("list >&-", {0}),
        ("show e2m2 2>&-", {0}),
        ("decode e2m1 7 >&- 2>&-", {0}),
        ("encode e2m2 one 2>&-", {2}),
        ("encode e2m2 one >&- 2>&-", {2}),
        ("encode e2m2 - <&-", {2}),
        ("show e9q 2>&1 | true", {0}),
        ("list > /dev/full", {2}),
        ("encode e2m2 one 2> /dev/full", {2}),
        ("--help >&-", {0}),
    ],
)
def test_closed_and_full_streams_are_no_reason_for_a_traceback(words: str, codes: set[int]) -> None:
    command = f"'{sys.executable}' -W error -X dev -m minifloat {words}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode in codes
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    assert "error" not in result.stdout


def test_ctrl_c_is_code_130(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compare_module, "compare", interrupted)
    assert main(["compare", str(model)]) == 130


def test_running_out_of_memory_is_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(compare_module, "compare", exhausted)
    assert "must fit into memory" in run(capsys, "compare", model, code=2)


def test_show_is_light() -> None:
    program = (
        "import sys; from minifloat.cli import _parsers, main; main(['show', 'e2m2']); "
        "print([m for m in ('numpy', 'numba', 'rich') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("\n[]\n")


def test_progress_stays_off_stdout(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for missing in (False, True):
        if missing:
            monkeypatch.setattr("minifloat.cli.terminal.has_rich", lambda: False)
        assert main(["compare", str(model), "--json"]) == 0
        out, err = capsys.readouterr()
        json.loads(out)
        assert "%" in err or not missing


@pytest.mark.parametrize("rich", [True, False])
def test_a_word_says_that_functions_are_compiled(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, rich: bool
) -> None:
    if not _jit.load():
        pytest.skip("the JIT is disabled")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("minifloat.cli.terminal.has_rich", lambda: rich)
    with progress_bar("comparing") as progress:
        assert progress is not None
        if not rich:
            progress(1, 4)
        numba.njit(lambda x: x + 1)(1)
        if not rich:
            progress(2, 4)
    numba.njit(lambda x: x + 2)(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search("25%.*compiling.*50%" if not rich else "compiling", err, re.DOTALL)
    assert err.count("compiling") == 1 or rich


def test_weights_errors_are_value_errors() -> None:
    assert issubclass(WeightsError, ValueError)
