"""Quantized weights as blocks of llama.cpp's types, which `gguf` beside describes and reads.

    Q4_0    d, 16 bytes; a code is an integer plus 8
    Q5_0    d, 4 bytes of the fifth bits, 16 bytes; a code is an integer plus 16

In llama.cpp d may be negative: its own quantizer gives the weight of largest magnitude the code
-8 or -16. Scales are not negative here, so these types hold what a recipe makes, but not by that
rule.

Source: https://github.com/ggml-org/llama.cpp, gguf-py/gguf/quants.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import encode
from minifloat.files.checkpoints.stored import Array, Stored, in_memory
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Bytes = NDArray[np.uint8]


class Block(NamedTuple):
    """How codes and scales, a row for each block of ``length`` weights, become bytes."""

    length: int
    data: Callable[[Bytes, Array], Bytes]


def _float16(scales: Array) -> Bytes:
    return scales.astype("<f2").view(np.uint8)


def _in_halves(codes: Bytes) -> Bytes:
    """Return bytes of the first half of each row in the low nibbles, and the other in the high."""
    half = codes.shape[-1] // 2
    low, high = codes[..., :half], codes[..., half:]
    return np.asarray(low | high << np.uint8(4), np.uint8)


def _q8_0(codes: Bytes, scales: Array) -> Bytes:
    return np.concatenate([_float16(scales), codes], axis=1)


def _q4_0(codes: Bytes, scales: Array) -> Bytes:
    return np.concatenate([_float16(scales), _in_halves(codes ^ np.uint8(8))], axis=1)


def _q5_0(codes: Bytes, scales: Array) -> Bytes:
    plus_16 = codes ^ np.uint8(16)
    fifth = np.packbits(plus_16 >> 4, axis=1, bitorder="little")
    return np.concatenate([_float16(scales), fifth, _in_halves(plus_16 & np.uint8(15))], axis=1)


def _mxfp4(codes: Bytes, scales: Array) -> Bytes:
    return np.concatenate([np.asarray(encode(scales, "e8m0")), _in_halves(codes)], axis=1)


def _nvfp4(codes: Bytes, scales: Array) -> Bytes:
    halves = _in_halves(codes.reshape(len(codes), 4, 16)).reshape(len(codes), 32)
    return np.concatenate([np.asarray(encode(scales, "e4m3fn")), halves], axis=1)


def _tq2_0(codes: Bytes, scales: Array) -> Bytes:
    runs = (codes + np.uint8(1) & 3).reshape(-1, 2, 4, 32)
    data = runs[:, :, 0] | runs[:, :, 1] << 2 | runs[:, :, 2] << 4 | runs[:, :, 3] << 6
    return np.concatenate([data.reshape(-1, 64), _float16(scales)], axis=1)


BLOCKS: Mapping[str, Block] = {
    "Q8_0": Block(32, _q8_0),
    "Q4_0": Block(32, _q4_0),
    "Q5_0": Block(32, _q5_0),
    "MXFP4": Block(32, _mxfp4),
    "NVFP4": Block(64, _nvfp4),
    "TQ2_0": Block(256, _tq2_0),
}
TYPES = {  # format, block and scale of a recipe, and the type that stores it
    ("int8", 32, "float16"): "Q8_0",
    ("int8full", 32, "float16"): "Q8_0",
    ("int4", 32, "float16"): "Q4_0",
    ("int4full", 32, "float16"): "Q4_0",
    ("int5", 32, "float16"): "Q5_0",
    ("int5full", 32, "float16"): "Q5_0",
    ("e2m1", 32, "e8m0"): "MXFP4",
    ("e2m1", 16, "e4m3fn"): "NVFP4",
    ("int2", 256, "float16"): "TQ2_0",
}


def type_of(recipe: Recipe) -> str | None:
    """Return the block type that stores weights of a recipe, or None."""
    found = TYPES.get((recipe.fmt.name, recipe.block, recipe.scale.name))  # type: ignore[arg-type]
    is_plain = recipe.is_plain and not (recipe.double or recipe.zero_point)
    return found if is_plain and (not recipe.tensor_scale or found == "NVFP4") else None


def tensors(name: str, q: Quantized) -> list[Stored]:
    """Return the tensors that store weights; their shape is that of the weights.

    Parameters
    ----------
    name : str
        Of the weights, which ends in "weight".
    q : Quantized
        Of a recipe in `TYPES`, in rows of whole blocks along the last axis; of NVFP4's with a
        tensor scale or without.

    Raises
    ------
    ValueError
        If no type stores the recipe or the shape.
    """
    kind = type_of(q.recipe)
    length = 0 if kind is None else BLOCKS[kind].length
    if kind is None or q.axis != len(q.shape) - 1 or q.shape[-1] % length:
        raise ValueError(
            "q must be of a recipe that a type of .gguf files stores, in rows of whole blocks"
            f"{f' of {length}' * bool(length)}, got {q!r}"
        )
    block = BLOCKS[kind]
    rows = q.size // length
    data = block.data(q.codes.reshape(rows, length), q.scales.reshape(rows, -1)).reshape(-1)
    stored = [Stored(name, kind, q.shape, partial(np.copy, data))]
    if q.tensor_scale is not None:
        factor = np.array([q.tensor_scale], "<f4")
        stored.append(in_memory(f"{name.removesuffix('weight')}scale", "F32", factor))
    return stored
