"""Bias correction: the expected error of the outputs goes into the bias (arXiv 1906.04721).

Quantized weights V give W x the error (V - W) x. Its mean over inputs, (V - W) E[x], is an error of
each output that a bias takes away. E[x] comes from inputs (*empirical*), or from what is known of
them (*analytic*): after a batch norm and a ReLU, from the norm's weights.
"""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import check_cpu, source_array
from minifloat._tensors import AnyTensor
from minifloat.composites.input_factors import activations_of, checked_layer
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown
from minifloat.quantization import quantize
from minifloat.quantization.checks import check_within_float32, wide_floats
from minifloat.quantization.composite import Composite
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

MOST = float(np.finfo(np.float64).max)  # a bound beyond it is none


def correct_bias(
    w: ArrayLike | AnyTensor,
    q: Quantized | Composite,
    inputs: ArrayLike | AnyTensor,
    *,
    bias: ArrayLike | AnyTensor | None = None,
    activations: Recipe | NumberFormat | str | None = None,
) -> Composite:
    """Return quantized weights with the bias that makes the mean error of their outputs 0.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        The weights before quantization.
    q : Quantized or Composite, (outputs, inputs)
    inputs : array_like, (samples, inputs) or (inputs,)
        Inputs that the layer gets, or their mean alone: `clipped_normal_mean` has it for a layer
        after a batch norm.
    bias : array_like, (outputs,), optional
        The layer's bias, to which the correction is added; default: that of ``q``, or 0.
    activations : Recipe, format or str, optional
        Inputs of the dense part are quantized, too; then the mean alone is not enough.

    Returns
    -------
    Composite
        ``q`` with another ``bias``: plus the mean of W x - V x', where x' are the quantized inputs.
        On ``inputs`` its squared error is never larger than before, but for rounding in float32.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is not finite in float32.
    TypeError
        If one is not numeric, or ``q`` is something else.

    Notes
    -----
    A bias takes 32 / inputs bits per weight, where the layer had none.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat import composites
    >>> w = np.array([[1.0, 0.4]])
    >>> q = mf.quantize(w, "int2/2/float32")
    >>> c = composites.correct_bias(w, q, [[1.0, 2.0], [3.0, 1.0]])
    >>> c.bias                                     # 0.4 became 0, and the mean input is 1.5
    array([0.6], dtype=float32)
    """
    check_cpu()
    if not isinstance(q, Quantized | Composite):
        raise TypeError(
            f"q must be Quantized or a Composite, got {type(q).__name__}; minifloat.quantize makes "
            "one"
        )
    given = source_array(inputs, "inputs")[0]
    if given.ndim == 1:
        if activations is not None:
            raise ValueError(
                "inputs must be of shape (samples, inputs) with activations, got a mean alone"
            )
        given = given[np.newaxis]
    weights, samples = checked_layer(w, given)
    if q.shape != weights.shape:
        raise ValueError(f"q must be of the shape of w, {weights.shape}, got {q.shape}")
    composite = q if isinstance(q, Composite) else Composite(dense=q)
    error = mean_error(weights, composite, samples, activations)
    before = composite.bias if bias is None else _checked(bias, len(weights))
    total = error if before is None else before.astype(np.float64) + error
    return replace(composite, bias=total.astype(np.float32))


def mean_error(
    weights: Array,
    composite: Composite,
    samples: NDArray[np.float32],
    activations: Recipe | NumberFormat | str | None,
) -> NDArray[np.float64]:
    """Return the mean of W x - V x' over samples, without biases.

    Parameters
    ----------
    weights : ndarray of float, (outputs, inputs)
    composite : Composite
    samples : ndarray of float32, (samples, inputs)
    activations : Recipe, format or str, optional
        Of the inputs of the dense part, as `minifloat.linear` has it.
    """
    held = np.asarray(composite).astype(np.float64)
    error = (weights - held) @ samples.mean(axis=0, dtype=np.float64)
    if activations is not None:
        dense = composite.dense
        given = samples if composite.input_factors is None else samples / composite.input_factors
        given = given if composite.order is None else given[:, composite.order]
        recipe = activations_of(Recipe.parse(activations), dense.recipe)
        rounded = quantize(given, recipe).dequantize()
        shift = given.mean(axis=0, dtype=np.float64) - rounded.mean(axis=0, dtype=np.float64)
        error += dense.dequantize().astype(np.float64) @ shift
    return np.asarray(error)


