"""Whisper base as a subject: how far the decoder's distributions move on recordings of speech.

The nine recordings of `analysis.models.recordings` are the parts of the test, and the prompts that
lie between them calibrate. The decoder gets the text that the unchanged model hears. Token
embeddings are the output matrix, too (`Inputs.both_uses`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from analysis.methods.subjects import Grams, Inputs, grams_of, inputs_over
from analysis.models import speech
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, log_mel
from analysis.models.predictions import divergence
from analysis.models.recordings import Recording, other_prompts, recordings
from analysis.models.speech import forced
from analysis.models.transcription import Vocabulary, greedy, load, vocabulary
from analysis.models.whisper import EMBEDDINGS, Whisper

HEARD = 8  # of so many recordings for calibration one is for divergences
RECORDINGS = "recordings"
QUICK = 1  # recordings of either kind


class Utterance(NamedTuple):
    """A recording, and what the unchanged model makes of it.

    Attributes
    ----------
    spectrogram : ndarray of float32, (bands, frames)
    tokens : list of int
        Of the text that it hears.
    logarithms : ndarray of float32, (tokens + 1, vocabulary)
        ln p of all tokens.
    """

    spectrogram: Array
    tokens: list[int]
    logarithms: Array


@dataclass(frozen=True)
class WhisperBase:
    """The model, its recordings, and the Gram matrices of its inputs.

    Attributes
    ----------
    model : Whisper
    words : Vocabulary
    tests : sequence of Utterance
    heard : sequence of Utterance
        Recordings for calibration, on which divergences are measured.
    calibration : mapping of str to Inputs
    test : mapping of str to ndarray of float32
    """

    model: Whisper
    words: Vocabulary
    tests: Sequence[Utterance]
    heard: Sequence[Utterance]
    calibration: Mapping[str, Inputs]
    test: Grams
    name = speech.MODEL

    @classmethod
    def load(cls, *, quick: bool = False) -> WhisperBase:
        """Read the model and the recordings; quickly with few of these.

        Raises
        ------
        MissingPackage
            If a package of the model or of the recordings is not installed.
        """
        model, words = load(), vocabulary()
        tests, others = (
            [utterance(model, words, each) for each in (found[:QUICK] if quick else found)]
            for found in (recordings(), other_prompts())
        )
        given, tested = (inputs_of(model, words, found) for found in (others, tests))
        return cls(model, words, tests, others[::HEARD], given, grams_of(tested))

    @property
    def matrices(self) -> Mapping[str, Array]:
        """All matrices of the model."""
        return self.model.matrices  # type: ignore[return-value]  # loaded as float32

    def losses(self, matrices: Mapping[str, Array]) -> dict[str, list[float]]:
        """Return the mean Kullback-Leibler divergence, in nats, over the tokens of a recording."""
        return {RECORDINGS: self._divergences(matrices, self.tests)}

    def divergence(self, name: str, matrix: Array) -> float:
        """Return the mean divergence with another matrix, on the recordings that are heard."""
        return float(np.mean(self._divergences({name: matrix}, self.heard)))

    def _divergences(
        self, matrices: Mapping[str, Array], heard: Sequence[Utterance]
    ) -> list[float]:
        model = replace(self.model, matrices={**self.model.matrices, **matrices})
        return [
            float(divergence(predicted(model, self.words, each), each.logarithms).mean())
            for each in heard
        ]


def utterance(model: Whisper, words: Vocabulary, recording: Recording) -> Utterance:
    """Return a recording with what the unchanged model makes of it."""
    spectrogram = log_mel(recording.samples(RATE))
    encoded = model.encode(spectrogram)
    tokens = greedy(model, words, encoded)
    return Utterance(spectrogram, tokens, forced(model, words, encoded, tokens))


def predicted(model: Whisper, words: Vocabulary, each: Utterance) -> Array:
    """Return ln p of all tokens at each token of what the unchanged model hears."""
    return forced(model, words, model.encode(each.spectrogram), each.tokens)


def inputs_of(model: Whisper, words: Vocabulary, heard: Sequence[Utterance]) -> dict[str, Inputs]:
    """Return the inputs of each matrix, of all recordings.

    Parameters
    ----------
    model : Whisper
    words : Vocabulary
    heard : sequence of Utterance

    Returns
    -------
    dict of str to Inputs
    """
    last: list[Array] = []

    def take(hearing: Whisper, each: Utterance) -> None:
        given = np.array([*words.prompt, *each.tokens])
        cache = hearing.cache(hearing.encode(each.spectrogram), len(given))
        last.append(hearing.hidden(given, cache)[len(words.prompt) - 1 :])

    names = [name for name in model.matrices if name != EMBEDDINGS]
    found = inputs_over(model, names, heard, take)
    found[EMBEDDINGS] = Inputs.both_uses(np.concatenate(last))
    return found
