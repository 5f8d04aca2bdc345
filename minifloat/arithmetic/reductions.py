"""Sums and other reductions in a context: along the first axis, one operation after the other.

The caller moves the axes that it reduces to the front. The order of the terms is their order along
this axis, in all modes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic import operations
from minifloat.arithmetic.contexts import Context, Operation
from minifloat.arithmetic.dot_products import matmul, sum
from minifloat.formats.rounding import Rounding

Array = NDArray[np.float64]

PRODUCTS = 1 << 20  # that are in memory at a time


def fold(context: Context, operation: Operation, terms: Array) -> Array:
    """Return the terms, of which there is at least one, joined by an operation."""
    if operation is operations.add and context.adder is not None:
        return _added_up(context, terms)
    joined: Array = terms[0]
    for term in terms[1:]:
        joined = context.compute(operation, joined, term)
    return joined


def running(context: Context, operation: Operation, terms: Array) -> Array:
    """Return the terms joined by an operation, with what there is after each."""
    results = np.array(terms)
    if operation is operations.add and context.accumulator is not None:
        for k in range(len(terms)):
            results[k] = total(context, terms[: k + 1])
        return results
    for k in range(1, len(terms)):
        results[k] = context.compute(operation, results[k - 1], terms[k])
    return results


def total(context: Context, terms: Array, start: Array | None = None) -> Array:
    """Return the sums of terms, and of what they start from, as the accumulator says.

    ``start`` is what the sums start from, an array of shape (1, ...).
    """
    if context.accumulator is not None:
        c = 0.0 if start is None else start[0]
        rows = np.moveaxis(terms, 0, -1)
        sums = sum(rows, c, accumulator=context.accumulator, dtype=np.float64)
        return context.rounded(sums)
    if start is not None:
        terms = np.concatenate([start, terms])
    if not len(terms):
        return context.rounded(np.zeros(terms.shape[1:]))
    return fold(context, operations.add, terms)


def product_of_matrices(context: Context, a: Array, b: Array) -> Array:
    """Return the product of a, of shape (..., m, n), and b, of shape (..., n, p)."""
    if context.accumulator is not None:
        products = matmul(a, b, accumulator=context.accumulator, dtype=np.float64)
        return context.rounded(products)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows, length, columns = *a.shape[-2:], b.shape[-1]
    left = np.broadcast_to(a, (*batch, rows, length))
    right = np.broadcast_to(b, (*batch, length, columns))
    result = np.empty((*batch, rows, columns))
    height = max(1, PRODUCTS // max(1, length * columns))
    for index in np.ndindex(batch):
        for i in range(0, rows, height):
            part = left[index][i : i + height].T[:, :, None], right[index][:, None, :]
            terms = context.compute(operations.multiply, *part)
            result[index][i : i + height] = total(context, terms)
    return result


def _added_up(context: Context, terms: Array) -> Array:
    """Return what one addition after the other gives, from the accumulator that gives the same."""
    assert context.adder is not None
    # An exact sum of 0 is -0 where it is rounded downward (IEEE 754-2019, 6.3).
    sign = -1.0 if context.rounding is Rounding.DOWNWARD else 1.0
    along_last = np.moveaxis(sign * terms[1:], 0, -1)
    sums = sum(along_last, sign * terms[0], accumulator=context.adder, dtype=np.float64)
    return np.asarray(sign * sums)
