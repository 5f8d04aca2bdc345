"""Quantizing and dequantizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from tests.benchmarks.cases.case import Case, Inputs, Thunk, over_copy

GPTQ_SIZE = 1 << 20


def quantize(fmt: str, threads: int = 1, **options: Any) -> Callable[[Inputs], Thunk]:
    """Quantize the normals in rows of 4096, blocks of 128."""

    def prepare(inputs: Inputs) -> Thunk:
        w = inputs.x.reshape(-1, min(4096, inputs.size))
        recipe = mf.Recipe(fmt, **options)  # nf4 alone would be QLoRA's recipe
        return lambda: mf.quantize(w, recipe, threads=threads)

    return prepare


def quantize_by_gptq(inputs: Inputs) -> Thunk:
    """Quantize a square of the normals with a Hessian."""
    w = square(inputs)
    hessian = w.T.astype(np.float64) @ w
    return lambda: mf.gptq(w, "e2m2", hessian)


def matrix_products(inputs: Inputs) -> Thunk:
    """Multiply float64 squares of that size, as many as the array has; BLAS has its threads."""
    w = square(inputs).astype(np.float64)
    count = max(1, inputs.size // w.size)
    return lambda: [w @ w for _ in range(count)]


def square(inputs: Inputs) -> NDArray[np.float32]:
    """Return a square matrix of the normals, of at most GPTQ_SIZE elements."""
    side = math.isqrt(min(inputs.size, GPTQ_SIZE))
    return inputs.x[: side * side].reshape(side, side)


def quantize_cases() -> Iterator[Case]:
    """Scales, codes and packing; least squares take 10 s for 2**24 weights at 600 ns a weight."""
    yield over_copy("quantize absmax", "e2m2", 0.25, quantize("e2m2"))
    yield over_copy("quantize absmax, e8m0 scales", "e2m1", 0.25, quantize("e2m1", scale="e8m0"))
    least = quantize("e2m2", threads=2, search="mse")
    yield over_copy("quantize mse, 2 threads", "e2m2", None, least)
    yield Case(
        "quantize by GPTQ / matrix product", "e2m2", None, quantize_by_gptq, matrix_products,
        size_limit=GPTQ_SIZE,
    )  # fmt: skip
