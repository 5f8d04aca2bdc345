"""P3109's operations on blocks: numbers that share a scale, and its scaled operations.

A block is a scale and the elements that are multiplied by it. Here many blocks are one `Block`:
scales of shape (...) and elements of shape (..., B), both of them values. Weights that
`minifloat.quantize` has packed are blocks, too. Operations are those of the draft P3109/D1 of July
2026, clauses 5.2 to 5.5. Each result is the exact one, rounded once.

Limits: a scale times an element is a float64 (as for all formats of at most 16 bits and for float32
scales), and so are other numbers on the way, but for their last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifloat._arrays import source_array
from minifloat._kernels import operations as kernels
from minifloat.arithmetic import functions
from minifloat.arithmetic.odd import sum_to_odd, to_odd
from minifloat.arithmetic.p3109 import Projection, check_name, options_of, results_of
from minifloat.arithmetic.packed import Packed, check_not_rotated, is_packed
from minifloat.arithmetic.results import (
    Fmt,
    Options,
    checked_format,
    kernel_results,
    round_results,
    run,
)
from minifloat.codec import decode
from minifloat.formats import NumberFormat
from minifloat.formats.rounding import Rounding, choose

Array = NDArray[Any]

SIGNIFICAND = 52  # bits of a float64 that was rounded to odd, without the last one
STOCHASTIC = 30  # bits of a fraction that a stochastic mode looks at
FAR = 2.0**1000


class Block(NamedTuple):
    """Blocks of numbers.

    Attributes
    ----------
    scale : ndarray, shape (...)
    elements : ndarray, shape (..., B)
    """

    scale: Array
    elements: Array


BlockLike: TypeAlias = Block | tuple[ArrayLike, ArrayLike] | Packed


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
    >>> from minifloat.arithmetic.p3109_blocks import block
    >>> a, b = (4.0, [1.5, -0.75]), (2.0, [1, 8])
    >>> block("Add", a, b, scale=8.0, fmt="binary8p4se").elements  # 6 + 2 and -3 + 16, in eighths
    array([1.   , 1.625])
    """
    check_name(name, len(blocks))
    fmt, options = _format(fmt), options_of(projection)
    arrays = _equal([decoded(x) for x in blocks])
    scales = _numbers("scale", scale)
    spread = np.broadcast_to(scales[..., np.newaxis], arrays[0].shape)
    return Block(scales, _projected(name, arrays, spread, fmt, options))


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
    >>> from minifloat.arithmetic.p3109_blocks import scaled
    >>> scaled("Multiply", 2.0**-8, 3.0, 2.0**9, 1.25, fmt="binary8p4se")
    np.float64(7.5)
    """
    check_name(name, len(operands) // 2 if len(operands) % 2 == 0 else len(operands))
    fmt, options = _format(fmt), options_of(projection)
    pairs = zip(operands[::2], operands[1::2], strict=True)
    arrays = _equal([_product(_numbers("scale", s), _numbers("x", x)) for s, x in pairs])
    return _projected(name, arrays, np.ones_like(arrays[0]), fmt, options)


def reduce_add(x: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return the sum of each block, rounded once (BlockReduceAdd).

    Parameters
    ----------
    x : Block, pair of arrays, or Quantized
    fmt, **projection
        As for `block`.

    Returns
    -------
    ndarray of float64 or ``dtype``, shape (...)

    Raises
    ------
    ValueError
        As `block`.

    Examples
    --------
    >>> from minifloat.arithmetic.p3109_blocks import reduce_add
    >>> reduce_add(([4.0, 1.0], [[1.5, -0.75], [1.0, 2.0]]), "binary8p4se")
    array([3., 3.])
    """
    return _reduced(_sum, decoded(x), fmt, projection)


