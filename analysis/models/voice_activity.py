"""Silero's voice activity detector: how likely it is that somebody speaks, for each 32 ms of sound.

Four convolutions and an LSTM hear 512 samples and the 64 before them, and the state that the LSTM
was left in. Recordings are of read speech, each as it is and under white noise of its own loudness,
which makes decisions closer.

The Fourier basis is no weight, and stays float32. The weights are far from Gaussian: single ones
are many times as great as their neighbours, and leave these few values of a format. A format's loss
here tells of such weights more than of those that most models have.
"""

from __future__ import annotations

import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.onnx_model import OnnxModel, read
from analysis.models.packages import MissingPackage, PackageFile
from analysis.models.products import Array

MODEL = "Silero VAD"
MODALITY = "audio"
WEIGHTS = PackageFile(
    "silero-vad",
    "6.2.3",
    "silero_vad",
    "data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)
FILES = (WEIGHTS,)
RECURRENT = ("model.decoder.rnn.weight_ih", "model.decoder.rnn.weight_hh")
SPEECH = Path("/usr/share/pocketsphinx/test/data")  # of Debian's package pocketsphinx-testdata
RATE = 16_000  # samples a second
FRAME, CONTEXT, STATE = 512, 64, (2, 1, 128)
THRESHOLD = 0.5
METRICS = ("mean change of the probability", "share of decisions that flip")


def load() -> OnnxModel:
    """Return the model as shipped.

    Returns
    -------
    OnnxModel

    Raises
    ------
    MissingPackage
        If silero-vad or onnx is not installed.
    """
    return read(WEIGHTS.find(), also=RECURRENT)


def recordings(folder: Path = SPEECH) -> dict[str, Array]:
    """Read all recordings of a folder and those within it.

    Parameters
    ----------
    folder : Path
        With .wav files, or .raw ones of little-endian 16-bit samples: 16 kHz, one channel.

    Returns
    -------
    dict of str to ndarray of float32
        Samples, -1 to 1, by the file's name.

    Raises
    ------
    MissingPackage
        If the folder is not there.
    ValueError
        If it has no recordings, or a WAV file is of another kind.
    """
    if not folder.is_dir():
        raise MissingPackage(
            f"needs recordings of speech in {folder}; apt install pocketsphinx-testdata, or pass "
            "a folder of your own to analysis.models.voice_activity.evaluate"
        )
    found = {
        str(path.relative_to(folder)): _samples(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".wav", ".raw")
    }
    if not found:
        raise ValueError(f"folder must have .wav or .raw files, got none in {folder}")
    return found


def _samples(path: Path) -> Array:
    data = path.read_bytes()
    if path.suffix == ".wav":
        try:
            with wave.open(str(path)) as file:
                kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
                data = file.readframes(file.getnframes())
        except (wave.Error, EOFError) as error:
            raise ValueError(f"{path} must be a WAV file of 16-bit samples: {error}") from None
        if kind != (1, 2, RATE):
            raise ValueError(
                f"{path} must have 1 channel of 2 bytes a sample at {RATE} Hz, got {kind}; "
                "convert it, for instance with ffmpeg -ac 1 -ar 16000 -sample_fmt s16"
            )
    whole = data[: len(data) // 2 * 2]
    return np.frombuffer(whole, "<i2").astype(np.float32) / np.float32(32768)


def probabilities(session: Any, samples: Array) -> Array:
    """Return the probability of speech in each frame of a recording.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    samples : ndarray of float32, 1-d
        At 16 kHz; the last frame is filled up with silence.

    Returns
    -------
    ndarray of float32, (frames,)

    Raises
    ------
    Nothing.
    """
    frames = -(-samples.size // FRAME)
    padded = np.zeros(CONTEXT + frames * FRAME, np.float32)
    padded[CONTEXT : CONTEXT + samples.size] = samples
    state = np.zeros(STATE, np.float32)
    rate = np.array(RATE, np.int64)
    found = np.empty(frames, np.float32)
    for k in range(frames):
        heard = padded[None, k * FRAME : k * FRAME + CONTEXT + FRAME]
        chance, state = session.run(None, {"input": heard, "state": state, "sr": rate})
        found[k] = chance[0, 0]
    return found


def with_noise(samples: Array, rng: np.random.Generator) -> Array:
    """Add white noise of the recording's own root mean square.

    Parameters
    ----------
    samples : ndarray of float32
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> with_noise(np.zeros(2, np.float32), np.random.default_rng(1))
    array([0., 0.], dtype=float32)
    """
    noise: Array = rng.standard_normal(samples.size, np.float32)
    noise *= np.sqrt(np.mean(np.square(samples)))
    return samples + noise


def evaluate(
    formats: Sequence[str], *, progress: Progress | None = None, folder: Path = SPEECH
) -> list[Result]:
    """Measure both metrics on recordings, as they are and with noise, as `analysis.models` says.

    Parameters
    ----------
    formats : sequence of str
    progress : callable, optional
    folder : Path
        Of recordings; see `recordings`.

    Returns
    -------
    list of Result
        An item is a recording, since its frames are correlated.

    Raises
    ------
    MissingPackage
        If a package of `FILES`, one of the extra, or the recordings are not there.
    ValueError
        As `recordings` and `minifloat.quantize`.
    """
    rng = np.random.default_rng(1)
    speech = recordings(folder)
    sounds = {
        "read speech": list(speech.values()),
        "read speech in noise": [with_noise(samples, rng) for samples in speech.values()],
    }
    model = load()
    step = evaluation.counter(progress, (1 + len(formats)) * len(sounds) * len(speech))
    reference: dict[str, list[Array]] = {}
    results: list[Result] = []
    for fmt in (REFERENCE, *formats):
        measured = model if fmt == REFERENCE else model.quantized(fmt)
        session = measured.session()
        bits, nbytes = measured.storage
        for name, held in sounds.items():
            start = time.perf_counter()
            found = []
            for samples in held:
                found.append(probabilities(session, samples))
                step()
            seconds = time.perf_counter() - start
            pairs = list(zip(found, reference.setdefault(name, found), strict=True))
            items = (
                [float(np.mean(np.abs(a - b))) for a, b in pairs],
                [float(np.mean((a >= THRESHOLD) != (b >= THRESHOLD))) for a, b in pairs],
            )
            for metric, each in zip(METRICS, items, strict=True):
                results.append(
                    Result(
                        model=MODEL,
                        modality=MODALITY,
                        data=name,
                        format=fmt,
                        bits_per_weight=bits,
                        nbytes=nbytes,
                        metric=metric,
                        items=tuple(each),
                        speed=sum(samples.size for samples in held) / RATE / seconds,
                        speed_unit="s of sound/s",
                        packed=False,
                    )
                )
    return results
