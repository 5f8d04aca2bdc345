"""Blocks of float32 numbers rounded in one pass: what codes and scales would mean, without codes.

Blocks run along the last axis or the one before it, over the numbers as they lie in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import block_rounding as kernels
from minifloat._kernels import codec as codec_kernels
from minifloat._kernels import scales as scale_kernels
from minifloat.codec import RANDOM_BITS
from minifloat.codec.plans import ArithmeticPlan, RoundPlan, encode_plan, round_plan
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import NaNPolicy, Overflow, Rounding
from minifloat.quantization.pipeline import tensor_scale_of
from minifloat.quantization.recipes import Recipe
from minifloat.quantization.scales import ScaleSearch, absmax_to_scale

Array = NDArray[np.float32]

LARGEST_WORD = 0x7F7FFFFF  # of a finite float32
_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True)
class Lines:
    """Where blocks lie in an array: along rows, or down columns, of matrices.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    axis : int
        -1 or -2, along which blocks run.
    size : int
        Numbers of a block.
    """

    shape: tuple[int, ...]
    axis: int
    size: int

    @property
    def height(self) -> int:
        """Rows of a matrix."""
        return self.shape[-2] if len(self.shape) > 1 else 1

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of an array with one number for each block."""
        shape = list(self.shape)
        shape[self.axis] = -(-shape[self.axis] // self.size)
        return tuple(shape)

    def absmax(self, x: Array) -> NDArray[np.float64] | None:
        """Return the largest magnitude of each block; None if a number is not finite."""
        words = x.reshape(-1).view(np.int32)
        count, width = math.prod(self.block_shape), self.shape[-1]
        if self.axis == -2:
            largest = np.empty(count, np.int32)
            kernels.largest_words_down(words, self.height, width, self.size, largest)
            if largest.max(initial=0) > LARGEST_WORD:
                return None
            found = largest.view(np.float32).astype(np.float64)
        else:
            lows, highs = np.empty((2, count))
            scale_kernels.ranges(words, None, width, self.size, lows, highs)
            found = np.maximum(-lows, highs)
            if not math.isfinite(found.max(initial=0)):
                return None
        return found.reshape(self.block_shape)


def block_scales(x: Array, recipe: Recipe, lines: Lines) -> tuple[Array, float] | None:
    """Return the scales of blocks, from absmax, and the tensor scale (1 without one).

    They are those that `minifloat.quantize` finds; None where it raises, or for other searches.
    """
    if recipe.search is not ScaleSearch.ABSMAX or recipe.fmt.min >= 0:
        return None
    absmax = lines.absmax(x)
    if absmax is None:
        return None
    tensor = tensor_scale_of(float(absmax.max(initial=0)), recipe) if recipe.tensor_scale else 1.0
    rule = absmax_to_scale(recipe.fmt, recipe.scale_rounding, tensor, recipe.absmax_at)
    scales = np.empty(absmax.size, np.float32)
    scale_kernels.scales_of(absmax.reshape(-1), recipe.scale.values, rule, scales)
    if scales.max(initial=0) > recipe.scale.values.largest:
        return None
    return scales.reshape(lines.block_shape), tensor


def round_blocks(
    x: Array,
    steps: NDArray[Any],
    fmt: NumberFormat,
    lines: Lines,
    *,
    factor: float = 1.0,
    seed: int | None = None,
    out: Array | None = None,
) -> Array | None:
    """Return the numbers over their steps, rounded to a format, times the steps.

    Parameters
    ----------
    x : ndarray of float32, C-contiguous
    steps : ndarray of float32 or float64
        What a value of 1 means, for each block. With float64 a quotient is rounded once, and so is
        a product; with float32 each operation is rounded.
    fmt : NumberFormat
    lines : Lines
    factor : float
        Quotients are multiplied by it, if steps are float32.
    seed : int, optional
        Rounding is stochastic, as `minifloat.round_to` does it with the quotients in the shape of
        ``x``; without it, to nearest.
    out : ndarray, optional
        For the result; may be ``x``.

    Returns
    -------
    ndarray of float32, or None
        None if the format has no such kernel, or a quotient is NaN; ``out`` is then anything.
    """
    plan = _plan(fmt, seed is not None)
    if plan is None or plan.record is None or not isinstance(plan.encode, ArithmeticPlan):
        return None
    mode = None
    if seed is not None:
        record = (codec_kernels.STOCHASTIC_A, RANDOM_BITS, seed)
        mode = np.array([record], codec_kernels.MODE)
    result = np.empty_like(x) if out is None else out
    room = min(x.size, kernels.PART)
    quotients, values = np.empty((2, room), np.float32)
    nans = kernels.round_blocks(
        x.reshape(-1), steps.reshape(-1), lines.height, lines.shape[-1], lines.size,
        True if lines.axis == -2 else None, True if steps.dtype == np.float64 else None, factor,
        plan.record, plan.decode.table, plan.encode.in_steps, mode, np.empty(room, steps.dtype),
        quotients, values, np.empty(room, plan.encode.code_dtype),
        np.empty(kernels.PART + 1, np.uint64), result.reshape(-1),
    )  # fmt: skip
    return None if nans else result


def _plan(fmt: NumberFormat, stochastic: bool) -> RoundPlan | None:
    rounding = Rounding.STOCHASTIC if stochastic else Rounding.NEAREST_EVEN
    plan = encode_plan(fmt, "float32", rounding, Overflow.SATURATE, NaNPolicy.RAISE)
    return round_plan(plan, _SINGLE) if plan.source_name == "float32" else None
