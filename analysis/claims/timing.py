"""How long something takes, and on how many threads it can be measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import minifloat as mf
from analysis.models.evaluation import REFERENCE
from analysis.models.layers import Array
from analysis.models.matrices import Matrix, product
from minifloat.quantization.quantized import Quantized

THREADS = (1, 2)


def free_threads() -> tuple[int, ...]:
    """Return those of `THREADS` for which as many cores are free, at least the first.

    Programs whose threads wait for each other would otherwise measure the other work.
    """
    free = (os.cpu_count() or 1) - os.getloadavg()[0]
    return tuple(count for count in THREADS if count == 1 or count <= round(free))


def threads_of(weights: str, free: tuple[int, ...]) -> tuple[int, ...]:
    """Return on how many threads weights are measured: one row for float32, NumPy's products."""
    return free[:1] if weights == REFERENCE else free


def product_on(threads: int, activations: str | None = None) -> Callable[..., Array]:
    """Return a product for models whose packed matrices are multiplied on so many threads."""
    return partial(_product, activations=activations, threads=threads)


def _product(
    x: Array, matrix: Matrix, bias: Array | None = None, *, activations: str | None, threads: int
) -> Array:
    if not isinstance(matrix, Quantized):
        return product(x, matrix, bias)
    return mf.linear(x, matrix, bias, activations=activations, threads=threads)


def median_seconds(run: Callable[[], object], repeats: int, threads: int = 1) -> float:
    """Return the median time of a run in seconds.

    Parameters
    ----------
    run : callable
    repeats : int
        At least 1.
    threads : int
        That it uses: with one, the time is that of the CPU, else that of the clock.

    Returns
    -------
    float
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds = []
    for _ in range(repeats):
        start = clock()
        run()
        seconds.append(clock() - start)
    return float(np.median(seconds))
