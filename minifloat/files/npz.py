"""NumPy's files: .npy and .npz."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minifloat._text import printable
from minifloat.files._safe import WeightsError, quoted, untrusted
from minifloat.files._source import SourceFile
from minifloat.files._tensors import (
    Array,
    Load,
    TensorInfo,
    WeightFile,
    check_shape,
    native,
    why_skipped,
)

HEADER_LIMIT = 1 << 14  # bytes; NumPy itself refuses headers beyond 10 000
EXPANSION_LIMIT = 100  # an archive's member may grow further only while it is below 1 GiB
LOCAL_HEADER = 30  # bytes before the name of a member, where its data begin
CHUNK = 1 << 18  # bytes


class _Layout(NamedTuple):
    """How an array lies in its bytes; ``start`` is the length of its header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def info(self, name: str) -> TensorInfo:
        return TensorInfo(name, self.shape, str(self.dtype), why_skipped(self.dtype))

    def array(self, data: Array) -> Array:
        values = data.view(self.dtype)
        if self.fortran:
            return native(values.reshape(self.shape[::-1]).T)
        return native(values.reshape(self.shape))


def open_npy(file: SourceFile) -> WeightFile:
    """List the one array of a .npy file, named after the file."""
    name = file.path.stem
    head = file.read(0, min(HEADER_LIMIT, file.size)).tobytes()
    layout = _layout(file, name, head, file.size)
    return WeightFile(file.path, [(layout.info(name), partial(_read_npy, file, layout))])


def open_npz(file: SourceFile) -> WeightFile:
    """List the float arrays of a .npz archive; a bad member hides no other one."""
    arrays, bad = _members(file)
    if bad and all(info.skipped for info, _ in arrays):
        raise bad[0]
    return WeightFile(file.path, arrays)


def npz_arrays(file: SourceFile) -> list[tuple[TensorInfo, Load]]:
    """Return the arrays of an archive, of any type, each with a function that loads it.

    Raises
    ------
    WeightsError
        If one of them cannot be loaded.
    """
    arrays, bad = _members(file)
    if bad:
        raise bad[0]
    return arrays


def _members(file: SourceFile) -> tuple[list[tuple[TensorInfo, Load]], list[WeightsError]]:
    """Return the members of an archive, and an error for each bad one, which is skipped."""
    arrays: list[tuple[TensorInfo, Load]] = []
    bad = []
    with zipfile.ZipFile(file.stream()) as archive:
        members = archive.infolist()
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name == member.filename:
            arrays.append(_skipped(name, "not an array"))
            continue
        try:
            with untrusted(file.path):
                arrays.append(_member(file, member, name))
        except WeightsError as error:
            bad.append(error)
            reason = str(error).removeprefix(printable(f"{file.path}: "))
            arrays.append(_skipped(name, reason.removeprefix(printable(f"{quoted(name)} "))))
    return arrays, bad


def _member(file: SourceFile, member: zipfile.ZipInfo, name: str) -> tuple[TensorInfo, Load]:
    _check_member(file, member)
    layout = _layout(file, name, _open(file, member).read(HEADER_LIMIT), member.file_size)
    return layout.info(name), partial(_read_member, file, member, layout)


def _skipped(name: str, reason: str) -> tuple[TensorInfo, Load]:
    return TensorInfo(name, (), "?", reason), partial(_no_array, name)


def _no_array(name: str) -> Array:
    raise ValueError(f"{quoted(name)} is no array that can be loaded")


def _layout(file: SourceFile, name: str, head: bytes, size: int) -> _Layout:
    """Read the header of an array of ``size`` bytes in all and check that the two agree."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise WeightsError(
            f"{file.path}: {quoted(name)} has npy version {version}; save a plain float array "
            "with numpy.save"
        )
    with warnings.catch_warnings():  # of Python's parser, and about files of Python 2
        warnings.simplefilter("ignore")
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise WeightsError(
            f"{file.path}: {quoted(name)} holds Python objects, which can run code and are never "
            "loaded; save it as a float array"
        )
    check_shape(name, shape)
    layout = _Layout(shape, dtype, fortran, stream.tell())
    if layout.size != size - layout.start:
        raise WeightsError(
            f"{file.path}: {quoted(name)} claims shape {shape} of {dtype}, but has "
            f"{size - layout.start} bytes; download or save it again"
        )
    return layout


def _read_npy(file: SourceFile, layout: _Layout) -> Array:
    return layout.array(file.read(layout.start, layout.size))


def _read_member(file: SourceFile, member: zipfile.ZipInfo, layout: _Layout) -> Array:
    content = _open(file, member)
    content.read(layout.start)
    data = np.empty(layout.size, np.uint8)
    rest = data.data
    while rest:
        piece = content.read(min(CHUNK, len(rest)))
        if not piece:
            raise ValueError(f"{quoted(member.filename)} is cut short")
        rest[: len(piece)] = piece
        rest = rest[len(piece) :]
    if content.read(1):  # reading to the end also compares the checksum
        raise ValueError(f"bytes left after {quoted(member.filename)}")
    return layout.array(data)


def _open(file: SourceFile, member: zipfile.ZipInfo) -> zipfile.ZipExtFile:
    """Return the content of a member, without reading the archive's directory again."""
    head = file.read(member.header_offset, LOCAL_HEADER).tobytes()
    if head[:4] != b"PK\3\4":
        raise ValueError(f"{quoted(member.filename)} is not where the archive says")
    names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    stream = file.stream()
    stream.seek(member.header_offset + LOCAL_HEADER + names)
    return zipfile.ZipExtFile(stream, "r", member)


def _check_member(file: SourceFile, member: zipfile.ZipInfo) -> None:
    """Refuse members whose size is a lie or a bomb, before a byte of them is read."""
    name = quoted(member.filename.removesuffix(".npy"))
    if member.flag_bits & 1:
        raise WeightsError(f"{file.path}: {name} is encrypted; save it with numpy.savez")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(
            f"{file.path}: {name} is compressed in a way numpy does not write; save it with "
            "numpy.savez"
        )
    grows = member.file_size > max(1 << 30, EXPANSION_LIMIT * member.compress_size)
    if grows or member.compress_size > file.size:
        raise WeightsError(
            f"{file.path}: {name} claims to grow from {member.compress_size} to "
            f"{member.file_size} bytes; if that is so, save it uncompressed with numpy.savez"
        )
