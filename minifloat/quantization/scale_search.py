"""The scales and zero points of blocks, by the search of a recipe.

All functions take ``rows``, contiguous float32 or float64 weights, in blocks of ``width``
neighbours (fewer at a row's end), and return one number for each block. Scales and errors are
computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import dtype_name
from minifloat._kernels import scale_search as search_kernels
from minifloat._kernels import scales as kernels
from minifloat.codec.plans import WORD_DTYPES
from minifloat.formats import Codebook
from minifloat.quantization.blocks import Array
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleRounding, ScaleSearch, absmax_to_scale, levels

SCRATCH_STEPS = 1 << 20  # steps of the search for the least squared error that are sorted at a time
SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER = 80, 0.01, 2.4
NO_IMPORTANCE = np.empty(0, np.float64)


class NotFiniteError(ValueError):
    """A weight is infinite or NaN."""


class ScaleRangeError(ValueError):
    """A block's scale is beyond the scale format."""

    def __init__(self, row: int, block: int, wanted: float) -> None:
        super().__init__(f"scale {wanted:g} of block {block} of row {row}")
        self.row, self.block, self.wanted = row, block, wanted


def words_of(rows: Array) -> tuple[Array, bool | None]:
    """Return the words of floats as the kernels take them, and whether 16 bits are float16's."""
    name = dtype_name(rows.dtype)
    half = name == "float16" if rows.itemsize == 2 else None
    return rows.reshape(-1).view(WORD_DTYPES[name]), half


