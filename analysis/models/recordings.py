"""Recordings of speech from installed packages, with what is said in them.

One recording is of useful-moonshine-onnx on PyPI (MIT licence); the others are Debian's:
pocketsphinx-testdata (BSD licence), and the prompts of telephone exchanges in
asterisk-core-sounds-en-wav (Allison Smith, CC-BY-SA 3.0).
"""

from __future__ import annotations

import gzip
import math
import re
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models.layers import Array
from analysis.models.packages import MissingPackage, PackageFile, optional

SPEECH = PackageFile(
    "useful-moonshine-onnx",
    "20251121",
    "moonshine_onnx",
    "assets/beckett.wav",
    "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
)
SPOKEN = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."  # in `SPEECH`
POCKETSPHINX = Path("/usr/share/pocketsphinx/test/data")
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PROMPT_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
RATES = (1000, 400_000)  # least and most samples of a second that are taken
PAUSE = 0.5  # seconds between pieces of a recording
SHORTEST, LONGEST = 6, 30  # seconds of a prompt
EVERY = 6  # of the prompts that are long enough
INSTALL = "apt-get install pocketsphinx-testdata asterisk-core-sounds-en-wav"


@dataclass(frozen=True)
class Recording:
    """Speech of at most 30 s. Its pieces are one item of a measurement, since they are alike.

    Attributes
    ----------
    name : str
    pieces : tuple of Path
        WAV files.
    transcript : str
        What is said in all of them.
    """

    name: str
    pieces: tuple[Path, ...]
    transcript: str

    def samples(self, rate: int) -> Array:
        """Return the pieces one after another, with a pause between them; see `speech_of`."""
        pause = np.zeros(int(PAUSE * rate), np.float32)
        joined = [part for path in self.pieces for part in (pause, speech_of(path, rate))]
        return np.concatenate(joined[1:])


def recordings() -> list[Recording]:
    """Return the speech on which recognisers are measured.

    Returns
    -------
    list of Recording
        Of four speakers: a short one, five pieces of a reading, five pieces that name playing
        cards, and every sixth of the prompts of 6 to 30 s.

    Raises
    ------
    MissingPackage
        If one of the packages is not installed.
    """
    found = [Recording("beckett", (SPEECH.find(),), SPOKEN)]
    if not POCKETSPHINX.is_dir() or not PROMPTS.is_dir() or not PROMPT_TEXTS.is_file():
        raise MissingPackage(f"needs recordings of speech; {INSTALL}")
    for name, texts in (("librivox", "transcription"), ("cards", "cards.transcription")):
        folder = POCKETSPHINX / name
        text = (folder / texts).read_text(encoding="utf-8")
        said, files = zip(*re.findall(r"<s> (.*?) *</s> \((.*)\)", text), strict=True)
        pieces = tuple(folder / f"{file}.wav" for file in files)
        found.append(Recording(name, pieces, " ".join(said)))
    return found + _prompts()[::EVERY]


def other_prompts() -> list[Recording]:
    """Return the prompts of 6 to 30 s that are not among `recordings`, to calibrate with.

    Returns
    -------
    list of Recording

    Raises
    ------
    MissingPackage
        If the package is not installed.
    """
    if not PROMPTS.is_dir() or not PROMPT_TEXTS.is_file():
        raise MissingPackage(f"needs recordings of speech; {INSTALL}")
    return [prompt for n, prompt in enumerate(_prompts()) if n % EVERY]


def _prompts() -> list[Recording]:
    """Return the prompts of `SHORTEST` to `LONGEST` that are words alone, by their names."""
    with gzip.open(PROMPT_TEXTS, "rt", encoding="utf-8") as file:
        lines = sorted(line.partition(":") for line in file)
    found = []
    for name, _, said in lines:
        path = PROMPTS / f"{name}.wav"
        if path.is_file() and not re.search(r"[\[(]", said):  # there are notes in brackets
            rate, samples = read_wav(path)
            if SHORTEST <= len(samples) / rate <= LONGEST:
                found.append(Recording(f"prompt {name}", (path,), " ".join(said.split())))
    return found


def speech_of(path: Path, rate: int) -> Array:
    """Return a recording as one channel of a given rate.

    Parameters
    ----------
    path : Path
        As `read_wav` takes it.
    rate : int
        Samples of a second.

    Returns
    -------
    ndarray of float32, (n,)
        The mean of the channels, within -1 to 1 but for the ringing of the resampling filter.

    Raises
    ------
    ValueError, OSError
        As `read_wav`.
    MissingPackage
        If the file has another rate and SciPy is not installed.
    """
    found, samples = read_wav(path)
    mono: Array = samples.mean(axis=1, dtype=np.float32) / np.float32(32768)
    if found != rate:
        common = math.gcd(found, rate)
        resample = optional("scipy.signal").resample_poly
        mono = resample(mono, rate // common, found // common).astype(np.float32)
    return mono


def read_wav(path: Path) -> tuple[int, NDArray[Any]]:
    """Return the rate and the samples of a WAV file.

    Parameters
    ----------
    path : Path
        A WAV file of 16 bits a sample, at a rate within `RATES`.

    Returns
    -------
    rate : int
        Samples of a second.
    samples : ndarray of int16, (n, channels)

    Raises
    ------
    ValueError
        If the file is of another kind, damaged, or empty.
    OSError
        If it cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, bits, rate = (
                file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
            )  # fmt: skip
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last for lengths that do not fit
        raise ValueError(f"recording must be a WAV file, got {path}: {error!r}") from error
    if bits != 16 or not RATES[0] <= rate <= RATES[1]:
        raise ValueError(
            f"recording must have 16 bits a sample and {RATES[0]} to {RATES[1]} samples/s, "
            f"got {bits} and {rate}: {path}"
        )
    whole = len(content) // (2 * channels) * 2 * channels
    samples: NDArray[Any] = np.frombuffer(content[:whole], "<i2").reshape(-1, channels)
    if not samples.size:
        raise ValueError(f"recording must not be empty, got {path}")
    return rate, samples
