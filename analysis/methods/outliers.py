"""What outliers in a sparse part, and sorted columns, do to the outputs of real layers.

The matrices are those of the attention in every third layer of MiniLM, 384 x 384. Every second
token is one of those that make the Hessian; the others measure the error of a matrix's outputs,
relative to them. All methods have at most the bits per weight of `BUDGETS`, all counted: what a
method adds it takes from the scales of the dense part, and outliers are as many as fit.

Also the keys of MiniLM's heads, in blocks of channels, as they are and with the channels sorted by
`minifloat.composites.sort_heads`, which is free: by the error of the scores of queries and keys,
relative to them, where keys alone are quantized.

**Criteria**

A method's gain is that of its error in dB over the method that it begins with (`BASES`): the mean
over a model's matrices. It helps (or hurts) at a budget if the mean is above (or below) 0 by 0.1 dB
and by two standard errors, over matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers
from analysis.models.evaluation import Progress, counter
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat.composites import Sparse, largest, sort_columns, sort_heads, split_outliers, spqr

BUDGETS = (3.5, 4.5)
PASSAGES = 16  # of each text
MATTERS = 0.1  # dB
HEAD = 32  # channels of MiniLM's heads
KEYS = ("int4/8/float16", "int4/16/float16", "e2m1/16/e4m3fn")
HALVINGS, TRIALS = 8, 3  # of a fraction of outliers, and of SpQR's threshold

Array = NDArray[np.floating[Any]]
Weights = mf.Quantized | mf.Composite


def nearest(w: Array, hessian: Array, bits: float) -> Weights:
    """Round to nearest, in blocks of 32."""
    return mf.quantize(w, f"int{int(bits)}/32/float16")


def gptq(w: Array, hessian: Array, bits: float) -> Weights:
    """Round by GPTQ, in blocks of 32."""
    return mf.gptq(w, f"int{int(bits)}/32/float16", hessian)


def small_scales(w: Array, hessian: Array, bits: float) -> Weights:
    """Round by GPTQ, in blocks of 13 with scales of 6 bits."""
    return mf.gptq(w, f"int{int(bits)}/13/ue4m2/tensor-scale", hessian)


def split(w: Any, numbers: Any, bits: float, recipe: str, **options: Any) -> Weights:
    """Keep the weights of the largest numbers apart, as many as fit beside this dense part."""
    left = (bits - mf.quantize(w, recipe).bits_per_weight) * w.size
    low, high = 0.0, 0.05
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = Sparse.of(largest(numbers, middle).astype(np.float32)).bits <= left
        low, high = (middle, high) if fits else (low, middle)
    return split_outliers(w, recipe, largest(numbers, low), **options)


def dense_part(bits: float) -> str:
    """Return a recipe that leaves a quarter of a bit for outliers."""
    return f"int{int(bits)}/64/float16"


def sensitivity(w: Array, hessian: Array, bits: float) -> Array:
    """Return what rounding each weight costs by the Hessian's diagonal."""
    q = mf.quantize(w, dense_part(bits))
    return np.asarray(hessian.diagonal() * (w - q.dequantize()) ** 2)


def by_magnitude(w: Array, hessian: Array, bits: float) -> Weights:
    """Keep the largest weights apart."""
    return split(w, w, bits, dense_part(bits))


def by_sensitivity(w: Array, hessian: Array, bits: float) -> Weights:
    """Keep the weights apart whose rounding costs most."""
    return split(w, sensitivity(w, hessian, bits), bits, dense_part(bits))


def tables(w: Array, hessian: Array, bits: float) -> Weights:
    """Give each row a table (SqueezeLLM), and keep the largest weights apart if any fit."""
    recipe, weights = f"lut{int(bits)}/channel/float16", hessian.diagonal()
    return split(w, w, bits, recipe, importance=np.broadcast_to(weights, w.shape))


def gptq_by_magnitude(w: Array, hessian: Array, bits: float) -> Weights:
    """Keep the largest weights apart, and round the others by GPTQ."""
    return split(w, w, bits, dense_part(bits), hessian=hessian)


def gptq_by_sensitivity(w: Array, hessian: Array, bits: float) -> Weights:
    """Keep the weights apart whose rounding costs most, and round the others by GPTQ."""
    return split(w, sensitivity(w, hessian, bits), bits, dense_part(bits), hessian=hessian)


def by_spqr(w: Array, hessian: Array, bits: float) -> Weights:
    """Find outliers by SpQR's rule, with the lowest threshold that fits of those tried."""
    recipe = dense_part(bits).replace("/64/", "/32/").replace("float16", "ue4m2/tensor-scale")
    low, high = 0.05, 5.0
    found: mf.Composite | None = None
    for _ in range(TRIALS):
        middle = float(np.sqrt(low * high))
        trial = spqr(w, recipe, hessian, threshold=middle)
        if trial.bits_per_weight <= bits:
            found, high = trial, middle
        else:
            low = middle
    return found or spqr(w, recipe, hessian, threshold=np.inf)


