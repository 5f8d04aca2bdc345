"""Factors of inputs: weights are multiplied by them and quantized, inputs are divided by them.

    y = W x = (W f) (x / f)                    f: a factor for each input

moves magnitude from inputs to weights without changing the outputs. With a rotation R of the recipe
the factors come first: R acts on W f and on x / f. Methods propose factors (`smoothing`,
`activation_aware`); `FactorSearch` quantizes with each proposal, and keeps the one whose outputs
have the least squared error on given inputs, or no factors at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat import _arrays
from minifloat._tensors import AnyTensor
from minifloat.formats import NumberFormat
from minifloat.quantization import gptq, quantize
from minifloat.quantization.checks import check_within_float32
from minifloat.quantization.hessians import checked_damp
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

LEAST, LARGEST = 2.0**-14, 2.0**15  # factors: float16 holds these with all its bits


def checked_layer(
    w: ArrayLike | AnyTensor, inputs: ArrayLike | AnyTensor
) -> tuple[Array, NDArray[np.float32]]:
    """Return a layer's weights, and inputs that it gets.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
    inputs : array_like, (samples, inputs)

    Returns
    -------
    weights : ndarray of float32 or float64, (outputs, inputs)
        float64 if ``w`` is float64 or integers.
    inputs : ndarray of float32, (samples, inputs)

    Raises
    ------
    ValueError
        If a shape is another, there is no weight or no sample, or a number is not finite in
        float32.
    TypeError
        If they are not numeric.
    """
    weights, name = _arrays.source_array(w, "w")
    if weights.ndim != 2 or not weights.size:
        raise ValueError(f"w must be of shape (outputs, inputs), got shape {weights.shape}")
    samples = _arrays.source_array(inputs, "inputs")[0]
    if samples.ndim != 2 or samples.shape[1] != weights.shape[1] or not len(samples):
        raise ValueError(
            f"inputs must be of shape (samples, {weights.shape[1]}), a column for each column of "
            f"w, got shape {samples.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        weights = weights.astype(np.float64 if name == "float64" else np.float32)
        samples = samples.astype(np.float32)
    check_within_float32("w", weights)
    check_within_float32("inputs", samples)
    return weights, samples


def activations_of(activations: Recipe | NumberFormat | str, recipe: Recipe) -> Recipe:
    """Return the recipe of inputs, which are rotated as the weights are.

    Raises
    ------
    ValueError
        If it has another rotation than the weights'.
    """
    parsed = Recipe.parse(activations)
    if parsed.rotation not in (None, recipe.rotation):
        raise ValueError(
            f"activations must have no rotation, or that of the weights, {recipe.rotation}, got "
            f"{parsed}"
        )
    return parsed.replace(rotation=recipe.rotation)


def centred(factors: Array, live: Array) -> NDArray[np.float32]:
    """Return factors over the root of their largest times their smallest, as float16 holds them.

    Parameters
    ----------
    factors : ndarray of float, (inputs,)
    live : ndarray of bool, (inputs,)
        Where the factors mean something: elsewhere the factor becomes 1.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites.input_factors import centred
    >>> centred(np.array([1.0, 16.0, 0.0]), np.array([True, True, False]))
    array([0.25, 4.  , 1.  ], dtype=float32)
    """
    found = np.ones(len(factors))
    if live.any():
        logs = np.log2(factors[live])
        found[live] = np.exp2(logs - (logs.max() + logs.min()) / 2)
    return np.clip(found, LEAST, LARGEST).astype(np.float16).astype(np.float32)


class FactorSearch:
    """A layer whose weights, and perhaps inputs, are quantized with factors of its inputs.

    Parameters
    ----------
    weights, inputs : ndarray
        As of `checked_layer`.
    recipe : Recipe
    activations : Recipe, format or str, optional
        Of inputs; default: they are not quantized.
    damp : float, optional
        Weights are rounded by GPTQ, damped by so much; default: to nearest.
    """

    def __init__(
        self,
        weights: Array,
        inputs: NDArray[np.float32],
        recipe: Recipe,
        activations: Recipe | NumberFormat | str | None = None,
        damp: float | None = None,
    ) -> None:
        self.weights, self.inputs, self.recipe = weights, inputs, recipe
        self.activations = None if activations is None else activations_of(activations, recipe)
        self.damp = None if damp is None else checked_damp(damp)
        wide: Array = inputs.astype(np.float64)
        if activations is None and len(wide) > wide.shape[1]:
            wide = np.asarray(np.linalg.qr(wide, mode="r"))  # fewer, with outputs as long
        self._wide = wide
        self._hessian = None if damp is None else wide.T @ wide
        self._exact: Array = np.empty(0)  # outputs, where inputs are quantized
        if activations is not None:
            self._exact = wide @ weights.T.astype(np.float64)

    def quantized(self, factors: Array | None) -> Quantized:
        """Return the weights times factors, quantized; by GPTQ with H over the factors' products.

        Parameters
        ----------
        factors : ndarray of float32, (inputs,), or None
        """
        weights = self.weights
        hessian = self._hessian
        if factors is not None:
            weights = (weights * factors).astype(weights.dtype)
            if hessian is not None:
                hessian = hessian / factors / factors[:, np.newaxis]
        if hessian is None:
            return quantize(weights, self.recipe)
        assert self.damp is not None
        return gptq(weights, self.recipe, hessian, damp=self.damp)

    def loss(self, q: Quantized, factors: Array | None) -> float:
        """Return the sum of the outputs' squared errors on the inputs.

        Parameters
        ----------
        q : Quantized
            The result of `quantized`.
        factors : ndarray of float32, (inputs,), or None
        """
        held = q.dequantize().astype(np.float64)
        if self.activations is None:
            held = held if factors is None else held / factors
            errors = self._wide @ (held - self.weights).T
        else:
            given = self.inputs if factors is None else self.inputs / factors
            rounded = quantize(given, self.activations).dequantize().astype(np.float64)
            errors = rounded @ held.T - self._exact
        return float(np.sum(errors * errors))

    def best(
        self, candidates: Iterable[NDArray[np.float32]]
    ) -> tuple[Quantized, NDArray[np.float32] | None, float]:
        """Return the weights, factors and loss of the best candidate, or of no factors.

        Parameters
        ----------
        candidates : iterable of ndarray of float32, (inputs,)
            Of equal losses the first wins, and no factors are before all.
        """
        plain = self.quantized(None)
        found: tuple[Quantized, NDArray[np.float32] | None, float]
        found = plain, None, self.loss(plain, None)
        for factors in candidates:
            q = self.quantized(factors)
            loss = self.loss(q, factors)
            if loss < found[2]:
                found = q, factors, loss
        return found
