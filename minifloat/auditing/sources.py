"""The tensors of a checkpoint or of a mapping, read one by one."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import as_array, source_array
from minifloat._tensors import AnyTensor
from minifloat.files.checkpoints import (
    Checkpoint,
    Dequantizable,
    Description,
    open_checkpoint,
)
from minifloat.files.checkpoints.reading import SCALE
from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]
Source: TypeAlias = (
    str | PathLike[str] | Mapping[str, ArrayLike | AnyTensor | Quantized | Dequantizable]
)
Value: TypeAlias = Array | Quantized | Dequantizable


class Tensors:
    """The tensors of a source by their names, with what is known of each.

    Attributes
    ----------
    source : str
        In words.
    names : tuple of str
    unreadable : dict of str to str
        Names of those that cannot be read, with the reason; scales of activations are no weights.
    """

    def __init__(self, name: str, source: Source) -> None:
        if isinstance(source, str | PathLike):
            source = open_checkpoint(source)
        if not isinstance(source, Mapping):
            raise TypeError(
                f"{name} must be a path, or a mapping of names to weights, got "
                f"{type(source).__name__}"
            )
        self._name = name
        self._held: Mapping[str, Any] = source
        is_checkpoint = isinstance(source, Checkpoint)
        self.source = source.source if isinstance(source, Checkpoint) else f"{name} in memory"
        self._about: dict[str, Description] = {}
        self.unreadable: dict[str, str] = {}
        if isinstance(source, Checkpoint):
            self._about = {about.name: about for about in source.descriptions}
            self.unreadable = {
                about.name: about.skipped for about in source.skipped if about.skipped != SCALE
            }
        self.names = tuple(self._about) if is_checkpoint else tuple(source)
        self._names = frozenset(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def load(self, name: str) -> Value:
        """Read one tensor: numbers as they are, small floats that NumPy lacks as float32.

        Raises
        ------
        TypeError
            If it is no array of numbers.
        WeightsError
            If a file cannot be read.
        """
        value = self._held[name]
        if isinstance(value, Quantized | Dequantizable):
            return value
        array = as_array(f"{self._name}[{name!r}]", value)
        if array.dtype.kind in "fiub":
            return array
        return source_array(array, f"{self._name}[{name!r}]")[0].astype(np.float32)

    def describe(self, name: str) -> Description | None:
        """Return what is known of a tensor of a file; None of one in memory."""
        return self._about.get(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, without reading it where that is possible."""
        about = self._about.get(name)
        return tuple(np.shape(self._held[name])) if about is None else about.shape


def floats(value: Value) -> Array:
    """Return the numbers of weights that were read."""
    return value if isinstance(value, np.ndarray) else value.dequantize()
