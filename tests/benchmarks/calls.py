"""How long a call takes by the number of its elements, where a call's own time counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np

import minifloat as mf

SIZES = (1, 10, 100, 1000, 10_000, 100_000)
FORMAT = "e2m2"

Call = Callable[[], object]


def calls(size: int) -> dict[str, Call]:
    """Return the verbs, each with new arrays for its results; the yardstick comes first.

    Products have a square of so many weights.
    """
    x = np.random.default_rng(24).standard_normal(size, np.float32)
    codes = np.asarray(mf.encode(x, FORMAT))
    bits = mf.parse(FORMAT).bits
    packed = mf.pack(codes, bits)
    q = mf.quantize(x, FORMAT)
    side = math.isqrt(size)  # of the weights of a product
    vector, weights = x[:side], mf.quantize(x[: side * side].reshape(side, side), FORMAT)
    return {
        "numpy.add": lambda: np.add(x, x),
        "encode": lambda: mf.encode(x, FORMAT),
        "decode": lambda: mf.decode(codes, FORMAT),
        "round_to": lambda: mf.round_to(x, FORMAT),
        "pack": lambda: mf.pack(codes, bits),
        "unpack": lambda: mf.unpack(packed, bits, size),
        "quantize": lambda: mf.quantize(x, FORMAT),
        "dequantize": q.dequantize,
        "linear": lambda: mf.linear(vector, weights),
        "linear int8": lambda: mf.linear(vector, weights, activations="int8/channel/float32"),
    }


def seconds(call: Call, turns: int) -> float:
    """Return the median time of a call; a turn takes a millisecond, or one call."""
    call()
    begin = time.perf_counter()
    call()
    count = max(1, round(1e-3 / (time.perf_counter() - begin)))
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) / count)
    return statistics.median(times)


def lines(turns: int) -> str:
    """Measure them and write the table: microseconds, and in brackets how many numpy.add take."""
    table = ["microseconds a call (and over numpy.add's), by elements"]
    table.append(f"{'call':<12}" + "".join(f"{size:>18}" for size in SIZES))
    columns = []
    for size in SIZES:
        took = {name: seconds(call, turns) for name, call in calls(size).items()}
        columns.append({n: f"{1e6 * t:.2f} ({t / took['numpy.add']:.1f})" for n, t in took.items()})
    table += [
        f"{name:<12}" + "".join(f"{column[name]:>18}" for column in columns) for name in columns[0]
    ]
    return "\n".join(table)
