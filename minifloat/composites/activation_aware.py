"""AWQ: inputs that are large on average keep more of their weights' precision (arXiv 2306.00978).

Input j gets the factor mean|x_j|**a, where a is searched for. Then, as a choice, blocks of weights
are clipped (`clipping`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import check_cpu
from minifloat._tensors import AnyTensor
from minifloat.composites.clipping import quantize_clipped
from minifloat.composites.input_factors import (
    FactorSearch,
    centred,
    checked_layer,
)
from minifloat.formats import NumberFormat
from minifloat.formats.base import check_bool
from minifloat.quantization.composite import Composite
from minifloat.quantization.recipes import Recipe

Array = NDArray[Any]

STEPS = 20


def activation_aware(
    w: ArrayLike | AnyTensor,
    inputs: ArrayLike | AnyTensor,
    recipe: Recipe | NumberFormat | str,
    *,
    activations: Recipe | NumberFormat | str | None = None,
    clip: bool = False,
    damp: float | None = None,
) -> Composite:
    """Quantize a layer with AWQ's factors of its inputs, and perhaps its clipping.

    For a = 0, 1/20, ... 19/20 the factors are mean|x_j|**a, over the root of their largest times
    their smallest, rounded to float16; 1 where all inputs are 0. That with the least squared error
    of the outputs wins; a = 0 is no factors, so that on ``inputs`` the result is never worse than
    ``quantize(w, recipe)``.

    Parameters
    ----------
    w, inputs, recipe, activations, damp
        As for `smooth`.
    clip : bool
        Whether blocks of weights are then clipped to 1, 0.95, ... 0.55 of their absmax, each by
        what gives its own part of the outputs the least squared error; not with ``damp``. If the
        whole outputs become worse, which AWQ does not check, nothing is clipped.

    Returns
    -------
    Composite
        As of `smooth`.

    Raises
    ------
    ValueError, TypeError
        As `smooth`; with ``clip`` also if blocks do not run along the inputs.

    Notes
    -----
    The grids are those of the paper's code, which measures outputs of several matrices together
    (query, key and value, say), here those of one matrix (join them by rows). It takes the time of
    20 quantizations and products of ``inputs`` with ``w``; with ``clip`` about twice that.

    Examples
    --------
    >>> import numpy as np, minifloat as mf
    >>> from minifloat import composites
    >>> rng = np.random.default_rng(0)
    >>> w, x = rng.standard_normal((2, 64, 64), np.float32)
    >>> x[:, 5] *= 50
    >>> c = composites.activation_aware(w, x, "int4/64/float16")
    >>> before, after = (x @ (np.asarray(q) - w).T for q in (mf.quantize(w, c.dense.recipe), c))
    >>> bool(np.linalg.norm(after) < 0.7 * np.linalg.norm(before))
    True
    """
    check_cpu()
    check_bool("clip", clip)
    if clip and damp is not None:
        raise ValueError(
            f"damp must be None with clip, got {damp}: GPTQ would aim at the clipped weights"
        )
    weights, samples = checked_layer(w, inputs)
    parsed = Recipe.parse(recipe)
    search = FactorSearch(weights, samples, parsed, activations, damp)
    q, factors, loss = search.best(candidates(samples))
    if clip:
        scale = np.float32(1) if factors is None else factors
        clipped = quantize_clipped(weights * scale, samples / scale, parsed)
        if search.loss(clipped, factors) < loss:
            q = clipped
    return Composite(q, input_factors=factors)


def candidates(inputs: Array) -> Iterator[NDArray[np.float32]]:
    """Yield the factors of each a above 0.

    Parameters
    ----------
    inputs : ndarray, (samples, inputs)

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites.activation_aware import candidates
    >>> list(candidates(np.array([[4.0, -1.0], [-4.0, 1.0]])))[9]
    array([1.4140625 , 0.70703125], dtype=float32)
    """
    means = np.abs(inputs).mean(axis=0, dtype=np.float64)
    live = means > 0
    logs = np.log2(np.where(live, means, 1))
    for k in range(1, STEPS):
        yield centred(np.exp2(k / STEPS * logs), live)
