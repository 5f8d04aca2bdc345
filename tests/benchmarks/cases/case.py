"""What a case is, the arrays that cases share, and their yardsticks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

import minifloat as mf

Thunk = Callable[[], object]


class Inputs:
    """The arrays of one size that all cases share, made when first asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    @cached_property
    def x(self) -> NDArray[np.float32]:
        """Standard normals."""
        return np.random.default_rng(24).standard_normal(self.size, np.float32)

    @cached_property
    def x64(self) -> NDArray[np.float64]:
        """The same, with all the bits of float64."""
        return np.random.default_rng(53).standard_normal(self.size)

    @cached_property
    def words(self) -> NDArray[np.uint32]:
        """Random words for a caller's own stochastic rounding."""
        return np.random.default_rng(32).integers(0, 1 << 24, self.size, np.uint32)

    def codes(self, fmt: str) -> NDArray[np.uint8]:
        """Codes of the normals."""
        return np.asarray(mf.encode(self.x, fmt))

    def codes_of(self, bits: int) -> NDArray[np.uint8]:
        """Random codes of a width."""
        return np.random.default_rng(bits).integers(0, 1 << bits, self.size, np.uint8)

    def empty(self, dtype: DTypeLike) -> NDArray[Any]:
        """Return a new output array whose pages are mapped."""
        return np.zeros(self.size, dtype)


class Case(NamedTuple):
    """One line of the table: its speed over that of the yardstick, per element."""

    task: str
    fmt: str
    target: float | None
    prepare: Callable[[Inputs], Thunk]
    yardstick: Callable[[Inputs], Thunk]
    size_limit: int | None = None
    own_size: int | None = None  # of this case and its yardstick, whatever the table's size
    moves: float | None = None  # bytes of an element that must be read or written


def copy_float32(inputs: Inputs) -> Thunk:
    """Copy the float32 normals."""
    x, out = inputs.x, inputs.empty(np.float32)
    return lambda: np.copyto(out, x)


def copy_float64(inputs: Inputs) -> Thunk:
    """Copy the float64 normals."""
    x, out = inputs.x64, inputs.empty(np.float64)
    return lambda: np.copyto(out, x)


def copy_codes(inputs: Inputs) -> Thunk:
    """Copy codes, a byte each."""
    codes, out = inputs.codes_of(8), inputs.empty(np.uint8)
    return lambda: np.copyto(out, codes)


def add(inputs: Inputs) -> Thunk:
    """Add the normals to themselves, to a new array."""
    x = inputs.x
    return lambda: np.add(x, x)


def over_copy(
    task: str, fmt: str, target: float | None, prepare: Callable[[Inputs], Thunk], **options: Any
) -> Case:
    """Return a case measured against the copy of the float32 array."""
    return Case(task, fmt, target, prepare, copy_float32, **options)
