"""`open_weights` on .safetensors: an 8-byte length, a header in JSON, data."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

from tests.fuzz import mutations
from tests.fuzz.mutations import Change
from tests.fuzz.reading import read_whole
from tests.fuzz.target import Target
from tests.fuzz.workplace import written

SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
}
DTYPES = [*SIZES, "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4", "F6_E2M3", "F6_E3M2", "C64", "U8", "F128"]
DEEP = b'{"a":' + b"[" * 5000


def run(data: bytes) -> None:
    """Read a file of that content."""
    read_whole(written("w.safetensors", data))


def blob(header: Any, data: bytes) -> bytes:
    """Return a file with that header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensors(*parts: tuple[str, str, list[int]]) -> bytes:
    """Return a file of tensors, each a name, a dtype and a shape."""
    header, at = {}, 0
    for name, dtype, shape in parts:
        end = at + SIZES[dtype]
        for length in shape:
            end = at + (end - at) * length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    return blob(header, bytes(range(256)) * (at // 256) + bytes(range(at % 256)))


def seeds() -> dict[str, bytes]:
    """Return files of each dtype, with odd shapes and names, and broken ones."""
    several = [(f"layer.{n}.{dtype}", dtype, [2, 3]) for n, dtype in enumerate(SIZES)]
    metadata = {"__metadata__": {"format": "pt"}}
    return {
        "each dtype": tensors(*several),
        "unaligned": tensors(("a", "BOOL", [3]), ("w", "F32", [4]), ("v", "F64", [1, 1])),
        "odd shapes": tensors(("a", "F32", []), ("b", "F16", [0]), ("c", "F32", [1] * 70)),
        "odd names": tensors(("\x1b[31m", "F32", [2]), ("=1+1", "I64", [1]), ("", "F32", [1])),
        "metadata": blob(metadata, b""),
        "deep": blob(DEEP, b""),
        "nothing": blob({}, b""),
        "empty": b"",
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change a value of the header, whose length stays right, or some bytes."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    match random.randrange(8):
        case 0:
            return change(data)
        case 1:
            return blob(header, change(rest))
        case 2:
            words = [*DTYPES, "dtype", "shape", "data_offsets", "__metadata__"]
            source = header.decode(errors="replace")
            return blob(mutations.text(source, random, words).encode(), rest)
        case _:
            return blob(mutations.json_text(header, random, change), rest)


TARGET = Target(run, seeds, mutate)
