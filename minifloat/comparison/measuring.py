"""The error of every recipe on one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.comparison.records import RecipeError, Skipped, TensorErrors, ratio
from minifloat.comparison.selection import Task
from minifloat.quantization import quantize
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]


def measure(
    task: Task,
    recipes: Sequence[Recipe],
    axis: int,
    after_recipe: Callable[[int], object] | None = None,
) -> TensorErrors | Skipped:
    """Return the error of every recipe on one tensor, or why some recipe has none.

    Parameters
    ----------
    task : Task
    recipes : sequence of Recipe
    axis : int
        Tensors without this axis are quantized along their last one.
    after_recipe : callable, optional
        Called with the number of recipes done.
    """
    try:
        weights = np.ascontiguousarray(task.load())  # makes a 0-d tensor one element
    except ValueError as error:
        return task.skipped(str(error).removeprefix(f"{task.file}: "))
    if not -weights.ndim <= axis < weights.ndim:
        axis = -1
    flat = weights.reshape(-1)
    absmax, squared_weight = max_and_squares(flat)
    errors: list[RecipeError] = []
    for recipe in recipes:
        try:
            bits, largest, squared_error = _quantization_error(weights, recipe, axis)
        except ValueError as error:  # of weights that are not finite for all recipes alike
            whose = f"{recipe}: " if math.isfinite(absmax) else ""
            return task.skipped(f"{whose}{error}")
        figures = (squared_error, squared_weight, largest, ratio(largest, absmax))
        errors.append(RecipeError(str(recipe), recipe.fmt.bits, weights.size, bits, *figures))
        if after_recipe is not None:
            after_recipe(len(errors))
    info = task.info
    return TensorErrors(task.file, info.name, info.dtype, info.shape, tuple(errors), info.note)


def _quantization_error(weights: Array, recipe: Recipe, axis: int) -> tuple[float, float, Fraction]:
    """Return bits per weight, the largest error, and the sum of the squared errors."""
    if weights.size == 0:
        return float(recipe.fmt.bits), 0.0, Fraction(0)
    with np.errstate(all="ignore"):
        quantized = quantize(weights, recipe, axis=axis)
    return error_of(weights, quantized)


def error_of(weights: Array, quantized: Quantized) -> tuple[float, float, Fraction]:
    """Return bits per weight, the largest error, and the sum of the squared errors.

    Raises
    ------
    ValueError
        If a weight was quantized to infinity.
    """
    with np.errstate(all="ignore"):
        values = quantized.dequantize().reshape(-1)
    largest, squared_error = max_and_squares(weights.reshape(-1), values)
    if not math.isfinite(largest):
        raise ValueError("w must be quantized to finite values, got inf; scale w down")
    return float(quantized.bits_per_weight), largest, squared_error
