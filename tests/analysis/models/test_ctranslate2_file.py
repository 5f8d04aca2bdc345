"""CTranslate2's files, written here as its own program writes them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from analysis.models.ctranslate2_file import TYPES, variables

ARRAYS = {
    "decoder/embeddings/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "encoder/num_heads": np.array(8, np.int16),
    "a": np.array([1, -2], np.int8),
    "b": np.array([[1.5]], np.float32),
    "c": np.array([7], np.int32),
}


def name(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def file(version: int = 6, kind: str = "WhisperSpec") -> bytes:
    parts = [struct.pack("<I", version), name(kind), struct.pack("<II", 3, len(ARRAYS))]
    for key, array in ARRAYS.items():
        place = TYPES.index(array.dtype.newbyteorder("<").str.replace("|", ""))
        parts += [
            name(key),
            struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape),
            struct.pack("<BI", place, array.nbytes),
            array.tobytes(),
        ]
    aliases = name("decoder/projection/weight") + name("decoder/embeddings/weight")
    return b"".join([*parts, struct.pack("<I", 1), aliases])


def test_every_variable_is_read() -> None:
    found = variables(file(), "WhisperSpec")
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype
        assert np.array_equal(found[key], array)
        assert found[key].shape == array.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file(version=5), "version 5"),
        (file(kind="TransformerSpec"), "a WhisperSpec, got version 6, TransformerSpec"),
        (file()[:-1], "the file is cut off"),
        (file() + b"12", "got 2 bytes more"),
        (file().replace(struct.pack("<BI", 4, 12), struct.pack("<BI", 9, 12)), "got type 9"),
        (file().replace(struct.pack("<BI", 4, 12), struct.pack("<BI", 4, 10)), "10 bytes"),
        (b"", "the file is cut off"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        variables(content, "WhisperSpec")


def test_no_damaged_file_does_worse() -> None:
    draw = np.random.default_rng(73)
    whole = file()
    refused = 0
    for _ in range(2000):
        damaged = bytearray(whole[: draw.integers(len(whole))] if draw.random() < 0.3 else whole)
        for place in draw.integers(0, len(whole), 3):
            damaged[place : place + 1] = bytes([draw.integers(256)])
        try:
            variables(bytes(damaged), "WhisperSpec")
        except ValueError as error:
            refused += 1
            assert "must" in str(error)  # noqa: PT017
    assert refused > 500
