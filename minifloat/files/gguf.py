"""The files of llama.cpp: .gguf.

Layout, all numbers little-endian: "GGUF", version (uint32), number of tensors and of metadata
entries (uint64), the entries, the tensors' list, padding, the tensors' data. An entry is a key, a
type and a value; of these only `general.alignment` matters here, so the others are stepped over,
and memory does not grow with them. The package gguf widens the block types.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import MAX_DIMENSIONS
from minifloat.files._safe import WeightsError, missing_package, quoted
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

BUFFER = 1 << 16  # bytes
VERSIONS = (2, 3)
STRING, ARRAY, UINT32 = 8, 9, 4  # types of metadata
# bytes of the others
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
MAX_NESTING = 8  # arrays of arrays
MAX_TEXT = 1 << 16  # bytes of a key or of a tensor's name; longer ones are not allowed
ALIGNMENT_KEY = b"general.alignment"
DEFAULT_ALIGNMENT = 32


class Kind(NamedTuple):
    """A type of tensor: ``block`` elements take ``size`` bytes; an unknown type has no size."""

    name: str
    block: int
    size: int
    skipped: str = ""


INTEGER = "not a float tensor"
DAMAGED = "damaged: "  # how the reasons begin that no intact file gives
PLAIN = {
    0: Kind("F32", 1, 4),
    1: Kind("F16", 1, 2),
    24: Kind("I8", 1, 1, INTEGER),
    25: Kind("I16", 1, 2, INTEGER),
    26: Kind("I32", 1, 4, INTEGER),
    27: Kind("I64", 1, 8, INTEGER),
    28: Kind("F64", 1, 8),
    30: Kind("BF16", 1, 2),
}
NUMPY = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}


@dataclass(frozen=True, slots=True)
class _Listed:
    """A tensor as the file lists it; ``offset`` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


class Placed(NamedTuple):
    """A tensor whose place was checked: its facts, its numbers, and its bytes."""

    info: TensorInfo
    load: Load
    raw: Callable[[], NDArray[np.uint8]]
    size: int


def open_gguf(file: SourceFile) -> WeightFile:
    """List the tensors of a .gguf file."""
    return WeightFile(file.path, [(tensor.info, tensor.load) for tensor in read_list(file)])


def read_list(file: SourceFile) -> list[Placed]:
    """Return the tensors of a .gguf file in the order of their data, those skipped too.

    Raises
    ------
    ValueError
        If the header is damaged, or no tensor is whole.
    """
    header = _Header(file)
    listed = sorted(header.tensors(), key=lambda tensor: (tensor.offset, math.prod(tensor.shape)))
    tensors = list(_placed(file, listed, header.data_start))
    damaged = [each.info for each in tensors if each.info.skipped.startswith(DAMAGED)]
    if damaged and all(each.info.skipped for each in tensors):
        raise ValueError(f"{quoted(damaged[0].name)} is {damaged[0].skipped}")
    return tensors


