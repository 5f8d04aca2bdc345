"""The model's own cache, of float16 numbers."""

from __future__ import annotations

import numpy as np

from analysis.models.layers import Array
from analysis.models.llama import Cache, Llama


class HalfCache(Cache):
    """Rounds all keys and values to float16."""

    @classmethod
    def of(cls, model: Llama, capacity: int) -> HalfCache:
        return cls(model.shape, capacity, model.head_length)

    def attend(self, layer: int, queries: Array, keys: Array, values: Array) -> Array:
        keys, values = (x.astype(np.float16).astype(np.float32) for x in (keys, values))
        return super().attend(layer, queries, keys, values)
