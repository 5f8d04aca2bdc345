"""Float types as words of bits, bfloat16 among them without ml_dtypes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minifloat.formats import NumberFormat
from minifloat.testing._points import FloatOrder, decision_points

SourceName: TypeAlias = Literal["float16", "bfloat16", "float32", "float64"]
Words = NDArray[np.uint64]


class Source(NamedTuple):
    """A float type whose words are the upper ``bits`` bits of those of a NumPy dtype."""

    name: str
    bits: int
    carrier: np.dtype[Any]

    @property
    def _cut(self) -> int:
        return 8 * self.carrier.itemsize - self.bits

    @property
    def _sign(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def _infinity(self) -> int:
        return FloatOrder(self.carrier).last >> self._cut

    def values(self, words: Words) -> NDArray[np.float64]:
        """Return the values of words."""
        wide = (words << np.uint64(self._cut)).astype(f"u{self.carrier.itemsize}")
        with np.errstate(invalid="ignore"):  # signalling NaNs
            return wide.view(self.carrier).astype(np.float64)

    def words(self, values: NDArray[np.float64]) -> Words | None:
        """Return the words of values, NaN as the quiet one, or None if a value has no word."""
        with np.errstate(over="ignore"):
            converted = np.where(np.isnan(values), np.nan, values).astype(self.carrier)
        wide = converted.view(f"u{self.carrier.itemsize}").astype(np.uint64)
        words: Words = wide >> np.uint64(self._cut)
        return words if np.array_equal(self.values(words), values, equal_nan=True) else None

    def decision_points(self, fmt: NumberFormat) -> Words:
        """Return the words of `decision_points`, in the order of their values, without NaN."""
        keys = FloatOrder(self.carrier).keys(decision_points(fmt, self.carrier)[:-1])
        negative, sizes = keys < 0, np.where(keys < 0, -keys - 1, keys)
        if self._cut:  # a number between two words needs both of them, and their neighbours
            steps = np.arange(-1, 3)[:, None]
            sizes = np.clip((sizes >> self._cut) + steps, 0, self._infinity)
        keys = np.unique(np.where(negative, -sizes - 1, sizes))
        words = np.where(keys < 0, -keys - 1, keys).astype(np.uint64)
        words[keys < 0] |= np.uint64(self._sign)
        return words

    def nans(self) -> Words:
        """Return NaNs, quiet and signalling, of both signs, with small and large payloads."""
        infinity = self._infinity
        quiet = infinity | (infinity & -infinity) >> 1
        sizes = [quiet, infinity + 1, quiet - 1, self._sign - 1]
        return np.array([size | sign for size in sizes for sign in (0, self._sign)], np.uint64)


SOURCES = {
    "float16": Source("float16", 16, np.dtype(np.float16)),
    "bfloat16": Source("bfloat16", 16, np.dtype(np.float32)),
    "float32": Source("float32", 32, np.dtype(np.float32)),
    "float64": Source("float64", 64, np.dtype(np.float64)),
}


def source_of(name: str) -> Source:
    """Return a float type by its name."""
    if name not in tuple(SOURCES):  # which need not be hashable
        raise ValueError(f"source must be float16, bfloat16, float32 or float64, got {name!r}")
    return SOURCES[name]
