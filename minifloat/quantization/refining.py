"""Coordinate descent: each code and each scale becomes the best one given all the others.

With the differences d of a row's weights and g = d H, a weight that moves by m changes the loss
d H d^T by m (m H_kk + 2 g_k): the best value is the format's nearest to w_k - g_k / H_kk. A scale
that moves by m, with the units u of its block, changes it by m (m u H u + 2 u g): the best one is
less by u g / u H u, and the scale format's value nearest to that is taken. A move is made only
where the loss falls. One round goes through all codes of a row, and then through its scales.

Descent on codes, one column after the other, is QuantEase's (arXiv 2309.01885); CDQuant (arXiv
2406.17542) takes the best of all columns each time. Any format, zero points, blocks that are one of
several formats, and the descent on scales in their own format are ours.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._kernels import refining as kernels
from minifloat._tensors import AnyTensor
from minifloat._threads import check_threads, each, slices
from minifloat.formats.base import check_bool, check_int
from minifloat.quantization.feedback import steps_of_each
from minifloat.quantization.hessians import checked_damp
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.scale_search import allowed_scales
from minifloat.quantization.unpacked import Unpacked

Array = NDArray[Any]

CHUNK = 1 << 18  # weights that a thread refines at a time
MOST_ROUNDS = 1 << 30


def refine(
    w: ArrayLike | AnyTensor,
    q: Quantized,
    hessian: ArrayLike | AnyTensor,
    *,
    damp: float = 0.01,
    rounds: SupportsIndex = 100,
    scales: bool = True,
    threads: SupportsIndex = 1,
) -> Quantized:
    """Improve quantized weights for a layer's inputs: move codes and scales while its error falls.

    The error is trace(D H D^T) with the damped Hessian H, D = q - w: what `gptq` minimizes. Each
    code in turn becomes the best with all others fixed, then each scale, and so on until nothing
    moves (`minifloat.quantization.refining`). Rows whose error does not fall stay as they are.

    Parameters
    ----------
    w : array_like, (outputs, inputs)
        The weights before quantization.
    q : Quantized
        By any recipe without tables, in blocks along the inputs: from `gptq`, `quantize` or
        `learn_rounding`.
    hessian : array_like of float or integers, (inputs, inputs)
        X^T X of the layer's calibration inputs X, a row for each sample (any factor will do).
    damp : float
        This times the mean of the Hessian's diagonal is added to its diagonal.
    rounds : int
        Rounds at most, at least 1. Most rows are done after 5 to 20.
    scales : bool
        Whether scales move, too. Zero points, choices and tensor scales do not; scales of double
        recipes cannot.
    threads : int
        Threads to share the rows among; the result does not depend on it.

    Returns
    -------
    Quantized
        By the same recipe.

    Raises
    ------
    ValueError
        If ``q`` is not such a matrix or is not finite, ``w`` has another shape or is not finite, or
        the Hessian is not finite, symmetric and positive semidefinite, or of another shape.
    TypeError
        If ``q`` is not Quantized, or an argument has another type.

    Notes
    -----
    The result is a local minimum: it is that of its start, and a better start is worth more than
    rounds. The products of differences and Hessian are sums in float64 by BLAS, as GPTQ's are.

    Examples
    --------
    Two inputs that are nearly the same: both weights round up, and then one of them moves down.

    >>> import minifloat as mf
    >>> hessian = [[1.0, 0.9], [0.9, 1.0]]
    >>> w = [[0.6, 0.6]]
    >>> q = mf.quantize(w, "int4/channel/e8m0:up", absmax_at=1)
    >>> mf.refine(w, q, hessian, scales=False).dequantize()
    array([[0., 1.]], dtype=float32)
    """
    damp = checked_damp(damp)
    rounds = check_int("rounds", rounds, 1, MOST_ROUNDS)
    check_bool("scales", scales)
    threads = check_threads(threads)
    parts = Unpacked.of(w, q, hessian, damp)
    if scales and q.double is not None:
        raise ValueError(
            "scales must be False for scales that are quantized themselves, got True for "
            f"{q.recipe}"
        )
    if not q.size:
        return q
    codes, new_scales = parts.codes.copy(), parts.scales.copy()
    height = q.blocks.height
    step = max(1, CHUNK // q.shape[1] // height) * height

    def work(rows: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # of losses beyond float64
            _refine(parts, rows, rounds, scales, codes, new_scales)

    each(work, slices(q.shape[0], step), threads)
    return parts.result(codes, None if q.double is not None else new_scales)


def _refine(
    parts: Unpacked, rows: slice, rounds: int, moves_scales: bool, codes: Array, scales: Array
) -> None:
    """Write the codes and the scales of some whole groups of rows."""
    q = parts.q
    height = q.blocks.height
    groups = slice(rows.start // height, -(-rows.stop // height))
    before = (parts.units * parts.every_scale())[rows]
    differences = before - parts.wanted[rows]
    gradient = differences @ parts.hessian
    weights, units, new_codes = before.copy(), parts.units[rows].copy(), parts.codes[rows].copy()
    new_scales = parts.scales[groups].copy()
    grid = kernels.Grid(
        *steps_of_each(tuple(each.fmt for each in q.recipe.candidates)), parts.factors,
        parts.zeros[groups].copy(), parts.choices[groups].copy(),
    )  # fmt: skip
    kernels.refine(
        weights, units, new_codes, gradient, new_scales, parts.hessian, grid,
        kernels.Geometry(height, q.blocks.width), allowed_scales(q.recipe), rounds, moves_scales,
        np.empty(q.shape[1]),
    )  # fmt: skip
    falls = _by_group(parts.losses(weights, rows) - parts.losses(before, rows), height) < 0
    scales[groups][falls] = new_scales[falls]
    row_falls = np.repeat(falls, height)[: len(weights)]
    codes[rows][row_falls] = new_codes[row_falls]


def _by_group(losses: Array, height: int) -> Array:
    """Return the sums over groups of so many rows; the last one may have fewer."""
    return np.add.reduceat(losses, np.arange(0, len(losses), height)) if len(losses) else losses
