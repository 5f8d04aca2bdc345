"""What the matrices of a model are multiplied with while it reads, draws or listens."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from analysis.models.layers import Array
from analysis.models.matrices import Matrix, MatrixModel, product


class Recorder:
    """`analysis.models.matrices.product`, which keeps the inputs of a model's matrices.

    Parameters
    ----------
    model : MatrixModel
    names : collection of str, optional
        The matrices whose inputs are kept; all by default.

    Examples
    --------
    >>> from dataclasses import replace
    >>> model = MatrixModel(matrices={"m": np.eye(2, dtype="f4")}, vectors={})
    >>> recorder = Recorder(model)
    >>> heard = replace(model, multiply=recorder)
    >>> y = heard.multiply(np.ones((3, 2), np.float32), heard.matrices["m"])
    >>> recorder.inputs()["m"].shape
    (3, 2)
    """

    def __init__(self, model: MatrixModel, names: Collection[str] | None = None) -> None:
        kept = model.matrices if names is None else names
        self._names = {id(model.matrices[name]): name for name in kept}
        self._kept: dict[str, list[Array]] = {}

    def __call__(self, x: Array, matrix: Matrix, bias: Array | None = None, /) -> Array:
        """Return ``x @ matrix.T + bias``, and keep x."""
        name = self._names.get(id(matrix))
        if name is not None:
            self._kept.setdefault(name, []).append(x.reshape(-1, x.shape[-1]))
        return product(x, matrix, bias)

    def inputs(self, rows: int | None = None) -> dict[str, Array]:
        """Return the inputs of each matrix, or the first ``rows`` of them, (rows, inputs).

        The matrices are in the order of their first products.
        """
        return {name: np.concatenate(kept)[:rows] for name, kept in self._kept.items()}