def clipped_normal_mean(
    mean: ArrayLike | AnyTensor,
    deviation: ArrayLike | AnyTensor,
    *,
    low: float = 0.0,
    high: float = math.inf,
) -> NDArray[np.float64]:
    """Return the mean of normal numbers that are clipped: what a ReLU makes of them.

    Outputs of a batch norm have its bias as mean, and the magnitude of its weight as deviation. The
    result is E[x] of the layer after it, for `correct_bias`.

    Parameters
    ----------
    mean : array_like, (channels,)
    deviation : array_like, (channels,)
        At least 0.
    low, high : float
        0 and infinity for ReLU, 0 and 6 for ReLU6; low at most high.

    Returns
    -------
    ndarray of float64, (channels,)
        mean + deviation (g(a) - g(b)), where a = (low - mean) / deviation, b = (mean - high) /
        deviation, and g(z) = f(z) + z F(z) with the density f and the distribution F of a standard
        normal number: the formula of the paper's appendix C, with fewer terms.

    Raises
    ------
    ValueError
        If shapes differ, a deviation is negative, a number is not finite, or low is above high.
    TypeError
        If one is not numeric.

    Examples
    --------
    >>> from minifloat import composites
    >>> composites.clipped_normal_mean([0.0, 2.0, -1.0], [1.0, 0.0, 0.5]).round(4)
    array([0.3989, 2.    , 0.0042])
    """
    means, deviations = (
        source_array(given, name)[0].astype(np.float64)
        for given, name in ((mean, "mean"), (deviation, "deviation"))
    )
    if means.ndim != 1 or means.shape != deviations.shape:
        raise ValueError(
            "mean and deviation must be of one shape, (channels,), got shapes "
            f"{means.shape}, {deviations.shape}"
        )
    if not (np.isfinite(means).all() and np.isfinite(deviations).all()):
        raise ValueError("mean and deviation must be finite, got infinities or NaN")
    if (deviations < 0).any():
        raise ValueError(f"deviation must be at least 0, got {deviations.min()}")
    for name, bound in (("low", low), ("high", high)):
        if not isinstance(bound, Real) or isinstance(bound, bool):
            raise TypeError(f"{name} must be a number, got {shown(bound)}")
    if not low <= high:
        raise ValueError(f"low must be at most high, got {shown(low)} and {shown(high)}")
    low, high = max(low, -MOST), min(high, MOST)
    pairs = zip(means.tolist(), deviations.tolist(), strict=True)
    return np.array([_clipped_mean(m, s, low, high) for m, s in pairs], np.float64)


def _clipped_mean(mean: float, deviation: float, low: float, high: float) -> float:
    if deviation == 0:
        return min(max(mean, low), high)
    below, above = _excess((low - mean) / deviation), _excess((mean - high) / deviation)
    return mean + deviation * (below - above)


def _excess(z: float) -> float:
    """Return E[max(z + n, 0)] of a standard normal n: f(z) + z F(z); 0 for minus infinity."""
    if z == -math.inf:
        return 0.0
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return density + z * math.erfc(-z / math.sqrt(2)) / 2


def _checked(bias: ArrayLike | AnyTensor, outputs: int) -> NDArray[np.float64]:
    given = wide_floats("bias", bias)
    if given.shape != (outputs,):
        raise ValueError(f"bias must be of shape ({outputs},), got shape {given.shape}")
    check_within_float32("bias", given)
    return given
