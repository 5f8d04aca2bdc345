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
from minifloat.arithmetic.operations.results import Fmt, run
from minifloat.arithmetic.p3109.blocks.operands import BlockLike, decoded, of_one_shape
from minifloat.arithmetic.p3109.blocks.projection import format_of
from minifloat.arithmetic.p3109.external import External, Projector, Real
from minifloat.arithmetic.p3109.operations import rounded_results
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
    return _reduced(_sum, [decoded(x)], fmt, projection)


def reduce_multiply(x: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return the product of each block's numbers, rounded once (BlockReduceMultiply).

    Arguments and result are as for `reduce_add`.
    """
    return _reduced(_product, [decoded(x)], fmt, projection)


def dot_product(a: BlockLike, b: BlockLike, fmt: Fmt, **projection: Unpack[Projection]) -> Array:
    """Return the dot product of each two blocks, rounded once (BlockDotProduct).

    Arguments and result are as for `reduce_add`.

    >>> from minifloat.arithmetic.p3109.blocks import dot_product
    >>> float(dot_product((2.0, [1, 2, 3]), (0.5, [4, 5, 6]), "binary8p4se"))
    32.0
    """
    return _reduced(_dot, of_one_shape([decoded(a), decoded(b)]), fmt, projection)


def _sum(x: Array) -> Real:
    if not np.isfinite(x).all():
        with np.errstate(all="ignore"):
            return float(np.sum(x[~np.isfinite(x)]))
    return sum(map(Fraction, x.tolist()), Fraction(0))


def _product(x: Array) -> Real:
    if not np.isfinite(x).all():
        with np.errstate(all="ignore"):
            return float(np.prod(np.where(np.isfinite(x), np.sign(x), x)))
    return math.prod(map(Fraction, x.tolist()), start=Fraction(1))


def _dot(x: Array, y: Array) -> Real:
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.all():
        with np.errstate(all="ignore"):
            return float(np.sum((x * y)[~finite]))
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    return sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(0))


def _quick_sums(x: Array) -> tuple[Array, Array]:
    """Return sums, rounded to odd, and where they are none."""
    hard = np.asarray(~np.isfinite(x).all(axis=-1))
    sums = np.zeros(hard.shape)
    for index in map(tuple, np.argwhere(~hard).tolist()):
        sums[index] = sum_to_odd(x[index].tolist())
    return sums, hard


def _quick_dots(x: Array, y: Array) -> tuple[Array, Array]:
    """Return dot products, rounded to odd, and where they are none."""
    with np.errstate(all="ignore"):
        products = np.multiply(x, y)
    errors, hard = run(kernels.fma, [x, y, -products])
    sums, not_finite = _quick_sums(np.concatenate([products, errors], axis=-1))
    return sums, not_finite | hard.any(axis=-1)


QUICK: dict[Callable[..., Real], Callable[..., tuple[Array, Array]]] = {
    _sum: _quick_sums,
    _dot: _quick_dots,
}
"""Reductions in float64, which do for nearly all blocks where the format is short."""


def _reduced(
    reduce: Callable[..., Real], numbers: list[Array], fmt: Fmt, projection: Projection
) -> Array:
    """Return one rounded result for each row of the last axis."""
    target, options = format_of(fmt), options_of(projection)
    shape = numbers[0].shape[:-1]
    if isinstance(target, External):
        exact = [reduce(*(x[index] for x in numbers)) for index in np.ndindex(shape)]
        return Projector.of(target, options, shape).all(exact, shape)
    results, hard = np.empty(shape), np.ones(shape, bool)
    if reduce in QUICK:
        results, hard = QUICK[reduce](*numbers)
    for index in map(tuple, np.argwhere(hard).tolist()):
        total = reduce(*(x[index] for x in numbers))
        results[index] = total if isinstance(total, float) else to_odd(total)
    return rounded_results(results, target, options)
