"""A matrix of dot products, in tiles of columns that threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifloat import _jit
from minifloat._kernels.sums import NOTHING
from minifloat._threads import each
from minifloat.arithmetic.accumulators import Accumulator
from minifloat.arithmetic.doubles import DoublePlan
from minifloat.arithmetic.orders import additions, is_chain, places
from minifloat.arithmetic.plans import PRODUCTS, Plan, add_numbers, plan_of

Array = NDArray[Any]
Terms = tuple[Array, Array]  # values and exponents

COLUMNS = 64  # of a tile
ROWS = 256  # of a tile, at most
SMALL = 256  # products that are worth no compiling


def add_up(
    accumulator: Accumulator,
    a: Terms,
    b: Callable[[slice], Terms],
    sums: Array,
    threads: int,
) -> None:
    """Add to the sums of each row and column the products of the row of a and the column of b.

    ``a`` has rows, ``b`` returns some columns, contiguous, and ``sums`` is float64 of shape (rows,
    columns). Along a third axis ``b`` may have the factors of products that float64 does not hold.
    """
    plan = plan_of(accumulator)
    rows, columns = sums.shape
    if rows * columns * a[0].shape[1] > SMALL:
        _jit.load()
    height = min(ROWS, max(1, -(-rows // threads))) if columns < COLUMNS * threads else ROWS
    parts = [
        (slice(i, min(i + height, rows)), slice(j, min(j + COLUMNS, columns)))
        for j in range(0, columns, COLUMNS)
        for i in range(0, rows, height)
    ]

    def work(part: tuple[slice, slice]) -> None:
        mine, these = part
        tile = np.ascontiguousarray(sums[part])
        _add_tile(plan, (a[0][mine], a[1][mine]), b(these), tile)
        sums[part] = tile

    each(work, parts, threads)


def _add_tile(plan: Plan | DoublePlan, a: Terms, b: Terms, tile: Array) -> None:
    accumulator = plan.accumulator
    order, promote = accumulator.order, accumulator.promote
    if not is_chain(order):
        _add_by_list(plan, a[0], b[0], tile)
        return
    if order != "sequential":
        order_of_terms = places(order, len(b[0]))
        a = _taken(a[0].T, order_of_terms, 0.0).T, _taken(a[1].T, order_of_terms, NOTHING).T
        b = _taken(b[0], order_of_terms, 0.0), _taken(b[1], order_of_terms, NOTHING)

    def add(part: slice, sums: Array) -> None:
        plan.add(
            np.ascontiguousarray(a[0][:, part]),
            np.ascontiguousarray(a[1][:, part]),
            np.ascontiguousarray(b[0][part]),
            np.ascontiguousarray(b[1][part]),
            sums,
        )

    if promote is None:
        add(slice(None), tile)
        return
    for k in range(0, len(b[0]), promote):
        partial = np.zeros_like(tile)
        add(slice(k, k + promote), partial)
        add_numbers(tile, partial, accumulator.outer)


def _taken(terms: Array, order: Array, filling: float) -> Array:
    """Return terms in an order, and a filling where it names none of them."""
    there = order < len(terms)
    taken = np.full((len(order), *terms.shape[1:]), filling, terms.dtype)
    taken[there] = terms[order[there]]
    return taken


def _add_by_list(plan: Plan | DoublePlan, a: Array, b: Array, tile: Array) -> None:
    """Add up the products of some rows at a time, as the order's list says."""
    count, columns = b.shape[:2]
    pairs = additions(plan.accumulator.order, count)
    height = max(1, PRODUCTS // ((count + 1) * columns))
    for i in range(0, len(a), height):
        plan.add_by_list(a[i : i + height], b, tile[i : i + height], pairs)
