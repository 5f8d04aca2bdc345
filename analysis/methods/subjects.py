"""What the table of methods needs of a model: matrices, what they are multiplied by, and a loss.

What a model reads, sees or hears is of some kinds: `PARTS` parts of each of two texts, photos of
two origins, or recordings are for tests, and others, apart from them, for calibration. A matrix has
the Gram matrix X^T X of its inputs X on either; the inputs are those of the unchanged model. A
matrix of embeddings has one-hot inputs, of which its rows' squared error is the error: its Gram
matrix is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.matrices import MatrixModel
from analysis.models.recorder import Recorder

PARTS = 24  # of each text, each with a loss of its own

LEFT_OUT = ("blk", "blocks", "encoder", "layer")  # of the names of kinds of matrices
SAMPLES = 256  # of the inputs, that methods see beside the Gram matrix of all

Grams = Mapping[str, Array]  # by matrix, (inputs, inputs)
Model = TypeVar("Model", bound=MatrixModel)
Item = TypeVar("Item")


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

    @classmethod
    def both_uses(cls, outputs_of: Array) -> Inputs:
        """Return the inputs of embeddings that are the output matrix, too.

        Parameters
        ----------
        outputs_of : ndarray of float32, (rows, inputs)
            What the output matrix is multiplied by.

        Returns
        -------
        Inputs
            These and one-hot ones, each over the mean of the diagonal of their Gram matrix, so that
            both uses count alike (ours).
        """
        width = outputs_of.shape[1]
        scaled = outputs_of / np.sqrt(np.square(outputs_of).sum() / width)
        return cls.of(np.concatenate([scaled, np.eye(width, dtype=np.float32)]))


def inputs_over(
    model: Model,
    names: Collection[str],
    items: Sequence[Item],
    take: Callable[[Model, Item], object],
) -> dict[str, Inputs]:
    """Return the inputs of matrices over all items, of which one at a time is held.

    Parameters
    ----------
    model : MatrixModel
    names : collection of str
        Of the matrices.
    items : sequence
        Images, recordings or the like.
    take : callable
        Lets a model see or hear an item.

    Returns
    -------
    dict of str to Inputs

    Examples
    --------
    >>> small = MatrixModel(matrices={"m": np.eye(2, dtype="f4")}, vectors={})
    >>> items = [np.full((3, 2), k, np.float32) for k in (1, 2)]
    >>> found = inputs_over(small, ["m"], items, lambda m, x: m.multiply(x, m.matrices["m"]))
    >>> found["m"].gram[0], found["m"].samples.shape
    (array([15., 15.], dtype=float32), (6, 2))
    """
    sums: dict[str, NDArray[np.float64]] = {}
    samples: dict[str, list[Array]] = {}
    each = max(SAMPLES // len(items), 1)
    for item in items:
        recorder = Recorder(model, names)
        take(replace(model, multiply=recorder), item)
        for name, x in recorder.inputs().items():
            sums[name] = sums.get(name, 0) + (x.T @ x).astype(np.float64)
            samples.setdefault(name, []).append(x[:: -(-len(x) // each)].copy())
    return {
        name: Inputs(gram.astype(np.float32), np.concatenate(samples[name]))
        for name, gram in sums.items()
    }


def grams_of(inputs: Mapping[str, Inputs]) -> Grams:
    """Return the Gram matrices alone."""
    return {name: given.gram for name, given in inputs.items()}


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
        """Return the loss on each part of each kind, with other matrices for its own."""
        ...

    def divergence(self, name: str, matrix: Array) -> float:
        """Return how far another matrix, alone, moves the model on what calibrates."""
        ...


def place(name: str) -> tuple[str, int]:
    """Return what kind of matrix one is, and its layer; what is in no layer is in layer 0.

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
    >>> place("token_embd.weight"), place("_blocks.12._project_conv")
    (('token_embd', 0), ('project_conv', 12))
    >>> place("decoder/layer_4/ffn/linear_0/weight"), place("encoder/conv1/weight")
    (('decoder.ffn.linear_0', 4), ('conv1', 0))
    """
    parts = name.replace("/layer_", "/").replace("/", ".").removesuffix(".weight").split(".")
    layer = next((int(part) for part in parts if part.isdigit()), 0)
    others = [part.strip("_") for part in parts if not part.isdigit()]
    return ".".join(part for part in others if part not in LEFT_OUT), layer
