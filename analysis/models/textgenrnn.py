"""textgenrnn: bits per character of a small LSTM, a language model that is quick to download.

Two LSTM layers read a window of 40 characters. The embeddings and the outputs of both layers,
concatenated, are averaged over the window by attention, and the average gives the logits of the
next character. A text begins with a mark; characters of index 0 fill the window before it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array, softmax
from analysis.models.matrices import MatrixModel, SomeRecipe, dense
from analysis.models.packages import PackageFile, optional
from analysis.models.texts import BIBLE, SHORTEST, TEXTS, passages

MODEL = "textgenrnn"
MODALITY = "text"
WEIGHTS = PackageFile(
    "textgenrnn",
    "2.0.0",
    "textgenrnn",
    "textgenrnn_weights.hdf5",
    "6a89ca4235ed9f00be7b2acd65d5fe4a099967d676bfe20afb696106286ffbca",
)
VOCABULARY = replace(
    WEIGHTS,
    path="textgenrnn_vocab.json",
    sha256="f9c6c0db9b07fb57da023d32df66e16a488d086c138e15706307bb5177c2be74",
)
FILES = (WEIGHTS, VOCABULARY, BIBLE)
MARK = "<s>"
WINDOW = 40
PASSAGES = 96  # of each text; the first `SHORTEST` characters of each
GATES = 4  # input, forget, cell, output


@dataclass(frozen=True, kw_only=True)
class CharacterModel(MatrixModel):
    """The model.

    Attributes
    ----------
    vocabulary : mapping of str to int
    matrices : mapping of str to Matrix
        ``embedding``, ``output``, and for each layer ``rnn_1 input`` and ``rnn_1 state``, which
        stack the rows of the gates.
    vectors : mapping of str to ndarray of float32
        Biases, and ``attention``.
    """

    vocabulary: Mapping[str, int]

    def nats(self, text: str) -> Array:
        """Return -log probability of each character of a text, given the preceding ones.

        Parameters
        ----------
        text : str
            Unknown characters get index 0.

        Returns
        -------
        ndarray of float32, (len(text),)
        """
        characters = [self.vocabulary.get(character, 0) for character in text]
        before = np.array([0] * (WINDOW - 1) + [self.vocabulary[MARK], *characters[:-1]])
        windows = np.lib.stride_tricks.sliding_window_view(before, WINDOW)
        x: Array = dense(self.matrices["embedding"])[windows]
        first = self._lstm("rnn_1", x)
        outputs = np.concatenate([x, first, self._lstm("rnn_2", first)], axis=-1)
        scores = outputs @ self.vectors["attention"]
        mean = np.einsum("wt,wtc->wc", softmax(scores), outputs)
        logits = self.multiply(mean, self.matrices["output"], self.vectors["output"])
        logits -= logits.max(axis=-1, keepdims=True)
        totals: Array = np.log(np.exp(logits).sum(axis=-1))
        chosen: Array = logits[np.arange(len(text)), characters]
        return totals - chosen

    def _lstm(self, layer: str, x: Array) -> Array:
        """Map (windows, characters, inputs) to (windows, characters, units)."""
        from_input = self.multiply(x, self.matrices[f"{layer} input"], self.vectors[layer])
        units = from_input.shape[-1] // GATES
        state, cell = np.zeros((2, len(x), units), np.float32)
        states = np.empty((*x.shape[:2], units), np.float32)
        for place in range(x.shape[1]):
            gates = from_input[:, place] + self.multiply(state, self.matrices[f"{layer} state"])
            add, keep, new, show = np.split(gates, GATES, axis=-1)
            cell = _sigmoid(keep) * cell + _sigmoid(add) * np.tanh(new)
            state = _sigmoid(show) * np.tanh(cell)
            states[:, place] = state
        return states


def _sigmoid(x: Array) -> Array:
    half = np.float32(0.5)
    y: Array = half + half * np.tanh(half * x)  # this form does not overflow
    return y


def load() -> CharacterModel:
    """Return the model as shipped, in float32.

    Returns
    -------
    CharacterModel

    Raises
    ------
    MissingPackage
        If textgenrnn or h5py is not installed.
    """
    with optional("h5py").File(WEIGHTS.find()) as file:

        def tensor(layer: str, name: str) -> Array:
            return np.asarray(file[f"{layer}/{layer}/{name}:0"], np.float32)

        matrices = {
            "embedding": tensor("embedding", "embeddings"),
            "output": np.ascontiguousarray(tensor("output", "kernel").T),
        }
        vectors = {
            "attention": tensor("attention", "attention_W")[:, 0],
            "output": tensor("output", "bias"),
        }
        for layer in ("rnn_1", "rnn_2"):
            # cuDNN's layout: the memory of each gate's input matrix is that of its transpose,
            # and there is one bias for the input and one for the state
            gates = np.split(tensor(layer, "kernel"), GATES, axis=1)
            matrices[f"{layer} input"] = np.concatenate([g.reshape(g.shape[::-1]) for g in gates])
            states = np.split(tensor(layer, "recurrent_kernel"), GATES, axis=1)
            matrices[f"{layer} state"] = np.concatenate(states)
            vectors[layer] = tensor(layer, "bias").reshape(2, -1).sum(axis=0)
    vocabulary = json.loads(VOCABULARY.find().read_text(encoding="utf-8"))
    return CharacterModel(vocabulary=vocabulary, matrices=matrices, vectors=vectors)


def evaluate(recipes: Sequence[SomeRecipe], *, progress: Progress | None = None) -> list[Result]:
    """Measure bits per character on two texts; see `analysis.models`."""
    model = load()
    texts = {name: passages(read(), PASSAGES) for name, read in TEXTS.items()}
    step = evaluation.counter(progress, (1 + len(recipes)) * len(texts) * PASSAGES)
    results: list[Result] = []
    for recipe, measured in model.variants(recipes):
        bits, nbytes = measured.storage
        line = "Kernels are compiled here."
        measured.nats(line)
        peak = measured.peak(partial(measured.nats, line))
        for text, lines in texts.items():
            items = []
            start = time.perf_counter()
            for line in lines:
                items.append(float(np.mean(measured.nats(line[:SHORTEST])) / np.log(2)))
                step()
            seconds = time.perf_counter() - start
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=text,
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=peak,
                    metric="bits per character",
                    items=tuple(items),
                    speed=PASSAGES * SHORTEST / seconds,
                    speed_unit="characters/s",
                    packed=recipe != REFERENCE,
                )
            )
    return results
