"""GPTQ of a Llama model: each layer's matrices are rounded for their own inputs.

The inputs come from calibration text that passes through the preceding layers, which are quantized
already, as in GPTQ (arXiv 2210.17323). Up to a factor, the Hessian of a matrix's squared output
error is the sum of the outer products of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.matrices import Matrix, SomeRecipe, dense

Hessian = NDArray[np.float64]


def gptq(
    model: Llama,
    recipe: SomeRecipe,
    chunks: Iterable[Tokens],
    step: Callable[[], object] = lambda: None,
    *,
    layers: int | None = None,
) -> Llama:
    """Return the packed model: its layers by GPTQ, its embeddings rounded to nearest.

    Parameters
    ----------
    model : Llama
        With float32 matrices.
    recipe : Recipe, format or str
        As for `minifloat.gptq`.
    chunks : iterable of ndarray of integers, 1-d
        Calibration text; each chunk begins a new context.
    step : callable
        Called after each layer.
    layers : int, optional
        So many of the first layers are packed, and nothing else. Default: all, and the embeddings.

    Returns
    -------
    Llama

    Raises
    ------
    ValueError
        As `minifloat.gptq`.
    """
    embeddings = "token_embd.weight"
    packed: dict[str, Matrix] = dict(model.matrices)
    if layers is None:
        packed[embeddings] = mf.quantize(dense(model.matrices[embeddings]), recipe)
        layers = model.shape.layers
    inputs = [replace(model, matrices=packed).embed(tokens) for tokens in chunks]
    for layer in range(layers):
        for name, hessian in hessians(model, layer, inputs).items():
            packed[name] = mf.gptq(dense(model.matrices[name]), recipe, hessian)
        packed_model = replace(model, matrices=packed)
        inputs = [packed_model.layer(layer, x, packed_model.cache(len(x))) for x in inputs]
        step()
    return replace(model, matrices=packed)


def hessians(model: Llama, layer: int, inputs: Iterable[Array]) -> dict[str, Hessian]:
    """Return the sum of x x^T over the inputs x of each matrix of a layer.

    Parameters
    ----------
    model : Llama
    layer : int
    inputs : iterable of ndarray of float32, (tokens, width)
        Of the layer.

    Returns
    -------
    dict of str to ndarray of float64, (inputs, inputs)
    """
    sums: dict[str, Hessian] = {}

    def observe(name: str, x: Array) -> None:
        sums[name] = sums.get(name, 0) + (x.T @ x).astype(np.float64)

    for x in inputs:
        model.layer(layer, x, model.cache(len(x)), observe)
    return sums
