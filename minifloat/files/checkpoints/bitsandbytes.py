"""bitsandbytes' 4 bits: NF4 and FP4, whose scales may be quantized too.

    X U8 [n/2, 1], X.absmax F32 [n/64], X.quant_map F32 [16], X.quant_state.bitsandbytes__nf4 U8:
    the bytes of a JSON text with dtype, shape, blocksize
    nested: X.absmax U8, X.nested_absmax F32 [n/64/256], X.nested_quant_map F32 [256]; a scale is
    nested_quant_map[absmax] * nested_absmax + nested_offset, each step rounded to float32

The first code is in the high nibble. Blocks run through the rows, one after another. A quantized
scale becomes the float32 number that it means. FP4's code 8 is -0 here, and 0 in its quant_map.

Source: https://github.com/bitsandbytes-foundation/bitsandbytes, functional.py
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.files._json import json_object
from minifloat.files._safe import quoted
from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.making import quantized
from minifloat.files.checkpoints.stored import (
    Array,
    Stored,
    Tensors,
    check_dtype,
    check_shape,
)
from minifloat.files.checkpoints.weights import Dequantizable, Facts, Group, Value
from minifloat.formats.names import parse
from minifloat.packing import unpack
from minifloat.quantization.checks import checked_shape
from minifloat.quantization.recipes import Recipe

NAME = "bitsandbytes"
STATE = ".quant_state.bitsandbytes__"
FORMATS = {"nf4": "nf4", "fp4": "bnb_fp4"}
LONGEST_STATE = 1 << 16  # bytes
ACROSS = "a block begins in one row and ends in the next"
OTHER_MAP = "its quant_map is not the published one"


def find(tensors: Tensors, config: Config) -> Iterator[Group]:
    """Yield codes that have a state beside them."""
    endings = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
    for name, state in tensors.items():
        stem, mark, kind = name.partition(STATE)
        if mark and kind in FORMATS and stem in tensors:
            parts = {"codes": tensors[stem], "state": state}
            for ending in endings:
                if beside := tensors.get(f"{stem}.{ending}"):
                    parts[ending] = beside
            yield Group(stem, parts)


def facts(group: Group, config: Config) -> Facts:
    """Return what the types, the shapes and the state tell."""
    parts = group.parts
    state = _state(parts["state"])
    if not {"absmax", "quant_map"} <= parts.keys():
        raise ValueError(f"{quoted(group.name)} must have absmax and quant_map beside it")
    kind = parts["state"].name.rpartition(STATE)[2]
    shape = state.get("shape")
    block = state.get("blocksize")
    if not isinstance(shape, list) or type(block) is not int or not 1 <= block <= 1 << 20:
        raise ValueError(f"{quoted(parts['state'].name)} must have a shape and a blocksize")
    if not all(type(length) is int for length in shape):
        raise ValueError(f"{quoted(parts['state'].name)} must have a shape of integers")
    lengths = checked_shape(shape)
    size = math.prod(lengths)
    check_dtype(parts["codes"], "U8")
    if not size or parts["codes"].size != -(-size // 2):
        raise ValueError(
            f"{quoted(parts['codes'].name)} must be 4-bit codes of shape {lengths}, got "
            f"{parts['codes'].size} bytes"
        )
    scales = -(-size // block)
    check_shape(parts["absmax"], (scales,))
    check_dtype(parts["quant_map"], "F32")
    check_shape(parts["quant_map"], (16,))
    nested = "nested_absmax" in parts
    options: dict[str, Any] = {"block": block, "format": FORMATS[kind]}
    if nested:
        options |= _nested(group, state, scales)
    else:
        check_dtype(parts["absmax"], "F32")
    layout = f"{NAME} {kind}{' nested' if nested else ''}"
    recipe = Recipe(FORMATS[kind], block=block, scale="float32")
    note = ""
    if len(lengths) != 1 and lengths[-1] % block:
        note = ACROSS
    return Facts(lengths, recipe, len(lengths) - 1, layout, options, note)


def value(group: Group, facts: Facts) -> Value:
    """Read codes and scales."""
    expected = parse(facts.options["format"])
    book = group.parts["quant_map"].floats()
    values = np.array([expected.value(code) for code in range(16)], np.float32)
    reason = facts.note
    if not np.array_equal(book, values):
        reason = OTHER_MAP
    if reason:
        read = partial(_dequantize, group, facts)
        return Dequantizable(facts.shape, facts.layout, reason, read)
    return quantized(facts, _codes(group, facts).reshape(facts.shape), _scales(group, facts))


def _state(stored: Stored) -> dict[str, Any]:
    check_dtype(stored, "U8")
    if stored.size > LONGEST_STATE:
        raise ValueError(f"{quoted(stored.name)} must be at most 64 KiB, got {stored.size} bytes")
    return json_object(stored.read().tobytes().decode())


def _nested(group: Group, state: dict[str, Any], scales: int) -> dict[str, Any]:
    """Check the parts of quantized scales; return how they are read."""
    parts = group.parts
    size, offset = state.get("nested_blocksize"), state.get("nested_offset")
    if "nested_quant_map" not in parts or type(size) is not int or not 1 <= size <= 1 << 20:
        raise ValueError(f"{quoted(group.name)} must have a nested_quant_map, a nested_blocksize")
    if not isinstance(offset, float | int) or not abs(offset) <= 3e38:
        raise ValueError(f"{quoted(parts['state'].name)} must have a finite nested_offset")
    check_dtype(parts["absmax"], "U8")
    check_dtype(parts["nested_absmax"], "F32")
    check_shape(parts["nested_absmax"], (-(-scales // size),))
    check_dtype(parts["nested_quant_map"], "F32")
    check_shape(parts["nested_quant_map"], (256,))
    return {"nested_block": size, "nested_offset": float(offset)}


def _codes(group: Group, facts: Facts) -> NDArray[np.uint8]:
    packed = group.parts["codes"].read()
    codes = unpack(packed, 4, math.prod(facts.shape), start=0, bit_order="big")
    return np.asarray(codes, np.uint8)


def _scales(group: Group, facts: Facts) -> Array:
    parts = group.parts
    if "nested_absmax" not in parts:
        return parts["absmax"].floats()
    differences = parts["nested_quant_map"].floats()[parts["absmax"].codes()]
    widths = np.repeat(parts["nested_absmax"].floats(), facts.options["nested_block"])
    with np.errstate(all="ignore"):
        scales = differences * widths[: len(differences)]
        return np.asarray(scales + np.float32(facts.options["nested_offset"]), np.float32)


def _dequantize(group: Group, facts: Facts) -> Array:
    book = group.parts["quant_map"].floats()
    scales = np.repeat(_scales(group, facts), facts.options["block"])
    with np.errstate(all="ignore"):
        weights = book[_codes(group, facts)] * scales[: math.prod(facts.shape)]
    return np.asarray(weights).reshape(facts.shape)
