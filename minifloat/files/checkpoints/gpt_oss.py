"""OpenAI's gpt-oss: MXFP4 experts.

    X_blocks U8 [experts, rows, in/32, 16], X_scales U8 [experts, rows, in/32], E8M0's codes

The 16 bytes of a block are 32 neighbouring inputs, the first one in the low nibble. The
unquantized X, as transformers has it, is the transpose: [experts, in, rows].

Source: https://github.com/huggingface/transformers, integrations/mxfp4.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat.codec import decode
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import Tensors, check_dimensions, check_dtype, check_shape
from minifloat.files.checkpoints.weights import Facts, Group, Value, suffixed
from minifloat.packing import unpack
from minifloat.quantization.recipes import Recipe

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
