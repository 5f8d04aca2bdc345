"""What is written: which tensors are quantized, and the place of every tensor in its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.comparison.records import Skipped
from minifloat.comparison.selection import Task, matches, select
from minifloat.conversion.change import Change
from minifloat.conversion.containers import Header, Named, Places
from minifloat.conversion.experts import axis_of_inputs, is_expert
from minifloat.conversion.fused import partners
from minifloat.conversion.held import check_held
from minifloat.conversion.layouts.layout import Layout
from minifloat.files import TensorInfo, WeightFile
from minifloat.files.checkpoints.model import Model, Shard
from minifloat.files.checkpoints.reading import SCALE, Weights
from minifloat.files.checkpoints.stored import Stored, is_float
from minifloat.quantization import quantize
from minifloat.quantization.recipes import Recipe

# Matrices that are no linear layers, or that loaders expect as they are: those of embeddings, the
# last layer, and the routers of a mixture of experts.
NO_LAYERS = (
    "lm_head.*", "*.lm_head.*", "output.weight", "*embed*", "*wte.*", "*wpe.*", "*.gate.weight",
    "*router*",
)  # fmt: skip
ALWAYS_LEFT_OUT = "lm_head"  # a layer that may share its weights with the embeddings


@dataclass(frozen=True)
class NewShard:
    """A file to be written.

    Attributes
    ----------
    name : str
    sources : tuple of Shard
        Those that its bytes come from.
    changes : tuple of Change
        Its tensors to quantize.
    copied : tuple of Stored
        Its other tensors.
    header : Header
        The beginning of the file, with the places of the tensors.
    """

    name: str
    sources: tuple[Shard, ...]
    changes: tuple[Change, ...]
    copied: tuple[Stored, ...]
    header: Header


@dataclass(frozen=True)
class Plan:
    """All files, the tensors that are copied or dropped, and the modules that stay as they are."""

    shards: tuple[NewShard, ...]
    copied: tuple[Skipped, ...]
    dropped: tuple[Skipped, ...]
    left_out: tuple[str, ...]

    @property
    def changes(self) -> list[Change]:
        """The tensors to quantize, in file order."""
        return [change for shard in self.shards for change in shard.changes]


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
        If a pattern matches no tensor, none is left, one does not fit the layout, two new tensors
        would have one name, or weights are quantized already by another recipe.
    """
    axis = axis_of_inputs(model)
    held = _by_shard(model)
    skipping = _Skipping(layout, axis, chosen=include is not None)
    files = [(shard.path.name, skipping.weights(shard, held[shard.path])) for shard in model.shards]
    tasks, copied = select(str(model.source), files, include, exclude, 0)
    chosen = {task.info.name: task for task in tasks}
    check_held(model, recipe, chosen)
    places = layout.container.places(model)
    dropped = {
        name: Skipped(shard.path.name, name, weights.description.dtype, reason)
        for shard in model.shards
        for name, weights in held[shard.path].items()
        if (reason := weights.description.skipped or places(name).dropped)
    }
    changes = _Changes(model, chosen, places, axis, fuses=layout.fuses and recipe.tensor_scale)
    stored = {name: each for shard in model.shards for name, each in shard.tensors.items()}
    made = _Made(recipe, layout)
    new_shards = []
    for name, sources in layout.container.files(model):
        names = [each for shard in sources for each in held[shard.path] if each not in dropped]
        changed = tuple(changes.of(each) for each in names if each in chosen)
        plain = tuple(
            layout.container.copied(stored[each], places(each))
            for each in names
            if each not in chosen
        )
        tensors = [(each.name, each.dtype, each.shape) for each in plain]
        tensors += [new for each in changed for new in made.of(each)]
        header = layout.container.header(tensors, sources, model, recipe)
        new_shards.append(NewShard(name, sources, changed, plain, header))
    _check_names(entry.name for shard in new_shards for entry in shard.header.entries)
    left = tuple(tensor for tensor in copied if tensor.name not in dropped)
    return Plan(tuple(new_shards), left, tuple(dropped.values()), _left_out(model, chosen))


class _Changes:
    """The changes of the tensors that are chosen.

    Parameters
    ----------
    model : Model
    chosen : dict of str to Task
    places : callable
    axis : int or None
        Of the inputs of experts that are one tensor.
    fuses : bool
        Whether layers that loaders fuse share a tensor scale.
    """

    def __init__(
        self,
        model: Model,
        chosen: Mapping[str, Task],
        places: Places,
        axis: int | None,
        *,
        fuses: bool,
    ) -> None:
        self._weights = model.weights
        self._chosen = chosen
        self._places = places
        self._axis = axis
        self._fuses = fuses
        self._facts = {name: shard.facts for shard in model.shards for name in shard.tensors}

    def of(self, name: str) -> Change:
        """Return the change of a tensor."""
        task = self._chosen[name]
        dimensions = len(task.info.shape)
        fused = partners(name, self._chosen) if self._fuses else ()
        parts = (part for each in (name, *fused) for part in self._weights[each].description.parts)
        return Change(
            task.file,
            task.info,
            self._places(name),
            bool(self._weights[name].description.layout),
            self._weights[name].load,
            dimensions - 1 if dimensions < 3 or self._axis is None else self._axis,
            tuple(self._weights[each].load for each in fused),
            tuple(dict.fromkeys(self._facts[part] for part in parts)),
        )


