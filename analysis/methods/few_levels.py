"""What binary and ternary weights lose in real layers, by the rules of papers and by recipes.

The operators that BiBench compares, in the forward pass, and the rules of ternary networks, on all
matrices of MiniLM's layers and those of every tenth layer of SmolLM2. A matrix has the SQNR of its
weights, and the relative error of its outputs in dB, with inputs from two texts. The models are not
trained with these weights, as they would be in the papers.

**Criteria**

Of two rules one is better in a model if the mean difference over its matrices, in dB of the
outputs' error, is above 0.1 dB and above two standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers, smollm2_layers
from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat.quantization.few_levels import OPERATORS, binarize, ternarize

TWN = "TWN's threshold"
RECIPES = (
    "bipolar_int1/128/float16/absmean", "bitnet_b158", "twn", "int2/channel/float32/mse",
    "int2/128/float16/mse",
)  # fmt: skip
RULES = (*OPERATORS, TWN, *RECIPES)
PASSAGES, CHUNKS, EVERY = 8, 1, 10  # of each text; layers of SmolLM2


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix and rule.

    Parameters
    ----------
    quick : bool
        Whether to measure the first layer of MiniLM alone.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, rule, bits, sqnr (of the weights, dB) and outputs (squared
        outputs over their squared error, dB).

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
    step = counter(progress, len(layers))
    rows: Rows = []
    for layer in layers:
        rows += of_layer(layer)
        step()
    return rows


def of_layer(layer: Layer) -> Iterator[Row]:
    """Yield the rows of a matrix.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layer = Layer("m", "m", *rng.standard_normal((2, 256, 256)).astype("f4"))
    >>> {row["rule"]: round(row["sqnr"], 1) for row in of_layer(layer)}["dorefa"]
    4.4
    """
    exact = layer.inputs @ layer.weights.T
    power = float(np.square(exact).sum())
    for rule in RULES:
        q = quantizer(rule)(layer.weights)
        error = float(np.square(layer.inputs @ q.dequantize().T - exact).sum())
        yield {
            "model": layer.model,
            "matrix": layer.name,
            "rule": rule,
            "bits": float(q.bits_per_weight),
            "sqnr": q.sqnr(layer.weights),
            "outputs": 10 * float(np.log10(power / error)),
        }


def quantizer(rule: str) -> Callable[[NDArray[np.float32]], mf.Quantized]:
    """Return what quantizes weights by one of `RULES`."""
    if rule in OPERATORS:
        return lambda w: binarize(w, rule)
    return ternarize if rule == TWN else lambda w: mf.quantize(w, rule)


def lead(rows: Rows, model: str, pair: tuple[str, str]) -> Estimate:
    """Return by how many dB the outputs' error of a rule is lower than that of another.

    Examples
    --------
    >>> row = {"model": "m", "matrix": "a"}
    >>> rows = [row | {"rule": "xnor", "outputs": 3.0}, row | {"rule": "fda", "outputs": 4.0}]
    >>> lead(rows, "m", ("fda", "xnor")).mean
    1.0
    """
    first, second = (
        {row["matrix"]: row["outputs"] for row in rows if (row["model"], row["rule"]) == key}
        for key in ((model, rule) for rule in pair)
    )
    return Estimate.of([first[matrix] - second[matrix] for matrix in first])
