"""`open_weights` on .npz, whose members' checksums stay right, and on .npy."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from tests.fuzz import mutations
from tests.fuzz.mutations import Change
from tests.fuzz.reading import read_whole
from tests.fuzz.target import Target
from tests.fuzz.workplace import trapped, written

Member = tuple[str, int, bytes]  # name, compression, content
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
MAGIC = b"\x93NUMPY"
NAMES = ["w.npy", "w", "v.npy", "../../secret.npz", "$OUTSIDE/secret.npz", "a/b.npy", ".npy"]
HEADER_WORDS = [
    *("'<f4'", "'>f8'", "'<f2'", "'|O'", "'|V2'", "'|S0'", "'<U9'", "'<M8[s]'", "'<c8'", "'<f16'"),
    *("[('a', '<f4')]", "[('a', '|O')]", "('<f4', (2, 3))", "descr", "shape", "fortran_order"),
    *("True", "False", "None", "()", "(2,)", "(0, 9)", "(-1,)", "[2]", "{", "}", "L", "e9", "j"),
]


def run(data: bytes) -> None:
    """Read an archive of that content."""
    read_whole(written("w.npz", data))


def run_npy(data: bytes) -> None:
    """Read an array of that content."""
    read_whole(written("w.npy", data))


def npy(array: Any) -> bytes:
    """Return the bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_of(header: bytes, data: bytes, version: int = 1) -> bytes:
    """Return a .npy file with that header."""
    length = struct.pack("<H" if version == 1 else "<I", len(header) % (1 << 16))
    return MAGIC + bytes([version, 0]) + length + header + data


def archive(members: Sequence[Member]) -> bytes:
    """Return an archive with the right checksums."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as file:
        warnings.simplefilter("ignore")  # a name may come twice
        for name, compression, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            file.writestr(info, content)
    return stream.getvalue()


def members_of(data: bytes) -> list[Member]:
    """Return the members of an archive; none if it is not a small one."""
    members: list[Member] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for info in file.infolist():
                with file.open(info) as stream:
                    members.append((info.filename, info.compress_type, stream.read(1 << 16)))
    except Exception:  # anything: it is damaged
        return []
    return members


def arrays() -> dict[str, bytes]:
    """Return .npy files of many dtypes, shapes and orders, and broken ones."""
    w = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    trap = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    return {
        "float32": npy(w),
        "float64, big-endian": npy(w.astype(">f8")),
        "float16, Fortran": npy(np.asfortranarray(w.astype(np.float16))),
        "one number": npy(np.float64(3)),
        "empty": npy(np.zeros((0, 3), np.float32)),
        "integers": npy(np.arange(5)),
        "text": npy(np.array(["a", "b"])),
        "structured": npy(np.zeros(2, [("a", "<f4"), ("b", "<i2")])),
        "longdouble": npy(np.zeros(2, np.longdouble)),
        "version 2": npy_of(b"{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", b"ab", 2),
        "version 3": npy_of(b"{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", b"ab", 3),
        "a pickle": npy_of(trap, trapped()),
        "only a pickle": trapped(),
        "brackets": npy_of(b"[" * 3000, b""),
        "long digits": npy_of(b"{'descr': '<f4', 'shape': (" + b"9" * 5000 + b",)}", b""),
    }


def seeds() -> dict[str, bytes]:
    """Return archives, stored and deflated, and one for each array."""
    several = arrays()
    together = [
        (f"{name}.npy", (STORED, DEFLATED)[n % 2], several[name])
        for n, name in enumerate(("float32", "integers", "empty", "one number"))
    ]
    return {
        "several": archive(together),
        "not an array": archive([("readme.txt", DEFLATED, b"hello"), *together[:1]]),
        "twice": archive([*together[:1], *together[:1]]),
        "names": archive([(name, STORED, several["float32"]) for name in NAMES]),
        "bzip2": archive([("w.npy", zipfile.ZIP_BZIP2, several["float32"])]),
        "nothing": archive([]),
        **{f"of {name}": archive([("w.npy", DEFLATED, array)]) for name, array in several.items()},
    }


def mutate(data: bytes, random: Random, change: Change) -> bytes:
    """Change one member, or the order or number of them; the checksums stay right."""
    members = members_of(data)
    if not members or random.random() < 0.15:
        return change(data)
    at = random.randrange(len(members))
    name, compression, content = members[at]
    match random.randrange(8):
        case 0:
            words = [random.choice(NAMES), *mutations.WORDS]
            name = mutations.text(name, random, words) or "w.npy"
            members[at] = (name.replace("\0", ""), compression, content)
        case 1:
            members[at] = (name, STORED + DEFLATED - compression, content)
        case 2:
            members.append(members[at])
        case 3:
            del members[at]
        case _:
            members[at] = (name, compression, mutate_npy(content, random, change))
    return archive([(name, kind if kind in (STORED, DEFLATED) else STORED, content)
                    for name, kind, content in members])  # fmt: skip


def mutate_npy(data: bytes, random: Random, change: Change) -> bytes:
    """Change a word of the header, whose length stays right, or some bytes."""
    version = data[6] if len(data) > 9 else 0
    if not data.startswith(MAGIC) or version not in (1, 2, 3) or random.random() < 0.2:
        return change(data)
    start = 10 if version == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    header, rest = data[start:end], data[end:]
    if random.random() < 0.2:
        return npy_of(header, change(rest), version)
    new = mutations.text(header.decode("latin1"), random, HEADER_WORDS)
    return npy_of(new.encode(errors="replace"), rest, version)


TARGET = Target(run, seeds, mutate)
NPY_TARGET = Target(run_npy, arrays, mutate_npy)
