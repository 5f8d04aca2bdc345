"""SmoothQuant: large inputs are made smaller, and their weights larger (arXiv 2211.10438).

Input j gets the factor max|x_j|**a / max|w_j|**(1 - a), where max runs over samples and over the
outputs' weights. With a = 1/2, the paper's default, both have the same maximum afterwards; a = 1
makes all inputs equally large, a = 0 all columns of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import check_cpu
from minifloat._tensors import AnyTensor
from minifloat.composites.input_factors import (
    FactorSearch,
    centred,
    checked_layer,
)
from minifloat.formats import NumberFormat
from minifloat.formats.base import shown
from minifloat.quantization.composite import Composite
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

STRENGTHS = tuple(k / 20 for k in range(21))


def smooth(
    w: ArrayLike | AnyTensor,
    inputs: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    *,
    activations: Recipe | NumberFormat | str | None = None,
    strengths: Sequence[float] = STRENGTHS,
    damp: float | None = None,
) -> Composite:
    """Quantize a layer with SmoothQuant's factors of its inputs, of the best strength.

    For each strength a the factors are max|x_j|**a / max|w_j|**(1 - a), over the root of their
    largest times their smallest, rounded to float16; 1 where all inputs or weights are 0. That with
    the least squared error of the outputs wins, or no factors, if none has less: on ``inputs`` the
    result is never worse than ``quantize(w, recipe)``. The search and its grid are this library's;
    the paper tries strengths on whole models.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        As for `minifloat.quantize`. Matrices that get the same inputs may be joined by rows, to
        share factors.
    inputs : array_like, (samples, inputs)
        Finite inputs that the layer gets, as float32.
    recipe : Recipe, format or str
        Of the weights. With a rotation, the factors come before it.
    activations : Recipe, format or str, optional
        Inputs are quantized, too, along the last axis, rotated as the weights are.
    strengths : sequence of float
        From 0 to 1; default 0, 0.05, ... 1. One alone is tried, too, against no factors.
    damp : float, optional
        Weights are rounded by `minifloat.gptq`, for each strength anew, with this ``damp`` and the
        Hessian of inputs over factors. Default: to nearest.

    Returns
    -------
    Composite
        With ``input_factors``, or without, if none is better. Where the layer before can produce
        inputs that are divided by them already (a norm's weights), fold them there, and keep
        ``composite.dense`` alone.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, a number is not finite, a strength is not in 0..1, and as
        `minifloat.quantize` and `minifloat.gptq`.

    Notes
    -----
    It takes the time of 22 quantizations and products of ``inputs`` with ``w`` (576 x 1536 and 256
    samples: 0.4 s on one core; with GPTQ some 9 s).

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat import composites
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 64, 64), np.float32)
    >>> x[:, 5] *= 50                                        # an outlier among the inputs
    >>> c = composites.smooth(w, x, "int4/64/float16", activations="int4/channel/float16")
    >>> factors = c.input_factors
    >>> factors is not None and bool(factors[5] > 3 * np.median(factors))
    True
    """
    check_cpu()
    weights, samples = checked_layer(w, inputs)
    parsed = Recipe.parse(recipe)
    every = _checked(strengths)
    search = FactorSearch(weights, samples, parsed, activations, damp)
    q, factors, _ = search.best(candidates(weights, samples, every))
    return Composite(q, input_factors=factors)


def candidates(
    weights: Array, inputs: Array, strengths: Sequence[float]
) -> Iterator[NDArray[np.float32]]:
    """Yield the factors of each strength.

    Parameters
    ----------
    weights : ndarray, (outputs, inputs)
    inputs : ndarray, (samples, inputs)
    strengths : sequence of float

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites.smoothing import candidates
    >>> list(candidates(np.array([[1.0, 2.0, 0.0]]), np.array([[4.0, 32.0, 1.0]]), [0.5]))
    [array([0.70703125, 1.4140625 , 1.        ], dtype=float32)]
    """
    of_inputs = np.abs(inputs).max(axis=0).astype(np.float64)
    of_weights = np.abs(weights).max(axis=0).astype(np.float64)
    live = (of_inputs > 0) & (of_weights > 0)
    logs = [np.log2(np.where(live, largest, 1)) for largest in (of_inputs, of_weights)]
    for strength in strengths:
        yield centred(np.exp2(strength * logs[0] - (1 - strength) * logs[1]), live)


def _checked(strengths: Sequence[float]) -> list[float]:
    rule = "strengths must be a sequence of numbers from 0 to 1"
    if not isinstance(strengths, Sequence | np.ndarray) or np.ndim(strengths) != 1:
        raise TypeError(f"{rule}, got {shown(strengths)}")
    for strength in strengths:
        if not isinstance(strength, Real) or isinstance(strength, bool):
            raise TypeError(f"{rule}, got {shown(strength)}")
        if not 0 <= strength <= 1:
            raise ValueError(f"{rule}, got {shown(strength)}")
    return [float(strength) for strength in strengths]
