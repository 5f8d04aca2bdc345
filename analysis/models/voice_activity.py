"""Silero VAD: how rounded weights change the probability of speech in frames of 32 ms.

The model has the magnitudes of a Fourier transform, four convolutions and an LSTM, whose state goes
from frame to frame. onnxruntime runs it, in float32: its weights are only rounded, not packed. The
convolutions, the LSTM's two matrices and the output are rounded, 78 % of the numbers; biases and
the waves of the Fourier transform, which are not learned, stay float32. A row of a convolution
holds all weights of one output, 3 taps of 64 to 129 inputs: the first convolution has rows of 387,
whose last block is 3 weights and their scale.

These weights are stress data, not Gaussian: in three convolutions the kurtosis is 570 to 17 000
(Gaussian 3). There one weight sets the scale of a block, and the other 127 round to few values.
Some weights have no effect: the last two convolutions see a frame as one place, so one tap of three
and two of three see only padding. These are small, and rounded and counted like the others.

Speech is one recording of useful-moonshine-onnx on PyPI (MIT licence), and, if installed, ten of
Debian's pocketsphinx-testdata (BSD licence): ``apt-get install pocketsphinx-testdata``. `evaluate`
takes other recordings too. Each is cut into pieces of up to 3 s, and each piece is an item: the
state, which starts anew with each piece, correlates the frames within it. Pieces of one recording
have one speaker, so the standard error over pieces is too small by an unknown factor.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array
from analysis.models.matrices import SomeRecipe
from analysis.models.onnx_files import NOTE, OnnxModel
from analysis.models.packages import PackageFile
from analysis.models.recordings import POCKETSPHINX, SPEECH, read_wav

MODEL = "Silero VAD"
MODALITY = "audio"
WEIGHTS = PackageFile(
    "silero-vad",
    "6.2.3",
    "silero_vad",
    "data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)
FILES = (WEIGHTS, SPEECH)
MORE_SPEECH_HINT = "for more speech: apt-get install pocketsphinx-testdata"
RATE = 16000  # samples of a second
FRAME, CONTEXT = 512, 64  # samples: the input is a frame and the end of the one before
PIECE = 96  # frames at most, 3.07 s
STATE = (2, 1, 128)  # the LSTM's output and cell
FOURIER = "model.stft.forward_basis_buffer"
THRESHOLD = 0.5  # of the probability: the package's own


class Detector(OnnxModel):
    """The model."""

    def probabilities(self, frames: Array) -> Array:
        """Return the probability of speech in each frame, given the preceding ones.

        Parameters
        ----------
        frames : ndarray of float32, (n, FRAME)
            Samples within -1 to 1.

        Returns
        -------
        ndarray of float32, (n,)

        Raises
        ------
        MissingPackage
            If onnx or onnxruntime is not installed.
        """
        state = np.zeros(STATE, np.float32)
        contexts = np.zeros((len(frames), CONTEXT), np.float32)
        contexts[1:] = frames[:-1, -CONTEXT:]
        samples = np.concatenate([contexts, frames], axis=1)
        rate = np.array(RATE, np.int64)
        probabilities = np.empty(len(frames), np.float32)
        for place in range(len(frames)):
            inputs = {"input": samples[place : place + 1], "state": state, "sr": rate}
            output, state = self.session.run(["output", "stateN"], inputs)
            probabilities[place] = output[0, 0]
        return probabilities


def load() -> Detector:
    """Return the model as shipped, in float32.

    Returns
    -------
    Detector

    Raises
    ------
    MissingPackage
        If silero-vad or onnx is not installed.
    """
    return Detector.read(
        WEIGHTS.find(), rows=lambda name, tensor: tensor.ndim > 1 and name != FOURIER
    )


def recordings() -> list[Path]:
    """Return the installed recordings of speech.

    Returns
    -------
    list of Path

    Raises
    ------
    MissingPackage
        If useful-moonshine-onnx is not installed.
    """
    return [SPEECH.find(), *sorted(POCKETSPHINX.rglob("*.wav"))]


def read(path: Path) -> Array:
    """Return the frames of a recording; silence fills up the last one.

    Parameters
    ----------
    path : Path
        A WAV file of one channel, 16 bits and `RATE` samples per second.

    Returns
    -------
    ndarray of float32, (n, FRAME)
        Within -1 to 1.

    Raises
    ------
    ValueError
        If the file is of another kind, or empty.
    OSError
        If it cannot be read.
    """
    rate, samples = read_wav(path)
    kind = (samples.shape[1], 16, rate)
    if kind != (1, 16, RATE):
        raise ValueError(
            f"recording must have 1 channel, 16 bits and {RATE} samples/s, got {kind}: {path}"
        )
    padded = np.pad(samples[:, 0], (0, -samples.size % FRAME)).astype(np.float32)
    return (padded / np.float32(32768)).reshape(-1, FRAME)


def evaluate(
    recipes: Sequence[SomeRecipe],
    *,
    progress: Progress | None = None,
    speech: Iterable[Path] | None = None,
) -> list[Result]:
    """Measure changes of the probability and flipped decisions; see `analysis.models`.

    Parameters
    ----------
    recipes, progress
        As for all models.
    speech : iterable of Path, optional
        WAV files as `read` takes them; default `recordings`.

    Returns
    -------
    list of Result

    Raises
    ------
    MissingPackage
        As for all models.
    ValueError
        Also as `read`, and if ``speech`` is only one piece.
    OSError
        If a recording cannot be read.
    """
    model = load()
    paths = recordings() if speech is None else list(speech)
    pieces: list[Array] = []
    for path in paths:
        frames = read(path)
        pieces += np.array_split(frames, -(-len(frames) // PIECE))
    if len(pieces) < 2:
        raise ValueError(f"speech must be at least two pieces of {PIECE} frames, got {len(pieces)}")
    count = sum(map(len, pieces))
    data = f"{len(paths)} recordings, {count * FRAME / RATE:.0f} s"
    hint = "" if speech is not None or len(paths) > 1 else MORE_SPEECH_HINT
    step = evaluation.counter(progress, (1 + len(recipes)) * len(pieces))
    results: list[Result] = []
    exact: list[Array] = []
    for recipe, measured in model.variants(recipes):
        measured.probabilities(pieces[0][:1])  # makes the session
        probabilities = []
        start = time.perf_counter()
        for piece in pieces:
            probabilities.append(measured.probabilities(piece))
            step()
        seconds = time.perf_counter() - start
        exact = exact or probabilities
        bits, nbytes = measured.storage
        for metric, items in _compare(probabilities, exact).items():
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=data,
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=None,
                    metric=metric,
                    items=items,
                    speed=count / seconds,
                    speed_unit="frames/s",
                    packed=False,
                    note=hint if recipe == REFERENCE else NOTE,
                )
            )
    return results


def _compare(
    probabilities: Sequence[Array], exact: Sequence[Array]
) -> dict[str, tuple[float, ...]]:
    """Return the items of both metrics: for each piece the mean over its frames."""
    pairs = list(zip(probabilities, exact, strict=True))
    return {
        "mean change of the probability to fp32": tuple(
            float(np.abs(ours.astype(np.float64) - theirs).mean()) for ours, theirs in pairs
        ),
        "share of decisions that flip": tuple(
            float(np.mean((ours >= THRESHOLD) != (theirs >= THRESHOLD))) for ours, theirs in pairs
        ),
    }
