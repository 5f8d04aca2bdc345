"""A model whose input channels are put into blocks in another order, a draw of its rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

import minifloat as mf
from analysis.models.matrices import MatrixModel, SomeRecipe, dense

SomeModel = TypeVar("SomeModel", bound=MatrixModel)


def regrouped(model: SomeModel, recipe: SomeRecipe, grouping: int) -> SomeModel:
    """Return the model with matrices rounded by a recipe, in blocks of one grouping.

    A grouping is a permutation of the input channels of each matrix: before rounding the columns
    are permuted, and then put back. This changes nothing but which weights share a scale, so a
    recipe without blocks, of one scale for a row, gives the same weights in all groupings.

    Parameters
    ----------
    model : MatrixModel
    recipe : Recipe, format or str
        As for `minifloat.quantize`.
    grouping : int
        0 for the channels in the order of the file; each other number is another random order.

    Returns
    -------
    model of the same class
        Its matrices are float32: the rounded weights.

    Raises
    ------
    ValueError
        As `minifloat.quantize`.

    Examples
    --------
    >>> model = MatrixModel(matrices={"m": np.array([[1, 8, 1.1, 8.8]], np.float32)}, vectors={})
    >>> for grouping in (0, 5):
    ...     print(regrouped(model, "int3/2/float32", grouping).matrices["m"].round(2))
    [[0.  8.  0.  8.8]]
    [[1.1 8.8 1.1 8.8]]
    """
    rng = np.random.default_rng(grouping)
    matrices = {}
    for name, matrix in model.matrices.items():
        weights, inputs = dense(matrix), matrix.shape[1]
        order = rng.permutation(inputs) if grouping else np.arange(inputs)
        rounded = dense(mf.quantize(weights.take(order, axis=1), recipe))
        matrices[name] = rounded.take(np.argsort(order), axis=1)
    return replace(model, matrices=matrices)
