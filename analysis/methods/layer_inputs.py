"""Matrices of real models, each with inputs that it gets when the model reads text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from analysis.models import minilm, smollm2
from analysis.models.layers import Array
from analysis.models.matrices import MatrixModel, dense
from analysis.models.recorder import Recorder
from analysis.models.texts import TEXTS, passages

Model = TypeVar("Model", bound=MatrixModel)

CHUNK = 128  # tokens of SmolLM2's chunks; MiniLM reads passages


@dataclass(frozen=True)
class Layer:
    """A matrix and its inputs.

    Attributes
    ----------
    model, name : str
    weights : ndarray of float32, (outputs, inputs)
    inputs : ndarray of float32, (tokens, inputs)
    """

    model: str
    name: str
    weights: Array
    inputs: Array


def layers_of(
    name: str, model: Model, chosen: Iterable[str], read: Callable[[Model], object]
) -> Iterator[Layer]:
    """Yield matrices of a model with the inputs that they get.

    Parameters
    ----------
    name : str
        Of the model.
    model : MatrixModel
    chosen : iterable of str
        Names of matrices.
    read : callable
        Lets a model read text.

    Yields
    ------
    Layer

    Examples
    --------
    >>> small = MatrixModel(matrices={"m": np.eye(2, dtype="f4")}, vectors={})
    >>> x = np.ones((3, 2), np.float32)
    >>> layer, = layers_of("small", small, ["m"], lambda m: m.multiply(x, m.matrices["m"]))
    >>> layer.inputs.shape
    (3, 2)
    """
    names = list(chosen)
    recorder = Recorder(model, names)
    read(replace(model, multiply=recorder))
    inputs = recorder.inputs()
    for matrix in names:
        yield Layer(name, matrix, dense(model.matrices[matrix]), inputs[matrix])


def minilm_layers(count: int, every: int = 1, *, calibration: bool = False) -> Iterator[Layer]:
    """Yield the matrices of every so-manieth layer of MiniLM.

    Parameters
    ----------
    count : int
        Passages of each text that the model reads.
    every : int
    calibration : bool
        Whether it reads other passages, to calibrate with.

    Raises
    ------
    MissingPackage
        If its package, or one of a text, is not installed.
    """
    model = minilm.load()
    names = [
        name
        for name in model.matrices
        if name.startswith("encoder") and int(name.split(".")[2]) % every == 0
    ]
    sentences = [
        sentence for read in TEXTS.values() for sentence in _passages(read(), count, calibration)
    ]
    yield from layers_of(
        minilm.MODEL, model, names, lambda m: [m.embed(sentence) for sentence in sentences]
    )


def _passages(text: str, count: int, calibration: bool) -> list[str]:
    """Return passages of a text; those for calibration lie between the others."""
    return passages(text, 2 * count)[1::2] if calibration else passages(text, count)


def smollm2_layers(count: int, every: int = 1, *, calibration: bool = False) -> Iterator[Layer]:
    """Yield the matrices of every so-manieth layer of SmolLM2.

    Parameters
    ----------
    count : int
        Chunks of `CHUNK` tokens of each text that the model reads.
    every : int
    calibration : bool
        Whether it reads other chunks, to calibrate with.

    Raises
    ------
    MissingPackage
        If its package, or one of a text, is not installed.
    """
    model, words = smollm2.load(), smollm2.tokenizer()
    names = [
        name
        for name in model.matrices
        if name.startswith("blk") and int(name.split(".")[1]) % every == 0
    ]
    chunks = [
        chunk[:CHUNK]
        for read in TEXTS.values()
        for chunk in smollm2.chunks(np.array(words.encode(read()).ids))[calibration][:count]
    ]
    yield from layers_of(
        smollm2.MODEL, model, names, lambda m: [m.hidden(chunk) for chunk in chunks]
    )