def reduce_multiply(x: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return the product of each block's numbers, rounded once (BlockReduceMultiply).

    Arguments and result are as for `reduce_add`.
    """
    return _reduced(_product_of_all, decoded(x), fmt, projection)


def dot_product(a: BlockLike, b: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return the dot product of each two blocks, rounded once (BlockDotProduct).

    Arguments and result are as for `reduce_add`.

    >>> from minifloat.arithmetic.p3109_blocks import dot_product
    >>> float(dot_product((2.0, [1, 2, 3]), (0.5, [4, 5, 6]), "binary8p4se"))
    32.0
    """
    x, y = _equal([decoded(a), decoded(b)])
    products = np.multiply(x, y)
    errors, hard = run(kernels.fma, [x, y, -products])
    errors = np.where(np.isfinite(products), errors, 0.0)
    terms = np.concatenate([products, errors], axis=-1)
    hard &= np.isfinite(x) & np.isfinite(y)

    def total(row: Array, index: tuple[int, ...]) -> float:
        if hard[index].any() and np.isfinite(row).all():
            pairs = zip(x[index].tolist(), y[index].tolist(), strict=True)
            return to_odd(sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(0)))
        return _sum(row, index)

    return _reduced(total, terms, fmt, projection)


def convert_from_block(x: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return scale times element, rounded once (ConvertFromBlock); as `reduce_add` otherwise."""
    fmt, options = _format(fmt), options_of(projection)
    values = decoded(x)
    return _projected("Convert", [values], np.ones_like(values), fmt, options)


def convert_to_block(
    x: ArrayLike, scale: ArrayLike, fmt: Fmt, **projection: Unpack[Projection]
) -> Block:
    """Return numbers of shape (..., B) as blocks with the scales that are given (ConvertToBlock).

    Arguments and result are as for `block`.
    """
    numbers, scales = _numbers("x", x), _numbers("scale", scale)
    _check_elements(numbers)
    fmt, options = _format(fmt), options_of(projection)
    spread = np.broadcast_to(scales[..., np.newaxis], numbers.shape)
    return Block(scales, _projected("Convert", [numbers], spread, fmt, options))


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
    >>> from minifloat.arithmetic.p3109_blocks import convert_to_block_max_abs_finite
    >>> up: Projection = {"rounding": "TowardPositive"}
    >>> scale, elements = convert_to_block_max_abs_finite(
    ...     [[100, -12, 0.5, 3]], "binary8p1uf", "binary8p4se", scale_projection=up)
    >>> scale, elements
    (array([128.]), array([[ 0.75      , -0.09375   ,  0.00390625,  0.0234375 ]]))
    """
    numbers = _numbers("x", x)
    _check_elements(numbers)
    sizes = abs(numbers)
    finite = np.where(np.isfinite(sizes), sizes, -1.0).max(axis=-1)
    infinite = np.where(np.isinf(sizes).any(axis=-1), np.inf, np.nan)
    largest = np.where(finite >= 0, finite, infinite)
    options = options_of(scale_projection or {})
    scale = round_results(largest, _format(scale_fmt), options, options.get("dtype") or np.float64)
    return convert_to_block(numbers, scale, fmt, **projection)


def decoded(x: BlockLike) -> Array:
    """Return the numbers of blocks, scale times element, as float64; shape (..., B).

    Raises
    ------
    ValueError
        If the shapes do not fit, or a product is not a float64.
    """
    pair = _unpacked(x) if is_packed(x) else cast("tuple[ArrayLike, ArrayLike]", x)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise TypeError(f"blocks must be pairs of scale and elements, got {type(x).__name__}")
    scale, elements = pair
    scales, numbers = _numbers("scale", scale), _numbers("elements", elements)
    _check_elements(numbers)
    try:
        spread = np.broadcast_to(scales[..., np.newaxis], numbers.shape)
    except ValueError:
        raise ValueError(
            f"scale must have the shape of elements without its last axis, {numbers.shape[:-1]}, "
            f"got {scales.shape}"
        ) from None
    return _product(spread, numbers)


def _unpacked(q: Packed) -> tuple[Array, Array]:
    """Return scales and elements of packed weights, blocks along the last axis."""
    check_not_rotated("blocks", q)
    if getattr(q, "zero_points", None) is not None:
        raise ValueError("blocks must have no zero points, got some; P3109's blocks have none")
    values = decode(q.codes, q.fmt, dtype=np.float64)
    axis = -1 if q.axis is None else q.axis
    values = np.moveaxis(values, axis, -1)
    rows = q.row_scales().astype(np.float64)
    count = rows.shape[1]
    if values.shape[-1] % count:
        raise ValueError(
            f"blocks must be full, got {values.shape[-1]} numbers along axis {axis} in {count} "
            "blocks; pad the weights"
        )
    scale = rows.reshape(*values.shape[:-1], count) * (q.tensor_scale or 1.0)
    return scale, values.reshape(*values.shape[:-1], count, -1)


def _numbers(name: str, x: ArrayLike) -> Array:
    return source_array(x, name)[0].astype(np.float64)


def _check_elements(x: Array) -> None:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"elements must have an axis of at least one number, got shape {x.shape}")


