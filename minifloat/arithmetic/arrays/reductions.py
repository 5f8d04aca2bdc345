"""Sums and other reductions in a context: along the first axis, one operation after the other.

The caller moves the axes that it reduces to the front. The order of the terms is their order along
this axis, in all modes.

Additions one after the other are loops of the accumulators' kernels where a context has an
`adder`, which gives the same bits; else each is a call.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from minifloat.arithmetic.arrays.contexts import Context, Operation
from minifloat.arithmetic.dot_products import matmul, sum
from minifloat.arithmetic.operations import algebraic
from minifloat.arithmetic.plans import plan_of
from minifloat.arithmetic.shapes import common_shape
from minifloat.arithmetic.step_plans import Plan
from minifloat.arithmetic.tiles import COLUMNS
from minifloat.formats.rounding import Rounding

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

PRODUCTS = 1 << 20  # that are in memory at a time
NO_EXPONENTS = np.empty((0, 0), np.int16)  # which additions one by one do not read


def fold(context: Context, operation: Operation, terms: Array) -> Array:
    """Return the terms, of which there is at least one, joined by an operation."""
    if operation is algebraic.add and context.adder is not None:
        others = np.arange(1, len(terms))
        return np.asarray(_added(context, terms, np.zeros_like(others), others)[0])
    joined: Array = terms[0]
    for term in terms[1:]:
        joined = context.compute(operation, joined, term)
    return joined


def running(context: Context, operation: Operation, terms: Array) -> Array:
    """Return the terms joined by an operation, with what there is after each."""
    is_sum = operation is algebraic.add
    if is_sum and context.accumulator is None and context.adder is not None:
        into = np.arange(1, len(terms))
        return _added(context, terms, into, into - 1)
    results = np.array(terms)
    for k in range(1, len(terms)):
        if is_sum and context.accumulator is not None:
            results[k] = total(context, terms[: k + 1])
        else:
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
    return fold(context, algebraic.add, terms)


def fold_where(
    context: Context, operation: Operation, terms: Array, mask: Mask, start: Array, is_first: bool
) -> Array:
    """Return the terms for which a mask is true, joined by an operation.

    ``start`` is the result where there are none, of one term's shape; if ``is_first`` is true it is
    joined with the others, too.
    """
    joined = np.broadcast_to(start, terms.shape[1:])
    begun: Mask = np.full(joined.shape, is_first)
    for term, chosen in zip(terms, mask, strict=True):
        both = np.where(begun, context.compute(operation, joined, term), term)
        joined, begun = np.where(chosen, both, joined), begun | chosen
    return joined


def product_of_matrices(context: Context, a: Array, b: Array) -> Array:
    """Return the product of a, of shape (..., m, n), and b, of shape (..., n, p)."""
    if context.accumulator is not None:
        products = matmul(a, b, accumulator=context.accumulator, dtype=np.float64)
        return context.rounded(products)
    batch = common_shape(a.shape[:-2], b.shape[:-2])
    rows, length, columns = *a.shape[-2:], b.shape[-1]
    left = np.broadcast_to(a, (*batch, rows, length))
    right = np.broadcast_to(b, (*batch, length, columns))
    result = np.empty((*batch, rows, columns))
    for index in np.ndindex(batch):
        if context.adder is not None and length > 0:
            result[index] = _multiplied(context, left[index], right[index])
            continue
        height = max(1, PRODUCTS // max(1, length * columns))
        for i in range(0, rows, height):
            part = left[index][i : i + height].T[:, :, None], right[index][:, None, :]
            terms = context.compute(algebraic.multiply, *part)
            result[index][i : i + height] = total(context, terms)
    return result


def _sign(context: Context) -> float:
    """Return the sign with which the adder's operands enter, and results leave.

    Numbers are rounded downward as their negatives are rounded upward. So an exact sum of 0 is -0,
    as it should (IEEE 754-2019, 6.3).
    """
    return -1.0 if context.rounding is Rounding.DOWNWARD else 1.0


def _signed(context: Context, results: Array) -> Array:
    """Return results of the adder with the signs of the context's operations."""
    signed = _sign(context) * results
    return np.asarray(signed if context.has_minus_zero else signed + 0.0)


def _plan(context: Context) -> Plan:
    """Return the plan of the context's adder, whose format has at most the bits of float32."""
    assert context.adder is not None
    plan = plan_of(context.adder)
    assert isinstance(plan, Plan)
    return plan


def _added(context: Context, terms: Array, into: Places, others: Places) -> Array:
    """Return the terms after additions: of others into those at some places, in their order."""
    sign = _sign(context)
    rows = np.array(sign * terms, order="C")
    flat = rows.reshape(len(rows), rows[:1].size)
    _plan(context).add_pairs(flat, np.stack([into, others], axis=1))
    return _signed(context, rows)


def _multiplied(context: Context, a: Array, b: Array) -> Array:
    """Return the product of two matrices, each product and each sum rounded."""
    plan = _plan(context)
    plan = replace(plan, product=plan.grid, product_mode=plan.mode)
    sign = _sign(context)
    sums = sign * context.compute(algebraic.multiply, a[:, :1], b[:1])
    rows = np.ascontiguousarray(sign * a[:, 1:])
    for j in range(0, sums.shape[1], COLUMNS):
        tile = np.ascontiguousarray(sums[:, j : j + COLUMNS])
        columns = np.ascontiguousarray(b[1:, j : j + COLUMNS])
        plan.add(rows, NO_EXPONENTS, columns, NO_EXPONENTS, tile)
        sums[:, j : j + COLUMNS] = tile
    return _signed(context, sums)
