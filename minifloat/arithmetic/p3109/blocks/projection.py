"""Results divided by the scale of their block, and rounded (BlockProject)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations import functions
from minifloat.arithmetic.operations.results import (
    Fmt,
    Options,
    kernel_results,
)
from minifloat.arithmetic.p3109.blocks.operands import of_one_shape
from minifloat.arithmetic.p3109.exact_results import exact_results
from minifloat.arithmetic.p3109.external import External, Projector, target_of
from minifloat.arithmetic.p3109.operations import results_of, rounded_results
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding, choose

Array = NDArray[Any]

SIGNIFICAND = 52  # bits of a float64 that was rounded to odd, without the last one
STOCHASTIC = 30  # bits of a fraction that a stochastic mode looks at
FAR = 2.0**1000


def format_of(fmt: Fmt) -> NumberFormat | External:
    """Return a format of results, or raise if it is a codebook or too wide."""
    target = target_of(fmt)
    if isinstance(target, NumberFormat) and target.is_table:
        raise ValueError(f"fmt must be no codebook, got {target}; P3109's formats are ExMy")
    return target


def projected(
    name: str,
    operands: list[Array],
    scale: Array,
    fmt: NumberFormat | External,
    options: Options,
) -> Array:
    """Return the results of an operation, divided by scales, rounded (BlockProject)."""
    operands = of_one_shape(operands)
    scale = np.ascontiguousarray(scale).reshape(scale.shape)
    if isinstance(fmt, External):
        projector = Projector.of(fmt, options, operands[0].shape)
        return exact_results(name, operands, projector, scale)
    _check_scale(scale, fmt, options)

    def divided(results: Array) -> Array:
        quotients = kernel_results(kernels.divide, functions.DIVIDE, [results, scale], fmt, options)
        quotients = np.where(np.isinf(scale), np.sign(results) * np.sign(scale), quotients)
        quotients = np.where(scale == 0, 0.0, quotients)
        return np.where(np.isnan(scale) | np.isnan(results), np.nan, quotients + 0.0)

    with np.errstate(all="ignore"):
        results = results_of(name, operands, fmt, options, divided)
    return rounded_results(results, fmt, options)


def _check_scale(scale: Array, fmt: NumberFormat, options: Options) -> None:
    """Raise unless results that were rounded to odd may be divided by these scales.

    A quotient is compared with a number p of the format, or between two: the result with p times
    the scale, which must have fewer bits than float64.
    """
    usual = abs(scale[np.isfinite(scale) & (scale != 0)])
    if usual.size == 0 or (usual == 1).all():
        return
    whole = np.ldexp(np.frexp(usual)[0], 53).astype(np.int64)
    bits = 53 - int(np.log2(np.min(whole & -whole)))
    mode = choose(Rounding, "rounding", options.get("rounding", Rounding.NEAREST_EVEN))
    room = SIGNIFICAND - (fmt.precision or 0) - (STOCHASTIC if mode.is_stochastic else 1)
    if bits > room or fmt.max * usual.max() > FAR or fmt.smallest * usual.min() < 1 / FAR:
        raise ValueError(
            f"scale must have at most {room} bits, and {fmt} times scale be between 2**-1000 "
            f"and 2**1000, got scales of {bits} bits up to {usual.max():g}"
        )
