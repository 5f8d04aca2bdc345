"""Whether learned scalings and rotations, as in OSTQuant, beat a random Hadamard rotation.

OSTQuant (2025) learns an orthogonal matrix and a scaling for pairs of layers, by gradients of the
model's loss. This is a small trial of the same two, a layer at a time: with the weights W and the
inputs X of 64 neighbouring inputs, scaling s and rotation R, the quantized matrices are (W s) R and
(X / s) R, whose product is that of W and X. Gradients of rounding do not exist; a smooth stand-in
is minimized, of which the rounding error of integers is about a multiple:

    sum over rows w of |w|_p**2 * |X|**2 + sum over rows x of |x|_p**2 * |W|**2

where w and x are rows of the two matrices, p = `ORDER` stands for absmax, and |X|, |W| are the
matrices' Frobenius norms; where weights alone are quantized the second term is left out. R is
Hadamard's matrix times a Cayley transform, (I + K)^-1 (I - K) with a skew-symmetric K; log s and K
are found by L-BFGS (SciPy). OSTQuant's own loss, its pairs of layers and its data are not repeated,
so the verdict is on this trial, not on the paper.

The rotations are fitted on some tokens, and the error of the outputs is measured on others.

**Criteria**

A learned method is said to beat Hadamard's rotation with a recipe if its gain over it in dB, in the
mean over matrices, is above 0.1 dB and above two standard errors over matrices. Hadamard's error is
the mean over three draws of the signs. Bits of learned matrices are not counted here: one of 64 x
64 numbers of 16 bits for each 64 inputs is 1024 / outputs bits per weight, unless it can be merged
into the layer before; a scaling is 16 / outputs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers
from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows

Array = NDArray[np.float64]

RECIPES = ("int4/64/float16", "e2m2/64/float16", "nvfp4")
METHODS = ("scaling", "rotation", "scaling and rotation")
QUANTIZED = ("weights", "both")
SIZE = 64  # inputs that are rotated together
DRAWS = 3
ORDER = 8  # of the norm that stands for absmax
ROWS = 256  # of the weights, and tokens, that the fit sees
STEPS = 40  # of L-BFGS
PASSAGES = 16  # of each text
EVERY = 3  # layers


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, recipe, method, and what is quantized.

    Parameters
    ----------
    quick : bool
        Whether to measure one matrix, fitted in two steps.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns matrix, quantized, recipe, method, error (relative, of the outputs) and
        gain (dB, over Hadamard's rotation; None for that itself).

    Raises
    ------
    MissingPackage
        If a package is not installed.
    """
    layers = list(minilm_layers(2, 6))[:1] if quick else list(minilm_layers(PASSAGES, EVERY))
    step = counter(progress, len(layers) * len(QUANTIZED))
    rows: Rows = []
    for layer in layers:
        for quantized in QUANTIZED:
            rows += _rows(layer, quantized, 2 if quick else STEPS)
            step()
    return rows


