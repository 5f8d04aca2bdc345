"""Real layers: the errors of weights, of activations and of their products, in each format.

`records` takes matrices of MiniLM and SmolLM2 and what the models multiply them with while they
read two texts, and rounds both as the theory of `analysis.hardware.errors` has it: blocks of 128
along a row with float16 scales, Microscaling and NVFP4 as they are defined. A record is a matrix;
its errors are in decibels: the signal is the sum of squares, of weights, activations or products.

`losses` rounds MiniLM's weights and its activations before every product, and measures how far the
embeddings of sentences turn. Tables of embeddings stay float32, since they are no factor of a
product. One model has one draw of rounding errors, so each is measured in several: draw 0 is the
model as shipped, the others group its input channels into other blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hardware.circuits import BLOCK_FORMATS, FLOAT, FORMATS, ITSELF
from analysis.hardware.errors import recipe_of
from analysis.models import minilm, smollm2
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.models.matrices import Matrix, MatrixModel, dense, product
from analysis.models.recorder import Recorder
from analysis.models.texts import TEXTS, passages
from analysis.records import Row, Rows
from minifloat import Recipe, quantize

NAMES = (*(fmt for formats in FORMATS.values() for fmt in formats), *BLOCK_FORMATS)
TELLING = ("e2m2", "int5")  # of a quick run
ACTIVATIONS = (FLOAT, "int8", "e4m3fn", ITSELF)
WEIGHTS, INPUTS, PRODUCTS = "weights", "activations", "products"
TOKENS = 512  # activations of a matrix, at most
EVERY = 5  # of SmolLM2's layers one in so many
SENTENCES = 16  # of each text
DRAWS = 3
LOSSES_OF = (FLOAT, "int8", ITSELF)  # activations
LOSSY = (  # integers in two's complement alone, since ±INT has the same values
    "e2m1", "int4", "nf4", "e3m0", "e2m2", "int5", "e3m1", "e2m0", "int3", "int8", "e4m3fn", "e2m3",
    "int6", "e3m2", "mxfp4", "nvfp4",
)  # fmt: skip

Inputs = dict[str, Array]  # by the name of the matrix


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure the errors of real weights, activations and products.

    Parameters
    ----------
    quick : bool
        One layer of MiniLM and two formats.
    progress : callable, optional
        Called with the matrices done and all matrices.

    Returns
    -------
    list of dict
        ``model``, ``matrix``, ``what`` ("weights", "activations" or "products"), ``activations``
        (of products: "float", a format, or "itself"; else None), and a column for each format with
        the signal over the squared error in decibels, to 0.01.

    Raises
    ------
    MissingPackage
        If a model's package is not installed.
    """
    names = TELLING if quick else NAMES
    models = [("MiniLM", *minilm_layers(quick))]
    if not quick:
        models.append(("SmolLM2", *smollm2_layers()))
    step = counter(progress, sum(len(inputs) for _, _, inputs in models))
    rows: Rows = []
    for model, matrices, inputs in models:
        for matrix, x in inputs.items():
            for what, activations, errors in _errors(dense(matrices[matrix]), x, names):
                place = {"model": model, "matrix": matrix, "what": what}
                rows.append({**place, "activations": activations, **errors})
            step()
    return rows


def _errors(
    w: Array, x: Array, names: Sequence[str]
) -> Iterator[tuple[str, str | None, dict[str, float]]]:
    recipes = {name: recipe_of(name) for name in dict.fromkeys([*names, *ACTIVATIONS[1:3]])}
    weights = {name: rounded(w, recipe) for name, recipe in recipes.items()}
    inputs = {name: rounded(x, recipe) for name, recipe in recipes.items()}
    yield WEIGHTS, None, {name: decibels(w, weights[name]) for name in names}
    yield INPUTS, None, {name: decibels(x, inputs[name]) for name in names}
    exact = x @ w.T
    for activations in ACTIVATIONS:
        found = {}
        for name in names:
            fmt = name if activations == ITSELF else activations
            factor = x if fmt == FLOAT else inputs[fmt]
            found[name] = decibels(exact, factor @ weights[name].T)
        yield PRODUCTS, activations, found


def rounded(x: Array, recipe: Recipe) -> Array:
    """Return the values of an array after quantizing."""
    return quantize(x, recipe).dequantize()


def decibels(exact: Array, approximate: Array) -> float:
    """Return the sum of squares over that of the error, in decibels to 0.01; 999.0 for no error.

    Examples
    --------
    >>> import numpy as np
    >>> decibels(np.float32([3, 4]), np.float32([3, 4.5]))
    20.0
    """
    apart = exact.astype(np.float64) - approximate
    error = float(np.sum(apart * apart))
    signal = float(np.sum(np.square(exact, dtype=np.float64)))
    return round(10 * math.log10(signal / error), 2) if error else 999.0


