"""torchao's integers of 4 bits: in bytes, in the tiles of an NVIDIA GPU, in an Intel GPU's words.

    Int4Tensor                 qdata I8 or U8 [out, in/2], -8..7, first code in the low nibble;
                               scale and zero_point [in/block, out], floats: a weight is
                               code * scale + zero_point
    Int4TilePackedTo4dTensor   qdata I32 [out/8, in/128, 32, 4], 0..15 for -8..7; scale_and_zero
                               BF16 [in/block, out, 2], of the same meaning. Rows and columns are
                               filled up to whole tiles and more; ``shape`` is without these
    Int4PlainInt32Tensor       qdata I32 [out, in/8], 0..15, first code in the lowest bits; scale
                               [in/block, out]; zero_point I8, the codes that mean 0

In tile (r, c), word j of lane t has eight codes of row 8 r + t // 4: its bits 4 p to 4 p + 3 are
the code of column 128 c + 32 j + 8 (p % 4) + 2 (t % 4) + p // 4.

An AMD GPU packs tiles of 16 rows into arrays of the same shape, and nothing in a file tells which
of the two it was. An NPU's Int4PlainInt32Tensor, whose zero points are floats, is not read.

Source: https://github.com/pytorch/ao, torchao/quantization/quantize_/workflows/int4; PyTorch,
aten/src/ATen/native/cuda/int4mm.cu, matrix_to_m16n8k16_Bint4_layout; torch-xpu-ops,
WeightInt4PackKernel.cpp
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode
from minifloat.files._safe import quoted
from minifloat.files.checkpoints import columns
from minifloat.files.checkpoints.making import bits_of_words, quantized
from minifloat.files.checkpoints.stored import (
    Array,
    Stored,
    check_dimensions,
    check_dtype,
    check_shape,
    scale_format,
)
from minifloat.files.checkpoints.weights import Dequantizable, Facts, Group, Value
from minifloat.packing import unpack
from minifloat.quantization.recipes import Recipe

ADDED = "a number is added to the weights of each block"
MAY_BE_ADDED = "a number may be added to the weights of each block"
ORDER = "codes are in the order of NVIDIA's GPUs; AMD's have another, which nothing in a file tells"
TILE = (8, 128)  # rows and columns
LANES, WORDS = 32, 4  # of a tile
PARTS = {"scale": "a scale", "zeros": "a zero_point", "scale_and_zero": "a scale_and_zero"}
SIGN = 8  # makes the code of n in 0..15 that of n - 8, and back


def facts(group: Group, settings: dict[str, Any], layout: str) -> Facts:
    """Return what the types, the shapes and the settings tell."""
    kind = layout.rpartition(" ")[2]
    described: Callable[[Group, dict[str, Any], str], Facts] = {
        "Int4Tensor": _bytes,
        "Int4TilePackedTo4dTensor": _tiles,
        "Int4PlainInt32Tensor": _words,
    }[kind]
    return described(group, settings, layout)


def value(group: Group, facts: Facts) -> Value:
    """Read codes and scales; weights to which a number is added are no codes times a scale."""
    if facts.recipe is not None and facts.recipe.zero_point:
        return columns.value(group, facts, _read_words)
    scales, zeros = _scales_and_zeros(group, facts)
    if not zeros.any():
        return quantized(facts, _signed_codes(group, facts), scales)
    dequantize = partial(_dequantize, group, facts)
    return Dequantizable(facts.shape, facts.layout, ADDED, dequantize)


def checked_block(group: Group, block: object) -> int:
    """Return a number of weights to a scale.

    Raises
    ------
    ValueError
        If it is none.
    """
    if type(block) is not int or not 1 <= block <= 1 << 20:
        raise ValueError(f"{quoted(group.name)} must have a block_size, got {block!r:.40}")
    return block


def _bytes(group: Group, settings: dict[str, Any], layout: str) -> Facts:
    codes, scale, zeros = group.parts["codes"], _part(group, "scale"), _part(group, "zeros")
    check_dimensions(codes, 2, 3)
    check_dtype(codes, "I8", "U8")
    check_dtype(scale, "F32", "F16", "BF16")
    check_dtype(zeros, scale.dtype)
    shape = (*codes.shape[:-1], 2 * codes.shape[-1])
    block = _block(group, settings)
    wanted = (*shape[:-2], -(-shape[-1] // block), shape[-2])
    for part in (scale, zeros):
        check_shape(part, wanted)
    recipe = Recipe("int4full", block=block, scale=scale_format(scale))
    return Facts(shape, recipe, len(shape) - 1, layout, {"block": block}, MAY_BE_ADDED)


def _tiles(group: Group, settings: dict[str, Any], layout: str) -> Facts:
    codes, both = group.parts["codes"], _part(group, "scale_and_zero")
    check_dimensions(codes, 4, 5)
    check_dtype(codes, "I32")
    check_dtype(both, "BF16")
    *more, down, across, _, _ = codes.shape
    check_shape(codes, (*more, down, across, LANES, WORDS))
    full = (*more, TILE[0] * down, TILE[1] * across)
    shape, block = _shape(group, settings), _block(group, settings)
    fits = len(shape) == len(full) and shape[:-2] == full[:-2]
    if not fits or any(n > m for n, m in zip(shape[-2:], full[-2:], strict=True)):
        raise ValueError(f"{quoted(group.name)} must have a shape within {full}, got {shape}")
    check_shape(both, (*full[:-2], -(-full[-1] // block), full[-2], 2))
    recipe = Recipe("int4full", block=block, scale="bfloat16")
    note = f"{MAY_BE_ADDED}; {ORDER}"
    return Facts(shape, recipe, len(shape) - 1, layout, {"block": block}, note)


def _words(group: Group, settings: dict[str, Any], layout: str) -> Facts:
    codes, scale, zeros = group.parts["codes"], _part(group, "scale"), _part(group, "zeros")
    check_dimensions(codes, 2)
    check_dtype(codes, "I32")
    check_dtype(scale, "F32", "F16", "BF16")
    check_dtype(zeros, "I8")
    shape, block = (codes.shape[0], 8 * codes.shape[1]), _block(group, settings)
    if _shape(group, settings) != shape:
        raise ValueError(f"{quoted(group.name)} must have the shape {shape} of its words")
    for part in (scale, zeros):
        check_shape(part, (-(-shape[1] // block), shape[0]))
    recipe = Recipe("uint4", block=block, scale=scale_format(scale), zero_point=True)
    return Facts(shape, recipe, 1, layout)


def _part(group: Group, role: str) -> Stored:
    if role not in group.parts:
        raise ValueError(f"{quoted(group.name)} must have {PARTS[role]}, got none")
    return group.parts[role]


def _block(group: Group, settings: dict[str, Any]) -> int:
    sizes = settings.get("block_size")
    return checked_block(group, sizes[-1] if isinstance(sizes, list) and sizes else sizes)


def _shape(group: Group, settings: dict[str, Any]) -> tuple[int, ...]:
    shape = settings.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{quoted(group.name)} must have a shape, got {shape!r:.40}")
    return tuple(shape)


def _signed_codes(group: Group, facts: Facts) -> NDArray[np.uint8]:
    """Return the codes of int4full in the shape of the weights."""
    codes = group.parts["codes"]
    if len(codes.shape) > len(facts.shape):
        return _codes_of_tiles(codes, facts.shape) ^ np.uint8(SIGN)
    packed = codes.codes().reshape(-1, max(codes.shape[-1], 1))
    return np.asarray(unpack(packed, 4, facts.shape[-1], start=0)).reshape(facts.shape)


def _codes_of_tiles(tiles: Stored, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the codes, 0 to 15, without those that fill up the last tiles."""
    *more, down, across, _, _ = tiles.shape
    nibbles = unpack(tiles.read(), 4, 8 * tiles.size)
    parts = (TILE[0], 4, WORDS, 2, 4)  # row, t % 4, j, p // 4, p % 4
    lanes = nibbles.reshape(math.prod(more), down, across, *parts)
    rows = lanes.transpose(0, 1, 3, 2, 5, 7, 4, 6)
    table = rows.reshape(*more, TILE[0] * down, TILE[1] * across)
    return np.ascontiguousarray(table[..., : shape[-2], : shape[-1]], np.uint8)


