"""The block types of llama.cpp's .gguf files.

A block of these becomes codes and a scale; all numbers are little-endian, d is a float16:

    Q8_0    d, 32 codes in bytes
    MXFP4   a code of E8M0, 16 bytes
    NVFP4   4 codes of E4M3, 4 times 8 bytes; "X.scale" beside "X.weight" is a factor
    TQ2_0   64 bytes, d; a code of two bits is -1, 0 or 1, plus 1

Bytes of two codes have one of the first half of a block in the low nibble, and the one of the
second half in the high nibble. TQ2_0 has four runs of 32 codes in 32 bytes, the first in the lowest
bits. Code 8 of E2M1 is -0 here, and 0 in llama.cpp.

The other types (a minimum beside the scale, scales of scales, scales of both signs) are dequantized
by the package gguf.

Source: https://github.com/ggml-org/llama.cpp, gguf-py/gguf/quants.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode
from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.reading import Weights, about_weights, refuse
from minifloat.files.checkpoints.stored import Array
from minifloat.files.checkpoints.weights import Dequantizable, Description, Facts, Value
from minifloat.files.gguf import Placed, read_list
from minifloat.quantization.recipes import Recipe

NOT_CODES = ("F32", "F16", "BF16", "F64")
TYPE = "its type is dequantized as a whole"
NUMBERS = "a scale is negative or not finite, or a code has no value of the format"

Parts = tuple[Array, Array]  # codes of each block, and its scales
Bytes = NDArray[np.uint8]


def _halves(nibbles: Bytes) -> Bytes:
    return np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)


def _float16(raw: Bytes) -> Array:
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _q8_0(blocks: Bytes) -> Parts:
    return blocks[:, 2:], _float16(blocks[:, :2])


def _mxfp4(blocks: Bytes) -> Parts:
    scales = np.asarray(decode(blocks[:, :1], "e8m0"), np.float32)
    return _halves(blocks[:, 1:]), scales


def _nvfp4(blocks: Bytes) -> Parts:
    codes = _halves(blocks[:, 4:].reshape(-1, 4, 8))
    return codes, np.asarray(decode(blocks[:, :4], "e4m3fn"), np.float32)


def _tq2_0(blocks: Bytes) -> Parts:
    runs = blocks[:, :64].reshape(-1, 2, 1, 32) >> np.array([[0], [2], [4], [6]], np.uint8)
    return (runs & 3).reshape(-1, 256) - np.uint8(1) & 3, _float16(blocks[:, 64:])


class Block(NamedTuple):
    """How blocks of a type, as rows of ``size`` bytes, become codes and scales."""

    recipe: Recipe
    size: int
    parts: Callable[[Bytes], Parts]


TYPES = {
    "Q8_0": Block(Recipe("int8full", block=32, scale="float16"), 34, _q8_0),
    "MXFP4": Block(Recipe("e2m1", block=32, scale="e8m0"), 17, _mxfp4),
    "NVFP4": Block(Recipe("e2m1", block=16, scale="e4m3fn"), 36, _nvfp4),
    "TQ2_0": Block(Recipe("int2", block=256, scale="float16"), 66, _tq2_0),
}


def of_gguf(path: Path) -> list[Weights]:
    """Return the weights of a .gguf file."""
    tensors = read_list(SourceFile(path))
    names = [each.info.name for each in tensors]
    if len(set(names)) < len(names):
        name = min(name for name in names if names.count(name) > 1)
        raise WeightsError(f"{path}: holds two tensors named {quoted(name)}; rename one")
    by_name = dict(zip(names, tensors, strict=True))
    factors = {}
    for name, each in by_name.items():
        factor = by_name.get(f"{name.removesuffix('.weight')}.scale")
        if each.info.dtype == "NVFP4" and name.endswith(".weight") and _is_one_float(factor):
            factors[name] = factor
    taken = {factor.info.name for factor in factors.values() if factor}
    return [
        _weights(path, each, factors.get(name))
        for name, each in by_name.items()
        if name not in taken
    ]


def _is_one_float(tensor: Placed | None) -> bool:
    return tensor is not None and (tensor.info.dtype, tensor.info.parameters) == ("F32", 1)


def _weights(path: Path, tensor: Placed, factor: Placed | None) -> Weights:
    info, block = tensor.info, TYPES.get(tensor.info.dtype)
    plain = info.dtype in NOT_CODES or bool(info.skipped)
    layout = "" if plain else f"GGUF {info.dtype}"
    recipe = None if block is None or plain else block.recipe
    parts: tuple[str, ...] = (info.name,)
    size = 8 * tensor.size
    if recipe is not None and factor is not None:
        recipe = recipe.replace(tensor_scale=True)
        parts, size = (info.name, factor.info.name), size + 32
    about = Description(
        info.name, info.shape, layout, recipe, info.dtype, size, parts, info.skipped
    )
    if info.skipped:
        return Weights(about, partial(refuse, path, info.name, info.skipped))
    return Weights(about, partial(_read, path, about, tensor, factor))


def _read(path: Path, about: Description, tensor: Placed, factor: Placed | None) -> Value:
    with about_weights(path, about.name):
        if not about.layout:
            return tensor.load()
        load = partial(_dequantize, path, tensor, factor)
        if about.recipe is None:
            return Dequantizable(about.shape, about.layout, TYPE, load)
        block = TYPES[about.dtype]
        codes, scales = block.parts(tensor.raw().reshape(-1, block.size))
        unused = about.recipe.fmt.unused_code
        is_code = unused is None or not (codes == unused).any()
        if not (is_code and np.isfinite(scales).all() and about.recipe.scale.holds(scales).all()):
            return Dequantizable(about.shape, about.layout, NUMBERS, load)
        axis = len(about.shape) - 1
        facts = Facts(about.shape, about.recipe, axis, about.layout)
        number = None if factor is None else float(factor.load().reshape(()))
        return quantized(facts, codes.reshape(about.shape), scales, tensor_scale=number)


def _dequantize(path: Path, tensor: Placed, factor: Placed | None) -> Array:
    with untrusted(path), np.errstate(all="ignore"):
        weights = tensor.load()
        return weights if factor is None else weights * factor.load().reshape(())
