"""Weights to quantize: their recipe, their blocks, and the parts that are quantized at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minifloat._arrays import dtype_name, first_index
from minifloat._threads import slices
from minifloat.codec.plans import WORD_DTYPES
from minifloat.quantization.blocks import Array, Blocks, tiles
from minifloat.quantization.code_rounding import CodeRounding
from minifloat.quantization.recipes import Recipe

CHUNK = 1 << 20  # weights that are quantized at a time


@dataclass(frozen=True)
class Task:
    """Weights, their recipe and their blocks."""

    recipe: Recipe
    weights: Array
    blocks: Blocks
    dtype: np.dtype[Any]  # float32, or float64 for weights that are wider
    importance: Array | None
    tensor_scale: float | None = None
    rounding: CodeRounding | None = None  # None: to nearest

    @classmethod
    def of(
        cls,
        weights: Array,
        recipe: Recipe,
        axis: int | None,
        wide: bool,
        importance: Array | None = None,
        tensor_scale: float | None = None,
        rounding: CodeRounding | None = None,
    ) -> Task:
        """Return the task of some weights; ``wide`` ones are computed with in float64."""
        blocks = Blocks.of(recipe.block, weights.shape, axis)
        if recipe.rotation is not None:
            recipe.rotation.check_length(blocks.length)
        dtype = np.dtype(np.float64 if wide else np.float32)
        return cls(recipe, weights, blocks, dtype, importance, tensor_scale, rounding)

    def rows(self, rows: slice) -> Array:
        """Return some rows of the weights, contiguous, and rotated if the recipe says so."""
        with np.errstate(invalid="ignore"):  # of a signalling NaN
            part = self.blocks.rows(self.weights)[rows]
            if self.recipe.rotation is None:
                return np.ascontiguousarray(part, self.dtype)
            rotated = np.array(part, np.float64, order="C")
            self.recipe.rotation.transform(rotated)
            with np.errstate(over="ignore"):
                return rotated.astype(self.dtype, copy=False)

    def source_rows(self, rows: slice) -> Array:
        """Return some rows of the weights in their own float, or integers in float64."""
        if self.recipe.rotation is not None:
            return self.rows(rows)
        dtype = self.weights.dtype.newbyteorder("=")
        if dtype_name(dtype) not in WORD_DTYPES:
            dtype = self.dtype
        return np.ascontiguousarray(self.blocks.rows(self.weights)[rows], dtype)

    def importance_of(self, rows: slice) -> Array | None:
        """Return the importance of some rows."""
        return None if self.importance is None else self.blocks.rows(self.importance)[rows]


def block_rows(task: Task, groups: slice) -> Iterator[tuple[int, Array, Array | None]]:
    """Yield the weights of some groups as `block_scales` takes them, and their importance.

    Where a block has several rows, one group is taken apart: each of its blocks becomes a row. The
    number with each part is that of its first block.
    """
    blocks = task.blocks
    if blocks.height == 1:
        yield 0, task.rows(groups), task.importance_of(groups)
        return
    (group,) = range(groups.start, groups.stop)
    rows = blocks.rows_of(group)
    factors = task.importance_of(rows)
    factor_tiles = None if factors is None else tiles(factors, blocks.width)
    place = 0
    for k, weights in enumerate(tiles(task.rows(rows), blocks.width)):
        importance = None if factor_tiles is None else factor_tiles[k]
        yield place, np.ascontiguousarray(weights), importance
        place += len(weights)


def chunks(blocks: Blocks, height: int = 1, times: float = 1) -> list[slice]:
    """Return rows that fit in the cache, or a few; their codes begin at a byte."""
    length, row_count = blocks.length, blocks.row_count
    whole = math.lcm(8 // math.gcd(8, length), height)
    step = max(1, int(times * CHUNK) // max(length, 1) // whole) * whole
    return slices(row_count, step)


def single_groups(blocks: Blocks) -> list[slice]:
    """Return each group of rows that share scales for itself."""
    return [slice(group, group + 1) for group in range(blocks.group_count)]


def not_finite_error(weights: Array) -> ValueError:
    """Return the error that names the first weight that is infinite or NaN."""
    index = first_index(weights, is_not_finite)
    if index is None:
        return ValueError(
            "w must be finite when it is rotated, got sums that are not; scale w down"
        )
    return ValueError(
        f"w must be finite, got {weights[index]} at index {index}; replace it before quantizing"
    )


def is_not_finite(weights: Array) -> Array:
    """Return which weights are infinite or NaN."""
    with np.errstate(invalid="ignore"):  # ml_dtypes' isfinite warns of a signalling NaN
        return np.asarray(~np.isfinite(weights))
