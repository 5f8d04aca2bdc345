"""Whisper base against CTranslate2; decoding and metrics on a model of a few weights.

What needs the model's packages is skipped where they are missing.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.models import command, speech, transcription
from analysis.models import recordings as recordings_module
from analysis.models.layers import Array
from analysis.models.log_mel import RATE, WINDOW, log_mel
from analysis.models.packages import MissingPackage
from analysis.models.predictions import divergence
from analysis.models.recordings import SPEECH, Recording, recordings, speech_of
from analysis.models.speech import Heard, figures, forced
from analysis.models.transcription import PROMPT, Vocabulary, greedy, windows
from analysis.models.whisper import Whisper
from tests.analysis.models import tiny_whisper

Capture = pytest.CaptureFixture[str]
END = 19  # of the small model


class SmallTokenizer:
    """The prompt is two tokens, and each letter of a text is one."""

    def encode(self, text: str, *, add_special_tokens: bool) -> object:
        assert not add_special_tokens
        special = {PROMPT: [1, 2], transcription.END: [END]}
        return SimpleNamespace(ids=special.get(text) or [ord(letter) - 97 for letter in text])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> tuple[Whisper, Vocabulary, Array]:
    """A model, its vocabulary, and what its encoder gives."""
    monkeypatch.setattr(transcription, "LONGEST", 8)
    model = tiny_whisper.model()
    some = Vocabulary(SmallTokenizer(), np.array([16]), np.array([2]))
    return model, some, model.encode(tiny_whisper.spectrogram())


def slow_greedy(model: Whisper, vocabulary: Vocabulary, encoded: Array) -> list[int]:
    """Without caches, and with the rules as they are said in words."""
    found: list[int] = []
    while len(found) < transcription.LONGEST:
        tokens = np.array([1, 2, *found])
        logits = model.logits(tokens, model.cache(encoded, len(tokens)))[-1]
        banned = {*vocabulary.suppressed} | ({*vocabulary.suppressed_first} if not found else set())
        best = max((t for t in range(len(logits)) if t not in banned), key=lambda t: logits[t])
        if best == END:
            break
        found.append(best)
    return found


def test_decoding_is_greedy_and_leaves_tokens_out(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, some, encoded = small
    found = greedy(*small)
    assert found == slow_greedy(*small)
    none = np.array([], int)
    for rules in ((none, none), (some.suppressed, none), (none, some.suppressed_first)):
        other = Vocabulary(some.tokenizer, *rules)  # each rule matters here
        assert greedy(model, other, encoded) == slow_greedy(model, other, encoded) != found
    free = Vocabulary(some.tokenizer, none, none)
    last = Vocabulary(some.tokenizer, none, np.array(greedy(model, free, encoded)[-1:]))
    assert greedy(model, last, encoded) == greedy(model, free, encoded)  # the first token alone
    banned = Vocabulary(some.tokenizer, np.delete(np.arange(20), [END]), none)
    assert greedy(model, banned, encoded) == []
    monkeypatch.setattr(transcription, "LONGEST", 3)
    assert greedy(*small) == greedy(*small, found[:3]) == found[:3]


def test_a_guess_changes_nothing(small: Any) -> None:
    found = greedy(*small)
    wrong = (found[2] + 1) % END
    for guess in (found, found[:2], [*found[:2], wrong, *found[3:]], [wrong] * 8, [END]):
        assert greedy(*small, guess) == found


def test_forced_logarithms_are_those_of_a_softmax(small: Any) -> None:
    model, some, encoded = small
    found = forced(model, some, encoded, [5, 6])
    logits = model.logits(np.array([1, 2, 5, 6]), model.cache(encoded, 4))[1:].astype(np.float64)
    wanted = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    assert found == pytest.approx(wanted, abs=1e-5)


def test_the_metrics_are_their_formulas() -> None:
    p, q = (np.log(np.array(x, np.float32)) for x in ([[0.5, 0.5]], [[0.25, 0.75]]))
    assert divergence(q, p) == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(2 / 3)], rel=1e-6)
    recording = Recording("r", (), "Press 1, or two.")
    exact = Heard([], ["press", "one", "or", "two"], np.array([1.0, 2.0]), p)
    ours = Heard([], ["press", "ten", "or"], np.array([1.0, 4.0]), q)
    nats, apart, wrong, changed = figures(recording, ours, exact)
    assert (nats, apart) == (2.5, pytest.approx(float(divergence(q, p)[0])))
    assert (wrong, changed) == (0.5, 0.5)
    assert figures(recording, exact, exact)[1:] == (0, 0, 0)


def test_long_recordings_are_cut_where_they_are_quiet() -> None:
    rng = np.random.default_rng(75)
    samples = rng.standard_normal(70 * RATE).astype(np.float32)
    samples[27 * RATE : 27 * RATE + 4000] = 0
    found = windows(samples)
    assert np.array_equal(np.concatenate(found), samples)
    assert all(len(window) <= WINDOW for window in found)
    assert 27 * RATE < len(found[0]) < 27 * RATE + 4000
    assert [len(window) for window in windows(samples[:WINDOW])] == [WINDOW]


# --- the model itself; what CTranslate2 4.8.5 gives for useful-moonshine-onnx's recording

ENCODED = np.array([
    [-1.96082, 0.83658, 0.7527, 0.06232],
    [-0.4649, 0.55937, 0.77957, -1.45057],
    [0.45925, 0.86011, -0.0911, 0.20171],
])  # fmt: skip
SPOKEN = [
    7344, 3031, 11, 1562, 7612, 13, 883, 1871, 13, 6526, 797, 13, 39094, 797, 13, 39094, 1101, 13,
]  # fmt: skip


@pytest.fixture(scope="session")
def beckett(whisper: Whisper) -> Array:
    """What the encoder gives for that recording."""
    return whisper.encode(log_mel(speech_of(SPEECH.find(), RATE)))


def test_the_model_is_that_of_ctranslate2(
    whisper: Whisper, vocabulary: Vocabulary, beckett: Array
) -> None:
    assert beckett[::500, ::128] == pytest.approx(ENCODED, abs=1e-3)
    found = greedy(whisper, vocabulary, beckett)
    assert found == SPOKEN
    assert vocabulary.decode(found).startswith("Never tried, ever failed.")


def test_texts_are_tokens_and_back(vocabulary: Vocabulary) -> None:
    assert vocabulary.prompt == [50258, 50259, 50359, 50363]
    assert vocabulary.end == 50257
    text = "The Queen of Clubs, Mr. Dashwood: 1920 naïve 漢字"
    assert vocabulary.decode(vocabulary.encode(f" {text}")) == text
    assert vocabulary.encode(" Ever") == [12123]


def test_the_command_prints_what_is_said(
    whisper: Whisper, vocabulary: Vocabulary, tmp_path: Path, capsys: Capture
) -> None:
    assert command.main(["transcribe", str(SPEECH.find()), "--recipe", "e2m2/128/float16"]) == 0
    out, err = capsys.readouterr()
    assert "failed. No matter. Try again. Fail again. Fail better." in out
    assert "e2m2/128/float16: 10.0 s of speech in" in err
    (tmp_path / "a.wav").write_text("no sound")
    for arguments in (["nowhere.wav"], [str(tmp_path / "a.wav")]):
        assert command.main(["transcribe", *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.long
def test_every_recording_is_heard_as_by_ctranslate2(
    whisper: Whisper, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """The encoder's output within 0.001 (it has a deviation of 1.5), logits within 0.001."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    transcription.write_folder(tmp_path)
    theirs = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32")
    try:
        found = recordings()
    except MissingPackage as error:
        pytest.skip(str(error))
    pieces = [path for recording in found for path in recording.pieces]
    for samples in [speech_of(path, RATE) for path in pieces] + [
        recording.samples(RATE) for recording in found if len(recording.pieces) > 1
    ]:
        spectrogram = log_mel(samples)
        encoded = whisper.encode(spectrogram)
        wanted = theirs.encode(ctranslate2.StorageView.from_array(spectrogram[None].copy()))
        assert np.abs(encoded - np.array(wanted)[0]).max() < 1e-3
        (result,) = theirs.generate(
            wanted, [vocabulary.prompt], beam_size=1, return_logits_vocab=True
        )
        tokens = greedy(whisper, vocabulary, encoded)
        assert tokens == result.sequences_ids[0]
        given = np.array([*vocabulary.prompt, *tokens])
        logits = whisper.logits(given, whisper.cache(encoded, len(given)))
        logits = logits[len(vocabulary.prompt) - 1 :]
        exact = np.concatenate([np.array(row).reshape(1, -1) for row in result.logits[0]])
        kept = np.isfinite(exact) & (exact > -1e30)  # the tokens that it leaves out are not
        assert exact.shape == logits.shape
        assert kept.mean() > 0.99
        assert np.abs(logits - exact)[kept].max() < 1e-3


@pytest.mark.long
def test_the_measurement_has_every_metric_of_every_recording(
    whisper: Whisper, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"a": recordings_module.SPOKEN, "b": "x"}
    some = [Recording(name, (SPEECH.find(),), text) for name, text in texts.items()]
    monkeypatch.setattr(speech, "recordings", lambda: some)
    monkeypatch.setattr(speech, "load", lambda: whisper)
    results = speech.evaluate(["e2m2/128/float16"])
    assert [result.metric for result in results] == 2 * list(speech.METRICS)
    fp32, e2m2 = results[:4], results[4:]
    assert [result.items for result in fp32[1::2]] == [(0, 0), (0, 0)]
    assert fp32[0].items[0] < 2 < fp32[0].items[1]
    assert fp32[2].items == (1 / 12, 12)
    assert all(0 < apart < 0.1 for apart in e2m2[1].items)
    assert {result.packed for result in e2m2} == {True}
    assert e2m2[0].nbytes == 50_202_632
    assert e2m2[0].nbytes < e2m2[0].peak_nbytes < e2m2[0].nbytes + 100e6
