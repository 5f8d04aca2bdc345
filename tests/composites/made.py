"""Composites of every combination of parts, and what they mean by plain NumPy in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import minifloat as mf
from minifloat.composites import Sparse

PARTS = ("order", "sparse", "low_rank", "input_factors", "bias")
COMBINATIONS = [
    names for count in range(len(PARTS) + 1) for names in itertools.combinations(PARTS, count)
]


def outliers(*shape: int, share: float = 0.05, seed: int = 3) -> np.ndarray:
    """Return a matrix of few large numbers, which float16 holds, and zeros."""
    rng = np.random.default_rng(seed)
    numbers = (8 * rng.standard_normal(shape)).astype(np.float16).astype(np.float32)
    return numbers * (rng.random(shape) < share)


def parts_of(names: tuple[str, ...], outputs: int, inputs: int) -> dict[str, Any]:
    """Return the parts of these names, for weights of this shape."""
    rng = np.random.default_rng(7)
    thin = rng.standard_normal((outputs, 3)), rng.standard_normal((3, inputs))
    every = {
        "order": rng.permutation(inputs),
        "sparse": Sparse.of(outliers(outputs, inputs)),
        "low_rank": (mf.quantize(thin[0], "e2m3/tensor"), mf.quantize(thin[1], "int8/channel")),
        "input_factors": (2.0 ** rng.uniform(-3, 3, inputs)).astype(np.float16).astype(np.float32),
        "bias": rng.standard_normal(outputs).astype(np.float32),
    }
    return {name: every[name] for name in names}


def composite(
    names: tuple[str, ...], recipe: str = "e2m2/16/float16", outputs: int = 9, inputs: int = 64
) -> mf.Composite:
    """Return weights with these parts."""
    w = np.random.default_rng(1).standard_normal((outputs, inputs)).astype(np.float32)
    return mf.Composite(mf.quantize(w, recipe), **parts_of(names, outputs, inputs))


def terms(c: mf.Composite) -> list[np.ndarray]:
    """Return the matrices that add up to the weights, column by column and without its methods."""
    dense = c.dense.dequantize().astype(np.float64)
    summands = [np.zeros_like(dense)]
    for column in range(c.shape[1]):
        place = column if c.order is None else int(c.order[column])
        summands[0][:, place] = dense[:, column]
    if c.sparse is not None:
        matrix, entry = np.zeros_like(dense), 0
        for row, count in enumerate(c.sparse.row_lengths):
            place = -1
            for _ in range(int(count)):
                place += 1 + int(c.sparse.gaps[entry])
                matrix[row, place] = c.sparse.values[entry]
                entry += 1
        summands.append(matrix)
    if c.low_rank is not None:
        left, right = (q.dequantize().astype(np.float64) for q in c.low_rank)
        summands += [np.outer(left[:, k], right[k]) for k in range(left.shape[1])]
    if c.input_factors is not None:
        summands = [matrix / c.input_factors.astype(np.float64) for matrix in summands]
    return summands
