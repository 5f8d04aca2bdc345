"""Several texts that pass through a Llama model together, which reads its matrices once for all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.llama import Llama, SomeCache, Tokens


class SideBySide:
    """A cache for `analysis.models.llama.Llama` in which each text attends to itself alone.

    Tokens of a layer go in and come out text after text.

    Parameters
    ----------
    caches : list of SomeCache
        One for each text, all empty.
    length : int
        Tokens of each text, which come all at once.

    Attributes
    ----------
    length : int
        Tokens so far, of all texts.
    """

    def __init__(self, caches: list[SomeCache], length: int) -> None:
        self.length = 0
        self._caches = caches
        self._each = length

    @property
    def free(self) -> int:
        """Tokens that can still be added."""
        return len(self._caches) * self._each - self.length

    @property
    def piece(self) -> int:
        """Tokens that pass through the model at a time: all of all texts."""
        return len(self._caches) * self._each

    def positions(self, count: int) -> NDArray[np.integer[Any]]:
        """Return the places in their texts of the next tokens; ``count`` is all of them."""
        return np.tile(np.arange(self._each), count // self._each)

    def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
        """Return attention's output; see `analysis.models.llama.SomeCache`."""
        parts = zip(self._caches, *(self._apart(x) for x in (queries, keys, values)), strict=True)
        return np.concatenate(
            [cache.attend(layer, ours, theirs, mixed) for cache, ours, theirs, mixed in parts],
            axis=1,
        )

    def _apart(self, x: Array) -> list[Array]:
        return np.split(x, len(self._caches), axis=1)


def hidden(model: Llama, texts: Tokens) -> Array:
    """Return the last layer's output of several texts, as `Llama.hidden` does of each.

    Parameters
    ----------
    model : Llama
    texts : ndarray of integers, (texts, tokens)

    Returns
    -------
    ndarray of float32, (texts, tokens, width)
    """
    count, length = texts.shape
    cache = SideBySide([model.cache(length) for _ in range(count)], length)
    return model.hidden(texts.reshape(-1), cache).reshape(count, length, -1)
