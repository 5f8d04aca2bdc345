"""AWQ's clipping: blocks of weights are clipped where their part of the outputs gains by it.

A block's absmax becomes a smaller one, so that its scale is smaller: large weights lose, all others
gain. The paper's code tries 1 - k / 20 of it, k = 0 .. 9, and measures a block by its own part of
the outputs, the sum over its inputs alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.quantization import quantize
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipe_fields import RecipeFields
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

SHRINKS = tuple(1 - k / 20 for k in range(10))


def quantize_clipped(weights: Array, inputs: Array, recipe: Recipe) -> Quantized:
    """Quantize weights whose blocks are clipped, each by the best of `SHRINKS`.

    Parameters
    ----------
    weights : ndarray of float32 or float64, (outputs, inputs)
    inputs : ndarray of float32, (samples, inputs)
    recipe : Recipe
        With a rotation, rotated weights are clipped. A tensor scale is that without clipping.

    Returns
    -------
    Quantized

    Raises
    ------
    ValueError
        If blocks do not run along the inputs.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat.composites.clipping import quantize_clipped
    >>> w = np.array([[1.0, 1.0, 1.0, 4.0]], np.float32)
    >>> x = np.array([[9.0, 9.0, 9.0, 0.5]], np.float32)
    >>> quantize_clipped(w, x, mf.Recipe("int3", block=4, scale="float32")).dequantize()
    array([[1., 1., 1., 3.]], dtype=float32)
    """
    if isinstance(recipe.block, tuple) or recipe.block == "tensor":
        raise ValueError(
            f"recipe must have blocks along the inputs for clip, got {recipe}; use a number, or "
            "channel"
        )
    wide: Array = weights.astype(np.float64)
    samples: Array = inputs.astype(np.float64)
    plain = recipe.replace(rotation=None)
    if recipe.rotation is not None:
        recipe.rotation.check_length(weights.shape[1])
        wide, samples = recipe.rotation.rotate(wide), recipe.rotation.rotate(samples)
        weights = wide
    fields: RecipeFields = {}
    if (tensor_scale := quantize(weights, plain).tensor_scale) is not None:
        fields["tensor_scale"] = tensor_scale
    width = Blocks.of(plain.block, weights.shape, 1).width
    parts = _blocks_of(samples, width)
    hessians = np.swapaxes(parts, 1, 2) @ parts
    absmax = np.abs(_blocks_of(weights, width)).max(axis=2)  # (blocks, outputs)
    kept, least = absmax, np.full(absmax.shape, np.inf)
    for shrink in SHRINKS:
        limits = (absmax * shrink).astype(weights.dtype)
        q = quantize(_clipped(weights, limits, width), plain, **fields)
        errors = _blocks_of(q.dequantize() - wide, width)
        losses = np.sum((errors @ hessians) * errors, axis=2)
        kept = np.where(losses < least, limits, kept)
        least = np.minimum(losses, least)
    return replace(quantize(_clipped(weights, kept, width), plain, **fields), recipe=recipe)


def _blocks_of(rows: Array, width: int) -> Array:
    """Return the blocks of rows, (blocks, rows, width), with zeros after the last."""
    filled = np.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))
    return filled.reshape(len(rows), -1, width).transpose(1, 0, 2)


def _clipped(weights: Array, limits: Array, width: int) -> Array:
    """Return weights clipped to the limits, (blocks, outputs), of their blocks."""
    every = np.repeat(limits.T, width, axis=1)[:, : weights.shape[1]]
    return np.clip(weights, -every, every)
