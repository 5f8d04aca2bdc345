"""NVIDIA's ModelOpt.

    NVFP4   weight U8 [out, in/2], weight_scale F8_E4M3 [out, in/16], weight_scale_2 F32, one: a
            weight is value * scale * scale_2
    FP8     weight F8_E4M3 [out, in], weight_scale F32: one, or a scale for each row

The first code is in the low nibble of a byte. ``input_scale`` is of the layer's inputs.

Source: https://github.com/NVIDIA/Model-Optimizer, quantization/qtensor/
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.codec import encode
from minifloat.files.checkpoints.blocks import block_of, check_blocks
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import (
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    in_memory,
    scale_format,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import RECIPES, Recipe

NAME = "ModelOpt"
BESIDE = {"scale": "weight_scale", "scale_2": "weight_scale_2"}


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield weights with two scales, and FP8 weights where the settings say ModelOpt."""
    for group in suffixed(tensors, "weight", **BESIDE):
        codes, named = group.parts["codes"], Group(f"{group.name}weight", group.parts)
        if codes.dtype == "U8" and group.parts.keys() == {"codes", *BESIDE}:
            yield named
        elif codes.dtype == "F8_E4M3" and "scale" in group.parts and config.method == "modelopt":
            yield Group(named.name, {"codes": codes, "scale": group.parts["scale"]})


def facts(group: Group, config: Config) -> Facts:
    """Return what the types and shapes tell."""
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dimensions(codes, 2, 3)
    axis = len(codes.shape) - 1
    if scale_2 := group.parts.get("scale_2"):
        check_dtype(scale, "F8_E4M3")
        check_dtype(scale_2, "F32")
        check_shape(scale_2, (), (1,))
        shape = (*codes.shape[:-1], 2 * codes.shape[-1])
        recipe = Recipe.parse("nvfp4")
        check_blocks(scale, shape, recipe.block, axis)
        return Facts(shape, recipe, axis, f"{NAME} NVFP4")
    block = block_of(scale, codes.shape, tile=config.tile)
    recipe = Recipe("e4m3fn", block=block, scale=scale_format(scale))
    return Facts(codes.shape, recipe, axis, f"{NAME} FP8")


def value(group: Group, facts: Facts) -> Value:
    """Read codes and scales."""
    codes, scales = group.parts["codes"].codes(), group.parts["scale"].floats()
    if scale_2 := group.parts.get("scale_2"):
        factor = float(scale_2.floats().reshape(()))
        return quantized(facts, codes.reshape(-1), scales, tensor_scale=factor)
    return quantized(facts, codes, scales)


def is_stored(recipe: Recipe) -> bool:
    """Return whether weights are NVFP4's, perhaps with a search or with scales chosen otherwise.

    Examples
    --------
    >>> import minifloat as mf
    >>> [is_stored(mf.RECIPES[name]) for name in ("nvfp4", "four_over_six", "if4")]
    [True, True, False]
    """
    plain = recipe.candidates[0].replace(search="absmax", tensor_scale=recipe.tensor_scale)
    return recipe.is_plain and plain == RECIPES["nvfp4"]


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        Of a recipe that `is_stored`, in whole blocks along the last axis.

    Raises
    ------
    ValueError
        If ModelOpt has no layout for the recipe or the shape.
    """
    blocks_fit = len(q.shape) > 1 and q.axis == len(q.shape) - 1 and q.shape[-1] % 16 == 0
    if not is_stored(q.recipe) or not blocks_fit:
        raise ValueError(
            f"q must be of nvfp4 in whole blocks along the last axis for ModelOpt, got {q!r}"
        )
    factor = np.array(q.tensor_scale, "<f4")
    return [
        in_memory(name, "U8", q.packed.reshape(*q.shape[:-1], -1)),
        in_memory(f"{name}_scale", "F8_E4M3", np.asarray(encode(q.scales, "e4m3fn"))),
        in_memory(f"{name}_scale_2", "F32", factor),
    ]
