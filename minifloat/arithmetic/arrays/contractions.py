"""Products of vectors, matrices and more axes, on values of a context: all end in one function.

The functions take NumPy's arguments after the context. The products of a sum are added in the order
of the summed axes, the last one fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.arrays.contexts import Context
from minifloat.arithmetic.arrays.reductions import product_of_matrices, total
from minifloat.arithmetic.operations import algebraic
from minifloat.formats.base import shown

Array = NDArray[np.float64]
Axes = int | Sequence[Any]


def matmul(context: Context, a: Array, b: Array) -> Array:
    """Return ``a @ b``."""
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("operands of matmul must have at least one axis, got a number; use *")
    left, right = a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None]
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(
            f"operands of matmul must have shapes (..., m, n) and (..., n, p), got {a.shape} and "
            f"{b.shape}"
        )
    products = product_of_matrices(context, left, right)
    if b.ndim == 1:
        products = products[..., 0]
    return products if a.ndim > 1 else products[..., 0] if b.ndim == 1 else products[..., 0, :]


def matvec(context: Context, a: Array, b: Array) -> Array:
    """Return the products of matrices and vectors along the last axes."""
    return matmul(context, a, b[..., None])[..., 0]


def vecmat(context: Context, a: Array, b: Array) -> Array:
    """Return the products of vectors and matrices along the last axes."""
    return matmul(context, a[..., None, :], b)[..., 0, :]


def vecdot(context: Context, a: Array, b: Array) -> Array:
    """Return the dot products along the last axis."""
    return matmul(context, a[..., None, :], b[..., :, None])[..., 0, 0]


def dot(context: Context, a: Array, b: Array) -> Array:
    """Return `numpy.dot`: products of matrices, or of all rows of a and all columns of b."""
    if a.ndim == 0 or b.ndim == 0:
        return context.compute(algebraic.multiply, a, b)
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(context, a, b)
    return tensordot(context, a, b, (-1, max(b.ndim - 2, 0)))


def vdot(context: Context, a: Array, b: Array) -> Array:
    """Return the dot product of all numbers of a and b."""
    return matmul(context, a.ravel(), b.ravel())


def inner(context: Context, a: Array, b: Array) -> Array:
    """Return the dot products of all rows of a and all rows of b."""
    if a.ndim == 0 or b.ndim == 0:
        return context.compute(algebraic.multiply, a, b)
    return tensordot(context, a, b, (-1, -1))


def outer(context: Context, a: Array, b: Array) -> Array:
    """Return the products of all numbers of a and all numbers of b."""
    return context.compute(algebraic.multiply, a.reshape(-1, 1), b.reshape(1, -1))


def tensordot(context: Context, a: Array, b: Array, axes: Axes = 2) -> Array:
    """Return `numpy.tensordot`."""
    if isinstance(axes, Sequence):
        of_a, of_b = (tuple(x) if isinstance(x, Sequence) else (x,) for x in axes)
    else:
        of_a, of_b = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    of_a = tuple(range(a.ndim)[k] for k in of_a)
    of_b = tuple(range(b.ndim)[k] for k in of_b)
    summed = [a.shape[k] for k in of_a]
    if summed != [b.shape[k] for k in of_b]:
        raise ValueError(
            f"axes must have the same lengths in a and b, got {summed} and "
            f"{[b.shape[k] for k in of_b]}"
        )
    free_a = [k for k in range(a.ndim) if k not in of_a]
    free_b = [k for k in range(b.ndim) if k not in of_b]
    shape = (*(a.shape[k] for k in free_a), *(b.shape[k] for k in free_b))
    size = math.prod(summed)
    rows = a.transpose(*free_a, *of_a).reshape(math.prod(a.shape[k] for k in free_a), size)
    columns = b.transpose(*of_b, *free_b).reshape(size, math.prod(b.shape[k] for k in free_b))
    return matmul(context, rows, columns).reshape(shape)


def einsum(context: Context, subscripts: Any, *operands: Array) -> Array:
    """Return `numpy.einsum` of one or two operands, with subscripts as text.

    Labels that are summed are taken in the order in which they first appear. A label of one operand
    alone is summed before the products.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"subscripts must be text such as 'ij,jk->ik', got {shown(subscripts)}")
    if not 1 <= len(operands) <= 2:
        raise TypeError(
            f"einsum must have one or two operands, got {len(operands)}, whose products could be "
            "rounded in several orders; multiply two at a time"
        )
    inputs, output = _labels(subscripts, [x.ndim for x in operands])
    parts = [_without_doubles(x, names) for x, names in zip(operands, inputs, strict=True)]
    kept = set(output)
    if len(parts) == 2:
        shared = set(parts[0][1]) & set(parts[1][1])
        parts = [_summed(context, *part, kept | shared) for part in parts]
        return _pair(context, parts[0], parts[1], output)
    values, names = _summed(context, *parts[0], kept)
    return values.transpose([names.index(name) for name in output])


