"""The list of a source's tensors: which of them are float tensors, and how each is loaded."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._arrays import MAX_DIMENSIONS, as_array
from minifloat._text import printable
from minifloat.files._safe import WeightsError, quoted, untrusted

MAX_ELEMENTS = 1 << 60  # NumPy counts the bytes of an array in an int64
UNSCALED = "codes compared as values: the scales beside them are not applied"

Array = NDArray[Any]
Load = Callable[[], Array]  # loads one tensor; can be pickled, since it holds a file and offsets


@dataclass(frozen=True, slots=True)
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
    note : str
        What a reader of its values must know; empty for most. Values of an FP8 tensor whose scales
        are another tensor come without these scales.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    skipped: str = ""
    note: str = ""

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
        every = _with_notes(tuple(tensors))
        self.source = str(source)
        self.tensors = tuple(info for info, _ in every if not info.skipped)
        self.skipped = tuple(info for info, _ in every if info.skipped)
        self._tensors = {info.name: (info, load) for info, load in every}
        if len(self._tensors) < len(every):
            [(name, _)] = Counter(info.name for info, _ in every).most_common(1)
            raise WeightsError(f"{source}: holds two tensors named {quoted(name)}; rename one")

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
            Exactly the values stored. From a file it is a new array.

        Raises
        ------
        ValueError
            If there is no float tensor of that name.
        WeightsError
            If its data are damaged, or the file was written to after it was opened. While at most
            64 files are open, one that was replaced by another is still read as it was.
        """
        return self.loader(name)()

    def loader(self, name: str) -> Load:
        """Return a function without arguments that does `load`, for other threads and processes.

        It can be pickled. For a tensor in a file it holds the file's absolute path, its size and
        time of change, and the tensor's place there, so that another process does not read the
        list again; a file that is another one by then is a `WeightsError`. For an array in memory
        it holds the array.

        Raises
        ------
        ValueError
            If there is no float tensor of that name.
        """
        info, load = self._tensors.get(name, (None, None))
        if load is None or info is None or info.skipped:
            reason = f" ({info.skipped})" if info else ""
            raise ValueError(
                f"name must be a float tensor of {printable(self.source)}, "
                f"got {quoted(name)}{reason}; names() lists them"
            )
        return partial(_load, self.source, load)


def _load(source: str, load: Load) -> Array:
    with untrusted(source):
        return load()


def _with_notes(tensors: Sequence[tuple[TensorInfo, Load]]) -> tuple[tuple[TensorInfo, Load], ...]:
    """Skip what NumPy cannot hold, and note at FP8 tensors that their scales lie beside them."""
    scales = {info.name for info, _ in tensors if "scale" in info.name.rpartition(".")[2].lower()}
    folders = {name.rpartition(".")[0] for name in scales} - {""}
    scaled = {re.split(r"[._]scale", name, maxsplit=1, flags=re.IGNORECASE)[0] for name in scales}

    def noted(info: TensorInfo) -> TensorInfo:
        if len(info.shape) > MAX_DIMENSIONS and not info.skipped:
            return replace(info, skipped=f"of more than {MAX_DIMENSIONS} dimensions")
        beside = info.name in scaled or info.name.rpartition(".")[0] in folders
        is_weight = _is_fp8(info.dtype) and info.name not in scales
        is_unscaled = is_weight and beside and not info.note
        return replace(info, note=UNSCALED) if is_unscaled else info

    return tuple(
        pair if (info := noted(pair[0])) is pair[0] else (info, pair[1]) for pair in tensors
    )


def _is_fp8(dtype: str) -> bool:
    return dtype.startswith(("F8_", "float8_")) and "e8m0" not in dtype.lower()


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Refuse lengths that are none, and more elements than an array can have without its zeros."""
    lengths_are_counts = all(type(length) is int and length >= 0 for length in shape)
    if not lengths_are_counts or math.prod(filter(None, shape)) >= MAX_ELEMENTS:
        raise ValueError(f"{quoted(name)} has an absurd shape")


def why_skipped(dtype: np.dtype[Any]) -> str:
    """Return why arrays of ``dtype`` are no float tensors; empty if they are."""
    if dtype.kind == "f" or dtype.name.startswith(("float", "bfloat")):  # those of ml_dtypes too
        return "" if dtype.itemsize <= 8 else "wider than float64"
    if dtype.name.startswith("void") and dtype.names is None:  # numpy.save writes bfloat16 so
        return "raw bytes without a type (save bfloat16 as float32)"
    return "not a float tensor"


def bfloat16(raw: NDArray[np.uint8]) -> Array:
    """Return little-endian bytes of bfloat16 as float32."""
    words = raw.view("<u2").astype(np.uint32)
    words <<= 16  # bfloat16 is the upper half of float32
    return words.view(np.float32)


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


def arrays_in_memory(arrays: Mapping[str, Any]) -> WeightFile:
    """Return a `WeightFile` over the arrays of a mapping."""
    tensors = []
    for name, value in arrays.items():
        key = printable(repr(name))
        try:
            array = as_array(f"source[{key}]", value)
        except Exception as error:  # other libraries' tensors raise many types
            reason = printable(str(error))
            if not reason.startswith(f"source[{key}]"):
                reason = f"source[{key}] must be an array, got {type(value).__name__}: {reason}"
            raise TypeError(reason) from error
        info = TensorInfo(str(name), array.shape, str(array.dtype), why_skipped(array.dtype))
        tensors.append((info, partial(widened, array)))
    return WeightFile("arrays in memory", tensors)
