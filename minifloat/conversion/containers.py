"""The kinds of files that are written, and what they make of a model's shards and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from minifloat.files.checkpoints.model import Model, Shard
from minifloat.files.checkpoints.stored import Stored
from minifloat.files.safetensors import Entry, new_header
from minifloat.quantization.recipes import Recipe

Named = tuple[str, str, tuple[int, ...]]  # the name, dtype and shape of a tensor


class Place(NamedTuple):
    """What a tensor becomes.

    Attributes
    ----------
    name : str
        Its new name.
    heads : int
        Of so many heads the rows are put in another order (`minifloat.conversion.gguf_names`); 0
        for none.
    dropped : str
        Why the new model does not have it; empty for most.
    """

    name: str
    heads: int = 0
    dropped: str = ""


class Header(NamedTuple):
    """The first bytes of a file, the places of its tensors, and its size."""

    data: bytes
    entries: list[Entry]
    size: int


Places = Callable[[str], Place]


class Container(Protocol):
    """A kind of file."""

    @property
    def copies_others(self) -> bool:
        """Whether files without weights are copied, and those written that tell of the recipe."""
        ...

    def files(self, model: Model) -> list[tuple[str, tuple[Shard, ...]]]:
        """Return the names of the new files, each with the shards whose tensors it holds."""
        ...

    def places(self, model: Model) -> Places:
        """Return what tells of a tensor what it becomes."""
        ...

    def copied(self, stored: Stored, place: Place) -> Stored:
        """Return a tensor that is not quantized, as it is to be written."""
        ...

    def header(
        self, tensors: Sequence[Named], shards: Sequence[Shard], model: Model, recipe: Recipe
    ) -> Header:
        """Return the beginning of a file."""
        ...


@dataclass(frozen=True)
class SafetensorsFiles:
    """A .safetensors file for each shard; all names stay."""

    copies_others: bool = True

    def files(self, model: Model) -> list[tuple[str, tuple[Shard, ...]]]:
        """Return the shards with their names."""
        return [(shard.path.name, (shard,)) for shard in model.shards]

    def places(self, model: Model) -> Places:
        """Return `Place`, of a name alone."""
        return Place

    def copied(self, stored: Stored, place: Place) -> Stored:
        """Return the tensor."""
        return stored

    def header(
        self, tensors: Sequence[Named], shards: Sequence[Shard], model: Model, recipe: Recipe
    ) -> Header:
        """Return the header, with the metadata of the old one if it told of no quantization."""
        [shard] = shards
        metadata = {} if model.is_quantized else shard.metadata
        data, entries = new_header(tensors, {"format": "pt", **metadata})
        return Header(data, entries, max((entry.end for entry in entries), default=len(data)))


SAFETENSORS: Container = SafetensorsFiles()
