"""Small numbers that have no scales: F8, F6, F4, and ONNX's integers of 4 and 2 bits.

They become codes with one scale, 1. safetensors does not say in which order the bits of F4 and F6
are packed; they are read as PyTorch, DLPack and ONNX have them, the first code in the lowest bits.

Source: https://github.com/huggingface/safetensors, https://github.com/dmlc/dlpack
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minifloat._arrays import MAX_DIMENSIONS
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import Tensors, check_dimensions
from minifloat.files.checkpoints.weights import Facts, Group, Value
from minifloat.quantization.recipes import Recipe

NAME = "without scales"
FORMATS = {
    "F8_E4M3": "e4m3fn",
    "F8_E5M2": "e5m2",
    "F8_E4M3FNUZ": "e4m3fnuz",
    "F8_E5M2FNUZ": "e5m2fnuz",
    "F4": "e2m1",
    "F6_E2M3": "e2m3",
    "F6_E3M2": "e3m2",
    "I4": "int4full",
    "U4": "uint4",
    "I2": "int2full",
    "U2": "uint2",
}


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield tensors of a small type."""
    for name, stored in tensors.items():
        if stored.dtype in FORMATS:
            yield Group(name, {"codes": stored})


def facts(group: Group, config: Config) -> Facts:
    """Return what the type tells."""
    codes = group.parts["codes"]
    check_dimensions(codes, 0, MAX_DIMENSIONS)
    recipe = Recipe(FORMATS[codes.dtype], block="tensor", scale="float32")
    return Facts(codes.shape, recipe, None, f"{codes.dtype} {NAME}")


def value(group: Group, facts: Facts) -> Value:
    """Read the packed codes."""
    return quantized(facts, group.parts["codes"].read(), np.ones((), np.float32))