class _Header:
    """A cursor that runs through the header once and keeps nothing but the tensors' list."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._stream = file.buffered(BUFFER)
        self._alignment: int | None = None

    def tensors(self) -> Iterator[_Listed]:
        """Yield the list; after the last one `data_start` is known."""
        if self._bytes(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        version = self._int(4)
        if version and version & 0xFFFF == 0:
            raise WeightsError(
                f"{self._file.path}: is of the other byte order; use gguf-convert-endian"
            )
        if version not in VERSIONS:
            raise WeightsError(
                f"{self._file.path}: has GGUF version {version}, and versions 2 and 3 are read; "
                "convert the model again with a newer llama.cpp"
            )
        tensors, entries = self._int(8), self._int(8)
        for _ in range(entries):
            self._skip_entry()
        for _ in range(tensors):
            yield self._tensor()

    @property
    def data_start(self) -> int:
        """Where the data begin: at the next multiple of the alignment."""
        alignment = self._alignment or DEFAULT_ALIGNMENT
        return -(-self._stream.tell() // alignment) * alignment

    def _bytes(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ValueError("its header ends beyond the end of the file")
        return data

    def _int(self, size: int) -> int:
        return int.from_bytes(self._bytes(size), "little")

    def _text(self) -> bytes:
        length = self._int(8)
        if length >= MAX_TEXT:
            raise ValueError(f"a name of {length} bytes")
        return self._bytes(length)

    def _skip(self, size: int) -> None:
        if size <= 512:  # mostly within the stream's buffer
            self._bytes(size)
        elif self._stream.tell() + size > self._file.size:
            raise ValueError("its metadata end beyond the end of the file")
        else:
            self._stream.seek(size, 1)

    def _skip_entry(self) -> None:
        key, kind = self._text(), self._int(4)
        if key != ALIGNMENT_KEY:
            self._skip_value(kind, MAX_NESTING)
            return
        if kind != UINT32 or self._alignment is not None:
            raise ValueError("general.alignment must be one uint32")
        self._alignment = self._int(4)
        if self._alignment.bit_count() != 1:
            raise ValueError("general.alignment must be a power of two")

    def _skip_value(self, kind: int, nesting: int) -> None:
        if kind == STRING:
            self._skip(self._int(8))
        elif kind == ARRAY and nesting:
            element, count = self._int(4), self._int(8)
            if element in SIZES:
                self._skip(count * SIZES[element])
            else:
                for _ in range(count):
                    self._skip_value(element, nesting - 1)
        elif kind in SIZES:
            self._skip(SIZES[kind])
        else:
            raise ValueError(f"metadata of the unknown type {kind}, or nested too deeply")

    def _tensor(self) -> _Listed:
        name = self._text().decode()
        dimensions = self._int(4)
        if dimensions > MAX_DIMENSIONS:
            raise ValueError(f"{quoted(name)} has {dimensions} dimensions")
        lengths = struct.unpack(f"<{dimensions}Q", self._bytes(8 * dimensions))
        check_shape(name, lengths)
        kind, offset = struct.unpack("<IQ", self._bytes(12))
        return _Listed(name, lengths[::-1], kind, offset)


def _placed(file: SourceFile, listed: list[_Listed], start: int) -> Iterator[Placed]:
    """Yield the tensors in the order of their data, which do not overlap.

    Those of which parts are missing are skipped as damaged.
    """
    end = 0
    for tensor in listed:
        kind = PLAIN.get(tensor.kind) or _block_kind(file, tensor.kind)
        blocks, odd = divmod(tensor.shape[-1] if tensor.shape else 1, kind.block)
        size = math.prod(tensor.shape[:-1]) * blocks * kind.size
        place = start + tensor.offset
        if tensor.offset < end:
            raise ValueError(f"{quoted(tensor.name)} overlaps another tensor")
        reason = kind.skipped
        if odd:
            reason = f"{DAMAGED}its rows are no whole blocks of {kind.block}"
        elif place + size > file.size:
            reason = f"{DAMAGED}it ends beyond the end of the file"
        else:
            end = tensor.offset + size
        load = partial(_read, file, tensor.kind, place, size, tensor.shape)
        info = TensorInfo(tensor.name, tensor.shape, kind.name, reason)
        yield Placed(info, load, partial(file.read, place, size), size)


def _block_kind(file: SourceFile, number: int) -> Kind:
    """Return the facts of a block type from the package gguf."""
    try:
        import gguf  # noqa: F401  # is it there?
    except ImportError:
        raise missing_package(file.path, "gguf", "gguf") from None
    return _gguf_kind(number)


@cache
def _gguf_kind(number: int) -> Kind:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(number)
        block, size = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError):
        reason = f"of the type {number}, which the package gguf does not know"
        return Kind(f"type {number}", 1, 0, reason)
    try:
        _dequantized(np.zeros((1, size), np.uint8), number)
    except NotImplementedError:
        reason = f"of type {kind.name}, which the package gguf does not decode"
        return Kind(kind.name, block, size, reason)
    return Kind(kind.name, block, size)


def _dequantized(data: Array, number: int) -> Array:
    from gguf import GGMLQuantizationType, dequantize

    with np.errstate(all="ignore"):  # scales may be NaN
        return np.asarray(dequantize(data, GGMLQuantizationType(number)))


def _read(file: SourceFile, number: int, offset: int, size: int, shape: tuple[int, ...]) -> Array:
    raw = file.read(offset, size)
    if number not in PLAIN:
        if size == 0:
            return np.empty(shape, np.float32)
        rows = math.prod(shape[:-1])
        return _dequantized(raw.reshape(rows, -1), number).reshape(shape)
    kind = PLAIN[number].name
    values = bfloat16(raw) if kind == "BF16" else native(raw.view(NUMPY[kind]))
    return values.reshape(shape)
