"""The methods of a `FormatArray` that are functions of NumPy."""

from __future__ import annotations

from typing import Any, Self, SupportsIndex, cast

import numpy as np

from minifloat.arithmetic.contexts import InContext
from minifloat.arithmetic.ufuncs import Axis

Shape = SupportsIndex | tuple[SupportsIndex, ...]


class ArrayMethods(InContext):
    """Methods of NumPy's arrays, with NumPy's arguments; the functions say what is computed.

    Those that return values of the format return a `FormatArray`; places and counts are plain.
    """

    def _apply(self, function: Any, *args: Any, **options: Any) -> Self:
        """Return the array that a function of NumPy gives, by its protocol."""
        return cast("Self", function(self, *args, **options))

    # sums and the like

    def sum(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.sum`."""
        return self._apply(np.sum, axis, **options)

    def prod(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.prod`."""
        return self._apply(np.prod, axis, **options)

    def mean(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.mean`."""
        return self._apply(np.mean, axis, **options)

    def var(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.var`."""
        return self._apply(np.var, axis, **options)

    def std(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.std`."""
        return self._apply(np.std, axis, **options)

    def cumsum(self, axis: int | None = None, **options: Any) -> Self:
        """Return `numpy.cumsum`."""
        return self._apply(np.cumsum, axis, **options)

    def cumprod(self, axis: int | None = None, **options: Any) -> Self:
        """Return `numpy.cumprod`."""
        return self._apply(np.cumprod, axis, **options)

    def trace(self, *args: Any, **options: Any) -> Self:
        """Return `numpy.trace`."""
        return self._apply(np.trace, *args, **options)

    def dot(self, other: Any) -> Self:
        """Return `numpy.dot`."""
        return self._apply(np.dot, other)

    # values and where they are

    def max(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.max`."""
        return self._apply(np.max, axis, **options)

    def min(self, axis: Axis = None, **options: Any) -> Self:
        """Return `numpy.min`."""
        return self._apply(np.min, axis, **options)

    def clip(self, *args: Any, **options: Any) -> Self:
        """Return `numpy.clip`."""
        return self._apply(np.clip, *args, **options)

    def round(self, decimals: int = 0) -> Self:
        """Return `numpy.round`."""
        return self._apply(np.round, decimals)

    def all(self, axis: Axis = None, **options: Any) -> Any:
        """Return `numpy.all`."""
        return np.all(cast("Any", self), axis, **options)

    def any(self, axis: Axis = None, **options: Any) -> Any:
        """Return `numpy.any`."""
        return np.any(cast("Any", self), axis, **options)

    def argmax(self, axis: int | None = None, **options: Any) -> Any:
        """Return `numpy.argmax`."""
        return np.argmax(cast("Any", self), axis, **options)

    def argmin(self, axis: int | None = None, **options: Any) -> Any:
        """Return `numpy.argmin`."""
        return np.argmin(cast("Any", self), axis, **options)

    def argsort(self, axis: int | None = -1, **options: Any) -> Any:
        """Return `numpy.argsort`."""
        return np.argsort(cast("Any", self), axis, **options)

    def nonzero(self) -> Any:
        """Return `numpy.nonzero`."""
        return np.nonzero(cast("Any", self))

    def searchsorted(self, v: Any, *args: Any, **options: Any) -> Any:
        """Return `numpy.searchsorted`."""
        return np.searchsorted(cast("Any", self), v, *args, **options)

    def sort(self, axis: int = -1, **options: Any) -> None:
        """Sort in place."""
        self.storage.sort(axis, **options)

    # shapes

    @property
    def T(self) -> Self:  # NumPy's name
        """The array with its axes reversed."""
        return self._apply(np.transpose)

    @property
    def mT(self) -> Self:  # NumPy's name
        """The array with its last two axes exchanged."""
        return self._apply(np.swapaxes, -1, -2)

    def reshape(self, *shape: Shape, **options: Any) -> Self:
        """Return `numpy.reshape`."""
        return self._apply(np.reshape, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Self:
        """Return `numpy.transpose`."""
        return self._apply(np.transpose, *(axes if len(axes) < 2 else (axes,)))

    def ravel(self, **options: Any) -> Self:
        """Return `numpy.ravel`."""
        return self._apply(np.ravel, **options)

    def flatten(self) -> Self:
        """Return a copy with one axis, in C order."""
        return self._apply(np.ravel).copy()

    def squeeze(self, axis: Axis = None) -> Self:
        """Return `numpy.squeeze`."""
        return self._apply(np.squeeze, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """Return `numpy.swapaxes`."""
        return self._apply(np.swapaxes, axis1, axis2)

    def diagonal(self, *args: Any, **options: Any) -> Self:
        """Return `numpy.diagonal`."""
        return self._apply(np.diagonal, *args, **options)

    def repeat(self, repeats: Any, axis: int | None = None) -> Self:
        """Return `numpy.repeat`."""
        return self._apply(np.repeat, repeats, axis)

    def take(self, indices: Any, *args: Any, **options: Any) -> Self:
        """Return `numpy.take`."""
        return self._apply(np.take, indices, *args, **options)

    def compress(self, condition: Any, axis: int | None = None) -> Self:
        """Return `numpy.compress`."""
        return cast("Self", np.compress(condition, cast("Any", self), axis))

    def copy(self) -> Self:
        """Return `numpy.copy`, with the same context."""
        return self._apply(np.copy)

    def fill(self, value: Any) -> None:
        """Put one number, rounded, into all places."""
        self._apply(np.copyto, value)

    # Python's numbers

    def item(self, *index: Any) -> float:
        """Return one value as a Python float."""
        return float(self.storage.item(*index))

    def tolist(self) -> Any:
        """Return the values as Python floats, in nested lists."""
        return self.storage.tolist()
