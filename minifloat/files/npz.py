"""NumPy's files: .npy and .npz."""

from __future__ import annotations

import io
import math
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from minifloat.files._safe import WeightsError
from minifloat.files._tensors import Array, Load, TensorInfo, WeightFile, native, why_skipped

HEADER_LIMIT = 1 << 14  # bytes; NumPy itself refuses headers beyond 10 000
EXPANSION_LIMIT = 100  # an archive's member may grow further only while it is below 1 GiB


def open_npy(path: Path) -> WeightFile:
    """List the one array of a .npy file, named after the file."""
    with path.open("rb") as file:
        info = _array_info(path, path.stem, file.read(HEADER_LIMIT), path.stat().st_size)
    return WeightFile(path, [(info, partial(_read_npy, path.absolute(), info.parameters == 0))])


def open_npz(path: Path) -> WeightFile:
    """List the float arrays of a .npz archive."""
    return WeightFile(path, npz_arrays(path))


def npz_arrays(path: Path) -> list[tuple[TensorInfo, Load]]:
    """Return the arrays of an archive, of any type, each with a function that loads it."""
    arrays: list[tuple[TensorInfo, Load]] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            load = partial(_read_member, path.absolute(), member.filename)
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                arrays.append((TensorInfo(name, (), "?", "not an array"), load))
                continue
            _check_member(path, member)
            with archive.open(member) as file:
                head = file.read(HEADER_LIMIT)
            arrays.append((_array_info(path, name, head, member.file_size), load))
    return arrays


def _array_info(path: Path, name: str, head: bytes, size: int) -> TensorInfo:
    """Read the header of an array of ``size`` bytes in all and check that the two agree."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise WeightsError(
            f"{path}: {name!r} has npy version {version}; save a plain float array with numpy.save"
        )
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise WeightsError(
            f"{path}: {name!r} holds Python objects, which can run code and are never loaded; "
            "save it as a float array"
        )
    data_size = size - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != data_size:
        raise WeightsError(
            f"{path}: {name!r} claims shape {shape} of {dtype}, but has {data_size} bytes; "
            "download or save it again"
        )
    return TensorInfo(name, shape, str(dtype), why_skipped(dtype))


def _read_npy(path: Path, empty: bool) -> Array:
    return native(np.load(path, mmap_mode=None if empty else "r", allow_pickle=False))


def _read_member(path: Path, filename: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(filename)
        _check_member(path, member)
        with archive.open(member) as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # reading to the end also compares the checksum
                raise ValueError(f"bytes left after {filename!r}")
            return native(array)


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse members whose size is a lie or a bomb, before a byte of them is read."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsError(
            f"{path}: {member.filename!r} is compressed in a way numpy does not write; "
            "save it with numpy.savez"
        )
    grows = member.file_size > max(1 << 30, EXPANSION_LIMIT * member.compress_size)
    if grows or member.compress_size > path.stat().st_size:
        raise WeightsError(
            f"{path}: {member.filename!r} claims to grow from {member.compress_size} to "
            f"{member.file_size} bytes; if that is so, save it uncompressed with numpy.savez"
        )
