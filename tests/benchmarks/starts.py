"""How long a process takes until it has an answer, in seconds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Start(NamedTuple):
    """One line of the table."""

    task: str
    target: float | None
    arguments: tuple[str, ...]  # of Python
    is_cached: bool = False  # whether Numba's cache has been filled; otherwise it is empty


WEIGHTS = "weights.npy"  # 2**20 numbers, made in a folder of their own
ENCODE_MANY = "import numpy as np, minifloat as mf; mf.encode(np.ones(65536, np.float32), 'e2m2')"

STARTS = (
    Start("import minifloat", None, ("-c", "import minifloat")),
    Start("minifloat encode e2m2 1.1", 0.3, ("-m", "minifloat", "encode", "e2m2", "1.1")),
    Start("minifloat show e2m2", 0.3, ("-m", "minifloat", "show", "e2m2")),
    Start("minifloat compare weights.npy", 4.0, ("-m", "minifloat", "compare", WEIGHTS)),
    Start("minifloat compare weights.npy", None, ("-m", "minifloat", "compare", WEIGHTS), True),
    Start("encode of 65536 elements", None, ("-c", ENCODE_MANY)),
    Start("encode of 65536 elements", None, ("-c", ENCODE_MANY), is_cached=True),
)


def seconds(start: Start, turns: int) -> float:
    """Return the median time of processes that each begin with Numba's cache as it should be.

    Python has compiled all files before, as pip does when it installs them.
    """
    times = []
    with tempfile.TemporaryDirectory() as bytecode, tempfile.TemporaryDirectory() as filled:
        weights = np.random.default_rng(0).standard_normal((1024, 1024))
        np.save(Path(bytecode, WEIGHTS), weights.astype(np.float32))
        run(start, bytecode, filled)
        for _ in range(turns):
            with tempfile.TemporaryDirectory() as empty:
                begin = time.perf_counter()
                run(start, bytecode, filled if start.is_cached else empty)
                times.append(time.perf_counter() - begin)
    return statistics.median(times)


def run(start: Start, bytecode: str, numba_cache: str) -> None:
    """Run the process, which must end well."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode, "NUMBA_CACHE_DIR": numba_cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    whole = (str(Path(bytecode, a)) if a == WEIGHTS else a for a in start.arguments)
    command = [sys.executable, *whole]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def lines(turns: int) -> str:
    """Measure them and write the table, a line for each; one above its target is marked."""
    table = [f"{'process':<34} {'Numba cache':<12} {'seconds':>12} {'target':>7}"]
    for start in STARTS:
        took = seconds(start, turns)
        target = "" if start.target is None else f"{start.target:.2f}"
        slow = "*" if start.target is not None and took > start.target else " "
        cache = "filled" if start.is_cached else "empty"
        table.append(f"{start.task:<34} {cache:<12} {took:>12.2f} {target:>7} {slow}")
    return "\n".join(table)
