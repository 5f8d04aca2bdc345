"""Operations on each element of blocks, and scaled operations."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat.arithmetic.operations.results import Fmt
from minifloat.arithmetic.p3109.blocks.operands import (
    Block,
    BlockLike,
    decoded,
    numbers_of,
    of_one_shape,
    product,
    spread,
)
from minifloat.arithmetic.p3109.blocks.projection import format_of, projected
from minifloat.arithmetic.p3109.names import check_name
from minifloat.arithmetic.p3109.projections import Projection, options_of

Array = NDArray[Any]


def block(
    name: str, *blocks: BlockLike, scale: ArrayLike, fmt: Fmt, **projection: Unpack[Projection]
) -> Block:
    """Compute an operation elementwise on blocks: BlockAdd is ``block("Add", a, b, ...)``.

    Parameters
    ----------
    name : str
        One of `minifloat.arithmetic.p3109.OPERATIONS`.
    *blocks : Block, pair of arrays, or Quantized
        One, two or three operands of one block size.
    scale : array_like, shape (...)
        The scale of the result. If it is 0, all elements are 0 but for NaN; if it is infinite, they
        are -1, 0 or 1.
    fmt : format or str
        The format of the result's elements; no codebook.
    **projection
        See `minifloat.arithmetic.p3109.Projection`.

    Returns
    -------
    Block
        The scale that was given, and elements of float64 or of ``dtype``: the exact results,
        divided by the scale, rounded once.

    Raises
    ------
    ValueError
        As `minifloat.arithmetic.p3109.compute`; if blocks do not fit, or have numbers that float64
        cannot hold.

    Examples
    --------
    >>> from minifloat.arithmetic.p3109.blocks import block
    >>> a, b = (4.0, [1.5, -0.75]), (2.0, [1, 8])
    >>> block("Add", a, b, scale=8.0, fmt="binary8p4se").elements  # 6 + 2 and -3 + 16, in eighths
    array([1.   , 1.625])
    """
    check_name(name, len(blocks))
    target, options = format_of(fmt), options_of(projection)
    arrays = of_one_shape([decoded(x) for x in blocks])
    scales = numbers_of("scale", scale)
    each = spread(scales, arrays[0].shape)
    return Block(scales, projected(name, arrays, each, target, options))


def scaled(name: str, *operands: ArrayLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Compute a scaled operation: ScaledAdd is ``scaled("Add", s1, x1, s2, x2, fmt=...)``.

    It is the operation on ``s1 x1``, ``s2 x2`` ..., rounded once (earlier drafts: AddScaled).

    Parameters
    ----------
    name : str
        One of `minifloat.arithmetic.p3109.OPERATIONS`.
    *operands : array_like
        Scale and number of each operand, of shapes that broadcast.
    fmt, **projection
        As for `block`.

    Returns
    -------
    ndarray of float64 or ``dtype``

    Raises
    ------
    ValueError
        As `block`.

    Examples
    --------
    >>> from minifloat.arithmetic.p3109.blocks import scaled
    >>> scaled("Multiply", 2.0**-8, 3.0, 2.0**9, 1.25, fmt="binary8p4se")
    np.float64(7.5)
    """
    check_name(name, len(operands) // 2 if len(operands) % 2 == 0 else len(operands))
    target, options = format_of(fmt), options_of(projection)
    pairs = zip(operands[::2], operands[1::2], strict=True)
    arrays = of_one_shape([product(numbers_of("scale", s), numbers_of("x", x)) for s, x in pairs])
    return projected(name, arrays, np.ones_like(arrays[0]), target, options)
