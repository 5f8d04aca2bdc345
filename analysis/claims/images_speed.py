"""How many images EfficientNet-Lite0 classifies in a second, how big it is, how well it does.

On one thread times are of the CPU, so that other work on the machine matters less, on two threads
of the clock, and measured only where two cores are free; each is the median of `REPEATS`, of one
image at a time. NumPy has threads of its own, so float32 weights have one row. In the same run
onnxruntime runs the same network: in float32, and with weights and activations in 8 bits, which its
own tools chose (QDQ, one scale for a channel of weights, ranges of activations from the corners of
the photos). The divergence and the share of first classes that change are over the middles of the
photos, in one grouping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from analysis.claims.images import PAIR
from analysis.claims.timing import free_threads, median_seconds, product_on, threads_of
from analysis.models.efficientnet import EfficientNet, load
from analysis.models.efficientnet_onnx import Session, as_channels, onnx_model
from analysis.models.evaluation import REFERENCE, Progress, counter
from analysis.models.images import METRICS, figures, seen
from analysis.models.layers import Array
from analysis.models.packages import optional
from analysis.models.photos import Pixels, as_input, photos
from analysis.records import Row, Rows

RECIPES = (*PAIR, "nf5/128/float16", "int8/128/float16")
PEER = "onnxruntime"
INT8 = "int8, activations too"
REPEATS = 9


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each program and kind of weights.

    Parameters
    ----------
    quick : bool
        Whether to measure two photos, and the first recipe alone.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns program, weights, bits (of a weight), threads, images_per_second, stored
        and peak (bytes; None where the program does not say), and both metrics.

    Raises
    ------
    MissingPackage
        If onnx, onnxruntime, or a package of the network or of the photos is not installed.
    """
    recipes, repeats, every = (
        (RECIPES[:1], 3, (1,)) if quick else (RECIPES, REPEATS, free_threads())
    )
    pictures = photos()[: 2 if quick else None]
    crops = [photo.crops() for photo in pictures]
    middles, corners = np.stack([c[0] for c in crops]), np.concatenate([c[2:] for c in crops])
    step = counter(progress, 3 + len(recipes))
    model, image = load(), as_input(middles[0])
    exact = seen(model, middles)
    rows = []
    for weights, some in model.variants(recipes):
        ours = seen(some, middles)  # compiles the kernels
        for threads in threads_of(weights, every):
            used = replace(some, multiply=product_on(threads))
            classify = partial(used.logits, image)
            seconds = median_seconds(classify, repeats, threads)
            bits, stored = some.storage
            row = _row("minifloat", weights, bits, threads, seconds, ours, exact)
            rows.append(row | {"stored": stored, "peak": used.peak(classify)})
        step()
    program = f"{PEER} {optional(PEER).__version__}"
    for weights, bits, network in (
        (REFERENCE, 32.0, model),
        (INT8, 8.0, in_eight_bits(model, corners)),
    ):
        sessions = [Session(network, threads) for threads in every]
        ours = sessions[0].seen(middles)
        for threads, session in zip(every, sessions, strict=True):
            seconds = median_seconds(partial(session.logits, image[None]), repeats, threads)
            row = _row(program, weights, bits, threads, seconds, ours, exact)
            rows.append(row | {"stored": None, "peak": None})
        step()
    return rows


def in_eight_bits(model: EfficientNet, images: Pixels) -> bytes:
    """Return the ONNX file that onnxruntime's tools make of the network in eight bits.

    Parameters
    ----------
    model : EfficientNet
        In float32.
    images : ndarray of uint8, (images, height, width, 3)
        On which the ranges of activations are measured.

    Returns
    -------
    bytes
    """
    tools = optional("onnxruntime.quantization")

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]  # of a package that may lack
        inputs: Iterator[Array] = iter([as_channels(as_input(image[None])) for image in images])

        def get_next(self) -> dict[str, Array] | None:
            return next(({"image": image} for image in self.inputs), None)

    with TemporaryDirectory() as folder:
        exact, whole = (str(Path(folder, name)) for name in ("exact.onnx", "int8.onnx"))
        optional("onnx").save(onnx_model(model), exact)
        tools.quantize_static(exact, whole, Reader(), per_channel=True)
        return Path(whole).read_bytes()


def _row(
    program: str, weights: str, bits: float, threads: int, seconds: float, ours: Array,
    exact: Array,
) -> Row:  # fmt: skip
    row: Row = {
        "program": program,
        "weights": weights,
        "bits": bits,
        "threads": threads,
        "images_per_second": 1 / seconds,
    }
    return row | dict(zip(METRICS, figures(ours, exact), strict=True))
