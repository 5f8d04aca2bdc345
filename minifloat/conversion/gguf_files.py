"""One .gguf file for a whole model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from minifloat.conversion import gguf_names
from minifloat.conversion.containers import Header, Named, Place, Places
from minifloat.files.checkpoints.model import Model, Shard
from minifloat.files.checkpoints.stored import Stored, is_float
from minifloat.files.gguf_header import new_header
from minifloat.quantization.recipes import Recipe

NAME = "model.gguf"


@dataclass(frozen=True)
class GgufFiles:
    """A file for all shards. Vectors become float32, which llama.cpp computes with."""

    copies_others: bool = False

    def files(self, model: Model) -> list[tuple[str, tuple[Shard, ...]]]:
        """Return the only file."""
        return [(NAME, model.shards)]

    def places(self, model: Model) -> Places:
        """Return llama.cpp's names, of models that it knows."""
        return gguf_names.places(model.config)

    def copied(self, stored: Stored, place: Place) -> Stored:
        """Return a tensor under its new name, its rows in their new order."""
        if place.heads:
            stored = replace(stored, read=partial(_in_order, stored, place.heads))
        if is_float(stored.dtype) and len(stored.shape) < 2:
            return Stored(place.name, "F32", stored.shape, partial(_widened, stored))
        return replace(stored, name=place.name)

    def header(
        self, tensors: Sequence[Named], shards: Sequence[Shard], model: Model, recipe: Recipe
    ) -> Header:
        """Return the header, with what config.json tells of the model."""
        return Header(*new_header(tensors, gguf_names.metadata(model.config)))


def _widened(stored: Stored) -> NDArray[np.uint8]:
    return np.ascontiguousarray(stored.floats(), "<f4").reshape(-1).view(np.uint8)


def _in_order(stored: Stored, heads: int) -> NDArray[np.uint8]:
    rows = stored.shape[0]
    data = stored.read().reshape(rows, -1)
    return np.ascontiguousarray(data[gguf_names.order_of_rows(heads, rows)]).reshape(-1)


GGUF = GgufFiles()