def _equal(arrays: list[Array]) -> list[Array]:
    """Return arrays of one shape, contiguous."""
    try:
        return [np.ascontiguousarray(x).reshape(x.shape) for x in np.broadcast_arrays(*arrays)]
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in arrays)
        raise ValueError(f"operands must have shapes that broadcast, got {shapes}") from None


def _format(fmt: Fmt) -> NumberFormat:
    fmt = checked_format(fmt)
    if fmt.is_table:
        raise ValueError(f"fmt must be no codebook, got {fmt}; P3109's formats are ExMy")
    return fmt


def _product(scale: Array, x: Array) -> Array:
    """Return scale times number, which float64 must hold."""
    scale, x = _equal([scale, x])
    with np.errstate(all="ignore"):
        product = np.multiply(scale, x)
    error, hard = run(kernels.fma, [scale, x, -product])
    usual = np.isfinite(scale) & np.isfinite(x) & (scale != 0) & (x != 0)
    wrong = usual & (hard | (error != 0))
    if wrong.any():
        raise ValueError(
            "scale times element must be a float64 between 2**-450 and 2**450, got "
            f"{scale[wrong][0]!s} times {x[wrong][0]!s}; use values of short formats"
        )
    return product


def _projected(
    name: str, operands: list[Array], scale: Array, fmt: NumberFormat, options: Options
) -> Array:
    """Return the results of an operation, divided by scales, rounded (BlockProject)."""
    _check_scale(scale, fmt, options)
    operands = _equal(operands)
    scale = np.ascontiguousarray(scale).reshape(scale.shape)

    def divided(results: Array) -> Array:
        quotients = kernel_results(kernels.divide, functions.DIVIDE, [results, scale], fmt, options)
        quotients = np.where(np.isinf(scale), np.sign(results) * np.sign(scale), quotients)
        quotients = np.where(scale == 0, 0.0, quotients)
        return np.where(np.isnan(scale) | np.isnan(results), np.nan, quotients + 0.0)

    with np.errstate(all="ignore"):
        results = results_of(name, operands, fmt, options, divided)
    return round_results(results + 0.0, fmt, options, options.get("dtype") or np.float64)


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
            f"scale must have at most {room} bits, and {fmt.name} times scale be between 2**-1000 "
            f"and 2**1000, got scales of {bits} bits up to {usual.max():g}"
        )


def _sum(row: Array, _: tuple[int, ...]) -> float:
    if not np.isfinite(row).all():
        with np.errstate(all="ignore"):
            return float(np.sum(row[~np.isfinite(row)]))
    return sum_to_odd(row.tolist())


def _product_of_all(row: Array, _: tuple[int, ...]) -> float:
    if not np.isfinite(row).all():
        with np.errstate(all="ignore"):
            return float(np.prod(np.where(np.isfinite(row), np.sign(row), row)))
    return to_odd(math.prod(map(Fraction, row.tolist()), start=Fraction(1)))


def _reduced(
    reduce: Callable[[Array, tuple[int, ...]], float],
    numbers: Array,
    fmt: Fmt,
    projection: Projection,
) -> Array:
    """Return one rounded result for each row of the last axis."""
    fmt, options = _format(fmt), options_of(projection)
    results = np.empty(numbers.shape[:-1])
    for index in np.ndindex(results.shape):
        results[index] = reduce(numbers[index], index)
    return round_results(results + 0.0, fmt, options, options.get("dtype") or np.float64)
