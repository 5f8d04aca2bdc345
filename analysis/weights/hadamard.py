"""Hadamard rotation of blocks, and its effect on quantization errors.

A block x becomes H D x / sqrt(g), with H the Hadamard matrix of Sylvester (entries +1 and -1) and D
a diagonal of random signs. The rotation is orthonormal: it preserves the size of errors, and a dot
product of weights and activations if both are rotated. Each element becomes a signed sum of all g,
hence nearly Gaussian: an outlier is spread over its block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.weights.tensor_statistics import Quartiles, crest_factors
from minifloat.comparison import compare
from minifloat.comparison.records import RecipeError
from minifloat.formats import NumberFormat
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


@dataclass(frozen=True)
class RotationEffect:
    """The effect of rotating the blocks of a tensor on the error of one recipe.

    Attributes
    ----------
    block_size : int
        Elements that are rotated together and share a scale.
    before, after : RecipeError
        On the original weights, and on the rotated ones.
    crest_before, crest_after : Quartiles
        Of the crest factors of the blocks.
    """

    block_size: int
    before: RecipeError
    after: RecipeError
    crest_before: Quartiles
    crest_after: Quartiles

    @property
    def gain_db(self) -> float:
        """Gain in signal to quantization noise by rotating, dB; may be negative."""
        return self.after.sqnr_db - self.before.sqnr_db


def rotate(weights: ArrayLike, block_size: int, *, axis: int = -1, seed: int = 0) -> Array:
    """Return weights whose blocks are rotated: H D x / sqrt(g).

    Parameters
    ----------
    weights : array_like
        Of any shape.
    block_size : int
        g, a power of two that divides the length of ``axis``.
    axis : int
        The axis that blocks run along.
    seed : int
        For the signs, one for each place along ``axis``, the same for all rows.

    Returns
    -------
    ndarray of float64
        New, in the shape of the weights.

    Raises
    ------
    ValueError
        If ``block_size`` is not such a power of two, or there is no such axis.

    Notes
    -----
    The fast Walsh-Hadamard transform: log2(g) passes of sums and differences. `unrotate` gives the
    weights back to a few units in the last place of the block's absmax.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotate
    >>> import numpy as np
    >>> np.abs(rotate([[0.0, 0.0, 8.0, 0.0]], 4)).tolist()     # an outlier is spread out
    [[4.0, 4.0, 4.0, 4.0]]
    """
    rows, signs = _rows_and_signs(weights, block_size, axis, seed)
    return _unrows(_transform(rows * signs, block_size), axis)


def unrotate(weights: ArrayLike, block_size: int, *, axis: int = -1, seed: int = 0) -> Array:
    """Undo `rotate`: D H x / sqrt(g).

    Parameters
    ----------
    weights : array_like
        Rotated weights, perhaps quantized.
    block_size, axis, seed : int
        As given to `rotate`.

    Returns
    -------
    ndarray of float64
        New, in the shape of the weights.

    Raises
    ------
    ValueError
        As `rotate`.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotate, unrotate
    >>> unrotate(rotate([1.0, 2.0, 3.0, 4.0], 4, seed=7), 4, seed=7).round(12).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    rows, signs = _rows_and_signs(weights, block_size, axis, seed)
    return _unrows(_transform(rows.copy(), block_size) * signs, axis)


def rotation_effects(
    weights: ArrayLike,
    recipes: Iterable[Recipe | NumberFormat | str],
    *,
    axis: int = -1,
    seed: int = 0,
) -> tuple[RotationEffect, ...]:
    """Return the errors of recipes on the original weights and on rotated ones.

    Parameters
    ----------
    weights : array_like
        Finite, not all 0.
    recipes : iterable of Recipes, formats or str
        Elements of a block are rotated together; blocks are a power of two.
    axis : int
        The axis that blocks run along.
    seed : int
        For the signs.

    Returns
    -------
    tuple of RotationEffect
        In the order of the recipes.

    Raises
    ------
    ValueError
        If a recipe is unknown, its block is not a power of two that divides the length of
        ``axis``, or the weights are not finite or all 0.

    Examples
    --------
    >>> from analysis.weights.hadamard import rotation_effects
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).standard_normal((64, 256))
    >>> weights[:, 7] *= 20
    >>> effect, = rotation_effects(weights, ["int4/128/float16"])
    >>> effect.gain_db > 5
    True
    """
    original = np.asarray(weights, np.float32)
    effects = []
    for recipe in map(Recipe.parse, recipes):
        if not isinstance(recipe.block, int):
            raise ValueError(f"recipe must have blocks along the axis, got {recipe}")
        rotated = rotate(original, recipe.block, axis=axis, seed=seed).astype(np.float32)
        both = {"before": original, "after": rotated}
        before, after = (tensor.errors[0] for tensor in compare(both, [recipe], axis=axis).tensors)
        crest_before, crest_after = (
            Quartiles.of(crest_factors(w, block_size=recipe.block, axis=axis))
            for w in both.values()
        )
        effects.append(RotationEffect(recipe.block, before, after, crest_before, crest_after))
    return tuple(effects)


def _rows_and_signs(
    weights: ArrayLike, block_size: int, axis: int, seed: int
) -> tuple[Array, Array]:
    """Return the weights in float64 with the axis last, and a sign for each place along it."""
    w = np.asarray(weights, np.float64)
    if not -w.ndim <= axis < w.ndim:
        raise ValueError(f"axis must be an axis of weights, of shape {w.shape}, got {axis}")
    length = w.shape[axis]
    if block_size < 1 or block_size & (block_size - 1) or length % block_size:
        raise ValueError(
            f"block_size must be a power of two that divides the axis's length {length}, "
            f"got {block_size}"
        )
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], length)
    return np.moveaxis(w, axis, -1), signs


def _transform(rows: Array, block_size: int) -> Array:
    """Multiply each block by H / sqrt(g): sums and differences at distances 1, 2, 4, ..."""
    out = np.ascontiguousarray(rows)
    distance = 1
    while distance < block_size:
        pairs = out.reshape(-1, 2, distance)
        sums = pairs[:, 0] + pairs[:, 1]
        np.subtract(pairs[:, 0], pairs[:, 1], out=pairs[:, 1])
        pairs[:, 0] = sums
        distance *= 2
    out /= math.sqrt(block_size)
    return out


def _unrows(rows: Array, axis: int) -> Array:
    return np.ascontiguousarray(np.moveaxis(rows, -1, axis))
