"""FP8 in tiles of 128x128, as DeepSeek-V3 and Qwen3 publish it.

    weight F8_E4M3 [out, in], weight_scale_inv [ceil(out/128), ceil(in/128)] of F32, BF16 or F8_E8M0

The scale is a factor, whatever its name says. config.json may name other tiles
(``weight_block_size``).

Source: https://github.com/deepseek-ai/DeepSeek-V3, inference/kernel.py
"""

from __future__ import annotations

from collections.abc import Iterator

from minifloat.files.checkpoints.blocks import check_blocks
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import (
    Tensors,
    check_dimensions,
    check_dtype,
    scale_format,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value
from minifloat.quantization.recipe_fields import Block
from minifloat.quantization.recipes import Recipe

NAME = "FP8 in tiles"
TILE = (128, 128)


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield tensors that have an inverse scale, which is none."""
    for name in tensors:
        if scale := tensors.get(f"{name}_scale_inv"):
            yield Group(name, {"codes": tensors[name], "scale": scale})


def facts(group: Group, config: Config) -> Facts:
    """Return what the types, the shapes and the settings tell."""
    codes, scale = group.parts["codes"], group.parts["scale"]
    check_dtype(codes, "F8_E4M3")
    check_dimensions(codes, 2, 3)
    axis = len(codes.shape) - 1
    tile = config.tile or TILE
    block: Block = "tensor" if scale.shape in ((), (1,)) else tile
    check_blocks(scale, codes.shape, block, None if block == "tensor" else axis)
    recipe = Recipe("e4m3fn", block=block, scale=scale_format(scale))
    return Facts(codes.shape, recipe, axis, NAME)


def value(group: Group, facts: Facts) -> Value:
    """Read codes and scales."""
    return quantized(facts, group.parts["codes"].codes(), group.parts["scale"].floats())
