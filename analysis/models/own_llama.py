"""Perplexity of a Llama of the user's own, by recipe, layer by layer in bounded memory.

All chunks of all texts go through a layer before the next one is read: first with the weights of
the file, called fp, then with those rounded by each recipe, from packed weights. So in memory are
one layer's weights in float32, or the matrix of embeddings or of the output, which may be larger;
the same packed; and for each recipe a vector of each token. Each chunk begins with the tokens that
the tokenizer puts before any text, if there are some.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minifloat as mf
from analysis.models.evaluation import REFERENCE, Progress, Result, counter
from analysis.models.layers import Array
from analysis.models.llama import Llama, Tokens
from analysis.models.llama_files import LlamaFile
from analysis.models.matrices import dense, product, rows
from analysis.models.packages import optional
from analysis.models.predictions import mean_nats
from analysis.models.texts import TEXTS
from minifloat.quantization.recipes import Recipe

CHUNKS, CHUNK = 24, 128  # of each text at most, and tokens of a chunk

Chunks = Mapping[str, Sequence[Tokens]]  # of each text, by its name
Step = Callable[[Llama, Any, Tokens], Any]  # from what a chunk was to what it is after a part


@dataclass
class _Run:
    """A recipe on its way through the layers.

    ``states`` has of each chunk its tokens, then a vector for each, (tokens, width), and at last
    its nats per token.
    """

    recipe: str
    states: list[Any]
    bits: float = 0.0
    nbytes: int = 0
    peak: int = 0
    seconds: float = 0.0

    @property
    def is_reference(self) -> bool:
        return self.recipe == REFERENCE


@dataclass(frozen=True)
class _Part:
    """A part of the model, and what it does; ``is_counted`` unless another part holds it too."""

    load: Callable[[], Llama]
    step: Step
    is_counted: bool = True


def chunks_of(text: str, tokenizer: Any) -> list[Tokens]:
    """Return chunks of a text, evenly spaced.

    Parameters
    ----------
    text : str
    tokenizer : tokenizers.Tokenizer

    Returns
    -------
    list of ndarray of integers
        At most `CHUNKS`, each of `CHUNK` tokens of the text, after those that the tokenizer puts
        before any text.

    Raises
    ------
    ValueError
        If the text has not two chunks.
    """
    before = tokenizer.encode("").ids
    tokens = np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
    count = min(CHUNKS, len(tokens) // CHUNK)
    if count < 2:
        raise ValueError(f"text must have at least {2 * CHUNK} tokens, got {len(tokens)}")
    apart = len(tokens) // count
    starts = range(0, count * apart, apart)
    return [np.concatenate([before, tokens[k : k + CHUNK]]).astype(np.int64) for k in starts]


def evaluate(
    file: LlamaFile,
    recipes: Sequence[Recipe | str],
    texts: Chunks,
    *,
    name: str = "Llama",
    progress: Progress | None = None,
) -> list[Result]:
    """Return nats per token of each text, with the weights of the file and with each recipe.

    Parameters
    ----------
    file : LlamaFile
    recipes : sequence of Recipe or str
        As for `minifloat.quantize`.
    texts : mapping of str to sequences of token arrays
        Chunks of at least two tokens each; the first one is not predicted.
    name : str
        Of the model, for the results.
    progress : callable, optional
        Called after each recipe of each layer.

    Returns
    -------
    list of Result
        Their speed is that of whole chunks, quantizing not counted; their peak is the most memory
        in NumPy's arrays while the recipe's part of a layer was worked on, for `REFERENCE` also
        while the layer was read.

    Raises
    ------
    ValueError
        If a token is beyond the model's vocabulary, or as `minifloat.quantize`.
    WeightsError
        As `LlamaFile.load`.
    """
    chunks = [chunk for chosen in texts.values() for chunk in chosen]
    largest = max(int(chunk.max()) for chunk in chunks)
    if largest >= file.vocabulary:
        raise ValueError(
            f"tokens must be below {file.vocabulary}, the model's vocabulary, got {largest}; use "
            "the model's own tokenizer"
        )
    runs = [_Run(str(recipe), list(chunks)) for recipe in (REFERENCE, *map(Recipe.parse, recipes))]
    step = counter(progress, len(runs) * (file.shape.layers + 2))
    _compile(file, runs[1:])
    weights = 0
    tracemalloc.start()
    try:
        for part in _parts(file):
            tracemalloc.reset_peak()
            model = part.load()
            weights += part.is_counted * sum(matrix.size for matrix in model.matrices.values())
            for run in runs:
                _pass(run, model, part, chunks)
                step()
                tracemalloc.reset_peak()
            del model  # before the next one is read
    finally:
        tracemalloc.stop()
    return [result for run in runs for result in _results(run, name, texts, weights)]


def _compile(file: LlamaFile, runs: Sequence[_Run]) -> None:
    """Use what each recipe needs once, before memory is counted: compiling takes some, too."""
    matrix = file.layer(0).matrices["blk.0.attn_k.weight"]
    for run in runs:
        packed = mf.quantize(dense(matrix), run.recipe)
        for count in (1, CHUNK):
            product(np.ones((count, packed.shape[1]), np.float32), packed)
        rows(packed, np.arange(1))


def _parts(file: LlamaFile) -> Iterator[_Part]:
    def nats(model: Llama, x: Array, tokens: Tokens) -> float:
        return mean_nats(model.project(x[:-1]), tokens[1:])

    yield _Part(file.embeddings, lambda model, tokens, _: model.embed(tokens))
    for index in range(file.shape.layers):
        yield _Part(
            partial(file.layer, index),
            lambda model, x, _: model.layer(0, x, model.cache(len(x))),
        )
    yield _Part(file.output, nats, is_counted=not file.is_tied)


def _pass(run: _Run, model: Llama, part: _Part, chunks: Sequence[Tokens]) -> None:
    """Take all chunks of a recipe through a part of the model."""
    if not run.is_reference:
        model = model.quantized(run.recipe)
    if part.is_counted:
        bits, nbytes = model.storage
        run.bits += bits * sum(matrix.size for matrix in model.matrices.values())
        run.nbytes += nbytes
    else:
        run.nbytes += sum(vector.nbytes for vector in model.vectors.values())
    start = time.perf_counter()
    for place, tokens in enumerate(chunks):
        run.states[place] = part.step(model, run.states[place], tokens)
    run.seconds += time.perf_counter() - start
    run.peak = max(run.peak, tracemalloc.get_traced_memory()[1])


def _results(run: _Run, name: str, texts: Chunks, weights: int) -> Iterator[Result]:
    tokens = sum(len(chunk) for chosen in texts.values() for chunk in chosen)
    first = 0
    for text, chosen in texts.items():
        items = tuple(run.states[first : first + len(chosen)])
        first += len(chosen)
        yield Result(
            model=name,
            modality="text",
            data=text,
            recipe=run.recipe,
            bits_per_weight=run.bits / weights,
            nbytes=run.nbytes,
            peak_nbytes=run.peak,
            metric="nats per token",
            items=items,
            speed=tokens / run.seconds,
            speed_unit="tokens/s",
            packed=not run.is_reference,
            note=f"perplexity {math.exp(sum(items) / len(items)):.2f}",
        )


def tokenizer_of(path: Path) -> Any:
    """Return the tokenizer of a tokenizer.json.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tokenizers.Tokenizer

    Raises
    ------
    ValueError
        If the file is no such file.
    OSError
        If it cannot be read.
    MissingPackage
        If the package tokenizers is not installed.
    """
    tokenizers = optional("tokenizers")
    data = path.read_bytes()
    try:
        return tokenizers.Tokenizer.from_buffer(data)
    except Exception as error:  # it raises Exception itself
        raise ValueError(
            f"tokenizer must be a tokenizer.json of Hugging Face, got {str(path)!r}: {error}"
        ) from error


def texts_of(path: Path | None) -> dict[str, str]:
    """Return a text of a file, by its name; without one the texts on which SmolLM2 is measured.

    Parameters
    ----------
    path : Path or None

    Returns
    -------
    dict of str to str

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not in UTF-8.
    MissingPackage
        If a package of the texts is not installed.
    """
    if path is None:
        return {name: read() for name, read in TEXTS.items()}
    return {path.name: path.read_text("utf-8")}
