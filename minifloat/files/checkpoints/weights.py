"""Weights of a checkpoint: what is known of them unread, and what they are when they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minifloat.files.checkpoints.config import Config
from minifloat.files.checkpoints.stored import Stored, Tensors
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


@dataclass(frozen=True)
class Description:
    """The facts of a tensor of a checkpoint that are known without reading it.

    Attributes
    ----------
    name : str
        As an unquantized model has it.
    shape : tuple of int
        Of the weights.
    layout : str
        How the file stores it: "compressed-tensors nvfp4-pack-quantized"; empty for plain numbers.
    recipe : Recipe or None
        What `Quantized` it becomes; None for plain numbers, and where none expresses it.
    dtype : str
        The type of the codes, or of the numbers, as the file calls it.
    bits : int
        Bits of storage of all its parts.
    parts : tuple of str
        The tensors of the file that it is made of.
    skipped : str
        Why it cannot be read; empty for most.
    note : str
        What else a reader must know; empty for most.
    """

    name: str
    shape: tuple[int, ...]
    layout: str
    recipe: Recipe | None
    dtype: str
    bits: int
    parts: tuple[str, ...]
    skipped: str = ""
    note: str = ""

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """Bits of storage per weight, all parts counted; 0 without weights."""
        return self.bits / self.size if self.size else 0.0


@dataclass(frozen=True, eq=False)
class Dequantizable:
    """Quantized weights that a `minifloat.Quantized` cannot express; read when they are used.

    Columns that take their scales in another order (``g_idx``), a negative scale, a minimum for
    each block: the weights they mean are exact all the same. ``np.asarray`` dequantizes too.

    Attributes
    ----------
    shape : tuple of int
        Of the weights.
    layout : str
        How the file stores them.
    reason : str
        Why no `minifloat.Quantized` expresses them.
    """

    shape: tuple[int, ...]
    layout: str
    reason: str
    read: Callable[[], Array] = field(repr=False)

    def dequantize(self) -> NDArray[np.float32]:
        """Return the weights as float32, read from the file at each call.

        Raises
        ------
        WeightsError
            If the file's numbers contradict each other, or the file has changed.
        """
        return np.asarray(self.read(), np.float32).reshape(self.shape)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return the dequantized weights; see `dequantize`."""
        if copy is False:
            raise ValueError("copy must not be False: dequantizing makes a new array")
        weights = self.dequantize()
        return weights if dtype is None else weights.astype(dtype)


Value: TypeAlias = Array | Quantized | Dequantizable


@dataclass(frozen=True)
class Facts:
    """What a layout tells of weights before they are read.

    Attributes
    ----------
    shape : tuple of int
        Of the weights.
    recipe : Recipe or None
    axis : int or None
        The axis along which blocks run.
    layout : str
        The layout's name, with its variant.
    options : dict
        What else the layout needs to know to read them.
    note : str
    """

    shape: tuple[int, ...]
    recipe: Recipe | None
    axis: int | None
    layout: str
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The tensors of a file that hold one tensor of weights.

    Attributes
    ----------
    name : str
        Of the weights.
    parts : dict of str to Stored
        By what they are for, in the words of the layout: "packed", "scale".
    """

    name: str
    parts: Mapping[str, Stored]

    @property
    def bits(self) -> int:
        """Bits of storage."""
        return sum(part.bits for part in self.parts.values())


class Layout(Protocol):
    """A way in which some tool stores quantized weights; a module with these functions."""

    def find(self, tensors: Tensors, config: Config) -> Iterator[Group]:
        """Yield the groups of tensors that this layout makes weights of, by their names."""
        ...

    def facts(self, group: Group, config: Config) -> Facts:
        """Return what is known of weights unread, or raise a ValueError: types, shapes."""
        ...

    def value(self, group: Group, facts: Facts) -> Value:
        """Read weights; raise a ValueError where the numbers contradict each other."""
        ...


def suffixed(tensors: Tensors, codes: str, **others: str) -> Iterator[Group]:
    """Yield groups of tensors whose names differ in their endings.

    Parameters
    ----------
    tensors : mapping of str to Stored
    codes : str
        The ending of the codes' name, which is found first; the part "codes".
    **others : str
        The endings of the other parts, by what they are for; a part may be missing.
    """
    for name, stored in tensors.items():
        if name.endswith(codes) and len(name) > len(codes):
            stem = name.removesuffix(codes)
            parts = {"codes": stored}
            for role, ending in others.items():
                if other := tensors.get(stem + ending):
                    parts[role] = other
            yield Group(stem, parts)