def block_ranges(rows: Array, width: int) -> tuple[Array, Array]:
    """Return the lowest and the highest of each block's weights and 0, as rows of float64.

    ``rows`` may be of float16 or bfloat16, too.

    Raises
    ------
    NotFiniteError
        If a weight is infinite or NaN.
    """
    per_row = -(-rows.shape[1] // width) if rows.shape[1] else 1
    lows, highs = np.zeros((2, len(rows), per_row))
    if rows.size:
        words, half = words_of(rows)
        kernels.ranges(words, half, rows.shape[1], width, lows.reshape(-1), highs.reshape(-1))
    if not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        raise NotFiniteError
    return lows, highs


def block_absmax(recipe: Recipe, rows: Array, width: int) -> NDArray[np.float64]:
    """Return the largest magnitude of each block, or with zero points the length of its range.

    Raises
    ------
    NotFiniteError
        If a weight is infinite or NaN.
    ValueError
        If a weight is negative and the format has no negative values.
    """
    lows, highs = (ends.reshape(-1) for ends in block_ranges(rows, width))
    if recipe.zero_point:
        return _length(lows, highs)
    if recipe.fmt.min >= 0 and (lows < 0).any():
        raise ValueError(
            f"fmt must have negative values for weights below 0, got {recipe.fmt}; use a "
            "signed format, or zero points"
        )
    return np.maximum(-lows, highs)


def block_scales(
    recipe: Recipe,
    rows: Array,
    width: int,
    tensor_scale: float,
    importance: Array | None = None,
    *,
    saturate: bool = False,
) -> tuple[Array, Array | None]:
    """Return the scales of blocks, and their zero points if the recipe has them.

    Parameters
    ----------
    recipe : Recipe
        Without alternatives; `minifloat.quantization.choosing` has those with.
    rows : ndarray of float32 or float64, (rows, length)
    width : int
    tensor_scale : float
        All scales are multiplied by it.
    importance : ndarray of float64, (rows, length), optional
        A factor for each squared error.
    saturate : bool
        Whether a scale beyond its format becomes the largest of it.

    Returns
    -------
    tuple of ndarray of float64, (rows, blocks), and the same of zero points or None

    Raises
    ------
    ScaleRangeError
        If a scale is beyond its format, unless ``saturate``.
    NotFiniteError, ValueError
        As `block_absmax`.
    """
    absmax = block_absmax(recipe, rows, width)
    rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor_scale, recipe.absmax_at)
    low = None
    if recipe.zero_point:
        low, high = (ends.reshape(-1) for ends in block_ranges(rows, width))
        if recipe.percentile is not None:
            inner_low, inner_high = _inner_range(rows, width, recipe.percentile)
            inner = inner_high > inner_low
            low, high = np.where(inner, inner_low, low), np.where(inner, inner_high, high)
        absmax = _length(low, high)
    elif recipe.percentile is not None:
        percentiles = _percentiles(rows, width, recipe.percentile)
        absmax = np.where(percentiles > 0, percentiles, absmax)
    elif recipe.search is ScaleSearch.ABSMEAN:
        means = _means(rows, width)
        absmax = np.where(means > 0, means * recipe.absmax_at, absmax)
    scales = np.empty(absmax.size)
    kernels.scales_of(absmax, recipe.scale.values, rule, scales)
    if saturate:
        np.minimum(scales, allowed_scales(recipe).largest, out=scales)
    if not np.isfinite(scales).all():
        first = int(np.flatnonzero(~np.isfinite(scales))[0])
        with np.errstate(over="ignore"):
            wanted = float(absmax[first] / rule.reference)
        raise ScaleRangeError(*divmod(first, max(absmax.size // len(rows), 1)), wanted)
    shape = (len(rows), absmax.size // max(len(rows), 1))
    zeros = None if low is None else zero_points(recipe, low, scales * tensor_scale)
    if rows.size and recipe.search is ScaleSearch.MSE:
        scales, zeros = _least_squares(recipe, rows, width, tensor_scale, importance, scales, zeros)
    if rows.size and recipe.search is ScaleSearch.SHRINK:
        arguments = (
            rows.reshape(-1), rows.shape[1], width, tensor_scale, recipe.scale.values, rule,
            SHRINK_STEPS, SHRINK_GAP, SHRINK_POWER, absmax, scales,
        )  # fmt: skip
        if low is None or zeros is None:
            search_kernels.shrink(*arguments, levels(recipe.fmt))
        else:
            search_kernels.shrink_range(*arguments, low, int(recipe.fmt.max), zeros)
    return scales.reshape(shape), None if zeros is None else zeros.reshape(shape)


def zero_points(recipe: Recipe, low: Array, scales: Array) -> NDArray[np.float64]:
    """Return the codes that mean 0, for the lowest weights of blocks and their scales."""
    return np.asarray(np.clip(np.rint(-low / divisors(scales)), 0, recipe.fmt.max))


def divisors(scales: Array) -> NDArray[np.float64]:
    """Return scales in float64, with 1 in place of 0."""
    return np.where(scales == 0, 1.0, scales.astype(np.float64))


def allowed_scales(recipe: Recipe) -> kernels.ScaleValues:
    """Return the scales that a block may have: values of its format, or powers of two."""
    if recipe.scale_rounding is ScaleRounding.NEAREST_EVEN:
        return recipe.scale.values
    return recipe.scale.powers_of_two


def _least_squares(
    recipe: Recipe,
    rows: Array,
    width: int,
    tensor_scale: float,
    importance: Array | None,
    scales: Array,
    zeros: Array | None,
) -> tuple[Array, Array | None]:
    """Return the scales (and zero points) of least squared error, at first those given."""
    weights = rows.reshape(-1)
    factors = NO_IMPORTANCE
    if importance is not None:
        factors = np.ascontiguousarray(importance, np.float64).reshape(-1)
    length, longest = rows.shape[1], min(width, rows.shape[1])
    steps = min(longest * recipe.fmt.code_count, max(SCRATCH_STEPS, 4 * longest))
    floats, places = np.empty((2, steps)), np.empty((3, steps), np.int64)
    scratch = search_kernels.Scratch(floats[0], places[0], floats[1], places[1], places[2])
    geometry = (weights, factors, length, width, tensor_scale)
    if zeros is None:
        search_kernels.least_squares(
            *geometry, levels(recipe.fmt), allowed_scales(recipe), scratch, scales
        )
        return scales, None
    errors, best_scales, best_zeros = np.full(scales.size, np.inf), scales.copy(), zeros.copy()
    every_zero = range(recipe.fmt.code_count)
    shifted = _levels_of_zero_points(recipe.fmt.code_count)
    for zero in every_zero:  # absmax's own pairs first, so that nothing as good replaces them
        own = zeros == zero
        own_errors = np.empty(scales.size)
        search_kernels.squared_errors(*geometry, shifted[zero], scales, own_errors)
        errors[own] = own_errors[own]
    for zero in every_zero:
        candidates, candidate_errors = scales.copy(), np.empty(scales.size)
        search_kernels.least_squares(
            *geometry, shifted[zero], allowed_scales(recipe), scratch, candidates
        )
        search_kernels.squared_errors(*geometry, shifted[zero], candidates, candidate_errors)
        better = candidate_errors < errors
        errors[better], best_scales[better] = candidate_errors[better], candidates[better]
        best_zeros[better] = zero
    return best_scales, best_zeros


@lru_cache(maxsize=8)
def _levels_of_zero_points(count: int) -> list[search_kernels.Levels]:
    """Return the levels of the integers below ``count``, minus each of them."""
    return [levels(Codebook([code - zero for code in range(count)])) for zero in range(count)]


def _percentiles(rows: Array, width: int, percentile: float) -> NDArray[np.float64]:
    found = _of_blocks(np.abs(rows.astype(np.float64)), width, _percentile(percentile))
    return np.asarray(found.reshape(-1))


def _means(rows: Array, width: int) -> NDArray[np.float64]:
    magnitudes = np.abs(rows.astype(np.float64))
    found = _of_blocks(magnitudes, width, lambda blocks: blocks.mean(axis=2)[np.newaxis])
    return np.asarray(found.reshape(-1))


def _percentile(*percentiles: float) -> Callable[[Array], Array]:
    return lambda blocks: np.asarray(np.percentile(blocks, percentiles, axis=2))


def _length(low: Array, high: Array) -> Array:
    """Return the length of each range; inf if it is beyond float64."""
    with np.errstate(over="ignore"):
        return np.asarray(high - low)


def _of_blocks(weights: Array, width: int, of: Callable[[Array], Array]) -> Array:
    """Return some numbers of each block: for each, a row for each row of weights.

    ``of`` finds them along the last of three axes, and puts them along a new first one; they are
    multiplied when the weights are.
    """
    count, length = weights.shape
    largest = float(np.abs(weights).max(initial=0))
    if largest > 2.0**960:  # a sum or a difference would overflow
        return np.ldexp(_of_blocks(np.ldexp(weights, -64), width, of), 64)
    if not length:
        return np.zeros((*of(np.zeros((count, 1, 1))).shape[:2], 1))
    whole = length // width * width
    found = [of(weights[:, :whole].reshape(count, -1, width))] if whole else []
    if whole < length:  # the last block of a row is shorter
        found.append(of(weights[:, np.newaxis, whole:]))
    return np.concatenate(found, axis=2)


def _inner_range(rows: Array, width: int, percentile: float) -> tuple[Array, Array]:
    """Return two percentiles of each block's weights; the lower at most 0, the other at least."""
    low, high = _of_blocks(
        rows.astype(np.float64), width, _percentile(100 - percentile, percentile)
    )
    return np.minimum(low, 0).reshape(-1), np.maximum(high, 0).reshape(-1)
