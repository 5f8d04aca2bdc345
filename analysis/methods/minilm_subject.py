"""MiniLM as a subject: 1 - cosine between embeddings of passages and those of its own weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.methods.subjects import PARTS, Grams, Inputs
from analysis.models import minilm
from analysis.models.layers import Array
from analysis.models.recorder import Recorder
from analysis.models.texts import TEXTS, passages

PASSAGES = 2  # of each part of a text, for tests; as many others for calibration
HEARD = 6  # of so many passages for calibration one is for divergences
KEPT = "embeddings.token_type_embeddings.weight"  # two rows, which stay float32


@dataclass(frozen=True)
class MiniLM:
    """The model, its texts, and the Gram matrices of its inputs.

    Attributes
    ----------
    model : Encoder
    tests : mapping of str to sequence of str
        Passages of each text.
    heard : sequence of str
        Calibration passages, on which divergences are measured.
    calibration : mapping of str to Inputs
    test : mapping of str to ndarray of float32
    """

    model: minilm.Encoder
    tests: Mapping[str, Sequence[str]]
    heard: Sequence[str]
    calibration: Mapping[str, Inputs]
    test: Grams
    name = minilm.MODEL

    @classmethod
    def load(cls, *, quick: bool = False) -> MiniLM:
        """Read the model and its texts; quickly with few passages.

        Raises
        ------
        MissingPackage
            If the package of the model, or of a text, is not installed.
        """
        model = minilm.load()
        count = PASSAGES * (1 if quick else PARTS)
        tests: dict[str, Sequence[str]] = {}
        calibration: list[str] = []
        for text, read in TEXTS.items():
            found = passages(read(), 2 * count)
            tests[text] = found[::2]
            calibration += found[1::2]
        every = [sentence for sentences in tests.values() for sentence in sentences]
        return cls(
            model,
            tests,
            calibration[::HEARD],
            inputs_of(model, calibration),
            {name: given.gram for name, given in inputs_of(model, every).items()},
        )

    @cached_property
    def matrices(self) -> Mapping[str, Array]:
        """All matrices of the model but `KEPT`."""
        matrices = self.model.matrices.items()
        return {n: m for n, m in matrices if n != KEPT}  # type: ignore[misc]  # loaded as float32

    def losses(self, matrices: Mapping[str, Array]) -> dict[str, list[float]]:
        """Return the mean 1 - cosine of each `PASSAGES` passages of each text."""
        model = replace(self.model, matrices={**self.model.matrices, **matrices})
        found = {}
        for text, sentences in self.tests.items():
            apart = _apart(_embedded(model, sentences), self._exact[text])
            found[text] = [float(part.mean()) for part in apart.reshape(-1, PASSAGES)]
        return found

    def divergence(self, name: str, matrix: Array) -> float:
        """Return the mean 1 - cosine with another matrix, on the passages that are heard."""
        model = replace(self.model, matrices={**self.model.matrices, name: matrix})
        return float(_apart(_embedded(model, self.heard), self._exact_heard).mean())

    @cached_property
    def _exact(self) -> dict[str, Array]:
        return {text: _embedded(self.model, each) for text, each in self.tests.items()}

    @cached_property
    def _exact_heard(self) -> Array:
        return _embedded(self.model, self.heard)


def inputs_of(model: minilm.Encoder, sentences: Iterable[str]) -> dict[str, Inputs]:
    """Return the inputs of each matrix; those of embeddings are one-hot.

    Parameters
    ----------
    model : Encoder
    sentences : iterable of str

    Returns
    -------
    dict of str to Inputs
    """
    names = [name for name in model.matrices if name.startswith("encoder")]
    recorder = Recorder(model, names)
    hearing = replace(model, multiply=recorder)
    for sentence in sentences:
        hearing.embed(sentence)
    found = {name: Inputs.of(x) for name, x in recorder.inputs().items()}
    for name, matrix in model.matrices.items():
        if name not in found:
            found[name] = Inputs.one_hot(matrix.shape[1])
    return found


def _embedded(model: minilm.Encoder, sentences: Iterable[str]) -> Array:
    return np.array([model.embed(sentence) for sentence in sentences])


def _apart(embeddings: Array, exact: Array) -> NDArray[np.float64]:
    """Return 1 - cosine of unit vectors: half their squared distance, which does not cancel."""
    distances = np.square(embeddings.astype(np.float64) - exact).sum(axis=-1) / 2
    return np.asarray(distances)
