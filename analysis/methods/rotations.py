"""What a random-sign Hadamard rotation does to the outputs of real layers, at equal bits.

The matrices are all of MiniLM's six layers, and those of every tenth layer of SmolLM2; their inputs
are those of `TOKENS` tokens of two texts. The error of a matrix is that of its
outputs, relative to them, where weights alone are quantized, or both weights and inputs by the same
recipe. A rotation takes no bits. It is of 64 inputs, or of all of a matrix (384, 576 or 1536, with
Paley's matrices of 12 and 36). Each is drawn `DRAWS` times, with other signs.

**Criteria**

A matrix's gain is that of its error in dB, the mean over the draws. A rotation is said to help (or
to hurt) a recipe in a model if the mean gain over its matrices is above (or below) 0 by 0.1 dB and
by two standard errors, and has the same sign in each draw. The standard error is over matrices.
Other signs are another source of error: the standard deviation of the mean gain between draws
stands beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers, smollm2_layers
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.records import Row, Rows
from analysis.statistics import Estimate

RECIPES = ("e2m2/128/float16", "int5/128/float16", "nvfp4", "mxfp4", "int4/32/e8m0",
           "int4/128/float16")  # fmt: skip
SIZES = ("64 inputs", "whole rows")
QUANTIZED = ("weights", "both")
DRAWS = 3
TOKENS = 256  # at most, of a layer's inputs
PASSAGES, CHUNKS, EVERY = 8, 1, 10  # of each text; layers of SmolLM2
MATTERS = 0.1  # dB


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, recipe, size of the rotation, and what is quantized.

    Parameters
    ----------
    quick : bool
        Whether to measure the first layer of MiniLM alone.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, recipe, quantized, size, error (without a rotation) and
        gain_0, gain_1, ... (dB, of each draw).

    Raises
    ------
    MissingPackage
        If the package of a model or of a text is not installed.
    """
    layers = list(
        minilm_layers(1, 6)
        if quick
        else chain(minilm_layers(PASSAGES), smollm2_layers(CHUNKS, EVERY))
    )
    step = counter(progress, len(layers) * len(RECIPES))
    rows = []
    for layer in layers:
        for recipe in RECIPES:
            rows += list(_rows(layer, mf.Recipe.parse(recipe)))
            step()
    return rows


def _rows(layer: Layer, recipe: mf.Recipe) -> Iterator[Row]:
    plain = output_errors(layer, recipe)
    for size in SIZES:
        inputs = layer.weights.shape[1]
        n = inputs if size == SIZES[1] else 64
        drawn = [
            output_errors(layer, recipe.replace(rotation=mf.Rotation(n, seed=seed)))
            for seed in range(DRAWS)
        ]
        for quantized in QUANTIZED:
            gains = [20 * np.log10(plain[quantized] / errors[quantized]) for errors in drawn]
            yield {
                "model": layer.model,
                "matrix": layer.name,
                "recipe": str(recipe),
                "quantized": quantized,
                "size": size,
                "error": float(plain[quantized]),
                **{f"gain_{draw}": round(float(gain), 4) for draw, gain in enumerate(gains)},
            }


def output_errors(layer: Layer, recipe: mf.Recipe) -> dict[str, float]:
    """Return the relative error of a layer's outputs with its weights, or both, quantized.

    Rotated weights and inputs are rotated back before they are multiplied: that is the same
    product.

    Parameters
    ----------
    layer : Layer
    recipe : Recipe

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layer = Layer("m", "m", *rng.standard_normal((2, 64, 64)).astype("f4"))
    >>> {key: round(error, 3) for key, error in output_errors(layer, mf.Recipe("e2m2")).items()}
    {'weights': 0.051, 'both': 0.071}
    """
    x = layer.inputs[:: max(1, len(layer.inputs) // TOKENS)][:TOKENS]
    w = mf.quantize(layer.weights, recipe).dequantize()
    exact: Array = x @ layer.weights.T
    some = mf.quantize(x, recipe).dequantize()
    found = {"weights": x @ w.T, "both": some @ w.T}
    norm = float(np.linalg.norm(exact))
    return {name: float(np.linalg.norm(y - exact)) / norm for name, y in found.items()}


@dataclass(frozen=True)
class Effect:
    """What a rotation does to a recipe in a model.

    Attributes
    ----------
    gain : Estimate
        Mean gain over matrices in dB, and its standard error.
    draws : tuple of float
        The mean gain of each draw of the signs.
    """

    gain: Estimate
    draws: tuple[float, ...]

    @property
    def between_draws(self) -> float:
        """Standard deviation of the mean gain between draws."""
        return float(np.std(self.draws, ddof=1))

    @property
    def verdict(self) -> str:
        """Return "helps", "hurts", or "" for neither."""
        mean, least = self.gain.mean, max(2 * self.gain.standard_error, MATTERS)
        if mean > least and min(self.draws) > 0:
            return "helps"
        return "hurts" if mean < -least and max(self.draws) < 0 else ""


def effects(rows: Rows) -> dict[tuple[str, str, str, str], Effect]:
    """Return the effect by model, recipe, what is quantized, and size.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.

    Examples
    --------
    >>> row = {"model": "m", "recipe": "int4", "quantized": "both", "size": "64"}
    >>> rows = [row | {"gain_0": g, "gain_1": g + 0.2} for g in (1.0, 1.2)]
    >>> effect = effects(rows)["m", "int4", "both", "64"]
    >>> effect.verdict, round(effect.gain.mean, 3)
    ('helps', 1.2)
    """
    groups: dict[tuple[str, str, str, str], list[list[float]]] = defaultdict(list)
    for row in rows:
        key = (row["model"], row["recipe"], row["quantized"], row["size"])
        groups[key].append([value for name, value in row.items() if name.startswith("gain_")])
    return {
        key: Effect(Estimate.of(np.mean(gains, axis=1)), tuple(map(float, np.mean(gains, axis=0))))
        for key, gains in groups.items()
    }


def lead(rows: Rows, model: str, quantized: str, pair: tuple[str, str], size: str) -> Estimate:
    """Return by how many dB the outputs' error of a recipe is lower than that of another.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    model, quantized : str
    pair : (str, str)
        The recipe, and the other.
    size : str
        One of `SIZES`, by which both are rotated; "" for weights as they are.

    Returns
    -------
    Estimate
        Mean and standard error over matrices, of the mean over draws.

    Examples
    --------
    >>> row = {"model": "m", "matrix": "a", "quantized": "both", "size": "64 inputs"}
    >>> rows = [row | {"recipe": "e2m2", "error": 0.1, "gain_0": 0.0, "gain_1": 1.0}]
    >>> rows += [row | {"recipe": "int5", "error": 0.2, "gain_0": 6.0, "gain_1": 6.0}]
    >>> [round(lead(rows, "m", "both", ("e2m2", "int5"), size).mean, 2) for size in ("", SIZES[0])]
    [6.02, 0.52]
    """
    levels: dict[str, dict[str, float]] = {recipe: {} for recipe in pair}
    for row in rows:
        is_one = row["model"] == model and row["quantized"] == quantized and row["recipe"] in pair
        if is_one and row["size"] == (size or SIZES[0]):
            gains = [value for name, value in row.items() if name.startswith("gain_")]
            gain = float(np.mean(gains)) if size else 0.0
            levels[row["recipe"]][row["matrix"]] = gain - 20 * np.log10(row["error"])
    first, second = (levels[recipe] for recipe in pair)
    return Estimate.of([first[matrix] - second[matrix] for matrix in first])