def _rows(layer: Layer, quantized: str, steps: int) -> list[Row]:
    width = layer.weights.shape[1]
    half = len(layer.inputs) // 2
    fitted_on, measured_on = layer.inputs[:half], layer.inputs[half:]
    hadamard = [mf.Rotation(SIZE, seed=seed) for seed in range(DRAWS)]
    one = np.ones(width)
    methods: dict[str, list[tuple[Array, list[Array]]]] = {
        "none": [(one, [np.eye(SIZE)] * (width // SIZE))],
        "hadamard": [(one, _blocks_of(rotation, width)) for rotation in hadamard],
    }
    for method in METHODS:
        scaled, rotated = "scaling" in method, "rotation" in method
        start = _blocks_of(hadamard[0], width) if rotated else [np.eye(SIZE)] * (width // SIZE)
        found = [
            fit(
                layer.weights[:, k * SIZE : (k + 1) * SIZE],
                fitted_on[:, k * SIZE : (k + 1) * SIZE],
                block, scaled=scaled, rotated=rotated, both=quantized == "both", steps=steps,
            )
            for k, block in enumerate(start)
        ]  # fmt: skip
        methods[method] = [(np.concatenate([s for s, _ in found]), [r for _, r in found])]

    def error_of(recipe: str, scaling: Array, blocks: list[Array]) -> float:
        both = quantized == "both"
        return output_error(layer.weights, measured_on, recipe, scaling, blocks, both)

    rows: list[Row] = []
    for recipe in RECIPES:
        errors = {
            method: float(np.mean([error_of(recipe, *transform) for transform in draws]))
            for method, draws in methods.items()
        }
        rows += [
            {
                "matrix": layer.name,
                "quantized": quantized,
                "recipe": str(mf.Recipe.parse(recipe)),
                "method": method,
                "error": error,
                "gain": None if method == "hadamard" else float(
                    20 * np.log10(errors["hadamard"] / error)
                ),
            }
            for method, error in errors.items()
        ]  # fmt: skip
    return rows


def _blocks_of(rotation: mf.Rotation, width: int) -> list[Array]:
    """Return the matrix by which the rows of each block are multiplied from the right."""
    signs = rotation.signs(width).reshape(-1, rotation.size, 1)
    return list(signs * rotation.matrix().T / np.sqrt(rotation.size))


def output_error(
    weights: NDArray[np.float32],
    inputs: NDArray[np.float32],
    recipe: str,
    scaling: Array,
    blocks: list[Array],
    both: bool,
) -> float:
    """Return the relative error of a layer's outputs, transformed and quantized.

    Parameters
    ----------
    weights : ndarray of float32, (outputs, inputs)
    inputs : ndarray of float32, (tokens, inputs)
    recipe : str
    scaling : ndarray of float64, (inputs,)
        Of the weights; inputs are divided by it.
    blocks : list of ndarray of float64, (n, n)
        The rotation of each n inputs.
    both : bool
        Whether inputs are quantized, too.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 64, 64)).astype("f4")
    >>> round(output_error(w, x, "e2m2/64", np.ones(64), [np.eye(64)], both=False), 3)
    0.051
    """
    exact = inputs.astype(np.float64) @ weights.T.astype(np.float64)
    w = _transformed(weights * scaling, blocks)
    x = _transformed(inputs / scaling, blocks)
    held = mf.quantize(w, recipe).dequantize().astype(np.float64)
    given = mf.quantize(x, recipe).dequantize().astype(np.float64) if both else x
    return float(np.linalg.norm(given @ held.T - exact) / np.linalg.norm(exact))


def _transformed(rows: Array, blocks: list[Array]) -> Array:
    n = len(blocks[0])
    return np.concatenate(
        [rows[:, k * n : (k + 1) * n] @ block for k, block in enumerate(blocks)], axis=1
    )


def fit(
    weights: NDArray[np.float32],
    inputs: NDArray[np.float32],
    start: Array,
    *,
    scaled: bool,
    rotated: bool,
    both: bool,
    steps: int = STEPS,
) -> tuple[Array, Array]:
    """Return the scaling and the rotation of a block of inputs.

    Parameters
    ----------
    weights : ndarray of float32, (outputs, n)
    inputs : ndarray of float32, (tokens, n)
    start : ndarray of float64, (n, n)
        The rotation from which the search starts.
    scaled, rotated : bool
        What is learned.
    both : bool
        Whether inputs are quantized, too.
    steps : int

    Returns
    -------
    scaling : ndarray of float64, (n,)
    rotation : ndarray of float64, (n, n)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 64, 8)) * np.r_[9, np.ones(7)]
    >>> s, r = fit(w, x, np.eye(8), scaled=True, rotated=True, both=True, steps=5)
    >>> bool(np.abs(r @ r.T - np.eye(8)).max() < 1e-12)
    True
    """
    n = len(start)
    w, x = (each[:: max(1, len(each) // ROWS)].astype(np.float64) for each in (weights, inputs))
    w, x = w / np.linalg.norm(w), x / max(float(np.linalg.norm(x)), 1e-30)
    upper = np.triu_indices(n, 1)
    count = len(upper[0]) if rotated else 0

    def unpacked(parameters: Array) -> tuple[Array, Array, Array]:  # K, its transform, s
        skew = np.zeros((n, n))
        if rotated:
            skew[upper] = parameters[:count]
        skew -= skew.T
        turn = np.asarray(np.linalg.solve(np.eye(n) + skew, np.eye(n) - skew), np.float64)
        scaling = np.asarray(np.exp(parameters[count:]) if scaled else np.ones(n), np.float64)
        return skew, turn, scaling

    def loss(parameters: Array) -> tuple[float, Array]:
        skew, turn, scaling = unpacked(parameters)
        value, slope_turn, slope_scaling = stand_in(w, x, start @ turn, scaling, both)
        slope_turn = start.T @ slope_turn
        # turn changes by -(I + K)^-1 dK (I + turn)
        slope = -np.linalg.solve((np.eye(n) + skew).T, slope_turn @ (np.eye(n) + turn).T)
        parts = [(slope - slope.T)[upper]] if rotated else []
        return value, np.concatenate([*parts, slope_scaling * scaling] if scaled else parts)

    found = minimize(
        loss, np.zeros(count + n * scaled), jac=True, method="L-BFGS-B", options={"maxiter": steps}
    )
    _, turn, scaling = unpacked(found.x)
    return scaling, start @ turn


def stand_in(
    w: Array, x: Array, rotation: Array, scaling: Array, both: bool
) -> tuple[float, Array, Array]:
    """Return what stands for the error, and its derivatives by the rotation and the scaling.

    Parameters
    ----------
    w, x : ndarray of float64, (rows, n)
    rotation : ndarray of float64, (n, n)
    scaling : ndarray of float64, (n,)
    both : bool
    """
    held, given = w * scaling, x / scaling
    peak_w, slope_w = _peaks(held @ rotation)
    power_x = float(np.sum(given**2))
    value = peak_w * power_x
    by_rotation = power_x * held.T @ slope_w
    by_held = power_x * slope_w @ rotation.T
    by_given = 2 * peak_w * given
    if both:
        peak_x, slope_x = _peaks(given @ rotation)
        power_w = float(np.sum(held**2))
        value += peak_x * power_w
        by_rotation += power_w * given.T @ slope_x
        by_given += power_w * slope_x @ rotation.T
        by_held += 2 * peak_x * held
    by_scaling = np.sum(by_held * w, axis=0) - np.sum(by_given * x, axis=0) / scaling**2
    return value, by_rotation, by_scaling


def _peaks(rows: Array) -> tuple[float, Array]:
    """Return the sum of the squared p-norms of rows, and its derivative."""
    top = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300)
    share = np.abs(rows) / top
    norms = np.sum(share**ORDER, axis=1, keepdims=True) ** (1 / ORDER)
    slope = 2 * top * norms ** (2 - ORDER) * share ** (ORDER - 1) * np.sign(rows)
    return float(np.sum((top * norms) ** 2)), slope
