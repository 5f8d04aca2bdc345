"""What rounding gains that knows a layer's inputs, at equal bits and on inputs it has not seen.

The matrices are all of MiniLM's six layers and of every eighth layer of SmolLM2 that have at most
`MOST_INPUTS` inputs (learning takes nine times as long with three times as many), and of each
`ROWS` rows, evenly spaced. Hessians are of calibration inputs; the error of the outputs is measured
on inputs from other passages of the same texts. Methods, all with the same recipe:

- ``nearest``; ``least squares``: nearest, with the scales of least squared error of the weights
- ``gptq``; ``static groups``; ``act order`` (with static groups); ``ordered blocks``: act order
  with blocks that follow it, and the order kept
- ``descent``: coordinate descent on codes from nearest; ``gptq, descent``: from GPTQ's codes;
  ``gptq, scales``: on codes and scales; ``act order, scales``: the same from act order
- ``learned``: AdaRound with the recipe's scales; ``learned, scales``: coordinate descent on codes
  and scales after it
- ``squares, ...``: the same from the scales of least squares (for act order: as static groups)

The order of columns takes 10 or 11 bits an input, which is less than 0.03 bits a weight of the
whole matrices. All else is of equal bits.

**Criteria**

The gain of a method is that of the relative error of a matrix's outputs, in dB, over nearest, or
over GPTQ. A method is said to gain (or to lose) with a recipe in a model if the mean gain is above
(or below) 0 by 0.1 dB and by two standard errors. The standard error is over layers, each with the
mean over its matrices, since the matrices of a layer share inputs.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import numpy as np

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers, smollm2_layers
from analysis.models.calibration import Hessian
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat.composites import ordered_gptq

RECIPES = ("int4/128/float16", "nvfp4", "int5/128/float16", "e2m2/128/float16")
ROWS = 32  # of each matrix
MOST_INPUTS = 600  # not the 1536 of the second matrix of a feed-forward layer
PASSAGES, CHUNKS, EVERY = 40, 8, 8  # of each text; layers of SmolLM2
MATTERS = 0.1  # dB


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, recipe and method.

    Parameters
    ----------
    quick : bool
        Whether to measure the first layer of MiniLM alone, with few inputs.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, recipe, bits (a weight), method, error (relative, of the
        outputs of other inputs) and calibrated (that of the calibration inputs).

    Raises
    ------
    MissingPackage
        If the package of a model or of a text is not installed.
    """
    layers = [
        [
            layer
            for layer in (
                minilm_layers(4, 6, calibration=calibration)
                if quick
                else chain(
                    minilm_layers(PASSAGES, calibration=calibration),
                    smollm2_layers(CHUNKS, EVERY, calibration=calibration),
                )
            )
            if layer.weights.shape[1] <= MOST_INPUTS
        ]
        for calibration in (True, False)
    ]
    step = counter(progress, len(layers[0]) * len(RECIPES))
    rows: Rows = []
    for calibration, other in zip(*layers, strict=True):
        for recipe in RECIPES:
            rows += layer_rows(calibration, other.inputs, mf.Recipe.parse(recipe))
            step()
    return rows


