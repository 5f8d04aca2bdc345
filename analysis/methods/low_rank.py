"""Whether a rank is worth its bits: low-rank correction against more bits for each weight.

The matrices are those of two layers of MiniLM and of the first layer of SmolLM2 (without the gate,
which has the shape and the inputs of the matrix beside it), each with its inputs on two texts:
every other token calibrates, the others measure. In a contest a recipe of fewer bits gets the rank
that fills it up to the bits of another recipe (both with everything counted), and the error of the
outputs is compared with that of the other recipe, whose weights are quantized in the same way: to
nearest, or by GPTQ.

**Criteria**

A matrix's gain is by how many dB the outputs' relative error is below that of the other recipe. A
way of correction is said to be worth its bits in a model if the mean gain over its matrices is
above 0.1 dB and above two standard errors, and not worth them if it is as far below 0. The standard
error is over matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers, smollm2_layers
from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat.composites.low_rank import channel_scales, correct_by_low_rank

Array = NDArray[np.float64]


class Way(NamedTuple):
    """A way of correction: the norm, rounds, and the recipe of the thin matrices."""

    norm: str
    rounds: int
    factors: str


CONTESTS = {  # of the recipe that fills its bits by a rank, and the other one
    "int2/128/float16/mse": "int3/128/float16/mse",
    "int4/128/float16": "nvfp4",
    "nvfp4": "e2m2/128/float16",
}
WAYS = {
    "LoRC, LQER": Way("none", 1, "int8/128/float16"),
    "LoftQ": Way("none", 5, "int4/128/float16"),
    "L2QER": Way("scales", 1, "int4/128/float16"),
    "optimum, 8 bits": Way("hessian", 1, "int8/128/float16"),
    "optimum": Way("hessian", 1, "int4/128/float16"),
    "optimum, 5 rounds": Way("hessian", 5, "int4/128/float16"),
}
ROUNDINGS = ("nearest", "gptq")
PASSAGES, EVERY = 64, 3  # of each text, layers of MiniLM
CHUNKS, EVERY_SMOL = 12, 30  # of each text, layers of SmolLM2
LEFT_OUT = "ffn_gate.weight"
MATTERS = 0.1  # dB


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, contest, rounding and way.

    Parameters
    ----------
    quick : bool
        Whether to measure one matrix.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, recipe (of fewer bits), against, rounding, way, rank, bits
        (of the corrected weights), error (relative, of the outputs) and gain (dB, over the other
        recipe); and a row with the way "none" for the recipe of fewer bits alone.

    Raises
    ------
    MissingPackage
        If the package of a model or of a text is not installed.
    """
    layers = (
        list(minilm_layers(2, 6))[:1]
        if quick
        else list(chain(minilm_layers(PASSAGES, EVERY), smollm2_layers(CHUNKS, EVERY_SMOL)))
    )
    layers = [layer for layer in layers if not layer.name.endswith(LEFT_OUT)]
    step = counter(progress, len(layers) * len(CONTESTS) * len(ROUNDINGS))
    rows: Rows = []
    for layer in layers:
        for recipe, against in CONTESTS.items():
            for rounding in ROUNDINGS:
                rows += contest(layer, recipe, against, rounding)
                step()
    return rows


def contest(layer: Layer, recipe: str, against: str, rounding: str) -> list[Row]:
    """Return the rows of a matrix in a contest; see `records`.

    Parameters
    ----------
    layer : Layer
    recipe, against : str
        The recipe that is corrected, and the other one, of more bits.
    rounding : str
        One of `ROUNDINGS`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layer = Layer("m", "m", *rng.standard_normal((2, 64, 64)).astype("f4"))
    >>> rows = contest(layer, "int3/64/float16", "int4/64/float16", "nearest")
    >>> rows[0]["way"], round(rows[0]["gain"]), {row["bits"] <= 4.25 for row in rows}
    ('none', -7, {True})
    """
    seen, unseen = (layer.inputs[k::2].astype(np.float64) for k in (0, 1))
    hessian = seen.T @ seen
    exact = unseen @ layer.weights.T.astype(np.float64)

    def error_of(weights: Array) -> float:
        return float(np.linalg.norm(unseen @ weights.T - exact) / np.linalg.norm(exact))

    def quantizer(name: str) -> Callable[[NDArray[Any]], mf.Quantized]:
        if rounding == "gptq":
            return lambda weights: mf.gptq(weights, name, hessian)
        return lambda weights: mf.quantize(weights, name)

    other = quantizer(against)(layer.weights)
    least = error_of(other.dequantize().astype(np.float64))
    alone = quantizer(recipe)(layer.weights)
    norms = {"none": None, "scales": channel_scales(seen) ** 2, "hessian": hessian}
    found = {"none": (0, alone.bits_per_weight, error_of(alone.dequantize().astype(np.float64)))}
    for name, way in WAYS.items():
        c = correct_by_low_rank(
            layer.weights, quantizer(recipe), bits=other.bits_per_weight,
            hessian=norms[way.norm], rounds=way.rounds, factors=way.factors,
        )  # fmt: skip
        rank = 0 if c.low_rank is None else c.low_rank[1].shape[0]
        found[name] = (rank, c.bits_per_weight, error_of(c.dequantize().astype(np.float64)))
    return [
        {
            "model": layer.model,
            "matrix": layer.name,
            "recipe": recipe,
            "against": against,
            "rounding": rounding,
            "way": name,
            "rank": rank,
            "bits": float(bits),
            "error": error,
            "gain": float(20 * np.log10(least / error)),
        }
        for name, (rank, bits, error) in found.items()
    ]


class Verdict(NamedTuple):
    """The mean gain of a way over matrices, the mean rank, and whether it is worth its bits."""

    gain: Estimate
    rank: float
    words: str


def verdicts(rows: Rows) -> dict[tuple[str, str, str, str], Verdict]:
    """Return verdicts by model, recipe, rounding and way.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.

    Examples
    --------
    >>> row = {"model": "m", "recipe": "int4", "rounding": "gptq", "way": "LoftQ"}
    >>> found = verdicts([row | {"rank": r, "gain": g} for r, g in ((8, -2.0), (10, -2.2))])
    >>> found["m", "int4", "gptq", "LoftQ"].words
    'not worth'
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        key = (row["model"], row["recipe"], row["rounding"], row["way"])
        groups.setdefault(key, []).append(row)
    found = {}
    for key, some in groups.items():
        gain = Estimate.of([row["gain"] for row in some])
        words = ""
        if abs(gain.mean) > max(MATTERS, 2 * gain.standard_error):
            words = "worth" if gain.mean > 0 else "not worth"
        found[key] = Verdict(gain, float(np.mean([row["rank"] for row in some])), words)
    return found
