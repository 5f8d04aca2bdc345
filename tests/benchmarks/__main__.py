"""Print the table of speeds: `python -m tests.benchmarks --help`.

Each case is timed in turns with its yardstick, mostly `numpy.copyto` of the same float32 array, so
that what slows the machine down slows both. Its ratio is elements per second over the yardstick's,
the median over the turns. One thread on one core, but for the cases with two threads, which have
a core each. The JIT is loaded. Instead, ``--calls`` prints the microseconds of calls of 1 to 10^5
elements, ``--starts`` how long new processes take, and ``--growth`` how time and memory grow with
the size.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numba
import numpy as np

from minifloat import _jit
from tests.benchmarks import calls as small_calls
from tests.benchmarks import growth, starts
from tests.benchmarks.cases import CASES, Case, Inputs, Thunk
from tests.benchmarks.cases.case import copy_float32

TARGET_SIZE = 1 << 24  # the targets are meant at this size
SIZES = (TARGET_SIZE, 1 << 16)
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


class Measured(NamedTuple):
    """One line of the table."""

    task: str
    format: str
    size: int
    ratio: float
    target: float | None
    limit: float | None  # the ratio of moving a line's bytes as fast as the copy moves its own
    ns_per_element: float


def measure(
    case: Case, inputs: Inputs, turns: int, seconds: float, bandwidth: float = math.nan
) -> Measured:
    """Time a case and its yardstick in turns of at least ``seconds`` each.

    ``bandwidth`` is how many bytes the copy reads and writes in a nanosecond, if that is known.
    """
    if case.own_size:
        inputs = Inputs(case.own_size)
    small = Inputs(min(inputs.size, case.size_limit)) if case.size_limit else inputs
    run, yardstick = case.prepare(small), case.yardstick(inputs)
    run_calls, yardstick_calls = calls(run, seconds), calls(yardstick, seconds)
    keep_apart()
    times, ratios = [], []
    for _ in range(turns):
        one = seconds_per_call(yardstick, yardstick_calls) / inputs.size
        times.append(seconds_per_call(run, run_calls) / small.size)
        ratios.append(one / times[-1])
    target = case.target if inputs.size in (TARGET_SIZE, case.own_size) else None
    ratio, per_element = statistics.median(ratios), 1e9 * statistics.median(times)
    limit = None
    if case.moves is not None and math.isfinite(bandwidth):
        limit = ratio * per_element * bandwidth / case.moves
    return Measured(case.task, case.fmt, inputs.size, ratio, target, limit, per_element)


def bandwidth_of_copy(inputs: Inputs, turns: int, seconds: float) -> float:
    """Return how many bytes `numpy.copyto` of the float32 array reads and writes in a ns."""
    copy = copy_float32(inputs)
    count = calls(copy, seconds)
    times = [seconds_per_call(copy, count) for _ in range(turns)]
    return 8e-9 * inputs.size / statistics.median(times)


def seconds_per_call(thunk: Thunk, count: int) -> float:
    """Return the mean time of a number of calls."""
    start = time.perf_counter()
    for _ in range(count):
        thunk()
    return (time.perf_counter() - start) / count


def calls(thunk: Thunk, seconds: float) -> int:
    """Return how many calls take ``seconds``, after one that compiles and maps pages."""
    thunk()
    return max(1, round(seconds / seconds_per_call(thunk, 1)))


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread on one core meanwhile, where the system can."""
    if not CORES:
        yield
        return
    os.sched_setaffinity(0, {CORES[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def keep_apart() -> None:
    """Keep minifloat's own threads, if there are any, on the other cores.

    On which core a thread is woken is the system's choice, and some put all on one.
    """
    others = CORES[:-1] or CORES
    own = (thread for thread in threading.enumerate() if thread.name.startswith("minifloat"))
    for k, thread in enumerate(own if others else ()):
        os.sched_setaffinity(thread.native_id or 0, {others[k % len(others)]})


def header() -> str:
    """Say what was measured where."""
    return (
        "Elements per second over the yardstick's (numpy.copyto of float32 unless named; float64 "
        "against a float64 copy,\npacking against a copy of the codes, a byte each). The limit is "
        "the ratio of moving the bytes that a line\nmust read and write as fast as the copy moves "
        "its own; ns are of an element.\n"
        f"NumPy {np.__version__}, Numba {numba.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.\n\n"
        f"{'task':<34} {'format':<7} {'size':>9} {'ratio':>7} {'target':>7} {'limit':>9} {'ns':>10}"
    )


def line(row: Measured) -> str:
    """Write one line of the table; a ratio below its target is marked."""
    target = "" if row.target is None else f"{row.target:.2f}"
    limit = "" if row.limit is None else f"{row.limit:.2f}"
    short = "*" if row.target is not None and row.ratio < row.target else " "
    return (
        f"{row.task:<34} {row.format:<7} {row.size:>9} {row.ratio:>7.3f} {target:>7} {short} "
        f"{limit:>7} {row.ns_per_element:>10.3f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, printing each line as it is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=SIZES, help="numbers of elements")
    parser.add_argument("--quick", action="store_true", help="few and short turns")
    parser.add_argument("--only", default="", metavar="PATTERN", help="of 'task format'; a regex")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--calls", action="store_true", help="time calls of 1 to 10^5 elements")
    parser.add_argument("--starts", action="store_true", help="time new processes, in seconds")
    parser.add_argument("--growth", action="store_true", help="time and memory by size")
    options = parser.parse_args(arguments)
    if options.starts:
        print(starts.lines(1 if options.quick else 5))
        return
    _jit.load()
    if options.growth:
        for text in growth.lines(options.size, 1 if options.quick else 5):
            print(text, flush=True)
        return
    if options.calls:
        with one_core():
            print(small_calls.lines(3 if options.quick else 21))
        return
    turns, seconds = (5, 1e-4) if options.quick else (21, 2e-3)
    chosen = [case for case in CASES if re.search(options.only, f"{case.task} {case.fmt}")]
    rows = []
    if not options.json:
        print(header())
    for size in options.size:
        inputs = Inputs(size)
        with one_core():
            bandwidth = bandwidth_of_copy(inputs, turns, seconds)
        if not options.json:
            print(f"The copy of {size} elements moves {bandwidth:.1f} GB/s.")
        for case in chosen:
            if case.own_size and size != options.size[0]:  # once is enough
                continue
            with one_core():
                rows.append(measure(case, inputs, turns, seconds, bandwidth))
            if not options.json:
                print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
    elif any(row.target is not None and row.ratio < row.target for row in rows):
        print("\n* below its target")


if __name__ == "__main__":
    main()
