"""How time and memory grow with the number of weights, in memory and mapped from files."""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

import minifloat as mf

SIZES = (1 << 16, 1 << 20, 1 << 24, 1 << 26)
ROW = 4096  # weights
RECIPE = "e2m2/128/float16"

Array = NDArray[Any]
New = Callable[[str, tuple[int, ...], DTypeLike], Array]  # makes an array that has a name


class Task(NamedTuple):
    """One call: what it allocates of its own is part of its output or is beside it."""

    name: str
    run: Callable[[], object]
    result_bytes: int  # of a result that the call itself allocates


def tasks(size: int, new: New) -> Iterator[Task]:
    """Yield the verbs on arrays that ``new`` makes."""
    shape = (size // ROW, ROW)
    w = new("w", shape, np.float32)
    rng = np.random.default_rng(7)
    for row in w:
        row[:] = rng.standard_normal(ROW, np.float32)
    codes, rounded = new("codes", shape, np.uint8), new("rounded", shape, np.float32)
    yield Task("encode", lambda: mf.encode(w, "e2m2", out=codes), 0)
    yield Task("decode", lambda: mf.decode(codes, "e2m2", out=rounded), 0)
    yield Task("round_to", lambda: mf.round_to(w, "e2m2", out=rounded), 0)
    q = mf.quantize(w, RECIPE)
    stored = q.packed.nbytes + q.scales.nbytes
    yield Task("quantize", lambda: mf.quantize(w, RECIPE), stored)
    yield Task("dequantize", q.dequantize, 4 * size)
    x = np.ones(ROW, np.float32)
    yield Task("linear", lambda: mf.linear(x, q), 4 * shape[0])


def nanoseconds(task: Task, size: int, turns: int) -> float:
    """Return the median time per weight, after one call that compiles and maps pages."""
    task.run()
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        task.run()
        times.append(time.perf_counter() - start)
    return 1e9 * statistics.median(times) / size


def bytes_beside(task: Task) -> int:
    """Return the most memory that a call has allocated at a time, less its result."""
    tracemalloc.start()
    try:
        result = task.run()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return max(0, peak - task.result_bytes)


def lines(sizes: Sequence[int], turns: int) -> Iterator[str]:
    """Measure and write the table, a line for each verb and size."""
    yield f"{'task':<22} {'arrays':<8} {'weights':>11} {'ns/weight':>10} {'MiB beside':>11}"
    for size in sizes:
        yield from _lines(size, "memory", turns, lambda _, shape, dtype: np.zeros(shape, dtype))
        with tempfile.TemporaryDirectory() as folder:
            yield from _lines(size, "mapped", turns, partial(mapped, Path(folder)))


def mapped(folder: Path, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return a new array that is a file."""
    return np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)


def _lines(size: int, arrays: str, turns: int, new: New) -> Iterator[str]:
    for task in tasks(size, new):
        took = nanoseconds(task, size, turns)
        beside = bytes_beside(task) / (1 << 20)
        yield f"{task.name:<22} {arrays:<8} {size:>11} {took:>10.3f} {beside:>11.2f}"
