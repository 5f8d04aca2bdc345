"""A command that ends with its caller, however that ends.

`run` starts this file as a process between the caller and the command, with both in a group of
their own, which a signal to the caller's group does not reach. The process starts the command and
reads a pipe that the caller never writes to: when the caller is gone, even by SIGKILL, the pipe
ends, and so do the process, the command and all that it has started. It imports the standard
library alone, to start fast.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from contextvars import ContextVar

STOP: ContextVar[threading.Event | None] = ContextVar("STOP", default=None)
"""Of a thread's context: an event after which `run` ends what it runs, and runs nothing more."""

PAUSE = 0.1  # seconds between looks at the event


class StoppedError(Exception):
    """The event in `STOP` has come."""


def run(command: list[str], folder: os.PathLike[str], log: int, timeout: float) -> int | None:
    """Run a command in a folder; return its exit status, or None if time ran out.

    Parameters
    ----------
    command : list of str
    folder : path
        Also where it puts its temporary files.
    log : int
        Descriptor of the file that gets what it prints.
    timeout : float
        Seconds after which it is ended.

    Raises
    ------
    StoppedError
        After the event in `STOP`.

    Examples
    --------
    >>> from pathlib import Path
    >>> with open(os.devnull, "wb") as log:
    ...     run([sys.executable, "-c", "raise SystemExit(3)"], Path("."), log.fileno(), 60)
    3
    """
    stop, end = STOP.get(), time.monotonic() + timeout
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *command],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env={**os.environ, "TMPDIR": os.fspath(folder)},
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        while time.monotonic() < end:
            if stop is not None and stop.is_set():
                raise StoppedError
            with suppress(subprocess.TimeoutExpired):
                return process.wait(min(PAUSE, timeout))
        return None
    finally:
        _end(process.pid)
        process.stdin.close()  # where there are no groups
        process.wait()


def run_until_input_ends(command: list[str]) -> int:
    """Run a command, in this process's group; return its status unless standard input ends."""
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end_with_input() -> None:
        os.read(0, 1)
        _end(os.getpid())
        running.kill()

    threading.Thread(target=end_with_input, daemon=True).start()
    return running.wait()


def _end(group: int) -> None:
    """End all processes of a group, where the system has groups."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run_until_input_ends(sys.argv[1:]))
