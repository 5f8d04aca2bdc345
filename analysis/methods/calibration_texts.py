"""Calibration without data: GPTQ of SmolLM2 on text that the model writes itself.

The first `LAYERS` layers are rounded by `analysis.models.calibration.gptq`, all else stays as it
is, and the loss is measured on texts that no calibration has seen. The calibrations, of `COUNT`
texts of `CHUNK` tokens each:

- a text's own other chunks, and the other text's: real data of the same and of another kind
- ``written``: the model's own, as in LLM-QAT (arXiv 2305.17888): the first token is drawn from the
  vocabulary, the next `GREEDY` are the likeliest ones, all others are drawn from what the model
  predicts. (LLM-QAT takes the likeliest for the first 3 to 5 tokens.)
- ``random``: tokens drawn from the vocabulary, each as likely
- ``nearest``: no calibration, rounded to nearest

**Criteria**

One calibration is *better* than another for a text if the mean of the paired differences of the
losses over its chunks is beyond two standard errors, and at least `BETTER` nats per token: rounding
is one draw, which the standard error over chunks does not cover, and regrouped channels move the
loss by some 0.02.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.models import smollm2
from analysis.models.calibration import gptq
from analysis.models.evaluation import Progress, counter
from analysis.models.llama import Llama, Tokens
from analysis.models.matrices import dense
from analysis.models.packed_cache import PackedCache
from analysis.models.texts import TEXTS
from analysis.records import Rows
from minifloat.caches import CacheRecipe

RECIPE = "int3/128/float16"
LAYERS = 6
COUNT, CHUNK = 16, 128  # texts of a calibration, and their tokens
MEASURED = 6  # chunks of each text
GREEDY = 4
BETTER = 0.04  # nats per token
WRITTEN, RANDOM, NEAREST = "written", "random", "nearest"


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Calibrate and measure the loss of each chunk.

    Parameters
    ----------
    quick : bool
        Without calibration, and few short texts.
    progress : callable, optional
        Called with the steps done and all steps.

    Returns
    -------
    list of dict
        ``calibration`` (one of the texts, or ``written``, ``random``, ``nearest``; "fp32" is the
        model as it is), ``text``, ``chunk`` and its ``loss`` in nats per token.

    Raises
    ------
    MissingPackage
        If the package with the model is missing.
    """
    model, words = smollm2.load(), smollm2.tokenizer()
    measured, calibrations = dict[str, Tokens](), dict[str, Tokens]()
    for name, read in TEXTS.items():
        evaluated, others = smollm2.chunks(np.array(words.encode(read()).ids))
        measured[name] = evaluated[: 1 if quick else MEASURED]
        calibrations[name] = others[:COUNT, :CHUNK]
    vocabulary = model.matrices["token_embd.weight"].shape[0]
    if not quick:
        calibrations[WRITTEN] = written(model, COUNT, CHUNK)
        calibrations[RANDOM] = np.random.default_rng(1).integers(vocabulary, size=(COUNT, CHUNK))
    calibrations = {} if quick else calibrations
    step = counter(progress, len(calibrations) * LAYERS + 2)
    rows = _measure("fp32", model, measured)
    step()
    rows += _measure(NEAREST, rounded(model), measured)
    step()
    for name, chunks in calibrations.items():
        changed = gptq(model, RECIPE, chunks, step, layers=LAYERS)
        rows += _measure(name, changed, measured)
    return rows


def rounded(model: Llama) -> Llama:
    """Return the model with the matrices of the first layers rounded to nearest."""
    packed = {
        name: mf.quantize(dense(matrix), RECIPE)
        for name, matrix in model.matrices.items()
        if name.startswith("blk.") and int(name.split(".")[1]) < LAYERS
    }
    return replace(model, matrices={**model.matrices, **packed})


def written(model: Llama, count: int, length: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return texts that a model writes.

    Parameters
    ----------
    model : Llama
    count : int
        Texts, which are written side by side.
    length : int
        Tokens of each, at least 1.
    seed : int

    Returns
    -------
    ndarray of int64, (count, length)
    """
    rng = np.random.default_rng(seed)
    vocabulary = model.matrices["token_embd.weight"].shape[0]
    tokens = np.empty((count, length), np.int64)
    tokens[:, 0] = rng.integers(vocabulary, size=count)
    wide = CacheRecipe("int8", "int8", step=1, window=length)  # packs nothing
    cache = PackedCache(model, wide, length, texts=count)
    for at in range(1, length):
        x = model.embed(tokens[:, at - 1])
        for layer in range(model.shape.layers):
            x = model.layer(layer, x, cache)
        cache.length += 1
        scores = model.project(x).astype(np.float64)
        if at > GREEDY:  # the largest of these is drawn from the softmax (Gumbel's trick)
            scores += rng.gumbel(size=scores.shape)
        tokens[:, at] = scores.argmax(axis=1)
    return tokens


def _measure(calibration: str, model: Llama, texts: dict[str, Tokens]) -> Rows:
    return [
        {
            "calibration": calibration,
            "text": name,
            "chunk": chunk,
            "loss": smollm2.nats(model, tokens),
        }
        for name, chunks in texts.items()
        for chunk, tokens in enumerate(chunks)
    ]
