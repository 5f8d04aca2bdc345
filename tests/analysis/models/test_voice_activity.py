"""Silero VAD against its package's own code; skipped where that is missing."""

from __future__ import annotations

import sys
import wave
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kurtosis

import minifloat as mf
from analysis.models import result_tables, voice_activity
from analysis.models.evaluation import difference
from analysis.models.matrices import Array, dense
from analysis.models.recordings import SPEECH
from analysis.models.voice_activity import (
    CONTEXT,
    FRAME,
    RATE,
    WEIGHTS,
    Detector,
    evaluate,
    read,
)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def write(path: Path, samples: np.ndarray, *, channels: int = 1, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, samples.itemsize, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def frames(detector: Detector) -> Array:
    """Three seconds of speech."""
    return read(SPEECH.find())[40:140]


# --- the forward pass


def of_the_package(frames: Array, mistake: str = "") -> Array:
    """By the package's own code without a loop, which has the same weights in another graph.

    That code needs no torch, but its package imports torch, so the file is loaded alone.
    """
    runtime = pytest.importorskip("onnxruntime")
    path = WEIGHTS.find().parent.parent / "sequence_vad.py"
    spec = spec_from_file_location("silero_vad.sequence_vad", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    neighbours: dict[str, Any] = {
        "silero_vad": ModuleType("silero_vad"),
        "silero_vad.utils_vad": SimpleNamespace(get_speech_timestamps_from_probs=None),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, neighbour in neighbours.items():
            patch.setitem(sys.modules, name, neighbour)
        spec.loader.exec_module(module)
    session = runtime.InferenceSession(WEIGHTS.find().parent / "silero_vad_16k_sequence.onnx")
    (block,) = module.frame_blocks(frames.ravel(), FRAME, CONTEXT, len(frames))
    if mistake == "context":
        block[:, :CONTEXT] = 0
    step = 1 if mistake == "state" else len(block)
    zeros = np.zeros((1, 1, 128), np.float32)
    parts = [
        session.run(
            ["speech_probs"], {"input": block[i : i + step], "h": zeros, "c": zeros}
        )[0].ravel()
        for i in range(0, len(block), step)
    ]  # fmt: skip
    return np.concatenate(parts)


def test_probabilities_are_those_of_the_package(detector: Detector, frames: Array) -> None:
    assert np.abs(detector.probabilities(frames) - of_the_package(frames)).max() < 1e-5


@pytest.mark.parametrize("mistake", ["context", "state"])
def test_the_package_tells_other_framing(detector: Detector, frames: Array, mistake: str) -> None:
    apart = np.abs(detector.probabilities(frames) - of_the_package(frames, mistake))
    assert apart.max() > 1e-2


def slow_probabilities(model: Detector, frames: Array, mistake: str = "") -> np.ndarray:
    """In float64, from the matrices as rows."""
    tensors = {name: t.astype(np.float64) for name, t in model.vectors.items()}
    rows = {name: dense(matrix).astype(np.float64) for name, matrix in model.matrices.items()}
    waves = tensors[voice_activity.FOURIER][:, 0]
    h, c, context = np.zeros(128), np.zeros(128), np.zeros(CONTEXT)
    found = []
    for frame in frames:
        heard = np.pad(np.concatenate([context, frame]), (0, 64), mode="reflect")
        context = frame[-CONTEXT:]
        windows = np.lib.stride_tricks.sliding_window_view(heard, 256)[::128]
        real, imaginary = np.split(waves @ windows.T, 2)
        x = np.hypot(real, imaginary)
        for layer, stride in enumerate((1, 2, 2, 1)):
            name = f"model.encoder.{layer}.reparam_conv"
            padded = np.pad(x, ((0, 0), (1, 1)))
            taps = [padded[:, place : place + 3] for place in range(0, x.shape[1], stride)]
            if mistake == "taps":
                taps = [tap.T for tap in taps]
            y = rows[f"{name}.weight"] @ np.array([tap.ravel() for tap in taps]).T
            x = np.maximum(y + tensors[f"{name}.bias"][:, None], 0)
        z = rows["model.decoder.rnn.weight_ih"] @ x[:, 0] + tensors["model.decoder.rnn.bias_ih"]
        z += rows["model.decoder.rnn.weight_hh"] @ h + tensors["model.decoder.rnn.bias_hh"]
        add, keep, new, show = np.split(z, 4)
        c = expit(keep) * c + expit(add) * np.tanh(new)
        h = expit(show) * np.tanh(c)
        output = rows["model.decoder.decoder.2.weight"] @ np.maximum(h, 0)
        found.append(expit(output + tensors["model.decoder.decoder.2.bias"])[0])
    return np.array(found)


@pytest.mark.parametrize("fmt", ["fp32", "e2m2", "int4"])
def test_rounded_weights_give_what_a_second_forward_pass_gives(
    detector: Detector, frames: Array, fmt: str
) -> None:
    model = detector if fmt == "fp32" else detector.quantized(fmt)
    found = model.probabilities(frames)
    assert np.abs(found - slow_probabilities(model, frames)).max() < 1e-5
    if fmt != "fp32":
        assert np.abs(found - slow_probabilities(detector, frames)).max() > 1e-2


def test_the_second_forward_pass_sees_another_order_of_taps(
    detector: Detector, frames: Array
) -> None:
    wrong = slow_probabilities(detector, frames, "taps")
    assert np.abs(detector.probabilities(frames) - wrong).max() > 1e-2


def untouched(detector: Detector) -> Detector:
    """The model whose session has the file as shipped."""
    return replace(detector, shapes={})


def test_weights_put_back_change_no_bit(detector: Detector, frames: Array) -> None:
    wanted = untouched(detector).probabilities(frames)
    assert np.array_equal(detector.probabilities(frames), wanted)
    for name, matrix in detector.matrices.items():  # each is read
        changed = replace(detector, matrices={**detector.matrices, name: dense(matrix) * 1.01})
        assert not np.array_equal(changed.probabilities(frames), wanted), name


def test_taps_put_back_in_another_order_are_seen(detector: Detector, frames: Array) -> None:
    name = "model.encoder.1.reparam_conv.weight"
    outputs, inputs, taps = detector.shapes[name]
    shuffled = dense(detector.matrices[name]).reshape(outputs, taps, inputs).swapaxes(1, 2)
    changed = {**detector.matrices, name: shuffled.reshape(outputs, -1)}
    wrong = replace(detector, matrices=changed).probabilities(frames)
    assert np.abs(wrong - untouched(detector).probabilities(frames)).max() > 1e-2


def test_some_taps_hear_only_padding(detector: Detector, frames: Array) -> None:
    changed = dict(detector.matrices)
    for layer, taps in ((2, [0]), (3, [0, 2])):
        name = f"model.encoder.{layer}.reparam_conv.weight"
        matrix = dense(changed[name]).copy()
        matrix.reshape(detector.shapes[name])[:, :, taps] = 9
        changed[name] = matrix
    found = replace(detector, matrices=changed).probabilities(frames)
    assert np.array_equal(found, detector.probabilities(frames))


def test_all_but_biases_and_the_fourier_transform_is_rounded(detector: Detector) -> None:
    sizes = {name: dense(matrix).shape for name, matrix in detector.matrices.items()}
    assert list(sizes.values()) == [
        (128, 387), (64, 384), (64, 192), (128, 192), (512, 128), (512, 128), (1, 128),
    ]  # fmt: skip
    kept = {name for name, vector in detector.vectors.items() if vector.ndim > 1}
    assert kept == {voice_activity.FOURIER}
    quantized = sum(rows * length for rows, length in sizes.values())
    others = sum(vector.size for vector in detector.vectors.values())
    assert round(100 * quantized / (quantized + others)) == 78
    packed = detector.quantized("e2m2").matrices.values()
    scales = sum(m.scales.size for m in packed if isinstance(m, mf.Quantized))
    assert detector.quantized("e2m2").storage == (
        pytest.approx(5 + 16 * scales / quantized, rel=1e-9, abs=0),
        sum(m.nbytes for m in packed) + 4 * others,
    )


def test_the_weights_are_far_from_gaussian(detector: Detector) -> None:
    found = sorted(kurtosis(dense(m), axis=None, fisher=False) for m in detector.matrices.values())
    assert [round(k, -1) for k in found[-3:]] == [570, 1630, 17110]


def test_speech_is_heard_and_silence_is_not(detector: Detector) -> None:
    speech = read(SPEECH.find())
    by_loudness = np.argsort(np.square(speech).mean(axis=1))
    hiss = rng(60).normal(scale=0.01, size=(100, FRAME)).astype(np.float32)
    for model in (detector, detector.quantized("e2m2")):
        found = model.probabilities(speech)
        assert np.mean(found[by_loudness[-90:]] > 0.5) > 0.95
        assert np.mean(found[by_loudness[:90]] > 0.5) < 0.1
        assert model.probabilities(np.zeros_like(speech)).max() < 0.2
        assert model.probabilities(hiss).max() < 0.2


# --- recordings, and the measurements


def test_a_recording_is_read_in_frames(tmp_path: Path) -> None:
    samples = rng(61).integers(-32768, 32768, 2 * FRAME + 1).astype("<i2")
    found = read(write(tmp_path / "a.wav", samples))
    assert found.shape == (3, FRAME)
    assert np.array_equal(found.ravel()[: len(samples)] * 32768, samples)
    assert not found[2, 1:].any()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"rate": 8000}, r"got \(1, 16, 8000\)"),
        ({"channels": 2}, r"got \(2, 16, 16000\)"),
        ({"samples": np.ones(8, np.uint8)}, "16 bits a sample .*got 8 and 16000"),
        ({"samples": np.ones(0, np.int16)}, "not be empty"),
    ],
)
def test_other_recordings_are_refused(tmp_path: Path, facts: Any, message: str) -> None:
    path = write(tmp_path / "a.wav", **({"samples": np.ones(8, np.int16)} | facts))
    with pytest.raises(ValueError, match=f"^recording must .*{message}"):
        read(path)


