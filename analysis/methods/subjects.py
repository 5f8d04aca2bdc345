"""What the table of methods needs of a model: matrices, what they are multiplied by, and a loss.

Of each of two texts, `PARTS` parts are for tests, and others, apart from them, for calibration. A
matrix has the Gram matrix X^T X of its inputs X on either; the inputs are those of the unchanged
model. A matrix of embeddings has one-hot inputs, of which its rows' squared error is the error: its
Gram matrix is the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array

PARTS = 24  # of each text, each with a loss of its own

SAMPLES = 256  # of the inputs, that methods see beside the Gram matrix of all

Grams = Mapping[str, Array]  # by matrix, (inputs, inputs)


class Inputs(NamedTuple):
    """What a matrix is multiplied by, on calibration text.

    Attributes
    ----------
    gram : ndarray of float32, (inputs, inputs)
        X^T X of all inputs X.
    samples : ndarray of float32, (samples, inputs)
        Some of them, about `SAMPLES`.
    """

    gram: Array
    samples: Array

    @classmethod
    def of(cls, x: Array) -> Inputs:
        """Return those of a matrix of inputs, (rows, inputs).

        Examples
        --------
        >>> given = Inputs.of(np.ones((1000, 2), np.float32))
        >>> given.gram[0], given.samples.shape
        (array([1000., 1000.], dtype=float32), (334, 2))
        """
        return cls((x.T @ x).astype(np.float32), x[:: max(len(x) // SAMPLES, 1)].copy())

    @classmethod
    def one_hot(cls, inputs: int) -> Inputs:
        """Return inputs under which the error is the squared error of the weights."""
        identity = np.eye(inputs, dtype=np.float32)
        return cls(identity, identity)

    def ordered(self, order: NDArray[np.int64]) -> Inputs:
        """Return them with the inputs in another order."""
        gram = np.ascontiguousarray(self.gram[np.ix_(order, order)])
        return Inputs(gram, np.ascontiguousarray(self.samples[:, order]))


class Subject(Protocol):
    """A model whose matrices are replaced.

    Attributes
    ----------
    name : str
    matrices : mapping of str to ndarray of float32, (outputs, inputs)
        Those that methods quantize.
    calibration : mapping of str to Inputs
        Of each matrix.
    test : mapping of str to ndarray of float32, (inputs, inputs)
        Gram matrices of other inputs of each matrix.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  # described above
    @property
    def matrices(self) -> Mapping[str, Array]: ...  # noqa: D102  # described above
    @property
    def calibration(self) -> Mapping[str, Inputs]: ...  # noqa: D102  # described above
    @property
    def test(self) -> Grams: ...  # noqa: D102  # described above

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
