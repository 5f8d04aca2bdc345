"""A Llama's key-value cache that holds tokens packed by a recipe, of several texts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.llama import Llama
from minifloat.caches import CacheRecipe, KeyValueCache


class PackedCache:
    """A cache for `analysis.models.llama.Llama`, in place of its own.

    Texts of one length may pass through the model together: each has a context of its own, and
    tokens go in and come out text after text. Texts share a recipe's tensor scales, nothing else.

    Parameters
    ----------
    model : Llama
    recipe : CacheRecipe
        Tokens pass through the model ``recipe.step`` at a time, which gives what they give one by
        one.
    capacity : int
        Tokens of each text.
    texts : int
    balancers : sequence of ndarray of float16, (kv_heads, head length), optional
        Of each layer.

    Attributes
    ----------
    length : int
        Tokens so far, of each text.
    layers : list of KeyValueCache
        With the heads of all texts.
    """

    def __init__(
        self,
        model: Llama,
        recipe: CacheRecipe,
        capacity: int,
        *,
        texts: int = 1,
        balancers: Sequence[NDArray[np.float16]] | None = None,
    ) -> None:
        heads = model.shape.kv_heads
        self.length, self._capacity, self._texts = 0, capacity, texts
        self.layers = [
            KeyValueCache(
                recipe,
                texts * heads,
                model.head_length,
                balancer=None if balancers is None else np.tile(balancers[layer], (texts, 1)),
            )
            for layer in range(model.shape.layers)
        ]

    @property
    def free(self) -> int:
        """Tokens that can still be added to each text."""
        return self._capacity - self.length

    @property
    def piece(self) -> int:
        """Tokens of each text that pass through the model at a time."""
        return self.layers[0].recipe.step

    @property
    def bits_per_value(self) -> float:
        """Bits of storage for each number of the keys and values."""
        return float(np.mean([layer.bits_per_value for layer in self.layers]))

    def positions(self, count: int) -> NDArray[np.integer[Any]]:
        """Return the places in their texts of the next tokens, ``count`` of all texts."""
        each = np.arange(self.length, self.length + count // self._texts)
        return np.tile(each, self._texts)

    def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
        """Add tokens to a layer, and return attention's output; see `SomeCache`."""
        cache = self.layers[layer]
        cache.append(self._apart(keys), self._apart(values))
        mixed = cache.attend(self._apart(queries))
        together: Array = mixed.reshape(self._texts, -1, *mixed.shape[1:]).swapaxes(0, 1)
        return together.reshape(queries.shape)

    def pack(self) -> None:
        """Pack the tokens which the window need not hold."""
        for layer in self.layers:
            layer.pack()

    def _apart(self, x: Array) -> Array:
        """Return (heads, texts * n, length) as (texts * heads, n, length)."""
        heads, _, length = x.shape
        return (
            x.reshape(heads, self._texts, -1, length)
            .swapaxes(0, 1)
            .reshape(-1, x.shape[1] // self._texts, length)
        )
