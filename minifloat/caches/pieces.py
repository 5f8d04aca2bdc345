"""Tokens of all heads that are packed together, and products with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minifloat.caches.recipe import Along
from minifloat.caches.stored import Rows
from minifloat.layers import linear
from minifloat.quantization import quantize
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Floats = NDArray[np.float32]
FEW = 4  # vectors of a head: for more of them dequantizing once is faster


@dataclass(frozen=True, eq=False)
class Piece:
    """Vectors of some tokens, packed: (heads, tokens, length).

    Attributes
    ----------
    packed : Quantized
        Blocks lie along the last axis. Along channels a row is a vector, (heads * tokens, length);
        along tokens a row is a channel, (heads * length, tokens).
    heads : int
    along : "tokens" or "channels"
    """

    packed: Quantized
    heads: int
    along: Along

    @classmethod
    def of(cls, x: Floats, recipe: Recipe, along: Along) -> Piece:
        """Pack vectors, (heads, tokens, length)."""
        rows = x if along == "channels" else x.swapaxes(1, 2)
        packed = quantize(rows.reshape(-1, rows.shape[2]), recipe, axis=-1)
        return cls(packed, len(x), along)

    @classmethod
    def stored(cls, rows: Rows, heads: int, length: int, recipe: Recipe, along: Along) -> Piece:
        """Return the piece of packed rows out of a file, after checking that they fit."""
        if isinstance(rows, np.ndarray) or rows.recipe != recipe:
            raise ValueError(f"pieces must be packed by {recipe}")
        piece = cls(rows, heads, along)
        of_length = rows.shape[1] if along == "channels" else rows.shape[0] // heads
        if rows.shape[0] % heads or of_length != length:
            raise ValueError(f"pieces must be of {heads} heads of {length}, got {rows.shape}")
        return piece

    @property
    def tokens(self) -> int:
        """Tokens of each head."""
        rows, columns = self.packed.shape
        return rows // self.heads if self.along == "channels" else columns

    @property
    def bits(self) -> int:
        """Bits of codes, scales and all else."""
        return self.packed.bits

    def dequantize(self) -> Floats:
        """Return the vectors, (heads, tokens, length)."""
        rows = self.packed.dequantize().reshape(self.heads, -1, self.packed.shape[1])
        return rows if self.along == "channels" else rows.swapaxes(1, 2)

    def dots(self, x: Floats) -> Floats:
        """Return the dot products of vectors with each token's.

        Parameters
        ----------
        x : ndarray of float32, (heads, n, length)

        Returns
        -------
        ndarray of float32, (heads, n, tokens)
        """
        if x.shape[1] > FEW:
            products: Floats = x @ self.dequantize().swapaxes(1, 2)
            return products
        return self._each(x, transposed=self.along == "channels")

    def sums(self, factors: Floats) -> Floats:
        """Return sums of the tokens' vectors, each times a factor.

        Parameters
        ----------
        factors : ndarray of float32, (heads, n, tokens)

        Returns
        -------
        ndarray of float32, (heads, n, length)
        """
        if factors.shape[1] > FEW:
            products: Floats = factors @ self.dequantize()
            return products
        return self._each(factors, transposed=self.along == "tokens")

    def _each(self, x: Floats, *, transposed: bool) -> Floats:
        """Return the products of each head's vectors with its own rows, which stay packed."""
        count = self.packed.shape[0] // self.heads
        parts = [self.packed[head * count : (head + 1) * count] for head in range(self.heads)]
        return np.stack(
            [linear(v, w) if transposed else v @ w for v, w in zip(x, parts, strict=True)]
        )
