"""One tensor: quantized, as the tensors that store it, and what it lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.comparison.measuring import error_of
from minifloat.comparison.records import RecipeError, TensorErrors, ratio
from minifloat.conversion.containers import Place
from minifloat.conversion.gguf_names import order_of_rows
from minifloat.conversion.held import relabelled
from minifloat.conversion.layouts import LAYOUTS
from minifloat.files import TensorInfo, WeightsError
from minifloat.files.checkpoints.stored import Stored
from minifloat.files.checkpoints.weights import Value
from minifloat.quantization import gptq, joint_tensor_scale, quantize
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Load = Callable[[], Value]


@dataclass(frozen=True)
class Change:
    """A tensor to quantize.

    Attributes
    ----------
    file : str
        The shard that holds it.
    info : TensorInfo
    place : Place
        What it becomes.
    is_held : bool
        Whether the source holds it quantized, and only its layout changes.
    load : callable
        Returns its numbers, or the `Quantized` that the source holds.
    axis : int
        Along which blocks run.
    fused : tuple of callable
        Load the tensors that share its tensor scale, itself too; none without others.
    beside : tuple
        Size and time of change of the shards of these, and of its own parts.
    """

    file: str
    info: TensorInfo
    place: Place
    is_held: bool
    load: Load
    axis: int
    fused: tuple[Load, ...]
    beside: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Job:
    """The work on a tensor; it can be pickled, and may run in another process.

    Attributes
    ----------
    change : Change
    recipe : Recipe
    layout : str
        A name of `LAYOUTS`.
    hessian : callable or None
        Loads the Hessian of the layer's inputs.
    """

    change: Change
    recipe: Recipe
    layout: str
    hessian: Callable[[], NDArray[Any]] | None

    def __call__(self) -> tuple[list[Stored], TensorErrors]:
        """Return the tensors to write, and what was lost.

        Raises
        ------
        ValueError
            If the weights cannot be quantized; it names them.
        """
        change = self.change
        try:
            weights, quantized = self._quantized()
            bits, largest, squared_error = error_of(weights, quantized)
            stored = LAYOUTS[self.layout].tensors(change.place.name, quantized)
        except WeightsError:
            raise
        except ValueError as error:
            raise ValueError(
                f"{change.info.name!r} cannot be quantized: {error}; or leave it out by exclude"
            ) from error
        absmax, squared_weight = max_and_squares(weights.reshape(-1))
        lost = RecipeError(
            str(self.recipe),
            self.recipe.fmt.bits,
            weights.size,
            bits,
            squared_error,
            squared_weight,
            largest,
            ratio(largest, absmax),
        )
        info = change.info
        return stored, TensorErrors(
            change.file, info.name, info.dtype, info.shape, (lost,), info.note
        )

    def _quantized(self) -> tuple[NDArray[Any], Quantized]:
        """Return the weights in the order of their rows in the new file, and quantized."""
        change, heads = self.change, self.change.place.heads
        held = change.load()
        order = order_of_rows(heads, held.shape[0]) if heads else None
        if change.is_held:
            same = relabelled(held, self.recipe)
            picked = same if order is None else same[order]
            return picked.dequantize(), picked
        weights = np.asarray(held)
        weights = weights if order is None else weights[order]
        shared: dict[str, Any] = {}
        if change.fused:
            every = (np.asarray(load()) for load in change.fused)
            shared["tensor_scale"] = joint_tensor_scale(every, self.recipe)
        if self.hessian is None:
            return weights, quantize(weights, self.recipe, axis=change.axis, **shared)
        return weights, gptq(weights, self.recipe, self.hessian(), **shared)
