"""Weights like those of a model, checkpoints of them, and mistakes planted in these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat.files.checkpoints import compressed_tensors
from minifloat.files.checkpoints.making import bits_to_words
from tests.files.checkpoints.by_hand import Stored, stored, write

Array = NDArray[Any]
NAME = "layers.0.weight"
OTHER = "layers.1.weight"
INT4 = "uint4/32/bfloat16/zero-point"
FP8 = "e4m3fn/channel/float32"
RECIPES = ("nvfp4", "mxfp4", INT4, FP8)


def weights(shape: tuple[int, ...] = (64, 128), seed: int = 1) -> Array:
    """Return normal weights whose rows and columns differ in size."""
    rng = np.random.default_rng(seed)
    rows = np.exp(0.4 * rng.standard_normal((*shape[:-1], 1)))
    columns = np.exp(0.2 * rng.standard_normal(shape[-1]))
    return np.asarray(rng.standard_normal(shape) * rows * columns * 0.02, np.float32)


def changed(q: mf.Quantized, **parts: Any) -> mf.Quantized:
    """Return valid weights with other parts."""
    return mf.Quantized(**{f.name: getattr(q, f.name) for f in fields(q)} | parts)


def recoded(q: mf.Quantized, codes: Array) -> mf.Quantized:
    flat = np.ascontiguousarray(codes, np.uint8).reshape(-1)
    return changed(q, packed=mf.pack(flat, q.fmt.bits))


def swap_nibbles(q: mf.Quantized) -> mf.Quantized:
    return changed(q, packed=(q.packed >> 4) | (q.packed << 4))


def invert_scales(q: mf.Quantized) -> mf.Quantized:
    """Return weights with one over each scale, rounded to the scales' format."""
    fmt = q.recipe.scale.name
    inverse = np.float32(1) / q.scales
    held = inverse if fmt == "float32" else mf.decode(mf.encode(inverse, fmt), fmt)
    return changed(q, scales=np.asarray(held, np.float32))


def invert_tensor_scale(q: mf.Quantized) -> mf.Quantized:
    assert q.tensor_scale is not None
    return changed(q, tensor_scale=float(np.float32(1 / q.tensor_scale)))


def zeros_less_one(q: mf.Quantized) -> mf.Quantized:
    assert q.zero_points is not None
    return changed(q, zero_points=np.maximum(q.zero_points, 1) - np.uint8(1))


def shift_scales(q: mf.Quantized) -> mf.Quantized:
    return changed(q, scales=np.roll(q.scales, 1, axis=-1 if q.scales.shape[-1] > 1 else -2))


def negate(q: mf.Quantized) -> mf.Quantized:
    """Return weights whose codes are those of the other sign."""
    values = mf.decode(q.codes, q.fmt)
    return recoded(q, np.asarray(mf.encode(-values, q.fmt)))


def transpose_scales(q: mf.Quantized) -> mf.Quantized:
    """Return weights whose scales are those of blocks along the first axis, as they are stored."""
    down = mf.quantize(q.dequantize(), q.recipe, axis=0)
    scales = down.scales.reshape(q.scales.shape)
    return changed(q, packed=down.packed, scales=scales, tensor_scale=down.tensor_scale)


def write_model(folder: Path, tensors: dict[str, mf.Quantized | Array]) -> Path:
    """Write a checkpoint as compressed-tensors does."""
    folder.mkdir(exist_ok=True)
    every: dict[str, Stored] = {}
    for name, value in tensors.items():
        if isinstance(value, mf.Quantized):
            for each in compressed_tensors.tensors(name, value):
                every[each.name] = (each.dtype, list(each.shape), each.read().tobytes())
        else:
            every[name] = stored(value)
    return write(folder, every)


def write_gptq(folder: Path, q: mf.Quantized, version: str, order: Array | None = None) -> Path:
    """Write weights as GPTQ's first version does, with a config.json that says some version.

    ``order`` are the columns in the order in which they were quantized.
    """
    assert q.zero_points is not None
    codes, config = q.codes, {"quant_method": "gptq", "bits": 4, "checkpoint_format": version}
    zeros = np.ascontiguousarray(q.zero_points.T) - np.uint8(1)
    tensors = {
        "l.qzeros": stored(bits_to_words(zeros, 4).astype(np.int32)),
        "l.scales": stored(q.scales.T.astype(np.float16)),
    }
    if order is not None:
        places = np.argsort(order)
        codes = np.ascontiguousarray(codes[:, places])
        tensors["l.g_idx"] = stored((places // 32).astype(np.int32))
    tensors["l.qweight"] = stored(bits_to_words(codes, 4).view(np.int32).T)
    folder.mkdir()
    return write(folder, tensors, {**config, "group_size": 32})


Plant = Callable[[mf.Quantized], mf.Quantized]
PLANTED: list[tuple[str, Plant, tuple[str, ...]]] = [
    ("nibbles swapped", swap_nibbles, ("nvfp4", "mxfp4", INT4)),
    ("scales inverted", invert_scales, RECIPES),
    ("tensor scale inverted", invert_tensor_scale, ("nvfp4",)),
    ("zero point off by one", zeros_less_one, (INT4,)),
    ("scales along the wrong axis", transpose_scales, ("nvfp4", "mxfp4", FP8)),
    ("scales shifted by one block", shift_scales, ("nvfp4", "mxfp4", FP8)),
    ("sign flipped", negate, ("nvfp4", "mxfp4", FP8)),
]
