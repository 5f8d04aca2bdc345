"""The list of a source's tensors: which of them are float tensors, and how each is loaded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.files._safe import WeightsError, untrusted

Array = NDArray[Any]
Load = Callable[[], Array]  # loads one tensor; can be pickled, since it holds a path and offsets


@dataclass(frozen=True)
class TensorInfo:
    """The facts of a tensor that are known without loading it.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : str
        As the file calls it: ``BF16``, ``float32``, ``Q4_1``.
    skipped : str
        Why the tensor is not among the float tensors; empty for a float tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    skipped: str = ""

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class WeightFile:
    """The tensors of a file, or of arrays in memory, loaded one by one; made by `open_weights`.

    Attributes
    ----------
    source : str
        The file's path, or "arrays in memory".
    tensors : tuple of TensorInfo
        The float tensors, in file order.
    skipped : tuple of TensorInfo
        The other tensors, each with the reason.
    """

    def __init__(self, source: str | Path, tensors: Iterable[tuple[TensorInfo, Load]]) -> None:
        every = tuple(tensors)
        self.source = str(source)
        self.tensors = tuple(info for info, _ in every if not info.skipped)
        self.skipped = tuple(info for info, _ in every if info.skipped)
        self._tensors = {info.name: (info, load) for info, load in every}
        if len(self._tensors) < len(every):
            [(name, _)] = Counter(info.name for info, _ in every).most_common(1)
            raise WeightsError(f"{source}: holds two tensors named {name!r}; rename one")

    def entries(self) -> tuple[tuple[TensorInfo, Load], ...]:
        """Return every tensor, skipped or not, with the function that loads it."""
        return tuple(self._tensors.values())

    def names(self) -> tuple[str, ...]:
        """Return the names of the float tensors, in file order."""
        return tuple(info.name for info in self.tensors)

    def load(self, name: str) -> NDArray[np.floating[Any]]:
        """Return one tensor; bfloat16, float8 and GGUF's own types are widened to float32.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        ndarray of float16, float32 or float64
            Exactly the values stored; read-only where the file is mapped into memory.

        Raises
        ------
        ValueError
            If there is no float tensor of that name.
        WeightsError
            If its data are damaged.
        """
        return self.loader(name)()

    def loader(self, name: str) -> Load:
        """Return a function without arguments that does `load`, for other threads and processes.

        It can be pickled. For a tensor in a file it holds the absolute path and the tensor's
        place there, so that a process neither opens the file again nor reads its list again; for
        an array in memory it holds the array.

        Raises
        ------
        ValueError
            If there is no float tensor of that name.
        """
        info, load = self._tensors.get(name, (None, None))
        if load is None or info is None or info.skipped:
            reason = f", which is {info.skipped}" if info else ""
            raise ValueError(
                f"name must be a float tensor of {self.source}, got {name!r}{reason}; "
                "names() lists them"
            )
        return partial(_load, self.source, load)


def _load(source: str, load: Load) -> Array:
    with untrusted(source):
        return load()


def why_skipped(dtype: np.dtype[Any]) -> str:
    """Return why arrays of ``dtype`` are no float tensors; empty if they are."""
    if dtype.kind == "f" or dtype.name.startswith(("float", "bfloat")):  # those of ml_dtypes too
        return "" if dtype.itemsize <= 8 else "wider than float64"
    if dtype.name.startswith("void") and dtype.names is None:  # numpy.save writes bfloat16 so
        return "raw bytes without a type (save bfloat16 as float32)"
    return "not a float tensor"


def native(array: Array) -> Array:
    """Return the array in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def widened(array: Array) -> Array:
    """Return a float array in this machine's byte order, the small floats of ml_dtypes as float32.

    Both are exact. An array that needs neither is returned as it is.
    """
    if array.dtype.type in (np.float16, np.float32, np.float64):
        return native(array)
    return array.astype(np.float32)


def mapped(path: Path, dtype: DTypeLike, offset: int, shape: tuple[int, ...]) -> Array:
    """Return an array that lies in a file at ``offset``, mapped into memory."""
    if math.prod(shape) == 0:  # an empty range cannot be mapped
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))


def arrays_in_memory(arrays: Mapping[str, Any]) -> WeightFile:
    """Return a `WeightFile` over the arrays of a mapping."""
    tensors = []
    for name, value in arrays.items():
        try:
            array = np.asarray(value)
        except Exception as error:  # other libraries' tensors raise many types
            raise TypeError(
                f"source[{name!r}] must be an array, got {type(value).__name__} ({error})"
            ) from error
        info = TensorInfo(str(name), array.shape, str(array.dtype), why_skipped(array.dtype))
        tensors.append((info, partial(widened, array)))
    return WeightFile("arrays in memory", tensors)