Part = tuple[Array, list[str]]


def _labels(subscripts: str, dimensions: list[int]) -> tuple[list[list[str]], list[str]]:
    """Return the labels of the operands and of the result; those of an ellipsis are digits."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(dimensions):
        raise ValueError(
            f"subscripts must name {len(dimensions)} operands, got {shown(subscripts)}"
        )
    most = 0
    inputs = []
    for text, ndim in zip(texts, dimensions, strict=True):
        extra = ndim - len(text.replace("...", "")) if "..." in text else 0
        most = max(most, extra)
        inputs.append(_spelled(text, extra))
        if len(inputs[-1]) != ndim:
            raise ValueError(f"subscripts must name each axis, got {shown(text)} for {ndim} axes")
    every = [name for names in inputs for name in names]
    if arrow:
        output = _spelled(right, most)
    else:
        single = sorted(name for name in set(every) if every.count(name) == 1 and name.isalpha())
        output = [*_spelled("..." if most else "", most), *single]
    if len(set(output)) < len(output) or not set(output) <= set(every):
        raise ValueError(
            "subscripts must have each label of the result once, and in an operand, got "
            f"{shown(subscripts)}"
        )
    return inputs, output


def _spelled(text: str, extra: int) -> list[str]:
    before, ellipsis, after = text.partition("...")
    if not (before + after).isalpha() and before + after:
        raise ValueError(f"subscripts must be letters and at most one ellipsis, got {shown(text)}")
    middle = [str(k) for k in range(extra - 1, -1, -1)] if ellipsis else []
    return [*before, *middle, *after]


def _without_doubles(x: Array, names: list[str]) -> Part:
    """Return the diagonals of axes that have one label."""
    while len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        first = names.index(double)
        second = names.index(double, first + 1)
        if x.shape[first] != x.shape[second]:
            raise ValueError(f"axes {double} must have one length, got {x.shape}")
        x = np.diagonal(x, axis1=first, axis2=second)
        names = [name for k, name in enumerate(names) if k not in (first, second)] + [double]
    return x, names


def _summed(context: Context, x: Array, names: list[str], kept: set[str]) -> Part:
    """Return an operand summed over its axes that are not kept."""
    gone = [name for name in names if name not in kept]
    if not gone:
        return x, names
    stay = [name for name in names if name in kept]
    front = x.transpose([names.index(name) for name in [*gone, *stay]])
    terms = front.reshape(-1, *front.shape[len(gone) :])
    return total(context, terms), stay


def _pair(context: Context, a: Part, b: Part, output: list[str]) -> Array:
    """Return the products of two operands, summed over the labels that the result lacks."""
    (x, of_x), (y, of_y) = a, b
    batch = [name for name in output if name in of_x and name in of_y]
    summed = [name for name in of_x if name not in output]
    rows = [name for name in of_x if name not in batch and name not in summed]
    columns = [name for name in of_y if name not in batch and name not in summed]
    left = x.transpose([of_x.index(name) for name in [*batch, *rows, *summed]])
    right = y.transpose([of_y.index(name) for name in [*batch, *summed, *columns]])
    for name in summed:
        if x.shape[of_x.index(name)] != y.shape[of_y.index(name)]:
            raise ValueError(f"axes {name} must have one length, got {x.shape} and {y.shape}")
    n, r = len(batch), len(rows)
    shape_rows, shape_columns = left.shape[n : n + r], right.shape[n + len(summed) :]
    size = math.prod(left.shape[n + r :])
    products = matmul(
        context,
        left.reshape(*left.shape[:n], math.prod(shape_rows), size),
        right.reshape(*right.shape[:n], size, math.prod(shape_columns)),
    )
    whole = products.reshape((*products.shape[:n], *shape_rows, *shape_columns))
    names = [*batch, *rows, *columns]
    return whole.transpose([names.index(name) for name in output])
