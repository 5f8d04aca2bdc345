"""What equalization does to the outputs of real layers: input factors, biases, ranges, exponents.

The matrices are those of every third layer of MiniLM, and of every fifteenth of SmolLM2, with
inputs from two texts. The tokens are cut into runs of `RUN`: methods see every other run (`TOKENS`
tokens at most), and the error of the outputs, relative to them, is measured on the other runs.
Either weights alone are quantized, or weights and inputs by the same recipe. `METHODS` has what is
tried; "mse, weighted" (scales by their squared error, weighted by the mean squares of inputs),
"hadamard" (64 inputs) and "gptq" stand beside as they are.

Three more questions have rows of their own: **cross-layer** equalization, of the second matrix of
pairs between which it is exact (MiniLM: value and output of attention; SmolLM2: up and down);
LLM-FP4's **exponent biases**, of weights in E2M1 with a scale for each row and inputs in E2M1 with
one scale for all tokens; and ZeroQuant-FP's **powers of two** for the scales of E2M1.

**Criteria**

A matrix's gain is that of its error in dB over the same recipe without a method. A method may take
bits: 16 / outputs for factors, 32 / inputs for a bias. A bit is worth 6.02 dB, so a *net* gain is
the gain less 6.02 dB for each of them. A method *helps* (or *hurts*) a recipe in a model if the
mean net gain over its matrices is above (below) 0 by 0.1 dB and by two standard errors over
matrices. Where factors or a bias can be folded into the layer before, or into a bias that is there,
the gain itself counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

import minifloat as mf
from analysis.methods.layer_inputs import Layer, minilm_layers, smollm2_layers
from analysis.models.evaluation import Progress, counter
from analysis.models.layers import Array
from analysis.records import Row, Rows
from analysis.statistics import Estimate
from minifloat import composites
from minifloat.composites.cross_layer import range_factors
from minifloat.composites.smoothing import STRENGTHS

RECIPES = ("e2m2/128/float16", "int5/128/float16", "int4/128/float16", "nvfp4")
GPTQ_RECIPES = ("int4/128/float16",)
QUANTIZED = ("weights", "both")
BIASES = "e2m1/channel/float32"
POWERS = "e2m1/128/float32"
PASSAGES, CHUNKS = 16, 2  # of each text
EVERY_MINILM, EVERY_SMOLLM2 = 3, 15  # layers
RUN = 32
TOKENS = 256  # at most, that methods see; as many measure
FEWER = 64  # of them, for exponent biases
ROTATED = "hadamard64"
BIT = 20 * np.log10(2)  # dB
MATTERS = 0.1  # dB

Made = mf.Quantized | composites.Composite
Method = Callable[[Array, Array, mf.Recipe, mf.Recipe | None], Made]


def _smooth(strengths: Sequence[float] = STRENGTHS, rotation: str | None = None) -> Method:
    def made(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
        recipe = recipe.replace(rotation=rotation)
        return composites.smooth(w, x, recipe, activations=activations, strengths=strengths)

    return made


def _aware(*, clip: bool = False, damp: float | None = None) -> Method:
    def made(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
        return composites.activation_aware(
            w, x, recipe, activations=activations, clip=clip, damp=damp
        )

    return made


def _bias(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
    return composites.correct_bias(w, mf.quantize(w, recipe), x, activations=activations)


def _weighted(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
    return mf.quantize(w, recipe, search="mse", importance=np.mean(np.square(x), axis=0))


def _rotated(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
    return mf.quantize(w, recipe, rotation=ROTATED)


def _gptq(w: Array, x: Array, recipe: mf.Recipe, activations: mf.Recipe | None) -> Made:
    return mf.gptq(w, recipe, x.T.astype(np.float64) @ x)


METHODS: dict[str, Method] = {
    "smooth, 0.5": _smooth([0.5]),
    "smooth": _smooth(),
    "awq": _aware(),
    "awq, clipped": _aware(clip=True),
    "mse, weighted": _weighted,
    "bias": _bias,
    "hadamard": _rotated,
    "smooth, hadamard": _smooth(rotation=ROTATED),
}
GPTQ_METHODS: dict[str, Method] = {"gptq": _gptq, "awq, gptq": _aware(damp=0.01)}
SECONDS = {  # of a pair, with the first
    "attention.output.dense.weight": "attention.self.value.weight",
    "ffn_down.weight": "ffn_up.weight",
}


def records(*, quick: bool = False, progress: Progress | None = None) -> Rows:
    """Return a row for each matrix, recipe, method, and what is quantized.

    Parameters
    ----------
    quick : bool
        Whether to measure two matrices of MiniLM with one recipe.
    progress : callable, optional

    Returns
    -------
    list of dict
        With the columns model, matrix, quantized, recipe, method, gain (dB) and bits (more, a
        weight).

    Raises
    ------
    MissingPackage
        If the package of a model or of a text is not installed.
    """
    layers = list(
        minilm_layers(1, 6)
        if quick
        else chain(minilm_layers(PASSAGES, EVERY_MINILM), smollm2_layers(CHUNKS, EVERY_SMOLLM2))
    )
    by_name = {(layer.model, layer.name): layer for layer in layers}
    if quick:
        layers = [
            layer for layer in layers if "value" in layer.name or "attention.output" in layer.name
        ]
    step = counter(progress, len(layers))
    rows: Rows = []
    for layer in layers:
        first = next(
            (by_name[layer.model, layer.name.replace(second, first)].weights
             for second, first in SECONDS.items() if layer.name.endswith(second)),
            None,
        )  # fmt: skip
        rows += list(_rows(layer, first, RECIPES[2:3] if quick else RECIPES))
        step()
    return rows


def _rows(layer: Layer, first: Array | None, recipes: Iterable[str]) -> Iterator[Row]:
    seen, measured = halves(layer.inputs)
    w = layer.weights

    def row(quantized: str, recipe: str, method: str, ratio: float, bits: float) -> Row:
        return {
            "model": layer.model,
            "matrix": layer.name,
            "quantized": quantized,
            "recipe": recipe,
            "method": method,
            "gain": round(float(20 * np.log10(ratio)), 4),
            "bits": round(bits, 5),
        }

    for text in recipes:
        recipe = mf.Recipe.parse(text)
        plain = mf.quantize(w, recipe)
        for quantized in QUANTIZED:
            activations = recipe if quantized == "both" else None
            before = output_error(w, plain, measured, activations)
            methods = dict(METHODS)
            if quantized == "weights" and text in GPTQ_RECIPES:
                methods |= GPTQ_METHODS
            for name, method in methods.items():
                made = method(w, seen, recipe, activations)
                error = output_error(w, made, measured, activations)
                bits = made.bits_per_weight - plain.bits_per_weight
                yield row(quantized, text, name, before / error, bits)
            if first is not None:
                factors = range_factors(first, w).astype(np.float16).astype(np.float32)
                folded = composites.Composite(
                    mf.quantize(w * factors, recipe), input_factors=factors
                )
                error = output_error(w, folded, measured, activations)
                yield row(quantized, text, "cross-layer", before / error, 0.0)

    exact = measured.astype(np.float64) @ w.T
    few = seen[:: max(1, len(seen) // FEWER)][:FEWER]
    scale = float(np.abs(few).max()) / mf.parse("e2m1").max
    given = mf.round_to(measured.astype(np.float64) / scale, "e2m1") * scale
    before = float(np.linalg.norm(given @ mf.quantize(w, BIASES).dequantize().T - exact))
    for name, shift in (("biases", False), ("shifted biases", True)):
        shifted = composites.shift_exponents(w, few, BIASES, "e2m1", shift=shift)
        y = shifted.quantize_inputs(measured) @ shifted.weights.dequantize().T
        bits = shifted.shifts.size * shifted.fmt.exponent_bits / w.size if shift else 0.0
        yield row("both", BIASES, name, before / float(np.linalg.norm(y - exact)), bits)
    before = output_error(w, mf.quantize(w, POWERS), measured, None)
    powers: dict[str, Made] = {
        "M1": mf.quantize(w, POWERS, scale_rounding="up"),
        "M2, one row": composites.power_of_two_ratios(w, POWERS, 1),
        "M2, 64 rows": composites.power_of_two_ratios(w, POWERS, 64),
        "M2, all rows": composites.power_of_two_ratios(w, POWERS, len(w)),
    }
    for name, made in powers.items():
        ratio = before / output_error(w, made, measured, None)
        yield row("weights", POWERS, name, ratio, 0.0)


def halves(inputs: Array) -> tuple[Array, Array]:
    """Return inputs that methods see, and others, of alternating runs of `RUN` tokens.

    Parameters
    ----------
    inputs : ndarray, (tokens, inputs)

    Examples
    --------
    >>> [len(half) for half in halves(np.zeros((100, 2), np.float32))]
    [64, 36]
    """
    odd = np.arange(len(inputs)) // RUN % 2 == 1

    def some(rows: Array) -> Array:
        return rows[:: -(-len(rows) // TOKENS)]

    return some(inputs[~odd]), some(inputs[odd])


def output_error(w: Array, made: Made, x: Array, activations: mf.Recipe | None) -> float:
    """Return the relative error of outputs, with the inputs quantized too, if they have a recipe.

    Parameters
    ----------
    w : ndarray, (outputs, inputs)
    made : Quantized or Composite
        A dense part alone, with or without factors of inputs and a bias.
    x : ndarray, (tokens, inputs)
    activations : Recipe, optional
        Inputs are rotated as the weights are.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 64, 64)).astype("f4")
    >>> round(output_error(w, mf.quantize(w, "e2m2"), x, mf.Recipe("e2m2")), 3)
    0.071
    """
    composite = made if isinstance(made, composites.Composite) else composites.Composite(made)
    given = x if composite.input_factors is None else x / composite.input_factors
    dense = composite.dense
    if activations is not None:
        given = mf.quantize(given, activations.replace(rotation=dense.rotation)).dequantize()
    y = given.astype(np.float64) @ dense.dequantize().T.astype(np.float64)
    if composite.bias is not None:
        y += composite.bias
    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    return float(np.linalg.norm(y - exact) / np.linalg.norm(exact))


def gains(rows: Rows, *, net: bool) -> dict[tuple[str, str, str, str], Estimate]:
    """Return the mean gain over matrices by model, quantized, recipe and method.

    Parameters
    ----------
    rows : list of dict
        As `records` returns them.
    net : bool
        Less 6.02 dB for each bit that the method takes.

    Examples
    --------
    >>> row = {"model": "m", "quantized": "both", "recipe": "r", "method": "awq", "bits": 0.1}
    >>> rows = [row | {"gain": gain} for gain in (1.0, 1.2)]
    >>> [round(gains(rows, net=net)["m", "both", "r", "awq"].mean, 2) for net in (False, True)]
    [1.1, 0.5]
    """
    groups: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        key = (row["model"], row["quantized"], row["recipe"], row["method"])
        groups[key].append(row["gain"] - (BIT * row["bits"] if net else 0.0))
    return {key: Estimate.of(values) for key, values in groups.items()}


def verdict(net: Estimate) -> str:
    """Return "helps", "hurts", or "" for neither.

    Examples
    --------
    >>> verdict(Estimate(0.5, 0.1)), verdict(Estimate(0.5, 0.3))
    ('helps', '')
    """
    least = max(2 * net.standard_error, MATTERS)
    return "helps" if net.mean > least else "hurts" if net.mean < -least else ""
