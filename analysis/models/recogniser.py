"""PP-OCRv4's text recogniser: lines of printed text whose letters are known, read back.

The lines are set in three fonts and then printed badly: scaled down, blurred and covered with
noise, each by its own seeded amount, so that the model as shipped makes some mistakes, too. Its
output is, for each step of 8 pixels along the line, a probability for each of 6625 characters; the
likeliest ones, repetitions and blanks left out, are the text.

onnxruntime runs the model, in float32: its weights are only rounded, not packed. Rounded are the
convolutions of more than one channel, a row of all taps to an output, and the matrices of the
attention and the output. Convolutions of one channel, of 9 or 25 taps, stay float32, as do biases
and norms.

Two metrics tell the formats apart: the character error rate (the least number of insertions,
deletions and substitutions that mend the text, to a character of the true one), and the divergence
of the probabilities from those of fp32, which tells of changes before any letter changes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.models import evaluation
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.matrices import Array
from analysis.models.onnx_model import NOTE, OnnxModel
from analysis.models.onnx_weights import properties
from analysis.models.packages import PackageFile, optional
from analysis.models.texts import BIBLE, TEXTS, passages

MODEL = "PP-OCRv4 recogniser"
MODALITY = "image"
WEIGHTS = PackageFile(
    "rapidocr-onnxruntime",
    "1.4.4",
    "rapidocr_onnxruntime",
    "models/ch_PP-OCRv4_rec_infer.onnx",
    "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
)
FILES = (WEIGHTS, BIBLE)
FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")  # Matplotlib ships them
LINES = 60  # of each text
LENGTH = 32  # characters of a line, at most
HEIGHT = 48  # pixels, which the model wants
BLANK = 0
METRICS = ("character error rate", "nats of divergence from fp32, a step")


@dataclass(frozen=True)
class Print:
    """How badly a line is printed.

    Attributes
    ----------
    height : int
        Pixels that the line is scaled down to, before it is scaled up again.
    blur : float
        Standard deviation of the Gaussian, in pixels of that height.
    noise : float
        Standard deviation; black and white are 0 and 1.
    """

    height: int = HEIGHT
    blur: float = 0.0
    noise: float = 0.0


def draw(text: str, font: str, print_: Print, rng: np.random.Generator) -> Array:
    """Set a line of text, print it badly, and scale it as the model wants it.

    Parameters
    ----------
    text : str
    font : str
        File name of one of Matplotlib's fonts.
    print_ : Print
    rng : numpy.random.Generator
        Makes the noise.

    Returns
    -------
    ndarray of float32, (1, 3, 48, width)
        -1 is black, 1 white.

    Raises
    ------
    MissingPackage
        If Pillow or Matplotlib is not installed.
    ValueError
        If the text is empty.
    """
    if not text.strip():
        raise ValueError(f"text must have something to read, got {text!r}")
    folder = optional("matplotlib").get_data_path()
    pil = optional("PIL.Image")
    letters = optional("PIL.ImageFont").truetype(f"{folder}/fonts/ttf/{font}", 34)
    left, top, right, bottom = letters.getbbox(text)
    margin = 6
    picture = pil.new("L", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), 255)
    pen = optional("PIL.ImageDraw").Draw(picture)
    pen.text((margin - left, margin - top), text, fill=0, font=letters)
    small = _scaled(picture, print_.height)
    small = small.filter(optional("PIL.ImageFilter").GaussianBlur(print_.blur))
    grey = np.asarray(small, np.float64) / 255
    grey += print_.noise * rng.standard_normal(grey.shape)
    noisy = pil.fromarray(np.uint8(np.rint(np.clip(grey, 0, 1) * 255)))
    pixels = np.asarray(_scaled(noisy, HEIGHT), np.float32) / np.float32(127.5) - np.float32(1)
    return np.repeat(pixels[None, None], 3, axis=1)


def _scaled(picture: Any, height: int) -> Any:
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), optional("PIL.Image").Resampling.BILINEAR)


class Recogniser(OnnxModel):
    """The model."""

    def probabilities(self, line: Array) -> Array:
        """Return the probability of each character at each step of a line.

        Parameters
        ----------
        line : ndarray of float32, (1, 3, 48, width)

        Returns
        -------
        ndarray of float32, (steps, characters)

        Raises
        ------
        MissingPackage
            If onnx or onnxruntime is not installed.
        """
        found: Array = self.session.run(None, {"x": line})[0][0]
        return found


def load() -> Recogniser:
    """Return the model as shipped, in float32.

    Returns
    -------
    Recogniser

    Raises
    ------
    MissingPackage
        If rapidocr-onnxruntime or onnx is not installed.
    """
    return Recogniser.read(
        WEIGHTS.find(),
        rows=lambda _, tensor: tensor.ndim == 4 and tensor.shape[1] > 1,
        columns=lambda _, tensor: tensor.ndim == 2,
    )


def characters() -> list[str]:
    """Return what the model's outputs mean: a character each, and the first of them nothing.

    Returns
    -------
    list of str

    Raises
    ------
    MissingPackage
        If rapidocr-onnxruntime or onnx is not installed.
    """
    return ["", *properties(WEIGHTS.find().read_bytes())["character"].splitlines(), " "]


def spell(likely: NDArray[np.floating[Any]], letters: Sequence[str]) -> str:
    """Return the text: the likeliest character of each step, without repetitions and blanks.

    Parameters
    ----------
    likely : ndarray of float, (steps, characters)
    letters : sequence of str
        As `characters` returns them.

    Returns
    -------
    str

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> spell(np.eye(3)[[1, 1, 0, 1, 2, 2]], ["", "a", "b"])
    'aab'
    """
    chosen = likely.argmax(axis=-1)
    new = np.append(True, chosen[1:] != chosen[:-1]) & (chosen != BLANK)
    return "".join(letters[i] for i in chosen[new])


def divergence(found: Array, reference: Array) -> float:
    """Return the mean over steps of the Kullback-Leibler divergence from the reference, in nats.

    Parameters
    ----------
    found, reference : ndarray of float32, (steps, characters)
        Probabilities. One that is 0 counts as the least normal float32 number.

    Returns
    -------
    float

    Raises
    ------
    Nothing.

    Examples
    --------
    >>> divergence(np.float32([[0.5, 0.5]]), np.float32([[1, 0]]))
    0.6931471805599453
    """
    least = np.finfo(np.float32).tiny
    p, q = (np.maximum(a.astype(np.float64), least) for a in (reference, found))
    return float(np.mean(np.sum(reference * np.log(p / q), axis=-1)))


def lines(text: str, count: int) -> list[str]:
    """Return lines of whole words, evenly spaced over a text, of characters that Latin fonts have.

    Parameters
    ----------
    text : str
    count : int

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        As `passages`.

    Examples
    --------
    >>> lines("In the beginning God created the heaven and the earth.", 1)
    ['In the beginning God created the']
    """
    found = passages(text, count)
    return [line[: line.rfind(" ", 1, LENGTH + 1)].strip() for line in found]


def evaluate(formats: Sequence[str], *, progress: Progress | None = None) -> list[Result]:
    """Measure both metrics on badly printed lines of two texts, as `analysis.models` says.

    Parameters
    ----------
    formats : sequence of str
    progress : callable, optional

    Returns
    -------
    list of Result
        An item is a line.

    Raises
    ------
    MissingPackage
        If a package of `FILES` or one of the extra is not installed.
    ValueError
        As `minifloat.quantize`.
    """
    distance = optional("rapidfuzz.distance").Levenshtein.distance
    letters = characters()
    model = load()
    models = dict(model.variants(formats))
    step = evaluation.counter(progress, len(TEXTS) * LINES)
    results: list[Result] = []
    for text, source in TEXTS.items():
        items: dict[tuple[str, str], list[float]] = {(f, m): [] for m in METRICS for f in models}
        seconds = dict.fromkeys(models, 0.0)
        rng = np.random.default_rng(1)
        for number, line in enumerate(lines(source(), LINES)):
            bad = Print(int(rng.integers(12, 20)), rng.uniform(0, 0.8), rng.uniform(0, 0.15))
            picture = draw(line, FONTS[number % len(FONTS)], bad, rng)
            reference = model.probabilities(picture)
            for fmt, measured in models.items():
                start = time.perf_counter()
                found = measured.probabilities(picture)
                seconds[fmt] += time.perf_counter() - start
                errors = distance(spell(found, letters), line) / len(line)
                apart = divergence(found, reference)
                for metric, item in zip(METRICS, (errors, apart), strict=True):
                    items[fmt, metric].append(item)
            step()
        for (fmt, metric), held in items.items():
            bits, nbytes = models[fmt].storage
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=text,
                    format=fmt,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=None,
                    metric=metric,
                    items=tuple(held),
                    speed=LINES / seconds[fmt],
                    speed_unit="lines/s",
                    packed=False,
                    note="" if fmt == REFERENCE else NOTE,
                )
            )
    return results
