"""PyTorch's files of before version 1.6, read without PyTorch.

Such a file is five pickles, and then the storages: a magic number, a version, facts of the machine,
the tensors by name, the keys of the storages in their order; then for each storage its count of
numbers as int64, and the numbers. The pickles are read by a small machine, which knows only the
operations that `torch.save` writes for a dictionary of tensors, and calls nothing.
"""

from __future__ import annotations

import io
import math
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1", "ByteStorage": "|u1",
}  # fmt: skip


@dataclass(frozen=True)
class _Name:
    """A function or class of Python that the file names; it is not looked up."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If it is another file, damaged, or has more than a dictionary of tensors.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    stream = io.BytesIO(content)
    try:
        magic, version, machine, found, keys = (_unpickled(stream) for _ in range(5))
        if (magic, version) != (MAGIC, VERSION) or not machine["little_endian"]:
            raise ValueError("its first pickles are others")
        pairs = [item for item in found.items() if not isinstance(item[1], dict)]
        storages = _storages(content, stream.tell(), keys, [tensor.storage for _, tensor in pairs])
        return {str(name): _array(tensor, storages[tensor.storage.key]) for name, tensor in pairs}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"file must be a dictionary of tensors that PyTorch before 1.6 saved, got {path}: "
            f"{error!r}"
        ) from error


def _storages(
    content: bytes, start: int, keys: list[str], used: list[_Storage]
) -> dict[str, NDArray[Any]]:
    """Return the numbers of the storages, which stand from ``start`` to the end."""
    known = {storage.key: storage for storage in used}
    arrays = {}
    for key in keys:
        dtype, count = np.dtype(known[key].dtype), known[key].count
        if np.frombuffer(content, "<i8", 1, start)[0] != count:
            raise ValueError(f"storage {key} has another length than its tensors say")
        arrays[key] = np.frombuffer(content, dtype, count, start + 8)
        start += 8 + count * dtype.itemsize
    if start != len(content):
        raise ValueError(f"{len(content) - start} bytes are left")
    return arrays


def _array(tensor: _Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor as an array of its own, in C order."""
    shape, strides = tensor.shape, tensor.strides
    sizes = (tensor.offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError("a tensor's shape, strides or offset is wrong")
    size = math.prod(shape)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if size and not max(last, size - 1) < len(numbers):  # so that none is repeated
        raise ValueError("a tensor is larger than its storage")
    if not size:
        return np.empty(shape, numbers.dtype)
    width = numbers.itemsize
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], shape, [step * width for step in strides], writeable=False
    )
    return np.array(view, order="C")


def _unpickled(stream: io.BytesIO) -> Any:
    """Return what the next pickle of a stream holds."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def marked() -> list[Any]:
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    argument: Any
    for operation, argument, _ in pickletools.genops(stream):
        match operation.name:
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation.name])
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(argument)
            case "GLOBAL":
                stack.append(_Name(argument))
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operation.name[-1])
                parts = tuple(stack[len(stack) - count :])
                del stack[len(stack) - count :]
                stack.append(parts)
            case "TUPLE":
                stack.append(tuple(marked()))
            case "APPENDS":
                parts = tuple(marked())
                stack[-1].extend(parts)
            case "SETITEMS":
                keys_and_values = marked()
                _put(stack[-1], keys_and_values)
            case "SETITEM":
                *_, key, value = stack
                del stack[-2:]
                _put(stack[-1], [key, value])
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case "BUILD":
                stack.pop()  # attributes of the dictionary
            case name:
                raise ValueError(f"the operation {name} is not of a dictionary of tensors")
    raise ValueError("a pickle has no end")


def _put(target: Any, keys_and_values: list[Any]) -> None:
    keys, values = keys_and_values[::2], keys_and_values[1::2]
    if type(target) is not dict or not all(isinstance(key, str) for key in keys):
        raise ValueError("a key is no name")
    target.update(zip(keys, values, strict=True))


def _storage(persistent: Any) -> _Storage:
    what, kind, key, _, count, view = persistent
    dtype = STORAGES.get(kind.name.removeprefix("torch "))
    if what != "storage" or dtype is None or view is not None:
        raise ValueError("a storage is of an unknown kind")
    if type(count) is not int or count < 0 or not isinstance(key, str):
        raise ValueError("a storage has a wrong length or key")
    return _Storage(key, dtype, count)


def _made(name: Any, arguments: Any) -> Any:
    """Return what a call gives: an empty dictionary or a tensor; there are no others."""
    if name == _Name("collections OrderedDict") and arguments == ():
        return {}
    if name == _Name("torch._utils _rebuild_tensor_v2"):
        storage, offset, shape, strides, *_ = arguments
        if isinstance(storage, _Storage):
            return _Tensor(storage, offset, tuple(shape), tuple(strides))
    raise ValueError("a function is called that is not of a dictionary of tensors")
