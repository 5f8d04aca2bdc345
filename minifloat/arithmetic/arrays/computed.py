"""NumPy's functions that compute, made of operations that are rounded one by one.

The functions have NumPy's names and arguments after the context. They take and return values of the
format, in plain arrays; `VALUES` has the names of the arguments that are such values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.arrays import contractions
from minifloat.arithmetic.arrays.contexts import Context
from minifloat.arithmetic.arrays.ufuncs import (
    OPERATIONS,
    Axis,
    accumulated,
    axes_of,
    mask_of,
    on_all_pairs,
    reduced,
)
from minifloat.arithmetic.operations import algebraic, selections
from minifloat.formats.base import shown

Array = NDArray[np.float64]

VALUES = frozenset(
    ("a", "b", "x", "y", "m", "p", "v", "x1", "x2", "ar1", "ar2", "initial", "weights", "operands")
)


def sum(
    context: Context,
    a: Array,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: Array | None = None,
    where: Any = True,
) -> Array:
    """Add up, as the context's accumulator says."""
    return reduced(context, np.add, a, axis, keepdims=keepdims, initial=initial, where=where)


def prod(
    context: Context,
    a: Array,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: Array | None = None,
    where: Any = True,
) -> Array:
    """Multiply one after the other."""
    return reduced(context, np.multiply, a, axis, keepdims=keepdims, initial=initial, where=where)


def mean(
    context: Context, a: Array, axis: Axis = None, *, keepdims: bool = False, where: Any = True
) -> Array:
    """Divide the sum by the count, which is exact."""
    counts: Any = _count(a, axis)
    if where is not True:
        counts = np.count_nonzero(mask_of(where, a.shape), axis, keepdims=keepdims)
    sums = sum(context, a, axis, keepdims=keepdims, where=where)
    return context.compute(algebraic.divide, sums, counts)


def var(
    context: Context, a: Array, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False
) -> Array:
    """Divide the sum of the squared differences from the mean by the count, which is exact."""
    rest = context.compute(algebraic.subtract, a, mean(context, a, axis, keepdims=True))
    squares = context.compute(algebraic.square, rest)
    sums = sum(context, squares, axis, keepdims=keepdims)
    return context.compute(algebraic.divide, sums, _count(a, axis) - ddof)


def std(
    context: Context, a: Array, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False
) -> Array:
    """Take the square root of the variance."""
    return context.compute(algebraic.sqrt, var(context, a, axis, ddof=ddof, keepdims=keepdims))


def _count(a: Array, axis: Axis) -> int:
    return math.prod(a.shape[k] for k in axes_of(a, axis))


def average(context: Context, a: Array, axis: Axis = None, weights: Array | None = None) -> Array:
    """Divide the sum of the products with the weights by the sum of the weights."""
    if weights is None:
        return mean(context, a, axis)
    if weights.shape != a.shape:
        raise ValueError(f"weights must have the shape of a, {a.shape}, got {weights.shape}")
    products = context.compute(algebraic.multiply, a, weights)
    sums = (sum(context, x, axis) for x in (products, weights))
    return context.compute(algebraic.divide, *sums)


def cumsum(context: Context, a: Array, axis: int | None = None) -> Array:
    """Add one after the other, and return all partial sums."""
    return _running(context, np.add, a, axis)


def cumprod(context: Context, a: Array, axis: int | None = None) -> Array:
    """Multiply one after the other, and return all partial products."""
    return _running(context, np.multiply, a, axis)


def cumulative_sum(context: Context, x: Array, *, axis: int | None = None) -> Array:
    """Do as `cumsum`."""
    return _running(context, np.add, x, axis)


def cumulative_prod(context: Context, x: Array, *, axis: int | None = None) -> Array:
    """Do as `cumprod`."""
    return _running(context, np.multiply, x, axis)


def _running(context: Context, ufunc: np.ufunc, a: Array, axis: int | None) -> Array:
    return accumulated(context, ufunc, a.ravel() if axis is None else a, axis or 0)


