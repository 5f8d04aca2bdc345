"""Weights that become codes with scales that are given, not found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import encode
from minifloat.packing import pack
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


def plain_rule(recipe: Recipe) -> str | None:
    """Return what a recipe has beside a format and block scales along the inputs, or None."""
    if isinstance(recipe.block, tuple) or recipe.block == "tensor":
        return f"blocks of {recipe.block}"
    if recipe.fmt.is_lookup or recipe.alternatives:
        return "tables or alternatives"
    for name in ("tensor_scale", "double", "zero_point"):
        if getattr(recipe, name):
            return name.replace("_", " ")
    return None


def quantize_by(weights: Array, scales: Array, recipe: Recipe) -> Quantized:
    """Return weights of shape (outputs, inputs), each rounded to nearest with its block's scale.

    Parameters
    ----------
    weights : ndarray of float, (outputs, inputs)
        They are rotated, if the recipe says so.
    scales : ndarray of float32, (outputs, blocks)
        Values of the recipe's scale format. Where one is 0, weights become 0.
    recipe : Recipe
        For which `plain_rule` is None.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat.composites.fixed_scales import quantize_by
    >>> weights, scales = np.array([[1.0, 2.0, 3.0]]), np.array([[0.25]], np.float32)
    >>> quantize_by(weights, scales, mf.Recipe("e2m1", block="channel")).dequantize()
    array([[1. , 1.5, 1.5]], dtype=float32)
    """
    wide: Array = weights.astype(np.float64)
    if recipe.rotation is not None:
        wide = recipe.rotation.rotate(wide)
    every = Blocks.of(recipe.block, wide.shape, 1).every_weight(scales).astype(np.float64)
    quotients = np.divide(wide, every, out=np.zeros_like(wide), where=every > 0)
    codes = encode(quotients, recipe.fmt)
    return Quantized(
        packed=pack(codes.reshape(-1), recipe.fmt.bits),
        scales=np.asarray(scales, np.float32),
        recipe=recipe,
        shape=wide.shape,
        axis=1,
    )