def test_no_damaged_recording_does_worse(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.ones(64, np.int16))
    whole = path.read_bytes()
    draw = rng(62)
    refused = 0
    for _ in range(500):
        damaged = bytearray(whole[: draw.integers(len(whole))] if draw.random() < 0.3 else whole)
        for place in draw.integers(0, 44, 3):
            damaged[place : place + 1] = bytes([draw.integers(256)])
        path.write_bytes(damaged)
        try:
            assert read(path).shape[1] == FRAME
        except ValueError as error:
            refused += 1
            assert "recording must" in str(error)  # noqa: PT017
    assert refused > 100


@pytest.fixture
def speech(detector: Detector, tmp_path: Path) -> list[Path]:
    """Of one piece, and of two."""
    samples = (read(SPEECH.find()).ravel() * 32768).astype("<i2")
    cut = {"a.wav": samples[60 * FRAME : 110 * FRAME], "b.wav": samples[110 * FRAME : 230 * FRAME]}
    return [write(tmp_path / name, part) for name, part in cut.items()]


def test_all_recipes_are_compared_with_fp32(detector: Detector, speech: list[Path]) -> None:
    calls: list[tuple[int, int]] = []
    results = evaluate(
        ["e2m2", "int4"], speech=speech, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 9) for done in range(1, 10)]
    assert [r.recipe.partition("/")[0] for r in results] == [
        "fp32", "fp32", "e2m2", "e2m2", "int4", "int4",
    ]  # fmt: skip
    assert {r.data for r in results} == {"2 recordings, 5 s"}
    assert not any(r.packed for r in results)
    assert results[0].note == ""
    pieces = [read(speech[0]), *np.split(read(speech[1]), 2)]
    for result in results:
        rounded = detector if result.recipe == "fp32" else detector.quantized(result.recipe)
        pairs = [(rounded.probabilities(p), detector.probabilities(p)) for p in pieces]
        wanted = [
            np.mean((p > 0.5) != (q > 0.5)) if "flip" in result.metric else np.mean(np.abs(p - q))
            for p, q in pairs
        ]
        assert result.items == pytest.approx(wanted, rel=1e-5, abs=0)
    assert difference(results[2], results[4]).mean < 0
    assert result_tables.tables(results)[0].title.startswith("Silero VAD (audio), 2 recordings")


def test_too_little_speech_is_refused(speech: list[Path]) -> None:
    for paths in ([], speech[:1]):
        with pytest.raises(ValueError, match="speech must be at least two pieces of 96"):
            evaluate([], speech=paths)


def test_more_speech_is_found_or_named(
    detector: Detector, speech: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_activity, "POCKETSPHINX", speech[0].parent)
    assert voice_activity.recordings() == [SPEECH.find(), *speech]
    monkeypatch.setattr(voice_activity, "POCKETSPHINX", speech[0].parent / "nowhere")
    assert voice_activity.recordings() == [SPEECH.find()]
    (change, _) = evaluate([])
    assert change.note.endswith("apt-get install pocketsphinx-testdata")
