"""What a tensor loses by a recipe, for each kind of sensitivity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.formats.base import shown
from minifloat.quantization.errors import max_and_squares
from minifloat.quantization.quantized import Quantized

Array = NDArray[Any]
Sensitivity: TypeAlias = (
    Mapping[str, ArrayLike] | Callable[[str, NDArray[Any], Quantized], float] | None
)


def loss_of(name: str, weights: Array, quantized: Quantized, sensitivity: Sensitivity) -> float:
    """Return what a tensor loses; see `minifloat.allocation.allocate`.

    Raises
    ------
    ValueError
        If there is no such sensitivity, it does not fit the weights, or the loss is negative or not
        finite.
    TypeError
        If the sensitivity is of no known kind.
    """
    loss = _loss(name, weights, quantized, sensitivity)
    if not (math.isfinite(loss) and loss >= 0):
        raise ValueError(
            f"sensitivity must make losses that are finite and at least 0, got {loss:g} for "
            f"{name!r} by {quantized.recipe}"
        )
    return loss


def _loss(name: str, weights: Array, quantized: Quantized, sensitivity: Sensitivity) -> float:
    if callable(sensitivity):
        return float(sensitivity(name, weights, quantized))
    factor = np.ones(()) if sensitivity is None else _factor(name, weights, sensitivity)
    if factor.ndim == 0:
        squares = max_and_squares(weights.reshape(-1), quantized.dequantize().reshape(-1))[1]
        return float(factor) * float(squares)
    error = weights.astype(np.float64) - quantized.dequantize()
    if factor.ndim == 1:
        return float((np.square(error) * factor).sum())
    return max(0.0, float(((error @ factor) * error).sum()))  # below 0 by rounding alone


def _factor(name: str, weights: Array, sensitivity: Mapping[str, ArrayLike]) -> Array:
    """Return a tensor's sensitivity: a number, one for each input, or a matrix."""
    if name not in sensitivity:
        raise ValueError(f"sensitivity must have each tensor, got none for {name!r}")
    factor = np.asarray(sensitivity[name])
    if factor.dtype.kind not in "fiub":
        raise TypeError(f"sensitivity must be numbers, got {factor.dtype} for {name!r}")
    factor = factor.astype(np.float64)
    if not np.isfinite(factor).all() or (factor.ndim < 2 and (factor < 0).any()):
        raise ValueError(
            "sensitivity must be finite, and at least 0 but for matrices, got "
            f"{shown(sensitivity[name])} for {name!r}"
        )
    inputs = weights.shape[-1:] if weights.ndim == 2 else ()
    if factor.shape not in ((), inputs, inputs * 2):
        raise ValueError(
            "sensitivity must be a number or, for a matrix of shape (outputs, inputs), of shape "
            f"(inputs,) or (inputs, inputs), got {factor.shape} for {name!r} of {weights.shape}"
        )
    return factor
