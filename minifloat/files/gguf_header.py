"""The header of a new .gguf file; `minifloat.files.gguf` describes and reads it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from minifloat.files.gguf import ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAX_TEXT, PLAIN, VERSIONS, Kind
from minifloat.files.safetensors import Entry

Value: TypeAlias = str | bool | int | float

MOST_DIMENSIONS = 4  # of a tensor, in llama.cpp
MAX_NAME = 63  # bytes of a tensor's name there
UINT32, FLOAT32, BOOL, STRING = 4, 6, 7, 8
BLOCKS = {  # block types that are written, by their numbers
    2: Kind("Q4_0", 32, 18),
    6: Kind("Q5_0", 32, 22),
    8: Kind("Q8_0", 32, 34),
    35: Kind("TQ2_0", 256, 66),
    39: Kind("MXFP4", 32, 17),
    40: Kind("NVFP4", 64, 36),
}
KINDS = {kind.name: (number, kind) for number, kind in {**PLAIN, **BLOCKS}.items()}


def new_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, Value]
) -> tuple[bytes, list[Entry], int]:
    """Return the first bytes of a new file, the places of its tensors, and the file's size.

    Each tensor begins at a multiple of 32, and the file ends at one; bytes between are 0.

    Parameters
    ----------
    tensors : iterable of (str, str, tuple of int)
        Name, type ("F32", "Q8_0" ...) and shape of each, in the order in which they are to lie.
    metadata : mapping of str to str, bool, int or float
        Integers from 0 to 2**32 - 1; floats are rounded to float32.

    Raises
    ------
    ValueError
        If a tensor has another type, a longer name or more dimensions than llama.cpp takes, or its
        rows are no whole blocks.

    Examples
    --------
    >>> from minifloat.files.gguf_header import new_header
    >>> head, [entry], size = new_header([("w", "Q8_0", (2, 32))], {"general.architecture": "x"})
    >>> head[:4], entry.begin % 32, entry.end - entry.begin, size % 32
    (b'GGUF', 0, 68, 0)
    """
    entries = {ALIGNMENT_KEY.decode(): DEFAULT_ALIGNMENT, **metadata}
    listed, spans, end = [], [], 0
    for name, dtype, shape in tensors:
        number, size = _checked(name, dtype, shape)
        begin = _aligned(end)
        end = begin + size
        lengths = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        place = struct.pack("<IQ", number, begin)
        listed.append(_text(name) + struct.pack("<I", len(shape)) + lengths + place)
        spans.append((name, dtype, shape, begin, end))
    head = b"GGUF" + struct.pack("<IQQ", VERSIONS[-1], len(listed), len(entries))
    head += b"".join(_text(key) + _value(value) for key, value in entries.items())
    head += b"".join(listed)
    start = _aligned(len(head))
    places = [
        Entry(name, dtype, shape, start + begin, start + end)
        for name, dtype, shape, begin, end in spans
    ]
    return head + bytes(start - len(head)), places, start + _aligned(end)


def _checked(name: str, dtype: str, shape: Sequence[int]) -> tuple[int, int]:
    """Return the number of a type, and the bytes of a tensor."""
    if dtype not in KINDS:
        raise ValueError(
            f"{name} must be of a type of .gguf files, {', '.join(KINDS)}, got {dtype}"
        )
    if len(shape) > MOST_DIMENSIONS or len(name.encode()) > MAX_NAME:
        raise ValueError(
            f"{name} must have a name of at most {MAX_NAME} bytes and {MOST_DIMENSIONS} dimensions "
            f"in a .gguf file, got shape {tuple(shape)}"
        )
    number, kind = KINDS[dtype]
    blocks, odd = divmod(shape[-1] if shape else 1, kind.block)
    if odd:
        raise ValueError(f"{name} must have rows of whole blocks of {kind.block}, got {shape}")
    return number, math.prod(shape[:-1]) * blocks * kind.size


def _aligned(offset: int) -> int:
    return -(-offset // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) >= MAX_TEXT:
        raise ValueError(f"a text of a .gguf file must be short, got {len(data)} bytes")
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    return struct.pack("<If", FLOAT32, value)
