"""torchao's tensors in .safetensors files.

The header's metadata has, for each weight ``module.weight``, a JSON text with its class and block
size; its parts are named ``module._weight_qdata``, ``module._weight_scale`` and so on.

    Float8Tensor               qdata F8 [out, in], scale of blocks
    MXTensor                   qdata F8 or U8 [out, in/2], E2M1, first code in the low nibble; scale
                               F8_E8M0 [out, in/32]
    NVFP4Tensor                qdata U8 [out, in/2], scale F8_E4M3 [out, in/16], perhaps
                               per_tensor_scale, a factor
    Int8Tensor,                qdata I8 [out, in], scale of blocks, perhaps zero_point I8;
    IntxUnpackedToInt8Tensor   of the second, codes of fewer bits, int4 as -8..7
    Int4Tensor and others      see `torchao_int4`

Swizzled scales (is_swizzled_scales) lie in tiles of 128 rows and 4 columns: of a tile, row r is at
16 * (r % 32) + 4 * (r // 32).

Source: https://github.com/pytorch/ao, torchao/prototype/safetensors
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.codec import decode
from minifloat.files._json import json_object
from minifloat.files._safe import quoted
from minifloat.files.checkpoints import columns, torchao_int4
from minifloat.files.checkpoints.blocks import block_of, check_blocks
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import (
    Stored,
    Tensors,
    check_dimensions,
    check_dtype,
    check_shape,
    scale_format,
)
from minifloat.files.checkpoints.weights import Facts, Group, Value
from minifloat.formats import Integer
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.recipes import Recipe

NAME = "torchao"
FLOATS = {"F8_E4M3": "e4m3fn", "F8_E5M2": "e5m2"}
ROLES = {  # what each part is for, by the end of its name
    "qdata": "codes", "scale": "scale", "zero_point": "zeros", "per_tensor_scale": "factor",
    "act_pre_scale": "inputs", "act_per_tensor_scale": "act_scale",
    "act_quant_scale": "act_scale", "act_quant_zero_point": "act_zeros",
    "scale_and_zero": "scale_and_zero",
}  # fmt: skip
SCALED_INPUTS = "its inputs are multiplied by act_pre_scale"
INT4 = ("Int4Tensor", "Int4TilePackedTo4dTensor", "Int4PlainInt32Tensor")
WIDTHS = {f"int{bits}": bits for bits in range(2, 9)}
LONGEST = 1 << 16  # characters of a weight's text
TILE_ROWS, TILE_COLUMNS = 128, 4  # of swizzled scales


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield the weights whose metadata name a class of quantized tensors."""
    for name, text in config.metadata.items():
        if not _described(text):
            continue
        module, dot, last = name.rpartition(".")
        prefix = f"{module}{dot}_{last}_"
        parts = {
            role: stored for end, role in ROLES.items() if (stored := tensors.get(prefix + end))
        }
        if "codes" in parts:
            yield Group(name, parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types, the shapes and the metadata tell."""
    told = _facts(group, config)
    if "inputs" not in group.parts:
        return told
    notes = [note for note in (told.note, SCALED_INPUTS) if note]
    return replace(told, note="; ".join(notes))


def _facts(group: Group, config: Config) -> Facts:
    described = _described(config.metadata[group.name])
    kind, codes, scale = described["_type"], group.parts["codes"], group.parts.get("scale")
    settings = described["_data"] if isinstance(described.get("_data"), dict) else {}
    layout = f"{NAME} {kind}"
    if kind in INT4:
        return torchao_int4.facts(group, settings, layout)
    check_dimensions(codes, 2, 3)
    axis = len(codes.shape) - 1
    if scale is None:
        raise ValueError(f"{quoted(group.name)} must have a scale, got none")
    if kind == "Float8Tensor":
        check_dtype(codes, *FLOATS)
        block = block_of(scale, codes.shape)
        recipe = Recipe(FLOATS[codes.dtype], block=block, scale=scale_format(scale))
        return Facts(codes.shape, recipe, axis, layout)
    if kind in ("MXTensor", "NVFP4Tensor"):
        return _blocks(group, scale, settings, layout)
    if kind in ("Int8Tensor", "IntxUnpackedToInt8Tensor"):
        return _integers(group, scale, settings, layout)
    raise ValueError(f"of torchao's class {quoted(kind)}, which is not read")


def value(group: Group, facts: Facts) -> Value:
    """Read codes, scales and zero points."""
    if facts.layout.removeprefix(f"{NAME} ") in INT4:
        return torchao_int4.value(group, facts)
    codes, scale = group.parts["codes"], group.parts["scale"]
    assert facts.recipe is not None
    if "bits" in facts.options:
        return columns.value(group, facts, _read_integers)
    if "swizzled" not in facts.options:
        return quantized(facts, codes.codes(), scale.floats())
    shape = Blocks.of(facts.recipe.block, facts.shape, facts.axis).scale_shape
    scale_codes = scale.codes()
    if facts.options["swizzled"]:
        scale_codes = unswizzled(scale_codes, math.prod(shape[:-1]), shape[-1])
    scales = np.asarray(decode(scale_codes, facts.recipe.scale.name), np.float32)
    packed = codes.codes() if codes.shape == facts.shape else codes.codes().reshape(-1)
    factor = group.parts.get("factor")
    tensor_scale = None if factor is None else float(factor.floats().reshape(()))
    return quantized(facts, packed, scales, tensor_scale=tensor_scale)


def unswizzled(scales: NDArray[np.uint8], rows: int, count: int) -> NDArray[np.uint8]:
    """Return the scales of rows, ``count`` of each, out of tiles of 128 rows and 4 columns."""
    down, across = -(-rows // TILE_ROWS), -(-count // TILE_COLUMNS)
    tiles = scales.reshape(down, across, 32, 4, TILE_COLUMNS).swapaxes(2, 3)
    table = tiles.reshape(down, across, TILE_ROWS, TILE_COLUMNS).swapaxes(1, 2)
    return table.reshape(down * TILE_ROWS, across * TILE_COLUMNS)[:rows, :count]


def _described(text: str) -> dict[str, Any]:
    """Return a weight's entry in the metadata; empty if it is none of quantized weights."""
    if '"_type"' not in text or len(text) > LONGEST:
        return {}
    try:
        entry = json_object(text)
    except ValueError:
        return {}
    kind = entry.get("_type")
    return entry if isinstance(kind, str) and kind.endswith("Tensor") and kind != "Tensor" else {}


def _blocks(group: Group, scale: Stored, settings: dict[str, Any], layout: str) -> Facts:
    """Return the facts of MX and NVFP4 tensors."""
    codes, factor = group.parts["codes"], group.parts.get("factor")
    axis = len(codes.shape) - 1
    is_mx = layout.endswith("MXTensor")
    check_dtype(scale, "F8_E8M0" if is_mx else "F8_E4M3")
    if is_mx:
        check_dtype(codes, "U8", *FLOATS)
    else:
        check_dtype(codes, "U8")
    if factor is not None:
        check_dtype(factor, "F32")
        check_shape(factor, (), (1,))
    block, default = settings.get("block_size"), 32 if is_mx else 16
    block = torchao_int4.checked_block(group, default if block is None else block)
    packed = codes.dtype == "U8"
    shape = (*codes.shape[:-1], codes.shape[-1] * (1 + packed))
    swizzled = settings.get("is_swizzled_scales") is True
    if swizzled:
        down = -(-math.prod(shape[:-1]) // TILE_ROWS)
        across = -(-shape[-1] // (block * TILE_COLUMNS))
        if scale.size != down * across * TILE_ROWS * TILE_COLUMNS:
            raise ValueError(
                f"{quoted(scale.name)} must be whole tiles of 128x4, got {scale.shape}"
            )
    else:
        check_blocks(scale, shape, block, axis)
    recipe = Recipe(
        "e2m1" if packed else FLOATS[codes.dtype],
        block=block,
        scale="e8m0" if is_mx else "e4m3fn",
        tensor_scale=factor is not None,
    )
    return Facts(shape, recipe, axis, layout, {"swizzled": swizzled})


def _integers(group: Group, scale: Stored, settings: dict[str, Any], layout: str) -> Facts:
    """Return the facts of integers in bytes."""
    codes, zeros = group.parts["codes"], group.parts.get("zeros")
    check_dtype(codes, "I8")
    shape, axis = codes.shape, len(codes.shape) - 1
    target = settings.get("target_dtype")
    said = target.get("_data") if isinstance(target, dict) else "int8"
    if said not in WIDTHS:
        raise ValueError(f"of the type {said!r:.40}, which is not read")
    bits = WIDTHS[said]
    block = block_of(scale, shape)
    if isinstance(block, tuple):
        raise ValueError(f"{quoted(scale.name)} must be scales of rows or groups")
    if zeros is not None:
        check_dtype(zeros, "I8")
        check_shape(zeros, scale.shape)
    fmt = Integer(bits, signed=zeros is None, symmetric=False)
    recipe = Recipe(fmt, block=block, scale=scale_format(scale), zero_point=zeros is not None)
    return Facts(shape, recipe, axis, layout, {"bits": bits})


def _read_integers(group: Group, facts: Facts) -> columns.Integers:
    """Read codes and zero points, and add 2**(bits - 1) to both."""
    bits, stored = facts.options["bits"], group.parts.get("zeros")
    codes = _unsigned(group.parts["codes"], bits)
    scales = group.parts["scale"].floats()
    scales = scales.reshape(*(scales.shape[:-1] or (1,)), -1)
    zeros = np.full(scales.shape, 1 << (bits - 1), np.uint8)
    if stored is not None:
        zeros = _unsigned(stored, bits).reshape(scales.shape)
    return columns.Integers(codes, scales, zeros)


def _unsigned(stored: Stored, bits: int) -> NDArray[np.uint8]:
    codes = stored.codes() + np.uint8(1 << (bits - 1))
    if codes.max(initial=0) >> bits:
        raise ValueError(f"{quoted(stored.name)} must be integers of {bits} bits")
    return codes
