"""`open_weights` on .gguf: metadata, a list of tensors, their data; all written here by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

from minifloat.files import WeightsError
from minifloat.files.checkpoints import open_checkpoint
from tests.fuzz import checkpoint_files
from tests.fuzz.faults import only
from tests.fuzz.mutations import Change
from tests.fuzz.reading import read_whole
from tests.fuzz.target import Target
from tests.fuzz.workplace import watched, written

UINT8, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 5, 6, 7, 8, 9, 10  # types of metadata
ALIGNMENT = 32  # bytes
# types of tensors: number, weights of a block, its bytes
TYPES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "F64": (28, 1, 8),
    "I8": (24, 1, 1),
    "BF16": (30, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q8_0": (8, 32, 34),
    "Q4_K": (12, 256, 144),
    "Q6_K": (14, 256, 210),
    "IQ4_NL": (20, 32, 18),
    "TQ1_0": (34, 256, 54),
    "Q8_K": (15, 256, 292),
    "MXFP4": (39, 32, 17),
}


def run(data: bytes) -> None:
    """Read a file of that content."""
    path = written("w.gguf", data)
    read_whole(path)
    with watched(), only(WeightsError):
        checkpoint_files.read_whole(open_checkpoint(path))


def string(text: bytes) -> bytes:
    """Return a string as GGUF has it."""
    return struct.pack("<Q", len(text)) + text


def entry(key: str, kind: int, value: bytes) -> bytes:
    """Return an entry of the metadata."""
    return string(key.encode()) + struct.pack("<I", kind) + value


def array(kind: int, count: int, values: bytes) -> bytes:
    """Return the value of an array."""
    return struct.pack("<IQ", kind, count) + values


def tensor(name: bytes, dims: Sequence[int], kind: int, offset: int) -> bytes:
    """Return the entry of a tensor."""
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return string(name) + shape + struct.pack("<IQ", kind, offset)


def blob(
    entries: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"",
    version: int = 3,
) -> bytes:
    """Return a file of those parts."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join([*entries, *tensors])
    return head + bytes(-len(head) % ALIGNMENT) + data


def tensors(*parts: tuple[str, str, list[int]]) -> tuple[list[bytes], bytes]:
    """Return entries and data of tensors, each a name, a type and dimensions."""
    entries, data = [], b""
    for name, kind, dims in parts:
        number, block, size = TYPES[kind]
        count = 1
        for length in dims:
            count *= length
        entries.append(tensor(name.encode(), dims, number, len(data)))
        data += (bytes(range(60, 124)) * (count // block * size // 64 + 1))[: count // block * size]
        data += bytes(-len(data) % ALIGNMENT)
    return entries, data


METADATA = [
    entry("general.architecture", STRING, string(b"llama")),
    entry("general.alignment", 4, struct.pack("<I", ALIGNMENT)),
    entry("tokens", ARRAY, array(STRING, 3, string(b"a") + string(b"") + string(b"bc"))),
    entry("scores", ARRAY, array(FLOAT32, 3, struct.pack("<3f", 0, 1, 2))),
    entry("nested", ARRAY, array(ARRAY, 1, array(UINT8, 2, b"ab"))),
    entry("flag", BOOL, b"\x01"),
    entry("count", UINT64, struct.pack("<Q", 7)),
]


def seeds() -> dict[str, bytes]:
    """Return files with each type of tensor and of metadata, and broken ones."""
    each = [(f"blk.{kind}", kind, [block, 2]) for kind, (_, block, _) in TYPES.items()]
    return {
        "each type": blob(METADATA, *tensors(*each)),
        "small": blob([], *tensors(("w", "F32", [4, 2]), ("q", "Q8_0", [32]))),
        "metadata": blob(METADATA),
        "version 2": blob(METADATA[:2], *tensors(("w", "F16", [3])), version=2),
        "odd names": blob([], *tensors(("\x1b[31m", "F32", [2]), ("=1+1", "I8", [1]))),
        "no dimensions": blob([], *tensors(("w", "F32", []), ("v", "F32", [0, 3]))),
        "alignment 0": blob([entry("general.alignment", 4, bytes(4))], *tensors(("w", "F32", [2]))),
        "lies": blob([entry("a", ARRAY, array(UINT8, 2**62, b""))]),
        "nothing": blob(),
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change some bytes, or put an entry of metadata before the others."""
    if len(data) < 24 or random.random() < 0.8:
        return change(data)
    count = (int.from_bytes(data[16:24], "little") + 1) % 2**64
    new = random.choice(METADATA)
    filler = entry("filler", STRING, string(b""))
    filler = entry("filler", STRING, string(bytes(-(len(new) + len(filler)) % ALIGNMENT)))
    return data[:16] + struct.pack("<Q", min(count + 1, 2**64 - 1)) + new + filler + data[24:]


TARGET = Target(run, seeds, mutate)