def trace(context: Context, a: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Add up a diagonal."""
    return sum(context, np.diagonal(a, offset, axis1, axis2), -1)


def linalg_trace(context: Context, x: Array, *, offset: int = 0) -> Array:
    """Add up the diagonals of matrices."""
    return trace(context, x, offset, -2, -1)


def diff(context: Context, a: Array, n: int = 1, axis: int = -1) -> Array:
    """Subtract neighbours, ``n`` times."""
    rows = np.moveaxis(a, axis, 0)
    for _ in range(n):
        rows = context.compute(algebraic.subtract, rows[1:], rows[:-1])
    return np.moveaxis(rows, 0, axis)


def ptp(context: Context, a: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Subtract the smallest value from the largest."""
    largest, smallest = (f(a, axis=axis, keepdims=keepdims) for f in (np.max, np.min))
    return context.compute(algebraic.subtract, largest, smallest)


def outer(context: Context, a: Array, b: Array) -> Array:
    """Multiply all pairs."""
    return on_all_pairs(context, np.multiply, a.ravel(), b.ravel())


def linalg_outer(context: Context, x1: Array, x2: Array) -> Array:
    """Multiply all pairs."""
    return outer(context, x1, x2)


def kron(context: Context, a: Array, b: Array) -> Array:
    """Multiply all pairs, block by block."""
    axes = max(a.ndim, b.ndim)
    left, right = (x.reshape((1,) * (axes - x.ndim) + x.shape) for x in (a, b))
    products = on_all_pairs(context, np.multiply, left, right)
    order = [k for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for k in pair]
    shape = [m * n for m, n in zip(left.shape, right.shape, strict=True)]
    return products.transpose(order).reshape(shape)


def polyval(context: Context, p: Array, x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule, the highest power first, from 0 as NumPy does."""
    y = np.zeros_like(x)
    for coefficient in p:
        y = context.compute(algebraic.multiply, y, x)
        y = context.compute(algebraic.add, y, coefficient)
    return y


def norm(
    context: Context,
    x: Array,
    ord: float | str | None = None,
    axis: Axis = None,
    *,
    keepdims: bool = False,
) -> Array:
    """Return the root of the sum of squares, the sum of magnitudes, or the largest or smallest."""
    axes = axes_of(x, axis)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        squares = context.compute(algebraic.square, x)
        return context.compute(algebraic.sqrt, sum(context, squares, axes, keepdims=keepdims))
    sizes = context.compute(selections.absolute, x)
    if len(axes) == 1 and ord == 1:
        return sum(context, sizes, axes, keepdims=keepdims)
    if len(axes) == 1 and ord in (math.inf, -math.inf):
        pick = np.max if ord > 0 else np.min
        return np.asarray(pick(sizes, axis=axes, keepdims=keepdims))
    raise TypeError(
        f"ord must be None, 'fro' of matrices, or 1, 2, inf or -inf of vectors, got {shown(ord)} "
        f"for {len(axes)} axes; use np.asarray(x)"
    )


def vector_norm(
    context: Context,
    x: Array,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Array:
    """Do as `norm` of vectors."""
    if axis is None:
        axis, x = 0, x.ravel()
    return norm(context, x, ord, axis, keepdims=keepdims)


def nan_to_num(
    context: Context,
    x: Array,
    *,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Array:
    """Replace NaN and infinities, by 0 and the ends of the format unless told otherwise."""
    high = context.fmt.max if posinf is None else posinf
    low = context.fmt.min if neginf is None else neginf
    return context.rounded(np.nan_to_num(x, nan=nan, posinf=high, neginf=low))


def fix(context: Context, x: Array) -> Array:
    """Cut what is behind the point."""
    return context.compute(OPERATIONS[np.trunc], x)


def round(context: Context, a: Array, decimals: int = 0) -> Array:
    """Round to whole numbers."""
    if decimals != 0:
        raise TypeError(
            f"decimals must be 0, got {shown(decimals)}: decimal digits are no values of binary "
            "formats; use np.round(np.asarray(x), decimals)"
        )
    return context.compute(OPERATIONS[np.rint], a)


def union1d(context: Context, ar1: Array, ar2: Array) -> Array:
    """Return the values that are in either."""
    return np.union1d(ar1, ar2)


def intersect1d(context: Context, ar1: Array, ar2: Array) -> Array:
    """Return the values that are in both."""
    return np.intersect1d(ar1, ar2)


def setdiff1d(context: Context, ar1: Array, ar2: Array) -> Array:
    """Return the values that are in the first alone."""
    return np.setdiff1d(ar1, ar2)


def setxor1d(context: Context, ar1: Array, ar2: Array) -> Array:
    """Return the values that are in one of them."""
    return np.setxor1d(ar1, ar2)


def vdot(context: Context, a: Array, b: Array) -> Array:
    """Return the dot product of all numbers."""
    return contractions.matmul(context, a.ravel(), b.ravel())


COMPUTED: dict[Callable[..., Any], Callable[..., Array]] = {
    np.sum: sum,
    np.prod: prod,
    np.mean: mean,
    np.var: var,
    np.std: std,
    np.average: average,
    np.cumsum: cumsum,
    np.cumprod: cumprod,
    np.trace: trace,
    np.linalg.trace: linalg_trace,
    np.diff: diff,
    np.ptp: ptp,
    np.outer: outer,
    np.linalg.outer: linalg_outer,
    np.kron: kron,
    np.polyval: polyval,
    np.linalg.norm: norm,
    np.linalg.vector_norm: vector_norm,
    np.nan_to_num: nan_to_num,
    np.fix: fix,
    np.round: round,
    np.around: round,
    np.union1d: union1d,
    np.intersect1d: intersect1d,
    np.setdiff1d: setdiff1d,
    np.setxor1d: setxor1d,
    np.dot: contractions.dot,
    np.vdot: vdot,
    np.inner: contractions.inner,
    np.tensordot: contractions.tensordot,
    np.linalg.tensordot: contractions.tensordot,
    np.linalg.matmul: contractions.matmul,
    np.linalg.vecdot: contractions.vecdot,
    np.einsum: contractions.einsum,
}
for _name, _function in {
    "cumulative_sum": cumulative_sum,
    "cumulative_prod": cumulative_prod,
}.items():
    if hasattr(np, _name):  # from NumPy 2.1 on
        COMPUTED[getattr(np, _name)] = _function
