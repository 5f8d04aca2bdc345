"""What is written: which tensors are quantized, and the place of every tensor in its shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minifloat.comparison.records import Skipped
from minifloat.comparison.selection import Task, matches, select
from minifloat.conversion.layouts import Layout, check_columns
from minifloat.files import TensorInfo, WeightFile
from minifloat.files.checkpoints.model import Model, Shard
from minifloat.files.checkpoints.stored import Stored, is_float
from minifloat.files.safetensors import Entry, new_header
from minifloat.quantization import quantize
from minifloat.quantization.recipes import Recipe

# Matrices that are no linear layers, or that loaders expect as they are: those of embeddings, the
# last layer, and the routers of a mixture of experts.
NO_LAYERS = (
    "lm_head.*", "*.lm_head.*", "output.weight", "*embed*", "*wte.*", "*wpe.*", "*.gate.weight",
    "*router*",
)  # fmt: skip
ALWAYS_LEFT_OUT = "lm_head"  # a layer that may share its weights with the embeddings

Named = tuple[str, str, tuple[int, ...]]  # the name, dtype and shape of a tensor


@dataclass(frozen=True)
class NewShard:
    """A shard to be written.

    Attributes
    ----------
    source : Shard
    tasks : tuple of Task
        Its tensors to quantize.
    copied : tuple of Stored
        Its other tensors.
    header : bytes
    entries : list of Entry
        The places of the tensors in the new file.
    """

    source: Shard
    tasks: tuple[Task, ...]
    copied: tuple[Stored, ...]
    header: bytes
    entries: list[Entry]

    @property
    def name(self) -> str:
        """The name of the file, that of the source's shard."""
        return self.source.path.name


@dataclass(frozen=True)
class Plan:
    """All shards, the tensors that are copied as they are, and the modules these belong to."""

    shards: tuple[NewShard, ...]
    copied: tuple[Skipped, ...]
    left_out: tuple[str, ...]

    @property
    def tasks(self) -> list[Task]:
        """The tensors to quantize, in file order."""
        return [task for shard in self.shards for task in shard.tasks]


def planned(
    model: Model,
    recipe: Recipe,
    layout: Layout,
    include: Sequence[str] | None,
    exclude: Sequence[str],
) -> Plan:
    """Return what is to be written.

    Raises
    ------
    ValueError
        If a pattern matches no tensor, none is left, one does not fit the layout, or two new
        tensors would have one name.
    """
    files = [
        (shard.path.name, _weights(shard, model, chosen=include is not None))
        for shard in model.shards
    ]
    tasks, copied = select(str(model.source), files, include, exclude, 0)
    made = _Made(recipe, layout)
    shards = tuple(
        _shard(shard, [task for task in tasks if task.file == shard.path.name], made)
        for shard in model.shards
    )
    _check_names(entry.name for shard in shards for entry in shard.entries)
    quantized = {task.info.name for task in tasks}
    matrices = [
        name.removesuffix(".weight")
        for shard in model.shards
        for name, stored in shard.tensors.items()
        if name not in quantized and name.endswith(".weight") and len(stored.shape) == 2
    ]
    if f"{ALWAYS_LEFT_OUT}.weight" not in quantized:
        matrices.append(ALWAYS_LEFT_OUT)
    return Plan(shards, tuple(copied), tuple(dict.fromkeys(matrices)))


def _weights(shard: Shard, model: Model, *, chosen: bool) -> WeightFile:
    """Return the tensors of a shard; what is not quantized is skipped, with the reason.

    Without patterns of the caller, ``chosen``, matrices of `NO_LAYERS` are not quantized.
    """
    tensors = []
    for name, stored in shard.tensors.items():
        info = TensorInfo(name, stored.shape, stored.dtype)
        if not is_float(stored.dtype):
            info = replace(info, skipped="not a float tensor")
        elif len(stored.shape) != 2:
            info = replace(info, skipped=f"not a matrix, but {len(stored.shape)}-d")
        elif not name.endswith(".weight") and name != "weight":
            info = replace(info, skipped="its name does not end in .weight")
        elif stored.size == 0:
            info = replace(info, skipped="empty")
        elif not chosen and matches(name, NO_LAYERS):
            info = replace(info, skipped="an embedding, a router or the last layer, by its name")
        tensors.append((info, model.loads[name]))
    return WeightFile(shard.path, tensors)


class _Made:
    """The tensors that weights of a shape become, found out once for each shape."""

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        self._recipe = recipe.replace(search="absmax")  # which does not matter here
        self._layout = layout
        self._known: dict[tuple[int, ...], list[Named]] = {}

    def of(self, name: str, shape: tuple[int, ...]) -> list[Named]:
        """Return the new tensors, with the names that they have for weights of this name."""
        if shape not in self._known:
            check_columns(name, shape, self._recipe)
            ones = quantize(np.ones(shape, np.float32), self._recipe)
            stored = self._layout.tensors("weight", ones)
            self._known[shape] = [(each.name, each.dtype, each.shape) for each in stored]
        stem = name.removesuffix("weight")
        return [(f"{stem}{ending}", dtype, new) for ending, dtype, new in self._known[shape]]


def _shard(shard: Shard, tasks: Sequence[Task], made: _Made) -> NewShard:
    quantized = {task.info.name for task in tasks}
    copied = tuple(stored for name, stored in shard.tensors.items() if name not in quantized)
    tensors = [(stored.name, stored.dtype, stored.shape) for stored in copied]
    tensors += [new for task in tasks for new in made.of(task.info.name, task.info.shape)]
    header, entries = new_header(tensors, {"format": "pt", **shard.metadata})
    return NewShard(shard, tuple(tasks), copied, header, entries)


def _check_names(names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise ValueError(
                f"source must not hold a tensor named {name!r}, as a part of quantized weights is "
                "named; leave these weights out by exclude"
            )
        seen.add(name)
