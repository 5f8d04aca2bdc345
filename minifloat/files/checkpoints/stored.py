"""One tensor as a file stores it: its type, its shape, and its bytes when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.files._safe import quoted
from minifloat.files._tensors import native
from minifloat.files.safetensors import BITS, NUMPY, widened

Array = NDArray[Any]

SMALL_INTEGERS = {"I4": 4, "U4": 4, "I2": 2, "U2": 2}  # ONNX's; .safetensors files have none
FLOATS = ("F64", "F32", "F16", "BF16", "F8_E8M0")  # of plain numbers
SCALES = {  # the scale format of a type; F64 is none
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "e4m3fn",
    "F8_E5M2": "e5m2",
    "F8_E8M0": "e8m0",
}


@dataclass(frozen=True)
class Stored:
    """A tensor of a file.

    Attributes
    ----------
    name : str
    dtype : str
        As .safetensors files call it: ``F8_E4M3``, ``U8``, ``I32``.
    shape : tuple of int
    read : callable
        Returns its bytes, of which there are as many as the dtype and the shape say.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.uint8]]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of storage; 0 of an unknown type."""
        return self.size * (BITS | SMALL_INTEGERS).get(self.dtype, 0)

    def numbers(self) -> Array:
        """Return integers as they are, floats as they are or widened to float32."""
        return widened(self.read(), self.dtype).reshape(self.shape)

    def floats(self) -> NDArray[np.float32]:
        """Return float32: exactly the numbers of a type of at most 32 bits."""
        return np.asarray(self.numbers(), np.float32)

    def codes(self) -> NDArray[np.uint8]:
        """Return the codes of a type of 8 bits."""
        return self.read().reshape(self.shape)

    def words(self) -> NDArray[np.uint32]:
        """Return 32-bit integers as unsigned words."""
        return native(self.read().view("<u4")).reshape(self.shape)


Tensors: TypeAlias = Mapping[str, Stored]  # by their names, in file order


def in_memory(name: str, dtype: str, array: Array) -> Stored:
    """Return an array, of as many bytes as the dtype and its shape say, as a tensor to write."""
    data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return Stored(name, dtype, array.shape, partial(np.copy, data))


def check_dtype(tensor: Stored, *dtypes: str) -> None:
    """Refuse a tensor of another type."""
    if tensor.dtype not in dtypes:
        raise ValueError(
            f"{quoted(tensor.name)} must be of type {' or '.join(dtypes)}, got {tensor.dtype}"
        )


def check_shape(tensor: Stored, *shapes: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape."""
    if tensor.shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"{quoted(tensor.name)} must have shape {wanted}, got {tensor.shape}")


def check_dimensions(tensor: Stored, least: int, most: int | None = None) -> None:
    """Refuse a tensor of fewer or more dimensions."""
    most = least if most is None else most
    if not least <= len(tensor.shape) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ValueError(
            f"{quoted(tensor.name)} must have {wanted} dimensions, got shape {tensor.shape}"
        )


def scale_format(tensor: Stored) -> str:
    """Return the format of scales that are stored in this tensor."""
    check_dtype(tensor, *SCALES)
    return SCALES[tensor.dtype]


def is_float(dtype: str) -> bool:
    """Return whether numbers of a type, as any kind of file calls it, are floats."""
    return dtype in FLOATS or dtype.startswith(("float", "bfloat"))


def is_integer(tensor: Stored) -> bool:
    """Return whether the elements are integers of whole bytes."""
    return tensor.dtype in NUMPY and tensor.dtype[0] in "UI"
