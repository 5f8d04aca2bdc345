"""What the table of methods needs of a model: matrices, what they are multiplied by, and a loss.

Of each of two texts, `PARTS` parts are for tests, and others, apart from them, for calibration. A
matrix has the Gram matrix X^T X of its inputs X on either; the inputs are those of the unchanged
model. A matrix of embeddings has one-hot inputs, of which its rows' squared error is the error: its
Gram matrix is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from analysis.models.layers import Array

PARTS = 24  # of each text, each with a loss of its own

Grams = Mapping[str, Array]  # by matrix, (inputs, inputs)


class Subject(Protocol):
    """A model whose matrices are replaced.

    Attributes
    ----------
    name : str
    matrices : mapping of str to ndarray of float32, (outputs, inputs)
        Those that methods quantize.
    calibration, test : mapping of str to ndarray of float32, (inputs, inputs)
        Gram matrices of the inputs of each matrix.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def matrices(self) -> Mapping[str, Array]: ...  # noqa: D102
    @property
    def calibration(self) -> Grams: ...  # noqa: D102
    @property
    def test(self) -> Grams: ...  # noqa: D102

    def losses(self, matrices: Mapping[str, Array]) -> dict[str, list[float]]:
        """Return the loss on each part of each text, with other matrices for its own."""
        ...

    def divergence(self, name: str, matrix: Array) -> float:
        """Return how far another matrix, alone, moves the model on calibration text."""
        ...


def place(name: str) -> tuple[str, int]:
    """Return what kind of matrix one is, and its layer; embeddings are in layer 0.

    Parameters
    ----------
    name : str

    Returns
    -------
    kind : str
    layer : int

    Examples
    --------
    >>> place("blk.3.attn_q.weight"), place("encoder.layer.5.output.dense.weight")
    (('attn_q', 3), ('output.dense', 5))
    >>> place("token_embd.weight")
    ('token_embd', 0)
    """
    parts = name.removesuffix(".weight").split(".")
    layer = next((int(part) for part in parts if part.isdigit()), 0)
    others = [part for part in parts if not part.isdigit()]
    return ".".join(part for part in others if part not in ("blk", "encoder", "layer")), layer
