"""The tokens that are packed, in pieces of those that were packed together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minifloat.caches import stored
from minifloat.caches.heavy import Integers
from minifloat.caches.pieces import Floats, Piece
from minifloat.caches.recipe import CacheRecipe
from minifloat.files.arrays import Arrays


class PackedTokens:
    """Packed keys and values, as many tokens of each head.

    Attributes
    ----------
    positions : ndarray of int64, (heads, tokens)
    """

    def __init__(self, heads: int, length: int, recipe: CacheRecipe) -> None:
        self.positions: Integers = np.empty((heads, 0), np.int64)
        self._heads, self._length, self._recipe = heads, length, recipe
        self._keys: list[Piece] = []
        self._values: list[Piece] = []

    def add(self, keys: Floats, values: Floats, positions: Integers) -> None:
        """Pack more tokens, (heads, n, length); nothing is added if that fails."""
        packed_keys = Piece.of(keys, self._recipe.keys, self._recipe.keys_along)
        packed_values = Piece.of(values, self._recipe.values, self._recipe.values_along)
        self._keys.append(packed_keys)
        self._values.append(packed_values)
        self.positions = np.concatenate([self.positions, positions], axis=1)

    def __copy__(self) -> PackedTokens:
        """Return other tokens that begin with these; pieces never change."""
        copied = PackedTokens(self._heads, self._length, self._recipe)
        copied._keys, copied._values = [*self._keys], [*self._values]
        copied.positions = self.positions
        return copied

    @property
    def bits(self) -> int:
        """Bits of the keys and values."""
        return sum(piece.bits for piece in (*self._keys, *self._values))

    def keys(self) -> Floats:
        """Return the keys, (heads, tokens, length)."""
        return self._vectors(self._keys)

    def values(self) -> Floats:
        """Return the values, (heads, tokens, length)."""
        return self._vectors(self._values)

    def dots(self, x: Floats) -> list[Floats]:
        """Return the dot products of vectors with the keys of each piece, (heads, n, tokens)."""
        return [piece.dots(x) for piece in self._keys]

    def add_values(self, sums: Floats, shares: Floats) -> None:
        """Add the values of all tokens, each times its share, to sums.

        Parameters
        ----------
        sums : ndarray of float32, (heads, n, length)
        shares : ndarray of float32, (heads, n, tokens or more)
        """
        start = 0
        for piece in self._values:
            stop = start + piece.tokens
            sums += piece.sums(shares[:, :, start:stop])
            start = stop

    def to_arrays(self, arrays: Arrays) -> dict[str, Any]:
        """Put the tokens into arrays of a file, and return what its text tells of them."""
        arrays["positions"] = self.positions
        every = {"keys": self._keys, "values": self._values}
        return {
            name: stored.put(name, [piece.packed for piece in pieces], arrays)
            for name, pieces in every.items()
        }

    @classmethod
    def from_arrays(
        cls,
        heads: int,
        length: int,
        recipe: CacheRecipe,
        described: Any,
        arrays: Arrays,
    ) -> PackedTokens:
        """Return the tokens that `to_arrays` put into arrays, which are taken out of them.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the text and the arrays contradict each other.
        """
        packed = cls(heads, length, recipe)
        for pieces, name, own, along in (
            (packed._keys, "keys", recipe.keys, recipe.keys_along),
            (packed._values, "values", recipe.values, recipe.values_along),
        ):
            stores = stored.take(name, described[name], arrays)
            pieces += [Piece.stored(rows, heads, length, own, along) for rows in stores]
        counts = [piece.tokens for piece in packed._keys]
        if counts != [piece.tokens for piece in packed._values]:
            raise ValueError("keys and values must be of the same tokens, got others")
        packed.positions = arrays.pop("positions")
        stored.check("positions", packed.positions, np.int64, (heads, sum(counts)))
        return packed

    def _vectors(self, pieces: list[Piece]) -> Floats:
        empty = np.empty((self._heads, 0, self._length), np.float32)
        return np.concatenate([empty, *(piece.dequantize() for piece in pieces)], axis=1)
