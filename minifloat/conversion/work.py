"""One tensor: quantized, as the tensors that store it, and what it lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from minifloat.comparison.measuring import error_of
from minifloat.comparison.records import RecipeError, TensorErrors, ratio
from minifloat.comparison.selection import Task
from minifloat.conversion.layouts import LAYOUTS
from minifloat.files import WeightsError
from minifloat.files.checkpoints.stored import Stored
from minifloat.quantization import gptq, quantize
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.recipes import Recipe


@dataclass(frozen=True)
class Job:
    """A tensor to quantize; it can be pickled, and may run in another process.

    Attributes
    ----------
    task : Task
    recipe : Recipe
    layout : str
        A name of `LAYOUTS`.
    hessian : callable or None
        Loads the Hessian of the layer's inputs.
    """

    task: Task
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
        info = self.task.info
        try:
            weights = self.task.load()
            if self.hessian is None:
                quantized = quantize(weights, self.recipe)
            else:
                quantized = gptq(weights, self.recipe, self.hessian())
            bits, largest, squared_error = error_of(weights, quantized)
            stored = LAYOUTS[self.layout].tensors(info.name, quantized)
        except WeightsError:
            raise
        except ValueError as error:
            raise ValueError(
                f"{info.name!r} cannot be quantized: {error}; or leave it out by exclude"
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
        return stored, TensorErrors(
            self.task.file, info.name, info.dtype, info.shape, (lost,), info.note
        )
