"""The factor of all scales of a tensor, which follows from its largest magnitude."""

from __future__ import annotations

import numpy as np

from minifloat._kernels import scales as kernels
from minifloat._threads import each
from minifloat.quantization.blocks import Array
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scale_search import NotFiniteError, block_absmax
from minifloat.quantization.scales import ScaleRounding, absmax_to_scale
from minifloat.quantization.tasks import Task, block_rows, chunks, not_finite_error, single_groups

SMALLEST_FLOAT32 = 2.0**-149


def longest(
    weights: Array, recipe: Recipe, axis: int | None, *, wide: bool = False, threads: int = 1
) -> float:
    """Return the largest absmax of all blocks, which `tensor_scale_of` makes a tensor scale of.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    try:
        return longest_of(Task.of(weights, recipe, axis, wide), threads)
    except NotFiniteError:
        raise not_finite_error(weights) from None


def longest_of(task: Task, threads: int) -> float:
    """Return the largest absmax of all blocks; with zero points, the length of their range."""
    recipe, blocks = task.recipe, task.blocks
    tiled = recipe.zero_point and blocks.height > 1
    parts = single_groups(blocks) if tiled else chunks(blocks)
    find = _longest_range if recipe.zero_point else _largest
    return max(each(lambda part: find(task, part), parts, threads), default=0.0)


def tensor_scale_of(largest: float, recipe: Recipe) -> float:
    """Return the factor of all scales for the largest absmax of all blocks; 1 for zeros."""
    nearest = recipe.scale_rounding is ScaleRounding.NEAREST_EVEN
    powers = recipe.scale.values.mantissa_bits == 0 or not nearest
    top = recipe.largest_scale or (1.0 if powers else recipe.scale.values.largest)
    exact = largest / recipe.absmax_at / top
    with np.errstate(over="ignore"):
        rounded = np.float32(exact)
    # the largest block's scale over this one must not be just beyond a power of two
    if recipe.scale_rounding is ScaleRounding.DOWN and float(rounded) > exact:
        rounded = np.nextafter(rounded, np.float32(0))
    if recipe.scale_rounding is ScaleRounding.UP and float(rounded) < exact:
        rounded = np.nextafter(rounded, np.float32(np.inf))
    if rounded > 0 and not np.isfinite(_scale_of(largest, recipe, float(rounded))):
        rounded = np.nextafter(rounded, np.float32(np.inf))
    if rounded == np.inf:
        raise ValueError(f"tensor_scale must be a float32 number, got {exact:g}; scale w down")
    if rounded == 0:
        return 1.0 if exact == 0 else SMALLEST_FLOAT32
    return float(rounded)


def _largest(task: Task, rows: slice) -> float:
    """Return the largest magnitude of some rows."""
    weights = task.source_rows(rows)
    return float(block_absmax(task.recipe, weights, max(weights.shape[1], 1)).max(initial=0))


def _longest_range(task: Task, groups: slice) -> float:
    """Return the length of the longest range of the blocks of some groups."""
    longest = 0.0
    for _, weights, _ in block_rows(task, groups):
        width = task.blocks.width if task.blocks.height == 1 else weights.shape[1]
        longest = max(longest, float(block_absmax(task.recipe, weights, width).max(initial=0)))
    return longest


def _scale_of(absmax: float, recipe: Recipe, tensor_scale: float) -> float:
    """Return the scale of a block; inf where it is beyond its format."""
    scales = np.empty(1)
    rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor_scale, recipe.absmax_at)
    kernels.scales_of(np.array([absmax]), recipe.scale.values, rule, scales)
    return float(scales[0])
