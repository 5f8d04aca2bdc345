"""The weights in a model file of CTranslate2, the ``model.bin`` of its version 6.

All numbers are little-endian. The file holds

    uint32 version, name of the model's kind, uint32 revision of that kind
    uint32 count, then for each variable: its name, uint8 rank, rank * uint32 shape, uint8 type,
        uint32 number of bytes, the bytes
    uint32 count, then for each alias: its name, and the name of its variable

where a name is a uint16 length and that many bytes, of which the last is zero. Types are the places
in `TYPES`. The layout is that of ``ModelSpec.save`` in CTranslate2's
``python/ctranslate2/specs/model_spec.py``.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 6
TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")


def variables(content: bytes, kind: str) -> dict[str, NDArray[Any]]:
    """Return the variables of a model by their names, aliases left out.

    Parameters
    ----------
    content : bytes
        The whole file.
    kind : str
        The model's kind, such as "WhisperSpec".

    Returns
    -------
    dict of str to ndarray
        Read-only arrays over ``content``.

    Raises
    ------
    ValueError
        If the content is no such file, or its model is of another kind.

    Examples
    --------
    >>> name = struct.pack("<H", 2) + b"w" + bytes(1)
    >>> kind = struct.pack("<H", 5) + b"Spec" + bytes(1)
    >>> variable = name + struct.pack("<BIBI", 1, 2, 1, 2) + bytes([3, 4])
    >>> content = struct.pack("<I", 6) + kind + struct.pack("<II", 1, 1) + variable + bytes(4)
    >>> variables(content, "Spec")
    {'w': array([3, 4], dtype=int8)}
    """
    reader = _Reader(content)
    version, found, _ = reader.number("I"), None, None
    if version == VERSION:
        found = reader.name()
        reader.number("I")
    if found != kind:
        raise ValueError(
            f"content must be CTranslate2's file of version {VERSION} of a {kind}, "
            f"got version {version}, {found}"
        )
    arrays = {}
    for _ in range(reader.number("I")):
        name = reader.name()
        arrays[name] = reader.array(name)
    for _ in range(reader.number("I")):
        reader.name(), reader.name()
    if reader.place != len(content):
        raise ValueError(
            f"content must end after its last alias, got {len(content) - reader.place} bytes more"
        )
    return arrays


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def take(self, size: int) -> bytes:
        start, self.place = self.place, self.place + size
        if self.place > len(self._content):
            raise ValueError(
                f"content must have {self.place} bytes or more, got {len(self._content)}: "
                "the file is cut off"
            )
        return self._content[start : self.place]

    def number(self, kind: str) -> int:
        return int(struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0])

    def name(self) -> str:
        return self.take(self.number("H"))[:-1].decode(errors="replace")

    def array(self, name: str) -> NDArray[Any]:
        shape = [self.number("I") for _ in range(self.number("B"))]
        place, size = self.number("B"), self.number("I")
        if place >= len(TYPES) or math.prod(shape) * np.dtype(TYPES[place]).itemsize != size:
            raise ValueError(
                f"variable {name} must have a type below {len(TYPES)} and as many bytes as its "
                f"shape, got type {place}, shape {tuple(shape)}, {size} bytes"
            )
        return np.frombuffer(self.take(size), TYPES[place]).reshape(shape)