def _by_shard(model: Model) -> dict[object, dict[str, Weights]]:
    """Return the weights of each shard: those whose first part it holds."""
    owner = {name: shard.path for shard in model.shards for name in shard.tensors}
    held: dict[object, dict[str, Weights]] = {shard.path: {} for shard in model.shards}
    for name, weights in model.weights.items():
        held[owner[weights.description.parts[0]]][name] = weights
    return held


@dataclass(frozen=True)
class _Skipping:
    """Why tensors are not quantized.

    Attributes
    ----------
    layout : Layout
    axis : int or None
        Of the inputs of experts that are one tensor.
    chosen : bool
        Whether the caller has patterns; without them, matrices of `NO_LAYERS` are not quantized.
    """

    layout: Layout
    axis: int | None
    chosen: bool

    def weights(self, shard: Shard, held: dict[str, Weights]) -> WeightFile:
        """Return the tensors of a shard; what is not quantized is skipped, with the reason."""
        tensors = []
        for name, each in held.items():
            about = each.description
            info = TensorInfo(name, about.shape, about.dtype)
            reason = about.skipped if about.layout else about.skipped or self._reason(info)
            if reason != SCALE:
                tensors.append((replace(info, skipped=reason), _no_load))
        return WeightFile(shard.path, tensors)

    def _reason(self, info: TensorInfo) -> str:
        name, shape = info.name, info.shape
        if not is_float(info.dtype):
            return "not a float tensor"
        if info.parameters == 0:
            return "empty"
        if len(shape) == 3 and is_expert(name):
            return self._reason_of_experts()
        if len(shape) != 2:
            return f"not a matrix, but {len(shape)}-d"
        if not self.layout.matrices:
            return "not experts that are one tensor, which alone this layout stores"
        if not name.endswith(".weight") and name != "weight":
            return "its name does not end in .weight"
        if not self.chosen and matches(name, NO_LAYERS):
            return "an embedding, a router or the last layer, by its name"
        return ""

    def _reason_of_experts(self) -> str:
        if not self.layout.experts:
            return "experts that are one 3-d tensor, for which this layout has no place"
        if self.axis is None:
            return "experts that are one 3-d tensor, of which hidden_size tells no axis of inputs"
        if self.axis not in self.layout.experts:
            return f"experts that are one 3-d tensor with inputs along axis {self.axis}"
        return ""


def _no_load() -> NDArray[Any]:
    raise AssertionError("weights are loaded by the functions of the model")


class _Made:
    """The tensors that weights of a shape become, found out once for each shape."""

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        self._recipe = recipe
        self._layout = layout
        self._known: dict[tuple[str, tuple[int, ...]], list[Named]] = {}

    def of(self, change: Change) -> list[Named]:
        """Return the new tensors, with the names that they have for weights of this name."""
        name, shape = change.place.name, change.info.shape
        module, dot, last = name.rpartition(".")
        if (last, shape) not in self._known:
            self._check_blocks(change)
            absmax = self._recipe.replace(search="absmax")  # as good as any search here
            number = -1 if absmax.zero_point else 1  # so that zero points are above 0
            ones = quantize(np.full(shape, number, np.float32), absmax, axis=change.axis)
            try:
                stored = self._layout.tensors(last, replace(ones, recipe=self._recipe))
            except ValueError as error:
                raise ValueError(
                    f"{change.info.name} must have a shape that the layout stores, got {shape}: "
                    f"{error}; leave it out by exclude, or take another recipe"
                ) from error
            self._known[last, shape] = [(each.name, each.dtype, each.shape) for each in stored]
        known = self._known[last, shape]
        return [(f"{module}{dot}{new}", dtype, new_shape) for new, dtype, new_shape in known]

    def _check_blocks(self, change: Change) -> None:
        block, shape = self._recipe.block, change.info.shape
        if self._layout.whole_blocks and isinstance(block, int) and shape[change.axis] % block:
            raise ValueError(
                f"{change.info.name} must have rows of whole blocks of {block} weights for "
                f"{self._recipe}, got shape {shape}; leave it out by exclude, or take another block"
            )
        if self._recipe.rotation is not None:
            try:
                self._recipe.rotation.check_length(shape[change.axis])
            except ValueError as error:
                raise ValueError(
                    f"{change.info.name} must have a shape that can be rotated, got {shape}: "
                    f"{error}; or leave it out by exclude"
                ) from None


def _left_out(model: Model, chosen: Iterable[str]) -> tuple[str, ...]:
    """Return the modules whose matrices stay as they are."""
    quantized = set(chosen)
    matrices = [
        name.removesuffix(".weight")
        for name, each in model.weights.items()
        if name not in quantized and name.endswith(".weight") and len(each.description.shape) == 2
    ]
    if f"{ALWAYS_LEFT_OUT}.weight" not in quantized:
        matrices.append(ALWAYS_LEFT_OUT)
    return tuple(dict.fromkeys(matrices))


def _check_names(names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise ValueError(
                f"source must not hold a tensor named {name!r}, as a part of quantized weights is "
                "named; leave these weights out by exclude"
            )
        seen.add(name)