def minilm_layers(quick: bool) -> tuple[dict[str, Matrix], Inputs]:
    """Return MiniLM's matrices, and what those of its layers are multiplied with."""
    model = minilm.load()
    recorder = Recorder(model)
    heard = replace(model, multiply=recorder)
    for sentence in sentences():
        heard.embed(sentence)
    inputs = recorder.inputs(TOKENS)
    layers = [name for name in inputs if not quick or name.startswith("encoder.layer.0.")]
    return dict(model.matrices), {name: inputs[name] for name in layers}


def smollm2_layers() -> tuple[dict[str, Matrix], Inputs]:
    """Return SmolLM2's matrices, and what those of every fifth layer are multiplied with."""
    model, words = smollm2.load(), smollm2.tokenizer()
    recorder = Recorder(model)
    heard = replace(model, multiply=recorder)
    for sentence in sentences():
        heard.hidden(np.array(words.encode(sentence).ids))
    layers = {f"blk.{index}" for index in range(0, model.shape.layers, EVERY)}
    inputs = recorder.inputs(TOKENS)
    chosen = [name for name in inputs if name.rpartition(".")[0].rpartition(".")[0] in layers]
    return dict(model.matrices), {name: inputs[name] for name in chosen}


def sentences() -> list[str]:
    """Return `SENTENCES` passages of each text."""
    return [passage for read in TEXTS.values() for passage in passages(read(), SENTENCES)]


def losses(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Measure how far MiniLM's embeddings turn.

    Parameters
    ----------
    quick : bool
        Two formats and two draws.
    progress : callable, optional
        Called with the models done and all models.

    Returns
    -------
    list of dict
        ``fmt``, ``activations``, ``draw``, and ``loss``: 1 - cosine to the embedding of float32,
        the mean over every second of the sentences.

    Raises
    ------
    MissingPackage
        If MiniLM's package is not installed.
    """
    names, draws = (TELLING, 2) if quick else (LOSSY, DRAWS)
    model, texts = minilm.load(), sentences()[::2]
    exact = _embeddings(model, texts)
    step = counter(progress, len(names) * draws * len(LOSSES_OF))
    rows: Rows = []
    for draw in range(draws):
        orders = channel_orders(model, draw)
        for fmt in names:
            quantized = _in_format(model, fmt, orders)
            for activations in LOSSES_OF:
                other = fmt if activations == ITSELF else activations
                recipe = None if other == FLOAT else recipe_of(other)
                variant = replace(quantized, multiply=Rounded(recipe, orders))
                apart = _embeddings(variant, texts) - exact
                loss = float(np.mean(np.sum(apart * apart, axis=-1)) / 2)
                rows.append(_loss(fmt, activations, draw, loss))
                step()
    return rows


def _loss(fmt: str, activations: str, draw: int, loss: float) -> Row:
    return {"fmt": fmt, "activations": activations, "draw": draw, "loss": float(f"{loss:.5g}")}


Orders = dict[int, NDArray[np.integer[Any]]]  # of channels, by their number


def channel_orders(model: MatrixModel, draw: int) -> Orders:
    """Return an order of the input channels for each width; for draw 0 the order that they have."""
    widths = sorted({matrix.shape[-1] for matrix in model.matrices.values()})
    if not draw:
        return {width: np.arange(width) for width in widths}
    random = np.random.default_rng(draw)
    return {width: random.permutation(width) for width in widths}


def regrouped(x: Array, recipe: Recipe, order: NDArray[np.integer[Any]]) -> Array:
    """Return an array rounded in blocks of its last axis in another order.

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat import Recipe
    >>> x = np.float32([[1, 70, 1, 70]])
    >>> regrouped(x, Recipe.parse("int4/2/float32"), np.array([0, 2, 1, 3]))
    array([[ 1., 70.,  1., 70.]], dtype=float32)
    """
    found = np.empty_like(x)
    found[..., order] = rounded(np.ascontiguousarray(x[..., order]), recipe)
    return found


class Rounded:
    """`analysis.models.matrices.product` of activations that are rounded first.

    Parameters
    ----------
    recipe : Recipe or None
        None leaves them as they are.
    orders : dict of int to ndarray
        From `channel_orders`.
    """

    def __init__(self, recipe: Recipe | None, orders: Orders) -> None:
        self._recipe, self._orders = recipe, orders

    def __call__(self, x: Array, matrix: Matrix, bias: Array | None = None, /) -> Array:
        """Return ``x' @ matrix.T + bias``."""
        if self._recipe is not None:
            x = regrouped(x, self._recipe, self._orders[x.shape[-1]])
        return product(x, matrix, bias)


def _in_format(model: minilm.Encoder, fmt: str, orders: Orders) -> minilm.Encoder:
    """Return the model with the weights of its layers rounded."""
    recipe = recipe_of(fmt)
    found = dict(model.matrices)
    for name, matrix in model.matrices.items():
        if name.startswith("encoder."):
            found[name] = regrouped(dense(matrix), recipe, orders[matrix.shape[-1]])
    return replace(model, matrices=found)


def _embeddings(model: minilm.Encoder, texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([model.embed(text) for text in texts], np.float64)
