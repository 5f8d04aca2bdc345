"""WAV files as samples; the recordings of installed packages."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from analysis.models import recordings as module
from analysis.models.packages import MissingPackage
from analysis.models.recordings import Recording, read_wav, recordings, speech_of


def write(path: Path, samples: np.ndarray, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], samples.itemsize, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def tone(rate: int, seconds: float = 0.25) -> np.ndarray:
    return np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_every_rate_and_number_of_channels_becomes_one_channel(tmp_path: Path, rate: int) -> None:
    left = (20000 * tone(rate)).astype("<i2")
    path = write(tmp_path / "a.wav", np.stack([left, 0 * left], axis=1), rate)
    found_rate, samples = read_wav(path)
    assert (found_rate, samples.shape) == (rate, (len(left), 2))
    assert np.array_equal(samples[:, 0], left)
    found = speech_of(path, 16000)
    assert found.dtype == np.float32
    wanted = tone(16000) * 20000 / 32768 / 2
    inner = slice(400, len(wanted) - 400)  # the filter sees the edges as steps
    assert len(found) == len(wanted)
    assert np.abs(found - wanted)[inner].max() < 2e-3


def test_pieces_are_joined_by_pauses(tmp_path: Path) -> None:
    ones = np.full((100, 1), 16384, "<i2")
    paths = tuple(write(tmp_path / f"{name}.wav", ones, 16000) for name in "ab")
    found = Recording("two", paths, "").samples(16000)
    assert np.flatnonzero(found).tolist() == [*range(100), *range(8100, 8200)]
    assert set(found) == {0, 0.5}


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    some = np.ones((8, 1), "i2")
    for samples, rate, message in (
        (some.astype("u1"), 16000, "got 8 and 16000"),
        (some[:0], 16000, "be empty"),
        (some, 2**30, "got 16 and 1073741824"),  # its filter would take all memory
        (some, 7, "got 16 and 7"),
    ):
        with pytest.raises(ValueError, match=f"^recording must .*{message}"):
            read_wav(write(tmp_path / "a.wav", samples, rate))
    (tmp_path / "text.wav").write_text("words")
    with pytest.raises(ValueError, match=r"^recording must be a WAV file"):
        speech_of(tmp_path / "text.wav", 16000)
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "nowhere.wav")


def test_the_recordings_fit_a_window_and_have_transcripts() -> None:
    try:
        found = recordings()
    except MissingPackage as error:
        pytest.skip(str(error))
    assert [recording.name for recording in found[:3]] == ["beckett", "librivox", "cards"]
    assert len({recording.name for recording in found}) == len(found) == 9
    for recording in found:
        assert 6 * 16000 <= len(recording.samples(16000)) <= 30 * 16000
        assert 9 <= len(recording.transcript.split()) <= 80


def test_missing_recordings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        module.SPEECH.find()
    except MissingPackage as error:
        pytest.skip(str(error))
    monkeypatch.setattr(module, "PROMPTS", Path("nowhere"))
    with pytest.raises(MissingPackage, match="apt-get install pocketsphinx-testdata asterisk"):
        recordings()
