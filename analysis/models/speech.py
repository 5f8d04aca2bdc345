"""Whisper base: what quantized weights do to the text it hears.

The package ships the weights in float16; computed in float32 they are the reference, called fp32.
All matrices are quantized, the convolutions as products and the token embeddings too: 98.5 % of the
numbers. Biases, gains, and the vectors of the positions stay float32.

`analysis.models.recordings` has the speech, and an item is a recording. Its four speakers speak
English, so the standard error over items says nothing about other voices. There are four metrics:

- nats per token: -ln p of each token of the transcript and of the end;
- divergence: Kullback-Leibler, in nats, of the decoder's distribution from that of fp32, at each
  token of the text that fp32 hears;
- word error rate, against the transcript: see `analysis.models.word_errors`;
- words that change, against the text that fp32 hears.

`analysis.models.transcription` decodes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, log_mel
from analysis.models.matrices import SomeRecipe
from analysis.models.predictions import divergence, log_probabilities
from analysis.models.recordings import SPEECH, Recording, recordings
from analysis.models.transcription import (
    SETTINGS,
    TOKENIZER,
    WEIGHTS,
    Vocabulary,
    greedy,
    load,
    transcribe,
    vocabulary,
)
from analysis.models.whisper import Whisper
from analysis.models.word_errors import errors, words

MODEL = "Whisper base"
MODALITY = "audio"
FILES = (*WEIGHTS, TOKENIZER, SETTINGS, SPEECH)
METRICS = (
    "nats per token", "divergence from fp32 in nats", "word error rate",
    "share of words that change",
)  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """What a model makes of a recording.

    Attributes
    ----------
    tokens : list of int
        Of the text that it hears.
    text : list of str
        Its words.
    nats : ndarray of float64, (tokens of the transcript + 1,)
        -ln p of each of them, and of the end.
    logarithms : ndarray of float32, (tokens of the text that fp32 hears + 1, vocabulary)
        ln p of all tokens, after the prompt and each of those.
    """

    tokens: list[int]
    text: list[str]
    nats: NDArray[np.float64]
    logarithms: Array


def listen(
    model: Whisper, vocabulary: Vocabulary, recording: Recording, exact: Heard | None = None
) -> Heard:
    """Return what a model makes of a recording.

    Parameters
    ----------
    model : Whisper
    vocabulary : Vocabulary
    recording : Recording
    exact : Heard, optional
        What fp32 makes of it; default: the model is fp32.

    Returns
    -------
    Heard
    """
    encoded = model.encode(log_mel(recording.samples(RATE)))
    tokens = greedy(model, vocabulary, encoded, exact.tokens if exact else ())
    spoken = [*vocabulary.encode(f" {recording.transcript}"), vocabulary.end]
    logarithms = forced(model, vocabulary, encoded, spoken[:-1])
    nats = -logarithms[np.arange(len(spoken)), spoken].astype(np.float64)
    along = forced(model, vocabulary, encoded, exact.tokens if exact else tokens)
    return Heard(tokens, words(vocabulary.decode(tokens)), nats, along)


def forced(model: Whisper, vocabulary: Vocabulary, encoded: Array, tokens: Sequence[int]) -> Array:
    """Return ln p of all tokens, after the prompt and after each of the given tokens.

    Parameters
    ----------
    model : Whisper
    vocabulary : Vocabulary
    encoded : ndarray of float32, (frames, width)
    tokens : sequence of int

    Returns
    -------
    ndarray of float32, (tokens + 1, vocabulary)
    """
    given = np.array([*vocabulary.prompt, *tokens])
    hidden = model.hidden(given, model.cache(encoded, len(given)))
    return log_probabilities(model.project(hidden[len(vocabulary.prompt) - 1 :]))


def figures(recording: Recording, ours: Heard, exact: Heard) -> tuple[float, ...]:
    """Return each of `METRICS` of a recording.

    Parameters
    ----------
    recording : Recording
    ours, exact : Heard
        What a model, and fp32, make of it.

    Returns
    -------
    tuple of float
    """
    spoken = words(recording.transcript)
    return (
        float(ours.nats.mean()),
        float(divergence(ours.logarithms, exact.logarithms).mean()),
        errors(ours.text, spoken) / len(spoken),
        errors(ours.text, exact.text) / max(1, len(exact.text)),
    )


def evaluate(recipes: Sequence[SomeRecipe], *, progress: Progress | None = None) -> list[Result]:
    """Measure all of `METRICS`; see `analysis.models`."""
    speech, model, tokens = recordings(), load(), vocabulary()
    step = evaluation.counter(progress, (1 + len(recipes)) * len(speech))
    sounds = [recording.samples(RATE) for recording in speech]
    longest, seconds = max(sounds, key=len), sum(map(len, sounds)) / RATE
    results: list[Result] = []
    exact: list[Heard] = []
    for recipe, measured in model.variants(recipes):
        bits, nbytes = measured.storage
        hear = partial(_hear, measured, tokens, longest)
        hear()  # compiles the kernels
        peak = measured.peak(hear)
        start = time.perf_counter()
        hear()
        speed = len(longest) / RATE / (time.perf_counter() - start)
        heard = []
        for number, recording in enumerate(speech):
            heard.append(listen(measured, tokens, recording, exact[number] if exact else None))
            step()
        exact = exact or heard
        items = zip(*map(figures, speech, heard, exact), strict=True)
        for metric, values in zip(METRICS, items, strict=True):
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=f"{len(speech)} recordings, {seconds:.0f} s",
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=peak,
                    metric=metric,
                    items=values,
                    speed=speed,
                    speed_unit="s of speech/s",
                    packed=recipe != REFERENCE,
                )
            )
    return results


def _hear(model: Whisper, vocabulary: Vocabulary, samples: Array) -> list[str]:
    return list(transcribe(model, vocabulary, samples))
