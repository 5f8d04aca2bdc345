"""Products with packed weights against NumPy's with float32 weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat._threads import each
from tests.benchmarks.cases.case import Case, Inputs, Thunk


def vectors(inputs: Inputs, batch: int, length: int | None = None) -> NDArray[np.float32]:
    """Return what weights of 4096 columns, or 8192 of large sizes, are multiplied by."""
    if length is None:
        length = 8192 if inputs.size >= 1 << 26 else min(4096, inputs.size)
    return np.random.default_rng(6).standard_normal((batch, length), np.float32)


def linear(
    fmt: str,
    batch: int,
    threads: int = 1,
    odd: bool = False,
    length: int | None = None,
    activations: str | None = None,
    **options: Any,
) -> Callable[[Inputs], Thunk]:
    """Multiply vectors by packed weights, which lack their last column if rows are to be odd."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, batch, length)
        w = inputs.x.reshape(-1, x.shape[1])
        if odd:
            x, w = x[:, :-1], w[:, :-1]
        q = mf.quantize(w, mf.parse(fmt), **options)
        return lambda: mf.linear(x, q, activations=activations, threads=threads)

    return prepare


def dequantize(fmt: str, batch: int = 1) -> Callable[[Inputs], Thunk]:
    """Make floats of packed weights and multiply vectors by them."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, batch)
        q = mf.quantize(inputs.x.reshape(-1, x.shape[1]), fmt)
        return lambda: x @ q.dequantize().T

    return prepare


def float32_product(batch: int, length: int | None = None) -> Callable[[Inputs], Thunk]:
    """Multiply vectors by float32 weights, by NumPy."""

    def prepare(inputs: Inputs) -> Thunk:
        x = vectors(inputs, batch, length)
        w = inputs.x.reshape(-1, x.shape[1])
        return (lambda: w @ x[0]) if batch == 1 else (lambda: x @ w.T)

    return prepare


def tangents(threads: int) -> Callable[[Inputs], Thunk]:
    """Work whose halves need neither memory nor each other: what two cores can do at all."""

    def prepare(inputs: Inputs) -> Thunk:
        some, result = inputs.x[: 1 << 16], np.empty((2, min(1 << 16, inputs.size)), np.float32)
        repeats = max(1, inputs.size // (2 * some.size))

        def half(k: int) -> None:
            for _ in range(repeats):
                np.tan(some, out=result[k])

        return lambda: each(half, [0, 1], threads)

    return prepare


def product_cases() -> Iterator[Case]:
    """Products with packed weights against NumPy's with float32 weights, on one thread."""
    for fmt in ("e2m2", "int5", "nf5", "nf4", "e2m1", "e4m3fn"):
        target = 2.0 if fmt == "e2m2" else None
        yield Case("linear / NumPy float32", fmt, target, linear(fmt, 1), float32_product(1))
    for other, target in (("int5", 0.97), ("nf5", 1.0), ("nf4", 1.0)):
        name = f"linear e2m2 / {other}"
        yield Case(name, "e2m2", target, linear("e2m2", 1), linear(other, 1))
    for size in (32, 16):  # of the MX formats, of NVFP4
        name = f"linear / NumPy float32, blocks {size}"
        yield Case(name, "e2m1", None, linear("e2m1", 1, block=size), float32_product(1))
    for name, options in (("odd rows", {"odd": True}), ("axis 0", {"axis": 0})):
        one = linear("e2m2", 1, **options)
        yield Case(f"linear / NumPy float32, {name}", "e2m2", None, one, float32_product(1))
        yield Case(f"linear, {name} / aligned", "e2m2", 0.8, one, linear("e2m2", 1))
    for size in (32, 16):
        small, large = linear("e2m1", 1, block=size), linear("e2m1", 1, block=128)
        yield Case(f"linear, blocks {size} / 128", "e2m1", 0.85, small, large)
    whole = dequantize("e2m2")
    yield Case("dequantize() @ x / NumPy float32", "e2m2", None, whole, float32_product(1))
    for batch in (8, 32, 64):
        name = f"linear / NumPy float32, batch {batch}"
        yield Case(name, "e2m2", None, linear("e2m2", batch), float32_product(batch))
    for batch in (65, 128, 512):
        name, whole = f"linear / dequantize() first, batch {batch}", dequantize("e2m2", batch)
        yield Case(name, "e2m2", 1.0, linear("e2m2", batch), whole)
    few = linear("e2m2", 1, length=64)
    yield Case("linear / NumPy float32, 64 x 64", "e2m2", None, few, float32_product(1, 64),
               own_size=1 << 12)  # fmt: skip
    two = linear("e2m2", 1, threads=2)
    yield Case("linear, 2 threads / 1", "e2m2", 1.7, two, linear("e2m2", 1))
    yield Case("2 cores / 1, nothing shared", "-", None, tangents(2), tangents(1))
