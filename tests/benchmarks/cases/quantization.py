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


def quantize(
    fmt: str, threads: int = 1, source: DTypeLike = np.float32, **options: Any
) -> Callable[[Inputs], Thunk]:
    """Quantize the normals in rows of 4096, blocks of 128 unless the options say otherwise."""

    def prepare(inputs: Inputs) -> Thunk:
        x = inputs.x64 if source is np.float64 else inputs.x.astype(source, copy=False)
        w = x.reshape(-1, min(4096, inputs.size))
        recipe = mf.Recipe(mf.parse(fmt), **options)  # nf4 alone would be QLoRA's recipe
        return lambda: mf.quantize(w, recipe, threads=threads)

    return prepare


def quantize_by(recipe: str) -> Callable[[Inputs], Thunk]:
    """Quantize the normals in rows of 4096 by a recipe's text or name."""

    def prepare(inputs: Inputs) -> Thunk:
        w = inputs.x.reshape(-1, min(4096, inputs.size))
        return lambda: mf.quantize(w, recipe)

    return prepare


def rotate(size: int) -> Callable[[Inputs], Thunk]:
    """Rotate the normals in rows of at most 4096."""

    def prepare(inputs: Inputs) -> Thunk:
        w = inputs.x.reshape(-1, min(4096, inputs.size) // size * size)
        rotation = mf.Rotation(size)
        return lambda: rotation.rotate(w)

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
    """Scales, codes and packing; from float16 and others against the rate from float32."""
    mx, nv = {"block": 32, "scale": "e8m0"}, {"block": 16, "scale": "e4m3fn", "tensor_scale": True}
    cases: tuple[tuple[str, str, float | None, dict[str, Any]], ...] = (
        ("blocks of 128", "e2m2", 0.8, {}),
        ("blocks of 128", "int4", 0.8, {}),
        ("mxfp4", "e2m1", 0.6, mx),
        ("nvfp4", "e2m1", 0.4, nv),
        ("blocks of 64", "nf4", 0.3, {"block": 64, "scale": "float32"}),
        ("zero points", "uint4", 0.4, {"zero_point": True}),
        ("a channel", "e2m2", 0.7, {"block": "channel"}),
        ("a channel", "int8", None, {"block": "channel"}),
        ("one scale", "e2m2", 0.6, {"block": "tensor", "scale": "float32"}),
        ("one scale", "e4m3fn", None, {"block": "tensor", "scale": "float32"}),
    )
    for name, fmt, target, options in cases:
        moves = 4 + mf.Recipe(mf.parse(fmt), **options).bits_per_weight / 8
        yield over_copy(f"quantize, {name}", fmt, target, quantize(fmt, **options), moves=moves)
    for recipe in ("four_over_six", "if4", "int4/128/float16/hadamard128"):
        fmt, moves = mf.Recipe.parse(recipe).fmt.name, 4 + stored(recipe)
        yield over_copy(f"quantize {recipe}", fmt, None, quantize_by(recipe), moves=moves)
    for size in (32, 128):
        yield over_copy(f"rotate, blocks of {size}", "float32", None, rotate(size))
    for size in (96, 576):  # by Paley's matrices of 12 and 36
        yield over_copy(
            f"rotate, blocks of {size}", "float32", None, rotate(size), own_size=4032 << 8
        )
    for source, least in ((np.float16, 1.0), (ml_dtypes.bfloat16, 1.0), (np.float64, 0.5)):
        other = quantize("e2m2", source=source)
        name = f"quantize {np.dtype(source).name} / float32"
        yield Case(name, "e2m2", least, other, quantize("e2m2"))
    for search, target in (("absmax", None), ("mse", 1.7)):
        one, two = (quantize("e2m2", threads, search=search) for threads in (1, 2))
        yield Case(f"quantize {search}, 2 threads / 1", "e2m2", target, two, one)
    yield over_copy("quantize mse", "e2m2", None, quantize("e2m2", search="mse"))
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
