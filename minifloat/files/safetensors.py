"""The files of the package safetensors.

Layout: the header's length (uint64, little-endian), the header (a JSON object: the dtype, shape and
place of each tensor), the tensors' data without holes. The header is checked here as strictly as
the package does, since the package opens and maps a file by its name, and so may see another file.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat.files._json import json_object
from minifloat.files._safe import quoted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import (
    Array,
    Load,
    TensorInfo,
    WeightFile,
    bfloat16,
    check_shape,
    native,
)

HEADER_LIMIT = 100_000_000  # bytes; the package's own limit
NUMPY = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
}  # fmt: skip
FLOAT8 = {
    "F8_E4M3": "e4m3fn",
    "F8_E5M2": "e5m2",
    "F8_E8M0": "e8m0",
    "F8_E4M3FNUZ": "e4m3fnuz",
    "F8_E5M2FNUZ": "e5m2fnuz",
}
# safetensors says how long these are, but not in which order their bits are packed
PACKED = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
BITS = {name: 8 * np.dtype(dtype).itemsize for name, dtype in NUMPY.items()}
BITS |= {"BF16": 16, **dict.fromkeys(FLOAT8, 8), **PACKED}


class Entry(NamedTuple):
    """A tensor in the header; its data are the bytes from ``begin`` to ``end`` of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def open_safetensors(file: SourceFile) -> WeightFile:
    """List the tensors of a .safetensors file."""
    entries, _ = read_header(file)
    tensors: list[tuple[TensorInfo, Load]] = []
    for entry in entries:
        info = TensorInfo(entry.name, entry.shape, entry.dtype, _why_skipped(entry.dtype))
        tensors.append((info, partial(read_tensor, file, entry)))
    return WeightFile(file.path, tensors)


def read_header(file: SourceFile) -> tuple[list[Entry], dict[str, str]]:
    """Return the tensors in the order of their data, and the metadata, all checked."""
    length = int.from_bytes(file.read(0, 8).tobytes(), "little")
    if length > HEADER_LIMIT:
        raise ValueError("its header is longer than 100 MB")
    text = file.read(8, length).tobytes().decode()
    if not text.startswith("{"):
        raise ValueError("its header is no JSON object")
    header = json_object(text)
    metadata = header.pop("__metadata__", None)
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict) or not all(type(text) is str for text in metadata.values()):
        raise ValueError("its metadata must be texts")
    start = 8 + length
    entries = sorted((_entry(name, entry, start) for name, entry in header.items()), key=_place)
    end = start
    for entry in entries:
        if entry.begin != end or entry.end < end:
            raise ValueError(f"{quoted(entry.name)} overlaps another tensor, or leaves a hole")
        end = entry.end
    if end != file.size:
        raise ValueError(f"its tensors end at byte {end} of {file.size}")
    return entries, metadata


def new_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, list[Entry]]:
    """Return the first bytes of a new file, and the places of its tensors.

    Tensors of wide types go first, so that each begins at a multiple of its width: some readers
    map the file and take no others.

    Parameters
    ----------
    tensors : iterable of (str, str, tuple of int)
        Name, dtype and shape of each.
    metadata : mapping of str to str
    """
    wide_first = sorted(tensors, key=lambda tensor: (-BITS[tensor[1]], tensor[0]))
    ends, end = list[int](), 0
    for _, dtype, shape in wide_first:
        end += math.prod(shape) * BITS[dtype] // 8
        ends.append(end)
    places = list(zip(wide_first, [0, *ends], ends, strict=False))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    for (name, dtype, shape), begin, end in places:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    entries = [Entry(*tensor, start + begin, start + end) for tensor, begin, end in places]
    return len(text).to_bytes(8, "little") + text, entries


def read_tensor(file: SourceFile, entry: Entry) -> Array:
    """Return a tensor, its floats in this machine's byte order or widened to float32."""
    raw = file.read(entry.begin, entry.end - entry.begin)
    return widened(raw, entry.dtype).reshape(entry.shape)


def _entry(name: str, entry: Any, start: int) -> Entry:
    """Check one tensor of the header; ``start`` is where the data begin."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"{quoted(name)} must have a dtype, a shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (isinstance(dtype, str) and isinstance(shape, list) and isinstance(offsets, list)):
        raise ValueError(f"{quoted(name)} must have a dtype, a shape and data_offsets")
    check_shape(name, shape)
    if len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise ValueError(f"{quoted(name)} must have two data_offsets")
    begin, end = offsets
    if dtype in BITS and math.prod(shape) * BITS[dtype] != 8 * (end - begin):
        raise ValueError(f"{quoted(name)} has another size than its dtype and shape say")
    return Entry(name, dtype, tuple(shape), start + begin, start + end)


def _place(entry: Entry) -> tuple[int, int]:
    return entry.begin, entry.end


def _why_skipped(dtype: str) -> str:
    if dtype in PACKED:
        return "packed in a bit order that safetensors does not define"
    if dtype not in BITS:
        return f"of the unknown type {quoted(dtype)}"
    return "" if dtype in FLOAT8 or dtype in ("BF16", "F16", "F32", "F64") else "not a float tensor"


def widened(raw: NDArray[np.uint8], dtype: str) -> Array:
    """Return bytes as numbers of a type, bfloat16 and float8 as float32."""
    if dtype == "BF16":
        return bfloat16(raw)
    if dtype in FLOAT8:
        from minifloat.codec import decode

        return np.asarray(decode(raw, FLOAT8[dtype], dtype=np.float32))
    return native(raw.view(NUMPY[dtype]))
