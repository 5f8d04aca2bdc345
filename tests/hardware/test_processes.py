"""Yosys and what it starts end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("platformdirs")

from minifloat.hardware import processes, synthesis
from minifloat.hardware.synthesis import SynthesisError, netlist

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")

SLEEP = 60
EMPTY = "module mul(input a, output b); endmodule"


def stuck(folder: Path) -> str:
    """Return a program that starts another, notes both in files, and sleeps."""
    return (
        "import os, subprocess, sys, tempfile, time\n"
        f"sleep = 'import time; time.sleep({SLEEP})'\n"
        "child = subprocess.Popen([sys.executable, '-c', sleep])\n"
        f"open({str(folder / 'place')!r}, 'w').write(tempfile.mkdtemp())\n"
        f"open({str(folder / 'new')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(folder / 'new')!r}, {str(folder / 'started')!r})\n"
        f"time.sleep({SLEEP})\n"
    )


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SLEEP / 2
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(process: str) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", process], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_what_ran_out_of_time_leaves_no_process_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = synthesis._Tool("numpy", "numpy", ("-c", stuck(tmp_path)))
    monkeypatch.setattr(synthesis, "_find_tool", lambda: tool)
    monkeypatch.setattr(synthesis, "_cache_folder", lambda: tmp_path / "cache")
    start = time.monotonic()
    with pytest.raises(SynthesisError, match=r"more than 3 s; raise timeout"):
        netlist(EMPTY, "mul", "cmos", timeout=3)
    assert time.monotonic() - start < SLEEP / 2
    started = (tmp_path / "started").read_text().split()
    wait_until(lambda: not any(map(runs, started)))
    assert not Path((tmp_path / "place").read_text()).exists()


@pytest.mark.parametrize("everything", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"])
def test_a_command_that_is_killed_leaves_no_process(
    name: str, everything: bool, tmp_path: Path
) -> None:
    """A terminal sends Ctrl-C, SIGINT, to the whole group of a command."""
    program = (
        "from minifloat.cli import main\n"
        "from minifloat.hardware import costs, synthesis\n"
        f"tool = synthesis._Tool('numpy', 'numpy', ('-c', {stuck(tmp_path)!r}))\n"
        "synthesis._find_tool = lambda: tool\n"
        "raise SystemExit(main(['cost', 'e2m1', '--unit', 'decoder']))\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    try:
        wait_until((tmp_path / "started").exists)
        started = (tmp_path / "started").read_text().split()
        assert all(map(runs, started))
        number = getattr(signal, name)
        (os.killpg if everything else os.kill)(command.pid, number)
        assert command.wait(SLEEP / 2) == (130 if name == "SIGINT" else -number)
        wait_until(lambda: not any(map(runs, started)))
    finally:
        command.kill()
        command.wait()


def test_a_command_has_its_status_and_its_output(tmp_path: Path) -> None:
    """It reads an empty standard input, and its process ends as soon as it does."""
    program = "import os, sys; print(os.getcwd(), sys.stdin.read() == ''); sys.exit(7)"
    with (tmp_path / "log").open("wb") as log:
        assert processes.run([sys.executable, "-c", program], tmp_path, log.fileno(), 60) == 7
    assert (tmp_path / "log").read_text() == f"{tmp_path} True\n"
