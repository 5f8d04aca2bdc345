"""Sums, products and dot products of blocks, each rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from minifloat._kernels import operations as kernels
from minifloat.arithmetic.operations.odd_rounding import sum_to_odd, to_odd
from minifloat.arithmetic.operations.results import Fmt, round_results, run
from minifloat.arithmetic.p3109.blocks.operands import BlockLike, decoded, of_one_shape
from minifloat.arithmetic.p3109.blocks.projection import format_of
from minifloat.arithmetic.p3109.projections import Projection, options_of

Array = NDArray[Any]


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
    >>> from minifloat.arithmetic.p3109.blocks import reduce_add
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

    >>> from minifloat.arithmetic.p3109.blocks import dot_product
    >>> float(dot_product((2.0, [1, 2, 3]), (0.5, [4, 5, 6]), "binary8p4se"))
    32.0
    """
    x, y = of_one_shape([decoded(a), decoded(b)])
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
    fmt, options = format_of(fmt), options_of(projection)
    results = np.empty(numbers.shape[:-1])
    for index in np.ndindex(results.shape):
        results[index] = reduce(numbers[index], index)
    return round_results(results + 0.0, fmt, options, options.get("dtype") or np.float64)