def layer_rows(calibration: Layer, inputs: Array, recipe: mf.Recipe) -> Rows:
    """Return a row for each method, on some rows of a layer.

    Parameters
    ----------
    calibration : Layer
        With the inputs that methods may use.
    inputs : ndarray of float32, (tokens, inputs)
        On which errors are measured.
    recipe : Recipe

    Returns
    -------
    list of dict
        As of `records`.
    """
    w = calibration.weights[:: max(1, len(calibration.weights) // ROWS)][:ROWS]
    wide = calibration.inputs.astype(np.float64)
    bits = mf.quantize(w, recipe).bits_per_weight
    rows: list[Row] = []
    for name, rounded in every_method(w, wide.T @ wide, recipe).items():
        rows.append({
            "model": calibration.model,
            "matrix": calibration.name,
            "recipe": str(recipe),
            "bits": round(bits, 4),
            "method": name,
            "error": relative_error(w, rounded, inputs),
            "calibrated": relative_error(w, rounded, calibration.inputs),
        })  # fmt: skip
    return rows


def every_method(w: Array, hessian: Hessian, recipe: mf.Recipe) -> dict[str, Array]:
    """Return the weights that each method makes of a matrix.

    Parameters
    ----------
    w : ndarray of float32, (outputs, inputs)
    hessian : ndarray of float64, (inputs, inputs)
    recipe : Recipe

    Returns
    -------
    dict of str to ndarray of float32

    Examples
    --------
    >>> w = np.random.default_rng(0).standard_normal((4, 32)).astype("f4")
    >>> made = every_method(w, np.eye(32), mf.Recipe("int4", block=16))
    >>> bool((made["gptq"] == made["nearest"]).all()), len(made)
    (True, 16)
    """
    nearest = mf.quantize(w, recipe)
    squares = mf.quantize(w, recipe.replace(search="mse"))
    gptq = mf.gptq(w, recipe, hessian)
    ordered = mf.gptq(w, recipe, hessian, act_order=True, static_groups=True)
    learned = mf.learn_rounding(w, nearest, hessian)
    squares_learned = mf.learn_rounding(w, squares, hessian)
    squares_ordered = mf.gptq(w, recipe, hessian, search="mse", act_order=True, static_groups=True)
    made: dict[str, mf.Quantized | mf.Composite] = {
        "nearest": nearest,
        "least squares": squares,
        "gptq": gptq,
        "static groups": mf.gptq(w, recipe, hessian, static_groups=True),
        "act order": ordered,
        "ordered blocks": ordered_gptq(w, recipe, hessian),
        "descent": mf.refine(w, nearest, hessian, scales=False),
        "gptq, descent": mf.refine(w, gptq, hessian, scales=False),
        "gptq, scales": mf.refine(w, gptq, hessian),
        "act order, scales": mf.refine(w, ordered, hessian),
        "learned": learned,
        "learned, scales": mf.refine(w, learned, hessian),
        "squares, act order": squares_ordered,
        "squares, act order, scales": mf.refine(w, squares_ordered, hessian),
        "squares, learned": squares_learned,
        "squares, learned, scales": mf.refine(w, squares_learned, hessian),
    }
    return {name: q.dequantize() for name, q in made.items()}


def relative_error(w: Array, rounded: Array, inputs: Array) -> float:
    """Return the error of a layer's outputs, relative to them.

    Returns
    -------
    float
        With five digits.

    Examples
    --------
    >>> relative_error(np.full((1, 2), 2.0), np.array([[2.0, 3.0]]), np.ones((3, 2)))
    0.25
    """
    error = np.linalg.norm(inputs @ (w - rounded).T) / np.linalg.norm(inputs @ w.T)
    return float(f"{error:.5g}")


def gains(rows: Rows, over: str, column: str = "error") -> dict[tuple[str, str, str], Estimate]:
    """Return the mean gain over a method in dB, by model, recipe and method.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    over : str
        A method.
    column : str
        "error" or "calibrated".

    Returns
    -------
    dict of (str, str, str) to Estimate
        Mean over layers, and its standard error.

    Examples
    --------
    >>> row = {"model": "m", "recipe": "int4"}
    >>> rows = [row | {"matrix": f"blk.{k}.q", "method": method, "error": error}
    ...         for k, error in ((0, 0.1), (1, 0.01)) for method, error in (("a", 1), ("b", error))]
    >>> gains(rows, "a")["m", "int4", "b"]
    Estimate(mean=30.0, standard_error=10.0)
    """
    errors: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        errors[row["model"], row["recipe"], row["method"]][row["matrix"]] = row[column]
    found = {}
    for (model, recipe, method), of_matrices in errors.items():
        layers: dict[str, list[float]] = defaultdict(list)
        for matrix, error in of_matrices.items():
            reference = errors[model, recipe, over][matrix]
            layers[layer_of(matrix)].append(20 * float(np.log10(reference / error)))
        found[model, recipe, method] = Estimate.of([float(np.mean(g)) for g in layers.values()])
    return found


def layer_of(matrix: str) -> str:
    """Return the part of a matrix's name that names its layer: up to its first number.

    Examples
    --------
    >>> layer_of("blk.3.attn_q.weight"), layer_of("encoder.layer.0.output.dense.weight")
    ('blk.3', 'encoder.layer.0')
    """
    parts = matrix.split(".")
    number = next(k for k, part in enumerate(parts) if part.isdecimal())
    return ".".join(parts[: number + 1])


def verdict(gain: Estimate) -> str:
    """Return "gains", "loses", or "" for neither."""
    least = max(2 * gain.standard_error, MATTERS)
    return "gains" if gain.mean > least else "loses" if gain.mean < -least else ""
