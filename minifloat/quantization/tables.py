"""Recipes of lookup formats: each block of weights gets the table of values that fits it best.

A table has the levels of least weighted squared error (`minifloat.quantization.fitting`), rounded
to the recipe's scale format; each weight has the code of the nearest level. With a row as a block
and a diagonal of the Fisher information as importance it is SqueezeLLM's quantization (arXiv
2306.07629) with the optimum in place of k-means' local minimum; other blocks are of this library.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat._arrays import code_dtype, first_index
from minifloat._kernels import optimal_levels as kernels
from minifloat._threads import each, slices
from minifloat.codec import round_to
from minifloat.packing import pack
from minifloat.quantization.blocks import Array, Blocks
from minifloat.quantization.fitting import best_levels
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleFormat
from minifloat.quantization.tasks import is_not_finite, not_finite_error

CHUNK = 1 << 16  # weights whose blocks are fitted at a time


def quantized_by_tables(
    weights: Array, recipe: Recipe, axis: int | None, *, importance: Array | None = None,
    seed_bits: int | None = None, threads: int = 1,
) -> Quantized:  # fmt: skip
    """Quantize weights by a recipe of a lookup format; all arguments are checked.

    With ``seed_bits`` the tables are nested from so many bits on.

    Raises
    ------
    ValueError
        If a weight is not finite, or a level is beyond the scale format.
    """
    if first_index(weights, is_not_finite) is not None:
        raise not_finite_error(weights)
    blocks = Blocks.of(recipe.block, weights.shape, axis)
    rows = blocks.rows(weights)
    factors = None if importance is None else blocks.rows(importance)
    codes = np.empty(rows.shape, code_dtype(recipe.fmt.bits))
    tables = np.zeros((blocks.group_count, blocks.per_row, *recipe.table_shape), np.float32)
    seed = None if seed_bits is None else 1 << seed_bits

    def fit(groups: slice) -> None:
        held = slice(blocks.rows_of(groups.start).start, blocks.rows_of(groups.stop - 1).stop)
        height = 1 if blocks.height == 1 else held.stop - held.start
        for columns, width in _parts(blocks):
            values = _as_blocks(rows[held, columns], height, width)
            masses = None if factors is None else _as_blocks(factors[held, columns], height, width)
            found, part_codes = _fitted(values, masses, recipe, seed)
            count = len(found) // (groups.stop - groups.start)
            first = columns.start // blocks.width
            tables[groups, first : first + count] = found.reshape(-1, count, found.shape[1])
            turned = part_codes.reshape(-1, count, height, width).swapaxes(1, 2)
            codes[held, columns] = turned.reshape(codes[held, columns].shape)

    if weights.size:
        step = max(1, CHUNK // blocks.length) if blocks.height == 1 else 1
        each(fit, slices(blocks.group_count, step), threads)
    return Quantized.of_checked(
        packed=pack(blocks.restore(codes).reshape(-1), recipe.fmt.bits),
        scales=blocks.restore_scales(tables),
        recipe=recipe,
        shape=weights.shape,
        axis=blocks.axis,
    )


def _parts(blocks: Blocks) -> Iterator[tuple[slice, int]]:
    """Yield the columns of whole blocks and those of the last, shorter ones, with their width."""
    whole = blocks.length // blocks.width * blocks.width
    if whole:
        yield slice(0, whole), blocks.width
    if whole < blocks.length:
        yield slice(whole, blocks.length), blocks.length - whole


def _as_blocks(rows: Array, height: int, width: int) -> Array:
    """Return the weights of blocks, a row for each block, as float64."""
    cut = rows.astype(np.float64).reshape(-1, height, rows.shape[1] // width, width)
    return cut.swapaxes(1, 2).reshape(-1, height * width)


def _fitted(
    values: Array, masses: Array | None, recipe: Recipe, seed: int | None
) -> tuple[Array, Array]:
    """Return the tables of blocks, and the codes of their weights."""
    order = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=1)
    if masses is not None:
        masses = np.take_along_axis(masses, order, axis=1)
    levels = best_levels(ascending, masses, recipe.fmt.code_count, seed)
    tables = rounded_to_scale(levels, recipe.scale)
    codes = np.empty(values.shape, code_dtype(recipe.fmt.bits))
    kernels.nearest_levels(ascending, order, tables, codes)
    return tables, codes


def rounded_to_scale(levels: Array, scale: ScaleFormat) -> Array:
    """Return levels as values of the scale format, in float64."""
    largest = float(np.abs(levels).max(initial=0))
    if largest > scale.values.largest:
        raise ValueError(
            f"scale must hold every block's values, got {largest:g} for {scale}; use a wider scale "
            "or smaller weights"
        )
    if scale.name == "float32":
        return levels.astype(np.float32).astype(np.float64) + 0.0  # + 0.0: no -0
    return np.asarray(round_to(levels, scale.name, dtype=np.float64)) + 0.0
