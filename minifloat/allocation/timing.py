"""Measured time as a cost of recipes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np

from minifloat._threads import check_threads
from minifloat.comparison import distinct_recipes
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_int
from minifloat.layers import linear
from minifloat.quantization import quantize
from minifloat.quantization.recipes import Recipe

LONGEST = 1 << 14  # of a side of the matrix


def seconds_per_weight(
    recipes: Sequence[Recipe | NumberFormat | str],
    *,
    shape: tuple[int, int] = (1024, 1024),
    vectors: SupportsIndex = 1,
    repeats: SupportsIndex = 15,
    threads: SupportsIndex = 1,
) -> dict[Recipe, float]:
    """Measure what a weight takes in `minifloat.linear`, by each recipe, on this machine.

    Parameters
    ----------
    recipes : sequence of Recipe, format or str
        Each once.
    shape : (int, int)
        Outputs and inputs of the matrix of normal weights.
    vectors : int
        That are multiplied at a time.
    repeats : int
        Products of each recipe, in turn with the other recipes; the median counts.
    threads : int
        As for `minifloat.linear`.

    Returns
    -------
    dict of Recipe to float
        Seconds, for `allocate` as ``costs={"seconds": ...}``; its budget is then that of one
        product with each tensor.

    Raises
    ------
    ValueError, TypeError
        As for `minifloat.quantize`, or if an argument is out of range.

    Examples
    --------
    >>> found = seconds_per_weight(["e2m2", "int8"], shape=(16, 128), repeats=1)
    >>> [str(recipe) for recipe in found], min(found.values()) > 0
    (['e2m2/128/float16', 'int8/128/float16'], True)
    """
    chosen, threads = distinct_recipes(recipes), check_threads(threads)
    outputs, inputs = (check_int("shape", side, 1, LONGEST) for side in shape)
    vectors = check_int("vectors", vectors, 1, LONGEST)
    repeats = check_int("repeats", repeats, 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((vectors, inputs), np.float32)
    w = rng.standard_normal((outputs, inputs), np.float32)
    packed = {recipe: quantize(w, recipe) for recipe in chosen}
    seconds: dict[Recipe, list[float]] = {recipe: [] for recipe in chosen}
    for q in packed.values():
        linear(x, q, threads=threads)  # compiles, and makes what products keep
    for _ in range(repeats):
        for recipe, q in packed.items():
            start = time.perf_counter()
            linear(x, q, threads=threads)
            seconds[recipe].append(time.perf_counter() - start)
    return {recipe: statistics.median(each) / w.size for recipe, each in seconds.items()}
