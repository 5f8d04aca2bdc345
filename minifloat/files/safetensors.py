"""The files of the package safetensors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import missing_package
from minifloat.files._tensors import Array, TensorInfo, WeightFile, mapped, native

NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
FLOAT8 = {
    "F8_E4M3": "e4m3fn",
    "F8_E5M2": "e5m2",
    "F8_E8M0": "e8m0",
    "F8_E4M3FNUZ": "e4m3fnuz",
    "F8_E5M2FNUZ": "e5m2fnuz",
}
# safetensors says how long these are, but not in which order their bits are packed
PACKED = ("F4", "F6_E2M3", "F6_E3M2")


def open_safetensors(path: Path) -> WeightFile:
    """List the tensors of a .safetensors file."""
    try:
        from safetensors import safe_open
    except ImportError:
        raise missing_package(path, "safetensors", "cli") from None
    # safe_open checks the header and all offsets, but its NumPy side has no bfloat16 and no
    # float8. So the bytes are mapped here, by the offsets it has checked, for all dtypes alike.
    with safe_open(path, framework="numpy"):
        pass
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        place = (path.absolute(), 8 + length + begin, end - begin)
        info = TensorInfo(name, shape, dtype, _why_skipped(dtype))
        tensors.append((info, partial(_read, *place, dtype, shape)))
    return WeightFile(path, tensors)


def _why_skipped(dtype: str) -> str:
    if dtype in PACKED:
        return "packed in a bit order that safetensors does not define"
    known = dtype == "BF16" or dtype in NUMPY or dtype in FLOAT8
    return "" if known else "not a float tensor"


def _read(path: Path, offset: int, size: int, dtype: str, shape: tuple[int, ...]) -> Array:
    return _widened(mapped(path, np.uint8, offset, (size,)), dtype).reshape(shape)


def _widened(raw: NDArray[np.uint8], dtype: str) -> Array:
    """Return the bytes of a float tensor as floats, aligned and in this machine's byte order."""
    if dtype == "BF16":
        words = raw.view("<u2").astype(np.uint32)
        words <<= 16  # bfloat16 is the upper half of float32
        return words.view(np.float32)
    if dtype in FLOAT8:
        from minifloat.codec import decode

        return np.asarray(decode(raw, FLOAT8[dtype], dtype=np.float32))
    floats = native(raw.view(NUMPY[dtype]))
    return floats if floats.flags.aligned else floats.copy()
