"""Checkpoints written by hand: a .safetensors file and the config.json beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from minifloat.files.checkpoints import Checkpoint, Description, open_checkpoint

Array = NDArray[Any]
Stored = tuple[str, list[int], bytes]  # dtype, shape, bytes

DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64"}
DTYPES |= {f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)}
DTYPES |= {f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)}


def stored(array: Array, dtype: str | None = None) -> Stored:
    """Return an array as it is stored, perhaps as bytes of a type that NumPy does not have."""
    array = np.ascontiguousarray(array)
    return dtype or DTYPES[array.dtype.name], list(array.shape), array.tobytes()


def bfloat16(values: Array) -> Stored:
    """Return float32 numbers, whose lower halves are 0, as bfloat16."""
    words = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    return stored(words.astype(np.uint16), "BF16")


def write(
    folder: Path,
    tensors: dict[str, Stored],
    config: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    name: str = "model.safetensors",
) -> Path:
    """Write a checkpoint; ``config`` is the quantization_config of its config.json."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    start = 0
    for key, (dtype, shape, data) in tensors.items():
        offsets = [start, start + len(data)]
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        start += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(data for _, _, data in tensors.values())
    (folder / name).write_bytes(len(text).to_bytes(8, "little") + text + data)
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder


def only(checkpoint: Checkpoint, name: str) -> tuple[Any, Description]:
    """Return the weights of a checkpoint that has no others, and their description."""
    assert list(checkpoint) == [name], [about.skipped for about in checkpoint.skipped]
    about = checkpoint.describe(name)
    held = checkpoint[name]
    assert held.shape == about.shape
    if isinstance(held, mf.Quantized):
        assert held.recipe == about.recipe
        assert checkpoint.layouts == (about.layout,)
    return held, about


def opened(folder: Path, tensors: dict[str, Stored], name: str, **more: Any) -> tuple[Any, Any]:
    """Write a checkpoint and return its only weights with their description."""
    return only(open_checkpoint(write(folder, tensors, **more)), name)
