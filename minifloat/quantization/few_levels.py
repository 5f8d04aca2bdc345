"""Binary and ternary weights by the rules of papers that no recipe has.

A recipe rounds each weight to the nearest value. Networks of binary weights have other rules: which
sign a weight gets, and what multiplies a row's signs. In the forward pass the operators that
BiBench compares (arXiv 2301.11233; htqin/BiBench, its linear layers) differ in two choices alone:

    center   whether the row's mean is subtracted before the sign is taken. It is not added again.
    scale    none (1); the mean of the magnitudes that the signs are taken of; or one that training
             learns, for which the one of least squared error stands here

They differ more in their gradients, which make no codes. Of a row w with signs b the squared error
of a * b is least at a = mean(w b), and of all signs those of w itself are best: so the mean of |w|,
without a center, is the optimum (XNOR-Net), and no center makes the error smaller.

Ternary weight networks (TWN, arXiv 1605.04711) have 0 where |w| is below a threshold of 0.7 times
the mean of |w|, and the mean of the others as the scale: an approximation to the recipe ``twn``,
whose scale is the best of all.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._tensors import AnyTensor
from minifloat.formats.base import shown
from minifloat.packing import pack
from minifloat.quantization.blocks import Blocks
from minifloat.quantization.checks import block_axis, finite_floats
from minifloat.quantization.quantized import Quantized
from minifloat.quantization.recipes import Recipe

Array = NDArray[np.float64]

THRESHOLD = 0.7  # of TWN, times the mean magnitude
MOST_THRESHOLD = 1e6  # beyond which all weights are 0


class Operator(NamedTuple):
    """How a row of weights becomes signs, and what multiplies them."""

    center: bool
    scale: Literal["one", "mean", "learned"]


OPERATORS = {
    "bnn": Operator(False, "one"),
    "xnor": Operator(True, "mean"),
    "dorefa": Operator(False, "mean"),
    "bireal": Operator(False, "mean"),
    "xnor++": Operator(False, "learned"),
    "react": Operator(False, "mean"),
    "recu": Operator(True, "learned"),
    "fda": Operator(False, "mean"),
}


def binarize(w: ArrayLike | AnyTensor, operator: str, *, axis: SupportsIndex = -1) -> Quantized:
    """Return weights as signs, with a scale for each row, by an operator that BiBench compares.

    Parameters
    ----------
    w : array_like
        As for `minifloat.quantize`.
    operator : str
        One of `OPERATORS`. A weight of 0 (or the mean) counts as positive.
    axis : int
        That rows run along.

    Returns
    -------
    Quantized
        Of ``bipolar_int1/channel/float32``; for "bnn" with the one scale 1.

    Raises
    ------
    ValueError
        If there is no such operator or axis, or a weight is infinite or NaN.
    TypeError
        If ``w`` is not numeric.

    Examples
    --------
    >>> from minifloat.quantization.few_levels import binarize
    >>> w = [[1.0, 2.0, 6.0]]
    >>> [binarize(w, name).dequantize().tolist() for name in ("bnn", "dorefa", "xnor")]
    [[[1.0, 1.0, 1.0]], [[3.0, 3.0, 3.0]], [[-2.0, -2.0, 2.0]]]
    """
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ValueError(f"operator must be one of {', '.join(OPERATORS)}, got {shown(operator)}")
    rule = OPERATORS[operator]
    blocks, rows = _rows(w, axis, "channel")
    centered = rows - rows.mean(axis=1, keepdims=True) if rule.center and rows.size else rows
    signs = np.where(centered >= 0, 1, -1)
    if rule.scale == "one":
        ones = Blocks.of("tensor", blocks.shape, None)
        return _quantized("bipolar_int1", blocks, signs > 0, ones, np.ones((1, 1)))
    scales = (np.abs(centered) if rule.scale == "mean" else rows * signs).sum(axis=1)
    count = max(rows.shape[1], 1)
    return _quantized("bipolar_int1", blocks, signs > 0, blocks, scales[:, np.newaxis] / count)


def ternarize(
    w: ArrayLike | AnyTensor,
    *,
    threshold: float = THRESHOLD,
    block: Literal["channel", "tensor"] = "tensor",
    axis: SupportsIndex = -1,
) -> Quantized:
    """Return weights as -1, 0 and 1 times a scale, by the rule of ternary weight networks.

    Parameters
    ----------
    w : array_like
        As for `minifloat.quantize`.
    threshold : float
        A weight is 0 if its magnitude is at most this times the mean magnitude: 0 to 1e6.
    block : str
        What shares a scale and a threshold: "tensor" as in the paper, or "channel".
    axis : int
        That channels run along.

    Returns
    -------
    Quantized
        Of ``int2/tensor/float32`` or ``int2/channel/float32``.

    Raises
    ------
    ValueError
        If an option is out of range, or a weight is infinite or NaN.
    TypeError
        If ``w`` is not numeric, or ``threshold`` is no number.

    Examples
    --------
    >>> from minifloat.quantization.few_levels import ternarize
    >>> ternarize([0.1, -2.0, 1.0, 0.3]).dequantize()  # threshold 0.595
    array([ 0. , -1.5,  1.5,  0. ], dtype=float32)
    """
    if not isinstance(block, str) or block not in ("channel", "tensor"):
        raise ValueError(f"block must be channel or tensor, got {shown(block)}")
    if not isinstance(threshold, int | float | np.floating) or isinstance(threshold, bool):
        raise TypeError(f"threshold must be a number in 0..1e6, got {shown(threshold)}")
    if not 0 <= threshold <= MOST_THRESHOLD:
        raise ValueError(f"threshold must be a number in 0..1e6, got {shown(threshold)}")
    blocks, rows = _rows(w, axis, block)
    magnitudes = np.abs(rows)
    means = magnitudes.sum(axis=1, keepdims=True) / max(rows.shape[1], 1)
    large = magnitudes > threshold * means
    counts = np.maximum(large.sum(axis=1, keepdims=True), 1)
    scales = np.where(large, magnitudes, 0).sum(axis=1, keepdims=True) / counts
    codes = np.where(large & (scales > 0), np.where(rows > 0, 1, 3), 0)  # two's complement
    return _quantized("int2", blocks, codes, blocks, scales)


def _rows(
    w: ArrayLike | AnyTensor, axis: SupportsIndex, block: Literal["channel", "tensor"]
) -> tuple[Blocks, Array]:
    """Return the blocks of weights, and the weights as rows."""
    weights = finite_floats("w", w)
    blocks = Blocks.of(block, weights.shape, block_axis(axis, weights.shape, block))
    return blocks, np.ascontiguousarray(blocks.rows(weights))


def _quantized(
    name: str, blocks: Blocks, codes: NDArray[Any], scaled: Blocks, scales: Array
) -> Quantized:
    """Return quantized weights of a row of codes for each row, and a row of scales."""
    block = "tensor" if scaled.axis is None else "channel"
    recipe = Recipe(name, block=block, scale="float32")
    largest = float(scales.max(initial=0))
    if largest > recipe.scale.values.largest:
        raise ValueError(f"w must have scales of float32, got {largest:g}; use smaller weights")
    return Quantized(
        packed=pack(blocks.restore(codes.astype(np.uint8)).reshape(-1), recipe.fmt.bits),
        scales=scaled.restore_scales(scales.astype(np.float32)),
        recipe=recipe,
        shape=blocks.shape,
        axis=scaled.axis,
    )
