"""Numbers to blocks and back."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.arithmetic.operations.results import Fmt
from minifloat.arithmetic.p3109.blocks.operands import (
    Block,
    BlockLike,
    check_elements,
    decoded,
    numbers_of,
    spread,
)
from minifloat.arithmetic.p3109.blocks.projection import format_of, projected
from minifloat.arithmetic.p3109.projections import Projection, options_of

Array = NDArray[Any]


def convert_from_block(x: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return scale times element, rounded once (ConvertFromBlock); as `reduce_add` otherwise."""
    target, options = format_of(fmt), options_of(projection)
    values = decoded(x)
    return projected("Convert", [values], np.ones_like(values), target, options)


def convert_to_block(
    x: ArrayLike, scale: ArrayLike, fmt: Fmt, **projection: Unpack[Projection]
) -> Block:
    """Return numbers of shape (..., B) as blocks with the scales that are given (ConvertToBlock).

    Arguments and result are as for `block`.
    """
    numbers, scales = numbers_of("x", x), numbers_of("scale", scale)
    check_elements(numbers)
    target, options = format_of(fmt), options_of(projection)
    each = spread(scales, numbers.shape)
    return Block(scales, projected("Convert", [numbers], each, target, options))


def convert_to_block_max_abs_finite(
    x: ArrayLike,
    scale_fmt: Fmt,
    fmt: Fmt,
    *,
    scale_projection: Projection | None = None,
    **projection: Unpack[Projection],
) -> Block:
    """Return numbers as blocks, with their largest finite magnitudes as scales.

    That is ConvertToBlockMaxAbsFinite. A block without finite numbers has an infinite scale, and
    one of NaN alone has NaN.

    Parameters
    ----------
    x : array_like, shape (..., B)
    scale_fmt : format or str
        The format of the scales.
    fmt : format or str
        The format of the elements; no codebook.
    scale_projection : Projection, optional
        How scales are rounded.
    **projection
        How elements are rounded.

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        As `block`.

    Examples
    --------
    >>> from minifloat.arithmetic.p3109 import Projection
    >>> from minifloat.arithmetic.p3109.blocks import convert_to_block_max_abs_finite
    >>> up: Projection = {"rounding": "TowardPositive"}
    >>> scale, elements = convert_to_block_max_abs_finite(
    ...     [[100, -12, 0.5, 3]], "binary8p1uf", "binary8p4se", scale_projection=up)
    >>> scale, elements
    (array([128.]), array([[ 0.75      , -0.09375   ,  0.00390625,  0.0234375 ]]))
    """
    numbers = numbers_of("x", x)
    check_elements(numbers)
    sizes = abs(numbers)
    finite = np.where(np.isfinite(sizes), sizes, -1.0).max(axis=-1)
    infinite = np.where(np.isinf(sizes).any(axis=-1), np.inf, np.nan)
    largest = np.where(finite >= 0, finite, infinite)
    options = options_of(scale_projection or {})
    scale = projected("Convert", [largest], np.ones_like(largest), format_of(scale_fmt), options)
    return convert_to_block(numbers, scale, fmt, **projection)