def _sorted(w: Array, bits: float, by: Any, **options: Any) -> Weights:
    left = bits - int(bits) - int(w.shape[1] - 1).bit_length() / len(w)
    block = next(b for b in range(32, 99) if -(-w.shape[1] // b) * 16 <= left * w.shape[1])
    return sort_columns(w, f"int{int(bits)}/{block}/float16", by, **options)


def sorted_by_norm(w: Array, hessian: Array, bits: float) -> Weights:
    """Sort columns by norm, if that loses less on the Hessian."""
    return _sorted(w, bits, "norm", hessian=hessian)


def gptq_sorted(w: Array, hessian: Array, bits: float) -> Weights:
    """Sort columns by the inputs' second moments, the largest first, and round them by GPTQ."""
    return _sorted(w, bits, -hessian.diagonal(), hessian=hessian, damp=0.01)


METHODS: dict[str, Callable[[Array, Array, float], Weights]] = {
    "nearest": nearest,
    "largest weights": by_magnitude,
    "most sensitive weights": by_sensitivity,
    "tables, largest weights": tables,
    "sorted by norm": sorted_by_norm,
    "GPTQ": gptq,
    "GPTQ, largest weights": gptq_by_magnitude,
    "GPTQ, most sensitive weights": gptq_by_sensitivity,
    "GPTQ, small scales": small_scales,
    "SpQR": by_spqr,
    "GPTQ, sorted by inputs": gptq_sorted,
}
BASES = {name: "GPTQ" if "GPTQ," in name else "nearest" for name in METHODS}
BASES["SpQR"] = "GPTQ, small scales"


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, budget and method, and for the keys of each layer and recipe.

    Parameters
    ----------
    quick : bool
        Whether to measure the first layer of MiniLM alone.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, budget, method, bits and error; of keys the budget is that
        of their recipe, and the method its name, with "sorted" if they are.

    Raises
    ------
    MissingPackage
        If the package of a model or of a text is not installed.
    """
    every = minilm_layers(1, 6) if quick else minilm_layers(PASSAGES, 3)
    layers = [layer for layer in every if ".attention." in layer.name]
    step = counter(progress, len(layers))
    rows: Rows = []
    for layer in layers:
        rows += list(matrix_rows(layer))
        step()
    named = {layer.name: layer for layer in layers}
    for name, layer in named.items():
        if ".key." in name:
            rows += list(key_rows(layer, named[name.replace(".key.", ".query.")]))
    return rows


def matrix_rows(layer: Layer) -> Iterator[Row]:
    """Yield the error of a layer's outputs by each method."""
    w, x = layer.weights.astype(np.float64), layer.inputs.astype(np.float64)
    hessian, others = x[::2].T @ x[::2], x[1::2]
    exact = others @ w.T
    for budget in BUDGETS:
        for name, method in METHODS.items():
            if method is tables and 2 ** int(budget) * 16 > (budget % 1) * w.shape[1]:
                continue  # rows are too short for their tables
            q = method(w, hessian, budget)
            error = np.linalg.norm(others @ (q.dequantize() - w).T) / np.linalg.norm(exact)
            yield {
                "model": layer.model, "matrix": layer.name, "budget": budget, "method": name,
                "bits": round(q.bits_per_weight, 4), "error": float(error),
            }  # fmt: skip


def key_rows(key: Layer, query: Layer) -> Iterator[Row]:
    """Yield the error of scores whose keys are quantized, as they are and sorted."""
    w_key, w_query = (layer.weights.astype(np.float64) for layer in (key, query))
    train, x = key.inputs[::2].astype(np.float64), key.inputs[1::2].astype(np.float64)
    moments = ((train @ w_key.T) ** 2).sum(axis=0)
    own = sort_heads(w_key, w_query, HEAD, moments)
    for recipe in KEYS:
        for name, (k, q) in {recipe: (w_key, w_query), f"{recipe}, sorted": own[:2]}.items():
            keys, queries = x @ k.T, x @ q.T
            quantized = mf.quantize(keys, recipe)
            difference, total = 0.0, 0.0
            for head in range(0, len(k), HEAD):
                at = slice(head, head + HEAD)
                exact = queries[:, at] @ keys[:, at].T
                scores = queries[:, at] @ quantized.dequantize()[:, at].T
                difference += float(((scores - exact) ** 2).sum())
                total += float((exact**2).sum())
            yield {
                "model": key.model, "matrix": key.name, "budget": quantized.bits_per_weight,
                "method": name, "bits": quantized.bits_per_weight,
                "error": float(np.sqrt(difference / total)),
            }  # fmt: skip


def gains(rows: Rows, model: str, budget: float, method: str, base: str) -> list[float]:
    """Return by how many dB a method has less error than another, for each matrix of both.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    model : str
    budget : float
    method, base : str

    Returns
    -------
    list of float
    """
    errors = {
        (row["method"], row["matrix"]): row["error"]
        for row in rows
        if (row["model"], row["budget"]) == (model, budget)
    }
    return [
        float(20 * np.log10(errors[base, matrix] / error))
        for (name, matrix), error in errors.items()
        if name == method and (base, matrix) in errors
    ]


def verdict(gain: Estimate) -> str:
    """Return "helps", "hurts" or nothing, by the criteria."""
    if abs(gain.mean) <= max(MATTERS, 2 * gain.standard_error):
        return ""
    return "helps" if gain.mean > 0 else "hurts"
