"""The tokens of each head to which most attention was paid (MiKV's heavy hitters)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.caches import stored
from minifloat.caches.pieces import Floats
from minifloat.caches.stored import Rows
from minifloat.files.arrays import Arrays
from minifloat.quantization import quantize
from minifloat.quantization.recipes import Recipe

Integers = NDArray[np.int64]


class HeavyTokens:
    """Tokens that stay wide, of each head others, and as many of each head.

    Attributes
    ----------
    positions : ndarray of int64, (heads, tokens)
        Increasing in each head.
    importance : ndarray of float64, (heads, tokens)
        The attention so far.
    """

    def __init__(self, heads: int, length: int, recipe: Recipe | None) -> None:
        self.positions: Integers = np.empty((heads, 0), np.int64)
        self.importance = np.empty((heads, 0))
        self._length, self._recipe = length, recipe
        self._rows: Integers = np.empty((heads, 0), np.int64)  # of the stores, one after another
        self._keys: list[Rows] = []
        self._values: list[Rows] = []

    @property
    def bits(self) -> int:
        """Bits of the keys and values."""
        return sum(
            16 * rows.size if isinstance(rows, np.ndarray) else rows.bits
            for rows in (*self._keys, *self._values)
        )

    def keys(self) -> Floats:
        """Return the keys, (heads, tokens, length)."""
        return self._vectors(self._keys)

    def values(self) -> Floats:
        """Return the values, (heads, tokens, length)."""
        return self._vectors(self._values)

    def compete(
        self,
        count: int,
        keys: NDArray[np.float16],
        values: NDArray[np.float16],
        positions: Integers,
        importance: NDArray[np.float64],
    ) -> tuple[HeavyTokens, Floats, Floats, Integers]:
        """Return the ``count`` most important of these and the own tokens, and all others.

        Parameters
        ----------
        count : int
            Tokens of each head.
        keys, values : ndarray of float16, (heads, n, length)
        positions : ndarray of int64, (heads, n)
            Increasing, and beyond the own ones.
        importance : ndarray of float64, (heads, n)

        Returns
        -------
        heavy : HeavyTokens
        keys, values : ndarray of float32, (heads, m, length)
            Of the others.
        positions : ndarray of int64, (heads, m)
            Increasing. Of equal importance the later token is among the others.
        """
        heads, n = positions.shape
        all_positions = np.concatenate([self.positions, positions], axis=1)
        all_importance = np.concatenate([self.importance, importance], axis=1)
        order = np.argsort(-all_importance, axis=1, kind="stable")
        kept, others = (np.sort(part, axis=1) for part in (order[:, :count], order[:, count:]))
        lost_keys, lost_values = (
            np.take_along_axis(np.concatenate([own, new], axis=1), others[:, :, None], axis=1)
            for own, new in ((self.keys(), keys), (self.values(), values))
        )
        total = sum(store.shape[0] for store in self._keys)
        new_rows = total + np.arange(heads * n).reshape(heads, n)
        rows = np.take_along_axis(np.concatenate([self._rows, new_rows], axis=1), kept, axis=1)
        alive = np.zeros(total + heads * n, bool)
        alive[rows] = True
        heavy = HeavyTokens(heads, self._length, self._recipe)
        heavy._rows = (np.cumsum(alive) - 1)[rows]
        heavy._keys = _picked([*self._keys, self._stored(keys)], alive)
        heavy._values = _picked([*self._values, self._stored(values)], alive)
        heavy.positions = np.take_along_axis(all_positions, kept, axis=1)
        heavy.importance = np.take_along_axis(all_importance, kept, axis=1)
        return heavy, lost_keys, lost_values, np.take_along_axis(all_positions, others, axis=1)

    def to_arrays(self, arrays: Arrays) -> dict[str, Any]:
        """Put the tokens into arrays of a file, and return what its text tells of them."""
        arrays["heavy.positions"] = self.positions
        arrays["heavy.importance"] = self.importance
        arrays["heavy.rows"] = self._rows
        every = {"keys": self._keys, "values": self._values}
        return {name: stored.put(f"heavy.{name}", stores, arrays) for name, stores in every.items()}

    @classmethod
    def from_arrays(
        cls,
        heads: int,
        length: int,
        recipe: Recipe | None,
        described: Any,
        arrays: Arrays,
    ) -> HeavyTokens:
        """Return the tokens that `to_arrays` put into arrays, which are taken out of them.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the text and the arrays contradict each other.
        """
        heavy = cls(heads, length, recipe)
        heavy._keys = stored.take("heavy.keys", described["keys"], arrays)
        heavy._values = stored.take("heavy.values", described["values"], arrays)
        heavy.positions = arrays.pop("heavy.positions")
        heavy.importance = arrays.pop("heavy.importance")
        heavy._rows = arrays.pop("heavy.rows")
        shape = (heads, heavy.positions.shape[-1])
        stored.check("heavy.positions", heavy.positions, np.int64, shape)
        stored.check("heavy.importance", heavy.importance, np.float64, shape)
        stored.check("heavy.rows", heavy._rows, np.int64, shape)
        shapes = [[rows.shape for rows in stores] for stores in (heavy._keys, heavy._values)]
        held = [
            None if isinstance(rows, np.ndarray) else rows.recipe
            for rows in (*heavy._keys, *heavy._values)
        ]
        total = sum(rows[0] for rows in shapes[0])
        if shapes[0] != shapes[1] or any(rows[1:] != (length,) for rows in shapes[0]):
            raise ValueError(f"heavy keys and values must be rows of {length}, as many of both")
        if any(each != recipe for each in held):
            raise ValueError(f"heavy tokens must be held by {recipe}, got {held}")
        if sorted(heavy._rows.reshape(-1).tolist()) != list(range(total)):
            raise ValueError(f"heavy.rows must be the rows 0 to {total - 1}, each once")
        return heavy

    def _stored(self, x: NDArray[np.float16]) -> Rows:
        rows = x.reshape(-1, self._length)
        return rows if self._recipe is None else quantize(rows, self._recipe, axis=-1)

    def _vectors(self, stores: list[Rows]) -> Floats:
        empty = np.empty((0, self._length), np.float32)
        rows = np.concatenate([empty, *(np.asarray(store, np.float32) for store in stores)])
        return rows[self._rows]


def _picked(stores: list[Rows], alive: NDArray[Any]) -> list[Rows]:
    """Return the rows that are alive, without empty stores."""
    parts = np.split(alive, np.cumsum([store.shape[0] for store in stores])[:-1])
    return [
        store[np.flatnonzero(part)] for store, part in zip(stores, parts, strict=True) if part.any()
    ]
