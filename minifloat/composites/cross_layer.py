"""Cross-layer equalization: neighbouring layers share their ranges (arXiv 1906.04721).

Between two layers stands an activation that is positively homogeneous, f(s x) = s f(x) for s > 0:
ReLU, a leaky ReLU, none at all, or the linear branch of a gate. Then row i of the first weights and
its bias can be divided by any s_i > 0, and column i of the second weights multiplied by it, without
changing the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor
from minifloat.quantization.checks import check_within_float32, wide_floats

Array = NDArray[Any]

ROUNDS = 50
STILL = 1e-6  # relative change of a range


def equalize_layers(
    weights: Sequence[ArrayLike | AnyTensor],
    biases: Sequence[ArrayLike | AnyTensor | None] | None = None,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32] | None]]:
    """Return the weights and biases of a chain of layers, equalized.

    Row i of weights and column i of the next get the same absmax: with r_1 and r_2 for these, the
    row (and its bias) is divided by s_i = sqrt(r_1 / r_2), the column multiplied. s_i is 1 where
    either is 0. Pairs are equalized one after another, from the first on, in rounds: until no s
    differs from 1 by more than 1e-6, and at most 50 times. Two layers take one round.

    Of all s it makes sum_i p_i q_i the largest, where p_i is the range of row i over the largest of
    its weights' rows, and q_i the same of the columns: the paper's objective, for each pair.

    Parameters
    ----------
    weights : sequence of array_like, each (outputs, inputs)
        Two or more, from the first layer to the last. A layer has as many inputs as the one before
        it has outputs.
    biases : sequence of array_like, each (outputs,), or None
        Of each layer, None for one without. The last stays as it is.

    Returns
    -------
    weights : list of ndarray of float32, each (outputs, inputs)
    biases : list of ndarray of float32, each (outputs,), or None

    Raises
    ------
    ValueError
        If there are fewer than two weights, shapes do not fit, or a number is not finite in
        float32.
    TypeError
        If one is not numeric.

    Notes
    -----
    Scales of single rows (blocks along the inputs, with a wide scale format) do not see the factors
    of their row: then what gains is the second matrix. Computed in float64, and rounded once.

    Examples
    --------
    >>> from minifloat import composites
    >>> first, second = [[8.0, 4.0], [1.0, 0.5]], [[0.5, 1.0]]
    >>> (first, second), _ = composites.equalize_layers([first, second])
    >>> first, second
    (array([[2. , 1. ],
           [1. , 0.5]], dtype=float32), array([[2., 1.]], dtype=float32))
    """
    for name, every in (("weights", weights), ("biases", () if biases is None else biases)):
        if not isinstance(every, list | tuple):
            raise TypeError(f"{name} must be a list or tuple, got {type(every).__name__}")
    if len(weights) < 2:
        raise ValueError(f"weights must be of two layers or more, got {len(weights)}")
    given = [None] * len(weights) if biases is None else list(biases)
    if len(given) != len(weights):
        raise ValueError(
            f"biases must be one for each of {len(weights)} weights, or None for it, got "
            f"{len(given)}"
        )
    chain = [_checked("weights", w, 2) for w in weights]
    for before, after in pairwise(chain):
        if after.shape[1] != len(before):
            raise ValueError(
                f"weights must have as many inputs as the layer before has outputs, {len(before)}, "
                f"got shape {after.shape}"
            )
    offsets = [None if b is None else _checked("biases", b, 1) for b in given]
    for w, b in zip(chain, offsets, strict=True):
        if b is not None and len(b) != len(w):
            raise ValueError(f"biases must be of {len(w)} outputs, got {len(b)}")
    for _ in range(ROUNDS):
        most = 0.0
        for k in range(len(chain) - 1):
            factors = range_factors(chain[k], chain[k + 1])
            chain[k] /= factors[:, np.newaxis]
            chain[k + 1] *= factors
            if (offset := offsets[k]) is not None:
                offset /= factors
            most = max(most, float(np.abs(factors - 1).max(initial=0)))
        if most <= STILL:
            break
    return (
        [w.astype(np.float32) for w in chain],
        [None if b is None else b.astype(np.float32) for b in offsets],
    )


def range_factors(first: Array, second: Array) -> NDArray[np.float64]:
    """Return s, by which rows of the first weights are divided, columns of the second multiplied.

    Parameters
    ----------
    first : ndarray, (n, inputs)
    second : ndarray, (outputs, n)

    Examples
    --------
    >>> import numpy as np
    >>> from minifloat.composites.cross_layer import range_factors
    >>> range_factors(np.array([[8.0], [1.0]]), np.array([[0.5, 0.0]]))
    array([4., 1.])
    """
    rows = np.abs(first).max(axis=1, initial=0).astype(np.float64)
    columns = np.abs(second).max(axis=0, initial=0).astype(np.float64)
    live = (rows > 0) & (columns > 0)
    return np.asarray(np.sqrt(np.where(live, rows, 1)) / np.sqrt(np.where(live, columns, 1)))


def _checked(name: str, numbers: ArrayLike | AnyTensor, ndim: int) -> NDArray[np.float64]:
    given = wide_floats(name, numbers)
    if given.ndim != ndim:
        shape = "(outputs, inputs)" if ndim == 2 else "(outputs,)"
        raise ValueError(f"{name} must each be of shape {shape}, got shape {given.shape}")
    check_within_float32(name, given)
    return given
