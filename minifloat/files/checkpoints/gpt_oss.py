"""OpenAI's gpt-oss: MXFP4 experts.

    X_blocks U8 [experts, rows, in/32, 16], X_scales U8 [experts, rows, in/32], E8M0's codes

The 16 bytes of a block are 32 neighbouring inputs, the first one in the low nibble. The
unquantized X, as transformers has it, is the transpose: [experts, in, rows].

Source: https://github.com/huggingface/transformers, integrations/mxfp4.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.codec import decode, encode
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import (
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    in_memory,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.packing import pack, unpack
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import RECIPES, Recipe

NAME = "gpt-oss MXFP4"


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield blocks that have scales."""
    for group in suffixed(tensors, "_blocks", scale="_scales"):
        if "scale" in group.parts:
            yield group


def facts(group: Group, config: Config) -> Facts:
    """Return what the types and shapes tell."""
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dimensions(codes, 4)
    experts, rows, blocks, _ = codes.shape
    check_shape(codes, (experts, rows, blocks, 16))
    check_dtype(codes, "U8")
    check_dtype(scale, "U8", "F8_E8M0")
    check_shape(scale, (experts, rows, blocks))
    return Facts((experts, 32 * blocks, rows), Recipe.parse("mxfp4"), 1, NAME)


def value(group: Group, facts: Facts) -> Value:
    """Read codes and scales, and turn both."""
    packed = group.parts["codes"].codes()
    experts, rows, blocks, size = packed.shape
    codes = unpack(packed.reshape(experts, rows, blocks * size), 4, 32 * blocks)
    scales = np.asarray(decode(group.parts["scale"].codes(), "e8m0"), np.float32)
    return quantized(facts, np.swapaxes(codes, 1, 2), np.swapaxes(scales, 1, 2))


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights, the inverse of reading them.

    Parameters
    ----------
    name : str
        Of the weights.
    q : Quantized
        Of the recipe mxfp4, perhaps with a search: (experts, inputs, rows), in whole blocks along
        the inputs.

    Raises
    ------
    ValueError
        If there is no place for the recipe or the shape.
    """
    fits = len(q.shape) == 3 and q.axis == 1 and q.shape[1] % 32 == 0
    if not stores(q.recipe) or not fits:
        raise ValueError(
            "q must be of mxfp4, of shape (experts, inputs, rows) in whole blocks along the "
            f"inputs, for gpt-oss, got {q!r}"
        )
    experts, inputs, rows = q.shape
    codes = np.ascontiguousarray(np.swapaxes(q.codes, 1, 2))
    scales = np.ascontiguousarray(np.swapaxes(q.scales, 1, 2))
    blocks = pack(codes, 4).reshape(experts, rows, inputs // 32, 16)
    return [
        in_memory(f"{name}_blocks", "U8", blocks),
        in_memory(f"{name}_scales", "U8", np.asarray(encode(scales, "e8m0"))),
    ]


def stores(recipe: Recipe) -> bool:
    """Return whether there is a place for weights of a recipe."""
    plain = recipe.replace(search="absmax", scale_rounding=RECIPES["mxfp4"].scale_rounding)
    return plain == RECIPES["mxfp4"]