def _scales_and_zeros(group: Group, facts: Facts) -> tuple[Array, Array]:
    """Return scales and zero points (..., out, blocks) of the weights that are not filling."""
    if "scale_and_zero" in group.parts:
        both = group.parts["scale_and_zero"].floats().swapaxes(-3, -2)
        blocks = -(-facts.shape[-1] // facts.options["block"])
        both = both[..., : facts.shape[-2], :blocks, :]
        return both[..., 0], both[..., 1]
    scales, zeros = (group.parts[role].floats().swapaxes(-1, -2) for role in ("scale", "zeros"))
    return scales, zeros


def _read_words(group: Group, facts: Facts) -> columns.Integers:
    zeros = group.parts["zeros"].numbers()
    if zeros.min(initial=0) < 0:
        raise ValueError(f"{quoted(group.parts['zeros'].name)} must be codes, got {zeros.min()}")
    codes = bits_of_words(group.parts["codes"].words(), 4, facts.shape[1])
    return columns.Integers(codes, group.parts["scale"].floats().T, zeros.T)


def _dequantize(group: Group, facts: Facts) -> Array:
    """Return code * scale + zero_point, computed in float64."""
    length = facts.shape[-1]
    blocks = np.arange(length) // facts.options["block"]
    codes = _signed_codes(group, facts).reshape(-1, length)
    scales, zeros = (part.reshape(len(codes), -1) for part in _scales_and_zeros(group, facts))
    weights = np.empty((len(codes), length), np.float32)
    step = max(1, columns.PART // max(length, 1))
    for first in range(0, len(codes), step):
        rows = slice(first, first + step)
        values = decode(codes[rows], "int4full", dtype=np.float64)
        with np.errstate(all="ignore"):
            weights[rows] = values * scales[rows][:, blocks] + zeros[rows][:, blocks]
    return weights.reshape(facts.shape)
