"""Quantizing and dequantizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike, NDArray

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


def dequantized(
    recipe: str, dtype: DTypeLike = np.float32, threads: int = 1, **options: Any
) -> Callable[[Inputs], Thunk]:
    """Make floats of the normals' packed codes, in rows of 4096, in an array that is there."""

    def prepare(inputs: Inputs) -> Thunk:
        q = mf.quantize(inputs.x.reshape(-1, min(4096, inputs.size)), recipe, **options)
        out = inputs.empty(dtype).reshape(q.shape)
        return lambda: q.dequantize(dtype, out=out, threads=threads)

    return prepare


def dequantize_cases() -> Iterator[Case]:
    """Packed codes to floats, element for element against a copy of float32."""
    for recipe, target in (
        ("e2m2/128/float16", 0.8), ("int4/128/float16", 0.8), ("mxfp4", 0.8),
        ("nf4/64/float32", 0.8), ("int8/channel/float32", 0.8), ("nvfp4", 0.6),
        ("uint4/128/float16/zero-point", 0.6),
    ):  # fmt: skip
        fmt, moves = mf.Recipe.parse(recipe).fmt.name, 4 + stored(recipe)
        yield over_copy(f"dequantize {recipe}", fmt, target, dequantized(recipe), moves=moves)
    usual = "e2m2/128/float16"
    for dtype in (np.float16, ml_dtypes.bfloat16):
        name, moves = f"dequantize to {np.dtype(dtype)}", 2 + stored(usual)
        yield over_copy(name, "e2m2", 1.0, dequantized(usual, dtype), moves=moves)
    for name, recipe, axis in (("axis 0", usual, 0), ("tall blocks", "e2m2/128x128/float16", -1)):
        prepare, moves = dequantized(recipe, axis=axis), 4 + stored(recipe)
        yield over_copy(f"dequantize, {name}", "e2m2", 0.8, prepare, moves=moves)
    two = dequantized(usual, threads=2)
    yield Case("dequantize, 2 threads / 1", "e2m2", 1.7, two, dequantized(usual))


def stored(recipe: str) -> float:
    """Return how many bytes a weight takes."""
    return mf.Recipe.parse(recipe).bits_per_weight / 8
