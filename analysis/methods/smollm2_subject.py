"""SmolLM2 as a subject: nats per token on chunks of two texts.

It multiplies by its embeddings, too (`Inputs.both_uses`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.methods.sensitivities import Scorer
from analysis.methods.subjects import PARTS, SAMPLES, Grams, Inputs
from analysis.models import smollm2
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.recorder import Recorder
from analysis.models.texts import TEXTS

CALIBRATED = 2  # chunks of each part of a text for calibration, from its middle on
HEARD = 64  # tokens of each text for divergences
EMBEDDINGS = "token_embd.weight"
SAME_INPUTS = {"attn_k": "attn_q", "attn_v": "attn_q", "ffn_up": "ffn_gate"}


@dataclass(frozen=True)
class SmolLM2:
    """The model, its texts, and the Gram matrices of its inputs.

    Attributes
    ----------
    model : Llama
    tests : mapping of str to sequence of ndarray of integers, (tokens,)
        Chunks of each text.
    heard : sequence of ndarray of integers, (tokens,)
        Chunks of calibration texts, on which divergences are measured.
    calibration : mapping of str to Inputs
    test : mapping of str to ndarray of float32
    """

    model: Llama
    tests: Mapping[str, Sequence[Tokens]]
    heard: Sequence[Tokens]
    calibration: Mapping[str, Inputs]
    test: Grams
    name = smollm2.MODEL

    @classmethod
    def load(cls, *, quick: bool = False) -> SmolLM2:
        """Read the model and its texts; quickly with one chunk of each.

        Raises
        ------
        MissingPackage
            If the package of the model, or of a text, is not installed.
        """
        model, words = smollm2.load(), smollm2.tokenizer()
        if quick:
            shape = replace(model.shape, layers=1)
            kept = {n: m for n, m in model.matrices.items() if n.startswith(("blk.0.", EMBEDDINGS))}
            model = replace(model, shape=shape, matrices=kept)
        tests: dict[str, Sequence[Tokens]] = {}
        calibration: list[Tokens] = []
        heard: list[Tokens] = []
        count = 1 if quick else PARTS
        for text, read in TEXTS.items():
            tokens = np.array(words.encode(read()).ids)
            tests[text] = list(smollm2.chunks(tokens)[0][:count])
            others = middles(tokens, CALIBRATED)[: CALIBRATED * count]
            calibration += others
            heard.append(others[0][:HEARD])
        every = [chunk for chunks in tests.values() for chunk in chunks]
        given = {name: each.gram for name, each in inputs_of(model, every).items()}
        return cls(model, tests, heard, inputs_of(model, calibration), given)

    @property
    def matrices(self) -> Mapping[str, Array]:
        """All matrices of the model."""
        return self.model.matrices  # type: ignore[return-value]  # loaded as float32

    def losses(self, matrices: Mapping[str, Array]) -> dict[str, list[float]]:
        """Return nats per token of each chunk of each text."""
        model = replace(self.model, matrices={**self.model.matrices, **matrices})
        return {
            text: [smollm2.nats(model, chunk) for chunk in chunks]
            for text, chunks in self.tests.items()
        }

    def divergence(self, name: str, matrix: Array) -> float:
        """Return the mean Kullback-Leibler divergence of the predicted tokens, in nats."""
        return self._scorer.changed(name, matrix)[0]

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer.of(self.model, self.heard)


def middles(tokens: Tokens, count: int) -> list[Tokens]:
    """Return chunks from the middle of each part of a text; `smollm2.chunks` tests its beginnings.

    Parameters
    ----------
    tokens : ndarray of integers, 1-d
    count : int
        Chunks of each part.

    Returns
    -------
    list of ndarray of integers, (chunk,)

    Examples
    --------
    >>> found = middles(np.arange(24 * 1000), 2)
    >>> [(int(chunk[0]), len(chunk)) for chunk in found[:3]]
    [(500, 128), (628, 128), (1500, 128)]
    """
    size, part = smollm2.CHUNK, len(tokens) // PARTS
    starts = [index * part + part // 2 + k * size for index in range(PARTS) for k in range(count)]
    return [tokens[start : start + size] for start in starts]


def inputs_of(model: Llama, chunks: Sequence[Tokens]) -> dict[str, Inputs]:
    """Return the inputs of each matrix; matrices with the same inputs share them.

    Parameters
    ----------
    model : Llama
    chunks : sequence of ndarray of integers, (tokens,)

    Returns
    -------
    dict of str to Inputs
    """
    sums: dict[str, NDArray[np.float64]] = {}
    rows: dict[str, list[Array]] = {}
    every = max(sum(map(len, chunks)) // SAMPLES, 1)

    def observe(name: str, x: Array) -> None:
        if name.split(".")[2] not in SAME_INPUTS:
            sums[name] = sums.get(name, 0) + (x.T @ x).astype(np.float64)
            rows.setdefault(name, []).append(x[::every])

    inputs = [model.embed(chunk) for chunk in chunks]
    for layer in range(model.shape.layers):
        inputs = [model.layer(layer, x, model.cache(len(x)), observe) for x in inputs]
    found = {
        name: Inputs(gram.astype(np.float32), np.concatenate(rows[name]))
        for name, gram in sums.items()
    }
    for layer in range(model.shape.layers):
        for kind, other in SAME_INPUTS.items():
            found[f"blk.{layer}.{kind}.weight"] = found[f"blk.{layer}.{other}.weight"]
    recorder = Recorder(model, [EMBEDDINGS])
    for x in inputs:
        replace(model, multiply=recorder).project(x)
    found[EMBEDDINGS] = Inputs.both_uses(recorder.inputs()[EMBEDDINGS])
    return found
