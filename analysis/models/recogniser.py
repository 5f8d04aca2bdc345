"""PP-OCRv4's text recogniser: it reads lines of printed text whose letters are known.

The lines are set in three fonts and then degraded: scaled down, blurred and covered with noise,
each by its own seeded amount, so that the unquantized model makes some mistakes, too. For each step
of 8 pixels along the line the output is a probability for each of 6625 characters; the likeliest
ones, without repetitions and blanks, are the text.

onnxruntime runs the model, in float32: its weights are only rounded, not packed. The convolutions
of more than one channel are rounded (all taps of an output are a row), and the matrices of the
attention and the output. Convolutions of one channel, of 9 or 25 taps, stay float32, as do biases
and norms.

There are two metrics. The character error rate is the smallest number of insertions, deletions and
substitutions that correct the text, per character of the true text. The divergence of the
probabilities from those of fp32 shows changes before any letter changes.
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
from analysis.models.layers import Array
from analysis.models.matrices import SomeRecipe
from analysis.models.onnx_files import NOTE, OnnxModel, properties
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
HEIGHT = 48  # pixels of the model's input
BLANK = 0
METRICS = ("character error rate", "nats of divergence from fp32, a step")


@dataclass(frozen=True)
class Print:
    """How much a line is degraded.

    Attributes
    ----------
    height : int
        Pixels to which the line is scaled down, before it is scaled up again.
    blur : float
        Standard deviation of the Gaussian, in pixels of that height.
    noise : float
        Standard deviation; black and white are 0 and 1.
    """

    height: int = HEIGHT
    blur: float = 0.0
    noise: float = 0.0


def draw(text: str, font: str, print_: Print, rng: np.random.Generator) -> Array:
    """Set a line of text, degrade it, and scale it for the model.

    Parameters
    ----------
    text : str
    font : str
        File name of one of Matplotlib's fonts.
    print_ : Print
    rng : numpy.random.Generator
        For the noise.

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
        raise ValueError(f"text must not be blank, got {text!r}")
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
        probabilities: Array = self.session.run(None, {"x": line})[0][0]
        return probabilities


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
    """Return the output alphabet: a character for each output; index 0 is the CTC blank.

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

    Examples
    --------
    >>> spell(np.eye(3)[[1, 1, 0, 1, 2, 2]], ["", "a", "b"])
    'aab'
    """
    chosen = likely.argmax(axis=-1)
    new = np.append(True, chosen[1:] != chosen[:-1]) & (chosen != BLANK)
    return "".join(letters[i] for i in chosen[new])


def divergence(probabilities: Array, reference: Array) -> float:
    """Return the mean over steps of the Kullback-Leibler divergence from the reference, in nats.

    Parameters
    ----------
    probabilities, reference : ndarray of float32, (steps, characters)
        A probability of 0 counts as the smallest normal float32 number.

    Returns
    -------
    float

    Examples
    --------
    >>> divergence(np.float32([[0.5, 0.5]]), np.float32([[1, 0]]))
    0.6931471805599453
    """
    tiny = np.finfo(np.float32).tiny
    p, q = (np.maximum(a.astype(np.float64), tiny) for a in (reference, probabilities))
    return float(np.mean(np.sum(reference * np.log(p / q), axis=-1)))


def lines(text: str, count: int) -> list[str]:
    """Return lines of whole words, evenly spaced over a text.

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
    return [line[: line.rfind(" ", 1, LENGTH + 1)].strip() for line in passages(text, count)]


def evaluate(recipes: Sequence[SomeRecipe], *, progress: Progress | None = None) -> list[Result]:
    """Measure both metrics on degraded lines of two texts; see `analysis.models`.

    An item is a line.
    """
    distance = optional("rapidfuzz.distance").Levenshtein.distance
    letters = characters()
    model = load()
    models = dict(model.variants(recipes))
    step = evaluation.counter(progress, len(TEXTS) * LINES)
    results: list[Result] = []
    for text, source in TEXTS.items():
        items: dict[tuple[str, str], list[float]] = {(r, m): [] for m in METRICS for r in models}
        seconds = dict.fromkeys(models, 0.0)
        rng = np.random.default_rng(1)
        for number, line in enumerate(lines(source(), LINES)):
            quality = Print(int(rng.integers(12, 20)), rng.uniform(0, 0.8), rng.uniform(0, 0.15))
            picture = draw(line, FONTS[number % len(FONTS)], quality, rng)
            reference = model.probabilities(picture)
            for recipe, measured in models.items():
                start = time.perf_counter()
                probabilities = measured.probabilities(picture)
                seconds[recipe] += time.perf_counter() - start
                error_rate = distance(spell(probabilities, letters), line) / len(line)
                change = divergence(probabilities, reference)
                for metric, item in zip(METRICS, (error_rate, change), strict=True):
                    items[recipe, metric].append(item)
            step()
        for (recipe, metric), values in items.items():
            bits, nbytes = models[recipe].storage
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=text,
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=None,
                    metric=metric,
                    items=tuple(values),
                    speed=LINES / seconds[recipe],
                    speed_unit="lines/s",
                    packed=False,
                    note="" if recipe == REFERENCE else NOTE,
                )
            )
    return results
